//! `directory`: courses, enrollments, users, plans and flags from the host platform, by HTTP and as events.

mod event;
mod import;
mod command;

use std::sync::Arc;

use lambda_http::Request;
use serde_json::Value;

use self::command::{CourseBody, EnrollmentBody, UserBody};
use super::deps::{self, CommonDeps};
use super::edge::{HttpResponse, RequestError, Authenticator, ResponseBody, named, route};
use super::function::{self, Function};
use crate::app::{Services, directory};
use crate::clock::Clock;
use crate::config::{ConfigError, Env};
use crate::domain::caller::Role;
use crate::domain::plan::Settings;
use crate::http;
use crate::random::Random;
use crate::secrets::Secrets;

pub use event::{EventFailed, either};

#[derive(Debug)]
pub struct Deps {
    gate: Authenticator,
    tools: Services,
    secrets: Arc<Secrets>,
}

impl function::Deps for Deps {
    fn new(env: &Env, clock: &Clock, random: &Random) -> Result<Self, ConfigError> {
        let base = CommonDeps::new(env, random)?;
        let secrets = base.secrets()?;
        let gate = Authenticator::new(env, base.http.clone(), secrets.clone())?;
        Ok(Self { gate, tools: base.tools(&secrets, clock)?, secrets })
    }

    async fn warm(&self) {
        deps::warm(&self.tools.store, &self.secrets, Some(&self.gate), self.tools.clock.now())
            .await;
    }
}

pub async fn handle(function: &Function<Deps>, request: Request) -> HttpResponse {
    function.answer(request, serve).await
}

async fn serve(deps: &Deps, request: Request) -> Result<ResponseBody, RequestError> {
    let now = deps.tools.clock.now();
    let (route, parameters) = route(&request)?;
    deps.gate.caller_with(&request, &[Role::Service], now).await?;
    let id = named(&parameters, "id");
    match (route.method, route.path) {
        ("POST", "/v1/directory/import") => {
            let lines = http::bytes(&request, http::IMPORT_LIMIT_BYTES)?;
            let read = import::read(lines);
            directory::tell_all(&deps.tools, read.statements).await?;
            ResponseBody::ok(&read.outcome)
        }
        ("PUT", "/v1/directory/settings") => {
            let settings: Settings = http::json(&request)?;
            directory::tell(&deps.tools, command::settings(settings.clone())?).await?;
            ResponseBody::ok(&settings)
        }
        ("PUT", path) => {
            let body: Value = http::json(&request)?;
            let statement = match path {
                "/v1/directory/courses/{id}" => {
                    command::course(id, http::json::<CourseBody>(&request)?)?
                }
                "/v1/directory/users/{id}" => {
                    command::user(id, http::json::<UserBody>(&request)?)?
                }
                "/v1/directory/courses/{id}/enrollments/{user_id}" => command::enrollment(
                    id,
                    named(&parameters, "user_id"),
                    http::json::<EnrollmentBody>(&request)?,
                )?,
                _ => return Err(RequestError::NoRoute),
            };
            directory::tell(&deps.tools, statement).await?;
            ResponseBody::ok(&with_ids(body, &parameters))
        }
        ("DELETE", path) => {
            let statement = match path {
                "/v1/directory/courses/{id}" => command::no_course(id)?,
                "/v1/directory/users/{id}" => command::no_user(id)?,
                "/v1/directory/courses/{id}/enrollments/{user_id}" => {
                    command::no_enrollment(id, named(&parameters, "user_id"))?
                }
                _ => return Err(RequestError::NoRoute),
            };
            directory::tell(&deps.tools, statement).await?;
            Ok(ResponseBody::no_content())
        }
        _ => Err(RequestError::NoRoute),
    }
}

/// What was put, with the ids of its path: the thing as it now stands.
fn with_ids(mut body: Value, parameters: &[(&'static str, String)]) -> Value {
    for (name, value) in parameters {
        let field = if *name == "id" && parameters.len() > 1 { "course_id" } else { *name };
        body[field] = Value::String(value.clone());
    }
    body
}
