//! Votes of an anonymous poll and of an erased person have no identity.

use serde_json::{Value, json};

use super::{PollSetup, question, tally};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn anonymous_poll_does_not_reveal_votes_of_a_person() {
    let setup = PollSetup::live().await;
    let world = &setup.world;
    let mut body = question();
    body["anonymous"] = json!(true);
    let poll = setup.launch(body).await.expect(201);
    assert_eq!(poll["anonymous"], true);
    let (ada, bob) = (world.student(1).await, world.student(2).await);
    setup.vote(&ada, &poll, &[0]).await.expect(200);
    setup.vote(&bob, &poll, &[1]).await.expect(200);
    let changed = setup.vote(&ada, &poll, &[1]).await.expect(200);
    assert_eq!(tally(&changed), (vec![0, 2], 2), "a vote is still replaced");
    assert_eq!(changed["my_vote"].as_array().map(Vec::len), Some(1), "a voter sees their own vote");

    let closed = setup.close(&poll).await.expect(200);
    let admin = world.token(json!({"sub": "a", "role": "admin"})).await;
    let timeline = format!("{}/timeline", setup.session.path);
    let mut texts = vec![
        closed.to_string(),
        world.get(&setup.trainer, &setup.polls()).await.text,
        world.get(&setup.trainer, &format!("{}?format=csv", setup.polls())).await.text,
        world.get(&setup.trainer, &timeline).await.text,
        world.get(&admin, &timeline).await.text,
    ];
    let poll_items = world.items("POLL#").await;
    assert!(!poll_items.is_empty());
    texts.extend(poll_items.iter().map(Value::to_string));
    for text in texts {
        assert!(!text.contains("student-"), "{text}");
    }
    assert!(closed.get("voters").is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn erased_voter_stays_counted_without_identity() {
    let setup = PollSetup::live().await;
    let world = &setup.world;
    let service = world.service().await;
    let (ada, bob, eve) = (world.student(1).await, world.student(2).await, world.student(3).await);
    let closed = setup.launch_question().await;
    for (token, choice) in [(&ada, 0), (&bob, 0), (&eve, 1)] {
        setup.vote(token, &closed, &[choice]).await.expect(200);
    }
    setup.close(&closed).await.expect(200);
    // The list is sorted by time.
    world.advance(jiff::SignedDuration::from_secs(1));
    let mut body = question();
    body["anonymous"] = json!(true);
    let secret = setup.launch(body).await.expect(201);
    setup.vote(&ada, &secret, &[0]).await.expect(200);
    setup.close(&secret).await.expect(200);
    world.advance(jiff::SignedDuration::from_secs(1));
    let open = setup.launch_question().await;
    for token in [&ada, &bob, &eve] {
        setup.vote(token, &open, &[1]).await.expect(200);
    }

    // One is still enrolled, and the other was removed from the course before.
    let enrollment_path = "/v1/directory/courses/course-1/enrollments/student-2";
    world.delete(&service, enrollment_path).await.expect(204);
    for user in ["student-1", "student-2"] {
        world.delete(&service, &format!("/v1/directory/users/{user}")).await.expect(204);
        world.delete(&service, &format!("/v1/directory/users/{user}")).await.expect(204);
    }
    for item in world.items("POLL#").await {
        let text = item.to_string();
        assert!(!text.contains("student-1") && !text.contains("student-2"), "{text}");
    }
    assert_eq!(world.items("USER#student-2").await, Vec::<Value>::new(), "no item is left");
    let polls = world.get(&setup.trainer, &setup.polls()).await.expect(200)["items"].clone();
    for (poll, votes, responses, voters) in [
        (&polls[0], vec![0, 3], 3, 1),
        (&polls[1], vec![1, 0], 1, 0),
        (&polls[2], vec![2, 1], 3, 1),
    ] {
        assert_eq!(tally(poll), (votes, responses), "{poll}");
        let named = poll["voters"].as_array().map_or(0, Vec::len);
        assert_eq!(named, voters, "{poll}");
    }
    assert_eq!(polls[0]["voters"][0]["user_id"], "student-3");
    setup.vote(&eve, &open, &[0]).await.expect(200);
    let end = setup.close(&open).await.expect(200);
    assert_eq!(tally(&end), (vec![1, 2], 3));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn erased_guest_is_found_by_the_invited_address() {
    let setup = PollSetup::scheduled().await;
    let world = &setup.world;
    let service = world.service().await;
    let mut body = crate::world::session_body(1);
    body["audience_type"] = json!("invitees");
    body["invitees"] = json!([{"email": "guest@example.test"}]);
    let session =
        crate::zoom_session::ScheduledSession::schedule(world, &setup.trainer, body).await;
    world.advance(jiff::SignedDuration::from_hours(1));
    session.post_event(world, &session.started("u2", 0)).await;
    let guest = PollSetup { session, trainer: setup.trainer.clone(), world: setup.world };
    let poll = guest.launch_question().await;
    let person = json!({"sub": "guest-7", "role": "student", "email": "guest@example.test"});
    let token = guest.world.token(person).await;
    guest.vote(&token, &poll, &[0]).await.expect(200);
    let user = json!({"email": "guest@example.test", "name": "Gus", "role": "student"});
    guest.world.put(&service, "/v1/directory/users/guest-7", user).await.expect(200);
    guest.world.delete(&service, "/v1/directory/users/guest-7").await.expect(204);
    for item in guest.world.items("POLL#").await {
        assert!(!item.to_string().contains("guest-7"), "{item}");
    }
    assert_eq!(tally(&guest.newest_poll(&guest.trainer).await), (vec![1, 0], 1));
}
