use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::people::{Clicker, Match};
use super::report::{Flag, Inputs, PresentBy, Report, Row};
use super::ruling::{Assignee, Ruling, Rulings, Wish, decide, state};
use super::{AttendeeId, People, Percent, Threshold};
use crate::crypt::Sealed;
use crate::domain::audience::{Audience, Invitee};
use crate::domain::directory::Enrollment;
use crate::domain::id::{CourseId, MeetingId, SessionId, UserId};
use crate::domain::occurrence::{self, Occurrence, Sign};
use crate::domain::refusal::Refusal;
use crate::domain::session::{Meeting, Provider, Session, Source, Status};
use crate::domain::settings::MeetingSettings;
use crate::domain::text::{Description, Email, PersonName, Title};
use crate::domain::time::Zone;
use crate::domain::zoom_event::ZoomEvent;

/// The planned start; the class is planned for 60 minutes.
fn start() -> Timestamp {
    "2026-11-22T11:00:00Z".parse().unwrap()
}

fn second(seconds: i64) -> Timestamp {
    start() + SignedDuration::from_secs(seconds)
}

fn minute(minutes: i64) -> Timestamp {
    second(minutes * 60)
}

fn event(name: &str, at: Timestamp, object: Value) -> ZoomEvent {
    let body = json!({
        "event": name, "event_ts": at.as_millisecond(),
        "payload": { "account_id": "acc", "object": object },
    });
    ZoomEvent::read(&body).unwrap()
}

fn started(uuid: &str, at: i64) -> ZoomEvent {
    let object = json!({ "id": "1", "uuid": uuid, "start_time": minute(at) });
    event("meeting.started", minute(at), object)
}

fn ended(uuid: &str, at: i64) -> ZoomEvent {
    let object = json!({ "id": "1", "uuid": uuid, "end_time": minute(at) });
    event("meeting.ended", minute(at), object)
}

/// A passage of the connection `c`, in its `seat`; rooms are told by an `_breakout_room` in `way`.
fn passage_at(uuid: &str, way: &str, c: &str, seat: &str, at: Timestamp, who: Value) -> ZoomEvent {
    let mut person = json!({ "participant_uuid": c, "user_id": seat, "user_name": "Somebody" });
    person[if way.starts_with("joined") { "join_time" } else { "leave_time" }] = json!(at);
    for (name, value) in who.as_object().into_iter().flatten() {
        person[name] = value.clone();
    }
    let object = json!({ "id": "1", "uuid": uuid, "host_id": "zoom-host", "participant": person });
    event(&format!("meeting.participant_{way}"), at, object)
}

fn passage(way: &str, c: &str, seat: &str, at: i64) -> ZoomEvent {
    passage_at("u", way, c, seat, minute(at), json!({ "customer_key": "key-ada" }))
}

fn joined(c: &str, at: i64) -> ZoomEvent {
    passage("joined", c, "main", at)
}

fn left(c: &str, at: i64) -> ZoomEvent {
    passage("left", c, "main", at)
}

fn class(audience: Audience, status: Status, occurrences: Vec<Occurrence>) -> Session {
    Session {
        id: SessionId::from_bytes([1; 16]),
        trainer: UserId::parse("trainer-1").unwrap(),
        title: Title::parse("Algebra I").unwrap(),
        description: Description::parse("").unwrap(),
        audience,
        starts_at: start(),
        zone: Zone::utc(),
        duration_minutes: 60,
        provider: Provider::Zoom,
        record_session: false,
        settings: MeetingSettings::default(),
        status,
        source: Source::Manual,
        meeting: Meeting {
            account: Some("acc".into()),
            id: Some(MeetingId(1)),
            join_url: Sealed::from_stored(""),
            passcode: None,
        },
        ics_sequence: 0,
        version: 1,
        created_at: start(),
        updated_at: start(),
        cancelled_at: None,
        actual_started_at: None,
        actual_ended_at: None,
        occurrences,
        drift: Vec::new(),
    }
}

fn course() -> Audience {
    Audience::Course {
        id: CourseId::parse("course-1").unwrap(),
        title: Title::parse("Algebra").unwrap(),
    }
}

fn enrolled(user: &str, name: &str) -> Enrollment {
    Enrollment {
        course: CourseId::parse("course-1").unwrap(),
        user: UserId::parse(user).unwrap(),
        email: Email::parse(&format!("{user}@example.test")).unwrap(),
        name: PersonName::parse(name).unwrap(),
        access_granted: true,
    }
}

fn clicked(user: &str, key: &str) -> Clicker {
    Clicker {
        user: UserId::parse(user).unwrap(),
        email: Email::parse(&format!("{user}@example.test")).ok(),
        name: None,
        host: user == "trainer-1",
        customer_key: Some(key.into()),
    }
}

/// A class for Ada and Bob, both of whom clicked.
struct Case {
    session: Session,
    people: People,
    rulings: Rulings,
}

impl Case {
    fn new() -> Self {
        let session = class(course(), Status::Scheduled, Vec::new());
        let people = People::new(
            &session,
            &[],
            &[enrolled("ada", "Ada"), enrolled("bob", "Bob")],
            &[clicked("trainer-1", "key-host"), clicked("ada", "key-ada")],
        );
        Self { session, people, rulings: Rulings::new() }
    }

    fn report(&self, events: &[ZoomEvent], now: Timestamp) -> Report {
        Report::of(&Inputs {
            session: &self.session,
            events,
            people: &self.people,
            rulings: &self.rulings,
            threshold: Threshold::default(),
            now,
        })
    }

    fn id(&self, user: &str) -> AttendeeId {
        AttendeeId::of_user(&self.session.id, &UserId::parse(user).unwrap())
    }
}

fn row<'a>(report: &'a Report, name: &str) -> &'a Row {
    report.attendees.iter().find(|row| row.name == name).unwrap()
}

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
    let cases: [(&str, Vec<ZoomEvent>, i64, u64, u64, Vec<Flag>); 9] = [
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

/// Who is recognised in a connection that was in from beginning to end, and by what.
fn recognised(people: &People, who: Value) -> Vec<(String, Match, Vec<Flag>)> {
    let case = Case { people: people.clone(), ..Case::new() };
    let events = [
        started("u", 0),
        passage_at("u", "joined", "c", "main", minute(0), who),
        passage_at("u", "left", "c", "main", minute(60), json!({})),
        ended("u", 60),
    ];
    let report = case.report(&events, minute(600));
    let there = report.attendees.into_iter().filter(|row| row.connections > 0);
    there.map(|row| (row.name, row.matched, row.flags)).collect()
}

#[test]
fn people_are_recognised_by_key_then_by_address_and_never_by_name() {
    let people = Case::new().people;
    let stranger = |name: &str| vec![(name.to_owned(), Match::None, vec![Flag::NeedsReview])];
    let by = |name: &str, matched| vec![(name.to_owned(), matched, vec![])];
    let cases = [
        (json!({"customer_key": "key-ada"}), by("Ada", Match::CustomerKey)),
        (
            json!({"customer_key": "key-ada", "email": "bob@example.test"}),
            by("Ada", Match::CustomerKey),
        ),
        (json!({"customer_key": "unknown", "email": "BOB@Example.Test"}), by("Bob", Match::Email)),
        (json!({"email": "bob@example.test"}), by("Bob", Match::Email)),
        (json!({"user_name": "Bob"}), stranger("Bob")),
        (json!({"user_name": "Eve", "email": "eve@example.test"}), stranger("Eve")),
        (json!({"registrant_id": "r", "user_name": "Eve"}), stranger("Eve")),
        // The host, by Zoom's word, by the key of their click, and by their address on another device.
        (json!({"id": "zoom-host"}), vec![]),
        (json!({"customer_key": "key-host"}), vec![]),
        (json!({"email": "trainer-1@example.test"}), vec![]),
    ];
    for (who, expected) in cases {
        assert_eq!(recognised(&people, who.clone()), expected, "{who}");
    }
}

#[test]
fn an_address_that_two_share_tells_neither() {
    let session = class(course(), Status::Scheduled, Vec::new());
    let twin = Enrollment { user: UserId::parse("twin").unwrap(), ..enrolled("ada", "Twin") };
    let people = People::new(&session, &[], &[enrolled("ada", "Ada"), twin], &[]);
    let seen = recognised(&people, json!({"email": "ada@example.test", "user_name": "?"}));
    assert_eq!(seen, [("?".to_owned(), Match::None, vec![Flag::NeedsReview])]);
}

#[test]
fn strangers_have_a_row_each_and_a_signed_in_one_has_one_for_all_their_devices() {
    let stranger = |c: &str, who: Value| passage_at("u", "joined", c, "main", minute(0), who);
    let report = Case::new().report(
        &[
            started("u", 0),
            stranger("c", json!({"user_name": "iPhone"})),
            stranger("d", json!({"user_name": "iPhone"})),
            stranger("e", json!({"user_name": "Eve", "id": "zoom-eve"})),
            stranger("f", json!({"user_name": "Eve's laptop", "id": "zoom-eve"})),
            // Zoom names Bob's address only once, but he is signed in on both.
            stranger("g", json!({"id": "zoom-bob", "email": "bob@example.test"})),
            stranger("h", json!({"id": "zoom-bob"})),
            ended("u", 60),
        ],
        minute(600),
    );
    let rows: Vec<_> =
        report.attendees.iter().map(|row| (row.name.as_str(), row.connections)).collect();
    assert_eq!(rows, [("Ada", 0), ("Bob", 2), ("Eve", 2), ("iPhone", 1), ("iPhone", 1)]);
    assert_eq!((report.expected, report.present), (2, 1), "strangers do not count until assigned");
    assert_eq!(report.percent_present, Percent::of(1, 2));
}

#[test]
fn an_invited_guest_keeps_their_row_when_a_click_tells_who_they_are() {
    let email = Email::parse("guest@example.test").unwrap();
    let invitee = Invitee { email: email.clone(), name: None };
    let session = class(course(), Status::Scheduled, Vec::new());
    let mut clicker = clicked("guest-7", "key-guest");
    let without = People::new(&session, std::slice::from_ref(&invitee), &[], &[]);
    clicker.email = Some(email);
    let with = People::new(&session, &[invitee], &[], &[clicker]);
    assert_eq!(without.expected().len(), 1);
    assert_eq!(with.expected().len(), 1);
    assert_eq!(with.expected()[0].attendee, without.expected()[0].attendee);
    assert_eq!(with.expected()[0].user, UserId::parse("guest-7").ok());
    assert_eq!(recognised(&with, json!({"customer_key": "key-guest"}))[0].1, Match::CustomerKey);
}

#[test]
fn who_has_lost_access_is_expected_only_if_they_clicked() {
    let session = class(course(), Status::Scheduled, Vec::new());
    let barred = |user| Enrollment { access_granted: false, ..enrolled(user, "Barred") };
    let people = People::new(
        &session,
        &[],
        &[barred("ada"), barred("bob"), enrolled("trainer-1", "Tara")],
        &[clicked("ada", "key-ada")],
    );
    let expected: Vec<_> = people.expected().iter().map(|person| person.user.clone()).collect();
    assert_eq!(expected, [UserId::parse("ada").ok()]);
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

/// The class with Eve in it, whom nobody knows, for half of the time.
fn with_eve() -> (Case, Vec<ZoomEvent>, AttendeeId) {
    let eve = json!({"user_name": "Eve"});
    let events = vec![
        started("u", 0),
        passage_at("u", "joined", "e", "main", minute(0), eve.clone()),
        passage_at("u", "left", "e", "main", minute(40), eve),
        ended("u", 60),
    ];
    let case = Case::new();
    let id = AttendeeId::of_connection(&case.session.id, "u", "e");
    (case, events, id)
}

fn bob() -> Assignee {
    Assignee::User(UserId::parse("bob").unwrap())
}

#[test]
fn a_decision_goes_before_the_rule_and_is_undone_by_another() {
    let (mut case, events, _) = with_eve();
    let ada = case.id("ada");
    for (present, shown) in [
        (Some(true), (true, PresentBy::Override)),
        (Some(false), (false, PresentBy::Override)),
        (None, (false, PresentBy::Rule)),
    ] {
        let before = case.report(&events, minute(600));
        let wish = Wish { present: Some(present), assign_to: None };
        let decision = decide(&before, &case.rulings, &ada, &wish).unwrap();
        case.rulings.extend(decision.changed);
        let after = case.report(&events, minute(600));
        let row = after.row(&decision.shown).unwrap();
        assert_eq!((row.present, row.present_by), shown);
    }
}

#[test]
fn an_assigned_row_counts_for_the_person_and_can_be_taken_back() {
    let (mut case, events, eve) = with_eve();
    let before = case.report(&events, minute(600));
    assert_eq!(before.row(&eve).unwrap().flags, [Flag::NeedsReview]);

    let wish = Wish { present: None, assign_to: Some(Some(bob())) };
    let decision = decide(&before, &case.rulings, &eve, &wish).unwrap();
    assert_eq!(decision.shown, case.id("bob"));
    case.rulings.extend(decision.changed);
    let after = case.report(&events, minute(600));
    assert_eq!(after.row(&eve), None);
    let bobs = after.row(&case.id("bob")).unwrap();
    assert_eq!((bobs.minutes, bobs.present, &bobs.flags[..]), (40, true, &[Flag::Assigned][..]));
    assert_eq!((after.expected, after.present), (2, 1));
    let now = state(&after, &case.rulings, &eve);
    assert_eq!((now.present, now.assigned_to), (true, Some(case.id("bob"))));

    let say = Wish { present: Some(Some(false)), assign_to: None };
    let refused = decide(&after, &case.rulings, &eve, &say);
    assert!(matches!(refused, Err(Refusal::Conflict(_))), "{refused:?}");

    let back = Wish { present: None, assign_to: Some(None) };
    let decision = decide(&after, &case.rulings, &eve, &back).unwrap();
    case.rulings.extend(decision.changed);
    assert_eq!(case.report(&events, minute(600)), before);
}

#[test]
fn only_strangers_are_assigned_and_only_to_those_expected() {
    let (case, events, eve) = with_eve();
    let report = case.report(&events, minute(600));
    let assign = |attendee: &AttendeeId, assignee: Assignee| {
        let wish = Wish { present: None, assign_to: Some(Some(assignee)) };
        decide(&report, &case.rulings, attendee, &wish)
    };
    assert!(matches!(assign(&case.id("ada"), bob()), Err(Refusal::Conflict(_))));
    let nobody = Assignee::User(UserId::parse("nobody").unwrap());
    assert!(matches!(assign(&eve, nobody), Err(Refusal::Invalid(_))));
    assert!(matches!(assign(&eve, Assignee::Attendee(eve.clone())), Err(Refusal::Invalid(_))));
    assert_eq!(assign(&case.id("nobody"), bob()), Err(Refusal::NotFound));
    assert!(assign(&eve, Assignee::Attendee(case.id("ada"))).is_ok());
}

#[test]
fn presence_said_with_an_assignment_is_said_of_the_person() {
    let (case, events, eve) = with_eve();
    let report = case.report(&events, minute(600));
    let wish = Wish { present: Some(Some(true)), assign_to: Some(Some(bob())) };
    let decision = decide(&report, &case.rulings, &eve, &wish).unwrap();
    let ruling = |present, assigned_to| Ruling { present, assigned_to };
    let expected = BTreeMap::from([
        (case.id("bob"), ruling(Some(true), None)),
        (eve, ruling(None, Some(case.id("bob")))),
    ]);
    assert_eq!(decision.changed, expected);
}

#[test]
fn an_attendee_id_reads_back_and_tells_people_apart() {
    let session = SessionId::from_bytes([1; 16]);
    let other = SessionId::from_bytes([2; 16]);
    let user = UserId::parse("a").unwrap();
    let id = AttendeeId::of_user(&session, &user);
    assert_eq!(AttendeeId::parse(id.as_str()), Some(id.clone()));
    assert_ne!(id, AttendeeId::of_user(&other, &user));
    assert_ne!(id, AttendeeId::of_zoom_user(&session, "a"));
    assert_ne!(
        AttendeeId::of_connection(&session, "ab", "c"),
        AttendeeId::of_connection(&session, "a", "bc")
    );
    for bad in ["", "att_", "att_0", "ses_aaaaaaaaaaaaaaaaaaaaaaaaaa"] {
        assert_eq!(AttendeeId::parse(bad), None);
    }
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
    let case = Case { session, people, rulings: Rulings::new() };
    let report = case.report(&events, minute(600));
    assert_eq!((report.attendees.len(), report.present), (PEOPLE, PEOPLE));
}

/// Anything that may be told of a class: of two runnings, four connections in three seats, and six people.
fn anything() -> impl Strategy<Value = ZoomEvent> {
    let ways = ["joined", "left", "joined_breakout_room", "left_breakout_room"];
    let whos = [
        json!({"customer_key": "key-ada"}),
        json!({"email": "bob@example.test"}),
        json!({"user_name": "Eve", "id": "zoom-eve"}),
        json!({"user_name": "Eve"}),
        json!({"id": "zoom-host"}),
        json!({}),
    ];
    let passage = (0..2usize, 0..ways.len(), 0..4usize, 0..3usize, 0..80i64, 0..whos.len());
    let passage = passage.prop_map(move |(uuid, way, c, seat, at, who)| {
        // In steps of 20 seconds, so that things happen within the same one.
        let (uuid, c) = (["u", "v"][uuid], ["c", "d", "e", "f"][c]);
        let seat = ["1", "2", "3"][seat];
        passage_at(uuid, ways[way], c, seat, second(at * 20), whos[who].clone())
    });
    let frame = (0..2usize, any::<bool>(), 0..40i64).prop_map(|(uuid, is_start, at)| {
        let uuid = ["u", "v"][uuid];
        if is_start { started(uuid, at) } else { ended(uuid, at) }
    });
    prop_oneof![8 => passage, 1 => frame]
}

fn remembered(events: &[ZoomEvent]) -> Vec<Occurrence> {
    use crate::domain::zoom_event::Says;
    events.iter().fold(Vec::new(), |known, event| match &event.says {
        Says::Started { at } => {
            occurrence::with(known, event.uuid.as_deref().unwrap(), Sign::Running(*at))
        }
        _ => known,
    })
}

proptest! {
    #[test]
    fn order_and_repetition_do_not_matter(
        (events, shuffled) in proptest::collection::vec(anything(), 0..40).prop_flat_map(|events| {
            let twice = [events.clone(), events.clone()].concat();
            (Just(events), Just(twice).prop_shuffle())
        }),
        now in 0..300i64,
        knows in any::<bool>(),
    ) {
        let mut case = Case::new();
        let plain = case.report(&events, minute(now));
        // Whether the class itself had worked out its runnings by then does not matter either.
        if knows {
            case.session.occurrences = remembered(&shuffled);
        }
        prop_assert_eq!(plain, case.report(&shuffled, minute(now)));
    }

    #[test]
    fn whatever_is_lost_nobody_was_there_for_longer_than_it_was_held(
        events in proptest::collection::vec(anything(), 0..40),
        kept in proptest::collection::vec(any::<bool>(), 40),
        now in 0..300i64,
    ) {
        let kept: Vec<_> =
            events.into_iter().zip(kept).filter(|(_, kept)| *kept).map(|(event, _)| event).collect();
        let report = Case::new().report(&kept, minute(now));
        for row in &report.attendees {
            prop_assert!(row.minutes <= report.held_minutes, "{row:?}");
            prop_assert!(row.percent <= Percent::of(1, 1), "{row:?}");
            prop_assert!(row.first_joined_at <= row.last_left_at || row.last_left_at.is_none());
        }
        prop_assert!(report.present <= report.expected);
    }
}
