//! The logs for administrators: the join attempts of a day, and Zoom's events of a meeting.

use std::collections::BTreeSet;

use jiff::SignedDuration;
use serde_json::{Value, json};

use crate::log::CapturedLog;
use crate::support::{fields, patched};
use crate::usage::{check_budgets, take_cost};
use crate::world::{World, course_session_body};
use crate::zoom_session::{HOURS_AHEAD, ScheduledSession};

const SESSIONS: &str = "/v1/logs/sessions";
const DAY: &str = "/v1/logs/sessions?date=2026-11-22";

/// Two sessions of `course-1` on the same day. The trainer has connected Zoom.
struct LogScenario {
    world: World,
    trainer: String,
    admin: String,
    sessions: [ScheduledSession; 2],
}

impl LogScenario {
    /// Starts 5 minutes before the first session.
    async fn start() -> Self {
        let world = World::start().await;
        let (trainer, admin) = (world.trainer().await, world.admin().await);
        world.connect_zoom(&trainer, "app").await;
        let first = ScheduledSession::schedule_for_course(&world, &trainer).await;
        let later = course_session_body(HOURS_AHEAD + 2);
        let later = patched(later, json!({"title": "Geometry"}));
        let second = ScheduledSession::schedule(&world, &trainer, later).await;
        world.advance(first.at(-5).duration_since(world.now()));
        let trainer = world.trainer().await;
        Self { world, trainer, admin, sessions: [first, second] }
    }

    async fn join(&self, session: usize, token: &str, status: u16) {
        let path = format!("{}/join", self.sessions[session].path);
        self.world.post(token, &path, json!({})).await.expect(status);
    }

    /// Returns all items of a list that is read with this page size.
    async fn pages(&self, path: &str, limit: usize) -> Vec<Value> {
        let separator = if path.contains('?') { '&' } else { '?' };
        let (mut items, mut cursor) = (Vec::new(), String::new());
        for _ in 0..50 {
            let page = format!("{path}{separator}limit={limit}&cursor={cursor}");
            let page = self.world.get(&self.admin, &page).await.expect(200);
            items.extend(page["items"].as_array().expect("a list").clone());
            match page["next_cursor"].as_str() {
                Some(next) => cursor = next.to_owned(),
                None => return items,
            }
        }
        panic!("the list does not end");
    }

    fn meeting_log(&self) -> String {
        format!("/v1/logs/meetings/{}", self.sessions[0].meeting)
    }
}

fn clicks(items: &[Value]) -> BTreeSet<String> {
    let text = |item: &Value, field: &str| item[field].as_str().unwrap_or("-").to_owned();
    let click = |item| {
        ["title", "action", "user_id", "name", "outcome"].map(|field| text(item, field)).join(" ")
    };
    items.iter().map(click).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn admin_lists_the_join_attempts_of_a_day() {
    let scenario = LogScenario::start().await;
    let world = &scenario.world;
    let (ada, bob) = (world.student(1).await, world.student(2).await);
    scenario.join(0, &scenario.trainer, 200).await;
    scenario.join(0, &ada, 200).await;
    scenario.join(0, &ada, 200).await;
    scenario.join(1, &bob, 409).await;
    // Nobody else is listed, and strangers are not recorded.
    scenario.join(0, &world.student(9).await, 404).await;
    let expected = [
        "Algebra I start trainer-1 Tara admitted",
        "Algebra I join student-1 Student 1 admitted",
        "Geometry join student-2 Student 2 too_early",
    ];
    let expected = expected.map(str::to_owned).into();
    for limit in [1, 2, 3, 50] {
        let items = scenario.pages(DAY, limit).await;
        assert_eq!((items.len(), clicks(&items)), (4, BTreeSet::clone(&expected)), "{limit}");
    }
    // Today is the default. The next day has a list of its own.
    assert_eq!(scenario.pages(SESSIONS, 50).await.len(), 4);
    world.advance(SignedDuration::from_hours(24));
    let admin = world.admin().await;
    assert_eq!(world.get(&admin, SESSIONS).await.expect(200)["items"], json!([]));
    scenario.join(0, &world.student(1).await, 409).await;
    let next = world.get(&admin, SESSIONS).await.expect(200);
    assert_eq!(clicks(next["items"].as_array().expect("a list")).len(), 1);
    assert_eq!(world.get(&admin, DAY).await.expect(200)["items"].as_array().map(Vec::len), Some(4));

    // An erased person is absent.
    let service = world.service().await;
    world.delete(&service, "/v1/directory/users/student-1").await.expect(204);
    let items = world.list_items(&admin, DAY).await;
    let remaining: BTreeSet<_> =
        expected.into_iter().filter(|click| !click.contains("student-1")).collect();
    assert_eq!(clicks(&items), remaining);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn logs_are_for_admins_and_check_their_parameters() {
    let world = World::start().await;
    let admin = world.admin().await;
    let meeting = "/v1/logs/meetings/85746065123";
    for token in [world.trainer().await, world.student(1).await, world.service().await] {
        for path in [SESSIONS, meeting] {
            world.get(&token, path).await.expect_problem(403, "forbidden");
        }
    }
    for (path, field) in [
        ("/v1/logs/sessions?date=2026-11", "date"),
        ("/v1/logs/sessions?date=2026-11-31", "date"),
        ("/v1/logs/sessions?date=2026-11-2", "date"),
        ("/v1/logs/sessions?cursor=x", "cursor"),
        ("/v1/logs/meetings/abc", "number"),
        ("/v1/logs/meetings/-1", "number"),
        ("/v1/logs/meetings/99999999999999999999", "number"),
        ("/v1/logs/meetings/1?raw=1", "raw"),
        ("/v1/logs/meetings/1?from=yesterday", "from"),
        ("/v1/logs/meetings/1?from=2026-12-02T00:00:00Z&to=2026-12-01T00:00:00Z", "to"),
    ] {
        let problem = world.get(&admin, path).await.expect_problem(422, "validation_failed");
        assert_eq!(fields(&problem), [field], "{path}");
    }
    // Zoom shows the number with spaces.
    let page = world.get(&admin, "/v1/logs/meetings/857%204606%205123").await.expect(200);
    assert_eq!(page, json!({"items": [], "next_cursor": null}));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_of_a_meeting_are_filtered_by_name_and_time() {
    let scenario = LogScenario::start().await;
    let (world, session) = (&scenario.world, &scenario.sessions[0]);
    let mut events = vec![session.started("a==", -5)];
    events.extend((0..6).map(|n| session.joined("a==", &format!("P{n}"), n)));
    events.push(session.event("meeting.sharing_started", session.at(7), &json!({"uuid": "a=="})));
    events.push(session.ended("a==", -5, 60));
    for event in &events {
        session.post_event(world, event).await;
    }
    let log = scenario.meeting_log();
    let names = |items: &[Value]| -> Vec<String> {
        items.iter().map(|item| item["event"].as_str().expect("a name").to_owned()).collect()
    };
    let id = session.path.rsplit('/').next().expect("an id");
    let all = scenario.pages(&log, 50).await;
    assert_eq!(all.len(), 9);
    assert_eq!(names(&all)[..2], ["meeting.ended", "meeting.sharing_started"]);
    for item in &all {
        assert_eq!(item["session_id"], id, "{item}");
        assert_eq!((&item["meeting_uuid"], &item["raw"]), (&json!("a=="), &Value::Null));
    }
    let (from, to) = (session.at(1), session.at(3));
    for (query, expected) in [
        ("event=meeting.started".to_owned(), 1),
        ("event=meeting.participant_joined".to_owned(), 6),
        ("event=meeting.unknown".to_owned(), 0),
        // Both ends are included.
        (format!("from={from}&to={to}"), 3),
        (format!("from={from}&to={from}"), 1),
        (format!("event=meeting.started&from={from}"), 0),
    ] {
        for limit in [1, 2, 100] {
            let items = scenario.pages(&format!("{log}?{query}"), limit).await;
            assert_eq!(items.len(), expected, "{query} {limit}: {items:?}");
        }
    }
    let raw =
        scenario.pages(&format!("{log}?raw=true&event=meeting.participant_joined"), 100).await;
    assert_eq!(raw[0]["raw"]["payload"]["object"]["participant"]["user_name"], "Ada");
    assert_eq!(raw[0]["detail"]["name"], "Ada");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_of_unknown_meetings_are_listed_without_names() {
    let scenario = LogScenario::start().await;
    let (world, known) = (&scenario.world, &scenario.sessions[0]);
    let unknown = ScheduledSession {
        path: String::new(),
        meeting: 99_999_999_999,
        account: known.account.clone(),
        starts_at: known.starts_at,
    };
    unknown.post_event(world, &unknown.started("x==", 0)).await;
    unknown.post_event(world, &unknown.joined("x==", "P1", 1)).await;
    let items = scenario.pages("/v1/logs/meetings/99999999999?raw=true", 1).await;
    assert_eq!(items.len(), 2);
    assert_eq!(items[0]["event"], "meeting.participant_joined");
    assert_eq!((&items[0]["session_id"], &items[0]["detail"]["name"]), (&Value::Null, &json!("")));
    let participant = &items[0]["raw"]["payload"]["object"]["participant"];
    assert_eq!(
        (&participant["participant_uuid"], &participant["user_name"]),
        (&json!("P1"), &Value::Null)
    );
    assert!(!Value::from(items).to_string().contains("Ada"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn erased_people_have_no_name_in_the_events_of_a_meeting() {
    let scenario = LogScenario::start().await;
    let (world, session) = (&scenario.world, &scenario.sessions[0]);
    let student = world.student(1).await;
    let path = format!("{}/join", session.path);
    let key = world.post(&student, &path, json!({})).await.expect(200)["customer_key"].clone();
    session.post_event(world, &session.started("a==", -5)).await;
    let joined = |participation: &str, minute| {
        let mut event = session.joined("a==", participation, minute);
        event["payload"]["object"]["participant"]["customer_key"] = key.clone();
        event
    };
    session.post_event(world, &joined("P1", 1)).await;
    let service = world.service().await;
    world.delete(&service, "/v1/directory/users/student-1").await.expect(204);
    // This event arrives after the erasure, and nothing has rewritten it yet.
    session.post_event(world, &joined("P2", 2)).await;
    let log = format!("{}?raw=true&event=meeting.participant_joined", scenario.meeting_log());
    let items = scenario.pages(&log, 100).await;
    assert_eq!(items.len(), 2);
    let text = Value::from(items).to_string();
    let key = key.as_str().expect("a key");
    assert!(!text.contains("Ada") && !text.contains(key), "{text}");
}

/// Runs on one thread, so that the captured log is complete.
#[tokio::test]
async fn requests_to_the_logs_are_logged_without_personal_data() {
    let scenario = Box::pin(LogScenario::start()).await;
    let world = &scenario.world;
    scenario.join(0, &world.student(1).await, 200).await;
    let log = CapturedLog::start();
    assert_eq!(scenario.pages(DAY, 50).await.len(), 1);
    scenario.pages(&format!("{}?raw=true", scenario.meeting_log()), 50).await;
    let read = log.events("logs.sessions_read");
    assert_eq!(read.len(), 1);
    assert_eq!((&read[0]["user_id"], &read[0]["count"]), (&json!("admin-1"), &json!(1)));
    let read = log.events("logs.meeting_read");
    assert_eq!((&read[0]["user_id"], &read[0]["raw"]), (&json!("admin-1"), &json!(true)));
    assert!(!log.text().contains("student1@example.test") && !log.text().contains("Student 1"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_the_first_join_of_a_session_and_day_writes_a_second_item() {
    let scenario = LogScenario::start().await;
    let world = &scenario.world;
    let students = [world.student(1).await, world.student(2).await];
    world.stack.usage.reset();
    let mut costs = Vec::new();
    for (action, student) in [
        ("first join of a session on a day", &students[0]),
        ("second join", &students[0]),
        ("join of another student", &students[1]),
    ] {
        scenario.join(0, student, 200).await;
        costs.push(take_cost(world, action, "join"));
    }
    scenario.pages(DAY, 50).await;
    costs.push(take_cost(world, "join attempts of a day", "operations"));
    scenario.pages(&scenario.meeting_log(), 50).await;
    costs.push(take_cost(world, "events of a meeting", "operations"));
    check_budgets(
        &costs,
        &[
            (4, 1.5, 2.0, 0, 0),
            (2, 1.0, 1.0, 0, 0),
            (2, 1.0, 1.0, 0, 0),
            (4, 2.5, 0.0, 0, 0),
            (3, 2.0, 0.0, 0, 0),
        ],
    );
}
