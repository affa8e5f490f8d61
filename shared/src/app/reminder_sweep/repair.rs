//! Repairs sessions that may differ from their meeting at Zoom.
//!
//! Zoom may carry out a call that it has not answered. The repair of a create or edit therefore stays, and looks again
//! after 10 and 60 minutes. So does the repair of an edit whose second attempt was answered. Without a connection, or
//! if the trainer has connected another Zoom user, a repair waits two weeks for the host of the meeting.

mod compare;

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::ReminderReport;
use crate::app::Services;
use crate::app::error::Error;
use crate::app::meeting::{MeetingProvider, ZoomMeetings};
use crate::app::run_time::RunTime;
use crate::app::session_cancel::{failure_reason, record_meeting_deletion};
use crate::domain::hosting::MeetingHost;
use crate::domain::id::UserId;
use crate::domain::refusal::Refusal;
use crate::domain::session::{Session, Status};
use crate::domain::time::whole_milli;
use crate::store::due_work::repairs::{Repair, RepairTask};
use crate::store::error::CommitError;
use crate::store::schema::{ItemKey, limit};
use crate::store::sessions::{MeetingDeletion, SessionRecord};
use crate::store::{intents, sessions};
use crate::telemetry::metrics;

/// The limits of the delay before a failed repair is retried.
const MIN_RETRY_MINUTES: i64 = 5;
const MAX_RETRY_MINUTES: i64 = 60;
/// The remaining time required for another repair, which takes 37 s if Zoom answers a change of the start and two reads late.
const REPAIR_TIME: Duration = Duration::from_secs(40);
/// The duration of a lease that a repair takes. It is longer than the function's timeout (see `template.yaml`). The
/// lease is released early unless the run dies.
const LEASE_SECONDS: i64 = 150;

/// Runs due repairs sequentially, oldest first, as far as time allows. A failed repair does not block the others. `repairs`
/// are those that an earlier version stored among the other due work. All hosts of the platform share the limits of one
/// account, so after Zoom has limited one of their repairs, the others leave the account to people until the next run.
pub(super) async fn run_due_repairs(
    tools: &Services,
    mut repairs: Vec<Repair>,
    now: Timestamp,
    time: RunTime,
    report: &mut ReminderReport,
) -> Result<(), Error> {
    let own = tools.store.due_repairs(now).await?;
    report.due += own.len();
    repairs.extend(own);
    repairs.sort_by_key(|repair| repair.due_at);
    let mut account_is_limited = false;
    for (done, repair) in repairs.iter().enumerate() {
        if !time.has_left(REPAIR_TIME) {
            // The rest stays due for the next run.
            report.leave(repairs.len() - done);
            break;
        }
        let is_in_account = matches!(repair.host, MeetingHost::Platform(_));
        if is_in_account && account_is_limited {
            report.postponed += 1;
            continue;
        }
        // The previous repairs may have taken minutes.
        let now = tools.clock.now();
        let mut repair = repair.clone();
        match repair_session(tools, &mut repair, now).await {
            Ok(outcome) => {
                let next = (outcome == RepairOutcome::LookAgain)
                    .then(|| repair.next_check(tools.clock.now()))
                    .flatten();
                match next {
                    Some(next) => tools.store.commit(vec![repair.delete(), next.put()]).await?,
                    None => tools.store.commit_one(repair.delete()).await?,
                }
                report.repaired += 1;
            }
            Err(error) if is_settled(&repair, &error, tools.clock.now()) => {
                tracing::info!(event = "session.repair_ended", session_id = %repair.session, %error);
                tools.store.commit_one(repair.delete()).await?;
                report.repaired += 1;
            }
            Err(error) => {
                account_is_limited |= is_in_account && matches!(error, Error::ZoomLimited { .. });
                tracing::warn!(event = "session.repair_failed", session_id = %repair.session, %error);
                postpone(tools, &repair, tools.clock.now()).await?;
                report.postponed += 1;
            }
        }
    }
    Ok(())
}

/// The outcome of a repair that succeeded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum RepairOutcome {
    Done,
    /// Zoom may still carry out the call.
    LookAgain,
}

/// Returns whether a repair without a grant need not be retried: an earlier check found nothing more to do, and Zoom has had
/// time since.
fn is_settled(repair: &Repair, error: &Error, now: Timestamp) -> bool {
    let without_grant = matches!(
        error,
        Error::Refused(
            Refusal::ZoomNotConnected | Refusal::ReauthRequired | Refusal::OtherZoomUser { .. }
        )
    );
    without_grant && repair.is_checked && repair.next_check(now).is_none()
}

/// Postpones a failed repair with a delay that grows with its age. Gives it up after two weeks.
async fn postpone(tools: &Services, repair: &Repair, now: Timestamp) -> Result<(), Error> {
    let waited = now.duration_since(repair.first_due_at);
    let mut actions = vec![repair.delete()];
    if !is_last_attempt(repair, now) {
        let pause = waited.clamp(
            SignedDuration::from_mins(MIN_RETRY_MINUTES),
            SignedDuration::from_mins(MAX_RETRY_MINUTES),
        );
        let at = whole_milli(now).saturating_add(pause).unwrap_or(now);
        actions.push(Repair { due_at: at, ..repair.clone() }.put());
    } else {
        tracing::error!(event = "session.repair_given_up", session_id = %repair.session);
        metrics::GIVEN_UP.count();
    }
    Ok(tools.store.commit(actions).await?)
}

async fn repair_session(
    tools: &Services,
    repair: &mut Repair,
    now: Timestamp,
) -> Result<RepairOutcome, Error> {
    let record = tools.store.session(&repair.session).await?;
    match (&repair.task, record) {
        (RepairTask::UndoCreate { topic, starts_at, .. }, record) => {
            let search = StraySearch { repair, topic, starts_at: *starts_at };
            let deleted = match record {
                // A later attempt created the session. The meeting of the earlier attempt may still exist.
                Some(_) => delete_stray_meetings(tools, &search, None).await?,
                None => clean_up_intent(tools, &search, now).await?,
            };
            // One attempt creates one meeting at most.
            Ok(if deleted > 0 { RepairOutcome::Done } else { RepairOutcome::LookAgain })
        }
        (RepairTask::UndoMeeting { topic, starts_at, .. }, Some(record)) => {
            let search = StraySearch { repair, topic, starts_at: *starts_at };
            let deleted = undo_meeting(tools, &search, &record, now).await?;
            Ok(if deleted > 0 { RepairOutcome::Done } else { RepairOutcome::LookAgain })
        }
        (RepairTask::CompareMeeting { .. }, Some(record)) => {
            compare::compare_meeting(tools, repair, &record, now).await
        }
        (RepairTask::DeleteMeeting, Some(record)) => {
            let deleted = delete_meeting(tools, &record.session).await;
            record_deletion(tools, repair, record.meeting_deletion, &deleted, now).await;
            deleted.map(|()| RepairOutcome::Done)
        }
        (
            RepairTask::UndoMeeting { .. }
            | RepairTask::CompareMeeting { .. }
            | RepairTask::DeleteMeeting,
            None,
        ) => Ok(RepairOutcome::Done),
    }
}

/// Returns the expiry of a lease that is taken at `now`.
fn lease_until(now: Timestamp) -> Timestamp {
    whole_milli(now).saturating_add(SignedDuration::from_secs(LEASE_SECONDS)).unwrap_or(now)
}

/// Returns Zoom access for a meeting of `host`. Fails if the trainer has connected another Zoom user, for whom Zoom
/// would report that the meeting does not exist. The repair then waits until the previous user is connected again.
async fn zoom_meetings<'a>(
    tools: &'a Services,
    trainer: &UserId,
    host: &MeetingHost,
) -> Result<ZoomMeetings<'a>, Error> {
    Ok(ZoomMeetings::new(tools, tools.host_access(trainer, host).await?))
}

/// Deletes the meeting of a cancelled session and ends it if it is running.
async fn delete_meeting(tools: &Services, session: &Session) -> Result<(), Error> {
    let mut zoom = zoom_meetings(tools, &session.trainer, &session.meeting.host()).await?;
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

/// A search for the meeting of a create.
#[derive(Clone, Copy)]
struct StraySearch<'a> {
    repair: &'a Repair,
    topic: &'a str,
    starts_at: Timestamp,
}

/// Deletes the meeting and the intent of a session that was never stored. Nobody was notified of the session, and a
/// retry of its request creates another meeting. Returns the number of deleted meetings.
async fn clean_up_intent(
    tools: &Services,
    search: &StraySearch<'_>,
    now: Timestamp,
) -> Result<usize, Error> {
    let repair = search.repair;
    let Some(intent) = tools.store.intent(&repair.session).await? else {
        return delete_stray_meetings(tools, search, None).await;
    };
    let attempt = tools.new_lease_holder();
    // From now on, the request that created the intent cannot store the session, even if it is still running.
    tools
        .store
        .commit_one(intents::take_over_to_clean_up(&intent, &attempt, lease_until(now), now))
        .await?;
    let deleted = delete_stray_meetings(tools, search, Some(&attempt)).await;
    match &deleted {
        Ok(_)
        // Without a grant the cleanup may take long. The monthly quota is released now and the repair is retried.
        | Err(Error::Refused(
            Refusal::ZoomNotConnected | Refusal::ReauthRequired | Refusal::OtherZoomUser { .. },
        )) => {}
        Err(_) => {
            let now = tools.clock.now();
            let release = intents::release(&repair.session, &attempt, &intent.quotas(), now);
            if let Err(error) = tools.store.commit(release).await {
                tracing::warn!(event = "session.intent_not_released", session_id = %repair.session, %error);
            }
            return deleted;
        }
    }
    tools.store.delete_all_invitees(&repair.session).await?;
    let abandon = intents::abandon(&intent.session_id, &attempt, &intent.quotas());
    tools.store.commit(abandon).await?;
    deleted
}

/// Deletes the meeting of an attempt of the meeting sweep that did not store it. While the session has no meeting, the lease
/// keeps other attempts from adopting it at the same time.
async fn undo_meeting(
    tools: &Services,
    search: &StraySearch<'_>,
    record: &SessionRecord,
    now: Timestamp,
) -> Result<usize, Error> {
    let session = &record.session;
    if session.meeting.pending.is_none() || session.status != Status::Scheduled {
        return delete_stray_meetings(tools, search, None).await;
    }
    let holder = tools.new_lease_holder();
    let until = lease_until(now);
    let lease = sessions::take_meeting_lease(record, &session.meeting, &holder, until, now);
    match tools.store.commit_one(lease).await {
        Ok(()) => {}
        Err(CommitError::Refused(_)) => return Err(Error::busy("the meeting is being made")),
        Err(error) => return Err(error.into()),
    }
    let deleted = delete_stray_meetings(tools, search, None).await;
    let end = match &deleted {
        Ok(_) => sessions::release_edit_lease(&session.id, &holder),
        Err(_) => sessions::expire_edit_lease(&session.id, &holder, tools.clock.now()),
    };
    if let Err(error) = tools.store.commit_one(end).await {
        tracing::warn!(event = "session.lease_not_released", session_id = %session.id, %error);
    }
    deleted
}

/// Deletes meetings with the session's mark that do not belong to the session, and returns their number. Reads the session
/// after Zoom's list, because every meeting is created after its intent was stored: this protects the meeting of a request
/// in progress. `attempt` is the caller's own attempt if the caller has taken over the intent.
async fn delete_stray_meetings(
    tools: &Services,
    search: &StraySearch<'_>,
    attempt: Option<&str>,
) -> Result<usize, Error> {
    let StraySearch { repair, topic, starts_at } = *search;
    let mut zoom = zoom_meetings(tools, &repair.trainer, &repair.host).await?;
    let marked = zoom.find_marked_meetings(&repair.session, topic, starts_at).await?;
    if marked.is_empty() {
        return Ok(0);
    }
    let id = &repair.session;
    let mut found = tools.store.batch_get(&[ItemKey::Session(id), ItemKey::Intent(id)]).await?;
    if found.intent(id)?.is_some_and(|intent| Some(intent.attempt.as_str()) != attempt) {
        return Err(Error::busy("a request for the session is in progress"));
    }
    let own = found.session(id)?.and_then(|record| record.session.meeting.id);
    let mut deleted = 0;
    for stray in marked.iter().filter(|meeting| Some(meeting.id) != own) {
        tracing::warn!(event = "zoom.stray_meeting_deleted", session_id = %id);
        zoom.cancel(Some(stray.id), false).await?;
        deleted += 1;
    }
    Ok(deleted)
}
