//! What a person is told in-app, and what they want to be told: everybody their own, and it stays as they left it.

use http::Method;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use shared::domain::domain_event::{DomainEvent, DomainEventKind};
use shared::domain::id::{SessionId, UserId};
use shared::domain::in_app::{NotificationSubject, InAppNotification, NotificationKind};
use shared::domain::text::Title;

use crate::direct::store;
use crate::look::{fields, with};
use crate::world::{World, class};

const LIST: &str = "/v1/me/notifications";
const PREFERENCES: &str = "/v1/me/notification-preferences";

fn session() -> SessionId {
    SessionId::from_bytes([1; 16])
}

fn user(id: &str) -> UserId {
    UserId::parse(id).expect("an id")
}

/// The `n`th notice to somebody: about a class, and made `minutes` from now.
fn notice(world: &World, to: &str, n: u64, minutes: i64) -> InAppNotification {
    let announcement = DomainEvent {
        at: world.now() + SignedDuration::from_mins(minutes),
        kind: DomainEventKind::ReauthRequired { trainer: user("trainer-1"), version: n },
    };
    let about = NotificationSubject {
        session: session(),
        title: Title::parse(&format!("Class {n}")).expect("a title"),
        starts_at: "2026-11-22T11:00:00Z".parse().expect("a time"),
    };
    InAppNotification::of(&announcement, NotificationKind::Updated, user(to), Some(about))
}

async fn tell(world: &World, notices: &[InAppNotification]) {
    store(world).put_notices(notices).await.expect("written");
}

async fn page(world: &World, token: &str, query: &str) -> Value {
    world.get(token, &format!("{LIST}{query}")).await.expect(200)
}

fn titles(page: &Value) -> Vec<&str> {
    let items = page["items"].as_array().expect("a list").iter();
    items.map(|item| item["title"].as_str().expect("a title")).collect()
}

async fn mark(world: &World, token: &str, id: &Value, verb: &str) -> crate::world::Answer {
    let path = format!("{LIST}/{}/{verb}", id.as_str().expect("an id"));
    world.call(Method::POST, &path, token, None, &[]).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn notices_are_listed_newest_first_and_lead_to_the_class() {
    let world = World::start().await;
    let student = world.student(1).await;
    let empty = page(&world, &student, "").await;
    assert_eq!(empty, json!({"items": [], "next_cursor": null, "unread_count": 0}));

    let notices: Vec<_> = (0..7).map(|n| notice(&world, "student-1", n, -(n as i64))).collect();
    tell(&world, &notices).await;
    tell(&world, &[notice(&world, "student-2", 9, 0)]).await;
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
            &json!("updated"),
            &json!(link),
            &json!("2026-11-22T11:00:00Z"),
            &json!(world.now()),
            &Value::Null
        )
    );
    assert_eq!(first["session_id"], session().as_str());

    // Page by page, each knows how many are unread in all.
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
        assert_eq!(fields(&problem.refused(422, "validation_failed")), [field]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_read_or_dismissed_stays_so_however_often_it_is_told() {
    let world = World::start().await;
    let student = world.student(1).await;
    let notices: Vec<_> = (0..4).map(|n| notice(&world, "student-1", n, -(n as i64))).collect();
    tell(&world, &notices).await;
    let items = page(&world, &student, "").await["items"].clone();
    for _ in 0..2 {
        mark(&world, &student, &items[1]["id"], "read").await.expect(204);
        mark(&world, &student, &items[2]["id"], "dismiss").await.expect(204);
        world.advance(SignedDuration::from_mins(1));
    }
    mark(&world, &student, &items[2]["id"], "read").await.expect(204);
    // Told again, alone and among others that are new, and twice in one go.
    tell(&world, &notices).await;
    let more = [notices[1].clone(), notice(&world, "student-1", 5, -9), notices[1].clone()];
    tell(&world, &more).await;
    let told = page(&world, &student, "").await;
    assert_eq!(titles(&told), ["Class 0", "Class 1", "Class 3", "Class 5"]);
    assert_eq!(told["unread_count"], 3);
    assert_eq!(told["items"][1]["read_at"], crate::world::START, "when it was read first");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_reaches_another_persons_notices() {
    let world = World::start().await;
    let (student, other) = (world.student(1).await, world.student(2).await);
    tell(&world, &[notice(&world, "student-1", 0, 0)]).await;
    let id = page(&world, &student, "").await["items"][0]["id"].clone();
    let before = world.dump().await.len();
    for verb in ["read", "dismiss"] {
        mark(&world, &other, &id, verb).await.refused(404, "not_found");
        for none in ["ntf_1_aaaaaaaaaaaaaaaa", "ntf_", "x", "..%2Fx"] {
            mark(&world, &student, &json!(none), verb).await.refused(404, "not_found");
        }
        world
            .call(Method::POST, &format!("{LIST}/x/{verb}"), "", None, &[])
            .await
            .refused(401, "unauthenticated");
    }
    // A cursor holds a place and never whose list it is.
    let theirs = page(&world, &other, &format!("?cursor={}", id.as_str().expect("an id"))).await;
    assert_eq!(theirs["items"], json!([]));
    assert_eq!(page(&world, &student, "").await["unread_count"], 1);
    assert_eq!(world.dump().await.len(), before, "a mark makes no notice");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_ninety_days_a_notice_is_gone_whether_or_not_it_was_tidied_up() {
    let world = World::start().await;
    let student = world.student(1).await;
    tell(&world, &[notice(&world, "student-1", 0, 0), notice(&world, "student-1", 1, 1)]).await;
    let id = page(&world, &student, "").await["items"][1]["id"].clone();
    world.advance(SignedDuration::from_hours(24 * 90) - SignedDuration::from_secs(1));
    let student = world.student(1).await;
    assert_eq!(page(&world, &student, "").await["unread_count"], 2);
    world.advance(SignedDuration::from_secs(1));
    let told = page(&world, &student, "").await;
    assert_eq!((titles(&told), &told["unread_count"]), (vec!["Class 1"], &json!(1)));
    mark(&world, &student, &id, "read").await.refused(404, "not_found");
    let kept = world.items("USER#student-1").await;
    let ends: Vec<_> = kept.iter().filter_map(|item| item["expires_at"].as_i64()).collect();
    let start: Timestamp = crate::world::START.parse().expect("a time");
    assert_eq!(ends[0], start.as_second() + 90 * 86_400, "and the table tidies it up");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_heap_of_dismissed_notices_hides_none_of_the_others() {
    let world = World::start().await;
    let student = world.student(1).await;
    let notices: Vec<_> = (0..60).map(|n| notice(&world, "student-1", n, -(n as i64))).collect();
    tell(&world, &notices).await;
    for n in (0..60).filter(|n| n % 20 != 0) {
        mark(&world, &student, &json!(notices[n].id.to_string()), "dismiss").await.expect(204);
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
async fn preferences_are_on_until_somebody_says_otherwise_and_are_taken_whole() {
    let world = World::start().await;
    let (student, other) = (world.student(1).await, world.student(2).await);
    let on = json!({"live_session": {"in_app": true, "email": true}});
    assert_eq!(world.get(&student, PREFERENCES).await.expect(200), on);
    let quiet = json!({"live_session": {"in_app": true, "email": false}});
    for _ in 0..2 {
        assert_eq!(world.put(&student, PREFERENCES, quiet.clone()).await.expect(200), quiet);
        assert_eq!(world.get(&student, PREFERENCES).await.expect(200), quiet);
    }
    assert_eq!(world.get(&other, PREFERENCES).await.expect(200), on);

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
        let problem = problem.refused(422, "validation_failed");
        assert_eq!(fields(&problem), [field], "{body}");
    }
    assert_eq!(world.get(&student, PREFERENCES).await.expect(200), quiet);
    world.get("", PREFERENCES).await.refused(401, "unauthenticated");

    let store = store(&world);
    let ids: Vec<_> = (0..250).map(|n| user(&format!("student-{}", n % 120))).collect();
    world.stack.usage.reset();
    let all = store.preferences(&ids).await.expect("read");
    assert_eq!(all.len(), 120, "everybody who was asked for, once");
    assert!(!all[&user("student-1")].live_session.email);
    assert!(all[&user("student-2")].live_session.email);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_erased_was_never_told_and_wanted_nothing() {
    let world = World::start().await;
    let (student, service) = (world.student(9).await, world.service().await);
    let notices: Vec<_> = (0..30).map(|n| notice(&world, "student-9", n, -(n as i64))).collect();
    tell(&world, &notices).await;
    let quiet = json!({"live_session": {"in_app": false, "email": false}});
    world.put(&student, PREFERENCES, quiet).await.expect(200);
    assert!(world.items("USER#student-9").await.len() > 30);
    world.delete(&service, "/v1/directory/users/student-9").await.expect(204);
    assert_eq!(world.items("USER#student-9").await, Vec::<Value>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_in_no_directory_is_told_as_they_want_by_their_verified_address() {
    let world = World::start().await;
    let trainer = world.trainer().await;
    let guest = async |id: &str, email: &str, verified: bool| {
        let person = json!({"sub": id, "role": "student", "email": email, "name": "Gil", "email_verified": verified});
        world.token(person).await
    };
    let gil = guest("guest-1", "gil@example.test", true).await;
    // Who only says that an address is theirs decides nothing about it, and who says so second neither.
    let liar = guest("guest-2", "hal@example.test", false).await;
    let late = guest("guest-3", "gil@example.test", true).await;
    let thief = guest("guest-4", "student1@example.test", true).await;
    let quiet = json!({"live_session": {"in_app": true, "email": false}});
    for token in [&gil, &liar, &late, &thief] {
        world.put(token, PREFERENCES, quiet.clone()).await.expect(200);
    }
    let list = json!({"audience_type": "invitees", "provider": "manual", "join_url": "https://meet.example.test/a",
        "invitees": [{"email": "gil@example.test"}, {"email": "hal@example.test"}, {"email": "student1@example.test"}]});
    world.create(&trainer, &with(class(50), list)).await.expect(201);
    world.drain().await;
    let mailed: Vec<_> = world.mailed().await.into_iter().map(|(_, to)| to).collect();
    assert_eq!(mailed, ["hal@example.test", "student1@example.test"]);
    for (token, notices) in [(&gil, 1), (&liar, 0), (&late, 0), (&thief, 0)] {
        assert_eq!(world.listed(token, LIST).await.len(), notices);
    }
    // With another address, and then erased, they leave nothing behind.
    let moved = guest("guest-1", "gil.new@example.test", true).await;
    world.put(&moved, PREFERENCES, quiet).await.expect(200);
    let service = world.service().await;
    for id in ["guest-1", "guest-3", "guest-4"] {
        world.delete(&service, &format!("/v1/directory/users/{id}")).await.expect(204);
    }
    assert_eq!(world.items("EMAIL#").await.iter().filter(|item| item["sk"] == "USER").count(), 8);
}
