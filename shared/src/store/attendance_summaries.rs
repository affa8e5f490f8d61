//! Summaries of the sessions' attendance, from which a course's attendance is assembled. Each can be computed again, so
//! it is replaced and deleted freely.
//!
//! The head has the figures and a revision. Every change of a report increases the revision and removes the summary,
//! and a summary is stored only with the revision that was read before its sources. The students are stored in parts by
//! user id, named by their last student, so that a page of students is read with one query.

use std::collections::HashMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::error::{CommitError, StoreError};
use super::item::{decode, decode_readable, encode, or_default};
use super::schema::{ItemKey, SUMMARY, SUMMARY_PART_PREFIX, attr, limit, session_partition};
use super::tx::{Action, Condition, Item, ItemChanges, number};
use super::{ItemPage, KeyRange, Store};
use crate::domain::attendance::status::AttendanceStatus;
use crate::domain::attendance::summary::{
    AttendanceSummary, SessionFigures, StudentAttendance, SummarisedStudent,
};
use crate::domain::attendance::{AttendanceRules, Percent, summary};
use crate::domain::id::{SessionId, UserId};
use crate::domain::session::Session;

/// The session and the settings from which a summary was computed, and the time.
#[derive(Clone, Copy, Debug)]
pub struct SummaryBasis<'a> {
    pub session: &'a Session,
    pub rules: AttendanceRules,
    pub computed_at: Timestamp,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct StoredHead {
    revision: u64,
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "Option::is_none")]
    summary: Option<StoredSummary>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct StoredSummary {
    /// The prefix of the names of the parts.
    generation: String,
    starts_at: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    actual_started_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    actual_ended_at: Option<Timestamp>,
    present_percent: u8,
    late_minutes: i64,
    computed_at: Timestamp,
    /// The last student.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    last: Option<UserId>,
    held_minutes: u64,
    expected: usize,
    present: usize,
    absent: usize,
    excused: usize,
    is_final: bool,
}

#[derive(Serialize, Deserialize)]
struct StoredPart {
    /// One student a line.
    students: String,
}

/// A student as stored: user id, status, minutes, tenths of a percent, and name.
type StoredStudent = (UserId, Option<AttendanceStatus>, u64, u32, String);

fn student_line(student: &SummarisedStudent) -> Option<String> {
    let SummarisedStudent { user, name, attendance } = student;
    let percent = attendance.percent.tenths();
    serde_json::to_string(&(user, attendance.status, attendance.minutes, percent, name)).ok()
}

fn parse_student(line: &str) -> Option<SummarisedStudent> {
    let (user, status, minutes, tenths, name): StoredStudent = serde_json::from_str(line).ok()?;
    let attendance = StudentAttendance { status, minutes, percent: Percent::from_tenths(tenths) };
    Some(SummarisedStudent { user, name, attendance })
}

/// The head of a session's summary, as read. Without one, `Default`.
#[derive(Clone, Debug, Default)]
pub struct SummaryHead(Option<StoredHead>);

impl SummaryHead {
    fn summary(&self) -> Option<&StoredSummary> {
        self.0.as_ref()?.summary.as_ref()
    }

    /// Returns the figures, if the summary still holds for the session and the settings.
    pub fn current_figures(
        &self,
        session: &Session,
        rules: AttendanceRules,
        now: Timestamp,
    ) -> Option<SessionFigures> {
        let stored = self.summary()?;
        let is_same = stored.starts_at == session.details.starts_at
            && stored.actual_started_at == session.actual_started_at
            && stored.actual_ended_at == session.actual_ended_at
            && stored.present_percent == rules.threshold.percent()
            && stored.late_minutes == rules.late_minutes
            && summary::is_current(session, stored.computed_at, now);
        is_same.then_some(SessionFigures {
            held_minutes: stored.held_minutes,
            expected: stored.expected,
            present: stored.present,
            absent: stored.absent,
            excused: stored.excused,
            is_final: stored.is_final,
        })
    }
}

/// Removes the summary of a session whose report changes in the same transaction or before it.
pub fn invalidate_summary(session: &SessionId) -> Action {
    let changes = ItemChanges::new().add(attr::REVISION, 1).remove(attr::SUMMARY);
    Action::update(ItemKey::AttendanceSummary(session), changes, Condition::new())
}

fn part_range(session: &SessionId, generation: &str, after: Option<&UserId>) -> KeyRange {
    // '!' is the lowest character of an id, and '$' follows '#'.
    let after = after.map(|user| format!("{user}!")).unwrap_or_default();
    KeyRange {
        pk: session_partition(session),
        from: Some(format!("{SUMMARY_PART_PREFIX}{generation}#{after}")),
        to: Some(format!("{SUMMARY_PART_PREFIX}{generation}$")),
        limit: Some(1),
        ..KeyRange::default()
    }
}

impl Store {
    /// Reads the heads of the sessions' summaries, a hundred per request.
    pub async fn summary_heads(
        &self,
        sessions: &[&SessionId],
    ) -> Result<HashMap<SessionId, SummaryHead>, StoreError> {
        let keys: Vec<_> = sessions.iter().map(|id| ItemKey::AttendanceSummary(id)).collect();
        let mut found = self.batch_get(&keys).await?;
        let head = |id: &&SessionId| {
            let item = found.take(ItemKey::AttendanceSummary(id));
            let head = item.map(decode::<StoredHead>).transpose()?;
            Ok::<_, StoreError>(((*id).clone(), SummaryHead(head)))
        };
        sessions.iter().map(head).collect()
    }

    /// Returns the students of a summary after `after`: all of them, or at least `count`. `None` if the summary was
    /// replaced in the meantime.
    pub async fn summarised_students(
        &self,
        session: &SessionId,
        head: &SummaryHead,
        after: Option<&UserId>,
        count: usize,
    ) -> Result<Option<Vec<SummarisedStudent>>, StoreError> {
        let Some(StoredSummary { generation, last, .. }) = head.summary() else { return Ok(None) };
        // Parts that were written a moment ago may be missing in an eventually consistent read, at half the price.
        for consistent in [false, true] {
            let range = KeyRange { consistent, ..part_range(session, generation, after) };
            let students = self.students_of_parts(range, after, count).await?;
            let read_to = students.last().map(|student| &student.user).or(after);
            if students.len() >= count || read_to >= last.as_ref() {
                return Ok(Some(students));
            }
        }
        Ok(None)
    }

    async fn students_of_parts(
        &self,
        range: KeyRange,
        after: Option<&UserId>,
        count: usize,
    ) -> Result<Vec<SummarisedStudent>, StoreError> {
        let (mut students, mut position) = (Vec::new(), None);
        while students.len() < count {
            let page = self.query(KeyRange { after: position.take(), ..range.clone() }).await?;
            let ItemPage { items, last_key } = page;
            for part in decode_readable::<StoredPart>(items) {
                let parsed = part.students.lines().filter_map(parse_student);
                students.extend(parsed.filter(|student| Some(&student.user) > after));
            }
            match last_key {
                Some(key) => position = Some(key),
                None => break,
            }
        }
        Ok(students)
    }

    /// Stores a summary. Refused if the report has changed since the head was read, or if another request was faster.
    pub async fn save_summary(
        &self,
        read: &SummaryHead,
        basis: &SummaryBasis<'_>,
        summary: &AttendanceSummary,
    ) -> Result<(), CommitError> {
        let session = &basis.session.id;
        let nonce = data_encoding::BASE32_NOPAD.encode(&self.random.bytes::<10>());
        let revision = read.0.as_ref().map(|head| head.revision);
        let condition = match revision {
            None => Condition::item_absent(),
            Some(revision) => Condition::new().equals(attr::REVISION, number(revision)),
        };
        let parts: Vec<(String, String)> = summary
            .students
            .chunks(limit::SUMMARY_PART_STUDENTS)
            .filter_map(|students| {
                let lines: Vec<_> = students.iter().filter_map(student_line).collect();
                Some((format!("{nonce}#{}", students.last()?.user), lines.join("\n")))
            })
            .collect();
        let put = |(part, students): &(String, String)| {
            let stored = encode(&StoredPart { students: students.clone() });
            Action::put(ItemKey::AttendanceSummaryPart { session, part }, stored, Condition::new())
        };
        self.write_all(parts.iter().map(put).collect()).await?;
        let head = StoredHead {
            revision: revision.unwrap_or(0) + 1,
            summary: Some(stored_summary(nonce.clone(), basis, summary)),
        };
        let key = ItemKey::AttendanceSummary(session);
        let stored = self.commit_one(Action::put(key, encode(&head), condition)).await;
        let delete = |(part, _): &(String, String)| {
            Action::delete(ItemKey::AttendanceSummaryPart { session, part }, Condition::new())
        };
        match stored {
            Ok(()) if revision.is_some() => {
                self.delete_summary_parts(session, Some(&nonce)).await?;
                Ok(())
            }
            Ok(()) => Ok(()),
            Err(error) => {
                self.write_all(parts.iter().map(delete).collect()).await?;
                Err(error)
            }
        }
    }

    /// Removes the summary of a session with the names in it. Returns the number of deleted parts.
    pub async fn erase_summary(&self, session: &SessionId) -> Result<usize, CommitError> {
        if !self.has_summary_items(session).await? {
            return Ok(0);
        }
        self.commit_one(invalidate_summary(session)).await?;
        Ok(self.delete_summary_parts(session, None).await?)
    }

    async fn has_summary_items(&self, session: &SessionId) -> Result<bool, StoreError> {
        let range = KeyRange {
            pk: session_partition(session),
            prefix: Some(SUMMARY.to_owned()),
            consistent: true,
            limit: Some(2),
            ..KeyRange::default()
        };
        let items = self.query(range).await?.items;
        let is_part = |item: &Item| {
            let sort = item.get(attr::SK).and_then(|sk| sk.as_s().ok());
            sort.is_some_and(|sort| sort.starts_with(SUMMARY_PART_PREFIX))
        };
        Ok(items.iter().any(|item| is_part(item) || item.contains_key(attr::SUMMARY)))
    }

    /// Deletes the parts of a session's summary, except those of one generation.
    async fn delete_summary_parts(
        &self,
        session: &SessionId,
        except: Option<&str>,
    ) -> Result<usize, StoreError> {
        let range = KeyRange {
            pk: session_partition(session),
            prefix: Some(SUMMARY_PART_PREFIX.to_owned()),
            consistent: true,
            ..KeyRange::default()
        };
        let items = self.query_all(range).await?;
        let names = items
            .iter()
            .filter_map(|item| item.get(attr::SK)?.as_s().ok()?.strip_prefix(SUMMARY_PART_PREFIX));
        let old = names.filter(|name| except.is_none_or(|kept| !name.starts_with(kept)));
        let deletions: Vec<_> = old
            .map(|part| {
                Action::delete(ItemKey::AttendanceSummaryPart { session, part }, Condition::new())
            })
            .collect();
        let count = deletions.len();
        self.write_all(deletions).await?;
        Ok(count)
    }
}

fn stored_summary(
    generation: String,
    basis: &SummaryBasis<'_>,
    summary: &AttendanceSummary,
) -> StoredSummary {
    let SessionFigures { held_minutes, expected, present, absent, excused, is_final } =
        summary.figures;
    StoredSummary {
        generation,
        starts_at: basis.session.details.starts_at,
        actual_started_at: basis.session.actual_started_at,
        actual_ended_at: basis.session.actual_ended_at,
        present_percent: basis.rules.threshold.percent(),
        late_minutes: basis.rules.late_minutes,
        computed_at: basis.computed_at,
        last: summary.students.last().map(|student| student.user.clone()),
        held_minutes,
        expected,
        present,
        absent,
        excused,
        is_final,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn summarised_student_survives_storage() {
        for status in [None, Some(AttendanceStatus::LeftEarly)] {
            let student = SummarisedStudent {
                user: UserId::parse("student-1").unwrap(),
                name: "Ada \"the\" Countess\nLovelace".to_owned(),
                attendance: StudentAttendance {
                    status,
                    minutes: 57,
                    percent: Percent::ratio(57, 60),
                },
            };
            let line = student_line(&student).unwrap();
            assert!(!line.contains('\n'));
            assert_eq!(parse_student(&line), Some(student));
        }
    }
}
