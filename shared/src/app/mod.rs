//! The use cases, one file per function: load, decide, commit.
//!
//! Nothing in `app` names an AWS, HTTP or Lambda type. A use case loads its data, lets `domain` decide, and
//! commits the result. A side effect happens before the commit only if its result is part of the commit (a meeting at
//! Zoom), and only after an intent was stored.

pub mod access;
mod account_access;
mod attempt_days;
pub mod attendance;
pub mod calendar_entry;
pub mod connect;
mod default_link;
mod delegated_actions;
pub mod directory;
pub mod disconnect;
pub mod error;
pub mod guests;
pub mod hosts;
pub mod join;
pub mod join_report;
pub mod licences;
pub mod mail_events;
pub mod meeting;
pub mod meeting_sweep;
pub mod notifications;
pub mod operations;
pub mod outbox_sweep;
pub mod payments;
mod personal_links;
pub mod poll;
mod recipients;

pub mod reconcile_sweep;
mod recorded_spans;
pub mod recording_access;
pub mod recordings_sync;
pub mod reminder_sweep;
pub mod resend_invite;
pub mod run_time;
pub mod session_cancel;
pub mod session_save;
pub mod sessions;
pub mod timeline;
pub mod visibility;
pub mod webhook;
pub mod zoom_access;
mod zoom_rate_limiter;

use crate::clock::Clock;
use crate::config::{ConfigError, names};
use crate::domain::admission::JoinMode;
use crate::domain::audience::InviteeList;
use crate::domain::domain_event::DomainEvent;
use crate::domain::hosting::HostingPolicy;
use crate::queue::SqsQueue;
use crate::random::Random;
use crate::secrets::Secrets;
use crate::store::{Store, due_work};
use crate::zoom::Zoom;

/// The dependencies of the use cases that call Zoom.
#[derive(Clone, Debug)]
pub struct Services {
    pub store: Store,
    pub zoom: Zoom,
    pub secrets: std::sync::Arc<Secrets>,
    pub queue: SqsQueue,
    pub hosting: HostingSettings,
    pub clock: Clock,
    pub random: Random,
}

/// How a deployment hosts meetings.
#[derive(Clone, Debug)]
pub struct HostingSettings {
    pub policy: HostingPolicy,
    /// The Zoom account that owns the app, if the deployment names it.
    pub app_account: Option<String>,
    /// The way people join, on which the registration for a new meeting depends.
    pub join_mode: JoinMode,
}

impl HostingSettings {
    /// Checks that the account of the server-to-server app is the one that the deployment names. With another one, people
    /// would be embedded by a signature that Zoom does not accept.
    pub fn check_account(&self, account_id: &str) -> Result<(), ConfigError> {
        match &self.app_account {
            Some(named) if named != account_id => Err(ConfigError::invalid(
                names::ZOOM_APP_ACCOUNT_ID,
                "it differs from zoom_s2s.account_id in the secret",
            )),
            _ => Ok(()),
        }
    }
}

impl Services {
    /// Returns a random number for a new invitee list, below 2^53 so that every JSON parser reads it exactly.
    fn new_invitee_list(&self) -> InviteeList {
        InviteeList(u64::from_be_bytes(self.random.bytes()) >> 11)
    }

    /// Returns the first version of a connection. It is random, so that the versions of a trainer's connections do not
    /// repeat.
    fn new_connection_version(&self) -> u64 {
        u64::from_be_bytes(self.random.bytes()) >> 11
    }

    /// Sends a wake-up for a committed domain event. If the message is lost, the outbox sweep finds the event.
    async fn send_wake_up(&self, domain_event: &DomainEvent) {
        self.queue.send_wake_up(due_work::domain_event_key(domain_event)).await;
    }

    /// Returns a random name by which an attempt recognizes its own lease or claim.
    fn new_lease_holder(&self) -> String {
        data_encoding::BASE32_NOPAD.encode(&self.random.bytes::<10>())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn account_of_the_credentials_is_the_one_that_the_deployment_names() {
        for (named, expected) in [(None, true), (Some("a"), true), (Some("b"), false)] {
            let app_account = named.map(str::to_owned);
            let settings = HostingSettings {
                policy: HostingPolicy::Both,
                app_account,
                join_mode: JoinMode::Auto,
            };
            let checked = settings.check_account("a");
            assert_eq!(checked.is_ok(), expected, "{named:?}");
            if let Err(error) = checked {
                assert_eq!(error.name(), names::ZOOM_APP_ACCOUNT_ID);
            }
        }
    }
}
