//! A trainer's connection to Zoom.

use jiff::Timestamp;

use super::id::UserId;
use super::scope;
use super::sealed::Sealed;
use super::text::Email;

/// A token handed out must serve at least this long: longer than any function runs.
pub const TOKEN_MARGIN_SECONDS: i64 = 5 * 60;

#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConnectionHealth {
    Connected,
    /// Zoom refused the grant; only the trainer can give a new one.
    ReauthRequired,
}

/// The Zoom user who gave the grant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ZoomUser {
    pub id: String,
    pub account_id: String,
    pub email: Option<Email>,
}

impl ZoomUser {
    /// Their account, if Zoom named it.
    pub fn account(&self) -> Option<&str> {
        Some(self.account_id.as_str()).filter(|account| !account.is_empty())
    }
}

/// A grant as it is kept: the tokens encrypted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ZoomConnection {
    pub trainer: UserId,
    pub health: ConnectionHealth,
    pub zoom_user: ZoomUser,
    pub scopes: Vec<String>,
    pub access_token: Sealed,
    pub refresh_token: Sealed,
    pub access_expires_at: Timestamp,
    /// The address that Zoom gave for this account's REST calls, which may be a regional one.
    pub api_url: Option<String>,
    pub connected_at: Timestamp,
    /// Rises with every change of the tokens, so that a slow refresher cannot overwrite a newer grant.
    pub version: u64,
    /// Who refreshes now, and until when others leave it to them.
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

    /// Whether the access token still serves for as long as a call may need it.
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
