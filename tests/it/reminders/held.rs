//! Held reminders wait for their trainer and delay nothing else.

use aws_sdk_dynamodb::types::{AttributeValue, PutRequest, WriteRequest};
use jiff::SignedDuration;
use serde_json::json;

use super::{manual_session, reminders, world_with_session};
use crate::functions::MAIN_TABLE;
use crate::support::patched;
use crate::world::World;

/// More than one run takes.
const HELD: usize = 2_100;
/// DynamoDB: items per batch write.
const BATCH: usize = 25;

/// Stores copies of the due reminder, each a millisecond before the last.
async fn copy_held_reminder(world: &World, copies: usize) {
    let dynamodb = world.dynamodb();
    let text = |value: &str| AttributeValue::S(value.to_owned());
    let due = dynamodb
        .query()
        .table_name(MAIN_TABLE)
        .key_condition_expression("pk = :pk AND sk < :now")
        .expression_attribute_values(":pk", text("DUE#WORK"))
        .expression_attribute_values(":now", AttributeValue::S(format!("{:.3}~", world.now())));
    let mut due = due.send().await.expect("a page").items.expect("items");
    due.retain(|item| item["work"] == text("reminder"));
    let [held] = &due[..] else { panic!("one held reminder: {due:?}") };
    assert_eq!(held["held"], AttributeValue::Bool(true));
    let copies: Vec<_> = (0..copies)
        .map(|n| {
            let millis = i64::try_from(n).expect("a few");
            let at = world.now() - SignedDuration::from_millis(millis + 1);
            let mut item = held.clone();
            item.insert("sk".to_owned(), AttributeValue::S(format!("{at:.3}#copy-{n}")));
            let put = PutRequest::builder().set_item(Some(item)).build().expect("an item");
            WriteRequest::builder().put_request(put).build()
        })
        .collect();
    for batch in copies.chunks(BATCH) {
        let written = dynamodb.batch_write_item().request_items(MAIN_TABLE, batch.to_vec());
        written.send().await.expect("written");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn held_reminders_do_not_delay_others() {
    let (world, session) = world_with_session().await;
    let trainer = world.trainer().await;
    let later = json!({"starts_at": session.at(30)});
    world.create(&trainer, &patched(manual_session(26), later)).await.expect(201);
    world.delete(&trainer, "/v1/zoom/connection").await.expect(204);
    let report = world.sweep_at(session.starts_at, -24 * 60).await;
    assert_eq!((&report["due"], &report["postponed"]), (&json!(1), &json!(1)), "{report}");
    copy_held_reminder(&world, HELD).await;

    let report = world.sweep_at(session.starts_at, -24 * 60 + 30).await;
    assert_eq!(report["reminded"], 1, "the other session's reminder: {report}");
    assert_eq!(report["postponed"], HELD + 1, "{report}");
    let sent = |pending: Vec<(String, String)>| {
        pending.into_iter().filter(|(event, _)| event == "reminder").collect::<Vec<_>>()
    };
    assert_eq!(sent(world.pending_notifications().await), reminders(&["day_before"]));

    let trainer = world.trainer().await;
    world.connect_zoom(&trainer, "app").await;
    assert_eq!(world.sweep().await["reminded"], 1, "the held reminder, whose copies are gone");
    let both = reminders(&["day_before", "day_before"]);
    assert_eq!(sent(world.pending_notifications().await), both);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn students_are_notified_of_a_late_start_until_the_window_closes() {
    // Minutes from the planned start to the actual one. The session of an hour closes after 150.
    for (started, notified) in [(29, 1), (31, 1), (149, 1), (151, 0)] {
        let (world, session) = world_with_session().await;
        let trainer = world.trainer().await;
        world.delete(&trainer, "/v1/zoom/connection").await.expect(204);
        let live = async || {
            let pending = world.pending_notifications().await;
            pending.iter().filter(|(_, reminder)| reminder == "start").count()
        };
        for minute in [-60, 0, 5, 30, 35, 100, 145, 150] {
            if minute < started {
                world.sweep_at(session.starts_at, minute).await;
                assert_eq!(live().await, 0, "nobody can start the session, minute {minute}");
            }
        }
        // The host starts the meeting in Zoom's own client.
        world.advance_to(session.at(started));
        session.post_event(&world, &session.started("u", started)).await;
        assert_eq!(live().await, notified, "started at {started}");
        world.sweep_at(session.starts_at, started + 5).await;
        assert_eq!(live().await, notified, "after a start at {started}");
    }
}
