//! Counters with a limit: creates and edits per Zoom user and day, sessions per trainer and month, join requests per guest
//! and time window.

use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;

use super::error::{CommitError, StoreError};
use super::item::decode;
use super::schema::{ItemKey, attr, limit};
use super::tx::{Action, Condition, ConditionSubject, ItemChanges, number};
use super::{BatchItems, Store, bookings};
use crate::domain::attempt_limit::AttemptLimit;
use crate::domain::bookings::Booking;
use crate::domain::id::{SessionId, UserId};
use crate::domain::mailing::RecipientRef;
use crate::domain::time::{utc_day, utc_month};
use crate::telemetry::metrics;

/// Zoom's limit on creates and edits of meetings together, per host and UTC day.
pub const ZOOM_WRITES_PER_DAY: u32 = 100;
/// The number of writes from which the metric warns of the limit.
const ZOOM_WRITES_NEAR_LIMIT: u32 = 90;

fn ttl(now: Timestamp, days: i64) -> aws_sdk_dynamodb::types::AttributeValue {
    let at = now.saturating_add(SignedDuration::from_hours(24 * days)).unwrap_or(now);
    number(at.as_second())
}

/// Counts a create or edit of today. Refused at `max`.
fn count_zoom_write(zoom_user: &str, max: u32, now: Timestamp) -> Action {
    let changes =
        ItemChanges::new().add(attr::COUNT, 1).set(attr::TTL, ttl(now, limit::ZOOM_DAY_TTL_DAYS));
    let condition = Condition::new().absent_or_below(attr::COUNT, number(max));
    Action::update(ItemKey::ZoomDay { zoom_user, day: &utc_day(now) }, changes, condition)
}

/// Counts a join request with the link of a guest. Refused at the limit of the window.
pub fn count_guest_join(
    session: &SessionId,
    guest: &RecipientRef,
    limit: AttemptLimit,
    now: Timestamp,
) -> Action {
    let ends_in = SignedDuration::from_secs(limit.window_seconds);
    let expires_at = now.saturating_add(ends_in).unwrap_or(now).as_second();
    let changes = ItemChanges::new().add(attr::COUNT, 1).set(attr::TTL, number(expires_at));
    let condition = Condition::new().absent_or_below(attr::COUNT, number(limit.attempts));
    let window = limit.window(now);
    Action::update(ItemKey::GuestJoins { session, guest, window }, changes, condition)
}

/// Takes one session of the monthly quota, in the month of `starts_at`. Refused at `max`.
pub fn take_monthly_quota(
    trainer: &UserId,
    starts_at: Timestamp,
    max: Option<u32>,
    now: Timestamp,
) -> Action {
    let changes =
        ItemChanges::new().add(attr::COUNT, 1).set(attr::TTL, ttl(now, limit::MONTH_TTL_DAYS));
    let condition = match max {
        None => Condition::new(),
        // A month without a counter is below every limit except 0.
        Some(0) => Condition::new().exists(attr::COUNT).absent_or_below(attr::COUNT, number(0)),
        Some(max) => Condition::new().absent_or_below(attr::COUNT, number(max)),
    };
    Action::update(
        ItemKey::Month { user: trainer, month: &utc_month(starts_at) },
        changes,
        condition,
    )
}

impl Store {
    /// Commits `actions` and counts a create or edit of the Zoom user's day. Refused with [`ConditionSubject::ZoomDay`] at the
    /// limit. A transaction does not return the counter, so the first attempt uses the smaller warning limit, and only a
    /// day close to the limit costs a second attempt.
    pub async fn commit_zoom_write(
        &self,
        mut actions: Vec<Action>,
        zoom_user: &str,
        now: Timestamp,
    ) -> Result<(), CommitError> {
        let mut first = actions.clone();
        first.push(count_zoom_write(zoom_user, ZOOM_WRITES_NEAR_LIMIT, now));
        match self.commit(first).await {
            Err(error) if error.refused(ConditionSubject::ZoomDay) => {}
            done => return done,
        }
        actions.push(count_zoom_write(zoom_user, ZOOM_WRITES_PER_DAY, now));
        let done = self.commit(actions).await;
        match &done {
            Ok(()) => metrics::ZOOM_DAILY_LIMIT_NEAR.count(),
            Err(error) if error.refused(ConditionSubject::ZoomDay) => metrics::ZOOM_LIMITED.count(),
            Err(_) => {}
        }
        done
    }

    /// Returns how much of the monthly quota a trainer has used in the month of `starts_at`.
    pub async fn sessions_in_month(
        &self,
        trainer: &UserId,
        starts_at: Timestamp,
    ) -> Result<i64, StoreError> {
        let month = utc_month(starts_at);
        let item = self.get(ItemKey::Month { user: trainer, month: &month }).await?;
        Ok(item.map(decode::<StoredCount>).transpose()?.map_or(0, |stored| stored.count))
    }
}

#[derive(Deserialize)]
struct StoredCount {
    count: i64,
}

impl BatchItems {
    /// Returns how many sessions of a month are counted, or none if the item was not read.
    pub(crate) fn sessions_in_month(
        &mut self,
        trainer: &UserId,
        month: &str,
    ) -> Result<u32, StoreError> {
        let item = self.take(ItemKey::Month { user: trainer, month });
        let stored = item.map(decode::<StoredCount>).transpose()?;
        Ok(stored.map_or(0, |stored| u32::try_from(stored.count).unwrap_or(0)))
    }
}

/// A create or edit that was counted in a Zoom user's day.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CountedZoomWrite {
    pub zoom_user: String,
    /// When it was counted.
    pub at: Timestamp,
}

impl CountedZoomWrite {
    /// Takes the write out of the count, because Zoom has certainly not carried it out.
    pub fn give_back(&self) -> Action {
        let changes = ItemChanges::new()
            .add(attr::COUNT, -1)
            .set(attr::TTL, ttl(self.at, limit::ZOOM_DAY_TTL_DAYS));
        let key = ItemKey::ZoomDay { zoom_user: &self.zoom_user, day: &utc_day(self.at) };
        Action::update(key, changes, Condition::new())
    }
}

/// The quotas that a create holds: a session of its trainer's month, a write of its Zoom user's day, and its booking.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreateQuotas {
    /// The trainer and the start of the session. `None` if the monthly quota was given back before.
    pub month: Option<(UserId, Timestamp)>,
    /// `None` if Zoom may have carried out the call, or if it was not counted.
    pub zoom_write: Option<CountedZoomWrite>,
    /// The time of the host. `None` like the month, or if the host is not known.
    pub booking: Option<Booking>,
}

impl CreateQuotas {
    /// Gives all quotas back. Used only together with the intent that holds them, so that none is given back twice.
    pub(super) fn give_back(&self) -> Vec<Action> {
        let month = self.month.as_ref();
        let month = month.map(|(trainer, starts_at)| release_monthly_quota(trainer, *starts_at));
        let booking = self.booking.as_ref().map(bookings::release).unwrap_or_default();
        let zoom_write = self.zoom_write.as_ref().map(CountedZoomWrite::give_back);
        month.into_iter().chain(zoom_write).chain(booking).collect()
    }
}

/// Releases one session of the monthly quota.
pub fn release_monthly_quota(trainer: &UserId, starts_at: Timestamp) -> Action {
    let changes = ItemChanges::new().add(attr::COUNT, -1);
    Action::update(
        ItemKey::Month { user: trainer, month: &utc_month(starts_at) },
        changes,
        Condition::new(),
    )
}
