//! `attendance`: the report, what is decided of it by hand, and the trail of those decisions.

pub mod record;

use std::time::Duration;

use futures::future;
use jiff::Timestamp;

use super::error::Error;
use crate::domain::attendance::overrides::{self, AttendanceOverride, AttendanceOverrides, OverrideRequest};
use crate::domain::attendance::{AttendeeId, ReportInputs, People, AttendanceReport, ReportRow, Threshold};
use crate::domain::caller::{Caller, Role};
use crate::domain::id::SessionId;
use crate::domain::refusal::Refusal;
use crate::domain::session::Session;
use crate::domain::time::{plus, whole_milli};
use crate::domain::zoom_event::ZoomEvent;
use crate::random::Random;
use crate::store::Store;
use crate::store::archive::{self, DueArchive};
use crate::store::attendance::{self as items, AuditEntry, StoredOverride, AuditCursor};
use crate::store::error::CommitError;
use crate::store::tx::ConditionSubject;

/// Tries against others who decide of the same row at the same time, which people do not do for long.
const ROUNDS: u32 = 4;
/// How exactly a decision's time is kept.
const MOMENT: Duration = Duration::from_millis(1);

/// What the report is asked of and by whose measure.
#[derive(Clone, Copy, Debug)]
pub struct AttendanceContext<'a> {
    pub store: &'a Store,
    pub random: &'a Random,
    pub threshold: Threshold,
    pub now: Timestamp,
}

/// What somebody decides of a row, and why.
#[derive(Clone, Debug)]
pub struct OverrideCall {
    pub attendee: AttendeeId,
    pub wish: OverrideRequest,
    pub reason: String,
}

/// Everything that is known of a class's attendance.
struct Known {
    session: Session,
    events: Vec<ZoomEvent>,
    people: People,
    kept: Vec<StoredOverride>,
}

impl Known {
    fn rulings(&self) -> AttendanceOverrides {
        self.kept.iter().map(|kept| (kept.attendee.clone(), kept.ruling.clone())).collect()
    }

    fn report(&self, rulings: &AttendanceOverrides, desk: &AttendanceContext<'_>) -> AttendanceReport {
        AttendanceReport::of(&ReportInputs {
            session: &self.session,
            events: &self.events,
            people: &self.people,
            rulings,
            threshold: desk.threshold,
            now: desk.now,
        })
    }
}

/// The report of a class, for its owner and for administrators.
pub async fn report(desk: &AttendanceContext<'_>, caller: &Caller, id: &SessionId) -> Result<AttendanceReport, Error> {
    let session = readable(desk.store, caller, id).await?;
    let known = known(desk, session).await?;
    Ok(known.report(&known.rulings(), desk))
}

/// Decides something of a row; answers the row that shows it. The same decision again, by the same person for the same
/// reason, is a repeated request and changes nothing.
pub async fn decide(
    desk: &AttendanceContext<'_>,
    caller: &Caller,
    id: &SessionId,
    request: &OverrideCall,
) -> Result<ReportRow, Error> {
    for _ in 0..ROUNDS {
        let session = readable(desk.store, caller, id).await?;
        let known = known(desk, session).await?;
        let before = known.rulings();
        let report_before = known.report(&before, desk);
        let decision = overrides::decide(&report_before, &before, &request.attendee, &request.wish)?;
        let mut after = before.clone();
        after.extend(decision.changed.clone());
        let report_after = known.report(&after, desk);
        let mut actions = Vec::new();
        for (attendee, ruling) in &decision.changed {
            let read = known.kept.iter().find(|kept| kept.attendee == *attendee);
            let is_repeated = read.is_some_and(|read| {
                read.ruling == *ruling && read.by == caller.id && read.reason == request.reason
            });
            // To give back to the rule what the rule decides changes nothing.
            let is_idle = *ruling == AttendanceOverride::default()
                && read.is_none_or(|read| read.ruling == AttendanceOverride::default());
            if is_repeated || is_idle {
                continue;
            }
            // A row's entries are in the order in which they were decided, also where that was within one moment or by
            // clocks that differ: the next begins where the one before it ended.
            let now = whole_milli(desk.now);
            let after_last = read.and_then(|read| read.at).map(|last| plus(last, MOMENT));
            let at = after_last.map_or(now, |after_last| now.max(after_last));
            let about = ruling.assigned_to.as_ref().unwrap_or(attendee);
            let kept = StoredOverride {
                attendee: attendee.clone(),
                ruling: ruling.clone(),
                whose: known.people.known_by(about),
                at: Some(at),
                by: caller.id.clone(),
                reason: request.reason.clone(),
                revision: read.map_or(0, |read| read.revision) + 1,
            };
            let entry = AuditEntry {
                at,
                by: caller.id.clone(),
                attendee: attendee.clone(),
                old: overrides::state(&report_before, &before, attendee),
                new: overrides::state(&report_after, &after, attendee),
                reason: request.reason.clone(),
            };
            let nonce = data_encoding::BASE32_NOPAD.encode(&desk.random.bytes::<5>());
            actions.push(items::put_override(id, &kept, read.map(|read| read.revision)));
            actions.push(items::put_entry(id, &entry, &nonce));
        }
        let row = report_after.row(&decision.shown).cloned().ok_or(Refusal::NotFound)?;
        if actions.is_empty() {
            return Ok(row);
        }
        match desk.store.commit(actions).await {
            Ok(()) => {
                tracing::info!(event = "attendance.decided", session_id = %id, attendee_id = %request.attendee);
                return Ok(row);
            }
            Err(CommitError::Refused(subjects)) if subjects.contains(&ConditionSubject::Ruling) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(Error::busy("others keep deciding of the same row"))
}

/// A page of the trail, newest first, and where the next begins.
pub async fn trail(
    store: &Store,
    caller: &Caller,
    id: &SessionId,
    after: Option<&AuditCursor>,
    limit: usize,
) -> Result<(Vec<AuditEntry>, Option<AuditCursor>), Error> {
    readable(store, caller, id).await?;
    Ok(store.attendance_trail(id, after, limit).await?)
}

/// The class, if the caller may know who was there. To everybody else it does not exist.
async fn readable(store: &Store, caller: &Caller, id: &SessionId) -> Result<Session, Error> {
    let session = store.session(id).await?.ok_or(Refusal::NotFound)?.session;
    if !caller.is(Role::Admin) {
        session.owned_by(caller)?;
    }
    Ok(session)
}

async fn known(desk: &AttendanceContext<'_>, session: Session) -> Result<Known, Error> {
    let gathering = record::gather(desk.store, &session, desk.now);
    let (gathered, kept) = future::try_join(gathering, desk.store.rulings(&session.id)).await?;
    if gathered.archive.is_some_and(|archive| !archive.is_of(&session)) {
        ask_to_keep(desk.store, &session).await;
    }
    let decided = kept.iter().filter_map(|kept| Some((kept.about()?, kept.whose.as_ref()?)));
    let people = gathered.record.people(&session).and_decided(decided);
    Ok(Known { events: gathered.record.events, people, kept, session })
}

/// Of a class that is long over and was held before attendance was kept. The report does not fail for it.
async fn ask_to_keep(store: &Store, session: &Session) {
    if let Err(error) = store.commit_one(archive::set_due(&DueArchive::of(session))).await {
        tracing::warn!(event = "attendance.not_asked_to_keep", session_id = %session.id, %error);
    }
}
