//! `resend-invite`: sends the current invitation again.

use std::sync::Arc;

use ::http::StatusCode;
use lambda_http::Request;
use serde::Deserialize;

use super::deps::CommonDeps;
use super::edge::{HttpResponse, RequestError, ResponseBody, route, session_id};
use super::function::Function;
use super::http_deps::{Clients, HttpDeps};
use crate::app::resend_invite::{self, ResendContext};
use crate::clock::Clock;
use crate::config::ConfigError;
use crate::domain::refusal::Refusal;
use crate::domain::resend::RECIPIENT_LIMIT;
use crate::http;
use crate::queue::SqsQueue;
use crate::secrets::Secrets;
use crate::store::Store;

pub type Deps = HttpDeps<StoreAndQueue>;

#[derive(Debug)]
pub struct StoreAndQueue {
    store: Store,
    queue: SqsQueue,
}

impl Clients for StoreAndQueue {
    fn new(base: &CommonDeps, _: &Arc<Secrets>, _: &Clock) -> Result<Self, ConfigError> {
        Ok(Self { store: base.store()?, queue: base.queue()? })
    }

    fn store(&self) -> &Store {
        &self.store
    }
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct ResendBody {
    recipients: Option<Vec<String>>,
}

impl ResendBody {
    /// Returns the named recipients, or `None` for everyone. An empty list is treated as a mistake.
    fn parse(self) -> Result<Option<Vec<String>>, Refusal> {
        let Some(named) = self.recipients else { return Ok(None) };
        match named.len() {
            0 => Err(Refusal::field(
                "recipients",
                "must have at least one entry, or be omitted to send to everyone",
            )),
            1..=RECIPIENT_LIMIT => Ok(Some(named)),
            _ => {
                let message = format!("must have at most {RECIPIENT_LIMIT} entries");
                Err(Refusal::field("recipients", message))
            }
        }
    }
}

pub async fn handle(function: &Function<Deps>, request: Request) -> HttpResponse {
    function.respond(request, serve).await
}

async fn serve(deps: &Deps, request: Request) -> Result<ResponseBody, RequestError> {
    let now = deps.clock.now();
    let (_, parameters) = route(&request)?;
    let caller = deps.authenticator.caller(&request, now).await?;
    let id = session_id(&parameters)?;
    let key = http::idempotency_key(&request)?;
    let named = http::optional_json::<ResendBody>(&request)?.parse()?;
    let context = ResendContext {
        store: &deps.clients.store,
        queue: &deps.clients.queue,
        random: &deps.random,
        now,
    };
    let counts =
        resend_invite::resend(&context, &caller, &id, key.as_deref(), named.as_deref()).await?;
    ResponseBody::json(StatusCode::ACCEPTED, &counts)
}
