//! Loads the attendance sources: Zoom's events, join attempts and audience as they are stored now and, once the
//! session is archived, the archive merged with newer data.

use futures::try_join;
use jiff::Timestamp;
use tokio::sync::OnceCell;

use crate::app::webhook::is_from_host_account;
use crate::domain::attendance::{
    AttendanceRecord, ErasureMarker, JoinIdentity, erased, instance_intervals, record,
};
use crate::domain::audience::{Audience, Invitee};
use crate::domain::directory::{Enrollment, EnrollmentPeriod};
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

/// The enrollments of a course, which are read once for several of its sessions.
#[derive(Debug)]
pub struct CourseRoster {
    course: CourseId,
    /// The start of the first session.
    since: Timestamp,
    periods: OnceCell<Vec<EnrollmentPeriod>>,
}

impl CourseRoster {
    pub fn new<'a>(course: &CourseId, sessions: impl Iterator<Item = &'a Session>) -> Self {
        let since = sessions.map(|session| record::roster_times(session).0).min();
        let since = since.unwrap_or(Timestamp::MAX);
        Self { course: course.clone(), since, periods: OnceCell::new() }
    }

    /// Returns the students who were enrolled at some time of the session. A student has an entry per address that they had.
    async fn students(
        &self,
        store: &Store,
        session: &Session,
    ) -> Result<Vec<Enrollment>, StoreError> {
        let read = || store.enrollments_since(&self.course, self.since);
        let periods = self.periods.get_or_try_init(read).await?.iter();
        let (from, to) = record::roster_times(session);
        let overlapping = periods.filter(|period| period.overlaps(from, to));
        Ok(overlapping.map(|period| period.enrollment.clone()).collect())
    }
}

/// Loads the attendance sources without the people who were erased, whose events may have arrived later.
pub async fn load_attendance_sources(
    store: &Store,
    session: &Session,
    now: Timestamp,
) -> Result<AttendanceSources, StoreError> {
    load_sources_with_roster(store, session, None, now).await
}

/// Like [`load_attendance_sources`], with a roster that several sessions of the course share.
pub async fn load_sources_with_roster(
    store: &Store,
    session: &Session,
    roster: Option<&CourseRoster>,
    now: Timestamp,
) -> Result<AttendanceSources, StoreError> {
    let sources = stored_sources(store, session, roster, now).await?;
    let record = erased::without_erased_people(sources.record, &sources.markers);
    Ok(AttendanceSources { record, ..sources })
}

/// Loads the attendance sources as they are stored.
pub async fn load_stored_sources(
    store: &Store,
    session: &Session,
    now: Timestamp,
) -> Result<AttendanceSources, StoreError> {
    stored_sources(store, session, None, now).await
}

async fn stored_sources(
    store: &Store,
    session: &Session,
    roster: Option<&CourseRoster>,
    now: Timestamp,
) -> Result<AttendanceSources, StoreError> {
    if !record::may_have_archive(session, now) {
        let ((events, reports, markers), join_attempts, (invitees, enrollments)) = try_join!(
            meeting_sources(store, session),
            join_attempts(store, session),
            audience(store, session, roster)
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
        audience(store, session, roster).await?
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

async fn audience(
    store: &Store,
    session: &Session,
    roster: Option<&CourseRoster>,
) -> Result<StoredAudience, StoreError> {
    Ok(match &session.audience {
        Audience::Standalone => (Vec::new(), Vec::new()),
        Audience::Course { id, .. } => {
            let students = match roster.filter(|roster| roster.course == *id) {
                Some(roster) => roster.students(store, session).await?,
                None => {
                    let own = CourseRoster::new(id, std::iter::once(session));
                    own.students(store, session).await?
                }
            };
            (Vec::new(), students)
        }
        Audience::Invitees { list, .. } => {
            let (from, _) = record::roster_times(session);
            (store.invitees_since(&session.id, *list, from).await?, Vec::new())
        }
    })
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
