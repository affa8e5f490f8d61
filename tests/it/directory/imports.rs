//! Imports of many directory commands.

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn import_applies_valid_lines_and_lists_invalid_ones() {
    let world = World::start().await;
    let lines = [
        r#"{"type":"course","id":"c-1","title":"First","trainer_id":"trainer-1"}"#,
        r#"{"type":"user","id":"u-1","email":"nobody","name":"Ada","role":"student"}"#,
        "",
        r#"{"type":"enrollment","course_id":"c-1","user_id":"student-9","email":"student9@example.test","name":"Nine"}"#,
        "nonsense",
        r#"{"type":"course","id":"c-1","title":"Last","trainer_id":"trainer-1"}"#,
        r#"{"type":"enrollment","course_id":"c-2","user_id":"u-1","email":"u@example.test","name":"U","deleted":true}"#,
        r#"{"type":"user","id":"u-2","email":"u2@example.test","name":"Two","role":"student"}"#,
        r#"{"type":"user","id":"u-2","deleted":true}"#,
        r#"{"type":"user","id":"u-3","deleted":true}"#,
        r#"{"type":"user","id":"u-3","email":"u3@example.test","name":"Three","role":"student"}"#,
        r#"{"type":"enrollment","course_id":"c-1","user_id":"student-8","email":"s8@example.test","name":"Eight"}"#,
        r#"{"type":"enrollment","course_id":"c-1","user_id":"student-8","deleted":true}"#,
        r#"{"type":"moon"}"#,
        r#"{"type":"course","id":"c-1","title":"x","trainer_id":"t","deleted":"yes"}"#,
    ];
    let result = import(&world, &lines.join("\r\n")).await.expect(200);
    assert_eq!(result["accepted"], 10);
    let rejected: Vec<_> = result["rejected"].as_array().expect("a list").iter().collect();
    assert_eq!(rejected.iter().map(|it| &it["line"]).collect::<Vec<_>>(), [2, 5, 14, 15]);
    assert!(rejected.iter().all(|it| it["code"] == "validation_failed"));
    assert_eq!(rejected[0]["user_id"], "u-1", "{result}");
    let unknown =
        json!([{"code": "unknown_user", "kind": "enrollment", "count": 1, "lines": [12]}]);
    assert_eq!(result["warnings"], unknown);
    let courses = world.items("COURSE#c-1").await;
    assert_eq!(courses[0]["title"], "Last", "the last line should win");
    assert_eq!(world.items("USER#u-2").await, Vec::<Value>::new());
    assert_eq!(world.items("USER#u-3").await.len(), 1);
    let left = world.items("USER#student-8").await;
    assert_eq!(
        left.iter().map(|item| &item["sk"]).collect::<Vec<_>>(),
        ["ENROLLMENT_PERIOD#c-1#2026-11-21T09:00:00.000Z", "FORMER_ENROLLMENT#c-1"],
        "only the records of the past enrollment should be left"
    );
    assert_eq!(
        world.items("USER#student-9").await.len(),
        2,
        "the user and the enrollment should be stored"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn import_warns_about_records_that_do_not_exist() {
    let world = World::start().await;
    let student = |course: &str, user: &str| json!({"type": "enrollment", "course_id": course, "user_id": user, "name": "S"});
    let trainer = |id: &str, plan: &str| json!({"type": "user", "id": id, "name": "T", "role": "trainer", "plan": plan});
    let lines = [
        student("course-1", "student-1"),
        student("c-new", "student-none"),
        student("c-none", "student-1"),
        trainer("t-1", "gold"),
        trainer("t-2", "silver"),
        json!({"type": "course", "id": "c-new", "title": "New", "trainer_id": "t-1"}),
        json!({"type": "settings", "plans": {"gold": {}, "pro": {}}}),
    ];
    let result = import(&world, &lines_of(&lines)).await.expect(200);
    assert_eq!((&result["accepted"], &result["rejected"]), (&json!(7), &json!([])));
    let expected = json!([
        {"code": "unknown_course", "kind": "enrollment", "count": 1, "lines": [3]},
        {"code": "unknown_user", "kind": "enrollment", "count": 1, "lines": [2]},
        {"code": "unknown_plan", "kind": "user", "count": 1, "lines": [5]},
    ]);
    assert_eq!(result["warnings"], expected);
    // The settings of the directory decide about the next import, and a single user with such a plan is refused.
    let result =
        import(&world, &lines_of(&[trainer("t-1", "gold"), trainer("t-2", "silver")])).await;
    assert_eq!(result.expect(200)["warnings"][0]["lines"], json!([2]));
    let service = world.service().await;
    let user = json!({"name": "T", "role": "trainer", "plan": "silver"});
    let refused = world.put(&service, "/v1/directory/users/t-2", user).await;
    assert_eq!(fields(&refused.expect_problem(422, "validation_failed")), ["plan"]);
    // The lines are applied even if the directory cannot be read.
    let fault = Fault::new(local::calls::Service::Dynamodb, "BatchGetItem", FaultKind::Error);
    world.inject_fault(fault.times(100));
    let result = import(&world, &student("c-none", "student-none").to_string()).await.expect(200);
    assert_eq!((&result["accepted"], &result["warnings"]), (&json!(1), &Value::Null));
}

fn lines_of(lines: &[Value]) -> String {
    lines.iter().map(Value::to_string).collect::<Vec<_>>().join("\n")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn import_accepts_thousands_of_lines_and_rejects_large_body() {
    let world = World::start().await;
    let line = |n: usize| {
        json!({"type": "enrollment", "course_id": "course-1", "user_id": format!("u-{n}"),
            "email": format!("u{n}@example.test"), "name": format!("User {n}")})
        .to_string()
    };
    // Some batch writes are only partially processed at first.
    world.inject_fault(
        local::faults::Fault::new(
            local::calls::Service::Dynamodb,
            "BatchWriteItem",
            FaultKind::Partial,
        )
        .times(5),
    );
    let lines: Vec<_> = (0..2000).map(line).collect();
    let result = import(&world, &lines.join("\n")).await.expect(200);
    assert_eq!((&result["accepted"], &result["rejected"]), (&json!(2000), &json!([])));
    assert_eq!(world.items("USER#u-").await.len(), 2000);
    let response = import(&world, &"x".repeat(4 * 1024 * 1024 + 1)).await;
    response.expect_problem(413, "payload_too_large");
    let problem = import(&world, " \r\n\n").await.expect_problem(422, "validation_failed");
    assert_eq!(fields(&problem), ["body"]);
}

/// Prints the figures of the largest imports: `cargo it directory::largest_imports -- --ignored --nocapture`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "long: run by .ci/nightly"]
async fn largest_imports_end_in_time_with_a_small_answer() {
    const LIMIT: usize = 4 * 1024 * 1024;
    let world = World::start().await;
    let mut course = String::new();
    for n in 0.. {
        let line = json!({"type": "enrollment", "course_id": "course-1", "user_id": format!("u-{n}"),
            "email": format!("u{n}@example.test"), "name": format!("User {n}")});
        if course.len() + line.to_string().len() >= LIMIT {
            break;
        }
        course.push_str(&format!("{line}\n"));
    }
    let files = [("wrong file", "x\n".repeat(LIMIT / 2)), ("one course", course)];
    for (name, mut rest) in files {
        let lines = rest.lines().count();
        let (mut done, mut requests) = (0, 0);
        loop {
            let began = tokio::time::Instant::now();
            let response = import(&world, &rest).await;
            let took = began.elapsed();
            let size = response.text.len();
            let outcome = response.expect(200);
            let counts = ["accepted", "rejected_count"].map(|name| outcome[name].as_u64());
            println!(
                "{name}, {lines} lines: {size} bytes in {took:?}, {counts:?}, {}",
                outcome["next_line"]
            );
            assert!(size < 20_000 && took.as_secs() < 30, "{size} bytes in {took:?}");
            done += counts.iter().flatten().sum::<u64>();
            requests += 1;
            let Some(next) = outcome["next_line"].as_u64() else { break };
            let skipped = usize::try_from(next).expect("a line") - 1;
            rest = rest.split_inclusive('\n').skip(skipped).collect();
        }
        assert_eq!(done, lines as u64, "in {requests} requests");
    }
}
