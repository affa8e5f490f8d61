//! Processes Zoom's webhook events.
//!
//! Each event is stored first, in one conditional write, before Zoom gets a success response. The consequences are
//! then derived from all stored events, so it is safe to derive them again.

mod grants;
mod recordings;

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;

use super::Services;
use super::error::Error;
use super::meeting;
use crate::domain::attendance::record;
use crate::domain::audience::Audience;
use crate::domain::domain_event::{DomainEvent, DomainEventKind, EventNonce};
use crate::domain::drift;
use crate::domain::id::MeetingId;
use crate::domain::join_window::{self, JoinState};
use crate::domain::meeting_instance::InstanceEvent;
use crate::domain::reminder::Reminder;
use crate::domain::session::{DELETED, Session, Status};
use crate::domain::time::whole_milli;
use crate::domain::zoom_event::{EventPayload, ZoomEvent};
use crate::store::archive::{self, DueArchive};
use crate::store::due_work::reconciliations::put_reconciliation;
use crate::store::due_work::{self, DriftCheck, EndCheck};
use crate::store::error::CommitError;
use crate::store::sessions::{self, SessionRecord};
use crate::store::tx::{Action, ConditionSubject};

/// Attempts against concurrent events of the same meeting.
const ATTEMPTS: u32 = 8;
const WAIT_MS: u64 = 40;
/// Meeting instances in the cache of a sandbox. A trainer has a handful per day.
const CACHE_LIMIT: usize = 4096;

/// A sandbox's cache of meeting instances that are known to run. A join in one of them changes nothing and needs only its
/// own write.
#[derive(Debug, Default)]
pub struct LiveInstanceCache(Mutex<HashMap<String, LiveInstance>>);

#[derive(Clone, Copy, Debug)]
struct LiveInstance {
    since: Timestamp,
    window_closes_at: Timestamp,
}

impl LiveInstance {
    /// Returns whether a join at `at` has no consequences. Once the window has closed, the sweep may have ended the session,
    /// so that an earlier join has consequences again. A join after the window has none.
    fn covers(self, at: Timestamp, now: Timestamp) -> bool {
        at >= self.since && (now < self.window_closes_at || at >= self.window_closes_at)
    }
}

impl LiveInstanceCache {
    fn contains(&self, event: &ZoomEvent, now: Timestamp) -> bool {
        let (Some(instance), Some(at)) = (instance_key(event), event.occurred_at()) else {
            return false;
        };
        self.0.lock().is_ok_and(|instances| {
            instances.get(&instance).is_some_and(|live| live.covers(at, now))
        })
    }

    fn remember(&self, event: &ZoomEvent, live: LiveInstance) {
        if let Some(instance) = instance_key(event)
            && let Ok(mut instances) = self.0.lock()
        {
            if instances.len() >= CACHE_LIMIT {
                instances.clear();
            }
            instances.insert(instance, live);
        }
    }
}

/// Returns the key of an event's meeting instance. Zoom's uuids are unique, but the key includes account and meeting
/// so that an event of another account can never match.
fn instance_key(event: &ZoomEvent) -> Option<String> {
    let (meeting, uuid) = (event.meeting?, event.uuid.as_ref()?);
    Some(format!("{}\n{meeting}\n{uuid}", event.account.as_deref().unwrap_or_default()))
}

/// The dependencies of event processing.
#[derive(Clone, Copy, Debug)]
pub struct WebhookContext<'a> {
    pub services: &'a Services,
    pub live_instances: &'a LiveInstanceCache,
    pub now: Timestamp,
}

/// Stores an event and applies its consequences. After an error, Zoom sends the event again, and nothing is done
/// twice.
pub async fn process_event(
    context: &WebhookContext<'_>,
    event: &ZoomEvent,
    body: &Value,
) -> Result<(), Error> {
    let WebhookContext { services, live_instances, now, .. } = *context;
    let located = locate_event(services, event).await?;
    let event = located.as_ref().unwrap_or(event);
    let new = match &event.payload {
        // The event would itself contain data about the user who revoked access.
        EventPayload::Deauthorized { .. } => true,
        _ => services.store.store_event(event, body, now).await?,
    };
    if !new && !must_reapply(live_instances, event, now) {
        tracing::info!(event = "zoom.event_repeated", name = event.name);
        return Ok(());
    }
    apply_event(context, event).await?;
    tracing::info!(event = "zoom.event_processed", name = event.name, new);
    Ok(())
}

/// Returns an event that contains only the uuid of a meeting instance with the number of its meeting, so that it is stored
/// with the session's other events. `None` for other events, which are not looked up, and for an unknown instance.
async fn locate_event(services: &Services, event: &ZoomEvent) -> Result<Option<ZoomEvent>, Error> {
    let (None, Some(uuid)) = (event.meeting, event.uuid.as_deref()) else { return Ok(None) };
    let records = services.store.sessions_of_instances(&[uuid]).await?;
    let session = records.get(uuid).map(|record| &record.session);
    let meeting = session.filter(|session| is_from_host_account(session, event));
    Ok(meeting
        .and_then(|session| session.meeting.id)
        .map(|meeting| ZoomEvent { meeting: Some(meeting), ..event.clone() }))
}

/// Returns whether the consequences of a repeated event are applied again, because the first delivery may have been
/// interrupted after it was stored. The host's join always has consequences. Other joins have consequences only until
/// the session is known to be live, and a leave has none.
fn must_reapply(live_instances: &LiveInstanceCache, event: &ZoomEvent, now: Timestamp) -> bool {
    match event.payload {
        EventPayload::Joined(ref participant) => {
            instance_key(event).is_some()
                && (participant.is_host || !live_instances.contains(event, now))
        }
        EventPayload::Left(_)
        | EventPayload::TelephoneBound { .. }
        | EventPayload::Ignored
        | EventPayload::Challenge { .. } => false,
        _ => true,
    }
}

async fn apply_event(context: &WebhookContext<'_>, event: &ZoomEvent) -> Result<(), Error> {
    let WebhookContext { live_instances, now, .. } = *context;
    let instance = || event.uuid.as_deref().zip(event.meeting);
    match &event.payload {
        EventPayload::Started { at } => match instance() {
            Some((uuid, meeting)) => {
                apply_instance_event(context, event, meeting, uuid, InstanceEvent::Running(*at))
                    .await
            }
            None => Ok(()),
        },
        EventPayload::Joined(participant) => match instance() {
            // A join replaces a start event that was lost. Attendees may wait for the host's join.
            Some((uuid, meeting))
                if participant.is_host || !live_instances.contains(event, now) =>
            {
                let instance_event = if participant.is_host {
                    InstanceEvent::HostJoined(participant.at)
                } else {
                    InstanceEvent::Running(participant.at)
                };
                apply_instance_event(context, event, meeting, uuid, instance_event).await
            }
            _ => Ok(()),
        },
        EventPayload::Ended { started_at, at } => match instance() {
            Some((uuid, meeting)) => {
                let instance_event = InstanceEvent::Ended { started_at: *started_at, at: *at };
                apply_instance_event(context, event, meeting, uuid, instance_event).await
            }
            None => Ok(()),
        },
        EventPayload::Deleted | EventPayload::Recovered | EventPayload::Updated(_) => {
            update_drift(context, event).await
        }
        EventPayload::RecordingCompleted { secrets, files } => {
            recordings::save_recordings(context, event, secrets, files).await
        }
        EventPayload::RecordingStateChanged { state, files } => {
            recordings::save_recording_states(context, event, *state, files).await
        }
        EventPayload::RecordingBatchChanged { state, instances } => {
            recordings::save_batch_states(context, event, *state, instances).await
        }
        EventPayload::Deauthorized { user, client } => {
            grants::delete_grant(context, user, client.as_deref(), event).await
        }
        EventPayload::UserDeactivated { user } => {
            grants::require_reauth(context, user, event).await
        }
        EventPayload::Left(_)
        | EventPayload::TelephoneBound { .. }
        | EventPayload::Challenge { .. }
        | EventPayload::Ignored => Ok(()),
    }
}

/// Returns the session of an event, if the event is from the account that hosts the session.
async fn session_of_event(
    services: &Services,
    event: &ZoomEvent,
) -> Result<Option<SessionRecord>, Error> {
    let Some(meeting) = event.meeting else { return Ok(None) };
    let record = services.store.session_of_meeting(meeting).await?;
    Ok(record.filter(|record| {
        record.session.meeting.id == Some(meeting) && is_from_host_account(&record.session, event)
    }))
}

/// Returns whether an event is from the account that hosts the session's meeting.
pub fn is_from_host_account(session: &Session, event: &ZoomEvent) -> bool {
    session.meeting.account.is_none() || event.account == session.meeting.account
}

/// Adds an event to its meeting instance and stores the resulting session.
async fn apply_instance_event(
    context: &WebhookContext<'_>,
    event: &ZoomEvent,
    meeting: MeetingId,
    uuid: &str,
    instance_event: InstanceEvent,
) -> Result<(), Error> {
    let record = update_session(context, event, |record| {
        let session = &record.session;
        let next = session.clone().with_instance_event(uuid, instance_event);
        if next.status != session.status {
            tracing::info!(event = "session.status_changed", session_id = %session.id, meeting_id = %meeting, status = next.status.as_str());
        }
        let begins = next.status == Status::Live && session.status != Status::Live;
        // A rehearsal sends no notification. If it is still running at the planned start, the sweep sends one.
        let is_open = join_window::join_window(&next, false, false, context.now).state == JoinState::Open;
        let notification = (begins && is_open && next.audience != Audience::Standalone).then_some(WebhookNotification::Live);
        // If no end event arrives, the sweep ends the session.
        let due_end = begins
            .then(|| EndCheck { session: next.id.clone(), due_at: next.window_closes_at() });
        (next != *session).then_some(SessionUpdate { next, notification, due_end, drift_check: None })
    })
    .await?;
    let is_own = |session: &&Session| session.may_own_instance(uuid, instance_event.time());
    if let Some(session) = record
        .as_ref()
        .filter(|session| record::may_have_archive(session, context.now))
        .filter(is_own)
    {
        // The archive may have been written without this event.
        context
            .services
            .store
            .commit_one(archive::put_due_archive(&DueArchive::for_session(session)))
            .await?;
    }
    if let InstanceEvent::Running(at) | InstanceEvent::HostJoined(at) = instance_event {
        // Without a session, later joins of the meeting have no consequences either.
        let instance = record.as_ref().and_then(|session| session.meeting_instance(uuid));
        let since = instance.map_or(at, |instance| instance.started_at);
        let window_closes_at = record.as_ref().map_or(Timestamp::MAX, Session::window_closes_at);
        context.live_instances.remember(event, LiveInstance { since, window_closes_at });
    }
    Ok(())
}

/// A change of a session that follows from an event.
struct SessionUpdate {
    next: Session,
    notification: Option<WebhookNotification>,
    /// For a session that begins: when to check whether it has ended.
    due_end: Option<EndCheck>,
    /// For a session that is being edited: when to look at the event again.
    drift_check: Option<DriftCheck>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum WebhookNotification {
    /// Notifies invited people that the session is live: once, at the start of the meeting or at the planned start.
    Live,
    /// Notifies the trainer that the meeting was deleted at Zoom.
    MeetingDeleted,
}

impl SessionUpdate {
    /// Returns the pointers from the meeting instances that the update adds.
    fn new_instance_pointers(&self, before: &Session) -> Vec<Action> {
        let is_known = |uuid: &str| before.meeting_instances.iter().any(|known| known.uuid == uuid);
        let added = self.next.meeting_instances.iter().filter(|instance| !is_known(&instance.uuid));
        let Session { id, trainer, .. } = &self.next;
        added.map(|instance| sessions::put_instance_pointer(&instance.uuid, id, trainer)).collect()
    }

    /// Returns the domain event and the actions that belong to it. The start reminder is consumed so that it is sent
    /// once, and its work for after the session is scheduled, as the sweep would do. `revision` distinguishes repeated
    /// events of one meeting.
    fn domain_event(&self, revision: u64, now: Timestamp) -> Option<(DomainEvent, Vec<Action>)> {
        let Session { id, details, version, trainer, .. } = &self.next;
        let starts_at = details.starts_at;
        let (kind, extra_actions) = match self.notification? {
            WebhookNotification::Live => {
                let reminder = Reminder::Start;
                let kind = DomainEventKind::Reminder {
                    session: id.clone(),
                    reminder,
                    starts_at,
                    version: *version,
                };
                let claim = due_work::claim_reminder(id, reminder, starts_at);
                let archive = archive::put_due_archive(&DueArchive::for_session(&self.next));
                let reconciliation = put_reconciliation(&self.next);
                (kind, [claim, archive].into_iter().chain(reconciliation).collect())
            }
            WebhookNotification::MeetingDeleted => {
                let (session, trainer, nonce) = (id.clone(), trainer.clone(), EventNonce(revision));
                (DomainEventKind::MeetingDeleted { session, trainer, nonce }, Vec::new())
            }
        };
        Some((DomainEvent { at: whole_milli(now), kind }, extra_actions))
    }
}

/// Stores the session that `decide` returns with its domain event, and returns the current session. Decides again
/// after a concurrent change. `None` if no session matches the event.
async fn update_session(
    context: &WebhookContext<'_>,
    event: &ZoomEvent,
    decide: impl Fn(&SessionRecord) -> Option<SessionUpdate>,
) -> Result<Option<Session>, Error> {
    let WebhookContext { services, now, .. } = *context;
    let mut reminder_taken = false;
    for _ in 0..ATTEMPTS {
        let Some(record) = session_of_event(services, event).await? else { return Ok(None) };
        let Some(update) = decide(&record) else { return Ok(Some(record.session)) };
        let changed = (update.next != record.session)
            .then(|| sessions::apply_meeting_events(&update.next, record.meeting_revision));
        let mut actions: Vec<_> = changed.into_iter().collect();
        actions.extend(update.drift_check.as_ref().map(DriftCheck::put));
        actions.extend(update.new_instance_pointers(&record.session));
        actions.extend(update.due_end.as_ref().map(EndCheck::put));
        let notification =
            update.domain_event(record.meeting_revision, now).filter(|_| !reminder_taken);
        let domain_event = notification.map(|(domain_event, extra_actions)| {
            actions.push(due_work::put_domain_event(&domain_event));
            actions.extend(extra_actions);
            domain_event
        });
        // A single write costs half as much outside of a transaction.
        let committed = match actions.len() {
            1 => services.store.commit_one(actions.remove(0)).await,
            _ => services.store.commit(actions).await,
        };
        if let (Ok(()), Some(domain_event)) = (&committed, &domain_event) {
            services.send_wake_up(domain_event).await;
        }
        match committed {
            Ok(()) => return Ok(Some(update.next)),
            Err(CommitError::Refused(subjects)) if subjects == [ConditionSubject::Due] => {
                reminder_taken = true
            }
            Err(CommitError::Refused(_)) => {
                tokio::time::sleep(Duration::from_millis(WAIT_MS + services.random.below(WAIT_MS)))
                    .await;
            }
            Err(error) => return Err(error.into()),
        }
    }
    Err(Error::busy("too many concurrent changes of the session"))
}

/// Stores the drift: the differences that somebody made at Zoom. Only join URL and passcode are adopted, because Zoom
/// accepts no others.
async fn update_drift(context: &WebhookContext<'_>, event: &ZoomEvent) -> Result<(), Error> {
    let WebhookContext { services, now, .. } = *context;
    let credentials = match &event.payload {
        EventPayload::Updated(changed) if !changed.join_credentials.is_empty() => {
            Some(&changed.join_credentials)
        }
        _ => None,
    };
    let secrets = match credentials {
        Some(_) => Some(services.secrets.get(now).await?),
        None => None,
    };
    let keyring = secrets.as_ref().map(|secrets| secrets.keyring()).transpose()?;
    let Some(record) = session_of_event(services, event).await? else { return Ok(()) };
    let Some(meeting) = record.session.meeting.id else { return Ok(()) };
    let since = record.session.zoom_synced_at;
    let events = services.store.meeting_events_since(meeting, since).await?;
    let events: Vec<_> = events
        .iter()
        .filter(|stored| is_from_host_account(&record.session, &stored.event))
        .collect();
    update_session(context, event, |record| {
        let session = &record.session;
        let is_open = matches!(session.status, Status::Scheduled | Status::Live);
        let lease = record.edit_lease.as_ref().filter(|lease| lease.until > now);
        let payloads = events.iter().map(|stored| (stored.at, &stored.event.payload));
        let drift = drift::detect_drift(session, lease.is_some(), payloads.clone());
        // The event may be the result of the edit, or a change that somebody made at the same time.
        let drift_check = lease
            .filter(|_| is_open && drift::detect_drift(session, false, payloads) != drift)
            .map(|lease| DriftCheck { session: session.id.clone(), due_at: lease.until });
        let is_deleted = |drift: &[String]| drift.iter().any(|field| field == DELETED);
        let deleted = is_deleted(&drift) && !is_deleted(&session.drift);
        let notification = deleted.then_some(WebhookNotification::MeetingDeleted);
        let drift_changed = is_open && drift != session.drift;
        let mut next = session.clone();
        if drift_changed {
            next.drift = drift;
        }
        if let (Some(credentials), Some(keyring)) = (credentials, keyring)
            && session.status != Status::Cancelled
        {
            let at = event.reported_at();
            next.meeting =
                meeting::with_join_credentials(session, credentials, at, keyring, &services.random);
        }
        if next.meeting != session.meeting {
            tracing::info!(event = "zoom.join_credentials_changed", session_id = %session.id);
        }
        let notification = notification.filter(|_| drift_changed);
        let is_needed = next != *session || drift_check.is_some();
        is_needed.then_some(SessionUpdate { next, notification, due_end: None, drift_check })
    })
    .await?;
    Ok(())
}
