//! Logs: one JSON object per line on standard output, which Lambda collects.
//!
//! The field `event` contains a stable word (`secrets.stale`). Other fields contain the details, but never a secret, a
//! token, a name or an email address. [`metrics`] are lines of the same log.

pub mod metrics;

use std::error::Error;
use std::fmt::Write as _;
use std::io;

use tracing::level_filters::LevelFilter;
use tracing::{Subscriber, warn};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::{MakeWriter, layer};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;

use crate::config::{Env, names};

/// The field names that searches and alarms use: `info!(event = "session.created", session_id = %id)`.
pub mod fields {
    pub const EVENT: &str = "event";
    pub const REQUEST_ID: &str = "request_id";
    pub const FUNCTION: &str = "function";
    pub const SESSION_ID: &str = "session_id";
    pub const USER_ID: &str = "user_id";
    pub const MEETING_ID: &str = "meeting_id";
    pub const MESSAGE_KEY: &str = "message_key";
    pub const OPERATION: &str = "operation";
    pub const STATUS: &str = "status";
    pub const CODE: &str = "code";
    pub const ERROR: &str = "error";
    pub const ATTEMPT: &str = "attempt";
}

const DEFAULT_LEVEL: LevelFilter = LevelFilter::INFO;

/// Level caps of libraries. At `debug` and `trace` they log requests and responses including headers and secrets, so only
/// a `LOG_LEVEL` that names the target raises its level. The runtime's span with Lambda's request id is at `info`.
const LEVEL_CAPS: [(&str, LevelFilter); 8] = [
    ("aws_", LevelFilter::WARN),
    ("h2", LevelFilter::WARN),
    ("hyper", LevelFilter::WARN),
    ("lambda_http", LevelFilter::INFO),
    ("lambda_runtime", LevelFilter::INFO),
    ("reqwest", LevelFilter::WARN),
    ("rustls", LevelFilter::WARN),
    ("tower", LevelFilter::WARN),
];

/// Starts logging. A second call has no effect.
///
/// `LOG_LEVEL` is a level (`info`), or one per target (`info,shared::zoom=debug`). An invalid value causes a warning, and
/// the default is used.
pub fn start(env: &Env) {
    let log_level = env.optional(names::LOG_LEVEL).unwrap_or_default();
    let deployment = env.optional(names::AWS_LAMBDA_LOG_GROUP_NAME);
    let deployment = deployment.as_deref().unwrap_or("local");
    let started = subscriber(&log_level, deployment, io::stdout).try_init().is_ok();
    if started && filter(&log_level).is_none() {
        warn!(event = "config.invalid", name = names::LOG_LEVEL);
    }
}

/// Creates the subscriber of [`start`] with another writer, so that tests can read the log. `deployment` is the dimension of
/// all metrics.
pub fn subscriber<W>(
    log_level: &str,
    deployment: &str,
    writer: W,
) -> impl Subscriber + Send + Sync + use<W>
where
    W: for<'a> MakeWriter<'a> + Clone + Send + Sync + 'static,
{
    let filter = filter(log_level).unwrap_or_else(|| capped_at(DEFAULT_LEVEL));
    let filter = filter.with_target(metrics::TARGET, LevelFilter::OFF);
    let metrics =
        metrics::EmbeddedMetrics { deployment: deployment.to_owned(), writer: writer.clone() };
    // Metrics do not depend on the log level.
    let counted = Targets::new().with_target(metrics::TARGET, LevelFilter::INFO);
    tracing_subscriber::registry()
        .with(json(writer).with_filter(filter))
        .with(metrics.with_filter(counted))
}

/// Formats an error and its sources with `Display`.
pub fn error_chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        // Writing to a string cannot fail.
        let _ = write!(text, ": {error}");
        cause = error.source();
    }
    text
}

fn filter(log_level: &str) -> Option<Targets> {
    if log_level.is_empty() {
        return Some(capped_at(DEFAULT_LEVEL));
    }
    let targets: Targets = log_level.parse().ok()?;
    let level = targets.default_level().unwrap_or(DEFAULT_LEVEL);
    Some(capped_at(level).with_targets(targets))
}

fn capped_at(level: LevelFilter) -> Targets {
    let capped = LEVEL_CAPS.map(|(target, most)| (target, level.min(most)));
    Targets::new().with_default(level).with_targets(capped)
}

fn json<S, W>(writer: W) -> impl Layer<S>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    W: for<'a> MakeWriter<'a> + 'static,
{
    // Event fields are at the top level, as CloudWatch queries expect. The fields of the request are under `span`.
    layer()
        .json()
        .flatten_event(true)
        .with_current_span(true)
        .with_span_list(false)
        .with_ansi(false)
        .with_writer(writer)
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Buffer(Arc<Mutex<Vec<u8>>>);

    impl Write for Buffer {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn logged(level: &str, during: impl FnOnce()) -> Vec<serde_json::Value> {
        let buffer = Buffer::default();
        let writer = buffer.clone();
        let subscriber = subscriber(level, "test", move || writer.clone());
        tracing::subscriber::with_default(subscriber, during);
        let text = String::from_utf8(buffer.0.lock().unwrap().clone()).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    #[test]
    fn log_line_is_one_json_object_with_its_fields_and_span() {
        let lines = logged("", || {
            tracing::info_span!("event", { fields::REQUEST_ID } = "r-1").in_scope(|| {
                tracing::info!(
                    { fields::EVENT } = "session.created",
                    { fields::SESSION_ID } = "s-1",
                    text = "two\nlines \u{1b}[31m",
                );
            });
            tracing::debug!("unseen");
        });
        let [line] = &lines[..] else { panic!("{lines:?}") };
        assert_eq!(line[fields::EVENT], "session.created");
        assert_eq!(line["level"], "INFO");
        assert_eq!(line[fields::SESSION_ID], "s-1");
        assert_eq!(line["span"][fields::REQUEST_ID], "r-1");
        assert_eq!(line["text"], "two\nlines \u{1b}[31m");
        assert!(line["timestamp"].as_str().unwrap().ends_with('Z'));
    }

    #[test]
    fn library_logs_are_capped_unless_enabled_by_name() {
        let count = |level| {
            logged(level, || {
                tracing::debug!(target: "aws_smithy_runtime::client", "unsafe to print");
                tracing::warn!(target: "hyper_util::client", "seen");
                tracing::debug!(target: "shared::zoom", "ours");
            })
            .len()
        };
        let cases = [("", 1), ("debug", 2), ("DEBUG", 2), ("error", 0), ("off", 0)];
        for (level, lines) in cases {
            assert_eq!(count(level), lines, "{level}");
        }
        assert_eq!(count("shared=debug"), 2);
        assert_eq!(count("info,aws_smithy_runtime=debug"), 2);
    }

    #[test]
    fn metrics_are_written_once_at_every_log_level() {
        for level in ["", "off", "trace"] {
            let lines = logged(level, || metrics::REAUTH_REQUIRED.count());
            let [line] = &lines[..] else { panic!("{level}: {lines:?}") };
            assert_eq!(line[metrics::REAUTH_REQUIRED.name], 1, "{level}");
            assert_eq!(line[metrics::DEPLOYMENT], "test", "{level}");
        }
    }

    #[test]
    fn logging_starts_twice_and_with_an_invalid_level() {
        for level in ["loud,,=", "off"] {
            start(&Env::from_pairs([(names::LOG_LEVEL, level)]));
        }
        assert!(filter("shared=loud").is_none());
    }

    #[test]
    fn error_chain_contains_all_causes() {
        #[derive(Debug, thiserror::Error)]
        #[error("outer")]
        struct Outer(#[source] io::Error);
        assert_eq!(error_chain(&Outer(io::Error::other("inner"))), "outer: inner");
    }
}
