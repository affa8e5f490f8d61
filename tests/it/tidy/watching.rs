//! The alarms against the code and the runbooks: what is watched exists, what exists is watched, and whoever is woken is
//! told what to read.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use local::template::{Resource, Template, target};
use serde_json::Value;
use shared::handlers::SCHEDULES;
use shared::telemetry::metrics;

use super::documents::{anchor, anchors};
use super::layers::functions;
use super::nothing_wrong;
use super::source::root;

/// CloudWatch: metrics in an alarm's expression.
const METRICS_LIMIT: usize = 10;

fn read(name: &str) -> Template {
    let text = fs::read_to_string(root().join(name)).expect("a template");
    Template::parse(&text).expect("a template")
}

fn alarms(watching: &Template) -> impl Iterator<Item = Resource<'_>> {
    watching.of_type("AWS::CloudWatch::Alarm")
}

/// What a value is, or is made of.
fn written(value: &Value) -> &str {
    let text = value.as_str().or_else(|| value["Fn::Sub"].as_str());
    text.or_else(|| target(value)).expect("a text, or where it comes from")
}

/// The dimensions of a metric, by name; a `Sub` as it is written.
fn dimensions(of: &Value) -> BTreeMap<&str, &str> {
    let list = of["Dimensions"].as_array().expect("dimensions").iter();
    list.map(|one| (one["Name"].as_str().expect("a name"), written(&one["Value"]))).collect()
}

#[test]
fn every_alarm_says_what_to_read_and_it_is_there() {
    let watching = read("infra/watching.yaml");
    let mut wrong = Vec::new();
    let mut rung = BTreeSet::new();
    for alarm in alarms(&watching) {
        let text = alarm.property("AlarmDescription").as_str().expect("a description");
        let Some((page, part)) = text.rsplit(' ').next().and_then(|link| link.split_once('#'))
        else {
            wrong.push(format!("{} names no part of a page", alarm.id));
            continue;
        };
        rung.insert((page.to_owned(), part.to_owned()));
        let page_text = fs::read_to_string(root().join(page)).unwrap_or_default();
        if !anchors(&page_text).iter().any(|anchor| anchor == part) {
            wrong.push(format!("{}: {page} has no part {part}", alarm.id));
        }
        // Who has nothing but its name looks for that.
        let name = alarm.property("AlarmName")["Fn::Sub"].as_str().expect("a name");
        let name = name.strip_prefix("${Deployment}-").expect("the deployment first");
        let is_named = page_text.split("\n#").any(|text| {
            let heading = text.lines().next().unwrap_or_default();
            anchor(heading.trim_start_matches('#')) == part && text.contains(&format!("`{name}`"))
        });
        if !is_named {
            wrong.push(format!("{}: {page}#{part} does not name it", alarm.id));
        }
        for told in ["AlarmActions", "OKActions"] {
            if !alarm.property(told).to_string().contains("AlarmTopicArn") {
                wrong.push(format!("{} tells nobody: {told}", alarm.id));
            }
        }
    }
    assert!(rung.len() > 10, "{rung:?}");
    nothing_wrong(&wrong);
}

#[test]
fn every_function_is_watched_and_none_that_is_not_there() {
    let watching = read("infra/watching.yaml");
    let all: BTreeSet<String> =
        functions().iter().map(|name| format!("${{Deployment}}-{name}")).collect();
    for metric in ["Errors", "Throttles"] {
        let mut watched = Vec::new();
        for alarm in alarms(&watching) {
            if alarm.property("MetricName") == metric {
                let of = dimensions(alarm.properties());
                watched.extend(of.get("FunctionName").map(|name| (*name).to_owned()));
            }
            let parts = alarm.property("Metrics").as_array().into_iter().flatten();
            let stats: Vec<_> =
                parts.map(|part| &part["MetricStat"]["Metric"]).filter(|m| m.is_object()).collect();
            assert!(stats.len() <= METRICS_LIMIT, "{} looks at too many", alarm.id);
            for stat in stats.iter().filter(|stat| stat["MetricName"] == metric) {
                watched.extend(dimensions(stat).get("FunctionName").map(|name| (*name).to_owned()));
            }
        }
        let once: BTreeSet<String> = watched.iter().cloned().collect();
        assert_eq!(once.len(), watched.len(), "a function's {metric} are watched twice");
        assert_eq!(
            once, all,
            "whose {metric} infra/watching.yaml watches, and which functions there are"
        );
    }
}

#[test]
fn every_metric_of_ours_is_counted_and_watched_by_its_dimensions() {
    let watching = read("infra/watching.yaml");
    let mut watched = BTreeSet::new();
    let mut swept = BTreeSet::new();
    for alarm in alarms(&watching).filter(|alarm| alarm.property("Namespace") == metrics::NAMESPACE)
    {
        let name = alarm.property("MetricName").as_str().expect("a name");
        let metric = metrics::ALL.iter().find(|metric| metric.name == name);
        let metric = metric.unwrap_or_else(|| panic!("{}: nobody counts {name}", alarm.id));
        let of = dimensions(alarm.properties());
        let expected: BTreeSet<_> =
            [Some(metrics::DEPLOYMENT), metric.by].into_iter().flatten().collect();
        assert_eq!(of.keys().copied().collect::<BTreeSet<_>>(), expected, "{}", alarm.id);
        assert_eq!(of[metrics::DEPLOYMENT], "LogGroup", "{}", alarm.id);
        if *metric == metrics::SWEPT {
            swept.insert(of[metrics::SWEPT.by.expect("a dimension")].to_owned());
        }
        watched.insert(name.to_owned());
    }
    assert_eq!(watched, metrics::ALL.iter().map(|metric| metric.name.to_owned()).collect());
    assert_eq!(swept, SCHEDULES.iter().map(|schedule| schedule.function.to_owned()).collect());
    // And what they are counted under is where the functions write.
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

#[test]
fn the_dashboard_is_json_and_shows_what_there_is() {
    let watching = read("infra/watching.yaml");
    let body = watching.resource("Dashboard").expect("a dashboard").property("DashboardBody");
    let body: Value =
        serde_json::from_str(body["Fn::Sub"].as_str().expect("a text")).expect("JSON");
    let names: BTreeSet<&str> = metrics::ALL.iter().map(|metric| metric.name).collect();
    let mut shown = BTreeSet::new();
    for widget in body["widgets"].as_array().expect("widgets") {
        let mut ours = false;
        for metric in widget["properties"]["metrics"].as_array().into_iter().flatten() {
            // A dot repeats what stands above.
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
        assert!(text.contains(&format!("${{Deployment}}-{name}\"")), "{name} is not shown");
    }
}
