//! Attendance times and the threshold.

use serde_json::json;

use super::{
    Case, course, ended, enrolled, join_identity, joined, left, minute, participant_event,
    participant_event_at, row, second, session, started,
};
use crate::domain::attendance::overrides::AttendanceOverrides;
use crate::domain::attendance::report::Flag;
use crate::domain::attendance::status::PresentBy;
use crate::domain::attendance::{People, Percent, Threshold};
use crate::domain::session::Status;
use crate::domain::zoom_event::ZoomEvent;

/// Returns Ada's minutes and flags in a session that was held from minute 0 to 60.
fn ada_minutes_and_flags(events: Vec<ZoomEvent>) -> (u64, Vec<Flag>) {
    let mut events = events;
    events.extend([started("u", 0), ended("u", 60)]);
    let report = Case::new().report(&events, minute(600));
    assert_eq!(report.held_minutes, 60);
    let row = row(&report, "Ada");
    (row.minutes, row.flags.clone())
}

#[test]
fn participation_counts_from_join_to_leave() {
    use Flag::{JoinedInferred, LeftInferred};
    let into_room = |c, at| participant_event("joined_breakout_room", c, "room", at);
    let out_of_room = |c, at| participant_event("left_breakout_room", c, "room", at);
    let rejoined_main = |c, at| participant_event("joined", c, "main again", at);
    let left_main = |c, at| participant_event("left", c, "main again", at);
    let cases: [(&str, Vec<ZoomEvent>, u64, Vec<Flag>); 19] = [
        ("join and leave", vec![joined("c", 5), left("c", 35)], 30, vec![]),
        ("leave delivered first", vec![left("c", 35), joined("c", 5)], 30, vec![]),
        (
            "two devices",
            vec![joined("c", 0), left("c", 40), joined("d", 20), left("d", 60)],
            60,
            vec![],
        ),
        ("rejoin", vec![joined("c", 0), left("c", 10), joined("d", 20), left("d", 60)], 50, vec![]),
        (
            "a killed client's leave comes after the rejoin",
            vec![joined("c", 0), joined("d", 30), left("c", 31), left("d", 50)],
            50,
            vec![],
        ),
        (
            "through a breakout room and back",
            vec![
                joined("c", 0),
                left("c", 20),
                into_room("c", 20),
                out_of_room("c", 40),
                rejoined_main("c", 40),
                left_main("c", 55),
            ],
            55,
            vec![],
        ),
        (
            "the same with joins first and a duplicate",
            vec![
                into_room("c", 20),
                left("c", 20),
                rejoined_main("c", 40),
                out_of_room("c", 40),
                rejoined_main("c", 40),
                joined("c", 0),
                left_main("c", 55),
            ],
            55,
            vec![],
        ),
        (
            "left the room and the meeting in the same second",
            vec![
                joined("c", 0),
                left("c", 20),
                into_room("c", 20),
                out_of_room("c", 40),
                rejoined_main("c", 40),
                left_main("c", 40),
            ],
            40,
            vec![],
        ),
        (
            "moved to a breakout room on arrival",
            vec![joined("c", 10), left("c", 10), into_room("c", 10), out_of_room("c", 40)],
            30,
            vec![],
        ),
        ("joined and left within a second", vec![joined("c", 10), left("c", 10)], 0, vec![]),
        ("leave lost", vec![joined("c", 20)], 40, vec![LeftInferred]),
        ("join lost", vec![left("c", 20)], 20, vec![JoinedInferred]),
        (
            "join before a move lost",
            vec![left("c", 20), into_room("c", 20), out_of_room("c", 40)],
            40,
            vec![JoinedInferred],
        ),
        (
            "only the move into a room delivered",
            vec![left("c", 20), into_room("c", 20)],
            60,
            vec![JoinedInferred, LeftInferred],
        ),
        (
            "join into the room lost",
            vec![joined("c", 0), left("c", 20), out_of_room("c", 40)],
            40,
            vec![JoinedInferred],
        ),
        (
            "leave into the room lost",
            vec![joined("c", 0), into_room("c", 20), out_of_room("c", 40)],
            40,
            vec![],
        ),
        ("left after the end", vec![joined("c", 50), left("c", 61)], 10, vec![]),
        ("joined after the end", vec![joined("c", 61), left("c", 62)], 0, vec![]),
        (
            "minutes are rounded",
            vec![
                joined("c", 0),
                participant_event_at("u", "left", "c", "main", second(90), json!({})),
            ],
            2,
            vec![],
        ),
    ];
    for (name, events, minutes, flags) in cases {
        assert_eq!(ada_minutes_and_flags(events), (minutes, flags), "{name}");
    }
}

/// Zoom reports a move to or from the waiting room with or without a join or leave beside it.
#[test]
fn waiting_room_does_not_count() {
    let at = |kind: &str, second_of_session| {
        let key = json!({"customer_key": "key-ada"});
        participant_event_at("u", kind, "c", "main", second(second_of_session), key)
    };
    let admitted = |minute: i64| at("admitted", minute * 60);
    let put_in = |minute: i64| at("put_in_waiting_room", minute * 60);
    let cases: [(&str, Vec<ZoomEvent>, u64, Vec<Flag>); 14] = [
        ("admitted", vec![admitted(10), left("c", 40)], 30, vec![]),
        ("admitted and joined", vec![admitted(10), joined("c", 10), left("c", 40)], 30, vec![]),
        (
            "joined a few seconds after the admission",
            vec![admitted(10), at("joined", 603), left("c", 40)],
            30,
            vec![],
        ),
        ("put back", vec![admitted(10), put_in(30)], 20, vec![]),
        ("put back and left", vec![joined("c", 10), put_in(30), left("c", 30)], 20, vec![]),
        (
            "left a few seconds after being put back",
            vec![joined("c", 10), put_in(30), at("left", 1803)],
            20,
            vec![],
        ),
        (
            "put back a few seconds after leaving",
            vec![joined("c", 10), left("c", 30), at("put_in_waiting_room", 1803)],
            20,
            vec![],
        ),
        (
            "left the waiting room at the end",
            vec![admitted(10), put_in(30), left("c", 55)],
            20,
            vec![],
        ),
        (
            "put back and admitted again",
            vec![admitted(10), put_in(20), admitted(40), left("c", 60)],
            30,
            vec![],
        ),
        (
            "the same with joins and leaves",
            vec![
                admitted(10),
                joined("c", 10),
                put_in(20),
                left("c", 20),
                admitted(40),
                joined("c", 40),
                left("c", 60),
            ],
            30,
            vec![],
        ),
        (
            "admitted again in the second of being put back",
            vec![joined("c", 10), put_in(20), left("c", 20), joined("c", 20), left("c", 50)],
            40,
            vec![],
        ),
        (
            "left the waiting room in the second of the admission",
            vec![admitted(10), put_in(20), left("c", 40), admitted(40), left("c", 50)],
            20,
            vec![],
        ),
        ("never left", vec![admitted(20)], 40, vec![Flag::LeftInferred]),
        ("admission lost", vec![put_in(20)], 20, vec![Flag::JoinedInferred]),
    ];
    for (name, events, minutes, flags) in cases {
        assert_eq!(ada_minutes_and_flags(events), (minutes, flags), "{name}");
    }
}

#[test]
fn held_time_is_inferred_when_start_or_end_is_lost() {
    let live = [started("u", 0), joined("c", 10)];
    // Name, events, current minute, held minutes, Ada's minutes and flags.
    type HeldTimeCase = (&'static str, Vec<ZoomEvent>, i64, u64, u64, Vec<Flag>);
    let cases: [HeldTimeCase; 10] = [
        ("not held", vec![], 600, 0, 0, vec![]),
        ("live", live.to_vec(), 30, 30, 20, vec![]),
        ("overrunning", live.to_vec(), 100, 100, 90, vec![]),
        ("end unknown, somebody connected", live.to_vec(), 200, 150, 140, vec![Flag::LeftInferred]),
        (
            "end unknown, everybody left",
            [&live[..], &[left("c", 40)]].concat(),
            200,
            60,
            30,
            vec![],
        ),
        (
            "end unknown, last leave after the planned end",
            [&live[..], &[left("c", 40), participant_event("left", "z", "main", 70)]].concat(),
            200,
            70,
            70,
            vec![Flag::JoinedInferred],
        ),
        (
            "start lost",
            vec![joined("c", 10), ended("u", 60)],
            600,
            50,
            50,
            vec![Flag::LeftInferred],
        ),
        ("only a leave delivered", vec![left("c", 40)], 45, 45, 40, vec![Flag::JoinedInferred]),
        (
            "held twice",
            vec![
                started("u", 0),
                joined("c", 0),
                left("c", 20),
                ended("u", 20),
                started("v", 30),
                participant_event_at(
                    "v",
                    "joined",
                    "d",
                    "main",
                    minute(40),
                    json!({"customer_key": "key-ada"}),
                ),
                participant_event_at("v", "left", "d", "main", minute(50), json!({})),
                ended("v", 50),
            ],
            600,
            40,
            30,
            vec![],
        ),
        (
            "started again, first end lost",
            vec![started("u", 0), joined("c", 0), started("v", 30), ended("v", 60)],
            600,
            60,
            30,
            vec![Flag::LeftInferred],
        ),
    ];
    for (name, events, now, held_minutes, minutes, flags) in cases {
        let report = Case::new().report(&events, minute(now));
        let row = row(&report, "Ada");
        assert_eq!(
            (report.held_minutes, row.minutes, row.flags.clone()),
            (held_minutes, minutes, flags),
            "{name}"
        );
    }
}

#[test]
fn connected_person_has_no_leave_time() {
    let report = Case::new().report(&[started("u", 0), joined("c", 10)], minute(30));
    let ada = row(&report, "Ada");
    assert_eq!((ada.first_joined_at, ada.last_left_at), (Some(minute(10)), None));
    let report = Case::new().report(&[started("u", 0), joined("c", 10)], minute(300));
    assert_eq!(row(&report, "Ada").last_left_at, Some(minute(150)));
}

#[test]
fn presence_follows_from_the_rounded_share() {
    let cases = [(29, false), (30, true), (60, true), (0, false)];
    for (minutes, present) in cases {
        let events = [started("u", 0), joined("c", 0), left("c", minutes), ended("u", 60)];
        let report = Case::new().report(&events, minute(600));
        let ada = row(&report, "Ada");
        assert_eq!((ada.present, ada.present_by), (present, PresentBy::Rule), "{minutes}");
    }
    assert_eq!(Percent::ratio(1, 3).to_string(), "33.3");
    assert_eq!(serde_json::to_value(Percent::ratio(2, 3)).unwrap(), json!(66.7));
    assert_eq!(Percent::ratio(5, 0), Percent::default());
    assert_eq!((Threshold::new(0), Threshold::new(101)), (None, None));
}

/// Quadratic work would take minutes here.
#[test]
fn report_of_ten_thousand_people_is_computed_in_linear_time() {
    const PEOPLE: usize = 10_000;
    let session = session(course(), Status::Scheduled, Vec::new());
    let user = |n: usize| format!("user-{n}");
    let enrolled: Vec<_> = (0..PEOPLE).map(|n| enrolled(&user(n), &user(n))).collect();
    let join_identities: Vec<_> = (0..PEOPLE).map(|n| join_identity(&user(n), &user(n))).collect();
    let people = People::new(&session, &[], &enrolled, &join_identities);
    let mut events = vec![started("u", 0), ended("u", 60)];
    for n in 0..PEOPLE {
        let (connection, key) = (format!("c{n}"), json!({ "customer_key": user(n) }));
        for (kind, at) in [("joined", 0), ("left", 60)] {
            events.push(participant_event_at(
                "u",
                kind,
                &connection,
                "main",
                minute(at),
                key.clone(),
            ));
        }
    }
    let case = Case { session, people, overrides: AttendanceOverrides::new() };
    let report = case.report(&events, minute(600));
    assert_eq!((report.attendees.len(), report.present), (PEOPLE, PEOPLE));
}
