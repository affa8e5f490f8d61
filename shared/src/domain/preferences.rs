//! Notification preferences.

use serde::{Deserialize, Serialize};

/// The enabled channels of one topic. All channels are enabled by default.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NotificationChannels {
    pub in_app: bool,
    pub email: bool,
}

impl Default for NotificationChannels {
    fn default() -> Self {
        Self { in_app: true, email: true }
    }
}

/// A person's notification preferences by topic.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Preferences {
    pub live_session: NotificationChannels,
}
