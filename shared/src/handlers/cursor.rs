//! Cursors: positions in lists, as clients pass them.

use jiff::Timestamp;
use lambda_http::Request;
use serde::{Serialize, Serializer};

use crate::app::operations::session_log::SessionLogCursor;
use crate::domain::id::{SessionId, UserId};
use crate::domain::refusal::Refusal;
use crate::http;
use crate::store::attendance::AuditCursor;
use crate::store::hosts::HostCursor;
use crate::store::sessions::SessionCursor;
use crate::store::timeline::TimelineCursor;

/// The longest suffix in a cursor: that of an audit entry, and of a sort key in a timeline.
const NONCE_LIMIT_BYTES: usize = 16;
const TAIL_LIMIT_BYTES: usize = 64;

/// A position in a list of one kind. It contains no partition: the caller and the path determine the list, so an
/// invented cursor reveals nothing.
pub(super) trait Position: Sized {
    fn to_text(&self) -> String;
    fn parse(text: &str) -> Option<Self>;
}

/// A position as text that clients must not interpret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Cursor<P>(pub(super) P);

impl<P: Position> Cursor<P> {
    pub(super) fn encode(&self) -> String {
        data_encoding::BASE64URL_NOPAD.encode(self.0.to_text().as_bytes())
    }

    pub(super) fn decode(text: &str) -> Result<Self, Refusal> {
        let position = || {
            let bytes = data_encoding::BASE64URL_NOPAD.decode(text.as_bytes()).ok()?;
            P::parse(std::str::from_utf8(&bytes).ok()?)
        };
        position().map(Self).ok_or_else(Refusal::invalid_cursor)
    }

    /// Returns the position that a request continues from.
    pub(super) fn requested(request: &Request) -> Result<Option<P>, Refusal> {
        let text = http::query(request, "cursor");
        Ok(text.map(|text| Self::decode(&text)).transpose()?.map(|cursor| cursor.0))
    }
}

impl<P: Position> Serialize for Cursor<P> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.encode())
    }
}

/// Returns the position that a request continues from, if the id of the last item is the cursor.
pub(super) fn requested_id<T>(
    request: &Request,
    parse: impl Fn(&str) -> Option<T>,
) -> Result<Option<T>, Refusal> {
    let text = http::query(request, "cursor");
    text.map(|text| parse(&text).ok_or_else(Refusal::invalid_cursor)).transpose()
}

impl Position for SessionCursor {
    fn to_text(&self) -> String {
        format!("{}#{}", self.starts_at.as_second(), self.id)
    }

    fn parse(text: &str) -> Option<Self> {
        let (seconds, id) = text.split_once('#')?;
        let starts_at = Timestamp::from_second(seconds.parse().ok()?).ok()?;
        Some(Self { starts_at, id: SessionId::parse(id)? })
    }
}

impl Position for TimelineCursor {
    fn to_text(&self) -> String {
        format!("{}#{}", self.at.as_millisecond(), self.tail)
    }

    fn parse(text: &str) -> Option<Self> {
        let (at, tail) = time_and_suffix(text, TAIL_LIMIT_BYTES)?;
        Some(Self { at, tail: tail.to_owned() })
    }
}

/// The session, and after another `#` the position in it.
impl Position for SessionLogCursor {
    fn to_text(&self) -> String {
        match &self.before {
            Some(before) => format!("{}#{}", self.session, before.to_text()),
            None => self.session.to_string(),
        }
    }

    fn parse(text: &str) -> Option<Self> {
        let (session, before) = match text.split_once('#') {
            Some((session, before)) => (session, Some(TimelineCursor::parse(before)?)),
            None => (text, None),
        };
        Some(Self { session: SessionId::parse(session)?, before })
    }
}

impl Position for AuditCursor {
    fn to_text(&self) -> String {
        format!("{}#{}", self.at.as_millisecond(), self.nonce)
    }

    fn parse(text: &str) -> Option<Self> {
        let (at, nonce) = time_and_suffix(text, NONCE_LIMIT_BYTES)?;
        Some(Self { at, nonce: nonce.to_owned() })
    }
}

impl Position for HostCursor {
    fn to_text(&self) -> String {
        format!("{}#{}", self.state.as_str(), self.trainer)
    }

    fn parse(text: &str) -> Option<Self> {
        let (state, trainer) = text.split_once('#')?;
        Some(Self { state: state.parse().ok()?, trainer: UserId::parse(trainer).ok()? })
    }
}

/// Parses a time in milliseconds and a suffix, which becomes part of a key.
fn time_and_suffix(text: &str, limit_bytes: usize) -> Option<(Timestamp, &str)> {
    let (millis, suffix) = text.split_once('#')?;
    let is_plain = (1..=limit_bytes).contains(&suffix.len())
        && suffix.bytes().all(|byte| byte.is_ascii_alphanumeric());
    let at = Timestamp::from_millisecond(millis.parse().ok()?).ok()?;
    is_plain.then_some((at, suffix))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::platform_host::HostState;
    use std::fmt::Debug;

    fn encoded(text: &str) -> String {
        data_encoding::BASE64URL_NOPAD.encode(text.as_bytes())
    }

    fn check<P: Position + Clone + Debug + PartialEq>(position: &P, text: &str, invalid: &[&str]) {
        let cursor = Cursor(position.clone());
        // The text is that of earlier versions, so that a client can go on after a deployment.
        assert_eq!(cursor.encode(), encoded(text));
        assert_eq!(Cursor::decode(&cursor.encode()), Ok(cursor));
        for bad in ["", "!", "é"] {
            assert_eq!(Cursor::<P>::decode(bad), Err(Refusal::invalid_cursor()), "{bad}");
        }
        for bad in invalid {
            let decoded = Cursor::<P>::decode(&encoded(bad));
            assert_eq!(decoded, Err(Refusal::invalid_cursor()), "{bad}");
        }
    }

    #[test]
    fn cursor_of_each_list_round_trips_and_other_text_is_rejected() {
        let at = "2026-12-01T09:00:00.123Z".parse().unwrap();
        let id = SessionId::from_bytes([8; 16]);
        check(
            &SessionCursor { starts_at: "2026-12-01T09:00:00Z".parse().unwrap(), id: id.clone() },
            &format!("1796115600#{id}"),
            &[
                "1",
                "1#TRAINER#other",
                "x#ses_aaaaaaaaaaaaaaaaaaaaaaaaaa",
                "99999999999999999#ses_aaaaaaaaaaaaaaaaaaaaaaaaaa",
            ],
        );
        let long = format!("1#{}", "a".repeat(65));
        let invalid = ["1", "1#", "1#a#b", "x#a", &long];
        check(&TimelineCursor { at, tail: "ab2".to_owned() }, "1796115600123#ab2", &invalid);
        let before = Some(TimelineCursor { at, tail: "ab2".to_owned() });
        let invalid_log = ["1", "ses_a", &format!("{id}#"), &format!("{id}#1#a#b")];
        let text = format!("{id}#1796115600123#ab2");
        check(&SessionLogCursor { session: id.clone(), before }, &text, &invalid_log);
        let finished = SessionLogCursor { session: id.clone(), before: None };
        check(&finished, id.as_str(), &invalid_log);
        let trainer = UserId::parse("trainer-1").unwrap();
        let host = HostCursor { state: HostState::Active, trainer };
        check(&host, "active#trainer-1", &["active", "active#", "idle#trainer-1", "active#a#b"]);
        check(&AuditCursor { at, nonce: "AB2".to_owned() }, "1796115600123#AB2", &invalid);
    }
}
