//! What is sent shows the class as it stands. So nobody is sent the same state of it twice, and nobody the end of what they
//! were never invited to; and never is a mail held back that somebody needed.

use jiff::SignedDuration;
use local::calls::Service;
use local::faults::{Fault, Kind};
use mail_parser::MessageParser;
use serde_json::{Value, json};

use crate::look::{invitees, path_of, with};
use crate::world::{World, class, course_class};

const STUDENT: &str = "student1@example.test";

/// The calendar entries that an address was sent, in order: the kind of the mail, and the sequence.
pub(crate) fn entries(world: &World, address: &str) -> Vec<(String, u32)> {
    let mails = world.stack.aws.mailbox().list().expect("the mailbox can be read").into_iter();
    let theirs = mails.filter(|mail| mail.to.iter().any(|to| to == address));
    let entries = theirs.filter_map(|mail| {
        let message = MessageParser::new().parse(&mail.raw).expect("a message");
        let mut texts = message.parts.iter().filter_map(|part| part.text_contents());
        let calendar = texts.rfind(|text| text.starts_with("BEGIN:VCALENDAR"))?;
        let sequence = calendar.lines().find_map(|line| line.strip_prefix("SEQUENCE:"));
        let sequence = sequence.expect("a sequence").parse().expect("a number");
        Some((mail.kind.expect("a kind"), sequence))
    });
    entries.collect()
}

fn named(all: &[(&str, u32)]) -> Vec<(String, u32)> {
    all.iter().map(|(kind, sequence)| ((*kind).to_owned(), *sequence)).collect()
}

async fn teaching() -> (World, String) {
    let world = World::start().await;
    let trainer = world.trainer().await;
    world.connect_zoom(&trainer, "app").await;
    (world, trainer)
}

impl World {
    /// The class is called so from then on.
    async fn rename(&self, trainer: &str, session: &Value, base: &Value, title: &str) {
        self.advance(SignedDuration::from_secs(5));
        let body = with(base.clone(), json!({"title": title}));
        self.edit(trainer, session, &body).await.expect(200);
    }

    /// The reasons for which mails about a class were dropped.
    async fn dropped(&self, trainer: &str, session: &Value) -> Vec<String> {
        let all = self.listed(trainer, &format!("{}/timeline?limit=100", path_of(session))).await;
        let reasons = all.iter().filter(|entry| entry["kind"] == "mail.dropped");
        reasons.map(|e| e["detail"]["reason"].as_str().expect("a reason").to_owned()).collect()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_edits_within_a_minute_everybody_is_sent_one_mail() {
    let (world, trainer) = teaching().await;
    let base = course_class(50);
    let session = world.create(&trainer, &base).await.expect(201);
    world.drain().await;
    for title in ["B", "C", "D", "E"] {
        world.rename(&trainer, &session, &base, title).await;
    }
    world.drain().await;
    assert_eq!(entries(&world, STUDENT), named(&[("scheduled", 0), ("updated", 4)]));
    world.advance(SignedDuration::from_secs(1));
    assert_eq!(world.dropped(&trainer, &session).await, ["superseded"; 15]);
    // The next edit is news again.
    world.rename(&trainer, &session, &base, "F").await;
    world.drain().await;
    assert_eq!(entries(&world, STUDENT).last(), named(&[("updated", 5)]).last());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_invitation_that_shows_the_edit_is_not_followed_by_it() {
    let (world, trainer) = teaching().await;
    let base = course_class(50);
    let session = world.create(&trainer, &base).await.expect(201);
    world.rename(&trainer, &session, &base, "B").await;
    world.drain().await;
    assert_eq!(entries(&world, STUDENT), named(&[("scheduled", 1)]));
    // An edit that is committed while the invitation waits for its turn is shown by it, and one after that is not.
    let session = world.create(&trainer, &base).await.expect(201);
    world.fault(Fault::new(Service::Ses, "SendEmail", Kind::Error).times(5));
    world.drain().await;
    world.rename(&trainer, &session, &base, "C").await;
    world.advance(SignedDuration::from_mins(1));
    world.drain().await;
    world.rename(&trainer, &session, &base, "D").await;
    world.drain().await;
    let expected = named(&[("scheduled", 1), ("scheduled", 1), ("updated", 2)]);
    assert_eq!(entries(&world, STUDENT), expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_list_of_invitees_holds_no_edit_back() {
    let (world, trainer) = teaching().await;
    let list = |count: usize, title: &str| {
        let list =
            json!({"audience_type": "invitees", "invitees": invitees(count), "title": title});
        with(class(50), list)
    };
    let session = world.create(&trainer, &list(2, "A")).await.expect(201);
    world.drain().await;
    // The title, and then only the list: who stays is told of the title all the same.
    for body in [list(2, "B"), list(3, "B"), list(1, "B"), list(2, "B")] {
        world.advance(SignedDuration::from_secs(5));
        world.edit(&trainer, &session, &body).await.expect(200);
    }
    world.drain().await;
    let shown = world.get(&trainer, &path_of(&session)).await.expect(200);
    let sequence = shown["ics_sequence"].as_u64().expect("a number");
    let kinds = |address: &str| {
        let all = entries(&world, address).into_iter();
        all.map(|(kind, sequence)| (kind, u64::from(sequence))).collect::<Vec<_>>()
    };
    let expected = [("scheduled".to_owned(), 0), ("updated".to_owned(), sequence)];
    assert_eq!(kinds(STUDENT), expected);
    // Taken off and put on again within the minute: one mail, which shows how it ended.
    assert_eq!(kinds("student2@example.test"), expected);
    assert!(kinds("student3@example.test").is_empty(), "on the list for moments");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_sent_again_on_purpose_is_sent() {
    let (world, trainer) = teaching().await;
    let base = course_class(50);
    let session = world.create(&trainer, &base).await.expect(201);
    world.drain().await;
    world.rename(&trainer, &session, &base, "B").await;
    let resend = format!("{}/resend-invite", path_of(&session));
    world.post(&trainer, &resend, json!({})).await.expect(202);
    world.drain().await;
    let expected = named(&[("scheduled", 0), ("updated", 1), ("resent", 1)]);
    assert_eq!(entries(&world, STUDENT), expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_was_never_invited_is_told_of_no_cancellation_and_who_was_is() {
    let (world, trainer) = teaching().await;
    let session = world.create(&trainer, &course_class(50)).await.expect(201);
    world.cancel(&trainer, &session).await.expect(200);
    let report = world.drain().await;
    assert_eq!((&report["queued"], &report["sent"]), (&json!(0), &json!(0)), "{report}");
    assert_eq!(world.listed(&world.student(1).await, "/v1/me/notifications").await.len(), 0);
    let shown = world.get(&trainer, &path_of(&session)).await.expect(200);
    assert_eq!(shown["mail"], Value::Null);

    // The service takes no mails: of five invitations none leaves, and neither does the cancellation.
    let session = world.create(&trainer, &course_class(50)).await.expect(201);
    let paused = Fault::new(Service::Ses, "SendEmail", Kind::Paused);
    world.fault(paused.times(9));
    world.drain().await;
    world.cancel(&trainer, &session).await.expect(200);
    world.stack.faults.clear();
    world.advance(SignedDuration::from_hours(13));
    world.drain().await;
    let trainer = world.trainer().await;
    assert_eq!(world.mailed().await, []);
    assert_eq!(world.counts(&trainer, &session).await, json!({"dropped": 10}));
    let dropped = world.dropped(&trainer, &session).await;
    assert_eq!(dropped.iter().filter(|reason| *reason == "never_invited").count(), 5);

    // One of whose invitation nobody knows whether it arrived is told.
    let session = world.create(&trainer, &course_class(50)).await.expect(201);
    world.fault(Fault::new(Service::Ses, "SendEmail", Kind::Error));
    world.drain().await;
    world.cancel(&trainer, &session).await.expect(200);
    for _ in 0..2 {
        world.advance(SignedDuration::from_mins(2));
        world.drain().await;
    }
    let mailed = world.mailed().await;
    let of = |kind: &str| mailed.iter().filter(|(sent, _)| sent == kind).count();
    assert_eq!((of("scheduled"), of("cancelled")), (4, 5), "{mailed:?}");
}
