//! `session-cancel`: cancel a class, at Zoom and here.

use std::sync::Arc;

use lambda_http::Request;
use serde::Deserialize;

use super::deps::{self, CommonDeps};
use super::edge::{HttpResponse, RequestError, Authenticator, ResponseBody, named, route};
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

/// A reason is a sentence in a mail, not a letter.
const REASON_LIMIT_CHARS: usize = 500;

#[derive(Debug)]
pub struct Deps {
    gate: Authenticator,
    tools: Services,
    secrets: Arc<Secrets>,
}

impl function::Deps for Deps {
    fn new(env: &Env, clock: &Clock, random: &Random) -> Result<Self, ConfigError> {
        let base = CommonDeps::new(env, random)?;
        let secrets = base.secrets()?;
        let gate = Authenticator::new(env, base.http.clone(), secrets.clone())?;
        Ok(Self { gate, tools: base.tools(&secrets, clock)?, secrets })
    }

    async fn warm(&self) {
        deps::warm(&self.tools.store, &self.secrets, Some(&self.gate), self.tools.clock.now())
            .await;
    }
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct CancelBody {
    reason: Option<String>,
}

pub async fn handle(function: &Function<Deps>, request: Request) -> HttpResponse {
    function.answer(request, serve).await
}

async fn serve(deps: &Deps, request: Request) -> Result<ResponseBody, RequestError> {
    let now = deps.tools.clock.now();
    let (_, parameters) = route(&request)?;
    let caller = deps.gate.caller_with(&request, &[Role::Trainer], now).await?;
    let id = SessionId::parse(named(&parameters, "id")).ok_or(Refusal::NotFound)?;
    let body: CancelBody = http::optional_json(&request)?;
    let reason =
        body.reason.as_deref().map(reason).transpose()?.filter(|reason| !reason.is_empty());
    let cancelled = session_cancel::cancel(&deps.tools, &caller, &id, reason, now).await?;
    let secrets = deps.secrets.get(now).await?;
    let view =
        session_view::owner(&cancelled.session, Some(&cancelled.invitees), secrets.keyring()?)?;
    Ok(ResponseBody::ok(&view)?.tagged(cancelled.session.version))
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
