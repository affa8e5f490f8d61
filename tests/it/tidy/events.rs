//! The event files, which serve `cargo lambda invoke`, `sam local invoke` and as examples. Each function must accept
//! its files.

use std::collections::BTreeMap;
use std::fs;

use lambda_http::Context;
use serde_json::{Value, json};
use shared::domain::zoom_event::{EventPayload, HANDLED_EVENTS, ZoomEvent};
use shared::handlers::{DETAIL_TYPES, SCHEDULES, match_route};
use shared::secret::Secret;

use super::layers::functions;
use super::source::{files, root};
use crate::world::World;

/// The content of one `events/<function>.<case>.json`.
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
    /// Whether it comes from the HTTP API or a function URL, whose events have the same shape.
    fn is_http(&self) -> bool {
        self.body["version"] == "2.0"
    }

    fn is_by_url(&self) -> bool {
        self.body["routeKey"] == "$default"
    }

    fn text(&self, pointer: &str) -> &str {
        self.body.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
    }
}

#[test]
fn every_function_and_detail_type_has_an_event_file() {
    let events = events();
    let mut named: Vec<_> = events.iter().map(|event| event.function.clone()).collect();
    named.dedup();
    assert_eq!(named, functions());
    for (function, known) in DETAIL_TYPES {
        let sent = |event: &&Event| event.function == *function && !event.is_http();
        let kinds = events.iter().filter(sent);
        let mut kinds: Vec<_> =
            kinds.map(|event| event.body["detail-type"].as_str().expect("a kind")).collect();
        kinds.sort_unstable();
        // A kind may have several cases.
        kinds.dedup();
        let mut known = known.to_vec();
        known.sort_unstable();
        assert_eq!(kinds, known, "{function}");
    }
    for schedule in SCHEDULES {
        let scheduled = |event: &&Event| event.function == schedule.function;
        let event = events.iter().find(scheduled).expect("an event");
        assert_eq!(event.body["detail-type"], "Scheduled Event", "{}", event.file);
    }
}

#[test]
fn every_handled_zoom_event_has_an_event_file() {
    let events = events();
    let mut names: Vec<_> = events
        .iter()
        .filter(|event| event.function == "webhook")
        .map(|event| {
            let body: Value = serde_json::from_str(event.text("/body")).expect("JSON");
            let read = ZoomEvent::parse(&body).expect("an event of Zoom's");
            // Switching the recorder and waiting are only listed in the timeline.
            let is_only_listed = ["started", "stopped", "paused", "resumed"]
                .iter()
                .any(|verb| read.name == format!("recording.{verb}"))
                || ["joined", "left"]
                    .iter()
                    .any(|verb| read.name == format!("meeting.participant_{verb}_waiting_room"));
            assert_eq!(read.payload == EventPayload::Ignored, is_only_listed, "{}", event.file);
            let named = read.name.replace(['.', '_'], "-");
            let case = event.file.split('.').nth(1).expect("a case");
            assert!(named.ends_with(case), "{} contains {}", event.file, read.name);
            read.name
        })
        .collect();
    names.sort_unstable();
    assert_eq!(names, HANDLED_EVENTS);
}

#[test]
fn http_event_files_are_consistent() {
    for event in events().iter().filter(|event| event.is_http()) {
        let (file, path) = (&event.file, event.text("/rawPath"));
        assert_eq!(event.text("/requestContext/http/path"), path, "{file}");
        assert_eq!(event.text("/routeKey"), event.text("/requestContext/routeKey"), "{file}");
        if event.is_by_url() {
            assert_eq!(event.function, "webhook", "{file}");
            continue;
        }
        let method = event.text("/requestContext/http/method");
        let (route, named) =
            match_route(method, path).unwrap_or_else(|| panic!("{file}: no route"));
        assert_eq!(route.function, event.function, "{file}");
        assert_eq!(event.text("/routeKey"), format!("{method} {}", route.path), "{file}");
        let named: BTreeMap<_, _> = named.into_iter().collect();
        assert_eq!(event.body.get("pathParameters").unwrap_or(&json!({})), &json!(named), "{file}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_event_file_is_accepted_by_its_function() {
    let world = World::start().await;
    let (trainer, student) = (world.trainer().await, world.student(1).await);
    let service = world.service().await;
    let admin = world.admin().await;
    for mut event in events() {
        let (file, function) = (event.file.clone(), event.function.clone());
        let invoke = |body| world.stack.functions.invoke(&function, body, Context::default());
        if !event.is_http() {
            invoke(event.body).await.unwrap_or_else(|error| panic!("{file}: {error}"));
            continue;
        }
        // Connected again each time, because one of the events disconnects.
        world.connect_zoom(&trainer, "app").await;
        let refused = invoke(event.body.clone()).await.expect("a response");
        // A guest has a token of their own in the body.
        let is_for_guests = event.text("/rawPath").starts_with("/v1/guest/");
        let expected = if is_for_guests { 404 } else { 401 };
        assert_eq!(refused["statusCode"], expected, "{file} is not signed: {refused}");

        if event.is_by_url() {
            let secret = Secret::new(local::settings::WEBHOOK_SECRET);
            event.body = local::sign::sign_event(event.body, &secret, world.now()).expect("a body");
        } else {
            let token = match (&*function, event.text("/rawPath")) {
                ("directory" | "hosts" | "payments", _) => &service,
                (_, path) if path.starts_with("/v1/logs/") => &admin,
                (_, path) if path.starts_with("/v1/me/") => &student,
                _ => &trainer,
            };
            event.body["headers"]["authorization"] = json!(format!("Bearer {token}"));
        }
        // The callback address differs per deployment.
        if let Some(text) = event.body["body"].as_str() {
            let redirect = format!("{}/callback", world.stack.base_url);
            let text = text.replace("https://app.example.com/zoom/callback", &redirect);
            event.body["body"] = json!(text);
        }
        let response = invoke(event.body).await.expect("a response");
        let status = response["statusCode"].as_u64().expect("a status");
        // Some events name a session that does not exist.
        let unknown = response["body"].as_str().is_some_and(|body| body.contains("\"not_found\""));
        assert!(status < 300 || unknown, "{file}: {response}");
    }
}
