//! The alarms against the code and the runbooks: every alarm watches an existing function or metric, each of these has
//! an alarm, and each alarm links to its runbook section.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use local::template::{Resource, Template, referenced_id};
use serde_json::Value;
use shared::handlers::{SCHEDULES, WEBHOOK_ROUTE};
use shared::telemetry::metrics;

use super::assert_no_problems;
use super::documents::{anchor, anchors};
use super::layers::functions;
use super::source::root;

/// CloudWatch's limit of metrics in an alarm's expression.
const METRICS_LIMIT: usize = 10;

fn read(name: &str) -> Template {
    let text = fs::read_to_string(root().join(name)).expect("a template");
    Template::parse(&text).expect("a template")
}

fn alarms(watching: &Template) -> impl Iterator<Item = Resource<'_>> {
    watching.resources_of_type("AWS::CloudWatch::Alarm")
}

/// A literal value, or the reference it comes from.
fn reference_text(value: &Value) -> &str {
    let text = value.as_str().or_else(|| value["Fn::Sub"].as_str());
    text.or_else(|| referenced_id(value)).expect("a text, or where it comes from")
}

/// The dimensions of a metric by name, with the unevaluated text of a `Sub`.
fn dimensions(metric: &Value) -> BTreeMap<&str, &str> {
    let list = metric["Dimensions"].as_array().expect("dimensions").iter();
    list.map(|one| (one["Name"].as_str().expect("a name"), reference_text(&one["Value"]))).collect()
}

#[test]
fn every_alarm_links_to_its_runbook_section() {
    let watching = read("infra/watching.yaml");
    let mut problems = Vec::new();
    let mut sections = BTreeSet::new();
    for alarm in alarms(&watching) {
        let text = alarm.property("AlarmDescription").as_str().expect("a description");
        let Some((page, section)) = text.rsplit(' ').next().and_then(|link| link.split_once('#'))
        else {
            problems.push(format!("{} links to no section", alarm.id));
            continue;
        };
        sections.insert((page.to_owned(), section.to_owned()));
        let page_text = fs::read_to_string(root().join(page)).unwrap_or_default();
        if !anchors(&page_text).iter().any(|anchor| anchor == section) {
            problems.push(format!("{}: {page} has no section {section}", alarm.id));
        }
        // Operators also search for the alarm's name.
        let name = alarm.property("AlarmName")["Fn::Sub"].as_str().expect("a name");
        let name = name.strip_prefix("${Deployment}-").expect("the deployment first");
        let is_named = page_text.split("\n#").any(|text| {
            let heading = text.lines().next().unwrap_or_default();
            anchor(heading.trim_start_matches('#')) == section
                && text.contains(&format!("`{name}`"))
        });
        if !is_named {
            problems.push(format!("{}: {page}#{section} does not name it", alarm.id));
        }
        for property in ["AlarmActions", "OKActions"] {
            if !alarm.property(property).to_string().contains("AlarmTopicArn") {
                problems.push(format!("{} has no topic: {property}", alarm.id));
            }
        }
    }
    assert!(sections.len() > 10, "{sections:?}");
    assert_no_problems(&problems);
}

/// The dimension `Resource` would leave out the other versions and aliases.
#[test]
fn alarms_on_functions_cover_all_versions() {
    let watching = read("infra/watching.yaml");
    let mut metrics = 0;
    for alarm in alarms(&watching) {
        let parts = alarm.property("Metrics").as_array().into_iter().flatten();
        let all = parts.map(|part| &part["MetricStat"]["Metric"]).chain([alarm.properties()]);
        for metric in all.filter(|metric| metric["Namespace"] == "AWS/Lambda") {
            metrics += 1;
            assert_eq!(
                dimensions(metric).into_keys().collect::<Vec<_>>(),
                ["FunctionName"],
                "{}",
                alarm.id
            );
        }
    }
    assert!(metrics > functions().len());
}

/// CodeDeploy stops a deployment only if an alarm becomes active during it.
#[test]
fn rollout_lasts_longer_than_its_alarms_need() {
    let (watching, template) = (read("infra/watching.yaml"), read("template.yaml"));
    let minutes =
        template.root()["Parameters"]["Rollout"]["AllowedValues"].as_array().expect("values");
    let minutes = minutes.iter().filter_map(Value::as_str).filter_map(|rollout| {
        let (steps, minutes) = match rollout.split_once("Percent")? {
            ("Canary10", minutes) => (1, minutes),
            ("Linear10", minutes) => (9, minutes.strip_prefix("Every")?),
            _ => return None,
        };
        Some(steps * minutes.strip_suffix("Minutes")?.parse::<u64>().ok()?)
    });
    let shortest = 60 * minutes.min().expect("a gradual rollout");
    let gradual = &template.root()["Globals"]["Function"]["DeploymentPreference"];
    let named = gradual["Alarms"].as_array().expect("alarms");
    assert!(!named.is_empty());
    for name in named {
        let name = name["Fn::Sub"].as_str().expect("a name");
        let name = name.replace("${AWS::StackName}", "${Deployment}");
        let alarm = alarms(&watching)
            .find(|alarm| alarm.property("AlarmName")["Fn::Sub"] == *name)
            .unwrap_or_else(|| panic!("there is no alarm {name}"));
        let period = alarm.property("Period").as_u64().or_else(|| {
            let parts = alarm.property("Metrics").as_array()?;
            parts.iter().find_map(|part| part["MetricStat"]["Period"].as_u64())
        });
        let periods = alarm.property("EvaluationPeriods").as_u64().expect("a number");
        assert!(period.expect("a period") * periods <= shortest, "{name} needs longer");
    }
}

#[test]
fn every_function_has_error_and_throttle_alarms() {
    let watching = read("infra/watching.yaml");
    let all: BTreeSet<String> =
        functions().iter().map(|name| format!("${{Deployment}}-{name}")).collect();
    for metric in ["Errors", "Throttles"] {
        let mut watched = Vec::new();
        for alarm in alarms(&watching) {
            if alarm.property("MetricName") == metric {
                let own_dimensions = dimensions(alarm.properties());
                watched.extend(own_dimensions.get("FunctionName").map(|name| (*name).to_owned()));
            }
            let parts = alarm.property("Metrics").as_array().into_iter().flatten();
            let stats: Vec<_> =
                parts.map(|part| &part["MetricStat"]["Metric"]).filter(|m| m.is_object()).collect();
            assert!(stats.len() <= METRICS_LIMIT, "{} has too many metrics", alarm.id);
            for stat in stats.iter().filter(|stat| stat["MetricName"] == metric) {
                watched.extend(dimensions(stat).get("FunctionName").map(|name| (*name).to_owned()));
            }
        }
        let once: BTreeSet<String> = watched.iter().cloned().collect();
        assert_eq!(once.len(), watched.len(), "{metric} of a function has two alarms");
        assert_eq!(
            once, all,
            "functions with an alarm on {metric} in infra/watching.yaml, and all functions"
        );
    }
}

/// The metrics that the code counts or measures, with their dimensions beside the deployment.
fn own_metrics_of_the_code() -> impl Iterator<Item = (&'static str, Option<&'static str>)> {
    let durations = metrics::DURATIONS.iter().map(|metric| (metric.name, None));
    let shares = metrics::SHARES.iter().map(|metric| (metric.name, None));
    metrics::ALL.iter().map(|metric| (metric.name, metric.by)).chain(durations).chain(shares)
}

#[test]
fn every_metric_has_an_alarm_with_its_dimensions() {
    let watching = read("infra/watching.yaml");
    let mut watched = BTreeSet::new();
    let mut sweeps = BTreeSet::new();
    let own_metrics = alarms(&watching).flat_map(|alarm| {
        let parts = alarm.property("Metrics").as_array().into_iter().flatten();
        let in_expressions = parts.map(|part| &part["MetricStat"]["Metric"]);
        let all = in_expressions.chain([alarm.properties()]);
        let own = all.filter(|metric| metric["Namespace"] == metrics::NAMESPACE);
        own.map(|metric| (alarm, metric)).collect::<Vec<_>>()
    });
    for (alarm, metric) in own_metrics {
        let own_dimensions = dimensions(metric);
        let name = metric["MetricName"].as_str().expect("a name");
        let mut all = own_metrics_of_the_code();
        let (_, by) = all
            .find(|(own, _)| *own == name)
            .unwrap_or_else(|| panic!("{}: the code does not count {name}", alarm.id));
        let expected: BTreeSet<_> = [Some(metrics::DEPLOYMENT), by].into_iter().flatten().collect();
        assert_eq!(
            own_dimensions.keys().copied().collect::<BTreeSet<_>>(),
            expected,
            "{}",
            alarm.id
        );
        assert_eq!(own_dimensions[metrics::DEPLOYMENT], "LogGroup", "{}", alarm.id);
        if let Some(dimension) = by {
            sweeps.insert((name.to_owned(), own_dimensions[dimension].to_owned()));
        }
        watched.insert(name.to_owned());
    }
    assert_eq!(watched, own_metrics_of_the_code().map(|(name, _)| name.to_owned()).collect());
    // The metrics with a dimension are those of the sweeps.
    let by_sweep = metrics::ALL.iter().filter(|metric| metric.by.is_some());
    let expected = by_sweep.flat_map(|metric| {
        SCHEDULES.iter().map(|schedule| (metric.name.to_owned(), schedule.function.to_owned()))
    });
    assert_eq!(sweeps, expected.collect());
    // The functions must write to the log group whose name is the metrics' dimension.
    let template = read("template.yaml");
    let nested = template.resource("Watching").expect("the alarms");
    assert_eq!(nested.property("TemplateURL"), "infra/watching.yaml");
    let given = nested.property("Parameters");
    let logs = &template.root()["Globals"]["Function"]["LoggingConfig"]["LogGroup"];
    assert_eq!(&given["LogGroup"], logs);
    let asked: BTreeSet<_> =
        watching.root()["Parameters"].as_object().expect("parameters").keys().collect();
    assert_eq!(given.as_object().expect("parameters").keys().collect::<BTreeSet<_>>(), asked);
}

/// Zoom's events arrive at two addresses. An alarm on one of them would miss the other.
#[test]
fn webhook_alarms_watch_both_addresses() {
    let watching = read("infra/watching.yaml");
    let template = read("template.yaml");
    let format = template.resource("HttpApi").expect("the API").property("AccessLogSettings");
    let format = format["Format"].as_str().expect("a format");
    for field in [r#""route":"$context.routeKey""#, r#""status":"$context.status""#] {
        assert!(format.contains(field), "the filters of the access log use {field}");
    }
    let route = format!("{} {}", WEBHOOK_ROUTE.method, WEBHOOK_ROUTE.path);
    for (alarm, url_metric, filter, statuses) in [
        ("WebhookFails", "Url5xxCount", "WebhookApiFailed", "5*"),
        ("WebhookRefuses", "Url4xxCount", "WebhookApiRefused", "4*"),
        ("WebhookIsSilent", "UrlRequestCount", "WebhookApiAccepted", "2*"),
    ] {
        let alarm = watching.resource(alarm).expect("an alarm");
        let parts = alarm.property("Metrics").as_array().expect("metrics").iter();
        let names: Vec<_> =
            parts.filter_map(|part| part["MetricStat"]["Metric"]["MetricName"].as_str()).collect();
        assert!(names.contains(&url_metric) && names.contains(&filter), "{names:?}");
        let filter = watching.resource(filter).expect("a filter of the access log");
        let pattern = format!(r#"{{ $.route = "{route}" && $.status = "{statuses}" }}"#);
        assert_eq!(filter.property("FilterPattern"), &Value::from(pattern));
        assert_eq!(referenced_id(filter.property("LogGroupName")), Some("ApiLogGroup"));
    }
}

#[test]
fn dashboard_is_valid_json_and_shows_every_metric() {
    let watching = read("infra/watching.yaml");
    let body = watching.resource("Dashboard").expect("a dashboard").property("DashboardBody");
    let body: Value =
        serde_json::from_str(body["Fn::Sub"].as_str().expect("a text")).expect("JSON");
    let names: BTreeSet<&str> = own_metrics_of_the_code().map(|(name, _)| name).collect();
    let mut shown = BTreeSet::new();
    for widget in body["widgets"].as_array().expect("widgets") {
        let mut ours = false;
        for metric in widget["properties"]["metrics"].as_array().into_iter().flatten() {
            // A dot repeats the value of the row above.
            match metric[0].as_str() {
                Some(".") => {}
                namespace => ours = namespace == Some(metrics::NAMESPACE),
            }
            if ours {
                shown.insert(metric[1].as_str().expect("a name"));
            }
        }
    }
    assert_eq!(shown, names);
    let text = body.to_string();
    for name in functions() {
        assert!(
            text.contains(&format!("${{Deployment}}-{name}\"")),
            "{name} is not on the dashboard"
        );
    }
}
