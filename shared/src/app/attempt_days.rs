//! The sessions whose join attempts of a day a function instance has noted, so that it notes each once.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use crate::domain::id::SessionId;

/// Sessions in the memory. Few are joined at a time.
const MEMORY_LIMIT: usize = 256;

/// The day of the last note of each session.
#[derive(Debug, Default)]
pub(super) struct AttemptDays(Mutex<BTreeMap<SessionId, String>>);

impl AttemptDays {
    pub(super) fn is_noted(&self, session: &SessionId, day: &str) -> bool {
        let days = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        days.get(session).is_some_and(|noted| noted == day)
    }

    pub(super) fn remember(&self, session: &SessionId, day: String) {
        let mut days = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if days.len() >= MEMORY_LIMIT && !days.contains_key(session) {
            days.clear();
        }
        days.insert(session.clone(), day);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_session_is_noted_once_a_day_in_bounded_memory() {
        let days = AttemptDays::default();
        let session = |n: u16| {
            let [a, b] = n.to_be_bytes();
            SessionId::from_bytes([a, b, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])
        };
        assert!(!days.is_noted(&session(1), "2026-11-21"));
        days.remember(&session(1), "2026-11-21".to_owned());
        assert!(days.is_noted(&session(1), "2026-11-21"));
        assert!(!days.is_noted(&session(1), "2026-11-22"));
        assert!(!days.is_noted(&session(2), "2026-11-21"));
        for n in 0..1000 {
            days.remember(&session(n), "2026-11-22".to_owned());
        }
        assert!(days.0.lock().unwrap().len() <= MEMORY_LIMIT);
    }
}
