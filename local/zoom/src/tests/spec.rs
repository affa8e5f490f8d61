//! Tests of the simulator against Zoom's OpenAPI documents. The documents are Zoom's and not part of the repository. If
//! they are missing, these tests print a note and pass.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::*;
use crate::fields::{AllowedIn, Field, Kind};
use crate::meeting_fields::MEETING;
use crate::registrants::REGISTRANT;
use crate::scopes;
use crate::user_fields::{NEW_USER, USER, USER_STATUS};

fn specification(name: &str) -> Option<Value> {
    let ancestors = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors();
    let mut files = ancestors.map(|ancestor| ancestor.join("shared/specs").join(name));
    let Some(file) = files.find(|file| file.is_file()) else {
        eprintln!("{name} was not found, so its rules were not checked");
        return None;
    };
    Some(serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap())
}

/// Forbids fields that an object's schema does not name, except under `allOf`, whose parts would forbid each other's
/// fields. Removes references, which are unresolvable in these documents.
fn forbid_unknown_fields(schema: &mut Value) {
    match schema {
        Value::Array(items) => items.iter_mut().for_each(forbid_unknown_fields),
        Value::Object(object) if object.contains_key("allOf") => {}
        Value::Object(object) => {
            if object.remove("$ref").is_some() {
                return;
            }
            object.values_mut().for_each(forbid_unknown_fields);
            if object.get("properties").is_some_and(Value::is_object) {
                object.entry("additionalProperties").or_insert(false.into());
            }
        }
        _ => {}
    }
}

fn assert_valid(mut schema: Value, instance: &Value, case: &str) {
    forbid_unknown_fields(&mut schema);
    // Zoom's own examples violate its formats, for example with an empty e-mail address.
    let options = jsonschema::options().should_validate_formats(false);
    let validator = options.build(&schema).unwrap();
    let errors: Vec<_> = validator
        .iter_errors(instance)
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect();
    assert!(errors.is_empty(), "{case}: {errors:#?}\n{instance:#}");
}

/// Validates a response against the operation at `template`.
fn assert_response(spec: &Value, method: &str, template: &str, response: &TestResponse) {
    let operation = &spec["paths"][template][method];
    assert!(operation.is_object(), "{method} {template}");
    let documented = &operation["responses"][response.status.as_str()];
    assert!(
        documented.is_object(),
        "{method} {template} does not document status {}: {}",
        response.status,
        response.text
    );
    match documented["content"]["application/json"].get("schema") {
        Some(schema) => {
            let case = format!("{method} {template} {}", response.status);
            assert_valid(schema.clone(), &response.body, &case);
        }
        None => assert_eq!(response.text, "", "{method} {template} {}", response.status),
    }
}

#[tokio::test]
async fn responses_match_their_schemas() {
    let Some(spec) = specification("zoom-api-subset.openapi.json") else { return };
    let bench = Bench::new();
    let check = |method: &str, template: &str, response: &TestResponse| {
        assert_response(&spec, method, template, response);
    };

    let bad_code = bench.exchange("made-up").await;
    check("post", "/oauth/token", &bad_code);
    let tokens = bench.exchange(&bench.code(&[]).await).await;
    check("post", "/oauth/token", &tokens);
    let account = bench.request_account_token("server:server-secret", "app-account").await;
    check("post", "/oauth/token", &account);
    let token = tokens.body["access_token"].as_str().unwrap();
    let account = account.body["access_token"].as_str().unwrap();

    let users = "/users/{userId}/meetings";
    let created = bench.create(token, meeting_body()).await;
    check("post", users, &created);
    check("post", users, &bench.create(token, json!({ "topic": 1 })).await);
    check("post", users, &bench.create("", meeting_body()).await);
    let nobody =
        bench.call("POST", "/zoom/v2/users/nobody/meetings", account, Some(meeting_body())).await;
    check("post", users, &nobody);
    check("get", users, &bench.get("/zoom/v2/users/me/meetings?page_size=1", token).await);
    check("get", users, &bench.get("/zoom/v2/users/me/meetings?type=x", token).await);

    let id = created.body["id"].as_i64().unwrap();
    let (path, template) = (format!("/zoom/v2/meetings/{id}"), "/meetings/{meetingId}");
    check("get", template, &bench.get(&path, token).await);
    check("get", template, &bench.get("/zoom/v2/meetings/1", token).await);
    let patch = async |body: Value| bench.call("PATCH", &path, token, Some(body)).await;
    check("patch", template, &patch(json!({ "duration": 30 })).await);
    check("patch", template, &patch(json!({ "duration": 0 })).await);

    let zak = "/users/{userId}/token";
    check("get", zak, &bench.get("/zoom/v2/users/me/token?type=zak", token).await);
    check("get", zak, &bench.get("/zoom/v2/users/me/token?type=onbehalf", token).await);
    check("get", "/users/{userId}", &bench.get("/zoom/v2/users/me", token).await);
    check("get", "/users/{userId}", &bench.get("/zoom/v2/users/me", account).await);

    let recordings = "/meetings/{meetingId}/recordings";
    check("get", recordings, &bench.get(&format!("{path}/recordings"), token).await);
    bench.act(id, "start", json!({})).await;
    bench.act(id, "join", json!({ "name": "Zoë", "customer_key": "key-1" })).await;
    let status = format!("{path}/status");
    let end = Some(json!({ "action": "end" }));
    check(
        "put",
        "/meetings/{meetingId}/status",
        &bench.call("PUT", &status, token, end.clone()).await,
    );
    check("put", "/meetings/{meetingId}/status", &bench.call("PUT", &status, token, end).await);
    bench.act(id, "recording", json!({})).await;
    check("get", recordings, &bench.get(&format!("{path}/recordings"), token).await);
    let past = format!("/zoom/v2/past_meetings/{id}/participants?page_size=1");
    check("get", "/past_meetings/{meetingId}/participants", &bench.get(&past, token).await);
    let report = format!("/zoom/v2/report/meetings/{id}/participants");
    check("get", "/report/meetings/{meetingId}/participants", &bench.get(&report, account).await);
    check("get", "/report/meetings/{meetingId}/participants", &bench.get(&report, token).await);

    let details = format!("/zoom/v2/past_meetings/{id}");
    check("get", "/past_meetings/{meetingId}", &bench.get(&details, account).await);
    let instances = format!("{details}/instances");
    check("get", "/past_meetings/{meetingId}/instances", &bench.get(&instances, account).await);
    let by_user = format!("/zoom/v2/users/{}/recordings", crate::APP_USER);
    check("get", "/users/{userId}/recordings", &bench.get(&by_user, account).await);
    let registrants = "/meetings/{meetingId}/registrants";
    let register = async |id: i64, email: &str| {
        let path = format!("/zoom/v2/meetings/{id}/registrants");
        let body = json!({ "email": email, "first_name": "Zoë" });
        bench.call("POST", &path, account, Some(body)).await
    };
    check("post", registrants, &register(id, "zoe@school.test").await);
    check("patch", template, &patch(json!({ "settings": { "approval_type": 0 } })).await);
    check("get", template, &bench.get(&path, token).await);
    for _ in 0..4 {
        check("post", registrants, &register(id, "zoe@school.test").await);
    }
    check("post", registrants, &register(1, "zoe@school.test").await);
    check("get", registrants, &bench.get(&format!("{path}/registrants"), account).await);
    check("get", registrants, &bench.get("/zoom/v2/meetings/1/registrants", account).await);

    let nobody = bench.get("/zoom/v2/users/nobody/recordings", account).await;
    check("get", "/users/{userId}/recordings", &nobody);

    bench.update_settings(json!({ "daily_limit": 0 })).await;
    check("post", users, &bench.create(token, meeting_body()).await);
    bench.update_settings(json!({ "qps": { "light": 0 } })).await;
    check("get", template, &bench.get(&path, token).await);
    bench.update_settings(json!({ "qps": null })).await;
    check("delete", template, &bench.call("DELETE", &path, token, None).await);
    check("delete", template, &bench.call("DELETE", &path, token, None).await);
    for account_id in ["wrong", "app-account"] {
        for credentials in ["server:server-secret", "server:wrong"] {
            let refused = bench.request_account_token(credentials, account_id).await;
            check("post", "/oauth/token", &refused);
        }
    }
    let revoked = bench.form("/zoom/oauth/revoke", &[("token", token)]).await;
    check("post", "/oauth/revoke", &revoked);
    let again = bench.form("/zoom/oauth/revoke", &[("token", token)]).await;
    check("post", "/oauth/revoke", &again);
}

#[tokio::test]
async fn responses_about_users_match_their_schemas() {
    let Some(spec) = specification("zoom-api-subset.openapi.json") else { return };
    let bench = Bench::new();
    let token = bench.account_token().await;
    let check = |method: &str, template: &str, response: &TestResponse| {
        assert_response(&spec, method, template, response);
    };
    let one = "/users/{userId}";
    check("post", "/users", &bench.create_user(&token, "create", "ada@school.test", 2).await);
    check("post", "/users", &bench.create_user(&token, "create", "ada@school.test", 2).await);
    check("get", "/users", &bench.get("/zoom/v2/users?status=pending", &token).await);
    check("get", "/users", &bench.get("/zoom/v2/users?page_size=1", &token).await);
    check("get", "/users", &bench.get("/zoom/v2/users?status=none", &token).await);
    let path = "/zoom/v2/users/ada@school.test";
    check("get", one, &bench.get(path, &token).await);
    bench.sim("users/ada@school.test/expire", json!({})).await;
    check("get", one, &bench.get(path, &token).await);
    bench.host(&token, "ada@school.test", 2).await;
    let call = async |method: &str, path: &str, body: Value| {
        bench.call(method, path, &token, Some(body)).await
    };
    check("patch", one, &call("PATCH", path, json!({ "type": 1 })).await);
    check("patch", one, &call("PATCH", path, json!({ "type": 3 })).await);
    check("patch", one, &call("PATCH", "/zoom/v2/users/nobody", json!({ "type": 1 })).await);
    bench.update_settings(json!({ "accounts": { "app": { "licenses": 0 } } })).await;
    check("patch", one, &call("PATCH", path, json!({ "type": 2 })).await);
    check("post", "/users", &bench.create_user(&token, "create", "bob@school.test", 2).await);
    let (status, owner) = (format!("{path}/status"), "/zoom/v2/users/owner@app.zoom.test");
    let deactivate = json!({ "action": "deactivate" });
    let status_of = "/users/{userId}/status";
    check("put", status_of, &call("PUT", &status, deactivate.clone()).await);
    check("put", status_of, &call("PUT", &format!("{owner}/status"), deactivate).await);
    check("delete", one, &bench.call("DELETE", owner, &token, None).await);
    check("delete", one, &bench.call("DELETE", path, &token, None).await);
    check("delete", one, &bench.call("DELETE", path, &token, None).await);
    bench.user_rules(json!({ "daily_invitations": 0 })).await;
    check("post", "/users", &bench.create_user(&token, "create", "bob@school.test", 1).await);
    check("get", "/users", &bench.get("/zoom/v2/users", "").await);
}

#[tokio::test]
async fn events_match_their_schemas() {
    let Some(spec) = specification("zoom-webhooks.openapi.json") else { return };
    let bench = Bench::new();
    let token = bench.token(&[]).await;
    let id = bench.create_meeting(&token).await;
    let path = format!("/zoom/v2/meetings/{id}");
    let change = json!({ "topic": "Geometry", "settings": { "mute_upon_entry": true } });
    bench.call("PATCH", &path, &token, Some(change)).await;
    bench.act(id, "start", json!({})).await;
    let registration = json!({ "settings": { "approval_type": 0 } });
    bench.call("PATCH", &path, &token, Some(registration)).await;
    let zoe = json!({ "name": "Zoë", "customer_key": "key-1", "register": "zoe@school.test" });
    let zoe = bench.act(id, "join", zoe).await;
    assert!(zoe["registrant_id"].is_string(), "{zoe}");
    let registration = json!({ "settings": { "approval_type": 2 } });
    bench.call("PATCH", &path, &token, Some(registration)).await;
    let zoe = &zoe["participant_uuid"];
    for room in [json!("A"), json!("B"), Value::Null] {
        bench.act(id, "room-move", json!({ "participant_uuid": zoe, "room": room })).await;
    }
    for action in ["start", "pause", "resume", "stop"] {
        bench.act(id, "recording", json!({ "action": action })).await;
    }
    let events = json!({ "waiting_room_presence": true, "companion_numbers": true });
    bench.update_settings(json!({ "webhooks": events })).await;
    bench.act(id, "companion", json!({ "action": "start" })).await;
    let telephone = json!({ "name": "8615*****84", "phone_number": "8615250064084" });
    let telephone = bench.act(id, "join", telephone).await;
    let telephone = &telephone["participant_uuid"];
    let bound = json!({ "participant_uuid": zoe, "bind_participant_uuid": telephone });
    bench.act(id, "bind", bound).await;
    for uuid in [zoe, telephone] {
        bench.act(id, "put-in-waiting-room", json!({ "participant_uuid": uuid })).await;
        bench.act(id, "admit", json!({ "participant_uuid": uuid })).await;
    }
    let waiting = bench.act(id, "wait", json!({ "name": "Max", "customer_key": "key-2" })).await;
    bench.act(id, "leave", json!({ "participant_uuid": waiting["participant_uuid"] })).await;
    bench.act(id, "leave", json!({ "participant_uuid": zoe })).await;
    bench.act(id, "end", json!({})).await;
    bench.act(id, "companion", json!({ "action": "summarize" })).await;
    let actions = [
        "complete",
        "transcript",
        "trash",
        "recover",
        "batch_trash",
        "batch_recover",
        "delete",
        "complete",
        "batch_delete",
    ];
    for action in actions {
        bench.act(id, "recording", json!({ "action": action })).await;
    }
    bench.call("DELETE", &path, &token, None).await;
    let mut checked = BTreeSet::new();
    for webhook in bench.zoom.webhooks() {
        let event = webhook["event"].as_str().unwrap();
        let body = &spec["webhooks"][event]["post"]["requestBody"]["content"]["application/json"];
        let mut schema = body["schema"].clone();
        if event == "meeting.participant_bind" {
            // Zoom's schema requires a property that it does not declare.
            let participant = "/properties/payload/properties/object/properties/participant";
            let properties = schema.pointer_mut(&format!("{participant}/properties")).unwrap();
            properties["join_time"] = json!({ "type": "string" });
        }
        assert_valid(schema, &webhook["body"], event);
        checked.insert(event.to_owned());
    }
    assert_eq!(checked.len(), 28, "{checked:#?}");
}

#[test]
fn accepted_fields_match_the_specification() {
    let Some(spec) = specification("zoom-api-subset.openapi.json") else { return };
    for (template, method, fields, allowed_in) in [
        ("/users/{userId}/meetings", "post", MEETING, AllowedIn::Create),
        ("/meetings/{meetingId}", "patch", MEETING, AllowedIn::Update),
        ("/meetings/{meetingId}/registrants", "post", REGISTRANT, AllowedIn::Create),
        ("/users", "post", NEW_USER, AllowedIn::Create),
        ("/users/{userId}", "patch", USER, AllowedIn::Update),
        ("/users/{userId}/status", "put", USER_STATUS, AllowedIn::Update),
    ] {
        let content = &spec["paths"][template][method]["requestBody"]["content"];
        let schema = &content["application/json"]["schema"];
        assert_eq!(
            simulator_fields(fields, allowed_in),
            schema_fields(schema),
            "{method} {template}"
        );
    }
}

/// Returns the tree of field names that the simulator accepts.
fn simulator_fields(fields: &[Field], allowed_in: AllowedIn) -> BTreeMap<String, Value> {
    let fields =
        fields.iter().filter(|field| [AllowedIn::Both, allowed_in].contains(&field.allowed_in));
    fields
        .map(|field| {
            let nested = match field.kind {
                Kind::Object(fields) | Kind::Objects(fields) => {
                    json!(simulator_fields(fields, allowed_in))
                }
                _ => Value::Null,
            };
            (field.name.to_owned(), nested)
        })
        .collect()
}

/// Returns the tree of field names in a schema.
fn schema_fields(schema: &Value) -> BTreeMap<String, Value> {
    let parts = schema["allOf"].as_array().into_iter().flatten().chain([schema]);
    parts
        .filter_map(|part| part["properties"].as_object())
        .flatten()
        .map(|(name, schema)| {
            let schema = schema.get("items").unwrap_or(schema);
            let nested = schema.get("properties").map(|_| json!(schema_fields(schema)));
            (name.clone(), nested.unwrap_or_default())
        })
        .collect()
}

#[test]
fn scopes_and_categories_match_the_specification() {
    let Some(spec) = specification("zoom-api-subset.openapi.json") else { return };
    let methods = spec["paths"].as_object().unwrap().values().flat_map(|path| path.as_object());
    let operations: Vec<_> = methods.flat_map(serde_json::Map::values).collect();
    // Zoom documents plan usage elsewhere.
    let documented = scopes::ALL.iter().filter(|it| it.name != scopes::PLAN_USAGE.name);
    for operation in documented {
        let name = operation.name;
        let theirs = operations.iter().find(|theirs| theirs["operationId"] == name).unwrap();
        assert_eq!(theirs["x-rate-limit"], operation.category.name().to_uppercase(), "{name}");
        let named = theirs["x-granular-scopes"].as_array().unwrap();
        for scope in named.iter().filter_map(Value::as_str).filter(|it| !it.ends_with(":master")) {
            let own = !scope.ends_with(":admin");
            assert!(
                operation.is_allowed_by(own, |candidate| candidate == scope),
                "{name}: {scope}"
            );
            assert!(!operation.is_allowed_by(own, |_| false), "{name} requires no scope");
        }
    }
}
