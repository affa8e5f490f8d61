//! Loads the attendance sources: Zoom's events, join attempts and audience as they are stored now and, once the
//! session is archived, the archive merged with newer data.

use futures::try_join;
use jiff::Timestamp;

use crate::app::webhook::is_from_host_account;
use crate::domain::attendance::{
    AttendanceRecord, ErasureMarker, JoinIdentity, erased, instance_intervals, record,
};
use crate::domain::audience::{Audience, Invitee};
use crate::domain::directory::Enrollment;
use crate::domain::id::CourseId;
use crate::domain::session::Session;
use crate::domain::zoom_event::{EventPayload, ZoomEvent};
use crate::domain::zoom_report::InstanceReport;
use crate::store::Store;
use crate::store::archive::Archive;
use crate::store::error::StoreError;
use crate::store::events::MeetingItems;
use crate::store::join_attempts::JoinAttempt;

/// The attendance sources of a session, with the archive that was read for them.
#[derive(Debug)]
pub struct AttendanceSources {
    pub record: AttendanceRecord,
    /// `None` while no archive can exist, which saves one read per report around the time of the session.
    pub archive: Option<Archive>,
    /// The people who were erased from the session.
    pub markers: Vec<ErasureMarker>,
}

/// Loads the attendance sources without the people who were erased, whose events may have arrived later.
pub async fn load_attendance_sources(
    store: &Store,
    session: &Session,
    now: Timestamp,
) -> Result<AttendanceSources, StoreError> {
    let sources = load_stored_sources(store, session, now).await?;
    let record = erased::without_erased_people(sources.record, &sources.markers);
    Ok(AttendanceSources { record, ..sources })
}

/// Loads the attendance sources as they are stored.
pub async fn load_stored_sources(
    store: &Store,
    session: &Session,
    now: Timestamp,
) -> Result<AttendanceSources, StoreError> {
    if !record::may_have_archive(session, now) {
        let ((events, reports, markers), join_attempts, (invitees, enrollments)) = try_join!(
            meeting_sources(store, session),
            join_attempts(store, session),
            audience(store, session)
        )?;
        let record = AttendanceRecord { events, reports, join_attempts, invitees, enrollments };
        return Ok(AttendanceSources { record, archive: None, markers });
    }
    let ((events, reports, markers), join_attempts, archive) = try_join!(
        meeting_sources(store, session),
        join_attempts(store, session),
        store.archive(&session.id)
    )?;
    let (invitees, enrollments) = if archive.is_archive_of(session) {
        (Vec::new(), Vec::new())
    } else {
        audience(store, session).await?
    };
    let current = AttendanceRecord { events, reports, join_attempts, invitees, enrollments };
    let record = archive.merged_with(current, session);
    Ok(AttendanceSources { record, archive: Some(archive), markers })
}

type MeetingSources = (Vec<ZoomEvent>, Vec<InstanceReport>, Vec<ErasureMarker>);

async fn meeting_sources(store: &Store, session: &Session) -> Result<MeetingSources, StoreError> {
    let Some(meeting) = session.meeting.id else { return Ok(MeetingSources::default()) };
    let items = store.meeting_items(meeting).await?;
    Ok((own_events(session, &items), items.zoom_reports(), items.markers()?))
}

/// Returns the events in the items of a session's meeting that belong to the session.
pub fn own_events(session: &Session, items: &MeetingItems) -> Vec<ZoomEvent> {
    let events = items.events().into_iter().map(|stored| stored.event);
    let from_host = events.filter(|event| {
        event.payload != EventPayload::Ignored && is_from_host_account(session, event)
    });
    instance_intervals::events_of_session(session, from_host.collect())
}

async fn join_attempts(
    store: &Store,
    session: &Session,
) -> Result<Vec<(Timestamp, JoinIdentity)>, StoreError> {
    Ok(store.join_attempts(&session.id).await?.into_iter().map(join_identity).collect())
}

type StoredAudience = (Vec<Invitee>, Vec<Enrollment>);

async fn audience(store: &Store, session: &Session) -> Result<StoredAudience, StoreError> {
    Ok(match &session.audience {
        Audience::Standalone => (Vec::new(), Vec::new()),
        Audience::Course { id, .. } => (Vec::new(), enrolled_students(store, session, id).await?),
        Audience::Invitees { list, .. } => {
            let (from, _) = record::roster_times(session);
            (store.invitees_since(&session.id, *list, from).await?, Vec::new())
        }
    })
}

/// Returns the students who were enrolled at some time of the session. A student has an entry per address that they had.
async fn enrolled_students(
    store: &Store,
    session: &Session,
    course: &CourseId,
) -> Result<Vec<Enrollment>, StoreError> {
    let (from, to) = record::roster_times(session);
    let periods = store.enrollments_since(course, from).await?.into_iter();
    Ok(periods.filter(|period| period.overlaps(from, to)).map(|period| period.enrollment).collect())
}

fn join_identity(attempt: JoinAttempt) -> (Timestamp, JoinIdentity) {
    let identity = JoinIdentity {
        admitted: attempt.is_admitted(),
        user: attempt.user_id,
        email: attempt.email,
        name: attempt.name,
        host: attempt.host,
        customer_key: attempt.customer_key,
        registrant: attempt.registrant,
    };
    (attempt.at, identity)
}
