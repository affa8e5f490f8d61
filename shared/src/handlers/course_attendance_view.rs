//! The attendance of a course as JSON and CSV.

use std::collections::HashMap;

use jiff::Timestamp;
use serde::Serialize;

use super::csv::{CsvTable, Separator};
use super::edge::ResponseBody;
use crate::app::attendance::course::{ClassColumn, CourseAttendance};
use crate::domain::attendance::course::{StudentRow, StudentTotals};
use crate::domain::attendance::summary::{SessionFigures, StudentAttendance};
use crate::domain::directory::Enrollment;
use crate::domain::id::{CourseId, SessionId, UserId};
use crate::domain::session::Session;
use crate::domain::text::Email;

const STUDENT_COLUMNS: [&str; 3] = ["user_id", "name", "email"];
const TOTAL_COLUMNS: [&str; 7] =
    ["held", "present", "late", "left_early", "absent", "excused", "percent"];

#[derive(Serialize)]
pub(super) struct CourseView<'a> {
    course_id: &'a CourseId,
    classes: Vec<ClassView<'a>>,
    items: Vec<StudentView<'a>>,
    /// The classes whose figures are still missing.
    pending: usize,
    next_cursor: Option<&'a UserId>,
}

#[derive(Serialize)]
struct ClassView<'a> {
    session_id: &'a SessionId,
    title: &'a str,
    starts_at: Timestamp,
    status: &'static str,
    state: &'static str,
    held_minutes: Option<u64>,
    expected: Option<usize>,
    present: Option<usize>,
    absent: Option<usize>,
    excused: Option<usize>,
    #[serde(rename = "final")]
    is_final: bool,
}

#[derive(Serialize)]
struct StudentView<'a> {
    user_id: &'a UserId,
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    email: Option<&'a Email>,
    classes: &'a [Option<StudentAttendance>],
    totals: StudentTotals,
}

fn state(column: ClassColumn) -> &'static str {
    match column {
        ClassColumn::Upcoming => "upcoming",
        ClassColumn::Pending => "pending",
        ClassColumn::Counted(_) => "counted",
    }
}

fn figures(column: ClassColumn) -> Option<SessionFigures> {
    match column {
        ClassColumn::Counted(figures) => Some(figures),
        ClassColumn::Upcoming | ClassColumn::Pending => None,
    }
}

fn class_view((session, column): &(Session, ClassColumn)) -> ClassView<'_> {
    let figures = figures(*column);
    ClassView {
        session_id: &session.id,
        title: session.details.title.as_str(),
        starts_at: session.details.starts_at,
        status: session.status.as_str(),
        state: state(*column),
        held_minutes: figures.map(|figures| figures.held_minutes),
        expected: figures.map(|figures| figures.expected),
        present: figures.map(|figures| figures.present),
        absent: figures.map(|figures| figures.absent),
        excused: figures.map(|figures| figures.excused),
        is_final: figures.is_some_and(|figures| figures.is_final),
    }
}

/// The names and addresses of the students. An enrollment is newer than the name in a summary.
struct People<'a>(HashMap<&'a UserId, &'a Enrollment>);

impl<'a> People<'a> {
    fn new(page: &'a CourseAttendance) -> Self {
        Self(page.enrollments.iter().map(|enrollment| (&enrollment.user, enrollment)).collect())
    }

    fn name(&self, row: &'a StudentRow) -> &'a str {
        self.0.get(&row.user).map_or(row.name.as_str(), |enrollment| enrollment.name.as_str())
    }

    fn email(&self, row: &StudentRow) -> Option<&'a Email> {
        self.0.get(&row.user)?.email.as_ref()
    }
}

fn student_view<'a>(row: &'a StudentRow, people: &People<'a>) -> StudentView<'a> {
    StudentView {
        user_id: &row.user,
        name: people.name(row),
        email: people.email(row),
        classes: &row.classes,
        totals: row.totals,
    }
}

/// Returns a page as JSON.
pub(super) fn json(page: &CourseAttendance) -> CourseView<'_> {
    let people = People::new(page);
    let is_pending = |(_, column): &&(Session, ClassColumn)| *column == ClassColumn::Pending;
    CourseView {
        course_id: &page.course,
        classes: page.classes.iter().map(class_view).collect(),
        items: page.rows.iter().map(|row| student_view(row, &people)).collect(),
        pending: page.classes.iter().filter(is_pending).count(),
        next_cursor: page.next.as_ref(),
    }
}

/// Renders a page as CSV. The first page has the header, and the last one the figures of the classes.
pub(super) fn csv(
    page: &CourseAttendance,
    separator: Separator,
    after: Option<&UserId>,
) -> ResponseBody {
    let people = People::new(page);
    let mut table = CsvTable::later_page(separator);
    if after.is_none() {
        let class = |(session, _): &(Session, ClassColumn)| {
            format!("{} {}", session.details.starts_at, session.details.title.as_str())
        };
        let header = STUDENT_COLUMNS.map(str::to_owned).into_iter();
        let header = header.chain(page.classes.iter().map(class));
        table = CsvTable::new(header.chain(TOTAL_COLUMNS.map(str::to_owned)), separator);
    }
    for row in &page.rows {
        let email = people.email(row).map_or("", Email::as_str);
        let start = [row.user.as_str(), people.name(row), email].map(str::to_owned);
        let classes = page.classes.iter().zip(&row.classes).map(|((_, column), attendance)| {
            let status = attendance.and_then(|attendance| attendance.status);
            match column {
                ClassColumn::Pending => state(*column),
                _ => status.map_or("", |status| status.as_str()),
            }
        });
        let cells = start.into_iter().chain(classes.map(str::to_owned));
        table.row(cells.chain(total_cells(row.totals)));
    }
    if page.next.is_none() {
        add_class_figures(&mut table, page);
    }
    table.respond(&format!("attendance-{}.csv", file_name(&page.course)))
}

fn total_cells(totals: StudentTotals) -> [String; TOTAL_COLUMNS.len()] {
    let StudentTotals { held, present, late, left_early, absent, excused, percent } = totals;
    let [held, present, late, left_early, absent, excused] =
        [held, present, late, left_early, absent, excused].map(|count| count.to_string());
    [held, present, late, left_early, absent, excused, percent.to_string()]
}

/// Adds a row for each figure of the classes, with its name in the column of the students' names.
fn add_class_figures(table: &mut CsvTable, page: &CourseAttendance) {
    type Figure = fn(SessionFigures) -> usize;
    let rows: [(&str, Figure); 4] = [
        ("expected", |figures| figures.expected),
        ("present", |figures| figures.present),
        ("absent", |figures| figures.absent),
        ("excused", |figures| figures.excused),
    ];
    for (name, figure) in rows {
        let start = ["", name, ""].map(str::to_owned);
        let classes = page.classes.iter().map(|(_, column)| {
            figures(*column).map(|figures| figure(figures).to_string()).unwrap_or_default()
        });
        let totals = TOTAL_COLUMNS.map(|_| String::new());
        table.row(start.into_iter().chain(classes).chain(totals));
    }
}

/// Returns the id of a course without characters that a file name must not have.
fn file_name(course: &CourseId) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    course.as_str().chars().map(|c| if is_plain(c) { c } else { '_' }).collect()
}
