//! A trainer's defaults for the fields that a request leaves out.

use super::*;

const LINK: &str = "https://meet.example.test/tara";

/// A world in which `trainer-1` has connected Zoom and has these defaults.
async fn with_defaults(defaults: Value) -> (World, String) {
    let world = World::start().await;
    let trainer = world.trainer().await;
    world.connect_zoom(&trainer, "app").await;
    put_defaults(&world, "pro", defaults).await;
    (world, trainer)
}

async fn put_defaults(world: &World, plan: &str, defaults: Value) {
    let user = json!({"email": "trainer@example.test", "plan": plan, "defaults": defaults});
    world.put_user("trainer-1", user).await;
}

/// The values of a session that have defaults: provider, recording, settings, and the manual link.
fn values(session: &Value) -> Value {
    let is_manual = session["provider"] == "manual";
    let link = if is_manual { session["meeting"]["join_url"].clone() } else { Value::Null };
    json!([session["provider"], session["record_session"], session["settings"], link])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_of_trainer_and_service_get_the_defaults_of_the_trainer() {
    let settings = json!({"waiting_room": true});
    let (world, trainer) =
        with_defaults(json!({"record_session": true, "settings": settings, "join_url": LINK}))
            .await;
    let service = world.service().await;
    let by_default = json!(["zoom", true, settings, null]);
    let manual = json!({"provider": "manual"});
    for (hours, patch, expected) in [
        (26, json!({}), by_default.clone()),
        (30, json!({"record_session": false}), json!(["zoom", false, settings, null])),
        (32, json!({"settings": {}}), json!(["zoom", true, {}, null])),
        (34, manual.clone(), json!(["manual", false, {}, LINK])),
    ] {
        for (caller, more) in
            [(&trainer, json!({})), (&service, json!({"trainer_id": "trainer-1"}))]
        {
            let body = patched(patched(session_body(hours), patch.clone()), more);
            let session = world.create(caller, &body).await.expect(201);
            assert_eq!(values(&session), expected, "{body}");
            if session["provider"] == "zoom" {
                let sent = &world.meeting_of(&session)["requests"][0]["settings"];
                let cloud = if expected[1] == true { "cloud" } else { "none" };
                assert_eq!(sent["auto_recording"], cloud, "{sent}");
                assert_eq!(sent["waiting_room"], expected[2]["waiting_room"] == true, "{sent}");
            }
        }
    }
    // The defaults of another trainer do not count.
    let of_other =
        patched(session_body(36), json!({"trainer_id": "trainer-2", "provider": "manual"}));
    let problem = world.create(&service, &of_other).await.expect_problem(422, "validation_failed");
    assert_eq!(fields(&problem), ["join_url"]);
    let stored = Value::Array(world.dump().await).to_string();
    assert!(!stored.contains(LINK), "the link is encrypted at rest");
    // The next request replaces the whole user.
    world.put_user("trainer-1", json!({})).await;
    let session = world.create(&trainer, &session_body(38)).await.expect(201);
    assert_eq!(values(&session), json!(["zoom", false, {}, null]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn default_provider_is_used_until_an_edit_keeps_the_provider() {
    let (world, trainer) = with_defaults(json!({"provider": "manual", "join_url": LINK})).await;
    let body = session_body(26);
    let session = world.create(&trainer, &body).await.expect(201);
    assert_eq!(values(&session), json!(["manual", false, {}, LINK]));
    assert_eq!(world.meetings(), Vec::<Value>::new());
    let own = patched(session_body(28), json!({"join_url": "https://meet.example.test/other"}));
    let own = world.create(&trainer, &own).await.expect(201);
    assert_eq!(own["meeting"]["join_url"], "https://meet.example.test/other");
    // On Zoom, a link of the request is refused as before.
    put_defaults(&world, "pro", json!({"join_url": "https://meet.example.test/new"})).await;
    let linked = patched(session_body(30), json!({"join_url": LINK}));
    let problem = world.create(&trainer, &linked).await.expect_problem(422, "validation_failed");
    assert_eq!(fields(&problem), ["join_url"]);
    // The class stays manual, and follows the changed link.
    let edited = world.edit(&trainer, &session, &body).await.expect(200);
    assert_eq!(values(&edited)[3], "https://meet.example.test/new");
    assert_eq!(edited["version"], 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn repeated_body_changes_nothing_and_a_repeated_create_ignores_new_defaults() {
    let (world, trainer) =
        with_defaults(json!({"record_session": true, "settings": {"waiting_room": true}})).await;
    let body = session_body(26);
    let create = || world.create_with_idempotency_key(&trainer, "k-1", &body);
    let session = create().await.expect(201);
    assert_eq!(world.edit(&trainer, &session, &body).await.expect(200), session);
    assert_eq!(world.meeting_updates(&session), Vec::<Value>::new());
    put_defaults(&world, "pro", json!({})).await;
    assert_eq!(create().await.expect(201), session);
    // An edit replaces the whole class.
    let edited = world.edit(&trainer, &session, &body).await.expect(200);
    assert_eq!((&values(&edited)[1], &edited["version"]), (&json!(false), &json!(2)));
    let sent = &world.meeting_updates(&session)[0]["settings"];
    assert_eq!((&sent["auto_recording"], &sent["waiting_room"]), (&json!("none"), &json!(false)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_attempt_of_a_create_uses_the_defaults_of_the_first() {
    let (world, trainer) = with_defaults(json!({"record_session": true})).await;
    let body = session_body(26);
    let create = || world.create_with_idempotency_key(&trainer, "k-1", &body);
    world.fail_session_commit(FaultKind::Error, 200);
    assert!(create().await.status.is_server_error());
    world.stack.faults.clear();
    put_defaults(&world, "pro", json!({})).await;
    world.advance(SignedDuration::from_secs(31));
    let session = create().await.expect(201);
    let meeting = world.meeting_of(&session);
    assert_eq!(session["record_session"], true, "like the meeting that exists: {meeting}");
    assert_eq!(meeting["requests"][0]["settings"]["auto_recording"], "cloud");
    assert_eq!(world.meetings().len(), 1);
    let session = world.create(&trainer, &session_body(28)).await.expect(201);
    assert_eq!(session["record_session"], false);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn default_that_the_plan_forbids_is_refused_and_named() {
    let (world, trainer) = with_defaults(json!({})).await;
    put_defaults(&world, "free", json!({"record_session": true})).await;
    let detail = |problem: Value| problem["detail"].as_str().expect("a text").to_owned();
    let refused = world.create(&trainer, &session_body(26)).await.expect_problem(403, "plan_limit");
    assert!(detail(refused).contains("default for `record_session`"));
    let own = patched(session_body(26), json!({"record_session": true}));
    let refused = world.create(&trainer, &own).await.expect_problem(403, "plan_limit");
    assert!(!detail(refused).contains("default"));
    let without = patched(session_body(26), json!({"record_session": false}));
    let session = world.create(&trainer, &without).await.expect(201);
    let refused = world.edit(&trainer, &session, &session_body(26)).await;
    assert!(detail(refused.expect_problem(403, "plan_limit")).contains("default"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn defaults_are_checked_like_the_fields_of_a_class() {
    let (world, trainer) = with_defaults(json!({"record_session": true})).await;
    let service = world.service().await;
    let user =
        json!({"email": "trainer@example.test", "name": "Tara", "role": "trainer", "plan": "pro"});
    for (defaults, field) in [
        (json!({"provider": "theatre"}), "defaults.provider"),
        (json!({"record_session": "yes"}), "defaults.record_session"),
        (json!({"settings": {"auto_recording": "cloud"}}), "defaults.settings.auto_recording"),
        (json!({"settings": {"waiting_room": 1}}), "defaults.settings.waiting_room"),
        (json!({"join_url": "http://meet.example.test"}), "defaults.join_url"),
        (json!({"join_url": "https://zoom.us/s/1?zak=x"}), "defaults.join_url"),
        (json!({"hosting": "platform"}), "defaults.hosting"),
        (json!([]), "defaults"),
    ] {
        let body = patched(user.clone(), json!({ "defaults": defaults }));
        let response = world.put(&service, "/v1/directory/users/trainer-1", body.clone()).await;
        assert_eq!(fields(&response.expect_problem(422, "validation_failed")), [field], "{body}");
        let line = patched(body, json!({"type": "user", "id": "trainer-1"}));
        let outcome = world
            .send_raw(Method::POST, "/v1/directory/import", &service, line.to_string().into_bytes())
            .await
            .expect(200);
        assert_eq!(outcome["rejected"][0]["field"], field, "{outcome}");
    }
    let session = world.create(&trainer, &session_body(26)).await.expect(201);
    assert_eq!(session["record_session"], true, "the valid defaults stay");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn import_and_events_have_the_same_defaults() {
    let (world, trainer) = with_defaults(json!({})).await;
    let user = |defaults: Value| {
        json!({"id": "trainer-1", "email": "trainer@example.test", "name": "Tara",
            "role": "trainer", "plan": "pro", "defaults": defaults})
    };
    let manual = json!({"provider": "manual", "join_url": LINK});
    let line = patched(user(manual.clone()), json!({"type": "user"})).to_string();
    assert_eq!(import(&world, &line).await.expect(200)["accepted"], 1);
    let session = world.create(&trainer, &session_body(26)).await.expect(201);
    assert_eq!(session["meeting"]["join_url"], LINK);
    send_event(&world, "UserUpserted", user(json!({"record_session": true})))
        .await
        .expect("an accepted event");
    let session = world.create(&trainer, &session_body(28)).await.expect(201);
    assert_eq!(values(&session), json!(["zoom", true, {}, null]));
    send_event(&world, "UserDeleted", json!({"id": "trainer-1"})).await.expect("accepted");
    assert_eq!(world.items("USER#trainer-1").await, Vec::<Value>::new());
}
