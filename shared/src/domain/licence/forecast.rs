//! How many licences the planned classes need.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use super::{GRACE_MINUTES, HostedClass, KEEP_MINUTES, LEAD_MINUTES};
use crate::domain::id::UserId;
use crate::domain::time::plus_minutes;

pub const FORECAST_DAYS: i64 = 7;
const HOUR_SECONDS: i64 = 3600;
const _: () =
    assert!(GRACE_MINUTES + LEAD_MINUTES <= KEEP_MINUTES, "a lease begins before it is kept");

/// The most licences that are needed at the same time, from the hour that begins at `at` until the next entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LicenceNeed {
    pub at: Timestamp,
    pub needed: u32,
}

/// A time in which a host has a licence, half-open.
type Span = (Timestamp, Timestamp);

/// Returns the licences that are needed in the next seven days: an entry for the current hour, and one for each hour with
/// another number. `permanent` hosts always have one. `held` are the leases in force, and `classes` the planned classes
/// of leased hosts.
pub fn forecast<'a>(
    permanent: usize,
    held: impl IntoIterator<Item = (&'a UserId, Timestamp)>,
    classes: impl IntoIterator<Item = &'a HostedClass>,
    now: Timestamp,
) -> Vec<LicenceNeed> {
    let mut spans: BTreeMap<&UserId, Vec<Span>> = BTreeMap::new();
    for (trainer, until) in held {
        spans.entry(trainer).or_default().push((now, until));
    }
    for class in classes {
        let from = plus_minutes(class.starts_at, -LEAD_MINUTES).max(now);
        spans.entry(&class.trainer).or_default().push((from, class.needed_until()));
    }
    let steps = steps(spans.into_values().flat_map(joined));
    let end = now.saturating_add(SignedDuration::from_hours(24 * FORECAST_DAYS)).unwrap_or(now);
    hourly_peaks(permanent, &steps, now, end)
}

/// Joins the spans of one host between which it keeps the licence.
fn joined(mut spans: Vec<Span>) -> Vec<Span> {
    spans.sort();
    let mut joined: Vec<Span> = Vec::new();
    for (from, until) in spans.into_iter().filter(|(from, until)| from < until) {
        match joined.last_mut() {
            Some(last) if plus_minutes(last.1, KEEP_MINUTES - LEAD_MINUTES) >= from => {
                last.1 = last.1.max(until);
            }
            _ => joined.push((from, until)),
        }
    }
    joined
}

/// Returns by how much the number of needed licences changes, by time.
fn steps(spans: impl IntoIterator<Item = Span>) -> BTreeMap<Timestamp, i64> {
    let mut steps = BTreeMap::new();
    for (from, until) in spans {
        *steps.entry(from).or_default() += 1;
        *steps.entry(until).or_default() -= 1;
    }
    steps
}

fn hourly_peaks(
    permanent: usize,
    steps: &BTreeMap<Timestamp, i64>,
    now: Timestamp,
    end: Timestamp,
) -> Vec<LicenceNeed> {
    let permanent = i64::try_from(permanent).unwrap_or(i64::MAX);
    let (mut hour, mut level) = (start_of_hour(now), 0);
    let mut needs: Vec<LicenceNeed> = Vec::new();
    while hour < end {
        let next = Timestamp::from_second(hour.as_second() + HOUR_SECONDS).unwrap_or(end);
        let mut peak = level;
        for (at, change) in steps.range(hour..next) {
            // A licence that is given back as this hour begins is not needed in it.
            let is_at_start = *at == hour;
            level += change;
            peak = if is_at_start { level } else { peak.max(level) };
        }
        let needed = u32::try_from(permanent.saturating_add(peak)).unwrap_or(u32::MAX);
        if needs.last().is_none_or(|last| last.needed != needed) {
            needs.push(LicenceNeed { at: hour, needed });
        }
        hour = next;
    }
    needs
}

fn start_of_hour(at: Timestamp) -> Timestamp {
    let second = at.as_second();
    Timestamp::from_second(second - second.rem_euclid(HOUR_SECONDS)).unwrap_or(at)
}

/// Returns the entry with the highest need among those that begin before `until`.
pub fn peak_before(forecast: &[LicenceNeed], until: Timestamp) -> Option<LicenceNeed> {
    let mut peak: Option<LicenceNeed> = None;
    for need in forecast.iter().filter(|need| need.at < until) {
        if peak.is_none_or(|peak| need.needed > peak.needed) {
            peak = Some(*need);
        }
    }
    peak
}
