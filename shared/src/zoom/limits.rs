//! The waiting time after a 429 response from Zoom.

use std::time::Duration;

use http::HeaderMap;
use jiff::Timestamp;

use crate::domain::time::seconds_to_utc_midnight;

/// Wait after a 429 of the per-second limit without `Retry-After`, which Zoom often omits.
const DEFAULT_QPS_WAIT_SECONDS: u64 = 2;
/// Longest wait for the per-second limit. A longer one would come from a wrong clock.
const MAX_QPS_WAIT_SECONDS: u64 = 60;
/// Longest wait for the daily limit, which resets at the next UTC midnight.
const MAX_DAILY_WAIT_SECONDS: u64 = 86_400;

/// Returns how long to wait before the next request. `Retry-After` is an ISO date-time for the daily limit, and
/// seconds or absent for the per-second limit (Zoom, "Rate limits").
pub(super) fn retry_after(headers: &HeaderMap, now: Timestamp) -> Duration {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    let daily =
        text("x-ratelimit-type").is_some_and(|kind| kind.to_ascii_lowercase().starts_with("daily"));
    let requested = text("retry-after").and_then(|value| {
        value.parse::<u64>().ok().or_else(|| {
            let at: Timestamp = value.parse().ok()?;
            Some(u64::try_from(at.as_second() - now.as_second()).unwrap_or(0))
        })
    });
    let (default, max) = if daily {
        (seconds_to_utc_midnight(now), MAX_DAILY_WAIT_SECONDS)
    } else {
        (DEFAULT_QPS_WAIT_SECONDS, MAX_QPS_WAIT_SECONDS)
    };
    Duration::from_secs(requested.unwrap_or(default).clamp(1, max))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_accepts_every_form_zoom_sends() {
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
