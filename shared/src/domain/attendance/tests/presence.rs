//! When people were there, and for how long.

use serde_json::json;

use super::{
    Case, class, clicked, course, ended, enrolled, joined, left, minute, passage, passage_at, row,
    second, started,
};
use crate::domain::attendance::report::{Flag, PresentBy};
use crate::domain::attendance::overrides::AttendanceOverrides;
use crate::domain::attendance::{People, Percent, Threshold};
use crate::domain::session::Status;
use crate::domain::zoom_event::ZoomEvent;

/// Ada's minutes and flags in a class that was held from minute 0 to 60.
fn adas(events: Vec<ZoomEvent>) -> (u64, Vec<Flag>) {
    let mut events = events;
    events.extend([started("u", 0), ended("u", 60)]);
    let report = Case::new().report(&events, minute(600));
    assert_eq!(report.held_minutes, 60);
    let row = row(&report, "Ada");
    (row.minutes, row.flags.clone())
}

#[test]
fn a_connection_is_in_from_its_coming_to_its_going() {
    use Flag::{JoinedInferred, LeftInferred};
    let into_room = |c, at| passage("joined_breakout_room", c, "room", at);
    let out_of_room = |c, at| passage("left_breakout_room", c, "room", at);
    let back = |c, at| passage("joined", c, "main again", at);
    let left_again = |c, at| passage("left", c, "main again", at);
    let cases: [(&str, Vec<ZoomEvent>, u64, Vec<Flag>); 19] = [
        ("came and went", vec![joined("c", 5), left("c", 35)], 30, vec![]),
        ("told in reverse", vec![left("c", 35), joined("c", 5)], 30, vec![]),
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
                back("c", 40),
                left_again("c", 55),
            ],
            55,
            vec![],
        ),
        (
            "the same with the joins first, and a duplicate",
            vec![
                into_room("c", 20),
                left("c", 20),
                back("c", 40),
                out_of_room("c", 40),
                back("c", 40),
                joined("c", 0),
                left_again("c", 55),
            ],
            55,
            vec![],
        ),
        (
            "out of the room and out of the meeting at once",
            vec![
                joined("c", 0),
                left("c", 20),
                into_room("c", 20),
                out_of_room("c", 40),
                back("c", 40),
                left_again("c", 40),
            ],
            40,
            vec![],
        ),
        (
            "sent on to a room on arrival",
            vec![joined("c", 10), left("c", 10), into_room("c", 10), out_of_room("c", 40)],
            30,
            vec![],
        ),
        ("came and was gone within a second", vec![joined("c", 10), left("c", 10)], 0, vec![]),
        ("no leave", vec![joined("c", 20)], 40, vec![LeftInferred]),
        ("no join", vec![left("c", 20)], 20, vec![JoinedInferred]),
        (
            "no join before a move, after an outage",
            vec![left("c", 20), into_room("c", 20), out_of_room("c", 40)],
            40,
            vec![JoinedInferred],
        ),
        (
            "a move, and nothing else was told",
            vec![left("c", 20), into_room("c", 20)],
            60,
            vec![JoinedInferred, LeftInferred],
        ),
        (
            "the join into the room was lost",
            vec![joined("c", 0), left("c", 20), out_of_room("c", 40)],
            40,
            vec![JoinedInferred],
        ),
        (
            "the leave into the room was lost",
            vec![joined("c", 0), into_room("c", 20), out_of_room("c", 40)],
            40,
            vec![],
        ),
        ("left after the end", vec![joined("c", 50), left("c", 61)], 10, vec![]),
        ("came after the end", vec![joined("c", 61), left("c", 62)], 0, vec![]),
        (
            "under a minute is rounded",
            vec![joined("c", 0), passage_at("u", "left", "c", "main", second(90), json!({}))],
            2,
            vec![],
        ),
    ];
    for (name, events, minutes, flags) in cases {
        assert_eq!(adas(events), (minutes, flags), "{name}");
    }
}

#[test]
fn the_time_held_is_known_even_when_an_end_is_not_told() {
    let live = [started("u", 0), joined("c", 10)];
    // Events, the minute it is now, minutes held, Ada's minutes and flags.
    type Told = (&'static str, Vec<ZoomEvent>, i64, u64, u64, Vec<Flag>);
    let cases: [Told; 9] = [
        ("not held", vec![], 600, 0, 0, vec![]),
        ("running", live.to_vec(), 30, 30, 20, vec![]),
        ("running over", live.to_vec(), 100, 100, 90, vec![]),
        ("end lost", live.to_vec(), 200, 60, 50, vec![Flag::LeftInferred]),
        (
            "end lost, and heard of after it was planned",
            [&live[..], &[passage("left", "z", "main", 70)]].concat(),
            200,
            70,
            70,
            vec![Flag::JoinedInferred, Flag::LeftInferred],
        ),
        (
            "start lost",
            vec![joined("c", 10), ended("u", 60)],
            600,
            50,
            50,
            vec![Flag::LeftInferred],
        ),
        ("nothing but a leave", vec![left("c", 40)], 45, 45, 40, vec![Flag::JoinedInferred]),
        (
            "held twice",
            vec![
                started("u", 0),
                joined("c", 0),
                left("c", 20),
                ended("u", 20),
                started("v", 30),
                passage_at(
                    "v",
                    "joined",
                    "d",
                    "main",
                    minute(40),
                    json!({"customer_key": "key-ada"}),
                ),
                passage_at("v", "left", "d", "main", minute(50), json!({})),
                ended("v", 50),
            ],
            600,
            40,
            30,
            vec![],
        ),
        (
            "started again, the first end lost",
            vec![started("u", 0), joined("c", 0), started("v", 30), ended("v", 60)],
            600,
            60,
            30,
            vec![Flag::LeftInferred],
        ),
    ];
    for (name, events, now, held, minutes, flags) in cases {
        let report = Case::new().report(&events, minute(now));
        let row = row(&report, "Ada");
        assert_eq!(
            (report.held_minutes, row.minutes, row.flags.clone()),
            (held, minutes, flags),
            "{name}"
        );
    }
}

#[test]
fn somebody_who_is_still_in_has_not_left() {
    let report = Case::new().report(&[started("u", 0), joined("c", 10)], minute(30));
    let ada = row(&report, "Ada");
    assert_eq!((ada.first_joined_at, ada.last_left_at), (Some(minute(10)), None));
    let report = Case::new().report(&[started("u", 0), joined("c", 10)], minute(300));
    assert_eq!(row(&report, "Ada").last_left_at, Some(minute(60)));
}

#[test]
fn presence_is_decided_by_the_share_that_is_shown() {
    let cases = [(29, false), (30, true), (60, true), (0, false)];
    for (minutes, present) in cases {
        let events = [started("u", 0), joined("c", 0), left("c", minutes), ended("u", 60)];
        let report = Case::new().report(&events, minute(600));
        let ada = row(&report, "Ada");
        assert_eq!((ada.present, ada.present_by), (present, PresentBy::Rule), "{minutes}");
    }
    assert_eq!(Percent::of(1, 3).to_string(), "33.3");
    assert_eq!(serde_json::to_value(Percent::of(2, 3)).unwrap(), json!(66.7));
    assert_eq!(Percent::of(5, 0), Percent::default());
    assert_eq!((Threshold::new(0), Threshold::new(101)), (None, None));
}

/// Work that grew with the square of a class would take minutes here.
#[test]
fn a_class_of_ten_thousand_is_worked_through() {
    const PEOPLE: usize = 10_000;
    let session = class(course(), Status::Scheduled, Vec::new());
    let user = |n: usize| format!("user-{n}");
    let enrolled: Vec<_> = (0..PEOPLE).map(|n| enrolled(&user(n), &user(n))).collect();
    let clicked: Vec<_> = (0..PEOPLE).map(|n| clicked(&user(n), &user(n))).collect();
    let people = People::new(&session, &[], &enrolled, &clicked);
    let mut events = vec![started("u", 0), ended("u", 60)];
    for n in 0..PEOPLE {
        let (connection, key) = (format!("c{n}"), json!({ "customer_key": user(n) }));
        for (way, at) in [("joined", 0), ("left", 60)] {
            events.push(passage_at("u", way, &connection, "main", minute(at), key.clone()));
        }
    }
    let case = Case { session, people, rulings: AttendanceOverrides::new() };
    let report = case.report(&events, minute(600));
    assert_eq!((report.attendees.len(), report.present), (PEOPLE, PEOPLE));
}
