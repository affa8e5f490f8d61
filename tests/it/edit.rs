//! Editing a session: partial updates of the meeting, versions, concurrent edits, and consistency with Zoom after
//! failures.

use futures::future::join_all;
use jiff::SignedDuration;
use local::calls::Service;
use local::faults::{Fault, FaultKind};
use serde_json::{Value, json};

use crate::late_answers::finish_repairs;
use crate::support::{invitees, patched, session_path};
use crate::world::{World, course_session_body, session_body};

async fn scheduled(body: &Value) -> (World, String, Value) {
    let world = World::start().await;
    let trainer = world.trainer().await;
    world.connect_zoom(&trainer, "app").await;
    let session = world.create(&trainer, body).await.expect(201);
    (world, trainer, session)
}

fn titled(title: &str) -> Value {
    patched(session_body(50), json!({"title": title}))
}

/// Asserts that the meeting at Zoom has the values of the session.
#[track_caller]
fn assert_meeting_matches(world: &World, session: &Value) {
    let meeting = world.meeting_of(session);
    for (session_field, meeting_field) in [
        ("title", "topic"),
        ("starts_at", "start_time"),
        ("timezone", "timezone"),
        ("duration_minutes", "duration"),
    ] {
        assert_eq!(session[session_field], meeting[meeting_field], "{meeting}");
    }
    assert!(meeting["agenda"].as_str().is_some_and(|agenda| {
        agenda.starts_with(session["description"].as_str().unwrap_or_default())
    }));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn zoom_update_contains_only_changed_fields() {
    let (world, trainer, session) = scheduled(&session_body(50)).await;
    let marker = format!("[live class {}]", session["id"].as_str().expect("an id"));
    let mut body = session_body(50);
    let steps = [
        (json!({"title": "Geometry"}), json!({"topic": "Geometry"})),
        (
            json!({"description": "Bring a pencil."}),
            json!({"agenda": format!("Bring a pencil.\n\n{marker}")}),
        ),
        (json!({"duration_minutes": 90}), json!({"duration": 90})),
        (
            json!({"starts_at": "2026-12-01T09:00:00Z"}),
            json!({"start_time": "2026-12-01T10:00:00", "timezone": "Europe/Berlin"}),
        ),
        (
            json!({"timezone": "Asia/Kolkata"}),
            json!({"start_time": "2026-12-01T14:30:00", "timezone": "Asia/Kolkata"}),
        ),
        (json!({"record_session": true}), json!({"settings": {"auto_recording": "cloud"}})),
        (
            json!({"settings": {"mute_upon_entry": true}}),
            json!({"settings": {"mute_upon_entry": true}}),
        ),
        (
            json!({"settings": {"mute_upon_entry": true, "waiting_room": true}}),
            json!({"settings": {"waiting_room": true}}),
        ),
        (
            json!({"title": "Stereometry", "duration_minutes": 45}),
            json!({"topic": "Stereometry", "duration": 45}),
        ),
    ];
    let mut expected = Vec::new();
    for (change, patch) in steps {
        body = patched(body, change);
        let edited = world.edit(&trainer, &session, &body).await.expect(200);
        expected.push(patch);
        assert_eq!(world.meeting_updates(&session), expected);
        assert_meeting_matches(&world, &edited);
    }
    // Changes that do not affect the meeting.
    for change in [
        json!({"audience_type": "course", "course_id": "course-1"}),
        json!({"audience_type": "invitees", "course_id": null, "invitees": invitees(3)}),
        json!({}),
    ] {
        body = patched(body, change);
        world.edit(&trainer, &session, &body).await.expect(200);
        assert_eq!(world.meeting_updates(&session), expected);
    }
    assert_eq!(world.due_work("REPAIR").await, Vec::<Value>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn version_increases_per_edit_and_sequence_per_calendar_change() {
    let (world, trainer, session) = scheduled(&session_body(50)).await;
    let mut body = session_body(50);
    let mut events = vec![("scheduled".to_owned(), 1, 0)];
    let steps = [
        // Change, new version, new sequence, and whether recipients are notified.
        (json!({}), 1, 0, false),
        (json!({"title": "Geometry"}), 2, 1, true),
        (json!({"title": "Geometry"}), 2, 1, false),
        (json!({"record_session": true}), 3, 1, false),
        (json!({"settings": {"watermark": true}}), 4, 1, false),
        (json!({"description": "x"}), 5, 2, true),
        (json!({"timezone": "Europe/Paris"}), 6, 3, true),
        (json!({"duration_minutes": 30}), 7, 4, true),
        (json!({"audience_type": "course", "course_id": "course-1"}), 8, 5, true),
        (
            json!({"audience_type": "invitees", "course_id": null, "invitees": invitees(2)}),
            9,
            6,
            true,
        ),
        (json!({"invitees": invitees(3)}), 10, 7, true),
        (
            json!({"invitees": [{"email": "STUDENT2@example.test", "name": "Student 2"}, {"email": "student1@example.test", "name": "Student 1"}, {"email": "student3@example.test", "name": "Student 3"}]}),
            10,
            7,
            false,
        ),
    ];
    for (change, version, sequence, is_notified) in steps {
        world.advance(SignedDuration::from_secs(1));
        body = patched(body, change.clone());
        let response = world.edit(&trainer, &session, &body).await;
        assert_eq!(response.headers["etag"], format!("\"{version}\"").as_str(), "{change}");
        let edited = response.expect(200);
        assert_eq!(
            (&edited["version"], &edited["ics_sequence"]),
            (&json!(version), &json!(sequence)),
            "{change}"
        );
        if is_notified {
            events.push(("updated".to_owned(), version, sequence));
        }
        assert_eq!(world.session_events().await, events, "{change}");
        assert_eq!(world.get(&trainer, &session_path(&session)).await.expect(200), edited);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn edit_with_stale_if_match_is_rejected() {
    let (world, trainer, session) = scheduled(&session_body(50)).await;
    let edited = world.edit_if_match(&trainer, &session, "\"1\"", &titled("A")).await.expect(200);
    assert_eq!(edited["version"], 2);
    // A retry after a lost response succeeds, because the change is already stored.
    assert_eq!(
        world.edit_if_match(&trainer, &session, "\"1\"", &titled("A")).await.expect(200),
        edited
    );
    world
        .edit_if_match(&trainer, &session, "\"1\"", &titled("B"))
        .await
        .expect_problem(412, "precondition_failed");
    world.edit_if_match(&trainer, &session, "*", &titled("B")).await.expect(200);
    world
        .edit_if_match(&trainer, &session, "soon", &titled("C"))
        .await
        .expect_problem(422, "validation_failed");
    assert_eq!(world.meeting_updates(&session).len(), 2, "rejected edits should not reach Zoom");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_of_concurrent_edits_of_same_version_succeeds() {
    let (world, trainer, session) = scheduled(&session_body(50)).await;
    let titles: Vec<_> = (0..6).map(|n| format!("Title {n}")).collect();
    let bodies: Vec<_> = titles.iter().map(|title| titled(title)).collect();
    let responses =
        join_all(bodies.iter().map(|body| world.edit_if_match(&trainer, &session, "\"1\"", body)))
            .await;
    let mut successful = Vec::new();
    for response in responses {
        match response.status.as_u16() {
            200 => successful.push(response.json()),
            412 => drop(response.expect_problem(412, "precondition_failed")),
            _ => drop(response.expect_problem(409, "conflict")),
        }
    }
    assert_eq!(successful.len(), 1, "{successful:?}");
    let shown = world.get(&trainer, &session_path(&session)).await.expect(200);
    assert_eq!(shown, successful[0]);
    assert_eq!(shown["version"], 2);
    assert_meeting_matches(&world, &shown);
    assert_eq!(world.session_events().await.len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_edits_leave_session_and_meeting_equal() {
    let (world, trainer, session) = scheduled(&session_body(50)).await;
    let bodies: Vec<_> = (0..4)
        .map(|n| patched(titled(&format!("Title {n}")), json!({"duration_minutes": 30 + n})))
        .collect();
    let responses = join_all(bodies.iter().map(|body| world.edit(&trainer, &session, body))).await;
    let edits = responses.iter().filter(|response| response.status == 200).count();
    let shown = world.get(&trainer, &session_path(&session)).await.expect(200);
    assert!(edits >= 1);
    assert_eq!(shown["version"], 1 + edits, "each successful edit should create one version");
    assert_meeting_matches(&world, &shown);
    for response in responses.into_iter().filter(|response| response.status != 200) {
        response.expect_problem(409, "conflict");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reminders_move_with_session_start() {
    // The session starts 50 hours after 9:00 on 21 November.
    let (world, trainer, session) = scheduled(&session_body(50)).await;
    let expect = |all: &[(&str, &str)]| -> Vec<(String, String)> {
        all.iter()
            .map(|(kind, at)| ((*kind).to_owned(), format!("2026-11-{at}:00:00.000Z")))
            .collect()
    };
    assert_eq!(
        world.reminders().await,
        expect(&[("day_before", "22T11"), ("hour_before", "23T10"), ("start", "23T11")])
    );
    world.edit(&trainer, &session, &titled("Geometry")).await.expect(200);
    assert_eq!(world.reminders().await.len(), 3, "the reminders should not change");
    world.edit(&trainer, &session, &session_body(27)).await.expect(200);
    assert_eq!(
        world.reminders().await,
        expect(&[("day_before", "21T12"), ("hour_before", "22T11"), ("start", "22T12")])
    );
    // A session in 24 hours is too close for the day-before reminder.
    world.edit(&trainer, &session, &session_body(24)).await.expect(200);
    assert_eq!(world.reminders().await, expect(&[("hour_before", "22T08"), ("start", "22T09")]));
    world.edit(&trainer, &session, &session_body(1)).await.expect(200);
    assert_eq!(world.reminders().await, expect(&[("start", "21T10")]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn edit_replaces_whole_invitee_list() {
    let body_with_invitees = |invitees: Value| {
        patched(session_body(50), json!({"audience_type": "invitees", "invitees": invitees}))
    };
    let (world, trainer, session) = scheduled(&body_with_invitees(invitees(100))).await;
    let (first, last) = (world.student(1).await, world.student(100).await);
    let listed_sessions =
        async |token: &str| world.list_items(token, "/v1/me/sessions").await.len();
    assert_eq!((listed_sessions(&first).await, listed_sessions(&last).await), (1, 1));

    let edited = world.edit(&trainer, &session, &body_with_invitees(invitees(2))).await.expect(200);
    assert_eq!(edited["invitees"], invitees(2));
    assert_eq!((listed_sessions(&first).await, listed_sessions(&last).await), (1, 0));
    world.get(&last, &session_path(&session)).await.expect_problem(404, "not_found");
    assert_eq!(world.due_work("OUTBOX").await[1]["version"], 2);
    assert!(
        world.due_work("OUTBOX").await[1]["previous_audience"]["list"].is_number(),
        "removed invitees should be notified"
    );

    // Invitees of an edit that could not be stored do not appear in the next list of that version.
    let fault = Fault::new(Service::Dynamodb, "TransactWriteItems", FaultKind::Error)
        .for_function("session-save");
    world.inject_fault(fault.times(3));
    world
        .edit(&trainer, &session, &body_with_invitees(invitees(100)))
        .await
        .expect_problem(503, "unavailable");
    assert_eq!((listed_sessions(&first).await, listed_sessions(&last).await), (1, 0));
    let other_invitees: Value =
        (201..=300).map(|n| json!({"email": format!("other{n}@example.test")})).collect();
    let edited =
        world.edit(&trainer, &session, &body_with_invitees(other_invitees)).await.expect(200);
    assert_eq!(edited["invitee_count"], 100);
    let shown = world.get(&trainer, &session_path(&session)).await.expect(200);
    assert_eq!(
        shown["invitees"].as_array().map(Vec::len),
        Some(100),
        "the list should contain only the new invitees"
    );
    assert_eq!((listed_sessions(&first).await, listed_sessions(&last).await), (0, 0));

    world.edit(&trainer, &session, &course_session_body(50)).await.expect(200);
    assert_eq!(
        (listed_sessions(&first).await, listed_sessions(&last).await),
        (1, 0),
        "student-1 should see the session through the course"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn moved_session_is_listed_for_invitees_at_new_time() {
    let body =
        patched(session_body(50), json!({"audience_type": "invitees", "invitees": invitees(2)}));
    let (world, trainer, session) = scheduled(&body).await;
    let moved = patched(body, json!({"starts_at": "2026-12-10T09:00:00Z"}));
    world.edit(&trainer, &session, &moved).await.expect(200);
    let student = world.student(1).await;
    let session_count = async |query: &str| {
        world.list_items(&student, &format!("/v1/me/sessions?{query}")).await.len()
    };
    assert_eq!(session_count("from=2026-12-01T00:00:00Z").await, 1);
    assert_eq!(session_count("to=2026-12-01T00:00:00Z").await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn edit_of_session_with_deleted_meeting_returns_conflict() {
    let (world, trainer, session) = scheduled(&session_body(50)).await;
    let id = session["meeting"]["id"].as_str().expect("an id");
    world.delete("", &format!("/zoom/sim/meetings/{id}")).await.expect(204);
    for _ in 0..2 {
        let problem = world
            .edit(&trainer, &session, &titled("Geometry"))
            .await
            .expect_problem(409, "conflict");
        assert!(
            problem["detail"].as_str().is_some_and(|detail| detail.contains("deleted at Zoom"))
        );
    }
    let shown = world.get(&trainer, &session_path(&session)).await.expect(200);
    assert_eq!(shown["version"], 1);
    assert_eq!(world.due_work("REPAIR").await, Vec::<Value>::new());
    world.cancel(&trainer, &session).await.expect(200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn edit_names_the_reason_if_the_course_was_lost() {
    let body = course_session_body(50);
    let (world, trainer, session) = scheduled(&body).await;
    let service = world.service().await;
    let renamed = patched(body.clone(), json!({"title": "Geometry"}));
    let refused = async |reason: &str| {
        let response = world.edit(&trainer, &session, &renamed).await;
        let detail = response.expect_problem(409, "conflict")["detail"].to_string();
        assert!(detail.contains(reason), "{detail}");
    };
    let course = "/v1/directory/courses/course-1";
    let of_other = json!({"title": "Algebra I", "trainer_id": "trainer-2"});
    world.put(&service, course, of_other).await.expect(200);
    refused("another trainer").await;
    // A course that the session never had is not revealed.
    let of_other = json!({"title": "Logic", "trainer_id": "trainer-2"});
    world.put(&service, "/v1/directory/courses/course-3", of_other).await.expect(200);
    let foreign = patched(body.clone(), json!({"course_id": "course-3"}));
    world.edit(&trainer, &session, &foreign).await.expect_problem(404, "not_found");
    world.delete(&service, course).await.expect(204);
    refused("no longer exists").await;
    // The trainer can still choose another audience.
    let alone = patched(body, json!({"audience_type": "standalone", "course_id": null}));
    let edited = world.edit(&trainer, &session, &alone).await.expect(200);
    assert_eq!(edited["audience_type"], "standalone");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn edit_after_unknown_zoom_outcome_sends_all_fields() {
    for kind in [FaultKind::Lost, FaultKind::Error] {
        let (world, trainer, session) = scheduled(&session_body(50)).await;
        world.inject_fault(Fault::new(Service::Zoom, "update_meeting", kind).times(2));
        world
            .edit(&trainer, &session, &titled("Geometry"))
            .await
            .expect_problem(502, "zoom_unavailable");
        assert_eq!(
            world.get(&trainer, &session_path(&session)).await.expect(200)["title"],
            "Algebra I"
        );
        // The failed edit does not block the next one.
        let other = patched(session_body(50), json!({"duration_minutes": 90}));
        let edited = world.edit(&trainer, &session, &other).await.expect(200);
        assert_eq!(edited["title"], "Algebra I");
        assert_meeting_matches(&world, &edited);
        let last = world.meeting_updates(&session).pop().expect("an update");
        assert_eq!(last["topic"], "Algebra I");
        assert!(last.get("password").is_none());
        finish_repairs(&world).await;
        assert_meeting_matches(&world, &edited);
        assert_eq!(world.due_work("REPAIR").await, Vec::<Value>::new());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failed_zoom_update_is_retried_once() {
    let (world, trainer, session) = scheduled(&session_body(50)).await;
    for (kind, title) in [
        (FaultKind::Lost, "A"),
        (FaultKind::Error, "B"),
        (FaultKind::Html, "C"),
        (FaultKind::Unauthorized, "D"),
    ] {
        world.inject_zoom_fault("update_meeting", kind);
        let edited = world.edit(&trainer, &session, &titled(title)).await.expect(200);
        assert_meeting_matches(&world, &edited);
    }
    world.inject_zoom_fault("update_meeting", FaultKind::Throttle);
    world.edit(&trainer, &session, &titled("E")).await.expect_problem(429, "zoom_rate_limited");
    let shown = world.get(&trainer, &session_path(&session)).await.expect(200);
    assert_eq!(shown["title"], "D");
    assert_meeting_matches(&world, &shown);
    finish_repairs(&world).await;
    assert_meeting_matches(&world, &shown);
    assert_eq!(world.due_work("REPAIR").await, Vec::<Value>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unstored_edit_is_reverted_at_zoom_or_overwritten() {
    let fails = |times| {
        Fault::new(Service::Dynamodb, "TransactWriteItems", FaultKind::Error)
            .for_function("session-save")
            .after(1)
            .times(times)
    };
    let (world, trainer, session) = scheduled(&session_body(50)).await;
    world.inject_fault(fails(3));
    world.edit(&trainer, &session, &titled("Geometry")).await.expect_problem(503, "unavailable");
    assert_eq!(
        world.meeting_of(&session)["topic"],
        "Geometry",
        "the meeting should have the new title"
    );
    assert_eq!(world.advance_and_sweep().await["repaired"], 1);
    let shown = world.get(&trainer, &session_path(&session)).await.expect(200);
    assert_eq!(shown["title"], "Algebra I");
    assert_meeting_matches(&world, &shown);

    world.inject_fault(fails(3));
    world.edit(&trainer, &session, &titled("Geometry")).await.expect_problem(503, "unavailable");
    let again = world.edit(&trainer, &session, &titled("Geometry")).await.expect(200);
    assert_meeting_matches(&world, &again);
    assert_eq!(again["version"], 2);
    // The transaction's token makes the retry idempotent when every response of the commit is lost.
    world.inject_fault(Fault { kind: FaultKind::Lost, ..fails(2) });
    let edited = world.edit(&trainer, &session, &titled("Stereometry")).await.expect(200);
    assert_eq!(edited["version"], 3);
    assert_meeting_matches(&world, &edited);
    finish_repairs(&world).await;
    assert_eq!(world.get(&trainer, &session_path(&session)).await.expect(200), edited);
    assert_eq!(world.due_work("REPAIR").await, Vec::<Value>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn edit_by_others_or_of_cancelled_session_is_rejected() {
    let (world, trainer, session) = scheduled(&course_session_body(50)).await;
    let body = titled("Geometry");
    let other = world.other_trainer().await;
    world.edit(&other, &session, &body).await.expect_problem(404, "not_found");
    let student = world.student(1).await;
    world.edit(&student, &session, &body).await.expect_problem(403, "forbidden");
    let admin = world.token(json!({"sub": "root", "role": "admin"})).await;
    world.edit(&admin, &session, &body).await.expect_problem(403, "forbidden");
    for id in ["ses_aaaaaaaaaaaaaaaaaaaaaaaaaa", "nonsense", "%00"] {
        world
            .put(&trainer, &format!("/v1/sessions/{id}"), body.clone())
            .await
            .expect_problem(404, "not_found");
    }
    let other_course = json!({"title": "Theirs", "trainer_id": "trainer-2"});
    world
        .put(&world.service().await, "/v1/directory/courses/course-2", other_course)
        .await
        .expect(200);
    let foreign = patched(course_session_body(50), json!({"course_id": "course-2"}));
    world.edit(&trainer, &session, &foreign).await.expect_problem(404, "not_found");
    assert_eq!(world.meeting_updates(&session), Vec::<Value>::new());
    world.cancel(&trainer, &session).await.expect(200);
    world.edit(&trainer, &session, &body).await.expect_problem(409, "session_cancelled");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn edit_and_join_conflict_if_zoom_account_is_not_connected() {
    let world = World::start().await;
    let trainer = world.trainer().await;
    world.connect_zoom(&trainer, "app").await;
    let session = world.create(&trainer, &session_body(26)).await.expect(201);
    world.connect_zoom(&trainer, "other").await;
    world.stack.usage.reset();
    let moved = patched(session_body(27), json!({}));
    let refused = world.edit(&trainer, &session, &moved).await.expect_problem(409, "conflict");
    assert!(
        refused["detail"].as_str().is_some_and(|detail| detail.contains("no longer connected")),
        "{refused}"
    );
    world.advance(SignedDuration::from_mins(26 * 60 - 5));
    world
        .post(&trainer, &format!("{}/join", session_path(&session)), json!({}))
        .await
        .expect_problem(409, "conflict");
    assert_eq!(
        world.get(&trainer, &session_path(&session)).await.expect(200)["version"],
        session["version"]
    );
    // Reconnecting the account resolves the conflict.
    world.connect_zoom(&trainer, "app").await;
    world.edit(&trainer, &session, &patched(session_body(30), json!({}))).await.expect(200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn omitted_meeting_setting_is_turned_off() {
    let muted = patched(
        session_body(50),
        json!({"settings": {"mute_upon_entry": true, "host_video": true}}),
    );
    let (world, trainer, session) = scheduled(&muted).await;
    let setting = |name: &str| world.meeting_of(&session)["settings"][name].clone();
    assert_eq!(setting("mute_upon_entry"), true);
    let video = patched(session_body(50), json!({"settings": {"host_video": true}}));
    let edited = world.edit(&trainer, &session, &video).await.expect(200);
    assert_eq!(
        edited["settings"],
        patched(session["settings"].clone(), json!({"mute_upon_entry": null}))
    );
    assert_eq!(world.meeting_updates(&session), [json!({"settings": {"mute_upon_entry": false}})]);
    assert_eq!((setting("mute_upon_entry"), setting("host_video")), (json!(false), json!(true)));
    // The setting is sent once. Settings that were never set keep the account's default.
    world
        .edit(&trainer, &session, &patched(video.clone(), json!({"title": "A"})))
        .await
        .expect(200);
    assert_eq!(world.meeting_updates(&session).last(), Some(&json!({"topic": "A"})));

    // A setting with an unknown state is turned off as well, by the next edit or by the repair.
    for repaired in [true, false] {
        world.inject_fault(Fault::new(Service::Zoom, "update_meeting", FaultKind::Lost).times(2));
        let marked =
            patched(session_body(50), json!({"settings": {"host_video": true, "watermark": true}}));
        world.edit(&trainer, &session, &marked).await.expect_problem(502, "zoom_unavailable");
        assert_eq!(setting("watermark"), true);
        if repaired {
            assert_eq!(world.advance_and_sweep().await["repaired"], 1);
        } else {
            world
                .edit(&trainer, &session, &patched(video.clone(), json!({"title": "B"})))
                .await
                .expect(200);
        }
        assert_eq!(
            (setting("watermark"), setting("host_video")),
            (json!(false), json!(true)),
            "{repaired}"
        );
        let last = world.meeting_updates(&session).pop().expect("an update");
        assert!(last["settings"].get("focus_mode").is_none(), "{last}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn edit_back_to_stored_state_reverts_unknown_zoom_outcome() {
    let (world, trainer, session) = scheduled(&session_body(50)).await;
    world.inject_fault(Fault::new(Service::Zoom, "update_meeting", FaultKind::Lost).times(2));
    world
        .edit(&trainer, &session, &titled("Geometry"))
        .await
        .expect_problem(502, "zoom_unavailable");
    assert_eq!(world.meeting_of(&session)["topic"], "Geometry");
    let undone = world.edit(&trainer, &session, &session_body(50)).await.expect(200);
    assert_meeting_matches(&world, &undone);
    assert_eq!(undone, session, "the stored session should be unchanged");
    assert_eq!(world.session_events().await.len(), 1);
    finish_repairs(&world).await;
    assert_meeting_matches(&world, &undone);
    assert_eq!(world.due_work("REPAIR").await, Vec::<Value>::new());
}
