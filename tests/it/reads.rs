//! Reading sessions: each caller sees every session they have access to, once, and no other.

use std::collections::BTreeSet;

use http::Method;
use jiff::SignedDuration;
use local::calls::Service;
use local::faults::{Fault, FaultKind};
use serde_json::{Value, json};

use crate::support::{fields, patched, session_path};
use crate::world::{World, course_session_body, session_body};

/// The number of sessions: three pages of fifty, with two sessions per start time.
const SESSION_COUNT: i64 = 120;

fn manual_session(hours: i64, patch: Value) -> Value {
    let link = json!({"provider": "manual", "join_url": "https://meet.example.test/abc"});
    patched(patched(session_body(hours), link), patch)
}

fn for_course() -> Value {
    json!({"audience_type": "course", "course_id": "course-1"})
}

fn for_addresses(addresses: &[&str]) -> Value {
    let all: Vec<_> = addresses.iter().map(|email| json!({"email": email})).collect();
    json!({"audience_type": "invitees", "invitees": all})
}

/// All pages of a list.
async fn pages(world: &World, token: &str, path: &str) -> Vec<Vec<Value>> {
    let mut pages = Vec::new();
    let mut next = path.to_owned();
    loop {
        let page = world.get(token, &next).await.expect(200);
        pages.push(page["items"].as_array().expect("a list").clone());
        let Some(cursor) = page["next_cursor"].as_str() else { return pages };
        let joint = if path.contains('?') { '&' } else { '?' };
        next = format!("{path}{joint}cursor={cursor}");
        assert!(pages.len() < 20, "too many pages");
    }
}

fn ids(sessions: &[Value]) -> BTreeSet<&str> {
    sessions.iter().map(|session| session["id"].as_str().expect("an id")).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_session_is_on_exactly_one_page() {
    let world = World::start().await;
    let (trainer, student) = (world.trainer().await, world.student(1).await);
    for n in 0..SESSION_COUNT {
        let body = manual_session(1 + n / 2, if n % 3 == 0 { json!({}) } else { for_course() });
        let made = world.create(&trainer, &body).await.expect(201);
        if n % 10 == 0 {
            world.cancel(&trainer, &made).await.expect(200);
        }
    }
    world.create(&world.other_trainer().await, &manual_session(1, json!({}))).await.expect(201);
    for (token, path, lengths) in [
        (&trainer, "/v1/sessions", vec![50, 50, 20]),
        (&trainer, "/v1/sessions?limit=100", vec![100, 20]),
        (&trainer, "/v1/sessions?limit=7&status=cancelled", vec![7, 5]),
        (&trainer, "/v1/sessions?limit=50&course_id=course-1", vec![50, 30]),
        (&trainer, "/v1/sessions?limit=100&status=scheduled", vec![100, 8]),
        (&student, "/v1/me/sessions", vec![50, 30]),
        (&student, "/v1/me/sessions?limit=79", vec![79, 1]),
        (&student, "/v1/me/sessions?limit=80", vec![80]),
    ] {
        let mut pages = pages(&world, token, path).await;
        // The table may return a cursor although the page ends with the last item.
        if pages.last().is_some_and(Vec::is_empty) {
            pages.pop();
        }
        assert_eq!(pages.iter().map(Vec::len).collect::<Vec<_>>(), lengths, "{path}");
        let all: Vec<_> = pages.into_iter().flatten().collect();
        assert_eq!(ids(&all).len(), all.len(), "{path}: duplicate session");
        let starts: Vec<_> =
            all.iter().map(|it| it["starts_at"].as_str().expect("a time")).collect();
        assert!(starts.is_sorted(), "{path}: not sorted by start");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn session_list_filters_by_status_course_and_time() {
    let world = World::start().await;
    let trainer = world.trainer().await;
    let service = world.service().await;
    let second = json!({"title": "Second", "trainer_id": "trainer-1"});
    world.put(&service, "/v1/directory/courses/course-2", second).await.expect(200);
    let mut made = Vec::new();
    for (hours, patch) in [
        (1, json!({})),
        (24, for_course()),
        (48, json!({"audience_type": "course", "course_id": "course-2"})),
        (72, for_course()),
    ] {
        made.push(world.create(&trainer, &manual_session(hours, patch)).await.expect(201));
    }
    world.cancel(&trainer, &made[3]).await.expect(200);
    let start = |n: usize| made[n]["starts_at"].as_str().expect("a time").to_owned();
    for (query, expected) in [
        (String::new(), vec![0, 1, 2, 3]),
        ("status=scheduled".to_owned(), vec![0, 1, 2]),
        ("status=cancelled".to_owned(), vec![3]),
        ("status=live".to_owned(), vec![]),
        ("course_id=course-1".to_owned(), vec![1, 3]),
        ("course_id=course-1&status=scheduled".to_owned(), vec![1]),
        ("course_id=course-404".to_owned(), vec![]),
        (format!("from={}", start(1)), vec![1, 2, 3]),
        (format!("to={}", start(1)), vec![0, 1]),
        (format!("from={}&to={}", start(1), start(2)), vec![1, 2]),
        (format!("from={}&to={}&course_id=course-2", start(1), start(2)), vec![2]),
        ("from=2030-01-01T00:00:00Z".to_owned(), vec![]),
        ("status=&cursor=".to_owned(), vec![0, 1, 2, 3]),
    ] {
        let listed = world.list_items(&trainer, &format!("/v1/sessions?{query}")).await;
        let expected: Vec<_> = expected.into_iter().map(|n: usize| &made[n]["id"]).collect();
        assert_eq!(listed.iter().map(|it| &it["id"]).collect::<Vec<_>>(), expected, "{query}");
    }
    let other = world.other_trainer().await;
    assert_eq!(
        world.list_items(&other, "/v1/sessions?course_id=course-1").await,
        Vec::<Value>::new()
    );
    for (query, field) in [
        ("status=open", "status"),
        ("course_id=a%23b", "course_id"),
        ("from=soon", "from"),
        ("to=never", "to"),
        ("from=2026-12-01T00:00:00Z&to=2026-11-01T00:00:00Z", "to"),
        ("limit=0", "limit"),
        ("limit=101", "limit"),
        ("limit=-1", "limit"),
        ("limit=ten", "limit"),
        ("cursor=nonsense", "cursor"),
        ("cursor=%00", "cursor"),
    ] {
        let problem = world.get(&trainer, &format!("/v1/sessions?{query}")).await;
        assert_eq!(fields(&problem.expect_problem(422, "validation_failed")), [field], "{query}");
    }
    for limit in [1, 100] {
        let listed = world.list_items(&trainer, &format!("/v1/sessions?limit={limit}")).await;
        assert_eq!(listed.len(), limit.min(4));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cursor_does_not_reveal_sessions_of_others() {
    let world = World::start().await;
    let (trainer, other) = (world.trainer().await, world.other_trainer().await);
    for hours in [10, 20, 30] {
        world.create(&trainer, &manual_session(hours, for_course())).await.expect(201);
    }
    let own = world.create(&other, &manual_session(25, json!({}))).await.expect(201);
    let page = world.get(&trainer, "/v1/sessions?limit=1").await.expect(200);
    let cursor = page["next_cursor"].as_str().expect("a cursor");
    // A cursor contains a time and an id. With another caller's cursor, the caller's own list continues there.
    let path = format!("/v1/sessions?cursor={cursor}");
    let listed = world.list_items(&other, &path).await;
    assert_eq!(listed.iter().map(|it| &it["id"]).collect::<Vec<_>>(), [&own["id"]]);
    let outsider = world.student(9).await;
    let listed = world.list_items(&outsider, &format!("/v1/me/sessions?cursor={cursor}")).await;
    assert_eq!(listed, Vec::<Value>::new());
    // A cursor outside of the filtered range is not an error.
    let ahead = format!("/v1/sessions?cursor={cursor}&from=2026-11-22T12:00:00Z");
    assert_eq!(world.list_items(&trainer, &ahead).await.len(), 1);
    let past = format!("/v1/sessions?cursor={cursor}&to=2026-11-21T12:00:00Z");
    assert_eq!(world.list_items(&trainer, &past).await, Vec::<Value>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn student_list_pages_continue_after_time_has_passed() {
    let world = World::start().await;
    let (trainer, student) = (world.trainer().await, world.student(1).await);
    for hours in [1, 2, 40] {
        world.create(&trainer, &manual_session(hours, for_course())).await.expect(201);
    }
    let page = world.get(&student, "/v1/me/sessions?limit=1").await.expect(200);
    let cursor = page["next_cursor"].as_str().expect("a cursor");
    world.advance(SignedDuration::from_hours(20));
    let listed = world.list_items(&student, &format!("/v1/me/sessions?cursor={cursor}")).await;
    assert_eq!(listed.len(), 1, "a session that ended twelve hours ago is no longer listed");
    // An end before the default beginning of the list is not an error.
    assert_eq!(
        world.list_items(&student, "/v1/me/sessions?to=2020-01-01T00:00:00Z").await,
        Vec::<Value>::new()
    );
    assert_eq!(
        world.list_items(&student, "/v1/me/sessions?from=2026-11-21T00:00:00Z").await.len(),
        3
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_role_sees_its_own_view_of_a_session() {
    let world = World::start().await;
    let (trainer, student) = (world.trainer().await, world.student(1).await);
    world.connect_zoom(&trainer, "app").await;
    let made = world.create(&trainer, &course_session_body(26)).await.expect(201);
    let response = world.get(&trainer, &session_path(&made)).await;
    assert_eq!(response.headers["etag"], "\"1\"");
    assert_eq!(response.headers["cache-control"], "no-store");
    let full_view = response.expect(200);
    assert_eq!(full_view, made);
    for field in [
        "id",
        "title",
        "description",
        "audience_type",
        "course_id",
        "course_title",
        "invitees",
        "starts_at",
        "timezone",
        "duration_minutes",
        "provider",
        "record_session",
        "status",
        "source",
        "meeting",
        "ics_sequence",
        "version",
        "created_at",
        "updated_at",
        "cancelled_at",
        "actual_started_at",
        "actual_ended_at",
        "class_url",
    ] {
        assert!(full_view.get(field).is_some(), "{field} is missing");
    }
    assert_eq!(full_view["course_title"], "Algebra I");
    let visible = world.get(&student, &session_path(&made)).await.expect(200);
    assert_eq!(visible, world.list_items(&student, "/v1/me/sessions").await[0]);
    let page = format!("{}{}", world.stack.base_url, &session_path(&made)[3..]);
    assert_eq!((&made["class_url"], &visible["class_url"]), (&json!(page), &json!(page)));
    for hidden in ["meeting", "invitees", "invitee_count", "settings"] {
        assert!(visible.get(hidden).is_none(), "{hidden}");
    }
    let passcode = made["meeting"]["passcode"].as_str().expect("a passcode");
    assert!(!visible.to_string().contains(passcode) && !visible.to_string().contains("zoom.us"));
    assert_eq!(
        visible["join"],
        json!({"state": "too_early", "opens_at": "2026-11-22T10:50:00Z", "closes_at": "2026-11-22T13:30:00Z"})
    );
    for (minutes, state) in [(25 * 60 + 49, "too_early"), (1, "open"), (160, "closed")] {
        world.advance(SignedDuration::from_mins(minutes));
        let visible = world.get(&student, &session_path(&made)).await.expect(200);
        assert_eq!(visible["join"]["state"], state, "{}", world.now());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn trainer_enrolled_in_another_course_lists_its_sessions() {
    let world = World::start().await;
    let (trainer, learner) = (world.trainer().await, world.other_trainer().await);
    let made = world.create(&trainer, &manual_session(1, for_course())).await.expect(201);
    assert_eq!(world.list_items(&learner, "/v1/me/sessions").await, Vec::<Value>::new());
    let enrollment_path = "/v1/directory/courses/course-1/enrollments/trainer-2";
    let enrollment = json!({"email": "trainer2@example.test", "name": "Tom"});
    world.put(&world.service().await, enrollment_path, enrollment).await.expect(200);
    let end_of_time = "/v1/me/sessions?from=2026-11-21T00:00:00Z&to=9999-12-31T23:59:59Z";
    for list in ["/v1/me/sessions", end_of_time] {
        let listed = world.list_items(&learner, list).await;
        assert_eq!(ids(&listed), BTreeSet::from([made["id"].as_str().expect("an id")]), "{list}");
        assert!(listed[0]["join"].is_object() && listed[0].get("meeting").is_none());
    }
    world.advance(SignedDuration::from_mins(55));
    let join = format!("{}/join", session_path(&made));
    world.post(&learner, &join, json!({})).await.expect(200);
    for role in ["service", "admin"] {
        let token = world.token(json!({"sub": "s", "role": role})).await;
        world.get(&token, "/v1/me/sessions").await.expect_problem(403, "forbidden");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn session_is_not_found_for_people_without_access() {
    let world = World::start().await;
    let trainer = world.trainer().await;
    let course_session =
        world.create(&trainer, &manual_session(26, for_course())).await.expect(201);
    let standalone = world.create(&trainer, &manual_session(26, json!({}))).await.expect(201);
    let invitee_session = for_addresses(&["guest@example.test", "student9@example.test"]);
    let invitee_session =
        world.create(&trainer, &manual_session(26, invitee_session)).await.expect(201);
    let guest = |verified: bool| json!({"sub": "guest", "role": "student", "email": "Guest@Example.test", "email_verified": verified});
    let (verified, unverified) = (world.token(guest(true)).await, world.token(guest(false)).await);
    let (in_course, outside) = (world.student(1).await, world.student(9).await);
    let other = world.other_trainer().await;
    let admin = world.token(json!({"sub": "a", "role": "admin"})).await;
    for (token, visible) in [
        (&in_course, vec![&course_session]),
        (&outside, vec![&invitee_session]),
        (&verified, vec![&invitee_session]),
        (&unverified, vec![]),
        (&other, vec![]),
        (&admin, vec![&course_session, &standalone, &invitee_session]),
    ] {
        for session in [&course_session, &standalone, &invitee_session] {
            let response = world.get(token, &session_path(session)).await;
            if visible.contains(&session) {
                response.expect(200);
            } else {
                response.expect_problem(404, "not_found");
            }
        }
    }
    for (token, count) in [(&in_course, 1), (&outside, 1), (&verified, 1), (&unverified, 0)] {
        assert_eq!(world.list_items(token, "/v1/me/sessions").await.len(), count);
    }
    assert_eq!(world.list_items(&trainer, "/v1/me/sessions").await, Vec::<Value>::new());
    world.get(&admin, "/v1/me/sessions").await.expect_problem(403, "forbidden");
    world.get(&in_course, "/v1/sessions").await.expect_problem(403, "forbidden");
    world.get("", &session_path(&course_session)).await.expect_problem(401, "unauthenticated");
    for id in ["ses_aaaaaaaaaaaaaaaaaaaaaaaaaa", "x", "..%2f", "%00"] {
        world.get(&trainer, &format!("/v1/sessions/{id}")).await.expect_problem(404, "not_found");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn revoked_access_applies_to_the_next_request() {
    let world = World::start().await;
    let (trainer, student, service) =
        (world.trainer().await, world.student(1).await, world.service().await);
    let made = world.create(&trainer, &manual_session(26, for_course())).await.expect(201);
    let enrollment_path = "/v1/directory/courses/course-1/enrollments/student-1";
    let enrollment_body = |granted: bool| json!({"email": "student1@example.test", "name": "Student 1", "access_granted": granted});
    let visible_to_student = async || {
        let listed = world.list_items(&student, "/v1/me/sessions").await.len();
        (listed, world.get(&student, &session_path(&made)).await.status.as_u16())
    };
    assert_eq!(visible_to_student().await, (1, 200));
    world.put(&service, enrollment_path, enrollment_body(false)).await.expect(200);
    assert_eq!(visible_to_student().await, (0, 404));
    world.put(&service, enrollment_path, enrollment_body(true)).await.expect(200);
    assert_eq!(visible_to_student().await, (1, 200));
    world.delete(&service, enrollment_path).await.expect(204);
    assert_eq!(visible_to_student().await, (0, 404));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn student_with_several_invitations_sees_a_session_once() {
    let world = World::start().await;
    let (trainer, student) = (world.trainer().await, world.student(1).await);
    // Invited by course, and by address in three versions of a list, of which the last one is valid.
    world.create(&trainer, &manual_session(25, for_course())).await.expect(201);
    let body = |extra: &str| manual_session(26, for_addresses(&["student1@example.test", extra]));
    let made = world.create(&trainer, &body("a@example.test")).await.expect(201);
    for extra in ["b@example.test", "c@example.test"] {
        world.edit(&trainer, &made, &body(extra)).await.expect(200);
    }
    let listed = world.list_items(&student, "/v1/me/sessions").await;
    assert_eq!(listed.len(), 2);
    let pages = pages(&world, &student, "/v1/me/sessions?limit=1").await;
    assert_eq!(pages.iter().map(Vec::len).collect::<Vec<_>>(), [1, 1]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stale_index_does_not_show_a_session_to_removed_invitee() {
    let world = World::start().await;
    let (trainer, student) = (world.trainer().await, world.student(1).await);
    let body = manual_session(26, for_addresses(&["student1@example.test", "a@example.test"]));
    let made = world.create(&trainer, &body).await.expect(201);
    assert_eq!(world.list_items(&student, "/v1/me/sessions").await.len(), 1);
    let without = manual_session(26, for_addresses(&["a@example.test"]));
    world.edit(&trainer, &made, &without).await.expect(200);
    world.inject_fault(
        Fault::new(Service::Dynamodb, "Query", FaultKind::Stale).for_function("sessions").times(9),
    );
    assert_eq!(world.list_items(&student, "/v1/me/sessions").await, Vec::<Value>::new());
    world.get(&student, &session_path(&made)).await.expect_problem(404, "not_found");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reads_have_the_time_of_the_server() {
    let world = World::start().await;
    let (trainer, student) = (world.trainer().await, world.student(1).await);
    let made = world.create(&trainer, &manual_session(2, for_course())).await.expect(201);
    world.advance(SignedDuration::from_millis(90_250));
    let now = "2026-11-21T09:01:30.25Z";
    let path = session_path(&made);
    let lists = [(&trainer, "/v1/sessions"), (&student, "/v1/me/sessions")];
    let single = [(&trainer, path.as_str()), (&student, path.as_str())];
    for (token, path) in lists.into_iter().chain(single) {
        let response = world.call(Method::GET, path, token, None, &[]).await;
        assert_eq!(response.headers["date"], "Sat, 21 Nov 2026 09:01:30 GMT", "{path}");
        assert_eq!(response.expect(200)["server_time"], now, "{path}");
    }
    // The validator is that of the class, and responses of changes are equal when repeated.
    assert_eq!(world.get(&trainer, &path).await.headers["etag"], "\"1\"");
    assert_eq!(made["server_time"], Value::Null);
    let edited = world.edit(&trainer, &made, &manual_session(2, for_course())).await.expect(200);
    assert_eq!(edited["server_time"], Value::Null);
}
