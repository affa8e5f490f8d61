//! The session of the unit tests. A test changes the fields that it is about.

use jiff::Timestamp;

use super::{Meeting, Provider, Session, SessionDetails, Source, Status};
use crate::domain::audience::Audience;
use crate::domain::id::{CourseId, SessionId, UserId};
use crate::domain::sealed::Sealed;
use crate::domain::settings::MeetingSettings;
use crate::domain::text::{Description, Title};
use crate::domain::time::Zone;

/// Details of a session that lasts 60 minutes.
pub(crate) fn details(starts_at: Timestamp) -> SessionDetails {
    SessionDetails {
        title: Title::parse("Algebra").unwrap(),
        description: Description::parse("").unwrap(),
        starts_at,
        zone: Zone::utc(),
        duration_minutes: 60,
        record_session: false,
        settings: MeetingSettings::default(),
        co_trainers: Default::default(),
    }
}

/// A session of `course-1` on Zoom that lasts 60 minutes.
pub(crate) fn session(starts_at: Timestamp, status: Status) -> Session {
    Session {
        id: SessionId::from_bytes([1; 16]),
        trainer: UserId::parse("trainer-1").unwrap(),
        details: details(starts_at),
        audience: Audience::Course {
            id: CourseId::parse("course-1").unwrap(),
            title: Title::parse("Algebra").unwrap(),
        },
        utc_offset: 0,
        window: Default::default(),
        provider: Provider::Zoom,
        settings_sent: Default::default(),
        status,
        source: Source::Manual,
        external_ref: None,
        triggered_by: None,
        meeting: Meeting {
            account: None,
            host_user: None,
            platform_user: None,
            id: None,
            join_url: Some(Sealed::from_stored("x")),
            passcode: None,
            has_registration: false,
            credentials_reported_at: Default::default(),
            pending: None,
        },
        ics_sequence: 0,
        version: 1,
        created_at: starts_at,
        updated_at: starts_at,
        zoom_synced_at: starts_at,
        cancelled_at: None,
        actual_started_at: None,
        actual_ended_at: None,
        meeting_instances: Vec::new(),
        earlier_instances: None,
        recordings: Vec::new(),
        drift: Vec::new(),
    }
}
