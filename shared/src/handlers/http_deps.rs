//! The dependencies of a function that serves callers with a token.

use std::sync::Arc;

use super::deps::{self, CommonDeps};
use super::edge::Authenticator;
use super::function;
use crate::app::Services;
use crate::clock::Clock;
use crate::config::{ConfigError, Env};
use crate::random::Random;
use crate::secrets::{SecretSet, Secrets};
use crate::store::Store;

/// The dependencies that all such functions share, the clients `C`, and the settings and caches `S` of one function.
#[derive(Debug)]
pub struct HttpDeps<C, S = ()> {
    pub(super) authenticator: Authenticator,
    pub(super) secrets: Arc<Secrets>,
    pub(super) clients: C,
    pub(super) state: S,
    pub(super) clock: Clock,
    pub(super) random: Random,
}

/// The clients of a function. Each choice needs other rights.
pub trait Clients: Sized + Send + Sync {
    fn new(base: &CommonDeps, secrets: &Arc<Secrets>, clock: &Clock) -> Result<Self, ConfigError>;

    /// Returns the client that warms up the connection to DynamoDB.
    fn store(&self) -> &Store;

    /// Checks that the secret fits the environment.
    fn check_secret(&self, _: &SecretSet) -> Result<(), ConfigError> {
        Ok(())
    }
}

/// The settings and caches of one function.
pub trait State: Sized + Send + Sync {
    fn new(env: &Env) -> Result<Self, ConfigError>;
}

impl<C: Clients, S: State> function::Deps for HttpDeps<C, S> {
    fn new(env: &Env, clock: &Clock, random: &Random) -> Result<Self, ConfigError> {
        let base = CommonDeps::new(env, random)?;
        let secrets = base.secrets()?;
        Ok(Self {
            authenticator: Authenticator::new(env, base.http.clone(), secrets.clone())?,
            clients: C::new(&base, &secrets, clock)?,
            state: S::new(env)?,
            secrets,
            clock: clock.clone(),
            random: random.clone(),
        })
    }

    async fn warm(&self) {
        let (store, authenticator) = (self.clients.store(), Some(&self.authenticator));
        let now = self.clock.now();
        deps::warm(store, &self.secrets, authenticator, now).await;
        if let Ok(secrets) = self.secrets.get(now).await
            && let Err(error) = self.clients.check_secret(&secrets)
        {
            deps::log_incomplete(&error);
        }
    }
}

/// For functions that read and write the main table only.
impl Clients for Store {
    fn new(base: &CommonDeps, _: &Arc<Secrets>, _: &Clock) -> Result<Self, ConfigError> {
        base.store()
    }

    fn store(&self) -> &Store {
        self
    }
}

/// For functions that call Zoom.
impl Clients for Services {
    fn new(base: &CommonDeps, secrets: &Arc<Secrets>, clock: &Clock) -> Result<Self, ConfigError> {
        base.services(secrets, clock)
    }

    fn store(&self) -> &Store {
        &self.store
    }

    /// Only the classes that the platform hosts need the account, so the function serves the others.
    fn check_secret(&self, secrets: &SecretSet) -> Result<(), ConfigError> {
        match secrets.zoom_account() {
            Ok(account) => self.hosting.check_account(&account.account_id),
            Err(_) => Ok(()),
        }
    }
}

/// For functions without own settings.
impl State for () {
    fn new(_: &Env) -> Result<Self, ConfigError> {
        Ok(())
    }
}
