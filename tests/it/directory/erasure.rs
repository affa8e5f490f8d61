//! Erasure of a person: how each item with personal data is found.

use aws_sdk_dynamodb::types::AttributeValue;
use jiff::SignedDuration;
use local::calls::Service::Dynamodb;
use local::faults::{Fault, FaultKind};
use serde_json::{Value, json};

use crate::functions::{DirectFunctions, MAIN_TABLE, dynamodb, items_with_prefix, string_attr};
use crate::support::patched;
use crate::world::{World, course_session_body, session_body};
use crate::zoom_session::{HOURS_AHEAD, ScheduledSession};

pub(super) const ZELDA_PATH: &str = "/v1/directory/users/zelda";
pub(super) const ENROLLMENT_PATH: &str = "/v1/directory/courses/course-1/enrollments/zelda";

/// Returns the stored items that contain Zelda's name or address.
pub(super) async fn items_with_personal_data(world: &World) -> Vec<Value> {
    let contains_name = |item: &Value| {
        let text = item.to_string().to_lowercase();
        text.contains("zelda") || text.contains("zwingli")
    };
    world.dump().await.into_iter().filter(contains_name).collect()
}

/// Starts a stack with `trainer-1` connected, a session of `course-1`, and Zelda enrolled in the course.
async fn world_and_session() -> (World, String, ScheduledSession) {
    let world = World::start().await;
    let (trainer, service) = (world.trainer().await, world.service().await);
    world.connect_zoom(&trainer, "app").await;
    let enrollment = json!({"email": "zelda@example.test", "name": "Zelda Zwingli"});
    world.put(&service, ENROLLMENT_PATH, enrollment).await.expect(200);
    let session = ScheduledSession::schedule_for_course(&world, &trainer).await;
    (world, trainer, session)
}

pub(super) async fn zelda_token(world: &World) -> String {
    world
        .token(json!({"sub": "zelda", "role": "student", "email": "zelda@example.test", "name": "Zelda Zwingli"}))
        .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn person_on_two_invitee_lists_of_one_session_is_erased() {
    let world = World::start().await;
    let (trainer, service) = (world.trainer().await, world.service().await);
    let user = json!({"email": "zelda@example.test", "name": "Zelda Zwingli", "role": "student"});
    world.put(&service, ZELDA_PATH, user).await.expect(200);
    let invites = |hours: i64| {
        let list = json!([{"email": "zelda@example.test", "name": "Zelda Zwingli"}]);
        patched(
            session_body(hours),
            json!({"audience_type": "invitees", "invitees": list, "provider": "manual", "join_url": "https://meet.example.test/a"}),
        )
    };
    let session = world.create(&trainer, &invites(26)).await.expect(201);
    world.edit(&trainer, &session, &invites(30)).await.expect(200);
    world.delete(&service, ZELDA_PATH).await.expect(204);
    assert_eq!(items_with_personal_data(&world).await, Vec::<Value>::new());
}

/// Returns Zoom events that the webhook does not handle and that contain personal data in different fields.
fn unhandled_events(session: &ScheduledSession) -> Vec<Value> {
    let person = json!({"user_id": "16778240", "user_name": "Zelda Zwingli", "participant_uuid": "c1",
        "email": "zelda@example.test", "phone_number": "+41 44 555 01 01"});
    let registrant = json!({"first_name": "Zelda", "last_name": "Zwingli", "email": "zelda@example.test", "city": "Zwinglistadt"});
    let chat = json!({"sender_name": "Zelda Zwingli", "message_content": "It is me, Zelda.", "file_ids": []});
    let objects = [
        ("meeting.participant_joined_waiting_room", json!({"participant": person})),
        ("meeting.participant_jbh_waiting", json!({"participant": person})),
        ("meeting.registration_created", json!({"registrant": registrant})),
        ("meeting.chat_message_sent", json!({"chat_message": chat})),
        ("meeting.event_of_tomorrow", json!({"people": [person]})),
    ];
    objects
        .into_iter()
        .map(|(name, object)| {
            session.event(name, session.at(1), &patched(object, json!({"uuid": "u1"})))
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unhandled_zoom_events_are_stored_without_personal_data() {
    let (world, trainer, session) = world_and_session().await;
    let before = items_with_personal_data(&world).await;
    let events = unhandled_events(&session);
    for event in events.iter().chain(&events) {
        session.post_event(&world, event).await;
    }
    assert_eq!(
        items_with_personal_data(&world).await,
        before,
        "the stored events should contain no personal data"
    );
    let timeline = world.list_items(&trainer, &format!("{}/timeline", session.path)).await;
    let mut kinds: Vec<_> = timeline.iter().filter_map(|entry| entry["kind"].as_str()).collect();
    kinds.sort_unstable();
    let mut expected: Vec<_> = events
        .iter()
        .map(|event| format!("zoom.{}", event["event"].as_str().expect("a name")))
        .collect();
    expected.sort_unstable();
    assert_eq!(kinds, expected, "each event should be listed once");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn raw_zoom_events_of_older_versions_are_erased() {
    let (world, _, session) = world_and_session().await;
    for (n, event) in unhandled_events(&session).into_iter().enumerate() {
        let item = [
            ("pk", format!("MEETING#{}", session.meeting)),
            ("sk", format!("EVENT#{}.000Z#{n:016x}", session.at(1).strftime("%Y-%m-%dT%H:%M:%S"))),
            ("at", session.at(1).to_string()),
            ("raw", event.to_string()),
        ];
        let item = item.map(|(name, value)| (name.to_owned(), AttributeValue::S(value)));
        let put = dynamodb(&world).put_item().table_name(MAIN_TABLE).set_item(Some(item.into()));
        put.send().await.expect("a stored item");
    }
    assert!(items_with_personal_data(&world).await.len() > 5);
    world.delete(&world.service().await, ZELDA_PATH).await.expect(204);
    assert_eq!(items_with_personal_data(&world).await, Vec::<Value>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn erasure_finds_participations_after_sdk_secret_rotation() {
    let (world, _, session) = world_and_session().await;
    world.advance(SignedDuration::from_hours(HOURS_AHEAD));
    let token = zelda_token(&world).await;
    let credentials =
        world.post(&token, &format!("{}/join", session.path), json!({})).await.expect(200);
    session.simulate(&world, "start", json!({})).await;
    let by_key = json!({"name": "Zelda Zwingli", "customer_key": credentials["customer_key"]});
    session.simulate(&world, "join", by_key).await;
    world.advance(SignedDuration::from_mins(30));
    session.simulate(&world, "end", json!({})).await;
    let replaced = json!({"zoom_sdk_secret": "another-sdk-secret"});
    let replaced = patched(local::settings::secrets(), replaced).to_string();
    world.stack.aws.set_secret(local::settings::SECRET_ID, &replaced).await.expect("set");
    world.advance(SignedDuration::from_mins(10));
    let service = world.service().await;
    // The first attempt is interrupted after the join attempts would be deleted, if they were deleted before the events
    // that are found through them.
    world.inject_fault(
        Fault::new(Dynamodb, "BatchWriteItem", FaultKind::Error)
            .for_function("directory")
            .after(1)
            .times(9),
    );
    world.delete(&service, ZELDA_PATH).await;
    world.stack.faults.clear();
    world.delete(&service, ZELDA_PATH).await.expect(204);
    assert_eq!(items_with_personal_data(&world).await, Vec::<Value>::new());
}

/// Returns an event about a participant of the meeting instance `u1`.
fn participant_event(session: &ScheduledSession, name: &str, minute: i64, person: Value) -> Value {
    let at = session.at(minute);
    let time = if name == "participant_left" { "leave_time" } else { "join_time" };
    let room_user_id =
        format!("{}-in-room", person["participant_uuid"].as_str().unwrap_or_default());
    let person = patched(json!({"user_id": room_user_id, time: at}), person);
    let object = json!({"uuid": "u1", "participant": person});
    session.event(&format!("meeting.{name}"), at, &object)
}

/// Holds the session for an hour, in which Zelda takes part with her key and calls by telephone. Returns her key.
async fn hold_with_zelda(world: &World, session: &ScheduledSession) -> Value {
    world.advance(SignedDuration::from_hours(HOURS_AHEAD));
    let token = zelda_token(world).await;
    let credentials =
        world.post(&token, &format!("{}/join", session.path), json!({})).await.expect(200);
    let key = credentials["customer_key"].clone();
    let by_key = json!({"participant_uuid": "c1", "user_name": "Zelda Zwingli", "customer_key": key,
        "id": "zelda-at-zoom", "participant_user_id": "zelda-at-zoom"});
    // A dial-in has no key and no address.
    let by_phone = json!({"participant_uuid": "c2", "user_name": "Zwingli 5550101", "phone_number": "+41445550101"});
    for event in [
        session.started("u1", 0),
        participant_event(session, "participant_joined", 1, by_key),
        participant_event(session, "participant_joined", 2, by_phone),
        session.ended("u1", 0, 60),
    ] {
        session.post_event(world, &event).await;
    }
    world.advance(SignedDuration::from_mins(61));
    key
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn telephone_numbers_are_not_stored() {
    let (world, _, session) = world_and_session().await;
    hold_with_zelda(&world, &session).await;
    let stored = json!(world.dump().await).to_string();
    assert!(stored.contains("Zwingli 5550101"), "the row's name should be stored");
    assert!(!stored.contains("+4144"), "{stored}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_that_were_assigned_to_the_person_are_erased() {
    let (world, trainer, session) = world_and_session().await;
    hold_with_zelda(&world, &session).await;
    let path = format!("{}/attendance", session.path);
    let report = world.get(&trainer, &path).await.expect(200);
    let rows = report["attendees"].as_array().expect("rows");
    let phone = rows.iter().find(|row| row["name"] == "Zwingli 5550101").expect("the call");
    let assign = json!({"assign_to": {"user_id": "zelda"}, "reason": "Zelda's telephone."});
    let row = format!("{path}/{}", phone["attendee_id"].as_str().expect("an id"));
    world.put(&trainer, &row, assign).await.expect(200);
    world.delete(&world.service().await, ZELDA_PATH).await.expect(204);
    assert_eq!(items_with_personal_data(&world).await, Vec::<Value>::new());
    let audit = world.list_items(&trainer, &format!("{path}/audit")).await;
    assert_eq!(audit[0]["reason"], "(erased)");
    let report = world.get(&trainer, &path).await.expect(200).to_string();
    assert!(!report.contains("5550101") && report.contains("(erased)"), "{report}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn telephone_of_the_person_is_erased() {
    let (world, trainer, session) = world_and_session().await;
    hold_with_zelda(&world, &session).await;
    let bound = json!({"participant_uuid": "c1", "bind_participant_uuid": "c2"});
    let bound = participant_event(&session, "participant_bind", 3, bound);
    session.post_event(&world, &bound).await;
    let path = format!("{}/attendance", session.path);
    let report = world.get(&trainer, &path).await.expect(200);
    let rows = report["attendees"].as_array().expect("rows").iter();
    let zelda = rows.clone().find(|row| row["user_id"] == "zelda").expect("Zelda's row");
    assert_eq!(zelda["connections"], 2, "{report}");
    assert!(!report.to_string().contains("5550101"), "{report}");
    world.delete(&world.service().await, ZELDA_PATH).await.expect(204);
    assert_eq!(items_with_personal_data(&world).await, Vec::<Value>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_that_arrive_after_the_erasure_are_disguised() {
    let (world, trainer, session) = world_and_session().await;
    let key = hold_with_zelda(&world, &session).await;
    let service = world.service().await;
    for _ in 0..2 {
        world.delete(&service, ZELDA_PATH).await.expect(204);
    }
    let before = items_with_personal_data(&world).await;
    let name = "Zelda Zwingli";
    let account = json!({"participant_uuid": "c4", "user_name": name, "id": "zelda-at-zoom"});
    for (event, minute, person) in [
        // By key, by address, by participation, by Zoom user, and a later event of a participation found by key.
        (
            "participant_joined",
            3,
            json!({"participant_uuid": "c3", "user_name": name, "customer_key": key}),
        ),
        (
            "participant_joined",
            4,
            json!({"participant_uuid": "c5", "user_name": name, "email": "zelda@example.test"}),
        ),
        ("participant_left", 50, json!({"participant_uuid": "c1", "user_name": name})),
        ("participant_joined", 5, account),
        ("participant_left", 51, json!({"participant_uuid": "c3", "user_name": name})),
    ] {
        session.post_event(&world, &participant_event(&session, event, minute, person)).await;
    }
    assert_eq!(items_with_personal_data(&world).await.len(), before.len() + 5);
    for path in ["attendance", "timeline"] {
        let shown = world.get(&trainer, &format!("{}/{path}", session.path)).await.expect(200);
        assert!(!shown.to_string().contains("Zelda"), "{path}: {shown}");
        assert!(shown.to_string().contains("(erased)"), "{path}: {shown}");
    }
    assert_eq!(world.sweep().await["repaired"], 1);
    assert_eq!(items_with_personal_data(&world).await, before);
    // An event of a participation that an earlier check has disguised.
    let last = json!({"participant_uuid": "c5", "user_name": name});
    session.post_event(&world, &participant_event(&session, "participant_left", 52, last)).await;
    world.advance(SignedDuration::from_mins(30));
    world.sweep().await;
    assert_eq!(items_with_personal_data(&world).await, before);
    // The last check is done when no more events are expected.
    for _ in 0..20 {
        world.advance(SignedDuration::from_hours(6));
        world.sweep().await;
    }
    assert_eq!(world.due_work("WORK").await, Vec::<Value>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn person_who_comes_back_after_the_erasure_is_named_again() {
    let (world, trainer, session) = world_and_session().await;
    let service = world.service().await;
    world.delete(&service, ZELDA_PATH).await.expect(204);
    let enrollment = json!({"email": "zelda@example.test", "name": "Zelda Zwingli"});
    world.put(&service, ENROLLMENT_PATH, enrollment).await.expect(200);
    hold_with_zelda(&world, &session).await;
    world.sweep().await;
    let report = world.get(&trainer, &format!("{}/attendance", session.path)).await.expect(200);
    let rows = report["attendees"].as_array().expect("rows");
    let zelda = rows.iter().find(|row| row["name"] == "Zelda Zwingli").expect("a row");
    assert_eq!((&zelda["match"], &zelda["minutes"]), (&json!("customer_key"), &json!(59)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn former_enrollments_are_erased() {
    let (world, _, session) = world_and_session().await;
    hold_with_zelda(&world, &session).await;
    let service = world.service().await;
    let renamed = json!({"email": "zwingli@example.test", "name": "Zelda Zwingli"});
    world.put(&service, ENROLLMENT_PATH, renamed).await.expect(200);
    world.advance(SignedDuration::from_mins(1));
    world.delete(&service, ENROLLMENT_PATH).await.expect(204);
    assert!(items_with_prefix(&world, MAIN_TABLE, "USER#zelda").await.len() > 2);
    world.delete(&service, ZELDA_PATH).await.expect(204);
    let left = items_with_personal_data(&world).await;
    assert!(left.iter().all(|item| item.to_string().contains("Zwingli 5550101")), "{left:?}");
    assert_eq!(items_with_prefix(&world, MAIN_TABLE, "USER#zelda").await.len(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn interrupted_erasure_makes_progress_with_every_retry() {
    const COURSES: usize = 6;
    let world = World::start().await;
    let (trainer, service) = (world.trainer().await, world.service().await);
    let user = json!({"email": "zelda@example.test", "name": "Zelda Zwingli", "role": "student"});
    world.put(&service, ZELDA_PATH, user).await.expect(200);
    let link = json!({"provider": "manual", "join_url": "https://meet.example.test/a"});
    for n in 0..COURSES {
        let course = format!("/v1/directory/courses/zc-{n}");
        let body = json!({"title": "Course", "trainer_id": "trainer-1"});
        world.put(&service, &course, body).await.expect(200);
        // One enrollment has an address that no other item contains.
        let email = if n == 0 { "zelda.work@example.test" } else { "zelda@example.test" };
        let enrollment = json!({"email": email, "name": "Zelda Zwingli"});
        world.put(&service, &format!("{course}/enrollments/zelda"), enrollment).await.expect(200);
        let of_course = patched(course_session_body(26), json!({"course_id": format!("zc-{n}")}));
        world.create(&trainer, &patched(of_course, link.clone())).await.expect(201);
    }
    let list = json!([{"email": "zelda.work@example.test", "name": "Zelda Zwingli"}]);
    let invited = json!({"audience_type": "invitees", "invitees": list});
    world.create(&trainer, &patched(patched(session_body(26), link), invited)).await.expect(201);

    let remaining_enrollments = async || {
        let all = items_with_prefix(&world, MAIN_TABLE, "USER#zelda").await;
        all.iter().filter(|item| string_attr(item, "sk").starts_with("ENROLLMENT#")).count()
    };
    let mut attempts = 0;
    let mut before = remaining_enrollments().await;
    assert_eq!(before, COURSES);
    loop {
        // Each attempt fails after 20 queries.
        let fault = Fault::new(Dynamodb, "Query", FaultKind::Error)
            .for_function("directory")
            .after(20)
            .times(9);
        world.inject_fault(fault);
        let functions = DirectFunctions::new(&world, &[]);
        let response = functions.call("directory", "DELETE", ZELDA_PATH, &service, None).await;
        world.stack.faults.clear();
        attempts += 1;
        if response.status == 204 {
            break;
        }
        let now = remaining_enrollments().await;
        assert!(now < before, "attempt {attempts} finished no course: {now} of {before} are left");
        before = now;
    }
    assert!(attempts > 1, "the erasure should be interrupted");
    assert_eq!(items_with_personal_data(&world).await, Vec::<Value>::new());
}
