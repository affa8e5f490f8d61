//! Identifiers. Our own are random or derived and have a prefix. The host platform's are opaque and only validated.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::digest::Digest;

/// The longest user or course id of a host platform, in bytes. Two of them and a prefix must stay far below the limit of
/// 1,024 bytes for a DynamoDB sort key.
pub const FOREIGN_ID_LIMIT_BYTES: usize = 128;

/// An id that is empty, too long, or has a character that is not allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must have 1 to {FOREIGN_ID_LIMIT_BYTES} visible ASCII characters other than '#'")]
pub struct InvalidId;

macro_rules! foreign_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            pub fn parse(text: &str) -> Result<Self, InvalidId> {
                // '#' separates the parts of our keys, so an id must not contain it.
                let is_valid = (1..=FOREIGN_ID_LIMIT_BYTES).contains(&text.len())
                    && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#');
                if is_valid { Ok(Self(text.to_owned())) } else { Err(InvalidId) }
            }

            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidId;
            fn try_from(text: String) -> Result<Self, InvalidId> {
                Self::parse(&text)
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

foreign_id!(
    /// The host platform's id of a person (the token's `sub`).
    UserId
);
foreign_id!(
    /// The host platform's id of a course.
    CourseId
);
foreign_id!(
    /// The host platform's id of a payment.
    PaymentId
);

/// The host platform's own name of a session, unique in the deployment: 1 to 128 letters, digits and `. _ : ~ @ -`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ExternalRef(String);

/// A name that is empty, too long, reserved, or has a character that is not allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "must have 1 to {FOREIGN_ID_LIMIT_BYTES} letters, digits and . _ : ~ @ -, and must not be polls, recordings, timeline \
     or attendance"
)]
pub struct InvalidRef;

impl ExternalRef {
    /// The last segments of other paths under a session, so that no name is mistaken for one of them.
    const RESERVED: [&str; 4] = ["polls", "recordings", "timeline", "attendance"];

    pub fn parse(text: &str) -> Result<Self, InvalidRef> {
        let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._:~@-".contains(&byte);
        // Clients and proxies remove a path segment of one or two dots.
        let is_valid = (1..=FOREIGN_ID_LIMIT_BYTES).contains(&text.len())
            && text.bytes().all(is_allowed)
            && text != "."
            && text != ".."
            && !Self::RESERVED.contains(&text);
        if is_valid { Ok(Self(text.to_owned())) } else { Err(InvalidRef) }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for ExternalRef {
    type Error = InvalidRef;
    fn try_from(text: String) -> Result<Self, InvalidRef> {
        Self::parse(&text)
    }
}

impl From<ExternalRef> for String {
    fn from(name: ExternalRef) -> Self {
        name.0
    }
}

impl fmt::Display for ExternalRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Hex digits of a Zoom user's pseudonym: enough to distinguish the people of a meeting and the users of a trainer. Each
/// session has one, and each kilobyte of a session costs a write unit per index.
const PSEUDONYM_DIGITS: usize = 16;

/// Returns the name under which stored events and sessions refer to a Zoom user.
pub fn zoom_user_pseudonym(id: &str) -> String {
    Digest::of_value(id).hex(PSEUDONYM_DIGITS)
}

/// The longest id of a Zoom user in characters. Zoom's have 22.
const ZOOM_USER_ID_LIMIT: usize = 64;

/// Zoom's id of a user in the platform's own account, assigned to a trainer. Users of trainers' own
/// accounts are stored as a pseudonym instead.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ZoomUserId(String);

impl ZoomUserId {
    /// Accepts letters, digits, `-`, `_`, `.` and `=`, so that an id can be a part of a path.
    pub fn parse(text: &str) -> Result<Self, InvalidId> {
        let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.=".contains(&byte);
        // A path segment of dots alone would name another path.
        let is_valid = (1..=ZOOM_USER_ID_LIMIT).contains(&text.len())
            && text.bytes().all(is_allowed)
            && !text.bytes().all(|byte| byte == b'.');
        if is_valid { Ok(Self(text.to_owned())) } else { Err(InvalidId) }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the name under which stored events and sessions refer to the user.
    pub fn pseudonym(&self) -> String {
        zoom_user_pseudonym(&self.0)
    }
}

impl fmt::Debug for ZoomUserId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ZoomUserId({})", self.pseudonym())
    }
}

impl TryFrom<String> for ZoomUserId {
    type Error = InvalidId;
    fn try_from(text: String) -> Result<Self, InvalidId> {
        Self::parse(&text)
    }
}

impl From<ZoomUserId> for String {
    fn from(id: ZoomUserId) -> Self {
        id.0
    }
}

/// Defines an id of our own: a prefix and the base32 digits of random or derived bytes.
macro_rules! own_id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal, $bytes:literal) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            const PREFIX: &str = $prefix;
            /// Each digit has five bits.
            const DIGITS: usize = ($bytes * 8usize).div_ceil(5);

            /// Builds an id from random bytes, or from derived bytes that are the same on a retry.
            pub fn from_bytes(bytes: [u8; $bytes]) -> Self {
                let digits = data_encoding::BASE32_NOPAD.encode(&bytes).to_ascii_lowercase();
                Self(format!("{}{digits}", Self::PREFIX))
            }

            /// Returns the bytes of the id. `None` if its last digit has bits that no byte has.
            pub fn to_bytes(&self) -> Option<[u8; $bytes]> {
                let digits = self.0.strip_prefix(Self::PREFIX)?.to_ascii_uppercase();
                let bytes = data_encoding::BASE32_NOPAD.decode(digits.as_bytes()).ok()?;
                bytes.try_into().ok()
            }

            pub fn parse(text: &str) -> Option<Self> {
                let digits = text.strip_prefix(Self::PREFIX)?;
                let is_valid = digits.len() == Self::DIGITS
                    && digits.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'2'..=b'7'));
                is_valid.then(|| Self(text.to_owned()))
            }

            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidId;
            fn try_from(text: String) -> Result<Self, InvalidId> {
                Self::parse(&text).ok_or(InvalidId)
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

own_id!(
    /// The id of a session: `ses_` and 26 letters and digits, 128 bits.
    SessionId,
    "ses_",
    16
);
own_id!(
    /// The id of a poll: `pol_` and 26 letters and digits.
    PollId,
    "pol_",
    16
);
own_id!(
    /// The id of a poll's option: `opt_` and 16 letters and digits.
    OptionId,
    "opt_",
    10
);

own_id!(
    /// The id of a run of a sweep: `run_` and 26 letters and digits. It contains the time of the request.
    RunId,
    "run_",
    16
);

impl RunId {
    /// Returns the id of a run that was requested at `at`, in milliseconds.
    pub fn new(at: Timestamp, random: [u8; 10]) -> Self {
        let millis = u64::try_from(at.as_millisecond()).unwrap_or(0).to_be_bytes();
        let mut bytes = [0; 16];
        bytes[..6].copy_from_slice(&millis[2..]);
        bytes[6..].copy_from_slice(&random);
        Self::from_bytes(bytes)
    }

    /// Returns the time of the request. An invented id may have any time.
    pub fn requested_at(&self) -> Timestamp {
        let Some(bytes) = self.to_bytes() else { return Timestamp::UNIX_EPOCH };
        let millis = bytes[..6].iter().fold(0, |millis, byte| (millis << 8) | i64::from(*byte));
        Timestamp::from_millisecond(millis).unwrap_or(Timestamp::UNIX_EPOCH)
    }
}

impl SessionId {
    /// Returns the id of the session that a trainer creates under an idempotency key, so that every retry refers to it.
    pub fn for_key(trainer: &UserId, key: &str) -> Self {
        let pieces = [&b"session\0"[..], trainer.as_str().as_bytes(), b"\0", key.as_bytes()];
        Self::from_bytes(Digest::unframed(&pieces).first())
    }

    /// Returns the id of the session with a name. A session that was cancelled is followed by one of the next
    /// generation under the same name.
    pub fn for_ref(name: &ExternalRef, generation: u32) -> Self {
        let number = generation.to_be_bytes();
        let pieces = [&b"session-ref\0"[..], name.as_str().as_bytes(), b"\0", &number];
        Self::from_bytes(Digest::unframed(&pieces).first())
    }

    /// Returns the id of one of the sessions that a payment creates.
    pub fn for_payment(payment: &PaymentId, index: u32) -> Self {
        let number = index.to_be_bytes();
        let pieces = [&b"session-payment\0"[..], payment.as_str().as_bytes(), b"\0", &number];
        Self::from_bytes(Digest::unframed(&pieces).first())
    }
}

impl PollId {
    /// Returns the id of the poll that is launched under an idempotency key, so that every retry refers to it.
    pub fn for_key(session: &SessionId, key: &str) -> Self {
        let pieces = [&b"poll\0"[..], session.as_str().as_bytes(), b"\0", key.as_bytes()];
        Self::from_bytes(Digest::unframed(&pieces).first())
    }
}

impl OptionId {
    /// Returns the id of a poll's option by its number. Another poll's options have other ids, so they are not
    /// accepted.
    pub fn for_option(poll: &PollId, option: usize) -> Self {
        let number = [0, u8::try_from(option).unwrap_or(u8::MAX)];
        Self::from_bytes(
            Digest::unframed(&[b"option\0", poll.as_str().as_bytes(), &number]).first(),
        )
    }
}

/// A Zoom meeting's number: an int64 that may have more than ten digits (Zoom, "Meetings").
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct MeetingId(pub i64);

impl fmt::Display for MeetingId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn session_id_round_trips_and_rejects_other_text() {
        let id = SessionId::from_bytes([7; 16]);
        assert_eq!(SessionId::parse(id.as_str()), Some(id.clone()));
        for bad in [
            "",
            "ses_",
            "ses_ABCDEFGHIJKLMNOPQRSTUVWXYZ",
            "ses_#aaaaaaaaaaaaaaaaaaaaaaaaa",
            &id.as_str()[4..],
        ] {
            assert_eq!(SessionId::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn name_of_a_session_is_a_path_segment_that_no_route_has() {
        for good in ["a", "booking:2026-11-30~1@school.example", "_", "...", &"x".repeat(128)] {
            assert!(ExternalRef::parse(good).is_ok(), "{good}");
        }
        for bad in
            ["", ".", "..", "a/b", "a b", "a#b", "ä", "polls", "attendance", &"x".repeat(129)]
        {
            assert_eq!(ExternalRef::parse(bad), Err(InvalidRef), "{bad:?}");
        }
    }

    #[test]
    fn foreign_id_cannot_contain_the_key_separator() {
        for good in ["trainer-1", "auth0|5f7c", "ada@example.test", &"x".repeat(128)] {
            assert!(UserId::parse(good).is_ok(), "{good}");
        }
        for bad in ["", "a#b", "a b", "a\0b", "naïve", "a\r\nb", &"x".repeat(129)] {
            assert_eq!(UserId::parse(bad), Err(InvalidId), "{bad:?}");
        }
    }
}
