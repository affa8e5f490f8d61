//! The requests to Zoom, validated against Zoom's OpenAPI document. The document is not part of this project. Without
//! it, the test is skipped.

use std::path::Path;

use jsonschema::Validator;
use local::calls::Service;
use local::faults::{Fault, FaultKind};
use serde_json::{Value, json};

use crate::support::{patched, session_path};
use crate::world::{World, course_session_body, session_body};

const FILE: &str = "zoom-api-subset.openapi.json";

fn specification() -> Option<Value> {
    let ancestors = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors();
    let file = ancestors
        .map(|ancestor| ancestor.join("shared/specs").join(FILE))
        .find(|file| file.is_file());
    let Some(file) = file else {
        eprintln!("skipped: {FILE} was not found");
        return None;
    };
    let text = std::fs::read_to_string(file).expect("the document can be read");
    Some(serde_json::from_str(&text).expect("the document is JSON"))
}

/// The schema of an operation's body, which also rejects unknown fields.
fn body_schema(spec: &Value, method: &str, path: &str) -> Validator {
    let mut schema =
        spec["paths"][path][method]["requestBody"]["content"]["application/json"]["schema"].clone();
    assert!(schema.is_object(), "{method} {path}");
    reject_unknown_fields(&mut schema);
    jsonschema::options().should_validate_formats(false).build(&schema).expect("a schema")
}

fn reject_unknown_fields(schema: &mut Value) {
    match schema {
        Value::Array(items) => items.iter_mut().for_each(reject_unknown_fields),
        Value::Object(object) if object.contains_key("allOf") => {}
        Value::Object(object) => {
            object.values_mut().for_each(reject_unknown_fields);
            if object.get("properties").is_some_and(Value::is_object) {
                object.entry("additionalProperties").or_insert(false.into());
            }
        }
        _ => {}
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn meeting_requests_validate_against_the_zoom_schema() {
    let Some(spec) = specification() else { return };
    let create = body_schema(&spec, "post", "/users/{userId}/meetings");
    let update = body_schema(&spec, "patch", "/meetings/{meetingId}");
    assert!(!update.is_valid(&json!({"topci": "a slip"})), "unknown fields are rejected");

    let world = World::start().await;
    let trainer = world.trainer().await;
    world.connect_zoom(&trainer, "app").await;
    let settings = json!({"waiting_room": true, "join_before_host": false, "mute_upon_entry": true, "host_video": true,
        "participant_video": false, "allow_multiple_devices": true, "focus_mode": false, "watermark": true});
    let full = json!({
        "title": "é".repeat(200), "description": "😀".repeat(2000), "duration_minutes": 480, "record_session": true,
        "settings": settings,
    });
    let bodies = [
        session_body(26),
        course_session_body(50),
        patched(session_body(26), full.clone()),
        patched(
            session_body(26),
            json!({"starts_at": "2027-10-31T02:30:00", "duration_minutes": 15}),
        ),
    ];
    let changes = [
        json!({"title": "Geometry"}),
        json!({"description": "Bring a pencil.\nAnd paper."}),
        json!({"starts_at": "2027-10-31T02:30:00+01:00", "timezone": "America/Argentina/Buenos_Aires"}),
        full,
        json!({"description": ""}),
    ];
    for body in bodies {
        let made = world.create(&trainer, &body).await.expect(201);
        for change in &changes {
            world.edit(&trainer, &made, &patched(body.clone(), change.clone())).await.expect(200);
        }
        // After an edit with unknown outcome, the next edit sends every field.
        world.inject_fault(Fault::new(Service::Zoom, "update_meeting", FaultKind::Lost).times(2));
        let other = patched(body.clone(), json!({"title": "Stereometry"}));
        world.edit(&trainer, &made, &other).await.expect_problem(502, "zoom_unavailable");
        world.edit(&trainer, &made, &body).await.expect(200);
        world.get(&trainer, &session_path(&made)).await.expect(200);
        world.cancel(&trainer, &made).await.expect(200);
    }

    let mut checked = 0;
    for meeting in world.stack.zoom.meetings() {
        let requests = meeting["requests"].as_array().expect("a list").iter();
        for (schema, request) in
            std::iter::once(&create).chain(std::iter::repeat(&update)).zip(requests)
        {
            let errors: Vec<_> =
                schema.iter_errors(request).map(|error| error.to_string()).collect();
            assert!(errors.is_empty(), "{errors:?}\n{request:#}");
            checked += 1;
        }
    }
    // Per session: one create, up to five changes, the lost edit twice, and one edit with every field.
    assert!((32..=36).contains(&checked), "{checked}");
}
