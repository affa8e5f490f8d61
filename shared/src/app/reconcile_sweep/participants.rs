//! Reads Zoom's lists of the participants of a session, the second source of its attendance.

use jiff::Timestamp;

use super::outcome::Look;
use super::past_meetings::PastMeetingCalls;
use crate::app::Services;
use crate::app::attendance::sources::own_events;
use crate::app::error::Error;
use crate::app::zoom_rate_limiter::ZoomRateLimiter;
use crate::domain::attendance::{Percent, accuracy, erased, record, summary};
use crate::domain::correction::{CorrectedPart, Correction, CorrectionSource};
use crate::domain::hosting::Hosting;
use crate::domain::id::MeetingId;
use crate::domain::session::Session;
use crate::domain::time::whole_milli;
use crate::domain::zoom_report::InstanceReport;
use crate::store::archive::{self, DueArchive};
use crate::store::attendance_summaries::invalidate_summary;
use crate::store::corrections;
use crate::store::events::MeetingItems;
use crate::store::sessions::SessionRecord;
use crate::telemetry::metrics;

/// Instances whose lists are read, the latest ones. A trainer whose connection breaks restarts a meeting a few times.
const INSTANCE_LIMIT: usize = 12;

/// The stored lists of a session, before or after the comparison.
struct Lists<'a>(&'a [InstanceReport]);

impl Lists<'_> {
    fn of(&self, uuid: &str) -> Option<&InstanceReport> {
        self.0.iter().find(|report| report.instance_uuid == uuid)
    }

    fn are_complete(&self, instances: &[String]) -> bool {
        instances.iter().all(|uuid| self.of(uuid).is_some_and(|report| report.is_complete))
    }
}

/// Stores Zoom's lists of the session's instances, if they have changed.
pub(super) async fn compare(
    tools: &Services,
    limiter: &mut ZoomRateLimiter,
    record: &SessionRecord,
) -> Result<Look, Error> {
    let session = &record.session;
    let Some(meeting) = session.meeting.id else { return Ok(Look::Unchanged) };
    let window = session.session_window();
    let own = window.own_instances(&session.meeting_instances).rev();
    let instances: Vec<_> = own.take(INSTANCE_LIMIT).map(|it| it.uuid.clone()).collect();
    if instances.is_empty() {
        return Ok(Look::Unchanged);
    }
    let items = tools.store.meeting_items(meeting).await?;
    let before = items.zoom_reports();
    let mut calls = PastMeetingCalls::new(tools, limiter, session).await?;
    let mut changed = Vec::new();
    for uuid in &instances {
        let Some(mut report) = calls.participants(uuid).await? else { continue };
        // Zoom may recompute a list that was complete. The stored one is better until it is complete again.
        let known = before.iter().find(|known| known.instance_uuid == *uuid);
        erased::anonymize_report(&mut report, &items.markers()?);
        let is_less = known.is_some_and(|known| known.is_complete && !report.is_complete);
        if known != Some(&report) && !is_less {
            changed.push(report);
        }
    }
    let is_new = before.is_empty();
    let after = store(tools, session, meeting, &items, changed.clone()).await?;
    Ok(match (Lists(&after).are_complete(&instances), changed.is_empty()) {
        (false, _) => Look::Incomplete,
        (true, true) => Look::Unchanged,
        (true, false) => Look::Corrected { is_new },
    })
}

/// Stores the changed lists, and returns all lists. The timeline shows if they correct the attendance.
async fn store(
    tools: &Services,
    session: &Session,
    meeting: MeetingId,
    items: &MeetingItems,
    changed: Vec<InstanceReport>,
) -> Result<Vec<InstanceReport>, Error> {
    let before = items.zoom_reports();
    if changed.is_empty() {
        return Ok(before);
    }
    let now = whole_milli(tools.clock.now());
    let is_changed = |uuid: &str| changed.iter().any(|report| report.instance_uuid == uuid);
    let unchanged = before.iter().filter(|report| !is_changed(&report.instance_uuid)).cloned();
    let after: Vec<_> = unchanged.chain(changed.iter().cloned()).collect();
    for report in changed {
        tools.store.save_zoom_report(meeting, items, report, now).await?;
    }
    let measured = measure(session, items, &before, &after, now);
    let mut actions = Vec::new();
    if measured.is_some_and(|accuracy| accuracy < Percent::ratio(1, 1)) {
        let source = match session.meeting.hosting() {
            Hosting::Platform => CorrectionSource::AccountReport,
            Hosting::Trainer => CorrectionSource::ParticipantList,
        };
        let part = CorrectedPart::Participants;
        let correction = Correction { at: now, part, source, count: None };
        actions.push(corrections::put(&session.id, &correction, part.as_str()));
    }
    if summary::may_be_summarised(session, now) {
        actions.push(invalidate_summary(&session.id));
    }
    if record::may_have_archive(session, now) {
        actions.push(archive::put_due_archive(&DueArchive::for_session(session)));
    }
    if !actions.is_empty() {
        tools.store.commit(actions).await?;
    }
    Ok(after)
}

/// Returns the share of the attendance on which the events and the new lists agree. It is recorded once per session, when
/// its lists become complete.
fn measure(
    session: &Session,
    items: &MeetingItems,
    before: &[InstanceReport],
    after: &[InstanceReport],
    now: Timestamp,
) -> Option<Percent> {
    let are_complete = |reports: &[InstanceReport]| {
        !reports.is_empty() && reports.iter().all(|report| report.is_complete)
    };
    if !are_complete(after) {
        return None;
    }
    let measured = accuracy(session, &own_events(session, items), after, now)?;
    if !are_complete(before) {
        metrics::ATTENDANCE_ACCURACY.record(measured.whole());
        tracing::info!(event = "attendance.compared", session_id = %session.id, accuracy = %measured);
    }
    Some(measured)
}
