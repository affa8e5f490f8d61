//! Whether a trainer's Zoom user can start the meetings of the trainer's sessions.

use super::bookings::{Booking, BookingCalendar, OverlapRule};
use super::hosting::Hosting;
use super::id::UserId;
use super::plan::DEFAULT_HOST_CAPACITY;
use super::platform_host::{LicenceMode, PlatformHost};
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
    /// The trainer's host in the platform's own account.
    pub platform_host: Option<Box<PlatformHost>>,
}

impl WarningSources {
    /// Returns whether Zoom ends the meeting of a session after 40 minutes, because its host has no licence.
    fn is_cut_short(&self, session: &Session, now: Timestamp) -> bool {
        let is_without_licence = match (&session.meeting.platform_user, &self.platform_host) {
            (Some(user), Some(host)) => {
                host.zoom_user.as_ref() == Some(user) && lacks_licence(host, session, now)
            }
            (Some(_), None) => false,
            (None, _) => {
                self.host.is_basic && session.meeting.is_hosted_by(self.host.host_user.as_deref())
            }
        };
        is_without_licence
            && session.provider == Provider::Zoom
            && session.details.duration_minutes > BASIC_LIMIT_MINUTES
    }

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

/// Returns whether a host has no licence although it should have one. A leased one is assigned before the trainer may
/// start. A permanent one that Zoom refuses is a reason of the host's own state.
fn lacks_licence(host: &PlatformHost, session: &Session, now: Timestamp) -> bool {
    let is_due = match host.licence {
        LicenceMode::None => true,
        LicenceMode::Leased => now >= session.window_opens_at(),
        LicenceMode::Permanent => false,
    };
    is_due && host.held.is_none()
}

/// Returns the warnings about a session. A session that is over or cancelled has none.
pub fn session_warnings(
    session: &Session,
    sources: &WarningSources,
    now: Timestamp,
) -> Vec<SessionWarning> {
    if !session.is_upcoming_or_live(now) {
        return Vec::new();
    }
    let cut_short = sources.is_cut_short(session, now).then_some(SessionWarning::FortyMinutes);
    let overlap = sources.has_overlap(session).then_some(SessionWarning::Overlap);
    sources.host.problem(session).into_iter().chain(cut_short).chain(overlap).collect()
}

/// A trainer with the host status.
pub type HostStatuses = std::collections::BTreeMap<UserId, HostStatus>;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::id::{SessionId, ZoomUserId};
    use crate::domain::platform_host::{HeldLicence, HostCreation, HostRequest};
    use crate::domain::session::Status;
    use crate::domain::session::testing::session;
    use crate::domain::text::Email;
    use crate::domain::time::plus_minutes;

    #[test]
    fn class_of_a_platform_host_without_licence_is_cut_short() {
        use LicenceMode::{Leased, None as Never, Permanent};
        let starts_at: Timestamp = "2026-11-23T10:00:00Z".parse().unwrap();
        let mut session = session(starts_at, Status::Scheduled);
        session.meeting.platform_user = Some(ZoomUserId::parse("u").unwrap());
        let opens_at = session.window_opens_at();
        let earlier = plus_minutes(opens_at, -1);
        for (licence, is_held, user, minutes, now, expected) in [
            (Leased, false, "u", 60, earlier, false),
            (Leased, false, "u", 60, opens_at, true),
            (Leased, false, "u", 40, opens_at, false),
            (Leased, true, "u", 60, opens_at, false),
            (Leased, false, "former", 60, opens_at, false),
            (Never, false, "u", 60, earlier, true),
            (Never, true, "u", 60, earlier, false),
            (Permanent, false, "u", 60, opens_at, false),
        ] {
            session.details.duration_minutes = minutes;
            let request = HostRequest {
                email: Email::parse("ada@school.test").unwrap(),
                creation: HostCreation::Existing,
                licence,
            };
            let host = PlatformHost {
                zoom_user: Some(ZoomUserId::parse(user).unwrap()),
                held: is_held.then_some(HeldLicence { since: earlier, until: None }),
                ..PlatformHost::requested(session.trainer.clone(), request, earlier)
            };
            let platform_host = Some(Box::new(host));
            let sources = WarningSources { platform_host, ..WarningSources::default() };
            let warnings = session_warnings(&session, &sources, now);
            let context = format!("{licence:?} {is_held} {user} {minutes} {now}");
            assert_eq!(warnings.contains(&SessionWarning::FortyMinutes), expected, "{context}");
        }
    }

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
            let sources = WarningSources { host, calendar, host_capacity, platform_host: None };
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
