//! Scheduling a session: validation errors, and exactly one session with one meeting despite failures.

mod crashes;
mod failures;
mod invited_users;
mod limits;
mod unlisted_zones;
mod unused_lists;

use futures::future::{join, join_all};
use http::Method;
use jiff::SignedDuration;
use local::calls::Service;
use local::faults::{Fault, FaultKind};
use serde_json::{Value, json};

use crate::functions::wait_until;
use crate::support::{fields, invitees, patched};
use crate::world::{Response, World, course_session_body, session_body};

/// A world where `trainer-1` has connected Zoom.
async fn connected_trainer() -> (World, String) {
    let world = World::start().await;
    let trainer = world.trainer().await;
    world.connect_zoom(&trainer, "app").await;
    (world, trainer)
}

fn body_with_invitees(count: usize) -> Value {
    patched(session_body(26), json!({"audience_type": "invitees", "invitees": invitees(count)}))
}

fn manual_session_body() -> Value {
    patched(
        session_body(26),
        json!({"provider": "manual", "join_url": "https://meet.example.test/abc"}),
    )
}

/// Checks that a request left nothing: no session, no meeting, no due work, and no used quota.
async fn assert_nothing_created(world: &World, trainer: &str) {
    assert_eq!(world.list_items(trainer, "/v1/sessions").await, Vec::<Value>::new());
    assert_eq!(world.meetings(), Vec::<Value>::new());
    assert_eq!(world.items("SESSION#").await, Vec::<Value>::new());
    assert_eq!(world.due_work("REMINDER").await, Vec::<Value>::new());
    assert_eq!(world.due_work("OUTBOX").await, Vec::<Value>::new());
    assert_eq!(world.monthly_session_count("trainer-1", "2026-11").await, 0);
}

/// Checks that there is one session with its own meeting, one domain event and one used quota.
async fn assert_one_session(world: &World, trainer: &str) -> Value {
    let listed = world.list_items(trainer, "/v1/sessions").await;
    assert_eq!(listed.len(), 1, "{listed:?}");
    let meetings = world.meetings();
    assert_eq!(meetings.len(), 1, "{meetings:?}");
    assert_eq!(listed[0]["meeting"]["id"], meetings[0]["id"].to_string());
    assert_eq!(world.session_events().await, [("scheduled".to_owned(), 1, 0)]);
    assert_eq!(world.monthly_session_count("trainer-1", "2026-11").await, 1);
    assert_eq!(world.items("SESSION#").await.len(), 1, "no creation intent is left");
    listed[0].clone()
}

fn retry_after(response: &Response) -> u64 {
    let value = response.headers.get("retry-after").expect("Retry-After").to_str().expect("text");
    value.parse().expect("seconds")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_invalid_field_is_named_and_nothing_is_created() {
    let (world, trainer) = connected_trainer().await;
    let long = "x".repeat(201);
    let cases = [
        (json!({"title": null}), "title"),
        (json!({"title": "  "}), "title"),
        (json!({"title": long}), "title"),
        (json!({"title": "a\r\nBcc: x@example.test"}), "title"),
        (json!({"title": 7}), "title"),
        (json!({"description": "x".repeat(2001)}), "description"),
        (json!({"starts_at": null}), "starts_at"),
        (json!({"starts_at": "tomorrow"}), "starts_at"),
        (json!({"starts_at": "2026-11-21T08:59:59Z"}), "starts_at"),
        (json!({"starts_at": "2026-11-21T09:00:00Z"}), "starts_at"),
        (json!({"starts_at": "2027-03-28T02:30:00"}), "starts_at"),
        (json!({"timezone": "Mars/Olympus"}), "timezone"),
        (json!({"duration_minutes": null}), "duration_minutes"),
        (json!({"duration_minutes": 14}), "duration_minutes"),
        (json!({"duration_minutes": 481}), "duration_minutes"),
        (json!({"duration_minutes": 60.5}), "duration_minutes"),
        (json!({"audience_type": null}), "audience_type"),
        (json!({"audience_type": "everybody"}), "audience_type"),
        (json!({"course_id": "course-1"}), "course_id"),
        (json!({"invitees": invitees(1)}), "invitees"),
        (json!({"audience_type": "course"}), "course_id"),
        (json!({"audience_type": "invitees"}), "invitees"),
        (json!({"audience_type": "invitees", "invitees": []}), "invitees"),
        (json!({"audience_type": "invitees", "invitees": invitees(1001)}), "invitees"),
        (
            json!({"audience_type": "invitees", "invitees": [{"email": "a@example.test"}, {"email": "nobody"}]}),
            "invitees[1].email",
        ),
        (
            json!({"audience_type": "invitees", "invitees": [{"email": "a@example.test", "name": "a\u{0}b"}]}),
            "invitees[0].name",
        ),
        (json!({"audience_type": "invitees", "invitees": [{"email": 7}]}), "invitees[0].email"),
        (json!({"provider": "teams"}), "provider"),
        (json!({"provider": "manual"}), "join_url"),
        (json!({"join_url": "https://meet.example.test/a"}), "join_url"),
        (json!({"provider": "manual", "join_url": "http://meet.example.test/a"}), "join_url"),
        (json!({"provider": "manual", "join_url": "javascript:alert(1)"}), "join_url"),
        (json!({"provider": "manual", "join_url": "https://me:pw@meet.example.test/"}), "join_url"),
        (
            json!({"provider": "manual", "join_url": "https://meet.example.test/a", "record_session": true}),
            "record_session",
        ),
        (json!({"settings": {"meeting_authentication": true}}), "settings.meeting_authentication"),
        (json!({"settings": {"auto_recording": "cloud"}}), "settings.auto_recording"),
        (json!({"trainer_id": "trainer-2"}), "trainer_id"),
        (json!({"source": "payment"}), "source"),
        (json!({"colour": "red"}), "colour"),
    ];
    for (patch, field) in cases {
        let problem = world
            .create(&trainer, &patched(session_body(26), patch.clone()))
            .await
            .expect_problem(422, "validation_failed");
        assert_eq!(fields(&problem), [field], "{patch:.200}");
    }
    let all =
        patched(session_body(26), json!({"title": "", "duration_minutes": 0, "timezone": "?"}));
    let problem = world.create(&trainer, &all).await.expect_problem(422, "validation_failed");
    assert_eq!(fields(&problem), ["title", "timezone", "duration_minutes"], "all at once");
    assert_nothing_created(&world, &trainer).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn zoom_receives_a_start_time_of_the_same_instant() {
    let (world, trainer) = connected_trainer().await;
    let cases = [
        // Local times in winter and summer.
        ("2026-12-01T09:00:00Z", "Europe/Berlin", "2026-12-01T10:00:00", "Europe/Berlin"),
        ("2027-07-01T09:00:00", "Europe/Berlin", "2027-07-01T09:00:00", "Europe/Berlin"),
        // An ambiguous local hour, as local time and as instant. Zoom receives UTC.
        ("2027-10-31T02:30:00", "Europe/Berlin", "2027-10-31T00:30:00", "UTC"),
        ("2027-10-31T02:30:00+01:00", "Europe/Berlin", "2027-10-31T01:30:00", "UTC"),
        ("2028-02-29T09:00:00", "Asia/Kolkata", "2028-02-29T09:00:00", "Asia/Kolkata"),
    ];
    for (starts_at, timezone, start_time, zone_at_zoom) in cases {
        let body = patched(session_body(26), json!({"starts_at": starts_at, "timezone": timezone}));
        let made = world.create(&trainer, &body).await.expect(201);
        let meeting = world.meeting_of(&made);
        let sent = &meeting["requests"][0];
        assert_eq!(sent["start_time"], start_time, "{starts_at} {timezone}");
        assert_eq!(sent["timezone"], zone_at_zoom, "{starts_at} {timezone}");
        assert_eq!(
            meeting["start_time"], made["starts_at"],
            "the simulated Zoom computes the same instant"
        );
        assert_eq!(made["timezone"], timezone, "the session keeps its time zone");
    }
    let body = patched(session_body(26), json!({"timezone": null}));
    assert_eq!(world.create(&trainer, &body).await.expect(201)["timezone"], "Europe/Berlin");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thousand_invitees_are_accepted_and_invited() {
    let (world, trainer) = connected_trainer().await;
    let made = world.create(&trainer, &body_with_invitees(1000)).await.expect(201);
    assert_eq!(made["invitee_count"], 1000);
    assert_eq!(made["invitees"].as_array().map(Vec::len), Some(1000));
    let student = world.student(1000).await;
    assert_eq!(world.list_items(&student, "/v1/me/sessions").await.len(), 1);
    let other = world.student(1001).await;
    assert_eq!(world.list_items(&other, "/v1/me/sessions").await.len(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn invitee_list_of_a_failed_create_invites_nobody() {
    let (world, trainer) = connected_trainer().await;
    let student = world.student(1).await;
    world.fail_session_commit(FaultKind::Error, 3);
    world
        .create_with_idempotency_key(&trainer, "k", &body_with_invitees(200))
        .await
        .expect_problem(503, "unavailable");
    assert_eq!(world.list_items(&student, "/v1/me/sessions").await, Vec::<Value>::new());
    assert_nothing_created(&world, &trainer).await;

    // The list stays unused when the same key creates a session with another list.
    let fewer = patched(
        body_with_invitees(200),
        json!({"invitees": (101..=200).map(|n| json!({"email": format!("other{n}@example.test")})).collect::<Vec<_>>()}),
    );
    let made = world.create_with_idempotency_key(&trainer, "k", &fewer).await.expect(201);
    assert_eq!(made["invitees"].as_array().map(Vec::len), Some(100));
    assert_eq!(world.list_items(&student, "/v1/me/sessions").await, Vec::<Value>::new());
    assert_eq!(world.meetings().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn invitee_lists_in_and_before_a_transaction_are_stored_alike() {
    let (world, trainer) = connected_trainer().await;
    for (count, requests) in [(75, 4), (76, 4 + 5)] {
        world.stack.usage.reset();
        let made = world.create(&trainer, &body_with_invitees(count)).await.expect(201);
        let asked = world.stack.usage.service_totals("session-save", Service::Dynamodb).calls;
        assert_eq!(asked, requests, "{count} invitees");
        let shown = world.get(&trainer, &crate::support::session_path(&made)).await.expect(200);
        assert_eq!(shown["invitees"].as_array().map(Vec::len), Some(count));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn body_over_one_mebibyte_is_rejected() {
    let (world, trainer) = connected_trainer().await;
    let body = patched(session_body(26), json!({"description": "x".repeat(1024 * 1024)}));
    world.create(&trainer, &body).await.expect_problem(413, "payload_too_large");
    assert_nothing_created(&world, &trainer).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn course_of_another_trainer_is_reported_like_an_unknown_course() {
    let (world, trainer) = connected_trainer().await;
    let service = world.service().await;
    let theirs = json!({"title": "Theirs", "trainer_id": "trainer-2"});
    world.put(&service, "/v1/directory/courses/course-2", theirs).await.expect(200);
    let mut problems = Vec::new();
    for course in ["course-2", "course-404"] {
        let body = patched(course_session_body(26), json!({"course_id": course}));
        let problem = world.create(&trainer, &body).await.expect_problem(404, "not_found");
        problems.push((problem["title"].clone(), problem["detail"].clone()));
    }
    assert_eq!(problems[0], problems[1]);
    assert_nothing_created(&world, &trainer).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_trainers_and_the_platform_may_schedule() {
    let (world, trainer) = connected_trainer().await;
    let admin = world.token(json!({"sub": "a", "role": "admin"})).await;
    for token in [world.student(1).await, admin] {
        world.create(&token, &session_body(26)).await.expect_problem(403, "forbidden");
    }
    world.create("", &session_body(26)).await.expect_problem(401, "unauthenticated");
    assert_nothing_created(&world, &trainer).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn create_without_a_usable_zoom_grant_changes_nothing() {
    let world = World::start().await;
    let trainer = world.trainer().await;
    world.create(&trainer, &session_body(26)).await.expect_problem(409, "zoom_not_connected");
    let (code, state) =
        world.consent(&trainer, "decision=allow&account=app&scopes=user:read:user").await;
    world
        .post(&trainer, "/v1/zoom/connect", json!({"code": code, "state": state}))
        .await
        .expect(200);
    let problem =
        world.create(&trainer, &session_body(26)).await.expect_problem(409, "missing_scopes");
    assert_eq!(problem["missing_scopes"], json!(["meeting:write:meeting"]));
    world.connect_zoom(&trainer, "app").await;
    // The access token has expired, and the refresh token is rejected.
    world.advance(SignedDuration::from_hours(2));
    world.inject_fault(Fault::new(Service::Zoom, "token", FaultKind::InvalidGrant));
    for _ in 0..2 {
        world.create(&trainer, &session_body(26)).await.expect_problem(409, "reauth_required");
    }
    assert_eq!(world.stack.zoom.meetings(), Vec::<Value>::new());
    assert_eq!(world.items("SESSION#").await, Vec::<Value>::new());
    assert_eq!(world.monthly_session_count("trainer-1", "2026-11").await, 0);
    world.create(&trainer, &manual_session_body()).await.expect(201);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn manual_session_needs_no_zoom_connection() {
    let world = World::start().await;
    let trainer = world.trainer().await;
    let made = world.create(&trainer, &manual_session_body()).await.expect(201);
    assert_eq!(made["provider"], "manual");
    assert_eq!(
        made["meeting"],
        json!({"id": null, "join_url": "https://meet.example.test/abc", "passcode": null})
    );
    let moved = patched(
        manual_session_body(),
        json!({"join_url": "https://teams.example.test/x", "title": "Geometry"}),
    );
    let edited = world.edit(&trainer, &made, &moved).await.expect(200);
    assert_eq!(edited["meeting"]["join_url"], "https://teams.example.test/x");
    world.edit(&trainer, &made, &session_body(26)).await.expect_problem(422, "validation_failed");
    world.cancel(&trainer, &made).await.expect(200);
    let asked: u64 = ["session-save", "session-cancel"]
        .iter()
        .map(|function| world.stack.usage.service_totals(function, Service::Zoom).calls)
        .sum();
    assert_eq!(asked, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn meeting_is_private_and_unrecorded_by_default() {
    let (world, trainer) = connected_trainer().await;
    let settings_of = |made: &Value| world.meeting_of(made)["requests"][0]["settings"].clone();
    let plain = world.create(&trainer, &session_body(26)).await.expect(201);
    assert_eq!(
        settings_of(&plain),
        json!({"auto_recording": "none", "waiting_room": false, "join_before_host": false})
    );
    let asked = json!({"record_session": true, "settings": {"waiting_room": true, "mute_upon_entry": true, "host_video": false}});
    let special =
        world.create(&trainer, &patched(session_body(26), asked.clone())).await.expect(201);
    assert_eq!(
        settings_of(&special),
        json!({"auto_recording": "cloud", "waiting_room": true, "join_before_host": false, "mute_upon_entry": true, "host_video": false})
    );
    assert_eq!(special["settings"], asked["settings"]);
    let sent = world.meeting_of(&plain)["requests"][0].clone();
    assert_eq!(sent["type"], 2);
    assert!(sent["password"].as_str().is_some_and(|code| code.len() <= 10 && code.len() >= 8));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn drift_shows_before_the_session_that_zoom_will_not_record() {
    let (world, trainer) = connected_trainer().await;
    let forbid_at_zoom = async |settings: Value| {
        let knobs = json!({"accounts": {"app": {"forbid": settings}}});
        world.post("", "/zoom/sim/knobs", knobs).await.expect(200);
    };
    let recorded = patched(session_body(26), json!({"record_session": true}));
    forbid_at_zoom(json!(["auto_recording=cloud"])).await;
    let made = world.create(&trainer, &recorded).await.expect(201);
    assert_eq!(
        (&made["record_session"], &made["drift"]),
        (&json!(true), &json!(["record_session"]))
    );
    let plain = world.create(&trainer, &session_body(26)).await.expect(201);
    assert_eq!(plain["drift"], json!([]));
    // A later request for recording is verified, because Zoom accepts it without an error.
    let edited = world.edit(&trainer, &plain, &recorded).await.expect(200);
    assert_eq!(edited["drift"], json!(["record_session"]));
    // Other changes at Zoom and unsuccessful edits do not clear the drift.
    let retitled = patched(recorded.clone(), json!({"title": "Geometry"}));
    let edited = world.edit(&trainer, &made, &retitled).await.expect(200);
    assert_eq!(edited["drift"], json!(["record_session"]));
    world.stack.zoom.deliver_due().await;
    let shown = world.get(&trainer, &crate::support::session_path(&made)).await.expect(200);
    assert_eq!(shown["drift"], json!(["record_session"]));
    forbid_at_zoom(json!([])).await;
    let edited = world.edit(&trainer, &made, &recorded).await.expect(200);
    assert_eq!(edited["drift"], json!([]));
    let edited = world.edit(&trainer, &plain, &session_body(26)).await.expect(200);
    assert_eq!(edited["drift"], json!([]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn start_url_of_a_host_is_rejected_as_join_url() {
    let (world, trainer) = connected_trainer().await;
    for link in ["https://us05web.zoom.us/s/98765432101?zak=eyJ", "https://zoom.us/j/1?zak=eyJ"] {
        let body = patched(manual_session_body(), json!({"join_url": link}));
        let problem = world.create(&trainer, &body).await.expect_problem(422, "validation_failed");
        assert_eq!(fields(&problem), ["join_url"]);
    }
    let body_with_invitees = json!({"join_url": "https://us05web.zoom.us/j/98765432101?pwd=x"});
    world.create(&trainer, &patched(manual_session_body(), body_with_invitees)).await.expect(201);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn join_credentials_are_encrypted_and_start_url_is_not_stored() {
    let (world, trainer) = connected_trainer().await;
    let made = world.create(&trainer, &session_body(26)).await.expect(201);
    let passcode = made["meeting"]["passcode"].as_str().expect("a passcode");
    let join_url = made["meeting"]["join_url"].as_str().expect("a link");
    assert_eq!(world.meeting_of(&made)["password"], passcode);
    let everything = json!(world.dump().await).to_string();
    let tokens = world.stack.zoom.snapshot();
    let access = tokens["access_tokens"].as_object().expect("tokens").keys().cloned();
    let refresh = tokens["grants"].as_object().expect("grants").values();
    let refresh = refresh.map(|grant| grant["refresh_token"].as_str().expect("a token").to_owned());
    let secrets: Vec<String> = access.chain(refresh).collect();
    assert!(secrets.len() >= 2);
    for secret in
        secrets.iter().map(String::as_str).chain([passcode, join_url, "zak=", "start_url"])
    {
        assert!(!everything.contains(secret), "{secret} is stored");
    }
    assert!(!made.to_string().contains("zak="));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn repeated_create_with_one_key_makes_one_session() {
    let (world, trainer) = connected_trainer().await;
    let made =
        world.create_with_idempotency_key(&trainer, "key-1", &session_body(26)).await.expect(201);
    let again =
        world.create_with_idempotency_key(&trainer, "key-1", &session_body(26)).await.expect(201);
    assert_eq!(made, again);
    assert_one_session(&world, &trainer).await;
    let other = patched(session_body(26), json!({"title": "Geometry"}));
    for body in [&other, &manual_session_body()] {
        world
            .create_with_idempotency_key(&trainer, "key-1", body)
            .await
            .expect_problem(422, "idempotency_key_reused");
    }
    // The same key of another trainer is independent.
    let tom = world.other_trainer().await;
    let theirs =
        world.create_with_idempotency_key(&tom, "key-1", &manual_session_body()).await.expect(201);
    assert_ne!(theirs["id"], made["id"]);
    for key in ["", &"k".repeat(256)] {
        world
            .create_with_idempotency_key(&trainer, key, &session_body(26))
            .await
            .expect_problem(422, "validation_failed");
    }
    // The session has changed since, but the key still refers to it.
    let edited = world.edit(&trainer, &made, &other).await.expect(200);
    assert_eq!(
        world.create_with_idempotency_key(&trainer, "key-1", &session_body(26)).await.expect(201),
        edited
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn create_repeated_after_the_start_returns_the_session() {
    let (world, trainer) = connected_trainer().await;
    let made =
        world.create_with_idempotency_key(&trainer, "key-1", &session_body(1)).await.expect(201);
    world.advance(SignedDuration::from_hours(2));
    let again = world.create_with_idempotency_key(&trainer, "key-1", &session_body(1)).await;
    assert!(again.headers.contains_key("location"));
    // The join window has closed meanwhile.
    let without_window = |session: Value| patched(session, json!({"join": null}));
    assert_eq!(without_window(again.expect(201)), without_window(made));
    // Only an identical request is a repetition.
    for (key, body) in [
        ("key-2", session_body(1)),
        ("key-1", patched(session_body(1), json!({"title": "Geometry"}))),
    ] {
        let refused = world
            .create_with_idempotency_key(&trainer, key, &body)
            .await
            .expect_problem(422, "validation_failed");
        assert_eq!(fields(&refused), ["starts_at"]);
    }
    let tom = world.other_trainer().await;
    world
        .create_with_idempotency_key(&tom, "key-1", &session_body(1))
        .await
        .expect_problem(422, "validation_failed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn array_is_rejected_as_object_and_date_as_start_time() {
    let (world, trainer) = connected_trainer().await;
    let listed = json!(["Algebra I", null, "standalone"]);
    let invitee_as_list = patched(
        session_body(26),
        json!({"audience_type": "invitees", "invitees": [["ada@example.test", "Ada"]]}),
    );
    let date = patched(session_body(26), json!({"starts_at": "2026-12-01"}));
    for (body, field, message) in [
        (listed, "body", "must be an object"),
        (invitee_as_list, "invitees[0]", "must be an object"),
        (patched(session_body(26), json!({"settings": [true]})), "settings", "must be an object"),
        (
            patched(session_body(26), json!({"duration_minutes": "60"})),
            "duration_minutes",
            "must be a whole number",
        ),
        (
            date,
            "starts_at",
            "must be a time with an offset such as 2026-12-01T09:00:00Z (RFC 3339), or a local time such as \
             2026-12-01T10:00:00",
        ),
    ] {
        let refused = world.create(&trainer, &body).await.expect_problem(422, "validation_failed");
        assert_eq!(refused["errors"], json!([{"field": field, "message": message}]), "{body}");
    }
    assert_nothing_created(&world, &trainer).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_creates_with_one_key_make_one_session_and_meeting() {
    for body in [session_body(26), manual_session_body(), body_with_invitees(80)] {
        let (world, trainer) = connected_trainer().await;
        let all = (0..20).map(|_| world.create_with_idempotency_key(&trainer, "one", &body));
        let made: Vec<_> =
            join_all(all).await.into_iter().map(|response| response.expect(201)).collect();
        assert!(made.iter().all(|one| *one == made[0]), "all responses are equal");
        assert_eq!(world.list_items(&trainer, "/v1/sessions").await.len(), 1);
        let meetings = usize::from(body["provider"] != "manual");
        assert_eq!(
            world.stack.zoom.meetings().len(),
            meetings,
            "no meeting was created and deleted again"
        );
        assert_eq!(world.monthly_session_count("trainer-1", "2026-11").await, 1);
        assert_eq!(world.session_events().await.len(), 1);
        assert_eq!(world.due_work("REPAIR").await, Vec::<Value>::new());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn request_that_read_before_another_created_makes_no_second_meeting() {
    let (world, trainer) = connected_trainer().await;
    let body = session_body(26);
    let create = || world.create_with_idempotency_key(&trainer, "one", &body);
    let late = Fault::new(Service::Dynamodb, "BatchGetItem", FaultKind::Late);
    let late = late.for_function("session-save");
    world.inject_fault(Fault { delay_ms: Some(1500), ..late });
    let other = async {
        wait_until("the first request has read", || world.stack.faults.list().is_empty()).await;
        create().await.expect(201)
    };
    let (slow, other) = join(create(), other).await;
    assert_eq!(slow.expect(201), other);
    assert_eq!(world.stack.zoom.meetings().len(), 1);
    assert_eq!(world.monthly_session_count("trainer-1", "2026-11").await, 1);
    assert_eq!(world.due_work("REPAIR").await, Vec::<Value>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn platform_schedules_for_trainers_and_states_the_source() {
    let (world, trainer) = connected_trainer().await;
    let service = world.service().await;
    let manual = world.create(&trainer, &session_body(26)).await.expect(201);
    assert_eq!(manual["source"], "manual");
    for (patch, source) in [
        (json!({"trainer_id": "trainer-1"}), "service"),
        (json!({"trainer_id": "trainer-1", "source": "payment"}), "payment"),
        (json!({"trainer_id": "trainer-1", "source": "schedule"}), "schedule"),
    ] {
        let made = world.create(&service, &patched(session_body(26), patch)).await.expect(201);
        assert_eq!(made["source"], source);
        world.get(&trainer, &crate::support::session_path(&made)).await.expect(200);
    }
    for (patch, field) in [
        (json!({}), "trainer_id"),
        (json!({"trainer_id": "trainer-1", "source": "manual"}), "source"),
        (json!({"trainer_id": "a#b"}), "trainer_id"),
    ] {
        let problem = world
            .create(&service, &patched(session_body(26), patch))
            .await
            .expect_problem(422, "validation_failed");
        assert_eq!(fields(&problem), [field]);
    }
    let body = patched(session_body(26), json!({"trainer_id": "trainer-2"}));
    world.create(&service, &body).await.expect_problem(409, "zoom_not_connected");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unusual_texts_are_stored_unchanged_or_rejected() {
    let (world, trainer) = connected_trainer().await;
    let unusual = "👩‍🏫 درس مباشر <script>alert(1)</script> =cmd|' /C calc'!A0 \u{202e}x";
    let body = patched(
        session_body(26),
        json!({"title": unusual, "description": format!("{unusual}\r\n\ttwo")}),
    );
    let made = world.create(&trainer, &body).await.expect(201);
    assert_eq!(made["title"], unusual);
    assert_eq!(made["description"], format!("{unusual}\n\ttwo"));
    assert_eq!(world.meeting_of(&made)["topic"], unusual);
    let invisible = "\u{200b}\u{2060} \u{3164}".to_owned();
    for title in ["a\u{0}b".to_owned(), "a\nb".to_owned(), invisible, "x".repeat(64 * 1024)] {
        let body = patched(session_body(26), json!({"title": title}));
        world.create(&trainer, &body).await.expect_problem(422, "validation_failed");
    }
    let text =
        world.call(Method::POST, "/v1/sessions", &trainer, Some(json!("nonsense")), &[]).await;
    text.expect_problem(422, "validation_failed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn create_repeated_after_its_start_returns_the_session() {
    let (world, trainer) = connected_trainer().await;
    let local_start = patched(session_body(26), json!({"starts_at": "2026-11-22T18:00:00"}));
    let bodies = [("a", session_body(24)), ("b", local_start)];
    let create = async |key: &str, body: &Value| {
        world.create_with_idempotency_key(&trainer, key, body).await
    };
    let mut made = Vec::new();
    for (key, body) in &bodies {
        made.push(create(key, body).await.expect(201));
    }
    world.advance(SignedDuration::from_hours(48));
    let trainer = world.trainer().await;
    let create = async |key: &str, body: &Value| {
        world.create_with_idempotency_key(&trainer, key, body).await
    };
    for ((key, body), made) in bodies.iter().zip(made) {
        assert_eq!(create(key, body).await.expect(201)["id"], made["id"]);
        let refused = create("c", body).await.expect_problem(422, "validation_failed");
        assert_eq!(fields(&refused), ["starts_at"]);
    }
}
