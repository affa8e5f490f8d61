//! Due meetings: sessions with a meeting that the meeting sweep makes. The queue is sorted by the time of the next attempt. At first
//! that is the time at which the meeting is due, so that it is in the order of the starts unless somebody has brought one
//! forward.
//!
//! After a failure, the sweep moves an entry to the next attempt. The session does not know that time, so an edit or a
//! cancellation leaves such an entry behind. The sweep recognizes it by the time at which the meeting is due, and deletes it.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::due_ttl;
use crate::domain::id::{SessionId, UserId};
use crate::domain::meeting_retry::notice_at;
use crate::domain::pending_meeting::MeetingState;
use crate::domain::session::Session;
use crate::domain::time::sortable_text;
use crate::store::error::StoreError;
use crate::store::item::{decode_readable, encode};
use crate::store::schema::{DueQueue, ItemKey, attr, due_partition};
use crate::store::tx::{Action, Condition};
use crate::store::{KeyRange, Store};

/// The entries of a page, 25 KB. A requested run stores its position after each.
const QUEUE_PAGE: i32 = 100;

#[derive(Serialize, Deserialize)]
struct StoredDueMeeting {
    session_id: SessionId,
    trainer_id: UserId,
    starts_at: Timestamp,
    due_at: Timestamp,
    /// The time of the next attempt, if it is not `due_at`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    retry_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "is_zero")]
    failures: u32,
    #[serde(rename = "expires_at")]
    ttl: i64,
}

fn is_zero(count: &u32) -> bool {
    *count == 0
}

/// An entry of the queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DueMeeting {
    pub session: SessionId,
    pub trainer: UserId,
    /// The start when the entry was stored.
    pub starts_at: Timestamp,
    /// When the meeting is due. An entry with another time than the session is out of date.
    pub due_at: Timestamp,
    /// When the next attempt is due. It is the position in the queue.
    pub attempt_at: Timestamp,
    /// The failed attempts so far.
    pub failures: u32,
    ttl: i64,
}

/// A page of the queue, by the time of the next attempt.
#[derive(Debug, Default)]
pub struct QueuedMeetings {
    pub meetings: Vec<DueMeeting>,
    /// The position after which the next page begins, if there may be one.
    pub next: Option<String>,
}

impl DueMeeting {
    /// Returns the entry of a session with a pending meeting.
    pub fn of_session(session: &Session) -> Option<Self> {
        let pending = session.meeting.pending.as_ref()?;
        Some(Self {
            session: session.id.clone(),
            trainer: session.trainer.clone(),
            starts_at: session.details.starts_at,
            due_at: pending.due_at,
            attempt_at: pending.due_at,
            failures: 0,
            ttl: due_ttl(session.window_closes_at().max(pending.due_at)),
        })
    }

    /// Returns whether the entry is about the pending meeting of `session`.
    pub fn is_current(&self, session: &Session) -> bool {
        session.meeting.pending.as_ref().is_some_and(|pending| pending.due_at == self.due_at)
    }

    pub fn put(&self) -> Action {
        let stored = StoredDueMeeting {
            session_id: self.session.clone(),
            trainer_id: self.trainer.clone(),
            starts_at: self.starts_at,
            due_at: self.due_at,
            retry_at: Some(self.attempt_at).filter(|at| *at != self.due_at),
            failures: self.failures,
            ttl: self.ttl,
        };
        Action::put(self.key(), encode(&stored), Condition::new())
    }

    pub fn delete(&self) -> Action {
        Action::delete(self.key(), Condition::new())
    }

    /// Returns the actions that move the entry to the next attempt. Refused if another run has moved or deleted it. A
    /// transaction accepts one action per item, so an entry that stays at its time is replaced.
    pub fn move_to(&self, attempt_at: Timestamp, failures: u32) -> Vec<Action> {
        let next =
            Self { attempt_at, failures, ttl: self.ttl.max(due_ttl(attempt_at)), ..self.clone() };
        let is_moved = attempt_at != self.attempt_at;
        let deleted = is_moved.then(|| Action::delete(self.key(), Condition::item_exists()));
        deleted.into_iter().chain([next.put()]).collect()
    }

    /// Returns the position in the queue, from which a later read goes on.
    pub fn position(&self) -> String {
        self.key().sk()
    }

    fn key(&self) -> ItemKey<'_> {
        ItemKey::Due { queue: DueQueue::Meetings, at: self.attempt_at, key: self.session.as_str() }
    }
}

impl From<StoredDueMeeting> for DueMeeting {
    fn from(stored: StoredDueMeeting) -> Self {
        Self {
            session: stored.session_id,
            trainer: stored.trainer_id,
            starts_at: stored.starts_at,
            due_at: stored.due_at,
            attempt_at: stored.retry_at.unwrap_or(stored.due_at),
            failures: stored.failures,
            ttl: stored.ttl,
        }
    }
}

/// Schedules the meeting of a session that has none yet. `None` if the session has a meeting, or its meeting was given up.
pub fn put_due_meeting(session: &Session) -> Option<Action> {
    let is_given_up = session.meeting.pending.as_ref()?.failure.is_some();
    DueMeeting::of_session(session).filter(|_| !is_given_up).map(|due| due.put())
}

/// Returns the entries that a session may have, apart from one that waits for another attempt. A meeting that was given up
/// has an entry for its report.
fn entries_of(session: &Session) -> Vec<DueMeeting> {
    let Some(due) = DueMeeting::of_session(session) else { return Vec::new() };
    let is_given_up = session.meeting_state() == MeetingState::Failed;
    let report = DueMeeting { attempt_at: notice_at(session.details.starts_at), ..due.clone() };
    let report = Some(report).filter(|it| is_given_up && it.attempt_at != due.attempt_at);
    [due].into_iter().chain(report).collect()
}

/// Removes a session from the queue.
pub fn delete_due_meeting(session: &Session) -> Vec<Action> {
    entries_of(session).iter().map(DueMeeting::delete).collect()
}

/// Returns the actions that move a session in the queue. A transaction accepts one action per item, so an entry that stays
/// at its time is replaced.
pub fn move_due_meeting(old: &Session, next: &Session) -> Vec<Action> {
    let (before, after) = (&old.meeting.pending, &next.meeting.pending);
    if before == after && old.details.starts_at == next.details.starts_at {
        return Vec::new();
    }
    let new = DueMeeting::of_session(next);
    let is_replaced =
        |entry: &DueMeeting| new.as_ref().is_some_and(|new| new.attempt_at == entry.attempt_at);
    let left = entries_of(old).into_iter().filter(|entry| !is_replaced(entry));
    left.map(|entry| entry.delete()).chain(put_due_meeting(next)).collect()
}

impl Store {
    /// Returns a page of the queue after a position: the meetings whose next attempt is due until `until`. They include those
    /// of every session that starts until then. Unreadable entries are left out.
    pub async fn queued_meetings(
        &self,
        after: Option<&str>,
        until: Timestamp,
    ) -> Result<QueuedMeetings, StoreError> {
        let range = KeyRange {
            pk: due_partition(DueQueue::Meetings),
            // '!' sorts after the end of a key and before every continuation.
            from: after.map(|after| format!("{after}!")),
            // '~' sorts after the '#' that follows the time, so that an entry for exactly `until` is included.
            to: Some(format!("{}~", sortable_text(until))),
            limit: Some(QUEUE_PAGE),
            ..KeyRange::default()
        };
        let page = self.query(range).await?;
        let meetings = decode_readable::<StoredDueMeeting>(page.items).map(DueMeeting::from);
        let next = page.last_key.and_then(|key| key.get(attr::SK)?.as_s().ok().cloned());
        Ok(QueuedMeetings { meetings: meetings.collect(), next })
    }
}
