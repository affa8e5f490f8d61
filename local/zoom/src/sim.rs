//! `/zoom/sim`: actions of participants in a meeting, and inspection of the state.
//!
//! An action attempts to deliver its webhooks once before the response, so that callers see their effect. Shuffled
//! webhooks wait for the next delivery run (`POST /zoom/sim/webhooks/deliver`, or the stack's own).

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use bytes::Bytes as Body;
use http::StatusCode;
use jiff::Timestamp;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use super::accounts::APP_USER;
use super::apps::App;
use super::context::Context;
use super::participants::NewParticipant;
use super::settings::{SettingsUpdate, set};
use super::sim_error::{SimError, SimResult};
use super::state::Counts;

use super::views::participant_view;
use super::{Zoom, ids, webhooks};

/// Parses a body. An empty body counts as an empty object.
pub(super) fn parse_body<T: DeserializeOwned>(body: &[u8]) -> Result<T, SimError> {
    let body = if body.is_empty() { b"{}" } else { body };
    serde_json::from_slice(body).map_err(|error| SimError::unprocessable(error.to_string()))
}

impl Zoom {
    /// Runs an action and delivers its webhooks.
    pub(super) async fn act<T>(
        &self,
        act: impl FnOnce(&mut Context<'_>) -> Result<T, SimError>,
    ) -> Result<T, SimError> {
        let (result, is_shuffled) =
            self.with_context(|context| (act(context), context.state.settings.webhooks.shuffle));
        if !is_shuffled {
            self.deliver_due().await;
        }
        result
    }
}

pub(super) async fn meetings(State(zoom): State<Zoom>) -> Json<Value> {
    Json(json!({ "items": zoom.meetings() }))
}

pub(super) async fn meeting(State(zoom): State<Zoom>, Path(id): Path<i64>) -> SimResult {
    let meeting = zoom.meeting(id).map(Json);
    meeting.ok_or_else(|| SimError::not_found("The meeting does not exist."))
}

pub(super) async fn delete(State(zoom): State<Zoom>, Path(id): Path<i64>) -> Response {
    let deleted = zoom.act(|context| {
        context.existing_meeting(id)?;
        context.delete_meeting(id).map_err(|_| SimError::not_found("The meeting does not exist."))
    });
    match deleted.await {
        Ok(()) => StatusCode::NO_CONTENT.into_response(),
        Err(error) => error.into_response(),
    }
}

/// The host edits the meeting on Zoom's pages.
pub(super) async fn edit(State(zoom): State<Zoom>, Path(id): Path<i64>, body: Bytes) -> SimResult {
    let changes: Map<String, Value> = parse_body(&body)?;
    zoom.act(|context| {
        let before = context.existing_meeting(id)?.clone();
        context
            .update_meeting(id, &changes)
            .map_err(|_| SimError::unprocessable("Zoom refuses the changes."))?;
        context.emit_updated(&before);
        context.meeting_response(id)
    })
    .await
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Start {
    name: Option<String>,
    customer_key: Option<String>,
}

pub(super) async fn start(State(zoom): State<Zoom>, Path(id): Path<i64>, body: Bytes) -> SimResult {
    let Start { name, customer_key } = parse_body(&body)?;
    zoom.act(|context| {
        context.start_meeting(id, name, customer_key)?;
        context.meeting_response(id)
    })
    .await
}

pub(super) async fn end(State(zoom): State<Zoom>, Path(id): Path<i64>) -> SimResult {
    zoom.act(|context| {
        if context.existing_meeting(id)?.active_instance().is_none() {
            return Err(SimError::conflict("The meeting is not in progress."));
        }
        context.end_meeting(id);
        context.meeting_response(id)
    })
    .await
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Join {
    name: String,
    email: Option<String>,
    customer_key: Option<String>,
    /// The participant dials in. A telephone has neither an address nor a key.
    phone_number: Option<String>,
    /// The `tk` of the personal link that the participant opens.
    tk: Option<String>,
    /// The participant opens the common link of a meeting with registration, and registers with this address in Zoom's
    /// form.
    register: Option<String>,
}

impl Join {
    fn parse(body: &[u8]) -> Result<(NewParticipant, Option<String>), SimError> {
        let Self { name, email, customer_key, phone_number, tk, register } = parse_body(body)?;
        if phone_number.is_some() && (email.is_some() || customer_key.is_some()) {
            return Err(SimError::unprocessable(
                "A telephone has neither an email nor a customer_key.",
            ));
        }
        let email = email.unwrap_or_default();
        Ok((NewParticipant { name, email, customer_key, phone_number, tk }, register))
    }
}

impl Context<'_> {
    /// Lets a participant register themselves, if they do.
    fn with_form(
        &mut self,
        id: i64,
        (mut participant, register): (NewParticipant, Option<String>),
    ) -> Result<NewParticipant, SimError> {
        if let Some(email) = register {
            participant.tk = Some(self.register_by_form(id, &email, &participant.name)?);
        }
        Ok(participant)
    }
}

pub(super) async fn join(State(zoom): State<Zoom>, Path(id): Path<i64>, body: Bytes) -> SimResult {
    let new_participant = Join::parse(&body)?;
    zoom.act(|context| {
        let new_participant = context.with_form(id, new_participant)?;
        context
            .join_meeting(id, new_participant)
            .map(|participant| Json(participant_view(&participant)))
    })
    .await
}

/// Joins the waiting room, until `admit`.
pub(super) async fn wait(State(zoom): State<Zoom>, Path(id): Path<i64>, body: Bytes) -> SimResult {
    let new_participant = Join::parse(&body)?;
    zoom.act(|context| {
        let new_participant = context.with_form(id, new_participant)?;
        context
            .enter_waiting_room(id, new_participant)
            .map(|participant| Json(participant_view(&participant)))
    })
    .await
}

pub(super) async fn admit(State(zoom): State<Zoom>, Path(id): Path<i64>, body: Bytes) -> SimResult {
    let ParticipantRef { participant_uuid } = parse_body(&body)?;
    zoom.act(|context| {
        context.admit(id, &participant_uuid).map(|participant| Json(participant_view(&participant)))
    })
    .await
}

pub(super) async fn put_in_waiting_room(
    State(zoom): State<Zoom>,
    Path(id): Path<i64>,
    body: Bytes,
) -> SimResult {
    let ParticipantRef { participant_uuid } = parse_body(&body)?;
    zoom.act(|context| {
        context
            .put_in_waiting_room(id, &participant_uuid)
            .map(|participant| Json(participant_view(&participant)))
    })
    .await
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Binding {
    participant_uuid: String,
    /// The telephone.
    bind_participant_uuid: String,
}

/// Reports that a telephone belongs to a participant.
pub(super) async fn bind(State(zoom): State<Zoom>, Path(id): Path<i64>, body: Bytes) -> SimResult {
    let Binding { participant_uuid, bind_participant_uuid } = parse_body(&body)?;
    zoom.act(|context| {
        context
            .bind_telephone(id, &participant_uuid, &bind_participant_uuid)
            .map(|participant| Json(participant_view(&participant)))
    })
    .await
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ParticipantRef {
    participant_uuid: String,
}

pub(super) async fn leave(State(zoom): State<Zoom>, Path(id): Path<i64>, body: Bytes) -> SimResult {
    let ParticipantRef { participant_uuid } = parse_body(&body)?;
    zoom.act(|context| {
        context
            .leave_meeting(id, &participant_uuid)
            .map(|participant| Json(participant_view(&participant)))
    })
    .await
}

pub(super) async fn kill(State(zoom): State<Zoom>, Path(id): Path<i64>, body: Bytes) -> SimResult {
    let ParticipantRef { participant_uuid } = parse_body(&body)?;
    zoom.act(|context| {
        context
            .kill_client(id, &participant_uuid)
            .map(|participant| Json(participant_view(&participant)))
    })
    .await
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Move {
    participant_uuid: String,
    /// Name of a breakout room. Absent for the main room.
    room: Option<String>,
}

pub(super) async fn room_move(
    State(zoom): State<Zoom>,
    Path(id): Path<i64>,
    body: Bytes,
) -> SimResult {
    let Move { participant_uuid, room } = parse_body(&body)?;
    zoom.act(|context| {
        context
            .move_to_room(id, &participant_uuid, room.as_deref())
            .map(|participant| Json(participant_view(&participant)))
    })
    .await
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Record {
    action: Option<String>,
}

pub(super) async fn recording(
    State(zoom): State<Zoom>,
    Path(id): Path<i64>,
    body: Bytes,
) -> SimResult {
    let Record { action } = parse_body(&body)?;
    zoom.act(|context| {
        context.apply_recording_action(id, action.as_deref().unwrap_or("complete"))?;
        context.meeting_response(id)
    })
    .await
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Companion {
    action: CompanionAction,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum CompanionAction {
    Start,
    /// Summarises the latest meeting instance.
    Summarize,
}

pub(super) async fn companion(
    State(zoom): State<Zoom>,
    Path(id): Path<i64>,
    body: Bytes,
) -> SimResult {
    let Companion { action } = parse_body(&body)?;
    zoom.act(|context| {
        if context.existing_meeting(id)?.instances.is_empty() {
            return Err(SimError::conflict("The meeting was never started."));
        }
        match action {
            CompanionAction::Start => context.emit_companion_started(id),
            CompanionAction::Summarize => context.emit_summary_completed(id),
        }
        context.meeting_response(id)
    })
    .await
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct UserRef {
    /// An id or an e-mail address. Defaults to the only user with a grant, or else to the app account's user.
    user: Option<String>,
}

impl Context<'_> {
    fn find_user_id(&self, user: Option<&str>) -> Result<String, SimError> {
        let mut granted = self.state.grants.keys();
        let only = granted.next().filter(|_| granted.next().is_none());
        let user = match (user, only) {
            (Some(user), _) => user,
            (None, Some(only)) => only,
            (None, None) => APP_USER,
        };
        let mut users = self.state.users.values();
        users
            .find(|known| known.id == user || known.email.eq_ignore_ascii_case(user))
            .map(|known| known.id.clone())
            .ok_or_else(|| SimError::not_found("The Zoom user does not exist."))
    }

    fn settings_view(&self) -> Value {
        json!({ "knobs": self.state.settings, "accounts": self.state.accounts })
    }

    pub(super) fn update_settings(&mut self, update: SettingsUpdate) {
        for (name, account_update) in &update.accounts {
            let id = self.account_named(name);
            let account = self.account(&id);
            set(&mut account.plan, account_update.plan);
            set(&mut account.forbid, account_update.forbid.clone());
            set(&mut account.licenses, account_update.licenses);
            account.users.apply(account_update.users.clone());
            if account.users.accept_invitations {
                self.accept_invitations(&id);
            }
        }
        self.state.settings.apply(update);
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Deauthorization {
    user: Option<String>,
    /// Another app of the same developer. Our grant stays valid.
    client_id: Option<String>,
    /// The time of an earlier removal, which Zoom reports only now. A grant since then stays valid.
    at: Option<Timestamp>,
}

/// The user removes the app from their account, which invalidates all tokens and sends an event.
pub(super) async fn deauthorize(State(zoom): State<Zoom>, body: Bytes) -> SimResult {
    let Deauthorization { user, client_id, at } = parse_body(&body)?;
    zoom.act(|context| {
        let id = context.find_user_id(user.as_deref())?;
        if client_id.is_none() && at.is_none() {
            context.end_grant(&id);
        }
        let user = context.state.users.get(&id).cloned();
        let user = user.ok_or_else(|| SimError::not_found("The Zoom user does not exist."))?;
        let client_id = client_id.unwrap_or_else(|| context.config.client_id.clone());
        context.emit_deauthorized(&user, &client_id, at.unwrap_or(context.now));
        Ok(Json(json!({ "user_id": user.id, "account_id": user.account_id, "email": user.email })))
    })
    .await
}

/// An administrator of the Zoom account deactivates the user.
pub(super) async fn deactivate(State(zoom): State<Zoom>, body: Bytes) -> SimResult {
    let UserRef { user } = parse_body(&body)?;
    zoom.act(|context| {
        let id = context.find_user_id(user.as_deref())?;
        context.set_active(&id, false);
        Ok(Json(json!({ "user_id": id })))
    })
    .await
}

pub(super) async fn settings(State(zoom): State<Zoom>) -> Json<Value> {
    Json(zoom.inspect(|context| context.settings_view()))
}

pub(super) async fn update_settings(State(zoom): State<Zoom>, body: Bytes) -> SimResult {
    let update = parse_body(&body)?;
    Ok(Json(zoom.with_context(|context| {
        context.update_settings(update);
        context.settings_view()
    })))
}

pub(super) async fn counts(State(zoom): State<Zoom>) -> Json<Counts> {
    Json(zoom.counts())
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct AppRef {
    app: Option<App>,
}

/// Expires the access tokens of one app, or of both. The grants stay valid.
pub(super) async fn expire_tokens(State(zoom): State<Zoom>, body: Bytes) -> Response {
    match parse_body::<AppRef>(&body) {
        Ok(AppRef { app }) => {
            zoom.expire_tokens(app);
            StatusCode::NO_CONTENT.into_response()
        }
        Err(error) => error.into_response(),
    }
}

pub(super) async fn webhooks(State(zoom): State<Zoom>) -> Json<Value> {
    Json(json!({ "items": zoom.webhooks(), "events": webhooks::EVENTS }))
}

pub(super) async fn deliver(State(zoom): State<Zoom>) -> StatusCode {
    zoom.deliver_due().await;
    StatusCode::NO_CONTENT
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Endpoint {
    url: Option<String>,
    /// The app whose endpoint it is.
    #[serde(default)]
    app: App,
}

/// Zoom: before it uses an endpoint, and every 72 hours, it sends a token and expects it back with its HMAC.
pub(super) async fn validate_url(State(zoom): State<Zoom>, body: Bytes) -> SimResult {
    let Endpoint { url, app } = parse_body(&body)?;
    let url = url.or_else(|| zoom.inner.config.webhook_url.clone());
    let url = url.ok_or_else(|| SimError::conflict("No webhook endpoint is configured."))?;
    let (plain_token, now) =
        zoom.with_context(|context| (ids::user_id(context.random), context.now));
    let challenge = json!({
        "event": "endpoint.url_validation",
        "event_ts": now.as_millisecond(),
        "payload": { "plainToken": plain_token },
    });
    let body = Body::from(challenge.to_string());
    let reason = match zoom.post_signed(app, &url, now.as_second(), body).await {
        Err(error) => Some(error),
        Ok(response) if response.status() != StatusCode::OK => {
            Some(format!("The endpoint responded with {}.", response.status()))
        }
        Ok(response) => {
            let secret = zoom.webhook_secret(app);
            let encrypted = webhooks::hmac_hex(secret, plain_token.as_bytes());
            let expected = json!({ "plainToken": plain_token, "encryptedToken": encrypted });
            match response.json::<Value>().await {
                Ok(received) if received == expected => None,
                Ok(_) => Some("The tokens are not the expected ones.".to_owned()),
                Err(_) => Some("The response is not JSON.".to_owned()),
            }
        }
    };
    Ok(Json(json!({ "valid": reason.is_none(), "reason": reason })))
}
