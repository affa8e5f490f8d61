//! Repairs: due work that compares a session with its meeting at Zoom. A repair is stored before Zoom is called. It is deleted
//! if Zoom answers, and otherwise looks again until Zoom has had time to carry out the call.
//!
//! Repairs have a partition of their own. Earlier versions stored them among the other due work. The sweep still finds those
//! there, and stores a postponed one in the new partition, so that after two weeks at most none is left. Such a version does
//! not read the new partition: after a rollback, repairs wait until a later deployment, or expire.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::{due_ttl, encode_repair};
use crate::domain::hosting::{MeetingHost, PlatformUser};
use crate::domain::id::{SessionId, UserId};
use crate::store::schema::{DueQueue, ItemKey};
use crate::store::tx::{Action, Condition};

/// When a repair looks again after the first time, in minutes. Zoom's gateways give up after minutes, so an hour is ample.
const CHECKS_AFTER_MINUTES: [i64; 2] = [10, 60];

#[derive(Serialize, Deserialize)]
pub(super) struct StoredRepair {
    session_id: SessionId,
    trainer_id: UserId,
    due_at: Timestamp,
    first_due_at: Timestamp,
    task: RepairTask,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    checked: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    zoom_host: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    platform_user: Option<PlatformUser>,
    #[serde(rename = "expires_at")]
    ttl: i64,
}

/// The work of a repair.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RepairTask {
    /// Removes the rest of an unanswered create: its intent, and a meeting that does not belong to the session.
    UndoCreate {
        attempt: String,
        /// The topic and start by which the meeting is searched at Zoom, besides its mark.
        topic: String,
        starts_at: Timestamp,
    },
    /// Deletes a meeting that the meeting sweep has made, and that does not belong to the session.
    UndoMeeting { attempt: String, topic: String, starts_at: Timestamp },
    /// Compares the meeting with the session after an unanswered edit.
    CompareMeeting {
        attempt: String,
        /// The digests of the values that were sent to Zoom.
        sent: BTreeSet<String>,
    },
    /// Deletes the meeting of a cancelled session.
    DeleteMeeting,
}

/// A check that compares a session with its meeting and corrects differences.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repair {
    pub session: SessionId,
    pub trainer: UserId,
    pub due_at: Timestamp,
    /// The first due time. A failed repair is postponed.
    pub first_due_at: Timestamp,
    pub task: RepairTask,
    /// Whether a check has succeeded.
    pub is_checked: bool,
    /// The requested host.
    pub host: MeetingHost,
    /// Whether an earlier version stored it among the other due work.
    pub is_among_other_work: bool,
}

impl Repair {
    /// Stores the repair before Zoom is called. It is deleted after the call has succeeded.
    pub fn put(&self) -> Action {
        let (zoom_host, platform_user) = match &self.host {
            MeetingHost::Trainer { pseudonym } => (pseudonym.clone(), None),
            MeetingHost::Platform(user) => (None, Some(user.clone())),
        };
        let stored = StoredRepair {
            session_id: self.session.clone(),
            trainer_id: self.trainer.clone(),
            due_at: self.due_at,
            first_due_at: self.first_due_at,
            task: self.task.clone(),
            checked: self.is_checked,
            zoom_host,
            platform_user,
            ttl: due_ttl(self.due_at),
        };
        let put = |key: ItemKey<'_>| Action::put(key, encode_repair(stored), Condition::new());
        self.on_item(DueQueue::Repairs, put)
    }

    pub fn delete(&self) -> Action {
        let queue = if self.is_among_other_work { DueQueue::Work } else { DueQueue::Repairs };
        self.on_item(queue, |key| Action::delete(key, Condition::new()))
    }

    /// Each attempt has its own repair, also if two of them are due at the same time.
    fn on_item(&self, queue: DueQueue, action: impl FnOnce(ItemKey<'_>) -> Action) -> Action {
        let part = match &self.task {
            RepairTask::UndoCreate { attempt, .. }
            | RepairTask::UndoMeeting { attempt, .. }
            | RepairTask::CompareMeeting { attempt, .. } => attempt,
            RepairTask::DeleteMeeting => "deletion",
        };
        let key = format!("{}#{part}", self.session);
        action(ItemKey::Due { queue, at: self.due_at, key: &key })
    }

    /// Returns the repair that looks again after one that found nothing more to do at `now`. `None` if Zoom has had enough
    /// time.
    pub fn next_check(&self, now: Timestamp) -> Option<Self> {
        if self.task == RepairTask::DeleteMeeting {
            return None;
        }
        let times = CHECKS_AFTER_MINUTES.into_iter().map(SignedDuration::from_mins);
        let due_at = times
            .filter_map(|after| self.first_due_at.checked_add(after).ok())
            .find(|at| *at > now)?;
        Some(Self { due_at, is_checked: true, ..self.clone() })
    }
}

impl StoredRepair {
    pub(super) fn into_repair(self, queue: DueQueue) -> Repair {
        Repair {
            session: self.session_id,
            trainer: self.trainer_id,
            due_at: self.due_at,
            first_due_at: self.first_due_at,
            task: self.task,
            is_checked: self.checked,
            host: match self.platform_user {
                Some(user) => MeetingHost::Platform(user),
                None => MeetingHost::Trainer { pseudonym: self.zoom_host },
            },
            is_among_other_work: queue != DueQueue::Repairs,
        }
    }
}
