//! Time: instants, zones, and the text forms in which they are stored and sent.

use std::fmt;

use jiff::tz::{AmbiguousOffset, TimeZone};
use jiff::{SignedDuration, Timestamp, Unit, civil};
use serde::{Deserialize, Serialize};

/// An IANA zone by name, known to the zone database that is built in.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Zone(TimeZone);

impl Zone {
    pub fn parse(name: &str) -> Result<Self, BadZone> {
        // An IANA name, not jiff's wider notion: "Local", POSIX rules and offsets mean nothing to Zoom or a calendar.
        let plausible = name.len() <= 64
            && name
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'/' | b'_' | b'-' | b'+'));
        if !plausible {
            return Err(BadZone);
        }
        let zone = TimeZone::get(name).map_err(|_| BadZone)?;
        if zone.iana_name().is_some() { Ok(Self(zone)) } else { Err(BadZone) }
    }

    pub fn utc() -> Self {
        Self(TimeZone::UTC)
    }

    pub fn name(&self) -> &str {
        self.0.iana_name().unwrap_or("UTC")
    }

    /// The wall clock that people in this zone read at `at`.
    pub fn wall_clock(&self, at: Timestamp) -> civil::DateTime {
        self.0.to_datetime(at)
    }

    /// Whether the wall clock shows the time of `at` twice, as when summer time ends.
    pub fn is_ambiguous(&self, at: Timestamp) -> bool {
        matches!(
            self.0.to_ambiguous_timestamp(self.wall_clock(at)).offset(),
            AmbiguousOffset::Fold { .. }
        )
    }

    /// The instant at which the wall clock shows `local`. When it shows it twice, the first time is meant;
    /// when it never does, because summer time begins, there is no such instant.
    pub fn instant(&self, local: civil::DateTime) -> Option<Timestamp> {
        let ambiguous = self.0.to_ambiguous_timestamp(local);
        match ambiguous.offset() {
            AmbiguousOffset::Gap { .. } => None,
            _ => ambiguous.earlier().ok(),
        }
    }

    pub fn time_zone(&self) -> &TimeZone {
        &self.0
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("is not the name of an IANA time zone")]
pub struct BadZone;

impl TryFrom<String> for Zone {
    type Error = BadZone;
    fn try_from(name: String) -> Result<Self, BadZone> {
        Self::parse(&name)
    }
}

impl From<Zone> for String {
    fn from(zone: Zone) -> Self {
        zone.name().to_owned()
    }
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Reads an instant (RFC 3339). The last hours that it can write lie beyond what is reckoned with here, and mean the
/// end of time.
pub fn instant(text: &str) -> Option<Timestamp> {
    text.parse().ok().or_else(|| {
        let local = without_offset(text).filter(|local| local.contains(':'))?;
        let written: civil::DateTime = local.parse().ok()?;
        (written.date() >= Timestamp::MAX.to_zoned(TimeZone::UTC).date()).then_some(Timestamp::MAX)
    })
}

fn without_offset(text: &str) -> Option<&str> {
    text.strip_suffix(['Z', 'z']).or_else(|| {
        let (local, offset) = text.split_at_checked(text.len().checked_sub("+00:00".len())?)?;
        let [b'+' | b'-', hours @ .., b':', m, n] = offset.as_bytes() else { return None };
        hours.iter().chain([m, n]).all(u8::is_ascii_digit).then_some(local)
    })
}

/// An instant in a key or a stored item: RFC 3339 in UTC with milliseconds always, so that text sorts as time.
pub fn fixed(at: Timestamp) -> String {
    format!("{at:.3}")
}

/// `at` without what is finer than a second: how exactly a class can start.
pub fn whole_second(at: Timestamp) -> Timestamp {
    at.round(jiff::TimestampRound::new().smallest(Unit::Second).mode(jiff::RoundMode::Floor))
        .unwrap_or(at)
}

/// `at` without what is finer than a millisecond: how exactly anything is stored.
pub fn whole_milli(at: Timestamp) -> Timestamp {
    Timestamp::from_millisecond(at.as_millisecond()).unwrap_or(at)
}

/// `2026-11-21`, the day of `at` in UTC, by which Zoom counts.
pub fn utc_day(at: Timestamp) -> String {
    at.to_zoned(TimeZone::UTC).strftime("%Y-%m-%d").to_string()
}

/// `2026-11`, the month of `at` in UTC, by which plans count.
pub fn utc_month(at: Timestamp) -> String {
    at.to_zoned(TimeZone::UTC).strftime("%Y-%m").to_string()
}

/// Whole seconds from `now` to the next midnight in UTC, at least 1.
pub fn seconds_to_utc_midnight(now: Timestamp) -> u64 {
    const DAY_SECONDS: i64 = 86_400;
    u64::try_from(DAY_SECONDS - now.as_second().rem_euclid(DAY_SECONDS)).unwrap_or(1)
}

/// `at` plus `minutes`; saturates at the end of time, which no class reaches.
pub fn plus_minutes(at: Timestamp, minutes: i64) -> Timestamp {
    at.saturating_add(SignedDuration::from_mins(minutes)).unwrap_or(Timestamp::MAX)
}

/// `at` plus `time`; saturates likewise.
pub fn plus(at: Timestamp, time: std::time::Duration) -> Timestamp {
    SignedDuration::try_from(time)
        .ok()
        .and_then(|time| at.saturating_add(time).ok())
        .unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn stored_instants_sort_as_text() {
        assert_eq!(fixed(at("2026-11-21T06:17:22Z")), "2026-11-21T06:17:22.000Z");
        assert!(fixed(at("2026-11-21T06:17:22.9Z")) < fixed(at("2026-11-21T06:17:23Z")));
    }

    #[test]
    fn the_last_instant_that_can_be_written_is_the_end_of_time() {
        assert_eq!(instant("2026-11-21T06:17:22Z"), Some(at("2026-11-21T06:17:22Z")));
        for text in
            ["9999-12-31T23:59:59Z", "9999-12-31T23:59:59.999z", "9999-12-31T23:59:59-12:00"]
        {
            assert_eq!(instant(text), Some(Timestamp::MAX), "{text}");
        }
        for text in [
            "9999-12-31T23:59:59",
            "9999-12-32T00:00:00Z",
            "9999-12-31T",
            "9999-12-31",
            "tomorrow",
            "Z",
            "",
        ] {
            assert_eq!(instant(text), None, "{text}");
        }
    }

    #[test]
    fn local_times_in_a_gap_do_not_exist_and_in_a_fold_mean_the_first() {
        let berlin = Zone::parse("Europe/Berlin").unwrap();
        let cases = [
            ("2027-03-28T02:30:00", None),
            ("2027-03-28T03:30:00", Some("2027-03-28T01:30:00Z")),
            ("2027-10-31T02:30:00", Some("2027-10-31T00:30:00Z")),
            ("2028-02-29T09:00:00", Some("2028-02-29T08:00:00Z")),
        ];
        for (local, instant) in cases {
            assert_eq!(berlin.instant(local.parse().unwrap()), instant.map(at), "{local}");
        }
        assert!(berlin.is_ambiguous(at("2027-10-31T01:30:00Z")), "the second 02:30");
        assert!(!berlin.is_ambiguous(at("2027-10-31T02:30:00Z")));
    }

    #[test]
    fn only_iana_names_are_zones() {
        for good in
            ["Europe/Berlin", "Asia/Kolkata", "UTC", "America/Argentina/Buenos_Aires", "Etc/GMT+5"]
        {
            assert!(Zone::parse(good).is_ok(), "{good}");
        }
        for bad in
            ["", "Mars/Olympus", "+02:00", "CET-1CEST", "Europe/Berlin\n", "../../etc/passwd"]
        {
            assert_eq!(Zone::parse(bad), Err(BadZone), "{bad}");
        }
    }

    #[test]
    fn zoom_counts_days_in_utc() {
        assert_eq!(seconds_to_utc_midnight(at("2026-11-21T23:59:59.5Z")), 1);
        assert_eq!(seconds_to_utc_midnight(at("2026-11-21T00:00:00Z")), 86_400);
    }
}
