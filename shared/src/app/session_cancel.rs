//! Cancelling a class.
//!
//! The class is cancelled here first, in one transaction with its announcement: whatever Zoom does, those invited are
//! told. The meeting is deleted after that, and a repair that was stored with the cancellation sees to it later
//! should that not succeed now.

use std::time::Duration;

use futures::stream::{self, StreamExt};
use jiff::{SignedDuration, Timestamp};

use super::Services;
use super::error::Error;
use super::meeting::{MeetingProvider, ZoomMeetings};
use super::session_save::repair_of;
use crate::domain::caller::Caller;
use crate::domain::domain_event::{DomainEvent, AudienceRef, ChangeKind, SessionChange, DomainEventKind};
use crate::domain::zoom_connection::ZoomConnection;
use crate::domain::draft::DURATION_MINUTES;
use crate::domain::id::{SessionId, UserId};
use crate::domain::refusal::Refusal;
use crate::domain::reminder::Reminder;
use crate::domain::session::{Session, SessionWithInvitees, Status};
use crate::domain::time::{plus_minutes, whole_milli};
use crate::store::error::CommitError;
use crate::store::schema::ItemKey;
use crate::store::sessions::SessionFilter;
use crate::store::{counters, outbox, sessions};

/// Tries against others who change the class at the same time.
const ROUNDS: u32 = 4;
const WAIT_MS: u64 = 100;
/// When the repair looks whether the meeting is gone: well after this request has ended.
const REPAIR_SECONDS: i64 = 60;
/// Classes of a trainer that are read in one request, and that are cancelled at once, with a call to Zoom each.
const PAGE: usize = 100;
const CLASSES_AT_ONCE: usize = 8;

/// Cancels a class; one that was cancelled before stays as it is.
pub async fn cancel(
    tools: &Services,
    caller: &Caller,
    id: &SessionId,
    reason: Option<String>,
    now: Timestamp,
) -> Result<SessionWithInvitees, Error> {
    let owned = |session: &Session| session.owned_by(caller);
    let cancelled = carry_out(tools, &caller.id, id, &owned, reason, now).await?;
    Ok(tools.store.with_invitees(cancelled).await?)
}

/// Cancels what lies ahead of a trainer who is erased: nobody could teach it any more, and nobody stop it. Answers how
/// many classes that were. Running it again after a cut goes on where it ended.
pub async fn cancel_upcoming(
    tools: &Services,
    trainer: &UserId,
    now: Timestamp,
) -> Result<usize, Error> {
    let longest = *DURATION_MINUTES.end();
    let narrow = SessionFilter { from: Some(plus_minutes(now, -longest)), ..SessionFilter::default() };
    let mut upcoming = Vec::new();
    let mut after = None;
    loop {
        let (page, next) =
            tools.store.sessions_of_trainer(trainer, &narrow, after.as_ref(), PAGE).await?;
        let is_ahead = |class: &Session| {
            matches!(class.status, Status::Scheduled | Status::Live) && class.ends_at() > now
        };
        upcoming.extend(page.into_iter().filter(is_ahead).map(|class| class.id));
        match next {
            Some(place) => after = Some(place),
            None => break,
        }
    }
    let theirs = |class: &Session| {
        if class.trainer == *trainer { Ok(()) } else { Err(Refusal::NotFound) }
    };
    let mut each = Vec::with_capacity(upcoming.len());
    for id in &upcoming {
        each.push(carry_out(tools, trainer, id, &theirs, None, now));
    }
    let mut cancelling = stream::iter(each).buffer_unordered(CLASSES_AT_ONCE);
    let (mut cancelled, mut outcome) = (0, Ok(()));
    // Each is finished, also when another failed: what was cancelled has its meeting deleted while the grant is there.
    while let Some(done) = cancelling.next().await {
        match done {
            Ok(_) => cancelled += 1,
            // It ended at this moment, or the index was a moment late.
            Err(Error::Refused(_)) => {}
            Err(error) => outcome = Err(error),
        }
    }
    outcome.map(|()| cancelled)
}

async fn carry_out(
    tools: &Services,
    trainer: &UserId,
    id: &SessionId,
    may: &(impl Fn(&Session) -> Result<(), Refusal> + Sync),
    reason: Option<String>,
    now: Timestamp,
) -> Result<Session, Error> {
    for _ in 0..ROUNDS {
        let mut found =
            tools.store.batch_get(&[ItemKey::Session(id), ItemKey::Connection(trainer)]).await?;
        let old = found.session(id)?.ok_or(Refusal::NotFound)?.session;
        may(&old)?;
        let connection = found.connection(trainer)?;
        let Some(next) = old.cancel(whole_milli(now))? else { return Ok(old) };
        let repair_at = whole_milli(now)
            .saturating_add(SignedDuration::from_secs(REPAIR_SECONDS))
            .unwrap_or(now);
        match commit(tools, &old, &next, reason.clone(), repair_at, now).await {
            Ok(()) => {
                take_down(tools, &old, connection, repair_at).await;
                return Ok(next);
            }
            Err(CommitError::Refused(_)) => {
                tokio::time::sleep(Duration::from_millis(WAIT_MS + tools.random.below(WAIT_MS)))
                    .await;
            }
            Err(error) => return Err(error.into()),
        }
    }
    Err(Error::busy("the class keeps changing"))
}

async fn commit(
    tools: &Services,
    old: &Session,
    next: &Session,
    reason: Option<String>,
    repair_at: Timestamp,
    now: Timestamp,
) -> Result<(), CommitError> {
    let announcement = DomainEvent {
        at: whole_milli(now),
        kind: DomainEventKind::Session(SessionChange {
            session: next.id.clone(),
            kind: ChangeKind::Cancelled,
            version: next.version,
            sequence: next.ics_sequence,
            audience: Some(AudienceRef::of(&next.audience)),
            calendar_changed: true,
            before: None,
            reason,
        }),
    };
    let mut actions = vec![sessions::cancel(next, old.version), outbox::announce(&announcement)];
    actions
        .extend(Reminder::ALL.into_iter().map(|reminder| outbox::withdraw_reminder(old, reminder)));
    actions.push(counters::uncount_class(&old.trainer, old.starts_at));
    if old.meeting.id.is_some() {
        actions.push(outbox::set_repair(&repair_of(old, repair_at)));
    }
    tools.store.commit(actions).await?;
    tracing::info!(event = "session.cancelled", session_id = %next.id, version = next.version, sequence = next.ics_sequence);
    tools.send_wake_up(&announcement).await;
    Ok(())
}

/// Deletes the meeting now, if Zoom lets us; otherwise the repair will.
async fn take_down(
    tools: &Services,
    session: &Session,
    connection: Option<ZoomConnection>,
    repair_at: Timestamp,
) {
    if session.meeting.id.is_none() {
        return;
    }
    let deleted = match tools.fresh(&session.trainer, connection).await {
        Ok(ready) => match session.hosted_by(&ready.connection.zoom_user.account_id) {
            Ok(()) => {
                let mut zoom = ZoomMeetings::new(tools, ready);
                zoom.cancel(session.meeting.id, session.is_running()).await.map_err(Error::from)
            }
            // Zoom would say that there is no such meeting. The repair waits for the account that hosts it.
            Err(foreign) => Err(foreign.into()),
        },
        Err(error) => Err(error),
    };
    match deleted {
        Ok(()) => {
            if let Err(error) =
                tools.store.commit_one(outbox::withdraw_repair(&session.id, repair_at)).await
            {
                tracing::warn!(event = "session.repair_left", session_id = %session.id, %error);
            }
        }
        Err(error) => {
            tracing::warn!(event = "zoom.meeting_not_deleted", session_id = %session.id, %error)
        }
    }
}
