//! Who may do what with a poll, and when.

use http::Method;
use jiff::SignedDuration;
use serde_json::{Value, json};

use super::{Class, option, question, tally, text, vote_path};
use crate::look::fields;
use crate::world::{class, course_class};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_poll_is_asked_answered_and_closed() {
    let class = Class::live().await;
    let (ada, bob) = (class.world.student(1).await, class.world.student(2).await);
    class.lesson.tell(&class.world, &class.lesson.joined("u1", "a", 0)).await;
    let poll = class.ask().await;
    assert_eq!(
        (&poll["state"], &poll["multiple"], &poll["anonymous"]),
        (&json!("open"), &json!(false), &json!(false))
    );
    assert_eq!((tally(&poll), &poll["voters"]), ((vec![0, 0], 0), &json!([])));
    assert_eq!((&poll["present"], &poll["response_rate"]), (&json!(1), &json!(0.0)));
    assert_eq!(poll["opened_at"], "2026-11-21T10:00:00Z");

    let voted = class.vote(&ada, &poll, &[0]).await.expect(200);
    assert_eq!((tally(&voted), &voted["my_vote"]), ((vec![1, 0], 1), &json!([option(&poll, 0)])));
    class.vote(&bob, &poll, &[0]).await.expect(200);
    let changed = class.vote(&ada, &poll, &[1]).await.expect(200);
    assert_eq!(
        (tally(&changed), &changed["my_vote"]),
        ((vec![1, 1], 2), &json!([option(&poll, 1)]))
    );
    let again = class.vote(&ada, &poll, &[1]).await.expect(200);
    assert_eq!(again, changed, "the same vote again changes nothing");
    assert_eq!(changed["response_rate"], 100.0, "more answers than people present are all of them");
    assert!(changed.get("voters").is_none(), "a student learns nothing of the others");
    assert_eq!(class.seen(&ada).await, changed);

    let owners = class.seen(&class.trainer).await;
    let expected = json!([
        {"user_id": "student-1", "option_ids": [option(&poll, 1)]},
        {"user_id": "student-2", "option_ids": [option(&poll, 0)]},
    ]);
    assert_eq!((&owners["voters"], &owners["my_vote"]), (&expected, &json!([])));

    class.world.advance(SignedDuration::from_mins(1));
    class.lesson.tell(&class.world, &class.lesson.joined("u1", "b", 1)).await;
    let closed = class.close(&poll).await.expect(200);
    assert_eq!(
        (&closed["state"], &closed["closed_at"]),
        (&json!("closed"), &json!("2026-11-21T10:01:00Z"))
    );
    assert_eq!((tally(&closed), &closed["voters"]), ((vec![1, 1], 2), &expected));
    assert_eq!(closed["present"], 2, "whoever came while it was open was asked, too");
    class.world.advance(SignedDuration::from_mins(1));
    assert_eq!(class.close(&poll).await.expect(200), closed, "closing again changes nothing");
    assert_eq!(class.seen(&class.trainer).await, closed);
    class.vote(&bob, &poll, &[1]).await.refused(409, "poll_closed");
    class.vote(&class.world.student(3).await, &poll, &[1]).await.refused(409, "poll_closed");
    let after = class.seen(&bob).await;
    assert_eq!((tally(&after), &after["my_vote"]), ((vec![1, 1], 2), &json!([option(&poll, 0)])));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_options_may_be_chosen_where_that_is_asked_for() {
    let class = Class::live().await;
    let ada = class.world.student(1).await;
    let body =
        json!({"question": "Which are primes?", "options": ["2", "3", "4"], "multiple": true});
    let poll = class.launch(body).await.expect(201);
    let voted = class.vote(&ada, &poll, &[1, 0]).await.expect(200);
    assert_eq!(tally(&voted), (vec![1, 1, 0], 1));
    assert_eq!(voted["my_vote"], json!([option(&poll, 0), option(&poll, 1)]));
    let changed = class.vote(&ada, &poll, &[2]).await.expect(200);
    assert_eq!(tally(&changed), (vec![0, 0, 1], 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_poll_is_its_owners_to_run_and_their_classs_to_answer() {
    let class = Class::live().await;
    let world = &class.world;
    let (ada, stranger) = (world.student(1).await, world.student(9).await);
    let other = world.other_trainer().await;
    let poll = class.ask().await;
    let close = format!("{}/{}/close", class.polls(), text(&poll["id"]));

    for (token, code) in [(&ada, (403, "forbidden")), (&other, (404, "not_found"))] {
        world.post(token, &class.polls(), question()).await.refused(code.0, code.1);
        world.call(Method::POST, &close, token, None, &[]).await.refused(code.0, code.1);
    }
    class.vote(&class.trainer, &poll, &[0]).await.refused(403, "forbidden");
    for token in [&stranger, &other] {
        class.vote(token, &poll, &[0]).await.refused(404, "not_found");
        world.get(token, &class.polls()).await.refused(404, "not_found");
        let file = format!("{}?format=csv", class.polls());
        world.get(token, &file).await.refused(404, "not_found");
    }
    world.get(&ada, &format!("{}?format=csv", class.polls())).await.refused(403, "forbidden");

    // Access that was taken away is gone with the next request.
    let place = "/v1/directory/courses/course-1/enrollments/student-1";
    let revoked = json!({"email": "student1@example.test", "name": "S", "access_granted": false});
    class.vote(&ada, &poll, &[0]).await.expect(200);
    world.put(&world.service().await, place, revoked).await.expect(200);
    class.vote(&ada, &poll, &[1]).await.refused(404, "not_found");
    world.get(&ada, &class.polls()).await.refused(404, "not_found");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn those_invited_by_address_vote_by_it_and_an_unverified_one_is_none() {
    let class = Class::scheduled().await;
    let world = &class.world;
    let mut body = crate::world::class(1);
    body["audience_type"] = json!("invitees");
    body["invitees"] = json!([{"email": "guest@example.test"}]);
    let lesson = crate::lesson::Lesson::of(world, &class.trainer, body).await;
    world.advance(SignedDuration::from_hours(1));
    lesson.tell(world, &lesson.started("u2", 0)).await;
    let polls = format!("{}/polls", lesson.path);
    let poll = world.post(&class.trainer, &polls, question()).await.expect(201);
    let vote = format!("{polls}/{}/vote", text(&poll["id"]));
    let guest = |verified: bool| json!({"sub": "guest-7", "role": "student", "email": "guest@example.test", "email_verified": verified});
    let choice = json!({"option_ids": [option(&poll, 0)]});
    let unverified = world.token(guest(false)).await;
    world.put(&unverified, &vote, choice.clone()).await.refused(404, "not_found");
    let verified = world.token(guest(true)).await;
    let voted = world.put(&verified, &vote, choice).await.expect(200);
    assert_eq!(tally(&voted), (vec![1, 0], 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_polls_option_and_another_classs_poll_do_not_exist() {
    let class = Class::live().await;
    let world = &class.world;
    let ada = world.student(1).await;
    let first = class.ask().await;
    class.close(&first).await.expect(200);
    let second = class.ask().await;
    let own = vote_path(&class, &second);
    let foreign = json!({"option_ids": [option(&first, 0)]});
    world.put(&ada, &own, foreign).await.refused(404, "not_found");
    world.put(&ada, &own, json!({"option_ids": ["2/3"]})).await.refused(404, "not_found");

    let elsewhere = world.post(&class.trainer, "/v1/sessions", course_class(5)).await.expect(201);
    let elsewhere = format!("/v1/sessions/{}/polls", text(&elsewhere["id"]));
    let vote = format!("{elsewhere}/{}/vote", text(&second["id"]));
    world
        .put(&ada, &vote, json!({"option_ids": [option(&second, 0)]}))
        .await
        .refused(404, "not_found");
    let close = format!("{elsewhere}/{}/close", text(&second["id"]));
    world.call(Method::POST, &close, &class.trainer, None, &[]).await.refused(404, "not_found");
    let one = format!("{elsewhere}?poll_id={}", text(&second["id"]));
    world.get(&ada, &one).await.refused(404, "not_found");

    for (body, field) in [
        (json!({"option_ids": []}), "option_ids"),
        (json!({"option_ids": [option(&second, 0), option(&second, 1)]}), "option_ids"),
        (json!({"option_ids": [option(&second, 0), option(&second, 0)]}), "option_ids"),
        (json!({"option_ids": "x"}), "option_ids"),
        (json!({}), "option_ids"),
        (json!({"option_ids": [option(&second, 0)], "for": "student-2"}), "for"),
    ] {
        let problem = world.put(&ada, &own, body.clone()).await.refused(422, "validation_failed");
        assert_eq!(fields(&problem), [field], "{body}");
    }
    assert_eq!(tally(&class.seen(&ada).await), (vec![0, 0], 0));
    let one = format!("{}?poll_id={}", class.polls(), text(&first["id"]));
    let found = world.get(&ada, &one).await.expect(200);
    assert_eq!(
        (found["items"].as_array().map(Vec::len), &found["items"][0]["id"]),
        (Some(1), &first["id"])
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn polls_are_for_a_class_that_is_on_and_can_be_read_when_it_is_over() {
    let class = Class::scheduled().await;
    let world = &class.world;
    let ada = world.student(1).await;
    let early = class.launch(question()).await.refused(409, "too_early");
    assert_eq!(early["opens_at"], "2026-11-21T10:00:00Z");
    assert_eq!(world.get(&ada, &class.polls()).await.expect(200)["items"], json!([]));

    world.advance(SignedDuration::from_hours(1));
    class.lesson.tell(world, &class.lesson.started("u1", 0)).await;
    let poll = class.ask().await;
    class.vote(&ada, &poll, &[0]).await.expect(200);
    world.advance(SignedDuration::from_mins(50));
    class.lesson.tell(world, &class.lesson.ended("u1", 0, 50)).await;
    class.launch(question()).await.refused(409, "session_ended");
    class.vote(&ada, &poll, &[1]).await.refused(409, "session_ended");
    assert_eq!(tally(&class.seen(&ada).await), (vec![1, 0], 1));
    // What was left open can still be closed.
    let closed = class.close(&poll).await.expect(200);
    assert_eq!((&closed["state"], tally(&closed)), (&json!("closed"), (vec![1, 0], 1)));
    assert_eq!(class.seen(&class.trainer).await, closed);

    let cancelled = world.post(&class.trainer, "/v1/sessions", course_class(9)).await.expect(201);
    let path = format!("/v1/sessions/{}", text(&cancelled["id"]));
    world.post(&class.trainer, &format!("{path}/cancel"), json!({})).await.expect(200);
    let polls = format!("{path}/polls");
    world.post(&class.trainer, &polls, question()).await.refused(409, "session_cancelled");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_class_behind_a_pasted_link_is_on_from_its_start() {
    let class_of = Class::scheduled().await;
    let world = &class_of.world;
    let mut body = class(2);
    body["provider"] = json!("manual");
    body["join_url"] = json!("https://meet.example.test/abc");
    let made = world.post(&class_of.trainer, "/v1/sessions", body).await.expect(201);
    let polls = format!("/v1/sessions/{}/polls", text(&made["id"]));
    world.post(&class_of.trainer, &polls, question()).await.refused(409, "too_early");
    world.advance(SignedDuration::from_hours(2));
    let poll = world.post(&class_of.trainer, &polls, question()).await.expect(201);
    assert_eq!((&poll["present"], &poll["response_rate"]), (&Value::Null, &Value::Null));
    world.advance(SignedDuration::from_hours(5));
    world.post(&class_of.trainer, &polls, question()).await.refused(409, "session_ended");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_poll_is_open_at_a_time_and_one_key_is_one_poll() {
    let class = Class::live().await;
    let world = &class.world;
    let launch = async |key: &str, body: Value| {
        let headers = [("idempotency-key", key)];
        world.call(Method::POST, &class.polls(), &class.trainer, Some(body), &headers).await
    };
    let clicks = futures::future::join_all((0..20).map(|_| launch("k1", question()))).await;
    let polls: Vec<_> = clicks.into_iter().map(|answer| answer.expect(201)).collect();
    assert!(polls.iter().all(|poll| *poll == polls[0]), "twenty clicks are one poll");
    launch("k2", question()).await.refused(409, "conflict");
    let mut other = question();
    other["anonymous"] = json!(true);
    launch("k1", other).await.refused(422, "idempotency_key_reused");

    let ada = world.student(1).await;
    class.vote(&ada, &polls[0], &[1]).await.expect(200);
    let again = launch("k1", question()).await.expect(201);
    assert_eq!((tally(&again), &again["id"]), ((vec![0, 1], 1), &polls[0]["id"]));
    class.close(&polls[0]).await.expect(200);
    let again = launch("k1", question()).await.expect(201);
    assert_eq!((&again["id"], &again["state"]), (&polls[0]["id"], &json!("closed")));
    let second = launch("k2", question()).await.expect(201);
    assert_ne!(second["id"], polls[0]["id"]);
    assert_ne!(option(&second, 0), option(&polls[0], 0), "an option is one poll's");

    let rivals = async || {
        class.close(&class.seen(&class.trainer).await).await.expect(200);
        let both = futures::join!(class.launch(question()), class.launch(question()));
        let mut statuses = [both.0.status.as_u16(), both.1.status.as_u16()];
        statuses.sort_unstable();
        assert_eq!(statuses, [201, 409], "of two launches at once one is first");
    };
    for _ in 0..30 {
        rivals().await;
    }
    class.close(&class.seen(&class.trainer).await).await.expect(200);
    class.launch(question()).await.refused(409, "conflict");
    let all = world.get(&ada, &class.polls()).await.expect(200);
    assert_eq!(all["items"].as_array().map(Vec::len), Some(32), "as many as a class can have");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_unchanged_is_not_sent_again() {
    let class = Class::live().await;
    let world = &class.world;
    let ada = world.student(1).await;
    let poll = class.ask().await;
    for (token, changes) in [(&class.trainer, true), (&ada, true)] {
        let first = world.get(token, &class.polls()).await;
        let tag = first.headers["etag"].to_str().expect("a tag").to_owned();
        let headers = [("if-none-match", tag.as_str())];
        let second = world.call(Method::GET, &class.polls(), token, None, &headers).await;
        assert_eq!((second.status.as_u16(), &*second.text), (304, ""));
        assert_eq!(second.headers["etag"], tag.as_str());
        assert!(second.headers.get("content-type").is_none());
        class
            .vote(&world.student(if token == &ada { 2 } else { 3 }).await, &poll, &[0])
            .await
            .expect(200);
        let third = world.call(Method::GET, &class.polls(), token, None, &headers).await;
        assert_eq!(third.status.as_u16() == 200, changes, "a vote changes what there is to see");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_owner_takes_the_results_along_as_a_file() {
    let class = Class::live().await;
    let world = &class.world;
    let body = json!({"question": "=2+2", "options": ["4", "-5"]});
    let named = class.launch(body).await.expect(201);
    for (n, choice) in [(1, 0), (2, 0), (3, 1)] {
        class.vote(&world.student(n).await, &named, &[choice]).await.expect(200);
    }
    class.close(&named).await.expect(200);
    world.advance(SignedDuration::from_mins(1));
    let mut body = question();
    body["anonymous"] = json!(true);
    let secret = class.launch(body).await.expect(201);
    class.vote(&world.student(1).await, &secret, &[1]).await.expect(200);

    let file = world.get(&class.trainer, &format!("{}?format=csv", class.polls())).await;
    assert_eq!(file.headers["content-type"], "text/csv; charset=utf-8");
    let name = file.headers["content-disposition"].to_str().expect("a name").to_owned();
    assert!(name.starts_with("attachment; filename=\"polls-ses_"), "{name}");
    let rows: Vec<&str> = file.text.split("\r\n").collect();
    assert!(rows[0].starts_with("\u{feff}poll_id,question,"), "{}", rows[0]);
    let ends: Vec<_> =
        rows.iter().skip(1).map(|row| row.rsplit(',').take(3).collect::<Vec<_>>()).collect();
    let expected = [
        vec!["", "0", "2/3"],
        vec!["", "1", "3/4"],
        vec!["student-1", "2", "4"],
        vec!["student-2", "2", "4"],
        vec!["student-3", "1", "'-5"],
        vec![""],
    ];
    assert_eq!(ends, expected, "newest first, and nobody by name who answered in secret");
    assert!(rows[3].contains(",'=2+2,"), "{}", rows[3]);
    let asked = [("accept", "text/csv")];
    let same = world.call(Method::GET, &class.polls(), &class.trainer, None, &asked).await;
    assert_eq!(same.text, file.text);
}
