//! `disconnect`: revokes the grant at Zoom and deletes its tokens.

use std::sync::Arc;

use lambda_http::Request;

use super::deps::{self, CommonDeps};
use super::edge::{Authenticator, HttpResponse, RequestError, ResponseBody, route};
use super::function::{self, Function};
use crate::app::{Services, disconnect};
use crate::clock::Clock;
use crate::config::{ConfigError, Env};
use crate::domain::caller::Role;
use crate::random::Random;
use crate::secrets::Secrets;

#[derive(Debug)]
pub struct Deps {
    authenticator: Authenticator,
    services: Services,
    secrets: Arc<Secrets>,
}

impl function::Deps for Deps {
    fn new(env: &Env, clock: &Clock, random: &Random) -> Result<Self, ConfigError> {
        let base = CommonDeps::new(env, random)?;
        let secrets = base.secrets()?;
        let authenticator = Authenticator::new(env, base.http.clone(), secrets.clone())?;
        Ok(Self { authenticator, services: base.services(&secrets, clock)?, secrets })
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

pub async fn handle(function: &Function<Deps>, request: Request) -> HttpResponse {
    function.respond(request, serve).await
}

async fn serve(deps: &Deps, request: Request) -> Result<ResponseBody, RequestError> {
    let now = deps.services.clock.now();
    route(&request)?;
    let caller = deps.authenticator.caller_with_role(&request, &[Role::Trainer], now).await?;
    let affected = disconnect::disconnect(&deps.services, &caller.id, now).await?;
    Ok(ResponseBody::no_content().with_affected_sessions(affected))
}
