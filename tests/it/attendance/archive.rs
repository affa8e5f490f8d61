//! The archive keeps reports unchanged after Zoom's events and the join attempts have expired.

use aws_sdk_dynamodb::types::AttributeValue;
use http::Method;
use jiff::SignedDuration;
use local::calls::Service;
use local::faults::{Fault, FaultKind};
use serde_json::{Value, json};

use super::{AttendanceScenario, assert_row, row};
use crate::functions::MAIN_TABLE;
use crate::support::patched;
use crate::world::{course_session_body, session_body};

const HOURS_PER_DAY: i64 = 24;
/// A failed call was either not executed or executed with a lost response.
const FAILURES: [FaultKind; 2] = [FaultKind::Error, FaultKind::Lost];
/// As many failures as the AWS SDK makes attempts.
const FAILING_CALLS: u32 = 3;

/// The exact report and CSV file, and the audit. The report always has the member `final` as if it could still change.
#[derive(Debug, PartialEq)]
struct AttendanceOutput {
    report: String,
    file: String,
    audit_page: Value,
}

impl AttendanceScenario {
    fn advance_days(&self, days: i64) {
        self.world.advance(SignedDuration::from_hours(days * HOURS_PER_DAY));
    }

    async fn attendance_output(&self) -> AttendanceOutput {
        let (world, trainer) = (&self.world, self.world.trainer().await);
        let file = world.get(&trainer, &format!("{}?format=csv", self.report_path())).await;
        AttendanceOutput {
            report: world
                .get(&trainer, &self.report_path())
                .await
                .text
                .replace("\"final\":true", "\"final\":false"),
            file: file.text,
            audit_page: world
                .get(&trainer, &format!("{}/audit", self.report_path()))
                .await
                .expect(200),
        }
    }

    async fn current_report(&self) -> Value {
        serde_json::from_str(&self.attendance_output().await.report).expect("a report")
    }

    /// Advances the clock by some days and deletes the expired items.
    async fn expire_after_days(&self, days: i64) {
        self.advance_days(days);
        self.world.stack.aws.sweep_ttl().expect("a sweep of expired items");
    }

    async fn sources_have_expired(&self) -> bool {
        let all = self.world.dump().await;
        let has_prefix = |item: &Value, prefix: &str| {
            item["sk"].as_str().is_some_and(|key| key.starts_with(prefix))
        };
        !all.iter().any(|item| has_prefix(item, "EVENT#") || has_prefix(item, "JOIN_ATTEMPT#"))
    }

    /// Returns the sort keys of the archive's items.
    async fn archive_keys(&self) -> Vec<String> {
        let all = self.world.items("SESSION#").await.into_iter();
        let keys = all.filter_map(|item| item["sk"].as_str().map(str::to_owned));
        keys.filter(|key| key.starts_with("ARCHIVE")).collect()
    }

    /// Deletes the due work that archives the session, as if an earlier version had held the session.
    async fn delete_archive_work(&self) {
        let client = self.world.dynamodb();
        let due = self.world.due_work("ARCHIVE").await;
        assert_eq!(due.len(), 1);
        for item in due {
            let key =
                |name: &str| AttributeValue::S(item[name].as_str().expect("a key").to_owned());
            let delete = client.delete_item().table_name(MAIN_TABLE);
            let delete = delete.key("pk", key("pk")).key("sk", key("sk"));
            delete.send().await.expect("deleted");
        }
    }

    /// Runs sweeps until no archive work is due.
    async fn archive_everything(&self) {
        for _ in 0..8 {
            self.world.sweep().await;
            if self.world.due_work("ARCHIVE").await.is_empty() {
                return;
            }
            self.world.advance(SignedDuration::from_hours(2));
        }
        panic!("archive work is still due: {:?}", self.world.due_work("ARCHIVE").await);
    }
}

/// Returns an ended session with participants matched by key and by address, an assigned and an unassigned unknown
/// participant, a telephone of a participant, breakout rooms, a crashed client, two meeting instances, overrides, and a join attempt of a student whose
/// access was revoked.
async fn ended_session() -> AttendanceScenario {
    let scenario = AttendanceScenario::for_course().await;
    let keys = [
        scenario.request_join(1).await,
        scenario.request_join(2).await,
        scenario.request_join(5).await,
    ];
    let participant = |n: usize| json!({"name": "Participant", "customer_key": keys[n]});
    scenario.simulate("start", json!({})).await;
    scenario.join(participant(0)).await;
    let moved = scenario.join(participant(1)).await;
    let crashed = scenario.join(participant(2)).await;
    scenario.join(json!({"name": "S. 3", "email": "student3@example.test"})).await;
    let stranger = scenario.join(json!({"name": "iPhone"})).await;
    scenario.join(json!({"name": "Nobody 💥"})).await;
    let telephone = json!({"name": "+49 *** 01", "phone_number": "+49301234501"});
    let telephone = scenario.join(telephone).await;
    let bind = json!({"participant_uuid": moved, "bind_participant_uuid": telephone});
    scenario.simulate("bind", bind).await;
    scenario.wait(10);
    scenario.simulate("room-move", json!({"participant_uuid": moved, "room": "A"})).await;
    scenario.simulate("kill", json!({"participant_uuid": crashed})).await;
    scenario.leave(&stranger).await;
    scenario.wait(20);
    scenario.simulate("end", json!({})).await;
    scenario.wait(5);
    scenario.simulate("start", json!({})).await;
    scenario.join(participant(0)).await;
    scenario.wait(25);
    scenario.simulate("end", json!({})).await;
    scenario.world.post("", "/zoom/sim/webhooks/deliver", json!({})).await;
    let report = scenario.report().await;
    let id = |name: &str| row(&report, name)["attendee_id"].as_str().expect("an id").to_owned();
    let assign = json!({"reason": "That is 4.", "assign_to": {"user_id": "student-4"}});
    scenario.override_row(&id("iPhone"), assign).await.expect(200);
    let absent = json!({"present": false, "reason": "Slept."});
    scenario.override_row(&id("Student 2"), absent).await.expect(200);
    let service = scenario.world.service().await;
    let revoked =
        json!({"email": "student5@example.test", "name": "Student 5", "access_granted": false});
    let enrollment = "/v1/directory/courses/course-1/enrollments/student-5";
    scenario.world.put(&service, enrollment, revoked).await.expect(200);
    scenario
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn report_is_unchanged_after_its_sources_expire() {
    let scenario = ended_session().await;
    let before = scenario.attendance_output().await;
    let rows = scenario.current_report().await["attendees"].as_array().map(Vec::len);
    assert_eq!(rows, Some(6), "{}", before.report);
    scenario.advance_days(2);
    assert_eq!(
        scenario.world.sweep().await["archived"],
        0,
        "events may still arrive on the second day"
    );
    scenario.advance_days(1);
    assert_eq!(scenario.world.sweep().await["archived"], 1);
    assert_eq!(scenario.world.due_work("ARCHIVE").await, Vec::<Value>::new());
    assert_eq!(scenario.attendance_output().await, before, "from the events and the archive");

    scenario.expire_after_days(100).await;
    assert!(scenario.sources_have_expired().await);
    assert_eq!(scenario.attendance_output().await, before, "from the archive alone");
    // Later changes of the course's enrollments do not change the report.
    let service = scenario.world.service().await;
    let enrollments = "/v1/directory/courses/course-1/enrollments";
    let enrollment = json!({"email": "student8@example.test", "name": "Student 8"});
    scenario.world.put(&service, &format!("{enrollments}/student-8"), enrollment).await.expect(200);
    scenario.world.delete(&service, &format!("{enrollments}/student-1")).await.expect(204);
    assert_eq!(scenario.attendance_output().await, before);

    // Overrides still apply.
    let report = scenario.current_report().await;
    let attendee =
        |name: &str| row(&report, name)["attendee_id"].as_str().expect("an id").to_owned();
    let trainer = scenario.world.trainer().await;
    let override_row = async |attendee: &str, body: Value| {
        let path = format!("{}/{attendee}", scenario.report_path());
        scenario.world.put(&trainer, &path, body).await.expect(200)
    };
    let back = json!({"assign_to": {"user_id": "student-2"}, "reason": "That was 2."});
    let shown = override_row(&attendee("Nobody 💥"), back).await;
    assert_eq!((&shown["user_id"], &shown["connections"]), (&json!("student-2"), &json!(3)));
    override_row(&attendee("Student 2"), json!({"present": null, "reason": "Was awake."})).await;
    assert_row(
        &scenario.current_report().await,
        "Student 2",
        json!({"present": true, "present_by": "rule"}),
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn later_use_of_the_meeting_changes_neither_report_nor_archive() {
    let scenario = ended_session().await;
    scenario.advance_days(4);
    scenario.archive_everything().await;
    let before = scenario.attendance_output().await;
    let participant = json!({"name": "S. 3", "email": "student3@example.test"});
    scenario.simulate("start", json!({})).await;
    scenario.join(participant).await;
    scenario.wait(15);
    scenario.simulate("end", json!({})).await;
    assert_eq!(scenario.attendance_output().await, before);
    assert_eq!(scenario.world.due_work("ARCHIVE").await, Vec::<Value>::new());
    scenario.expire_after_days(100).await;
    assert!(scenario.sources_have_expired().await);
    assert_eq!(scenario.attendance_output().await, before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn interrupted_archiving_keeps_attendance_unchanged() {
    for kind in FAILURES {
        let mut calls = 0;
        // In a debug build the futures are too large for a test's stack.
        while Box::pin(archives_despite_fault(kind, calls)).await {
            calls += 1;
        }
        assert!(calls > 4, "archiving should make more than {calls} calls");
    }
}

/// Interrupts archiving at its `nth` call, and again after its sources expired and the meeting was restarted. Returns `false`
/// if there is no such call.
async fn archives_despite_fault(kind: FaultKind, nth: u32) -> bool {
    let scenario = Box::pin(ended_session()).await;
    scenario.advance_days(4);
    let before = scenario.attendance_output().await;
    if !sweep_with_fault(&scenario, kind, nth).await {
        return false;
    }
    scenario.expire_after_days(100).await;
    assert_eq!(scenario.attendance_output().await, before, "{kind:?} at call {nth}");
    scenario.simulate("start", json!({})).await;
    scenario.wait(5);
    scenario.simulate("end", json!({})).await;
    let again = scenario.attendance_output().await;
    scenario.advance_days(3);
    sweep_with_fault(&scenario, kind, nth).await;
    scenario.expire_after_days(100).await;
    assert!(scenario.sources_have_expired().await);
    assert_eq!(
        scenario.attendance_output().await,
        again,
        "{kind:?} at call {nth} after the restart"
    );
    assert_eq!(
        scenario.archive_keys().await.len(),
        2,
        "the archive should have a head and one part"
    );
    true
}

/// Runs a sweep whose `nth` call fails, and then sweeps until everything is archived. Returns `false` if there is no such
/// call.
async fn sweep_with_fault(scenario: &AttendanceScenario, kind: FaultKind, nth: u32) -> bool {
    let world = &scenario.world;
    let fault = Fault::new(Service::Dynamodb, "*", kind);
    world.inject_fault(fault.for_function("reminder-sweep").after(nth).times(FAILING_CALLS));
    // The sweep may succeed, postpone the failed work, or fail.
    let _ = world.stack.schedules.run("reminder-sweep").await;
    let hit = world.stack.faults.list().iter().all(|fault| fault.times < FAILING_CALLS);
    world.stack.faults.clear();
    scenario.archive_everything().await;
    hit
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn overlapping_sweeps_write_one_archive() {
    let scenario = ended_session().await;
    scenario.advance_days(4);
    let before = scenario.attendance_output().await;
    futures::join!(scenario.world.sweep(), scenario.world.sweep(), scenario.world.sweep());
    scenario.archive_everything().await;
    assert_eq!(
        scenario.archive_keys().await.len(),
        2,
        "the archive should have a head and one part"
    );
    scenario.expire_after_days(100).await;
    assert_eq!(scenario.attendance_output().await, before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn session_without_meeting_keeps_its_roster_in_archive() {
    let link = json!({"provider": "manual", "join_url": "https://meet.example.test/a"});
    let scenario =
        AttendanceScenario::for_manual_link(patched(course_session_body(26), link)).await;
    scenario.world.sweep().await;
    scenario.request_join(1).await;
    let report = scenario.report().await;
    let first = row(&report, "Student 1")["attendee_id"].as_str().expect("an id").to_owned();
    let there = json!({"present": true, "reason": "Seen in the meeting."});
    scenario.override_row(&first, there).await.expect(200);
    let before = scenario.attendance_output().await;
    scenario.advance_days(4);
    scenario.archive_everything().await;
    let service = scenario.world.service().await;
    scenario.world.delete(&service, "/v1/directory/courses/course-1").await.expect(204);
    scenario.expire_after_days(100).await;
    assert!(scenario.sources_have_expired().await);
    assert_eq!(scenario.attendance_output().await, before);
    assert_row(&scenario.current_report().await, "Student 1", json!({"present": true}));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn session_without_archive_work_is_archived_on_read_or_next_create() {
    // In a debug build the futures are too large for a test's stack.
    let scenario = Box::pin(ended_session()).await;
    let world = &scenario.world;
    let before = scenario.attendance_output().await;
    scenario.delete_archive_work().await;
    scenario.advance_days(4);
    assert_eq!(world.sweep().await["archived"], 0);
    assert_eq!(scenario.archive_keys().await, Vec::<String>::new());
    // Reading the report enqueues the archive work.
    assert_eq!(scenario.attendance_output().await, before);
    scenario.archive_everything().await;
    assert_eq!(scenario.archive_keys().await.len(), 2);
    // Creating the trainer's next session enqueues it as well.
    let other = Box::pin(ended_session()).await;
    let before = other.attendance_output().await;
    other.delete_archive_work().await;
    let trainer = other.world.trainer().await;
    other.world.create(&trainer, &session_body(50)).await.expect(201);
    other.advance_days(2);
    other.world.sweep().await;
    other.advance_days(5);
    other.archive_everything().await;
    other.expire_after_days(100).await;
    assert!(other.sources_have_expired().await);
    assert_eq!(other.attendance_output().await, before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn erased_person_is_removed_from_archive() {
    let mut body = session_body(26);
    body["audience_type"] = json!("invitees");
    body["invitees"] = json!([
        {"email": "zelda@example.test", "name": "Zelda Zwingli"},
        {"email": "student9@example.test"},
    ]);
    let scenario = AttendanceScenario::start(body).await;
    let world = &scenario.world;
    let service = world.service().await;
    let user = json!({"email": "zelda@example.test", "name": "Zelda Zwingli", "role": "student"});
    world.put(&service, "/v1/directory/users/zelda", user).await.expect(200);
    let token = json!({"sub": "zelda", "role": "student", "email": "zelda@example.test", "name": "Zelda Zwingli"});
    let token = world.token(token).await;
    let credentials =
        world.post(&token, &format!("{}/join", scenario.path), json!({})).await.expect(200);
    scenario.simulate("start", json!({})).await;
    scenario
        .join(json!({"name": "Zelda Zwingli", "customer_key": credentials["customer_key"]}))
        .await;
    scenario.join(json!({"name": "zelda", "email": "zelda@example.test"})).await;
    scenario.wait(60);
    scenario.simulate("end", json!({})).await;
    scenario.advance_days(4);
    scenario.archive_everything().await;
    scenario.expire_after_days(100).await;
    assert_row(
        &scenario.current_report().await,
        "Zelda Zwingli",
        json!({"minutes": 60, "connections": 2}),
    );

    let service = world.service().await;
    for _ in 0..2 {
        world.delete(&service, "/v1/directory/users/zelda").await.expect(204);
        for item in world.dump().await {
            let text = item.to_string().to_lowercase();
            assert!(!text.contains("zelda") && !text.contains("zwingli"), "{item}");
        }
    }
    let report = scenario.current_report().await;
    assert_eq!(report["expected"], 1);
    let rows = report["attendees"].as_array().expect("rows");
    assert_eq!(rows.iter().filter(|row| row["name"] == "(erased)").count(), 2, "{report}");
    // Archiving again does not restore personal data.
    scenario.simulate("start", json!({})).await;
    scenario.simulate("end", json!({})).await;
    scenario.advance_days(4);
    scenario.archive_everything().await;
    assert!(!json!(world.dump().await).to_string().to_lowercase().contains("zelda"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_erasure_and_archiving_leave_no_personal_data() {
    for _ in 0..6 {
        let scenario = ended_session().await;
        scenario.advance_days(4);
        let service = scenario.world.service().await;
        let path = "/v1/directory/users/student-1";
        let erase = scenario.world.call(Method::DELETE, path, &service, None, &[]);
        let (erased, _) = futures::join!(erase, scenario.world.sweep());
        erased.expect(204);
        scenario.archive_everything().await;
        for item in scenario.world.dump().await {
            let text = item.to_string();
            assert!(
                !text.contains("student1@example.test") && !text.contains("Student 1"),
                "{item}"
            );
        }
    }
}
