//! A grant that replaces another one, and grants that cannot be stored.

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reconnecting_replaces_and_revokes_previous_grant() {
    let world = World::start().await;
    let trainer = world.trainer().await;
    world.connect_zoom(&trainer, "app").await;
    let first = grants(&world);
    let (user, grant) = first.iter().next().expect("a grant");
    // For the same Zoom user, Zoom revokes the earlier grant itself.
    world.advance(SignedDuration::from_secs(1));
    let again = world.connect_zoom(&trainer, "app").await;
    assert_eq!(again["connected_at"], json!(world.now()));
    assert_ne!(grants(&world)[user]["refresh_token"], grant["refresh_token"]);
    world.post(&trainer, "/v1/sessions", session_body(26)).await.expect(201);
    // For another Zoom user, the service has to revoke the earlier grant.
    let other = world.connect_zoom(&trainer, "other").await;
    assert_eq!(other["zoom_email"], "trainer@other.zoom.test");
    assert!(
        !grants(&world).contains_key(user),
        "the grant of the earlier account should be revoked"
    );
    assert_eq!(grants(&world).len(), 1);
    assert_eq!(items_with_prefix(&world, TOKENS_TABLE, "TRAINER#").await.len(), 1);
    assert_eq!(items_with_prefix(&world, TOKENS_TABLE, "ZOOMUSER#").await.len(), 1);
    world.post(&trainer, "/v1/sessions", session_body(30)).await.expect(201);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn zoom_user_belongs_to_last_trainer_who_connected() {
    let world = World::start().await;
    let (first, second) = (world.trainer().await, world.other_trainer().await);
    let third_claims = json!({"sub": "trainer-3", "role": "trainer", "email": "t3@example.test"});
    let third = world.token(third_claims).await;
    connect_zoom_user(&world, &first, "shared@zoom.test").await;
    connect_zoom_user(&world, &second, "shared@zoom.test").await;
    assert_eq!(status(&world, &first).await, "reauth_required");
    assert_eq!(status(&world, &second).await, "connected");
    let events = items_with_prefix(&world, MAIN_TABLE, "DUE#OUTBOX").await;
    assert_eq!(events.len(), 1, "only the first trainer should be notified");
    assert_eq!(string_attr(&events[0], "event"), "reauth_required");
    assert_eq!(string_attr(&events[0], "trainer_id"), "trainer-1");
    world
        .post(&first, "/v1/sessions", session_body(26))
        .await
        .expect_problem(409, "reauth_required");
    world.post(&second, "/v1/sessions", session_body(26)).await.expect(201);

    // Changes of the previous trainer's connection do not affect the new one.
    connect_zoom_user(&world, &first, "own@zoom.test").await;
    assert_eq!(status(&world, &first).await, "connected");
    connect_zoom_user(&world, &third, "shared@zoom.test").await;
    assert_eq!(
        status(&world, &second).await,
        "reauth_required",
        "the Zoom user should still map to this trainer"
    );
    world.delete(&second, CONNECTION).await.expect(204);
    assert_eq!(status(&world, &third).await, "connected");
    connect_zoom_user(&world, &second, "shared@zoom.test").await;
    assert_eq!(
        status(&world, &third).await,
        "reauth_required",
        "the Zoom user should still map to this trainer"
    );
    assert_eq!(status(&world, &second).await, "connected");
    world.post(&second, "/v1/sessions", session_body(30)).await.expect(201);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failed_token_exchange_leaves_no_grant() {
    let world = World::start().await;
    let trainer = world.trainer().await;
    let broken = [
        (Fault::new(Zoom, "token", FaultKind::Error), 502, "zoom_unavailable"),
        (Fault::new(Zoom, "token", FaultKind::Html), 502, "zoom_unavailable"),
        (
            Fault { status: Some(200), ..Fault::new(Zoom, "token", FaultKind::Html) },
            502,
            "zoom_unavailable",
        ),
        (
            Fault { status: Some(400), ..Fault::new(Zoom, "token", FaultKind::Html) },
            502,
            "zoom_rejected",
        ),
        (Fault::new(Zoom, "token", FaultKind::Unauthorized), 502, "zoom_rejected"),
        (Fault::new(Zoom, "token", FaultKind::ThrottleSeconds), 429, "zoom_rate_limited"),
        // Reads are attempted twice.
        (Fault::new(Zoom, "get_user", FaultKind::Error).times(2), 502, "zoom_unavailable"),
        (Fault::new(Zoom, "get_user", FaultKind::Half), 502, "zoom_unavailable"),
    ];
    for (broken, status, code) in broken {
        let fault_name = format!("{broken:?}");
        let (zoom_code, state) = world.consent(&trainer, "decision=allow").await;
        fault(&world, broken);
        let response = finish_connect(&world, &trainer, &zoom_code, &state).await;
        assert_eq!(response.status, status, "{fault_name}: {}", response.text);
        let retry_after = response.headers.get("retry-after").cloned();
        assert!(retry_after.is_some(), "{fault_name}");
        response.expect_problem(status, code);
        assert!(grants(&world).is_empty(), "{fault_name} left a grant");
        assert!(world.stack.faults.list().is_empty(), "{fault_name} should have occurred");
    }
    assert_eq!(status(&world, &trainer).await, "not_connected");
    // A single failure of a repeatable call is retried.
    let (code, state) = world.consent(&trainer, "decision=allow").await;
    fault(&world, Fault::new(Zoom, "get_user", FaultKind::Error));
    finish_connect(&world, &trainer, &code, &state).await.expect(200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn single_table_failure_while_connecting_is_retried() {
    let world = World::start().await;
    let trainer = world.trainer().await;
    for single_fault in [
        Fault::new(Dynamodb, "PutItem", FaultKind::Throttle).for_function("connect"),
        Fault::new(Dynamodb, "PutItem", FaultKind::Conflict).for_function("connect"),
        Fault::new(Dynamodb, CLAIM_ATTEMPT, FaultKind::Throttle).for_function("connect"),
        Fault::new(Dynamodb, CLAIM_ATTEMPT, FaultKind::Conflict).for_function("connect"),
        Fault::new(Dynamodb, CLAIM_ATTEMPT, FaultKind::Lost).for_function("connect"),
        Fault::new(Dynamodb, "GetItem", FaultKind::Error).for_function("connect"),
        Fault::new(Dynamodb, "TransactWriteItems", FaultKind::Throttle).for_function("connect"),
        Fault::new(Dynamodb, "TransactWriteItems", FaultKind::Conflict).for_function("connect"),
        Fault::new(Dynamodb, "TransactWriteItems", FaultKind::Lost).for_function("connect"),
        Fault::new(Dynamodb, "TransactWriteItems", FaultKind::Half).for_function("connect"),
        Fault::new(Dynamodb, "TransactWriteItems", FaultKind::Error).for_function("connect"),
    ] {
        let fault_name = format!("{single_fault:?}");
        fault(&world, single_fault);
        let (code, state) = world.consent(&trainer, "decision=allow&account=app").await;
        let response = finish_connect(&world, &trainer, &code, &state).await;
        assert_eq!(response.status, 200, "{fault_name}: {}", response.text);
        assert!(world.stack.faults.list().is_empty(), "{fault_name} should have occurred");
        let now_at_zoom = grants(&world);
        assert_eq!(now_at_zoom.len(), 1, "{fault_name}");
        // The stored tokens are the ones that are valid at Zoom.
        world.stack.zoom.expire_access_tokens();
        world.post(&trainer, "/v1/sessions", session_body(26)).await.expect(201);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unstored_grant_is_revoked() {
    let world = World::start().await;
    let trainer = world.trainer().await;
    let (code, state) = world.consent(&trainer, "decision=allow").await;
    fault(
        &world,
        Fault::new(Dynamodb, "TransactWriteItems", FaultKind::Error)
            .times(3)
            .for_function("connect"),
    );
    let response = finish_connect(&world, &trainer, &code, &state).await;
    assert!(response.headers.contains_key("retry-after"));
    response.expect_problem(503, "unavailable");
    assert_eq!(status(&world, &trainer).await, "not_connected");
    assert!(grants(&world).is_empty(), "a grant that is not stored should be revoked");
    // A new attempt succeeds.
    world.connect_zoom(&trainer, "app").await;

    // A table failure before the token exchange changes nothing.
    let (code, state) = world.consent(&trainer, "decision=allow").await;
    let before = grants(&world);
    fault(
        &world,
        Fault::new(Dynamodb, CLAIM_ATTEMPT, FaultKind::Error).times(3).for_function("connect"),
    );
    finish_connect(&world, &trainer, &code, &state).await.expect_problem(503, "unavailable");
    fault(
        &world,
        Fault::new(Dynamodb, "BatchGetItem", FaultKind::Error).times(3).for_function("connect"),
    );
    world.get(&trainer, CONNECTION).await.expect_problem(503, "unavailable");
    assert_eq!(grants(&world), before);
    finish_connect(&world, &trainer, &code, &state).await.expect(200);
}
