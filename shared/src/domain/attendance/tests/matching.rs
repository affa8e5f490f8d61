//! Matching of participations to people.

use serde_json::{Value, json};

use super::{
    Case, course, ended, enrolled, event, join_identity, minute, participant_event_at, session,
    started,
};
use crate::domain::attendance::people::{IdentityMatch, JoinIdentity};
use crate::domain::attendance::report::Flag;
use crate::domain::attendance::{AttendeeId, People, Percent};
use crate::domain::audience::Invitee;
use crate::domain::directory::Enrollment;
use crate::domain::id::{SessionId, UserId};
use crate::domain::session::Status;
use crate::domain::text::{Email, PersonName};
use crate::domain::zoom_event::ZoomEvent;

/// Returns the rows for a participation with this identity that was connected for the whole session.
fn identify(people: &People, identity: Value) -> Vec<(String, IdentityMatch, Vec<Flag>)> {
    let case = Case { people: people.clone(), ..Case::new() };
    let events = [
        started("u", 0),
        participant_event_at("u", "joined", "c", "main", minute(0), identity),
        participant_event_at("u", "left", "c", "main", minute(60), json!({})),
        ended("u", 60),
    ];
    let report = case.report(&events, minute(600));
    let attending = report.attendees.into_iter().filter(|row| row.connections > 0);
    attending.map(|row| (row.name, row.matched, row.flags)).collect()
}

#[test]
fn telephone_belongs_to_the_row_of_its_owner() {
    let bound = |at: i64, telephone: &str, participant: &str| {
        let person = json!({ "bind_participant_uuid": telephone, "participant_uuid": participant });
        let object = json!({ "id": "1", "uuid": "u", "participant": person });
        event("meeting.participant_bind", minute(at), object)
    };
    let join = |c: &str, kind: &str, at: i64, identity: Value| {
        participant_event_at("u", kind, c, "main", minute(at), identity)
    };
    let guest = json!({"id": "zoom-guest", "user_name": "Guest"});
    let number = json!({"user_name": "+49 *** 01"});
    let events = [
        started("u", 0),
        join("ada", "joined", 0, json!({"customer_key": "key-ada"})),
        join("ada", "left", 20, json!({})),
        join("phone", "joined", 10, number.clone()),
        join("phone", "left", 60, number.clone()),
        // A later binding replaces an earlier one.
        bound(11, "phone", "guest"),
        bound(12, "phone", "ada"),
        join("guest", "joined", 0, guest),
        join("guests-phone", "joined", 30, number.clone()),
        bound(31, "guests-phone", "guest"),
        participant_event_at("u", "joined", "host", "main", minute(0), json!({"id": "zoom-host"})),
        join("hosts-phone", "joined", 1, number),
        bound(2, "hosts-phone", "host"),
        ended("u", 60),
    ];
    let rows = |events: &[ZoomEvent]| -> Vec<_> {
        let rows = Case::new().report(events, minute(600)).attendees.into_iter();
        let attending = rows.filter(|row| row.connections > 0);
        attending.map(|row| (row.name, row.matched, row.connections, row.minutes)).collect()
    };
    let expected = [
        ("Ada".to_owned(), IdentityMatch::CustomerKey, 2, 60),
        ("Guest".to_owned(), IdentityMatch::None, 2, 60),
    ];
    assert_eq!(rows(&events), expected);
    let reversed: Vec<_> = events.into_iter().rev().collect();
    assert_eq!(rows(&reversed), expected);
}

#[test]
fn people_are_identified_by_key_then_email_and_never_by_name() {
    let people = Case::new().people;
    let stranger =
        |name: &str| vec![(name.to_owned(), IdentityMatch::None, vec![Flag::NeedsReview])];
    let by = |name: &str, matched| vec![(name.to_owned(), matched, vec![])];
    let cases = [
        (json!({"customer_key": "key-ada"}), by("Ada", IdentityMatch::CustomerKey)),
        (
            json!({"customer_key": "key-ada", "email": "bob@example.test"}),
            by("Ada", IdentityMatch::CustomerKey),
        ),
        (
            json!({"customer_key": "unknown", "email": "BOB@Example.Test"}),
            by("Bob", IdentityMatch::Email),
        ),
        (json!({"email": "bob@example.test"}), by("Bob", IdentityMatch::Email)),
        (json!({"user_name": "Bob"}), stranger("Bob")),
        (json!({"user_name": "Eve", "email": "eve@example.test"}), stranger("Eve")),
        (json!({"registrant_id": "r", "user_name": "Eve"}), stranger("Eve")),
        // The host, by Zoom's host id, by customer key, and by email address on another device.
        (json!({"id": "zoom-host"}), vec![]),
        (json!({"customer_key": "key-host"}), vec![]),
        (json!({"email": "trainer-1@example.test"}), vec![]),
    ];
    for (identity, expected) in cases {
        assert_eq!(identify(&people, identity.clone()), expected, "{identity}");
    }
}

#[test]
fn registration_identifies_after_the_key_and_before_the_email() {
    let session = session(course(), Status::Scheduled, Vec::new());
    let students = [enrolled("ada", "Ada"), enrolled("bob", "Bob"), enrolled("cleo", "Cleo")];
    let registered = |user: &str, registrant: &str| JoinIdentity {
        registrant: Some(registrant.to_owned()),
        ..join_identity(user, &format!("key-{user}"))
    };
    let identities = [
        registered("ada", "r-a"),
        registered("bob", "r-b"),
        registered("bob", "shared"),
        registered("cleo", "shared"),
    ];
    let people = People::new(&session, &[], &students, &identities);
    for (identity, name, matched) in [
        (json!({"registrant_id": "r-a"}), "Ada", IdentityMatch::Registrant),
        (
            json!({"registrant_id": "r-a", "email": "bob@example.test"}),
            "Ada",
            IdentityMatch::Registrant,
        ),
        (
            json!({"registrant_id": "r-a", "customer_key": "key-bob"}),
            "Bob",
            IdentityMatch::CustomerKey,
        ),
        (
            json!({"registrant_id": "other", "email": "bob@example.test"}),
            "Bob",
            IdentityMatch::Email,
        ),
        (json!({"registrant_id": "shared", "user_name": "?"}), "?", IdentityMatch::None),
    ] {
        let found = identify(&people, identity.clone());
        assert_eq!((found[0].0.as_str(), found[0].1), (name, matched), "{identity}");
    }
}

#[test]
fn shared_email_identifies_neither_person() {
    let session = session(course(), Status::Scheduled, Vec::new());
    let twin = Enrollment { user: UserId::parse("twin").unwrap(), ..enrolled("ada", "Twin") };
    let people = People::new(&session, &[], &[enrolled("ada", "Ada"), twin], &[]);
    let rows = identify(&people, json!({"email": "ada@example.test", "user_name": "?"}));
    assert_eq!(rows, [("?".to_owned(), IdentityMatch::None, vec![Flag::NeedsReview])]);
}

#[test]
fn unidentified_rows_combine_the_devices_of_a_signed_in_user() {
    let stranger = |c: &str, identity: Value| {
        participant_event_at("u", "joined", c, "main", minute(0), identity)
    };
    let report = Case::new().report(
        &[
            started("u", 0),
            stranger("c", json!({"user_name": "iPhone"})),
            stranger("d", json!({"user_name": "iPhone"})),
            stranger("e", json!({"user_name": "Eve", "id": "zoom-eve"})),
            stranger("f", json!({"user_name": "Eve's laptop", "id": "zoom-eve"})),
            // Zoom gives Bob's address only once, but he is signed in on both devices.
            stranger("g", json!({"id": "zoom-bob", "email": "bob@example.test"})),
            stranger("h", json!({"id": "zoom-bob"})),
            ended("u", 60),
        ],
        minute(600),
    );
    let rows: Vec<_> =
        report.attendees.iter().map(|row| (row.name.as_str(), row.connections)).collect();
    assert_eq!(rows, [("Ada", 0), ("Bob", 2), ("Eve", 2), ("iPhone", 1), ("iPhone", 1)]);
    assert_eq!(
        (report.expected, report.present),
        (2, 1),
        "unidentified rows do not count until they are assigned"
    );
    assert_eq!(report.percent_present, Percent::ratio(1, 2));
}

#[test]
fn invitee_keeps_their_row_after_a_join_attempt() {
    let email = Email::parse("guest@example.test").unwrap();
    let invitee = Invitee { email: email.clone(), name: None };
    let session = session(course(), Status::Scheduled, Vec::new());
    let mut identity = join_identity("guest-7", "key-guest");
    let roster_without_attempt = People::new(&session, std::slice::from_ref(&invitee), &[], &[]);
    identity.email = Some(email);
    let roster = People::new(&session, &[invitee], &[], &[identity]);
    assert_eq!(roster_without_attempt.expected().len(), 1);
    assert_eq!(roster.expected().len(), 1);
    assert_eq!(roster.expected()[0].attendee, roster_without_attempt.expected()[0].attendee);
    assert_eq!(roster.expected()[0].user, UserId::parse("guest-7").ok());
    assert_eq!(
        identify(&roster, json!({"customer_key": "key-guest"}))[0].1,
        IdentityMatch::CustomerKey
    );
}

#[test]
fn guest_has_the_row_of_the_invited_address() {
    let email = Email::parse("guest@example.test").unwrap();
    let session = session(course(), Status::Scheduled, Vec::new());
    let name = PersonName::parse("Gil").ok();
    let as_guest = JoinIdentity {
        user: None,
        email: Some(email.clone()),
        name: name.clone(),
        ..join_identity("nobody", "key-guest")
    };
    let as_user =
        JoinIdentity { email: Some(email.clone()), ..join_identity("guest-7", "key-user") };
    let invitee = [Invitee { email: email.clone(), name: None }];
    let attendee = AttendeeId::for_email(&session.id, &email);
    let user = UserId::parse("guest-7").ok();
    // The invitees, the join attempts, the user of the only row.
    let cases: [(&[Invitee], Vec<JoinIdentity>, Option<UserId>); 4] = [
        (&invitee, vec![as_guest.clone()], None),
        (&invitee, vec![as_guest.clone(), as_user.clone()], user.clone()),
        (&invitee, vec![as_user, as_guest.clone()], user),
        // The invitation was withdrawn after the guest had joined.
        (&[], vec![as_guest.clone()], None),
    ];
    for (invitees, identities, user) in cases {
        let people = People::new(&session, invitees, &[], &identities);
        let expected = people.expected();
        assert_eq!(expected.len(), 1, "{identities:?}");
        assert_eq!((&expected[0].attendee, &expected[0].user), (&attendee, &user));
        assert_eq!((expected[0].email.as_ref(), &expected[0].name), (Some(&email), &name));
        let matched = identify(&people, json!({"customer_key": "key-guest"}));
        assert_eq!(matched[0].1, IdentityMatch::CustomerKey);
    }
    let rejected = JoinIdentity { admitted: false, ..as_guest };
    assert_eq!(People::new(&session, &[], &[], &[rejected]).expected(), []);
}

#[test]
fn person_without_access_is_expected_only_after_joining() {
    let session = session(course(), Status::Scheduled, Vec::new());
    let without_access = |user| Enrollment { access_granted: false, ..enrolled(user, "Barred") };
    let people = People::new(
        &session,
        &[],
        &[without_access("ada"), without_access("bob"), enrolled("trainer-1", "Tara")],
        &[join_identity("ada", "key-ada")],
    );
    let expected: Vec<_> = people.expected().iter().map(|person| person.user.clone()).collect();
    assert_eq!(expected, [UserId::parse("ada").ok()]);
}

#[test]
fn attendee_id_round_trips_and_is_unique_per_person() {
    let session = SessionId::from_bytes([1; 16]);
    let other = SessionId::from_bytes([2; 16]);
    let user = UserId::parse("a").unwrap();
    let id = AttendeeId::for_user(&session, &user);
    assert_eq!(AttendeeId::parse(id.as_str()), Some(id.clone()));
    assert_ne!(id, AttendeeId::for_user(&other, &user));
    assert_ne!(id, AttendeeId::for_zoom_user(&session, "a"));
    assert_ne!(
        AttendeeId::for_participation(&session, "ab", "c"),
        AttendeeId::for_participation(&session, "a", "bc")
    );
    for bad in ["", "att_", "att_0", "ses_aaaaaaaaaaaaaaaaaaaaaaaaaa"] {
        assert_eq!(AttendeeId::parse(bad), None);
    }
}

#[test]
fn student_with_an_address_for_a_part_of_the_time_is_one_person() {
    let session = session(course(), Status::Scheduled, Vec::new());
    let with_address = enrolled("ada", "Ada");
    let without_address = Enrollment { email: None, ..with_address.clone() };
    let other = Enrollment { email: None, ..enrolled("bob", "Bob") };
    let both = [without_address.clone(), with_address.clone()];
    let people = People::new(&session, &[], &[&both[..], &[other]].concat(), &[]);
    let shown: Vec<_> = people.expected().iter().map(|person| person.email.clone()).collect();
    assert_eq!(shown, [with_address.email, None]);
    let by_address = identify(&people, json!({"email": "ada@example.test"}));
    assert_eq!(by_address, [("Ada".to_owned(), IdentityMatch::Email, vec![])]);
    let people = People::new(&session, &[], &[without_address], &[join_identity("ada", "key-ada")]);
    let by_key = identify(&people, json!({"customer_key": "key-ada"}));
    assert_eq!(by_key, [("Ada".to_owned(), IdentityMatch::CustomerKey, vec![])]);
}
