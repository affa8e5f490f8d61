//! Attendance reports, computed from scratch from everything that is stored about a session.
//!
//! Zoom delivers its events at least once, in any order, and sometimes not at all. So nothing is counted when an event
//! arrives. The events are stored, and the report is a pure fold over the set of them: order and repetition do not
//! matter, and a late event corrects the next report.
//!
//! After the session, Zoom's own list of participants is stored too, and the report is the union of both sources
//! ([`provenance`]).
//!
//! The computation has these steps, one file each. It reads a [`record`], derives the times at which the session was
//! held ([`instance_intervals`]) and at which each participation was connected ([`participation`]), matches
//! participations to [`people`], applies [`overrides`], and builds the rows of the [`report`]. [`headcount()`] uses the
//! first steps only. A [`course`] has the [`summary`] of each report.

pub mod accuracy;
pub mod course;
pub mod erased;
pub mod headcount;
pub mod instance_intervals;
pub mod override_request;
pub mod overrides;
pub mod participation;
mod participation_events;
pub mod people;
pub mod provenance;
pub mod record;
pub mod report;
pub mod status;
pub mod summary;

mod reported_rows;
mod span;
#[cfg(test)]
mod tests;

use std::fmt;

use serde::{Deserialize, Serialize};

use super::digest::Digest;
use super::id::{InvalidId, SessionId, UserId};
use super::text::Email;

pub use accuracy::accuracy;
pub use erased::ErasureMarker;
pub use headcount::headcount;
pub use overrides::AttendanceOverride;
pub use people::{JoinIdentity, People};
pub use provenance::{Provenance, ReportSources};
pub use record::AttendanceRecord;
pub use report::{AttendanceReport, ReportInputs, ReportRow};
pub use status::AttendanceStatus;

/// The id of one row of a session's report: `att_` and 26 letters and digits. It is a hash of the person's identity, so
/// it is stable across reports and reveals nothing about the person.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct AttendeeId(String);

impl AttendeeId {
    const PREFIX: &str = "att_";
    const DIGITS: usize = 26;

    /// Returns the id of a user of the platform.
    pub fn for_user(session: &SessionId, user: &UserId) -> Self {
        Self::derive(session, &["user", user.as_str()])
    }

    /// Returns the id of an invited email address, with or without a user account.
    pub fn for_email(session: &SessionId, email: &Email) -> Self {
        Self::derive(session, &["email", email.as_str()])
    }

    /// Returns the id of a person known only by the Zoom user.
    pub fn for_zoom_user(session: &SessionId, zoom_user: &str) -> Self {
        Self::derive(session, &["zoom", zoom_user])
    }

    /// Returns a digest of a customer key, by which an erased person is recognised. It is no id of a row.
    pub fn for_customer_key(session: &SessionId, key: &str) -> Self {
        Self::derive(session, &["customer_key", key])
    }

    /// Returns a digest of a registration, by which an erased person is recognised. It is no id of a row.
    pub fn for_registrant(session: &SessionId, registrant: &str) -> Self {
        Self::derive(session, &["registrant", registrant])
    }

    /// Returns the id of a person known only by one participation.
    pub fn for_participation(session: &SessionId, instance: &str, participant: &str) -> Self {
        Self::derive(session, &["connection", instance, participant])
    }

    fn derive(session: &SessionId, parts: &[&str]) -> Self {
        // The length prefixes keep different lists of parts from hashing the same bytes.
        let lengths: Vec<_> = parts.iter().map(|part| (part.len() as u64).to_le_bytes()).collect();
        let mut pieces = vec![session.as_str().as_bytes()];
        for (length, part) in lengths.iter().zip(parts) {
            pieces.extend([&length[..], part.as_bytes()]);
        }
        let digits = data_encoding::BASE32_NOPAD.encode(&Digest::unframed(&pieces).first::<16>());
        Self(format!("{}{}", Self::PREFIX, digits.to_ascii_lowercase()))
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

impl TryFrom<String> for AttendeeId {
    type Error = InvalidId;
    fn try_from(text: String) -> Result<Self, InvalidId> {
        Self::parse(&text).ok_or(InvalidId)
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

/// The settings by which a report judges a person.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AttendanceRules {
    pub threshold: Threshold,
    /// The minutes by which a present person may join late or leave early without being listed so.
    pub late_minutes: i64,
}

impl Default for AttendanceRules {
    fn default() -> Self {
        Self { threshold: Threshold::default(), late_minutes: 10 }
    }
}

/// The share of the counted time, in percent, from which a person counts as present.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Threshold(u8);

impl Threshold {
    /// Returns `None` outside 1 to 100. With 0, absent people would count as present.
    pub fn new(percent: u8) -> Option<Self> {
        (1..=100).contains(&percent).then_some(Self(percent))
    }

    pub fn percent(self) -> u8 {
        self.0
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

/// A share with the precision in which it is shown, a tenth of a percent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Percent {
    tenths: u32,
}

impl Percent {
    /// Returns the rounded share of `part` in `whole`, or 0 if `whole` is 0.
    pub fn ratio(part: u64, whole: u64) -> Self {
        if whole == 0 {
            return Self::default();
        }
        let tenths = (u128::from(part) * 1000 + u128::from(whole) / 2) / u128::from(whole);
        Self { tenths: u32::try_from(tenths).unwrap_or(u32::MAX) }
    }

    pub fn from_tenths(tenths: u32) -> Self {
        Self { tenths }
    }

    pub fn tenths(self) -> u32 {
        self.tenths
    }

    /// Returns the whole percent, rounded down.
    pub fn whole(self) -> u64 {
        u64::from(self.tenths / 10)
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
