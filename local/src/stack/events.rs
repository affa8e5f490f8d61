//! `POST /local/events`: sends an event such as one of `events/*.json` to its function, and returns the function's result.

use axum::body::Bytes;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};
use shared::handlers::{DETAIL_TYPES, QUEUE_TRIGGERS, SCHEDULES, match_route};
use shared::secret::Secret;

use super::configuration::stored_secret;
use super::local_routes::LocalState;
use super::parameters::{error_response, unprocessable};
use crate::functions::InvokeError;
use crate::issuer::Person;
use crate::lambda::LambdaError;
use crate::{settings, sign};

/// In event files, these two stand for a token and a signature, which are only valid for a time.
const TOKEN_PLACEHOLDER: &str = "Bearer <a token of the host platform>";
const SIGNATURE_PLACEHOLDER: &str =
    "v0=0000000000000000000000000000000000000000000000000000000000000000";
/// The function behind the function URL.
const WEBHOOK: &str = "webhook";

pub(super) fn router(local: LocalState) -> Router {
    Router::new().route("/local/events", post(send)).with_state(local)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Target {
    /// The function, if the event does not show it.
    function: Option<String>,
}

async fn send(
    State(local): State<LocalState>,
    target: Result<Query<Target>, QueryRejection>,
    body: Bytes,
) -> Response {
    let Query(target) = match target {
        Ok(target) => target,
        Err(error) => return unprocessable(error.body_text()),
    };
    let mut event: Value = match serde_json::from_slice(&body) {
        Ok(event) => event,
        Err(error) => return unprocessable(format!("the event is not valid JSON: {error}")),
    };
    let Some(function) = target.function.or_else(|| function_of(&event).map(str::to_owned)) else {
        return unprocessable("the event belongs to no function: name one with ?function=");
    };
    local.fill_placeholders(&function, &mut event).await;
    let request_id = format!("event-{}", local.clock.now().as_millisecond());
    let result = local.lambda.invoke(&function, request_id, event).await;
    if !local.cloud_only {
        // The function may have sent messages for another one.
        local.queue_triggers.deliver().await;
    }
    match result {
        Ok(result) => Json(result).into_response(),
        Err(error @ LambdaError::Invoke(InvokeError::UnknownFunction(_))) => {
            error_response(StatusCode::NOT_FOUND, error)
        }
        Err(error @ LambdaError::Invoke(InvokeError::BadEvent(_))) => unprocessable(error),
        Err(error @ LambdaError::EventTooLarge) => {
            error_response(StatusCode::PAYLOAD_TOO_LARGE, error)
        }
        Err(error) => error_response(StatusCode::BAD_GATEWAY, error),
    }
}

/// Returns the function that the trigger of an event invokes.
fn function_of(event: &Value) -> Option<&'static str> {
    if event["version"] == "2.0" {
        if event["routeKey"] == "$default" {
            return Some(WEBHOOK);
        }
        let method = event.pointer("/requestContext/http/method")?.as_str()?;
        return match_route(method, event["rawPath"].as_str()?).map(|(route, _)| route.function);
    }
    if let Some(arn) = event["Records"][0]["eventSourceARN"].as_str() {
        let trigger = QUEUE_TRIGGERS.iter().find(|trigger| arn.ends_with(trigger.queue));
        return trigger.map(|trigger| trigger.function);
    }
    let kind = event["detail-type"].as_str()?;
    let is_known = |(_, kinds): &&(&'static str, &[&str])| kinds.contains(&kind);
    let by_rule = DETAIL_TYPES.iter().find(is_known).map(|(function, _)| *function);
    by_rule.or_else(|| {
        let rule = event["resources"][0].as_str()?;
        let schedule = SCHEDULES.iter().find(|schedule| rule.ends_with(schedule.function));
        schedule.map(|schedule| schedule.function)
    })
}

impl LocalState {
    /// Signs the event in place of Zoom, or adds a token in place of the platform, where the event has a placeholder.
    async fn fill_placeholders(&self, function: &str, event: &mut Value) {
        let secret = stored_secret(&self.aws, &self.secret_id).await;
        let headers = &event["headers"];
        if headers["x-zm-signature"] == SIGNATURE_PLACEHOLDER {
            let webhook_secret = Secret::new(settings::webhook_secret(&secret));
            if let Ok(signed) = sign::sign_event(event.clone(), &webhook_secret, self.clock.now()) {
                *event = signed;
            }
        } else if headers["authorization"] == TOKEN_PLACEHOLDER {
            let person = caller(function, event["rawPath"].as_str().unwrap_or_default());
            // Without a token, the function refuses the event.
            if let Ok(token) = self.issuer.token(&person, &secret, self.clock.now()) {
                event["headers"]["authorization"] = json!(format!("Bearer {token}"));
            }
        }
    }
}

/// Returns a person of the starting data who may call the route.
fn caller(function: &str, path: &str) -> Person {
    let (sub, role, email) = match function {
        "directory" | "hosts" | "payments" => ("host-platform", "service", None),
        _ if path.starts_with("/v1/me/") => ("student-1", "student", Some("student1@example.test")),
        _ => ("trainer-1", "trainer", Some("trainer@example.test")),
    };
    Person {
        sub: sub.to_owned(),
        role: role.to_owned(),
        email: email.map(str::to_owned),
        name: None,
        email_verified: email.is_some(),
    }
}
