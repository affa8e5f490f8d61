//! Identifiers. Ours are drawn or derived and carry a prefix; the host platform's are opaque and only checked.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The longest id that a host platform may use for a user or a course, in bytes.
/// Two of them and a prefix must stay far below DynamoDB's 1,024-byte sort key.
pub const FOREIGN_ID_LIMIT_BYTES: usize = 128;

/// An id that cannot be one: empty, too long, or with characters that no id has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an id has 1 to {FOREIGN_ID_LIMIT_BYTES} visible ASCII characters and no '#'")]
pub struct BadId;

macro_rules! foreign_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            pub fn parse(text: &str) -> Result<Self, BadId> {
                // '#' joins the parts of our keys; an id without it can never reach into another key.
                let fits = (1..=FOREIGN_ID_LIMIT_BYTES).contains(&text.len())
                    && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#');
                if fits { Ok(Self(text.to_owned())) } else { Err(BadId) }
            }

            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = BadId;
            fn try_from(text: String) -> Result<Self, BadId> {
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
    /// A person, as the host platform names them (the token's `sub`).
    UserId
);
foreign_id!(
    /// A course, as the host platform names it.
    CourseId
);

/// Ids of ours: a prefix that says of what, and base32 of so many bytes, drawn or derived.
macro_rules! own_id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal, $bytes:literal) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            const PREFIX: &str = $prefix;
            /// Five bits each.
            const DIGITS: usize = ($bytes * 8usize).div_ceil(5);

            /// Made from bytes that were drawn, or derived from what must be equal on a retry.
            pub fn from_bytes(bytes: [u8; $bytes]) -> Self {
                let digits = data_encoding::BASE32_NOPAD.encode(&bytes).to_ascii_lowercase();
                Self(format!("{}{digits}", Self::PREFIX))
            }

            pub fn parse(text: &str) -> Option<Self> {
                let digits = text.strip_prefix(Self::PREFIX)?;
                let ours = digits.len() == Self::DIGITS
                    && digits.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'2'..=b'7'));
                ours.then(|| Self(text.to_owned()))
            }

            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = BadId;
            fn try_from(text: String) -> Result<Self, BadId> {
                Self::parse(&text).ok_or(BadId)
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
    /// One live class: `ses_` and 26 letters and digits, 128 bits.
    SessionId,
    "ses_",
    16
);
own_id!(
    /// A question that is put to a class: `pol_` and 26 letters and digits.
    PollId,
    "pol_",
    16
);
own_id!(
    /// An answer that a poll offers: `opt_` and 16 letters and digits.
    OptionId,
    "opt_",
    10
);

/// A Zoom meeting's number: int64, and longer than ten digits at times (Zoom, "Meetings").
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
    fn a_session_id_reads_back_and_nothing_else_does() {
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
    fn a_foreign_id_cannot_reach_into_another_key() {
        for good in ["trainer-1", "auth0|5f7c", "ada@example.test", &"x".repeat(128)] {
            assert!(UserId::parse(good).is_ok(), "{good}");
        }
        for bad in ["", "a#b", "a b", "a\0b", "naïve", "a\r\nb", &"x".repeat(129)] {
            assert_eq!(UserId::parse(bad), Err(BadId), "{bad:?}");
        }
    }
}
