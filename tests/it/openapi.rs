//! `openapi.yaml` against the code: each must describe all of the other.

mod conditions;
mod failures;
mod patterns;
mod responses;
mod rights;

use std::collections::{BTreeMap, BTreeSet};

use jsonschema::Validator;
use serde_json::{Map, Value, json};
use shared::app::connect;
use shared::domain::notification_kind::{MailKind, NotificationKind, Relevance};
use shared::domain::platform_host::HostReason;
use shared::domain::settings::MeetingSettings;
use shared::domain::{audience, draft, id, poll, resend, text, time};
use shared::handlers::{
    API, DETAIL_TYPES, GUEST_ROUTES, ROUTES, Route, WEBHOOK_ROUTE, attendance, directory,
    session_cancel,
};

use crate::world::session_body;

const OPENAPI: &str = include_str!("../../openapi.yaml");
const PROBLEM_SOURCE: &str = include_str!("../../shared/src/handlers/problem.rs");
const CONSOLE_NOTIFICATIONS: &str = include_str!("../../local/console/js/parts/person.js");
const PROBLEM_JSON: &str = "application/problem+json";

/// The file, read as JSON.
struct Spec(Value);

/// One operation: its method, its path and its description.
struct Operation<'a> {
    method: String,
    path: &'a str,
    description: &'a Value,
}

impl Operation<'_> {
    fn name(&self) -> String {
        format!("{} {}", self.method, self.path)
    }

    /// Whether a guest link replaces the caller's token.
    fn is_for_guests(&self) -> bool {
        GUEST_ROUTES.iter().any(|route| route.path == self.path)
    }

    /// Whether Zoom calls the operation.
    fn is_webhook(&self) -> bool {
        (self.method.as_str(), self.path) == (WEBHOOK_ROUTE.method, WEBHOOK_ROUTE.path)
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
                methods.filter(|(method, _)| *method != "parameters").map(
                    move |(method, description)| Operation {
                        method: method.to_uppercase(),
                        path,
                        description,
                    },
                )
            })
            .collect()
    }

    /// Follows a `$ref`, if `value` is one.
    fn resolve<'a>(&'a self, value: &'a Value) -> &'a Value {
        match value["$ref"].as_str() {
            None => value,
            Some(reference) => self.target(reference).expect("the reference resolves"),
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

    /// The schema errors of `value`.
    fn schema_errors(&self, schema: &Value, value: &Value) -> Vec<String> {
        let validator = self.validator(schema);
        validator
            .iter_errors(value)
            .map(|error| format!("{}: {error}", error.instance_path()))
            .collect()
    }

    fn component(&self, name: &str) -> Value {
        json!({"$ref": format!("#/components/schemas/{name}")})
    }

    /// The errors that an operation documents: status and code.
    fn problem_codes(&self, route: &Route) -> BTreeSet<(u64, String)> {
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

    /// The examples of a media type or a parameter by name.
    fn examples<'a>(&'a self, container: &'a Value) -> BTreeMap<String, &'a Value> {
        let named = container["examples"].as_object().into_iter().flatten();
        let named = named.map(|(name, example)| (name.clone(), &self.resolve(example)["value"]));
        let single = container.get("example").map(|value| ("example".to_owned(), value));
        named.chain(single).collect()
    }
}

/// Calls `visit` with every object in `value` and its path.
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

/// Every status and code of the error table, parsed from its source: the code follows its status, or is the argument of
/// `conflict`, which is 409.
fn error_table() -> BTreeSet<(u64, String)> {
    let literal = |rest: &str| {
        rest.trim_start().strip_prefix('"')?.split_once('"').map(|(code, _)| code.to_owned())
    };
    let is_code = |text: &String| {
        !text.is_empty() && text.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')
    };
    let conflicts =
        PROBLEM_SOURCE.split("conflict(").skip(1).filter_map(|rest| Some((409, literal(rest)?)));
    let others = PROBLEM_SOURCE.match_indices(',').filter_map(|(comma, _)| {
        let before = &PROBLEM_SOURCE[..comma];
        let digits = before.len() - before.trim_end_matches(|c: char| c.is_ascii_digit()).len();
        let status = before[before.len() - digits..].parse().ok().filter(|_| digits == 3)?;
        Some((status, literal(&PROBLEM_SOURCE[comma + 1..])?))
    });
    conflicts.chain(others).filter(|(_, code)| is_code(code)).collect()
}

#[test]
fn api_description_covers_every_route_and_no_other() {
    let spec = Spec::read();
    let described: BTreeSet<_> = spec.operations().iter().map(Operation::name).collect();
    let routes = ROUTES.iter().chain(GUEST_ROUTES).chain([&WEBHOOK_ROUTE]);
    let served: BTreeSet<_> =
        routes.map(|route| format!("{} {}", route.method, route.path)).collect();
    assert_eq!(described, served);
    let ids: BTreeSet<_> = spec
        .operations()
        .iter()
        .map(|operation| operation.description["operationId"].to_string())
        .collect();
    assert_eq!(ids.len(), described.len(), "operation ids are unique");
}

/// A route that is deprecated in one of the two places would be announced to half of the callers.
#[test]
fn deprecated_operations_are_those_of_the_code() {
    let spec = Spec::read();
    let documented: BTreeSet<_> = spec
        .operations()
        .iter()
        .filter(|operation| operation.description["deprecated"] == true)
        .map(Operation::name)
        .collect();
    let routes = API.iter().copied().flatten().filter(|route| route.deprecation.is_some());
    let coded: BTreeSet<_> =
        routes.map(|route| format!("{} {}", route.method, route.path)).collect();
    assert_eq!(documented, coded);
}

#[test]
fn documented_query_parameters_are_those_of_the_route() {
    let spec = Spec::read();
    for route in ROUTES.iter().chain(GUEST_ROUTES) {
        let operation = &spec.0["paths"][route.path][route.method.to_lowercase()];
        let parameters = operation["parameters"].as_array().into_iter().flatten();
        let parameters = parameters.map(|parameter| spec.resolve(parameter));
        let described: BTreeSet<_> = parameters
            .filter(|parameter| parameter["in"] == "query")
            .filter_map(|parameter| parameter["name"].as_str())
            .collect();
        let known = route.query.iter().copied().collect();
        assert_eq!(described, known, "{} {}", route.method, route.path);
    }
}

#[test]
fn every_reference_resolves() {
    let spec = Spec::read();
    let mut unresolved = Vec::new();
    walk(&spec.0, "", &mut |at, object| {
        if let Some(Value::String(reference)) = object.get("$ref")
            && spec.target(reference).is_none()
        {
            unresolved.push(format!("{at}: {reference}"));
        }
    });
    assert_eq!(unresolved, Vec::<String>::new());
}

#[test]
fn problem_codes_and_statuses_match_the_error_table() {
    let spec = Spec::read();
    let table = error_table();
    let problem_codes: BTreeSet<_> = table.iter().map(|(_, code)| code.as_str()).collect();
    let schema = &spec.0["components"]["schemas"]["ProblemCode"];
    let listed: BTreeSet<_> =
        schema["enum"].as_array().expect("codes").iter().filter_map(Value::as_str).collect();
    assert_eq!(listed, problem_codes);

    let text = schema["description"].as_str().expect("a table");
    let rows = text.lines().filter_map(|row| {
        let (status, problem_codes) = row.strip_prefix("| ")?.split_once(" | ")?;
        Some((status.parse::<u64>().ok()?, problem_codes))
    });
    let described: BTreeSet<_> = rows
        .flat_map(|(status, problem_codes)| {
            problem_codes.split('`').skip(1).step_by(2).map(move |code| (status, code.to_owned()))
        })
        .collect();
    assert_eq!(described, table, "the table in the description");

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
fn every_operation_documents_its_errors() {
    let spec = Spec::read();
    for operation in spec.operations() {
        let name = operation.name();
        let security = operation.description.get("security");
        assert_eq!(
            security,
            (operation.is_webhook() || operation.is_for_guests()).then_some(&json!([])),
            "{name}: every route needs a caller's token, except for guests and Zoom's events"
        );
        let responses = operation.description["responses"].as_object().expect("responses");
        assert_eq!(responses.contains_key("401"), !operation.is_for_guests(), "{name}");
        for status in ["500", "503"] {
            assert!(responses.contains_key(status), "{name} does not document {status}");
        }
        // An event is authentic or not, and is never refused for its form.
        let checks_form = !operation.is_webhook();
        assert_eq!(responses.contains_key("422"), checks_form, "{name}: documents 422");
        let takes_json = operation.description.get("requestBody").is_some();
        assert_eq!(
            responses.contains_key("413"),
            takes_json,
            "{name}: documents 413 if and only if it has a body"
        );
        assert_eq!(responses.contains_key("415"), takes_json && checks_form, "{name}: 415 as 413");
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
fn examples_validate_against_their_schemas() {
    let spec = Spec::read();
    let check = |at: &str, schema: &Value, value: &Value| {
        assert_eq!(spec.schema_errors(schema, value), Vec::<String>::new(), "{at}");
    };
    // Media types, parameters and headers have examples beside their schema. Schemas contain their examples.
    let mut checked = 0;
    walk(&spec.0, "", &mut |at, object| {
        let container = Value::Object(object.clone());
        if let Some(schema) = object.get("schema") {
            for (name, example) in spec.examples(&container) {
                check(&format!("{at}: {name}"), schema, example);
                checked += 1;
            }
        }
        if let Some(Value::Array(examples)) = object.get("examples") {
            for example in examples {
                check(at, &container, example);
                checked += 1;
            }
        }
    });
    assert!(checked > 40, "only {checked} examples");

    for (path, schema) in
        [("/v1/directory/import", "ImportLine"), ("/v1/sessions/import", "SessionImportLine")]
    {
        let content = &spec.0["paths"][path]["post"]["requestBody"]["content"];
        let lines = spec.examples(&content["application/x-ndjson"]);
        for line in lines["lines"].as_str().expect("lines").lines() {
            let value = serde_json::from_str(line).expect("a line of JSON");
            check(line, &spec.component(schema), &value);
        }
    }
}

#[test]
fn request_schemas_reject_unknown_members() {
    let spec = Spec::read();
    // Zoom adds members to its events at any time.
    for operation in spec.operations().into_iter().filter(|operation| !operation.is_webhook()) {
        let body = spec.resolve(&operation.description["requestBody"]);
        let media = &body["content"]["application/json"];
        for (name, example) in spec.examples(media) {
            let mut extended = example.clone();
            extended["colour"] = json!("red");
            let schema_errors = spec.schema_errors(&media["schema"], &extended);
            assert!(
                !schema_errors.is_empty(),
                "{} accepts unknown members: {name}",
                operation.name()
            );
        }
    }
}

#[test]
fn session_schema_rejects_fields_of_another_audience_or_provider() {
    let spec = Spec::read();
    let fits = |changes: Value| {
        let mut body = session_body(2);
        for (name, value) in changes.as_object().expect("changes") {
            body[name] = value.clone();
        }
        spec.schema_errors(&spec.component("EditSession"), &body).is_empty()
    };
    let link = "https://meet.example.test/a";
    for good in [
        json!({}),
        json!({"course_id": null, "join_url": null, "settings": null}),
        json!({"audience_type": "course", "course_id": "course-1"}),
        json!({"audience_type": "invitees", "invitees": [{"email": "a@example.test"}]}),
        json!({"audience_type": "invitees", "invitees": [{"user_id": "u-1", "name": null}]}),
        json!({"provider": "manual", "join_url": link, "record_session": false, "settings": {}}),
        // The trainer's defaults may supply the rest.
        json!({"provider": "manual"}),
        json!({"join_url": link}),
    ] {
        assert!(fits(good.clone()), "{good}");
    }
    for bad in [
        json!({"course_id": "course-1"}),
        json!({"audience_type": "course"}),
        json!({"audience_type": "course", "course_id": "a#b"}),
        json!({"audience_type": "invitees", "invitees": []}),
        json!({"invitees": [{"email": "a@example.test"}]}),
        json!({"audience_type": "invitees", "invitees": [{"name": "Ada"}]}),
        json!({"audience_type": "invitees", "invitees": [{"user_id": "u", "email": "a@example.test"}]}),
        json!({"provider": "zoom", "join_url": link}),
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
fn every_kind_of_notification_is_documented() {
    let spec = Spec::read();
    let schemas = &spec.0["components"]["schemas"];
    let notification = &schemas["Notification"];
    let listed = notification["properties"]["kind"]["enum"].as_array().expect("the kinds");
    let listed: BTreeSet<_> = listed.iter().filter_map(Value::as_str).collect();
    let kinds: BTreeSet<_> = NotificationKind::all().map(NotificationKind::as_str).collect();
    assert_eq!(listed, kinds);
    let meanings = notification["description"].as_str().expect("a table");
    for kind in kinds {
        assert!(meanings.contains(&format!("| `{kind}` |")), "{kind} has no meaning");
        assert!(CONSOLE_NOTIFICATIONS.contains(&format!("\n  {kind}: [")), "{kind} has no title");
    }
    // The timeline is that of a session.
    let of_session = |kind: &MailKind| kind.spec().relevance != Relevance::TrainerAccount;
    let timeline = schemas["TimelineEntry"]["properties"]["detail"]["description"].as_str();
    for kind in MailKind::ALL.into_iter().filter(of_session) {
        let name = format!("`{}`", kind.as_str());
        assert!(timeline.expect("a text").contains(&name), "{name} is not in the timeline");
    }
}

#[test]
fn documented_limits_match_the_code() {
    let spec = Spec::read();
    let draft = "/components/schemas/SessionDraft/properties";
    let (shortest, longest) = (*draft::DURATION_MINUTES.start(), *draft::DURATION_MINUTES.end());
    let recipients = "/paths/~1v1~1sessions~1{id}~1resend-invite/post/requestBody/content/application~1json/schema/properties/recipients/maxItems";
    let launch = "/components/schemas/LaunchPoll/properties";
    let schemas = "/components/schemas";
    let in_body = |operation: &str, field: &str| {
        let content = "requestBody/content/application~1json";
        format!("/paths/{operation}/{content}/schema/properties/{field}")
    };
    let limits: [(String, usize); 38] = [
        (recipients.into(), resend::RECIPIENT_LIMIT),
        (format!("{launch}/question/maxLength"), text::QUESTION_LIMIT_CHARS),
        (format!("{launch}/options/items/maxLength"), text::OPTION_LIMIT_CHARS),
        (format!("{launch}/options/minItems"), *poll::OPTION_COUNT.start()),
        (format!("{launch}/options/maxItems"), *poll::OPTION_COUNT.end()),
        (
            "/components/schemas/Vote/properties/option_ids/maxItems".into(),
            *poll::OPTION_COUNT.end(),
        ),
        ("/components/schemas/PollList/properties/items/maxItems".into(), poll::POLLS_LIMIT),
        (format!("{draft}/title/maxLength"), text::TITLE_LIMIT_CHARS),
        (format!("{draft}/description/maxLength"), text::DESCRIPTION_LIMIT_CHARS),
        (format!("{draft}/invitees/maxItems"), audience::INVITEE_LIMIT),
        (format!("{draft}/duration_minutes/minimum"), shortest.unsigned_abs() as usize),
        (format!("{draft}/duration_minutes/maximum"), longest.unsigned_abs() as usize),
        (format!("{schemas}/ManualLink/maxLength"), draft::URL_LIMIT_BYTES),
        ("/components/schemas/InviteeName/maxLength".into(), text::NAME_LIMIT_CHARS),
        ("/components/schemas/Email/maxLength".into(), text::EMAIL_LIMIT_BYTES),
        ("/components/schemas/ForeignId/maxLength".into(), id::FOREIGN_ID_LIMIT_BYTES),
        ("/components/schemas/ExternalRef/maxLength".into(), id::FOREIGN_ID_LIMIT_BYTES),
        ("/components/parameters/Limit/schema/default".into(), shared::http::PAGE_DEFAULT),
        ("/components/parameters/Limit/schema/maximum".into(), shared::http::PAGE_LIMIT),
        (
            "/components/parameters/IdempotencyKey/schema/maxLength".into(),
            shared::http::IDEMPOTENCY_KEY_LIMIT_BYTES,
        ),
        (format!("{draft}/timezone/maxLength"), time::ZONE_NAME_LIMIT_BYTES),
        (in_body("~1v1~1zoom~1connect/post", "code/maxLength"), connect::CODE_LIMIT_BYTES),
        (in_body("~1v1~1zoom~1connect/post", "state/maxLength"), connect::STATE_LIMIT_BYTES),
        (
            format!("{schemas}/Cancellation/properties/reason/maxLength"),
            session_cancel::REASON_LIMIT_CHARS,
        ),
        (
            in_body("~1v1~1sessions~1{id}~1attendance~1{attendee_id}/put", "reason/maxLength"),
            attendance::REASON_LIMIT_CHARS,
        ),
        (
            in_body("~1v1~1sessions~1{id}~1attendance/put", "reason/maxLength"),
            attendance::REASON_LIMIT_CHARS,
        ),
        (in_body("~1v1~1sessions~1{id}~1attendance/put", "rows/maxItems"), attendance::ROWS_LIMIT),
        (format!("{schemas}/CourseTitle/maxLength"), text::TITLE_LIMIT_CHARS),
        (format!("{schemas}/EnrolledName/maxLength"), text::NAME_LIMIT_CHARS),
        (format!("{schemas}/UserName/maxLength"), text::NAME_LIMIT_CHARS),
        (format!("{schemas}/UserRole/maxLength"), directory::WORD_LIMIT_CHARS),
        (format!("{schemas}/UserPlan/maxLength"), directory::WORD_LIMIT_CHARS),
        (format!("{schemas}/UserLocale/maxLength"), directory::WORD_LIMIT_CHARS),
        (format!("{schemas}/Plans/propertyNames/maxLength"), directory::WORD_LIMIT_CHARS),
        (format!("{schemas}/Plans/maxProperties"), directory::PLANS_LIMIT),
        (format!("{schemas}/PilotTrainers/maxItems"), directory::PILOT_LIMIT),
        (format!("{schemas}/HostCapacity/minimum"), *directory::HOST_CAPACITY.start() as usize),
        (format!("{schemas}/HostCapacity/maximum"), *directory::HOST_CAPACITY.end() as usize),
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
    let implemented = serde_json::to_value(all).expect("settings are JSON");
    let described = &spec.0["components"]["schemas"]["MeetingSettings"]["properties"];
    assert_eq!(names(described), names(&implemented));

    let tags = spec.0["tags"].as_array().expect("tags");
    // Events of AWS are not part of the API.
    let of_platform = |function: &str| ROUTES.iter().any(|route| route.function == function);
    for (function, kinds) in DETAIL_TYPES.iter().filter(|(function, _)| of_platform(function)) {
        let tag = tags
            .iter()
            .find(|tag| tag["name"].as_str().map(str::to_lowercase).as_deref() == Some(function));
        let text = tag.and_then(|tag| tag["description"].as_str()).expect("the tag");
        for kind in *kinds {
            assert!(text.contains(&format!("| `{kind}` |")), "{kind}");
        }
    }
}

#[test]
fn every_reason_of_a_host_is_documented() {
    let spec = Spec::read();
    let host = &spec.0["components"]["schemas"]["Host"];
    let listed = host["properties"]["reason"]["enum"].as_array().expect("the reasons");
    let listed: BTreeSet<_> = listed.iter().filter_map(Value::as_str).collect();
    let reasons: BTreeSet<_> = HostReason::ALL.iter().map(|reason| reason.as_str()).collect();
    assert_eq!(listed, reasons);
    let meanings = host["description"].as_str().expect("a table");
    for reason in reasons {
        assert!(meanings.contains(&format!("| `{reason}` |")), "{reason} has no meaning");
    }
}
