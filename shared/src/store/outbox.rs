//! Due work: announcements waiting to be told, reminders, and repairs. All are items of an hour's partition,
//! sorted by when they are due, so that a sweep reads what is due and nothing else, however much is stored.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::error::{CommitError, StoreError};
use super::item::{decode, encode};
use super::schema::{Key, Queue, attr, due_partition, limit};
use super::tx::{Action, Guard, Item};
use super::{Range, Store};
use crate::domain::audience::InviteeList;
use crate::domain::change::{Announcement, AudienceBefore, ChangeKind, ResendTo, Turn, What};
use crate::domain::id::{CourseId, SessionId, UserId};
use crate::domain::reminder::Reminder;
use crate::domain::session::Session;
use crate::domain::text::Email;
use crate::domain::time::{fixed, utc_hour, whole_milli};

/// An announcement as it is stored, and as a message about it names it.
#[derive(Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "snake_case")]
enum Stored {
    Session {
        session_id: SessionId,
        kind: ChangeKind,
        version: u64,
        sequence: u32,
        calendar_changed: bool,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        course_before: Option<CourseId>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        list_before: Option<InviteeList>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    ReauthRequired {
        trainer_id: UserId,
        version: u64,
    },
    Reminder {
        session_id: SessionId,
        reminder: Reminder,
        starts_at: Timestamp,
        version: u64,
    },
    Live {
        session_id: SessionId,
        turn: Turn,
    },
    Resend {
        session_id: SessionId,
        version: u64,
        sequence: u32,
        turn: Turn,
        /// Absent where everybody is meant.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        named: Option<StoredNamed>,
    },
    RecordingReady {
        session_id: SessionId,
        turn: Turn,
    },
    MeetingDeleted {
        session_id: SessionId,
        trainer_id: UserId,
    },
}

#[derive(Serialize, Deserialize)]
struct StoredNamed {
    #[serde(default)]
    users: Vec<UserId>,
    #[serde(default)]
    emails: Vec<Email>,
}

impl From<&What> for Stored {
    fn from(what: &What) -> Self {
        match what {
            What::Session(change) => Self::Session {
                session_id: change.session.clone(),
                kind: change.kind,
                version: change.version,
                sequence: change.sequence,
                calendar_changed: change.calendar_changed,
                course_before: match &change.before {
                    Some(AudienceBefore::Course(id)) => Some(id.clone()),
                    _ => None,
                },
                list_before: match &change.before {
                    Some(AudienceBefore::List(list)) => Some(*list),
                    _ => None,
                },
                reason: change.reason.clone(),
            },
            What::ReauthRequired { trainer, version } => {
                Self::ReauthRequired { trainer_id: trainer.clone(), version: *version }
            }
            What::Reminder { session, reminder, starts_at, version } => Self::Reminder {
                session_id: session.clone(),
                reminder: *reminder,
                starts_at: *starts_at,
                version: *version,
            },
            What::Live { session, turn } => Self::Live { session_id: session.clone(), turn: *turn },
            What::Resend { session, version, sequence, turn, to } => Self::Resend {
                session_id: session.clone(),
                version: *version,
                sequence: *sequence,
                turn: *turn,
                named: match to {
                    ResendTo::All => None,
                    ResendTo::Named { users, emails } => {
                        Some(StoredNamed { users: users.clone(), emails: emails.clone() })
                    }
                },
            },
            What::RecordingReady { session, turn } => {
                Self::RecordingReady { session_id: session.clone(), turn: *turn }
            }
            What::MeetingDeleted { session, trainer } => {
                Self::MeetingDeleted { session_id: session.clone(), trainer_id: trainer.clone() }
            }
        }
    }
}

/// Stores an announcement beside the change that causes it.
pub fn announce(announcement: &Announcement) -> Action {
    let mut item = encode(&Stored::from(&announcement.what));
    // An announcement is never dropped by age: it goes when everybody it concerns has been told.
    item.remove(attr::TTL);
    Action::put(
        Key::Due { queue: Queue::Outbox, at: announcement.at, key: &announcement.key() },
        item,
        Guard::new(),
    )
}

/// Where an announcement lies: what the message to the queue says.
pub fn address(announcement: &Announcement) -> (String, String) {
    let key = announcement.key();
    let key = Key::Due { queue: Queue::Outbox, at: announcement.at, key: &key };
    (key.pk(), key.sk())
}

#[derive(Serialize, Deserialize)]
struct StoredReminder {
    session_id: SessionId,
    reminder: Reminder,
    /// The start that the reminder is for; a class that has moved since has others.
    starts_at: Timestamp,
    #[serde(rename = "expires_at")]
    ttl: i64,
}

fn due_ttl(at: Timestamp) -> i64 {
    at.saturating_add(SignedDuration::from_hours(24 * limit::DUE_TTL_DAYS))
        .unwrap_or(at)
        .as_second()
}

fn reminder_key(session: &SessionId, reminder: Reminder) -> String {
    format!("{session}#{}", reminder.as_str())
}

pub fn set_reminder(session: &Session, reminder: Reminder) -> Action {
    let at = reminder.due_at(session.starts_at);
    let stored = StoredReminder {
        session_id: session.id.clone(),
        reminder,
        starts_at: session.starts_at,
        ttl: due_ttl(at),
    };
    let key = reminder_key(&session.id, reminder);
    Action::put(Key::Due { queue: Queue::Reminder, at, key: &key }, encode(&stored), Guard::new())
}

pub fn withdraw_reminder(session: &Session, reminder: Reminder) -> Action {
    let key = reminder_key(&session.id, reminder);
    Action::delete(
        Key::Due { queue: Queue::Reminder, at: reminder.due_at(session.starts_at), key: &key },
        Guard::new(),
    )
}

#[derive(Serialize, Deserialize)]
struct StoredRepair {
    session_id: SessionId,
    trainer_id: UserId,
    due_at: Timestamp,
    topic: String,
    starts_at: Timestamp,
    since: Timestamp,
    #[serde(rename = "expires_at")]
    ttl: i64,
}

/// A class of which Zoom and we may know different things.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repair {
    pub session: SessionId,
    pub trainer: UserId,
    pub at: Timestamp,
    /// What the class's meeting is found by at Zoom, beside its mark.
    pub topic: String,
    pub starts_at: Timestamp,
    /// When it was due first: one that could not be done is put off.
    pub since: Timestamp,
}

/// Asks the sweep to look whether Zoom and we still agree about a class: set before Zoom is called,
/// taken back when all went well.
pub fn set_repair(repair: &Repair) -> Action {
    let stored = StoredRepair {
        session_id: repair.session.clone(),
        trainer_id: repair.trainer.clone(),
        due_at: repair.at,
        topic: repair.topic.clone(),
        starts_at: repair.starts_at,
        since: repair.since,
        ttl: due_ttl(repair.at),
    };
    Action::put(
        Key::Due { queue: Queue::Repair, at: repair.at, key: repair.session.as_str() },
        encode(&stored),
        Guard::new(),
    )
}

pub fn withdraw_repair(session: &SessionId, at: Timestamp) -> Action {
    Action::delete(Key::Due { queue: Queue::Repair, at, key: session.as_str() }, Guard::new())
}

/// How far a queue was done when it was read.
#[derive(Debug)]
pub struct Done {
    queue: Queue,
    before: Option<Timestamp>,
}

#[derive(Serialize, Deserialize)]
struct Mark {
    /// Everything due before this was done.
    until: Timestamp,
}

impl Store {
    /// What is to be repaired by `now`, and how far the queue was done before.
    pub async fn due_repairs(&self, now: Timestamp) -> Result<(Vec<Repair>, Done), StoreError> {
        let (items, done) = self.due(Queue::Repair, now).await?;
        let read = |item| {
            let stored: StoredRepair = decode(item)?;
            Ok(Repair {
                session: stored.session_id,
                trainer: stored.trainer_id,
                at: stored.due_at,
                topic: stored.topic,
                starts_at: stored.starts_at,
                since: stored.since,
            })
        };
        Ok((items.into_iter().filter_map(|item| skip_corrupt(read(item))).collect(), done))
    }

    /// Notes how far a queue is done: the hours before `now` are not looked at again.
    pub async fn swept(&self, done: Done, now: Timestamp) -> Result<(), CommitError> {
        if done.before.is_some_and(|before| utc_hour(before) == utc_hour(now)) {
            return Ok(());
        }
        self.commit_one(Action::put(
            Key::Sweep(done.queue),
            encode(&Mark { until: whole_milli(now) }),
            Guard::new(),
        ))
        .await
    }

    /// What is due in a queue, oldest first: of the hours since the last that was done, up to `now`.
    async fn due(&self, queue: Queue, now: Timestamp) -> Result<(Vec<Item>, Done), StoreError> {
        let before = self.mark(queue).await?;
        let start = before.unwrap_or_else(|| hours_before(now, FIRST_LOOK_HOURS));
        let mut hour = start.max(hours_before(now, limit::DUE_TTL_DAYS * 24));
        let mut items = Vec::new();
        while utc_hour(hour) <= utc_hour(now) {
            let range = Range {
                pk: due_partition(queue, &utc_hour(hour)),
                to: Some(format!("{}~", fixed(now))),
                ..Range::default()
            };
            items.extend(self.query_all(range).await?);
            hour = hours_before(hour, -1);
        }
        Ok((items, Done { queue, before }))
    }

    async fn mark(&self, queue: Queue) -> Result<Option<Timestamp>, StoreError> {
        // Eventually consistent: an old mark costs a second look at an hour, nothing else.
        let range = Range { pk: Key::Sweep(queue).pk(), ..Range::default() };
        let mark = self.query(range).await?.items.into_iter().next();
        Ok(mark.map(decode::<Mark>).transpose()?.map(|mark| mark.until))
    }
}

/// How far back a queue is looked at that was never swept.
const FIRST_LOOK_HOURS: i64 = 24;

fn hours_before(at: Timestamp, hours: i64) -> Timestamp {
    at.saturating_sub(SignedDuration::from_hours(hours)).unwrap_or(at)
}

/// One item that makes no sense must not keep a sweep from all the others.
fn skip_corrupt<T>(read: Result<T, StoreError>) -> Option<T> {
    read.inspect_err(|error| tracing::error!(event = "store.corrupt_item", %error)).ok()
}
