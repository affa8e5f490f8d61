//! Imports of many classes.

use http::Method;
use serde_json::{Value, json};

use local::calls::Service;
use local::faults::{Fault, FaultKind};

use crate::support::{fields, patched};
use crate::world::{Response, World, course_session_body, session_body};

async fn import(world: &World, service: &str, lines: &[String]) -> Response {
    let path = "/v1/sessions/import";
    world.send_raw(Method::POST, path, service, lines.join("\n").into_bytes()).await
}

/// A line for `trainer-1`, `hours` ahead.
fn line(name: &str, hours: i64, patch: Value) -> String {
    let named = json!({"external_ref": name, "trainer_id": "trainer-1"});
    patched(course_session_body(hours), patched(named, patch)).to_string()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn import_applies_valid_lines_and_lists_invalid_ones() {
    let world = World::start().await;
    let (trainer, service) = (world.trainer().await, world.service().await);
    world.connect_zoom(&trainer, "app").await;
    let link = json!({"provider": "manual", "join_url": "https://meet.example.test/a"});
    let named = json!({"external_ref": "c", "trainer_id": "trainer-2"});
    let second = patched(session_body(24 * 32), patched(named, link)).to_string();
    let lines = [
        line("a", 24 * 30, json!({})),
        line("b", 24 * 31, json!({"meeting": "later", "source": "schedule"})),
        String::new(),
        second,
        line("d", 24 * 33, json!({"meeting": "now"})),
        line("e", -24, json!({})),
        line("f", 24 * 34, json!({"course_id": "unknown"})),
        line("a", 24 * 30, json!({"title": "Geometry"})),
        line("a", 24 * 30, json!({"trainer_id": "trainer-2"})),
        "nonsense".to_owned(),
        line("polls", 24 * 35, json!({})),
    ];
    let outcome = import(&world, &service, &lines).await.expect(200);
    let counts = (&outcome["accepted"], &outcome["rejected_count"], &outcome["next_line"]);
    assert_eq!(counts, (&json!(4), &json!(6), &Value::Null));
    let rejected: Vec<_> = outcome["rejected"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|it| (it["line"].as_u64(), it["code"].as_str(), it["field"].as_str()))
        .collect();
    let invalid = Some("validation_failed");
    let expected = [
        (Some(5), invalid, Some("meeting")),
        (Some(6), invalid, Some("starts_at")),
        (Some(7), Some("not_found"), None),
        (Some(9), invalid, Some("trainer_id")),
        (Some(10), invalid, Some("body")),
        (Some(11), invalid, Some("external_ref")),
    ];
    assert_eq!(rejected, expected);
    assert_eq!(outcome["rejected"][2]["external_ref"], "f");
    let shown = |name: &str| {
        let path = format!("/v1/sessions/by-ref/{name}");
        let (world, service) = (&world, &service);
        async move { world.get(service, &path).await.expect(200) }
    };
    let first = shown("a").await;
    assert_eq!((&first["title"], &first["version"]), (&json!("Geometry"), &json!(2)));
    assert_eq!(first["meeting_state"], "pending");
    assert_eq!(shown("b").await["source"], "schedule");
    assert_eq!(shown("c").await["meeting_state"], "none");
    assert_eq!(world.zoom_calls("session-save", "create_meeting"), 0);
    world
        .send_raw(Method::POST, "/v1/sessions/import", &trainer, lines[0].clone().into())
        .await
        .expect_problem(403, "forbidden");
    for (body, field) in [(" \n".to_owned(), "body"), ("x\n".repeat(1_001), "body")] {
        let response = import(&world, &service, &[body]).await;
        assert_eq!(fields(&response.expect_problem(422, "validation_failed")), [field]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn import_reports_failures_of_single_lines_and_of_all() {
    let world = World::start().await;
    let service = world.service().await;
    let lines: Vec<_> = (0..3).map(|n| line(&format!("n-{n}"), 700 + n, json!({}))).collect();
    let fail = |times| {
        let fault = Fault::new(Service::Dynamodb, "TransactWriteItems", FaultKind::Unauthorized);
        world.inject_fault(fault.for_function("session-save").times(times));
    };
    fail(50);
    import(&world, &service, &lines).await.expect_problem(500, "internal");
    world.stack.faults.clear();
    fail(1);
    let outcome = import(&world, &service, &lines).await.expect(200);
    assert_eq!((&outcome["accepted"], &outcome["rejected_count"]), (&json!(2), &json!(1)));
    assert_eq!(outcome["rejected"][0]["code"], "internal");
    let outcome = import(&world, &service, &lines).await.expect(200);
    assert_eq!((&outcome["accepted"], &outcome["rejected_count"]), (&json!(3), &json!(0)));
}

/// A term of a school: 20 trainers with 50 classes each. Prints its figures with `--nocapture`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thousand_classes_are_imported_and_a_repetition_changes_nothing() {
    const TRAINERS: usize = 20;
    const LINES: usize = 1_000;
    let world = World::start().await;
    let service = world.service().await;
    for trainer in 0..TRAINERS {
        world.put_user(&format!("t-{trainer}"), json!({})).await;
    }
    let lines: Vec<_> = (0..LINES)
        .map(|n| {
            let (trainer, class) = (n % TRAINERS, i64::try_from(n / TRAINERS).expect("a few"));
            let body = json!({
                "external_ref": format!("class-{n}"), "trainer_id": format!("t-{trainer}"),
                "description": "x".repeat(1_000),
            });
            patched(session_body(24 * (3 + 2 * class)), body).to_string()
        })
        .collect();
    for (round, name) in ["first", "repeated"].into_iter().enumerate() {
        world.stack.usage.reset();
        let (mut rest, mut accepted, mut requests) = (&lines[..], 0, 0);
        while !rest.is_empty() {
            let began = tokio::time::Instant::now();
            let outcome = import(&world, &service, rest).await.expect(200);
            let took = began.elapsed();
            assert_eq!(outcome["rejected"], json!([]), "{name}");
            accepted += outcome["accepted"].as_u64().expect("a number");
            requests += 1;
            let next =
                outcome["next_line"].as_u64().map(|line| usize::try_from(line).expect("a line"));
            let usage = world.stack.usage.service_totals("session-save", Service::Dynamodb);
            println!(
                "{name}: {outcome} in {took:?}, {} requests, {} read and {} write units",
                usage.calls, usage.read_units, usage.write_units
            );
            assert!(took.as_secs() < 29 && requests < 20, "{name}: {took:?}");
            rest = next.map_or(&[], |line| &rest[line - 1..]);
        }
        assert!(accepted >= LINES as u64, "{name}: {accepted}");
        let written =
            world.stack.usage.service_totals("session-save", Service::Dynamodb).write_units;
        assert_eq!(written > 0.0, round == 0, "{name}: {written} write units");
    }
    let stored = world.items("SESSION#").await;
    assert_eq!(stored.iter().filter(|item| item["sk"] == "SESSION").count(), LINES);
}
