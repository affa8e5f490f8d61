//! Which Zoom account hosts a session's meeting: that of the trainer, or the platform's own.

use serde::{Deserialize, Serialize};
use strum::{EnumString, IntoStaticStr};

use super::id::ZoomUserId;

/// The hosting of a meeting. It is decided when the meeting is created and stored with the session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, EnumString, IntoStaticStr)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Hosting {
    /// The trainer's own Zoom account, by OAuth.
    Trainer,
    /// The platform's own account, by server-to-server OAuth. The meeting belongs to one of its users.
    Platform,
}

/// The setting of a deployment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, EnumString)]
#[strum(serialize_all = "snake_case")]
pub enum HostingPolicy {
    /// Every trainer connects a Zoom account.
    #[default]
    Trainer,
    /// The platform hosts every meeting.
    Platform,
    /// The directory decides for each trainer.
    Both,
}

impl HostingPolicy {
    /// Decides the hosting of a trainer's new meeting. `setting` is the directory's for the trainer. Without one, the
    /// platform hosts as soon as the trainer has an active host.
    pub fn decide(self, setting: Option<Hosting>, has_active_host: bool) -> Hosting {
        match (self, setting) {
            (Self::Trainer, _) => Hosting::Trainer,
            (Self::Platform, _) => Hosting::Platform,
            (Self::Both, Some(hosting)) => hosting,
            (Self::Both, None) if has_active_host => Hosting::Platform,
            (Self::Both, None) => Hosting::Trainer,
        }
    }
}

/// A meeting's host in the platform's own account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlatformUser {
    pub id: ZoomUserId,
    /// The account as it was when the user was assigned.
    pub account: String,
}

/// The Zoom user that hosts a meeting, in either account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MeetingHost {
    /// The user that the trainer had connected. The pseudonym is unknown for the oldest meetings.
    Trainer {
        pseudonym: Option<String>,
    },
    Platform(PlatformUser),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosting_follows_the_deployment_then_the_directory_then_the_host() {
        use Hosting::{Platform, Trainer};
        for (policy, setting, has_active_host, expected) in [
            (HostingPolicy::Trainer, None, true, Trainer),
            (HostingPolicy::Trainer, Some(Platform), true, Trainer),
            (HostingPolicy::Platform, None, false, Platform),
            (HostingPolicy::Platform, Some(Trainer), true, Platform),
            (HostingPolicy::Both, Some(Trainer), true, Trainer),
            (HostingPolicy::Both, Some(Platform), false, Platform),
            (HostingPolicy::Both, None, true, Platform),
            (HostingPolicy::Both, None, false, Trainer),
        ] {
            let decided = policy.decide(setting, has_active_host);
            assert_eq!(decided, expected, "{policy:?} {setting:?} {has_active_host}");
        }
    }
}
