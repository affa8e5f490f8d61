//! The calendar entry of a session at one address.
//!
//! A calendar ignores an entry whose SEQUENCE is lower than the one that it has, and some ignore an equal one. The
//! session's own sequence rises with the trainer's changes only. An address can also be removed and invited again, so
//! each address has its own sequence, which rises with every entry that differs from the one before.
//!
//! Students who share an address get one mail, and the address keeps its entry until the last of them leaves. A former
//! address that holds an entry gets its withdrawal with the next change. So does the address of a person who turned
//! mails off.

use serde::{Deserialize, Serialize};

use crate::domain::digest::Digest;
use crate::domain::session::Session;

/// Hex digits of an entry's digest. Delivery records contain it, and 64 bits distinguish the versions of one session.
const DIGITS: usize = 16;

/// A digest of the fields of a session in calendars.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EntryDigest(String);

impl EntryDigest {
    pub fn from_session(session: &Session) -> Self {
        let fields = [
            session.details.title.as_str(),
            session.details.description.as_str(),
            &session.details.starts_at.to_string(),
            &session.details.zone.rules(),
            &session.details.duration_minutes.to_string(),
        ];
        Self(Digest::new("entry", fields).hex(DIGITS))
    }
}

/// A calendar entry in a mail.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SentEntry {
    #[serde(rename = "q")]
    pub sequence: u32,
    /// `None` if the mail withdraws the entry.
    #[serde(default, rename = "c", skip_serializing_if = "Option::is_none")]
    pub content: Option<EntryDigest>,
}

impl SentEntry {
    /// Returns the entry that follows `previous` at the same address. An equal entry keeps its sequence (RFC 5546,
    /// section 3.2.2).
    pub fn after(
        previous: Option<&Self>,
        session_sequence: u32,
        content: Option<EntryDigest>,
    ) -> Self {
        let lowest = match previous {
            None => 0,
            Some(previous) if previous.content == content => previous.sequence,
            Some(previous) => previous.sequence + 1,
        };
        Self { sequence: lowest.max(session_sequence), content }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequence_rises_with_every_different_entry() {
        let content = |text: &str| Some(EntryDigest(text.to_owned()));
        // The content, the session's sequence, and the expected sequence.
        let steps = [
            (content("a"), 0, 0),
            (content("a"), 0, 0),
            (None, 0, 1),
            (None, 0, 1),
            (content("a"), 0, 2),
            (content("b"), 1, 3),
            (content("b"), 7, 7),
            (content("a"), 8, 8),
            (None, 8, 9),
        ];
        let mut previous: Option<SentEntry> = None;
        for (content, session_sequence, expected) in steps {
            let next = SentEntry::after(previous.as_ref(), session_sequence, content);
            assert_eq!(next.sequence, expected, "{previous:?}");
            previous = Some(next);
        }
        assert_eq!(SentEntry::after(None, 4, None).sequence, 4);
    }
}
