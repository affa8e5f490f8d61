//! `template.yaml` against the code: it must contain everything that the code needs, and nothing else.

mod rights;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use local::template::{Resource, Template, referenced_id};
use serde_json::{Value, json};
use shared::clock::Clock;
use shared::config::{Env, names};
use shared::handlers::function::Deps;
use shared::handlers::{
    DETAIL_TYPES, GUEST_ROUTES, QUEUE_TRIGGERS, QueueTrigger, ROUTES, SCHEDULES, WEBHOOK_ROUTE,
    attendance, connect, directory, disconnect, hosts, join, mail_events, meeting_sweep,
    notifications, operations, outbox_sweep, payments, poll, reconcile_sweep, reminder_sweep,
    resend_invite, session_cancel, session_save, sessions, webhook,
};
use shared::random::Random;
use shared::store::schema::{Index, attr};

use super::assert_no_problems;
use super::layers::functions;
use super::source::root;

pub(super) fn template() -> Template {
    let text = fs::read_to_string(root().join("template.yaml")).expect("template.yaml");
    Template::parse(&text).expect("a template")
}

/// The functions of the template by their folders.
pub(super) fn deployed(template: &Template) -> BTreeMap<String, Resource<'_>> {
    let code = |function: &Resource<'_>| {
        let folder = function.property("CodeUri").as_str().expect("a folder");
        let folder =
            folder.strip_prefix("target/lambda/").expect("the output folder of cargo-lambda");
        folder.strip_suffix('/').expect("a folder").to_owned()
    };
    template
        .resources_of_type("AWS::Serverless::Function")
        .map(|function| (code(&function), function))
        .collect()
}

/// The function's triggers of one type.
pub(super) fn triggers<'a>(
    function: &Resource<'a>,
    kind: &'a str,
) -> impl Iterator<Item = &'a Value> {
    let all = function.property("Events").as_object().into_iter().flatten();
    all.filter(move |(_, event)| event["Type"] == kind).map(|(_, event)| &event["Properties"])
}

/// The function's variables, including the global ones.
pub(super) fn environment(template: &Template, function: &Resource<'_>) -> BTreeMap<String, Value> {
    let all = &template.root()["Globals"]["Function"]["Environment"]["Variables"];
    let own = &function.property("Environment")["Variables"];
    let pairs = [all, own].into_iter().filter_map(Value::as_object).flatten();
    pairs.map(|(name, value)| (name.clone(), value.clone())).collect()
}

#[test]
fn deployed_functions_match_the_code() {
    let template = template();
    let deployed = deployed(&template);
    assert_eq!(deployed.keys().cloned().collect::<Vec<_>>(), functions());
    let globals = &template.root()["Globals"]["Function"];
    assert_eq!(globals["Runtime"], "provided.al2023");
    assert_eq!(globals["Architectures"], json!([{ "Ref": "Architecture" }]));
    assert_eq!(template.root()["Parameters"]["Architecture"]["Default"], "arm64");
    assert_eq!(globals["Handler"], "bootstrap");
    for (name, function) in deployed {
        let id: String = name
            .split('-')
            .map(|word| word[..1].to_uppercase() + &word[1..])
            .chain(["Function".to_owned()])
            .collect();
        assert_eq!(function.id, id);
        let named = json!({ "Fn::Sub": format!("${{AWS::StackName}}-{name}") });
        assert_eq!(function.property("FunctionName"), &named);
        assert!(function.property("MemorySize").is_u64(), "{name} does not set its memory");
        // Without it, `sam build` looks for a makefile.
        assert_eq!(function.definition["Metadata"]["SkipBuild"], true, "{name}");
    }
}

#[test]
fn deployed_routes_match_the_code() {
    let template = template();
    let mut declared = BTreeSet::new();
    for (name, function) in deployed(&template) {
        for route in triggers(&function, "HttpApi") {
            assert_eq!(referenced_id(&route["ApiId"]), Some("HttpApi"), "{route}");
            let part = |part: &str| route[part].as_str().expect("a route").to_owned();
            let route = (part("Method"), part("Path"), name.clone());
            assert!(declared.insert(route.clone()), "{route:?} is declared twice");
        }
    }
    let own = |text: &str| text.to_owned();
    let coded: BTreeSet<_> = ROUTES
        .iter()
        .chain(GUEST_ROUTES)
        .chain([&WEBHOOK_ROUTE])
        .map(|route| (own(route.method), own(route.path), own(route.function)))
        .collect();
    assert_eq!(declared, coded);
}

/// cargo-lambda's router maps paths to functions.
#[test]
fn cargo_lambda_routes_match_the_api() {
    let text = fs::read_to_string(root().join("Cargo.toml")).expect("a manifest");
    let section = text.split_once("[workspace.metadata.lambda.watch.router]\n").expect("routes").1;
    let lines = section.lines().map_while(|line| (!line.is_empty()).then_some(line));
    let mut declared = BTreeSet::new();
    for line in lines {
        let (path, targets) = line.split_once(" = ").expect("a path and its targets");
        let quoted: Vec<_> = targets.split('"').skip(1).step_by(2).collect();
        let (pairs, rest) = quoted.as_chunks::<2>();
        assert!(rest.is_empty() && !pairs.is_empty(), "{line}");
        for [method, function] in pairs {
            declared.insert((*method, path.trim_matches('"'), *function));
        }
    }
    let all = ROUTES.iter().chain(GUEST_ROUTES).chain([&WEBHOOK_ROUTE]);
    let coded: BTreeSet<_> = all.map(|route| (route.method, route.path, route.function)).collect();
    assert_eq!(declared, coded);
}

#[test]
fn deployed_schedules_match_the_code() {
    let template = template();
    let mut declared = BTreeSet::new();
    for (name, function) in deployed(&template) {
        for schedule in triggers(&function, "ScheduleV2") {
            let rate = schedule["ScheduleExpression"].as_str().expect("a rate");
            let minutes = rate.strip_prefix("rate(").and_then(|rate| rate.split_once(" minute"));
            let minutes: u64 = minutes.and_then(|(n, _)| n.parse().ok()).expect("minutes");
            declared.insert((name.clone(), minutes));
            let timeout = function.property("Timeout").as_u64().expect("a time-out");
            assert!(timeout < 60 * minutes, "two runs of {name} may overlap");
            // Named like the function, so that two deployments fit into one region.
            assert_eq!(&schedule["Name"], function.property("FunctionName"));
        }
    }
    let coded: BTreeSet<_> = SCHEDULES
        .iter()
        .map(|schedule| (schedule.function.to_owned(), u64::from(schedule.every_minutes)))
        .collect();
    assert_eq!(declared, coded);
}

/// A function's timeout times six, as AWS recommends for the visibility timeout of its queue.
#[test]
fn deployed_queue_triggers_match_the_code() {
    let template = template();
    let mut declared = Vec::new();
    for (name, function) in deployed(&template) {
        for trigger in triggers(&function, "SQS") {
            let queue = referenced_id(&trigger["Queue"]).expect("a queue").to_owned();
            let timeout = function.property("Timeout").as_u64().expect("a time-out");
            let queue_of_template = template.resource(&queue).expect("a queue");
            assert_eq!(queue_of_template.property("VisibilityTimeout"), 6 * timeout);
            assert_eq!(trigger["FunctionResponseTypes"], json!(["ReportBatchItemFailures"]));
            declared.push((name.clone(), queue, trigger["BatchSize"].as_u64()));
        }
    }
    let coded = QUEUE_TRIGGERS.iter().map(|trigger| {
        let QueueTrigger { function, queue, batch_size } = trigger;
        ((*function).to_owned(), (*queue).to_owned(), Some(u64::from(*batch_size)))
    });
    assert_eq!(declared, coded.collect::<Vec<_>>());
}

/// The requests that everyone sends when the join window opens and during a poll, with the parameters that limit them.
const CROWDS: [(&str, &[(&str, &str)]); 2] = [
    (
        "JoinThrottle",
        &[
            ("GET", "/v1/me/sessions"),
            ("GET", "/v1/me/notifications"),
            ("GET", "/v1/me/capabilities"),
            ("GET", "/v1/sessions/{id}"),
            ("POST", "/v1/sessions/{id}/join"),
            ("POST", "/v1/sessions/{id}/join-report"),
            ("POST", "/v1/guest/session"),
            ("POST", "/v1/guest/join"),
            ("POST", "/v1/guest/join-report"),
        ],
    ),
    (
        "PollThrottle",
        &[("PUT", "/v1/sessions/{id}/polls/{poll_id}/vote"), ("GET", "/v1/sessions/{id}/polls")],
    ),
];

/// API Gateway rejects a deployment that throttles an unknown route. With the default throttle, a large class could not
/// join.
#[test]
fn routes_used_by_a_whole_session_have_their_own_throttles() {
    const PARTICIPANTS: u64 = 10_000;
    let template = template();
    let settings = template.resource("HttpApi").expect("the API").property("RouteSettings");
    let mut limited = BTreeMap::new();
    for (parameter, routes) in CROWDS {
        let limit = |kind: &str| json!({ "Ref": format!("{parameter}{kind}") });
        let limits =
            json!({ "ThrottlingRateLimit": limit("Rate"), "ThrottlingBurstLimit": limit("Burst") });
        for (method, path) in routes {
            let mut all = ROUTES.iter().chain(GUEST_ROUTES);
            assert!(all.any(|route| (route.method, route.path) == (*method, *path)));
            limited.insert(format!("{method} {path}"), limits.clone());
        }
        let default = |kind: &str| {
            let default = &template.root()["Parameters"][format!("{parameter}{kind}")]["Default"];
            default.as_u64().expect("a number")
        };
        assert!(
            default("Burst") + 60 * default("Rate") >= PARTICIPANTS,
            "{parameter}: everyone must get in within a minute"
        );
    }
    limited.insert(webhook_route(), webhook_limits());
    // The opposite: an import is worth a thousand requests.
    let import = json!({ "ThrottlingRateLimit": 1, "ThrottlingBurstLimit": 2 });
    limited.insert("POST /v1/sessions/import".to_owned(), import);
    assert_eq!(settings, &json!(limited));
}

fn webhook_route() -> String {
    format!("{} {}", WEBHOOK_ROUTE.method, WEBHOOK_ROUTE.path)
}

fn webhook_limits() -> Value {
    json!({
        "ThrottlingRateLimit": { "Ref": "WebhookThrottleRate" },
        "ThrottlingBurstLimit": { "Ref": "WebhookThrottleBurst" },
    })
}

/// The API answers 429 to surplus events, which Zoom does not repeat, and 5xx if the function is throttled, which Zoom
/// repeats. So the function must reach its limit first.
#[test]
fn webhook_throttle_is_above_the_capacity_of_the_function() {
    /// The quota of most accounts, and the events per second that Lambda starts per execution.
    const ACCOUNT_CONCURRENCY: u64 = 1000;
    const EVENTS_PER_EXECUTION: u64 = 10;
    let template = template();
    let settings = template.resource("HttpApi").expect("the API").property("RouteSettings");
    assert_eq!(settings[webhook_route()], webhook_limits());
    let default = |name: &str| template.root()["Parameters"][name]["Default"].as_u64();
    let rate = default("WebhookThrottleRate").expect("a rate");
    assert!(rate >= EVENTS_PER_EXECUTION * ACCOUNT_CONCURRENCY, "{rate}");
    assert!(default("WebhookThrottleBurst") >= Some(ACCOUNT_CONCURRENCY));
    assert!(default("WebhookThrottleRate") > default("ThrottleRate"));
}

/// A shorter window could refuse Zoom's last retry.
#[test]
fn replay_window_cannot_be_shorter_than_zooms_retries() {
    let template = template();
    let parameter = &template.root()["Parameters"]["WebhookReplayMinutes"];
    assert_eq!((&parameter["MinValue"], &parameter["Default"]), (&json!(90), &json!(90)));
}

/// Lambda does not allow an account to reserve its last 100 concurrent executions, and a new account has only 10.
#[test]
fn new_account_needs_no_reserved_concurrency() {
    let template = template();
    for (name, function) in deployed(&template) {
        let reserved = function.property("ReservedConcurrentExecutions");
        if reserved.is_null() {
            continue;
        }
        let [condition, parameter, otherwise] = &list(&reserved["Fn::If"])[..] else {
            panic!("{name} always reserves {reserved}");
        };
        assert_eq!(referenced_id(otherwise), Some("AWS::NoValue"), "{name}");
        let parameter = referenced_id(parameter).expect("a parameter");
        assert_eq!(template.root()["Parameters"][parameter]["Default"], 0, "{name}");
        let read_variables =
            &template.root()["Conditions"][condition.as_str().expect("a condition")];
        let none = json!({ "Fn::Not": [{ "Fn::Equals": [{ "Ref": parameter }, 0] }] });
        assert_eq!(read_variables, &none, "{name}");
    }
}

#[test]
fn cors_allows_every_method_of_the_api() {
    let template = template();
    let api = template.resource("HttpApi").expect("the API");
    // One `Fn::If` for the whole property, as template.yaml explains.
    let [_, cors, _] = &list(&api.property("CorsConfiguration")["Fn::If"])[..] else {
        panic!("{} is not an `Fn::If`", api.property("CorsConfiguration"));
    };
    let origins = json!({ "Fn::Split": [",", { "Ref": "AllowedOrigins" }] });
    assert_eq!(cors["AllowOrigins"], origins);
    let allowed: BTreeSet<_> =
        list(&cors["AllowMethods"]).into_iter().filter_map(Value::as_str).collect();
    assert_eq!(allowed, ROUTES.iter().map(|route| route.method).collect());
    let exposed: Vec<_> =
        list(&cors["ExposeHeaders"]).into_iter().filter_map(Value::as_str).collect();
    assert_eq!(exposed.join(","), local::gateway::EXPOSED_HEADERS);
}

#[test]
fn only_the_webhook_has_a_function_url() {
    let template = template();
    let open: Vec<_> = deployed(&template)
        .into_iter()
        .filter(|(_, function)| !function.property("FunctionUrlConfig").is_null())
        .map(|(name, _)| name)
        .collect();
    assert_eq!(open, ["webhook"]);
}

#[test]
fn rules_match_the_detail_types_of_their_functions() {
    let template = template();
    let mut ruled = BTreeMap::new();
    for (name, function) in deployed(&template) {
        let rules: Vec<_> = triggers(&function, "EventBridgeRule").collect();
        let [rule] = rules[..] else {
            assert!(rules.is_empty(), "{name}: {rules:?}");
            continue;
        };
        for queue in
            [&rule["DeadLetterConfig"]["Arn"], &function.property("DeadLetterQueue")["TargetArn"]]
        {
            assert_eq!(referenced_id(queue), Some("DirectoryDeadLetterQueue"), "{name}");
        }
        let mut pattern = rule["Pattern"].clone();
        if name == "mail-events" {
            // Without them, events of other deployments would match.
            let fields = pattern.as_object_mut().expect("a pattern");
            assert_eq!(fields.remove("source"), Some(json!(["aws.ses"])));
            let set = json!([{ "Ref": "MailConfigurationSet" }]);
            let tags = json!({ "ses:configuration-set": set });
            assert_eq!(fields.remove("detail"), Some(json!({ "mail": { "tags": tags } })));
        }
        ruled.insert(name, pattern);
    }
    let coded = DETAIL_TYPES
        .iter()
        .map(|(function, kinds)| ((*function).to_owned(), json!({ "detail-type": kinds })));
    assert_eq!(ruled, coded.collect());
}

#[test]
fn functions_time_out_before_the_api() {
    const API_SECONDS: u64 = 30;
    let template = template();
    for (name, function) in deployed(&template) {
        let timeout = function.property("Timeout").as_u64().expect("a time-out of its own");
        assert!(
            triggers(&function, "HttpApi").next().is_none() || timeout < API_SECONDS,
            "{name} may take {timeout} s"
        );
    }
}

/// Collects every resource that a part of the template refers to.
fn collect_references<'a>(value: &'a Value, found: &mut BTreeSet<&'a str>) {
    found.extend(referenced_id(value));
    match value {
        Value::Object(map) => {
            if let Some(text) = map.get("Fn::Sub").and_then(Value::as_str) {
                let named =
                    text.split("${").skip(1).filter_map(|rest| rest.split(['}', '.']).next());
                found.extend(named);
            }
            map.values().for_each(|value| collect_references(value, found));
        }
        Value::Array(values) => values.iter().for_each(|value| collect_references(value, found)),
        _ => {}
    }
}

pub(super) fn list(value: &Value) -> Vec<&Value> {
    value.as_array().map_or_else(|| vec![value], |values| values.iter().collect())
}

#[test]
fn deployed_tables_match_the_schema() {
    let template = template();
    let text = |name: &str| json!({ "AttributeName": name, "AttributeType": "S" });
    let keys = |pk: &str, sk: &str| json!([{ "AttributeName": pk, "KeyType": "HASH" }, { "AttributeName": sk, "KeyType": "RANGE" }]);
    let indexed = |name: &str, pk: &str, sk: &str| json!({ "IndexName": name, "KeySchema": keys(pk, sk), "Projection": { "ProjectionType": "ALL" } });
    let tables: BTreeMap<_, _> =
        template.resources_of_type("AWS::DynamoDB::Table").map(|table| (table.id, table)).collect();
    assert_eq!(tables.keys().copied().collect::<Vec<_>>(), ["MainTable", "TokensTable"]);

    let main = tables["MainTable"];
    let index_keys = Index::ALL.iter().map(|index| index.key_attributes());
    let names = [(attr::PK, attr::SK)].into_iter().chain(index_keys);
    let definitions: Vec<_> = names.flat_map(|(pk, sk)| [text(pk), text(sk)]).collect();
    assert_eq!(main.property("AttributeDefinitions"), &json!(definitions));
    let indexes = Index::ALL.iter().map(|index| {
        let (pk, sk) = index.key_attributes();
        indexed(index.name(), pk, sk)
    });
    assert_eq!(main.property("GlobalSecondaryIndexes"), &Value::from_iter(indexes));

    let tokens = tables["TokensTable"];
    assert_eq!(tokens.property("AttributeDefinitions"), &json!([attr::PK, attr::SK].map(text)));
    assert!(tokens.property("GlobalSecondaryIndexes").is_null());

    for (id, table) in tables {
        assert_eq!(table.property("KeySchema"), &keys(attr::PK, attr::SK), "{id}");
        let ttl = json!({ "AttributeName": attr::TTL, "Enabled": true });
        assert_eq!(table.property("TimeToLiveSpecification"), &ttl, "{id}");
        assert_eq!(table.property("BillingMode"), "PAY_PER_REQUEST", "{id}");
        assert_eq!(table.property("DeletionProtectionEnabled"), true, "{id}");
        assert_eq!(table.property("SSESpecification")["SSEType"], "KMS", "{id}");
        let recovery =
            &table.property("PointInTimeRecoverySpecification")["PointInTimeRecoveryEnabled"];
        assert_eq!(recovery, true, "{id}");
        assert_eq!(table.definition["DeletionPolicy"], "Retain", "{id}");
        assert_eq!(table.definition["UpdateReplacePolicy"], "Retain", "{id}");
    }
}

#[test]
fn dead_letter_retention_covers_the_message_retention() {
    let template = template();
    let retention = |id: &str| {
        let queue = template.resource(id).expect("a queue");
        queue.property("MessageRetentionPeriod").as_u64().expect("seconds")
    };
    for queue in template.resources_of_type("AWS::SQS::Queue") {
        let Some(dead) = referenced_id(&queue.property("RedrivePolicy")["deadLetterTargetArn"])
        else {
            continue;
        };
        // A message keeps its age when it moves to the dead-letter queue.
        assert!(retention(dead) >= retention(queue.id), "{}", queue.id);
    }
}

#[test]
fn every_log_group_has_a_retention() {
    let template = template();
    let groups: Vec<_> = template.resources_of_type("AWS::Logs::LogGroup").collect();
    assert!(!groups.is_empty());
    for group in groups {
        assert_eq!(
            referenced_id(group.property("RetentionInDays")),
            Some("LogRetentionDays"),
            "{}",
            group.id
        );
    }
}

/// The parameters that `samconfig.toml` sets for a deployment on lines with this prefix.
fn overrides(environment: &str, prefix: &str) -> BTreeMap<String, String> {
    let text = fs::read_to_string(root().join("samconfig.toml")).expect("samconfig.toml");
    let header = format!("[{environment}.deploy.parameters]\n");
    let section =
        text.split_once(&header).expect("a section").1.split("\n[").next().unwrap_or_default();
    let list = section.split_once("parameter_overrides = [").expect("a list").1;
    let lines = list.lines().map_while(|line| if line == "]" { None } else { Some(line.trim()) });
    lines
        .filter_map(|line| line.strip_prefix(prefix)?.strip_suffix("\",")?.split_once('='))
        .map(|(name, value)| {
            let quoted = value.strip_prefix('\'').and_then(|value| value.strip_suffix('\''));
            // SAM reads an unquoted value only to its first blank, and rejects an empty value.
            let whole = !value.is_empty() && (quoted.is_some() || !value.contains(' '));
            assert!(whole, "SAM does not read {name}={value}");
            (name.to_owned(), quoted.unwrap_or(value).to_owned())
        })
        .collect()
}

/// CloudFormation treats a number and its text as equal.
fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

#[test]
fn deployments_set_required_parameters_to_valid_values() {
    let template = template();
    let parameters = template.root()["Parameters"].as_object().expect("parameters");
    for (name, parameter) in parameters {
        assert!(parameter["Description"].is_string(), "{name} is not explained");
        let patterned = parameter["Type"] == "Number"
            || parameter["AllowedPattern"].is_string()
            || parameter["AllowedValues"].is_array();
        assert!(patterned, "{name} accepts any text");
    }
    for environment in ["dev", "prod"] {
        let set = overrides(environment, "\"");
        for (name, parameter) in parameters {
            assert!(
                set.contains_key(name) || parameter.get("Default").is_some(),
                "{environment} does not set {name}"
            );
        }
        let offered = overrides(environment, "# \"");
        if environment == "prod" {
            let named: BTreeSet<_> = set.keys().chain(offered.keys()).collect();
            assert_eq!(named, parameters.keys().collect(), "samconfig.toml names every parameter");
        }
        for (name, value) in set.into_iter().chain(offered) {
            let parameter = parameters.get(&name);
            let parameter = parameter.unwrap_or_else(|| panic!("{environment} sets {name}"));
            let values = if parameter["Type"] == "CommaDelimitedList" {
                value.split(',').collect()
            } else {
                vec![&*value]
            };
            for value in values {
                let rule = match &parameter["AllowedValues"] {
                    Value::Array(values) => {
                        json!({ "enum": values.iter().map(text).collect::<Vec<_>>() })
                    }
                    _ => {
                        json!({ "pattern": parameter["AllowedPattern"].as_str().unwrap_or("^[0-9]+$") })
                    }
                };
                assert!(
                    jsonschema::is_valid(&rule, &json!(value)),
                    "{environment}: {name}={value}"
                );
            }
        }
    }
}

/// The list of parameters that most deployments leave alone must not change them when it is uncommented.
#[test]
fn parameters_offered_at_their_defaults_have_these_values() {
    let config = fs::read_to_string(root().join("samconfig.toml")).expect("samconfig.toml");
    let section = config.split_once("at their defaults").expect("the part with the defaults").1;
    let section = section.split_once("\n\n").expect("its end").0;
    let template = template();
    let lines =
        section.lines().filter_map(|line| line.trim().strip_prefix("# \"")?.strip_suffix("\","));
    let mut seen = 0;
    for (name, value) in lines.filter_map(|line| line.split_once('=')) {
        assert_eq!(value, text(&template.root()["Parameters"][name]["Default"]), "{name}");
        seen += 1;
    }
    assert!(seen > 10, "only {seen} parameters");
}
