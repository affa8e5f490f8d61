//! `webhook`: receives Zoom's events through a function URL or the HTTP API.
//!
//! Zoom sends an event again only after a timeout or a 5xx response, so an authentic event never gets a 4xx. An event
//! that cannot be used is stored and gets 200. If it is not known whether an event is authentic, it gets 503.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use lambda_http::Request;
use serde_json::{Value, json};

use super::deps::{self, CommonDeps};
use super::edge::{HttpResponse, RequestError, ResponseBody};
use super::function::{self, Function};
use crate::app::Services;
use crate::app::error::Error;
use crate::app::webhook::{self, LiveInstanceCache, WebhookContext};
use crate::clock::Clock;
use crate::config::{ConfigError, Env, names};
use crate::domain::zoom_event::{EventPayload, ZoomEvent, without_implausible_times};
use crate::http;
use crate::random::Random;
use crate::secret::Secret;
use crate::secrets::{SecretList, Secrets};
use crate::telemetry::metrics;
use crate::zoom::webhook::{InvalidSignature, challenge_response, verify};

/// Zoom's last retry is 85 minutes after the first attempt. Whether retries are signed anew is not documented, so a shorter
/// window could refuse an authentic event.
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
        if !(REPLAY_MINUTES..=REPLAY_MINUTES_LIMIT).contains(&minutes) {
            return Err(ConfigError::invalid(
                names::WEBHOOK_REPLAY_MINUTES,
                "must be from 90 to 1440",
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
    let secret = signing_secret(deps, &request, bytes, now).await?;

    let body: Value = serde_json::from_slice(bytes)
        .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(bytes).into_owned()));
    let body = without_implausible_times(body, now);
    let event = ZoomEvent::parse(&body).unwrap_or_else(ZoomEvent::unreadable);
    if let EventPayload::Challenge { plain_token } = &event.payload {
        let response = challenge_response(&secret, plain_token);
        return ResponseBody::ok(&json!({"plainToken": plain_token, "encryptedToken": response}));
    }
    let Deps { services, live_instances, .. } = deps;
    let context = WebhookContext { services, live_instances, now };
    webhook::process_event(&context, &event, &body).await.map_err(until_zoom_repeats)?;
    ResponseBody::ok(&json!({}))
}

/// Returns the secret that signed a request.
async fn signing_secret(
    deps: &Deps,
    request: &Request,
    body: &[u8],
    now: Timestamp,
) -> Result<Secret, RequestError> {
    let header = |name| http::header(request, name);
    let (signature, timestamp) = (header("x-zm-signature"), header("x-zm-request-timestamp"));
    let check = |list: &SecretList| {
        verify(list.all(), signature, timestamp, body, deps.window, now).cloned()
    };
    let secrets = deps.secrets.get(now).await?;
    let mut checked = check(secrets.zoom_webhook_secrets()?);
    if checked == Err(InvalidSignature::Signature) {
        // The secret may have been rotated since it was read.
        let secrets = deps.secrets.reread(&secrets, now).await?;
        let list = secrets.zoom_webhook_secrets()?;
        checked = check(list);
        if checked == Err(InvalidSignature::Signature) && list.awaits_another() {
            return Err(Error::busy("the secret of this signature may not be stored yet").into());
        }
    }
    checked.map_err(|error| {
        // Requests without Zoom's headers are usually from scanners.
        if error != InvalidSignature::Missing {
            tracing::warn!(event = "webhook.signature_invalid", %error);
            metrics::INVALID_SIGNATURES.count();
        }
        error.into()
    })
}

/// Returns the error as one that is answered 5xx.
fn until_zoom_repeats(error: Error) -> Error {
    match error {
        Error::Refused(_) | Error::ZoomLimited { .. } => Error::Busy(Box::new(error)),
        _ => error,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::domain::refusal::Refusal;
    use crate::http::Problem;

    #[test]
    fn failed_event_is_answered_5xx_whatever_failed() {
        for error in [
            Error::Refused(Refusal::ReauthRequired),
            Error::Refused(Refusal::field("id", "is invalid")),
            Error::ZoomLimited { after: Duration::from_secs(1) },
            Error::ZoomRejected { status: 400, code: None },
            Error::ZoomUnavailable { reason: String::new() },
            Error::busy("busy"),
            Error::Internal("a defect".into()),
        ] {
            let problem = Problem::from(&until_zoom_repeats(error));
            assert!(problem.status >= 500, "{problem:?}");
        }
    }
}
