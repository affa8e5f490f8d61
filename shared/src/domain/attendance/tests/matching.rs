//! Whose a connection is.

use serde_json::{Value, json};

use super::{Case, class, clicked, course, ended, enrolled, minute, passage_at, started};
use crate::domain::attendance::people::IdentityMatch;
use crate::domain::attendance::report::Flag;
use crate::domain::attendance::{AttendeeId, People, Percent};
use crate::domain::audience::Invitee;
use crate::domain::directory::Enrollment;
use crate::domain::id::{SessionId, UserId};
use crate::domain::session::Status;
use crate::domain::text::Email;

/// Who is recognised in a connection that was in from beginning to end, and by what.
fn recognised(people: &People, who: Value) -> Vec<(String, IdentityMatch, Vec<Flag>)> {
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
    let stranger = |name: &str| vec![(name.to_owned(), IdentityMatch::None, vec![Flag::NeedsReview])];
    let by = |name: &str, matched| vec![(name.to_owned(), matched, vec![])];
    let cases = [
        (json!({"customer_key": "key-ada"}), by("Ada", IdentityMatch::CustomerKey)),
        (
            json!({"customer_key": "key-ada", "email": "bob@example.test"}),
            by("Ada", IdentityMatch::CustomerKey),
        ),
        (json!({"customer_key": "unknown", "email": "BOB@Example.Test"}), by("Bob", IdentityMatch::Email)),
        (json!({"email": "bob@example.test"}), by("Bob", IdentityMatch::Email)),
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
    assert_eq!(seen, [("?".to_owned(), IdentityMatch::None, vec![Flag::NeedsReview])]);
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
    assert_eq!(recognised(&with, json!({"customer_key": "key-guest"}))[0].1, IdentityMatch::CustomerKey);
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
