//! The union of events and Zoom's report.

use jiff::Timestamp;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{Case, ended, minute, participant_event_at, row, started};
use crate::domain::attendance::people::IdentityMatch;
use crate::domain::attendance::provenance::SourceState;
use crate::domain::attendance::report::Flag;
use crate::domain::attendance::{
    AttendanceReport, AttendanceStatus, Percent, Provenance, accuracy,
};
use crate::domain::text::Email;
use crate::domain::zoom_event::{ParticipantEvent, ZoomEvent};
use crate::domain::zoom_report::{InstanceReport, ReportedConnection};

/// A participant's connection: the rooms with the minutes at which they are entered, and the minute of the leave.
#[derive(Clone, Debug)]
struct Connection {
    id: String,
    identity: Value,
    rooms: Vec<(String, i64)>,
    left: i64,
}

impl Connection {
    fn new(id: &str, identity: Value, from: i64, to: i64) -> Self {
        Self { id: id.to_owned(), identity, rooms: vec![(format!("{id}0"), from)], left: to }
    }

    fn host() -> Self {
        Self::new("host", json!({"id": "zoom-host"}), 0, 60)
    }

    fn events(&self) -> Vec<ZoomEvent> {
        let event = |kind: &str, room: &str, at: i64| {
            participant_event_at("u", kind, &self.id, room, minute(at), self.identity.clone())
        };
        let ends = self.rooms.iter().skip(1).map(|(_, at)| *at).chain([self.left]);
        let of_room = |((room, from), to): (&(String, i64), i64)| {
            [event("joined", room, *from), event("left", room, to)]
        };
        self.rooms.iter().zip(ends).flat_map(of_room).collect()
    }

    fn row(&self, room: &str, from: i64, to: i64, has_keys: bool) -> ReportedConnection {
        let text = |name: &str| self.identity[name].as_str().map(str::to_owned);
        let zoom_user = text("id");
        let participant = ParticipantEvent {
            at: minute(from),
            participant_uuid: room.to_owned(),
            room_user_id: Some(room.to_owned()),
            customer_key: text("customer_key").filter(|_| has_keys),
            registrant: None,
            email: text("email").and_then(|email| Email::parse(&email).ok()),
            name: "Somebody".to_owned(),
            is_host: zoom_user.as_deref() == Some("zoom-host"),
            zoom_user,
        };
        ReportedConnection { left_at: minute(to), participant }
    }

    /// Returns the rows of Zoom's list: one per room, or one with the number of the first room.
    fn rows(&self, is_per_room: bool, has_keys: bool) -> Vec<ReportedConnection> {
        let (first, from) = &self.rooms[0];
        if !is_per_room {
            return vec![self.row(first, *from, self.left, has_keys)];
        }
        let ends = self.rooms.iter().skip(1).map(|(_, at)| *at).chain([self.left]);
        let rooms = self.rooms.iter().zip(ends);
        rooms.map(|((room, from), to)| self.row(room, *from, to, has_keys)).collect()
    }
}

fn report_of(connections: &[Connection], is_per_room: bool, has_keys: bool) -> InstanceReport {
    let rows = connections.iter().flat_map(|it| it.rows(is_per_room, has_keys));
    InstanceReport { instance_uuid: "u".to_owned(), is_complete: true, connections: rows.collect() }
}

fn all_events(connections: &[Connection]) -> Vec<ZoomEvent> {
    let participants = connections.iter().flat_map(Connection::events);
    participants.chain([started("u", 0), ended("u", 60)]).collect()
}

fn ada() -> Value {
    json!({"customer_key": "key-ada"})
}

fn bob() -> Value {
    json!({"email": "bob@example.test"})
}

#[test]
fn row_rests_on_every_source_that_has_it() {
    let case = Case::new();
    let ada = Connection::new("a", ada(), 0, 60);
    let host = Connection::host();
    let listed = |people: &[&Connection]| {
        let people: Vec<_> = people.iter().map(|it| (*it).clone()).collect();
        report_of(&people, true, true)
    };
    let events = all_events(&[host.clone(), ada.clone()]);
    let only_host = all_events(std::slice::from_ref(&host));
    for (events, report, expected) in [
        (&events, None, Provenance::Webhook),
        (&events, Some(listed(&[&host, &ada])), Provenance::Both),
        (&events, Some(listed(&[&host])), Provenance::Webhook),
        (&only_host, Some(listed(&[&host, &ada])), Provenance::Report),
        (&vec![], Some(listed(&[&host, &ada])), Provenance::Report),
    ] {
        let report = case.report_with(events, report.as_slice(), minute(600));
        assert_eq!(row(&report, "Ada").provenance, expected);
        assert_eq!(row(&report, "Ada").minutes, 60, "{expected:?}");
    }
    // The absence of Bob rests on the data that has arrived.
    let absence = |events: &[ZoomEvent], reports: &[InstanceReport]| {
        row(&case.report_with(events, reports, minute(600)), "Bob").provenance
    };
    let list = [listed(&[&host, &ada])];
    assert_eq!(absence(&events, &[]), Provenance::Webhook);
    assert_eq!(absence(&events, &list), Provenance::Both);
    assert_eq!(absence(&[], &list), Provenance::Report);
}

#[test]
fn inferred_times_give_way_to_the_report() {
    let case = Case::new();
    let ada = Connection::new("a", ada(), 10, 30);
    let connections = [Connection::host(), ada.clone()];
    let events = all_events(&connections);
    let lost_leave: Vec<_> =
        events.iter().filter(|event| !is_leave_of(event, "a")).cloned().collect();
    assert_eq!(row(&case.report(&lost_leave, minute(600)), "Ada").minutes, 50, "without the list");
    for has_keys in [true, false] {
        let list = [report_of(&connections, true, has_keys)];
        let report = case.report_with(&lost_leave, &list, minute(600));
        assert_eq!(row(&report, "Ada").minutes, 20);
        assert_eq!(row(&report, "Ada").flags, []);
        assert_eq!(row(&report, "Ada").last_left_at, Some(minute(30)));
    }
}

fn is_leave_of(event: &ZoomEvent, id: &str) -> bool {
    use crate::domain::zoom_event::EventPayload;
    matches!(&event.payload, EventPayload::Left(participant) if participant.participant_uuid == id)
}

#[test]
fn row_of_an_identified_connection_needs_no_identity() {
    // The key is in the event, and the list of a trainer's own account has none.
    let connections = [Connection::host(), Connection::new("a", ada(), 0, 60)];
    let list = [report_of(&connections, true, false)];
    let report = Case::new().report_with(&all_events(&connections), &list, minute(600));
    assert_eq!(report.attendees.len(), 2, "{:?}", report.attendees);
    let ada = row(&report, "Ada");
    assert_eq!((ada.minutes, ada.connections, ada.matched), (60, 1, IdentityMatch::CustomerKey));
}

#[test]
fn row_without_identity_or_events_needs_review() {
    let case = Case::new();
    let connections = [
        Connection::host(),
        Connection::new("a", ada(), 0, 60),
        Connection::new("b", bob(), 5, 60),
    ];
    let report = case.report_with(&[], &[report_of(&connections, true, false)], minute(600));
    assert_eq!(row(&report, "Bob").minutes, 55, "by e-mail");
    assert_eq!(row(&report, "Ada").status, Some(AttendanceStatus::Absent));
    let unknown = row(&report, "Somebody");
    assert_eq!((unknown.minutes, unknown.flags.as_slice()), (60, &[Flag::NeedsReview][..]));
}

#[test]
fn waiting_room_gap_of_the_report_counts_even_if_its_events_were_lost() {
    let case = Case::new();
    let host = Connection::host();
    let rows = [(0, 20), (30, 60)].map(|(from, to)| host.row("a0", from, to, true));
    let rows = rows.map(|row| ReportedConnection {
        participant: ParticipantEvent {
            customer_key: Some("key-ada".into()),
            zoom_user: None,
            is_host: false,
            ..row.participant
        },
        ..row
    });
    let mut list = report_of(std::slice::from_ref(&host), true, true);
    list.connections.extend(rows);
    // The join and the last leave arrived, and the move to the waiting room and back did not.
    let events = all_events(&[host, Connection::new("a", ada(), 0, 60)]);
    let report = case.report_with(&events, &[list.clone()], minute(600));
    assert_eq!(row(&report, "Ada").minutes, 50);
    assert_eq!(row(&case.report_with(&[], &[list], minute(600)), "Ada").connections, 1);
}

#[test]
fn breakout_rooms_that_the_report_omits_count_by_their_events() {
    let case = Case::new();
    let ada = Connection {
        rooms: vec![("a0".into(), 0), ("a1".into(), 20), ("a2".into(), 40)],
        ..Connection::new("a", ada(), 0, 60)
    };
    let connections = [Connection::host(), ada];
    let mut list = report_of(&connections, true, true);
    list.connections.retain(|row| row.participant.participant_uuid != "a1");
    let report = case.report_with(&all_events(&connections), &[list], minute(600));
    assert_eq!(row(&report, "Ada").minutes, 60);
}

#[test]
fn assignment_survives_the_arrival_of_the_other_source() {
    let mut case = Case::new();
    let guest = Connection::new("g", json!({}), 0, 60);
    let connections = [Connection::host(), guest];
    let list = [report_of(&connections, true, true)];
    let listed_only = case.report_with(&[], &list, minute(600));
    let id = row(&listed_only, "Somebody").attendee_id.clone();
    let ada = case.attendee_id("ada");
    case.overrides.entry(id).or_default().assigned_to = Some(ada);
    let late = case.report_with(&all_events(&connections), &list, minute(600));
    assert_eq!((row(&late, "Ada").minutes, late.attendees.len()), (60, 2));
}

#[test]
fn report_is_final_once_both_sources_are_in_or_after_25_hours() {
    let case = Case::new();
    let connections = [Connection::host(), Connection::new("a", ada(), 0, 60)];
    let events = all_events(&connections);
    let list = report_of(&connections, true, true);
    let partial = InstanceReport { is_complete: false, ..list.clone() };
    let (none, some, all) = (SourceState::None, SourceState::Partial, SourceState::Complete);
    let lost_join: Vec<_> = events[3..].to_vec();
    // The window closes in minute 150, and the session ends in minute 60.
    for (events, reports, at, sources, is_final) in [
        (&events, vec![list.clone()], 149, (all, all), false),
        (&events, vec![list.clone()], 150, (all, all), true),
        (&events, vec![partial], 150, (all, some), false),
        (&events, vec![], 150, (all, none), false),
        (&events, vec![], 60 + 25 * 60 - 1, (all, none), false),
        (&events, vec![], 60 + 25 * 60, (all, none), true),
        (&vec![], vec![list.clone()], 600, (none, all), false),
        (&lost_join, vec![list], 600, (some, all), false),
        (&vec![], vec![], 600, (none, none), false),
        (&vec![], vec![], 60 + 25 * 60, (none, none), true),
    ] {
        let report = case.report_with(events, &reports, minute(at));
        assert_eq!((report.sources.webhook, report.sources.report), sources, "minute {at}");
        assert_eq!(report.is_final, is_final, "minute {at}, {sources:?}");
    }
}

#[test]
fn accuracy_is_the_share_of_time_on_which_both_agree() {
    let case = Case::new();
    let connections = [
        Connection::host(),
        Connection::new("a", ada(), 0, 60),
        Connection::new("b", bob(), 0, 30),
    ];
    let list = [report_of(&connections, true, true)];
    let events = all_events(&connections);
    let measured = |events: &[ZoomEvent]| accuracy(&case.session, events, &list, minute(600));
    assert_eq!(measured(&events), Some(Percent::ratio(1, 1)));
    // Without his leave, Bob seems to stay for 60 minutes instead of 30.
    let lost: Vec<_> = events.iter().filter(|event| !is_leave_of(event, "b")).cloned().collect();
    assert_eq!(measured(&lost), Some(Percent::ratio(90, 120)));
    assert_eq!(measured(&[]), Some(Percent::ratio(0, 1)));
    assert_eq!(accuracy(&case.session, &[], &[], minute(600)), None);
}

fn any_connection(id: usize) -> impl Strategy<Value = Connection> {
    let identities = [ada(), bob(), json!({"id": "zoom-eve"}), json!({})];
    let cuts = proptest::collection::btree_set(1..60i64, 2..5);
    (0..identities.len(), cuts).prop_map(move |(identity, cuts)| {
        let cuts: Vec<_> = cuts.into_iter().collect();
        let (last, joins) = cuts.split_last().unwrap();
        let rooms = joins.iter().enumerate().map(|(n, at)| (format!("{id}-{n}"), *at));
        Connection {
            id: format!("c{id}"),
            identity: identities[identity].clone(),
            rooms: rooms.collect(),
            left: *last,
        }
    })
}

fn any_class() -> impl Strategy<Value = Vec<Connection>> {
    (any_connection(1), any_connection(2), any_connection(3), any_connection(4))
        .prop_map(|(a, b, c, d)| vec![Connection::host(), a, b, c, d])
}

type PersonFigures =
    (Option<String>, u64, Option<AttendanceStatus>, Option<Timestamp>, Option<Timestamp>);

/// The figures of the people on the roster, and the minutes of the others together.
fn figures(report: &AttendanceReport) -> (Vec<PersonFigures>, u64) {
    let (known, unknown): (Vec<_>, Vec<_>) =
        report.attendees.iter().partition(|row| row.is_expected);
    let of_person = |row: &&crate::domain::attendance::ReportRow| {
        let user = row.user_id.as_ref().map(|user| user.as_str().to_owned());
        (user, row.minutes, row.status, row.first_joined_at, row.last_left_at)
    };
    (known.iter().map(of_person).collect(), unknown.iter().map(|row| row.minutes).sum())
}

proptest! {
    #[test]
    fn lost_events_change_nothing_where_zoom_lists_customer_keys(
        class in any_class(),
        delivered in proptest::collection::vec(any::<bool>(), 40),
        is_per_room in any::<bool>(),
    ) {
        let case = Case::new();
        let events = all_events(&class);
        let some: Vec<_> = events
            .iter()
            .zip(delivered)
            .filter(|(_, delivered)| *delivered)
            .map(|(event, _)| event.clone())
            .collect();
        let list = [report_of(&class, is_per_room, true)];
        let expected = case.report_with(&events, &list, minute(600));
        prop_assert_eq!(expected.held_minutes, 60);
        for events in [&some, &Vec::new()] {
            let report = case.report_with(events, &list, minute(600));
            prop_assert_eq!(report.held_minutes, expected.held_minutes);
            prop_assert_eq!(figures(&report), figures(&expected));
        }
    }

    #[test]
    fn whole_class_has_the_same_minutes_by_events_by_the_list_and_by_both(
        class in any_class(),
        is_per_room in any::<bool>(),
        has_keys in any::<bool>(),
    ) {
        let case = Case::new();
        let events = all_events(&class);
        let list = [report_of(&class, is_per_room, has_keys)];
        let by_events = case.report(&events, minute(600));
        let by_both = case.report_with(&events, &list, minute(600));
        prop_assert_eq!(figures(&by_both), figures(&by_events));
        let by_list = case.report_with(&[], &list, minute(600));
        if has_keys {
            prop_assert_eq!(figures(&by_list), figures(&by_events));
        }
    }
}
