//! Repairs: classes of which Zoom and we may know different things.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::ReminderReport;
use crate::app::Services;
use crate::app::error::Error;
use crate::app::meeting::{MeetingError, MeetingProvider, MeetingPlan, ZoomMeetings};
use crate::app::run_time::RunTime;
use crate::domain::id::{SessionId, UserId};
use crate::domain::refusal::Refusal;
use crate::domain::session::{Meeting, Provider, Session, Status};
use crate::domain::time::whole_milli;
use crate::store::error::CommitError;
use crate::store::outbox::Repair;
use crate::store::schema::{ItemKey, limit};
use crate::store::sessions::EditLease;
use crate::store::{counters, intents, outbox, sessions};
use crate::telemetry::metrics;

/// How soon a repair that failed is tried again, and how late at most.
const SOONEST_AGAIN_MINUTES: i64 = 5;
const LATEST_AGAIN_MINUTES: i64 = 60;
/// What must be left of a run's time for another repair: one that Zoom leaves without an answer takes 13 s.
const REPAIR_TIME: Duration = Duration::from_secs(20);
/// How long a repair keeps requests away: longer than its function may run (see `template.yaml`). It is given back
/// before, unless the run dies.
const HOLD_SECONDS: i64 = 150;

/// Repairs what is due, one after the other, for as long as there is time. One that cannot be repaired yet does not keep
/// the others waiting.
pub(super) async fn repair(
    tools: &Services,
    repairs: &[Repair],
    time: RunTime,
    report: &mut ReminderReport,
) -> Result<(), Error> {
    for (done, repair) in repairs.iter().enumerate() {
        if !time.is_left(REPAIR_TIME) {
            // They stay due, and the next run begins with them.
            report.left += repairs.len() - done;
            break;
        }
        // Those before may have taken minutes.
        let now = tools.clock.now();
        match mend(tools, repair, now).await {
            Ok(()) => {
                tools.store.commit_one(outbox::withdraw_repair(&repair.session, repair.at)).await?;
                report.repaired += 1;
            }
            Err(error) => {
                tracing::warn!(event = "session.repair_failed", session_id = %repair.session, %error);
                put_off(tools, repair, tools.clock.now()).await?;
                report.left += 1;
            }
        }
    }
    Ok(())
}

/// Has a repair looked at again later, the later the longer it has been due: it is not every run's
/// first business. One that cannot be done in a fortnight is given up.
async fn put_off(tools: &Services, repair: &Repair, now: Timestamp) -> Result<(), Error> {
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

async fn mend(tools: &Services, repair: &Repair, now: Timestamp) -> Result<(), Error> {
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

/// Until when a repair that begins at `now` has in hand what it takes.
fn hold_until(now: Timestamp) -> Timestamp {
    whole_milli(now).saturating_add(SignedDuration::from_secs(HOLD_SECONDS)).unwrap_or(now)
}

/// Zoom with a token of the trainer, for a meeting in `account`. Where they have connected another account since, Zoom
/// would say that there is no such meeting, which is not so: it waits until they are back.
async fn zoom_of<'a>(
    tools: &'a Services,
    trainer: &UserId,
    session: &SessionId,
    account: Option<&str>,
) -> Result<ZoomMeetings<'a>, Error> {
    let connection = tools.store.connection(trainer).await?;
    let ready = tools.fresh(trainer, connection).await?;
    if let Err(foreign) = Meeting::is_in(account, &ready.connection.zoom_user.account_id) {
        tracing::warn!(event = "zoom.meeting_left", session_id = %session, why = "another account");
        return Err(foreign.into());
    }
    Ok(ZoomMeetings::new(tools, ready))
}

/// A cancelled class whose meeting may still be there, and may still be on.
async fn delete_meeting(tools: &Services, session: &Session) -> Result<(), Error> {
    let account = session.meeting.account.as_deref();
    let mut zoom = match zoom_of(tools, &session.trainer, &session.id, account).await {
        Ok(zoom) => zoom,
        // The trainer took the grant back; what is left at Zoom is theirs to delete there.
        Err(Error::Refused(Refusal::ZoomNotConnected)) => {
            tracing::warn!(event = "zoom.meeting_left", session_id = %session.id, why = "no grant");
            return Ok(());
        }
        Err(error) => return Err(error),
    };
    zoom.cancel(session.meeting.id, session.is_running()).await?;
    Ok(())
}

/// An edit that ended between Zoom and here: what we hold is what is so, and Zoom is told all of it. The class is taken in
/// hand first, as it was read, so that what Zoom is told cannot come after a newer edit.
async fn restore(
    tools: &Services,
    session: &Session,
    claim: &EditLease,
    now: Timestamp,
) -> Result<(), Error> {
    if claim.until > now {
        return Err(Error::busy("an edit has the class in hand"));
    }
    let mut zoom = match session.provider {
        Provider::Zoom => {
            let account = session.meeting.account.as_deref();
            Some(zoom_of(tools, &session.trainer, &session.id, account).await?)
        }
        Provider::Manual => None,
    };
    let holder = tools.holder();
    let told = &session.settings_told;
    let claim = sessions::claim(session, told, &holder, hold_until(now), now);
    match tools.store.commit_one(claim).await {
        Ok(()) => {}
        Err(CommitError::Refused(_)) => return Err(Error::busy("an edit was quicker")),
        Err(error) => return Err(error.into()),
    }
    let told = match &mut zoom {
        Some(zoom) => zoom.update(session.meeting.id, None, &MeetingPlan::of(session)).await,
        None => Ok(()),
    };
    match told {
        Ok(()) => {}
        // The meeting is gone, and nothing of the class can be wrong there any more.
        Err(MeetingError::Other(Error::Refused(Refusal::Conflict(why)))) => {
            tracing::warn!(event = "zoom.meeting_gone", session_id = %session.id, why);
        }
        Err(error) => {
            // The claim is left to run out at once, as the sign that it still is to be done.
            let now = tools.clock.now();
            let expired = sessions::expire_claim(&session.id, &holder, now);
            if let Err(error) = tools.store.commit_one(expired).await {
                tracing::warn!(event = "session.claim_left", session_id = %session.id, %error);
            }
            return Err(error.into());
        }
    }
    tools.store.commit_one(sessions::release(&session.id, &holder)).await?;
    Ok(())
}

/// A class that was never stored: what was made for it at Zoom is deleted, and the intent with it. Nobody was told of
/// the class, and its request, made again, makes another meeting.
async fn clean_up(tools: &Services, repair: &Repair, now: Timestamp) -> Result<(), Error> {
    let Some(intent) = tools.store.intent(&repair.session).await? else {
        return delete_strays(tools, repair, None).await;
    };
    let attempt = tools.holder();
    // From here on the request that died, should it live after all, can store nothing.
    tools.store.commit_one(intents::take_away(&intent, &attempt, hold_until(now), now)).await?;
    let deleted = delete_strays(tools, repair, Some(&attempt)).await;
    match &deleted {
        Ok(())
        // Without the grant nobody knows when Zoom can be asked; the trainer's month need not wait for it. The repair does.
        | Err(Error::Refused(
            Refusal::ZoomNotConnected | Refusal::ReauthRequired | Refusal::Conflict(_),
        )) => {}
        Err(_) => {
            let given = intents::give_back(&repair.session, &attempt, tools.clock.now());
            if let Err(error) = tools.store.commit_one(given).await {
                tracing::warn!(event = "session.intent_left", session_id = %repair.session, %error);
            }
            return deleted;
        }
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
async fn delete_strays(tools: &Services, repair: &Repair, attempt: Option<&str>) -> Result<(), Error> {
    let account = repair.account.as_deref();
    let mut zoom = zoom_of(tools, &repair.trainer, &repair.session, account).await?;
    let marked = zoom.marked(&repair.session, &repair.topic, repair.starts_at).await?;
    if marked.is_empty() {
        return Ok(());
    }
    let id = &repair.session;
    let mut found = tools.store.batch_get(&[ItemKey::Session(id), ItemKey::Intent(id)]).await?;
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
