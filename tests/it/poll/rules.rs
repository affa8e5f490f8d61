//! Permissions and states of polls.

use http::Method;
use jiff::SignedDuration;
use serde_json::{Value, json};

use super::{PollSetup, option, question, tally, text, vote_path};
use crate::support::fields;
use crate::world::{course_session_body, session_body};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn poll_is_launched_answered_and_closed() {
    let setup = PollSetup::live().await;
    let (ada, bob) = (setup.world.student(1).await, setup.world.student(2).await);
    setup.session.post_event(&setup.world, &setup.session.joined("u1", "a", 0)).await;
    let poll = setup.launch_question().await;
    assert_eq!(
        (&poll["state"], &poll["multiple"], &poll["anonymous"]),
        (&json!("open"), &json!(false), &json!(false))
    );
    assert_eq!((tally(&poll), &poll["voters"]), ((vec![0, 0], 0), &json!([])));
    assert_eq!((&poll["present"], &poll["response_rate"]), (&json!(1), &json!(0.0)));
    assert_eq!(poll["opened_at"], "2026-11-21T10:00:00Z");

    let voted = setup.vote(&ada, &poll, &[0]).await.expect(200);
    assert_eq!((tally(&voted), &voted["my_vote"]), ((vec![1, 0], 1), &json!([option(&poll, 0)])));
    setup.vote(&bob, &poll, &[0]).await.expect(200);
    let changed = setup.vote(&ada, &poll, &[1]).await.expect(200);
    assert_eq!(
        (tally(&changed), &changed["my_vote"]),
        ((vec![1, 1], 2), &json!([option(&poll, 1)]))
    );
    let again = setup.vote(&ada, &poll, &[1]).await.expect(200);
    assert_eq!(again, changed, "the same vote again changes nothing");
    assert_eq!(
        changed["response_rate"], 100.0,
        "more responses than people present count as 100 %"
    );
    assert!(changed.get("voters").is_none(), "a student does not see the other votes");
    assert_eq!(setup.newest_poll(&ada).await, changed);

    let owners = setup.newest_poll(&setup.trainer).await;
    let expected = json!([
        {"user_id": "student-1", "option_ids": [option(&poll, 1)]},
        {"user_id": "student-2", "option_ids": [option(&poll, 0)]},
    ]);
    assert_eq!((&owners["voters"], &owners["my_vote"]), (&expected, &json!([])));

    setup.world.advance(SignedDuration::from_mins(1));
    setup.session.post_event(&setup.world, &setup.session.joined("u1", "b", 1)).await;
    let closed = setup.close(&poll).await.expect(200);
    assert_eq!(
        (&closed["state"], &closed["closed_at"]),
        (&json!("closed"), &json!("2026-11-21T10:01:00Z"))
    );
    assert_eq!((tally(&closed), &closed["voters"]), ((vec![1, 1], 2), &expected));
    assert_eq!(closed["present"], 2, "people who joined while it was open are included");
    setup.world.advance(SignedDuration::from_mins(1));
    assert_eq!(setup.close(&poll).await.expect(200), closed, "closing again changes nothing");
    assert_eq!(setup.newest_poll(&setup.trainer).await, closed);
    setup.vote(&bob, &poll, &[1]).await.expect_problem(409, "poll_closed");
    setup.vote(&setup.world.student(3).await, &poll, &[1]).await.expect_problem(409, "poll_closed");
    let after = setup.newest_poll(&bob).await;
    assert_eq!((tally(&after), &after["my_vote"]), ((vec![1, 1], 2), &json!([option(&poll, 0)])));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn multiple_choice_poll_accepts_several_options() {
    let setup = PollSetup::live().await;
    let ada = setup.world.student(1).await;
    let body =
        json!({"question": "Which are primes?", "options": ["2", "3", "4"], "multiple": true});
    let poll = setup.launch(body).await.expect(201);
    let voted = setup.vote(&ada, &poll, &[1, 0]).await.expect(200);
    assert_eq!(tally(&voted), (vec![1, 1, 0], 1));
    assert_eq!(voted["my_vote"], json!([option(&poll, 0), option(&poll, 1)]));
    let changed = setup.vote(&ada, &poll, &[2]).await.expect(200);
    assert_eq!(tally(&changed), (vec![0, 0, 1], 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn poll_is_run_by_its_trainer_and_answered_by_the_audience() {
    let setup = PollSetup::live().await;
    let world = &setup.world;
    let (ada, stranger) = (world.student(1).await, world.student(9).await);
    let other = world.other_trainer().await;
    let poll = setup.launch_question().await;
    let close = format!("{}/{}/close", setup.polls(), text(&poll["id"]));

    for (token, code) in [(&ada, (403, "forbidden")), (&other, (404, "not_found"))] {
        world.post(token, &setup.polls(), question()).await.expect_problem(code.0, code.1);
        world.call(Method::POST, &close, token, None, &[]).await.expect_problem(code.0, code.1);
    }
    setup.vote(&setup.trainer, &poll, &[0]).await.expect_problem(403, "forbidden");
    for token in [&stranger, &other] {
        setup.vote(token, &poll, &[0]).await.expect_problem(404, "not_found");
        world.get(token, &setup.polls()).await.expect_problem(404, "not_found");
        let file = format!("{}?format=csv", setup.polls());
        world.get(token, &file).await.expect_problem(404, "not_found");
    }
    world
        .get(&ada, &format!("{}?format=csv", setup.polls()))
        .await
        .expect_problem(403, "forbidden");

    // Revoked access applies to the next request.
    let enrollment_path = "/v1/directory/courses/course-1/enrollments/student-1";
    let revoked = json!({"email": "student1@example.test", "name": "S", "access_granted": false});
    setup.vote(&ada, &poll, &[0]).await.expect(200);
    world.put(&world.service().await, enrollment_path, revoked).await.expect(200);
    setup.vote(&ada, &poll, &[1]).await.expect_problem(404, "not_found");
    world.get(&ada, &setup.polls()).await.expect_problem(404, "not_found");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn invitee_votes_only_with_a_verified_address() {
    let setup = PollSetup::scheduled().await;
    let world = &setup.world;
    let mut body = crate::world::session_body(1);
    body["audience_type"] = json!("invitees");
    body["invitees"] = json!([{"email": "guest@example.test"}]);
    let session =
        crate::zoom_session::ScheduledSession::schedule(world, &setup.trainer, body).await;
    world.advance(SignedDuration::from_hours(1));
    session.post_event(world, &session.started("u2", 0)).await;
    let polls = format!("{}/polls", session.path);
    let poll = world.post(&setup.trainer, &polls, question()).await.expect(201);
    let vote = format!("{polls}/{}/vote", text(&poll["id"]));
    let guest = |verified: bool| json!({"sub": "guest-7", "role": "student", "email": "guest@example.test", "email_verified": verified});
    let choice = json!({"option_ids": [option(&poll, 0)]});
    let unverified = world.token(guest(false)).await;
    world.put(&unverified, &vote, choice.clone()).await.expect_problem(404, "not_found");
    let verified = world.token(guest(true)).await;
    let voted = world.put(&verified, &vote, choice).await.expect(200);
    assert_eq!(tally(&voted), (vec![1, 0], 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn option_of_another_poll_and_poll_of_another_session_are_not_found() {
    let setup = PollSetup::live().await;
    let world = &setup.world;
    let ada = world.student(1).await;
    let first = setup.launch_question().await;
    setup.close(&first).await.expect(200);
    let second = setup.launch_question().await;
    let own = vote_path(&setup, &second);
    let foreign = json!({"option_ids": [option(&first, 0)]});
    world.put(&ada, &own, foreign).await.expect_problem(404, "not_found");
    world.put(&ada, &own, json!({"option_ids": ["2/3"]})).await.expect_problem(404, "not_found");

    let elsewhere =
        world.post(&setup.trainer, "/v1/sessions", course_session_body(5)).await.expect(201);
    let elsewhere = format!("/v1/sessions/{}/polls", text(&elsewhere["id"]));
    let vote = format!("{elsewhere}/{}/vote", text(&second["id"]));
    world
        .put(&ada, &vote, json!({"option_ids": [option(&second, 0)]}))
        .await
        .expect_problem(404, "not_found");
    let close = format!("{elsewhere}/{}/close", text(&second["id"]));
    world
        .call(Method::POST, &close, &setup.trainer, None, &[])
        .await
        .expect_problem(404, "not_found");
    let one = format!("{elsewhere}?poll_id={}", text(&second["id"]));
    world.get(&ada, &one).await.expect_problem(404, "not_found");

    for (body, field) in [
        (json!({"option_ids": []}), "option_ids"),
        (json!({"option_ids": [option(&second, 0), option(&second, 1)]}), "option_ids"),
        (json!({"option_ids": [option(&second, 0), option(&second, 0)]}), "option_ids"),
        (json!({"option_ids": "x"}), "option_ids"),
        (json!({}), "option_ids"),
        (json!({"option_ids": [option(&second, 0)], "for": "student-2"}), "for"),
    ] {
        let problem =
            world.put(&ada, &own, body.clone()).await.expect_problem(422, "validation_failed");
        assert_eq!(fields(&problem), [field], "{body}");
    }
    assert_eq!(tally(&setup.newest_poll(&ada).await), (vec![0, 0], 0));
    let one = format!("{}?poll_id={}", setup.polls(), text(&first["id"]));
    let found = world.get(&ada, &one).await.expect(200);
    assert_eq!(
        (found["items"].as_array().map(Vec::len), &found["items"][0]["id"]),
        (Some(1), &first["id"])
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn poll_requires_live_session_and_stays_readable_afterwards() {
    let setup = PollSetup::scheduled().await;
    let world = &setup.world;
    let ada = world.student(1).await;
    let early = setup.launch(question()).await.expect_problem(409, "too_early");
    assert_eq!(early["opens_at"], "2026-11-21T10:00:00Z");
    assert_eq!(world.get(&ada, &setup.polls()).await.expect(200)["items"], json!([]));

    world.advance(SignedDuration::from_hours(1));
    setup.session.post_event(world, &setup.session.started("u1", 0)).await;
    let poll = setup.launch_question().await;
    setup.vote(&ada, &poll, &[0]).await.expect(200);
    world.advance(SignedDuration::from_mins(50));
    setup.session.post_event(world, &setup.session.ended("u1", 0, 50)).await;
    setup.launch(question()).await.expect_problem(409, "session_ended");
    setup.vote(&ada, &poll, &[1]).await.expect_problem(409, "session_ended");
    assert_eq!(tally(&setup.newest_poll(&ada).await), (vec![1, 0], 1));
    // An open poll can still be closed.
    let closed = setup.close(&poll).await.expect(200);
    assert_eq!((&closed["state"], tally(&closed)), (&json!("closed"), (vec![1, 0], 1)));
    assert_eq!(setup.newest_poll(&setup.trainer).await, closed);

    let cancelled =
        world.post(&setup.trainer, "/v1/sessions", course_session_body(9)).await.expect(201);
    let path = format!("/v1/sessions/{}", text(&cancelled["id"]));
    world.post(&setup.trainer, &format!("{path}/cancel"), json!({})).await.expect(200);
    let polls = format!("{path}/polls");
    world.post(&setup.trainer, &polls, question()).await.expect_problem(409, "session_cancelled");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn manual_session_accepts_polls_from_its_planned_start() {
    let setup = PollSetup::scheduled().await;
    let world = &setup.world;
    let mut body = session_body(2);
    body["provider"] = json!("manual");
    body["join_url"] = json!("https://meet.example.test/abc");
    let made = world.post(&setup.trainer, "/v1/sessions", body).await.expect(201);
    let polls = format!("/v1/sessions/{}/polls", text(&made["id"]));
    world.post(&setup.trainer, &polls, question()).await.expect_problem(409, "too_early");
    world.advance(SignedDuration::from_hours(2));
    let poll = world.post(&setup.trainer, &polls, question()).await.expect(201);
    assert_eq!((&poll["present"], &poll["response_rate"]), (&Value::Null, &Value::Null));
    world.advance(SignedDuration::from_hours(5));
    world.post(&setup.trainer, &polls, question()).await.expect_problem(409, "session_ended");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn session_has_one_open_poll_and_one_poll_per_idempotency_key() {
    let setup = PollSetup::live().await;
    let world = &setup.world;
    let launch = async |key: &str, body: Value| {
        let headers = [("idempotency-key", key)];
        world.call(Method::POST, &setup.polls(), &setup.trainer, Some(body), &headers).await
    };
    let responses = futures::future::join_all((0..20).map(|_| launch("k1", question()))).await;
    let polls: Vec<_> = responses.into_iter().map(|response| response.expect(201)).collect();
    assert!(polls.iter().all(|poll| *poll == polls[0]), "twenty requests create one poll");
    launch("k2", question()).await.expect_problem(409, "conflict");
    let mut other = question();
    other["anonymous"] = json!(true);
    launch("k1", other).await.expect_problem(422, "idempotency_key_reused");

    let ada = world.student(1).await;
    setup.vote(&ada, &polls[0], &[1]).await.expect(200);
    let again = launch("k1", question()).await.expect(201);
    assert_eq!((tally(&again), &again["id"]), ((vec![0, 1], 1), &polls[0]["id"]));
    setup.close(&polls[0]).await.expect(200);
    let again = launch("k1", question()).await.expect(201);
    assert_eq!((&again["id"], &again["state"]), (&polls[0]["id"], &json!("closed")));
    let second = launch("k2", question()).await.expect(201);
    assert_ne!(second["id"], polls[0]["id"]);
    assert_ne!(option(&second, 0), option(&polls[0], 0), "option ids are unique");

    let launch_concurrently = async || {
        setup.close(&setup.newest_poll(&setup.trainer).await).await.expect(200);
        let both = futures::join!(setup.launch(question()), setup.launch(question()));
        let mut statuses = [both.0.status.as_u16(), both.1.status.as_u16()];
        statuses.sort_unstable();
        assert_eq!(statuses, [201, 409], "one of two concurrent launches succeeds");
    };
    for _ in 0..30 {
        launch_concurrently().await;
    }
    setup.close(&setup.newest_poll(&setup.trainer).await).await.expect(200);
    setup.launch(question()).await.expect_problem(409, "conflict");
    let all = world.get(&ada, &setup.polls()).await.expect(200);
    assert_eq!(all["items"].as_array().map(Vec::len), Some(32), "the maximum per session");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unchanged_poll_list_returns_not_modified() {
    let setup = PollSetup::live().await;
    let world = &setup.world;
    let ada = world.student(1).await;
    let poll = setup.launch_question().await;
    for (token, changes) in [(&setup.trainer, true), (&ada, true)] {
        let first = world.get(token, &setup.polls()).await;
        let tag = first.headers["etag"].to_str().expect("a tag").to_owned();
        let headers = [("if-none-match", tag.as_str())];
        let second = world.call(Method::GET, &setup.polls(), token, None, &headers).await;
        assert_eq!((second.status.as_u16(), &*second.text), (304, ""));
        assert_eq!(second.headers["etag"], tag.as_str());
        assert!(second.headers.get("content-type").is_none());
        setup
            .vote(&world.student(if token == &ada { 2 } else { 3 }).await, &poll, &[0])
            .await
            .expect(200);
        let third = world.call(Method::GET, &setup.polls(), token, None, &headers).await;
        assert_eq!(third.status.as_u16() == 200, changes, "a vote changes the list");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn trainer_exports_poll_results_as_csv() {
    let setup = PollSetup::live().await;
    let world = &setup.world;
    let body = json!({"question": "=2+2", "options": ["4", "-5"]});
    let named = setup.launch(body).await.expect(201);
    for (n, choice) in [(1, 0), (2, 0), (3, 1)] {
        setup.vote(&world.student(n).await, &named, &[choice]).await.expect(200);
    }
    setup.close(&named).await.expect(200);
    world.advance(SignedDuration::from_mins(1));
    let mut body = question();
    body["anonymous"] = json!(true);
    let secret = setup.launch(body).await.expect(201);
    setup.vote(&world.student(1).await, &secret, &[1]).await.expect(200);

    let file = world.get(&setup.trainer, &format!("{}?format=csv", setup.polls())).await;
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
    assert_eq!(ends, expected, "newest first, and no names for anonymous votes");
    assert!(rows[3].contains(",'=2+2,"), "{}", rows[3]);
    let asked = [("accept", "text/csv")];
    let same = world.call(Method::GET, &setup.polls(), &setup.trainer, None, &asked).await;
    assert_eq!(same.text, file.text);
    let semicolons = format!("{}?format=csv&separator=%3B", setup.polls());
    let semicolons = world.get(&setup.trainer, &semicolons).await;
    assert_eq!(semicolons.text.replace(';', ","), file.text);
    assert!(file.headers.get("link").is_none(), "one page");
    for query in ["format=csv&separator=x", "format=csv&cursor=x", "cursor=cG9sX2E"] {
        let path = format!("{}?{query}", setup.polls());
        world.get(&setup.trainer, &path).await.expect_problem(422, "validation_failed");
    }
}
