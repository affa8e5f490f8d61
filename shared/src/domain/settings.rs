//! The meeting options that a trainer may override, and what holds when they do not.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Overrides of Zoom's meeting settings, by Zoom's own names. What is not named here cannot be set through us:
/// it would break embedded joining (`meeting_authentication`, registration), hand the meeting to others
/// (`alternative_hosts`), or contradict the class (`auto_recording` follows `record_session`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MeetingSettings {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waiting_room: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub join_before_host: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mute_upon_entry: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host_video: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub participant_video: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allow_multiple_devices: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub focus_mode: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub watermark: Option<bool>,
}

impl MeetingSettings {
    /// The names of those that are given.
    pub fn given(&self) -> BTreeSet<String> {
        match serde_json::to_value(self) {
            Ok(Value::Object(given)) => given.into_iter().map(|(name, _)| name).collect(),
            _ => BTreeSet::new(),
        }
    }

    /// Whether people pass through the waiting room: off unless asked for, since those admitted were checked by us.
    pub fn waiting_room(&self) -> bool {
        self.waiting_room.unwrap_or(false)
    }

    /// Whether people may meet without the trainer: off unless asked for.
    /// Zoom ignores it while the waiting room is on.
    pub fn join_before_host(&self) -> bool {
        self.join_before_host.unwrap_or(false)
    }
}
