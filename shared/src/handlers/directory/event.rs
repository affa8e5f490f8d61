//! The same statements as events of the host platform on an EventBridge bus.
//!
//! EventBridge delivers at least once and in no order. Saying a thing twice is saying it once; the platform that says
//! different things of the same item within moments should use HTTP, which is in order.

use lambda_http::request::LambdaRequest;
use lambda_http::{Adapter, Error, LambdaEvent, Service, service_fn};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::import::{body, text};
use super::{Deps, command};
use crate::app::directory;
use crate::app::error::Error as AppError;
use crate::domain::directory::DirectoryCommand;
use crate::domain::plan::Settings;
use crate::domain::refusal::Refusal;
use crate::handlers::function::Function;
use crate::telemetry::causes;

#[derive(Debug, Deserialize)]
struct Event {
    id: String,
    #[serde(rename = "detail-type")]
    detail_type: String,
    detail: Map<String, Value>,
}

/// An event that was not taken in: EventBridge sends it again, and then to the function's dead-letter queue.
#[derive(Debug, thiserror::Error)]
#[error("the event was not taken in")]
pub struct EventFailed(#[source] AppError);

/// Answers whichever of the two has called: EventBridge, whose events have a detail-type, or the HTTP API.
pub async fn either(function: &Function<Deps>, event: LambdaEvent<Value>) -> Result<Value, Error> {
    if event.payload.get("detail-type").is_some() {
        take(function, event.payload).await?;
        return Ok(Value::Null);
    }
    let request: LambdaRequest = serde_json::from_value(event.payload)?;
    let http =
        service_fn(|request| async { Ok::<_, Error>(super::handle(function, request).await) });
    let answer = Adapter::from(http).call(LambdaEvent::new(request, event.context)).await?;
    Ok(serde_json::to_value(answer)?)
}

/// Takes an event in.
async fn take(function: &Function<Deps>, event: Value) -> Result<(), EventFailed> {
    let work = async {
        let deps = function.deps()?;
        let event: Event =
            serde_json::from_value(event).map_err(|error| Refusal::field("event", error))?;
        match said(&event.detail_type, event.detail)? {
            Some(statement) => {
                directory::tell(&deps.tools, statement).await?;
                tracing::info!(
                    event = "directory.event_taken",
                    id = event.id,
                    kind = event.detail_type
                );
            }
            // A newer platform may say more than we know of; what we do know must not wait for that.
            None => tracing::warn!(
                event = "directory.event_unknown",
                id = event.id,
                kind = event.detail_type
            ),
        }
        Ok(())
    };
    work.await.map_err(|error: AppError| {
        tracing::error!(event = "directory.event_failed", error = causes(&error));
        EventFailed(error)
    })
}

/// What an event says; `None` when its kind is not known.
fn said(kind: &str, mut detail: Map<String, Value>) -> Result<Option<DirectoryCommand>, Refusal> {
    let statement = match kind {
        "CourseUpserted" => command::course(&text(&mut detail, "id")?, body(detail)?)?,
        "EnrollmentGranted" => {
            let (course, user) = (text(&mut detail, "course_id")?, text(&mut detail, "user_id")?);
            command::enrollment(&course, &user, body(detail)?)?
        }
        "EnrollmentRevoked" => command::no_enrollment(
            &text(&mut detail, "course_id")?,
            &text(&mut detail, "user_id")?,
        )?,
        "UserUpserted" => command::user(&text(&mut detail, "id")?, body(detail)?)?,
        "UserDeleted" => command::no_user(&text(&mut detail, "id")?)?,
        "SettingsUpdated" => command::settings(body::<Settings>(detail)?)?,
        _ => return Ok(None),
    };
    Ok(Some(statement))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::handlers::DETAIL_TYPES;

    #[test]
    fn every_kind_that_the_rule_sends_is_known_and_others_are_left_alone() {
        for kind in DETAIL_TYPES {
            // Without a detail most are refused; what matters is that they are not passed over.
            assert!(!matches!(said(kind, Map::new()), Ok(None)), "{kind}");
        }
        assert!(matches!(said("CourseDeleted", Map::new()), Ok(None)));
    }
}
