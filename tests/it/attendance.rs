//! Attendance: Zoom's webhook events, the report, its CSV file, overrides and their audit.

mod archive;
mod bulk_overrides;
mod course;
mod of_record;
mod overrides;
mod roster;
mod waiting_room;

use http::Method;
use jiff::{SignedDuration, Timestamp};
use local::calls::Service;
use serde_json::{Value, json};

use crate::support::patched;
use crate::world::{Response, World, course_session_body, session_body};

/// A one-hour session that starts now, with its trainer and its Zoom meeting.
struct AttendanceScenario {
    world: World,
    trainer: String,
    path: String,
    meeting: String,
}

impl AttendanceScenario {
    /// Creates a session of `course-1`, in which students 1 to 5 are expected.
    async fn for_course() -> Self {
        Self::start(course_session_body(26)).await
    }

    async fn start(body: Value) -> Self {
        let world = World::start().await;
        let trainer = world.trainer().await;
        world.connect_zoom(&trainer, "app").await;
        let session = world.post(&trainer, "/v1/sessions", body).await.expect(201);
        let id = session["id"].as_str().expect("an id");
        let meeting = session["meeting"]["id"].as_str().expect("a meeting");
        world.advance(SignedDuration::from_hours(26));
        let (path, meeting) =
            (format!("/v1/sessions/{id}"), format!("/zoom/sim/meetings/{meeting}"));
        Self { world, trainer, path, meeting }
    }

    /// Creates a session with a manual link and without a Zoom meeting.
    async fn for_manual_link(body: Value) -> Self {
        let world = World::start().await;
        let trainer = world.trainer().await;
        let session = world.post(&trainer, "/v1/sessions", body).await.expect(201);
        world.advance(SignedDuration::from_hours(26));
        let path = format!("/v1/sessions/{}", session["id"].as_str().expect("an id"));
        Self { world, trainer, path, meeting: String::new() }
    }

    async fn simulate(&self, verb: &str, body: Value) -> Value {
        let path = format!("{}/{verb}", self.meeting);
        let response = self.world.call(Method::POST, &path, "", Some(body), &[]).await;
        assert!(response.status.is_success(), "{verb}: {}", response.text);
        if response.text.is_empty() { Value::Null } else { response.json() }
    }

    async fn configure_webhooks(&self, webhooks: Value) {
        let body = json!({ "webhooks": webhooks });
        self.world.post("", "/zoom/sim/knobs", body).await.expect(200);
    }

    /// Adds a participant to the meeting and returns the participation's uuid.
    async fn join(&self, participant: Value) -> String {
        let joined = self.simulate("join", participant).await;
        joined["participant_uuid"].as_str().expect("a uuid").to_owned()
    }

    async fn leave(&self, participation: &str) {
        self.simulate("leave", json!({ "participant_uuid": participation })).await;
    }

    /// Requests to join as `student-n` and returns the customer key.
    async fn request_join(&self, n: u32) -> String {
        let token = self.world.student(n).await;
        let credentials =
            self.world.post(&token, &format!("{}/join", self.path), json!({})).await.expect(200);
        credentials["customer_key"].as_str().expect("a key").to_owned()
    }

    fn wait(&self, minutes: i64) {
        self.world.advance(SignedDuration::from_mins(minutes));
    }

    fn report_path(&self) -> String {
        format!("{}/attendance", self.path)
    }

    async fn report(&self) -> Value {
        self.world.get(&self.trainer, &self.report_path()).await.expect(200)
    }

    async fn override_row(&self, attendee: &str, body: Value) -> Response {
        self.world.put(&self.trainer, &format!("{}/{attendee}", self.report_path()), body).await
    }

    async fn admin(&self) -> String {
        self.world.token(json!({"sub": "admin-1", "role": "admin"})).await
    }
}

/// Returns the row with this name.
#[track_caller]
fn row<'a>(report: &'a Value, name: &str) -> &'a Value {
    let mut rows = report["attendees"].as_array().expect("rows").iter();
    rows.find(|row| row["name"] == name).unwrap_or_else(|| panic!("no {name} in {report}"))
}

#[track_caller]
fn assert_row(report: &Value, name: &str, fields: Value) {
    let row = row(report, name);
    for (field, expected) in fields.as_object().expect("fields") {
        assert_eq!(&row[field], expected, "{name}'s {field}: {row}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn report_matches_connections_rooms_and_unknown_participants() {
    let scenario = AttendanceScenario::for_course().await;
    let keys = [
        scenario.request_join(1).await,
        scenario.request_join(2).await,
        scenario.request_join(3).await,
    ];
    let participant = |n: usize| json!({"name": "Participant", "customer_key": keys[n]});
    // Every event is delivered twice and in random order.
    scenario.configure_webhooks(json!({"duplicate": 1, "shuffle": true})).await;
    scenario.simulate("start", json!({})).await;
    let phone = scenario.join(participant(0)).await;
    let laptop = scenario.join(participant(0)).await;
    let moved = scenario.join(participant(1)).await;
    let crashed = scenario.join(participant(2)).await;
    let stranger = scenario.join(json!({"name": "Student 4"})).await;
    scenario.wait(10);
    scenario.leave(&phone).await;
    scenario.leave(&stranger).await;
    scenario.simulate("room-move", json!({"participant_uuid": moved, "room": "A"})).await;
    scenario.simulate("kill", json!({"participant_uuid": crashed})).await;
    scenario.join(participant(2)).await;
    scenario.wait(20);
    scenario.simulate("room-move", json!({"participant_uuid": moved})).await;
    scenario.leave(&laptop).await;
    scenario.wait(10);
    scenario.leave(&moved).await;
    scenario.join(participant(0)).await;
    scenario.wait(20);
    scenario.simulate("end", json!({})).await;
    scenario.world.post("", "/zoom/sim/webhooks/deliver", json!({})).await;

    let report = scenario.report().await;
    assert_eq!((&report["planned_minutes"], &report["held_minutes"]), (&json!(60), &json!(60)));
    assert_eq!((&report["expected"], &report["present"]), (&json!(5), &json!(3)), "{report}");
    assert_eq!(report["percent_present"], json!(60.0));
    let attended = |minutes: u64, percent: f64, connections: u64| {
        json!({
            "match": "customer_key", "minutes": minutes, "percent": percent, "connections": connections,
            "present": true, "present_by": "rule", "flags": [],
        })
    };
    assert_row(&report, "Student 1", attended(50, 83.3, 3));
    assert_row(&report, "Student 2", attended(40, 66.7, 1));
    assert_row(&report, "Student 3", attended(60, 100.0, 2));
    assert_row(
        &report,
        "Student 5",
        json!({"match": "none", "minutes": 0, "connections": 0, "present": false, "flags": [],
            "first_joined_at": null, "last_left_at": null}),
    );
    let rows = report["attendees"].as_array().expect("rows");
    let same_name: Vec<_> = rows.iter().filter(|row| row["name"] == "Student 4").collect();
    assert_eq!(same_name.len(), 2, "a name alone should not match a student: {report}");
    let unknown = same_name.iter().find(|row| row["match"] == "none" && row["minutes"] == 10);
    assert_eq!(
        unknown.expect("a row for the unknown participant")["flags"],
        json!(["needs_review"])
    );
    assert!(
        rows.iter().all(|row| row["user_id"] != "trainer-1"),
        "the host should not be an attendee"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lost_end_event_is_inferred_and_restart_adds_minutes() {
    let scenario = AttendanceScenario::for_course().await;
    let key = scenario.request_join(1).await;
    let participant = json!({"name": "Ada", "customer_key": key});
    scenario.simulate("start", json!({})).await;
    scenario.join(participant.clone()).await;
    scenario.wait(20);
    let running = scenario.report().await;
    assert_row(
        &running,
        "Student 1",
        json!({"minutes": 20, "percent": 100.0, "last_left_at": null, "flags": [], "status": "present"}),
    );
    assert_row(&running, "Student 2", json!({"present": false, "status": null}));

    scenario.configure_webhooks(json!({"drop": 1000})).await;
    scenario.simulate("end", json!({})).await;
    scenario.configure_webhooks(json!({"drop": 0})).await;
    scenario.wait(20);
    // A restart implies that the first meeting instance ended. Zoom may also omit the leave events at the end.
    scenario.configure_webhooks(json!({"leaves_at_end": false})).await;
    scenario.simulate("start", json!({})).await;
    let restarted = scenario.report().await;
    assert_row(&restarted, "Student 1", json!({"minutes": 40, "flags": ["left_inferred"]}));
    scenario.join(participant.clone()).await;
    scenario.wait(30);
    scenario.configure_webhooks(json!({"drop": 1000})).await;
    scenario.simulate("end", json!({})).await;
    scenario.configure_webhooks(json!({"drop": 0})).await;
    scenario.wait(200);
    let lost = scenario.report().await;
    assert_eq!(lost["held_minutes"], 150, "somebody was connected until the window closed");
    assert_row(
        &lost,
        "Student 1",
        json!({"minutes": 150, "percent": 100.0, "connections": 2, "flags": ["left_inferred"]}),
    );
    assert_row(&lost, "Student 2", json!({"present": false, "status": "absent"}));

    // A later use of the meeting does not belong to the class.
    scenario.simulate("start", json!({})).await;
    scenario.join(participant).await;
    scenario.wait(30);
    scenario.simulate("end", json!({})).await;
    assert_eq!(scenario.report().await, lost);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn guest_is_matched_by_invited_address() {
    let mut body = session_body(26);
    body["audience_type"] = json!("invitees");
    body["invitees"] = json!([
        {"email": "guest@example.test", "name": "Grace"},
        {"email": "student9@example.test"},
    ]);
    let scenario = AttendanceScenario::start(body).await;
    let before = scenario.report().await;
    assert_eq!((&before["expected"], &before["held_minutes"]), (&json!(2), &json!(0)));
    let id_before = row(&before, "student9@example.test")["attendee_id"].clone();

    let key = scenario.request_join(9).await;
    scenario.simulate("start", json!({})).await;
    scenario.join(json!({"name": "G.", "email": "Guest@Example.Test"})).await;
    scenario.join(json!({"name": "S.", "customer_key": key})).await;
    scenario.wait(60);
    scenario.simulate("end", json!({})).await;
    let report = scenario.report().await;
    assert_row(&report, "Grace", json!({"match": "email", "minutes": 60, "present": true}));
    assert_row(
        &report,
        "Student 9",
        json!({"match": "customer_key", "user_id": "student-9", "attendee_id": id_before}),
    );
    assert_eq!((&report["expected"], &report["present"]), (&json!(2), &json!(2)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attendance_is_readable_and_correctable_by_few() {
    let scenario = AttendanceScenario::for_course().await;
    let world = &scenario.world;
    let report = scenario.report().await;
    let first = row(&report, "Student 1")["attendee_id"].as_str().expect("an id").to_owned();
    let override_body = json!({"present": true, "reason": "because"});
    let paths = [scenario.report_path(), format!("{}/audit", scenario.report_path())];
    for token in [world.other_trainer().await, world.student(1).await] {
        for path in &paths {
            world.get(&token, path).await.expect_problem(404, "not_found");
        }
    }
    for token in [world.other_trainer().await, world.student(1).await] {
        let path = format!("{}/{first}", scenario.report_path());
        world.put(&token, &path, override_body.clone()).await.expect_problem(404, "not_found");
    }
    for path in &paths {
        world.get(&scenario.admin().await, path).await.expect(200);
        world.get("", path).await.expect_problem(401, "unauthenticated");
    }

    let unknown = format!("att_{}", "a".repeat(26));
    for attendee in [&*unknown, "student-1"] {
        scenario
            .override_row(attendee, override_body.clone())
            .await
            .expect_problem(404, "not_found");
    }
    for (body, field) in [
        (json!({"assign_to": {"user_id": "student-1"}}), "reason"),
        (json!({"status": "late"}), "status"),
        (json!({"present": true, "reason": "x".repeat(501)}), "reason"),
        (json!({"reason": "because"}), "present"),
    ] {
        let problem =
            scenario.override_row(&first, body).await.expect_problem(422, "validation_failed");
        assert_eq!(problem["errors"][0]["field"], field, "{problem}");
    }
    let assign = json!({"reason": "because", "assign_to": {"user_id": "student-2"}});
    scenario.override_row(&first, assign).await.expect_problem(409, "conflict");
    let audit_page = world.get(&scenario.trainer, &paths[1]).await.expect(200);
    assert_eq!(audit_page, json!({"items": [], "next_cursor": null}));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn csv_has_same_rows_as_report_and_no_formulas() {
    let scenario = AttendanceScenario::for_course().await;
    scenario.simulate("start", json!({})).await;
    scenario.join(json!({"name": "=HYPERLINK(\"http://x\",\"y\"), 💥"})).await;
    scenario.wait(30);
    scenario.simulate("end", json!({})).await;
    let report = scenario.report().await;
    let by_query = scenario
        .world
        .get(&scenario.trainer, &format!("{}?format=csv", scenario.report_path()))
        .await;
    let accept = [("accept", "text/csv")];
    let path = scenario.report_path();
    let by_header = scenario.world.call(Method::GET, &path, &scenario.trainer, None, &accept).await;
    assert_eq!(by_query.text, by_header.text);
    let header = |name: &str| by_query.headers[name].to_str().expect("text").to_owned();
    assert_eq!(header("content-type"), "text/csv; charset=utf-8");
    assert!(header("content-disposition").starts_with("attachment; filename=\"attendance-ses_"));

    let semicolons = format!("{path}?format=csv&separator=%3B");
    let semicolons = scenario.world.get(&scenario.trainer, &semicolons).await.text;
    let semicolons = semicolons.trim_start_matches('\u{feff}');
    assert!(semicolons.starts_with("attendee_id;user_id;name;"), "{semicolons}");

    // The client removes the byte order mark from text, so the test reads the bytes.
    let client = shared::net::http_client("live-classes/tests").expect("an HTTP client");
    let url = format!("{}{path}?format=csv", scenario.world.stack.base_url);
    let saved = client.get(url).bearer_auth(&scenario.trainer).send().await.expect("a response");
    let saved = saved.bytes().await.expect("a complete response body");
    assert!(
        saved.starts_with("\u{feff}attendee_id,".as_bytes()),
        "the file should begin with one byte order mark"
    );

    let lines: Vec<_> =
        by_query.text.trim_start_matches('\u{feff}').split_terminator("\r\n").collect();
    assert_eq!(
        lines[0],
        "attendee_id,user_id,name,email,match,first_joined_at,last_left_at,minutes,percent,connections,present,present_by,status,flags,provenance"
    );
    let rows = report["attendees"].as_array().expect("rows");
    assert_eq!(lines.len(), rows.len() + 1);
    for (line, row) in lines[1..].iter().zip(rows) {
        assert!(line.starts_with(row["attendee_id"].as_str().expect("an id")), "{line}");
    }
    assert!(
        lines[6].contains(",\"'=HYPERLINK(\"\"http://x\"\",\"\"y\"\"), 💥\",,none,")
            && lines[6].ends_with(",30,100.0,1,true,rule,present,needs_review,webhook"),
        "{}",
        lines[6]
    );
    let other = format!("{}?format=pdf", scenario.report_path());
    scenario.world.get(&scenario.trainer, &other).await.expect_problem(422, "validation_failed");
}

/// Reads the report of 300 students with a join attempt, a join event and a leave event each, and prints the cost.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn report_of_large_session_needs_few_requests() {
    const PEOPLE: u32 = 300;
    let scenario = AttendanceScenario::for_course().await;
    let service = scenario.world.service().await;
    for n in 6..=PEOPLE {
        let path = format!("/v1/directory/courses/course-1/enrollments/student-{n}");
        let body = json!({"email": format!("student{n}@example.test"), "name": format!("Student {n}"), "access_granted": true});
        scenario.world.put(&service, &path, body).await.expect(200);
    }
    scenario.simulate("start", json!({})).await;
    for n in 1..=PEOPLE {
        let key = scenario.request_join(n).await;
        scenario.join(json!({"name": format!("Student {n}"), "customer_key": key})).await;
    }
    scenario.wait(60);
    scenario.simulate("end", json!({})).await;
    scenario.world.stack.usage.reset();
    let report = scenario.report().await;
    assert_eq!(report["present"], PEOPLE);
    let tally = scenario.world.stack.usage.service_totals("attendance", Service::Dynamodb);
    println!(
        "the report of {PEOPLE} participants: {} requests, {} read units",
        tally.calls, tally.read_units
    );
    assert!(tally.calls <= 6, "{tally:?}");
    assert!(tally.read_units <= 120.0 && tally.write_units.abs() < f64::EPSILON, "{tally:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rejected_student_is_not_expected_after_leaving_course() {
    let scenario = AttendanceScenario::start(course_session_body(27)).await;
    let world = &scenario.world;
    let join = format!("{}/join", scenario.path);
    for n in [4, 5] {
        let token = world.student(n).await;
        world.post(&token, &join, json!({})).await.expect_problem(409, "too_early");
    }
    scenario.wait(60);
    let key = scenario.request_join(5).await;
    let service = world.service().await;
    for n in [4, 5] {
        let enrollment = format!("/v1/directory/courses/course-1/enrollments/student-{n}");
        world.delete(&service, &enrollment).await.expect(204);
    }
    scenario.simulate("start", json!({})).await;
    scenario.join(json!({"name": "Participant", "customer_key": key})).await;
    scenario.wait(60);
    scenario.simulate("end", json!({})).await;
    let report = scenario.report().await;
    assert_eq!((&report["expected"], &report["present"]), (&json!(4), &json!(1)), "{report}");
    let rows = report["attendees"].as_array().expect("rows").iter();
    let users: Vec<_> = rows.filter_map(|row| row["user_id"].as_str()).collect();
    assert!(users.contains(&"student-5"), "an admitted student should have a row: {users:?}");
    assert!(!users.contains(&"student-4"), "a rejected student should have no row: {users:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rejected_student_is_matched_when_joining_through_zoom() {
    let scenario = AttendanceScenario::start(course_session_body(27)).await;
    let world = &scenario.world;
    // No enrollment has this email address.
    let home_account = json!({"sub": "student-4", "role": "student", "email": "four@home.example.test", "name": "Student 4"});
    let token = world.token(home_account).await;
    let join = format!("{}/join", scenario.path);
    world.post(&token, &join, json!({})).await.expect_problem(409, "too_early");
    scenario.wait(60);
    scenario.simulate("start", json!({})).await;
    scenario.join(json!({"name": "somebody", "email": "four@home.example.test"})).await;
    scenario.wait(60);
    scenario.simulate("end", json!({})).await;
    let report = scenario.report().await;
    assert_row(&report, "Student 4", json!({"match": "email", "minutes": 60, "present": true}));
    assert_eq!(report["expected"], 5);
}
