//! Attendance overrides: a trainer's corrections of a row's presence, or of the person behind an unidentified row.
//! An override is never deleted, only replaced by a later one, and each is audited with its reason.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::AttendeeId;
use super::status::AttendanceStatus;

/// The override of a row that is in force.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttendanceOverride {
    /// Whether the person was present. Without it the threshold decides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub present: Option<bool>,
    /// Whether the person is excused, which takes precedence over `present`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub excused: bool,
    /// The person of the row's participations.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub assigned_to: Option<AttendeeId>,
}

impl AttendanceOverride {
    /// Returns the status that the override sets. The trainer's word replaces the measured times, so a person who was marked
    /// as present is neither late nor early.
    pub fn status(&self) -> Option<AttendanceStatus> {
        match self.present {
            _ if self.excused => Some(AttendanceStatus::Excused),
            Some(true) => Some(AttendanceStatus::Present),
            Some(false) => Some(AttendanceStatus::Absent),
            None => None,
        }
    }
}

pub type AttendanceOverrides = BTreeMap<AttendeeId, AttendanceOverride>;
