//! Who was there: from the meeting, through Zoom's webhooks, to the report, its CSV, and what is decided by hand.

mod archive;

use http::Method;
use jiff::{SignedDuration, Timestamp};
use local::calls::Service;
use serde_json::{Value, json};

use crate::look::with;
use crate::world::{Answer, World, class, course_class};

/// A class that begins now and is planned for an hour, with the people around it.
struct Lesson {
    world: World,
    trainer: String,
    path: String,
    meeting: String,
}

impl Lesson {
    /// A class of `course-1`, whose students 1 to 5 are expected.
    async fn of_course() -> Self {
        Self::of(course_class(26)).await
    }

    async fn of(body: Value) -> Self {
        let world = World::start().await;
        let trainer = world.trainer().await;
        world.connect_zoom(&trainer, "app").await;
        let made = world.post(&trainer, "/v1/sessions", body).await.expect(201);
        let id = made["id"].as_str().expect("an id");
        let meeting = made["meeting"]["id"].as_str().expect("a meeting");
        world.advance(SignedDuration::from_hours(26));
        let (path, meeting) =
            (format!("/v1/sessions/{id}"), format!("/zoom/sim/meetings/{meeting}"));
        Self { world, trainer, path, meeting }
    }

    /// A class by a pasted link, of which Zoom knows nothing.
    async fn of_link(body: Value) -> Self {
        let world = World::start().await;
        let trainer = world.trainer().await;
        let made = world.post(&trainer, "/v1/sessions", body).await.expect(201);
        world.advance(SignedDuration::from_hours(26));
        let path = format!("/v1/sessions/{}", made["id"].as_str().expect("an id"));
        Self { world, trainer, path, meeting: String::new() }
    }

    async fn act(&self, verb: &str, body: Value) -> Value {
        let path = format!("{}/{verb}", self.meeting);
        let answer = self.world.call(Method::POST, &path, "", Some(body), &[]).await;
        assert!(answer.status.is_success(), "{verb}: {}", answer.text);
        if answer.text.is_empty() { Value::Null } else { answer.json() }
    }

    async fn knobs(&self, webhooks: Value) {
        let body = json!({ "webhooks": webhooks });
        self.world.post("", "/zoom/sim/knobs", body).await.expect(200);
    }

    /// Somebody comes in; what the connection is called.
    async fn join(&self, who: Value) -> String {
        let joined = self.act("join", who).await;
        joined["participant_uuid"].as_str().expect("a connection").to_owned()
    }

    async fn leave(&self, connection: &str) {
        self.act("leave", json!({ "participant_uuid": connection })).await;
    }

    /// `student-n` clicks join; the key that Zoom will know them by.
    async fn click(&self, n: u32) -> String {
        let token = self.world.student(n).await;
        let pass =
            self.world.post(&token, &format!("{}/join", self.path), json!({})).await.expect(200);
        pass["customer_key"].as_str().expect("a key").to_owned()
    }

    fn wait(&self, minutes: i64) {
        self.world.advance(SignedDuration::from_mins(minutes));
    }

    fn address(&self) -> String {
        format!("{}/attendance", self.path)
    }

    async fn report(&self) -> Value {
        self.world.get(&self.trainer, &self.address()).await.expect(200)
    }

    async fn decide(&self, attendee: &str, body: Value) -> Answer {
        self.world.put(&self.trainer, &format!("{}/{attendee}", self.address()), body).await
    }

    async fn admin(&self) -> String {
        self.world.token(json!({"sub": "admin-1", "role": "admin"})).await
    }
}

/// The row of a name.
#[track_caller]
fn row<'a>(report: &'a Value, name: &str) -> &'a Value {
    let mut rows = report["attendees"].as_array().expect("rows").iter();
    rows.find(|row| row["name"] == name).unwrap_or_else(|| panic!("no {name} in {report}"))
}

#[track_caller]
fn shows(report: &Value, name: &str, fields: Value) {
    let row = row(report, name);
    for (field, expected) in fields.as_object().expect("fields") {
        assert_eq!(&row[field], expected, "{name}'s {field}: {row}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lesson_is_told_as_it_was() {
    let lesson = Lesson::of_course().await;
    let keys = [lesson.click(1).await, lesson.click(2).await, lesson.click(3).await];
    let who = |n: usize| json!({"name": "whoever", "customer_key": keys[n]});
    // Everything comes twice and in any order.
    lesson.knobs(json!({"duplicate": 1, "shuffle": true})).await;
    lesson.act("start", json!({})).await;
    let phone = lesson.join(who(0)).await;
    let laptop = lesson.join(who(0)).await;
    let mover = lesson.join(who(1)).await;
    let killed = lesson.join(who(2)).await;
    let stranger = lesson.join(json!({"name": "Student 4"})).await;
    lesson.wait(10);
    lesson.leave(&phone).await;
    lesson.leave(&stranger).await;
    lesson.act("room-move", json!({"participant_uuid": mover, "room": "A"})).await;
    lesson.act("kill", json!({"participant_uuid": killed})).await;
    lesson.join(who(2)).await;
    lesson.wait(20);
    lesson.act("room-move", json!({"participant_uuid": mover})).await;
    lesson.leave(&laptop).await;
    lesson.wait(10);
    lesson.leave(&mover).await;
    lesson.join(who(0)).await;
    lesson.wait(20);
    lesson.act("end", json!({})).await;
    lesson.world.post("", "/zoom/sim/webhooks/deliver", json!({})).await;

    let report = lesson.report().await;
    assert_eq!((&report["planned_minutes"], &report["held_minutes"]), (&json!(60), &json!(60)));
    assert_eq!((&report["expected"], &report["present"]), (&json!(5), &json!(3)), "{report}");
    assert_eq!(report["percent_present"], json!(60.0));
    let there = |minutes: u64, percent: f64, connections: u64| {
        json!({
            "match": "customer_key", "minutes": minutes, "percent": percent, "connections": connections,
            "present": true, "present_by": "rule", "flags": [],
        })
    };
    shows(&report, "Student 1", there(50, 83.3, 3));
    shows(&report, "Student 2", there(40, 66.7, 1));
    shows(&report, "Student 3", there(60, 100.0, 2));
    shows(
        &report,
        "Student 5",
        json!({"match": "none", "minutes": 0, "connections": 0, "present": false, "flags": [],
            "first_joined_at": null, "last_left_at": null}),
    );
    let rows = report["attendees"].as_array().expect("rows");
    let named: Vec<_> = rows.iter().filter(|row| row["name"] == "Student 4").collect();
    assert_eq!(named.len(), 2, "a name is nobody: {report}");
    let unknown = named.iter().find(|row| row["match"] == "none" && row["minutes"] == 10);
    assert_eq!(unknown.expect("a row of its own")["flags"], json!(["needs_review"]));
    assert!(rows.iter().all(|row| row["user_id"] != "trainer-1"), "the host is no attendee");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_end_is_inferred_and_a_restart_goes_on() {
    let lesson = Lesson::of_course().await;
    let key = lesson.click(1).await;
    let who = json!({"name": "Ada", "customer_key": key});
    lesson.act("start", json!({})).await;
    lesson.join(who.clone()).await;
    lesson.wait(20);
    let running = lesson.report().await;
    shows(
        &running,
        "Student 1",
        json!({"minutes": 20, "percent": 100.0, "last_left_at": null, "flags": []}),
    );

    lesson.knobs(json!({"drop": 1000})).await;
    lesson.act("end", json!({})).await;
    lesson.knobs(json!({"drop": 0})).await;
    lesson.wait(200);
    let lost = lesson.report().await;
    assert_eq!(lost["held_minutes"], 60, "until its planned end");
    shows(&lost, "Student 1", json!({"minutes": 60, "flags": ["left_inferred"]}));

    // Started again, it must have ended before; and Zoom may forget to say that people left.
    lesson.knobs(json!({"leaves_at_end": false})).await;
    lesson.act("start", json!({})).await;
    lesson.join(who).await;
    lesson.wait(30);
    lesson.act("end", json!({})).await;
    let again = lesson.report().await;
    assert_eq!(again["held_minutes"], 90);
    shows(
        &again,
        "Student 1",
        json!({"minutes": 90, "connections": 2, "flags": ["left_inferred"]}),
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_guest_is_recognised_by_the_address_that_was_invited() {
    let mut body = class(26);
    body["audience_type"] = json!("invitees");
    body["invitees"] = json!([
        {"email": "guest@example.test", "name": "Grace"},
        {"email": "student9@example.test"},
    ]);
    let lesson = Lesson::of(body).await;
    let before = lesson.report().await;
    assert_eq!((&before["expected"], &before["held_minutes"]), (&json!(2), &json!(0)));
    let id_before = row(&before, "student9@example.test")["attendee_id"].clone();

    let key = lesson.click(9).await;
    lesson.act("start", json!({})).await;
    lesson.join(json!({"name": "G.", "email": "Guest@Example.Test"})).await;
    lesson.join(json!({"name": "S.", "customer_key": key})).await;
    lesson.wait(60);
    lesson.act("end", json!({})).await;
    let report = lesson.report().await;
    shows(&report, "Grace", json!({"match": "email", "minutes": 60, "present": true}));
    shows(
        &report,
        "Student 9",
        json!({"match": "customer_key", "user_id": "student-9", "attendee_id": id_before}),
    );
    assert_eq!((&report["expected"], &report["present"]), (&json!(2), &json!(2)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn decisions_go_before_the_rule_with_a_reason_and_a_trail() {
    let lesson = Lesson::of_course().await;
    lesson.act("start", json!({})).await;
    lesson.join(json!({"name": "iPhone"})).await;
    lesson.wait(60);
    lesson.act("end", json!({})).await;
    let report = lesson.report().await;
    let id = |name: &str| row(&report, name)["attendee_id"].as_str().expect("an id").to_owned();
    let (first, phone) = (id("Student 1"), id("iPhone"));

    let excused = json!({"present": true, "reason": "Took part by telephone."});
    let shown = lesson.decide(&first, excused.clone()).await.expect(200);
    assert_eq!((&shown["present"], &shown["present_by"]), (&json!(true), &json!("override")));
    lesson.decide(&first, excused).await.expect(200);
    lesson.wait(1);
    let undone = json!({"present": false, "reason": "It was somebody else."});
    let admin = lesson.admin().await;
    let path = format!("{}/{first}", lesson.address());
    lesson.world.put(&admin, &path, undone).await.expect(200);
    lesson.wait(1);
    let assigned =
        json!({"present": true, "reason": "That is Bob.", "assign_to": {"user_id": "student-2"}});
    let shown = lesson.decide(&phone, assigned).await.expect(200);
    assert_eq!((&shown["user_id"], &shown["minutes"]), (&json!("student-2"), &json!(60)));
    assert_eq!(shown["flags"], json!(["assigned"]));

    let after = lesson.report().await;
    assert_eq!(after["attendees"].as_array().map(Vec::len), Some(5), "one row less");
    shows(&after, "Student 1", json!({"present": false, "present_by": "override"}));
    shows(&after, "Student 2", json!({"present": true, "present_by": "override"}));

    let audit = format!("{}/audit", lesson.address());
    let trail = lesson.world.get(&lesson.trainer, &audit).await.expect(200);
    let entries = trail["items"].as_array().expect("entries");
    assert_eq!(entries.len(), 4, "a repeated request is no decision: {trail}");
    let oldest = &entries[3];
    assert_eq!(
        (&oldest["actor"], &oldest["reason"], &oldest["attendee_id"]),
        (&json!("trainer-1"), &json!("Took part by telephone."), &json!(first))
    );
    assert_eq!(
        (&oldest["old"]["present"], &oldest["old"]["present_by"]),
        (&json!(false), &json!("rule"))
    );
    assert_eq!(oldest["new"]["present_by"], "override");
    assert_eq!(
        (&entries[2]["actor"], &entries[2]["old"]["present"]),
        (&json!("admin-1"), &json!(true))
    );
    let of_phone = entries[..2].iter().find(|entry| entry["attendee_id"] == json!(phone));
    assert!(of_phone.is_some_and(|entry| entry["new"]["assigned_to"].is_string()), "{trail}");

    let mut paged = Vec::new();
    let mut next = String::new();
    loop {
        let page = format!("{audit}?limit=1{next}");
        let page = lesson.world.get(&lesson.trainer, &page).await.expect(200);
        paged.extend(page["items"].as_array().expect("entries").clone());
        let Some(cursor) = page["next_cursor"].as_str() else { break };
        next = format!("&cursor={cursor}");
    }
    assert_eq!(&paged, entries);

    let back = json!({"assign_to": null, "reason": "It was not Bob."});
    let shown = lesson.decide(&phone, back).await.expect(200);
    assert_eq!((&shown["name"], &shown["flags"]), (&json!("iPhone"), &json!(["needs_review"])));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_who_decide_at_once_are_both_in_the_trail_one_after_the_other() {
    let lesson = Lesson::of_course().await;
    let report = lesson.report().await;
    let first = row(&report, "Student 1")["attendee_id"].as_str().expect("an id").to_owned();
    let path = format!("{}/{first}", lesson.address());
    let admin = lesson.admin().await;
    let decision = |present: bool| json!({"present": present, "reason": "I was there."});
    let (by_owner, by_admin) = futures::join!(
        lesson.world.put(&lesson.trainer, &path, decision(true)),
        lesson.world.put(&admin, &path, decision(false)),
    );
    by_owner.expect(200);
    by_admin.expect(200);
    let audit = format!("{}/audit", lesson.address());
    let trail = lesson.world.get(&lesson.trainer, &audit).await.expect(200);
    assert_eq!(trail["items"].as_array().map(Vec::len), Some(2), "{trail}");
    // Giving back to the rule what the rule decides is no decision.
    let second = row(&report, "Student 2")["attendee_id"].as_str().expect("an id").to_owned();
    let idle = json!({"present": null, "reason": "Let the rule say."});
    lesson.decide(&second, idle.clone()).await.expect(200);
    for present in [true, false, true, false] {
        lesson.decide(&first, decision(present)).await.expect(200);
    }
    lesson.decide(&first, idle.clone()).await.expect(200);
    lesson.decide(&first, with(idle, json!({"reason": "Once more."}))).await.expect(200);

    // The clock stands still, and yet each begins with what the one before it came to.
    let trail = lesson.world.get(&lesson.trainer, &audit).await.expect(200);
    let entries = trail["items"].as_array().expect("entries");
    let count = entries.len();
    assert!((6..=7).contains(&count), "the second of the two may have said what stood: {trail}");
    assert_eq!(entries[count - 1]["old"]["present_by"], "rule");
    let at = |entry: &Value| {
        entry["at"].as_str().and_then(|at| at.parse::<Timestamp>().ok()).expect("a time")
    };
    for pair in entries.windows(2) {
        assert_eq!(pair[0]["old"], pair[1]["new"], "{trail}");
        assert!(at(&pair[0]) > at(&pair[1]), "{trail}");
    }
    let now = lesson.report().await;
    assert_eq!(row(&now, "Student 1")["present_by"], "rule");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_decision_stays_when_the_course_has_its_person_no_more() {
    let lesson = Lesson::of_course().await;
    lesson.act("start", json!({})).await;
    lesson.join(json!({"name": "iPhone"})).await;
    lesson.wait(60);
    lesson.act("end", json!({})).await;
    let report = lesson.report().await;
    let id = |name: &str| row(&report, name)["attendee_id"].as_str().expect("an id").to_owned();
    let seen = json!({"present": true, "reason": "I saw her."});
    lesson.decide(&id("Student 1"), seen.clone()).await.expect(200);
    let assign = json!({"assign_to": {"user_id": "student-3"}, "reason": "That is his phone."});
    lesson.decide(&id("iPhone"), assign).await.expect(200);
    lesson.decide(&id("Student 4"), seen).await.expect(200);
    let back = json!({"present": null, "reason": "I was wrong."});
    lesson.decide(&id("Student 4"), back).await.expect(200);

    let world = &lesson.world;
    let service = world.service().await;
    for n in 1..=4 {
        let place = format!("/v1/directory/courses/course-1/enrollments/student-{n}");
        world.delete(&service, &place).await.expect(204);
    }
    let report = lesson.report().await;
    assert_eq!((&report["expected"], &report["present"]), (&json!(3), &json!(2)), "{report}");
    let decided = json!({"present": true, "present_by": "override", "user_id": "student-1", "email": "student1@example.test"});
    shows(&report, "Student 1", decided);
    shows(&report, "Student 3", json!({"minutes": 60, "flags": ["assigned"]}));

    // What was decided of somebody who is erased is nobody's.
    world.delete(&service, "/v1/directory/users/student-1").await.expect(204);
    let report = lesson.report().await;
    assert!(!report.to_string().contains("tudent1@") && !report.to_string().contains("student-1"));
    shows(&report, "(erased)", json!({"present": true, "present_by": "override"}));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_the_owner_and_administrators_read_and_decide() {
    let lesson = Lesson::of_course().await;
    let world = &lesson.world;
    let report = lesson.report().await;
    let first = row(&report, "Student 1")["attendee_id"].as_str().expect("an id").to_owned();
    let decision = json!({"present": true, "reason": "because"});
    let addresses = [lesson.address(), format!("{}/audit", lesson.address())];
    for token in [world.other_trainer().await, world.student(1).await, world.service().await] {
        for address in &addresses {
            world.get(&token, address).await.refused(404, "not_found");
        }
        let path = format!("{}/{first}", lesson.address());
        world.put(&token, &path, decision.clone()).await.refused(404, "not_found");
    }
    for address in &addresses {
        world.get(&lesson.admin().await, address).await.expect(200);
        world.get("", address).await.refused(401, "unauthenticated");
    }

    let unknown = format!("att_{}", "a".repeat(26));
    for attendee in [&*unknown, "student-1"] {
        lesson.decide(attendee, decision.clone()).await.refused(404, "not_found");
    }
    for (body, field) in [
        (json!({"present": true}), "reason"),
        (json!({"present": true, "reason": "x".repeat(501)}), "reason"),
        (json!({"reason": "because"}), "present"),
    ] {
        let problem = lesson.decide(&first, body).await.refused(422, "validation_failed");
        assert_eq!(problem["errors"][0]["field"], field, "{problem}");
    }
    let assign = json!({"reason": "because", "assign_to": {"user_id": "student-2"}});
    lesson.decide(&first, assign).await.refused(409, "conflict");
    let trail = world.get(&lesson.trainer, &addresses[1]).await.expect(200);
    assert_eq!(trail, json!({"items": [], "next_cursor": null}));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_file_has_the_same_rows_and_no_formulas() {
    let lesson = Lesson::of_course().await;
    lesson.act("start", json!({})).await;
    lesson.join(json!({"name": "=HYPERLINK(\"http://x\",\"y\"), 💥"})).await;
    lesson.wait(30);
    lesson.act("end", json!({})).await;
    let report = lesson.report().await;
    let by_query =
        lesson.world.get(&lesson.trainer, &format!("{}?format=csv", lesson.address())).await;
    let accept = [("accept", "text/csv")];
    let address = lesson.address();
    let by_header = lesson.world.call(Method::GET, &address, &lesson.trainer, None, &accept).await;
    assert_eq!(by_query.text, by_header.text);
    let header = |name: &str| by_query.headers[name].to_str().expect("a text").to_owned();
    assert_eq!(header("content-type"), "text/csv; charset=utf-8");
    assert!(header("content-disposition").starts_with("attachment; filename=\"attendance-ses_"));

    // A client may take the byte order mark off the text; it is for whoever saves the bytes.
    let client = shared::net::http_client("live-classes/tests").expect("a client");
    let url = format!("{}{address}?format=csv", lesson.world.stack.base_url);
    let saved = client.get(url).bearer_auth(&lesson.trainer).send().await.expect("an answer");
    let saved = saved.bytes().await.expect("a whole answer");
    assert!(saved.starts_with("\u{feff}attendee_id,".as_bytes()), "one mark, and not two");

    let lines: Vec<_> =
        by_query.text.trim_start_matches('\u{feff}').split_terminator("\r\n").collect();
    assert_eq!(
        lines[0],
        "attendee_id,user_id,name,email,match,first_joined_at,last_left_at,minutes,percent,connections,present,present_by,flags"
    );
    let rows = report["attendees"].as_array().expect("rows");
    assert_eq!(lines.len(), rows.len() + 1);
    for (line, row) in lines[1..].iter().zip(rows) {
        assert!(line.starts_with(row["attendee_id"].as_str().expect("an id")), "{line}");
    }
    assert!(
        lines[6].contains(",\"'=HYPERLINK(\"\"http://x\"\",\"\"y\"\"), 💥\",,none,")
            && lines[6].ends_with(",30,100.0,1,true,rule,needs_review"),
        "{}",
        lines[6]
    );
    let other = format!("{}?format=pdf", lesson.address());
    lesson.world.get(&lesson.trainer, &other).await.refused(422, "validation_failed");
}

/// A class of 300 with a click, a join and a leave each; what it takes to read its report stands in the output.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_report_of_a_large_class_is_read_in_a_few_requests() {
    const PEOPLE: u32 = 300;
    let lesson = Lesson::of_course().await;
    let service = lesson.world.service().await;
    for n in 6..=PEOPLE {
        let path = format!("/v1/directory/courses/course-1/enrollments/student-{n}");
        let body = json!({"email": format!("student{n}@example.test"), "name": format!("Student {n}"), "access_granted": true});
        lesson.world.put(&service, &path, body).await.expect(200);
    }
    lesson.act("start", json!({})).await;
    for n in 1..=PEOPLE {
        let key = lesson.click(n).await;
        lesson.join(json!({"name": format!("Student {n}"), "customer_key": key})).await;
    }
    lesson.wait(60);
    lesson.act("end", json!({})).await;
    lesson.world.stack.usage.reset();
    let report = lesson.report().await;
    assert_eq!(report["present"], PEOPLE);
    let tally = lesson.world.stack.usage.service_totals("attendance", Service::Dynamodb);
    println!(
        "the report of {PEOPLE} participants: {} requests, {} read units",
        tally.calls, tally.read_units
    );
    assert!(tally.calls <= 6, "{tally:?}");
    assert!(tally.read_units <= 120.0 && tally.write_units.abs() < f64::EPSILON, "{tally:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_was_only_ever_refused_is_not_expected_once_they_left_the_course() {
    let lesson = Lesson::of(course_class(27)).await;
    let world = &lesson.world;
    let join = format!("{}/join", lesson.path);
    for n in [4, 5] {
        let token = world.student(n).await;
        world.post(&token, &join, json!({})).await.refused(409, "too_early");
    }
    lesson.wait(60);
    let key = lesson.click(5).await;
    let service = world.service().await;
    for n in [4, 5] {
        let place = format!("/v1/directory/courses/course-1/enrollments/student-{n}");
        world.delete(&service, &place).await.expect(204);
    }
    lesson.act("start", json!({})).await;
    lesson.join(json!({"name": "whoever", "customer_key": key})).await;
    lesson.wait(60);
    lesson.act("end", json!({})).await;
    let report = lesson.report().await;
    assert_eq!((&report["expected"], &report["present"]), (&json!(4), &json!(1)), "{report}");
    let rows = report["attendees"].as_array().expect("rows").iter();
    let users: Vec<_> = rows.filter_map(|row| row["user_id"].as_str()).collect();
    assert!(users.contains(&"student-5"), "who was let in is shown: {users:?}");
    assert!(!users.contains(&"student-4"), "who never was is absent from nothing: {users:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_was_refused_by_this_page_is_recognised_when_they_come_another_way() {
    let lesson = Lesson::of(course_class(27)).await;
    let world = &lesson.world;
    // Of no place in the course is this address known.
    let at_home = json!({"sub": "student-4", "role": "student", "email": "four@home.example.test", "name": "Student 4"});
    let token = world.token(at_home).await;
    let join = format!("{}/join", lesson.path);
    world.post(&token, &join, json!({})).await.refused(409, "too_early");
    lesson.wait(60);
    lesson.act("start", json!({})).await;
    lesson.join(json!({"name": "somebody", "email": "four@home.example.test"})).await;
    lesson.wait(60);
    lesson.act("end", json!({})).await;
    let report = lesson.report().await;
    shows(&report, "Student 4", json!({"match": "email", "minutes": 60, "present": true}));
    assert_eq!(report["expected"], 5);
}
