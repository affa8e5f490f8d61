//! Rules for resending invitations.

use jiff::{SignedDuration, Timestamp};

use super::refusal::Refusal;
use super::session::{Session, Status};

/// The maximum number of resends per session and hour. More attempts rarely help and annoy the other recipients.
pub const MAX_PER_HOUR: usize = 3;
/// The maximum number of recipients in one request, equal to the maximum number of invitees.
pub const RECIPIENT_LIMIT: usize = super::audience::INVITEE_LIMIT;

/// Refuses cancelled and ended sessions. A session that was not started ends when its window closes.
pub fn ensure_resendable(session: &Session, now: Timestamp) -> Result<(), Refusal> {
    match session.status {
        Status::Cancelled => Err(Refusal::SessionCancelled),
        Status::Ended => Err(Refusal::SessionEnded),
        Status::Scheduled if session.window_closes_at() <= now => Err(Refusal::SessionEnded),
        Status::Scheduled | Status::Live => Ok(()),
    }
}

/// Returns the resend times of the last hour including `now`, or refuses if the limit is reached.
pub fn apply_hourly_limit(
    earlier: &[Timestamp],
    now: Timestamp,
) -> Result<Vec<Timestamp>, Refusal> {
    let hour = SignedDuration::from_hours(1);
    let mut recent: Vec<_> =
        earlier.iter().copied().filter(|at| now.duration_since(*at) < hour).collect();
    recent.sort();
    if recent.len() >= MAX_PER_HOUR {
        let oldest = recent[recent.len() - MAX_PER_HOUR];
        let left = hour - now.duration_since(oldest);
        // Rounded up, so a retry after this time succeeds.
        let seconds = left.as_secs() + i64::from(left.subsec_nanos() > 0);
        return Err(Refusal::RateLimited { seconds: u64::try_from(seconds).unwrap_or(1).max(1) });
    }
    recent.push(now);
    Ok(recent)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_resends_per_hour_are_allowed() {
        let now: Timestamp = "2026-11-21T09:00:00.5Z".parse().unwrap();
        let ago = |seconds: i64| now - SignedDuration::from_secs(seconds);
        let limited = |seconds| Err(Refusal::RateLimited { seconds });
        let cases = [
            (vec![], Ok(1)),
            (vec![10, 5], Ok(3)),
            (vec![3599, 10, 5], limited(1)),
            (vec![3600, 10, 5], Ok(3)),
            (vec![600, 10, 5], limited(3000)),
            (vec![7200, 3600, 10], Ok(2)),
            // May have been stored by a version with a higher limit.
            (vec![900, 600, 10, 5], limited(3000)),
        ];
        for (earlier, expected) in cases {
            let times: Vec<_> = earlier.iter().map(|seconds| ago(*seconds)).collect();
            let times = apply_hourly_limit(&times, now).map(|times| times.len());
            assert_eq!(times, expected, "{earlier:?}");
        }
        let later = now + SignedDuration::from_millis(400);
        let times = [600, 10, 5].map(ago);
        assert_eq!(apply_hourly_limit(&times, later).map(|_| 0), limited(3000), "rounded up");
    }
}
