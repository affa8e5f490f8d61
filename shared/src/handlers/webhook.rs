//! `webhook`: Zoom's events, by a function URL.
//!
//! Zoom sends an event again only after silence or a 5xx, so an authentic event is never answered with a 4xx: what
//! cannot be used is kept and answered 200.

use std::sync::Arc;

use jiff::SignedDuration;
use lambda_http::Request;
use serde_json::{Value, json};

use super::deps::{self, CommonDeps};
use super::edge::{HttpResponse, RequestError, ResponseBody};
use super::function::{self, Function};
use crate::app::Services;
use crate::app::webhook::{self, WebhookContext, KnownLive};
use crate::clock::Clock;
use crate::config::{ConfigError, Env, names};
use crate::domain::join_window::JoinWindowSettings;
use crate::domain::zoom_event::{EventPayload, ZoomEvent};
use crate::http;
use crate::random::Random;
use crate::secrets::Secrets;
use crate::zoom::webhook::{challenge_answer, verify};

/// Zoom's last retry comes 85 minutes after the first try, and whether it is signed anew is not published.
const REPLAY_MINUTES: i64 = 90;
/// A window longer than a day would guard against nothing.
const REPLAY_MINUTES_LIMIT: i64 = 24 * 60;

#[derive(Debug)]
pub struct Deps {
    tools: Services,
    secrets: Arc<Secrets>,
    window: SignedDuration,
    known_live: KnownLive,
    doors: JoinWindowSettings,
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
            tools: base.tools(&secrets, clock)?,
            secrets,
            window: SignedDuration::from_mins(minutes),
            known_live: KnownLive::default(),
            doors: deps::windows(env)?,
        })
    }

    async fn warm(&self) {
        deps::warm(&self.tools.store, &self.secrets, None, self.tools.clock.now()).await;
    }
}

pub async fn handle(function: &Function<Deps>, request: Request) -> HttpResponse {
    function.answer(request, serve).await
}

async fn serve(deps: &Deps, request: Request) -> Result<ResponseBody, RequestError> {
    let now = deps.tools.clock.now();
    if request.method() != ::http::Method::POST {
        return Err(RequestError::NoRoute);
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
    let event = ZoomEvent::read(&body).unwrap_or_else(ZoomEvent::unreadable);
    if let EventPayload::Challenge { plain_token } = &event.payload {
        let answer = challenge_answer(secret, plain_token);
        return ResponseBody::ok(&json!({"plainToken": plain_token, "encryptedToken": answer}));
    }
    let Deps { tools, known_live, doors, .. } = deps;
    let desk = WebhookContext { tools, known_live, doors: *doors, now };
    webhook::take(&desk, &event, &body).await?;
    ResponseBody::ok(&json!({}))
}
