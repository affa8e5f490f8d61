//! Creates or edits the session of a name of the host platform.
//!
//! An upsert is safe to repeat. A body that is stored already succeeds at any time and changes nothing. Any other body
//! creates the session, or edits it. The id of a new session is derived from the name, so that simultaneous upserts create
//! one session, and the others edit it. A session that was cancelled is followed by a new one under the same name.

use std::time::Duration;

use jiff::Timestamp;

use super::complete::complete_draft;
use super::create::{CreateSession, CreatedOrFound, create_or_find};
use super::edit::{EditSession, ExpectedVersion, edit};
use crate::app::Services;
use crate::app::error::Error;
use crate::app::meeting;
use crate::domain::actor::Actor;
use crate::domain::caller::Caller;
use crate::domain::draft::{OpenDraft, StoredValues, Venue};
use crate::domain::id::{ExternalRef, UserId};
use crate::domain::pending_meeting::MeetingLead;
use crate::domain::refusal::Refusal;
use crate::domain::session::{Session, Source, Status};
use crate::domain::session_defaults::SessionDefaults;
use crate::domain::session_ref::SessionRef;
use crate::domain::session_window::JoinWindowSettings;
use crate::domain::trainer_session::SessionWithInvitees;
use crate::store::sessions::SessionRecord;

/// Attempts against requests that create or cancel the session at the same time.
const ATTEMPTS: u32 = 4;
/// The pause between two attempts, plus up to as much jitter.
const WAIT_MS: u64 = 50;

/// A request to create or edit the session of a name.
#[derive(Debug)]
pub struct UpsertSession {
    pub caller: Caller,
    pub name: ExternalRef,
    pub trainer: UserId,
    /// The source of a new session.
    pub source: Source,
    /// Its start may have passed ([`OpenDraft::check_without_start`]).
    pub draft: OpenDraft,
    /// The join window settings in force.
    pub window: JoinWindowSettings,
    /// How long before the start a meeting is made that does not exist yet.
    pub meeting_lead: MeetingLead,
    pub body_hash: String,
    /// The versions that the caller accepts (`If-Match`).
    pub expected_version: ExpectedVersion,
}

/// The session after an upsert.
#[derive(Debug)]
pub enum Upserted {
    Created(Box<SessionWithInvitees>),
    Edited(Box<SessionWithInvitees>),
    Unchanged(Box<Session>),
}

/// Creates or edits the session of a name.
pub async fn upsert(
    services: &Services,
    request: &UpsertSession,
    mut now: Timestamp,
) -> Result<Upserted, Error> {
    for attempt in 0..ATTEMPTS {
        if attempt > 0 {
            let pause = WAIT_MS + services.random.below(WAIT_MS);
            tokio::time::sleep(Duration::from_millis(pause)).await;
            now = services.clock.now();
        }
        let upsert = Upsert { services, request, now };
        let (name, trainer) = (&request.name, &request.trainer);
        let (named, user) = services.store.named_session_and_trainer(name, trainer).await?;
        let upserted = match named {
            Some(named) if named.record.session.status != Status::Cancelled => {
                let defaults = user.map(|user| user.defaults).unwrap_or_default();
                upsert.edit(named.record, defaults).await?
            }
            Some(cancelled) => upsert.create(cancelled.session_ref.next()).await?,
            None => upsert.create(SessionRef::first(&request.name)).await?,
        };
        if let Some(upserted) = upserted {
            return Ok(upserted);
        }
    }
    Err(Error::busy("too many concurrent requests for the name"))
}

/// One attempt.
#[derive(Clone, Copy)]
struct Upsert<'a> {
    services: &'a Services,
    request: &'a UpsertSession,
    now: Timestamp,
}

impl Upsert<'_> {
    /// Creates the session. Returns `None` if another request was faster.
    async fn create(self, session_ref: SessionRef) -> Result<Option<Upserted>, Error> {
        let Self { services, request, now } = self;
        if request.expected_version != ExpectedVersion::Any {
            return Err(Refusal::PreconditionFailed { version: None }.into());
        }
        request.draft.check_start(now)?;
        let creation = CreateSession {
            trainer: request.trainer.clone(),
            source: request.source.clone(),
            author: Some(Actor::service(&request.caller)),
            draft: request.draft.clone(),
            window: request.window,
            meeting_lead: request.meeting_lead,
            id: Some(session_ref.session_id()),
            external_ref: Some(session_ref),
            triggered_by: None,
            body_hash: request.body_hash.clone(),
        };
        Ok(match create_or_find(services, &creation, now).await? {
            CreatedOrFound::Created(created) => Some(Upserted::Created(created)),
            CreatedOrFound::Found(_) => None,
        })
    }

    /// Edits the session if the body differs from it. Returns `None` if it was cancelled meanwhile.
    async fn edit(
        self,
        record: SessionRecord,
        defaults: SessionDefaults,
    ) -> Result<Option<Upserted>, Error> {
        let Self { services, request, now } = self;
        match self.is_stored(&record, defaults).await {
            Ok(true) => return Ok(Some(Upserted::Unchanged(Box::new(record.session)))),
            Ok(false) => {}
            // A body that does not fit the session is a difference as well.
            Err(Error::Refused(refusal)) => {
                record.session.check_editable(now)?;
                return Err(refusal.into());
            }
            Err(error) => return Err(error),
        }
        let session = &record.session;
        if session.trainer != request.trainer {
            let message = "cannot be changed: cancel the class and schedule a new one";
            return Err(Refusal::field("trainer_id", message).into());
        }
        session.check_editable(now)?;
        request.draft.check_start(now)?;
        let edit_request = EditSession {
            caller: request.caller.clone(),
            session: session.id.clone(),
            probable_trainer: session.trainer.clone(),
            draft: request.draft.clone(),
            window: request.window,
            meeting_lead: request.meeting_lead,
            expected_version: request.expected_version.clone(),
        };
        match edit(services, &edit_request, now).await {
            Err(Error::Refused(Refusal::SessionCancelled)) => Ok(None),
            edited => Ok(Some(Upserted::Edited(Box::new(edited?)))),
        }
    }

    /// Returns whether the session needs no edit. An interrupted edit may have left other values at Zoom, which the next edit
    /// corrects.
    async fn is_stored(
        self,
        record: &SessionRecord,
        defaults: SessionDefaults,
    ) -> Result<bool, Error> {
        let Self { services, request, now } = self;
        let (session, open) = (&record.session, &request.draft);
        if session.trainer != request.trainer {
            return Ok(false);
        }
        let current = Some(session.provider);
        let draft =
            complete_draft(services, open, &request.trainer, defaults, current, now).await?;
        let is_interrupted = record.edit_lease.is_some();
        let may_need_edit = is_interrupted || draft.hastens_meeting(session, now);
        if draft.details != session.details
            || (may_need_edit && session.check_editable(now).is_ok())
        {
            return Ok(false);
        }
        let join_url = match &draft.venue {
            Venue::Zoom => None,
            Venue::Manual { .. } => {
                let secrets = services.secrets.get(now).await?;
                meeting::join_data(session, secrets.keyring()?)?.join_url
            }
        };
        let invitees = services.store.invitees_of_session(session).await?;
        let join_url = join_url.as_ref().map(|link| link.expose());
        Ok(draft.is_stored_as(&StoredValues { session, invitees: &invitees, join_url }))
    }
}
