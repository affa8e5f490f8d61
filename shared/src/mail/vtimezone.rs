//! Time zone rules for the period of one session (RFC 5545, section 3.6.5). They make the entry independent of the
//! calendar's own zone data.
//!
//! Each observance is a single onset instead of a yearly rule. An entry needs only the offsets between its start and
//! its end, and rules for later years may change.

use jiff::tz::{Dst, Offset, TimeZone};
use jiff::{SignedDuration, Timestamp, civil};

use super::content_line::ContentLines;
use crate::domain::time::Zone;

/// The format of a local time (section 3.3.5).
const LOCAL: &str = "%Y%m%dT%H%M%S";

/// The onset for a zone without any offset change.
const ALWAYS: civil::DateTime = civil::datetime(1970, 1, 1, 0, 0, 0, 0);

/// The beginning of a period with a constant offset and name.
struct Observance {
    /// Local time with the previous offset (section 3.6.5: `DTSTART` is relative to `TZOFFSETFROM`).
    onset: civil::DateTime,
    from: Offset,
    to: Offset,
    name: String,
    daylight: bool,
}

/// Whether the zone is UTC or an alias of it. Times in UTC are written with a `Z` and need no rules.
pub(super) fn is_utc(zone: &Zone) -> bool {
    let zone = zone.time_zone();
    let changed = zone.preceding(Timestamp::MAX).next().is_some();
    !changed && zone.to_offset(Timestamp::UNIX_EPOCH) == Offset::UTC
}

/// Writes the rules from `start` to `end` and the next change after it, because some calendars require both standard
/// and daylight time.
pub(super) fn write(lines: &mut ContentLines, zone: &Zone, start: Timestamp, end: Timestamp) {
    lines.begin("VTIMEZONE");
    lines.value("TZID", zone.name());
    for observance in observances(zone.time_zone(), start, end) {
        let component = if observance.daylight { "DAYLIGHT" } else { "STANDARD" };
        lines.begin(component);
        lines.value("DTSTART", &local(observance.onset));
        lines.value("TZOFFSETFROM", &utc_offset(observance.from));
        lines.value("TZOFFSETTO", &utc_offset(observance.to));
        lines.text("TZNAME", &observance.name);
        lines.end(component);
    }
    lines.end("VTIMEZONE");
}

pub(super) fn local(at: civil::DateTime) -> String {
    at.strftime(LOCAL).to_string()
}

fn observances(zone: &TimeZone, start: Timestamp, end: Timestamp) -> Vec<Observance> {
    let just_after = |at: Timestamp| at.saturating_add(SignedDuration::from_nanos(1)).unwrap_or(at);
    let mut changes: Vec<_> = zone.preceding(just_after(start)).take(1).collect();
    for change in zone.following(start) {
        let last = change.timestamp() > end;
        changes.push(change);
        if last {
            break;
        }
    }
    if changes.first().is_none_or(|change| change.timestamp() > start) {
        // No change precedes the session, so the offset at its start applies to all earlier times.
        let info = zone.to_offset_info(start);
        let always = Observance {
            onset: ALWAYS,
            from: info.offset(),
            to: info.offset(),
            name: info.abbreviation().to_owned(),
            daylight: false,
        };
        return std::iter::once(always)
            .chain(changes.iter().map(|change| observance(zone, change)))
            .collect();
    }
    changes.iter().map(|change| observance(zone, change)).collect()
}

fn observance(zone: &TimeZone, change: &jiff::tz::TimeZoneTransition<'_>) -> Observance {
    let at = change.timestamp();
    let before =
        zone.to_offset_info(at.saturating_sub(SignedDuration::from_nanos(1)).unwrap_or(at));
    let (from, to) = (before.offset(), change.offset());
    Observance {
        onset: from.to_datetime(at),
        from,
        to,
        name: change.abbreviation().to_owned(),
        // Daylight time begins when clocks go forward. The flag alone is not sufficient: Ireland and Morocco define
        // summer as standard time and winter as the exception, and calendars expect the opposite.
        daylight: to > from && (change.dst() == Dst::Yes || before.dst() == Dst::Yes),
    }
}

/// Formats an offset as `+0530`, with seconds for historical local times (section 3.3.14).
fn utc_offset(offset: Offset) -> String {
    let seconds = offset.seconds();
    let sign = if seconds < 0 { '-' } else { '+' };
    let seconds = seconds.unsigned_abs();
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    match seconds {
        0 => format!("{sign}{hours:02}{minutes:02}"),
        _ => format!("{sign}{hours:02}{minutes:02}{seconds:02}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(zone: &str, start: &str, end: &str) -> Vec<String> {
        let mut lines = ContentLines::default();
        let (start, end) = (start.parse().unwrap(), end.parse().unwrap());
        write(&mut lines, &Zone::parse(zone).unwrap(), start, end);
        let text = lines.finish();
        let observance = |text: &str| {
            let value = |name: &str| {
                let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap();
                line.trim_start_matches(':').to_owned()
            };
            let kind = &text[..1];
            let (from, to) = (value("TZOFFSETFROM"), value("TZOFFSETTO"));
            format!("{kind} {} {from} {to} {}", value("DTSTART"), value("TZNAME"))
        };
        text.split("BEGIN:").filter(|part| part.contains("TZOFFSETTO")).map(observance).collect()
    }

    #[test]
    fn rules_cover_the_session_and_the_next_change() {
        let cases: [(&str, &str, &str, &[&str]); 7] = [
            (
                "Europe/Berlin",
                "2026-11-21T09:00:00Z",
                "2026-11-21T10:00:00Z",
                &["S 20261025T030000 +0200 +0100 CET", "D 20270328T020000 +0100 +0200 CEST"],
            ),
            // The session spans the end of summer time.
            (
                "Europe/Berlin",
                "2027-10-31T00:30:00Z",
                "2027-10-31T02:30:00Z",
                &[
                    "D 20270328T020000 +0100 +0200 CEST",
                    "S 20271031T030000 +0200 +0100 CET",
                    "D 20280326T020000 +0100 +0200 CEST",
                ],
            ),
            // The session starts at the moment of the change.
            (
                "America/New_York",
                "2027-03-14T07:00:00Z",
                "2027-03-14T08:00:00Z",
                &["D 20270314T020000 -0500 -0400 EDT", "S 20271107T020000 -0400 -0500 EST"],
            ),
            (
                "Asia/Kolkata",
                "2026-11-21T09:00:00Z",
                "2026-11-21T10:00:00Z",
                &["S 19451015T000000 +0630 +0530 IST"],
            ),
            (
                "Asia/Kathmandu",
                "2026-11-21T09:00:00Z",
                "2026-11-21T10:00:00Z",
                &["S 19860101T000000 +0530 +0545 +0545"],
            ),
            (
                "Europe/Dublin",
                "2026-11-21T09:00:00Z",
                "2026-11-21T10:00:00Z",
                &["S 20261025T020000 +0100 +0000 GMT", "D 20270328T010000 +0000 +0100 IST"],
            ),
            (
                "Etc/GMT+5",
                "2026-11-21T09:00:00Z",
                "2026-11-21T10:00:00Z",
                &["S 19700101T000000 -0500 -0500 -05"],
            ),
        ];
        for (zone, start, end, observances) in cases {
            assert_eq!(written(zone, start, end), observances, "{zone} {start}");
        }
    }

    #[test]
    fn utc_aliases_are_recognized() {
        for (zone, utc) in
            [("UTC", true), ("Etc/UTC", true), ("Etc/GMT+5", false), ("Europe/London", false)]
        {
            assert_eq!(is_utc(&Zone::parse(zone).unwrap()), utc, "{zone}");
        }
    }

    #[test]
    fn offset_has_seconds_only_if_they_are_not_zero() {
        for (seconds, text) in [(0, "+0000"), (20_700, "+0545"), (-968, "-001608")] {
            assert_eq!(utc_offset(Offset::from_seconds(seconds).unwrap()), text);
        }
    }
}
