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
    let count =
        |from, to, now| headcount(&session, &events, (minute(from), minute(to)), minute(now));
    for (from, to, now, people) in
        [(0, 0, 30, 0), (5, 5, 30, 2), (15, 15, 30, 1), (5, 25, 30, 4), (30, 30, 30, 3)]
    {
        assert_eq!(count(from, to, now), people, "from {from} to {to}");
    }
}
