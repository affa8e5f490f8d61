//! Metrics: lines of the log that CloudWatch makes metrics of (its "embedded metric format"), so that counting costs no
//! call.
//!
//! Only what AWS does not count by itself is here: calls, errors, time and queues have metrics of its own. The alarms
//! stand in `infra/watching.yaml`, and a test holds their names and dimensions against [`ALL`].

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

/// Where CloudWatch lists them.
pub const NAMESPACE: &str = "LiveClasses";
/// The dimension of every metric: a deployment has one log group, so that those of one account are told apart.
pub const DEPLOYMENT: &str = "LogGroup";
/// The target of a metric's event, which goes into no ordinary line.
pub(super) const TARGET: &str = "metric";

/// Something that is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Metric {
    pub name: &'static str,
    /// The dimension beside [`DEPLOYMENT`], if it has one.
    pub by: Option<&'static str>,
}

/// A sweep ran to its end. By the function's name; that there is none is what to be alarmed at.
pub const SWEPT: Metric = Metric { name: "Swept", by: Some("Sweep") };
/// A trainer's grant is dead, and they were asked to connect again.
pub const REAUTH_REQUIRED: Metric = Metric { name: "ReauthRequired", by: None };
/// Zoom refused a call for there being too many, or we did before it could.
pub const ZOOM_LIMITED: Metric = Metric { name: "ZoomLimited", by: None };
/// A create or an edit of the last tenth of a trainer's day at Zoom.
pub const ZOOM_DAY_NEAR: Metric = Metric { name: "ZoomDayNear", by: None };
/// A call to Zoom without a usable answer, or with a server's error.
pub const ZOOM_UNANSWERED: Metric = Metric { name: "ZoomUnanswered", by: None };
/// Work that was given up: a person has to look at it.
pub const GIVEN_UP: Metric = Metric { name: "GivenUp", by: None };

pub const ALL: [Metric; 6] =
    [SWEPT, REAUTH_REQUIRED, ZOOM_LIMITED, ZOOM_DAY_NEAR, ZOOM_UNANSWERED, GIVEN_UP];

impl Metric {
    /// Counts one.
    pub fn count(self) {
        self.add(1, "");
    }

    /// Counts one of `kind`, a word out of few: each makes a metric of its own, which costs.
    pub fn count_of(self, kind: &'static str) {
        self.add(1, kind);
    }

    /// Counts `number`, which may be none.
    pub fn add(self, number: u64, kind: &'static str) {
        tracing::info!(target: TARGET, name = self.name, by = self.by.unwrap_or_default(), kind, number);
    }
}

/// Writes the events of metrics as lines of the embedded metric format.
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
        // Like every line of a log: where it cannot be written, there is nobody to tell.
        let _ = self.writer.make_writer().write_all(line.as_bytes());
    }
}

/// CloudWatch, "Specification: Embedded metric format".
fn line(deployment: &str, fields: &BTreeMap<&'static str, Value>, at_ms: i64) -> Value {
    let text = |name: &str| fields.get(name).and_then(Value::as_str).unwrap_or_default();
    let (name, by) = (text("name"), text("by"));
    let mut dimensions = vec![DEPLOYMENT];
    dimensions.extend((!by.is_empty()).then_some(by));
    let mut line = json!({
        "_aws": {
            "Timestamp": at_ms,
            "CloudWatchMetrics": [{
                "Namespace": NAMESPACE,
                "Dimensions": [dimensions],
                "Metrics": [{"Name": name, "Unit": "Count"}],
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
    fn a_line_is_what_cloudwatch_reads() {
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
    }
}
