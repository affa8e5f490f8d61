//! Step 1 of a meeting: the lease on the session with its host, the repair, the count of the day, and the booking if the
//! session has another host than before.

use jiff::{SignedDuration, Timestamp};

use super::daily_limit;
use super::inputs::MeetingInputs;
use crate::app::Services;
use crate::app::access::ZoomAccess;
use crate::app::error::Error;
use crate::app::session_save::new_repair;
use crate::app::session_save::overlap::BookingChange;
use crate::domain::bookings::Booking;
use crate::domain::reminder::Reminder;
use crate::domain::session::{Meeting, Session};
use crate::domain::time::{plus_minutes, whole_milli};
use crate::store::counters::CountedZoomWrite;
use crate::store::due_work::repairs::{Repair, RepairTask};
use crate::store::error::CommitError;
use crate::store::tx::{Action, ConditionSubject};
use crate::store::{due_work, sessions};

/// The duration of the lease. It is longer than the function's timeout (see `template.yaml`).
const LEASE_SECONDS: i64 = 150;
/// When the repair looks for a meeting that no session has. The next attempts come first, because they can adopt it.
const REPAIR_MINUTES: i64 = 15;

/// An attempt that holds the lease.
pub(super) struct MeetingReservation<'a> {
    pub(super) tools: &'a Services,
    pub(super) holder: String,
    /// The session with its host.
    pub(super) session: Session,
    pub(super) repair: Repair,
    /// The write that is counted for the Zoom user's day. `None` until it is certain that Zoom is called.
    pub(super) zoom_write: Option<CountedZoomWrite>,
    pub(super) now: Timestamp,
}

/// The outcome of an attempt to reserve.
pub(super) enum Reserved<'a> {
    Taken(Box<MeetingReservation<'a>>),
    /// The session, its lease or the calendar has changed.
    Busy,
    /// The host has no time for the session.
    Overlap,
}

pub(super) async fn reserve<'a>(
    tools: &'a Services,
    inputs: &MeetingInputs,
    zoom_access: &ZoomAccess,
    now: Timestamp,
) -> Result<Reserved<'a>, Error> {
    let record = &inputs.record;
    let session = with_host(&record.session, zoom_access);
    let mut actions = match host_actions(tools, inputs, &session, zoom_access, now).await {
        Ok(actions) => actions,
        Err(Error::Refused(_)) => return Ok(Reserved::Overlap),
        Err(error) => return Err(error),
    };
    let holder = tools.new_lease_holder();
    let until = whole_milli(now).saturating_add(SignedDuration::from_secs(LEASE_SECONDS));
    let task = RepairTask::UndoMeeting {
        attempt: holder.clone(),
        topic: session.details.title.as_str().to_owned(),
        starts_at: session.details.starts_at,
    };
    let repair = new_repair(&session, plus_minutes(whole_milli(now), REPAIR_MINUTES), task);
    let lease =
        sessions::take_meeting_lease(record, &session.meeting, &holder, until.unwrap_or(now), now);
    actions.extend([lease, repair.put()]);
    // An expired lease means that an earlier attempt has died, and its meeting may exist.
    let zoom_user = &zoom_access.zoom_user().id;
    let (reserved, zoom_write) = match record.edit_lease {
        Some(_) => (tools.store.commit(actions).await, None),
        None => {
            let write = CountedZoomWrite { zoom_user: zoom_user.clone(), at: now };
            (tools.store.commit_zoom_write(actions, zoom_user, now).await, Some(write))
        }
    };
    match reserved {
        Ok(()) => {}
        Err(error) if error.refused(ConditionSubject::ZoomDay) => return Err(daily_limit(now)),
        Err(CommitError::Refused(_)) => return Ok(Reserved::Busy),
        Err(error) => return Err(error.into()),
    }
    let reservation = MeetingReservation { tools, holder, session, repair, zoom_write, now };
    Ok(Reserved::Taken(Box::new(reservation)))
}

fn with_host(session: &Session, zoom_access: &ZoomAccess) -> Session {
    let zoom_user = zoom_access.zoom_user();
    let meeting = Meeting {
        account: zoom_user.account().map(str::to_owned),
        host_user: zoom_user.pseudonym(),
        platform_user: zoom_access.platform_user().cloned(),
        ..session.meeting.clone()
    };
    Session { meeting, ..session.clone() }
}

/// Returns the actions that follow from another host: the booking, and the reminder for the start, on which licences depend.
async fn host_actions(
    tools: &Services,
    inputs: &MeetingInputs,
    next: &Session,
    zoom_access: &ZoomAccess,
    now: Timestamp,
) -> Result<Vec<Action>, Error> {
    let old = &inputs.record.session;
    let (before, after) = (Booking::of_session(old), Booking::of_session(next));
    let mut actions = Vec::new();
    if before != after {
        let days = tools.store.booked_days(before.iter().chain(&after)).await?;
        let allows = old.meeting.pending.as_ref().is_some_and(|pending| pending.allows_overlap);
        let rule = inputs.settings.overlap_rule(zoom_access.hosting(), allows);
        let change = BookingChange { old: before, new: after, days, rule };
        change.check(tools, &old.trainer).await?;
        actions = change.actions();
    }
    let is_hosted_elsewhere = old.meeting.platform_user != next.meeting.platform_user;
    if is_hosted_elsewhere && next.details.starts_at > now {
        actions.push(due_work::put_reminder(next, Reminder::Start));
    }
    Ok(actions)
}
