//! Whose a vote is: nobody's in an anonymous poll, and nobody's any more once the person is erased.

use serde_json::{Value, json};

use super::{Class, question, tally};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_learns_who_chose_what_in_an_anonymous_poll() {
    let class = Class::live().await;
    let world = &class.world;
    let mut body = question();
    body["anonymous"] = json!(true);
    let poll = class.launch(body).await.expect(201);
    assert_eq!(poll["anonymous"], true);
    let (ada, bob) = (world.student(1).await, world.student(2).await);
    class.vote(&ada, &poll, &[0]).await.expect(200);
    class.vote(&bob, &poll, &[1]).await.expect(200);
    let changed = class.vote(&ada, &poll, &[1]).await.expect(200);
    assert_eq!(tally(&changed), (vec![0, 2], 2), "a vote is replaced all the same");
    assert_eq!(changed["my_vote"].as_array().map(Vec::len), Some(1), "and one's own is one's own");

    let closed = class.close(&poll).await.expect(200);
    let admin = world.token(json!({"sub": "a", "role": "admin"})).await;
    let timeline = format!("{}/timeline", class.lesson.path);
    let mut told = vec![
        closed.to_string(),
        world.get(&class.trainer, &class.polls()).await.text,
        world.get(&class.trainer, &format!("{}?format=csv", class.polls())).await.text,
        world.get(&class.trainer, &timeline).await.text,
        world.get(&admin, &timeline).await.text,
    ];
    let kept = world.items("POLL#").await;
    assert!(!kept.is_empty());
    told.extend(kept.iter().map(Value::to_string));
    for text in told {
        assert!(!text.contains("student-"), "{text}");
    }
    assert!(closed.get("voters").is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_erased_has_voted_and_nobody_knows_what() {
    let class = Class::live().await;
    let world = &class.world;
    let service = world.service().await;
    let (ada, bob, eve) = (world.student(1).await, world.student(2).await, world.student(3).await);
    let closed = class.ask().await;
    for (token, choice) in [(&ada, 0), (&bob, 0), (&eve, 1)] {
        class.vote(token, &closed, &[choice]).await.expect(200);
    }
    class.close(&closed).await.expect(200);
    let mut body = question();
    body["anonymous"] = json!(true);
    let secret = class.launch(body).await.expect(201);
    class.vote(&ada, &secret, &[0]).await.expect(200);
    class.close(&secret).await.expect(200);
    let open = class.ask().await;
    for token in [&ada, &bob, &eve] {
        class.vote(token, &open, &[1]).await.expect(200);
    }

    // One is still in the course, and the other was taken out of it before.
    let place = "/v1/directory/courses/course-1/enrollments/student-2";
    world.delete(&service, place).await.expect(204);
    for user in ["student-1", "student-2"] {
        world.delete(&service, &format!("/v1/directory/users/{user}")).await.expect(204);
        world.delete(&service, &format!("/v1/directory/users/{user}")).await.expect(204);
    }
    for item in world.items("POLL#").await {
        let text = item.to_string();
        assert!(!text.contains("student-1") && !text.contains("student-2"), "{text}");
    }
    assert_eq!(world.items("USER#student-2").await, Vec::<Value>::new(), "nothing is left of them");
    let polls = world.get(&class.trainer, &class.polls()).await.expect(200)["items"].clone();
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
    class.vote(&eve, &open, &[0]).await.expect(200);
    let end = class.close(&open).await.expect(200);
    assert_eq!(tally(&end), (vec![1, 2], 3));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_guest_who_is_erased_is_found_by_the_address_that_was_invited() {
    let class = Class::scheduled().await;
    let world = &class.world;
    let service = world.service().await;
    let mut body = crate::world::class(1);
    body["audience_type"] = json!("invitees");
    body["invitees"] = json!([{"email": "guest@example.test"}]);
    let lesson = crate::lesson::Lesson::of(world, &class.trainer, body).await;
    world.advance(jiff::SignedDuration::from_hours(1));
    lesson.tell(world, &lesson.started("u2", 0)).await;
    let guest = Class { lesson, trainer: class.trainer.clone(), world: class.world };
    let poll = guest.ask().await;
    let person = json!({"sub": "guest-7", "role": "student", "email": "guest@example.test"});
    let token = guest.world.token(person).await;
    guest.vote(&token, &poll, &[0]).await.expect(200);
    let user = json!({"email": "guest@example.test", "name": "Gus", "role": "student"});
    guest.world.put(&service, "/v1/directory/users/guest-7", user).await.expect(200);
    guest.world.delete(&service, "/v1/directory/users/guest-7").await.expect(204);
    for item in guest.world.items("POLL#").await {
        assert!(!item.to_string().contains("guest-7"), "{item}");
    }
    assert_eq!(tally(&guest.seen(&guest.trainer).await), (vec![1, 0], 1));
}
