//! Repairs: classes of which Zoom and we may know different things.

use jiff::{SignedDuration, Timestamp};

use super::Report;
use crate::app::Tools;
use crate::app::error::Error;
use crate::app::meeting::{MeetingError, MeetingProvider, Plan, ZoomMeetings};
use crate::app::session_save::ATTEMPT_SECONDS;
use crate::domain::refusal::Refusal;
use crate::domain::session::{Provider, Session, Status};
use crate::domain::time::whole_milli;
use crate::store::outbox::Repair;
use crate::store::schema::{Key, limit};
use crate::store::sessions::Claim;
use crate::store::{counters, intents, outbox, sessions};
use crate::telemetry::metrics;

/// How soon a repair that failed is tried again, and how late at most.
const SOONEST_AGAIN_MINUTES: i64 = 5;
const LATEST_AGAIN_MINUTES: i64 = 60;

/// Repairs what is due, one after the other. One that cannot be repaired yet does not keep the others waiting.
pub(super) async fn repair(
    tools: &Tools,
    repairs: &[Repair],
    now: Timestamp,
    report: &mut Report,
) -> Result<(), Error> {
    for repair in repairs {
        match mend(tools, repair, now).await {
            Ok(()) => {
                tools.store.commit_one(outbox::withdraw_repair(&repair.session, repair.at)).await?;
                report.repaired += 1;
            }
            Err(error) => {
                tracing::warn!(event = "session.repair_failed", session_id = %repair.session, %error);
                put_off(tools, repair, now).await?;
                report.left += 1;
            }
        }
    }
    Ok(())
}

/// Has a repair looked at again later, the later the longer it has been due: it is not every run's
/// first business. One that cannot be done in a fortnight is given up.
async fn put_off(tools: &Tools, repair: &Repair, now: Timestamp) -> Result<(), Error> {
    let waited = now.duration_since(repair.since);
    let mut actions = vec![outbox::withdraw_repair(&repair.session, repair.at)];
    if waited < SignedDuration::from_hours(24 * limit::DUE_TTL_DAYS) {
        let pause = waited.clamp(
            SignedDuration::from_mins(SOONEST_AGAIN_MINUTES),
            SignedDuration::from_mins(LATEST_AGAIN_MINUTES),
        );
        let at = whole_milli(now).saturating_add(pause).unwrap_or(now);
        actions.push(outbox::set_repair(&Repair { at, ..repair.clone() }));
    } else {
        tracing::error!(event = "session.repair_given_up", session_id = %repair.session);
        metrics::GIVEN_UP.count();
    }
    Ok(tools.store.commit(actions).await?)
}

async fn mend(tools: &Tools, repair: &Repair, now: Timestamp) -> Result<(), Error> {
    if let Some(held) = tools.store.session(&repair.session).await? {
        let session = held.session;
        return match (session.status, held.claim) {
            (Status::Cancelled, _) => delete_meeting(tools, &session).await,
            (_, Some(claim)) => restore(tools, &session, &claim, now).await,
            // Made by a later attempt than the one that asked for the repair, whose own meeting may have come late.
            (_, None) => delete_strays(tools, repair, None).await,
        };
    }
    clean_up(tools, repair, now).await
}

/// A cancelled class whose meeting may still be there.
async fn delete_meeting(tools: &Tools, session: &Session) -> Result<(), Error> {
    let connection = tools.store.connection(&session.trainer).await?;
    let ready = match tools.fresh(&session.trainer, connection).await {
        Ok(ready) => ready,
        // The trainer took the grant back; what is left at Zoom is theirs to delete there.
        Err(Error::Refused(Refusal::ZoomNotConnected)) => {
            tracing::warn!(event = "zoom.meeting_left", session_id = %session.id);
            return Ok(());
        }
        Err(error) => return Err(error),
    };
    ZoomMeetings::new(tools, ready).cancel(session.meeting.id, false).await?;
    Ok(())
}

/// An edit that ended between Zoom and here: what we hold is what is so, and Zoom is told all of it.
async fn restore(
    tools: &Tools,
    session: &Session,
    claim: &Claim,
    now: Timestamp,
) -> Result<(), Error> {
    if claim.until > now {
        return Err(Error::busy("an edit has the class in hand"));
    }
    if session.provider == Provider::Zoom {
        let connection = tools.store.connection(&session.trainer).await?;
        let ready = tools.fresh(&session.trainer, connection).await?;
        let told = ZoomMeetings::new(tools, ready)
            .update(session.meeting.id, None, &Plan::of(session))
            .await;
        match told {
            Ok(()) => {}
            // The meeting is gone, and nothing of the class can be wrong there any more.
            Err(MeetingError::Other(Error::Refused(Refusal::Conflict(why)))) => {
                tracing::warn!(event = "zoom.meeting_gone", session_id = %session.id, why);
            }
            Err(error) => return Err(error.into()),
        }
    }
    tools.store.commit_one(sessions::release(&session.id, &claim.holder)).await?;
    Ok(())
}

/// A class that was never stored: what was made for it at Zoom is deleted, and the intent with it. Nobody was told of
/// the class, and its request, made again, makes another meeting.
async fn clean_up(tools: &Tools, repair: &Repair, now: Timestamp) -> Result<(), Error> {
    let Some(intent) = tools.store.intent(&repair.session).await? else {
        return delete_strays(tools, repair, None).await;
    };
    let until =
        whole_milli(now).saturating_add(SignedDuration::from_secs(ATTEMPT_SECONDS)).unwrap_or(now);
    let attempt = tools.holder();
    // From here on the request that died, should it live after all, can store nothing.
    tools.store.commit_one(intents::take_away(&intent, &attempt, until, now)).await?;
    let deleted = delete_strays(tools, repair, Some(&attempt)).await;
    match &deleted {
        Ok(())
        // Without a grant nobody knows when Zoom can be asked; the trainer's month need not wait for it. The repair does.
        | Err(Error::Refused(Refusal::ZoomNotConnected | Refusal::ReauthRequired)) => {}
        Err(_) => return deleted,
    }
    tools.store.delete_all_invitees(&repair.session).await?;
    let mut actions = vec![intents::finish(&intent.session_id, &attempt)];
    if !intent.uncounted {
        actions.push(counters::uncount_class(&intent.trainer_id, intent.starts_at));
    }
    tools.store.commit(actions).await?;
    deleted
}

/// Deletes the meetings that carry the class's mark and are not the class's. The class is read after Zoom's list: whoever
/// makes a meeting has stored an intent before, so none that somebody has in hand is taken for a stray.
/// `attempt` is the caller's own, where the intent is theirs.
async fn delete_strays(tools: &Tools, repair: &Repair, attempt: Option<&str>) -> Result<(), Error> {
    let connection = tools.store.connection(&repair.trainer).await?;
    let ready = tools.fresh(&repair.trainer, connection).await?;
    let mut zoom = ZoomMeetings::new(tools, ready);
    let marked = zoom.marked(&repair.session, &repair.topic, repair.starts_at).await?;
    if marked.is_empty() {
        return Ok(());
    }
    let id = &repair.session;
    let mut found = tools.store.batch_get(&[Key::Session(id), Key::Intent(id)]).await?;
    if found.intent(id)?.is_some_and(|intent| Some(intent.attempt.as_str()) != attempt) {
        return Err(Error::busy("a request has the class in hand"));
    }
    let own = found.session(id)?.and_then(|held| held.session.meeting.id);
    for stray in marked.iter().filter(|meeting| meeting.id != own) {
        tracing::warn!(event = "zoom.stray_deleted", session_id = %id);
        zoom.cancel(stray.id, false).await?;
    }
    Ok(())
}
