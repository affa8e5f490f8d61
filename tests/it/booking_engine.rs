//! A booking engine's three calls: confirm, reschedule, cancel.

use jiff::SignedDuration;
use mail_parser::MessageParser;
use serde_json::{Value, json};

use crate::support::{patched, session_path};
use crate::world::{World, session_body};

/// The method, UID and sequence of the calendar entries that were mailed to an address, in order.
fn calendar_entries(world: &World, address: &str) -> Vec<(String, String, u32)> {
    let mails = world.stack.aws.mailbox().list().expect("the mailbox can be read").into_iter();
    let addressed = mails.filter(|mail| mail.to.iter().any(|to| to == address));
    let entries = addressed.filter_map(|mail| {
        let message = MessageParser::new().parse(&mail.raw).expect("a message");
        let mut texts = message.parts.iter().filter_map(|part| part.text_contents());
        let entry = texts.rfind(|text| text.starts_with("BEGIN:VCALENDAR"))?.replace("\r\n ", "");
        let value = |name: &str| {
            let line = entry.lines().find_map(|line| line.strip_prefix(name));
            line.expect("a property").to_owned()
        };
        Some((value("METHOD:"), value("UID:"), value("SEQUENCE:").parse().expect("a number")))
    });
    entries.collect()
}

/// The bodies of the creates and changes that Zoom received, and the number of deleted meetings.
fn at_zoom(world: &World) -> (usize, usize, usize) {
    let meetings = world.stack.zoom.meetings();
    let requests = |meeting: &Value| meeting["requests"].as_array().map_or(0, Vec::len);
    let deleted = meetings.iter().filter(|meeting| meeting["status"] == "deleted").count();
    (meetings.len(), meetings.iter().map(|meeting| requests(meeting) - 1).sum(), deleted)
}

/// Sends the mails that are due, also those that the first run did not see.
async fn deliver(world: &World) {
    for _ in 0..2 {
        world.run_outbox_sweep().await;
        world.advance(SignedDuration::from_mins(1));
    }
}

/// Confirms, reschedules and cancels a booking. Each call is sent twice.
async fn play(world: &World, engine: &str) {
    let body = patched(
        session_body(50),
        json!({"audience_type": "invitees", "trainer_id": "trainer-1",
            "invitees": [{"user_id": "student-9"}, {"email": "gil@example.test", "name": "Gil"}]}),
    );
    let first = world.create_with_idempotency_key(engine, "booking-1", &body).await.expect(201);
    let again = world.create_with_idempotency_key(engine, "booking-1", &body).await.expect(201);
    assert_eq!(first["id"], again["id"]);
    assert_eq!((&first["source"], at_zoom(world)), (&json!("service"), (1, 0, 0)));
    deliver(world).await;
    let mut moved = patched(body, json!({"starts_at": "2026-11-24T15:00:00Z"}));
    moved.as_object_mut().expect("an object").remove("trainer_id");
    for _ in 0..2 {
        let session = world.edit(engine, &first, &moved).await.expect(200);
        assert_eq!((&session["version"], at_zoom(world)), (&json!(2), (1, 1, 0)));
    }
    deliver(world).await;
    for _ in 0..2 {
        let cancel = format!("{}/cancel", session_path(&first));
        let session = world.post(engine, &cancel, json!({"reason": "No payment."})).await;
        assert_eq!(session.expect(200)["status"], "cancelled");
        assert_eq!(at_zoom(world), (1, 1, 1));
    }
    deliver(world).await;
    for operation in ["create_meeting", "update_meeting"] {
        assert_eq!(world.zoom_calls("session-save", operation), 1, "{operation}");
    }
    assert_eq!(world.zoom_calls("session-cancel", "delete_meeting"), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_calls_make_change_and_delete_one_meeting_and_one_calendar_entry() {
    let world = World::start().await;
    let trainer = world.trainer().await;
    world.connect_zoom(&trainer, "app").await;
    let user = json!({"email": "student9@example.test", "name": "Student Nine", "role": "student"});
    world.put_user("student-9", user).await;
    play(&world, &world.service().await).await;
    for address in ["student9@example.test", "gil@example.test"] {
        let entries = calendar_entries(&world, address);
        let methods: Vec<_> = entries.iter().map(|(method, ..)| method.as_str()).collect();
        assert_eq!(methods, ["REQUEST", "REQUEST", "CANCEL"], "{address}");
        assert!(entries.iter().all(|(_, uid, _)| *uid == entries[0].1), "{entries:?}");
        let sequences: Vec<_> = entries.iter().map(|(.., sequence)| *sequence).collect();
        assert!(sequences.is_sorted_by(|a, b| a < b), "{sequences:?}");
    }
}
