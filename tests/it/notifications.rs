//! In-app notifications and notification preferences.

use http::Method;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use shared::domain::domain_event::{DomainEvent, DomainEventKind, EventNonce};
use shared::domain::id::{SessionId, UserId};
use shared::domain::in_app::{InAppNotification, NotificationKind, NotificationSubject};
use shared::domain::text::Title;

use crate::functions::store;
use crate::support::{fields, patched};
use crate::world::{World, session_body};

const LIST: &str = "/v1/me/notifications";
const PREFERENCES: &str = "/v1/me/notification-preferences";

fn session() -> SessionId {
    SessionId::from_bytes([1; 16])
}

fn user(id: &str) -> UserId {
    UserId::parse(id).expect("an id")
}

/// Returns the `n`th notification of a user about a session, created `minutes` from now.
fn notification(world: &World, to: &str, n: u64, minutes: i64) -> InAppNotification {
    let event = DomainEvent {
        at: world.now() + SignedDuration::from_mins(minutes),
        kind: DomainEventKind::ReauthRequired {
            trainer: user("trainer-1"),
            connection_version: n,
            nonce: EventNonce(n),
        },
    };
    let subject = NotificationSubject {
        session: session(),
        title: Title::parse(&format!("Class {n}")).expect("a title"),
        starts_at: "2026-11-22T11:00:00Z".parse().expect("a time"),
    };
    InAppNotification::new(&event, NotificationKind::RECORDING_READY, user(to), Some(subject))
}

async fn store_notifications(world: &World, notifications: &[InAppNotification]) {
    store(world).put_notifications(notifications).await.expect("stored notifications");
}

async fn page(world: &World, token: &str, query: &str) -> Value {
    world.get(token, &format!("{LIST}{query}")).await.expect(200)
}

fn titles(page: &Value) -> Vec<&str> {
    let items = page["items"].as_array().expect("a list").iter();
    items.map(|item| item["title"].as_str().expect("a title")).collect()
}

async fn mark(world: &World, token: &str, id: &Value, verb: &str) -> crate::world::Response {
    let path = format!("{LIST}/{}/{verb}", id.as_str().expect("an id"));
    world.call(Method::POST, &path, token, None, &[]).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn notifications_are_listed_newest_first_with_session_link() {
    let world = World::start().await;
    let student = world.student(1).await;
    let empty = page(&world, &student, "").await;
    let nothing =
        json!({"items": [], "next_cursor": null, "unread_count": 0, "next_look_seconds": 60});
    assert_eq!(empty, nothing);

    let notifications: Vec<_> =
        (0..7).map(|n| notification(&world, "student-1", n, -(n as i64))).collect();
    store_notifications(&world, &notifications).await;
    store_notifications(&world, &[notification(&world, "student-2", 9, 0)]).await;
    let whole = page(&world, &student, "").await;
    assert_eq!(
        titles(&whole),
        ["Class 0", "Class 1", "Class 2", "Class 3", "Class 4", "Class 5", "Class 6"]
    );
    assert_eq!((&whole["next_cursor"], &whole["unread_count"]), (&Value::Null, &json!(7)));
    let first = &whole["items"][0];
    let link = format!("{}/sessions/{}", world.stack.base_url, session());
    assert_eq!(
        (
            &first["kind"],
            &first["link"],
            &first["starts_at"],
            &first["created_at"],
            &first["read_at"]
        ),
        (
            &json!("recording_ready"),
            &json!(link),
            &json!("2026-11-22T11:00:00Z"),
            &json!(world.now()),
            &Value::Null
        )
    );
    assert_eq!(first["session_id"], session().as_str());

    // Every page contains the total number of unread notifications.
    for limit in [1, 2, 3, 6, 7] {
        let (mut seen, mut query) = (Vec::new(), format!("?limit={limit}"));
        loop {
            let page = page(&world, &student, &query).await;
            assert_eq!(page["unread_count"], 7);
            seen.extend(titles(&page).into_iter().map(str::to_owned));
            let Some(cursor) = page["next_cursor"].as_str() else { break };
            query = format!("?limit={limit}&cursor={cursor}");
        }
        assert_eq!(seen, titles(&whole), "by {limit}");
    }
    for (query, field) in [("?limit=0", "limit"), ("?limit=101", "limit"), ("?cursor=x", "cursor")]
    {
        let problem = world.get(&student, &format!("{LIST}{query}")).await;
        assert_eq!(fields(&problem.expect_problem(422, "validation_failed")), [field]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn repeated_delivery_keeps_read_and_dismissed_state() {
    let world = World::start().await;
    let student = world.student(1).await;
    let notifications: Vec<_> =
        (0..4).map(|n| notification(&world, "student-1", n, -(n as i64))).collect();
    store_notifications(&world, &notifications).await;
    let items = page(&world, &student, "").await["items"].clone();
    for _ in 0..2 {
        mark(&world, &student, &items[1]["id"], "read").await.expect(204);
        mark(&world, &student, &items[2]["id"], "dismiss").await.expect(204);
        world.advance(SignedDuration::from_mins(1));
    }
    mark(&world, &student, &items[2]["id"], "read").await.expect(204);
    // The notifications are delivered again, alone, with a new one, and twice in one batch.
    store_notifications(&world, &notifications).await;
    let redelivered = [
        notifications[1].clone(),
        notification(&world, "student-1", 5, -9),
        notifications[1].clone(),
    ];
    store_notifications(&world, &redelivered).await;
    let list = page(&world, &student, "").await;
    assert_eq!(titles(&list), ["Class 0", "Class 1", "Class 3", "Class 5"]);
    assert_eq!(list["unread_count"], 3);
    assert_eq!(
        list["items"][1]["read_at"],
        crate::world::START,
        "the first read time should be kept"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn notifications_of_other_users_are_not_accessible() {
    let world = World::start().await;
    let (student, other) = (world.student(1).await, world.student(2).await);
    store_notifications(&world, &[notification(&world, "student-1", 0, 0)]).await;
    let id = page(&world, &student, "").await["items"][0]["id"].clone();
    let before = world.dump().await.len();
    for verb in ["read", "dismiss"] {
        mark(&world, &other, &id, verb).await.expect_problem(404, "not_found");
        for unknown in ["ntf_1_aaaaaaaaaaaaaaaa", "ntf_", "x", "..%2Fx"] {
            mark(&world, &student, &json!(unknown), verb).await.expect_problem(404, "not_found");
        }
        world
            .call(Method::POST, &format!("{LIST}/x/{verb}"), "", None, &[])
            .await
            .expect_problem(401, "unauthenticated");
    }
    // A cursor of another user only sets the position in the caller's own list.
    let other_page =
        page(&world, &other, &format!("?cursor={}", id.as_str().expect("an id"))).await;
    assert_eq!(other_page["items"], json!([]));
    assert_eq!(page(&world, &student, "").await["unread_count"], 1);
    assert_eq!(world.dump().await.len(), before, "a rejected request should store nothing");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn notification_expires_after_ninety_days() {
    let world = World::start().await;
    let student = world.student(1).await;
    store_notifications(
        &world,
        &[notification(&world, "student-1", 0, 0), notification(&world, "student-1", 1, 1)],
    )
    .await;
    let id = page(&world, &student, "").await["items"][1]["id"].clone();
    world.advance(SignedDuration::from_hours(24 * 90) - SignedDuration::from_secs(1));
    let student = world.student(1).await;
    assert_eq!(page(&world, &student, "").await["unread_count"], 2);
    world.advance(SignedDuration::from_secs(1));
    let list = page(&world, &student, "").await;
    assert_eq!((titles(&list), &list["unread_count"]), (vec!["Class 1"], &json!(1)));
    mark(&world, &student, &id, "read").await.expect_problem(404, "not_found");
    let stored = world.items("USER#student-1").await;
    let expiry_times: Vec<_> =
        stored.iter().filter_map(|item| item["expires_at"].as_i64()).collect();
    let start: Timestamp = crate::world::START.parse().expect("a time");
    assert_eq!(
        expiry_times[0],
        start.as_second() + 90 * 86_400,
        "the item should expire after 90 days"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dismissed_notifications_do_not_hide_others() {
    let world = World::start().await;
    let student = world.student(1).await;
    let notifications: Vec<_> =
        (0..60).map(|n| notification(&world, "student-1", n, -(n as i64))).collect();
    store_notifications(&world, &notifications).await;
    for n in (0..60).filter(|n| n % 20 != 0) {
        mark(&world, &student, &json!(notifications[n].id.to_string()), "dismiss")
            .await
            .expect(204);
    }
    let (mut seen, mut query) = (Vec::new(), "?limit=2".to_owned());
    loop {
        let page = page(&world, &student, &query).await;
        assert_eq!(page["unread_count"], 3);
        seen.extend(titles(&page).into_iter().map(str::to_owned));
        let Some(cursor) = page["next_cursor"].as_str() else { break };
        query = format!("?limit=2&cursor={cursor}");
    }
    assert_eq!(seen, ["Class 0", "Class 20", "Class 40"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn preferences_default_to_on_and_are_replaced_as_a_whole() {
    let world = World::start().await;
    let (student, other) = (world.student(1).await, world.student(2).await);
    let defaults = json!({"live_session": {"in_app": true, "email": true}});
    assert_eq!(world.get(&student, PREFERENCES).await.expect(200), defaults);
    let email_off = json!({"live_session": {"in_app": true, "email": false}});
    for _ in 0..2 {
        assert_eq!(
            world.put(&student, PREFERENCES, email_off.clone()).await.expect(200),
            email_off
        );
        assert_eq!(world.get(&student, PREFERENCES).await.expect(200), email_off);
    }
    assert_eq!(world.get(&other, PREFERENCES).await.expect(200), defaults);

    for (body, field) in [
        (json!({}), "live_session"),
        (json!({"live_session": {"in_app": true}}), "live_session.email"),
        (json!({"live_session": {"in_app": "yes", "email": true}}), "live_session.in_app"),
        (json!({"live_session": {"in_app": 1, "email": true}}), "live_session.in_app"),
        (json!({"live_session": {"in_app": null, "email": true}}), "live_session.in_app"),
        (json!({"live_session": {"in_app": true, "email": true, "sms": true}}), "live_session.sms"),
        (json!({"live_session": {"in_app": true, "email": true}, "polls": {}}), "polls"),
        (json!({"live_session": true}), "live_session"),
        (json!([]), "body"),
    ] {
        let problem = world.put(&student, PREFERENCES, body.clone()).await;
        let problem = problem.expect_problem(422, "validation_failed");
        assert_eq!(fields(&problem), [field], "{body}");
    }
    assert_eq!(world.get(&student, PREFERENCES).await.expect(200), email_off);
    world.get("", PREFERENCES).await.expect_problem(401, "unauthenticated");

    let store = store(&world);
    let ids: Vec<_> = (0..250).map(|n| user(&format!("student-{}", n % 120))).collect();
    world.stack.usage.reset();
    let all = store.preferences(&ids).await.expect("stored preferences");
    assert_eq!(all.len(), 120, "each requested user should occur once");
    assert!(!all[&user("student-1")].live_session.email);
    assert!(all[&user("student-2")].live_session.email);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn erasure_deletes_notifications_and_preferences() {
    let world = World::start().await;
    let (student, service) = (world.student(9).await, world.service().await);
    let notifications: Vec<_> =
        (0..30).map(|n| notification(&world, "student-9", n, -(n as i64))).collect();
    store_notifications(&world, &notifications).await;
    let email_off = json!({"live_session": {"in_app": false, "email": false}});
    world.put(&student, PREFERENCES, email_off).await.expect(200);
    assert!(world.items("USER#student-9").await.len() > 30);
    world.delete(&service, "/v1/directory/users/student-9").await.expect(204);
    assert_eq!(world.items("USER#student-9").await, Vec::<Value>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn preferences_of_guest_apply_to_verified_address() {
    let world = World::start().await;
    let trainer = world.trainer().await;
    let guest = async |id: &str, email: &str, verified: bool| {
        let person = json!({"sub": id, "role": "student", "email": email, "name": "Gil", "email_verified": verified});
        world.token(person).await
    };
    let gil = guest("guest-1", "gil@example.test", true).await;
    // Preferences are ignored if the address is unverified, already claimed, or a directory user's.
    let unverified = guest("guest-2", "hal@example.test", false).await;
    let second_claimant = guest("guest-3", "gil@example.test", true).await;
    let directory_address = guest("guest-4", "student1@example.test", true).await;
    let email_off = json!({"live_session": {"in_app": true, "email": false}});
    for token in [&gil, &unverified, &second_claimant, &directory_address] {
        world.put(token, PREFERENCES, email_off.clone()).await.expect(200);
    }
    let list = json!({"audience_type": "invitees", "provider": "manual", "join_url": "https://meet.example.test/a",
        "invitees": [{"email": "gil@example.test"}, {"email": "hal@example.test"}, {"email": "student1@example.test"}]});
    world.create(&trainer, &patched(session_body(50), list)).await.expect(201);
    world.run_outbox_sweep().await;
    let mailed: Vec<_> = world.sent_mails().await.into_iter().map(|(_, to)| to).collect();
    assert_eq!(mailed, ["hal@example.test", "student1@example.test"]);
    for (token, notifications) in
        [(&gil, 1), (&unverified, 0), (&second_claimant, 0), (&directory_address, 0)]
    {
        assert_eq!(world.list_items(token, LIST).await.len(), notifications);
    }
    // Erasure also removes the entry of a changed address.
    let moved = guest("guest-1", "gil.new@example.test", true).await;
    world.put(&moved, PREFERENCES, email_off).await.expect(200);
    let service = world.service().await;
    for id in ["guest-1", "guest-3", "guest-4"] {
        world.delete(&service, &format!("/v1/directory/users/{id}")).await.expect(204);
    }
    assert_eq!(world.items("EMAIL#").await.iter().filter(|item| item["sk"] == "USER").count(), 8);
}
