//! The example events of Zoom's specification. The specification is not part of this project. Without it, these tests
//! are skipped.

use std::collections::HashSet;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::SignedDuration;
use local::calls::Service::{Dynamodb, Zoom};
use serde_json::{Value, json};

use crate::functions::{MAIN_TABLE, items_with_prefix, string_attr, table_items};
use crate::world::World;
use crate::zoom_session::{WebhookSignature, post_signed, post_with_headers};

const SPECIFICATION: &str = "specs/zoom-webhooks.openapi.json";
/// Fields that grant access.
const SECRET_FIELDS: [&str; 7] = [
    "download_token",
    "password",
    "recording_play_passcode",
    "stream_key",
    "join_url",
    "start_url",
    "meeting_url",
];

/// The name and the text of every example event.
fn examples() -> Vec<(String, String)> {
    let specification = Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .flat_map(|dir| [dir.join(SPECIFICATION), dir.join("shared").join(SPECIFICATION)])
        .find(|path| path.is_file());
    let Some(path) = specification else {
        println!("skipped: {SPECIFICATION} was not found");
        return Vec::new();
    };
    let text = std::fs::read_to_string(path).expect("a readable specification");
    let specification: Value = serde_json::from_str(&text).expect("a specification in JSON");
    let mut found = Vec::new();
    for (name, operations) in specification["webhooks"].as_object().expect("webhooks") {
        let media = &operations["post"]["requestBody"]["content"]["application/json"];
        for example in media["examples"].as_object().expect("examples").values() {
            let text = example["value"]
                .as_str()
                .map_or_else(|| example["value"].to_string(), str::to_owned);
            found.push((name.clone(), text));
        }
    }
    assert!(found.len() > 100, "{} examples", found.len());
    found
}

fn escaped(text: &str) -> String {
    let escape = |c: char| {
        let units = c.encode_utf16(&mut [0; 2]).to_vec();
        units.iter().map(|unit| format!("\\u{unit:04X}")).collect::<String>()
    };
    text.chars().map(|c| if c.is_ascii() { c.to_string() } else { escape(c) }).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_zoom_example_is_stored_once_in_any_encoding() {
    let world = World::start().await;
    let before = table_items(&world, MAIN_TABLE).await.len();
    let mut stored = 0;
    for (name, example) in examples() {
        // The names in Zoom's examples are ASCII, but real names are not.
        let named = example.replace("Jill Chill", "Jïll 😀 Чилл");
        let body: Value = serde_json::from_str(&named).expect("an example in JSON");
        let (compact, indented) = (body.to_string(), format!("{body:#}"));
        for encoding in [&named, &compact, &indented, &escaped(&named)] {
            let response = post_signed(&world, encoding).await;
            assert_eq!(response.status, 200, "{name}: {}", response.text);
        }
        // In base64, which a function URL uses for bodies that are not text.
        let seal = WebhookSignature::sign(world.now(), named.as_bytes());
        let mut event =
            crate::functions::gateway_event("POST", "/", "", Some(&STANDARD.encode(&named)));
        event["isBase64Encoded"] = json!(true);
        for (header, value) in seal.headers() {
            event["headers"][header] = json!(value);
        }
        let response = world.stack.functions.invoke("webhook", event, Default::default()).await;
        assert_eq!(response.expect("a response")["statusCode"], 200, "{name} in base64");
        stored += 1;
    }
    let all = items_with_prefix(&world, MAIN_TABLE, "MEETING#").await;
    assert_eq!(all.len(), stored, "one item per example, in any encoding");
    let keys: HashSet<_> =
        all.iter().map(|item| (string_attr(item, "pk"), string_attr(item, "sk"))).collect();
    assert_eq!(keys.len(), stored);
    assert_eq!(table_items(&world, MAIN_TABLE).await.len(), before + stored, "no other item");
    assert_eq!(world.stack.usage.service_totals("webhook", Zoom).calls, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn invalid_signature_or_timestamp_is_rejected_without_database_call() {
    let world = World::start().await;
    world.stack.usage.reset();
    let now = world.now();
    for (name, example) in examples() {
        let body = example.as_bytes();
        let valid = WebhookSignature::sign(now, body);
        let at = |minutes: i64, seconds: i64| {
            let at = now + SignedDuration::from_mins(minutes) + SignedDuration::from_secs(seconds);
            WebhookSignature::sign(at, body)
        };
        let (old, future) = (at(-90, -1), at(5, 1));
        let other = WebhookSignature::sign_with("another secret", now, body);
        let hex = valid.signature.trim_start_matches("v0=").to_owned();
        let flipped = format!("v0={}{}", if hex.starts_with('0') { '1' } else { '0' }, &hex[1..]);
        let (short, long) = (
            valid.signature[..valid.signature.len() - 2].to_owned(),
            format!("{}00", valid.signature),
        );
        let (odd_length, not_hex) = (
            valid.signature[..valid.signature.len() - 1].to_owned(),
            format!("v0={}zz", &hex[2..]),
        );
        let (upper, bare) = (format!("v0={}", hex.to_uppercase()), hex.clone());
        let (version, empty) = (format!("v1={hex}"), "v0=".to_owned());
        let t = valid.timestamp.as_str();
        let signatures = [
            ("flipped", &flipped),
            ("short", &short),
            ("long", &long),
            ("odd", &odd_length),
            ("not hex", &not_hex),
            ("upper case", &upper),
            ("bare", &bare),
            ("another version", &version),
            ("empty", &empty),
            ("another secret", &other.signature),
        ];
        for (variant, signature) in signatures {
            // A digest without letters has no upper case variant.
            if *signature == valid.signature {
                continue;
            }
            let headers = [("x-zm-request-timestamp", t), ("x-zm-signature", signature.as_str())];
            let response = post_with_headers(&world, body, &headers).await;
            assert_eq!(response.status, 401, "{name}: {variant}: {}", response.text);
        }
        for (variant, seal) in [("old", &old), ("future", &future)] {
            let response = post_with_headers(&world, body, &seal.headers()).await;
            assert_eq!(response.status, 401, "{name}: {variant}: {}", response.text);
        }
        let mut changed = body.to_vec();
        let middle = changed.len() / 2;
        changed[middle] ^= 1;
        let cut = &body[..body.len() - 1];
        for (variant, body) in [("a flipped byte", &changed[..]), ("cut", cut), ("nothing", b"")] {
            let response = post_with_headers(&world, body, &valid.headers()).await;
            assert_eq!(response.status, 401, "{name}: {variant}: {}", response.text);
        }
        let headers = valid.headers();
        let moved = [("x-zm-request-timestamp", "soon"), headers[1]];
        for headers in [&[][..], &headers[..1], &headers[1..], &moved[..]] {
            let response = post_with_headers(&world, body, headers).await;
            assert_eq!(response.status, 401, "{name}: {headers:?}: {}", response.text);
        }
    }
    let tally = world.stack.usage.service_totals("webhook", Dynamodb);
    assert_eq!(tally.calls, 0, "{tally:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn secrets_of_zoom_examples_are_not_stored() {
    fn collect_secrets(value: &Value, found: &mut HashSet<String>) {
        match value {
            Value::Object(fields) => {
                for (name, value) in fields {
                    match value {
                        Value::String(secret) if SECRET_FIELDS.contains(&name.as_str()) => {
                            found.insert(secret.clone());
                        }
                        value => collect_secrets(value, found),
                    }
                }
            }
            Value::Array(items) => items.iter().for_each(|item| collect_secrets(item, found)),
            _ => {}
        }
    }
    fn collect_texts(value: &Value, found: &mut HashSet<String>) {
        match value {
            Value::Object(fields) => fields.values().for_each(|value| collect_texts(value, found)),
            Value::Array(items) => items.iter().for_each(|item| collect_texts(item, found)),
            Value::String(text) => drop(found.insert(text.clone())),
            _ => {}
        }
    }
    let world = World::start().await;
    let mut secret_values = HashSet::new();
    for (_, example) in examples() {
        collect_secrets(&serde_json::from_str(&example).expect("JSON"), &mut secret_values);
        post_signed(&world, &example).await.expect(200);
    }
    let mut stored = HashSet::new();
    for item in items_with_prefix(&world, MAIN_TABLE, "MEETING#").await {
        collect_texts(&serde_json::from_str(string_attr(&item, "raw")).expect("JSON"), &mut stored);
    }
    // Zoom's examples use this address for public pages as well.
    secret_values.remove("https://example.com");
    assert!(
        secret_values.is_disjoint(&stored),
        "{:?}",
        secret_values.intersection(&stored).collect::<Vec<_>>()
    );
}
