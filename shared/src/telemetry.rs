//! Logs: one JSON object per line on standard output, where Lambda collects them.
//!
//! An event is told by its field `event`, a stable word (`secrets.stale`); what varies is in other fields, and none
//! holds a secret, a token, a name or an e-mail address. [`metrics`] are lines of the same log.

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

/// The fields that searches and alarms rely on: `info!(event = "session.created", session_id = %id)`.
pub mod fields {
    pub const EVENT: &str = "event";
    pub const REQUEST_ID: &str = "request_id";
    pub const FUNCTION: &str = "function";
    pub const SESSION_ID: &str = "session_id";
    pub const USER_ID: &str = "user_id";
    pub const MEETING_ID: &str = "meeting_id";
    pub const EFFECT_ID: &str = "effect_id";
    pub const OPERATION: &str = "operation";
    pub const STATUS: &str = "status";
    pub const CODE: &str = "code";
    pub const ERROR: &str = "error";
    pub const ATTEMPT: &str = "attempt";
}

const DEFAULT_LEVEL: LevelFilter = LevelFilter::INFO;

/// At `debug` and `trace` these print requests and answers, headers and secrets included, so each has a
/// level beyond which only `LOG_LEVEL` by its name makes it talk. The runtime's span, at `info`, is what
/// carries Lambda's request id.
const TALKATIVE: [(&str, LevelFilter); 8] = [
    ("aws_", LevelFilter::WARN),
    ("h2", LevelFilter::WARN),
    ("hyper", LevelFilter::WARN),
    ("lambda_http", LevelFilter::INFO),
    ("lambda_runtime", LevelFilter::INFO),
    ("reqwest", LevelFilter::WARN),
    ("rustls", LevelFilter::WARN),
    ("tower", LevelFilter::WARN),
];

/// Starts logging. A second start in the same process changes nothing.
///
/// `LOG_LEVEL` is a level (`info`), or one per target (`info,shared::zoom=debug`). What cannot be read is
/// not worth an outage: the default holds, and a warning says so.
pub fn start(env: &Env) {
    let asked = env.optional(names::LOG_LEVEL).unwrap_or_default();
    let deployment = env.optional(names::AWS_LAMBDA_LOG_GROUP_NAME);
    let deployment = deployment.as_deref().unwrap_or("local");
    let started = subscriber(&asked, deployment, io::stdout).try_init().is_ok();
    if started && filter(&asked).is_none() {
        warn!(event = "config.invalid", name = names::LOG_LEVEL);
    }
}

/// What [`start`] starts for this `LOG_LEVEL`, writing wherever it is told: a test reads what would be logged.
/// `deployment` is what metrics are counted under.
pub fn subscriber<W>(
    asked: &str,
    deployment: &str,
    writer: W,
) -> impl Subscriber + Send + Sync + use<W>
where
    W: for<'a> MakeWriter<'a> + Clone + Send + Sync + 'static,
{
    let filter = filter(asked).unwrap_or_else(|| quiet(DEFAULT_LEVEL));
    let filter = filter.with_target(metrics::TARGET, LevelFilter::OFF);
    let metrics = metrics::EmbeddedMetrics { deployment: deployment.to_owned(), writer: writer.clone() };
    // What is counted does not depend on how much is told.
    let counted = Targets::new().with_target(metrics::TARGET, LevelFilter::INFO);
    tracing_subscriber::registry()
        .with(json(writer).with_filter(filter))
        .with(metrics.with_filter(counted))
}

/// An error and what caused it, by `Display` only.
pub fn causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        // Writing to a string cannot fail.
        let _ = write!(text, ": {error}");
        cause = error.source();
    }
    text
}

fn filter(asked: &str) -> Option<Targets> {
    if asked.is_empty() {
        return Some(quiet(DEFAULT_LEVEL));
    }
    let targets: Targets = asked.parse().ok()?;
    let level = targets.default_level().unwrap_or(DEFAULT_LEVEL);
    Some(quiet(level).with_targets(targets))
}

fn quiet(level: LevelFilter) -> Targets {
    let capped = TALKATIVE.map(|(target, most)| (target, level.min(most)));
    Targets::new().with_default(level).with_targets(capped)
}

fn json<S, W>(writer: W) -> impl Layer<S>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    W: for<'a> MakeWriter<'a> + 'static,
{
    // Fields lie beside the level and the message, as CloudWatch's queries like them; the request's stand
    // under `span`.
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
    struct Page(Arc<Mutex<Vec<u8>>>);

    impl Write for Page {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn logged(level: &str, during: impl FnOnce()) -> Vec<serde_json::Value> {
        let page = Page::default();
        let writer = page.clone();
        let subscriber = subscriber(level, "test", move || writer.clone());
        tracing::subscriber::with_default(subscriber, during);
        let text = String::from_utf8(page.0.lock().unwrap().clone()).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    #[test]
    fn a_line_is_one_json_object_with_its_fields_and_its_span() {
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
    fn the_libraries_say_little_unless_asked_by_name() {
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
    fn what_is_counted_is_told_once_and_however_quiet_the_log_is() {
        for level in ["", "off", "trace"] {
            let lines = logged(level, || metrics::REAUTH_REQUIRED.count());
            let [line] = &lines[..] else { panic!("{level}: {lines:?}") };
            assert_eq!(line[metrics::REAUTH_REQUIRED.name], 1, "{level}");
            assert_eq!(line[metrics::DEPLOYMENT], "test", "{level}");
        }
    }

    #[test]
    fn it_starts_twice_and_with_nonsense() {
        for level in ["loud,,=", "off"] {
            start(&Env::from_pairs([(names::LOG_LEVEL, level)]));
        }
        assert!(filter("shared=loud").is_none());
    }

    #[test]
    fn an_error_is_told_with_its_causes() {
        #[derive(Debug, thiserror::Error)]
        #[error("outer")]
        struct Outer(#[source] io::Error);
        assert_eq!(causes(&Outer(io::Error::other("inner"))), "outer: inner");
    }
}
