//! Tokens with which a client starts or joins a meeting. They are valid for two hours at most, so they are fetched on
//! demand and never stored.

use jiff::Timestamp;
use serde_json::Value;

use super::client::{Access, ApiCall, Zoom};
use super::error::ZoomError;
use crate::domain::id::MeetingId;
use crate::secret::Secret;

impl Zoom {
    /// Returns a ZAK, with which the Meeting SDK starts a meeting as its host.
    pub async fn zak(&self, access: &Access, now: Timestamp) -> Result<Secret, ZoomError> {
        self.fetch_user_token(access, &[("type", "zak")], now).await
    }

    /// Returns an on-behalf (OBF) token, with which the Meeting SDK joins a meeting outside the app's own account while
    /// the host is in the meeting.
    pub async fn on_behalf_token(
        &self,
        access: &Access,
        meeting: MeetingId,
        now: Timestamp,
    ) -> Result<Secret, ZoomError> {
        self.fetch_user_token(
            access,
            &[("type", "onbehalf"), ("meeting_id", &meeting.to_string())],
            now,
        )
        .await
    }

    async fn fetch_user_token(
        &self,
        access: &Access,
        query: &[(&str, &str)],
        now: Timestamp,
    ) -> Result<Secret, ZoomError> {
        let path = access.user_path("/token");
        let body: Value =
            self.send_with_retry(access, ApiCall::get(&path).query(query), now).await?.json()?;
        let token = body["token"].as_str().filter(|token| !token.is_empty());
        token
            .map(Secret::new)
            .ok_or_else(|| ZoomError::Unavailable { reason: "no token in the response".to_owned() })
    }
}
