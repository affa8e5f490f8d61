//! The five-minute sweep. Today it repairs: it finds classes of which Zoom and we may know different things, because a
//! request died or Zoom was silent between the two, and makes them agree.

use jiff::{SignedDuration, Timestamp};

use super::Tools;
use super::error::Error;
use super::meeting::{MeetingProvider, Plan, ZoomMeetings};
use super::session_save::ATTEMPT_SECONDS;
use crate::domain::refusal::Refusal;
use crate::domain::session::{Provider, Session, Status};
use crate::domain::time::whole_milli;
use crate::store::outbox::Repair;
use crate::store::schema::Queue;
use crate::store::sessions::Claim;
use crate::store::{counters, intents, outbox, sessions};

/// What a run did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Report {
    pub due: usize,
    pub repaired: usize,
    /// To be looked at again by the next run.
    pub left: usize,
}

/// Repairs what is due at `now`. One that cannot be repaired yet does not keep the others waiting.
pub async fn sweep(tools: &Tools, now: Timestamp) -> Result<Report, Error> {
    let mut report = Report::default();
    for repair in tools.store.due_repairs(now).await? {
        report.due += 1;
        match mend(tools, &repair, now).await {
            Ok(()) => {
                tools.store.commit_one(outbox::withdraw_repair(&repair.session, repair.at)).await?;
                report.repaired += 1;
            }
            Err(error) => {
                tracing::warn!(event = "session.repair_failed", session_id = %repair.session, %error);
                report.left += 1;
            }
        }
    }
    if report.left == 0 {
        tools.store.swept(Queue::Repair, now).await?;
    }
    tracing::info!(
        event = "repair_sweep.done",
        due = report.due,
        repaired = report.repaired,
        left = report.left
    );
    Ok(report)
}

async fn mend(tools: &Tools, repair: &Repair, now: Timestamp) -> Result<(), Error> {
    if let Some(held) = tools.store.session(&repair.session).await? {
        let session = held.session;
        return match (session.status, held.claim) {
            (Status::Cancelled, _) => delete_meeting(tools, &session).await,
            (_, Some(claim)) => restore(tools, &session, &claim, now).await,
            (_, None) => Ok(()),
        };
    }
    clean_up(tools, repair, now).await
}

/// A cancelled class whose meeting may still be there.
async fn delete_meeting(tools: &Tools, session: &Session) -> Result<(), Error> {
    let connection = tools.store.connection(&session.trainer).await?;
    let ready = match tools.fresh(&session.trainer, connection).await {
        Ok(ready) => ready,
        // Nobody can reach the meeting for the trainer any more, who can still delete it at Zoom.
        Err(Error::Refused(refusal @ (Refusal::ZoomNotConnected | Refusal::ReauthRequired))) => {
            tracing::warn!(event = "zoom.meeting_left", session_id = %session.id, %refusal);
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
        ZoomMeetings::new(tools, ready)
            .update(session.meeting.id, None, &Plan::of(session))
            .await?;
    }
    tools.store.commit_one(sessions::release(&session.id, &claim.holder)).await?;
    Ok(())
}

/// A class that was never stored: what was made for it at Zoom is deleted, and the intent with it. Nobody was told of
/// the class, and its request, made again, makes another meeting.
async fn clean_up(tools: &Tools, repair: &Repair, now: Timestamp) -> Result<(), Error> {
    let Some(intent) = tools.store.intent(&repair.session).await? else {
        return delete_marked(tools, repair).await;
    };
    let until =
        whole_milli(now).saturating_add(SignedDuration::from_secs(ATTEMPT_SECONDS)).unwrap_or(now);
    let attempt = tools.holder();
    // From here on the request that died, should it live after all, can store nothing.
    tools.store.commit_one(intents::take_over(&intent, &attempt, until, now)).await?;
    delete_marked(tools, repair).await?;
    let actions = vec![
        intents::finish(&intent.session_id, &attempt),
        counters::uncount_class(&intent.trainer_id, intent.starts_at),
    ];
    Ok(tools.store.commit(actions).await?)
}

async fn delete_marked(tools: &Tools, repair: &Repair) -> Result<(), Error> {
    let connection = tools.store.connection(&repair.trainer).await?;
    let ready = tools.fresh(&repair.trainer, connection).await?;
    let mut zoom = ZoomMeetings::new(tools, ready);
    for meeting in zoom.marked(&repair.session, &repair.topic, repair.starts_at).await? {
        zoom.cancel(meeting.id, false).await?;
    }
    Ok(())
}
