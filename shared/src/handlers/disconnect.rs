//! `disconnect`: revoke at Zoom, delete the tokens.

use std::sync::Arc;

use lambda_http::Request;

use super::deps::{self, Base};
use super::edge::{Answer, Failure, Gate, Reply, route};
use super::function::{self, Function};
use crate::app::{Tools, disconnect};
use crate::clock::Clock;
use crate::config::{ConfigError, Env};
use crate::domain::caller::Role;
use crate::random::Random;
use crate::secrets::Secrets;

#[derive(Debug)]
pub struct Deps {
    gate: Gate,
    tools: Tools,
    secrets: Arc<Secrets>,
}

impl function::Deps for Deps {
    fn new(env: &Env, clock: &Clock, random: &Random) -> Result<Self, ConfigError> {
        let base = Base::new(env, random)?;
        let secrets = base.secrets()?;
        let gate = Gate::new(env, base.http.clone(), secrets.clone())?;
        Ok(Self { gate, tools: base.tools(&secrets, clock)?, secrets })
    }

    async fn warm(&self) {
        deps::warm(&self.tools.store, &self.secrets, Some(&self.gate), self.tools.clock.now())
            .await;
    }
}

pub async fn handle(function: &Function<Deps>, request: Request) -> Answer {
    function.answer(request, serve).await
}

async fn serve(deps: &Deps, request: Request) -> Result<Reply, Failure> {
    let now = deps.tools.clock.now();
    route(&request)?;
    let caller = deps.gate.caller_with(&request, &[Role::Trainer], now).await?;
    disconnect::disconnect(&deps.tools, &caller.id).await?;
    Ok(Reply::no_content())
}
