//! `/zoom/sim`: a seat from which to act as the people in a meeting, and to look into what Zoom remembers.
//!
//! An action sends its webhooks before it answers, each tried once, so that whoever called sees the effect; unless
//! they are shuffled, which holds them back until the next round (`POST /zoom/sim/webhooks/deliver`, or the stack's).

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use bytes::Bytes as Body;
use http::StatusCode;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::desk::Desk;
use super::knobs::{Turn, set};
use super::memory::Counts;
use super::people::Guest;
use super::users::{APP_USER, Side};
use super::views::participant_view;
use super::{Zoom, ids, webhooks};

/// What cannot be done as things stand, in a sentence.
#[derive(Debug)]
pub(super) struct Impossible {
    status: StatusCode,
    error: String,
}

impl Impossible {
    pub(super) fn new(status: StatusCode, error: impl Into<String>) -> Self {
        Self { status, error: error.into() }
    }

    pub(super) fn not_found(error: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, error)
    }

    pub(super) fn conflict(error: &str) -> Self {
        Self::new(StatusCode::CONFLICT, error)
    }

    pub(super) fn unprocessable(error: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, error)
    }
}

impl IntoResponse for Impossible {
    fn into_response(self) -> Response {
        (self.status, Json(json!({ "error": self.error }))).into_response()
    }
}

pub(super) type Done = Result<Json<Value>, Impossible>;

/// A body, where none at all is an empty object.
fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, Impossible> {
    let body = if body.is_empty() { b"{}" } else { body };
    serde_json::from_slice(body).map_err(|error| Impossible::unprocessable(error.to_string()))
}

impl Zoom {
    /// Does something and sends what follows from it.
    async fn act<T>(
        &self,
        act: impl FnOnce(&mut Desk<'_>) -> Result<T, Impossible>,
    ) -> Result<T, Impossible> {
        let (done, held_back) =
            self.at_desk(|desk| (act(desk), desk.memory.knobs.webhooks.shuffle));
        if !held_back {
            self.deliver_due().await;
        }
        done
    }
}

pub(super) async fn meetings(State(zoom): State<Zoom>) -> Json<Value> {
    Json(json!({ "items": zoom.meetings() }))
}

pub(super) async fn meeting(State(zoom): State<Zoom>, Path(id): Path<i64>) -> Done {
    let shown = zoom.meeting(id).map(Json);
    shown.ok_or_else(|| Impossible::not_found("There is no such meeting."))
}

pub(super) async fn delete(State(zoom): State<Zoom>, Path(id): Path<i64>) -> Response {
    let deleted = zoom.act(|desk| {
        desk.sim_meeting(id)?;
        desk.delete_meeting(id).map_err(|_| Impossible::not_found("There is no such meeting."))
    });
    match deleted.await {
        Ok(()) => StatusCode::NO_CONTENT.into_response(),
        Err(impossible) => impossible.into_response(),
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Start {
    name: Option<String>,
    customer_key: Option<String>,
}

pub(super) async fn start(State(zoom): State<Zoom>, Path(id): Path<i64>, body: Bytes) -> Done {
    let Start { name, customer_key } = read(&body)?;
    zoom.act(|desk| {
        desk.start_meeting(id, name, customer_key)?;
        desk.shown(id)
    })
    .await
}

pub(super) async fn end(State(zoom): State<Zoom>, Path(id): Path<i64>) -> Done {
    zoom.act(|desk| {
        if desk.sim_meeting(id)?.running().is_none() {
            return Err(Impossible::conflict("The meeting is not in progress."));
        }
        desk.end_meeting(id);
        desk.shown(id)
    })
    .await
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Join {
    name: String,
    email: Option<String>,
    customer_key: Option<String>,
}

pub(super) async fn join(State(zoom): State<Zoom>, Path(id): Path<i64>, body: Bytes) -> Done {
    let Join { name, email, customer_key } = read(&body)?;
    let guest = Guest { name, email: email.unwrap_or_default(), customer_key };
    zoom.act(|desk| desk.join_meeting(id, guest).map(|who| Json(participant_view(&who)))).await
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Who {
    participant_uuid: String,
}

pub(super) async fn leave(State(zoom): State<Zoom>, Path(id): Path<i64>, body: Bytes) -> Done {
    let Who { participant_uuid } = read(&body)?;
    zoom.act(|desk| {
        desk.leave_meeting(id, &participant_uuid).map(|who| Json(participant_view(&who)))
    })
    .await
}

pub(super) async fn kill(State(zoom): State<Zoom>, Path(id): Path<i64>, body: Bytes) -> Done {
    let Who { participant_uuid } = read(&body)?;
    zoom.act(|desk| desk.kill_client(id, &participant_uuid).map(|who| Json(participant_view(&who))))
        .await
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Move {
    participant_uuid: String,
    /// A breakout room's name; none is the main room.
    room: Option<String>,
}

pub(super) async fn room_move(State(zoom): State<Zoom>, Path(id): Path<i64>, body: Bytes) -> Done {
    let Move { participant_uuid, room } = read(&body)?;
    zoom.act(|desk| {
        desk.move_to_room(id, &participant_uuid, room.as_deref())
            .map(|who| Json(participant_view(&who)))
    })
    .await
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Record {
    action: Option<String>,
}

pub(super) async fn recording(State(zoom): State<Zoom>, Path(id): Path<i64>, body: Bytes) -> Done {
    let Record { action } = read(&body)?;
    zoom.act(|desk| {
        desk.record_meeting(id, action.as_deref().unwrap_or("complete"))?;
        desk.shown(id)
    })
    .await
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Named {
    /// An id or an e-mail address; otherwise the only user with a grant, otherwise the app account's user.
    user: Option<String>,
}

impl Desk<'_> {
    fn user_named(&self, named: Option<&str>) -> Result<String, Impossible> {
        let mut granted = self.memory.grants.keys();
        let only = granted.next().filter(|_| granted.next().is_none());
        let named = match (named, only) {
            (Some(named), _) => named,
            (None, Some(only)) => only,
            (None, None) => APP_USER,
        };
        let mut users = self.memory.users.values();
        users
            .find(|user| user.id == named || user.email.eq_ignore_ascii_case(named))
            .map(|user| user.id.clone())
            .ok_or_else(|| Impossible::not_found("There is no such Zoom user."))
    }

    fn knobs_view(&self) -> Value {
        json!({ "knobs": self.memory.knobs, "accounts": self.memory.accounts })
    }

    pub(super) fn turn_knobs(&mut self, turn: Turn) {
        for (name, changed) in &turn.accounts {
            let id = match name.as_str() {
                "app" => self.account_of(Side::App),
                "other" => self.account_of(Side::Other),
                id => id.to_owned(),
            };
            let account = self.account(&id);
            set(&mut account.plan, changed.plan);
            set(&mut account.forbid, changed.forbid.clone());
            set(&mut account.licenses, changed.licenses);
        }
        self.memory.knobs.turn(turn);
    }
}

/// The user takes the app out of their account: every token is dead, and the app is told.
pub(super) async fn deauthorize(State(zoom): State<Zoom>, body: Bytes) -> Done {
    let Named { user } = read(&body)?;
    zoom.act(|desk| {
        let id = desk.user_named(user.as_deref())?;
        desk.end_grant(&id);
        let user = desk.memory.users.get(&id).cloned();
        let user = user.ok_or_else(|| Impossible::not_found("There is no such Zoom user."))?;
        desk.tell_deauthorized(&user);
        Ok(Json(json!({ "user_id": user.id, "account_id": user.account_id, "email": user.email })))
    })
    .await
}

/// An administrator of the Zoom account switches the user off.
pub(super) async fn deactivate(State(zoom): State<Zoom>, body: Bytes) -> Done {
    let Named { user } = read(&body)?;
    zoom.act(|desk| {
        let id = desk.user_named(user.as_deref())?;
        desk.set_active(&id, false);
        Ok(Json(json!({ "user_id": id })))
    })
    .await
}

pub(super) async fn knobs(State(zoom): State<Zoom>) -> Json<Value> {
    Json(zoom.at_desk(|desk| desk.knobs_view()))
}

pub(super) async fn turn_knobs(State(zoom): State<Zoom>, body: Bytes) -> Done {
    let turn = read(&body)?;
    Ok(Json(zoom.at_desk(|desk| {
        desk.turn_knobs(turn);
        desk.knobs_view()
    })))
}

pub(super) async fn counts(State(zoom): State<Zoom>) -> Json<Counts> {
    Json(zoom.counts())
}

/// Every access token expires now, as if an hour had gone by; the grants live on.
pub(super) async fn expire_tokens(State(zoom): State<Zoom>) -> StatusCode {
    zoom.expire_access_tokens();
    StatusCode::NO_CONTENT
}

pub(super) async fn webhooks(State(zoom): State<Zoom>) -> Json<Value> {
    Json(json!({ "items": zoom.webhooks() }))
}

pub(super) async fn deliver(State(zoom): State<Zoom>) -> StatusCode {
    zoom.deliver_due().await;
    StatusCode::NO_CONTENT
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Endpoint {
    url: Option<String>,
}

/// Zoom: before it uses an endpoint, and every 72 hours, it sends a token and wants it back with its HMAC.
pub(super) async fn validate_url(State(zoom): State<Zoom>, body: Bytes) -> Done {
    let Endpoint { url } = read(&body)?;
    let url = url.or_else(|| zoom.inner.config.webhook_url.clone());
    let url = url.ok_or_else(|| Impossible::conflict("There is no webhook endpoint."))?;
    let (plain_token, now) = zoom.at_desk(|desk| (ids::user_id(desk.random), desk.now));
    let challenge = json!({
        "event": "endpoint.url_validation",
        "event_ts": now.as_millisecond(),
        "payload": { "plainToken": plain_token },
    });
    let body = Body::from(challenge.to_string());
    let reason = match zoom.post_signed(&url, now.as_second(), body).await {
        Err(error) => Some(error),
        Ok(answer) if answer.status() != StatusCode::OK => {
            Some(format!("The endpoint answered {}.", answer.status()))
        }
        Ok(answer) => {
            let secret = &zoom.inner.config.webhook_secret;
            let encrypted = webhooks::hmac_hex(secret, plain_token.as_bytes());
            let expected = json!({ "plainToken": plain_token, "encryptedToken": encrypted });
            match answer.json::<Value>().await {
                Ok(answered) if answered == expected => None,
                Ok(_) => Some("The tokens are not the expected ones.".to_owned()),
                Err(_) => Some("The answer is not JSON.".to_owned()),
            }
        }
    };
    Ok(Json(json!({ "valid": reason.is_none(), "reason": reason })))
}
