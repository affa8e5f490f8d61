//! The window of the session at both ends, the counted time, and the status of each person.

use serde_json::json;

use super::{
    AttendanceReport, Case, ReportRow, ZoomEvent, ended, joined, left, minute,
    participant_event_at, row, started,
};
use crate::domain::attendance::status::PresentBy;
use crate::domain::attendance::{AttendanceOverride, AttendanceStatus, People, headcount};

fn joined_in(uuid: &str, connection: &str, at: i64, key: &str) -> ZoomEvent {
    let identity = json!({ "customer_key": key });
    participant_event_at(uuid, "joined", connection, "main", minute(at), identity)
}

fn left_in(uuid: &str, connection: &str, at: i64) -> ZoomEvent {
    participant_event_at(uuid, "left", connection, "main", minute(at), json!({}))
}

fn ada(report: &AttendanceReport) -> &ReportRow {
    row(report, "Ada")
}

#[test]
fn meeting_used_outside_the_window_does_not_count() {
    let class = [started("u", 0), joined("c", 0), left("c", 60), ended("u", 60)];
    let expected = Case::new().report(&class, minute(600));
    assert_eq!((ada(&expected).minutes, ada(&expected).present), (60, true));
    let use_of_meeting = |uuid: &'static str, from: i64, to: i64| {
        vec![
            started(uuid, from),
            joined_in(uuid, "x", from, "key-ada"),
            joined_in(uuid, "y", from, "key-stranger"),
            left_in(uuid, "x", to),
            left_in(uuid, "y", to),
            ended(uuid, to),
        ]
    };
    for (name, other) in [
        ("a day before", use_of_meeting("v", -1440, -1400)),
        ("until the window opens", use_of_meeting("v", -60, -15)),
        ("from when the window closes", use_of_meeting("v", 150, 400)),
        ("three hours later", use_of_meeting("v", 240, 300)),
    ] {
        let report = Case::new().report(&[&class[..], &other[..]].concat(), minute(600));
        assert_eq!(report, expected, "{name}");
        let case = Case::new();
        let span = (minute(-2000), minute(2000));
        let events = [&class[..], &other[..]].concat();
        assert_eq!(
            headcount(&case.session, &People::default(), &events, span, minute(600)),
            1,
            "{name}"
        );
        let alone = Case::new().report(&other, minute(600));
        assert_eq!((alone.held_minutes, ada(&alone).status), (0, None), "{name}");
        assert_eq!(alone.attendees.len(), 2, "{name}: nobody was seen");
    }
}

#[test]
fn instance_that_outlasts_the_window_counts_inside_it() {
    let events = [
        started("u", -60),
        joined("c", -60),
        joined_in("u", "late", 200, "key-stranger"),
        ended("u", 300),
    ];
    let report = Case::new().report(&events, minute(600));
    assert_eq!((report.held_minutes, report.counted_minutes), (165, 60));
    assert_eq!((ada(&report).minutes, ada(&report).first_joined_at), (165, Some(minute(-15))));
    assert_eq!(report.attendees.len(), 2, "a join after the window adds no row");
}

#[test]
fn share_is_taken_of_the_smaller_of_held_and_planned_time() {
    // Name, start, end, Ada's join and leave, counted minutes, percent.
    let cases = [
        ("the trainer stayed four hours", 0, 240, 0, 60, 60, 100.0),
        ("the trainer opened early", -15, 60, 0, 60, 60, 100.0),
        ("early arrival and overtime", -15, 90, -10, 20, 60, 50.0),
        ("a short class", 0, 30, 0, 20, 30, 66.7),
        ("a late start", 20, 60, 20, 60, 40, 100.0),
        ("more than planned", 0, 100, 0, 100, 60, 100.0),
    ];
    for (name, from, to, join, leave, counted, percent) in cases {
        let events = [started("u", from), joined("c", join), left("c", leave), ended("u", to)];
        let report = Case::new().report(&events, minute(600));
        assert_eq!(report.counted_minutes, counted, "{name}");
        assert_eq!(json!(ada(&report).percent), json!(percent), "{name}");
        assert!(ada(&report).present, "{name}");
    }
}

/// At the closing of the window the sweep ends the session, and Zoom may report the end hours later.
#[test]
fn report_is_the_same_from_the_end_of_the_window_on() {
    let class = [
        started("u", 0),
        joined_in("u", "host", 0, "key-host"),
        joined("c", 0),
        left("c", 60),
        joined_in("u", "b", 50, "key-bob"),
    ];
    let at_close = Case::new().report(&class, minute(150));
    assert_eq!((at_close.held_minutes, at_close.counted_minutes), (150, 60));
    let until_close = [&class[..], &[ended("u", 240)]].concat();
    let mut swept = Case::new();
    swept.session = swept.session.with_instance_event(
        "u",
        crate::domain::meeting_instance::InstanceEvent::Running(minute(0)),
    );
    swept.session = swept.session.with_inferred_end(minute(150));
    assert_eq!(swept.report(&class, minute(155)), at_close);
    // Only the sources show that the end has arrived.
    let sources = at_close.sources;
    let ended = AttendanceReport { sources, ..swept.report(&until_close, minute(245)) };
    assert_eq!(ended, at_close);
}

#[test]
fn status_follows_from_first_join_and_last_leave() {
    use AttendanceStatus::{Absent, Late, LeftEarly, Present};
    // Name, meeting from and to, connections of Ada, now, status.
    type StatusCase = (&'static str, (i64, i64), &'static [(i64, i64)], Option<AttendanceStatus>);
    let cases: [StatusCase; 13] = [
        ("whole class", (0, 60), &[(0, 60)], Some(Present)),
        ("ten minutes late", (0, 60), &[(10, 60)], Some(Present)),
        ("eleven minutes late", (0, 60), &[(11, 60)], Some(Late)),
        ("left ten minutes early", (0, 60), &[(0, 50)], Some(Present)),
        ("left eleven minutes early", (0, 60), &[(0, 49)], Some(LeftEarly)),
        ("late and left early", (0, 60), &[(11, 49)], Some(Late)),
        ("the trainer was late too", (20, 60), &[(30, 60)], Some(Present)),
        ("the trainer ended early", (0, 40), &[(0, 40)], Some(Present)),
        ("the trainer stayed longer", (0, 140), &[(0, 55)], Some(Present)),
        ("the trainer opened early", (-15, 60), &[(5, 60)], Some(Present)),
        ("rejoined", (0, 60), &[(0, 5), (30, 60)], Some(Present)),
        ("too short", (0, 60), &[(0, 20)], Some(Absent)),
        ("never joined", (0, 60), &[], Some(Absent)),
    ];
    for (name, (from, to), connections, status) in cases {
        let mut events = vec![started("u", from), ended("u", to)];
        for (n, (join, leave)) in connections.iter().enumerate() {
            let connection = format!("c{n}");
            events.extend([joined(&connection, *join), left(&connection, *leave)]);
        }
        let report = Case::new().report(&events, minute(600));
        assert_eq!(ada(&report).status, status, "{name}");
    }
}

#[test]
fn nobody_is_absent_before_the_end_or_without_a_class() {
    use AttendanceStatus::{Absent, Late, Present};
    let running = |join| vec![started("u", 0), joined("c", join)];
    let test_start = vec![started("u", -10), joined("c", -10), left("c", -5), ended("u", -5)];
    let cases = [
        ("before the start", vec![], -60, None, None),
        ("never held", vec![], 600, None, None),
        ("only a test start", test_start, 600, None, None),
        ("live", running(0), 30, Some(Present), None),
        ("live, joined late", running(11), 30, Some(Late), None),
        ("live, not present yet", running(28), 30, None, None),
        ("live, after the planned end", running(0), 100, Some(Present), None),
        ("over when the window closes", running(0), 150, Some(Present), Some(Absent)),
    ];
    for (name, events, now, of_ada, of_bob) in cases {
        let report = Case::new().report(&events, minute(now));
        let ada = ada(&report);
        assert_eq!((ada.status, row(&report, "Bob").status), (of_ada, of_bob), "{name}");
        assert_eq!(ada.present, of_ada.is_some(), "{name}");
    }
}

#[test]
fn override_sets_the_status() {
    use AttendanceStatus::{Absent, Excused, Present};
    let late = [started("u", 0), joined("c", 20), left("c", 60), ended("u", 60)];
    let none = AttendanceOverride::default();
    for (attendance_override, status, present) in [
        (AttendanceOverride { present: Some(true), ..none.clone() }, Present, true),
        (AttendanceOverride { present: Some(false), ..none.clone() }, Absent, false),
        (AttendanceOverride { excused: true, ..none.clone() }, Excused, false),
        (AttendanceOverride { present: Some(true), excused: true, ..none }, Excused, false),
    ] {
        for events in [&late[..], &[]] {
            let mut case = Case::new();
            case.overrides.insert(case.attendee_id("ada"), attendance_override.clone());
            let report = case.report(events, minute(600));
            let ada = ada(&report);
            assert_eq!(
                (ada.status, ada.present, ada.present_by),
                (Some(status), present, PresentBy::Override),
                "{attendance_override:?}"
            );
        }
    }
}
