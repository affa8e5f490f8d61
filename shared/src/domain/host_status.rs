//! Whether a trainer's Zoom user can start the meetings of the trainer's sessions.

use super::hosting::Hosting;
use super::id::UserId;
use super::session::{Provider, Session};
use super::zoom_connection::{ConnectionHealth, ZoomConnection};
use jiff::Timestamp;

/// The state of a trainer's Zoom connection without its tokens. It is stored beside the connection, for functions that
/// must not read tokens.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostStatus {
    /// `None` if there is no connection.
    pub health: Option<ConnectionHealth>,
    /// The pseudonym of the connected Zoom user.
    pub host_user: Option<String>,
    /// The version of the connection when this was stored.
    pub connection_version: u64,
    /// Whether the connected Zoom user has no licence.
    pub is_basic: bool,
}

/// The duration after which Zoom ends a meeting of a host without a licence.
const BASIC_LIMIT_MINUTES: u16 = 40;

impl HostStatus {
    pub fn from_connection(connection: &ZoomConnection) -> Self {
        Self {
            health: Some(connection.health),
            host_user: connection.zoom_user.pseudonym(),
            connection_version: connection.version,
            is_basic: connection.zoom_user.is_basic,
        }
    }

    /// Returns whether a working grant has replaced the connection of this version.
    pub fn has_replaced(&self, connection_version: u64) -> bool {
        self.health == Some(ConnectionHealth::Connected)
            && self.connection_version != connection_version
    }

    /// Returns the reason why the trainer cannot start the session's meeting. `None` for other providers, and where the
    /// platform hosts.
    pub fn problem(&self, session: &Session) -> Option<SessionWarning> {
        if session.provider != Provider::Zoom || session.meeting.hosting() == Hosting::Platform {
            return None;
        }
        match self.health {
            None => Some(SessionWarning::ZoomNotConnected),
            Some(ConnectionHealth::ReauthRequired) => Some(SessionWarning::ReauthRequired),
            Some(ConnectionHealth::Connected)
                if !session.meeting.is_hosted_by(self.host_user.as_deref()) =>
            {
                Some(SessionWarning::OtherZoomUser)
            }
            Some(ConnectionHealth::Connected) => None,
        }
    }
}

/// A reason why an upcoming or live session may not take place as planned, shown to its trainer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SessionWarning {
    /// The trainer has no Zoom connection, for example because the app was removed at Zoom.
    ZoomNotConnected,
    /// Zoom no longer accepts the trainer's grant.
    ReauthRequired,
    /// The trainer has connected another Zoom user than the one that hosts the meeting.
    OtherZoomUser,
    /// The session is longer than the meetings that Zoom allows the host, who has no licence.
    FortyMinutes,
}

/// Returns the warnings about a session. A session that is over or cancelled has none.
pub fn session_warnings(
    session: &Session,
    host: &HostStatus,
    now: Timestamp,
) -> Vec<SessionWarning> {
    if !session.is_upcoming_or_live(now) {
        return Vec::new();
    }
    let is_cut_short = host.is_basic
        && session.provider == Provider::Zoom
        && session.meeting.is_hosted_by(host.host_user.as_deref())
        && session.details.duration_minutes > BASIC_LIMIT_MINUTES;
    let cut_short = is_cut_short.then_some(SessionWarning::FortyMinutes);
    host.problem(session).into_iter().chain(cut_short).collect()
}

/// A trainer with the host status.
pub type HostStatuses = std::collections::BTreeMap<UserId, HostStatus>;
