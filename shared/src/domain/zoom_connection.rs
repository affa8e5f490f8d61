//! Zoom connections: the OAuth grants of trainers.

use jiff::Timestamp;

use super::id::UserId;
use super::scope;
use super::sealed::Sealed;
use super::text::Email;

/// The minimum remaining lifetime of an access token that we use. It is longer than any function runs.
pub const TOKEN_MARGIN_SECONDS: i64 = 5 * 60;

#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConnectionHealth {
    Connected,
    /// Zoom rejected the grant, and the trainer must connect again.
    ReauthRequired,
}

/// The Zoom user of the grant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ZoomUser {
    pub id: String,
    pub account_id: String,
    pub email: Option<Email>,
}

impl ZoomUser {
    /// Returns the account id, if Zoom gave one.
    pub fn account(&self) -> Option<&str> {
        Some(self.account_id.as_str()).filter(|account| !account.is_empty())
    }
}

/// A stored OAuth grant with encrypted tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ZoomConnection {
    pub trainer: UserId,
    pub health: ConnectionHealth,
    pub zoom_user: ZoomUser,
    pub scopes: Vec<String>,
    pub access_token: Sealed,
    pub refresh_token: Sealed,
    pub access_expires_at: Timestamp,
    /// The base URL that Zoom gave for this account's REST calls. It may be regional.
    pub api_url: Option<String>,
    pub connected_at: Timestamp,
    /// Incremented by every change of the tokens, so a slow refresh cannot overwrite a newer grant.
    pub version: u64,
    /// The lease of the process that is refreshing the tokens.
    pub lease: Option<RefreshLease>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefreshLease {
    pub holder: String,
    pub until: Timestamp,
}

impl ZoomConnection {
    pub fn missing_scopes(&self) -> Vec<String> {
        scope::missing(&self.scopes)
    }

    /// Returns whether the access token remains valid for at least the margin.
    pub fn is_fresh(&self, now: Timestamp) -> bool {
        self.access_expires_at.as_second() - now.as_second() >= TOKEN_MARGIN_SECONDS
    }

    pub fn is_leased(&self, now: Timestamp) -> bool {
        self.lease.as_ref().is_some_and(|lease| lease.until > now)
    }

    pub fn is_leased_by(&self, holder: &str) -> bool {
        self.lease.as_ref().is_some_and(|lease| lease.holder == holder)
    }
}
