//! `directory`: courses, enrollments, users, plans and feature settings from the host platform, by HTTP and as events.

mod command;
mod event;
mod import;

use std::time::Duration;

use lambda_http::Request;
use serde_json::Value;

use self::command::{CourseBody, EnrollmentBody, UserBody};
use super::edge::{HttpResponse, RequestError, ResponseBody, path_parameter, route};
use super::function::Function;
use super::http_deps::HttpDeps;
use super::ndjson::IMPORT_TIME;
use crate::app::Services;
use crate::app::directory::{self, BatchWriter};
use crate::app::error::Error;
use crate::app::run_time::RunTime;
use crate::domain::plan::PlatformSettings;
use crate::http;

pub use command::{HOST_CAPACITY, PILOT_LIMIT, PLANS_LIMIT, WORD_LIMIT_CHARS};
pub use event::handle_event_or_request;

pub type Deps = HttpDeps<Services>;

/// The time for the import of a file without a request. A million lines take less.
const FILE_TIME: Duration = Duration::from_secs(30 * 60);

pub async fn handle(function: &Function<Deps>, request: Request) -> HttpResponse {
    function.respond(request, serve).await
}

/// Imports a file without a request, so without a caller's token, and returns the body of the route's response. The local
/// stack loads its starting data with it.
pub async fn import_file(function: &Function<Deps>, file: &[u8]) -> Result<Value, Error> {
    let mut writer = BatchWriter::new(&function.deps()?.clients);
    let outcome = import::import(file, &mut writer, RunTime::new(FILE_TIME)).await?;
    Ok(serde_json::to_value(outcome).unwrap_or_default())
}

async fn serve(deps: &Deps, request: Request) -> Result<ResponseBody, RequestError> {
    let now = deps.clock.now();
    let (route, parameters) = route(&request)?;
    deps.authenticator.caller(&request, now).await?;
    let id = path_parameter(&parameters, "id");
    match (route.method, route.path) {
        ("POST", "/v1/directory/import") => {
            let file = http::content(&request, http::IMPORT_LIMIT_BYTES)?;
            let mut writer = BatchWriter::new(&deps.clients);
            let time = RunTime::new(IMPORT_TIME);
            let outcome = import::import(file, &mut writer, time).await?;
            ResponseBody::ok(&outcome)
        }
        ("PUT", "/v1/directory/settings") => {
            let settings: PlatformSettings = http::json(&request)?;
            directory::apply(&deps.clients, command::settings(settings.clone())?).await?;
            ResponseBody::ok(&settings.with_defaults())
        }
        ("PUT", path) => {
            let body: Value = http::json(&request)?;
            let command = match path {
                "/v1/directory/courses/{id}" => {
                    command::course(id, http::json::<CourseBody>(&request)?)?
                }
                "/v1/directory/users/{id}" => command::user(id, http::json::<UserBody>(&request)?)?,
                "/v1/directory/courses/{id}/enrollments/{user_id}" => command::enrollment(
                    id,
                    path_parameter(&parameters, "user_id"),
                    http::json::<EnrollmentBody>(&request)?,
                )?,
                _ => return Err(RequestError::UnknownRoute),
            };
            directory::check_plan(&deps.clients, &command).await?;
            directory::apply(&deps.clients, command).await?;
            ResponseBody::ok(&with_ids(body, &parameters))
        }
        ("DELETE", path) => {
            let command = match path {
                "/v1/directory/courses/{id}" => command::delete_course(id)?,
                "/v1/directory/users/{id}" => command::delete_user(id)?,
                "/v1/directory/courses/{id}/enrollments/{user_id}" => {
                    command::delete_enrollment(id, path_parameter(&parameters, "user_id"))?
                }
                _ => return Err(RequestError::UnknownRoute),
            };
            directory::apply(&deps.clients, command).await?;
            Ok(ResponseBody::no_content())
        }
        _ => Err(RequestError::UnknownRoute),
    }
}

/// Returns the body with the ids of the path.
fn with_ids(mut body: Value, parameters: &[(&'static str, String)]) -> Value {
    for (name, value) in parameters {
        let field = if *name == "id" && parameters.len() > 1 { "course_id" } else { *name };
        body[field] = Value::String(value.clone());
    }
    body
}
