//! Disguises events of erased people that arrived after the erasure. Reports disguise them as soon as they are read, and
//! this check also rewrites stored events.

use jiff::Timestamp;

use super::ReminderReport;
use crate::app::Services;
use crate::app::attendance::sources::load_stored_sources;
use crate::app::error::Error;
use crate::domain::attendance::erased::telephones;
use crate::domain::attendance::record;
use crate::domain::directory::ERASED_NAME;
use crate::domain::session::Session;
use crate::store::due_work::ErasureCheck;
use crate::store::error::CommitError;
use crate::store::events;

/// Checks due sessions sequentially, because erasures are rare. A failed check is left to the next run.
pub(super) async fn check_erasures(
    tools: &Services,
    checks: &[ErasureCheck],
    now: Timestamp,
    report: &mut ReminderReport,
) -> Result<(), Error> {
    for check in checks {
        match check_session(tools, check, now).await {
            Ok(()) => report.repaired += 1,
            Err(error) => {
                tracing::warn!(event = "session.erasure_check_failed", session_id = %check.session, %error);
                report.postponed += 1;
            }
        }
    }
    Ok(())
}

async fn check_session(
    tools: &Services,
    check: &ErasureCheck,
    now: Timestamp,
) -> Result<(), Error> {
    let mut actions = vec![check.delete()];
    if let Some(stored) = tools.store.session(&check.session).await? {
        let session = stored.session;
        let traces = disguise_late_events(tools, &session, now).await?;
        if traces > 0 {
            tracing::info!(event = "session.late_events_erased", session_id = %session.id, traces);
        }
        let next = record::next_erasure_check(&session, now);
        let next = next.map(|due_at| ErasureCheck { due_at, ..check.clone() });
        actions.extend(next.map(|next| next.put()));
    }
    Ok(tools.store.commit(actions).await?)
}

/// Anonymizes the data stored about erased people since their erasure. Returns the number of traces.
async fn disguise_late_events(
    tools: &Services,
    session: &Session,
    now: Timestamp,
) -> Result<usize, Error> {
    let store = &tools.store;
    let Some(meeting) = session.meeting.id else { return Ok(0) };
    let sources = load_stored_sources(store, session, now).await?;
    if sources.markers.is_empty() {
        return Ok(0);
    }
    let items = store.meeting_items(meeting).await?;
    let mut traces = 0;
    for marker in sources.markers {
        let mut effective = marker.clone().without_known_people(&sources.record);
        let events = &sources.record.events;
        let learned = effective.learn_from(sources.record.participants());
        if effective.add_telephones(telephones(events)) || learned {
            let mut next = marker.clone();
            next.identities.extend(effective.identities.iter().cloned());
            // Stored first, because the events that led to the new identities are about to be anonymized.
            let complete_at = record::last_trace_at(session);
            let ttl = store.event_ttl();
            let extend = events::extend_marker(meeting, &marker, &next, complete_at, ttl);
            match store.commit_one(extend).await {
                Ok(()) => {}
                Err(CommitError::Refused(_)) => {
                    return Err(Error::busy("the person is being erased again"));
                }
                Err(error) => return Err(error.into()),
            }
        }
        let is_match = |instance: &str, event: &_| effective.is_participant(instance, event);
        traces += store.anonymize_participants(meeting, &items, ERASED_NAME, is_match).await?;
        let attempts = store.join_attempts_of_person(&session.id, &effective).await?;
        traces += attempts.len();
        let deletions = attempts.into_iter().map(|(_, delete)| delete).collect();
        store.write_directory(deletions).await?;
        if record::may_have_archive(session, now) {
            let archive = store.archive(&session.id).await?;
            traces += match store.erase_from_archive(&session.id, &archive, &effective).await {
                Ok(traces) => traces,
                Err(CommitError::Refused(_)) => {
                    return Err(Error::busy("another request is writing the archive"));
                }
                Err(error) => return Err(error.into()),
            };
        }
    }
    Ok(traces)
}
