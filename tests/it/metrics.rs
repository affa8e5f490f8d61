//! The metrics behind the alarms.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use aws_sdk_dynamodb::types::AttributeValue;
use jiff::{SignedDuration, Timestamp};
use local::calls::Service;
use local::faults::{Fault, FaultKind};
use local::template::Template;
use serde_json::{Value, json};
use shared::telemetry::metrics;

use crate::directory::erasure_in_progress::{TRAINER_PATH, erase_during};
use crate::functions::{DirectFunctions, set_secret};
use crate::log::{CapturedLog, DEPLOYMENT};
use crate::reminders::manual_session;
use crate::support::patched;
use crate::world::{World, course_session_body, session_body};
use crate::zoom_session::{HOURS_AHEAD, ScheduledSession};

/// A metric's name and the values of its dimensions other than the deployment.
type CountedMetric = (String, Vec<(String, String)>);

/// Returns the metrics in a log and checks the format of their lines.
fn counted(log: &CapturedLog) -> BTreeSet<CountedMetric> {
    let lines = log.lines().into_iter().filter(|line| line["_aws"].is_object());
    lines
        .map(|line| {
            let directive = &line["_aws"]["CloudWatchMetrics"][0];
            assert_eq!(directive["Namespace"], metrics::NAMESPACE);
            assert_eq!(line[metrics::DEPLOYMENT], DEPLOYMENT);
            let name = directive["Metrics"][0]["Name"].as_str().expect("a name").to_owned();
            assert!(line[&name].as_u64() > Some(0), "{line}");
            let dimensions = directive["Dimensions"][0].as_array().expect("a set");
            let dimensions = dimensions.iter().map(|name| name.as_str().expect("a name"));
            let value = |name: &str| line[name].as_str().expect("a value of the dimension");
            let others = dimensions.filter(|name| *name != metrics::DEPLOYMENT);
            (name, others.map(|name| (name.to_owned(), value(name).to_owned())).collect())
        })
        .collect()
}

fn without_dimensions(metric: metrics::Metric) -> CountedMetric {
    (metric.name.to_owned(), Vec::new())
}

/// Asserts that the log contains this metric and no other.
#[track_caller]
fn assert_only(log: &CapturedLog, expected: CountedMetric) {
    assert_all(log, [expected]);
}

#[track_caller]
fn assert_all<const N: usize>(log: &CapturedLog, expected: [CountedMetric; N]) {
    assert_eq!(counted(log), BTreeSet::from(expected));
}

/// Runs on one thread, so that the captured log is complete.
#[tokio::test]
async fn zoom_failures_are_counted() {
    let world = World::start().await;
    let trainer = world.trainer().await;
    world.connect_zoom(&trainer, "app").await;

    let failed = || without_dimensions(metrics::MEETINGS_FAILED);
    let created = || without_dimensions(metrics::MEETINGS_CREATED);
    let log = CapturedLog::start();
    world.inject_zoom_fault("create_meeting", FaultKind::Throttle);
    world.create(&trainer, &session_body(26)).await.expect_problem(429, "zoom_rate_limited");
    assert_all(&log, [failed(), without_dimensions(metrics::ZOOM_LIMITED)]);

    let log = CapturedLog::start();
    world.inject_zoom_fault("create_meeting", FaultKind::Html);
    world.create(&trainer, &session_body(26)).await.expect_problem(502, "zoom_unavailable");
    assert_all(&log, [failed(), without_dimensions(metrics::ZOOM_UNANSWERED)]);

    let log = CapturedLog::start();
    world.create(&trainer, &session_body(27)).await.expect(201);
    assert_only(&log, created());
    set_daily_zoom_writes(&world, 90).await;
    world.create(&trainer, &session_body(28)).await.expect(201);
    assert_all(&log, [created(), without_dimensions(metrics::ZOOM_DAILY_LIMIT_NEAR)]);

    let log = CapturedLog::start();
    set_daily_zoom_writes(&world, 100).await;
    world.create(&trainer, &session_body(29)).await.expect_problem(429, "zoom_rate_limited");
    assert_all(&log, [failed(), without_dimensions(metrics::ZOOM_LIMITED)]);

    let log = CapturedLog::start();
    world.deauthorize_without_event("trainer@app.zoom.test").await;
    world.advance(SignedDuration::from_hours(1));
    world.create(&trainer, &session_body(30)).await.expect_problem(409, "reauth_required");
    assert_only(&log, without_dimensions(metrics::REAUTH_REQUIRED));
}

/// SES counts no soft bounces, and a repeated report is the same bounce.
#[tokio::test]
async fn returned_mails_are_counted() {
    let world = World::start().await;
    world.create_with_invitees(3).await;
    let log = CapturedLog::start();
    world.run_outbox_sweep().await;
    let sent = without_dimensions(metrics::MAILS_SENT);
    assert!(counted(&log).contains(&sent), "{:?}", counted(&log));
    let mail = |n| world.mail_id("scheduled", &format!("student{n}@example.test"));
    let (bounced, complained) = (metrics::MAILS_BOUNCED, metrics::MAILS_COMPLAINED);
    for (n, kind, expected) in [
        (1, "soft", None),
        (2, "hard", Some(bounced)),
        (2, "hard", None),
        (3, "complaint", Some(complained)),
    ] {
        let log = CapturedLog::start();
        world.return_mail(&mail(n), kind).await;
        let expected = expected.map(without_dimensions).into_iter().collect();
        assert_eq!(counted(&log), expected, "{n} {kind}");
    }
}

/// A repair is abandoned because the trainer never reconnects.
#[tokio::test]
async fn abandoned_work_is_counted() {
    let world = World::start().await;
    let trainer = world.trainer().await;
    world.connect_zoom(&trainer, "app").await;
    world.inject_zoom_fault("create_meeting", FaultKind::Lost);
    world.inject_fault(Fault::new(Service::Zoom, "list_meetings", FaultKind::Error).times(2));
    world.create(&trainer, &session_body(50)).await.expect_problem(502, "zoom_unavailable");
    world.delete(&trainer, "/v1/zoom/connection").await.expect(204);
    world.advance_and_sweep().await;
    let log = CapturedLog::start();
    // One sweep within the 14 days of attempts, and one after them.
    for hours in [24 * 13, 26] {
        world.advance(SignedDuration::from_hours(hours));
        world.sweep().await;
    }
    let counted_metrics = counted(&log);
    assert!(
        counted_metrics.contains(&without_dimensions(metrics::GIVEN_UP)),
        "{counted_metrics:?}"
    );
}

fn with_sweep(metric: metrics::Metric, function: &str) -> CountedMetric {
    let dimension = metric.by.expect("a dimension").to_owned();
    (metric.name.to_owned(), vec![(dimension, function.to_owned())])
}

/// A run that ends before it has time for anything that may take long.
const SHORT_RUN: SignedDuration = SignedDuration::from_secs(12);

#[tokio::test]
async fn late_reminders_are_counted_as_dropped() {
    let world = World::start().await;
    let trainer = world.trainer().await;
    let dropped = without_dimensions(metrics::DROPPED_REMINDERS);
    world.create(&trainer, &manual_session(26)).await.expect(201);
    world.run_outbox_sweep().await;
    // The reminder a day before is due in two hours and too late after fourteen.
    let log = CapturedLog::start();
    world.advance(SignedDuration::from_hours(15));
    assert_eq!(world.sweep().await["skipped"], 1);
    assert!(counted(&log).contains(&dropped), "the sweep is late");
    // Without mail settings, the mails of the reminder an hour before wait in the queue until the class has begun.
    let log = CapturedLog::start();
    world.advance(SignedDuration::from_hours(10));
    assert_eq!(world.sweep().await["reminded"], 1);
    let direct = DirectFunctions::new(&world, &[("MAIL_FROM", "")]);
    direct.run_outbox_sweep(SignedDuration::from_secs(58)).await.expect("the run succeeds");
    assert!(!counted(&log).contains(&dropped), "nothing is late");
    world.advance(SignedDuration::from_hours(2));
    assert_eq!(world.run_outbox_sweep().await["dropped"], 5);
    assert!(counted(&log).contains(&dropped), "the mail is late");
}

#[tokio::test]
async fn full_runs_and_overdue_events_are_counted() {
    let world = World::start().await;
    let trainer = world.trainer().await;
    world.create(&trainer, &manual_session(50)).await.expect(201);
    world.create(&trainer, &manual_session(51)).await.expect(201);
    let undelivered = without_dimensions(metrics::UNDELIVERED_EVENTS);
    let full = with_sweep(metrics::FULL_RUNS, "outbox-sweep");
    let direct = DirectFunctions::new(&world, &[]);
    let log = CapturedLog::start();
    direct.run_outbox_sweep(SHORT_RUN).await.expect("the run succeeds");
    let metrics = counted(&log);
    assert!(metrics.contains(&full) && !metrics.contains(&undelivered), "{metrics:?}");
    let log = CapturedLog::start();
    world.advance(SignedDuration::from_mins(61));
    direct.run_outbox_sweep(SHORT_RUN).await.expect("the run succeeds");
    assert!(counted(&log).contains(&undelivered), "the events are an hour old");
    let log = CapturedLog::start();
    assert_eq!(world.run_outbox_sweep().await["sent"], 10);
    let swept = with_sweep(metrics::SWEPT, "outbox-sweep");
    assert_all(&log, [swept, without_dimensions(metrics::MAILS_SENT)]);
}

#[tokio::test]
async fn late_archives_are_counted() {
    let world = World::start().await;
    let trainer = world.trainer().await;
    world.create(&trainer, &manual_session(2)).await.expect(201);
    world.advance(SignedDuration::from_hours(2));
    world.sweep().await;
    let due = world.due_work("ARCHIVE").await.remove(0);
    let due_at: Timestamp = due["first_due_at"].as_str().expect("a time").parse().expect("a time");
    let (late, full) = (
        without_dimensions(metrics::LATE_ARCHIVES),
        with_sweep(metrics::FULL_RUNS, "reminder-sweep"),
    );
    let direct = DirectFunctions::new(&world, &[]);
    for (hours, is_late) in [(23, false), (25, true)] {
        world.advance_to(due_at + SignedDuration::from_hours(hours));
        let log = CapturedLog::start();
        direct.run_reminder_sweep(SHORT_RUN).await.expect("the run succeeds");
        let metrics = counted(&log);
        assert_eq!(metrics.contains(&late), is_late, "after {hours} h: {metrics:?}");
        assert!(metrics.contains(&full), "the run has no time for the archive: {metrics:?}");
    }
    let log = CapturedLog::start();
    assert_eq!(world.sweep().await["archived"], 1);
    assert_only(&log, with_sweep(metrics::SWEPT, "reminder-sweep"));
}

/// Sets the number of the trainer's daily write requests to Zoom.
async fn set_daily_zoom_writes(world: &World, count: u32) {
    let day = world.items("ZOOMDAY#").await.remove(0);
    let key = |name: &str| AttributeValue::S(day[name].as_str().expect("text").to_owned());
    let update = world.dynamodb().update_item().table_name("MainTable");
    let update = update.key("pk", key("pk")).key("sk", key("sk"));
    let update = update.update_expression("SET #c = :c").expression_attribute_names("#c", "count");
    let count = AttributeValue::N(count.to_string());
    update.expression_attribute_values(":c", count).send().await.expect("an updated count");
}

/// The sum of a metric in the log.
fn sum(log: &CapturedLog, metric: metrics::Metric) -> u64 {
    log.lines().iter().filter_map(|line| line[metric.name].as_u64()).sum()
}

#[tokio::test]
async fn sessions_without_events_are_counted_half_an_hour_after_their_start() {
    let world = World::start().await;
    let trainer = world.trainer().await;
    world.connect_zoom(&trainer, "app").await;
    let mut sessions = Vec::new();
    for _ in 0..5 {
        let session = ScheduledSession::schedule_for_course(&world, &trainer).await;
        sessions.push(session);
    }
    let link = json!({"provider": "manual", "join_url": "https://meet.example.test/a"});
    world.create(&trainer, &patched(course_session_body(HOURS_AHEAD), link)).await.expect(201);
    let log = CapturedLog::start();
    let [started, late, cancelled, ..] = &sessions[..] else { unreachable!("five sessions") };
    world.advance(started.at(0).duration_since(world.now()));
    started.post_event(&world, &started.started("a", 0)).await;
    world.sweep().await;
    world.advance(SignedDuration::from_mins(25));
    late.post_event(&world, &late.started("b", 25)).await;
    let trainer = world.trainer().await;
    world.post(&trainer, &format!("{}/cancel", cancelled.path), json!({})).await.expect(200);
    world.sweep().await;
    assert_eq!(sum(&log, metrics::SESSIONS_WITHOUT_EVENTS), 0, "trainers may be late");
    world.advance(SignedDuration::from_mins(5));
    for _ in 0..2 {
        world.sweep().await;
        assert_eq!(sum(&log, metrics::SESSIONS_WITHOUT_EVENTS), 2, "once per session");
    }
}

#[tokio::test]
async fn stale_secret_is_counted_after_15_minutes() {
    let world = World::start().await;
    let trainer = world.trainer().await;
    world.get(&trainer, "/v1/zoom/connection").await.expect(200);
    set_secret(&world, "{nonsense").await;
    let log = CapturedLog::start();
    // The first failed read is after 4 minutes, although the function has had no request for longer.
    for (minutes, count) in [(20, 0), (14, 0), (1, 1), (1, 2)] {
        world.advance(SignedDuration::from_mins(minutes));
        let trainer = world.trainer().await;
        world.get(&trainer, "/v1/zoom/connection").await.expect(200);
        assert_eq!(sum(&log, metrics::STALE_SECRETS), count, "{minutes}");
    }
    set_secret(&world, &local::settings::secrets().to_string()).await;
    world.advance(SignedDuration::from_mins(1));
    let trainer = world.trainer().await;
    world.get(&trainer, "/v1/zoom/connection").await.expect(200);
    assert_eq!(sum(&log, metrics::STALE_SECRETS), 2);
}

#[tokio::test]
async fn finished_sweep_is_counted_by_function() {
    let world = World::start().await;
    for function in shared::handlers::SCHEDULES.iter().map(|schedule| schedule.function) {
        let log = CapturedLog::start();
        let _: Value = world.stack.schedules.run(function).await.expect("a report of the sweep");
        assert_only(&log, with_sweep(metrics::SWEPT, function));
    }
}

/// Runs on one thread, so that the captured log is complete.
#[tokio::test]
async fn meeting_of_an_erased_trainer_that_stays_at_zoom_is_reported() {
    let world = World::start().await;
    let trainer = world.trainer().await;
    world.connect_zoom(&trainer, "app").await;
    let log = CapturedLog::start();
    let slow = Fault::new(Service::Zoom, "create_meeting", FaultKind::Late);
    let body = session_body(26);
    let create = world.create(&trainer, &body);
    let response = erase_during(&world, TRAINER_PATH, slow, create).await;
    response.expect_problem(403, "forbidden");
    assert_eq!(world.meetings().len(), 1, "the grant to delete it was revoked");
    assert!(log.text().contains("zoom.meeting_orphaned"), "{}", log.text());
    assert!(counted(&log).contains(&without_dimensions(metrics::GIVEN_UP)));
}

/// Runs on one thread, so that the captured log is complete.
#[tokio::test]
async fn join_time_is_measured_in_milliseconds_and_reports_are_limited() {
    let world = World::start().await;
    let student = world.student(1).await;
    let path = format!("/v1/sessions/{}/join-report", "ses_aebagbafaydqqcikbmga2dqpca");
    let report = async |body: Value| world.post(&student, &path, body).await;
    report(json!({"milliseconds": 1})).await.expect(204);
    world.stack.usage.reset();
    let log = CapturedLog::start();
    report(json!({"milliseconds": 1830})).await.expect(204);
    report(json!({"milliseconds": 5001})).await.expect(204);
    let lines = log.lines();
    let times: Vec<_> = lines.iter().filter(|line| line["_aws"].is_object()).collect();
    let expected = json!([{"Name": "JoinTime", "Unit": "Milliseconds"}]);
    let values = times.iter().map(|line| {
        assert_eq!(line["_aws"]["CloudWatchMetrics"][0]["Metrics"], expected);
        line["JoinTime"].as_u64()
    });
    assert_eq!(values.collect::<Vec<_>>(), [Some(1830), Some(5001)]);
    let slow = log.events("join.slow");
    assert_eq!((slow.len(), &slow[0]["milliseconds"]), (1, &json!(5001)));
    assert_eq!(slow[0]["span"]["session_id"], "ses_aebagbafaydqqcikbmga2dqpca");
    assert_eq!(world.stack.usage.service_totals("join", Service::Dynamodb).calls, 0);

    let log = CapturedLog::start();
    for body in [
        json!({}),
        json!({"milliseconds": null}),
        json!({"milliseconds": -1}),
        json!({"milliseconds": 1.5}),
        json!({"milliseconds": 600_001}),
        json!({"milliseconds": 1, "session": "x"}),
    ] {
        report(body).await.expect_problem(422, "validation_failed");
    }
    assert_eq!(counted(&log), BTreeSet::new());
    world.advance(SignedDuration::from_mins(1));
    for _ in 0..10 {
        report(json!({"milliseconds": 600_000})).await.expect(204);
    }
    report(json!({"milliseconds": 0})).await.expect_problem(429, "rate_limited");
    let other = world.student(2).await;
    world.post(&other, &path, json!({"milliseconds": 0})).await.expect(204);
}

/// Runs on one thread, so that the captured log is complete.
#[tokio::test]
async fn meetings_of_new_sessions_are_counted_unless_the_request_is_refused() {
    let world = World::start().await;
    let trainer = world.trainer().await;
    let log = CapturedLog::start();
    world.create(&trainer, &session_body(30)).await.expect_problem(409, "zoom_not_connected");
    assert_eq!(counted(&log), BTreeSet::new());
    world.connect_zoom(&trainer, "app").await;

    let create = async |key: &str| {
        let headers = [("idempotency-key", key)];
        world
            .call(http::Method::POST, "/v1/sessions", &trainer, Some(session_body(30)), &headers)
            .await
    };
    let log = CapturedLog::start();
    create("a").await.expect(201);
    assert_only(&log, without_dimensions(metrics::MEETINGS_CREATED));
    // The repeated request creates no other meeting.
    let log = CapturedLog::start();
    create("a").await.expect(201);
    world.create(&trainer, &json!({"title": 1})).await.expect(422);
    assert_eq!(counted(&log), BTreeSet::new());

    let log = CapturedLog::start();
    world.inject_fault(Fault {
        status: Some(400),
        ..Fault::new(Service::Zoom, "create_meeting", FaultKind::Error)
    });
    create("b").await.expect_problem(502, "zoom_rejected");
    assert_only(&log, without_dimensions(metrics::MEETINGS_FAILED));
    world.stack.faults.clear();
    let log = CapturedLog::start();
    create("b").await.expect(201);
    assert_only(&log, without_dimensions(metrics::MEETINGS_CREATED));
    let log = CapturedLog::start();
    let link = json!({"provider": "manual", "join_url": "https://meet.example.test/a"});
    world.create(&trainer, &patched(session_body(40), link)).await.expect(201);
    assert_eq!(counted(&log), BTreeSet::new());
}

/// Returns the alarm on a metric in the template.
fn alarm_on(template: &Template, metric: &str) -> Value {
    let mut alarms = template.resources_of_type("AWS::CloudWatch::Alarm");
    let alarm = alarms.find(|alarm| alarm.property("MetricName") == metric);
    alarm.unwrap_or_else(|| panic!("no alarm on {metric}")).properties().clone()
}

/// One student's events arrive, and all of another one's are lost. Runs on one thread, so that the captured log is complete.
#[tokio::test]
async fn attendance_accuracy_is_the_share_of_the_time_that_events_report() {
    let world = World::start().await;
    let trainer = world.trainer().await;
    world.connect_zoom(&trainer, "app").await;
    let session = ScheduledSession::schedule_for_course(&world, &trainer).await;
    let enter = async |n: u32| {
        let person = json!({"name": "Ada", "email": format!("student{n}@example.test")});
        session.simulate(&world, "join", person).await["participant_uuid"].clone()
    };
    world.advance_to(session.at(0));
    world.sweep().await;
    session.simulate(&world, "start", json!({})).await;
    enter(1).await;
    world.inject_fault(Fault::new(Service::Webhook, "*", FaultKind::Drop).times(1000));
    let second = enter(2).await;
    world.advance_to(session.at(40));
    session.simulate(&world, "leave", json!({"participant_uuid": second})).await;
    world.stack.faults.clear();
    world.advance_to(session.at(60));
    session.simulate(&world, "end", json!({})).await;
    world.stack.zoom.deliver_due().await;

    let log = CapturedLog::start();
    for minute in [90, 120, 60 + 24 * 60] {
        world.advance_to(session.at(minute));
        let _: Value = world.stack.schedules.run("reconcile-sweep").await.expect("a report");
    }
    let name = metrics::ATTENDANCE_ACCURACY.name;
    let mut lines = log.lines();
    lines.retain(|line| line.get(name).is_some());
    let [line] = &mut lines[..] else { panic!("one line per class: {lines:?}") };
    let directive = json!({
        "Namespace": "LiveClasses",
        "Dimensions": [["LogGroup"]],
        "Metrics": [{"Name": "AttendanceAccuracy", "Unit": "Percent"}],
    });
    assert_eq!(line["_aws"]["CloudWatchMetrics"], json!([directive]));
    line.as_object_mut().expect("an object").remove("_aws");
    let expected = json!({"LogGroup": DEPLOYMENT, "level": "INFO", "AttendanceAccuracy": 60});
    assert_eq!(*line, expected, "60 of 100 minutes");
    let compared = log.events("attendance.compared");
    assert_eq!((compared.len(), &compared[0]["accuracy"]), (1, &json!("60.0")));

    let watching = Path::new(env!("CARGO_MANIFEST_DIR")).join("../infra/watching.yaml");
    let watching = Template::parse(&fs::read_to_string(watching).expect("a file"));
    let alarm = alarm_on(&watching.expect("a template"), name);
    assert_eq!(alarm["Namespace"], directive["Namespace"]);
    let dimensions = alarm["Dimensions"].as_array().expect("dimensions").iter();
    let dimensions: Vec<_> = dimensions.map(|dimension| dimension["Name"].clone()).collect();
    assert_eq!(json!([dimensions]), directive["Dimensions"]);
    let rule = ["Statistic", "ComparisonOperator", "Threshold"].map(|part| alarm[part].clone());
    assert_eq!(rule, [json!("Average"), json!("LessThanThreshold"), json!(95)]);
}
