//! How many were in the meeting at a time.

use serde_json::{Value, json};

use super::*;
use crate::domain::attendance::headcount;

fn came(connection: &str, at: i64, who: Value) -> ZoomEvent {
    passage_at("u", "joined", connection, "main", minute(at), who)
}

fn went(connection: &str, at: i64) -> ZoomEvent {
    passage_at("u", "left", connection, "main", minute(at), json!({}))
}

#[test]
fn people_are_counted_once_each_and_only_while_they_are_in() {
    let events = [
        started("u", 0),
        came("host", 0, json!({"id": "zoom-host"})),
        came("a", 1, json!({"customer_key": "ada"})),
        // Her second device.
        came("a2", 2, json!({"customer_key": "ada"})),
        came("b", 2, json!({"email": "bob@example.test"})),
        went("b", 10),
        came("c", 20, json!({})),
        came("d", 20, json!({})),
    ];
    let session = class(course(), Status::Live, Vec::new());
    let count =
        |from, to, now| headcount(&session, &events, (minute(from), minute(to)), minute(now));
    for (from, to, now, people) in
        [(0, 0, 30, 0), (5, 5, 30, 2), (15, 15, 30, 1), (5, 25, 30, 4), (30, 30, 30, 3)]
    {
        assert_eq!(count(from, to, now), people, "from {from} to {to}");
    }
}
