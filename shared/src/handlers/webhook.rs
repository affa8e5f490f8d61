//! `webhook`: receives Zoom's events through a function URL.
//!
//! Zoom sends an event again only after a timeout or a 5xx response, so an authentic event never gets a 4xx. An event
//! that cannot be used is stored and gets 200.

use std::sync::Arc;

use jiff::SignedDuration;
use lambda_http::Request;
use serde_json::{Value, json};

use super::deps::{self, CommonDeps};
use super::edge::{HttpResponse, RequestError, ResponseBody};
use super::function::{self, Function};
use crate::app::Services;
use crate::app::webhook::{self, LiveInstanceCache, WebhookContext};
use crate::clock::Clock;
use crate::config::{ConfigError, Env, names};
use crate::domain::zoom_event::{EventPayload, ZoomEvent};
use crate::http;
use crate::random::Random;
use crate::secrets::Secrets;
use crate::zoom::webhook::{challenge_response, verify};

/// Zoom's last retry is 85 minutes after the first attempt. Whether retries are signed anew is not documented.
const REPLAY_MINUTES: i64 = 90;
/// A longer window would offer no protection against replays.
const REPLAY_MINUTES_LIMIT: i64 = 24 * 60;

#[derive(Debug)]
pub struct Deps {
    services: Services,
    secrets: Arc<Secrets>,
    window: SignedDuration,
    live_instances: LiveInstanceCache,
}

impl function::Deps for Deps {
    fn new(env: &Env, clock: &Clock, random: &Random) -> Result<Self, ConfigError> {
        let base = CommonDeps::new(env, random)?;
        let secrets = base.secrets()?;
        let minutes = env.parsed(names::WEBHOOK_REPLAY_MINUTES, REPLAY_MINUTES)?;
        if !(1..=REPLAY_MINUTES_LIMIT).contains(&minutes) {
            return Err(ConfigError::invalid(
                names::WEBHOOK_REPLAY_MINUTES,
                "must be from 1 to 1440",
            ));
        }
        Ok(Self {
            services: base.services(&secrets, clock)?,
            secrets,
            window: SignedDuration::from_mins(minutes),
            live_instances: LiveInstanceCache::default(),
        })
    }

    async fn warm(&self) {
        deps::warm(&self.services.store, &self.secrets, None, self.services.clock.now()).await;
    }
}

pub async fn handle(function: &Function<Deps>, request: Request) -> HttpResponse {
    function.respond(request, serve).await
}

async fn serve(deps: &Deps, request: Request) -> Result<ResponseBody, RequestError> {
    let now = deps.services.clock.now();
    if request.method() != ::http::Method::POST {
        return Err(RequestError::UnknownRoute);
    }
    let bytes = http::bytes(&request, http::BODY_LIMIT_BYTES)?;
    let secrets = deps.secrets.get(now).await?;
    let secret = secrets.zoom_webhook_secret()?;
    let header = |name| http::header(&request, name);
    verify(
        secret,
        header("x-zm-signature"),
        header("x-zm-request-timestamp"),
        bytes,
        deps.window,
        now,
    )?;

    let body: Value = serde_json::from_slice(bytes)
        .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(bytes).into_owned()));
    let event = ZoomEvent::parse(&body).unwrap_or_else(ZoomEvent::unreadable);
    if let EventPayload::Challenge { plain_token } = &event.payload {
        let response = challenge_response(secret, plain_token);
        return ResponseBody::ok(&json!({"plainToken": plain_token, "encryptedToken": response}));
    }
    let Deps { services, live_instances, .. } = deps;
    let context = WebhookContext { services, live_instances, now };
    webhook::process_event(&context, &event, &body).await?;
    ResponseBody::ok(&json!({}))
}
