//! Due meetings: sessions whose meeting the meeting sweep makes. The queue is sorted by the time at which a meeting is due,
//! which is in the order of the starts unless somebody has brought one forward.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::due_ttl;
use crate::domain::id::{SessionId, UserId};
use crate::domain::session::Session;
use crate::store::item::encode;
use crate::store::schema::{DueQueue, ItemKey};
use crate::store::tx::{Action, Condition};

#[derive(Serialize, Deserialize)]
struct StoredDueMeeting {
    session_id: SessionId,
    trainer_id: UserId,
    starts_at: Timestamp,
    due_at: Timestamp,
    #[serde(rename = "expires_at")]
    ttl: i64,
}

/// Schedules the meeting of a session that has none yet. `None` if the session has a meeting, or its meeting was given up.
pub fn put_due_meeting(session: &Session) -> Option<Action> {
    let pending = session.meeting.pending.as_ref().filter(|pending| pending.failure.is_none())?;
    let stored = StoredDueMeeting {
        session_id: session.id.clone(),
        trainer_id: session.trainer.clone(),
        starts_at: session.details.starts_at,
        due_at: pending.due_at,
        ttl: due_ttl(session.window_closes_at().max(pending.due_at)),
    };
    let key = due_meeting_key(&session.id, pending.due_at);
    Some(Action::put(key, encode(&stored), Condition::new()))
}

/// Removes a session from the queue. `None` if it has a meeting.
pub fn delete_due_meeting(session: &Session) -> Option<Action> {
    let pending = session.meeting.pending.as_ref()?;
    Some(Action::delete(due_meeting_key(&session.id, pending.due_at), Condition::new()))
}

/// Returns the actions that move a session in the queue. A transaction accepts one action per item, so an entry that stays
/// at its time is replaced only if `starts_at` differs.
pub fn move_due_meeting(old: &Session, next: &Session) -> Vec<Action> {
    let (before, after) = (&old.meeting.pending, &next.meeting.pending);
    if before == after && old.details.starts_at == next.details.starts_at {
        return Vec::new();
    }
    let due_at = |session: &Session| session.meeting.pending.as_ref().map(|it| it.due_at);
    let is_moved = due_at(old) != due_at(next);
    let deleted = delete_due_meeting(old).filter(|_| is_moved);
    deleted.into_iter().chain(put_due_meeting(next)).collect()
}

fn due_meeting_key(session: &SessionId, due_at: Timestamp) -> ItemKey<'_> {
    ItemKey::Due { queue: DueQueue::Meetings, at: due_at, key: session.as_str() }
}
