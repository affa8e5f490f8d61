//! `GET /users/{user}/token`: tokens to start meetings (ZAK) and to join on a user's behalf (OBF).

use axum::extract::{Path, Query, State};
use http::{HeaderMap, StatusCode};
use serde_json::json;

use super::context::Context;
use super::listing::{Parameters, number};
use super::responses::{ApiError, ApiResult, ok};
use super::state::JoinToken;
use super::{Zoom, ids, scopes};

/// Zoom: ZAK and OBF tokens are valid for two hours by default and for a year at most.
const JOIN_TOKEN_SECONDS: i64 = 7200;
const MAX_JOIN_TOKEN_SECONDS: i64 = 365 * 24 * 3600;

pub(super) async fn token(
    State(zoom): State<Zoom>,
    Path(user): Path<String>,
    Query(query): Query<Parameters>,
    headers: HeaderMap,
) -> ApiResult {
    zoom.with_context(|context| {
        let caller = context.authenticate(&headers, scopes::GET_TOKEN)?;
        let user = context.host_in_path(&caller, &user)?;
        let seconds = number(&query, "ttl")?.unwrap_or(JOIN_TOKEN_SECONDS);
        if !(1..=MAX_JOIN_TOKEN_SECONDS).contains(&seconds) {
            return Err(ApiError::invalid_field("ttl", "Invalid field."));
        }
        let meeting_id = match query.get("type").map(String::as_str) {
            Some("zak") => None,
            Some("onbehalf") => {
                let meeting_id = number(&query, "meeting_id")?;
                Some(context.meeting_with_host_present(&user.id, meeting_id)?)
            }
            None | Some("token") => {
                let message = "Token is no longer supported. Please use ZAK token instead.";
                return Err(ApiError::invalid_field("type", message));
            }
            Some(_) => return Err(ApiError::invalid_field("type", "Invalid field.")),
        };
        let token = context.issue_join_token(&user.id, meeting_id, seconds);
        Ok(ok(json!({ "token": token })))
    })
}

impl Context<'_> {
    /// Zoom: an on-behalf token is for one meeting, and its host must be present. The error code is not documented, so a
    /// client should check the status.
    fn meeting_with_host_present(
        &self,
        user_id: &str,
        meeting_id: Option<i64>,
    ) -> Result<i64, ApiError> {
        let id = meeting_id
            .ok_or_else(|| ApiError::invalid_field("meeting_id", "Field is required."))?;
        let meeting = self
            .state
            .meetings
            .get(&id)
            .filter(|meeting| !meeting.deleted)
            .ok_or_else(|| ApiError::no_such_meeting(&id.to_string()))?;
        let present = meeting.active_instance().is_some_and(|instance| {
            instance.participants.iter().any(|participant| {
                participant.leave_time.is_none()
                    && participant.zoom_user_id.as_deref() == Some(user_id)
            })
        });
        if present {
            return Ok(id);
        }
        let message = format!("The user is not in the meeting: {id}.");
        Err(ApiError::new(StatusCode::BAD_REQUEST, 3000, message))
    }

    pub(super) fn issue_join_token(
        &mut self,
        user_id: &str,
        meeting_id: Option<i64>,
        seconds: i64,
    ) -> String {
        let now = self.now;
        self.state.join_tokens.retain(|_, token| token.expires_at > now);
        let token = ids::token(self.random);
        let expires_at = self.after(seconds);
        let join_token = JoinToken { user_id: user_id.to_owned(), meeting_id, expires_at };
        self.state.join_tokens.insert(token.clone(), join_token);
        token
    }

    /// Issues the ZAK in a start link.
    pub(super) fn start_token(&mut self, user_id: &str) -> String {
        self.issue_join_token(user_id, None, JOIN_TOKEN_SECONDS)
    }
}
