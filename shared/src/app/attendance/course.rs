//! The attendance of a course: a page of students with all classes of a range.
//!
//! A class whose report is final has a stored summary, of which a page reads one part. The summary is computed and
//! stored by the first request. Other classes are computed for every page.

use futures::stream::{self, StreamExt, TryStreamExt};
use jiff::Timestamp;

use super::sources::CourseRoster;
use super::{AttendanceContext, load_report_data_with};
use crate::app::error::Error;
use crate::domain::attendance::course::{StudentPage, StudentRow, student_page};
use crate::domain::attendance::summary::{
    self, AttendanceSummary, SessionFigures, SummarisedStudent,
};
use crate::domain::caller::Caller;
use crate::domain::directory::Enrollment;
use crate::domain::id::{CourseId, SessionId, UserId};
use crate::domain::refusal::Refusal;
use crate::domain::rights::{Operation, Relation};
use crate::domain::session::{Session, Status};
use crate::store::Store;
use crate::store::attendance_summaries::{SummaryBasis, SummaryHead};
use crate::store::error::CommitError;
use crate::store::sessions::SessionFilter;

/// Classes in one table. A course with two classes a week has fewer in a year.
pub const CLASSES_LIMIT: usize = 100;
/// Missing summaries that one request computes and stores. Each takes up to a second in a class of thousands.
const NEW_SUMMARIES_LIMIT: usize = 8;
/// Classes that are computed concurrently. Each may have thousands of events in memory.
const COMPUTED_AT_ONCE: usize = 2;
/// Summaries that are read concurrently.
const READ_AT_ONCE: usize = 16;

/// A request for a page of students.
#[derive(Clone, Debug)]
pub struct CourseRequest {
    pub course: CourseId,
    pub from: Option<Timestamp>,
    pub to: Option<Timestamp>,
    pub after: Option<UserId>,
    pub limit: usize,
}

/// The state of a class's column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClassColumn {
    /// The class has not begun.
    Upcoming,
    /// The summary is not stored yet. A later request stores it.
    Pending,
    Counted(SessionFigures),
}

/// A page of a course's attendance.
#[derive(Debug)]
pub struct CourseAttendance {
    pub course: CourseId,
    /// By start.
    pub classes: Vec<(Session, ClassColumn)>,
    pub rows: Vec<StudentRow>,
    /// The current enrollments of the students in `rows`.
    pub enrollments: Vec<Enrollment>,
    pub next: Option<UserId>,
}

/// Returns a page of students with the classes of the range.
pub async fn course_attendance(
    context: &AttendanceContext<'_>,
    caller: &Caller,
    request: &CourseRequest,
) -> Result<CourseAttendance, Error> {
    let store = context.store;
    check_course(store, caller, &request.course).await?;
    let sessions = classes(store, request).await?;
    let has_begun = |session: &&Session| {
        session.status != Status::Scheduled || session.details.starts_at <= context.now
    };
    let begun: Vec<&SessionId> =
        sessions.iter().filter(has_begun).map(|session| &session.id).collect();
    let mut heads = store.summary_heads(&begun).await?;
    let mut new_summaries = 0;
    let plan = |session: Session| {
        let Some(head) = heads.remove(&session.id) else { return (session, Source::Upcoming) };
        if let Some(figures) = head.current_figures(&session, context.rules, context.now) {
            return (session, Source::Stored(head, figures));
        }
        let is_stored = summary::is_surely_final(&session, context.now);
        new_summaries += usize::from(is_stored);
        let source = match is_stored && new_summaries > NEW_SUMMARIES_LIMIT {
            true => Source::Pending,
            false => Source::Computed(head),
        };
        (session, source)
    };
    let planned: Vec<_> = sessions.into_iter().map(plan).collect();
    let read = read_classes(context, request, planned).await?;
    let (classes, students): (Vec<_>, Vec<_>) =
        read.into_iter().map(|class| ((class.session, class.column), class.students)).unzip();
    let StudentPage { rows, has_more } = student_page(&students, request.limit);
    let users: Vec<_> = rows.iter().map(|row| row.user.clone()).collect();
    let enrollments = store.enrollments_of_users(&request.course, &users).await?;
    let next = rows.last().filter(|_| has_more).map(|row| row.user.clone());
    Ok(CourseAttendance { course: request.course.clone(), classes, rows, enrollments, next })
}

/// Checks that the caller may read the course. Its trainer may, and no other one.
async fn check_course(store: &Store, caller: &Caller, id: &CourseId) -> Result<(), Error> {
    let course = store.course(id).await?.ok_or(Refusal::NotFound)?;
    let relation = match course.trainer == caller.id {
        true => Relation::Trainer,
        false => Relation::None,
    };
    Operation::ReadCourseAttendance.check(caller, relation)?;
    Ok(())
}

/// Returns the classes of the range by start, without cancelled ones.
async fn classes(store: &Store, request: &CourseRequest) -> Result<Vec<Session>, Error> {
    let filter = SessionFilter { from: request.from, to: request.to, ..SessionFilter::default() };
    let (mut classes, mut after) = (Vec::new(), None);
    loop {
        let (page, next) = store
            .sessions_of_course(&request.course, None, &filter, after.as_ref(), CLASSES_LIMIT)
            .await?;
        classes.extend(page.into_iter().filter(|session| session.status != Status::Cancelled));
        if classes.len() > CLASSES_LIMIT {
            let message = format!("must leave at most {CLASSES_LIMIT} classes before to");
            return Err(Refusal::field("from", message).into());
        }
        match next {
            Some(cursor) => after = Some(cursor),
            None => return Ok(classes),
        }
    }
}

/// The way in which a class is read.
enum Source {
    Upcoming,
    Pending,
    Stored(SummaryHead, SessionFigures),
    Computed(SummaryHead),
}

/// A class with its column and the students of the page.
struct ReadClass {
    session: Session,
    column: ClassColumn,
    students: Vec<SummarisedStudent>,
}

/// Reads the classes in order. Computed ones come first, a few at a time, because they take most of the memory.
async fn read_classes(
    context: &AttendanceContext<'_>,
    request: &CourseRequest,
    planned: Vec<(Session, Source)>,
) -> Result<Vec<ReadClass>, Error> {
    let (computed, others): (Vec<_>, Vec<_>) = planned
        .into_iter()
        .enumerate()
        .partition(|(_, (_, source))| matches!(source, Source::Computed(_)));
    let roster = CourseRoster::new(&request.course, computed.iter().map(|(_, (it, _))| it));
    let roster = &roster;
    let read = |(index, (session, source))| async move {
        Ok::<_, Error>((index, read_class(context, request, roster, session, source).await?))
    };
    let computed: Vec<_> =
        stream::iter(computed).map(read).buffer_unordered(COMPUTED_AT_ONCE).try_collect().await?;
    let mut all: Vec<_> =
        stream::iter(others).map(read).buffer_unordered(READ_AT_ONCE).try_collect().await?;
    all.extend(computed);
    all.sort_by_key(|(index, _)| *index);
    Ok(all.into_iter().map(|(_, class)| class).collect())
}

async fn read_class(
    context: &AttendanceContext<'_>,
    request: &CourseRequest,
    roster: &CourseRoster,
    session: Session,
    source: Source,
) -> Result<ReadClass, Error> {
    let after = request.after.as_ref();
    // One more than the page, which shows whether there is a next page.
    let count = request.limit + 1;
    let (column, students) = match source {
        Source::Upcoming => (ClassColumn::Upcoming, Vec::new()),
        Source::Pending => (ClassColumn::Pending, Vec::new()),
        Source::Stored(head, figures) => {
            let students =
                context.store.summarised_students(&session.id, &head, after, count).await?;
            let students =
                students.ok_or_else(|| Error::busy("the summary of a class is being replaced"))?;
            (ClassColumn::Counted(figures), students)
        }
        Source::Computed(head) => {
            let summary = compute_summary(context, roster, &session, &head).await?;
            let rest = summary.students.into_iter().filter(|it| Some(&it.user) > after);
            (ClassColumn::Counted(summary.figures), rest.take(count).collect())
        }
    };
    Ok(ReadClass { session, column, students })
}

/// Computes the summary of a class and stores it, if its report is final. A failure to store it does not fail the
/// request.
async fn compute_summary(
    context: &AttendanceContext<'_>,
    roster: &CourseRoster,
    session: &Session,
    head: &SummaryHead,
) -> Result<AttendanceSummary, Error> {
    let data = load_report_data_with(context, session.clone(), Some(roster)).await?;
    let report = data.report(&data.overrides(), context);
    let summary = AttendanceSummary::of_report(&report);
    if report.is_final && summary::may_be_stored(session, context.now) {
        let basis = SummaryBasis { session, rules: context.rules, computed_at: context.now };
        match context.store.save_summary(head, &basis, &summary).await {
            Ok(()) | Err(CommitError::Refused(_)) => {}
            Err(error) => {
                tracing::warn!(event = "attendance.summary_not_stored", session_id = %session.id, %error);
            }
        }
    }
    Ok(summary)
}
