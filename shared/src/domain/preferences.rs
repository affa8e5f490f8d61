//! What a person wants to be told of, and by which channel.

use serde::{Deserialize, Serialize};

/// The channels by which a person is told of something. Whoever never said anything is told by all.
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

/// A person's notification preferences, a topic each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Preferences {
    pub live_session: NotificationChannels,
}
