//! A person's attendance in one word, and its origin.

use serde::{Deserialize, Serialize};
use strum::IntoStaticStr;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, IntoStaticStr)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum PresentBy {
    Rule,
    Override,
}

impl PresentBy {
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// A person's attendance in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, IntoStaticStr)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum AttendanceStatus {
    Present,
    /// Present, but joined late.
    Late,
    /// Present and on time, but left early.
    LeftEarly,
    Absent,
    /// Excused by hand.
    Excused,
}

impl AttendanceStatus {
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}
