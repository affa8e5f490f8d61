//! `outbox-sweep`: runs every minute. See `app::outbox_sweep`.

use std::sync::Arc;
use std::time::Duration;

use super::deps::{CommonDeps, MailProvider, MailSettings};
use super::edge;
use super::function::{self, Function};
use super::reminder_sweep::SweepFailed;
use crate::app::error::Error;
use crate::app::outbox_sweep::{self, Mailer, OutboxReport, OutboxTools};
use crate::app::run_time::RunTime;
use crate::clock::Clock;
use crate::config::{ConfigError, Env};
use crate::mail::{Service, Ses, ZeptoMail};
use crate::net::POOL_IDLE_CONNECTIONS_PER_HOST;
use crate::random::Random;
use crate::secrets::Secrets;
use crate::telemetry::error_chain;

/// The time limit of a run without a deadline.
const DEFAULT_TIME: Duration = Duration::from_secs(50);

const _: () = assert!(outbox_sweep::MAX_CONCURRENT_REQUESTS <= POOL_IDLE_CONNECTIONS_PER_HOST);

#[derive(Debug)]
pub struct Deps {
    tools: OutboxTools,
    /// Without these settings, mails stay in the queue and the rest of the function works.
    mail: Result<(MailSettings, Ses), ConfigError>,
    http: reqwest::Client,
    secrets: Arc<Secrets>,
}

impl function::Deps for Deps {
    fn new(env: &Env, clock: &Clock, random: &Random) -> Result<Self, ConfigError> {
        let base = CommonDeps::new(env, random)?;
        let mail = MailSettings::read(env).map(|mail| {
            let ses = base.ses(&mail);
            (mail, ses)
        });
        let rate_per_second = mail.as_ref().map_or(1, |(mail, _)| mail.rate_per_second);
        let tools = OutboxTools {
            store: base.store()?,
            outbox: base.outbox()?,
            clock: clock.clone(),
            random: random.clone(),
            rate_per_second,
        };
        Ok(Self { tools, mail, secrets: base.secrets()?, http: base.http })
    }

    async fn warm(&self) {
        super::deps::warm(&self.tools.store, &self.secrets, None, self.tools.clock.now()).await;
    }
}

impl Deps {
    /// Creates the mailer for each run, because a secret may have changed. SES works without the secret.
    async fn mailer(&self) -> Result<Result<Mailer, ConfigError>, Error> {
        let (mail, ses) = match &self.mail {
            Ok(mail) => mail,
            Err(error) => return Ok(Err(error.clone())),
        };
        let brand = mail.brand.clone();
        let read = self.secrets.get(self.tools.clock.now()).await;
        let (service, secrets) = match &mail.provider {
            MailProvider::Ses => (Service::Ses(ses.clone()), read.ok()),
            MailProvider::ZeptoMail(url) => {
                let secrets = read?;
                let token = match secrets.zeptomail_token() {
                    Ok(token) => token.clone(),
                    Err(error) => return Ok(Err(error)),
                };
                let (url, from) = (url.clone(), brand.from.clone());
                let service = ZeptoMail::new(self.http.clone(), url, token, from);
                (Service::ZeptoMail(service), Some(secrets))
            }
        };
        Ok(Ok(Mailer { service, brand, secrets }))
    }
}

/// Runs once for any event, and ends before `deadline_ms`: Lambda's deadline in Unix milliseconds, or
/// 0.
pub async fn handle(
    function: &Function<Deps>,
    deadline_ms: u64,
) -> Result<OutboxReport, SweepFailed> {
    let run = async {
        let deps = function.deps()?;
        let time = edge::time_until(deadline_ms, function.clock().now(), DEFAULT_TIME);
        let time = RunTime::new(time);
        outbox_sweep::sweep(&deps.tools, deps.mailer().await?, time).await
    };
    run.await.map_err(|error: Error| {
        tracing::error!(event = "outbox_sweep.failed", error = error_chain(&error));
        SweepFailed::from(error)
    })
}
