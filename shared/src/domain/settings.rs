//! The meeting settings that a trainer may choose, and their defaults.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Zoom's meeting settings that a trainer may choose, by Zoom's names. Other settings would break embedded joining
/// (`meeting_authentication`, registration), give the meeting to other hosts (`alternative_hosts`), or contradict the
/// session (`auto_recording` follows `record_session`).
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
    /// Reads stored settings. Those of a newer version are left out.
    pub fn from_stored(stored: Map<String, Value>) -> Self {
        let is_known = |name: &String, value: &mut Value| {
            let one = Map::from_iter([(name.clone(), value.clone())]);
            serde_json::from_value::<Self>(Value::Object(one)).is_ok()
        };
        let mut known = stored;
        known.retain(is_known);
        serde_json::from_value(Value::Object(known)).unwrap_or_default()
    }

    /// Returns the names of the settings that are set.
    pub fn names(&self) -> BTreeSet<String> {
        match serde_json::to_value(self) {
            Ok(Value::Object(settings)) => settings.into_iter().map(|(name, _)| name).collect(),
            _ => BTreeSet::new(),
        }
    }

    /// Off by default, because we check every join attempt ourselves.
    pub fn waiting_room(&self) -> bool {
        self.waiting_room.unwrap_or(false)
    }

    /// Off by default. Zoom ignores it while the waiting room is on.
    pub fn join_before_host(&self) -> bool {
        self.join_before_host.unwrap_or(false)
    }
}
