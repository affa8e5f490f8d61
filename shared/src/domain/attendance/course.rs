//! The attendance of a course: a row per student and a column per class, from the summaries of the classes.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::Percent;
use super::status::AttendanceStatus;
use super::summary::{StudentAttendance, SummarisedStudent};
use crate::domain::id::UserId;

/// Counts of a student's classes by status.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct StudentTotals {
    /// The classes with a status.
    pub held: usize,
    pub present: usize,
    pub late: usize,
    pub left_early: usize,
    pub absent: usize,
    pub excused: usize,
    /// The share of the classes without an excuse in which the student was present, late and early included.
    pub percent: Percent,
}

impl StudentTotals {
    fn new(classes: &[Option<StudentAttendance>]) -> Self {
        let statuses: Vec<_> =
            classes.iter().flatten().filter_map(|attendance| attendance.status).collect();
        let count = |status| statuses.iter().filter(|own| **own == status).count();
        let present = count(AttendanceStatus::Present);
        let late = count(AttendanceStatus::Late);
        let left_early = count(AttendanceStatus::LeftEarly);
        let excused = count(AttendanceStatus::Excused);
        let attended = (present + late + left_early) as u64;
        Self {
            held: statuses.len(),
            present,
            late,
            left_early,
            absent: count(AttendanceStatus::Absent),
            excused,
            percent: Percent::ratio(attended, (statuses.len() - excused) as u64),
        }
    }
}

/// A student with one entry per class. `None` if the student was not on the roster of a class.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StudentRow {
    pub user: UserId,
    /// The name in the latest of the classes.
    pub name: String,
    pub classes: Vec<Option<StudentAttendance>>,
    pub totals: StudentTotals,
}

/// Students of a course by user id.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StudentPage {
    pub rows: Vec<StudentRow>,
    pub has_more: bool,
}

/// Returns the first `limit` of the students in `classes`. Each class has its students by user id: all of them, or more
/// than `limit`.
pub fn student_page(classes: &[Vec<SummarisedStudent>], limit: usize) -> StudentPage {
    let mut users: BTreeSet<&UserId> = BTreeSet::new();
    for students in classes {
        users.extend(students.iter().take(limit + 1).map(|student| &student.user));
    }
    let has_more = users.len() > limit;
    let users: Vec<&UserId> = users.into_iter().take(limit).collect();
    let mut rows: BTreeMap<&UserId, (String, Vec<Option<StudentAttendance>>)> =
        users.into_iter().map(|user| (user, (String::new(), vec![None; classes.len()]))).collect();
    for (index, students) in classes.iter().enumerate() {
        for student in students {
            if let Some((name, attendance)) = rows.get_mut(&student.user) {
                name.clone_from(&student.name);
                attendance[index] = Some(student.attendance);
            }
        }
    }
    let row = |(user, (name, classes)): (&UserId, (String, Vec<_>))| StudentRow {
        user: user.clone(),
        name,
        totals: StudentTotals::new(&classes),
        classes,
    };
    StudentPage { rows: rows.into_iter().map(row).collect(), has_more }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Classes with any of eight students in any state.
    fn any_classes() -> impl Strategy<Value = Vec<Vec<SummarisedStudent>>> {
        let statuses = [
            None,
            Some(AttendanceStatus::Present),
            Some(AttendanceStatus::Late),
            Some(AttendanceStatus::LeftEarly),
            Some(AttendanceStatus::Absent),
            Some(AttendanceStatus::Excused),
        ];
        let class = proptest::collection::btree_map(0..8u8, (0..statuses.len(), 0..=60u64), 0..8);
        proptest::collection::vec(class, 0..5).prop_map(move |classes| {
            let student = |(number, (status, minutes)): (u8, (usize, u64))| SummarisedStudent {
                user: UserId::parse(&format!("student-{number}")).unwrap(),
                name: format!("Student {number}"),
                attendance: StudentAttendance {
                    status: statuses[status],
                    minutes,
                    percent: Percent::ratio(minutes, 60),
                },
            };
            classes.into_iter().map(|class| class.into_iter().map(student).collect()).collect()
        })
    }

    /// Reads all pages. A class returns at most one student more than the page.
    fn all_pages(classes: &[Vec<SummarisedStudent>], limit: usize) -> Vec<StudentRow> {
        let (mut rows, mut after): (Vec<StudentRow>, Option<UserId>) = (Vec::new(), None);
        loop {
            let read: Vec<Vec<_>> = classes
                .iter()
                .map(|students| {
                    let rest = students.iter().filter(|it| Some(&it.user) > after.as_ref());
                    rest.take(limit + 1).cloned().collect()
                })
                .collect();
            let page = student_page(&read, limit);
            rows.extend(page.rows);
            if !page.has_more {
                return rows;
            }
            after = rows.last().map(|row| row.user.clone());
        }
    }

    proptest! {
        #[test]
        fn pages_of_a_course_are_the_fold_of_its_classes(
            classes in any_classes(),
            limit in 1..10usize,
        ) {
            let rows = all_pages(&classes, limit);
            let users: BTreeSet<_> = classes.iter().flatten().map(|it| it.user.clone()).collect();
            let listed: Vec<_> = rows.iter().map(|row| row.user.clone()).collect();
            prop_assert_eq!(listed, users.into_iter().collect::<Vec<_>>());
            for row in &rows {
                for (class, attendance) in classes.iter().zip(&row.classes) {
                    let own = class.iter().find(|it| it.user == row.user);
                    prop_assert_eq!(own.map(|it| it.attendance), *attendance);
                }
                let totals = row.totals;
                let sum = totals.present + totals.late + totals.left_early;
                prop_assert_eq!(totals.held, sum + totals.absent + totals.excused);
                let share = Percent::ratio(sum as u64, (sum + totals.absent) as u64);
                prop_assert_eq!(totals.percent, share);
            }
        }
    }
}
