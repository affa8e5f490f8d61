//! What a class's attendance is made of, kept as long as the class is: Zoom's events and the clicks run out.
//!
//! An archive is a set of lines, each of somebody who was expected, clicked, came or went. They stand in parts, since a
//! class of ten thousand is some megabytes; the head says which parts count, and its revision rises with each change. So
//! whatever is written has no effect before the head is, all at once, and of two who write the later one is refused and
//! begins anew with what it then finds. Lines that a later version wrote are kept as they are.

mod line;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::error::{CommitError, StoreError};
use super::item::{decode, encode};
use super::schema::{
    ARCHIVE, ARCHIVE_PART_PREFIX, ItemKey, DueQueue, attr, by_start, due_partition, index, limit,
    session_partition, trainer_partition,
};
use super::tx::{Action, Guard, number};
use super::{KeyRange, Store};
use crate::crypt::sha256_hex;
use crate::domain::attendance::{JoinIdentity, AttendanceRecord, record};
use crate::domain::audience::Invitee;
use crate::domain::directory::Enrollment;
use crate::domain::id::{SessionId, UserId};
use crate::domain::session::Session;
use crate::domain::text::Email;
use crate::domain::time::fixed;
use crate::domain::zoom_event::{ParticipantEvent, EventPayload, ZoomEvent};
use line::ArchiveLine;

/// Hex digits that tell one part from another: 64 bits.
const DIGEST_DIGITS: usize = 16;
/// Readings of an archive that is being replaced. One takes milliseconds.
const READ_ROUNDS: usize = 4;
/// Classes that one run of the sweep takes upon itself.
const DUE_AT_ONCE: i32 = 1000;

#[derive(Serialize, Deserialize)]
struct Head {
    revision: u64,
    #[serde(default)]
    parts: Vec<String>,
    /// The start that the class had when its attendance was kept; without it nothing was kept yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    starts_at: Option<Timestamp>,
}

#[derive(Serialize, Deserialize)]
struct Part {
    lines: String,
}

/// A class's archive as it was read. Of a class that has none it is empty.
#[derive(Clone, Debug, Default)]
pub struct Archive {
    revision: u64,
    starts_at: Option<Timestamp>,
    lines: BTreeSet<String>,
    /// Every part that lies there, also of writings that came to nothing.
    parts: Vec<String>,
    has_strays: bool,
}

impl Archive {
    /// Whether the class's attendance was kept. A class that has moved since, because it had not been held, has an
    /// audience of its own again.
    pub fn is_of(&self, session: &Session) -> bool {
        self.starts_at == Some(session.starts_at)
    }

    /// What somebody's clicks told of them, by their id or by one of their addresses: the key that Zoom knew them by, and
    /// their address.
    pub fn clicks_of(
        &self,
        person: &UserId,
        addresses: &[Email],
    ) -> impl Iterator<Item = (Option<String>, Option<Email>)> {
        self.lines.iter().filter_map(move |line| match ArchiveLine::read(line)? {
            ArchiveLine::Click { user, email, key, .. }
                if user == *person
                    || email.as_ref().is_some_and(|email| addresses.contains(email)) =>
            {
                Some((key, email))
            }
            _ => None,
        })
    }

    /// What was kept, together with what there is of it today; as for whom the class is, what was kept counts.
    pub fn and(&self, live: AttendanceRecord, session: &Session) -> AttendanceRecord {
        let mut record = live;
        let is_audience_kept = self.is_of(session);
        if is_audience_kept {
            (record.invitees, record.students) = (Vec::new(), Vec::new());
        }
        for line in self.lines.iter().filter_map(|line| ArchiveLine::read(line)) {
            match (line, session.audience.course()) {
                (ArchiveLine::Student { user, email, name }, Some(course)) if is_audience_kept => {
                    let course = course.clone();
                    let access_granted = true;
                    record.students.push(Enrollment { course, user, email, name, access_granted });
                }
                (ArchiveLine::Invitee { email, name }, _) if is_audience_kept => {
                    record.invitees.push(Invitee { email, name });
                }
                (ArchiveLine::Student { .. } | ArchiveLine::Invitee { .. }, _) => {}
                (ArchiveLine::Click { at, user, email, name, host, in_vain, key }, _) => {
                    let admitted = !in_vain;
                    let clicker = JoinIdentity { user, email, name, host, admitted, customer_key: key };
                    record.clicks.push((at, clicker));
                }
                (ArchiveLine::Started { of, at }, _) => {
                    record.events.push(event("meeting.started", of, EventPayload::Started { at }));
                }
                (ArchiveLine::Ended { of, from, at }, _) => {
                    let says = EventPayload::Ended { started_at: from, at };
                    record.events.push(event("meeting.ended", of, says));
                }
                (ArchiveLine::In(heard), _) => {
                    let says = EventPayload::Joined(heard.presence());
                    record.events.push(event(&heard.name(), heard.of, says));
                }
                (ArchiveLine::Out(heard), _) => {
                    let says = EventPayload::Left(heard.presence());
                    record.events.push(event(&heard.name(), heard.of, says));
                }
            }
        }
        record
    }

    /// The lines with those of a record, which is this archive's and more.
    fn with(&self, record: &AttendanceRecord, session: &Session) -> BTreeSet<String> {
        let students = record.students.iter().filter(|student| student.access_granted);
        let students = students.map(|student| ArchiveLine::Student {
            user: student.user.clone(),
            email: student.email.clone(),
            name: student.name.clone(),
        });
        let invitees = record.invitees.iter().map(|invitee| ArchiveLine::Invitee {
            email: invitee.email.clone(),
            name: invitee.name.clone(),
        });
        let clicks = record.first_clicks().into_iter();
        let clicks = clicks.map(|(at, clicker)| ArchiveLine::of_click(at, clicker));
        let events = record.events.iter().filter_map(ArchiveLine::of_event);
        let lines = students.chain(invitees).chain(clicks).chain(events);
        let kept = self.lines.iter().filter(|line| self.is_of(session) || !ArchiveLine::is_audience(line));
        kept.cloned().chain(lines.filter_map(|line| serde_json::to_string(&line).ok())).collect()
    }
}

/// An event as far as a report asks about it.
fn event(name: &str, running: String, says: EventPayload) -> ZoomEvent {
    let name = name.to_owned();
    ZoomEvent { name, at: None, account: None, meeting: None, uuid: Some(running), payload: says }
}

/// Lines in parts that fit into an item each.
fn in_parts(lines: &BTreeSet<String>) -> Vec<String> {
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

/// A part's name: of the writing that it belongs to, so that whoever clears an earlier one away meets none of a later.
fn part_name(revision: u64, text: &str) -> String {
    format!("{revision:08}-{}", &sha256_hex(text)[..DIGEST_DIGITS])
}

fn head(session: &SessionId, read: &Archive, parts: Vec<String>, at: Option<Timestamp>) -> Action {
    let guard = match read.revision {
        0 => Guard::new_item(),
        revision => Guard::new().equals(attr::REVISION, number(revision)),
    };
    let next = Head { revision: read.revision + 1, parts, starts_at: at };
    Action::put(ItemKey::Archive(session), encode(&next), guard)
}

#[derive(Serialize, Deserialize)]
struct StoredDue {
    session_id: SessionId,
    due_at: Timestamp,
    since: Timestamp,
    #[serde(rename = "expires_at")]
    ttl: i64,
}

/// A class whose attendance is to be kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DueArchive {
    pub session: SessionId,
    pub at: Timestamp,
    /// When it was due first.
    pub since: Timestamp,
}

impl DueArchive {
    /// As soon as everything is there.
    pub fn of(session: &Session) -> Self {
        let at = record::final_at(session);
        Self { session: session.id.clone(), at, since: at }
    }
}

/// Asks the sweep to keep a class's attendance. Asking twice for the same time is asking once.
pub fn set_due(due: &DueArchive) -> Action {
    let life = SignedDuration::from_hours(24 * limit::ARCHIVE_DUE_TTL_DAYS);
    let stored = StoredDue {
        session_id: due.session.clone(),
        due_at: due.at,
        since: due.since,
        ttl: due.since.saturating_add(life).unwrap_or(due.since).as_second(),
    };
    let key = ItemKey::Due { queue: DueQueue::Archive, at: due.at, key: due.session.as_str() };
    Action::put(key, encode(&stored), Guard::new())
}

pub fn withdraw_due(due: &DueArchive) -> Action {
    let key = ItemKey::Due { queue: DueQueue::Archive, at: due.at, key: due.session.as_str() };
    Action::delete(key, Guard::new())
}

impl Store {
    /// Classes whose attendance is to be kept at `now`, those that wait longest first.
    pub async fn due_archives(&self, now: Timestamp) -> Result<Vec<DueArchive>, StoreError> {
        let range = KeyRange {
            pk: due_partition(DueQueue::Archive),
            // '~' sorts behind the '#' that follows the time in a key: what is due at `now` itself is in.
            to: Some(format!("{}~", fixed(now))),
            limit: Some(DUE_AT_ONCE),
            ..KeyRange::default()
        };
        let stored = self.query(range).await?.items.into_iter().map(decode::<StoredDue>);
        let due = |s: StoredDue| DueArchive { session: s.session_id, at: s.due_at, since: s.since };
        stored.map(|stored| stored.map(due)).collect()
    }

    /// A class's archive, whole and as it is.
    pub async fn archive(&self, session: &SessionId) -> Result<Archive, StoreError> {
        let range = KeyRange {
            pk: session_partition(session),
            prefix: Some(ARCHIVE.to_owned()),
            consistent: true,
            ..KeyRange::default()
        };
        for _ in 0..READ_ROUNDS {
            let mut head = None;
            let mut texts: BTreeMap<String, String> = BTreeMap::new();
            for item in self.query_all(range.clone()).await? {
                let sort = item.get(attr::SK).and_then(|sk| sk.as_s().ok());
                match sort.and_then(|sk| sk.strip_prefix(ARCHIVE_PART_PREFIX)).map(str::to_owned) {
                    Some(name) => drop(texts.insert(name, decode::<Part>(item)?.lines)),
                    None => head = Some(decode::<Head>(item)?),
                }
            }
            let Head { revision, parts, starts_at } =
                head.unwrap_or(Head { revision: 0, parts: Vec::new(), starts_at: None });
            // It was replaced between two pages of this reading, and is read anew.
            if parts.iter().any(|name| !texts.contains_key(name)) {
                continue;
            }
            let own = parts.iter().filter_map(|name| texts.get(name));
            let lines = own.flat_map(|text| text.lines()).map(str::to_owned).collect();
            let has_strays = texts.len() > parts.len();
            let parts = texts.into_keys().collect();
            return Ok(Archive { revision, starts_at, lines, parts, has_strays });
        }
        let key = format!("{} / {ARCHIVE}", session_partition(session));
        Err(StoreError::Corrupt { key, what: "parts of it are missing".to_owned() })
    }

    /// Keeps a class's attendance, in the place of the archive that was read. Refused when another writing was quicker;
    /// what of this one lies about then is cleared away by the next. Answers whether there was anything to do.
    pub async fn keep_attendance(
        &self,
        session: &Session,
        read: &Archive,
        record: &AttendanceRecord,
    ) -> Result<bool, CommitError> {
        let lines = read.with(record, session);
        if read.is_of(session) && lines == read.lines && !read.has_strays {
            return Ok(false);
        }
        self.replace_archive(&session.id, read, &lines, Some(session.starts_at)).await?;
        Ok(true)
    }

    async fn replace_archive(
        &self,
        session: &SessionId,
        read: &Archive,
        lines: &BTreeSet<String>,
        starts_at: Option<Timestamp>,
    ) -> Result<(), CommitError> {
        let parts: Vec<_> = in_parts(lines)
            .into_iter()
            .map(|text| (part_name(read.revision + 1, &text), text))
            .collect();
        let put = |(part, lines): &(String, String)| {
            let stored = encode(&Part { lines: lines.clone() });
            Action::put(ItemKey::ArchivePart { session, part }, stored, Guard::new())
        };
        self.write_all(parts.iter().map(put).collect()).await?;
        let names: Vec<String> = parts.into_iter().map(|(name, _)| name).collect();
        self.commit_one(head(session, read, names.clone(), starts_at)).await?;
        let old = read.parts.iter().filter(|part| !names.contains(part));
        let gone = old.map(|part| Action::delete(ItemKey::ArchivePart { session, part }, Guard::new()));
        self.write_all(gone.collect()).await?;
        Ok(())
    }

    /// Takes somebody out of a class's archive, and clears away what no writing came to; answers how much there was.
    /// Refused when another writing was quicker.
    pub async fn forget_in_archive(
        &self,
        session: &SessionId,
        read: &Archive,
        user: &UserId,
        addresses: &[Email],
        is_meant: impl Fn(&ParticipantEvent) -> bool,
    ) -> Result<usize, CommitError> {
        let mut traces = usize::from(read.has_strays);
        let without = |line: &String| {
            let Some(known) = ArchiveLine::read(line) else { return Some(line.clone()) };
            let rest = known.without(user, addresses, &is_meant);
            let rest = rest.and_then(|line| serde_json::to_string(&line).ok());
            traces += usize::from(rest.as_ref() != Some(line));
            rest
        };
        let lines: BTreeSet<String> = read.lines.iter().filter_map(without).collect();
        if traces > 0 {
            self.replace_archive(session, read, &lines, read.starts_at).await?;
        }
        Ok(traces)
    }

    /// Carries out `with`, unless the archive is not as it was read any more; whoever is writing it has to begin anew.
    pub async fn unless_archived(
        &self,
        session: &SessionId,
        read: &Archive,
        with: Vec<Action>,
    ) -> Result<(), CommitError> {
        let next = head(session, read, read.parts.clone(), read.starts_at);
        if with.is_empty() {
            return self.commit_one(next).await;
        }
        self.commit(std::iter::once(next).chain(with).collect()).await
    }

    /// The class of the same trainer before this one, if its attendance is to be kept and was not.
    pub async fn unkept_before(
        &self,
        session: &Session,
        now: Timestamp,
    ) -> Result<Option<Session>, StoreError> {
        let range = KeyRange {
            index: Some(index::BY_OWNER),
            pk: trainer_partition(&session.trainer),
            to: Some(by_start(session.starts_at, &session.id)),
            backwards: true,
            // The class itself is the first.
            limit: Some(2),
            ..KeyRange::default()
        };
        let mut classes = self.sessions_in(range).await?.into_iter();
        let Some(before) = classes.find(|class| class.id != session.id) else {
            return Ok(None);
        };
        if record::final_at(&before) > now {
            return Ok(None);
        }
        let head = self.get_eventually(ItemKey::Archive(&before.id)).await?.map(decode::<Head>);
        let kept = head.transpose()?.and_then(|head| head.starts_at);
        Ok((kept != Some(before.starts_at)).then_some(before))
    }
}
