//! The history of a session's mails: a run reads the states of its recipients, however many changes were sent before.

use std::collections::HashMap;

use jiff::SignedDuration;
use local::calls::Service;
use serde_json::{Value, json};
use shared::domain::id::SessionId;
use shared::domain::mailing::{
    AddressDigest, DeliveryRecord, DeliveryStatus, EntryDigest, Mail, MailKind, MailSubject,
    MessageKey, RecipientRef, RecipientState, SentEntry,
};
use shared::domain::text::Email;
use shared::store::mailing::{ClaimOutcome, DeliveryUpdate, record_queued};

use crate::functions::{DirectFunctions, store};
use crate::outbox_faults::RUN_TIME;
use crate::support::patched;
use crate::world::{World, course_session_body};

const STUDENTS: usize = 1_000;
const CHANGES: u64 = 6;

fn mail(session: &MailSubject, student: usize, version: u64) -> Mail {
    let to = Email::parse(&format!("many{student}@example.test")).expect("an address");
    let kind = if version == 1 { MailKind::Scheduled } else { MailKind::Updated };
    Mail {
        message_key: MessageKey::new(&format!("change-{version}"), kind, &to),
        kind,
        subject: session.clone(),
        to: AddressDigest::new(&to),
        recipient: RecipientRef::new(session, &to),
        user: None,
        other_users: Vec::new(),
        starts_at: None,
        reason: None,
        version: Some(version),
        link_generation: None,
        to_new_student: false,
        address_changed: false,
        redrives: 0,
    }
}

/// Stores the delivery records of one change: queued a hundred at a time, sent fifty at a time. Applies them to `states`.
async fn record_change(
    world: &World,
    subject: &MailSubject,
    version: u64,
    states: &mut HashMap<RecipientRef, RecipientState>,
) {
    let store = store(world);
    let mails: Vec<_> = (0..STUDENTS).map(|student| mail(subject, student, version)).collect();
    for chunk in mails.chunks(100) {
        store.commit(record_queued(subject, chunk, world.now())).await.expect("recorded");
    }
    let content: EntryDigest =
        serde_json::from_value(json!(format!("{version:016x}"))).expect("a digest");
    for chunk in mails.chunks(50) {
        let updates: Vec<_> = chunk
            .iter()
            .map(|mail| DeliveryUpdate {
                record: DeliveryRecord {
                    sent_version: Some(version),
                    entry: Some(SentEntry {
                        sequence: u32::try_from(version).expect("a number"),
                        content: Some(content.clone()),
                    }),
                    ..DeliveryRecord::new(mail, DeliveryStatus::Sent, Some("0100018".to_owned()))
                },
                previous_status: DeliveryStatus::Queued,
                claim_outcome: ClaimOutcome::Unchanged,
            })
            .collect();
        store.record_deliveries(subject, &updates, world.now()).await.expect("recorded");
        for DeliveryUpdate { record, .. } in updates {
            states.entry(record.recipient.clone()).or_default().apply(&record.as_past_delivery());
        }
    }
}

/// Changes the session, sends the five mails, and returns the sweep's requests, read and write units.
async fn send_change(world: &World, session: &Value, title: &str) -> (u64, f64, f64) {
    world.advance(SignedDuration::from_mins(10));
    let trainer = world.trainer().await;
    let body = patched(course_session_body(50), json!({"title": title}));
    world.edit(&trainer, session, &body).await.expect(200);
    world.stack.usage.reset();
    let direct = DirectFunctions::new(world, &[]);
    let report = direct.run_outbox_sweep(RUN_TIME).await.expect("the run succeeds");
    assert_eq!(report["sent"], 5, "{report}");
    let table = world.stack.usage.service_totals("outbox-sweep", Service::Dynamodb);
    println!("{title:<40} {:>4} {:>7} {:>6}", table.calls, table.read_units, table.write_units);
    (table.calls, table.read_units, table.write_units)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn earlier_changes_do_not_raise_the_cost_of_a_mail() {
    let world = World::start().await;
    let trainer = world.trainer().await;
    world.connect_zoom(&trainer, "app").await;
    let session = world.create(&trainer, &course_session_body(50)).await.expect(201);
    let id = SessionId::parse(session["id"].as_str().expect("an id")).expect("an id");
    let direct = DirectFunctions::new(&world, &[]);
    direct.run_outbox_sweep(RUN_TIME).await.expect("the run succeeds");
    println!("{:<40} {:>4} {:>7} {:>6}", "five mails after", "", "read", "write");
    send_change(&world, &session, "1 change of 5 students").await;

    let subject = MailSubject::Session(id.clone());
    let (mut expected, mut costs) = (HashMap::new(), Vec::new());
    for version in 1..=CHANGES {
        world.advance(SignedDuration::from_hours(1));
        record_change(&world, &subject, version, &mut expected).await;
        costs.push(send_change(&world, &session, &format!("{version} changes of 1,000")).await);
    }
    // From the third change on, a run deletes an outdated snapshot.
    let (third, last) = (costs[2], costs[costs.len() - 1]);
    assert!(last.1 <= third.1 * 1.2 && last.2 <= third.2 * 1.2, "{third:?} {last:?}");
    let next = send_change(&world, &session, "no other change").await;
    assert!(next.0 <= 28 && next.1 <= 80.0 && next.2 <= 26.0, "{next:?}");

    // The snapshot and the records after it give the same states as all records.
    let states = store(&world).recipient_states(&id).await.expect("read");
    assert_eq!(states.len(), STUDENTS + 5);
    for (recipient, expected) in &expected {
        assert_eq!(states.get(recipient), Some(expected));
    }
    let items = world.items("MAILING#").await;
    let parts = items
        .iter()
        .filter(|item| item["sk"].as_str().is_some_and(|key| key.starts_with("RECIPIENTS#")));
    assert_eq!(parts.count(), 2, "the last two snapshots have a part each");
    let trainer = world.trainer().await;
    let timeline = world.get(&trainer, &format!("/v1/sessions/{id}/timeline")).await.expect(200);
    assert_eq!(
        timeline["items"].as_array().map(Vec::len),
        Some(50),
        "the timeline has all records"
    );
}
