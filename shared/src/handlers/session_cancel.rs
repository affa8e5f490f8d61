//! `session-cancel`: cancels a session, at Zoom and here.

use std::sync::Arc;

use lambda_http::Request;
use serde::Deserialize;

use super::app_url::AppUrl;
use super::deps::{self, CommonDeps};
use super::edge::{Authenticator, HttpResponse, RequestError, ResponseBody, path_parameter, route};
use super::function::{self, Function};
use super::session_view;
use crate::app::{Services, session_cancel};
use crate::clock::Clock;
use crate::config::{ConfigError, Env};
use crate::domain::caller::Role;
use crate::domain::id::SessionId;
use crate::domain::refusal::Refusal;
use crate::domain::text::Description;
use crate::http;
use crate::random::Random;
use crate::secrets::Secrets;

/// The reason is one sentence in a mail.
pub const REASON_LIMIT_CHARS: usize = 500;

#[derive(Debug)]
pub struct Deps {
    authenticator: Authenticator,
    services: Services,
    secrets: Arc<Secrets>,
    app_url: AppUrl,
}

impl function::Deps for Deps {
    fn new(env: &Env, clock: &Clock, random: &Random) -> Result<Self, ConfigError> {
        let base = CommonDeps::new(env, random)?;
        let secrets = base.secrets()?;
        let authenticator = Authenticator::new(env, base.http.clone(), secrets.clone())?;
        let services = base.services(&secrets, clock)?;
        Ok(Self { authenticator, services, secrets, app_url: AppUrl::read(env)? })
    }

    async fn warm(&self) {
        deps::warm(
            &self.services.store,
            &self.secrets,
            Some(&self.authenticator),
            self.services.clock.now(),
        )
        .await;
    }
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct CancelBody {
    reason: Option<String>,
}

pub async fn handle(function: &Function<Deps>, request: Request) -> HttpResponse {
    function.respond(request, serve).await
}

async fn serve(deps: &Deps, request: Request) -> Result<ResponseBody, RequestError> {
    let now = deps.services.clock.now();
    let (_, parameters) = route(&request)?;
    let caller = deps.authenticator.caller_with_role(&request, &[Role::Trainer], now).await?;
    let id = SessionId::parse(path_parameter(&parameters, "id")).ok_or(Refusal::NotFound)?;
    let body: CancelBody = http::optional_json(&request)?;
    let reason =
        body.reason.as_deref().map(reason).transpose()?.filter(|reason| !reason.is_empty());
    let cancelled = session_cancel::cancel(&deps.services, &caller, &id, reason, now).await?;
    let secrets = deps.secrets.get(now).await?;
    let view = session_view::owner_view(
        &cancelled.session,
        Some(&cancelled.invitees),
        &cancelled.host,
        &deps.app_url,
        secrets.keyring()?,
        now,
    )?;
    Ok(ResponseBody::ok(&view)?.with_etag(cancelled.session.version))
}

fn reason(text: &str) -> Result<String, Refusal> {
    let text = Description::parse(text.trim()).map_err(|error| Refusal::field("reason", error))?;
    if text.as_str().chars().count() > REASON_LIMIT_CHARS {
        return Err(Refusal::field(
            "reason",
            format!("must have at most {REASON_LIMIT_CHARS} characters"),
        ));
    }
    Ok(text.into())
}
