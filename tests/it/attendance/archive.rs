//! Attendance is for keeps: a report says the same when Zoom's events and the clicks have run out.

use aws_sdk_dynamodb::types::AttributeValue;
use http::Method;
use jiff::SignedDuration;
use local::calls::Service;
use local::faults::{Fault, Kind};
use serde_json::{Value, json};

use super::{Lesson, row, shows};
use crate::direct::MAIN_TABLE;
use crate::look::with;
use crate::world::{class, course_class};

const DAY_HOURS: i64 = 24;
/// How a call of the sweep fails: it was carried out, or was not. Three times outlast the attempts of the AWS SDK.
const FAILURES: [Kind; 2] = [Kind::Error, Kind::Lost];
const TIMES: u32 = 3;

/// Report and file, letter by letter, and the trail.
#[derive(Debug, PartialEq)]
struct Told {
    report: String,
    file: String,
    trail: Value,
}

impl Lesson {
    fn days(&self, days: i64) {
        self.world.advance(SignedDuration::from_hours(days * DAY_HOURS));
    }

    async fn told(&self) -> Told {
        let (world, trainer) = (&self.world, self.world.trainer().await);
        let file = world.get(&trainer, &format!("{}?format=csv", self.address())).await;
        Told {
            report: world.get(&trainer, &self.address()).await.text,
            file: file.text,
            trail: world.get(&trainer, &format!("{}/audit", self.address())).await.expect(200),
        }
    }

    async fn report_now(&self) -> Value {
        serde_json::from_str(&self.told().await.report).expect("a report")
    }

    /// Lets so many days pass; what has run out by then is deleted.
    async fn days_later(&self, days: i64) {
        self.days(days);
        self.world.stack.aws.sweep_ttl().expect("the table can be swept");
    }

    async fn has_run_out(&self) -> bool {
        let all = self.world.dump().await;
        let begins = |item: &Value, prefix: &str| {
            item["sk"].as_str().is_some_and(|key| key.starts_with(prefix))
        };
        !all.iter().any(|item| begins(item, "EVENT#") || begins(item, "CLICK#"))
    }

    /// The keys of the archive.
    async fn archive(&self) -> Vec<String> {
        let all = self.world.items("SESSION#").await.into_iter();
        let keys = all.filter_map(|item| item["sk"].as_str().map(str::to_owned));
        keys.filter(|key| key.starts_with("ARCHIVE")).collect()
    }

    /// Takes away what asks for the class's attendance to be kept, as if it had been held by an earlier version.
    async fn forget_due(&self) {
        let client = self.world.dynamodb();
        let due = self.world.due("ARCHIVE").await;
        assert_eq!(due.len(), 1);
        for item in due {
            let key =
                |name: &str| AttributeValue::S(item[name].as_str().expect("a key").to_owned());
            let delete = client.delete_item().table_name(MAIN_TABLE);
            let delete = delete.key("pk", key("pk")).key("sk", key("sk"));
            delete.send().await.expect("deleted");
        }
    }

    /// Sweeps until nothing waits to be kept.
    async fn settle(&self) {
        for _ in 0..8 {
            self.world.sweep().await;
            if self.world.due("ARCHIVE").await.is_empty() {
                return;
            }
            self.world.advance(SignedDuration::from_hours(2));
        }
        panic!("something stays due: {:?}", self.world.due("ARCHIVE").await);
    }
}

/// A lesson with some of everything: keys, an address, a stranger who was assigned, another who was not, rooms, a killed
/// client, a second running, decisions, and clicks of somebody who has lost their access since.
async fn held() -> Lesson {
    let lesson = Lesson::of_course().await;
    let keys = [lesson.click(1).await, lesson.click(2).await, lesson.click(5).await];
    let who = |n: usize| json!({"name": "whoever", "customer_key": keys[n]});
    lesson.act("start", json!({})).await;
    lesson.join(who(0)).await;
    let mover = lesson.join(who(1)).await;
    let killed = lesson.join(who(2)).await;
    lesson.join(json!({"name": "S. 3", "email": "student3@example.test"})).await;
    let stranger = lesson.join(json!({"name": "iPhone"})).await;
    lesson.join(json!({"name": "Nobody 💥"})).await;
    lesson.wait(10);
    lesson.act("room-move", json!({"participant_uuid": mover, "room": "A"})).await;
    lesson.act("kill", json!({"participant_uuid": killed})).await;
    lesson.leave(&stranger).await;
    lesson.wait(20);
    lesson.act("end", json!({})).await;
    lesson.wait(5);
    lesson.act("start", json!({})).await;
    lesson.join(who(0)).await;
    lesson.wait(25);
    lesson.act("end", json!({})).await;
    lesson.world.post("", "/zoom/sim/webhooks/deliver", json!({})).await;
    let report = lesson.report().await;
    let id = |name: &str| row(&report, name)["attendee_id"].as_str().expect("an id").to_owned();
    let assign = json!({"reason": "That is 4.", "assign_to": {"user_id": "student-4"}});
    lesson.decide(&id("iPhone"), assign).await.expect(200);
    let absent = json!({"present": false, "reason": "Slept."});
    lesson.decide(&id("Student 2"), absent).await.expect(200);
    let service = lesson.world.service().await;
    let revoked =
        json!({"email": "student5@example.test", "name": "Student 5", "access_granted": false});
    let place = "/v1/directory/courses/course-1/enrollments/student-5";
    lesson.world.put(&service, place, revoked).await.expect(200);
    lesson
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_report_is_the_same_when_what_it_was_made_of_has_run_out() {
    let lesson = held().await;
    let before = lesson.told().await;
    let rows = lesson.report_now().await["attendees"].as_array().map(Vec::len);
    assert_eq!(rows, Some(6), "{}", before.report);
    lesson.days(2);
    assert_eq!(lesson.world.sweep().await["archived"], 0, "something may still come");
    lesson.days(1);
    assert_eq!(lesson.world.sweep().await["archived"], 1);
    assert_eq!(lesson.world.due("ARCHIVE").await, Vec::<Value>::new());
    assert_eq!(lesson.told().await, before, "from both");

    lesson.days_later(100).await;
    assert!(lesson.has_run_out().await);
    assert_eq!(lesson.told().await, before, "from the archive alone");
    // Whoever comes into the course or goes makes no difference to a class that was.
    let service = lesson.world.service().await;
    let places = "/v1/directory/courses/course-1/enrollments";
    let place = json!({"email": "student8@example.test", "name": "Student 8"});
    lesson.world.put(&service, &format!("{places}/student-8"), place).await.expect(200);
    lesson.world.delete(&service, &format!("{places}/student-1")).await.expect(204);
    assert_eq!(lesson.told().await, before);

    // And what is decided now counts as ever.
    let report = lesson.report_now().await;
    let attendee =
        |name: &str| row(&report, name)["attendee_id"].as_str().expect("an id").to_owned();
    let trainer = lesson.world.trainer().await;
    let decide = async |attendee: &str, body: Value| {
        let path = format!("{}/{attendee}", lesson.address());
        lesson.world.put(&trainer, &path, body).await.expect(200)
    };
    let back = json!({"assign_to": {"user_id": "student-2"}, "reason": "That was 2."});
    let shown = decide(&attendee("Nobody 💥"), back).await;
    assert_eq!((&shown["user_id"], &shown["connections"]), (&json!("student-2"), &json!(2)));
    decide(&attendee("Student 2"), json!({"present": null, "reason": "Was awake."})).await;
    shows(&lesson.report_now().await, "Student 2", json!({"present": true, "present_by": "rule"}));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_meeting_that_is_started_again_long_after_adds_to_what_was_kept() {
    let lesson = held().await;
    lesson.days(4);
    lesson.settle().await;
    lesson.days_later(100).await;
    let held_before = lesson.report_now().await["held_minutes"].clone();
    assert_eq!(held_before, 55);
    let who = json!({"name": "S. 3", "email": "student3@example.test"});
    lesson.act("start", json!({})).await;
    lesson.join(who).await;
    lesson.wait(15);
    lesson.act("end", json!({})).await;
    let after = lesson.told().await;
    assert_eq!(lesson.report_now().await["held_minutes"], 70);
    // Kept three days after it, and not before.
    assert_eq!(lesson.world.sweep().await["archived"], 0);
    lesson.days(3);
    lesson.settle().await;
    lesson.days_later(100).await;
    assert!(lesson.has_run_out().await);
    assert_eq!(lesson.told().await, after);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_cuts_it_off_attendance_is_kept_as_it_was() {
    for kind in FAILURES {
        let mut calls = 0;
        // On the heap: a world's futures are more than a test's stack holds in a debug build.
        while Box::pin(is_kept_whatever(kind, calls)).await {
            calls += 1;
        }
        assert!(calls > 4, "a keeping makes some calls, not {calls}");
    }
}

/// A keeping is cut off at its `nth` call, and then the one after the meeting was started again, when the table holds
/// nothing else of the class any more; `false` when there is no such call.
async fn is_kept_whatever(kind: Kind, nth: u32) -> bool {
    let lesson = Box::pin(held()).await;
    lesson.days(4);
    let before = lesson.told().await;
    if !cut_off(&lesson, kind, nth).await {
        return false;
    }
    lesson.days_later(100).await;
    assert_eq!(lesson.told().await, before, "{kind:?} at call {nth}");
    lesson.act("start", json!({})).await;
    lesson.wait(5);
    lesson.act("end", json!({})).await;
    let again = lesson.told().await;
    lesson.days(3);
    cut_off(&lesson, kind, nth).await;
    lesson.days_later(100).await;
    assert!(lesson.has_run_out().await);
    assert_eq!(lesson.told().await, again, "{kind:?} at call {nth}, again");
    assert_eq!(lesson.archive().await.len(), 2, "the head, a part, and nothing else");
    true
}

/// Sweeps with the `nth` call failing, and then until all is done; `false` when there is no such call.
async fn cut_off(lesson: &Lesson, kind: Kind, nth: u32) -> bool {
    let world = &lesson.world;
    let fault = Fault::new(Service::Dynamodb, "*", kind);
    world.fault(fault.by("reminder-sweep").after(nth).times(TIMES));
    // It may end well, put off what failed, or fail as a whole.
    let _ = world.stack.schedules.run("reminder-sweep").await;
    let hit = world.stack.faults.list().iter().all(|fault| fault.times < TIMES);
    world.stack.faults.clear();
    lesson.settle().await;
    hit
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn runs_that_overlap_keep_it_once() {
    let lesson = held().await;
    lesson.days(4);
    let before = lesson.told().await;
    futures::join!(lesson.world.sweep(), lesson.world.sweep(), lesson.world.sweep());
    lesson.settle().await;
    assert_eq!(lesson.archive().await.len(), 2, "the head, a part, and nothing else");
    lesson.days_later(100).await;
    assert_eq!(lesson.told().await, before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_class_that_nobody_held_keeps_whom_it_was_for() {
    let link = json!({"provider": "manual", "join_url": "https://meet.example.test/a"});
    let lesson = Lesson::of_link(with(course_class(26), link)).await;
    lesson.world.sweep().await;
    lesson.click(1).await;
    let report = lesson.report().await;
    let first = row(&report, "Student 1")["attendee_id"].as_str().expect("an id").to_owned();
    let there = json!({"present": true, "reason": "Seen in the meeting."});
    lesson.decide(&first, there).await.expect(200);
    let before = lesson.told().await;
    lesson.days(4);
    lesson.settle().await;
    let service = lesson.world.service().await;
    lesson.world.delete(&service, "/v1/directory/courses/course-1").await.expect(204);
    lesson.days_later(100).await;
    assert!(lesson.has_run_out().await);
    assert_eq!(lesson.told().await, before);
    shows(&lesson.report_now().await, "Student 1", json!({"present": true}));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_class_of_before_attendance_was_kept_is_kept_when_somebody_asks_or_the_next_one_is() {
    let lesson = held().await;
    let world = &lesson.world;
    let before = lesson.told().await;
    lesson.forget_due().await;
    lesson.days(4);
    assert_eq!(world.sweep().await["archived"], 0);
    assert_eq!(lesson.archive().await, Vec::<String>::new());
    // Somebody reads the report.
    assert_eq!(lesson.told().await, before);
    lesson.settle().await;
    assert_eq!(lesson.archive().await.len(), 2);
    // And without anybody who does: the trainer's next class sees to it.
    let other = held().await;
    let before = other.told().await;
    other.forget_due().await;
    let trainer = other.world.trainer().await;
    other.world.create(&trainer, &class(50)).await.expect(201);
    other.days(2);
    other.world.sweep().await;
    other.days(5);
    other.settle().await;
    other.days_later(100).await;
    assert!(other.has_run_out().await);
    assert_eq!(other.told().await, before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn somebody_who_is_erased_is_named_in_no_archive() {
    let mut body = class(26);
    body["audience_type"] = json!("invitees");
    body["invitees"] = json!([
        {"email": "zelda@example.test", "name": "Zelda Zwingli"},
        {"email": "student9@example.test"},
    ]);
    let lesson = Lesson::of(body).await;
    let world = &lesson.world;
    let service = world.service().await;
    let user = json!({"email": "zelda@example.test", "name": "Zelda Zwingli", "role": "student"});
    world.put(&service, "/v1/directory/users/zelda", user).await.expect(200);
    let token = json!({"sub": "zelda", "role": "student", "email": "zelda@example.test", "name": "Zelda Zwingli"});
    let token = world.token(token).await;
    let pass = world.post(&token, &format!("{}/join", lesson.path), json!({})).await.expect(200);
    lesson.act("start", json!({})).await;
    lesson.join(json!({"name": "Zelda Zwingli", "customer_key": pass["customer_key"]})).await;
    lesson.join(json!({"name": "zelda", "email": "zelda@example.test"})).await;
    lesson.wait(60);
    lesson.act("end", json!({})).await;
    lesson.days(4);
    lesson.settle().await;
    lesson.days_later(100).await;
    shows(&lesson.report_now().await, "Zelda Zwingli", json!({"minutes": 60, "connections": 2}));

    let service = world.service().await;
    for _ in 0..2 {
        world.delete(&service, "/v1/directory/users/zelda").await.expect(204);
        for item in world.dump().await {
            let text = item.to_string().to_lowercase();
            assert!(!text.contains("zelda") && !text.contains("zwingli"), "{item}");
        }
    }
    let report = lesson.report_now().await;
    assert_eq!(report["expected"], 1);
    let rows = report["attendees"].as_array().expect("rows");
    assert_eq!(rows.iter().filter(|row| row["name"] == "(erased)").count(), 2, "{report}");
    // Keeping it once more brings nobody back.
    lesson.act("start", json!({})).await;
    lesson.act("end", json!({})).await;
    lesson.days(4);
    lesson.settle().await;
    assert!(!json!(world.dump().await).to_string().to_lowercase().contains("zelda"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn erasing_and_keeping_at_the_same_time_leave_no_name_behind() {
    for _ in 0..6 {
        let lesson = held().await;
        lesson.days(4);
        let service = lesson.world.service().await;
        let path = "/v1/directory/users/student-1";
        let erase = lesson.world.call(Method::DELETE, path, &service, None, &[]);
        let (erased, _) = futures::join!(erase, lesson.world.sweep());
        erased.expect(204);
        lesson.settle().await;
        for item in lesson.world.dump().await {
            let text = item.to_string();
            assert!(
                !text.contains("student1@example.test") && !text.contains("Student 1"),
                "{item}"
            );
        }
    }
}
