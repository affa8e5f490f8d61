//! `operations`: capabilities of callers, runs of sweeps, suppressed addresses, and logs for administrators. One submodule per
//! subject.

mod capabilities;
mod logs;
mod runs;
mod suppressions;

use lambda_http::Request;

use super::deps;
use super::edge::{HttpResponse, RequestError, ResponseBody, route};
use super::function::Function;
use super::http_deps::{HttpDeps, State};
use crate::config::{ConfigError, Env, names};
use crate::domain::hosting::HostingPolicy;
use crate::domain::session_window::JoinWindowSettings;
use crate::store::Store;

pub type Deps = HttpDeps<Store, OperationsConfig>;

/// The settings that callers learn as part of their capabilities.
#[derive(Debug)]
pub struct OperationsConfig {
    hosting: HostingPolicy,
    window: JoinWindowSettings,
    disclaimer: Option<String>,
}

impl State for OperationsConfig {
    fn new(env: &Env) -> Result<Self, ConfigError> {
        let window = deps::join_window_settings(env);
        let hosting = env.parsed(names::ZOOM_HOSTING, HostingPolicy::default());
        let disclaimer = env.optional(names::DISCLAIMER);
        Ok(Self { hosting: hosting?, window: window?, disclaimer })
    }
}

pub async fn handle(function: &Function<Deps>, request: Request) -> HttpResponse {
    function.respond(request, serve).await
}

async fn serve(deps: &Deps, request: Request) -> Result<ResponseBody, RequestError> {
    let (route, parameters) = route(&request)?;
    match (route.method, route.path) {
        ("GET", "/v1/me/capabilities") => capabilities::serve(deps, &request).await,
        ("GET", "/v1/logs/sessions") => logs::serve_sessions(deps, &request).await,
        ("GET", "/v1/logs/meetings/{number}") => {
            logs::serve_meeting(deps, &request, &parameters).await
        }
        ("POST", "/v1/runs") => runs::create(deps, &request).await,
        ("GET", "/v1/runs") => runs::list(deps, &request).await,
        ("GET", "/v1/runs/{id}") => runs::show(deps, &request, &parameters).await,
        ("GET", "/v1/suppressions") => suppressions::list(deps, &request).await,
        ("DELETE", "/v1/suppressions/{email}") => {
            suppressions::delete(deps, &request, &parameters).await
        }
        _ => Err(RequestError::UnknownRoute),
    }
}
