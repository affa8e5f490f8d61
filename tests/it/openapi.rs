//! `openapi.yaml` against the code: what it says must be so, and what is so must stand in it.

mod failures;

use std::collections::{BTreeMap, BTreeSet};

use http::Method;
use jiff::SignedDuration;
use jsonschema::Validator;
use serde_json::{Map, Value, json};
use shared::domain::change::{Announcement, What};
use shared::domain::id::{SessionId, UserId};
use shared::domain::notice::{About, Notice, NoticeKind};
use shared::domain::settings::MeetingSettings;
use shared::domain::text::Title;
use shared::domain::{audience, draft, id, poll, resend, text};
use shared::handlers::{DETAIL_TYPES, ROUTES, Route, matching};

use crate::direct::store;
use crate::world::{Answer, World, class, course_class};

const OPENAPI: &str = include_str!("../../openapi.yaml");
const PROBLEMS: &str = include_str!("../../shared/src/handlers/problem.rs");
const PROBLEM_JSON: &str = "application/problem+json";

/// The file, read as JSON.
struct Spec(Value);

/// One operation: its method, its path, and what is said of it.
struct Operation<'a> {
    method: String,
    path: &'a str,
    says: &'a Value,
}

impl Operation<'_> {
    fn name(&self) -> String {
        format!("{} {}", self.method, self.path)
    }
}

impl Spec {
    fn read() -> Self {
        Self(serde_norway::from_str(OPENAPI).expect("openapi.yaml is YAML"))
    }

    fn operations(&self) -> Vec<Operation<'_>> {
        let paths = self.0["paths"].as_object().expect("paths");
        paths
            .iter()
            .flat_map(|(path, item)| {
                let methods = item.as_object().expect("a path item").iter();
                methods
                    .filter(|(word, _)| *word != "parameters")
                    .map(move |(word, says)| Operation { method: word.to_uppercase(), path, says })
            })
            .collect()
    }

    /// What `value` is or refers to.
    fn resolve<'a>(&'a self, value: &'a Value) -> &'a Value {
        match value["$ref"].as_str() {
            None => value,
            Some(reference) => self.target(reference).expect("the reference leads somewhere"),
        }
    }

    fn target(&self, reference: &str) -> Option<&Value> {
        self.0.pointer(reference.strip_prefix('#')?)
    }

    fn validator(&self, schema: &Value) -> Validator {
        let whole = json!({
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "components": {"schemas": self.0["components"]["schemas"]},
            "allOf": [schema],
        });
        jsonschema::options().should_validate_formats(true).build(&whole).expect("a schema")
    }

    /// Why `value` does not fit `schema`; empty when it does.
    fn misfits(&self, schema: &Value, value: &Value) -> Vec<String> {
        let validator = self.validator(schema);
        validator
            .iter_errors(value)
            .map(|error| format!("{}: {error}", error.instance_path()))
            .collect()
    }

    fn component(&self, name: &str) -> Value {
        json!({"$ref": format!("#/components/schemas/{name}")})
    }

    /// The errors that an operation tells of: status and code.
    fn codes(&self, route: &Route) -> BTreeSet<(u64, String)> {
        let operation = &self.0["paths"][route.path][route.method.to_lowercase()];
        let responses = operation["responses"].as_object().expect("responses").iter();
        responses
            .flat_map(|(status, response)| {
                let media = &self.resolve(response)["content"][PROBLEM_JSON];
                let status = status.parse().expect("a status");
                self.examples(media).into_keys().map(move |code| (status, code))
            })
            .collect()
    }

    /// The examples of a media type or a parameter, by name.
    fn examples<'a>(&'a self, of: &'a Value) -> BTreeMap<String, &'a Value> {
        let named = of["examples"].as_object().into_iter().flatten();
        let named = named.map(|(name, example)| (name.clone(), &self.resolve(example)["value"]));
        let single = of.get("example").map(|value| ("example".to_owned(), value));
        named.chain(single).collect()
    }
}

/// Calls `visit` with every object in `value`, and where it is.
fn walk(value: &Value, at: &str, visit: &mut impl FnMut(&str, &Map<String, Value>)) {
    match value {
        Value::Object(object) => {
            visit(at, object);
            for (name, inner) in object {
                walk(inner, &format!("{at}/{name}"), visit);
            }
        }
        Value::Array(items) => {
            for (index, inner) in items.iter().enumerate() {
                walk(inner, &format!("{at}/{index}"), visit);
            }
        }
        _ => {}
    }
}

/// Every status and code that the error table has, read from its source: a code stands behind its status, or is a
/// `conflict`, which is 409.
fn problems() -> BTreeSet<(u64, String)> {
    let literal = |rest: &str| {
        rest.trim_start().strip_prefix('"')?.split_once('"').map(|(word, _)| word.to_owned())
    };
    let word = |text: &String| {
        !text.is_empty() && text.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')
    };
    let conflicts =
        PROBLEMS.split("conflict(").skip(1).filter_map(|rest| Some((409, literal(rest)?)));
    let others = PROBLEMS.match_indices(',').filter_map(|(comma, _)| {
        let before = &PROBLEMS[..comma];
        let digits = before.len() - before.trim_end_matches(|c: char| c.is_ascii_digit()).len();
        let status = before[before.len() - digits..].parse().ok().filter(|_| digits == 3)?;
        Some((status, literal(&PROBLEMS[comma + 1..])?))
    });
    conflicts.chain(others).filter(|(_, code)| word(code)).collect()
}

#[test]
fn it_describes_every_route_and_no_other() {
    let spec = Spec::read();
    let described: BTreeSet<_> = spec.operations().iter().map(Operation::name).collect();
    let served: BTreeSet<_> =
        ROUTES.iter().map(|route| format!("{} {}", route.method, route.path)).collect();
    assert_eq!(described, served);
    let ids: BTreeSet<_> = spec
        .operations()
        .iter()
        .map(|operation| operation.says["operationId"].to_string())
        .collect();
    assert_eq!(ids.len(), ROUTES.len(), "each operation has a name of its own");
}

#[test]
fn every_reference_leads_somewhere() {
    let spec = Spec::read();
    let mut lost = Vec::new();
    walk(&spec.0, "", &mut |at, object| {
        if let Some(Value::String(reference)) = object.get("$ref")
            && spec.target(reference).is_none()
        {
            lost.push(format!("{at}: {reference}"));
        }
    });
    assert_eq!(lost, Vec::<String>::new());
}

#[test]
fn the_codes_are_those_of_the_error_table_under_their_statuses() {
    let spec = Spec::read();
    let table = problems();
    let codes: BTreeSet<_> = table.iter().map(|(_, code)| code.as_str()).collect();
    let schema = &spec.0["components"]["schemas"]["ProblemCode"];
    let listed: BTreeSet<_> =
        schema["enum"].as_array().expect("codes").iter().filter_map(Value::as_str).collect();
    assert_eq!(listed, codes);

    let text = schema["description"].as_str().expect("a table");
    let rows = text.lines().filter_map(|row| {
        let (status, codes) = row.strip_prefix("| ")?.split_once(" | ")?;
        Some((status.parse::<u64>().ok()?, codes))
    });
    let told: BTreeSet<_> = rows
        .flat_map(|(status, codes)| {
            codes.split('`').skip(1).step_by(2).map(move |code| (status, code.to_owned()))
        })
        .collect();
    assert_eq!(told, table, "the table in the description");

    let exemplified: BTreeSet<_> = spec.0["components"]["examples"]
        .as_object()
        .expect("examples")
        .iter()
        .filter(|(_, example)| example["value"]["code"].is_string())
        .map(|(name, example)| {
            let problem = &example["value"];
            assert_eq!(problem["code"], name.as_str());
            assert_eq!(problem["type"], format!("urn:live-classes:problem:{name}"));
            (problem["status"].as_u64().expect("a status"), name.clone())
        })
        .collect();
    assert_eq!(exemplified, table, "one example for each code");
}

#[test]
fn every_operation_tells_of_its_errors() {
    let spec = Spec::read();
    for operation in spec.operations() {
        let name = operation.name();
        assert!(operation.says.get("security").is_none(), "{name}: no route is without a token");
        let responses = operation.says["responses"].as_object().expect("responses");
        for status in ["401", "500", "503"] {
            assert!(responses.contains_key(status), "{name} does not tell of {status}");
        }
        let takes_json = operation.says.get("requestBody").is_some();
        assert_eq!(responses.contains_key("413"), takes_json, "{name}: 413 goes with a body");
        for (status, response) in responses {
            let response = spec.resolve(response);
            assert!(response["headers"].get("Cache-Control").is_some(), "{name} {status}");
            if status.parse::<u16>().expect("a status") < 400 {
                continue;
            }
            let media = &response["content"][PROBLEM_JSON];
            assert_eq!(media["schema"], spec.component("Problem"), "{name} {status}");
            let examples = spec.examples(media);
            assert!(!examples.is_empty(), "{name} {status} lists no code");
            for (code, problem) in examples {
                assert_eq!(problem["code"], code.as_str(), "{name} {status}");
                assert_eq!(problem["status"].to_string(), *status, "{name}: {code}");
            }
        }
    }
}

#[test]
fn examples_fit_their_schemas() {
    let spec = Spec::read();
    let check = |at: &str, schema: &Value, value: &Value| {
        assert_eq!(spec.misfits(schema, value), Vec::<String>::new(), "{at}");
    };
    // Media types, parameters and headers have a schema and examples beside it; schemas have examples within.
    let mut checked = 0;
    walk(&spec.0, "", &mut |at, object| {
        let of = Value::Object(object.clone());
        if let Some(schema) = object.get("schema") {
            for (name, example) in spec.examples(&of) {
                check(&format!("{at}: {name}"), schema, example);
                checked += 1;
            }
        }
        if let Some(Value::Array(examples)) = object.get("examples") {
            for example in examples {
                check(at, &of, example);
                checked += 1;
            }
        }
    });
    assert!(checked > 40, "only {checked} examples");

    let import = &spec.0["paths"]["/v1/directory/import"]["post"]["requestBody"]["content"];
    let lines = spec.examples(&import["application/x-ndjson"])["lines"].as_str().expect("lines");
    for line in lines.lines() {
        let value = serde_json::from_str(line).expect("a line of JSON");
        check(line, &spec.component("ImportLine"), &value);
    }
}

#[test]
fn requests_with_unknown_members_do_not_fit() {
    let spec = Spec::read();
    for operation in spec.operations() {
        let body = spec.resolve(&operation.says["requestBody"]);
        let media = &body["content"]["application/json"];
        for (name, example) in spec.examples(media) {
            let mut stretched = example.clone();
            stretched["colour"] = json!("red");
            let misfits = spec.misfits(&media["schema"], &stretched);
            assert!(!misfits.is_empty(), "{} takes anything: {name}", operation.name());
        }
    }
}

#[test]
fn what_belongs_to_another_audience_or_provider_does_not_fit() {
    let spec = Spec::read();
    let fits = |changes: Value| {
        let mut body = class(2);
        for (name, value) in changes.as_object().expect("changes") {
            body[name] = value.clone();
        }
        spec.misfits(&spec.component("EditSession"), &body).is_empty()
    };
    let link = "https://meet.example.test/a";
    for good in [
        json!({}),
        json!({"course_id": null, "join_url": null, "settings": null}),
        json!({"audience_type": "course", "course_id": "course-1"}),
        json!({"audience_type": "invitees", "invitees": [{"email": "a@example.test"}]}),
        json!({"provider": "manual", "join_url": link, "record_session": false, "settings": {}}),
    ] {
        assert!(fits(good.clone()), "{good}");
    }
    for bad in [
        json!({"course_id": "course-1"}),
        json!({"audience_type": "course"}),
        json!({"audience_type": "course", "course_id": "a#b"}),
        json!({"audience_type": "invitees", "invitees": []}),
        json!({"invitees": [{"email": "a@example.test"}]}),
        json!({"join_url": link}),
        json!({"provider": "manual"}),
        json!({"provider": "manual", "join_url": "http://meet.example.test/a"}),
        json!({"provider": "manual", "join_url": link, "record_session": true}),
        json!({"provider": "manual", "join_url": link, "settings": {"watermark": true}}),
        json!({"settings": {"auto_recording": "cloud"}}),
        json!({"trainer_id": "trainer-1"}),
        json!({"starts_at": "tomorrow"}),
    ] {
        assert!(!fits(bad.clone()), "{bad}");
    }
}

#[test]
fn its_limits_are_the_codes() {
    let spec = Spec::read();
    let draft = "/components/schemas/SessionDraft/properties";
    let (shortest, longest) = (*draft::DURATION_MINUTES.start(), *draft::DURATION_MINUTES.end());
    let recipients = "/paths/~1v1~1sessions~1{id}~1resend-invite/post/requestBody/content/application~1json/schema/properties/recipients/maxItems";
    let launch = "/components/schemas/LaunchPoll/properties";
    let limits: [(String, usize); 19] = [
        (recipients.into(), resend::RECIPIENT_LIMIT),
        (format!("{launch}/question/maxLength"), text::QUESTION_LIMIT_CHARS),
        (format!("{launch}/options/items/maxLength"), text::OPTION_LIMIT_CHARS),
        (format!("{launch}/options/minItems"), *poll::OPTIONS.start()),
        (format!("{launch}/options/maxItems"), *poll::OPTIONS.end()),
        ("/components/schemas/Vote/properties/option_ids/maxItems".into(), *poll::OPTIONS.end()),
        ("/components/schemas/PollList/properties/items/maxItems".into(), poll::POLLS_LIMIT),
        (format!("{draft}/title/maxLength"), text::TITLE_LIMIT_CHARS),
        (format!("{draft}/description/maxLength"), text::DESCRIPTION_LIMIT_CHARS),
        (format!("{draft}/invitees/maxItems"), audience::INVITEE_LIMIT),
        (format!("{draft}/duration_minutes/minimum"), shortest.unsigned_abs() as usize),
        (format!("{draft}/duration_minutes/maximum"), longest.unsigned_abs() as usize),
        (format!("{draft}/join_url/maxLength"), draft::URL_LIMIT_BYTES),
        ("/components/schemas/Invitee/properties/name/maxLength".into(), text::NAME_LIMIT_CHARS),
        ("/components/schemas/Email/maxLength".into(), text::EMAIL_LIMIT_BYTES),
        ("/components/schemas/ForeignId/maxLength".into(), id::FOREIGN_ID_LIMIT_BYTES),
        ("/components/parameters/Limit/schema/default".into(), shared::http::PAGE_DEFAULT),
        ("/components/parameters/Limit/schema/maximum".into(), shared::http::PAGE_LIMIT),
        (
            "/components/parameters/IdempotencyKey/schema/maxLength".into(),
            shared::http::IDEMPOTENCY_KEY_LIMIT_BYTES,
        ),
    ];
    for (pointer, limit) in limits {
        assert_eq!(spec.0.pointer(&pointer), Some(&json!(limit)), "{pointer}");
    }

    let all = MeetingSettings {
        waiting_room: Some(true),
        join_before_host: Some(true),
        mute_upon_entry: Some(true),
        host_video: Some(true),
        participant_video: Some(true),
        allow_multiple_devices: Some(true),
        focus_mode: Some(true),
        watermark: Some(true),
    };
    let names = |value: &Value| -> BTreeSet<String> {
        value.as_object().expect("an object").keys().cloned().collect()
    };
    let held = serde_json::to_value(all).expect("settings are JSON");
    let told = &spec.0["components"]["schemas"]["MeetingSettings"]["properties"];
    assert_eq!(names(told), names(&held));

    let directory = spec.0["tags"]
        .as_array()
        .and_then(|tags| tags.iter().find(|tag| tag["name"] == "Directory"))
        .and_then(|tag| tag["description"].as_str())
        .expect("the tag");
    for kind in DETAIL_TYPES {
        assert!(directory.contains(&format!("| `{kind}` |")), "{kind}");
    }
}

/// A world whose answers are held against the file, one by one.
struct Described {
    world: World,
    spec: Spec,
    /// The routes whose success was seen.
    seen: BTreeSet<String>,
    /// The errors that were seen: the operation, the status and the code.
    errors: BTreeSet<(String, u64, String)>,
}

impl Described {
    fn new(world: World) -> Self {
        Self { world, spec: Spec::read(), seen: BTreeSet::new(), errors: BTreeSet::new() }
    }

    async fn ask(
        &mut self,
        method: Method,
        path: &str,
        token: &str,
        body: Option<Value>,
        headers: &[(&str, &str)],
    ) -> Answer {
        let answer = self.world.call(method.clone(), path, token, body, headers).await;
        self.check(&method, path, &answer);
        answer
    }

    /// Holds an answer against the file.
    fn check(&mut self, method: &Method, path: &str, answer: &Answer) {
        let route_path = path.split_once('?').map_or(path, |(path, _)| path);
        let (route, _) = matching(method.as_str(), route_path).expect("a route");
        let name = format!("{} {} → {}", route.method, route.path, answer.status);
        let operation = &self.spec.0["paths"][route.path][route.method.to_lowercase()];
        let response = self.spec.resolve(&operation["responses"][answer.status.as_str()]);
        assert!(response.is_object(), "{name} is not described: {}", answer.text);

        for (header, says) in response["headers"].as_object().into_iter().flatten() {
            let sent = answer.headers.get(header).unwrap_or_else(|| panic!("{name}: no {header}"));
            let sent = sent.to_str().expect("visible ASCII");
            let value = sent.parse::<u64>().map_or_else(|_| json!(sent), |number| json!(number));
            let schema = &self.spec.resolve(says)["schema"];
            assert_eq!(self.spec.misfits(schema, &value), Vec::<String>::new(), "{name}: {header}");
        }
        match answer.headers.get("content-type").map(|kind| kind.to_str().expect("visible ASCII")) {
            None => assert!(response.get("content").is_none() && answer.text.is_empty(), "{name}"),
            Some(kind) => {
                let schema = &response["content"][kind]["schema"];
                assert!(schema.is_object(), "{name} is not described as {kind}");
                let is_json = kind.ends_with("json");
                let body = if is_json { answer.json() } else { json!(answer.text) };
                assert_eq!(
                    self.spec.misfits(schema, &body),
                    Vec::<String>::new(),
                    "{name}: {body}"
                );
                if kind == PROBLEM_JSON {
                    let code = body["code"].as_str().expect("a code");
                    let codes = self.spec.examples(&response["content"][kind]);
                    assert!(codes.contains_key(code), "{name} is not described with {code}");
                    let operation = format!("{} {}", route.method, route.path);
                    let status = u64::from(answer.status.as_u16());
                    self.errors.insert((operation, status, code.to_owned()));
                }
            }
        }
        if answer.status.is_success() {
            self.seen.insert(format!("{} {}", route.method, route.path));
        }
    }

    async fn get(&mut self, token: &str, path: &str) -> Answer {
        self.ask(Method::GET, path, token, None, &[]).await
    }

    async fn post(&mut self, token: &str, path: &str, body: Value) -> Answer {
        self.ask(Method::POST, path, token, Some(body), &[]).await
    }

    async fn put(&mut self, token: &str, path: &str, body: Value) -> Answer {
        self.ask(Method::PUT, path, token, Some(body), &[]).await
    }

    async fn delete(&mut self, token: &str, path: &str) -> Answer {
        self.ask(Method::DELETE, path, token, None, &[]).await
    }
}

/// A poll in a class that is on.
async fn polls(api: &mut Described, path: &str, trainer: &str, student: &str) {
    let polls = format!("{path}/polls");
    let question = json!({"question": "Which is larger?", "options": ["2/3", "3/4"]});
    api.post(student, &polls, question.clone()).await.refused(403, "forbidden");
    api.post(trainer, &polls, json!({"question": ""})).await.refused(422, "validation_failed");
    let key = [("idempotency-key", "p1")];
    let launched =
        api.ask(Method::POST, &polls, trainer, Some(question.clone()), &key).await.expect(201);
    let other = json!({"question": "Which?", "options": ["a", "b"], "anonymous": true});
    api.ask(Method::POST, &polls, trainer, Some(other.clone()), &key)
        .await
        .refused(422, "idempotency_key_reused");
    api.post(trainer, &polls, other).await.refused(409, "conflict");
    let poll = format!("{polls}/{}", launched["id"].as_str().expect("an id"));
    let vote = format!("{poll}/vote");
    let choice = json!({"option_ids": [launched["options"][1]["id"]]});
    api.put(student, &vote, choice.clone()).await.expect(200);
    api.put(student, &vote, json!({"option_ids": []})).await.refused(422, "validation_failed");
    api.put(student, &vote, json!({"option_ids": ["x"]})).await.refused(404, "not_found");
    api.put(trainer, &vote, choice.clone()).await.refused(403, "forbidden");
    api.get(student, &polls).await.expect(200);
    let seen = api.get(trainer, &polls).await;
    let tag = [("if-none-match", seen.headers["etag"].to_str().expect("a tag"))];
    assert_eq!(api.ask(Method::GET, &polls, trainer, None, &tag).await.status, 304);
    let file = format!("{polls}?format=csv");
    api.get(trainer, &file).await;
    api.get(student, &file).await.refused(403, "forbidden");
    api.get(trainer, &format!("{polls}?format=pdf")).await.refused(422, "validation_failed");
    api.ask(Method::POST, &format!("{poll}/close"), trainer, None, &[]).await.expect(200);
    api.put(student, &vote, choice).await.refused(409, "poll_closed");
    api.get(trainer, &polls).await.expect(200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_running_system_answers_as_described() {
    let world = World::start().await;
    let (trainer, other) = (world.trainer().await, world.other_trainer().await);
    let (student, service) = (world.student(1).await, world.service().await);
    let mut api = Described::new(world);

    // Nobody, and the wrong ones.
    for route in ROUTES {
        let path = route
            .path
            .replace("{id}", "ses_aaaaaaaaaaaaaaaaaaaaaaaaaa")
            .replace("{poll_id}", "pol_aaaaaaaaaaaaaaaaaaaaaaaaaa")
            .replace("{user_id}", "u");
        let method: Method = route.method.parse().expect("a method");
        api.ask(method, &path, "", None, &[]).await.refused(401, "unauthenticated");
    }
    api.get(&student, "/v1/sessions").await.refused(403, "forbidden");
    api.get(&trainer, "/v1/me/sessions").await.refused(403, "forbidden");
    api.put(&trainer, "/v1/directory/settings", json!({})).await.refused(403, "forbidden");

    // Connecting.
    api.get(&trainer, "/v1/zoom/connection").await.expect(200);
    api.post(&trainer, "/v1/sessions", class(26)).await.refused(409, "zoom_not_connected");
    let redirect_uri = format!("{}/callback", api.world.stack.base_url);
    api.post(&trainer, "/v1/zoom/authorize", json!({"redirect_uri": redirect_uri}))
        .await
        .expect(200);
    api.post(&trainer, "/v1/zoom/authorize", json!({"redirect_uri": "https://else.where"}))
        .await
        .refused(422, "validation_failed");
    let (code, state) = api.world.consent(&trainer, "decision=allow&account=app").await;
    let returned = json!({"code": code, "state": state});
    api.post(&trainer, "/v1/zoom/connect", returned.clone()).await.expect(200);
    api.post(&trainer, "/v1/zoom/connect", returned).await.refused(422, "validation_failed");
    api.get(&trainer, "/v1/zoom/connection").await.expect(200);

    // Scheduling and editing.
    let key = [("idempotency-key", "k1")];
    let made = api
        .ask(Method::POST, "/v1/sessions", &trainer, Some(course_class(26)), &key)
        .await
        .expect(201);
    api.ask(Method::POST, "/v1/sessions", &trainer, Some(class(26)), &key)
        .await
        .refused(422, "idempotency_key_reused");
    let path = format!("/v1/sessions/{}", made["id"].as_str().expect("an id"));
    let mut invited = class(30);
    invited["audience_type"] = json!("invitees");
    invited["invitees"] = json!([{"email": "guest@example.test"}]);
    invited["description"] = json!("Bring a pencil.");
    invited["settings"] = json!({"waiting_room": true});
    api.post(&trainer, "/v1/sessions", invited).await.expect(201);
    let mut manual = class(3);
    manual["provider"] = json!("manual");
    manual["join_url"] = json!("https://meet.example.test/a");
    api.post(&other, "/v1/sessions", manual.clone()).await.expect(201);
    manual["trainer_id"] = json!("trainer-2");
    api.post(&service, "/v1/sessions", manual).await.expect(201);
    api.post(&other, "/v1/sessions", course_class(26)).await.refused(404, "not_found");
    api.post(&trainer, "/v1/sessions", json!({"titel": "?"}))
        .await
        .refused(422, "validation_failed");
    let mut edit = course_class(26);
    edit["title"] = json!("Algebra I: fractions");
    api.ask(Method::PUT, &path, &trainer, Some(edit.clone()), &[("if-match", "\"1\"")])
        .await
        .expect(200);
    edit["title"] = json!("Algebra I: decimals");
    api.ask(Method::PUT, &path, &trainer, Some(edit.clone()), &[("if-match", "\"1\"")])
        .await
        .refused(412, "precondition_failed");
    api.put(&other, &path, edit.clone()).await.refused(404, "not_found");

    // Reading.
    let page = api.get(&trainer, "/v1/sessions?limit=1&status=scheduled").await.expect(200);
    let cursor = page["next_cursor"].as_str().expect("another page");
    api.get(&trainer, &format!("/v1/sessions?limit=1&status=scheduled&cursor={cursor}"))
        .await
        .expect(200);
    api.get(&trainer, "/v1/sessions?limit=101").await.refused(422, "validation_failed");
    api.get(&trainer, &path).await.expect(200);
    api.get(&student, &path).await.expect(200);
    api.get(&other, &path).await.refused(404, "not_found");
    api.get(&student, "/v1/me/sessions").await.expect(200);

    // Telling people, and what they want to be told.
    let resend = format!("{path}/resend-invite");
    api.post(&trainer, &resend, json!({"recipients": ["student-1"]})).await.expect(202);
    api.post(&trainer, &resend, json!({"recipients": []})).await.refused(422, "validation_failed");
    for _ in 0..2 {
        api.ask(Method::POST, &resend, &trainer, None, &[]).await.expect(202);
    }
    api.post(&trainer, &resend, json!({})).await.refused(429, "rate_limited");
    api.post(&other, &resend, json!({})).await.refused(404, "not_found");
    let quiet = json!({"live_session": {"in_app": true, "email": false}});
    api.put(&student, "/v1/me/notification-preferences", quiet).await.expect(200);
    api.put(&student, "/v1/me/notification-preferences", json!({}))
        .await
        .refused(422, "validation_failed");
    api.get(&student, "/v1/me/notification-preferences").await.expect(200);
    let session = SessionId::parse(made["id"].as_str().expect("an id")).expect("an id");
    let told = [(NoticeKind::Scheduled, true), (NoticeKind::ReconnectZoom, false)];
    let told = told.map(|(kind, of_class)| {
        let announcement = Announcement {
            at: api.world.now(),
            what: What::ReauthRequired { trainer: UserId::parse("t").expect("an id"), version: 1 },
        };
        let about = About {
            session: session.clone(),
            title: Title::parse("Algebra I").expect("a title"),
            starts_at: api.world.now(),
        };
        let user = UserId::parse("student-1").expect("an id");
        Notice::of(&announcement, kind, user, of_class.then_some(about))
    });
    store(&api.world).put_notices(&told).await.expect("written");
    let page = api.get(&student, "/v1/me/notifications?limit=1").await.expect(200);
    let cursor = page["next_cursor"].as_str().expect("another page");
    api.get(&student, &format!("/v1/me/notifications?limit=1&cursor={cursor}")).await.expect(200);
    api.get(&student, "/v1/me/notifications?cursor=x").await.refused(422, "validation_failed");
    let id = page["items"][0]["id"].as_str().expect("an id");
    for verb in ["read", "dismiss"] {
        let path = |id: &str| format!("/v1/me/notifications/{id}/{verb}");
        api.ask(Method::POST, &path(id), &student, None, &[]).await.expect(204);
        api.ask(Method::POST, &path("x"), &student, None, &[]).await.refused(404, "not_found");
    }

    // The class itself.
    let (join, meeting) =
        (format!("{path}/join"), made["meeting"]["id"].as_str().expect("a meeting"));
    api.ask(Method::POST, &join, &student, None, &[]).await.refused(409, "too_early");
    api.world.advance(SignedDuration::from_hours(26));
    api.ask(Method::POST, &join, &trainer, None, &[]).await.expect(200);
    api.ask(Method::POST, &join, &student, None, &[]).await.expect(200);
    for (verb, body) in [
        ("start", json!({})),
        ("recording", json!({"action": "start"})),
        ("join", json!({"name": "Ada"})),
    ] {
        let act = format!("/zoom/sim/meetings/{meeting}/{verb}");
        api.world.post("", &act, body).await;
    }
    api.put(&trainer, &path, edit).await.refused(422, "validation_failed");
    api.put(&trainer, &path, course_class(50)).await.refused(409, "conflict");
    polls(&mut api, &path, &trainer, &student).await;
    api.world.advance(SignedDuration::from_mins(30));
    for verb in ["end", "recording"] {
        api.world.post("", &format!("/zoom/sim/meetings/{meeting}/{verb}"), json!({})).await;
    }
    let recordings = api.get(&student, &format!("{path}/recordings")).await.expect(200);
    assert_ne!(recordings["items"], json!([]));
    let timeline = api.get(&trainer, &format!("{path}/timeline")).await.expect(200);
    assert_ne!(timeline["items"], json!([]));
    let attendance = format!("{path}/attendance");
    let report = api.get(&trainer, &attendance).await.expect(200);
    let row =
        format!("{attendance}/{}", report["attendees"][0]["attendee_id"].as_str().expect("an id"));
    api.put(&trainer, &row, json!({"present": true})).await.refused(422, "validation_failed");
    let decided = json!({"present": true, "reason": "Was in the room."});
    api.put(&trainer, &row, decided).await.expect(200);
    let assign = json!({"reason": "That is Ada.", "assign_to": {"user_id": "student-2"}});
    api.put(&trainer, &row, assign).await.refused(409, "conflict");
    api.get(&trainer, &format!("{attendance}?format=csv")).await;
    api.get(&trainer, &format!("{attendance}?format=pdf")).await.refused(422, "validation_failed");
    let audit = api.get(&trainer, &format!("{attendance}/audit")).await.expect(200);
    assert_eq!(audit["items"][0]["reason"], "Was in the room.");
    api.ask(Method::POST, &join, &student, None, &[]).await.refused(409, "session_ended");
    let cancel = format!("{path}/cancel");
    api.post(&trainer, &cancel, json!({})).await.refused(409, "session_ended");
    let other_class = api.post(&trainer, "/v1/sessions", class(50)).await.expect(201);
    let cancel = format!("/v1/sessions/{}/cancel", other_class["id"].as_str().expect("an id"));
    api.post(&trainer, &cancel, json!({"reason": "Snow."})).await.expect(200);
    api.post(&trainer, &resend, json!({})).await.refused(409, "session_ended");
    let resend = cancel.replace("/cancel", "/resend-invite");
    api.post(&trainer, &resend, json!({})).await.refused(409, "session_cancelled");

    // The directory.
    let course = "/v1/directory/courses/course-2";
    api.put(&service, course, json!({"title": "Geometry", "trainer_id": "trainer-1"}))
        .await
        .expect(200);
    let place = format!("{course}/enrollments/student-9");
    let student_9 = json!({"email": "student9@example.test", "name": "Student 9"});
    api.put(&service, &place, student_9).await.expect(200);
    let user = json!({"email": "student9@example.test", "name": "Student 9", "role": "student", "plan": null});
    api.put(&service, "/v1/directory/users/student-9", user).await.expect(200);
    api.put(&service, "/v1/directory/users/a%23b", json!({}))
        .await
        .refused(422, "validation_failed");
    let lines = json!({"type": "user", "id": "student-9", "deleted": true});
    api.post(&service, "/v1/directory/import", lines).await.expect(200);
    api.post(&service, "/v1/directory/import", json!({"type": "planet"})).await.expect(200);
    for path in [&place, course, "/v1/directory/users/student-9"] {
        api.delete(&service, path).await.expect(204);
    }
    api.put(
        &service,
        "/v1/directory/settings",
        json!({"plans": {"tiny": {"sessions_per_month": 0}}}),
    )
    .await
    .expect(200);
    api.post(&trainer, "/v1/sessions", class(60)).await.refused(403, "plan_required");
    api.put(&service, "/v1/directory/settings", json!({"live_classes_enabled": false}))
        .await
        .expect(200);
    api.post(&trainer, "/v1/sessions", class(60)).await.refused(403, "feature_disabled");
    api.delete(&trainer, "/v1/zoom/connection").await.expect(204);

    let all: BTreeSet<_> =
        ROUTES.iter().map(|route| format!("{} {}", route.method, route.path)).collect();
    let unseen: Vec<_> = all.difference(&api.seen).collect();
    assert!(
        unseen.is_empty(),
        "call these here, too, so that their answers are held against the file: {unseen:?}"
    );
}
