//! `POST /local/events` sends an event to its function.

use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::world::World;

fn event_files() -> Vec<(String, Value)> {
    let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/../events");
    let files = std::fs::read_dir(dir).expect("a directory").map(|entry| {
        let path = entry.expect("an entry").path();
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        let text = std::fs::read_to_string(&path).expect("a text");
        (name, serde_json::from_str(&text).expect("JSON"))
    });
    files.collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_event_file_reaches_its_function() {
    let world = World::start().await;
    for (name, event) in event_files() {
        let function = name.split('.').next().expect("a function");
        let before =
            world.stack.usage.report().functions.get(function).map_or(0, |it| it.invocations);
        let response = world.post("", "/local/events", event.clone()).await;
        let result = response.expect(200);
        let after = world.stack.usage.report().functions[function].invocations;
        // A payment invokes its function once more, through the queue.
        assert!(after > before, "{name}");
        if event["version"] == "2.0" {
            // The placeholders of token and signature were replaced. Some sessions do not exist.
            let status = result["statusCode"].as_u64().expect("a status");
            assert!(status < 500 && status != 401, "{name}: {result}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn event_goes_to_the_named_function_and_keeps_its_own_signature() {
    let world = World::start().await;
    let send = |query: &str, body: Value| {
        let path = format!("/local/events{query}");
        let world = &world;
        async move { world.call(Method::POST, &path, "", Some(body), &[]).await }
    };
    let empty = json!({});
    let report = send("?function=outbox-sweep", empty.clone()).await.expect(200);
    assert!(report.is_object(), "{report}");
    for (query, status, text) in [
        ("", StatusCode::UNPROCESSABLE_ENTITY, "?function="),
        ("?functions=join", StatusCode::UNPROCESSABLE_ENTITY, "functions"),
        ("?function=jion", StatusCode::NOT_FOUND, "jion"),
        ("?function=join", StatusCode::UNPROCESSABLE_ENTITY, "invalid event"),
        ("?function=directory", StatusCode::BAD_GATEWAY, "error"),
    ] {
        let response = send(query, empty.clone()).await;
        assert_eq!(response.status, status, "{query} {}", response.text);
        assert!(response.text.contains(text), "{query} {}", response.text);
    }
    let (_, mut event) = event_files()
        .into_iter()
        .find(|(name, _)| name == "webhook.meeting-started.json")
        .expect("an event");
    event["headers"]["x-zm-signature"] = json!(format!("v0={}", "1".repeat(64)));
    assert_eq!(send("", event).await.expect(200)["statusCode"], 401);
}
