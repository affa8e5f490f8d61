//! A class as JSON: whole for its owner, projected for those it invites.

use jiff::Timestamp;
use serde::Serialize;

use crate::app::error::Error;
use crate::app::meeting;
use crate::crypt::Keyring;
use crate::domain::audience::{Audience, AudienceKind, Invitee};
use crate::domain::session::{Provider, Session, Source, Status};
use crate::domain::settings::MeetingSettings;
use crate::domain::join_window::{JoinWindow, JoinState};
use crate::store::mailing::MailCounts;

/// What everybody sees who may see the class at all.
#[derive(Debug, Serialize)]
struct Common {
    id: String,
    title: String,
    description: String,
    audience_type: AudienceKind,
    course_id: Option<String>,
    course_title: Option<String>,
    starts_at: Timestamp,
    timezone: String,
    duration_minutes: u16,
    provider: Provider,
    record_session: bool,
    status: Status,
    source: Source,
    ics_sequence: u32,
    version: u64,
    created_at: Timestamp,
    updated_at: Timestamp,
    cancelled_at: Option<Timestamp>,
    actual_started_at: Option<Timestamp>,
    actual_ended_at: Option<Timestamp>,
}

#[derive(Debug, Serialize)]
pub struct OwnerView {
    #[serde(flatten)]
    common: Common,
    settings: MeetingSettings,
    invitee_count: usize,
    /// Absent in lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    invitees: Option<Vec<InviteeView>>,
    meeting: MeetingView,
    /// What somebody changed at Zoom, past us: names of fields, or `deleted`.
    drift: Vec<String>,
}

/// One class for its owner, as it is read by itself.
#[derive(Debug, Serialize)]
pub struct SessionDetailView {
    #[serde(flatten)]
    pub view: OwnerView,
    /// How many mails about it are in which state; absent while there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mail: Option<MailCounts>,
}

#[derive(Debug, Serialize)]
struct InviteeView {
    email: String,
    name: Option<String>,
}

#[derive(Debug, Serialize)]
struct MeetingView {
    id: Option<String>,
    join_url: String,
    passcode: Option<String>,
}

#[derive(Debug, Serialize)]
pub struct InvitedView {
    #[serde(flatten)]
    common: Common,
    join: JoinView,
}

#[derive(Debug, Serialize)]
struct JoinView {
    state: JoinState,
    opens_at: Timestamp,
    closes_at: Timestamp,
}

impl From<&Session> for Common {
    fn from(s: &Session) -> Self {
        let (course_id, course_title) = match &s.audience {
            Audience::Course { id, title } => (Some(id.to_string()), Some(title.to_string())),
            _ => (None, None),
        };
        Self {
            id: s.id.to_string(),
            title: s.title.to_string(),
            description: s.description.as_str().to_owned(),
            audience_type: s.audience.kind(),
            course_id,
            course_title,
            starts_at: s.starts_at,
            timezone: s.zone.name().to_owned(),
            duration_minutes: s.duration_minutes,
            provider: s.provider,
            record_session: s.record_session,
            status: s.status,
            source: s.source,
            ics_sequence: s.ics_sequence,
            version: s.version,
            created_at: s.created_at,
            updated_at: s.updated_at,
            cancelled_at: s.cancelled_at,
            actual_started_at: s.actual_started_at,
            actual_ended_at: s.actual_ended_at,
        }
    }
}

/// A class for its owner; without `invitees` as it stands in a list.
pub fn owner(
    session: &Session,
    invitees: Option<&[Invitee]>,
    keyring: &Keyring,
) -> Result<OwnerView, Error> {
    let join = meeting::join_data(session, keyring)?;
    let invitee = |invitee: &Invitee| InviteeView {
        email: invitee.email.as_str().to_owned(),
        name: invitee.name.as_ref().map(|name| name.as_str().to_owned()),
    };
    Ok(OwnerView {
        common: session.into(),
        settings: session.settings.clone(),
        invitee_count: match session.audience {
            Audience::Invitees { count, .. } => count,
            _ => 0,
        },
        invitees: match session.audience.kind() {
            AudienceKind::Invitees => invitees.map(|all| all.iter().map(invitee).collect()),
            _ => invitees.map(|_| Vec::new()),
        },
        meeting: MeetingView {
            // As text: a meeting's number may be larger than what JavaScript counts exactly.
            id: join.meeting_number.map(|id| id.to_string()),
            join_url: join.join_url.expose().to_owned(),
            passcode: join.passcode.map(|passcode| passcode.expose().to_owned()),
        },
        drift: session.drift.clone(),
    })
}

/// A class for one of those it invites.
pub fn invited(session: &Session, door: JoinWindow) -> InvitedView {
    InvitedView {
        common: session.into(),
        join: JoinView { state: door.state, opens_at: door.opens_at, closes_at: door.closes_at },
    }
}
