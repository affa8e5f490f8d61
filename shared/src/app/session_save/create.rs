//! Scheduling a class: exactly one, with exactly one meeting, however often it is asked for.

use std::time::Duration;

use jiff::Timestamp;
use sha2::{Digest, Sha256};

use super::{attempt_until, audience, forget_list, invitees, needs_scope, set_reminders};
use crate::app::Services;
use crate::app::error::Error;
use crate::app::meeting::{
    self, ManualLink, MeetingError, MeetingProvider, NewMeeting, MeetingPlan, ZoomMeetings,
};
use crate::domain::audience::AudienceDraft;
use crate::domain::domain_event::{DomainEvent, AudienceRef, ChangeKind, SessionChange, DomainEventKind};
use crate::domain::zoom_connection::{ZoomConnection, ZoomUser};
use crate::domain::directory::Course;
use crate::domain::draft::{Draft, Venue};
use crate::domain::drift;
use crate::domain::id::{SessionId, UserId};
use crate::domain::plan::Limits;
use crate::domain::refusal::Refusal;
use crate::domain::session::{Session, SessionWithInvitees, Source, Status};
use crate::domain::time::{seconds_to_utc_midnight, utc_month, whole_milli};
use crate::store::error::CommitError;
use crate::store::intents::{self, Intent};
use crate::store::outbox::Repair;
use crate::store::schema::{ItemKey, limit};
use crate::store::sessions::SessionRecord;
use crate::store::tx::{Action, ConditionSubject};
use crate::store::{counters, invitations as invitee_items, outbox, sessions};

/// The pause between two looks at a class that another request is making, with half as much again of jitter.
const WAIT_MS: u64 = 200;
/// Looks at it: about 8 s, longer than making one takes when Zoom answers.
const LOOKS: u32 = 32;
/// How often a request starts over because the one it waited for failed.
const ROUNDS: u32 = 3;

/// A request for a class.
#[derive(Debug)]
pub struct CreateSession {
    pub trainer: UserId,
    pub source: Source,
    pub draft: Draft,
    /// The caller's Idempotency-Key: one key, one class, for ever.
    pub key: Option<String>,
    /// The hash of the body: the same key with another one is refused.
    pub body_hash: String,
}

/// Schedules a class, or answers the one that the same request made before.
pub async fn create(
    tools: &Services,
    request: &CreateSession,
    mut now: Timestamp,
) -> Result<SessionWithInvitees, Error> {
    let id = session_id(tools, request);
    for _ in 0..ROUNDS {
        match attempt(tools, request, &id, now).await? {
            Outcome::Made(session) => {
                let invitees = invitees(&request.draft).to_vec();
                return Ok(SessionWithInvitees { session: *session, invitees });
            }
            Outcome::There(held) => return existing(tools, request, *held).await,
            Outcome::InOtherHands => match wait(tools, &id).await? {
                Some(held) => return existing(tools, request, held).await,
                // What was handed back meanwhile is free by now, and was not when the request began.
                None => now = tools.clock.now(),
            },
        }
    }
    Err(Error::busy("the class is being made by another request that does not come to an end"))
}

/// The class that the same request made before, if it did. For a request that would be refused today: what was right
/// when it was asked for first, as a start that lay in the future, is still what its repeat means.
pub async fn made_before(
    tools: &Services,
    request: &RepeatedCreate<'_>,
) -> Result<Option<SessionWithInvitees>, Error> {
    let id = derived_id(request.trainer, request.key);
    match tools.store.session(&id).await? {
        Some(held) if held.created_from.as_deref() == Some(request.body_hash) => {
            Ok(Some(tools.store.with_invitees(held.session).await?))
        }
        _ => Ok(None),
    }
}

/// What tells a repeated request.
#[derive(Clone, Copy, Debug)]
pub struct RepeatedCreate<'a> {
    pub trainer: &'a UserId,
    pub key: &'a str,
    pub body_hash: &'a str,
}

enum Outcome {
    Made(Box<Session>),
    There(Box<SessionRecord>),
    InOtherHands,
}

/// Derived from the key, so that every retry means the same class; drawn where there is no key.
fn session_id(tools: &Services, request: &CreateSession) -> SessionId {
    match &request.key {
        Some(key) => derived_id(&request.trainer, key),
        None => SessionId::from_bytes(tools.random.bytes()),
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

/// The class that the key stands for, if it was made from the same body.
async fn existing(
    tools: &Services,
    request: &CreateSession,
    held: SessionRecord,
) -> Result<SessionWithInvitees, Error> {
    if held.created_from.as_ref() != Some(&request.body_hash) {
        return Err(Refusal::IdempotencyKeyReused.into());
    }
    Ok(tools.store.with_invitees(held.session).await?)
}

/// Waits for the request that has the class in hand. `None` when that one failed, or died.
async fn wait(tools: &Services, id: &SessionId) -> Result<Option<SessionRecord>, Error> {
    for _ in 0..LOOKS {
        tokio::time::sleep(Duration::from_millis(WAIT_MS + tools.random.below(WAIT_MS / 2))).await;
        let mut found = tools.store.batch_get(&[ItemKey::Session(id), ItemKey::Intent(id)]).await?;
        if let Some(held) = found.session(id)? {
            return Ok(Some(held));
        }
        match found.intent(id)? {
            Some(intent) if intent.attempt_until > tools.clock.now() => {}
            _ => return Ok(None),
        }
    }
    Err(Error::busy("the class is being made by another request"))
}

/// Everything that deciding takes, read at once.
struct Read {
    limits: Limits,
    course: Option<Course>,
    connection: Option<ZoomConnection>,
    intent: Option<Intent>,
}

async fn attempt(
    tools: &Services,
    request: &CreateSession,
    id: &SessionId,
    now: Timestamp,
) -> Result<Outcome, Error> {
    let read = match read(tools, request, id).await? {
        Ok(read) => read,
        Err(held) => return Ok(Outcome::There(held)),
    };
    read.limits.admit(&request.draft)?;
    if read.intent.as_ref().is_some_and(|intent| intent.created_from != request.body_hash) {
        return Err(Refusal::IdempotencyKeyReused.into());
    }
    let list = tools.new_list();
    let audience = audience(&request.draft.audience, read.course, &request.trainer, list)?;
    let build = |meeting: &NewMeeting, keyring: &crate::crypt::Keyring| Session {
        id: id.clone(),
        trainer: request.trainer.clone(),
        title: request.draft.title.clone(),
        description: request.draft.description.clone(),
        audience: audience.clone(),
        starts_at: request.draft.starts_at,
        zone: request.draft.zone.clone(),
        duration_minutes: request.draft.duration_minutes,
        provider: request.draft.venue.provider(),
        record_session: request.draft.record_session,
        settings: request.draft.settings.clone(),
        settings_told: request.draft.settings.given(),
        status: Status::Scheduled,
        source: request.source,
        meeting: meeting::seal(meeting, id, keyring, &tools.random),
        ics_sequence: 0,
        version: 1,
        created_at: whole_milli(now),
        updated_at: whole_milli(now),
        zoom_told_at: whole_milli(now),
        cancelled_at: None,
        actual_started_at: None,
        actual_ended_at: None,
        meeting_instances: Vec::new(),
        // The account does not let it be recorded; its trainer must not learn that after the class.
        drift: if request.draft.record_session && meeting.is_recorded == Some(false) {
            vec![drift::RECORDING.to_owned()]
        } else {
            Vec::new()
        },
    };
    let secrets = tools.secrets.get(now).await?;
    let keyring = secrets.keyring()?;
    let plan = MeetingPlan::drafted(id, &request.draft);
    match &request.draft.venue {
        Venue::Manual { join_url } => {
            let meeting = ManualLink { join_url: join_url.clone() }.create(&plan).await?;
            let session = build(&meeting, keyring);
            let counted = counters::count_class(
                &request.trainer,
                session.starts_at,
                read.limits.sessions_per_month,
                now,
            );
            match store(tools, request, &session, vec![counted], now).await {
                Ok(()) => Ok(Outcome::Made(Box::new(session))),
                Err(error @ CommitError::Refused(_)) => {
                    forget_list(tools, &session, invitees(&request.draft).len()).await;
                    if error.refused(ConditionSubject::Session) {
                        Ok(Outcome::InOtherHands)
                    } else {
                        Err(read.limits.month_is_full().into())
                    }
                }
                Err(error) => Err(error.into()),
            }
        }
        Venue::Zoom => {
            if read.intent.as_ref().is_some_and(|intent| intent.attempt_until > now) {
                return Ok(Outcome::InOtherHands);
            }
            let ready = tools.fresh(&request.trainer, read.connection).await?;
            needs_scope(&ready.connection.scopes, "meeting:write:meeting")?;
            let zoom_user = ready.connection.zoom_user.clone();
            let Some(reserved) =
                reserve(tools, request, id, read.intent, &zoom_user, &read.limits, now).await?
            else {
                return Ok(Outcome::InOtherHands);
            };
            let mut zoom = ZoomMeetings::new(tools, ready);
            let meeting = reserved.meeting(tools, &mut zoom, &plan).await?;
            let session = build(&meeting, keyring);
            reserved.commit(tools, &mut zoom, request, session, now).await
        }
    }
}

/// Reads what deciding takes; a class that is there already ends it.
async fn read(
    tools: &Services,
    request: &CreateSession,
    id: &SessionId,
) -> Result<Result<Read, Box<SessionRecord>>, Error> {
    let trainer = &request.trainer;
    let mut keys = vec![ItemKey::Settings, ItemKey::User(trainer), ItemKey::Session(id), ItemKey::Intent(id)];
    let course = match &request.draft.audience {
        AudienceDraft::Course(course) => Some(course),
        _ => None,
    };
    keys.extend(course.map(ItemKey::Course));
    if request.draft.venue == Venue::Zoom {
        keys.push(ItemKey::Connection(trainer));
    }
    let mut found = tools.store.batch_get(&keys).await?;
    if let Some(held) = found.session(id)? {
        return Ok(Err(Box::new(held)));
    }
    let settings = found.settings()?;
    settings.enabled_for(trainer)?;
    let user = found.user(trainer)?;
    Ok(Ok(Read {
        limits: settings.limits(user.as_ref().and_then(|user| user.plan.as_deref()))?,
        course: course.map(|course| found.course(course)).transpose()?.flatten(),
        connection: found.connection(trainer)?,
        intent: found.intent(id)?,
    }))
}

/// An attempt that has the class in hand.
struct Reserved {
    session: SessionId,
    trainer: UserId,
    starts_at: Timestamp,
    attempt: String,
    repair_at: Timestamp,
    /// Whether an attempt before this one may have made a meeting.
    taken_over: bool,
}

/// Stores what is about to be done, and counts it. `None` when another request was quicker.
async fn reserve(
    tools: &Services,
    request: &CreateSession,
    id: &SessionId,
    before: Option<Intent>,
    zoom_user: &ZoomUser,
    limits: &Limits,
    now: Timestamp,
) -> Result<Option<Reserved>, Error> {
    let attempt = tools.holder();
    let until = attempt_until(now);
    let starts_at = before.as_ref().map_or(request.draft.starts_at, |intent| intent.starts_at);
    let count = counters::count_class(&request.trainer, starts_at, limits.sessions_per_month, now);
    let mut actions = match &before {
        Some(intent) => {
            let mut actions = vec![intents::take_over(intent, &attempt, until, now)];
            actions.extend(intent.uncounted.then_some(count));
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
                uncounted: false,
            };
            vec![intents::reserve(&intent), count]
        }
    };
    actions.push(outbox::set_repair(&Repair {
        session: id.clone(),
        trainer: request.trainer.clone(),
        at: until,
        topic: request.draft.title.as_str().to_owned(),
        starts_at,
        since: until,
        account: zoom_user.account().map(str::to_owned),
    }));
    match tools.store.commit_zoom_write(actions, &zoom_user.id, now).await {
        Ok(()) => {}
        Err(error) if error.refused(ConditionSubject::Intent) => return Ok(None),
        Err(error) if error.refused(ConditionSubject::Month) => return Err(limits.month_is_full().into()),
        Err(error) if error.refused(ConditionSubject::ZoomDay) => {
            return Err(Error::ZoomLimited {
                after: Duration::from_secs(seconds_to_utc_midnight(now)),
            });
        }
        Err(error) => return Err(error.into()),
    }
    Ok(Some(Reserved {
        session: id.clone(),
        trainer: request.trainer.clone(),
        starts_at,
        attempt,
        repair_at: until,
        taken_over: before.is_some(),
    }))
}

impl Reserved {
    /// The class's meeting: one that an earlier attempt made, or a new one.
    async fn meeting(
        &self,
        tools: &Services,
        zoom: &mut ZoomMeetings<'_>,
        plan: &MeetingPlan,
    ) -> Result<NewMeeting, Error> {
        if self.taken_over
            && let Some(found) = self.adopt(zoom, plan).await?
        {
            return Ok(found);
        }
        match zoom.create(plan).await {
            Ok(meeting) => Ok(meeting),
            Err(MeetingError::Unknown { what }) => {
                tracing::warn!(event = "zoom.create_unknown", session_id = %self.session, what);
                match self.adopt(zoom, plan).await {
                    Ok(Some(found)) => Ok(found),
                    // Not there, or not yet: the intent stays, and the next attempt or the sweep looks again. Should the
                    // meeting come after the next attempt has made another, the repair finds it and deletes it.
                    Ok(None) | Err(_) => {
                        self.give_back(tools).await;
                        Err(Error::ZoomUnavailable { what })
                    }
                }
            }
            Err(MeetingError::Other(error)) => {
                self.abandon(tools, true).await;
                Err(error)
            }
        }
    }

    /// Lets the next attempt begin at once, and gives the month's place back meanwhile: who is told to try again may
    /// schedule another class instead.
    async fn give_back(&self, tools: &Services) {
        let actions = vec![
            intents::give_back(&self.session, &self.attempt, tools.clock.now()),
            counters::uncount_class(&self.trainer, self.starts_at),
        ];
        if let Err(error) = tools.store.commit(actions).await {
            tracing::warn!(event = "session.intent_left", session_id = %self.session, %error);
        }
    }

    /// Takes the first meeting that carries the class's mark, and deletes any others.
    async fn adopt(
        &self,
        zoom: &mut ZoomMeetings<'_>,
        plan: &MeetingPlan,
    ) -> Result<Option<NewMeeting>, Error> {
        let mut found =
            zoom.marked(&plan.session, plan.title.as_str(), plan.starts_at).await?.into_iter();
        let first = found.next();
        for other in found {
            zoom.cancel(other.id, false).await?;
        }
        if first.is_some() {
            tracing::info!(event = "zoom.meeting_adopted", session_id = %self.session);
        }
        Ok(first)
    }

    /// Stores the class. Where that fails for good, the meeting is taken away again.
    async fn commit(
        &self,
        tools: &Services,
        zoom: &mut ZoomMeetings<'_>,
        request: &CreateSession,
        session: Session,
        now: Timestamp,
    ) -> Result<Outcome, Error> {
        let ends = vec![
            intents::finish(&self.session, &self.attempt),
            outbox::withdraw_repair(&self.session, self.repair_at),
        ];
        let error = match store(tools, request, &session, ends, now).await {
            Ok(()) => return Ok(Outcome::Made(Box::new(session))),
            Err(error) => error,
        };
        if error.refused(ConditionSubject::Intent) || error.refused(ConditionSubject::Session) {
            forget_list(tools, &session, invitees(&request.draft).len()).await;
            // Another attempt took over, and may have adopted this very meeting: only what it stored tells.
            return match tools.store.session(&self.session).await? {
                Some(held) => {
                    if held.session.meeting.id != session.meeting.id {
                        zoom.cancel(session.meeting.id, false).await?;
                    }
                    Ok(Outcome::There(Box::new(held)))
                }
                None => Ok(Outcome::InOtherHands),
            };
        }
        tracing::error!(event = "session.not_stored", session_id = %self.session, %error);
        // Once the intent is gone no late write can store the class any more; only then may the meeting go.
        if self.abandon(tools, false).await {
            forget_list(tools, &session, invitees(&request.draft).len()).await;
            if let Err(error) = zoom.cancel(session.meeting.id, false).await {
                tracing::error!(event = "zoom.meeting_orphaned", session_id = %self.session, %error);
            }
        } else if let Ok(Some(held)) = tools.store.session(&self.session).await {
            return Ok(Outcome::There(Box::new(held)));
        }
        Err(error.into())
    }

    /// Gives the class up and its month's place back; `false` when it is not this attempt's to give up.
    /// With `clean`, nothing was made at Zoom, so there is nothing to repair either.
    async fn abandon(&self, tools: &Services, clean: bool) -> bool {
        let mut actions = vec![
            intents::finish(&self.session, &self.attempt),
            counters::uncount_class(&self.trainer, self.starts_at),
        ];
        if clean {
            actions.push(outbox::withdraw_repair(&self.session, self.repair_at));
        }
        let done = tools.store.commit(actions).await;
        if let Err(error) = &done {
            tracing::warn!(event = "session.intent_left", session_id = %self.session, %error);
        }
        done.is_ok()
    }
}

/// The transaction that makes the class: itself, its invitees, its reminders, its announcement, and what `ends` with it.
async fn store(
    tools: &Services,
    request: &CreateSession,
    session: &Session,
    ends: Vec<Action>,
    now: Timestamp,
) -> Result<(), CommitError> {
    let mut actions = ends;
    actions.push(sessions::create(session, &request.body_hash));
    if let Some(meeting) = session.meeting.id {
        actions.push(sessions::point_from_meeting(meeting, &session.id, &session.trainer));
    }
    actions.extend(set_reminders(session, now));
    if let Some(list) = session.audience.list() {
        let invitees = invitees(&request.draft);
        if invitees.len() > limit::INVITEES_IN_TRANSACTION {
            tools.store.write_invitees(session, list, invitees).await?;
        } else {
            actions.extend(
                invitees.iter().map(|invitee| {
                    invitee_items::put(&session.id, session.starts_at, list, invitee)
                }),
            );
        }
    }
    let announcement = DomainEvent {
        at: whole_milli(now),
        kind: DomainEventKind::Session(SessionChange {
            session: session.id.clone(),
            kind: ChangeKind::Scheduled,
            version: session.version,
            sequence: session.ics_sequence,
            audience: Some(AudienceRef::of(&session.audience)),
            calendar_changed: true,
            before: None,
            reason: None,
        }),
    };
    actions.push(outbox::announce(&announcement));
    tools.store.commit(actions).await?;
    tracing::info!(event = "session.created", session_id = %session.id, month = utc_month(session.starts_at));
    tools.send_wake_up(&announcement).await;
    Ok(())
}
