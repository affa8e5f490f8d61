//! Sessions as JSON: complete for the owner, reduced for invited people.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::Serialize;

use super::app_url::AppUrl;
use crate::app::error::Error;
use crate::app::meeting;
use crate::crypt::Keyring;
use crate::domain::audience::{Audience, AudienceKind, Invitee};
use crate::domain::host_status::{SessionWarning, WarningSources, session_warnings};
use crate::domain::hosting::Hosting;
use crate::domain::id::{ExternalRef, PaymentId, UserId};
use crate::domain::join_window::{JoinState, JoinWindow, join_window};
use crate::domain::pending_meeting::MeetingState;
use crate::domain::session::{Provider, Session, Source, Status};
use crate::domain::settings::MeetingSettings;
use crate::store::mailing::MailCounts;

/// The fields that everybody sees who may see the session.
#[derive(Debug, Serialize)]
struct SessionFields {
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
    /// The platform's page of the session.
    class_url: String,
    join: JoinView,
}

#[derive(Debug, Serialize)]
pub struct OwnerView {
    #[serde(flatten)]
    common: SessionFields,
    /// The platform's service and admins read the sessions of all trainers.
    trainer_id: UserId,
    settings: MeetingSettings,
    /// The owner of the Zoom account that hosts the meeting.
    hosting: Hosting,
    co_trainers: BTreeSet<UserId>,
    invitee_count: usize,
    /// Absent in lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    invitees: Option<Vec<InviteeView>>,
    meeting: MeetingView,
    meeting_state: MeetingState,
    /// When a pending meeting is made.
    meeting_at: Option<Timestamp>,
    /// The platform's own name of the session.
    external_ref: Option<ExternalRef>,
    /// The payment that created the session, or that brought its meeting forward.
    triggered_by: Option<PaymentId>,
    /// The differences that somebody made at Zoom: names of fields, or `deleted`.
    drift: Vec<String>,
    /// Whether the trainer can watch a recording.
    has_recording: bool,
    /// The reasons why an upcoming class may not take place as planned.
    warnings: Vec<SessionWarning>,
}

/// One session for its owner, outside of lists.
#[derive(Debug, Serialize)]
pub struct SessionDetailView {
    #[serde(flatten)]
    pub view: OwnerView,
    /// The number of mails per delivery status. Absent if there are none.
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
    join_url: Option<String>,
    passcode: Option<String>,
}

#[derive(Debug, Serialize)]
pub struct InvitedView {
    #[serde(flatten)]
    common: SessionFields,
    /// Whether the audience can watch a recording.
    has_recording: bool,
}

/// The reader's own join window.
#[derive(Debug, Serialize)]
struct JoinView {
    state: JoinState,
    opens_at: Timestamp,
    closes_at: Timestamp,
}

impl From<JoinWindow> for JoinView {
    fn from(window: JoinWindow) -> Self {
        Self { state: window.state, opens_at: window.opens_at, closes_at: window.closes_at }
    }
}

impl SessionFields {
    fn new(s: &Session, app_url: &AppUrl, window: JoinWindow) -> Self {
        let (course_id, course_title) = match &s.audience {
            Audience::Course { id, title } => (Some(id.to_string()), Some(title.to_string())),
            _ => (None, None),
        };
        Self {
            id: s.id.to_string(),
            title: s.details.title.to_string(),
            description: s.details.description.as_str().to_owned(),
            audience_type: s.audience.kind(),
            course_id,
            course_title,
            starts_at: s.details.starts_at,
            timezone: s.details.zone.name().to_owned(),
            duration_minutes: s.details.duration_minutes,
            provider: s.provider,
            record_session: s.details.record_session,
            status: s.status,
            source: s.source.clone(),
            ics_sequence: s.ics_sequence,
            version: s.version,
            created_at: s.created_at,
            updated_at: s.updated_at,
            cancelled_at: s.cancelled_at,
            actual_started_at: s.actual_started_at,
            actual_ended_at: s.actual_ended_at,
            class_url: app_url.session_page(&s.id),
            join: window.into(),
        }
    }
}

/// Renders a session for its owner. In lists, `invitees` is `None`.
pub(super) fn owner_view(
    session: &Session,
    invitees: Option<&[Invitee]>,
    warning_sources: &WarningSources,
    app_url: &AppUrl,
    keyring: &Keyring,
    now: Timestamp,
) -> Result<OwnerView, Error> {
    let join = meeting::join_data(session, keyring)?;
    let invitee = |invitee: &Invitee| InviteeView {
        email: invitee.email.as_str().to_owned(),
        name: invitee.name.as_ref().map(|name| name.as_str().to_owned()),
    };
    Ok(OwnerView {
        common: SessionFields::new(session, app_url, join_window(session, true, false, now)),
        trainer_id: session.trainer.clone(),
        settings: session.details.settings.clone(),
        hosting: session.meeting.hosting(),
        co_trainers: session.details.co_trainers.clone(),
        invitee_count: match session.audience {
            Audience::Invitees { count, .. } => count,
            _ => 0,
        },
        invitees: match session.audience.kind() {
            AudienceKind::Invitees => invitees.map(|all| all.iter().map(invitee).collect()),
            _ => invitees.map(|_| Vec::new()),
        },
        meeting: MeetingView {
            // A string, because a meeting number may exceed the integers that JavaScript represents exactly.
            id: join.meeting_number.map(|id| id.to_string()),
            join_url: join.join_url.map(|link| link.expose().to_owned()),
            passcode: join.passcode.map(|passcode| passcode.expose().to_owned()),
        },
        meeting_state: session.meeting_state(),
        meeting_at: session.meeting.pending.as_ref().map(|pending| pending.due_at),
        external_ref: session.external_ref.clone(),
        triggered_by: session.triggered_by.clone(),
        drift: session.drift.clone(),
        has_recording: session.has_recording_for_trainer(),
        warnings: session_warnings(session, warning_sources, now),
    })
}

/// Renders a session for an invited person.
pub(super) fn invited_view(session: &Session, app_url: &AppUrl, window: JoinWindow) -> InvitedView {
    InvitedView {
        common: SessionFields::new(session, app_url, window),
        has_recording: session.has_recording_for_audience(),
    }
}
