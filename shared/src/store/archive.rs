//! The attendance archive of a session. It is kept as long as the session, while Zoom's events and join attempts expire.
//!
//! An archive is a set of lines: one per expected person, join attempt, join, leave or row of Zoom's report. The lines are stored in parts,
//! because a session of ten thousand people takes some megabytes. The head lists the valid parts and has a revision. Parts
//! take effect when the head is written, and of two concurrent writers the later one is refused and starts again. Lines
//! of newer versions are preserved.

mod line;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::error::{CommitError, StoreError};
use super::item::{decode, decode_readable, encode, unreadable};
use super::join_attempts::AttemptIdentifiers;
use super::schema::{
    ARCHIVE, ARCHIVE_PART_PREFIX, DueQueue, Index, ItemKey, attr, due_partition, limit,
    session_partition, session_sort_key, trainer_partition,
};
use super::tx::{Action, Condition, number};
use super::{KeyRange, Store};
use crate::domain::attendance::{AttendanceRecord, ErasureMarker, JoinIdentity, record};
use crate::domain::audience::Invitee;
use crate::domain::digest::Digest;
use crate::domain::directory::Enrollment;
use crate::domain::id::SessionId;
use crate::domain::session::Session;
use crate::domain::time::sortable_text;
use crate::domain::zoom_event::{EventPayload, ParticipantEvent, ZoomEvent};
use crate::domain::zoom_report::{self, InstanceReport};
use line::ArchiveLine;

/// Hex digits that distinguish the parts of a revision: 64 bits.
const DIGEST_DIGITS: usize = 16;
/// Attempts at reading an archive that is being replaced. A replacement takes milliseconds.
const READ_ATTEMPTS: usize = 4;
/// Sessions that one run of the sweep archives at most.
const DUE_ARCHIVES_LIMIT: i32 = 1000;

#[derive(Serialize, Deserialize)]
struct ArchiveHead {
    revision: u64,
    #[serde(default)]
    parts: Vec<String>,
    /// The start of the session when it was archived. Absent before the first archiving.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    starts_at: Option<Timestamp>,
}

#[derive(Serialize, Deserialize)]
struct StoredArchivePart {
    lines: String,
}

/// An archive as read. Empty if the session has none.
#[derive(Clone, Debug, Default)]
pub struct Archive {
    revision: u64,
    starts_at: Option<Timestamp>,
    lines: BTreeSet<String>,
    /// All stored parts, including those of writes that never took effect.
    parts: Vec<String>,
    has_unused_parts: bool,
}

impl Archive {
    /// Returns whether the session was archived with its current start. A session that was rescheduled without taking place
    /// has a new audience.
    pub fn is_archive_of(&self, session: &Session) -> bool {
        self.starts_at == Some(session.details.starts_at)
    }

    /// Returns the identifiers in the archived join attempts of an erased person.
    pub fn join_attempts_of(&self, person: &ErasureMarker) -> Vec<AttemptIdentifiers> {
        let lines = self.lines.iter().filter_map(|line| match ArchiveLine::parse(line)? {
            ArchiveLine::JoinAttempt { user, email, customer_key, registrant, .. }
                if person.is_join_attempt(user.as_ref(), email.as_ref()) =>
            {
                Some(AttemptIdentifiers { customer_key, registrant, email })
            }
            _ => None,
        });
        lines.collect()
    }

    /// Returns the archived participants in events and reports with the uuids of their meeting instances.
    pub fn participant_events(&self) -> Vec<(String, ParticipantEvent)> {
        let lines = self.lines.iter().filter_map(|line| match ArchiveLine::parse(line)? {
            ArchiveLine::Joined(archived) | ArchiveLine::Left(archived) => {
                let participant = archived.to_participant_event();
                Some((archived.instance, participant))
            }
            ArchiveLine::Reported { instance, row } => {
                Some((instance, row.into_connection().participant))
            }
            _ => None,
        });
        lines.collect()
    }

    /// Returns the archived bindings of telephones: the uuid of the meeting instance, the telephone, and its owner.
    pub fn telephones(&self) -> Vec<(String, String, String)> {
        let lines = self.lines.iter().filter_map(|line| match ArchiveLine::parse(line)? {
            ArchiveLine::TelephoneBound { instance, telephone, participant, .. } => {
                Some((instance, telephone, participant))
            }
            _ => None,
        });
        lines.collect()
    }

    /// Merges the archive with the live attendance sources. The archived audience replaces the live one.
    pub fn merged_with(&self, live: AttendanceRecord, session: &Session) -> AttendanceRecord {
        let mut record = live;
        let is_audience_archived = self.is_archive_of(session);
        if is_audience_archived {
            (record.invitees, record.enrollments) = (Vec::new(), Vec::new());
        }
        for line in self.lines.iter().filter_map(|line| ArchiveLine::parse(line)) {
            match (line, session.audience.course()) {
                (ArchiveLine::Student { user, email, name }, Some(course))
                    if is_audience_archived =>
                {
                    let course = course.clone();
                    let access_granted = true;
                    record.enrollments.push(Enrollment {
                        course,
                        user,
                        email,
                        name,
                        access_granted,
                        former_emails: Vec::new(),
                        paid_by: Default::default(),
                    });
                }
                (ArchiveLine::Invitee { email, name }, _) if is_audience_archived => {
                    record.invitees.push(Invitee { email, name });
                }
                (ArchiveLine::Student { .. } | ArchiveLine::Invitee { .. }, _) => {}
                (
                    ArchiveLine::JoinAttempt {
                        at,
                        user,
                        email,
                        name,
                        host,
                        rejected,
                        customer_key,
                        registrant,
                    },
                    _,
                ) => {
                    let admitted = !rejected;
                    let identity = JoinIdentity {
                        user,
                        email,
                        name,
                        host,
                        admitted,
                        customer_key,
                        registrant,
                    };
                    record.join_attempts.push((at, identity));
                }
                (ArchiveLine::Started { instance, at }, _) => {
                    record.events.push(zoom_event(
                        "meeting.started",
                        instance,
                        EventPayload::Started { at },
                    ));
                }
                (ArchiveLine::Ended { instance, started_at, at }, _) => {
                    let payload = EventPayload::Ended { started_at, at };
                    record.events.push(zoom_event("meeting.ended", instance, payload));
                }
                (ArchiveLine::TelephoneBound { instance, at, telephone, participant }, _) => {
                    let payload = EventPayload::TelephoneBound { telephone, participant };
                    let event = zoom_event("meeting.participant_bind", instance, payload);
                    record.events.push(ZoomEvent { at, ..event });
                }
                (ArchiveLine::Listed { instance }, _) => {
                    record.reports.push(InstanceReport::from_rows(&instance, Vec::new(), true));
                }
                (ArchiveLine::Reported { instance, row }, _) => {
                    record.reports.push(InstanceReport {
                        instance_uuid: instance,
                        is_complete: false,
                        connections: vec![row.into_connection()],
                    });
                }
                (ArchiveLine::Joined(archived), _) => {
                    let payload = EventPayload::Joined(archived.to_participant_event());
                    record.events.push(zoom_event(
                        &archived.event_name(),
                        archived.instance,
                        payload,
                    ));
                }
                (ArchiveLine::Left(archived), _) => {
                    let payload = EventPayload::Left(archived.to_participant_event());
                    record.events.push(zoom_event(
                        &archived.event_name(),
                        archived.instance,
                        payload,
                    ));
                }
            }
        }
        record.reports = zoom_report::merged(record.reports);
        record
    }

    /// Returns the lines of this archive and of `record`, which includes them.
    fn lines_with(&self, record: &AttendanceRecord, session: &Session) -> BTreeSet<String> {
        let students = record.enrollments.iter().filter(|student| student.access_granted);
        let students = students.map(|student| ArchiveLine::Student {
            user: student.user.clone(),
            email: student.email.clone(),
            name: student.name.clone(),
        });
        let invitees = record.invitees.iter().map(|invitee| ArchiveLine::Invitee {
            email: invitee.email.clone(),
            name: invitee.name.clone(),
        });
        let join_attempts = record.first_join_attempts().into_iter();
        let join_attempts =
            join_attempts.map(|(at, identity)| ArchiveLine::from_join_attempt(at, identity));
        let events = record.events.iter().filter_map(ArchiveLine::from_event);
        let reports = record.reports.iter().flat_map(ArchiveLine::from_report);
        let lines = students.chain(invitees).chain(join_attempts).chain(events).chain(reports);
        let archived = self
            .lines
            .iter()
            .filter(|line| self.is_archive_of(session) || !ArchiveLine::is_audience(line));
        archived
            .cloned()
            .chain(lines.filter_map(|line| serde_json::to_string(&line).ok()))
            .collect()
    }
}

/// An event with the fields that a report needs.
fn zoom_event(name: &str, instance: String, payload: EventPayload) -> ZoomEvent {
    let name = name.to_owned();
    ZoomEvent { name, at: None, account: None, meeting: None, uuid: Some(instance), payload }
}

/// Joins lines to parts that fit into one item each.
fn split_into_parts(lines: &BTreeSet<String>) -> Vec<String> {
    let mut parts: Vec<String> = Vec::new();
    for line in lines {
        match parts.last_mut() {
            Some(part) if part.len() + line.len() < limit::ARCHIVE_PART_BYTES => {
                part.push('\n');
                part.push_str(line);
            }
            _ => parts.push(line.clone()),
        }
    }
    parts
}

/// The name of a part. It contains the revision, so that deleting old parts never deletes newer ones.
fn part_name(revision: u64, text: &str) -> String {
    format!("{revision:08}-{}", Digest::of_value(text).hex(DIGEST_DIGITS))
}

fn put_head(
    session: &SessionId,
    current: &Archive,
    parts: Vec<String>,
    starts_at: Option<Timestamp>,
) -> Action {
    let condition = match current.revision {
        0 => Condition::item_absent(),
        revision => Condition::new().equals(attr::REVISION, number(revision)),
    };
    let next = ArchiveHead { revision: current.revision + 1, parts, starts_at };
    Action::put(ItemKey::Archive(session), encode(&next), condition)
}

#[derive(Serialize, Deserialize)]
struct StoredDueArchive {
    session_id: SessionId,
    due_at: Timestamp,
    first_due_at: Timestamp,
    #[serde(rename = "expires_at")]
    ttl: i64,
}

/// A session whose attendance is due to be archived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DueArchive {
    pub session: SessionId,
    pub due_at: Timestamp,
    /// The first due time.
    pub first_due_at: Timestamp,
}

impl DueArchive {
    /// Due as soon as all attendance sources are final.
    pub fn for_session(session: &Session) -> Self {
        let due_at = record::complete_at(session);
        Self { session: session.id.clone(), due_at, first_due_at: due_at }
    }
}

/// Schedules the archiving of a session. It is idempotent.
pub fn put_due_archive(due: &DueArchive) -> Action {
    let life = SignedDuration::from_hours(24 * limit::ARCHIVE_DUE_TTL_DAYS);
    let stored = StoredDueArchive {
        session_id: due.session.clone(),
        due_at: due.due_at,
        first_due_at: due.first_due_at,
        ttl: due.first_due_at.saturating_add(life).unwrap_or(due.first_due_at).as_second(),
    };
    let key = ItemKey::Due { queue: DueQueue::Archive, at: due.due_at, key: due.session.as_str() };
    Action::put(key, encode(&stored), Condition::new())
}

pub fn delete_due_archive(due: &DueArchive) -> Action {
    let key = ItemKey::Due { queue: DueQueue::Archive, at: due.due_at, key: due.session.as_str() };
    Action::delete(key, Condition::new())
}

impl Store {
    /// Returns the sessions whose archiving is due at `now`, oldest first.
    pub async fn due_archives(&self, now: Timestamp) -> Result<Vec<DueArchive>, StoreError> {
        let range = KeyRange {
            pk: due_partition(DueQueue::Archive),
            // '~' sorts after the '#' that follows the time, so that work due at exactly `now` is included.
            to: Some(format!("{}~", sortable_text(now))),
            limit: Some(DUE_ARCHIVES_LIMIT),
            ..KeyRange::default()
        };
        let stored = decode_readable::<StoredDueArchive>(self.query(range).await?.items);
        let due = |s: StoredDueArchive| DueArchive {
            session: s.session_id,
            due_at: s.due_at,
            first_due_at: s.first_due_at,
        };
        Ok(stored.map(due).collect())
    }

    /// Reads the whole archive of a session with strong consistency.
    pub async fn archive(&self, session: &SessionId) -> Result<Archive, StoreError> {
        let range = KeyRange {
            pk: session_partition(session),
            prefix: Some(ARCHIVE.to_owned()),
            consistent: true,
            ..KeyRange::default()
        };
        for _ in 0..READ_ATTEMPTS {
            let mut head = None;
            let mut texts: BTreeMap<String, String> = BTreeMap::new();
            for item in self.query_all(range.clone()).await? {
                let sort = item.get(attr::SK).and_then(|sk| sk.as_s().ok());
                match sort.and_then(|sk| sk.strip_prefix(ARCHIVE_PART_PREFIX)).map(str::to_owned) {
                    Some(name) => {
                        drop(texts.insert(name, decode::<StoredArchivePart>(item)?.lines))
                    }
                    None => head = Some(decode::<ArchiveHead>(item)?),
                }
            }
            let ArchiveHead { revision, parts, starts_at } =
                head.unwrap_or(ArchiveHead { revision: 0, parts: Vec::new(), starts_at: None });
            // The archive was replaced between two pages.
            if parts.iter().any(|name| !texts.contains_key(name)) {
                continue;
            }
            let valid = parts.iter().filter_map(|name| texts.get(name));
            let lines = valid.flat_map(|text| text.lines()).map(str::to_owned).collect();
            let has_unused_parts = texts.len() > parts.len();
            let parts = texts.into_keys().collect();
            return Ok(Archive { revision, starts_at, lines, parts, has_unused_parts });
        }
        let key = format!("{} / {ARCHIVE}", session_partition(session));
        Err(unreadable(key, "parts of the archive are missing"))
    }

    /// Archives the attendance of a session in place of the archive that was read. Refused if another write was faster, in
    /// which case the next write deletes the unused parts. Returns whether anything changed.
    pub async fn archive_attendance(
        &self,
        session: &Session,
        current: &Archive,
        record: &AttendanceRecord,
    ) -> Result<bool, CommitError> {
        let lines = current.lines_with(record, session);
        if current.is_archive_of(session) && lines == current.lines && !current.has_unused_parts {
            return Ok(false);
        }
        self.replace_archive(&session.id, current, &lines, Some(session.details.starts_at)).await?;
        Ok(true)
    }

    async fn replace_archive(
        &self,
        session: &SessionId,
        current: &Archive,
        lines: &BTreeSet<String>,
        starts_at: Option<Timestamp>,
    ) -> Result<(), CommitError> {
        let parts: Vec<_> = split_into_parts(lines)
            .into_iter()
            .map(|text| (part_name(current.revision + 1, &text), text))
            .collect();
        let put = |(part, lines): &(String, String)| {
            let stored = encode(&StoredArchivePart { lines: lines.clone() });
            Action::put(ItemKey::ArchivePart { session, part }, stored, Condition::new())
        };
        self.write_all(parts.iter().map(put).collect()).await?;
        let names: Vec<String> = parts.into_iter().map(|(name, _)| name).collect();
        self.commit_one(put_head(session, current, names.clone(), starts_at)).await?;
        let old = current.parts.iter().filter(|part| !names.contains(part));
        let deletions = old
            .map(|part| Action::delete(ItemKey::ArchivePart { session, part }, Condition::new()));
        self.write_all(deletions.collect()).await?;
        Ok(())
    }

    /// Erases a person from the archive and deletes unused parts. Returns the number of traces found. Refused if another
    /// write was faster.
    pub async fn erase_from_archive(
        &self,
        session: &SessionId,
        current: &Archive,
        person: &ErasureMarker,
    ) -> Result<usize, CommitError> {
        let mut traces = usize::from(current.has_unused_parts);
        let without = |line: &String| {
            let Some(parsed) = ArchiveLine::parse(line) else { return Some(line.clone()) };
            let rest = parsed.without_person(person);
            let rest = rest.and_then(|line| serde_json::to_string(&line).ok());
            traces += usize::from(rest.as_ref() != Some(line));
            rest
        };
        let lines: BTreeSet<String> = current.lines.iter().filter_map(without).collect();
        if traces > 0 {
            self.replace_archive(session, current, &lines, current.starts_at).await?;
        }
        Ok(traces)
    }

    /// Commits `actions` if the archive is still as read. A concurrent writer of the archive is refused and starts again.
    pub async fn commit_unless_archive_changed(
        &self,
        session: &SessionId,
        current: &Archive,
        actions: Vec<Action>,
    ) -> Result<(), CommitError> {
        let next = put_head(session, current, current.parts.clone(), current.starts_at);
        if actions.is_empty() {
            return self.commit_one(next).await;
        }
        self.commit(std::iter::once(next).chain(actions).collect()).await
    }

    /// Returns the trainer's previous session if its attendance is final but not archived.
    pub async fn previous_session_to_archive(
        &self,
        session: &Session,
        now: Timestamp,
    ) -> Result<Option<Session>, StoreError> {
        let range = KeyRange {
            index: Some(Index::ByOwner),
            pk: trainer_partition(&session.trainer),
            to: Some(session_sort_key(session.details.starts_at, &session.id)),
            descending: true,
            // The session itself is the first.
            limit: Some(2),
            ..KeyRange::default()
        };
        let mut sessions = self.sessions_in_range(range).await?.into_iter();
        let Some(previous) = sessions.find(|other| other.id != session.id) else {
            return Ok(None);
        };
        if record::complete_at(&previous) > now {
            return Ok(None);
        }
        let head = self
            .get_eventually_consistent(ItemKey::Archive(&previous.id))
            .await?
            .map(decode::<ArchiveHead>);
        let archived_start = head.transpose()?.and_then(|head| head.starts_at);
        Ok((archived_start != Some(previous.details.starts_at)).then_some(previous))
    }
}
