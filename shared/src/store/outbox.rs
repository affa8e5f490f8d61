//! Due work: reminders, repairs and endings, sorted by when they are due, so that a sweep reads what is due and nothing else,
//! however much is stored.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

pub use super::domain_events::{address, announce};
use super::error::StoreError;
use super::item::{decode, encode};
use super::schema::{ItemKey, DueQueue, due_partition, limit};
use super::tx::{Action, Guard};
use super::{KeyRange, Store};
use crate::domain::id::{SessionId, UserId};
use crate::domain::reminder::Reminder;
use crate::domain::session::Session;
use crate::domain::time::fixed;

/// Work for the sweep, as it is stored.
#[derive(Serialize, Deserialize)]
#[serde(tag = "work", rename_all = "snake_case")]
enum StoredWork {
    Reminder(StoredReminder),
    Repair(StoredRepair),
    Ending(StoredEnding),
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
    let stored = StoredWork::Reminder(StoredReminder {
        session_id: session.id.clone(),
        reminder,
        starts_at: session.starts_at,
        ttl: due_ttl(at),
    });
    let key = reminder_key(&session.id, reminder);
    Action::put(ItemKey::Due { queue: DueQueue::Work, at, key: &key }, encode(&stored), Guard::new())
}

pub fn withdraw_reminder(session: &Session, reminder: Reminder) -> Action {
    delete_reminder(&session.id, reminder, session.starts_at, Guard::new())
}

/// Takes a reminder in order to tell it; refused when it is there no more. It is what a telling is told once by: of two
/// who would tell, one takes it.
pub fn take_reminder(session: &SessionId, reminder: Reminder, starts_at: Timestamp) -> Action {
    delete_reminder(session, reminder, starts_at, Guard::existing_item())
}

fn delete_reminder(
    session: &SessionId,
    reminder: Reminder,
    starts_at: Timestamp,
    guard: Guard,
) -> Action {
    let (at, key) = (reminder.due_at(starts_at), reminder_key(session, reminder));
    Action::delete(ItemKey::Due { queue: DueQueue::Work, at, key: &key }, guard)
}

#[derive(Serialize, Deserialize)]
struct StoredRepair {
    session_id: SessionId,
    trainer_id: UserId,
    due_at: Timestamp,
    topic: String,
    starts_at: Timestamp,
    since: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    account: Option<String>,
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
    /// The Zoom account that was asked for the meeting.
    pub account: Option<String>,
}

/// Asks the sweep to look whether Zoom and we still agree about a class: set before Zoom is called,
/// taken back when all went well.
pub fn set_repair(repair: &Repair) -> Action {
    let stored = StoredWork::Repair(StoredRepair {
        session_id: repair.session.clone(),
        trainer_id: repair.trainer.clone(),
        due_at: repair.at,
        topic: repair.topic.clone(),
        starts_at: repair.starts_at,
        since: repair.since,
        account: repair.account.clone(),
        ttl: due_ttl(repair.at),
    });
    Action::put(
        ItemKey::Due { queue: DueQueue::Work, at: repair.at, key: repair.session.as_str() },
        encode(&stored),
        Guard::new(),
    )
}

pub fn withdraw_repair(session: &SessionId, at: Timestamp) -> Action {
    Action::delete(ItemKey::Due { queue: DueQueue::Work, at, key: session.as_str() }, Guard::new())
}

#[derive(Serialize, Deserialize)]
struct StoredEnding {
    session_id: SessionId,
    due_at: Timestamp,
    #[serde(rename = "expires_at")]
    ttl: i64,
}

/// A class that is live, and when to look whether it still is, should nobody tell that it is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DueEnd {
    pub session: SessionId,
    pub at: Timestamp,
}

impl DueEnd {
    /// Asks the sweep to look.
    pub fn set(&self) -> Action {
        let stored = StoredWork::Ending(StoredEnding {
            session_id: self.session.clone(),
            due_at: self.at,
            ttl: due_ttl(self.at),
        });
        Action::put(
            ItemKey::Due { queue: DueQueue::Work, at: self.at, key: &ending_key(&self.session) },
            encode(&stored),
            Guard::new(),
        )
    }

    pub fn withdraw(&self) -> Action {
        let key = ending_key(&self.session);
        Action::delete(ItemKey::Due { queue: DueQueue::Work, at: self.at, key: &key }, Guard::new())
    }
}

fn ending_key(session: &SessionId) -> String {
    format!("{session}#ending")
}

/// A reminder whose time has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DueReminder {
    pub session: SessionId,
    pub reminder: Reminder,
    /// The start that it is for.
    pub starts_at: Timestamp,
}

/// What a sweep finds to do, each oldest first.
#[derive(Debug, Default)]
pub struct DueWork {
    pub reminders: Vec<DueReminder>,
    pub repairs: Vec<Repair>,
    pub endings: Vec<DueEnd>,
}

impl DueWork {
    pub fn len(&self) -> usize {
        self.reminders.len() + self.repairs.len() + self.endings.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Store {
    /// What is due at `now`, however long it has been, oldest first and as much as one request reads. Nothing that is not
    /// due is read.
    pub async fn due_work(&self, now: Timestamp) -> Result<DueWork, StoreError> {
        let range = KeyRange {
            pk: due_partition(DueQueue::Work),
            // '~' sorts behind the '#' that follows the time in a key: what is due at `now` itself is in.
            to: Some(format!("{}~", fixed(now))),
            limit: Some(WORK_AT_ONCE),
            ..KeyRange::default()
        };
        let mut work = DueWork::default();
        for item in self.query(range).await?.items {
            match skip_corrupt(decode(item)) {
                Some(StoredWork::Reminder(stored)) => work.reminders.push(DueReminder {
                    session: stored.session_id,
                    reminder: stored.reminder,
                    starts_at: stored.starts_at,
                }),
                Some(StoredWork::Repair(stored)) => work.repairs.push(Repair {
                    session: stored.session_id,
                    trainer: stored.trainer_id,
                    at: stored.due_at,
                    topic: stored.topic,
                    starts_at: stored.starts_at,
                    since: stored.since,
                    account: stored.account,
                }),
                Some(StoredWork::Ending(stored)) => {
                    work.endings.push(DueEnd { session: stored.session_id, at: stored.due_at });
                }
                None => {}
            }
        }
        Ok(work)
    }
}

/// What one run takes upon itself: some ten seconds of telling. After an outage the next run goes on where it ended.
const WORK_AT_ONCE: i32 = 2000;

/// One item that makes no sense must not keep a sweep from all the others.
fn skip_corrupt<T>(read: Result<T, StoreError>) -> Option<T> {
    read.inspect_err(|error| tracing::error!(event = "store.corrupt_item", %error)).ok()
}
