//! How long a page waits before it reads a list again.
//!
//! Pages poll. The server names the interval, so that a change of it reaches all pages at once.

use jiff::{SignedDuration, Timestamp};

use super::draft::DURATION_MINUTES;
use super::poll::check_session_live;
use super::session::Session;

/// While a poll is open, its tally changes with each vote.
const OPEN_POLL_SECONDS: u32 = 5;
/// While a class is live, the trainer may launch a poll at any time.
const LIVE_SECONDS: u32 = 15;
/// Otherwise changes are rare, and notifications and mails announce them.
pub const IDLE_SECONDS: u32 = 60;

/// How long before its planned start a class may be live.
const EARLY: SignedDuration = SignedDuration::from_mins(15);
/// How long after its planned end a class may be live.
const OVERTIME: SignedDuration = SignedDuration::from_mins(90);

/// Returns the interval in seconds for a list of classes.
pub fn for_sessions<'a>(sessions: impl IntoIterator<Item = &'a Session>, now: Timestamp) -> u32 {
    seconds(sessions.into_iter().any(|session| check_session_live(session, now).is_ok()))
}

/// Returns the interval in seconds for the polls of a class.
pub fn for_polls(session: &Session, has_open_poll: bool, now: Timestamp) -> u32 {
    match check_session_live(session, now) {
        Ok(()) if has_open_poll => OPEN_POLL_SECONDS,
        Ok(()) => LIVE_SECONDS,
        Err(_) => IDLE_SECONDS,
    }
}

/// Returns the interval in seconds for notifications about classes with these planned starts. A notification has no state
/// of its class, so each class counts as live for the longest time that it may be.
pub fn for_starts(starts: impl IntoIterator<Item = Timestamp>, now: Timestamp) -> u32 {
    let longest = SignedDuration::from_mins(*DURATION_MINUTES.end()) + OVERTIME;
    seconds(starts.into_iter().any(|start| {
        let since = now.duration_since(start);
        -EARLY <= since && since <= longest
    }))
}

fn seconds(is_live: bool) -> u32 {
    if is_live { LIVE_SECONDS } else { IDLE_SECONDS }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn start_near_now_shortens_the_interval() {
        let now: Timestamp = "2026-12-01T12:00:00Z".parse().unwrap();
        for (minutes, expected) in [
            (-16, IDLE_SECONDS),
            (-15, LIVE_SECONDS),
            (0, LIVE_SECONDS),
            (570, LIVE_SECONDS),
            (571, IDLE_SECONDS),
        ] {
            let start = now - SignedDuration::from_mins(minutes);
            assert_eq!(for_starts([start], now), expected, "{minutes} min after the start");
        }
        let far = now + SignedDuration::from_hours(48);
        assert_eq!(for_starts([far, now], now), LIVE_SECONDS);
        assert_eq!(for_starts([], now), IDLE_SECONDS);
    }
}
