//! The attendance of a course: a row per student and a column per class.

use local::usage::Tally;
use shared::clock::Clock;

use super::*;

const COURSE: &str = "/v1/courses/course-1/attendance";
const DAY_MINUTES: i64 = 24 * 60;

/// A body of a class without a Zoom meeting.
fn manual_class(hours: i64) -> Value {
    let manual = json!({"provider": "manual", "join_url": "https://meet.example.test/a"});
    patched(course_session_body(hours), manual)
}

impl AttendanceScenario {
    /// The trainer's view. Tokens expire within days.
    async fn course(&self, query: &str) -> Value {
        let trainer = self.world.trainer().await;
        self.world.get(&trainer, &format!("{COURSE}{query}")).await.expect(200)
    }

    /// Reads until no class is pending, and returns the number of requests.
    async fn store_summaries(&self) -> usize {
        for count in 1.. {
            if self.course("?limit=1").await["pending"] == 0 {
                return count;
            }
        }
        unreachable!("the loop returns")
    }

    async fn hold_class_with_student_1(&self) {
        self.simulate("start", json!({})).await;
        let key = self.request_join(1).await;
        self.join(json!({"name": "Student 1", "customer_key": key})).await;
        self.wait(60);
        self.simulate("end", json!({})).await;
    }
}

fn student<'a>(page: &'a Value, id: &str) -> &'a Value {
    let mut rows = page["items"].as_array().expect("rows").iter();
    rows.find(|row| row["user_id"] == id).unwrap_or_else(|| panic!("no {id} in {page}"))
}

/// Compares a class's column with the report of the class.
fn assert_column_is_report(page: &Value, column: usize, report: &Value) {
    let class = &page["classes"][column];
    for figure in ["session_id", "held_minutes", "expected", "present", "final"] {
        assert_eq!(class[figure], report[figure], "{figure}: {class}");
    }
    let rows = report["attendees"].as_array().expect("rows");
    let absent = rows.iter().filter(|row| row["status"] == "absent" && row["user_id"].is_string());
    assert_eq!(class["absent"], json!(absent.count()));
    for row in rows.iter().filter(|row| row["user_id"].is_string()) {
        let own = &student(page, row["user_id"].as_str().expect("an id"))["classes"][column];
        for field in ["status", "minutes", "percent"] {
            assert_eq!(own[field], row[field], "{field}: {row}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn course_attendance_is_that_of_its_reports_at_every_time() {
    let scenario = AttendanceScenario::for_course().await;
    let world = &scenario.world;
    world.create(&scenario.trainer, &manual_class(48)).await.expect(201);
    scenario.hold_class_with_student_1().await;
    let page = scenario.course("").await;
    assert_column_is_report(&page, 0, &scenario.report().await);
    assert_eq!((&page["pending"], &page["next_cursor"]), (&json!(0), &Value::Null));
    let upcoming = &page["classes"][1];
    assert_eq!((&upcoming["state"], &upcoming["expected"]), (&json!("upcoming"), &Value::Null));
    let first = student(&page, "student-1");
    assert_eq!(
        (&first["classes"][1], &first["email"]),
        (&Value::Null, &json!("student1@example.test"))
    );
    let totals = json!({
        "held": 1, "present": 1, "late": 0, "left_early": 0, "absent": 0, "excused": 0, "percent": 100.0,
    });
    assert_eq!(first["totals"], totals);
    assert_eq!(student(&page, "student-2")["totals"]["absent"], 1);

    // The report is final, and the summary is stored once.
    scenario.wait(2 * DAY_MINUTES);
    let trainer = world.trainer().await;
    let report = || async { world.get(&trainer, &scenario.report_path()).await.expect(200) };
    let computed = scenario.course("").await;
    world.stack.usage.reset();
    assert_eq!(scenario.course("").await["classes"][0], computed["classes"][0]);
    let tally = world.stack.usage.service_totals("attendance", Service::Dynamodb);
    assert!(tally.write_units.abs() < f64::EPSILON, "{tally:?}");
    assert_column_is_report(&computed, 0, &report().await);
    assert_eq!(computed["classes"][0]["final"], true);

    // An override counts at once, and so does a bulk override.
    let id = |name: &str, report: &Value| {
        row(report, name)["attendee_id"].as_str().expect("an id").to_owned()
    };
    let before = report().await;
    let path = format!("{}/{}", scenario.report_path(), id("Student 2", &before));
    world.put(&trainer, &path, json!({"status": "excused"})).await.expect(200);
    let page = scenario.course("").await;
    assert_column_is_report(&page, 0, &report().await);
    assert_eq!(student(&page, "student-2")["totals"]["excused"], 1);
    let rows = json!([{"attendee_id": id("Student 3", &before), "present": true}]);
    let many = json!({"reason": "Was in the room.", "rows": rows});
    world.put(&trainer, &scenario.report_path(), many).await.expect(200);
    let page = scenario.course("").await;
    assert_column_is_report(&page, 0, &report().await);
    assert_eq!(page["classes"][0]["present"], 2);

    // Former students stay in the classes that they missed or attended, also once the record is complete.
    let service = world.service().await;
    let enrollment = "/v1/directory/courses/course-1/enrollments/student-4";
    world.delete(&service, enrollment).await.expect(204);
    scenario.wait(5 * DAY_MINUTES);
    scenario.store_summaries().await;
    let page = scenario.course("").await;
    let trainer = world.trainer().await;
    let report = world.get(&trainer, &scenario.report_path()).await.expect(200);
    assert_column_is_report(&page, 0, &report);
    let former = student(&page, "student-4");
    assert_eq!((&former["name"], &former["email"]), (&json!("Student 4"), &Value::Null));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn erased_student_has_no_row_but_stays_in_the_figures() {
    let scenario = AttendanceScenario::for_course().await;
    scenario.hold_class_with_student_1().await;
    scenario.wait(2 * DAY_MINUTES);
    scenario.store_summaries().await;
    assert_eq!(student(&scenario.course("").await, "student-1")["totals"]["present"], 1);
    let service = scenario.world.service().await;
    scenario.world.delete(&service, "/v1/directory/users/student-1").await.expect(204);
    let page = scenario.course("").await;
    assert!(!page.to_string().contains("student-1"), "{page}");
    let stored = scenario.world.dump().await;
    let summaries = stored.iter().filter(|item| item["sk"].to_string().contains("SUMMARY"));
    let summaries = summaries.map(Value::to_string).collect::<String>();
    assert!(summaries.contains("student-2"), "{summaries}");
    assert!(!summaries.contains("student-1") && !summaries.contains("Student 1"), "{summaries}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn course_attendance_is_readable_by_few() {
    let scenario = AttendanceScenario::for_course().await;
    let world = &scenario.world;
    for (token, status, code) in [
        (world.student(1).await, 403, "forbidden"),
        (world.other_trainer().await, 404, "not_found"),
    ] {
        world.get(&token, COURSE).await.expect_problem(status, code);
    }
    for token in [world.service().await, scenario.admin().await] {
        world.get(&token, COURSE).await.expect(200);
    }
    let unknown = "/v1/courses/unknown/attendance";
    world.get(&scenario.trainer, unknown).await.expect_problem(404, "not_found");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_of_course_csv_are_one_file_with_figures_at_the_end() {
    let scenario = AttendanceScenario::for_course().await;
    let formula = json!({"email": "student3@example.test", "name": "=1+1", "access_granted": true});
    let enrollment = "/v1/directory/courses/course-1/enrollments/student-3";
    let service = scenario.world.service().await;
    scenario.world.put(&service, enrollment, formula).await.expect(200);
    scenario.hold_class_with_student_1().await;
    let (mut file, mut query) = (String::new(), "?format=csv&limit=2".to_owned());
    let mut pages = 0;
    loop {
        let path = format!("{COURSE}{query}");
        let response = scenario.world.get(&scenario.trainer, &path).await;
        assert_eq!(response.status, 200, "{}", response.text);
        file.push_str(&response.text);
        pages += 1;
        let Some(link) = response.headers.get("link") else { break };
        let link = link.to_str().expect("text");
        let next = link.strip_prefix('<').and_then(|link| link.split_once('>'));
        query = next.expect("a link").0.to_owned();
    }
    assert_eq!(pages, 3);
    let lines: Vec<_> = file.trim_start_matches('\u{feff}').lines().collect();
    let cells = |line: usize| lines[line].split(',').collect::<Vec<_>>();
    assert_eq!(cells(0)[..3], ["user_id", "name", "email"]);
    assert_eq!(
        cells(0)[4..],
        ["held", "present", "late", "left_early", "absent", "excused", "percent"]
    );
    assert_eq!(
        cells(1),
        [
            "student-1",
            "Student 1",
            "student1@example.test",
            "present",
            "1",
            "1",
            "0",
            "0",
            "0",
            "0",
            "100.0"
        ]
    );
    assert_eq!(cells(3)[1], "'=1+1");
    assert_eq!(cells(2)[3..], ["absent", "1", "0", "0", "0", "1", "0", "0.0"]);
    let figures: Vec<_> = (6..10).map(|line| [cells(line)[1], cells(line)[3]]).collect();
    assert_eq!(figures, [["expected", "5"], ["present", "1"], ["absent", "4"], ["excused", "0"]]);
    assert_eq!(lines.len(), 10, "{file}");
}

/// Creates students and classes by import, lets all classes pass, and stores the summaries. Returns the requests and their
/// cost.
/// The students come first, because they would be invited to each class that exists.
async fn read_large_course(classes: usize, students: usize) -> (AttendanceScenario, usize, Tally) {
    let world = World::start().await;
    let trainer = world.trainer().await;
    let scenario =
        AttendanceScenario { world, trainer, path: String::new(), meeting: String::new() };
    let world = &scenario.world;
    let service = world.service().await;
    let send = |path: &'static str, lines: Vec<String>| {
        let service = &service;
        async move {
            let body = lines.join("\n").into_bytes();
            let outcome = world.send_raw(Method::POST, path, service, body).await.expect(200);
            assert_eq!(outcome["rejected"], json!([]), "{outcome}");
        }
    };
    let student = |n: usize| {
        json!({"type": "enrollment", "course_id": "course-1", "user_id": format!("student-{n}"),
            "email": format!("student{n}@example.test"), "name": format!("Student {n}"), "access_granted": true})
        .to_string()
    };
    let began_at = Clock::System.now();
    let lines: Vec<_> = (6..=students).map(student).collect();
    for chunk in lines.chunks(500) {
        send("/v1/directory/import", chunk.to_vec()).await;
    }
    let enrolled_at = Clock::System.now();
    let class = |n: usize| {
        let hours = 2 + i64::try_from(n).expect("a small number") * 3;
        let named = json!({"external_ref": format!("class-{n}"), "trainer_id": "trainer-1"});
        patched(manual_class(hours), named).to_string()
    };
    send("/v1/sessions/import", (0..classes).map(class).collect()).await;
    scenario.wait((3 * i64::try_from(classes).expect("a small number") / 24 + 7) * DAY_MINUTES);
    let scheduled_at = Clock::System.now();
    scenario.world.stack.usage.reset();
    let requests = scenario.store_summaries().await;
    let tally = scenario.world.stack.usage.service_totals("attendance", Service::Dynamodb);
    println!(
        "{students} students: {:#}. {classes} classes: {:#}. Summaries: {:#}, {tally:?}.",
        enrolled_at.duration_since(began_at),
        scheduled_at.duration_since(enrolled_at),
        Clock::System.now().duration_since(scheduled_at),
    );
    (scenario, requests, tally)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn page_of_course_reads_one_part_per_class() {
    const CLASSES: usize = 20;
    let (scenario, requests, tally) = read_large_course(CLASSES, 230).await;
    assert_eq!(requests, 3, "eight summaries should be stored per request");
    assert!(tally.read_units <= 170.0, "a request should read the roster once: {tally:?}");
    scenario.world.stack.usage.reset();
    let page = scenario.course("?limit=50").await;
    let tally = scenario.world.stack.usage.service_totals("attendance", Service::Dynamodb);
    println!("a page of 50 students and {CLASSES} classes: {tally:?}");
    assert_eq!(page["items"].as_array().map(Vec::len), Some(50));
    assert!(tally.calls <= 5 + 2 * CLASSES as u64, "{tally:?}");
    assert!(tally.read_units <= 130.0 && tally.write_units.abs() < f64::EPSILON, "{tally:?}");

    let (mut listed, mut query) = (0, "?limit=100".to_owned());
    loop {
        let page = scenario.course(&query).await;
        listed += page["items"].as_array().map_or(0, Vec::len);
        let Some(next) = page["next_cursor"].as_str() else { break };
        query = format!("?limit=100&cursor={next}");
    }
    assert_eq!(listed, 230);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "long: run by .ci/nightly"]
async fn course_of_5000_students_and_100_classes_is_read_in_pages() {
    let (scenario, requests, tally) = read_large_course(100, 5_000).await;
    assert!(requests <= 13, "{requests}");
    assert!(tally.read_units <= 4_500.0, "{tally:?}");
    let usage = &scenario.world.stack.usage;
    usage.reset();
    let (mut pages, mut listed, mut query) = (0, 0, "?limit=100".to_owned());
    let began_at = Clock::System.now();
    loop {
        let page = scenario.course(&query).await;
        assert!(page.to_string().len() < 1_000_000);
        pages += 1;
        listed += page["items"].as_array().map_or(0, Vec::len);
        let Some(next) = page["next_cursor"].as_str() else { break };
        query = format!("?limit=100&cursor={next}");
    }
    let tally = usage.service_totals("attendance", Service::Dynamodb);
    let took = Clock::System.now().duration_since(began_at);
    println!("{pages} pages of 5,000 students and 100 classes: {tally:?}, {took:#}");
    assert_eq!((pages, listed), (50, 5_000));
    assert!(tally.read_units <= 450.0 * f64::from(pages), "{tally:?}");
    // One class more than a table has.
    let service = scenario.world.service().await;
    let late = patched(manual_class(24 * 60), json!({"trainer_id": "trainer-1"}));
    scenario.world.post(&service, "/v1/sessions", late).await.expect(201);
    let trainer = scenario.world.trainer().await;
    scenario.world.get(&trainer, COURSE).await.expect_problem(422, "validation_failed");
}
