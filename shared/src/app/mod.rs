//! The use cases, one file per function: load, decide, commit.
//!
//! Nothing here names an AWS, HTTP or Lambda type. A use case is handed what it needs to know of the request,
//! asks `domain` what follows, and commits it; what must happen outside happens before the commit only where
//! its result is part of it (a meeting at Zoom), and then an intent was stored first.

pub mod attendance;
pub mod connect;
pub mod directory;
pub mod disconnect;
pub mod error;
pub mod join;
pub mod meeting;
pub mod notifications;
pub mod outbox_sweep;
pub mod poll;
pub mod reminder_sweep;
pub mod resend_invite;
pub mod run_time;
pub mod session_cancel;
pub mod session_save;
pub mod sessions;
pub mod timeline;
pub mod webhook;
pub mod zoom_access;

use crate::clock::Clock;
use crate::domain::audience::InviteeList;
use crate::domain::domain_event::DomainEvent;
use crate::queue::SqsQueue;
use crate::random::Random;
use crate::secrets::Secrets;
use crate::store::{Store, outbox};
use crate::zoom::Zoom;

/// What the use cases that talk to Zoom work with.
#[derive(Clone, Debug)]
pub struct Services {
    pub store: Store,
    pub zoom: Zoom,
    pub secrets: std::sync::Arc<Secrets>,
    pub queue: SqsQueue,
    pub clock: Clock,
    pub random: Random,
}

impl Services {
    /// A number for a list of invitees, below 2^53: no reader of JSON rounds it.
    fn new_list(&self) -> InviteeList {
        InviteeList(u64::from_be_bytes(self.random.bytes()) >> 11)
    }

    /// Has an announcement that was committed delivered soon; the sweep finds those of which the queue was not told.
    async fn send_wake_up(&self, announcement: &DomainEvent) {
        self.queue.send_wake_up(outbox::address(announcement)).await;
    }

    /// A name for an attempt, to know one's own lease or claim by.
    fn holder(&self) -> String {
        data_encoding::BASE32_NOPAD.encode(&self.random.bytes::<10>())
    }
}
