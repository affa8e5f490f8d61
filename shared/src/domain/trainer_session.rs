//! A session as its trainer sees it.

use super::audience::Invitee;
use super::host_status::WarningSources;
use super::session::Session;

/// A session with its invitees, as shown to the trainer.
#[derive(Clone, Debug, PartialEq)]
pub struct SessionWithInvitees {
    pub session: Session,
    pub invitees: Vec<Invitee>,
    pub warning_sources: WarningSources,
}
