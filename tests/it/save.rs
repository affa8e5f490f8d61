//! Scheduling a class: what is refused and in which words, and that there is one class and one meeting in the end,
//! whatever fails on the way.

mod failing;
mod limits;

use futures::future::join_all;
use http::Method;
use jiff::SignedDuration;
use local::calls::Service;
use local::faults::{Fault, Kind};
use serde_json::{Value, json};

use crate::look::{fields, invitees, with};
use crate::world::{Answer, World, class, course_class};

/// A world whose first trainer has connected Zoom.
async fn ready() -> (World, String) {
    let world = World::start().await;
    let trainer = world.trainer().await;
    world.connect_zoom(&trainer, "app").await;
    (world, trainer)
}

fn invited(count: usize) -> Value {
    with(class(26), json!({"audience_type": "invitees", "invitees": invitees(count)}))
}

fn pasted() -> Value {
    with(class(26), json!({"provider": "manual", "join_url": "https://meet.example.test/abc"}))
}

/// Nothing came of a request: no class, no meeting, no work, and the month's place is free.
async fn nothing_came_of_it(world: &World, trainer: &str) {
    assert_eq!(world.listed(trainer, "/v1/sessions").await, Vec::<Value>::new());
    assert_eq!(world.meetings(), Vec::<Value>::new());
    assert_eq!(world.items("SESSION#").await, Vec::<Value>::new());
    assert_eq!(world.due("REMINDER").await, Vec::<Value>::new());
    assert_eq!(world.due("OUTBOX").await, Vec::<Value>::new());
    assert_eq!(world.month_count("trainer-1", "2026-11").await, 0);
}

/// One class with one meeting that is its own, announced once and counted once.
async fn exactly_one(world: &World, trainer: &str) -> Value {
    let listed = world.listed(trainer, "/v1/sessions").await;
    assert_eq!(listed.len(), 1, "{listed:?}");
    let meetings = world.meetings();
    assert_eq!(meetings.len(), 1, "{meetings:?}");
    assert_eq!(listed[0]["meeting"]["id"], meetings[0]["id"].to_string());
    assert_eq!(world.announced().await, [("scheduled".to_owned(), 1, 0)]);
    assert_eq!(world.month_count("trainer-1", "2026-11").await, 1);
    assert_eq!(world.items("SESSION#").await.len(), 1, "no intent is left");
    listed[0].clone()
}

fn retry_after(answer: &Answer) -> u64 {
    let value = answer.headers.get("retry-after").expect("Retry-After").to_str().expect("text");
    value.parse().expect("seconds")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_wrong_field_is_named_and_nothing_is_made() {
    let (world, trainer) = ready().await;
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
            .create(&trainer, &with(class(26), patch.clone()))
            .await
            .refused(422, "validation_failed");
        assert_eq!(fields(&problem), [field], "{patch:.200}");
    }
    let all = with(class(26), json!({"title": "", "duration_minutes": 0, "timezone": "?"}));
    let problem = world.create(&trainer, &all).await.refused(422, "validation_failed");
    assert_eq!(fields(&problem), ["title", "timezone", "duration_minutes"], "all at once");
    nothing_came_of_it(&world, &trainer).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn zoom_is_told_a_time_that_means_the_same_instant_there() {
    let (world, trainer) = ready().await;
    let cases = [
        // Winter and summer by the wall clock; the zone does the rest.
        ("2026-12-01T09:00:00Z", "Europe/Berlin", "2026-12-01T10:00:00", "Europe/Berlin"),
        ("2027-07-01T09:00:00", "Europe/Berlin", "2027-07-01T09:00:00", "Europe/Berlin"),
        // The hour that is there twice: the first by wall clock, the second by instant; in UTC there is no doubt.
        ("2027-10-31T02:30:00", "Europe/Berlin", "2027-10-31T00:30:00", "UTC"),
        ("2027-10-31T02:30:00+01:00", "Europe/Berlin", "2027-10-31T01:30:00", "UTC"),
        ("2028-02-29T09:00:00", "Asia/Kolkata", "2028-02-29T09:00:00", "Asia/Kolkata"),
    ];
    for (starts_at, timezone, start_time, zone_at_zoom) in cases {
        let body = with(class(26), json!({"starts_at": starts_at, "timezone": timezone}));
        let made = world.create(&trainer, &body).await.expect(201);
        let meeting = world.meeting_of(&made);
        let sent = &meeting["requests"][0];
        assert_eq!(sent["start_time"], start_time, "{starts_at} {timezone}");
        assert_eq!(sent["timezone"], zone_at_zoom, "{starts_at} {timezone}");
        assert_eq!(
            meeting["start_time"], made["starts_at"],
            "the simulated Zoom reads the same instant"
        );
        assert_eq!(made["timezone"], timezone, "people see their own zone");
    }
    let body = with(class(26), json!({"timezone": null}));
    assert_eq!(world.create(&trainer, &body).await.expect(201)["timezone"], "Europe/Berlin");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_invitees_are_taken_and_each_is_invited() {
    let (world, trainer) = ready().await;
    let made = world.create(&trainer, &invited(1000)).await.expect(201);
    assert_eq!(made["invitee_count"], 1000);
    assert_eq!(made["invitees"].as_array().map(Vec::len), Some(1000));
    let student = world.student(1000).await;
    assert_eq!(world.listed(&student, "/v1/me/sessions").await.len(), 1);
    let other = world.student(1001).await;
    assert_eq!(world.listed(&other, "/v1/me/sessions").await.len(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_that_was_written_ahead_of_a_failed_class_invites_nobody() {
    let (world, trainer) = ready().await;
    let student = world.student(1).await;
    world.commit_fails(Kind::Error, 3);
    world.create_with_key(&trainer, "k", &invited(200)).await.refused(503, "unavailable");
    assert_eq!(world.listed(&student, "/v1/me/sessions").await, Vec::<Value>::new());
    nothing_came_of_it(&world, &trainer).await;

    // Neither does it when the same key makes another class after all.
    let fewer = with(
        invited(200),
        json!({"invitees": (101..=200).map(|n| json!({"email": format!("other{n}@example.test")})).collect::<Vec<_>>()}),
    );
    let made = world.create_with_key(&trainer, "k", &fewer).await.expect(201);
    assert_eq!(made["invitees"].as_array().map(Vec::len), Some(100));
    assert_eq!(world.listed(&student, "/v1/me/sessions").await, Vec::<Value>::new());
    assert_eq!(world.meetings().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_longest_list_in_a_transaction_and_the_shortest_ahead_of_one_are_stored_alike() {
    let (world, trainer) = ready().await;
    for (count, requests) in [(75, 3), (76, 3 + 4)] {
        world.stack.usage.reset();
        let made = world.create(&trainer, &invited(count)).await.expect(201);
        let asked = world.stack.usage.service_totals("session-save", Service::Dynamodb).calls;
        assert_eq!(asked, requests, "{count} invitees");
        let shown = world.get(&trainer, &crate::look::path_of(&made)).await.expect(200);
        assert_eq!(shown["invitees"].as_array().map(Vec::len), Some(count));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_over_a_mebibyte_is_refused() {
    let (world, trainer) = ready().await;
    let body = with(class(26), json!({"description": "x".repeat(1024 * 1024)}));
    world.create(&trainer, &body).await.refused(413, "payload_too_large");
    nothing_came_of_it(&world, &trainer).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_course_of_another_trainer_is_as_unknown_as_one_that_is_not_there() {
    let (world, trainer) = ready().await;
    let service = world.service().await;
    let theirs = json!({"title": "Theirs", "trainer_id": "trainer-2"});
    world.put(&service, "/v1/directory/courses/course-2", theirs).await.expect(200);
    let mut told = Vec::new();
    for course in ["course-2", "course-404"] {
        let body = with(course_class(26), json!({"course_id": course}));
        let problem = world.create(&trainer, &body).await.refused(404, "not_found");
        told.push((problem["title"].clone(), problem["detail"].clone()));
    }
    assert_eq!(told[0], told[1]);
    nothing_came_of_it(&world, &trainer).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_trainers_and_the_platform_schedule() {
    let (world, trainer) = ready().await;
    let admin = world.token(json!({"sub": "a", "role": "admin"})).await;
    for token in [world.student(1).await, admin] {
        world.create(&token, &class(26)).await.refused(403, "forbidden");
    }
    world.create("", &class(26)).await.refused(401, "unauthenticated");
    nothing_came_of_it(&world, &trainer).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_grant_that_serves_nothing_is_begun() {
    let world = World::start().await;
    let trainer = world.trainer().await;
    world.create(&trainer, &class(26)).await.refused(409, "zoom_not_connected");
    let (code, state) =
        world.consent(&trainer, "decision=allow&account=app&scopes=user:read:user").await;
    world
        .post(&trainer, "/v1/zoom/connect", json!({"code": code, "state": state}))
        .await
        .expect(200);
    let problem = world.create(&trainer, &class(26)).await.refused(409, "missing_scopes");
    assert_eq!(problem["missing_scopes"], json!(["meeting:write:meeting"]));
    world.connect_zoom(&trainer, "app").await;
    // The hour is over, and the refresh token is refused.
    world.advance(SignedDuration::from_hours(2));
    world.fault(Fault::new(Service::Zoom, "token", Kind::InvalidGrant));
    for _ in 0..2 {
        world.create(&trainer, &class(26)).await.refused(409, "reauth_required");
    }
    assert_eq!(world.stack.zoom.meetings(), Vec::<Value>::new());
    assert_eq!(world.items("SESSION#").await, Vec::<Value>::new());
    assert_eq!(world.month_count("trainer-1", "2026-11").await, 0);
    world.create(&trainer, &pasted()).await.expect(201);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pasted_link_needs_no_zoom() {
    let world = World::start().await;
    let trainer = world.trainer().await;
    let made = world.create(&trainer, &pasted()).await.expect(201);
    assert_eq!(made["provider"], "manual");
    assert_eq!(
        made["meeting"],
        json!({"id": null, "join_url": "https://meet.example.test/abc", "passcode": null})
    );
    let moved =
        with(pasted(), json!({"join_url": "https://teams.example.test/x", "title": "Geometry"}));
    let edited = world.edit(&trainer, &made, &moved).await.expect(200);
    assert_eq!(edited["meeting"]["join_url"], "https://teams.example.test/x");
    world.edit(&trainer, &made, &class(26)).await.refused(422, "validation_failed");
    world.cancel(&trainer, &made).await.expect(200);
    let asked: u64 = ["session-save", "session-cancel"]
        .iter()
        .map(|function| world.stack.usage.service_totals(function, Service::Zoom).calls)
        .sum();
    assert_eq!(asked, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_meeting_is_closed_to_strangers_and_unrecorded_unless_asked_otherwise() {
    let (world, trainer) = ready().await;
    let settings_of = |made: &Value| world.meeting_of(made)["requests"][0]["settings"].clone();
    let plain = world.create(&trainer, &class(26)).await.expect(201);
    assert_eq!(
        settings_of(&plain),
        json!({"auto_recording": "none", "waiting_room": false, "join_before_host": false})
    );
    let asked = json!({"record_session": true, "settings": {"waiting_room": true, "mute_upon_entry": true, "host_video": false}});
    let special = world.create(&trainer, &with(class(26), asked.clone())).await.expect(201);
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
async fn a_trainer_sees_that_zoom_will_not_record_before_the_class_is_held() {
    let (world, trainer) = ready().await;
    let forbid = async |what: Value| {
        let knobs = json!({"accounts": {"app": {"forbid": what}}});
        world.post("", "/zoom/sim/knobs", knobs).await.expect(200);
    };
    let recorded = with(class(26), json!({"record_session": true}));
    forbid(json!(["auto_recording=cloud"])).await;
    let made = world.create(&trainer, &recorded).await.expect(201);
    assert_eq!(
        (&made["record_session"], &made["drift"]),
        (&json!(true), &json!(["record_session"]))
    );
    let plain = world.create(&trainer, &class(26)).await.expect(201);
    assert_eq!(plain["drift"], json!([]));
    // Asked for later, it is looked at, since Zoom answers as if nothing were amiss.
    let edited = world.edit(&trainer, &plain, &recorded).await.expect(200);
    assert_eq!(edited["drift"], json!(["record_session"]));
    // What else happens at Zoom does not take the mark away, and neither does asking in vain.
    let retitled = with(recorded.clone(), json!({"title": "Geometry"}));
    let edited = world.edit(&trainer, &made, &retitled).await.expect(200);
    assert_eq!(edited["drift"], json!(["record_session"]));
    world.stack.zoom.deliver_due().await;
    let shown = world.get(&trainer, &crate::look::path_of(&made)).await.expect(200);
    assert_eq!(shown["drift"], json!(["record_session"]));
    forbid(json!([])).await;
    let edited = world.edit(&trainer, &made, &recorded).await.expect(200);
    assert_eq!(edited["drift"], json!([]));
    let edited = world.edit(&trainer, &plain, &class(26)).await.expect(200);
    assert_eq!(edited["drift"], json!([]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hosts_own_link_is_handed_to_nobody() {
    let (world, trainer) = ready().await;
    for link in ["https://us05web.zoom.us/s/98765432101?zak=eyJ", "https://zoom.us/j/1?zak=eyJ"] {
        let body = with(pasted(), json!({"join_url": link}));
        let problem = world.create(&trainer, &body).await.refused(422, "validation_failed");
        assert_eq!(fields(&problem), ["join_url"]);
    }
    let invited = json!({"join_url": "https://us05web.zoom.us/j/98765432101?pwd=x"});
    world.create(&trainer, &with(pasted(), invited)).await.expect(201);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_lets_people_in_is_nowhere_in_clear_and_the_host_link_nowhere_at_all() {
    let (world, trainer) = ready().await;
    let made = world.create(&trainer, &class(26)).await.expect(201);
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
async fn two_clicks_and_a_retry_give_one_class() {
    let (world, trainer) = ready().await;
    let made = world.create_with_key(&trainer, "key-1", &class(26)).await.expect(201);
    let again = world.create_with_key(&trainer, "key-1", &class(26)).await.expect(201);
    assert_eq!(made, again);
    exactly_one(&world, &trainer).await;
    let other = with(class(26), json!({"title": "Geometry"}));
    for body in [&other, &pasted()] {
        world.create_with_key(&trainer, "key-1", body).await.refused(422, "idempotency_key_reused");
    }
    // Another trainer's key is another key, and says nothing of this one.
    let tom = world.other_trainer().await;
    let theirs = world.create_with_key(&tom, "key-1", &pasted()).await.expect(201);
    assert_ne!(theirs["id"], made["id"]);
    for key in ["", &"k".repeat(256)] {
        world.create_with_key(&trainer, key, &class(26)).await.refused(422, "validation_failed");
    }
    // The class has changed since; the key still stands for it.
    let edited = world.edit(&trainer, &made, &other).await.expect(200);
    assert_eq!(world.create_with_key(&trainer, "key-1", &class(26)).await.expect(201), edited);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_repeat_after_the_class_began_still_answers_it() {
    let (world, trainer) = ready().await;
    let made = world.create_with_key(&trainer, "key-1", &class(1)).await.expect(201);
    world.advance(SignedDuration::from_hours(2));
    let again = world.create_with_key(&trainer, "key-1", &class(1)).await;
    assert!(again.headers.contains_key("location"));
    assert_eq!(again.expect(201), made);
    // Only the very same request is a repeat.
    for (key, body) in
        [("key-2", class(1)), ("key-1", with(class(1), json!({"title": "Geometry"})))]
    {
        let refused =
            world.create_with_key(&trainer, key, &body).await.refused(422, "validation_failed");
        assert_eq!(fields(&refused), ["starts_at"]);
    }
    let tom = world.other_trainer().await;
    world.create_with_key(&tom, "key-1", &class(1)).await.refused(422, "validation_failed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_object_is_an_object_and_a_start_has_a_time() {
    let (world, trainer) = ready().await;
    let listed = json!(["Algebra I", null, "standalone"]);
    let in_list = with(
        class(26),
        json!({"audience_type": "invitees", "invitees": [["ada@example.test", "Ada"]]}),
    );
    let date = with(class(26), json!({"starts_at": "2026-12-01"}));
    for (body, field, message) in [
        (listed, "body", "must be an object"),
        (in_list, "invitees[0]", "must be an object"),
        (with(class(26), json!({"settings": [true]})), "settings", "must be an object"),
        (
            with(class(26), json!({"duration_minutes": "60"})),
            "duration_minutes",
            "must be a whole number",
        ),
        (date, "starts_at", "must have a time of day"),
    ] {
        let refused = world.create(&trainer, &body).await.refused(422, "validation_failed");
        assert_eq!(refused["errors"], json!([{"field": field, "message": message}]), "{body}");
    }
    nothing_came_of_it(&world, &trainer).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_at_once_with_one_key_are_one_class_with_one_meeting() {
    for body in [class(26), pasted(), invited(80)] {
        let (world, trainer) = ready().await;
        let all = (0..20).map(|_| world.create_with_key(&trainer, "one", &body));
        let made: Vec<_> =
            join_all(all).await.into_iter().map(|answer| answer.expect(201)).collect();
        assert!(made.iter().all(|one| *one == made[0]), "all are told the same");
        assert_eq!(world.listed(&trainer, "/v1/sessions").await.len(), 1);
        let meetings = usize::from(body["provider"] != "manual");
        assert_eq!(world.stack.zoom.meetings().len(), meetings, "none was made and deleted again");
        assert_eq!(world.month_count("trainer-1", "2026-11").await, 1);
        assert_eq!(world.announced().await.len(), 1);
        assert_eq!(world.due("REPAIR").await, Vec::<Value>::new());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_platform_schedules_for_its_trainers_and_says_why() {
    let (world, trainer) = ready().await;
    let service = world.service().await;
    let manual = world.create(&trainer, &class(26)).await.expect(201);
    assert_eq!(manual["source"], "manual");
    for (patch, source) in [
        (json!({"trainer_id": "trainer-1"}), "service"),
        (json!({"trainer_id": "trainer-1", "source": "payment"}), "payment"),
        (json!({"trainer_id": "trainer-1", "source": "schedule"}), "schedule"),
    ] {
        let made = world.create(&service, &with(class(26), patch)).await.expect(201);
        assert_eq!(made["source"], source);
        world.get(&trainer, &crate::look::path_of(&made)).await.expect(200);
    }
    for (patch, field) in [
        (json!({}), "trainer_id"),
        (json!({"trainer_id": "trainer-1", "source": "manual"}), "source"),
        (json!({"trainer_id": "a#b"}), "trainer_id"),
    ] {
        let problem =
            world.create(&service, &with(class(26), patch)).await.refused(422, "validation_failed");
        assert_eq!(fields(&problem), [field]);
    }
    let body = with(class(26), json!({"trainer_id": "trainer-2"}));
    world.create(&service, &body).await.refused(409, "zoom_not_connected");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn odd_texts_are_kept_as_they_are_or_refused() {
    let (world, trainer) = ready().await;
    let odd = "👩‍🏫 درس مباشر <script>alert(1)</script> =cmd|' /C calc'!A0 \u{202e}x";
    let body = with(class(26), json!({"title": odd, "description": format!("{odd}\r\n\ttwo")}));
    let made = world.create(&trainer, &body).await.expect(201);
    assert_eq!(made["title"], odd);
    assert_eq!(made["description"], format!("{odd}\n\ttwo"));
    assert_eq!(world.meeting_of(&made)["topic"], odd);
    let unseen = "\u{200b}\u{2060} \u{3164}".to_owned();
    for title in ["a\u{0}b".to_owned(), "a\nb".to_owned(), unseen, "x".repeat(64 * 1024)] {
        let body = with(class(26), json!({"title": title}));
        world.create(&trainer, &body).await.refused(422, "validation_failed");
    }
    let text =
        world.call(Method::POST, "/v1/sessions", &trainer, Some(json!("nonsense")), &[]).await;
    text.refused(422, "validation_failed");
}
