//! A session as its trainer sees it.

use super::audience::Invitee;
use super::host_status::HostStatus;
use super::session::Session;

/// A session with its invitees, as shown to the trainer.
#[derive(Clone, Debug, PartialEq)]
pub struct SessionWithInvitees {
    pub session: Session,
    pub invitees: Vec<Invitee>,
    /// The host status of its trainer.
    pub host: HostStatus,
}
