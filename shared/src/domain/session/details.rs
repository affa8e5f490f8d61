//! The plain fields of a session.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize};

use crate::domain::id::UserId;
use crate::domain::settings::MeetingSettings;
use crate::domain::text::{Description, Title};
use crate::domain::time::Zone;

/// The fields that a request sets, and that the draft, the stored session and the meeting's plan have in common.
///
/// Its serialized form is a part of the stored session, beside the other attributes. A new field needs a default,
/// because items of earlier releases lack it, and is always serialized, because an edit replaces only the attributes
/// that it stores.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SessionDetails {
    pub title: Title,
    #[serde(default = "no_description")]
    pub description: Description,
    pub starts_at: Timestamp,
    #[serde(rename = "timezone")]
    pub zone: Zone,
    pub duration_minutes: u16,
    pub record_session: bool,
    #[serde(default, deserialize_with = "stored_settings")]
    pub settings: MeetingSettings,
    /// The other teachers of the class, sorted.
    #[serde(default)]
    pub co_trainers: BTreeSet<UserId>,
}

#[expect(clippy::expect_used, reason = "an empty description is valid")]
fn no_description() -> Description {
    Description::parse("").expect("an empty description is within its limit")
}

fn stored_settings<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<MeetingSettings, D::Error> {
    serde_json::Map::deserialize(deserializer).map(MeetingSettings::from_stored)
}
