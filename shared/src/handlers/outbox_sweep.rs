//! `outbox-sweep`: every minute; see `app::outbox_sweep` for what it does.

use std::sync::Arc;
use std::time::Duration;

use super::deps::{CommonDeps, MailSettings, MailProvider};
use super::edge;
use super::function::{self, Function};
use super::reminder_sweep::SweepFailed;
use crate::app::error::Error;
use crate::app::outbox_sweep::{self, Mailer, OutboxReport, OutboxTools};
use crate::app::run_time::RunTime;
use crate::clock::Clock;
use crate::config::{ConfigError, Env};
use crate::mail::{Service, Ses, ZeptoMail};
use crate::random::Random;
use crate::secrets::Secrets;
use crate::telemetry::causes;

/// How long a run may take that was given no deadline.
const TIME_UNSAID: Duration = Duration::from_secs(50);

#[derive(Debug)]
pub struct Deps {
    tools: OutboxTools,
    /// Without these the mails wait; the function itself is whole.
    mail: Result<(MailSettings, Ses), ConfigError>,
    http: reqwest::Client,
    secrets: Arc<Secrets>,
}

impl function::Deps for Deps {
    fn new(env: &Env, clock: &Clock, random: &Random) -> Result<Self, ConfigError> {
        let base = CommonDeps::new(env, random)?;
        let mail = MailSettings::read(env).map(|mail| {
            let ses = base.ses(&mail.brand);
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
    /// By whom mails leave: the token of ZeptoMail may have been changed since the last run.
    async fn mailer(&self) -> Result<Result<Mailer, ConfigError>, Error> {
        let (mail, ses) = match &self.mail {
            Ok(mail) => mail,
            Err(error) => return Ok(Err(error.clone())),
        };
        let brand = mail.brand.clone();
        let service = match &mail.provider {
            MailProvider::Ses => Service::Ses(ses.clone()),
            MailProvider::ZeptoMail(url) => {
                let secrets = self.secrets.get(self.tools.clock.now()).await?;
                let token = match secrets.zeptomail_token() {
                    Ok(token) => token.clone(),
                    Err(error) => return Ok(Err(error)),
                };
                let from = brand.from.clone();
                Service::ZeptoMail(ZeptoMail::new(self.http.clone(), url.clone(), token, from))
            }
        };
        Ok(Ok(Mailer { service, brand }))
    }
}

/// Runs once, whatever the event says, and ends before `deadline_ms`, which is Lambda's: in Unix milliseconds, or 0.
pub async fn handle(function: &Function<Deps>, deadline_ms: u64) -> Result<OutboxReport, SweepFailed> {
    let run = async {
        let deps = function.deps()?;
        let time = edge::time_until(deadline_ms, function.clock().now(), TIME_UNSAID);
        let time = RunTime::of(time);
        outbox_sweep::sweep(&deps.tools, deps.mailer().await?, time).await
    };
    run.await.map_err(|error: Error| {
        tracing::error!(event = "email_sweep.failed", error = causes(&error));
        SweepFailed::from(error)
    })
}
