//! Creation intents. An intent is stored before Zoom is asked for a meeting, so that an orphaned meeting can be found
//! after a crash. It is deleted in the transaction that stores the session.
//!
//! ```text
//! reserve ──→ Zoom creates the meeting ──→ commit (session stored, intent deleted)
//!    │                 │
//!    │                 └─ refused: abandon (intent deleted, monthly quota released)
//!    └─ no response: the attempt expires. The next attempt or the repair sweep takes it over,
//!       looks up the meeting at Zoom by its tracking mark, and continues or cleans up
//! ```

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::counters::{self, CreateQuotas};
use super::error::StoreError;
use super::item::{decode, encode, encode_value};
use super::schema::{ItemKey, attr};
use super::session_defaults;
use super::tx::{Action, Condition, ItemChanges, text};
use super::{BatchItems, Store};
use crate::domain::bookings::Booking;
use crate::domain::id::{SessionId, UserId};
use crate::domain::session_defaults::SessionDefaults;
use crate::domain::time::{sortable_text, utc_month};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Intent {
    pub session_id: SessionId,
    pub trainer_id: UserId,
    /// The hash of the request body. A repeated create with another body is refused.
    pub created_from: String,
    /// The attempt that holds the intent, and the end of its lease.
    pub attempt: String,
    #[serde(with = "fixed_text")]
    pub attempt_until: Timestamp,
    /// Determines the month whose quota was taken.
    pub starts_at: Timestamp,
    /// Whether the monthly quota was given back because Zoom gave no usable response. The next attempt takes it again.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub quota_released: bool,
    /// The time of the host, booked and given back like the quota.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub booking: Option<IntentBooking>,
    /// The trainer's defaults in force at the first attempt. Every attempt uses them, because the meeting may exist already.
    #[serde(
        default,
        with = "session_defaults",
        skip_serializing_if = "session_defaults::is_empty"
    )]
    pub defaults: SessionDefaults,
    /// Whether attempts with other bodies preceded this one, so that a meeting at Zoom may have their values.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub follows_other_body: bool,
}

/// The booking of an intent. The session is that of the intent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IntentBooking {
    host_user: String,
    starts_at: Timestamp,
    ends_at: Timestamp,
}

impl From<&Booking> for IntentBooking {
    fn from(booking: &Booking) -> Self {
        Self {
            host_user: booking.host_user.clone(),
            starts_at: booking.starts_at,
            ends_at: booking.ends_at,
        }
    }
}

/// Serializes times with a fixed number of digits, because conditions compare them as text.
mod fixed_text {
    use super::{Timestamp, sortable_text};
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(
        at: &Timestamp,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&sortable_text(*at))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Timestamp, D::Error> {
        Timestamp::deserialize(deserializer)
    }
}

/// Stores the intent. Refused if the session is already being created.
pub fn reserve(intent: &Intent) -> Action {
    Action::put(ItemKey::Intent(&intent.session_id), encode(intent), Condition::item_absent())
        .recognized_by(attr::ATTEMPT, text(&intent.attempt))
}

/// Takes over from an expired attempt to create the session as `next`. The same transaction must replace the quotas of the
/// intent by those of `next`: the month ([`Intent::month_actions`]) and the booking.
pub fn take_over_to_create(intent: &Intent, next: &Intent, now: Timestamp) -> Action {
    take_over(intent, &next.attempt, next.attempt_until, now, |changes| {
        let changes = changes.remove(attr::QUOTA_RELEASED);
        let mut replaced = encode(next);
        REQUEST_ATTRIBUTES.into_iter().fold(changes, |changes, name| match replaced.remove(name) {
            Some(value) => changes.set(name, value),
            None => changes.remove(name),
        })
    })
}

/// The attributes that depend on the request of the current attempt.
const REQUEST_ATTRIBUTES: [&str; 6] = [
    attr::CREATED_FROM,
    attr::TRAINER_ID,
    attr::STARTS_AT,
    attr::BOOKING,
    attr::DEFAULTS,
    attr::FOLLOWS_OTHER_BODY,
];

/// Deletes the intent of an expired attempt in the transaction that stores the session without a meeting. Like
/// [`take_over_to_create`], it requires that the transaction replaces the quotas.
pub fn replace(intent: &Intent) -> Action {
    let condition = Condition::new().equals(attr::ATTEMPT, text(&intent.attempt));
    Action::delete(ItemKey::Intent(&intent.session_id), at_quota_state(condition, intent))
}

/// Takes over from an expired attempt to abandon the session. The quota stays as it was read.
pub fn take_over_to_clean_up(
    intent: &Intent,
    attempt: &str,
    until: Timestamp,
    now: Timestamp,
) -> Action {
    take_over(intent, attempt, until, now, |changes| changes)
}

fn take_over(
    intent: &Intent,
    attempt: &str,
    until: Timestamp,
    now: Timestamp,
    change: impl FnOnce(ItemChanges) -> ItemChanges,
) -> Action {
    let changes = ItemChanges::new()
        .set(attr::ATTEMPT, text(attempt))
        .set(attr::ATTEMPT_UNTIL, text(sortable_text(until)));
    let condition = Condition::new()
        .equals(attr::ATTEMPT, text(&intent.attempt))
        .exists(attr::PK)
        .absent_or_expired(attr::ATTEMPT_UNTIL, now);
    let condition = at_quota_state(condition, intent);
    Action::update(ItemKey::Intent(&intent.session_id), change(changes), condition)
        .recognized_by(attr::ATTEMPT, text(attempt))
}

/// Requires the quota's state as it was read. The old attempt may still be running and may release the quota meanwhile.
fn at_quota_state(condition: Condition, intent: &Intent) -> Condition {
    if intent.quota_released {
        condition.exists(attr::QUOTA_RELEASED)
    } else {
        condition.absent(attr::QUOTA_RELEASED)
    }
}

/// Expires an attempt at once that got no usable response from Zoom, so that the next attempt need not wait, and gives its
/// quotas back, because there may be no next attempt.
pub fn release(
    session: &SessionId,
    attempt: &str,
    quotas: &CreateQuotas,
    now: Timestamp,
) -> Vec<Action> {
    let changes = ItemChanges::new()
        .set(attr::ATTEMPT_UNTIL, text(sortable_text(now)))
        .set(attr::QUOTA_RELEASED, encode_value(&true));
    let release = Action::update(
        ItemKey::Intent(session),
        changes,
        Condition::new().equals(attr::ATTEMPT, text(attempt)),
    );
    std::iter::once(release).chain(quotas.give_back()).collect()
}

/// Deletes the intent of a session that will not be stored, and gives its quotas back. Refused if another attempt holds the
/// intent.
pub fn abandon(session: &SessionId, attempt: &str, quotas: &CreateQuotas) -> Vec<Action> {
    std::iter::once(finish(session, attempt)).chain(quotas.give_back()).collect()
}

/// Deletes the intent in the transaction that stores the session. Refused if another attempt holds it.
pub fn finish(session: &SessionId, attempt: &str) -> Action {
    Action::delete(ItemKey::Intent(session), Condition::new().equals(attr::ATTEMPT, text(attempt)))
}

/// The monthly quota of a session that is to be created.
#[derive(Clone, Copy, Debug)]
pub struct MonthQuota<'a> {
    pub trainer: &'a UserId,
    pub starts_at: Timestamp,
    pub max: Option<u32>,
    pub now: Timestamp,
}

impl Intent {
    /// Returns the booking that the intent holds.
    pub fn held_booking(&self) -> Option<Booking> {
        let held = self.booking.as_ref().filter(|_| !self.quota_released)?;
        Some(Booking {
            host_user: held.host_user.clone(),
            session: self.session_id.clone(),
            starts_at: held.starts_at,
            ends_at: held.ends_at,
        })
    }

    /// Returns the quotas that the intent holds. Whether Zoom carried out a call of an attempt that died is unknown.
    pub fn quotas(&self) -> CreateQuotas {
        let month = (!self.quota_released).then(|| (self.trainer_id.clone(), self.starts_at));
        CreateQuotas { month, zoom_write: None, booking: self.held_booking() }
    }

    /// Returns the actions that replace the monthly quota of an intent, if there is one, by that of a session. A transaction
    /// accepts one action per counter, so a month that stays is not counted again.
    pub fn month_actions(held: Option<&Self>, wanted: &MonthQuota<'_>) -> Vec<Action> {
        let MonthQuota { trainer, starts_at, max, now } = *wanted;
        let held = held.and_then(|intent| intent.quotas().month);
        let is_held = held.as_ref().is_some_and(|(holder, at)| {
            holder == trainer && utc_month(*at) == utc_month(starts_at)
        });
        if is_held {
            return Vec::new();
        }
        let released = held.map(|(holder, at)| counters::release_monthly_quota(&holder, at));
        let taken = counters::take_monthly_quota(trainer, starts_at, max, now);
        released.into_iter().chain([taken]).collect()
    }
}

impl Store {
    pub async fn intent(&self, session: &SessionId) -> Result<Option<Intent>, StoreError> {
        self.get(ItemKey::Intent(session)).await?.map(decode).transpose()
    }

    /// Returns those of the sessions that a request is creating or changing, or was when it died.
    pub async fn sessions_with_intent(
        &self,
        sessions: &[SessionId],
    ) -> Result<BTreeSet<SessionId>, StoreError> {
        let keys: Vec<_> = sessions.iter().map(ItemKey::Intent).collect();
        let mut found = self.batch_get(&keys).await?;
        let with_intent =
            sessions.iter().filter(|session| found.take(ItemKey::Intent(session)).is_some());
        Ok(with_intent.cloned().collect())
    }
}

impl BatchItems {
    pub(crate) fn intent(&mut self, session: &SessionId) -> Result<Option<Intent>, StoreError> {
        self.take(ItemKey::Intent(session)).map(decode).transpose()
    }
}
