//! Looks for starts and ends of a session's meeting whose events were lost.

use jiff::{SignedDuration, Timestamp};

use super::outcome::Look;
use super::past_meetings::PastMeetingCalls;
use crate::app::Services;
use crate::app::error::Error;
use crate::app::zoom_rate_limiter::ZoomRateLimiter;
use crate::domain::attendance::record;
use crate::domain::correction::{CorrectedPart, Correction, CorrectionSource};
use crate::domain::meeting_instance::InstanceEvent;
use crate::domain::session::Session;
use crate::domain::time::whole_milli;
use crate::store::archive::{self, DueArchive};
use crate::store::corrections;
use crate::store::error::CommitError;
use crate::store::sessions::{self, SessionRecord};
use crate::store::tx::Action;
use crate::zoom::past_meetings::{PastInstance, PastInstanceTimes};

/// Instances whose times are read, the latest ones. A trainer whose connection breaks restarts a meeting a few times.
const INSTANCE_LIMIT: usize = 12;
/// Zoom: the longest meeting. An instance that started earlier before the window has ended before it.
const LONGEST_MEETING: SignedDuration = SignedDuration::from_hours(30);
/// Attempts against concurrent events of the same meeting.
const ATTEMPTS: usize = 5;

/// Merges the ended instances of the session's meeting that Zoom lists into the session.
///
/// The domain events of a start are not repeated: nobody is invited to join a meeting that has ended. The start reminder and
/// the archiving do not depend on events.
pub(super) async fn compare(
    tools: &Services,
    limiter: &mut ZoomRateLimiter,
    record: &SessionRecord,
) -> Result<Look, Error> {
    let session = &record.session;
    let Some(meeting) = session.meeting.id else { return Ok(Look::Unchanged) };
    let mut calls = PastMeetingCalls::new(tools, limiter, session).await?;
    let mut listed = calls.instances(meeting).await?;
    listed.retain(|instance| may_correct(session, instance));
    listed.sort_by_key(|instance| std::cmp::Reverse(instance.started_at));
    let mut ended = Vec::new();
    for PastInstance { uuid, .. } in listed.into_iter().take(INSTANCE_LIMIT) {
        if let Some(times) = calls.instance_times(&uuid).await? {
            ended.push((uuid, times));
        }
    }
    store(tools, record.clone(), &ended).await
}

/// Returns whether an instance may belong to the session, and its end is not known.
fn may_correct(session: &Session, instance: &PastInstance) -> bool {
    let window = session.session_window();
    let earliest = window.opens_at.saturating_sub(LONGEST_MEETING).unwrap_or(Timestamp::MIN);
    let is_compacted =
        session.earlier_instances.is_some_and(|earlier| earlier.contains(instance.started_at));
    match session.meeting_instance(&instance.uuid) {
        Some(known) => known.ended_at.is_none(),
        None => (earliest..window.closes_at).contains(&instance.started_at) && !is_compacted,
    }
}

/// Returns the session with the instances that belong to it, or that are known.
fn corrected(session: &Session, ended: &[(String, PastInstanceTimes)]) -> Session {
    let window = session.session_window();
    let mut next = session.clone();
    for (uuid, PastInstanceTimes { started_at, ended_at }) in ended {
        let is_own = window.overlaps(*started_at, Some(*ended_at));
        if is_own || session.meeting_instance(uuid).is_some() {
            let event = InstanceEvent::Ended { started_at: Some(*started_at), at: *ended_at };
            next = next.with_instance_event(uuid, event);
        }
    }
    next
}

async fn store(
    tools: &Services,
    mut record: SessionRecord,
    ended: &[(String, PastInstanceTimes)],
) -> Result<Look, Error> {
    for _ in 0..ATTEMPTS {
        let session = &record.session;
        let next = corrected(session, ended);
        if next == *session {
            return Ok(Look::Unchanged);
        }
        let is_new =
            next.meeting_instances.iter().any(|it| session.meeting_instance(&it.uuid).is_none());
        let actions = correction_actions(&record, &next, whole_milli(tools.clock.now()));
        match tools.store.commit(actions).await {
            Ok(()) => {
                if next.status != session.status {
                    tracing::info!(event = "session.status_changed", session_id = %session.id, status = next.status.as_str());
                }
                return Ok(Look::Corrected { is_new });
            }
            // A late event has changed the session.
            Err(CommitError::Refused(_)) => {}
            Err(error) => return Err(error.into()),
        }
        let Some(current) = tools.store.session(&record.session.id).await? else {
            return Ok(Look::Unchanged);
        };
        record = current;
    }
    Err(Error::busy("too many concurrent events of the meeting"))
}

/// Returns the transaction that stores `next` with the correction for the timeline.
fn correction_actions(record: &SessionRecord, next: &Session, at: Timestamp) -> Vec<Action> {
    let session = &record.session;
    let known = |uuid: &str| session.meeting_instance(uuid);
    let new = next.meeting_instances.iter().filter(|it| known(&it.uuid).is_none());
    let changed = next.meeting_instances.iter().filter(|it| known(&it.uuid) != Some(*it)).count();
    let mut actions = vec![sessions::apply_meeting_events(next, record.meeting_revision)];
    actions.extend(new.map(|instance| {
        sessions::put_instance_pointer(&instance.uuid, &session.id, &session.trainer)
    }));
    let (part, source) = (CorrectedPart::Lifecycle, CorrectionSource::PastMeeting);
    let correction = Correction { at, part, source, count: Some(changed) };
    actions.push(corrections::put(&session.id, &correction, part.as_str()));
    if record::may_have_archive(session, at) {
        // The archive may have been written without these instances.
        actions.push(archive::put_due_archive(&DueArchive::for_session(next)));
    }
    actions
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::session::{Status, testing};
    use crate::domain::time::plus_minutes;

    fn session() -> Session {
        testing::session("2026-11-22T11:00:00Z".parse().unwrap(), Status::Scheduled)
    }

    fn at(session: &Session, minute: i64) -> Timestamp {
        plus_minutes(session.details.starts_at, minute)
    }

    #[test]
    fn only_instances_in_the_window_are_merged() {
        let session = session();
        // The window is open from minute -15 to minute 150.
        for (from, to, status) in [
            (-60, -15, Status::Scheduled),
            (-60, -14, Status::Scheduled),
            (-10, 0, Status::Scheduled),
            (-10, 30, Status::Ended),
            (0, 60, Status::Ended),
            (149, 200, Status::Ended),
            (150, 200, Status::Scheduled),
        ] {
            let times =
                PastInstanceTimes { started_at: at(&session, from), ended_at: at(&session, to) };
            let next = corrected(&session, &[("u".to_owned(), times)]);
            assert_eq!(next.status, status, "{from} to {to}");
            assert_eq!(next.actual_started_at.is_some(), status == Status::Ended, "{from} to {to}");
        }
    }

    #[test]
    fn instances_with_a_known_end_are_not_read_again() {
        let session = session();
        let listed =
            |minute: i64| PastInstance { uuid: "u".to_owned(), started_at: at(&session, minute) };
        for (minute, expected) in
            [(-15 - 30 * 60 - 1, false), (-60, true), (149, true), (150, false)]
        {
            assert_eq!(may_correct(&session, &listed(minute)), expected, "{minute}");
        }
        let started =
            session.clone().with_instance_event("u", InstanceEvent::Running(at(&session, 0)));
        assert!(may_correct(&started, &listed(0)));
        let ended = InstanceEvent::Ended { started_at: None, at: at(&session, 60) };
        assert!(!may_correct(&started.with_instance_event("u", ended), &listed(0)));
    }
}
