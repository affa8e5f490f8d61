//! The addresses of the platform's pages.

use super::http_deps::State;
use crate::config::{ConfigError, Env, names};
use crate::domain::id::SessionId;

/// The base address of the platform's pages, without a slash at its end.
#[derive(Clone, Debug)]
pub struct AppUrl(String);

impl State for AppUrl {
    fn new(env: &Env) -> Result<Self, ConfigError> {
        Ok(Self(env.url(names::APP_URL)?.as_str().trim_end_matches('/').to_owned()))
    }
}

impl AppUrl {
    pub(super) fn base(&self) -> &str {
        &self.0
    }

    /// Returns the address of the guests' page without a token.
    pub(super) fn guest_page(&self) -> String {
        format!("{}/guest", self.0)
    }

    /// Returns the address of a class's page.
    pub(super) fn session_page(&self, session: &SessionId) -> String {
        format!("{}/sessions/{session}", self.0)
    }
}
