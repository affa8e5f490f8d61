//! Zoom's rate limits: when to come back after a 429.

use std::time::Duration;

use http::HeaderMap;
use jiff::Timestamp;

use crate::domain::time::seconds_to_utc_midnight;

/// What is waited when the per-second limit answers without a `Retry-After`, as it often does.
const UNSAID_SECONDS: u64 = 2;
/// The longest wait that a per-second limit may ask for; more would be a mistake of somebody's clock.
const QPS_CAP_SECONDS: u64 = 60;
/// The longest wait at all: the daily limit is over at the next UTC midnight, 24 h away at most.
const DAY_CAP_SECONDS: u64 = 86_400;

/// How long to stay away. `Retry-After` is an ISO date-time for the daily limit, seconds or nothing for the
/// per-second one (Zoom, "Rate limits").
pub(super) fn retry_after(headers: &HeaderMap, now: Timestamp) -> Duration {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    let daily =
        text("x-ratelimit-type").is_some_and(|kind| kind.to_ascii_lowercase().starts_with("daily"));
    let said = text("retry-after").and_then(|value| {
        value.parse::<u64>().ok().or_else(|| {
            let at: Timestamp = value.parse().ok()?;
            Some(u64::try_from(at.as_second() - now.as_second()).unwrap_or(0))
        })
    });
    let (unsaid, cap) = if daily {
        (seconds_to_utc_midnight(now), DAY_CAP_SECONDS)
    } else {
        (UNSAID_SECONDS, QPS_CAP_SECONDS)
    };
    Duration::from_secs(said.unwrap_or(unsaid).clamp(1, cap))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_read_in_every_form_zoom_gives_it() {
        let now: Timestamp = "2026-11-21T22:00:00Z".parse().unwrap();
        let cases = [
            (Some("Daily-limit"), Some("2026-11-22T00:00:00Z"), 7200),
            (Some("Daily-limit"), None, 7200),
            (Some("Daily-limit"), Some("2036-01-01T00:00:00Z"), 86_400),
            (Some("Daily-limit"), Some("2026-11-21T21:00:00Z"), 1),
            (Some("QPS"), Some("3"), 3),
            (Some("QPS"), Some("soon"), 2),
            (Some("QPS"), Some("86400"), 60),
            (None, None, 2),
        ];
        for (kind, after, seconds) in cases {
            let mut headers = HeaderMap::new();
            kind.map(|kind| headers.insert("x-ratelimit-type", kind.parse().unwrap()));
            after.map(|after| headers.insert("retry-after", after.parse().unwrap()));
            assert_eq!(retry_after(&headers, now).as_secs(), seconds, "{kind:?} {after:?}");
        }
    }
}
