//! Schedules a session: exactly one session with exactly one meeting, however often the request is repeated.
//!
//! A session on Zoom is created in three steps. [`release`] undoes them.
//!
//! 1. [`reserve`] stores the intent and its repair, takes the quotas, and books the time of the host.
//! 2. [`call_zoom`] creates the meeting, or adopts the one of an earlier attempt. If Zoom's response was lost, the
//!    meeting is looked up at once.
//! 3. [`commit`] stores the session and deletes the intent. If the response was lost, the session is read again. A long
//!    invitee list is written before, and a check is due until then that deletes a list to which no session refers.
//!
//! A session with a manual link, or with a meeting that is made later, has only the last step ([`manual`], [`later`]).

mod call_zoom;
mod commit;
mod inputs;
mod later;
mod manual;
mod release;
mod repeat;
mod reserve;
mod template;

use jiff::Timestamp;

pub use self::repeat::{RepeatedCreate, find_created_session};

use self::commit::MadeMeeting;
use self::inputs::CreateInputs;
use self::repeat::{existing_session, is_of_other_body, session_id_for, wait_for_other_request};
use self::template::SessionTemplate;
use super::invitees::drafted_invitees;
use super::resolve_audience;
use crate::app::Services;
use crate::app::error::Error;
use crate::app::meeting::ZoomMeetings;
use crate::domain::actor::Actor;
use crate::domain::audience::Invitee;
use crate::domain::draft::{Draft, OpenDraft, Venue};
use crate::domain::host_status::WarningSources;
use crate::domain::id::{PaymentId, SessionId, UserId};
use crate::domain::pending_meeting::{MeetingLead, MeetingTime};
use crate::domain::refusal::Refusal;
use crate::domain::session::{Session, Source};
use crate::domain::session_ref::SessionRef;
use crate::domain::session_window::JoinWindowSettings;
use crate::domain::trainer_session::SessionWithInvitees;
use crate::store::sessions::SessionRecord;
use crate::telemetry::metrics;

/// How often a request starts over because the request that it waited for failed.
const ATTEMPTS: u32 = 3;

/// A request to schedule a session, with an open or a complete draft.
#[derive(Debug)]
pub struct CreateSession<D = OpenDraft> {
    pub trainer: UserId,
    pub source: Source,
    /// The service that schedules the session for the trainer.
    pub author: Option<Actor>,
    pub draft: D,
    /// The join window settings in force.
    pub window: JoinWindowSettings,
    /// How long before the start a meeting is made that the draft wants later.
    pub meeting_lead: MeetingLead,
    /// The id that every retry derives. `None` if a retry creates another session.
    pub id: Option<SessionId>,
    /// The host platform's own name. Then another body does not refuse the request, but is an edit.
    pub external_ref: Option<SessionRef>,
    pub triggered_by: Option<PaymentId>,
    /// The hash of the body. The same id with another body is refused.
    pub body_hash: String,
}

impl CreateSession {
    fn with_draft(&self, draft: Draft) -> CreateSession<Draft> {
        CreateSession {
            trainer: self.trainer.clone(),
            source: self.source.clone(),
            author: self.author.clone(),
            draft,
            window: self.window,
            meeting_lead: self.meeting_lead,
            id: self.id.clone(),
            external_ref: self.external_ref.clone(),
            triggered_by: self.triggered_by.clone(),
            body_hash: self.body_hash.clone(),
        }
    }
}

enum CreateOutcome {
    Created(Box<Session>, Box<WarningSources>),
    Exists(Box<SessionRecord>),
    InProgress,
}

/// A new session, or the one that is stored under its id.
pub(super) enum CreatedOrFound {
    Created(Box<SessionWithInvitees>),
    Found(Box<SessionRecord>),
}

/// Schedules a session, or returns the one that the same request created before.
pub async fn create(
    services: &Services,
    request: &CreateSession,
    now: Timestamp,
) -> Result<SessionWithInvitees, Error> {
    match create_or_find(services, request, now).await? {
        CreatedOrFound::Created(created) => Ok(*created),
        CreatedOrFound::Found(record) => existing_session(services, request, *record).await,
    }
}

/// Schedules a session, or returns the stored one with its id, also if another body created it.
pub(super) async fn create_or_find(
    services: &Services,
    request: &CreateSession,
    now: Timestamp,
) -> Result<CreatedOrFound, Error> {
    let created = attempt_repeatedly(services, request, now).await;
    // A refused request is no failure of the system.
    if request.draft.may_meet_on_zoom()
        && created.as_ref().is_err_and(|error| !matches!(error, Error::Refused(_)))
    {
        metrics::MEETINGS_FAILED.count();
    }
    created
}

async fn attempt_repeatedly(
    services: &Services,
    request: &CreateSession,
    mut now: Timestamp,
) -> Result<CreatedOrFound, Error> {
    let id = session_id_for(services, request);
    for _ in 0..ATTEMPTS {
        let creation = Creation { services, request, id: &id, now };
        let (outcome, invitees) = creation.attempt().await?;
        match outcome {
            CreateOutcome::Created(session, warning_sources) => {
                if session.meeting.id.is_some() {
                    metrics::MEETINGS_CREATED.count();
                }
                return Ok(CreatedOrFound::Created(Box::new(SessionWithInvitees {
                    session: *session,
                    invitees,
                    warning_sources: *warning_sources,
                })));
            }
            CreateOutcome::Exists(record) => return Ok(CreatedOrFound::Found(record)),
            CreateOutcome::InProgress => match wait_for_other_request(services, &id).await? {
                Some(record) => return Ok(CreatedOrFound::Found(Box::new(record))),
                // Other requests may have released resources since this request began.
                None => now = services.clock.now(),
            },
        }
    }
    Err(Error::busy("other requests keep failing to create the session"))
}

/// One attempt to create a session.
#[derive(Debug)]
struct Creation<'a, D = Draft> {
    services: &'a Services,
    request: &'a CreateSession<D>,
    id: &'a SessionId,
    now: Timestamp,
}

impl<D> Clone for Creation<'_, D> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<D> Copy for Creation<'_, D> {}

impl Creation<'_, OpenDraft> {
    /// Makes the attempt. Also returns the invitees of a session that was created.
    async fn attempt(self) -> Result<(CreateOutcome, Vec<Invitee>), Error> {
        let (inputs, draft) = match self.load_inputs().await? {
            Ok(loaded) => loaded,
            Err(record) => return Ok((CreateOutcome::Exists(record), Vec::new())),
        };
        let Self { services, request, id, now } = self;
        let request = request.with_draft(draft);
        let outcome = Creation { services, request: &request, id, now }.carry_out(inputs).await?;
        Ok((outcome, drafted_invitees(&request.draft).to_vec()))
    }
}

impl Creation<'_> {
    async fn carry_out(self, inputs: CreateInputs) -> Result<CreateOutcome, Error> {
        let CreateSession { draft, trainer, external_ref, .. } = self.request;
        inputs.limits.check_draft(draft)?;
        if let Some(intent) = &inputs.intent {
            if external_ref.is_none() && is_of_other_body(intent, self.request) {
                return Err(Refusal::IdempotencyKeyReused.into());
            }
            if intent.attempt_until > self.now {
                return Ok(CreateOutcome::InProgress);
            }
        }
        let list = self.services.new_invitee_list();
        let audience = resolve_audience(&draft.audience, inputs.course.clone(), trainer, list)?;
        let secrets = self.services.secrets.get(self.now).await?;
        let template = SessionTemplate { creation: self, audience, keyring: secrets.keyring()? };
        match &draft.venue {
            Venue::Manual { join_url } => self.create_with_link(&template, join_url, &inputs).await,
            // The daily limit of the host may be used up, so the sweep makes the meetings of paid classes.
            Venue::Zoom
                if draft.meeting_time == Some(MeetingTime::Later)
                    || self.request.triggered_by.is_some() =>
            {
                self.create_for_later(&template, inputs).await
            }
            Venue::Zoom => self.create_on_zoom(&template, inputs).await,
        }
    }

    async fn create_on_zoom(
        self,
        template: &SessionTemplate<'_>,
        inputs: CreateInputs,
    ) -> Result<CreateOutcome, Error> {
        let zoom_access = inputs.zoom_access(self).await?;
        zoom_access.require_scope("meeting:write:meeting")?;
        let (host, host_capacity) = (zoom_access.host_status(), inputs.settings.host_capacity);
        let platform_host = inputs.host.clone().map(Box::new);
        let Some(reservation) = self.reserve(inputs, &zoom_access).await? else {
            return Ok(CreateOutcome::InProgress);
        };
        let calendar = reservation.booking.days.calendar.clone();
        let warning_sources = WarningSources { host, calendar, host_capacity, platform_host };
        let mut zoom = ZoomMeetings::new(self.services, zoom_access);
        let (meeting, answer) = reservation.call_zoom(&mut zoom).await?;
        let made =
            MadeMeeting { session: template.with_meeting(&meeting), warning_sources, answer };
        reservation.commit(&mut zoom, made).await
    }
}
