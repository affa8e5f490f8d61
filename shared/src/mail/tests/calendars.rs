//! Calendar entries, read with the parser of the `icalendar` crate.

use icalendar::parser::{Component, Property, read_calendar, unfold};
use jiff::civil::DateTime;
use jiff::{SignedDuration, Timestamp};

use super::{Case, all_cases, at, brand, zone};
use crate::domain::notification_kind::{CalendarMethod, MailKind};
use crate::mail::calendar::calendar;

const ZONES: [&str; 9] = [
    "Europe/Berlin",
    "Asia/Kolkata",
    "America/New_York",
    "UTC",
    "Asia/Kathmandu",
    "Europe/Dublin",
    "Africa/Casablanca",
    "Australia/Lord_Howe",
    "Etc/GMT+5",
];

/// Returns the unfolded calendar. The parser borrows from it.
fn unfolded(case: &Case) -> String {
    let context = case.context();
    let calendar = calendar(&context, &context.session.unwrap(), &brand(), "Join").unwrap();
    unfold(&calendar.text)
}

/// Returns the time zones and the only entry of a calendar.
fn parts(text: &str) -> (Vec<Component<'_>>, Component<'_>) {
    let mut components = read_calendar(text).unwrap().components;
    let entry = components.pop().unwrap();
    assert_eq!(entry.name, "VEVENT");
    assert!(components.iter().all(|component| component.name == "VTIMEZONE"));
    (components, entry)
}

fn value(component: &Component<'_>, name: &str) -> String {
    let found: Vec<_> = component.properties.iter().filter(|have| have.name == name).collect();
    assert_eq!(found.len(), 1, "{name}");
    found[0].val.as_str().to_owned()
}

fn parameter(property: &Property<'_>, key: &str) -> Option<String> {
    let found = property.params.iter().find(|parameter| parameter.key == key)?;
    Some(found.val.as_ref()?.as_str().to_owned())
}

/// Returns the time of the property according to the rules in the calendar.
fn instant(zones: &[Component<'_>], entry: &Component<'_>, name: &str) -> Timestamp {
    let property = entry.find_prop(name).unwrap();
    let text = property.val.as_str();
    let Some(tzid) = parameter(property, "TZID") else {
        let utc = text.strip_suffix('Z').unwrap();
        return local(utc).to_zoned(jiff::tz::TimeZone::UTC).unwrap().timestamp();
    };
    let zone = zones.iter().find(|zone| value(zone, "TZID") == tzid).unwrap();
    let at = local(text);
    let observances = zone.components.iter().map(|it| {
        assert!(it.name == "STANDARD" || it.name == "DAYLIGHT");
        (local(&value(it, "DTSTART")), seconds(&value(it, "TZOFFSETTO")))
    });
    let (_, offset) = observances.filter(|(onset, _)| *onset <= at).max().unwrap();
    let utc = at.checked_sub(SignedDuration::from_secs(offset)).unwrap();
    utc.to_zoned(jiff::tz::TimeZone::UTC).unwrap().timestamp()
}

fn local(text: &str) -> DateTime {
    DateTime::strptime("%Y%m%dT%H%M%S", text).unwrap()
}

fn seconds(offset: &str) -> i64 {
    let part = |range: std::ops::Range<usize>| {
        offset.get(range).map_or(0, |digits| digits.parse::<i64>().unwrap())
    };
    let seconds = part(1..3) * 3600 + part(3..5) * 60 + part(5..7);
    if offset.starts_with('-') { -seconds } else { seconds }
}

#[test]
fn calendar_rules_yield_the_session_times() {
    // Two years in steps that vary the day of the week and the time of day.
    let starts =
        (0..60).map(|step| at("2026-06-01T00:30:00Z") + SignedDuration::from_mins(step * 17_275));
    // Every quarter of an hour around four clock changes.
    let changes = [
        "2027-03-28T01:00:00Z",
        "2026-10-25T01:00:00Z",
        "2027-03-14T07:00:00Z",
        "2026-11-01T06:00:00Z",
    ];
    let near_changes = changes.iter().flat_map(|change| {
        (-8..8).map(|quarters| at(change) + SignedDuration::from_mins(quarters * 15))
    });
    let starts: Vec<_> = starts.chain(near_changes).collect();
    for name in ZONES {
        for starts_at in &starts {
            let session_zone = zone(name);
            let case =
                Case { session_zone, starts_at: *starts_at, ..Case::new(MailKind::Scheduled) };
            let text = unfolded(&case);
            let (zones, entry) = parts(&text);
            assert_eq!(instant(&zones, &entry, "DTSTART"), *starts_at, "{name} {starts_at}");
            let end = *starts_at + SignedDuration::from_mins(60);
            assert_eq!(instant(&zones, &entry, "DTEND"), end, "{name} {starts_at}");
        }
    }
}

#[test]
fn times_are_local_unless_that_would_be_ambiguous() {
    let cases = [
        ("Europe/Berlin", "2026-11-21T09:00:00Z", ";TZID=Europe/Berlin:20261121T100000"),
        ("Asia/Kathmandu", "2026-11-21T09:00:00Z", ";TZID=Asia/Kathmandu:20261121T144500"),
        ("UTC", "2026-11-21T09:00:00Z", ":20261121T090000Z"),
        ("Etc/UTC", "2026-11-21T09:00:00Z", ":20261121T090000Z"),
        // The night with a repeated hour from 02:00 to 03:00, before and during the repetition.
        ("Europe/Berlin", "2027-10-30T23:30:00Z", ";TZID=Europe/Berlin:20271031T013000"),
        ("Europe/Berlin", "2027-10-31T01:30:00Z", ":20271031T013000Z"),
    ];
    for (name, start, expected) in cases {
        let case = Case {
            session_zone: zone(name),
            starts_at: at(start),
            ..Case::new(MailKind::Scheduled)
        };
        let text = case.compose().calendar.unwrap().text;
        assert!(text.contains(&format!("\r\nDTSTART{expected}\r\n")), "{text}");
        let zones = usize::from(expected.starts_with(';'));
        assert_eq!(text.matches("BEGIN:VTIMEZONE").count(), zones);
    }
}

#[test]
fn entry_identifies_session_and_recipient() {
    for kind in [
        MailKind::Scheduled,
        MailKind::Updated,
        MailKind::Resent,
        MailKind::Cancelled,
        MailKind::Removed,
    ] {
        let case = Case {
            to: crate::domain::text::Email::parse("a+b%c@example.test").unwrap(),
            ..Case::new(kind)
        };
        let text = unfolded(&case);
        let (_, entry) = parts(&text);
        let cancel = kind.calendar_method() == Some(CalendarMethod::Cancel);
        for (name, expected) in [
            ("UID", format!("{}@live-classes", case.id)),
            ("SEQUENCE", "3".to_owned()),
            ("DTSTAMP", "20261120T080000Z".to_owned()),
            ("SUMMARY", "Algebra I".to_owned()),
            ("STATUS", if cancel { "CANCELLED" } else { "CONFIRMED" }.to_owned()),
            ("LOCATION", "https://learn.example.test/classes/ses_1?a=1&b=2".to_owned()),
            ("URL", "https://learn.example.test/classes/ses_1?a=1&b=2".to_owned()),
            ("ORGANIZER", "mailto:classes@example.test".to_owned()),
            ("ATTENDEE", "mailto:a+b%25c@example.test".to_owned()),
        ] {
            assert_eq!(value(&entry, name), expected, "{kind:?}");
        }
        let attendee = entry.find_prop("ATTENDEE").unwrap();
        for (key, expected) in [
            ("CN", "Ada Lovelace"),
            ("ROLE", "REQ-PARTICIPANT"),
            ("PARTSTAT", "NEEDS-ACTION"),
            ("RSVP", "FALSE"),
        ] {
            assert_eq!(parameter(attendee, key).as_deref(), Some(expected));
        }
        let organizer = entry.find_prop("ORGANIZER").unwrap();
        assert_eq!(parameter(organizer, "CN").as_deref(), Some("Akademie Größe & Söhne"));
        let has_link = value(&entry, "DESCRIPTION").contains("https://learn.example.test/");
        assert_eq!(has_link, !cancel);
    }
}

#[test]
fn text_cannot_add_a_property() {
    for case in all_cases().filter(|case| case.kind.calendar_method().is_some()) {
        let (text, plain) = (unfolded(&case), unfolded(&Case::new(case.kind)));
        let names = |text: &str| {
            let (_, entry) = parts(text);
            entry.properties.iter().map(|it| it.name.as_str().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(names(&text), names(&plain), "{:?}", case.title);
        let parsed: icalendar::Calendar = text.parse().unwrap();
        assert_eq!(parsed.components.len(), 2);
    }
}

#[test]
fn title_is_parsed_unchanged() {
    for case in all_cases().filter(|case| case.kind.calendar_method().is_some()) {
        let text = unfolded(&case);
        let parsed: icalendar::Calendar = text.parse().unwrap();
        let entry = parsed.components.iter().find_map(|it| it.as_event()).unwrap();
        let summary = icalendar::Component::get_summary(entry).unwrap();
        assert_eq!(summary.trim(), crate::mail::clean::one_line(&case.title));
    }
}

#[test]
fn lines_are_folded_and_end_with_crlf() {
    let long = "Ⅷ. 👩‍🏫 Größenordnungen; ".repeat(8);
    for case in all_cases().chain([Case::with_text(MailKind::Scheduled, &long)]) {
        let Some(calendar) = case.compose().calendar else { continue };
        let text = calendar.text;
        assert!(text.starts_with("BEGIN:VCALENDAR\r\n") && text.ends_with("END:VCALENDAR\r\n"));
        assert!(!text.replace("\r\n", "").contains(['\r', '\n']));
        assert!(text.split("\r\n").all(|line| line.len() <= 75));
    }
}
