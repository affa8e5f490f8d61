//! Whether a trainer's Zoom user can start the meetings of the trainer's sessions.

use super::bookings::{Booking, BookingCalendar, OverlapRule};
use super::hosting::Hosting;
use super::id::UserId;
use super::plan::DEFAULT_HOST_CAPACITY;
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
    /// The host has more sessions at the same time than it can host.
    Overlap,
}

/// The data of a trainer on which the warnings about sessions depend.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct WarningSources {
    pub host: HostStatus,
    /// The bookings on the days of the sessions.
    pub calendar: BookingCalendar,
    /// The setting for hosts in the platform's own account.
    pub host_capacity: Option<u32>,
}

impl WarningSources {
    /// Returns whether the host of a session has more sessions at that time than it can host.
    fn has_overlap(&self, session: &Session) -> bool {
        let capacity = match session.meeting.hosting() {
            Hosting::Trainer => DEFAULT_HOST_CAPACITY,
            Hosting::Platform => self.host_capacity.unwrap_or(DEFAULT_HOST_CAPACITY),
        };
        let rule = OverlapRule::AtMost(capacity);
        Booking::of_session(session)
            .is_some_and(|booking| self.calendar.conflict(&booking, rule).is_some())
    }
}

/// Returns the warnings about a session. A session that is over or cancelled has none.
pub fn session_warnings(
    session: &Session,
    sources: &WarningSources,
    now: Timestamp,
) -> Vec<SessionWarning> {
    let host = &sources.host;
    if !session.is_upcoming_or_live(now) {
        return Vec::new();
    }
    let is_cut_short = host.is_basic
        && session.provider == Provider::Zoom
        && session.meeting.is_hosted_by(host.host_user.as_deref())
        && session.details.duration_minutes > BASIC_LIMIT_MINUTES;
    let cut_short = is_cut_short.then_some(SessionWarning::FortyMinutes);
    let overlap = sources.has_overlap(session).then_some(SessionWarning::Overlap);
    host.problem(session).into_iter().chain(cut_short).chain(overlap).collect()
}

/// A trainer with the host status.
pub type HostStatuses = std::collections::BTreeMap<UserId, HostStatus>;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::id::{SessionId, ZoomUserId};
    use crate::domain::session::Status;
    use crate::domain::session::testing::session;

    #[test]
    fn overlap_is_a_warning_beyond_the_capacity_of_the_host() {
        let starts_at: Timestamp = "2026-11-23T10:00:00Z".parse().unwrap();
        let mut own = session(starts_at, Status::Scheduled);
        own.meeting.host_user = Some("host".to_owned());
        let mut hosted = own.clone();
        hosted.meeting.platform_user = Some(ZoomUserId::parse("u").unwrap());
        let other = |n: u8| Booking {
            session: SessionId::from_bytes([n; 16]),
            ..Booking::of_session(&own).unwrap()
        };
        // The other sessions, the setting, and whether there is a warning in an own account and in the platform's.
        for (others, host_capacity, in_own, in_platform) in [
            (0, None, false, false),
            (1, None, true, true),
            (1, Some(2), true, false),
            (2, Some(2), true, true),
        ] {
            let mut calendar = BookingCalendar::default();
            (0..others).for_each(|n| calendar.insert(other(10 + n)));
            let host = HostStatus {
                health: Some(ConnectionHealth::Connected),
                host_user: Some("host".to_owned()),
                ..HostStatus::default()
            };
            let sources = WarningSources { host, calendar, host_capacity };
            for (session, expected) in [(&own, in_own), (&hosted, in_platform)] {
                let warnings = session_warnings(session, &sources, starts_at);
                let context = format!("{others} {host_capacity:?}");
                assert_eq!(warnings.contains(&SessionWarning::Overlap), expected, "{context}");
                let over = session_warnings(session, &sources, session.window_closes_at());
                assert_eq!(over, [], "{context}");
            }
        }
    }
}
