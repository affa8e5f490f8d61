//! The Zoom accounts of a run: the time between calls of one account, and the accounts that have reached a limit.

use std::collections::HashMap;
use std::time::Duration;

use super::outcome::Look;
use crate::app::error::Error;
use crate::domain::session::Session;

/// What a run remembers about Zoom accounts.
#[derive(Debug, Default)]
pub(super) struct Accounts {
    /// How long Zoom wants no calls of an account, from its response in this run.
    limited: HashMap<String, Duration>,
    pub(super) pace: crate::app::zoom_pace::ZoomPace,
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

/// Returns the Zoom account of a session's meeting. Zoom's limits apply to accounts. The account of the oldest meetings is
/// unknown, so the trainer stands for it.
pub(super) fn account_of(session: &Session) -> String {
    session.meeting.account.clone().unwrap_or_else(|| session.trainer.as_str().to_owned())
}
