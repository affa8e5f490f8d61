//! Erasure of a person while mails to them wait: messages contain no address, and nobody has the address of an erased person.

use http::Method;
use jiff::SignedDuration;
use serde_json::{Value, json};

use super::erasure::{ENROLLMENT_PATH, ZELDA_PATH, items_with_personal_data, zelda_token};
use super::erasure_in_progress::{
    assert_nothing_is_left, enrollment, erase_during, invites_zelda, late, manual, zelda,
};
use crate::outbox_faults::{OUTBOX_DLQ, OUTBOX_QUEUE};
use crate::support::{invitees, patched, session_path};
use crate::urgency::fan_out;
use crate::world::{World, course_session_body, session_body};

const ZELDA: &str = "zelda@example.test";

/// A manual session, which needs no Zoom connection.
async fn create(world: &World, body: Value) -> Value {
    let link = json!({"provider": "manual", "join_url": "https://meet.example.test/a"});
    world.create(&world.trainer().await, &patched(body, link)).await.expect(201)
}

/// The kinds of the mails to Zelda.
async fn mails_to_zelda(world: &World) -> Vec<String> {
    let sent = world.sent_mails().await.into_iter();
    sent.filter(|(_, to)| to == ZELDA).map(|(kind, _)| kind).collect()
}

async fn assert_queues_have_no_addresses(world: &World) {
    for queue in [OUTBOX_QUEUE, OUTBOX_DLQ] {
        let messages = world.messages(queue).await;
        assert!(messages.iter().all(|message| !message.contains('@')), "{messages:?}");
        assert!(!messages.iter().any(|message| message.contains("Zwingli")), "{messages:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn waiting_cancellation_does_not_reach_an_erased_person() {
    let guest = json!({"email": ZELDA, "name": "Zelda Zwingli"});
    let list = json!([invitees(1)[0], guest]);
    let invites = json!({"audience_type": "invitees", "invitees": list});
    for body in [course_session_body(50), patched(session_body(50), invites)] {
        let world = World::start().await;
        let (trainer, service) = (world.trainer().await, world.service().await);
        if body["audience_type"] == "course" {
            world.put(&service, ENROLLMENT_PATH, enrollment()).await.expect(200);
        }
        let session = create(&world, body).await;
        world.run_outbox_sweep().await;
        assert_eq!(mails_to_zelda(&world).await, ["scheduled"]);
        world.advance(SignedDuration::from_secs(1));
        world.cancel(&trainer, &session).await.expect(200);
        fan_out(&world).await;
        assert_queues_have_no_addresses(&world).await;
        world.put(&service, ZELDA_PATH, zelda()).await.expect(200);
        world.advance(SignedDuration::from_millis(5));
        world.delete(&service, ZELDA_PATH).await.expect(204);
        assert_eq!(items_with_personal_data(&world).await, Vec::<Value>::new());
        let report = world.run_outbox_sweep().await;
        assert_eq!(report["dropped"], 1, "{report}");
        assert_eq!(mails_to_zelda(&world).await, ["scheduled"]);
        let other = ("cancelled".to_owned(), "student1@example.test".to_owned());
        assert!(world.sent_mails().await.contains(&other), "the others are notified");
        world.advance(SignedDuration::from_secs(1));
        let path = format!("{}/timeline", session_path(&session));
        let timeline = world.list_items(&trainer, &path).await;
        let reasons = timeline.iter().filter_map(|entry| entry["detail"]["reason"].as_str());
        assert_eq!(reasons.collect::<Vec<_>>(), ["no_address"]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn waiting_removal_reaches_a_former_student_unless_they_were_erased() {
    for is_erased in [false, true] {
        let world = World::start().await;
        let service = world.service().await;
        world.put(&service, ENROLLMENT_PATH, enrollment()).await.expect(200);
        create(&world, course_session_body(50)).await;
        world.run_outbox_sweep().await;
        world.advance(SignedDuration::from_secs(1));
        world.call(Method::DELETE, ENROLLMENT_PATH, &service, None, &[]).await.expect(204);
        world.advance(SignedDuration::from_mins(1));
        fan_out(&world).await;
        assert_queues_have_no_addresses(&world).await;
        if is_erased {
            world.put(&service, ZELDA_PATH, zelda()).await.expect(200);
            world.advance(SignedDuration::from_millis(5));
            world.delete(&service, ZELDA_PATH).await.expect(204);
            assert_eq!(items_with_personal_data(&world).await, Vec::<Value>::new());
        }
        world.run_outbox_sweep().await;
        let expected: &[&str] =
            if is_erased { &["scheduled"] } else { &["scheduled", "uninvited"] };
        assert_eq!(mails_to_zelda(&world).await, expected);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn enrollment_in_progress_sends_no_mail_after_the_erasure() {
    let world = World::start().await;
    let service = world.service().await;
    create(&world, course_session_body(50)).await;
    world.run_outbox_sweep().await;
    world.put(&service, ZELDA_PATH, zelda()).await.expect(200);
    let put = world.put(&service, ENROLLMENT_PATH, enrollment());
    erase_during(&world, ZELDA_PATH, late("BatchGetItem", "directory"), put).await.expect(200);
    let token = zelda_token(&world).await;
    assert_eq!(world.list_items(&token, "/v1/me/sessions").await.len(), 1, "enrolled late");
    world.advance(SignedDuration::from_mins(1));
    world.run_outbox_sweep().await;
    // Another session is announced to the students whom the index shows.
    create(&world, course_session_body(60)).await;
    world.run_outbox_sweep().await;
    assert_eq!(mails_to_zelda(&world).await, Vec::<String>::new());
    assert_nothing_is_left(&world).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn invitation_in_progress_is_not_sent_after_the_erasure() {
    let world = World::start().await;
    let (trainer, service) = (world.trainer().await, world.service().await);
    world.put(&service, ZELDA_PATH, zelda()).await.expect(200);
    let body = invites_zelda(manual(session_body(40)));
    let create = world.create(&trainer, &body);
    let slow = late("BatchGetItem", "session-save");
    let session = erase_during(&world, ZELDA_PATH, slow, create).await.expect(201);
    let report = world.run_outbox_sweep().await;
    assert_eq!(report["dropped"], 1, "{report}");
    assert_eq!(mails_to_zelda(&world).await, Vec::<String>::new());
    // A later invitation is sent.
    world.advance(SignedDuration::from_secs(1));
    world.edit(&trainer, &session, &invites_zelda(manual(session_body(41)))).await.expect(200);
    world.run_outbox_sweep().await;
    assert_eq!(mails_to_zelda(&world).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pending_events_do_not_name_an_erased_person() {
    let world = World::start().await;
    let (trainer, service) = (world.trainer().await, world.service().await);
    let session = create(&world, course_session_body(50)).await;
    world.run_outbox_sweep().await;
    let check = "/v1/directory/courses/course-2/enrollments/zelda";
    for path in [ENROLLMENT_PATH, check] {
        world.put(&service, path, enrollment()).await.expect(200);
    }
    let named = json!({"recipients": ["zelda", "student-1"]});
    world.resend(&trainer, &session, named).await.expect(202);
    world.advance(SignedDuration::from_millis(5));
    world.delete(&service, ZELDA_PATH).await.expect(204);
    assert_eq!(items_with_personal_data(&world).await, Vec::<Value>::new());
    world.advance(SignedDuration::from_mins(2));
    world.run_outbox_sweep().await;
    assert_eq!(mails_to_zelda(&world).await, Vec::<String>::new());
    let resent = ("resent".to_owned(), "student1@example.test".to_owned());
    assert!(world.sent_mails().await.contains(&resent));
    assert_eq!(world.due_work("OUTBOX").await, [] as [Value; 0]);
}
