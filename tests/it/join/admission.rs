//! Who may join a session, and when.

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn join_window_is_exact_to_the_second() {
    let scenario = JoinScenario::start("app").await;
    let second = SignedDuration::from_secs(1);
    let opens_at = |problem: &Value| problem["opens_at"].clone();
    // The clock starts five minutes before the session. Each boundary is tested on both sides.
    scenario.world.advance(-(10 * MINUTE + second));
    let early = scenario.request_join(&scenario.trainer).await.expect_problem(409, "too_early");
    assert_eq!(opens_at(&early), json!(scenario.session.at(-15)));
    scenario.world.advance(second);
    scenario.request_join(&scenario.trainer).await.expect(200);
    scenario.world.advance(5 * MINUTE - second);
    let early = scenario.request_join(&scenario.student).await.expect_problem(409, "too_early");
    assert_eq!(opens_at(&early), json!(scenario.session.at(-10)));
    scenario.world.advance(second);
    scenario.request_join(&scenario.student).await.expect(200);
    scenario.move_to(60 + 90);
    scenario.world.advance(-second);
    scenario.request_join(&scenario.student).await.expect(200);
    scenario.request_join(&scenario.trainer).await.expect(200);
    scenario.world.advance(second);
    scenario.request_join(&scenario.student).await.expect_problem(409, "session_ended");
    scenario.request_join(&scenario.trainer).await.expect_problem(409, "session_ended");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn session_keeps_the_window_in_force_when_it_was_saved() {
    let scenario = JoinScenario::start("app").await;
    scenario.move_to(-24 * 60);
    let settings = [
        (names::JOIN_OWNER_BEFORE_MINUTES, "60"),
        (names::JOIN_INVITED_BEFORE_MINUTES, "30"),
        (names::JOIN_AFTER_END_MINUTES, "0"),
    ];
    let opening = async || {
        let early = scenario.request_join(&scenario.trainer).await;
        early.expect_problem(409, "too_early")["opens_at"].clone()
    };
    let save = async |body: Value| {
        let functions = DirectFunctions::new(&scenario.world, &settings);
        let (path, trainer) = (&scenario.session.path, &scenario.trainer);
        functions.call("session-save", "PUT", path, trainer, Some(&body)).await.expect(200);
    };
    let starts_at = json!(scenario.session.starts_at);
    let body = patched(course_session_body(HOURS_AHEAD), json!({"starts_at": starts_at}));
    save(body.clone()).await;
    assert_eq!(opening().await, json!(scenario.session.at(-15)), "nothing was changed");
    save(patched(body, json!({"description": "Bring a pen."}))).await;

    scenario.move_to(-61);
    assert_eq!(opening().await, json!(scenario.session.at(-60)));
    scenario.move_to(-60);
    scenario.request_join(&scenario.trainer).await.expect(200);
    let early = scenario.request_join(&scenario.student).await.expect_problem(409, "too_early");
    assert_eq!(early["opens_at"], json!(scenario.session.at(-30)));
    let listed = scenario.world.get(&scenario.student, "/v1/me/sessions").await;
    assert_eq!(
        listed.expect(200)["items"][0]["join"],
        json!({"state": "too_early", "opens_at": scenario.session.at(-30), "closes_at": scenario.session.at(60)})
    );
    scenario.move_to(59);
    scenario.request_join(&scenario.student).await.expect(200);
    scenario.move_to(60);
    scenario.request_join(&scenario.student).await.expect_problem(409, "session_ended");

    let response = scenario.request_join_with(&[(names::JOIN_MODE, "open")], &scenario.student);
    response.await.expect_problem(503, "unavailable");
    for (name, value) in [
        (names::JOIN_OWNER_BEFORE_MINUTES, "soon"),
        (names::JOIN_INVITED_BEFORE_MINUTES, "-1"),
        (names::JOIN_AFTER_END_MINUTES, "100000"),
    ] {
        let functions = DirectFunctions::new(&scenario.world, &[(name, value)]);
        let body = course_session_body(HOURS_AHEAD);
        let response = functions
            .call("session-save", "POST", "/v1/sessions", &scenario.trainer, Some(&body))
            .await;
        response.expect_problem(503, "unavailable");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_trainer_and_enrolled_students_may_join() {
    let scenario = JoinScenario::start("app").await;
    let world = &scenario.world;
    let refused = async |claims: Value| {
        let token = world.token(claims.clone()).await;
        let problem =
            world.post(&token, &scenario.join, json!({})).await.expect_problem(404, "not_found");
        assert!(problem.get("opens_at").is_none(), "{claims}: {problem}");
    };
    refused(json!({"sub": "trainer-2", "role": "trainer"})).await;
    refused(json!({"sub": "student-9", "role": "student", "email": "student9@example.test"})).await;
    for role in ["admin", "service"] {
        let token = world.token(json!({"sub": "root", "role": role})).await;
        world.post(&token, &scenario.join, json!({})).await.expect_problem(403, "forbidden");
    }
    // The trainer's user id without the trainer role.
    refused(json!({"sub": "trainer-1", "role": "student", "email": "trainer@example.test"})).await;
    // An email address does not replace an enrollment.
    refused(json!({"sub": "someone", "role": "student", "email": "student1@example.test"})).await;
    for path in ["/v1/sessions/ses_aaaaaaaaaaaaaaaaaaaaaaaaaa/join", "/v1/sessions/1/join"] {
        world.post(&scenario.student, path, json!({})).await.expect_problem(404, "not_found");
    }

    // Access is revoked between two join attempts.
    scenario.request_join(&scenario.student).await.expect(200);
    let enrollment = "/v1/directory/courses/course-1/enrollments/student-1";
    let person =
        json!({"email": "student1@example.test", "name": "Student 1", "access_granted": false});
    let service = world.service().await;
    world.put(&service, enrollment, person.clone()).await.expect(200);
    scenario.request_join(&scenario.student).await.expect_problem(404, "not_found");
    world
        .put(&service, enrollment, patched(person, json!({"access_granted": true})))
        .await
        .expect(200);
    scenario.request_join(&scenario.student).await.expect(200);
    world.delete(&service, enrollment).await.expect(204);
    scenario.request_join(&scenario.student).await.expect_problem(404, "not_found");
    let join_attempts = scenario.join_attempts().await;
    assert_eq!(
        join_attempts.len(),
        2,
        "attempts of unrelated users should not be stored: {join_attempts:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn invitee_is_matched_by_verified_email_only() {
    let world = World::start().await;
    let trainer = world.trainer().await;
    world.connect_zoom(&trainer, "app").await;
    let guests =
        json!([{"email": "Guest@Example.test", "name": "Gus"}, {"email": "student9@example.test"}]);
    let body = patched(
        session_body(HOURS_AHEAD),
        json!({"audience_type": "invitees", "invitees": guests}),
    );
    let session = ScheduledSession::schedule(&world, &trainer, body.clone()).await;
    let join = format!("{}/join", session.path);
    world.advance(session.at(-5).duration_since(world.now()));
    let person = |email: &str, verified: bool| json!({"sub": "guest-1", "role": "student", "email": email, "email_verified": verified});
    for (email, verified, status) in [
        ("guest@example.test", true, 200),
        ("GUEST@example.test", true, 200),
        ("guest@example.test", false, 404),
        ("guest@example.test.evil.test", true, 404),
        ("other@example.test", true, 404),
        ("", true, 404),
    ] {
        let token = world.token(person(email, verified)).await;
        let response = world.post(&token, &join, json!({})).await;
        assert_eq!(response.status, status, "{email} {verified}: {}", response.text);
    }
    // The student is enrolled in the course but not invited.
    world.post(&world.student(1).await, &join, json!({})).await.expect_problem(404, "not_found");
    world.post(&world.student(9).await, &join, json!({})).await.expect(200);
    // Only the trainer may join a standalone session.
    let standalone =
        ScheduledSession::schedule(&world, &trainer, session_body(HOURS_AHEAD + 1)).await;
    world.advance(standalone.at(-5).duration_since(world.now()));
    let join = format!("{}/join", standalone.path);
    world.post(&world.student(1).await, &join, json!({})).await.expect_problem(404, "not_found");
    world.post(&trainer, &join, json!({})).await.expect(200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn trainer_may_restart_ended_but_not_cancelled_session() {
    let scenario = JoinScenario::start("app").await;
    scenario
        .request_join_with(&ON_BEHALF, &scenario.student)
        .await
        .expect_problem(409, "waiting_for_host");
    scenario.session.simulate(&scenario.world, "start", json!({})).await;
    scenario.request_join(&scenario.student).await.expect(200);
    scenario.move_to(10);
    scenario.session.simulate(&scenario.world, "end", json!({})).await;
    scenario.request_join(&scenario.student).await.expect_problem(409, "session_ended");
    scenario.request_join(&scenario.trainer).await.expect(200);
    scenario.session.simulate(&scenario.world, "start", json!({})).await;
    scenario.request_join(&scenario.student).await.expect(200);
    scenario
        .world
        .post(&scenario.trainer, &format!("{}/cancel", scenario.session.path), json!({}))
        .await
        .expect(200);
    scenario.request_join(&scenario.student).await.expect_problem(409, "session_cancelled");
    scenario.request_join(&scenario.trainer).await.expect_problem(409, "session_cancelled");
    // Cancellation takes precedence over the join window.
    let later = course_session_body(HOURS_AHEAD + 24);
    let session = ScheduledSession::schedule(&scenario.world, &scenario.trainer, later).await;
    scenario
        .world
        .post(&scenario.trainer, &format!("{}/cancel", session.path), json!({}))
        .await
        .expect(200);
    let join = format!("{}/join", session.path);
    scenario
        .world
        .post(&scenario.student, &join, json!({}))
        .await
        .expect_problem(409, "session_cancelled");

    let mut join_attempts = scenario.join_attempts().await;
    join_attempts.reverse();
    let seen: Vec<_> = join_attempts
        .iter()
        .map(|(kind, actor, outcome)| (kind.as_str(), actor.as_str(), outcome.as_str()))
        .collect();
    assert_eq!(seen.len(), 7, "{seen:?}");
    for expected in [
        ("clicked_join", "student-1", "waiting_for_host"),
        ("clicked_join", "student-1", "admitted"),
        ("clicked_join", "student-1", "session_ended"),
        ("clicked_start", "trainer-1", "admitted"),
        ("clicked_join", "student-1", "session_cancelled"),
        ("clicked_start", "trainer-1", "session_cancelled"),
    ] {
        assert!(seen.contains(&expected), "{expected:?} is not among {seen:?}");
    }
}
