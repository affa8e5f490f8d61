//! A Lambda function with its dependencies, or with the setting that it lacks.

use std::time::Duration;

use lambda_http::{Error, Request};
use lambda_runtime::LambdaEvent;
use serde::Serialize;
use serde_json::Value;

use super::deps::log_incomplete;
use super::edge::{self, HttpResponse, RequestError, ResponseBody};
use crate::clock::Clock;
use crate::config::{ConfigError, Env};
use crate::random::Random;

/// The time limit for warming up. It exceeds a normal warm-up, and is far below the 10 s that Lambda allows for
/// initialization, so that a hanging dependency delays the first event and does not end the sandbox.
const WARM_TIMEOUT: Duration = Duration::from_secs(3);

/// The dependencies of a handler, created once before the first event.
pub trait Deps: Sized + Send + Sync {
    /// Reads the settings and creates the clients. Makes no calls.
    fn new(env: &Env, clock: &Clock, random: &Random) -> Result<Self, ConfigError>;

    /// Loads data and opens connections for the first event while the sandbox starts. Failures are ignored, and the
    /// first event tries again.
    fn warm(&self) -> impl Future<Output = ()> + Send;
}

/// A function. If a setting is missing, it logs that at its start and responds with 503.
#[derive(Debug)]
pub struct Function<D> {
    deps: Result<D, ConfigError>,
    clock: Clock,
}

impl<D: Deps> Function<D> {
    /// Creates the function in production.
    pub async fn start(env: &Env) -> Self {
        let function = Self::new(env, Clock::System, &Random::System);
        if let Ok(deps) = &function.deps {
            let warm = tokio::time::timeout(WARM_TIMEOUT, deps.warm()).await;
            if warm.is_err() {
                tracing::warn!(event = "function.warm_up_timed_out");
            }
        }
        function
    }

    pub fn new(env: &Env, clock: Clock, random: &Random) -> Self {
        let deps = D::new(env, &clock, random);
        if let Err(error) = &deps {
            log_incomplete(error);
        }
        Self { deps, clock }
    }

    pub fn deps(&self) -> Result<&D, ConfigError> {
        self.deps.as_ref().map_err(Clone::clone)
    }

    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Responds to a request with `serve`, or with 503 if a setting is missing.
    pub(super) async fn respond<'a, S, F>(&'a self, request: Request, serve: S) -> HttpResponse
    where
        S: FnOnce(&'a D, Request) -> F + Send,
        F: Future<Output = Result<ResponseBody, RequestError>> + Send,
    {
        edge::respond(&self.clock, request, |request| async {
            match &self.deps {
                Ok(deps) => serve(deps, request).await,
                Err(error) => Err(error.clone().into()),
            }
        })
        .await
    }
}

/// Runs a function of the HTTP API, or of a function URL, on Lambda.
pub async fn run_http<D, H, F>(handle: H) -> Result<(), Error>
where
    D: Deps + 'static,
    H: Fn(&'static Function<D>, Request) -> F + Send + Sync,
    F: Future<Output = HttpResponse> + Send + 'static,
{
    let function = start().await;
    let service = |request| {
        let response = handle(function, request);
        async move { Ok::<_, Error>(response.await) }
    };
    lambda_http::run(lambda_http::service_fn(service)).await
}

/// Runs a function that handles other events on Lambda.
pub async fn run_events<D, H, F, R, E>(handle: H) -> Result<(), Error>
where
    D: Deps + 'static,
    H: Fn(&'static Function<D>, LambdaEvent<Value>) -> F,
    F: Future<Output = Result<R, E>>,
    R: Serialize,
    E: Into<lambda_runtime::Diagnostic> + std::fmt::Debug,
{
    let function = start().await;
    lambda_runtime::run(lambda_runtime::service_fn(|event| handle(function, event))).await
}

/// Creates the function of this process. It lives as long as the process.
async fn start<D: Deps + 'static>() -> &'static Function<D> {
    let env = Env::process();
    crate::telemetry::start(&env);
    Box::leak(Box::new(Function::start(&env).await))
}
