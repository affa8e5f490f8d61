//! Sending an invitation again: when it may be, and how often.

use jiff::{SignedDuration, Timestamp};

use super::refusal::Refusal;
use super::session::{Session, Status};

/// How often the invitation to one class may be sent again within an hour. Somebody who did not get it twice will not
/// get it the fourth time, and the others get it each time.
pub const PER_HOUR: usize = 3;
/// The most recipients that one request may name: as many as a class may invite.
pub const RECIPIENT_LIMIT: usize = super::audience::INVITEE_LIMIT;

/// Whether there is still something to invite to. A class with a pasted link is over by the clock alone.
pub fn worth_it(session: &Session, now: Timestamp) -> Result<(), Refusal> {
    match session.status {
        Status::Cancelled => Err(Refusal::SessionCancelled),
        Status::Ended => Err(Refusal::SessionEnded),
        Status::Scheduled if session.ends_at() <= now => Err(Refusal::SessionEnded),
        Status::Scheduled | Status::Live => Ok(()),
    }
}

/// The times at which it was sent again, `now` among them and only those that still count; refused when there were as
/// many in the hour before as may be.
pub fn admit(before: &[Timestamp], now: Timestamp) -> Result<Vec<Timestamp>, Refusal> {
    let hour = SignedDuration::from_hours(1);
    let mut within: Vec<_> =
        before.iter().copied().filter(|at| now.duration_since(*at) < hour).collect();
    within.sort();
    if within.len() >= PER_HOUR {
        let oldest = within[within.len() - PER_HOUR];
        let left = hour - now.duration_since(oldest);
        // Whole seconds, so that whoever comes back after them comes late enough.
        let seconds = left.as_secs() + i64::from(left.subsec_nanos() > 0);
        return Err(Refusal::RateLimited { seconds: u64::try_from(seconds).unwrap_or(1).max(1) });
    }
    within.push(now);
    Ok(within)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_in_any_hour_and_then_as_long_as_it_takes() {
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
            // As an earlier version with a higher limit may have left it.
            (vec![900, 600, 10, 5], limited(3000)),
        ];
        for (before, expected) in cases {
            let times: Vec<_> = before.iter().map(|seconds| ago(*seconds)).collect();
            let admitted = admit(&times, now).map(|times| times.len());
            assert_eq!(admitted, expected, "{before:?}");
        }
        let later = now + SignedDuration::from_millis(400);
        let times = [600, 10, 5].map(ago);
        assert_eq!(admit(&times, later).map(|_| 0), limited(3000), "rounded up");
    }
}
