//! Cancels a session.
//!
//! The cancellation and its domain event are committed in one transaction before Zoom is called, so invited people are
//! notified even if Zoom fails. The meeting is deleted afterwards. A repair that is stored with the cancellation
//! deletes it later if that call fails.

use std::time::Duration;

use futures::stream::{self, StreamExt};
use jiff::{SignedDuration, Timestamp};

use super::Services;
use super::delegated_actions;
use super::error::Error;
use super::meeting::{MeetingProvider, ZoomMeetings};
use super::session_save::new_repair;
use super::sessions::upcoming_sessions;
use crate::domain::bookings::Booking;
use crate::domain::caller::Caller;
use crate::domain::domain_event::{
    AudienceRef, ChangeKind, DomainEvent, DomainEventKind, SessionChange,
};
use crate::domain::id::{ExternalRef, SessionId, UserId};
use crate::domain::refusal::Refusal;
use crate::domain::reminder::Reminder;
use crate::domain::rights::Operation;
use crate::domain::session::Session;
use crate::domain::time::whole_milli;
use crate::domain::trainer_session::SessionWithInvitees;
use crate::domain::zoom_connection::ZoomConnection;
use crate::random::Random;
use crate::store::delegated_actions::CANCELLED;
use crate::store::due_work::meetings::delete_due_meeting;
use crate::store::due_work::reconciliations::CancelledMeeting;
use crate::store::due_work::repairs::{Repair, RepairTask};
use crate::store::error::CommitError;
use crate::store::schema::ItemKey;
use crate::store::sessions::{MeetingDeletion, SessionRecord};
use crate::store::tx::Action;
use crate::store::{bookings, counters, due_work, sessions};

/// Attempts against concurrent changes of the same session.
const ATTEMPTS: u32 = 4;
const WAIT_MS: u64 = 100;
/// Delay of the repair, which runs well after this request has ended.
const REPAIR_SECONDS: i64 = 60;
/// Sessions that are cancelled concurrently, with one call to Zoom each.
const CONCURRENCY: usize = 8;

/// Cancels a session. A session that is already cancelled is returned unchanged.
pub async fn cancel(
    services: &Services,
    caller: &Caller,
    id: &SessionId,
    reason: Option<String>,
    now: Timestamp,
) -> Result<SessionWithInvitees, Error> {
    let author = CancelledBy::Caller(caller);
    let cancelled = cancel_if_allowed(services, author, id, reason, now).await?;
    Ok(services.store.with_invitees(cancelled).await?)
}

/// Cancels the current session of a name.
pub async fn cancel_by_name(
    services: &Services,
    caller: &Caller,
    name: &ExternalRef,
    reason: Option<String>,
    now: Timestamp,
) -> Result<SessionWithInvitees, Error> {
    let named = services.store.named_session(name).await?.ok_or(Refusal::NotFound)?;
    cancel(services, caller, &named.record.session.id, reason, now).await
}

/// Cancels the upcoming sessions of a trainer who is being erased, because nobody could teach or cancel them later.
/// With `created_until`, it spares later sessions. Returns how many it cancelled. It is safe to run again after an
/// interruption.
pub async fn cancel_upcoming(
    services: &Services,
    trainer: &UserId,
    created_until: Option<Timestamp>,
    now: Timestamp,
) -> Result<usize, Error> {
    let mut upcoming = upcoming_sessions(&services.store, trainer, now).await?;
    upcoming.retain(|session| created_until.is_none_or(|until| session.created_at <= until));
    let upcoming: Vec<_> = upcoming.into_iter().map(|session| session.id).collect();
    let mut cancellations = Vec::with_capacity(upcoming.len());
    for id in &upcoming {
        cancellations.push(cancel_if_allowed(
            services,
            CancelledBy::Erasure(trainer),
            id,
            None,
            now,
        ));
    }
    let mut results = stream::iter(cancellations).buffer_unordered(CONCURRENCY);
    let (mut cancelled, mut outcome) = (0, Ok(()));
    // A failure does not stop the others: each cancelled session needs its meeting deleted while the grant still
    // exists.
    while let Some(done) = results.next().await {
        match done {
            Ok(_) => cancelled += 1,
            // The session ended meanwhile, or the index was stale.
            Err(Error::Refused(_)) => {}
            Err(error) => outcome = Err(error),
        }
    }
    outcome.map(|()| cancelled)
}

/// The author of a cancellation.
#[derive(Clone, Copy)]
enum CancelledBy<'a> {
    Caller(&'a Caller),
    /// The erasure of this trainer.
    Erasure(&'a UserId),
    /// The refund of the payment that created the session of this trainer.
    Refund {
        trainer: &'a UserId,
        check: &'a (dyn Fn(&Session) -> Result<(), Refusal> + Sync),
    },
}

impl CancelledBy<'_> {
    /// Returns the probable trainer of the session, whose Zoom connection is read together with it.
    fn probable_trainer(&self) -> &UserId {
        match self {
            Self::Caller(caller) => &caller.id,
            Self::Erasure(trainer) | Self::Refund { trainer, .. } => trainer,
        }
    }

    fn check(&self, session: &Session) -> Result<(), Refusal> {
        match self {
            Self::Caller(caller) => session.check_right(Operation::CancelSession, caller),
            Self::Erasure(trainer) if session.trainer == **trainer => Ok(()),
            Self::Erasure(_) => Err(Refusal::NotFound),
            Self::Refund { check, .. } => check(session),
        }
    }

    /// Returns the timeline entry of a cancellation for the trainer.
    fn delegated_action(&self, random: &Random, next: &Session, now: Timestamp) -> Option<Action> {
        match self {
            Self::Caller(caller) => delegated_actions::record(random, caller, next, CANCELLED, now),
            Self::Erasure(_) | Self::Refund { .. } => None,
        }
    }
}

/// Cancels a session that a refund takes back. `check` refuses one that has changed since it was decided.
pub(super) async fn cancel_for_refund(
    services: &Services,
    session: &Session,
    check: &(dyn Fn(&Session) -> Result<(), Refusal> + Sync),
    now: Timestamp,
) -> Result<Session, Error> {
    let author = CancelledBy::Refund { trainer: &session.trainer, check };
    cancel_if_allowed(services, author, &session.id, None, now).await
}

async fn cancel_if_allowed(
    services: &Services,
    author: CancelledBy<'_>,
    id: &SessionId,
    reason: Option<String>,
    now: Timestamp,
) -> Result<Session, Error> {
    for _ in 0..ATTEMPTS {
        let probable_trainer = author.probable_trainer();
        let mut found = services
            .store
            .batch_get(&[ItemKey::Session(id), ItemKey::ZoomConnection(probable_trainer)])
            .await?;
        let record = found.session(id)?.ok_or(Refusal::NotFound)?;
        let old = &record.session;
        author.check(old)?;
        let Some(next) = old.cancel(whole_milli(now))? else { return Ok(record.session) };
        let connection = match old.trainer == *probable_trainer {
            true => found.connection(&old.trainer)?,
            false => services.store.connection(&old.trainer).await?,
        };
        let repair_at = whole_milli(now)
            .saturating_add(SignedDuration::from_secs(REPAIR_SECONDS))
            .unwrap_or(now);
        let repair = new_repair(old, repair_at, RepairTask::DeleteMeeting);
        let delegated = author.delegated_action(&services.random, &next, now);
        match commit(services, (&record, &next), reason.clone(), &repair, delegated, now).await {
            Ok(()) => {
                delete_meeting(services, old, connection, &repair).await;
                return Ok(next);
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

async fn commit(
    services: &Services,
    (read, next): (&SessionRecord, &Session),
    reason: Option<String>,
    repair: &Repair,
    delegated: Option<Action>,
    now: Timestamp,
) -> Result<(), CommitError> {
    let old = &read.session;
    let domain_event = DomainEvent {
        // Another function's clock may be ahead of this one.
        at: whole_milli(now).max(old.updated_at),
        kind: DomainEventKind::Session(SessionChange {
            session: next.id.clone(),
            kind: ChangeKind::Cancelled,
            version: next.version,
            sequence: next.ics_sequence,
            audience: Some(AudienceRef::from_audience(&next.audience)),
            calendar_changed: true,
            previous_audience: None,
            reason,
        }),
    };
    let mut actions = vec![sessions::cancel(next, read), due_work::put_domain_event(&domain_event)];
    actions
        .extend(Reminder::ALL.into_iter().map(|reminder| due_work::delete_reminder(old, reminder)));
    actions.push(counters::release_monthly_quota(&old.trainer, old.details.starts_at));
    actions.extend(Booking::of_session(old).iter().flat_map(bookings::release));
    actions.extend(delete_due_meeting(old));
    actions.extend(delegated);
    if old.meeting.id.is_some() {
        actions.push(repair.put());
    }
    actions.extend(CancelledMeeting::of_session(next, now).map(|check| check.put()));
    services.store.commit(actions).await?;
    tracing::info!(event = "session.cancelled", session_id = %next.id, version = next.version, sequence = next.ics_sequence);
    services.send_wake_up(&domain_event).await;
    Ok(())
}

/// Tries to delete the meeting now. If that fails, the repair deletes it.
async fn delete_meeting(
    services: &Services,
    session: &Session,
    connection: Option<ZoomConnection>,
    repair: &Repair,
) {
    if session.meeting.id.is_none() {
        return;
    }
    let host = session.meeting.host();
    let deleted = match services.host_access_with(&session.trainer, &host, connection).await {
        Ok(zoom_access) => {
            let mut zoom = ZoomMeetings::new(services, zoom_access);
            let running = session.is_meeting_running();
            zoom.cancel(session.meeting.id, running).await.map_err(Error::from)
        }
        // If the trainer has connected another Zoom user, the repair waits until the host is connected.
        Err(error) => Err(error),
    };
    match deleted {
        Ok(()) => {
            if let Err(error) = services.store.commit_one(repair.delete()).await {
                tracing::warn!(event = "session.repair_not_withdrawn", session_id = %session.id, %error);
            }
        }
        Err(error) => {
            tracing::warn!(event = "zoom.meeting_not_deleted", session_id = %session.id, %error);
            let deletion = MeetingDeletion {
                waiting_since: whole_milli(services.clock.now()),
                reason: failure_reason(&error).to_owned(),
                ended_at: None,
                is_given_up: false,
            };
            record_meeting_deletion(services, &session.id, &deletion).await;
        }
    }
}

/// Records the state of a late deletion for the timeline. The deletion does not depend on it, so a failure is only
/// logged.
pub(super) async fn record_meeting_deletion(
    services: &Services,
    session: &SessionId,
    deletion: &MeetingDeletion,
) {
    let action = sessions::put_meeting_deletion(session, deletion);
    if let Err(error) = services.store.commit_one(action).await {
        tracing::warn!(event = "session.deletion_not_recorded", session_id = %session, %error);
    }
}

/// Returns the reason that the timeline shows for a meeting that could not be deleted.
pub(super) fn failure_reason(error: &Error) -> &'static str {
    match error {
        Error::Refused(Refusal::ZoomNotConnected) => "zoom_not_connected",
        Error::Refused(Refusal::ReauthRequired) => "reauth_required",
        Error::Refused(Refusal::OtherZoomUser { .. }) => "other_zoom_user",
        Error::Refused(Refusal::MissingScopes(_)) => "missing_scopes",
        Error::Refused(_) | Error::ZoomRejected { .. } => "zoom_rejected",
        Error::ZoomLimited { .. } => "zoom_rate_limited",
        Error::ZoomUnavailable { .. }
        | Error::AccountRefused { .. }
        | Error::Busy(_)
        | Error::NotConfigured(_)
        | Error::Internal(_) => "unavailable",
    }
}
