//! Moves a session after a change of its time zone's rules, so that it stays at its local time.
//!
//! Version, sequence, reminders and domain event change in one transaction. It also stores an expired edit lease and a
//! repair, which sends the meeting to Zoom.

use jiff::Timestamp;

use super::edit::{EditDecision, EditInputs, commit_edit, month_count_actions};
use super::new_repair;
use super::overlap::BookingChange;
use crate::app::Services;
use crate::app::error::Error;
use crate::domain::audience::Audience;
use crate::domain::bookings::Booking;
use crate::domain::id::SessionId;
use crate::domain::meeting_fields::edited_digests;
use crate::domain::plan::PlanLimits;
use crate::domain::session::Provider;
use crate::domain::time::whole_milli;
use crate::store::due_work::repairs::RepairTask;
use crate::store::sessions::{self, SessionRecord, UpdateBasis};

/// Moves a session to the instant of its local time. Returns whether it moved.
///
/// It is an edit without a caller: reminders, invitations and calendar entries follow. Zoom follows with a repair, which
/// sends every field.
pub async fn apply_zone_rules(
    services: &Services,
    id: &SessionId,
    now: Timestamp,
) -> Result<bool, Error> {
    let Some(record) = services.store.session(id).await? else { return Ok(false) };
    let Some(mut next) = record.session.with_current_zone_rules(whole_milli(now)) else {
        return Ok(false);
    };
    let lease_holder = expired_lease(&record, now)?;
    let (invitees, links) = services.store.invitees_with_links(&record.session).await?;
    if !invitees.is_empty() {
        // The list is indexed by the start.
        next.audience =
            Audience::Invitees { list: services.new_invitee_list(), count: invitees.len() };
    }
    let limits = PlanLimits::default();
    let mut actions = month_count_actions(&record.session, &next, &limits, now);
    let basis = UpdateBasis { record: &record, lease_holder, replaces_drift: false };
    match next.provider {
        Provider::Zoom if next.meeting.pending.is_none() => {
            let holder = services.new_lease_holder();
            actions.push(sessions::update_before_zoom(&next, &basis, &holder, now));
            // Zoom still has the former values, which are not a change of the trainer.
            let sent = edited_digests(Some(&next), &record.session);
            let task = RepairTask::CompareMeeting { attempt: holder, sent };
            actions.push(new_repair(&next, whole_milli(now), task).put());
        }
        // Zoom has no meeting to change.
        Provider::Zoom | Provider::Manual => actions.push(sessions::update(&next, &basis)),
    }
    let decision = EditDecision {
        next,
        rewrites_invitees: !invitees.is_empty(),
        invitees: invitees.clone(),
        audience_changed: false,
        calendar_changed: true,
    };
    let booking = BookingChange::forced(
        Booking::of_session(&record.session),
        Booking::of_session(&decision.next),
    );
    let inputs = EditInputs {
        record,
        invitees,
        links,
        limits,
        course: None,
        connection: None,
        booking,
        host_capacity: None,
        platform_host: None,
    };
    match commit_edit(services, &inputs, decision, actions, now).await? {
        Some(_) => Ok(true),
        None => Err(Error::busy("another request is changing the session")),
    }
}

/// Returns the holder of the lease that is replaced, if there is one. If the sweep that made the meeting has died, its repair
/// deletes a meeting with the former start. An edit that has died is compared with Zoom first.
fn expired_lease(record: &SessionRecord, now: Timestamp) -> Result<Option<&str>, Error> {
    let is_pending = record.session.meeting.pending.is_some();
    match &record.edit_lease {
        None => Ok(None),
        Some(lease) if is_pending && lease.until <= now => Ok(Some(&lease.holder)),
        Some(_) => Err(Error::busy("an edit is in progress")),
    }
}
