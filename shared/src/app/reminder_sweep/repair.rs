//! Repairs sessions that may differ from their meeting at Zoom.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::ReminderReport;
use crate::app::Services;
use crate::app::error::Error;
use crate::app::meeting::{MeetingError, MeetingPlan, MeetingProvider, ZoomMeetings};
use crate::app::run_time::RunTime;
use crate::app::session_cancel::{failure_reason, record_meeting_deletion};
use crate::domain::id::UserId;
use crate::domain::refusal::Refusal;
use crate::domain::session::{Provider, Session, Status};
use crate::domain::time::whole_milli;
use crate::store::due_work::Repair;
use crate::store::error::CommitError;
use crate::store::schema::{ItemKey, limit};
use crate::store::sessions::{EditLease, MeetingDeletion};
use crate::store::{counters, due_work, intents, sessions};
use crate::telemetry::metrics;

/// The limits of the delay before a failed repair is retried.
const MIN_RETRY_MINUTES: i64 = 5;
const MAX_RETRY_MINUTES: i64 = 60;
/// The remaining time required for another repair, which takes 13 s if Zoom does not respond.
const REPAIR_TIME: Duration = Duration::from_secs(20);
/// The duration of a lease that a repair takes. It is longer than the function's timeout (see `template.yaml`). The
/// lease is released early unless the run dies.
const LEASE_SECONDS: i64 = 150;

/// Runs due repairs sequentially, as far as time allows. A failed repair does not block the others.
pub(super) async fn run_due_repairs(
    tools: &Services,
    repairs: &[Repair],
    time: RunTime,
    report: &mut ReminderReport,
) -> Result<(), Error> {
    for (done, repair) in repairs.iter().enumerate() {
        if !time.has_left(REPAIR_TIME) {
            // The rest stays due for the next run.
            report.postponed += repairs.len() - done;
            break;
        }
        // The previous repairs may have taken minutes.
        let now = tools.clock.now();
        match repair_session(tools, repair, now).await {
            Ok(()) => {
                tools
                    .store
                    .commit_one(due_work::delete_repair(&repair.session, repair.due_at))
                    .await?;
                report.repaired += 1;
            }
            Err(error) => {
                tracing::warn!(event = "session.repair_failed", session_id = %repair.session, %error);
                postpone(tools, repair, tools.clock.now()).await?;
                report.postponed += 1;
            }
        }
    }
    Ok(())
}

/// Postpones a failed repair with a delay that grows with its age. Gives it up after two weeks.
async fn postpone(tools: &Services, repair: &Repair, now: Timestamp) -> Result<(), Error> {
    let waited = now.duration_since(repair.first_due_at);
    let mut actions = vec![due_work::delete_repair(&repair.session, repair.due_at)];
    if !is_last_attempt(repair, now) {
        let pause = waited.clamp(
            SignedDuration::from_mins(MIN_RETRY_MINUTES),
            SignedDuration::from_mins(MAX_RETRY_MINUTES),
        );
        let at = whole_milli(now).saturating_add(pause).unwrap_or(now);
        actions.push(due_work::put_repair(&Repair { due_at: at, ..repair.clone() }));
    } else {
        tracing::error!(event = "session.repair_given_up", session_id = %repair.session);
        metrics::GIVEN_UP.count();
    }
    Ok(tools.store.commit(actions).await?)
}

async fn repair_session(tools: &Services, repair: &Repair, now: Timestamp) -> Result<(), Error> {
    if let Some(record) = tools.store.session(&repair.session).await? {
        let session = record.session;
        return match (session.status, record.edit_lease) {
            (Status::Cancelled, _) => {
                let deleted = delete_meeting(tools, &session).await;
                record_deletion(tools, repair, record.meeting_deletion, &deleted, now).await;
                deleted
            }
            (_, Some(lease)) => restore_meeting(tools, &session, &lease, now).await,
            // A later attempt created the session. The meeting of the earlier attempt may still exist.
            (_, None) => delete_stray_meetings(tools, repair, None).await,
        };
    }
    clean_up_intent(tools, repair, now).await
}

/// Returns the expiry of a lease that is taken at `now`.
fn lease_until(now: Timestamp) -> Timestamp {
    whole_milli(now).saturating_add(SignedDuration::from_secs(LEASE_SECONDS)).unwrap_or(now)
}

/// Returns Zoom access for a meeting of `host_user`. Fails if the trainer has connected another Zoom user, for whom Zoom
/// would report that the meeting does not exist. The repair then waits until the previous user is connected again.
async fn zoom_meetings<'a>(
    tools: &'a Services,
    trainer: &UserId,
    host_user: Option<&str>,
) -> Result<ZoomMeetings<'a>, Error> {
    let connection = tools.store.connection(trainer).await?;
    let ready = tools.usable_access(trainer, connection).await?;
    tools.check_host(host_user, &ready.connection).await?;
    Ok(ZoomMeetings::new(tools, ready))
}

/// Deletes the meeting of a cancelled session and ends it if it is running.
async fn delete_meeting(tools: &Services, session: &Session) -> Result<(), Error> {
    let host_user = session.meeting.host_user.as_deref();
    let mut zoom = zoom_meetings(tools, &session.trainer, host_user).await?;
    zoom.cancel(session.meeting.id, session.is_meeting_running()).await?;
    Ok(())
}

/// Records in the timeline that a meeting is still to be deleted, or that a late deletion has ended.
async fn record_deletion(
    tools: &Services,
    repair: &Repair,
    recorded: Option<MeetingDeletion>,
    deleted: &Result<(), Error>,
    now: Timestamp,
) {
    let deletion = match (recorded, deleted) {
        (None, Ok(())) => return,
        (None, Err(error)) => MeetingDeletion {
            waiting_since: whole_milli(now),
            reason: failure_reason(error).to_owned(),
            ended_at: None,
            is_given_up: false,
        },
        (Some(recorded), Ok(())) => {
            MeetingDeletion { ended_at: Some(whole_milli(now)), ..recorded }
        }
        (Some(recorded), Err(_)) if is_last_attempt(repair, now) => {
            MeetingDeletion { ended_at: Some(whole_milli(now)), is_given_up: true, ..recorded }
        }
        (Some(_), Err(_)) => return,
    };
    record_meeting_deletion(tools, &repair.session, &deletion).await;
}

/// Returns whether a repair that fails at `now` is given up.
fn is_last_attempt(repair: &Repair, now: Timestamp) -> bool {
    now.duration_since(repair.first_due_at) >= SignedDuration::from_hours(24 * limit::DUE_TTL_DAYS)
}

/// Sends the stored session to Zoom after an edit died between Zoom and the table. Takes the edit lease on the version
/// that was read first, so the update cannot overwrite a newer edit.
async fn restore_meeting(
    tools: &Services,
    session: &Session,
    expired: &EditLease,
    now: Timestamp,
) -> Result<(), Error> {
    if expired.until > now {
        return Err(Error::busy("an edit is in progress"));
    }
    let mut zoom = match session.provider {
        Provider::Zoom => {
            let host_user = session.meeting.host_user.as_deref();
            Some(zoom_meetings(tools, &session.trainer, host_user).await?)
        }
        Provider::Manual => None,
    };
    let holder = tools.new_lease_holder();
    let lease =
        sessions::take_edit_lease(session, &session.settings_sent, &holder, lease_until(now), now);
    match tools.store.commit_one(lease).await {
        Ok(()) => {}
        Err(CommitError::Refused(_)) => return Err(Error::busy("another edit has started")),
        Err(error) => return Err(error.into()),
    }
    let updated = match &mut zoom {
        Some(zoom) => {
            zoom.update(session.meeting.id, None, &MeetingPlan::from_session(session)).await
        }
        None => Ok(()),
    };
    match updated {
        Ok(()) => {}
        // The meeting no longer exists, so nothing is left to restore.
        Err(MeetingError::Other(Error::Refused(Refusal::Conflict(reason)))) => {
            tracing::warn!(event = "zoom.meeting_gone", session_id = %session.id, reason);
        }
        Err(error) => {
            // Expires the lease immediately. An expired lease shows that the restore is still due.
            let now = tools.clock.now();
            let expire = sessions::expire_edit_lease(&session.id, &holder, now);
            if let Err(error) = tools.store.commit_one(expire).await {
                tracing::warn!(event = "session.lease_not_released", session_id = %session.id, %error);
            }
            return Err(error.into());
        }
    }
    tools.store.commit_one(sessions::release_edit_lease(&session.id, &holder)).await?;
    Ok(())
}

/// Deletes the meeting and the intent of a session that was never stored. Nobody was notified of the session, and a
/// retry of its request creates another meeting.
async fn clean_up_intent(tools: &Services, repair: &Repair, now: Timestamp) -> Result<(), Error> {
    let Some(intent) = tools.store.intent(&repair.session).await? else {
        return delete_stray_meetings(tools, repair, None).await;
    };
    let attempt = tools.new_lease_holder();
    // From now on, the request that created the intent cannot store the session, even if it is still running.
    tools
        .store
        .commit_one(intents::take_over_to_clean_up(&intent, &attempt, lease_until(now), now))
        .await?;
    let deleted = delete_stray_meetings(tools, repair, Some(&attempt)).await;
    match &deleted {
        Ok(())
        // Without a grant the cleanup may take long. The monthly quota is released now and the repair is retried.
        | Err(Error::Refused(
            Refusal::ZoomNotConnected | Refusal::ReauthRequired | Refusal::OtherZoomUser { .. },
        )) => {}
        Err(_) => {
            let release = intents::release(&repair.session, &attempt, tools.clock.now());
            if let Err(error) = tools.store.commit_one(release).await {
                tracing::warn!(event = "session.intent_not_released", session_id = %repair.session, %error);
            }
            return deleted;
        }
    }
    tools.store.delete_all_invitees(&repair.session).await?;
    let mut actions = vec![intents::finish(&intent.session_id, &attempt)];
    if !intent.quota_released {
        actions.push(counters::release_monthly_quota(&intent.trainer_id, intent.starts_at));
    }
    tools.store.commit(actions).await?;
    deleted
}

/// Deletes meetings with the session's mark that do not belong to the session. Reads the session after Zoom's list,
/// because every meeting is created after its intent was stored: this protects the meeting of a request in progress.
/// `attempt` is the caller's own attempt if the caller has taken over the intent.
async fn delete_stray_meetings(
    tools: &Services,
    repair: &Repair,
    attempt: Option<&str>,
) -> Result<(), Error> {
    let host_user = repair.host_user.as_deref();
    let mut zoom = zoom_meetings(tools, &repair.trainer, host_user).await?;
    let marked =
        zoom.find_marked_meetings(&repair.session, &repair.topic, repair.starts_at).await?;
    if marked.is_empty() {
        return Ok(());
    }
    let id = &repair.session;
    let mut found = tools.store.batch_get(&[ItemKey::Session(id), ItemKey::Intent(id)]).await?;
    if found.intent(id)?.is_some_and(|intent| Some(intent.attempt.as_str()) != attempt) {
        return Err(Error::busy("a request for the session is in progress"));
    }
    let own = found.session(id)?.and_then(|record| record.session.meeting.id);
    for stray in marked.iter().filter(|meeting| Some(meeting.id) != own) {
        tracing::warn!(event = "zoom.stray_meeting_deleted", session_id = %id);
        zoom.cancel(Some(stray.id), false).await?;
    }
    Ok(())
}
