//! `disconnect`: revoke at Zoom, delete the tokens.

use std::sync::Arc;

use lambda_http::Request;

use super::deps::{self, CommonDeps};
use super::edge::{HttpResponse, RequestError, Authenticator, ResponseBody, route};
use super::function::{self, Function};
use crate::app::{Services, disconnect};
use crate::clock::Clock;
use crate::config::{ConfigError, Env};
use crate::domain::caller::Role;
use crate::random::Random;
use crate::secrets::Secrets;

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

pub async fn handle(function: &Function<Deps>, request: Request) -> HttpResponse {
    function.answer(request, serve).await
}

async fn serve(deps: &Deps, request: Request) -> Result<ResponseBody, RequestError> {
    let now = deps.tools.clock.now();
    route(&request)?;
    let caller = deps.gate.caller_with(&request, &[Role::Trainer], now).await?;
    disconnect::disconnect(&deps.tools, &caller.id).await?;
    Ok(ResponseBody::no_content())
}
