//! Zoom's own examples of its events, as its specification has them. The specification is not part of this project;
//! where it does not lie beside it, there is nothing to test against.

use std::collections::HashSet;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::SignedDuration;
use local::calls::Service::{Dynamodb, Zoom};
use serde_json::{Value, json};

use crate::direct::{MAIN_TABLE, dump, items, text};
use crate::lesson::{Seal, post, post_as};
use crate::world::World;

const SPECIFICATION: &str = "specs/zoom-webhooks.openapi.json";
/// Fields whose content lets somebody in.
const SECRET_FIELDS: [&str; 7] = [
    "download_token",
    "password",
    "recording_play_passcode",
    "stream_key",
    "join_url",
    "start_url",
    "meeting_url",
];

/// The text of every example, by its event's name.
fn examples() -> Vec<(String, String)> {
    let specification = Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .flat_map(|dir| [dir.join(SPECIFICATION), dir.join("shared").join(SPECIFICATION)])
        .find(|path| path.is_file());
    let Some(path) = specification else {
        println!("not tested: {SPECIFICATION} is not beside this project");
        return Vec::new();
    };
    let text = std::fs::read_to_string(path).expect("a readable specification");
    let whole: Value = serde_json::from_str(&text).expect("a specification in JSON");
    let mut found = Vec::new();
    for (name, operations) in whole["webhooks"].as_object().expect("webhooks") {
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
async fn every_example_is_taken_and_kept_however_it_is_written_and_once() {
    let world = World::start().await;
    let before = dump(&world, MAIN_TABLE).await.len();
    let mut kept = 0;
    for (name, example) in examples() {
        // Zoom's names are ASCII in its examples and anything in life.
        let named = example.replace("Jill Chill", "Jïll 😀 Чилл");
        let body: Value = serde_json::from_str(&named).expect("an example in JSON");
        let (compact, indented) = (body.to_string(), format!("{body:#}"));
        for written in [&named, &compact, &indented, &escaped(&named)] {
            let answer = post(&world, written).await;
            assert_eq!(answer.status, 200, "{name}: {}", answer.text);
        }
        // In base64, as a function URL hands over what it does not take for text.
        let seal = Seal::at(world.now(), named.as_bytes());
        let mut event = crate::direct::event("POST", "/", "", Some(&STANDARD.encode(&named)));
        event["isBase64Encoded"] = json!(true);
        for (header, value) in seal.headers() {
            event["headers"][header] = json!(value);
        }
        let answer = world.stack.functions.invoke("webhook", event, Default::default()).await;
        assert_eq!(answer.expect("an answer")["statusCode"], 200, "{name} in base64");
        kept += 1;
    }
    let all = items(&world, MAIN_TABLE, "MEETING#").await;
    assert_eq!(all.len(), kept, "one item for each, whatever it was written like");
    let keys: HashSet<_> = all.iter().map(|item| (text(item, "pk"), text(item, "sk"))).collect();
    assert_eq!(keys.len(), kept);
    assert_eq!(dump(&world, MAIN_TABLE).await.len(), before + kept, "and nothing else");
    assert_eq!(world.stack.usage.service_totals("webhook", Zoom).calls, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_zoom_did_not_sign_within_the_window_is_refused_without_a_database_call() {
    let world = World::start().await;
    world.stack.usage.reset();
    let now = world.now();
    for (name, example) in examples() {
        let body = example.as_bytes();
        let good = Seal::at(now, body);
        let at = |minutes: i64, seconds: i64| {
            let at = now + SignedDuration::from_mins(minutes) + SignedDuration::from_secs(seconds);
            Seal::at(at, body)
        };
        let (old, future) = (at(-90, -1), at(5, 1));
        let other = Seal::by("another secret", now, body);
        let hex = good.signature.trim_start_matches("v0=").to_owned();
        let flipped = format!("v0={}{}", if hex.starts_with('0') { '1' } else { '0' }, &hex[1..]);
        let (short, long) = (
            good.signature[..good.signature.len() - 2].to_owned(),
            format!("{}00", good.signature),
        );
        let (odd, not_hex) =
            (good.signature[..good.signature.len() - 1].to_owned(), format!("v0={}zz", &hex[2..]));
        let (upper, bare) = (format!("v0={}", hex.to_uppercase()), hex.clone());
        let (version, empty) = (format!("v1={hex}"), "v0=".to_owned());
        let t = good.timestamp.as_str();
        let signatures = [
            ("flipped", &flipped),
            ("short", &short),
            ("long", &long),
            ("odd", &odd),
            ("not hex", &not_hex),
            ("upper case", &upper),
            ("bare", &bare),
            ("another version", &version),
            ("empty", &empty),
            ("another secret", &other.signature),
        ];
        for (how, signature) in signatures {
            // Letters are all that a case has, and one of ten digests of no letters is likely enough.
            if *signature == good.signature {
                continue;
            }
            let headers = [("x-zm-request-timestamp", t), ("x-zm-signature", signature.as_str())];
            let answer = post_as(&world, body, &headers).await;
            assert_eq!(answer.status, 401, "{name}: {how}: {}", answer.text);
        }
        for (how, seal) in [("old", &old), ("future", &future)] {
            let answer = post_as(&world, body, &seal.headers()).await;
            assert_eq!(answer.status, 401, "{name}: {how}: {}", answer.text);
        }
        let mut changed = body.to_vec();
        let middle = changed.len() / 2;
        changed[middle] ^= 1;
        let cut = &body[..body.len() - 1];
        for (how, body) in [("a flipped byte", &changed[..]), ("cut", cut), ("nothing", b"")] {
            let answer = post_as(&world, body, &good.headers()).await;
            assert_eq!(answer.status, 401, "{name}: {how}: {}", answer.text);
        }
        let headers = good.headers();
        let moved = [("x-zm-request-timestamp", "soon"), headers[1]];
        for headers in [&[][..], &headers[..1], &headers[1..], &moved[..]] {
            let answer = post_as(&world, body, headers).await;
            assert_eq!(answer.status, 401, "{name}: {headers:?}: {}", answer.text);
        }
    }
    let tally = world.stack.usage.service_totals("webhook", Dynamodb);
    assert_eq!(tally.calls, 0, "{tally:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_kept_of_an_example_that_would_let_somebody_in() {
    fn secrets(value: &Value, found: &mut HashSet<String>) {
        match value {
            Value::Object(fields) => {
                for (name, value) in fields {
                    match value {
                        Value::String(secret) if SECRET_FIELDS.contains(&name.as_str()) => {
                            found.insert(secret.clone());
                        }
                        value => secrets(value, found),
                    }
                }
            }
            Value::Array(items) => items.iter().for_each(|item| secrets(item, found)),
            _ => {}
        }
    }
    fn leaves(value: &Value, found: &mut HashSet<String>) {
        match value {
            Value::Object(fields) => fields.values().for_each(|value| leaves(value, found)),
            Value::Array(items) => items.iter().for_each(|item| leaves(item, found)),
            Value::String(text) => drop(found.insert(text.clone())),
            _ => {}
        }
    }
    let world = World::start().await;
    let mut hidden = HashSet::new();
    for (_, example) in examples() {
        secrets(&serde_json::from_str(&example).expect("JSON"), &mut hidden);
        post(&world, &example).await.expect(200);
    }
    let mut kept = HashSet::new();
    for item in items(&world, MAIN_TABLE, "MEETING#").await {
        leaves(&serde_json::from_str(text(&item, "raw")).expect("JSON"), &mut kept);
    }
    // Zoom's writers use this address for everything, public pages included.
    hidden.remove("https://example.com");
    assert!(hidden.is_disjoint(&kept), "{:?}", hidden.intersection(&kept).collect::<Vec<_>>());
}
