//! Due work: reminders, repairs and checks, sorted by due time, so that a sweep reads only due items. Repairs have a
//! partition of their own.

mod checks;
pub mod meetings;
pub mod reconciliations;
pub mod repairs;
pub mod start_checks;

use aws_sdk_dynamodb::types::AttributeValue;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

pub use self::checks::{
    DriftCheck, DueErasure, EndCheck, ErasureCheck, InviteeListCheck, ZoneCheck,
};
use self::checks::{
    StoredDriftCheck, StoredDueErasure, StoredEndCheck, StoredErasureCheck, StoredInviteeListCheck,
    StoredZoneCheck,
};
use self::repairs::{Repair, StoredRepair};
use self::start_checks::{StartCheck, StoredStartCheck};
pub use super::domain_events::{domain_event_key, put_domain_event};
use super::error::StoreError;
use super::item::{decode_readable, encode};
use super::schema::{DueQueue, ItemKey, attr, due_partition, limit};
use super::tx::{Action, Condition, Item, ItemChanges};
use super::{ItemPage, KeyRange, Store};
use crate::domain::id::{SessionId, UserId, ZoomUserId};
use crate::domain::licence::HostedClass;
use crate::domain::reminder::Reminder;
use crate::domain::session::Session;
use crate::domain::time::sortable_text;

/// Due work as stored.
#[derive(Serialize, Deserialize)]
#[serde(tag = "work", rename_all = "snake_case")]
enum StoredWork {
    Reminder(StoredReminder),
    Repair(StoredRepair),
    EndCheck(StoredEndCheck),
    StartCheck(StoredStartCheck),
    ErasureCheck(StoredErasureCheck),
    DriftCheck(StoredDriftCheck),
    InviteeListCheck(StoredInviteeListCheck),
    ZoneCheck(StoredZoneCheck),
    Erasure(StoredDueErasure),
}

#[derive(Serialize, Deserialize)]
struct StoredReminder {
    session_id: SessionId,
    reminder: Reminder,
    /// The start for which the reminder was set. A rescheduled session has new reminders.
    starts_at: Timestamp,
    /// The zone and its offset, with the reminder for the start only. Every session ahead has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    timezone: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    utc_offset: Option<i32>,
    /// The host of the platform's own account, with the reminder for the start only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    hosted: Option<StoredHosting>,
    /// Whether the reminder waits for its trainer after a notification.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    held: bool,
    /// Whether the comparison with Zoom was scheduled when the reminder was held.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    has_comparison: bool,
    #[serde(rename = "expires_at")]
    ttl: i64,
}

/// The data on which the licences of the platform's hosts depend.
#[derive(Serialize, Deserialize)]
struct StoredHosting {
    trainer_id: UserId,
    zoom_user_id: ZoomUserId,
    ends_at: Timestamp,
}

pub(super) fn due_ttl(at: Timestamp) -> i64 {
    at.saturating_add(SignedDuration::from_hours(24 * limit::DUE_TTL_DAYS))
        .unwrap_or(at)
        .as_second()
}

fn reminder_key(session: &SessionId, reminder: Reminder) -> String {
    format!("{session}#{}", reminder.as_str())
}

pub fn put_reminder(session: &Session, reminder: Reminder) -> Action {
    let at = reminder.due_at(session.details.starts_at);
    let is_start = reminder == Reminder::Start;
    let stored = StoredWork::Reminder(StoredReminder {
        session_id: session.id.clone(),
        reminder,
        starts_at: session.details.starts_at,
        timezone: is_start.then(|| session.details.zone.name().to_owned()),
        utc_offset: is_start.then_some(session.utc_offset),
        hosted: session.meeting.platform_user.clone().filter(|_| is_start).map(|zoom_user_id| {
            let (trainer_id, ends_at) = (session.trainer.clone(), session.planned_end());
            StoredHosting { trainer_id, zoom_user_id, ends_at }
        }),
        held: false,
        has_comparison: false,
        ttl: due_ttl(at),
    });
    let key = reminder_key(&session.id, reminder);
    Action::put(
        ItemKey::Due { queue: DueQueue::Work, at, key: &key },
        encode(&stored),
        Condition::new(),
    )
}

pub fn delete_reminder(session: &Session, reminder: Reminder) -> Action {
    delete_reminder_if(&session.id, reminder, session.details.starts_at, Condition::new())
}

/// Deletes a reminder in the transaction that sends it. Refused if it is gone, so that each reminder is sent once.
pub fn claim_reminder(session: &SessionId, reminder: Reminder, starts_at: Timestamp) -> Action {
    delete_reminder_if(session, reminder, starts_at, Condition::item_exists())
}

/// Marks a reminder as held, in the transaction that notifies the trainer if the trainer is notified. Refused if it is gone
/// or was marked before.
///
/// With `has_comparison`, the transaction schedules the comparison with Zoom, which does not wait for the reminder.
pub fn hold_reminder(due: &DueReminder, has_comparison: bool) -> Action {
    let (at, key) = (due.reminder.due_at(due.starts_at), reminder_key(&due.session, due.reminder));
    let mut changes = ItemChanges::new().set(attr::HELD, AttributeValue::Bool(true));
    if has_comparison {
        changes = changes.set(attr::HAS_COMPARISON, AttributeValue::Bool(true));
    }
    Action::update(
        ItemKey::Due { queue: DueQueue::Work, at, key: &key },
        changes,
        Condition::item_exists().absent(attr::HELD),
    )
}

fn delete_reminder_if(
    session: &SessionId,
    reminder: Reminder,
    starts_at: Timestamp,
    condition: Condition,
) -> Action {
    let (at, key) = (reminder.due_at(starts_at), reminder_key(session, reminder));
    Action::delete(ItemKey::Due { queue: DueQueue::Work, at, key: &key }, condition)
}

fn encode_repair(stored: StoredRepair) -> Item {
    encode(&StoredWork::Repair(stored))
}

fn encode_start_check(stored: StoredStartCheck) -> Item {
    encode(&StoredWork::StartCheck(stored))
}

/// The start of a session ahead, with its zone as it was saved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedStart {
    pub session: SessionId,
    pub starts_at: Timestamp,
    pub timezone: String,
    pub utc_offset: i32,
}

/// A due reminder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DueReminder {
    pub session: SessionId,
    pub reminder: Reminder,
    /// The start for which it was set.
    pub starts_at: Timestamp,
    /// Whether it waits for its trainer after a notification.
    pub is_held: bool,
    /// Whether the comparison with Zoom is scheduled.
    pub has_comparison: bool,
}

/// The due work of one sweep run, each list oldest first.
#[derive(Debug, Default)]
pub struct DueWork {
    pub reminders: Vec<DueReminder>,
    /// Reminders that wait for their trainer. They must not delay the others.
    pub held_reminders: Vec<DueReminder>,
    /// Repairs that an earlier version stored here.
    pub repairs: Vec<Repair>,
    pub end_checks: Vec<EndCheck>,
    pub start_checks: Vec<StartCheck>,
    pub erasure_checks: Vec<ErasureCheck>,
    pub drift_checks: Vec<DriftCheck>,
    pub invitee_list_checks: Vec<InviteeListCheck>,
    pub erasures: Vec<DueErasure>,
    /// Not counted, because it is always due.
    pub zone_check: Option<ZoneCheck>,
    /// Whether more work is due than one run takes.
    pub has_more: bool,
}

impl DueWork {
    pub fn len(&self) -> usize {
        self.held_reminders.len() + self.other_len()
    }

    /// Returns the number of items other than held reminders.
    fn other_len(&self) -> usize {
        self.reminders.len()
            + self.repairs.len()
            + self.end_checks.len()
            + self.start_checks.len()
            + self.erasure_checks.len()
            + self.drift_checks.len()
            + self.invitee_list_checks.len()
            + self.erasures.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl DueWork {
    fn add(&mut self, stored: StoredWork) {
        match stored {
            StoredWork::Reminder(stored) => {
                let list = if stored.held { &mut self.held_reminders } else { &mut self.reminders };
                list.push(DueReminder {
                    session: stored.session_id,
                    reminder: stored.reminder,
                    starts_at: stored.starts_at,
                    is_held: stored.held,
                    has_comparison: stored.has_comparison,
                });
            }
            StoredWork::Repair(stored) => self.repairs.push(stored.into_repair(DueQueue::Work)),
            StoredWork::EndCheck(stored) => {
                self.end_checks.push(EndCheck { session: stored.session_id, due_at: stored.due_at })
            }
            StoredWork::StartCheck(stored) => self.start_checks.push(stored.into()),
            StoredWork::ErasureCheck(stored) => self
                .erasure_checks
                .push(ErasureCheck { session: stored.session_id, due_at: stored.due_at }),
            StoredWork::DriftCheck(stored) => self
                .drift_checks
                .push(DriftCheck { session: stored.session_id, due_at: stored.due_at }),
            StoredWork::InviteeListCheck(stored) => {
                self.invitee_list_checks.push(InviteeListCheck {
                    session: stored.session_id,
                    list: stored.list,
                    due_at: stored.due_at,
                })
            }
            StoredWork::Erasure(stored) => self.erasures.push(DueErasure {
                subject: stored.subject,
                erased_at: stored.erased_at,
                due_at: stored.due_at,
                look: stored.look,
            }),
            StoredWork::ZoneCheck(stored) => {
                self.zone_check = Some(ZoneCheck { data: stored.data, after: stored.after });
            }
        }
    }
}

impl Store {
    /// Returns the work due at `now`, oldest first, as much as one run takes. Held reminders stay in the queue, so further
    /// requests read past them. Work that cannot be read is left out, and does not count either.
    pub async fn due_work(&self, now: Timestamp) -> Result<DueWork, StoreError> {
        let mut range = KeyRange {
            pk: due_partition(DueQueue::Work),
            // '~' sorts after the '#' that follows the time, so that work due at exactly `now` is included.
            to: Some(format!("{}~", sortable_text(now))),
            limit: Some(DUE_WORK_PAGE),
            ..KeyRange::default()
        };
        let mut work = DueWork::default();
        for _ in 0..DUE_WORK_PAGES {
            let ItemPage { items, last_key } = self.query(range.clone()).await?;
            decode_readable(items).for_each(|stored| work.add(stored));
            work.has_more = last_key.is_some();
            match last_key {
                Some(last_key) if work.other_len() < DUE_WORK_LIMIT => range.after = Some(last_key),
                _ => break,
            }
        }
        Ok(work)
    }

    /// Returns the repairs due at `now`, oldest first, more than one run has time for. Unreadable ones are left out.
    pub async fn due_repairs(&self, now: Timestamp) -> Result<Vec<Repair>, StoreError> {
        let range = KeyRange {
            pk: due_partition(DueQueue::Repairs),
            to: Some(format!("{}~", sortable_text(now))),
            limit: Some(DUE_REPAIRS_PAGE),
            ..KeyRange::default()
        };
        let work = decode_readable(self.query(range).await?.items);
        let repairs = work.filter_map(|stored| match stored {
            StoredWork::Repair(stored) => Some(stored.into_repair(DueQueue::Repairs)),
            _ => None,
        });
        Ok(repairs.collect())
    }

    /// Returns the classes that the platform's own account hosts and that start between two times, by start. Every class
    /// ahead has a reminder for its start, so that no further items are needed. Eventually consistent.
    pub async fn hosted_classes(
        &self,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<Vec<HostedClass>, StoreError> {
        let mut range = KeyRange {
            pk: due_partition(DueQueue::Work),
            from: Some(sortable_text(from)),
            to: Some(format!("{}~", sortable_text(to))),
            limit: Some(PLANNED_STARTS_PAGE),
            ..KeyRange::default()
        };
        let mut classes = Vec::new();
        for _ in 0..HOSTED_CLASSES_PAGES {
            let ItemPage { items, last_key } = self.query(range.clone()).await?;
            classes.extend(decode_readable(items).filter_map(|stored| match stored {
                StoredWork::Reminder(StoredReminder {
                    session_id: session,
                    starts_at,
                    hosted: Some(StoredHosting { trainer_id: trainer, zoom_user_id: user, ends_at }),
                    ..
                }) => Some(HostedClass { session, trainer, user, starts_at, ends_at }),
                _ => None,
            }));
            match last_key {
                Some(last_key) => range.after = Some(last_key),
                None => return Ok(classes),
            }
        }
        tracing::warn!(event = "licences.classes_left_out", read = classes.len());
        Ok(classes)
    }

    /// Returns a page of the starts of the sessions ahead, and the sort key after which the next page begins.
    pub async fn planned_starts(
        &self,
        after: Option<&str>,
        now: Timestamp,
    ) -> Result<(Vec<PlannedStart>, Option<String>), StoreError> {
        let range = KeyRange {
            pk: due_partition(DueQueue::Work),
            from: Some(match after {
                // '!' sorts after the end of a key and before every continuation.
                Some(after) => format!("{after}!"),
                None => sortable_text(now),
            }),
            limit: Some(PLANNED_STARTS_PAGE),
            ..KeyRange::default()
        };
        let page = self.query(range).await?;
        let starts = decode_readable(page.items).filter_map(|stored| match stored {
            StoredWork::Reminder(StoredReminder {
                session_id: session,
                reminder: Reminder::Start,
                starts_at,
                timezone: Some(timezone),
                utc_offset: Some(utc_offset),
                ..
            }) => Some(PlannedStart { session, starts_at, timezone, utc_offset }),
            _ => None,
        });
        let next = page.last_key.and_then(|key| key.get(attr::SK)?.as_s().ok().cloned());
        Ok((starts.collect(), next))
    }
}

/// Items per request of the check of planned starts, about 300 KB.
const PLANNED_STARTS_PAGE: i32 = 1000;
/// Requests for the classes that the platform hosts: 40,000 reminders, about 13,000 classes in the time of a forecast.
const HOSTED_CLASSES_PAGES: usize = 40;

/// The most work that one run takes, which is about ten seconds of mail, without held reminders. The next run continues with
/// the rest.
const DUE_WORK_LIMIT: usize = 2000;
/// Items per request, which returns 1 MB at most.
const DUE_WORK_PAGE: i32 = 2000;
/// Repairs that a run reads. Each takes at least two requests to Zoom, one after the other.
const DUE_REPAIRS_PAGE: i32 = 500;
/// Requests per run. They read past about 40,000 held reminders.
const DUE_WORK_PAGES: usize = 20;
