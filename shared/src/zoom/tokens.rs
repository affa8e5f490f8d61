//! Tokens for getting into a meeting. They live two hours at most: fetched when they are needed, never stored.

use jiff::Timestamp;
use reqwest::Method;
use serde_json::Value;

use super::client::{Access, Zoom};
use super::error::ZoomError;
use crate::domain::id::MeetingId;
use crate::secret::Secret;

impl Zoom {
    /// A ZAK: by it the Meeting SDK starts the meeting as its host.
    pub async fn zak(&self, access: &Access, now: Timestamp) -> Result<Secret, ZoomError> {
        self.user_token(access, &[("type", "zak")], now).await
    }

    /// An OBF token: by it the Meeting SDK joins this meeting outside the app's own account, while the host is in it.
    pub async fn on_behalf_token(
        &self,
        access: &Access,
        meeting: MeetingId,
        now: Timestamp,
    ) -> Result<Secret, ZoomError> {
        self.user_token(access, &[("type", "onbehalf"), ("meeting_id", &meeting.to_string())], now)
            .await
    }

    async fn user_token(
        &self,
        access: &Access,
        query: &[(&str, &str)],
        now: Timestamp,
    ) -> Result<Secret, ZoomError> {
        let body: Value = self
            .repeatable(access, Method::GET, "/users/me/token", query, None, now)
            .await?
            .json()?;
        let token = body["token"].as_str().filter(|token| !token.is_empty());
        token
            .map(Secret::new)
            .ok_or_else(|| ZoomError::Busy { what: "no token in the answer".to_owned() })
    }
}
