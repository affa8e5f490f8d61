//! Who was there: a report that is worked out anew from everything known of a class.
//!
//! Zoom's events come at least once, in no order, and not all of them. So nothing is counted as it comes in; the events
//! are kept, and the report is a pure fold over the set of them. Order and repetition cannot matter, and an event that
//! comes late corrects the next report by itself.
//!
//! The fold goes through these steps, a file each: when the class was held ([`held`]), when each connection was in it
//! ([`connection`]), whose connection it was ([`people`]), what was decided by hand ([`ruling`]), and what that makes
//! of everybody ([`report`]). What they start from is a [`record`]. How many were in at a time is a shorter way through the same steps ([`headcount()`]).

pub mod participation;
pub mod headcount;
pub mod held;
pub mod people;
pub mod record;
pub mod report;
pub mod overrides;

mod span;
#[cfg(test)]
mod tests;

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::id::{BadId, SessionId, UserId};
use super::text::Email;

pub use headcount::headcount;
pub use people::{JoinIdentity, People};
pub use record::AttendanceRecord;
pub use report::{ReportInputs, AttendanceReport, ReportRow};
pub use overrides::AttendanceOverride;

/// One row of a class's report: `att_` and 26 letters and digits, made of who it is about, so that it stays the same
/// from report to report and tells nothing by itself.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct AttendeeId(String);

impl AttendeeId {
    const PREFIX: &str = "att_";
    const DIGITS: usize = 26;

    /// A user of the platform.
    pub fn of_user(session: &SessionId, user: &UserId) -> Self {
        Self::of(session, &["user", user.as_str()])
    }

    /// Somebody who was invited by an address, whether a user of the platform or not.
    pub fn of_address(session: &SessionId, email: &Email) -> Self {
        Self::of(session, &["email", email.as_str()])
    }

    /// Somebody of whom only the Zoom user is known.
    pub fn of_zoom_user(session: &SessionId, zoom_user: &str) -> Self {
        Self::of(session, &["zoom", zoom_user])
    }

    /// Somebody of whom nothing is known but one connection.
    pub fn of_connection(session: &SessionId, running: &str, connection: &str) -> Self {
        Self::of(session, &["connection", running, connection])
    }

    fn of(session: &SessionId, parts: &[&str]) -> Self {
        let mut hash = Sha256::new().chain_update(session.as_str());
        for part in parts {
            // A length before each part: no two lists of parts run into the same text.
            hash = hash.chain_update(part.len().to_le_bytes()).chain_update(part);
        }
        let digits = data_encoding::BASE32_NOPAD.encode(&hash.finalize()[..16]);
        Self(format!("{}{}", Self::PREFIX, digits.to_ascii_lowercase()))
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

impl TryFrom<String> for AttendeeId {
    type Error = BadId;
    fn try_from(text: String) -> Result<Self, BadId> {
        Self::parse(&text).ok_or(BadId)
    }
}

impl From<AttendeeId> for String {
    fn from(id: AttendeeId) -> Self {
        id.0
    }
}

impl fmt::Display for AttendeeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// From which share of the time held somebody counts as present, in percent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Threshold(u8);

impl Threshold {
    /// `None` for what is no share: with 0 those who never came would be present, too.
    pub fn new(percent: u8) -> Option<Self> {
        (1..=100).contains(&percent).then_some(Self(percent))
    }

    fn is_reached_by(self, share: Percent) -> bool {
        share.tenths >= u32::from(self.0) * 10
    }
}

impl Default for Threshold {
    fn default() -> Self {
        Self(50)
    }
}

/// A share, as exactly as it is shown: to a tenth of a percent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Percent {
    tenths: u32,
}

impl Percent {
    /// The share of `part` in `whole`, rounded; none of nothing.
    pub fn of(part: u64, whole: u64) -> Self {
        if whole == 0 {
            return Self::default();
        }
        let tenths = (u128::from(part) * 1000 + u128::from(whole) / 2) / u128::from(whole);
        Self { tenths: u32::try_from(tenths).unwrap_or(u32::MAX) }
    }
}

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.tenths / 10, self.tenths % 10)
    }
}

impl Serialize for Percent {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(f64::from(self.tenths) / 10.0)
    }
}
