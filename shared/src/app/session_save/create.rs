//! Schedules a session: exactly one session with exactly one meeting, however often the request is repeated.
//!
//! If Zoom's response was lost, the meeting is looked up at once. If the response to the last transaction was lost, the
//! session is read again. A long invitee list is written before that transaction, and a check is due until then that
//! deletes a list to which no session refers.

use std::time::Duration;

use jiff::Timestamp;
use sha2::{Digest, Sha256};

use super::{
    delete_unused_invitees, drafted_invitees, lease_until, require_scope, resolve_audience,
    set_reminders, write_long_list,
};
use crate::app::Services;
use crate::app::error::Error;
use crate::app::meeting::{
    self, ManualLink, MeetingError, MeetingPlan, MeetingProvider, NewMeeting, ZoomMeetings,
};
use crate::domain::audience::AudienceDraft;
use crate::domain::directory::Course;
use crate::domain::domain_event::{
    AudienceRef, ChangeKind, DomainEvent, DomainEventKind, SessionChange,
};
use crate::domain::draft::{Draft, Venue};
use crate::domain::drift;
use crate::domain::host_status::HostStatus;
use crate::domain::id::{SessionId, UserId};
use crate::domain::plan::PlanLimits;
use crate::domain::refusal::Refusal;
use crate::domain::session::{Session, Source, Status};
use crate::domain::session_window::JoinWindowSettings;
use crate::domain::time::{seconds_to_utc_midnight, utc_month, whole_milli};
use crate::domain::trainer_session::SessionWithInvitees;
use crate::domain::zoom_connection::{ZoomConnection, ZoomUser};
use crate::store::counters::{CountedZoomWrite, CreateQuotas};
use crate::store::due_work::repairs::{Repair, RepairTask};
use crate::store::error::CommitError;
use crate::store::intents::{self, Intent};
use crate::store::schema::{ItemKey, limit};
use crate::store::sessions::SessionRecord;
use crate::store::tx::{Action, ConditionSubject};
use crate::store::{counters, due_work, erasures, invitations as invitee_items, sessions};
use crate::telemetry::metrics;

/// The pause between two reads of a session that another request is creating, plus up to half as much jitter.
const WAIT_MS: u64 = 200;
/// Reads before giving up: about 8 s, longer than a creation takes while Zoom responds.
const WAIT_ATTEMPTS: u32 = 32;
/// How often a request starts over because the request that it waited for failed.
const ATTEMPTS: u32 = 3;

/// A request to schedule a session.
#[derive(Debug)]
pub struct CreateSession {
    pub trainer: UserId,
    pub source: Source,
    pub draft: Draft,
    /// The join window settings in force.
    pub window: JoinWindowSettings,
    /// The caller's Idempotency-Key. A key always refers to the same session.
    pub key: Option<String>,
    /// The hash of the body. The same key with another body is refused.
    pub body_hash: String,
}

/// Schedules a session, or returns the one that the same request created before.
pub async fn create(
    services: &Services,
    request: &CreateSession,
    mut now: Timestamp,
) -> Result<SessionWithInvitees, Error> {
    let id = session_id_for(services, request);
    for _ in 0..ATTEMPTS {
        match try_create(services, request, &id, now).await? {
            CreateOutcome::Created(session, host) => {
                let invitees = drafted_invitees(&request.draft).to_vec();
                return Ok(SessionWithInvitees { session: *session, invitees, host });
            }
            CreateOutcome::Exists(record) => {
                return existing_session(services, request, *record).await;
            }
            CreateOutcome::InProgress => match wait_for_other_request(services, &id).await? {
                Some(record) => return existing_session(services, request, record).await,
                // Other requests may have released resources since this request began.
                None => now = services.clock.now(),
            },
        }
    }
    Err(Error::busy("other requests keep failing to create the session"))
}

/// Returns the session that the same request created before, for a repeated request that would be refused today
/// because, for example, its start is now in the past.
pub async fn find_created_session(
    services: &Services,
    request: &RepeatedCreate<'_>,
) -> Result<Option<SessionWithInvitees>, Error> {
    let id = derived_id(request.trainer, request.key);
    match services.store.session(&id).await? {
        Some(record) if record.created_from.as_deref() == Some(request.body_hash) => {
            Ok(Some(services.store.with_invitees(record.session).await?))
        }
        _ => Ok(None),
    }
}

/// The values that identify a repeated request.
#[derive(Clone, Copy, Debug)]
pub struct RepeatedCreate<'a> {
    pub trainer: &'a UserId,
    pub key: &'a str,
    pub body_hash: &'a str,
}

enum CreateOutcome {
    Created(Box<Session>, HostStatus),
    Exists(Box<SessionRecord>),
    InProgress,
}

/// Derives the id from the key, so that every retry refers to the same session. Without a key the id is random.
fn session_id_for(services: &Services, request: &CreateSession) -> SessionId {
    match &request.key {
        Some(key) => derived_id(&request.trainer, key),
        None => SessionId::from_bytes(services.random.bytes()),
    }
}

fn derived_id(trainer: &UserId, key: &str) -> SessionId {
    let hash = Sha256::new()
        .chain_update("session\0")
        .chain_update(trainer.as_str())
        .chain_update("\0")
        .chain_update(key)
        .finalize();
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&hash[..16]);
    SessionId::from_bytes(bytes)
}

/// Returns the session of the key if it was created from the same body.
async fn existing_session(
    services: &Services,
    request: &CreateSession,
    record: SessionRecord,
) -> Result<SessionWithInvitees, Error> {
    if record.created_from.as_ref() != Some(&request.body_hash) {
        return Err(Refusal::IdempotencyKeyReused.into());
    }
    Ok(services.store.with_invitees(record.session).await?)
}

/// Waits for the request that is creating the session. Returns `None` if that request failed or died.
async fn wait_for_other_request(
    services: &Services,
    id: &SessionId,
) -> Result<Option<SessionRecord>, Error> {
    for _ in 0..WAIT_ATTEMPTS {
        tokio::time::sleep(Duration::from_millis(WAIT_MS + services.random.below(WAIT_MS / 2)))
            .await;
        let mut found =
            services.store.batch_get(&[ItemKey::Session(id), ItemKey::Intent(id)]).await?;
        if let Some(record) = found.session(id)? {
            return Ok(Some(record));
        }
        match found.intent(id)? {
            Some(intent) if intent.attempt_until > services.clock.now() => {}
            _ => return Ok(None),
        }
    }
    Err(Error::busy("another request is still creating the session"))
}

/// The data for the decision, read in one batch.
struct CreateInputs {
    limits: PlanLimits,
    course: Option<Course>,
    connection: Option<ZoomConnection>,
    intent: Option<Intent>,
}

async fn try_create(
    services: &Services,
    request: &CreateSession,
    id: &SessionId,
    now: Timestamp,
) -> Result<CreateOutcome, Error> {
    let inputs = match load_inputs(services, request, id).await? {
        Ok(inputs) => inputs,
        Err(record) => return Ok(CreateOutcome::Exists(record)),
    };
    inputs.limits.check_draft(&request.draft)?;
    if inputs.intent.as_ref().is_some_and(|intent| intent.created_from != request.body_hash) {
        return Err(Refusal::IdempotencyKeyReused.into());
    }
    let list = services.new_invitee_list();
    let audience =
        resolve_audience(&request.draft.audience, inputs.course, &request.trainer, list)?;
    let build = |meeting: &NewMeeting, keyring: &crate::crypt::Keyring| Session {
        id: id.clone(),
        trainer: request.trainer.clone(),
        title: request.draft.title.clone(),
        description: request.draft.description.clone(),
        audience: audience.clone(),
        starts_at: request.draft.starts_at,
        zone: request.draft.zone.clone(),
        utc_offset: request.draft.zone.utc_offset(request.draft.starts_at),
        duration_minutes: request.draft.duration_minutes,
        window: request.window,
        provider: request.draft.venue.provider(),
        record_session: request.draft.record_session,
        settings: request.draft.settings.clone(),
        settings_sent: request.draft.settings.names(),
        status: Status::Scheduled,
        source: request.source.clone(),
        meeting: meeting::seal(meeting, id, keyring, &services.random),
        ics_sequence: 0,
        version: 1,
        created_at: whole_milli(now),
        updated_at: whole_milli(now),
        zoom_synced_at: whole_milli(now),
        cancelled_at: None,
        actual_started_at: None,
        actual_ended_at: None,
        meeting_instances: Vec::new(),
        earlier_instances: None,
        recordings: Vec::new(),
        drift: new_drift(&request.draft, meeting),
    };
    let secrets = services.secrets.get(now).await?;
    let keyring = secrets.keyring()?;
    let plan = MeetingPlan::from_draft(id, &request.draft);
    match &request.draft.venue {
        Venue::Manual { join_url } => {
            let meeting = ManualLink { join_url: join_url.clone() }.create(&plan).await?;
            let session = build(&meeting, keyring);
            let counted = counters::take_monthly_quota(
                &request.trainer,
                session.starts_at,
                inputs.limits.sessions_per_month,
                now,
            );
            match store(services, request, &session, vec![counted], now).await {
                Ok(()) => Ok(CreateOutcome::Created(Box::new(session), HostStatus::default())),
                Err(error @ CommitError::Refused(_)) => {
                    delete_unused_invitees(
                        services,
                        &session,
                        drafted_invitees(&request.draft).len(),
                    )
                    .await;
                    if error.refused(ConditionSubject::Erasure) {
                        Err(Refusal::USER_ERASED.into())
                    } else if error.refused(ConditionSubject::Session) {
                        Ok(CreateOutcome::InProgress)
                    } else {
                        Err(inputs.limits.monthly_limit_refusal().into())
                    }
                }
                Err(error) => Err(error.into()),
            }
        }
        Venue::Zoom => {
            if inputs.intent.as_ref().is_some_and(|intent| intent.attempt_until > now) {
                return Ok(CreateOutcome::InProgress);
            }
            let zoom_access = services.usable_access(&request.trainer, inputs.connection).await?;
            require_scope(&zoom_access.connection.scopes, "meeting:write:meeting")?;
            let zoom_user = zoom_access.connection.zoom_user.clone();
            let host = HostStatus::from_connection(&zoom_access.connection);
            let Some(reservation) =
                reserve(services, request, id, inputs.intent, &zoom_user, &inputs.limits, now)
                    .await?
            else {
                return Ok(CreateOutcome::InProgress);
            };
            let mut zoom = ZoomMeetings::new(services, zoom_access);
            let (meeting, answer) = reservation.meeting(services, &mut zoom, &plan).await?;
            let session = build(&meeting, keyring);
            let made = MadeMeeting { session, host, answer };
            reservation.commit(services, &mut zoom, request, made, now).await
        }
    }
}

/// Returns the fields in which a new meeting differs: the account forbids recording, or Zoom did not accept the start. The
/// trainer should see that before the session.
fn new_drift(draft: &Draft, meeting: &NewMeeting) -> Vec<String> {
    let is_not_recorded = draft.record_session && meeting.is_recorded == Some(false);
    let fields = [(is_not_recorded, drift::RECORDING), (meeting.start_differs, drift::STARTS_AT)];
    let differing = fields.into_iter().filter(|(differs, _)| *differs);
    differing.map(|(_, field)| field.to_owned()).collect()
}

/// Loads the data for the decision, or returns the session if it exists already.
async fn load_inputs(
    services: &Services,
    request: &CreateSession,
    id: &SessionId,
) -> Result<Result<CreateInputs, Box<SessionRecord>>, Error> {
    let trainer = &request.trainer;
    let mut keys =
        vec![ItemKey::Settings, ItemKey::User(trainer), ItemKey::Session(id), ItemKey::Intent(id)];
    let course = match &request.draft.audience {
        AudienceDraft::Course(course) => Some(course),
        _ => None,
    };
    keys.extend(course.map(ItemKey::Course));
    if request.draft.venue == Venue::Zoom {
        keys.push(ItemKey::ZoomConnection(trainer));
    }
    let mut found = services.store.batch_get(&keys).await?;
    if let Some(record) = found.session(id)? {
        return Ok(Err(Box::new(record)));
    }
    let settings = found.settings()?;
    settings.check_enabled(trainer)?;
    let user = found.user(trainer)?;
    Ok(Ok(CreateInputs {
        limits: settings.plan_limits(user.as_ref().and_then(|user| user.plan.as_deref()))?,
        course: course.map(|course| found.course(course)).transpose()?.flatten(),
        connection: found.connection(trainer)?,
        intent: found.intent(id)?,
    }))
}

/// An attempt that has reserved the creation of a session.
struct Reservation {
    attempt: String,
    /// The session, and the trainer of the monthly quota.
    session: SessionId,
    month: (UserId, Timestamp),
    /// The write that is counted for the Zoom user's day before Zoom is called.
    zoom_write: CountedZoomWrite,
    repair: Repair,
    /// Whether an earlier attempt may have created a meeting.
    taken_over: bool,
}

/// Whether Zoom has answered the attempt's own call that creates a meeting, if it made one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum CreateAnswer {
    Answered,
    /// Zoom may carry out the call later, or twice.
    Unanswered,
}

/// A session that is to be stored with its meeting.
struct MadeMeeting {
    session: Session,
    host: HostStatus,
    answer: CreateAnswer,
}

/// Stores the intent and counts the session for the month. A first attempt will certainly call Zoom, so the call is counted
/// as well. Returns `None` if another request was faster.
async fn reserve(
    services: &Services,
    request: &CreateSession,
    id: &SessionId,
    earlier: Option<Intent>,
    zoom_user: &ZoomUser,
    limits: &PlanLimits,
    now: Timestamp,
) -> Result<Option<Reservation>, Error> {
    let attempt = services.new_lease_holder();
    let until = lease_until(now);
    let starts_at = earlier.as_ref().map_or(request.draft.starts_at, |intent| intent.starts_at);
    let count =
        counters::take_monthly_quota(&request.trainer, starts_at, limits.sessions_per_month, now);
    let mut actions = match &earlier {
        Some(intent) => {
            let mut actions = vec![intents::take_over_to_create(intent, &attempt, until, now)];
            actions.extend(intent.quota_released.then_some(count));
            actions
        }
        None => {
            let intent = Intent {
                session_id: id.clone(),
                trainer_id: request.trainer.clone(),
                created_from: request.body_hash.clone(),
                attempt: attempt.clone(),
                attempt_until: until,
                starts_at,
                quota_released: false,
            };
            vec![intents::reserve(&intent), count]
        }
    };
    let repair = Repair {
        session: id.clone(),
        trainer: request.trainer.clone(),
        due_at: until,
        first_due_at: until,
        task: RepairTask::UndoCreate {
            attempt: attempt.clone(),
            topic: request.draft.title.as_str().to_owned(),
            starts_at,
        },
        is_checked: false,
        host_user: zoom_user.pseudonym(),
        is_among_other_work: false,
    };
    actions.push(repair.put());
    let reserved = match &earlier {
        Some(_) => services.store.commit(actions).await,
        None => services.store.commit_zoom_write(actions, &zoom_user.id, now).await,
    };
    match reserved {
        Ok(()) => {}
        Err(error) if error.refused(ConditionSubject::Intent) => return Ok(None),
        Err(error) if error.refused(ConditionSubject::Month) => {
            return Err(limits.monthly_limit_refusal().into());
        }
        Err(error) => return Err(daily_limit_error(error, now)),
    }
    Ok(Some(Reservation {
        attempt,
        session: id.clone(),
        month: (request.trainer.clone(), starts_at),
        zoom_write: CountedZoomWrite { zoom_user: zoom_user.id.clone(), at: now },
        repair,
        taken_over: earlier.is_some(),
    }))
}

fn daily_limit_error(error: CommitError, now: Timestamp) -> Error {
    if error.refused(ConditionSubject::ZoomDay) {
        return Error::ZoomLimited { after: Duration::from_secs(seconds_to_utc_midnight(now)) };
    }
    error.into()
}

impl Reservation {
    /// Returns the session's meeting: one that an earlier attempt created, or a new one.
    async fn meeting(
        &self,
        services: &Services,
        zoom: &mut ZoomMeetings<'_>,
        plan: &MeetingPlan,
    ) -> Result<(NewMeeting, CreateAnswer), Error> {
        if self.taken_over {
            match self.adopt_or_count(services, zoom, plan).await {
                Ok(Some(found)) => return Ok((found, CreateAnswer::Answered)),
                Ok(None) => {}
                Err(error) => {
                    self.release(services).await;
                    return Err(error);
                }
            }
        }
        match zoom.create(plan).await {
            Ok(meeting) => Ok((meeting, CreateAnswer::Answered)),
            Err(MeetingError::Unknown { reason }) => {
                tracing::warn!(event = "zoom.creation_unconfirmed", session_id = %self.session, reason);
                match zoom.adopt(plan).await {
                    Ok(Some(found)) => Ok((found, CreateAnswer::Unanswered)),
                    // The meeting is missing or not visible yet. The intent stays, so the next attempt or the sweep
                    // looks again. If the meeting appears after another one was created, the repair deletes it.
                    Ok(None) | Err(_) => {
                        self.release(services).await;
                        Err(Error::ZoomUnavailable { reason })
                    }
                }
            }
            Err(MeetingError::Other(error)) => {
                let mut actions = self.abandoning_actions(Some(self.zoom_write.clone()));
                actions.push(self.repair.delete());
                self.commit_abandoning(services, actions).await;
                Err(error)
            }
        }
    }

    /// Returns the meeting of an earlier attempt. Without one, the call that creates another meeting is counted.
    async fn adopt_or_count(
        &self,
        services: &Services,
        zoom: &mut ZoomMeetings<'_>,
        plan: &MeetingPlan,
    ) -> Result<Option<NewMeeting>, Error> {
        let found = zoom.adopt(plan).await?;
        if found.is_none() {
            let CountedZoomWrite { zoom_user, at } = &self.zoom_write;
            let counted = services.store.commit_zoom_write(Vec::new(), zoom_user, *at).await;
            counted.map_err(|error| daily_limit_error(error, *at))?;
        }
        Ok(found)
    }

    /// Lets the next attempt begin at once and gives the monthly quota back while the client retries.
    async fn release(&self, services: &Services) {
        let quotas = CreateQuotas { month: Some(self.month.clone()), zoom_write: None };
        let now = services.clock.now();
        let actions = intents::release(&self.session, &self.attempt, &quotas, now);
        if let Err(error) = services.store.commit(actions).await {
            tracing::warn!(event = "session.intent_not_released", session_id = %self.session, %error);
        }
    }

    /// Stores the session. If that fails permanently, the meeting is deleted again.
    async fn commit(
        &self,
        services: &Services,
        zoom: &mut ZoomMeetings<'_>,
        request: &CreateSession,
        MadeMeeting { session, host, answer }: MadeMeeting,
        now: Timestamp,
    ) -> Result<CreateOutcome, Error> {
        let mut finishing_actions = vec![intents::finish(&self.session, &self.attempt)];
        // After an unanswered call the repair looks for a second meeting.
        finishing_actions.extend((answer == CreateAnswer::Answered).then(|| self.repair.delete()));
        let error = match store(services, request, &session, finishing_actions, now).await {
            Ok(()) => return Ok(CreateOutcome::Created(Box::new(session), host)),
            Err(error) => error,
        };
        let is_erased = error.refused(ConditionSubject::Erasure);
        if !is_erased
            && (error.refused(ConditionSubject::Intent) || error.refused(ConditionSubject::Session))
        {
            delete_unused_invitees(services, &session, drafted_invitees(&request.draft).len())
                .await;
            // Another attempt took over and may have adopted this meeting, which only the stored session shows.
            return match services.store.session(&self.session).await? {
                Some(record) => {
                    if record.session.meeting.id != session.meeting.id {
                        zoom.cancel(session.meeting.id, false).await?;
                    }
                    Ok(CreateOutcome::Exists(Box::new(record)))
                }
                None => Ok(CreateOutcome::InProgress),
            };
        }
        if is_erased {
            tracing::info!(event = "session.trainer_erased", session_id = %self.session);
        } else {
            tracing::error!(event = "session.not_stored", session_id = %self.session, %error);
        }
        // Without the intent, a late write can no longer store the session, so it is safe to delete the meeting. The repair would
        // need the grant of the erased trainer.
        let mut abandoning = self.abandoning_actions(None);
        abandoning.extend(is_erased.then(|| self.repair.delete()));
        if self.commit_abandoning(services, abandoning).await {
            delete_unused_invitees(services, &session, drafted_invitees(&request.draft).len())
                .await;
            if let Err(error) = zoom.cancel(session.meeting.id, false).await {
                tracing::error!(event = "zoom.meeting_orphaned", session_id = %self.session, %error);
                // The grant of an erased trainer was revoked, so no repair can delete the meeting.
                if is_erased {
                    metrics::GIVEN_UP.count();
                }
            }
        } else if let Ok(Some(record)) = services.store.session(&self.session).await {
            return Ok(CreateOutcome::Exists(Box::new(record)));
        }
        if is_erased { Err(Refusal::USER_ERASED.into()) } else { Err(error.into()) }
    }

    /// Deletes the intent and gives the quotas back. `zoom_write` is the counted write if Zoom has certainly not carried it
    /// out.
    fn abandoning_actions(&self, zoom_write: Option<CountedZoomWrite>) -> Vec<Action> {
        let quotas = CreateQuotas { month: Some(self.month.clone()), zoom_write };
        intents::abandon(&self.session, &self.attempt, &quotas)
    }

    /// Returns `false` if the intent belongs to another attempt.
    async fn commit_abandoning(&self, services: &Services, actions: Vec<Action>) -> bool {
        let done = services.store.commit(actions).await;
        if let Err(error) = &done {
            tracing::warn!(event = "session.intent_not_released", session_id = %self.session, %error);
        }
        done.is_ok()
    }
}

/// Commits the session with its invitees, reminders, domain event and the `finishing_actions`. Refused if the trainer was
/// erased since the request began.
async fn store(
    services: &Services,
    request: &CreateSession,
    session: &Session,
    finishing_actions: Vec<Action>,
    now: Timestamp,
) -> Result<(), CommitError> {
    let mut actions = finishing_actions;
    actions.push(erasures::require_not_erased(&session.trainer, whole_milli(now)));
    actions.push(sessions::create(session, &request.body_hash));
    if let Some(meeting) = session.meeting.id {
        actions.push(sessions::put_meeting_pointer(meeting, &session.id, &session.trainer));
    }
    actions.extend(set_reminders(session, now));
    if let Some(list) = session.audience.invitee_list() {
        let invitees = drafted_invitees(&request.draft);
        if invitees.len() > limit::INVITEES_IN_TRANSACTION {
            actions.push(write_long_list(services, session, list, None, invitees, now).await?);
        } else {
            actions.extend(invitee_items::put_list(session, list, None, invitees));
        }
    }
    let domain_event = DomainEvent {
        at: whole_milli(now),
        kind: DomainEventKind::Session(SessionChange {
            session: session.id.clone(),
            kind: ChangeKind::Scheduled,
            version: session.version,
            sequence: session.ics_sequence,
            audience: Some(AudienceRef::from_audience(&session.audience)),
            calendar_changed: true,
            previous_audience: None,
            reason: None,
        }),
    };
    actions.push(due_work::put_domain_event(&domain_event));
    services.store.commit(actions).await?;
    tracing::info!(event = "session.created", session_id = %session.id, month = utc_month(session.starts_at));
    services.send_wake_up(&domain_event).await;
    Ok(())
}
