//! The roster belongs to the time of the session, whatever happens to enrollments later.

use serde_json::{Value, json};

use super::{AttendanceScenario, assert_row, row};
use crate::support::patched;
use crate::world::session_body;

const ENROLLMENTS: &str = "/v1/directory/courses/course-1/enrollments";

impl AttendanceScenario {
    async fn enroll(&self, n: u32, fields: Value) {
        let mut body =
            json!({"email": format!("student{n}@example.test"), "name": format!("Student {n}")});
        for (field, value) in fields.as_object().expect("fields") {
            body[field] = value.clone();
        }
        let service = self.world.service().await;
        let path = format!("{ENROLLMENTS}/student-{n}");
        self.world.put(&service, &path, body).await.expect(200);
    }

    async fn remove_student(&self, n: u32) {
        let service = self.world.service().await;
        let path = format!("{ENROLLMENTS}/student-{n}");
        self.world.delete(&service, &path).await.expect(204);
    }

    /// Holds the session for an hour. Student 3 attends it and is identified by address.
    async fn hold(&self) {
        self.simulate("start", json!({})).await;
        self.join(json!({"name": "S. 3", "email": "student3@example.test"})).await;
        self.wait(60);
        self.simulate("end", json!({})).await;
    }

    /// Returns the report for a new token of the trainer, because a token is valid for some hours only.
    /// The report without the member that shows whether it can still change.
    async fn report_after_days(&self) -> Value {
        let trainer = self.world.trainer().await;
        let mut report = self.world.get(&trainer, &self.report_path()).await.expect(200);
        let is_final = report.as_object_mut().and_then(|report| report.remove("final"));
        assert!(is_final.is_some_and(|is_final| is_final.is_boolean()));
        report
    }

    /// Archives the attendance and deletes its sources, days later.
    async fn archive(&self) {
        self.wait(4 * 24 * 60);
        self.world.sweep().await;
        self.wait(130 * 24 * 60);
        self.world.stack.aws.sweep_ttl().expect("a sweep of expired items");
    }
}

fn names(report: &Value) -> Vec<&str> {
    let rows = report["attendees"].as_array().expect("rows").iter();
    rows.map(|row| row["name"].as_str().expect("a name")).collect()
}

const FIVE: [&str; 5] = ["Student 1", "Student 2", "Student 3", "Student 4", "Student 5"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn enrollments_after_the_end_do_not_change_the_roster() {
    let scenario = AttendanceScenario::for_course().await;
    scenario.hold().await;
    let before = scenario.report_after_days().await;
    assert_eq!(names(&before), FIVE);
    scenario.wait(10);
    scenario.enroll(8, json!({})).await;
    // The platform repeats its enrollments, as in a nightly import.
    scenario.enroll(1, json!({})).await;
    assert_eq!(scenario.report_after_days().await, before, "after a new enrollment");
    scenario.wait(24 * 60);
    scenario.remove_student(3).await;
    scenario.enroll(2, json!({"access_granted": false})).await;
    scenario.enroll(4, json!({"access_granted": false})).await;
    scenario.enroll(4, json!({})).await;
    assert_eq!(scenario.report_after_days().await, before, "after removals");
    assert_row(&before, "Student 3", json!({"present": true, "match": "email", "flags": []}));
    scenario.archive().await;
    assert_eq!(scenario.report_after_days().await, before, "after archiving");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn roster_has_students_who_were_enrolled_for_a_part_of_the_session() {
    let scenario = AttendanceScenario::for_course().await;
    scenario.remove_student(1).await;
    scenario.wait(5);
    scenario.simulate("start", json!({})).await;
    scenario.wait(15);
    scenario.remove_student(2).await;
    scenario.enroll(8, json!({})).await;
    scenario.wait(45);
    // The session overruns its planned end.
    scenario.enroll(9, json!({})).await;
    scenario.wait(10);
    scenario.simulate("end", json!({})).await;
    scenario.wait(1);
    scenario.enroll(10, json!({})).await;
    let expected = ["Student 2", "Student 3", "Student 4", "Student 5", "Student 8", "Student 9"];
    assert_eq!(names(&scenario.report_after_days().await), expected);
    scenario.archive().await;
    assert_eq!(names(&scenario.report_after_days().await), expected, "after archiving");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changed_address_does_not_make_a_student_a_stranger() {
    let scenario = AttendanceScenario::for_course().await;
    scenario.hold().await;
    let before = scenario.report_after_days().await;
    scenario.wait(60);
    scenario.enroll(3, json!({"email": "renamed@example.test"})).await;
    assert_eq!(scenario.report_after_days().await, before);
    scenario.archive().await;
    assert_eq!(scenario.report_after_days().await, before, "after archiving");
    assert_eq!(row(&before, "Student 3")["email"], "student3@example.test");
}

/// Zoom's events are delayed, so the trainer can still edit the session.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn invitee_who_is_removed_during_the_session_stays_on_the_roster() {
    let invited = |names: &[&str], starts_at: &Value| {
        let one = |name: &&str| json!({"email": format!("{name}@example.test"), "name": name});
        let invitees: Vec<_> = names.iter().map(one).collect();
        let fields =
            json!({"audience_type": "invitees", "invitees": invitees, "starts_at": starts_at});
        patched(session_body(26), fields)
    };
    let starts_at = json!("2026-11-22T11:10:00Z");
    let scenario =
        AttendanceScenario::start(invited(&["ada", "ben", "dan", "eve"], &starts_at)).await;
    let edit = async |names: &[&str]| {
        let body = invited(names, &starts_at);
        scenario.world.put(&scenario.trainer, &scenario.path, body).await.expect(200);
    };
    // Before the session began.
    edit(&["ada", "ben", "dan"]).await;
    scenario.wait(1);
    scenario.configure_webhooks(json!({"shuffle": true})).await;
    scenario.simulate("start", json!({})).await;
    let ada = json!({"name": "A", "email": "ada@example.test"});
    let ada = scenario.join(ada).await;
    scenario.wait(5);
    // Twice, because each edit replaces the list.
    edit(&["ben", "cy", "dan"]).await;
    edit(&["ben", "cy"]).await;
    scenario.wait(54);
    scenario.leave(&ada).await;
    scenario.simulate("end", json!({})).await;
    scenario.world.post("", "/zoom/sim/webhooks/deliver", json!({})).await;
    let report = scenario.report_after_days().await;
    assert_eq!(names(&report), ["ada", "ben", "cy", "dan"]);
    assert_row(&report, "ada", json!({"match": "email", "present": true, "flags": []}));
    scenario.archive().await;
    assert_eq!(scenario.report_after_days().await, report, "after archiving");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn roster_remains_after_its_course_was_deleted() {
    let scenario = AttendanceScenario::for_course().await;
    scenario.hold().await;
    let before = scenario.report_after_days().await;
    scenario.wait(60);
    let service = scenario.world.service().await;
    scenario.world.delete(&service, "/v1/directory/courses/course-1").await.expect(204);
    assert_eq!(scenario.report_after_days().await, before);
}
