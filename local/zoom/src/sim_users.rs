//! `/zoom/sim/users`: the users of all accounts, and what people do outside the API.

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use serde::Deserialize;
use serde_json::{Value, json};

use super::Zoom;
use super::accounts::NewUser;
use super::context::Context;
use super::licences::LICENSED;
use super::responses::instant;
use super::sim::parse_body;
use super::sim_error::{SimError, SimResult};
use super::state::{User, UserOrigin, UserStatus};

pub(super) async fn list(State(zoom): State<Zoom>) -> Json<Value> {
    Json(json!({ "items": zoom.users() }))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Person {
    email: String,
    /// `app`, `other` or an account's id.
    account: Option<String>,
    first_name: Option<String>,
    /// Zoom's user type.
    licence: Option<i64>,
}

/// An administrator adds a user on Zoom's web pages, or a person gets a user in another account.
pub(super) async fn create(State(zoom): State<Zoom>, body: Bytes) -> SimResult {
    let person: Person = parse_body(&body)?;
    zoom.act(|context| {
        if context.user_with_email(&person.email).is_some() {
            return Err(SimError::conflict("The Zoom user exists."));
        }
        let account_id = context.account_named(person.account.as_deref().unwrap_or("other"));
        let name = person.first_name.as_deref().unwrap_or_default();
        let licence = person.licence.unwrap_or(LICENSED);
        let user = NewUser::named(&person.email, name, licence, UserOrigin::Create);
        let id = context.add_user(&account_id, user);
        context.user_response(&id)
    })
    .await
}

/// The user accepts the invitation to the account.
pub(super) async fn accept(State(zoom): State<Zoom>, Path(user): Path<String>) -> SimResult {
    zoom.act(|context| {
        let id = context.invited_user_id(&user)?;
        context.accept_invitation(&id);
        context.user_response(&id)
    })
    .await
}

/// The user's invitation expires.
pub(super) async fn expire(State(zoom): State<Zoom>, Path(user): Path<String>) -> SimResult {
    zoom.act(|context| {
        let id = context.invited_user_id(&user)?;
        let now = context.now;
        if let Some(user) = context.state.users.get_mut(&id) {
            user.invited_until = Some(now);
        }
        context.user_response(&id)
    })
    .await
}

impl Context<'_> {
    fn invited_user_id(&self, name: &str) -> Result<String, SimError> {
        let mut users = self.state.users.values();
        let user = users
            .find(|user| user.id == name || user.email.eq_ignore_ascii_case(name))
            .ok_or_else(|| SimError::not_found("The Zoom user does not exist."))?;
        match user.status(self.now) {
            UserStatus::Pending => Ok(user.id.clone()),
            _ => Err(SimError::conflict("The Zoom user has no valid invitation.")),
        }
    }

    fn user_response(&self, id: &str) -> SimResult {
        let user = self.state.users.get(id);
        let user = user.ok_or_else(|| SimError::not_found("The Zoom user does not exist."))?;
        Ok(Json(self.user_view(user)))
    }

    pub(super) fn user_view(&self, user: &User) -> Value {
        json!({
            "id": user.id,
            "email": user.email,
            "account_id": user.account_id,
            "display_name": user.display_name(),
            "status": user.status(self.now).name(),
            "licence": user.licence,
            "origin": user.origin,
            "owner": user.owner,
            "invited_until": user.invited_until.map(instant),
            "live_meetings": self.live_meetings(&user.id),
        })
    }
}
