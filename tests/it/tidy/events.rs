//! The event files: each is one that its function takes. They are what `cargo lambda invoke` and `sam local invoke` are
//! given, and examples of what the functions are called with.

use std::collections::BTreeMap;
use std::fs;

use lambda_http::Context;
use local::settings::WEBHOOK_SECRET;
use local::zoom::sign_webhook;
use serde_json::{Value, json};
use shared::handlers::{DETAIL_TYPES, SCHEDULES, matching};

use super::layers::functions;
use super::source::{files, root};
use crate::world::World;

/// An event and the function that its file names: `events/<function>.<case>.json`.
struct Event {
    file: String,
    function: String,
    body: Value,
}

fn events() -> Vec<Event> {
    let read = |path: &std::path::PathBuf| {
        let file = path.file_name().expect("a name").to_string_lossy().into_owned();
        let parts: Vec<_> = file.split('.').collect();
        let [function, _, "json"] = parts[..] else {
            panic!("{file} is not <function>.<case>.json")
        };
        let text = fs::read_to_string(path).expect("a text");
        let body = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{file}: {error}"));
        Event { function: function.to_owned(), body, file }
    };
    files(&root().join("events")).iter().map(read).collect()
}

impl Event {
    fn is_http(&self) -> bool {
        self.body["version"] == "2.0" && !self.is_zooms()
    }

    /// Whether it comes by the webhook's function URL, which has one route for everything.
    fn is_zooms(&self) -> bool {
        self.body["routeKey"] == "$default"
    }
}

#[test]
fn every_function_and_every_kind_has_an_event() {
    let events = events();
    let mut named: Vec<_> = events.iter().map(|event| event.function.clone()).collect();
    named.dedup();
    assert_eq!(named, functions());
    let mut kinds: Vec<_> = events
        .iter()
        .filter(|event| event.function == "directory" && !event.is_http())
        .map(|event| event.body["detail-type"].as_str().expect("a kind"))
        .collect();
    kinds.sort_unstable();
    let mut known = DETAIL_TYPES.to_vec();
    known.sort_unstable();
    assert_eq!(kinds, known);
    for schedule in SCHEDULES {
        let scheduled = |event: &&Event| event.function == schedule.function;
        let event = events.iter().find(scheduled).expect("an event");
        assert_eq!(event.body["detail-type"], "Scheduled Event", "{}", event.file);
    }
}

#[test]
fn every_http_event_says_the_same_everywhere() {
    for Event { file, function, body } in events().iter().filter(|event| event.is_http()) {
        let text =
            |pointer: &str| body.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        let (method, path) = (text("/requestContext/http/method"), text("/rawPath"));
        let (route, named) = matching(method, path).unwrap_or_else(|| panic!("{file}: no route"));
        assert_eq!(route.function, function, "{file}");
        let key = format!("{method} {}", route.path);
        assert_eq!([text("/routeKey"), text("/requestContext/routeKey")], [&key, &key], "{file}");
        assert_eq!(text("/requestContext/http/path"), path, "{file}");
        let named: BTreeMap<_, _> = named.into_iter().collect();
        assert_eq!(body.get("pathParameters").unwrap_or(&json!({})), &json!(named), "{file}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_event_is_taken_by_its_function() {
    let world = World::start().await;
    let (trainer, student) = (world.trainer().await, world.student(1).await);
    let service = world.service().await;
    for event in events() {
        let zooms = event.is_zooms();
        let Event { file, function, mut body } = event;
        let invoke = |event| world.stack.functions.invoke(&function, event, Context::default());
        if zooms {
            // Signatures age, so the file has none.
            let refused = invoke(body.clone()).await.expect("an answer");
            assert_eq!(refused["statusCode"], 401, "{file}: {refused}");
            let now = world.now().as_second();
            let text = body["body"].as_str().expect("a text").to_owned();
            let signature = sign_webhook(WEBHOOK_SECRET, now, text.as_bytes());
            body["headers"]["x-zm-request-timestamp"] = json!(now.to_string());
            body["headers"]["x-zm-signature"] = json!(signature);
            let taken = invoke(body).await.expect("an answer");
            assert_eq!(taken["statusCode"], 200, "{file}: {taken}");
            continue;
        }
        if body["version"] != "2.0" {
            invoke(body).await.unwrap_or_else(|error| panic!("{file}: {error}"));
            continue;
        }
        // Anew each time: one of the events disconnects.
        world.connect_zoom(&trainer, "app").await;
        let refused = invoke(body.clone()).await.expect("an answer");
        assert_eq!(refused["statusCode"], 401, "{file}: there is no token in it: {refused}");

        let token = match (&*function, body["rawPath"].as_str()) {
            ("directory", _) => &service,
            (_, Some(path)) if path.starts_with("/v1/me/") => &student,
            _ => &trainer,
        };
        body["headers"]["authorization"] = json!(format!("Bearer {token}"));
        // The one address that only the deployment knows.
        if let Some(text) = body["body"].as_str() {
            let base = &world.stack.base_url;
            let redirect = format!("{base}/callback");
            body["body"] = json!(text.replace("https://app.example.com/zoom/callback", &redirect));
        }
        let answer = invoke(body).await.expect("an answer");
        let status = answer["statusCode"].as_u64().expect("a status");
        // The class that some speak of is made up.
        let unknown = answer["body"].as_str().is_some_and(|body| body.contains("\"not_found\""));
        assert!(status < 300 || unknown, "{file}: {answer}");
    }
}
