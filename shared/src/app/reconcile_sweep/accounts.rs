//! The Zoom accounts of a run: the time between calls of one account, and the accounts that have reached a limit.

use std::collections::HashMap;
use std::time::Duration;

use super::outcome::Look;
use crate::app::error::Error;
use crate::app::zoom_rate_limiter::{ZoomRateLimiter, account_of};
use crate::domain::session::Session;

/// The Zoom accounts of a run, as far as they answered.
#[derive(Debug, Default)]
pub(super) struct Accounts {
    /// How long Zoom wants no calls of an account, from its response in this run.
    limited: HashMap<String, Duration>,
    pub(super) limiter: ZoomRateLimiter,
}

impl Accounts {
    /// Returns the error for a session of an account that has reached a limit in this run.
    pub(super) fn limited(&self, session: &Session) -> Option<Error> {
        self.limited.get(&account_of(session)).map(|after| Error::ZoomLimited { after: *after })
    }

    /// Remembers a limit, so that the account's other sessions leave its calls to people.
    pub(super) fn remember(&mut self, session: &Session, look: &Result<Look, Error>) {
        if let Err(Error::ZoomLimited { after }) = look {
            self.limited.insert(account_of(session), *after);
        }
    }
}
