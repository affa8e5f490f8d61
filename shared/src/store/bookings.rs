//! Bookings: an item per Zoom user and UTC day, with an attribute per session. A session that crosses midnight is in two
//! items.
//!
//! A booking is stored in the transaction that reserves, moves or cancels its session. A conditional booking requires that
//! no other one was added since the calendar was read. A released one makes room only, so it changes no revision.

use std::collections::{BTreeSet, HashMap};

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;

use super::error::StoreError;
use super::host_status::readable_host_status;
use super::item::{decode, encode_value, unreadable};
use super::schema::{ItemKey, attr, limit};
use super::tx::{Action, Condition, Item, ItemChanges, number};
use super::{BatchItems, Store};
use crate::domain::bookings::{Booking, BookingCalendar};
use crate::domain::host_status::WarningSources;
use crate::domain::hosting::Hosting;
use crate::domain::id::{SessionId, UserId};
use crate::domain::session::Session;

/// The day of a host: an item.
type HostDay = (String, String);

/// The bookings of some days, as they were read.
#[derive(Clone, Debug, Default)]
pub struct BookedDays {
    pub calendar: BookingCalendar,
    revisions: HashMap<HostDay, u64>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct StoredDay {
    revision: u64,
}

/// Replaces the booking `old` of a session by `new`. With the days that were read before, it is refused if another booking
/// was added to them since.
pub fn replace(
    old: Option<&Booking>,
    new: Option<&Booking>,
    read: Option<&BookedDays>,
) -> Vec<Action> {
    let new_days = new.map(days_of).unwrap_or_default();
    let left = old.map(days_of).unwrap_or_default().into_iter();
    let left: Vec<_> = left.filter(|day| !new_days.contains(day)).collect();
    let releases = old.into_iter().flat_map(|old| left.iter().map(|day| release_day(old, day)));
    let books = new.into_iter().flat_map(|new| {
        new_days.iter().map(|day| book_day(new, day, read.map(|read| read.revisions.get(day))))
    });
    releases.chain(books).collect()
}

/// Releases the booking of a session.
pub fn release(booking: &Booking) -> Vec<Action> {
    replace(Some(booking), None, None)
}

fn days_of(booking: &Booking) -> BTreeSet<HostDay> {
    booking.days().into_iter().map(|day| (booking.host_user.clone(), day)).collect()
}

fn book_day(booking: &Booking, day: &HostDay, read: Option<Option<&u64>>) -> Action {
    let times = encode_value(&[booking.starts_at.as_second(), booking.ends_at.as_second()]);
    let changes = ItemChanges::new()
        .set(booking.session.as_str(), times)
        .set(attr::TTL, ttl(&day.1))
        .set_once(attr::V, number(1))
        .add(attr::REVISION, 1);
    let condition = match read {
        None => Condition::new(),
        Some(None) => Condition::new().absent(attr::REVISION),
        Some(Some(revision)) => Condition::new().equals(attr::REVISION, number(revision)),
    };
    Action::update(key(day), changes, condition)
}

fn release_day(booking: &Booking, day: &HostDay) -> Action {
    let changes = ItemChanges::new().remove(booking.session.as_str()).set(attr::TTL, ttl(&day.1));
    Action::update(key(day), changes, Condition::new())
}

fn key((host_user, day): &HostDay) -> ItemKey<'_> {
    ItemKey::Bookings { host_user, day }
}

fn ttl(day: &str) -> aws_sdk_dynamodb::types::AttributeValue {
    let midnight = day.parse::<Date>().and_then(|day| day.to_zoned(TimeZone::UTC));
    let midnight = midnight.map_or(Timestamp::MAX, |midnight| midnight.timestamp());
    let life = SignedDuration::from_hours(24 * limit::BOOKINGS_TTL_DAYS);
    number(midnight.saturating_add(life).unwrap_or(midnight).as_second())
}

/// Adds the bookings of a day. One that cannot be read is counted and left out.
fn add_day(days: &mut BookedDays, day: &HostDay, item: Item) -> Result<(), StoreError> {
    for (name, value) in &item {
        let Some(session) = SessionId::parse(name) else { continue };
        match times(value) {
            Some((starts_at, ends_at)) => {
                let host_user = day.0.clone();
                days.calendar.insert(Booking { host_user, session, starts_at, ends_at });
            }
            None => drop(unreadable(key(day).pk(), "a booking has no times")),
        }
    }
    let StoredDay { revision } = decode(item)?;
    days.revisions.insert(day.clone(), revision);
    Ok(())
}

fn times(value: &aws_sdk_dynamodb::types::AttributeValue) -> Option<(Timestamp, Timestamp)> {
    let time = |value: &aws_sdk_dynamodb::types::AttributeValue| {
        Timestamp::from_second(value.as_n().ok()?.parse().ok()?).ok()
    };
    match value.as_l().ok()?.as_slice() {
        [starts_at, ends_at] => Some((time(starts_at)?, time(ends_at)?)),
        _ => None,
    }
}

fn take_days(found: &mut BatchItems, days: &BTreeSet<HostDay>) -> Result<BookedDays, StoreError> {
    let mut booked = BookedDays::default();
    for day in days {
        if let Some(item) = found.take(key(day)) {
            add_day(&mut booked, day, item)?;
        }
    }
    Ok(booked)
}

impl Store {
    /// Returns the bookings of the days of `bookings`, with strong consistency.
    pub async fn booked_days<'a>(
        &self,
        bookings: impl IntoIterator<Item = &'a Booking>,
    ) -> Result<BookedDays, StoreError> {
        let days: BTreeSet<_> = bookings.into_iter().flat_map(days_of).collect();
        if days.is_empty() {
            return Ok(BookedDays::default());
        }
        let keys: Vec<_> = days.iter().map(key).collect();
        let mut found = self.batch_get(&keys).await?;
        take_days(&mut found, &days)
    }

    /// Returns the data for the warnings about a trainer's sessions, in one eventually consistent request for a hundred
    /// days. An unreadable item must not hide the sessions.
    pub async fn warning_sources<'a>(
        &self,
        trainer: &UserId,
        sessions: impl IntoIterator<Item = &'a Session>,
    ) -> Result<WarningSources, StoreError> {
        let mut days = BTreeSet::new();
        let mut keys = vec![ItemKey::HostStatus(trainer)];
        for session in sessions {
            days.extend(Booking::of_session(session).iter().flat_map(days_of));
            if session.meeting.hosting() == Hosting::Platform {
                keys.extend([ItemKey::Settings, ItemKey::PlatformHost(trainer)]);
            }
        }
        keys.extend(days.iter().map(key));
        let mut found = self.batch_get_eventually_consistent(&keys).await?;
        let host = readable_host_status(found.host_status(trainer))?;
        let calendar = match take_days(&mut found, &days) {
            Err(StoreError::Corrupt { .. }) => BookingCalendar::default(),
            days => days?.calendar,
        };
        let host_capacity = found.settings().ok().and_then(|settings| settings.host_capacity);
        let platform_host = found.platform_host(trainer).ok().flatten().map(Box::new);
        Ok(WarningSources { host, calendar, host_capacity, platform_host })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn booking(from: &str, to: &str) -> Booking {
        Booking {
            host_user: "host".to_owned(),
            session: SessionId::from_bytes([1; 16]),
            starts_at: from.parse().unwrap(),
            ends_at: to.parse().unwrap(),
        }
    }

    /// The old booking, the new one, and the days that are released and booked.
    type Replacement<'a> = (Option<&'a Booking>, Option<&'a Booking>, &'a [&'a str], &'a [&'a str]);

    #[test]
    fn replacement_writes_each_day_once() {
        let early = booking("2026-11-23T22:30:00Z", "2026-11-23T23:30:00Z");
        let crossing = booking("2026-11-23T23:30:00Z", "2026-11-24T00:30:00Z");
        let late = booking("2026-11-24T00:00:00Z", "2026-11-24T01:00:00Z");
        let cases: [Replacement<'_>; 7] = [
            (None, Some(&early), &[], &["2026-11-23"]),
            (None, Some(&crossing), &[], &["2026-11-23", "2026-11-24"]),
            (Some(&early), Some(&crossing), &[], &["2026-11-23", "2026-11-24"]),
            (Some(&crossing), Some(&late), &["2026-11-23"], &["2026-11-24"]),
            (Some(&early), Some(&late), &["2026-11-23"], &["2026-11-24"]),
            (Some(&crossing), None, &["2026-11-23", "2026-11-24"], &[]),
            (None, None, &[], &[]),
        ];
        for (old, new, released, booked) in cases {
            let keys = released.iter().chain(booked).map(|day| {
                super::super::tx::key_item(&ItemKey::Bookings { host_user: "host", day })
            });
            let keys: Vec<_> = keys.collect();
            let actions = replace(old, new, None);
            let written: Vec<_> = actions.iter().map(|action| action.key.clone()).collect();
            assert_eq!(written, keys, "{old:?} {new:?}");
        }
    }

    #[test]
    fn day_expires_after_the_last_session_that_began_on_it() {
        assert_eq!(ttl("2026-11-23"), number(1_795_737_600));
    }
}
