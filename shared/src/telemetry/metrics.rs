//! Metrics: log lines in CloudWatch's embedded metric format, which cost no API call.
//!
//! These metrics complement those of AWS for calls, errors, durations and queues. The alarms are in
//! `infra/watching.yaml`, and a test compares their names and dimensions with [`ALL`].

use std::collections::BTreeMap;
use std::fmt;
use std::io::Write as _;

use serde_json::{Value, json};
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::Context;

use crate::clock::Clock;

/// The CloudWatch namespace.
pub const NAMESPACE: &str = "LiveClasses";
/// The dimension of every metric. A deployment has one log group, which distinguishes the deployments of one account.
pub const DEPLOYMENT: &str = "LogGroup";
/// The tracing target of metrics, which ordinary log lines exclude.
pub(super) const TARGET: &str = "metric";

/// A counter metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Metric {
    pub name: &'static str,
    /// The dimension beside [`DEPLOYMENT`], if it has one.
    pub by: Option<&'static str>,
}

/// A sweep has finished, by function name. The alarm watches for missing data.
pub const SWEPT: Metric = Metric { name: "Swept", by: Some("Sweep") };
/// A Zoom connection has become invalid, and its trainer was asked to connect again.
pub const REAUTH_REQUIRED: Metric = Metric { name: "ReauthRequired", by: None };
/// The platform's own Zoom account cannot be used: Zoom refused the credentials, or the app lacks a scope.
pub const ACCOUNT_REFUSED: Metric = Metric { name: "AccountRefused", by: None };
/// Zoom refused a call because of its rate limits, or we refused it before calling.
pub const ZOOM_LIMITED: Metric = Metric { name: "ZoomLimited", by: None };
/// A create or edit within the last tenth of Zoom's daily limit.
pub const ZOOM_DAILY_LIMIT_NEAR: Metric = Metric { name: "ZoomDailyLimitNear", by: None };
/// A host of the platform's own account could not be made active or removed, and needs a person.
pub const FAILED_HOSTS: Metric = Metric { name: "FailedHosts", by: None };
/// Licences of the platform's own account are or will be short: a class has none, or more are needed within a day than the
/// account has.
pub const LICENCE_SHORTAGE: Metric = Metric { name: "LicenceShortage", by: None };
/// A class starts within a day, and the meeting sweep could not make its meeting yet.
pub const MISSING_MEETINGS: Metric = Metric { name: "MissingMeetings", by: None };
/// A call to Zoom had no usable response or a server error.
pub const ZOOM_UNANSWERED: Metric = Metric { name: "ZoomUnanswered", by: None };
/// A meeting was created for a new session.
pub const MEETINGS_CREATED: Metric = Metric { name: "MeetingsCreated", by: None };
/// A meeting could not be created for a new session, for another reason than a refused request.
pub const MEETINGS_FAILED: Metric = Metric { name: "MeetingsFailed", by: None };
/// Work was given up and needs a person.
pub const GIVEN_UP: Metric = Metric { name: "GivenUp", by: None };

/// A stored item could not be read and was skipped, or its class waits.
pub const UNREADABLE_ITEMS: Metric = Metric { name: "UnreadableItems", by: None };
/// An event with Zoom's headers whose signature does not verify or is too old.
pub const INVALID_SIGNATURES: Metric = Metric { name: "InvalidSignatures", by: None };
/// A function has failed to read the secret again for a while.
pub const STALE_SECRETS: Metric = Metric { name: "StaleSecrets", by: None };
/// A session that should have started half an hour ago, and of which Zoom has sent no event.
pub const SESSIONS_WITHOUT_EVENTS: Metric = Metric { name: "SessionsWithoutEvents", by: None };

/// A run of a sweep had no time for all of its work, by function name. The next runs continue.
pub const FULL_RUNS: Metric = Metric { name: "FullRuns", by: Some("Sweep") };
/// A reminder was given up because the sweep or its mail was too late.
pub const DROPPED_REMINDERS: Metric = Metric { name: "DroppedReminders", by: None };
/// A domain event has waited for more than an hour, so nobody was notified of it yet.
pub const UNDELIVERED_EVENTS: Metric = Metric { name: "UndeliveredEvents", by: None };
/// The attendance of a session has not been archived for a day after it was due.
pub const LATE_ARCHIVES: Metric = Metric { name: "LateArchives", by: None };

/// Amazon SES has accepted a mail.
pub const MAILS_SENT: Metric = Metric { name: "MailSent", by: None };
/// A mail bounced for good. SES judges an account by the share of these.
pub const MAILS_BOUNCED: Metric = Metric { name: "MailBounced", by: None };
/// A recipient has marked a mail as spam.
pub const MAILS_COMPLAINED: Metric = Metric { name: "MailComplained", by: None };

pub const ALL: [Metric; 23] = [
    SWEPT,
    ACCOUNT_REFUSED,
    REAUTH_REQUIRED,
    ZOOM_LIMITED,
    ZOOM_DAILY_LIMIT_NEAR,
    FAILED_HOSTS,
    LICENCE_SHORTAGE,
    MISSING_MEETINGS,
    ZOOM_UNANSWERED,
    MEETINGS_CREATED,
    MEETINGS_FAILED,
    GIVEN_UP,
    UNREADABLE_ITEMS,
    FULL_RUNS,
    DROPPED_REMINDERS,
    UNDELIVERED_EVENTS,
    LATE_ARCHIVES,
    INVALID_SIGNATURES,
    STALE_SECRETS,
    SESSIONS_WITHOUT_EVENTS,
    MAILS_SENT,
    MAILS_BOUNCED,
    MAILS_COMPLAINED,
];

/// A metric of durations, of which alarms use percentiles.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DurationMetric {
    pub name: &'static str,
}

/// The time from a click on "join" until Zoom's client reports the join, as measured by a page.
pub const JOIN_TIME: DurationMetric = DurationMetric { name: "JoinTime" };

pub const DURATIONS: [DurationMetric; 1] = [JOIN_TIME];

/// A metric of shares in percent, of which alarms use the average.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShareMetric {
    pub name: &'static str,
}

/// The share of a session's attendance on which Zoom's events and Zoom's list of participants agree.
pub const ATTENDANCE_ACCURACY: ShareMetric = ShareMetric { name: "AttendanceAccuracy" };

pub const SHARES: [ShareMetric; 1] = [ATTENDANCE_ACCURACY];

impl ShareMetric {
    pub fn record(self, percent: u64) {
        tracing::info!(target: TARGET, name = self.name, unit = "Percent", number = percent);
    }
}

impl DurationMetric {
    pub fn record(self, milliseconds: u64) {
        tracing::info!(target: TARGET, name = self.name, unit = "Milliseconds", number = milliseconds);
    }
}

impl Metric {
    /// Counts one.
    pub fn count(self) {
        self.add(1, "");
    }

    /// Counts one of `kind`. Each kind is a billed metric of its own, so there must be few.
    pub fn count_kind(self, kind: &'static str) {
        self.add(1, kind);
    }

    /// Adds `number`, which may be zero.
    pub fn add(self, number: u64, kind: &'static str) {
        tracing::info!(target: TARGET, name = self.name, by = self.by.unwrap_or_default(), kind, number);
    }
}

/// Writes metric events as lines in the embedded metric format.
pub(super) struct EmbeddedMetrics<W> {
    pub(super) deployment: String,
    pub(super) writer: W,
}

impl<S, W> Layer<S> for EmbeddedMetrics<W>
where
    S: Subscriber,
    W: for<'a> MakeWriter<'a> + 'static,
{
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let mut line =
            line(&self.deployment, &fields.0, Clock::System.now().as_millisecond()).to_string();
        line.push('\n');
        // A log line that cannot be written is lost, like any other.
        let _ = self.writer.make_writer().write_all(line.as_bytes());
    }
}

/// Formats a line as in "Specification: Embedded metric format" of CloudWatch.
fn line(deployment: &str, fields: &BTreeMap<&'static str, Value>, at_ms: i64) -> Value {
    let text = |name: &str| fields.get(name).and_then(Value::as_str).unwrap_or_default();
    let (name, by) = (text("name"), text("by"));
    let unit = Some(text("unit")).filter(|unit| !unit.is_empty()).unwrap_or("Count");
    let mut dimensions = vec![DEPLOYMENT];
    dimensions.extend((!by.is_empty()).then_some(by));
    let mut line = json!({
        "_aws": {
            "Timestamp": at_ms,
            "CloudWatchMetrics": [{
                "Namespace": NAMESPACE,
                "Dimensions": [dimensions],
                "Metrics": [{"Name": name, "Unit": unit}],
            }],
        },
        DEPLOYMENT: deployment,
        "level": "INFO",
        name: fields.get("number"),
    });
    if !by.is_empty() {
        line[by] = json!(text("kind"));
    }
    line
}

#[derive(Default)]
struct Fields(BTreeMap<&'static str, Value>);

impl Visit for Fields {
    fn record_u64(&mut self, field: &Field, value: u64) {
        self.0.insert(field.name(), json!(value));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name(), json!(value));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.insert(field.name(), json!(format!("{value:?}")));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metric_line_follows_the_embedded_metric_format() {
        let fields = |by, kind| {
            [
                ("name", json!("Swept")),
                ("by", json!(by)),
                ("kind", json!(kind)),
                ("number", json!(3)),
            ]
            .into()
        };
        assert_eq!(
            line("/aws/lambda/live", &fields("Sweep", "reminder-sweep"), 1_790_000_000_000),
            json!({
                "_aws": {
                    "Timestamp": 1_790_000_000_000_u64,
                    "CloudWatchMetrics": [{
                        "Namespace": "LiveClasses",
                        "Dimensions": [["LogGroup", "Sweep"]],
                        "Metrics": [{"Name": "Swept", "Unit": "Count"}],
                    }],
                },
                "LogGroup": "/aws/lambda/live",
                "level": "INFO",
                "Sweep": "reminder-sweep",
                "Swept": 3,
            })
        );
        let plain = line("live", &fields("", ""), 0);
        assert_eq!(plain["_aws"]["CloudWatchMetrics"][0]["Dimensions"], json!([["LogGroup"]]));
        assert_eq!(plain.as_object().unwrap().len(), 4);
        let fields = [("name", json!("JoinTime")), ("unit", json!("Milliseconds"))].into();
        let duration = line("live", &fields, 0);
        let metrics = &duration["_aws"]["CloudWatchMetrics"][0]["Metrics"];
        assert_eq!(*metrics, json!([{"Name": "JoinTime", "Unit": "Milliseconds"}]));
    }
}
