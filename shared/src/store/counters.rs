//! Counters that a condition bounds: creates and edits per Zoom user and day, classes per trainer and month.

use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;

use super::Store;
use super::error::{CommitError, StoreError};
use super::item::decode;
use super::schema::{ItemKey, attr, limit};
use super::tx::{Action, ItemChanges, Guard, ConditionSubject, number};
use crate::domain::id::UserId;
use crate::domain::time::{utc_day, utc_month};
use crate::telemetry::metrics;

/// Zoom: creates and edits of meetings together, per host and UTC day.
pub const ZOOM_WRITES_PER_DAY: u32 = 100;
/// From here on a day's writes are told of, while there are some left.
const ZOOM_WRITES_NEAR: u32 = 90;

fn ttl(now: Timestamp, days: i64) -> aws_sdk_dynamodb::types::AttributeValue {
    let at = now.saturating_add(SignedDuration::from_hours(24 * days)).unwrap_or(now);
    number(at.as_second())
}

/// Counts one more create or edit of today; refused where there are `most` already.
fn count_zoom_write(zoom_user: &str, most: u32, now: Timestamp) -> Action {
    let changes =
        ItemChanges::new().add(attr::COUNT, 1).set(attr::TTL, ttl(now, limit::ZOOM_DAY_TTL_DAYS));
    let guard = Guard::new().absent_or_below(attr::COUNT, number(most));
    Action::update(ItemKey::ZoomDay { zoom_user, day: &utc_day(now) }, changes, guard)
}

/// Counts one more class that begins in the month of `starts_at`; refused when `most` are there already.
pub fn count_class(
    trainer: &UserId,
    starts_at: Timestamp,
    most: Option<u32>,
    now: Timestamp,
) -> Action {
    let changes =
        ItemChanges::new().add(attr::COUNT, 1).set(attr::TTL, ttl(now, limit::MONTH_TTL_DAYS));
    let guard = match most {
        None => Guard::new(),
        // A month in which nothing was counted yet is below every limit but this one.
        Some(0) => Guard::new().exists(attr::COUNT).absent_or_below(attr::COUNT, number(0)),
        Some(most) => Guard::new().absent_or_below(attr::COUNT, number(most)),
    };
    Action::update(ItemKey::Month { user: trainer, month: &utc_month(starts_at) }, changes, guard)
}

impl Store {
    /// Commits `actions` and counts one more create or edit of the Zoom user's day; refused for
    /// [`Subject::ZoomDay`] at the hundred-and-first. A transaction does not tell what it made of a counter, so the first
    /// try is for a smaller number, and only a day that is nearly spent costs a second one.
    pub async fn commit_zoom_write(
        &self,
        mut actions: Vec<Action>,
        zoom_user: &str,
        now: Timestamp,
    ) -> Result<(), CommitError> {
        let mut first = actions.clone();
        first.push(count_zoom_write(zoom_user, ZOOM_WRITES_NEAR, now));
        match self.commit(first).await {
            Err(error) if error.refused(ConditionSubject::ZoomDay) => {}
            done => return done,
        }
        actions.push(count_zoom_write(zoom_user, ZOOM_WRITES_PER_DAY, now));
        let done = self.commit(actions).await;
        match &done {
            Ok(()) => metrics::ZOOM_DAY_NEAR.count(),
            Err(error) if error.refused(ConditionSubject::ZoomDay) => metrics::ZOOM_LIMITED.count(),
            Err(_) => {}
        }
        done
    }

    /// How many classes of a trainer begin in the month of `starts_at`.
    pub async fn classes_in_month(
        &self,
        trainer: &UserId,
        starts_at: Timestamp,
    ) -> Result<i64, StoreError> {
        #[derive(Deserialize)]
        struct Stored {
            count: i64,
        }
        let month = utc_month(starts_at);
        let item = self.get(ItemKey::Month { user: trainer, month: &month }).await?;
        Ok(item.map(decode::<Stored>).transpose()?.map_or(0, |stored| stored.count))
    }
}

/// Gives a class of that month back.
pub fn uncount_class(trainer: &UserId, starts_at: Timestamp) -> Action {
    let changes = ItemChanges::new().add(attr::COUNT, -1);
    Action::update(
        ItemKey::Month { user: trainer, month: &utc_month(starts_at) },
        changes,
        Guard::new(),
    )
}
