//! What our functions send to Zoom, held against Zoom's own OpenAPI document. It is Zoom's text and lies beside the
//! project, not in it; without it this test says so and passes.

use std::path::Path;

use jsonschema::Validator;
use local::calls::Service;
use local::faults::{Fault, Kind};
use serde_json::{Value, json};

use crate::look::{path_of, with};
use crate::world::{World, class, course_class};

const FILE: &str = "zoom-api-subset.openapi.json";

fn specification() -> Option<Value> {
    let places = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors();
    let file =
        places.map(|place| place.join("shared/specs").join(FILE)).find(|file| file.is_file());
    let Some(file) = file else {
        eprintln!("{FILE} is not beside the project; what we send was not checked");
        return None;
    };
    let text = std::fs::read_to_string(file).expect("the document can be read");
    Some(serde_json::from_str(&text).expect("the document is JSON"))
}

/// The body of an operation, with fields that its schema does not name refused.
fn body_schema(spec: &Value, method: &str, path: &str) -> Validator {
    let mut schema =
        spec["paths"][path][method]["requestBody"]["content"]["application/json"]["schema"].clone();
    assert!(schema.is_object(), "{method} {path}");
    close(&mut schema);
    jsonschema::options().should_validate_formats(false).build(&schema).expect("a schema")
}

fn close(schema: &mut Value) {
    match schema {
        Value::Array(items) => items.iter_mut().for_each(close),
        Value::Object(object) if object.contains_key("allOf") => {}
        Value::Object(object) => {
            object.values_mut().for_each(close);
            if object.get("properties").is_some_and(Value::is_object) {
                object.entry("additionalProperties").or_insert(false.into());
            }
        }
        _ => {}
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_meeting_that_we_ask_for_and_every_change_fits_zooms_schema() {
    let Some(spec) = specification() else { return };
    let create = body_schema(&spec, "post", "/users/{userId}/meetings");
    let update = body_schema(&spec, "patch", "/meetings/{meetingId}");
    assert!(!update.is_valid(&json!({"topci": "a slip"})), "what Zoom does not know is refused");

    let world = World::start().await;
    let trainer = world.trainer().await;
    world.connect_zoom(&trainer, "app").await;
    let everything = json!({"waiting_room": true, "join_before_host": false, "mute_upon_entry": true, "host_video": true,
        "participant_video": false, "allow_multiple_devices": true, "focus_mode": false, "watermark": true});
    let full = json!({
        "title": "é".repeat(200), "description": "😀".repeat(2000), "duration_minutes": 480, "record_session": true,
        "settings": everything,
    });
    let bodies = [
        class(26),
        course_class(50),
        with(class(26), full.clone()),
        with(class(26), json!({"starts_at": "2027-10-31T02:30:00", "duration_minutes": 15})),
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
            world.edit(&trainer, &made, &with(body.clone(), change.clone())).await.expect(200);
        }
        // After an edit of which nobody knows, Zoom is told everything.
        world.fault(Fault::new(Service::Zoom, "update_meeting", Kind::Lost).times(2));
        let other = with(body.clone(), json!({"title": "Stereometry"}));
        world.edit(&trainer, &made, &other).await.refused(502, "zoom_unavailable");
        world.edit(&trainer, &made, &body).await.expect(200);
        world.get(&trainer, &path_of(&made)).await.expect(200);
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
    // Per class: the create, up to five changes, the lost one twice, and the one that says everything.
    assert!((32..=36).contains(&checked), "{checked}");
}
