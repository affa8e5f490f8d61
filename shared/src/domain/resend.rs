//! Rules for resending invitations.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::digest::Digest;
use super::refusal::Refusal;
use super::session::{Session, Status};
use super::text::Email;

/// The maximum number of resends per session and hour. More attempts rarely help and annoy the other recipients.
pub const MAX_PER_HOUR: usize = 3;
/// The maximum number of recipients in one request, equal to the maximum number of invitees.
pub const RECIPIENT_LIMIT: usize = super::audience::INVITEE_LIMIT;

/// The time in which an equal request without a key is a repetition. Another mail is wanted later, if at all.
const REPETITION_TIME: SignedDuration = SignedDuration::from_mins(1);
/// The time for which an `Idempotency-Key` is remembered.
const KEY_TIME: SignedDuration = SignedDuration::from_hours(24);

/// Hex digits of a digest: 64 bits. Equality is checked for the few requests of one session.
const DIGEST_DIGITS: usize = 16;

/// A request to resend, by which its repetitions are recognized.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResendRequest {
    /// A digest of the `Idempotency-Key`.
    key: Option<String>,
    /// A digest of the recipients.
    recipients: String,
    /// The version of the session.
    version: u64,
}

/// A request that resent an invitation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PastResend {
    at: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    recipients: String,
    version: u64,
    /// The numbers that a repetition returns.
    #[serde(flatten)]
    counts: ResendCounts,
}

/// The response to a request to resend.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResendCounts {
    /// The mails that are queued.
    pub queued: usize,
    /// The named recipients who get no mail, because their address is suppressed.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub suppressed: usize,
}

fn is_zero(number: &usize) -> bool {
    *number == 0
}

impl ResendRequest {
    /// `named` has user ids and addresses. Their order and spelling do not matter.
    pub fn new(key: Option<&str>, named: Option<&[String]>, version: u64) -> Self {
        let names = named.map(|named| {
            let name = |name: &String| match Email::parse(name) {
                Ok(email) => email.as_str().to_owned(),
                Err(_) => name.clone(),
            };
            named.iter().map(name).collect::<BTreeSet<_>>()
        });
        let recipients = names.map_or_else(
            || Digest::new("all", []),
            |names| Digest::new("named", names.iter().map(String::as_str)),
        );
        Self {
            key: key.map(|key| Digest::new("key", [key]).hex(DIGEST_DIGITS)),
            recipients: recipients.hex(DIGEST_DIGITS),
            version,
        }
    }

    /// Returns the response to an earlier request if this one repeats it. Refuses a key that belongs to other recipients.
    pub fn repeats(
        &self,
        past: &[PastResend],
        now: Timestamp,
    ) -> Result<Option<ResendCounts>, Refusal> {
        let newest_first = past.iter().rev();
        if let Some(key) = &self.key {
            let mut same_key = newest_first.filter(|past| past.key.as_ref() == Some(key));
            return match same_key.find(|past| now.duration_since(past.at) < KEY_TIME) {
                Some(past) if past.recipients == self.recipients => Ok(Some(past.counts)),
                Some(_) => Err(Refusal::IdempotencyKeyReused),
                None => Ok(None),
            };
        }
        let mut equal = newest_first
            .filter(|past| past.recipients == self.recipients && past.version == self.version);
        let found = equal.find(|past| now.duration_since(past.at) < REPETITION_TIME);
        Ok(found.map(|past| past.counts))
    }

    /// Returns the remembered requests after this one was carried out.
    pub fn record(
        self,
        past: &[PastResend],
        counts: ResendCounts,
        at: Timestamp,
    ) -> Vec<PastResend> {
        let kept = past.iter().filter(|past| at.duration_since(past.at) < KEY_TIME).cloned();
        let Self { key, recipients, version } = self;
        kept.chain([PastResend { at, key, recipients, version, counts }]).collect()
    }
}

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
    fn repetition_is_recognized_by_its_key_or_its_time() {
        let at: Timestamp = "2026-11-21T09:00:00Z".parse().unwrap();
        let names = ["student-1".to_owned(), "ADA@example.test".to_owned()];
        let same_names = ["ada@example.test", "student-1", "student-1"].map(str::to_owned);
        let request = |key, named| ResendRequest::new(key, named, 1);
        let counts = |queued| ResendCounts { queued, suppressed: 0 };
        let mut past = request(Some("a"), Some(&names)).record(&[], counts(2), at);
        past = request(None, None).record(&past, counts(5), at);
        let reused = Err(Refusal::IdempotencyKeyReused);
        // Key, recipients, version, seconds later, the result.
        type Case<'a> =
            (Option<&'a str>, Option<&'a [String]>, u64, i64, Result<Option<usize>, Refusal>);
        let cases: [Case<'_>; 10] = [
            (Some("a"), Some(&same_names), 1, 0, Ok(Some(2))),
            (Some("a"), Some(&same_names), 2, 86_399, Ok(Some(2))),
            (Some("a"), Some(&same_names), 1, 86_400, Ok(None)),
            (Some("a"), None, 1, 0, reused),
            (Some("b"), None, 1, 0, Ok(None)),
            (None, None, 1, 59, Ok(Some(5))),
            (None, None, 1, 60, Ok(None)),
            (None, None, 2, 0, Ok(None)),
            (None, Some(&same_names), 1, 0, Ok(Some(2))),
            (None, Some(&names[..1]), 1, 0, Ok(None)),
        ];
        for (key, named, version, seconds, expected) in cases {
            let now = at + SignedDuration::from_secs(seconds);
            let repeated = ResendRequest::new(key, named, version).repeats(&past, now);
            let repeated = repeated.map(|found| found.map(|counts| counts.queued));
            assert_eq!(repeated, expected, "{key:?} {named:?} {version} {seconds}");
        }
        let day_later = at + SignedDuration::from_hours(24);
        assert_eq!(
            request(None, None).record(&past, counts(1), day_later).len(),
            1,
            "old ones are dropped"
        );
    }

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
