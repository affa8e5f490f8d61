//! A function as its `main` holds it: what it works with, or the setting that it lacks.

use std::time::Duration;

use lambda_http::Request;

use super::edge::{self, HttpResponse, RequestError, ResponseBody};
use crate::clock::Clock;
use crate::config::{ConfigError, Env};
use crate::random::Random;

/// For all that is read ahead: more than any of it takes on a good day, and so little under the 10 s that Lambda gives a
/// start that a service which hangs delays the first event and does not end the sandbox.
const WARM_TIMEOUT: Duration = Duration::from_secs(3);

/// What a handler needs, made once before the first event.
pub trait Deps: Sized + Send + Sync {
    /// Reads the settings and makes the clients. Nothing is called yet.
    fn new(env: &Env, clock: &Clock, random: &Random) -> Result<Self, ConfigError>;

    /// Reads ahead what the first event will want and opens its connections, while the sandbox starts: what fails is
    /// tried again then.
    fn warm(&self) -> impl Future<Output = ()> + Send;
}

/// A function. One that lacks a setting says so at its start, and answers that it is unavailable.
#[derive(Debug)]
pub struct Function<D> {
    deps: Result<D, ConfigError>,
    clock: Clock,
}

impl<D: Deps> Function<D> {
    /// From the process's environment: production.
    pub async fn start(env: &Env) -> Self {
        let function = Self::new(env, Clock::System, &Random::System);
        if let Ok(deps) = &function.deps {
            let warm = tokio::time::timeout(WARM_TIMEOUT, deps.warm()).await;
            if warm.is_err() {
                tracing::warn!(event = "start.slow");
            }
        }
        function
    }

    pub fn new(env: &Env, clock: Clock, random: &Random) -> Self {
        let deps = D::new(env, &clock, random);
        if let Err(error) = &deps {
            tracing::error!(event = "config.incomplete", name = error.name(), %error);
        }
        Self { deps, clock }
    }

    pub fn deps(&self) -> Result<&D, ConfigError> {
        self.deps.as_ref().map_err(Clone::clone)
    }

    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Answers a request by `serve`, or by what is missing.
    pub(super) async fn answer<'a, S, F>(&'a self, request: Request, serve: S) -> HttpResponse
    where
        S: FnOnce(&'a D, Request) -> F + Send,
        F: Future<Output = Result<ResponseBody, RequestError>> + Send,
    {
        edge::answer(&self.clock, request, |request| async {
            match &self.deps {
                Ok(deps) => serve(deps, request).await,
                Err(error) => Err(error.clone().into()),
            }
        })
        .await
    }
}
