//! A mail shows the current state of the session. A recipient does not get the same state twice or a cancellation
//! without an invitation, but every mail that is still relevant is sent.

use jiff::SignedDuration;
use local::calls::Service;
use local::faults::{Fault, FaultKind};
use mail_parser::MessageParser;
use serde_json::{Value, json};

use crate::support::{invitees, patched, session_path};
use crate::world::{World, course_session_body, session_body};

const STUDENT: &str = "student1@example.test";

/// Returns the mail kind and the text of the calendar entries that were sent to an address, in order.
pub(crate) fn mailed_calendars(world: &World, address: &str) -> Vec<(String, String)> {
    let mails = world.stack.aws.mailbox().list().expect("the mailbox can be read").into_iter();
    let addressed = mails.filter(|mail| mail.to.iter().any(|to| to == address));
    let sent = addressed.filter_map(|mail| {
        let message = MessageParser::new().parse(&mail.raw).expect("a message");
        let mut texts = message.parts.iter().filter_map(|part| part.text_contents());
        let calendar = texts.rfind(|text| text.starts_with("BEGIN:VCALENDAR"))?;
        Some((mail.kind.expect("a kind"), calendar.to_owned()))
    });
    sent.collect()
}

/// Returns the mail kind and sequence of the calendar entries that were sent to an address, in order.
pub(crate) fn calendar_entries(world: &World, address: &str) -> Vec<(String, u32)> {
    let sequence = |calendar: &str| {
        let sequence = calendar.lines().find_map(|line| line.strip_prefix("SEQUENCE:"));
        sequence.expect("a sequence").parse().expect("a number")
    };
    let calendars = mailed_calendars(world, address).into_iter();
    calendars.map(|(kind, calendar)| (kind, sequence(&calendar))).collect()
}

fn expected_entries(all: &[(&str, u32)]) -> Vec<(String, u32)> {
    all.iter().map(|(kind, sequence)| ((*kind).to_owned(), *sequence)).collect()
}

async fn connected_trainer() -> (World, String) {
    let world = World::start().await;
    let trainer = world.trainer().await;
    world.connect_zoom(&trainer, "app").await;
    (world, trainer)
}

impl World {
    /// Changes the session's title five seconds later.
    async fn edit_title(&self, trainer: &str, session: &Value, base: &Value, title: &str) {
        self.advance(SignedDuration::from_secs(5));
        let body = patched(base.clone(), json!({"title": title}));
        self.edit(trainer, session, &body).await.expect(200);
    }

    /// Returns the skip reasons of the session's dropped mails.
    async fn dropped_mails(&self, trainer: &str, session: &Value) -> Vec<String> {
        let all = self
            .list_items(trainer, &format!("{}/timeline?limit=100", session_path(session)))
            .await;
        let reasons = all.iter().filter(|entry| entry["kind"] == "mail.dropped");
        reasons.map(|e| e["detail"]["reason"].as_str().expect("a reason").to_owned()).collect()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn edits_within_a_minute_send_one_mail_per_recipient() {
    let (world, trainer) = connected_trainer().await;
    let base = course_session_body(50);
    let session = world.create(&trainer, &base).await.expect(201);
    world.run_outbox_sweep().await;
    for title in ["B", "C", "D", "E"] {
        world.edit_title(&trainer, &session, &base, title).await;
    }
    world.run_outbox_sweep().await;
    assert_eq!(
        calendar_entries(&world, STUDENT),
        expected_entries(&[("scheduled", 0), ("updated", 4)])
    );
    world.advance(SignedDuration::from_secs(1));
    assert_eq!(world.dropped_mails(&trainer, &session).await, ["superseded"; 15]);
    // A later edit is sent.
    world.edit_title(&trainer, &session, &base, "F").await;
    world.run_outbox_sweep().await;
    assert_eq!(
        calendar_entries(&world, STUDENT).last(),
        expected_entries(&[("updated", 5)]).last()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn invitation_that_includes_edit_supersedes_update_mail() {
    let (world, trainer) = connected_trainer().await;
    let base = course_session_body(50);
    let session = world.create(&trainer, &base).await.expect(201);
    world.edit_title(&trainer, &session, &base, "B").await;
    world.run_outbox_sweep().await;
    assert_eq!(calendar_entries(&world, STUDENT), expected_entries(&[("scheduled", 1)]));
    // An invitation that waits for a retry includes edits that are committed before it is sent, but not later ones.
    let session = world.create(&trainer, &base).await.expect(201);
    world.inject_fault(Fault::new(Service::Ses, "SendEmail", FaultKind::Error).times(5));
    world.run_outbox_sweep().await;
    world.edit_title(&trainer, &session, &base, "C").await;
    world.advance(SignedDuration::from_mins(1));
    world.run_outbox_sweep().await;
    world.edit_title(&trainer, &session, &base, "D").await;
    world.run_outbox_sweep().await;
    let expected = expected_entries(&[("scheduled", 1), ("scheduled", 1), ("updated", 2)]);
    assert_eq!(calendar_entries(&world, STUDENT), expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn invitee_list_change_does_not_suppress_update_mail() {
    let (world, trainer) = connected_trainer().await;
    let list = |count: usize, title: &str| {
        let list =
            json!({"audience_type": "invitees", "invitees": invitees(count), "title": title});
        patched(session_body(50), list)
    };
    let session = world.create(&trainer, &list(2, "A")).await.expect(201);
    world.run_outbox_sweep().await;
    // The first edit changes the title and the others only the list. The remaining invitees are notified of the title.
    for body in [list(2, "B"), list(3, "B"), list(1, "B"), list(2, "B")] {
        world.advance(SignedDuration::from_secs(5));
        world.edit(&trainer, &session, &body).await.expect(200);
    }
    world.run_outbox_sweep().await;
    let shown = world.get(&trainer, &session_path(&session)).await.expect(200);
    let sequence = shown["ics_sequence"].as_u64().expect("a number");
    let kinds = |address: &str| {
        let all = calendar_entries(&world, address).into_iter();
        all.map(|(kind, sequence)| (kind, u64::from(sequence))).collect::<Vec<_>>()
    };
    let expected = [("scheduled".to_owned(), 0), ("updated".to_owned(), sequence)];
    assert_eq!(kinds(STUDENT), expected);
    // An invitee who was removed and added again within a minute gets one mail with the final state.
    assert_eq!(kinds("student2@example.test"), expected);
    assert!(
        kinds("student3@example.test").is_empty(),
        "an invitee who was removed at once should get no mail"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn resent_invitation_is_never_superseded() {
    let (world, trainer) = connected_trainer().await;
    let base = course_session_body(50);
    let session = world.create(&trainer, &base).await.expect(201);
    world.run_outbox_sweep().await;
    world.edit_title(&trainer, &session, &base, "B").await;
    let resend = format!("{}/resend-invite", session_path(&session));
    world.post(&trainer, &resend, json!({})).await.expect(202);
    world.run_outbox_sweep().await;
    let expected = expected_entries(&[("scheduled", 0), ("updated", 1), ("resent", 1)]);
    assert_eq!(calendar_entries(&world, STUDENT), expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cancellation_is_sent_only_to_invited_recipients() {
    let (world, trainer) = connected_trainer().await;
    let session = world.create(&trainer, &course_session_body(50)).await.expect(201);
    world.cancel(&trainer, &session).await.expect(200);
    let report = world.run_outbox_sweep().await;
    assert_eq!((&report["queued"], &report["sent"]), (&json!(0), &json!(0)), "{report}");
    assert_eq!(world.list_items(&world.student(1).await, "/v1/me/notifications").await.len(), 0);
    let shown = world.get(&trainer, &session_path(&session)).await.expect(200);
    assert_eq!(shown["mail"], Value::Null);

    // The mail service is paused. Neither the five invitations nor the cancellations are sent.
    let session = world.create(&trainer, &course_session_body(50)).await.expect(201);
    let paused = Fault::new(Service::Ses, "SendEmail", FaultKind::Paused);
    world.inject_fault(paused.times(9));
    world.run_outbox_sweep().await;
    world.cancel(&trainer, &session).await.expect(200);
    world.stack.faults.clear();
    world.advance(SignedDuration::from_hours(13));
    world.run_outbox_sweep().await;
    let trainer = world.trainer().await;
    assert_eq!(world.sent_mails().await, []);
    assert_eq!(world.mail_counts(&trainer, &session).await, json!({"dropped": 10}));
    let dropped = world.dropped_mails(&trainer, &session).await;
    assert_eq!(dropped.iter().filter(|reason| *reason == "never_invited").count(), 5);

    // A recipient whose invitation may have been delivered gets the cancellation.
    let session = world.create(&trainer, &course_session_body(50)).await.expect(201);
    world.inject_fault(Fault::new(Service::Ses, "SendEmail", FaultKind::Error));
    world.run_outbox_sweep().await;
    world.cancel(&trainer, &session).await.expect(200);
    for _ in 0..2 {
        world.advance(SignedDuration::from_mins(2));
        world.run_outbox_sweep().await;
    }
    let mailed = world.sent_mails().await;
    let count = |kind: &str| mailed.iter().filter(|(sent, _)| sent == kind).count();
    assert_eq!((count("scheduled"), count("cancelled")), (4, 5), "{mailed:?}");
}
