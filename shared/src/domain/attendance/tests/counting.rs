//! The headcount of a meeting over a time span.

use serde_json::{Value, json};

use super::*;
use crate::domain::attendance::headcount;

fn joined_as(connection: &str, at: i64, identity: Value) -> ZoomEvent {
    participant_event_at("u", "joined", connection, "main", minute(at), identity)
}

fn left_as(connection: &str, at: i64) -> ZoomEvent {
    participant_event_at("u", "left", connection, "main", minute(at), json!({}))
}

#[test]
fn headcount_counts_each_connected_person_once() {
    let events = [
        started("u", 0),
        joined_as("host", 0, json!({"id": "zoom-host"})),
        joined_as("a", 1, json!({"customer_key": "ada"})),
        // Ada's second device.
        joined_as("a2", 2, json!({"customer_key": "ada"})),
        joined_as("b", 2, json!({"email": "bob@example.test"})),
        left_as("b", 10),
        joined_as("c", 20, json!({})),
        joined_as("d", 20, json!({})),
    ];
    let session = session(course(), Status::Live, Vec::new());
    let count = |from, to, now| {
        headcount(&session, &People::default(), &events, (minute(from), minute(to)), minute(now))
    };
    for (from, to, now, people) in
        [(0, 0, 30, 0), (5, 5, 30, 2), (15, 15, 30, 1), (5, 25, 30, 4), (30, 30, 30, 3)]
    {
        assert_eq!(count(from, to, now), people, "from {from} to {to}");
    }
}

#[test]
fn person_with_several_devices_and_a_telephone_counts_once() {
    let session = session(course(), Status::Live, Vec::new());
    let identity = |user: &str, host: bool| JoinIdentity {
        user: Some(UserId::parse(user).unwrap()),
        email: Email::parse(&format!("{user}@example.test")).ok(),
        name: None,
        host,
        admitted: true,
        customer_key: Some(format!("key-{user}")),
        registrant: None,
    };
    let people = People::new(&session, &[], &[], &[identity("ada", false), identity("tara", true)]);
    let bound = |telephone: &str, participant: &str| {
        let person = json!({ "bind_participant_uuid": telephone, "participant_uuid": participant });
        let object = json!({ "id": "1", "uuid": "u", "participant": person });
        event("meeting.participant_bind", minute(3), object)
    };
    let events = [
        started("u", 0),
        // Ada joins in the browser, and with Zoom's app.
        joined_as("a", 1, json!({"customer_key": "key-ada"})),
        joined_as("a2", 2, json!({"email": "ada@example.test", "id": "zoom-ada"})),
        joined_as("a3", 2, json!({"id": "zoom-ada"})),
        joined_as("ada's telephone", 3, json!({})),
        bound("ada's telephone", "a"),
        // The trainer is recognized by the key from the join credentials.
        joined_as("host", 1, json!({"customer_key": "key-tara"})),
        joined_as("trainer's telephone", 3, json!({})),
        bound("trainer's telephone", "host"),
        joined_as("unknown telephone", 3, json!({})),
    ];
    let at = (minute(5), minute(5));
    assert_eq!(headcount(&session, &people, &events, at, minute(10)), 2);
}
