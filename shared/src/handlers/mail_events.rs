//! `mail-events`: bounces and complaints that Amazon SES reports through EventBridge. See `app::mail_events`.
//! <https://docs.aws.amazon.com/ses/latest/dg/event-publishing-retrieving-eventbridge-examples.html>

mod report;

use lambda_runtime::LambdaEvent;
use serde_json::Value;

use self::report::Report;
use super::deps::CommonDeps;
use super::function::{self, Function};
use super::platform_event::EventFailed;
use crate::app::error::Error;
use crate::app::mail_events::{self, ReturnTools};
use crate::clock::Clock;
use crate::config::{ConfigError, Env};
use crate::random::Random;
use crate::telemetry::error_chain;

#[derive(Debug)]
pub struct Deps {
    tools: ReturnTools,
}

impl function::Deps for Deps {
    fn new(env: &Env, _: &Clock, random: &Random) -> Result<Self, ConfigError> {
        let base = CommonDeps::new(env, random)?;
        let tools =
            ReturnTools { store: base.store()?, queue: base.queue()?, random: random.clone() };
        Ok(Self { tools })
    }

    async fn warm(&self) {
        self.tools.store.warm().await;
    }
}

/// Applies one event. EventBridge and Lambda deliver a failed one again.
pub async fn handle(
    function: &Function<Deps>,
    event: LambdaEvent<Value>,
) -> Result<(), EventFailed> {
    let work = async {
        let deps = function.deps()?;
        let id = event.payload["id"].as_str().unwrap_or_default().to_owned();
        match Report::parse(event.payload)? {
            Report::Returned(returned) => {
                mail_events::apply(&deps.tools, &returned, function.clock().now()).await
            }
            Report::Ignored(reason) => {
                tracing::info!(event = "mail_events.ignored", id, reason);
                Ok(())
            }
        }
    };
    work.await.map_err(|error: Error| {
        tracing::error!(event = "mail_events.failed", error = error_chain(&error));
        EventFailed(error)
    })
}
