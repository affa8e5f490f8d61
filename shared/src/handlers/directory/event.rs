//! Directory commands as events of the host platform on an EventBridge bus.
//!
//! If the platform changes one item several times within moments, it should use HTTP, which preserves the order.

use lambda_http::{Error, LambdaEvent};
use serde_json::{Map, Value};

use super::import::body;
use super::{Deps, command};
use crate::app::directory;
use crate::app::error::Error as AppError;
use crate::domain::directory::DirectoryCommand;
use crate::domain::plan::PlatformSettings;
use crate::domain::refusal::Refusal;
use crate::handlers::function::Function;
use crate::handlers::ndjson::take_text;
use crate::handlers::platform_event::{self, EventFailed, PlatformEvent};
use crate::telemetry::error_chain;

/// Handles an event of the platform or a request of the HTTP API.
pub async fn handle_event_or_request(
    function: &Function<Deps>,
    event: LambdaEvent<Value>,
) -> Result<Value, Error> {
    platform_event::handle_event_or_request(
        event,
        |event| handle_event(function, event),
        |request| super::handle(function, request),
    )
    .await
}

/// Applies an event.
async fn handle_event(function: &Function<Deps>, event: Value) -> Result<(), EventFailed> {
    let work = async {
        let deps = function.deps()?;
        let event = PlatformEvent::parse(event)?;
        match parse_event(&event.detail_type, event.detail)? {
            Some(parsed) => {
                match event.time {
                    Some(time) => directory::apply_issued(&deps.clients, parsed, time).await?,
                    None => directory::apply(&deps.clients, parsed).await?,
                }
                tracing::info!(
                    event = "directory.event_applied",
                    id = event.id,
                    kind = event.detail_type
                );
            }
            // A newer platform may send detail types that this version does not know.
            None => tracing::warn!(
                event = "directory.event_ignored",
                id = event.id,
                kind = event.detail_type
            ),
        }
        Ok(())
    };
    work.await.map_err(|error: AppError| {
        tracing::error!(event = "directory.event_failed", error = error_chain(&error));
        EventFailed(error)
    })
}

/// Parses an event. Returns `None` for an unknown detail type.
fn parse_event(
    kind: &str,
    mut detail: Map<String, Value>,
) -> Result<Option<DirectoryCommand>, Refusal> {
    let parsed = match kind {
        "CourseUpserted" => command::course(&take_text(&mut detail, "id")?, body(detail)?)?,
        "EnrollmentGranted" => {
            let (course, user) =
                (take_text(&mut detail, "course_id")?, take_text(&mut detail, "user_id")?);
            command::enrollment(&course, &user, body(detail)?)?
        }
        "EnrollmentRevoked" => command::delete_enrollment(
            &take_text(&mut detail, "course_id")?,
            &take_text(&mut detail, "user_id")?,
        )?,
        "UserUpserted" => command::user(&take_text(&mut detail, "id")?, body(detail)?)?,
        "UserDeleted" => command::delete_user(&take_text(&mut detail, "id")?)?,
        "SettingsUpdated" => command::settings(body::<PlatformSettings>(detail)?)?,
        _ => return Ok(None),
    };
    Ok(Some(parsed))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::handlers::detail_types;

    #[test]
    fn every_routed_detail_type_is_parsed_and_others_are_ignored() {
        for kind in detail_types("directory") {
            // Without a detail most events are refused. They must not be ignored.
            assert!(!matches!(parse_event(kind, Map::new()), Ok(None)), "{kind}");
        }
        assert!(matches!(parse_event("CourseDeleted", Map::new()), Ok(None)));
    }
}
