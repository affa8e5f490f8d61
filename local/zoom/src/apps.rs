//! The two apps that call Zoom: the app that users authorise, and the account's own Server-to-Server app.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Which of the apps has a token or gets an event.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum App {
    /// Users authorise it on the consent page.
    #[default]
    User,
    /// The Server-to-Server app. It acts for one account and needs no user.
    Server,
}

/// The registration of a Server-to-Server app at Zoom.
#[derive(Clone)]
pub struct ServerApp {
    /// The account for which the app acts.
    pub account_id: String,
    pub client_id: String,
    pub client_secret: String,
    pub webhook_secret: String,
    /// The granted scopes, such as `user:read:user:admin`.
    pub scopes: Vec<String>,
}

impl fmt::Debug for ServerApp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerApp")
            .field("account_id", &self.account_id)
            .field("client_id", &self.client_id)
            .finish_non_exhaustive()
    }
}
