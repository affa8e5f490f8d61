//! Zoom users: sign-in, `/zoom/v2/users`, and tokens to start and join meetings.

use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use http::{HeaderMap, StatusCode, header};
use serde_json::{Value, json};

use super::context::Context;
use super::fields::{self, AllowedIn, Field, Kind, field, required};
use super::listing::{Parameters, number};
use super::responses::{ApiError, ApiResult, created, instant, no_content, ok};
use super::state::{JoinToken, User};
use super::{Zoom, ids, scopes};

/// Default users of the consent page.
pub const APP_USER: &str = "trainer@app.zoom.test";
pub const OTHER_USER: &str = "trainer@other.zoom.test";

/// The account outside the app's own account.
pub const OTHER_ACCOUNT: &str = "other-zoom-account";

/// Zoom: ZAK and OBF tokens are valid for two hours by default and for a year at most.
const JOIN_TOKEN_SECONDS: i64 = 7200;
const MAX_JOIN_TOKEN_SECONDS: i64 = 365 * 24 * 3600;

const BASIC: i64 = 1;
const LICENSED: i64 = 2;

/// The Zoom account on the consent page: the app's own or another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AccountChoice {
    App,
    Other,
}

const NEW_USER: &[Field] = &[
    required("action", Kind::Word(&["create", "autoCreate", "custCreate", "ssoCreate"])),
    required(
        "user_info",
        Kind::Object(&[
            required("email", Kind::Text(128)),
            field("first_name", Kind::Text(64)),
            field("last_name", Kind::Text(64)),
            field("display_name", Kind::Text(128)),
            field("password", Kind::Text(32)),
            required("type", Kind::Number(&[1, 2, 4, 99])),
        ]),
    ),
];

const USER: &[Field] = &[
    field("first_name", Kind::Text(64)),
    field("last_name", Kind::Text(64)),
    field("display_name", Kind::Text(128)),
    field("timezone", Kind::AnyText),
    field("type", Kind::Number(&[1, 2, 4, 99])),
];

const USER_STATUS: &[Field] = &[required("action", Kind::Word(&["activate", "deactivate"]))];

pub(super) async fn get(
    State(zoom): State<Zoom>,
    Path(user): Path<String>,
    headers: HeaderMap,
) -> ApiResult {
    zoom.with_context(|context| {
        let caller = context.authenticate(&headers, scopes::GET_USER)?;
        let user = context.user_in_path(&caller, &user)?;
        Ok(ok(user_body(&user)))
    })
}

pub(super) async fn create(State(zoom): State<Zoom>, headers: HeaderMap, body: Bytes) -> ApiResult {
    zoom.with_context(|context| {
        context.authenticate(&headers, scopes::CREATE_USER)?;
        let body = fields::parse_body(&body, content_type(&headers), NEW_USER, AllowedIn::Create)?;
        let text = |name: &str| body["user_info"][name].as_str().unwrap_or_default().to_owned();
        let email = text("email");
        if context.state.users.values().any(|user| user.email.eq_ignore_ascii_case(&email)) {
            let message = format!("Email \"{email}\" has already been used.");
            return Err(ApiError::new(StatusCode::CONFLICT, 1005, message));
        }
        let account_id = context.config.app_account_id.clone();
        let licence = body["user_info"]["type"].as_i64().unwrap_or_default();
        context.check_licences(&account_id, licence)?;
        let id =
            context.add_user(&account_id, &email, &text("first_name"), &text("last_name"), licence);
        let user = context.user_with_id(&id)?;
        Ok(created(json!({
            "id": user.id,
            "email": user.email,
            "first_name": user.first_name,
            "last_name": user.last_name,
            "type": user.licence,
        })))
    })
}

pub(super) async fn update(
    State(zoom): State<Zoom>,
    Path(user): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> ApiResult {
    zoom.with_context(|context| {
        let caller = context.authenticate(&headers, scopes::UPDATE_USER)?;
        let user = context.user_in_path(&caller, &user)?;
        let body = fields::parse_body(&body, content_type(&headers), USER, AllowedIn::Update)?;
        if let Some(licence) = body.get("type").and_then(Value::as_i64)
            && licence != user.licence
        {
            context.check_licences(&user.account_id, licence)?;
        }
        let Some(stored) = context.state.users.get_mut(&user.id) else {
            return Err(ApiError::no_such_user(&user.id));
        };
        for (name, value) in &body {
            let text = || value.as_str().unwrap_or_default().to_owned();
            match name.as_str() {
                "first_name" => stored.first_name = text(),
                "last_name" => stored.last_name = text(),
                "timezone" => stored.timezone = text(),
                "type" => stored.licence = value.as_i64().unwrap_or(stored.licence),
                _ => {}
            }
        }
        Ok(no_content())
    })
}

pub(super) async fn set_status(
    State(zoom): State<Zoom>,
    Path(user): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> ApiResult {
    zoom.with_context(|context| {
        let caller = context.authenticate(&headers, scopes::SET_USER_STATUS)?;
        let user = context.user_in_path(&caller, &user)?;
        let body =
            fields::parse_body(&body, content_type(&headers), USER_STATUS, AllowedIn::Update)?;
        context.set_active(&user.id, body["action"] == "activate");
        Ok(no_content())
    })
}

/// `GET /users/{user}/token`: the start token (ZAK), or the token to join on the user's behalf (OBF).
pub(super) async fn token(
    State(zoom): State<Zoom>,
    Path(user): Path<String>,
    Query(query): Query<Parameters>,
    headers: HeaderMap,
) -> ApiResult {
    zoom.with_context(|context| {
        let caller = context.authenticate(&headers, scopes::GET_TOKEN)?;
        let user = context.user_in_path(&caller, &user)?;
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
    /// Creates the default user of each account.
    pub(super) fn create_default_users(&mut self) {
        for choice in [AccountChoice::App, AccountChoice::Other] {
            self.sign_in(choice, None, None);
        }
    }

    pub(super) fn account_id(&self, choice: AccountChoice) -> String {
        match choice {
            AccountChoice::App => self.config.app_account_id.clone(),
            AccountChoice::Other => OTHER_ACCOUNT.to_owned(),
        }
    }

    /// Returns the user with this e-mail address, or the person's own user in the account, or the default user. Creates
    /// a missing user. An existing user stays in their account.
    pub(super) fn sign_in(
        &mut self,
        choice: AccountChoice,
        email: Option<&str>,
        person: Option<&str>,
    ) -> String {
        let own_address = |default: &str| match (person, default.split_once('@')) {
            (Some(person), Some((_, domain))) => format!("{person}@{domain}"),
            _ => default.to_owned(),
        };
        let email = match (email, choice) {
            (Some(email), _) => email.to_owned(),
            (None, AccountChoice::App) => own_address(APP_USER),
            (None, AccountChoice::Other) => own_address(OTHER_USER),
        };
        let (email, name) = (email.as_str(), email.split('@').next().unwrap_or(&email));
        let existing =
            self.state.users.values().find(|user| user.email.eq_ignore_ascii_case(email));
        if let Some(user) = existing {
            return user.id.clone();
        }
        let account_id = self.account_id(choice);
        self.add_user(&account_id, email, name, "", LICENSED)
    }

    fn add_user(
        &mut self,
        account_id: &str,
        email: &str,
        first_name: &str,
        last_name: &str,
        licence: i64,
    ) -> String {
        let id = ids::user_id(self.random);
        self.account(account_id);
        let user = User {
            id: id.clone(),
            account_id: account_id.to_owned(),
            email: email.to_owned(),
            first_name: first_name.to_owned(),
            last_name: last_name.to_owned(),
            licence,
            timezone: "UTC".to_owned(),
            created_at: self.now,
            active: true,
        };
        self.state.users.insert(id.clone(), user);
        id
    }

    pub(super) fn set_licence(&mut self, user_id: &str, is_licensed: bool) {
        if let Some(user) = self.state.users.get_mut(user_id) {
            user.licence = if is_licensed { LICENSED } else { BASIC };
        }
    }

    /// Zoom: 400 with code 2034 if all paid licences of the account are in use.
    fn check_licences(&mut self, account_id: &str, licence: i64) -> Result<(), ApiError> {
        let users = self.state.users.values();
        let taken =
            users.filter(|user| user.account_id == account_id && user.licence == LICENSED).count();
        match self.account(account_id).licenses {
            Some(max) if licence == LICENSED && taken >= max => {
                let message = format!("The account has reached its {max} licensed users.");
                Err(ApiError::new(StatusCode::BAD_REQUEST, 2034, message))
            }
            _ => Ok(()),
        }
    }

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

pub(super) fn content_type(headers: &HeaderMap) -> Option<&str> {
    headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok())
}

fn user_body(user: &User) -> Value {
    json!({
        "id": user.id,
        "account_id": user.account_id,
        "email": user.email,
        "first_name": user.first_name,
        "last_name": user.last_name,
        "display_name": user.display_name(),
        "type": user.licence,
        "role_name": "Member",
        "timezone": user.timezone,
        "language": "en-US",
        "status": if user.active { "active" } else { "inactive" },
        "verified": 1,
        "use_pmi": false,
        "created_at": instant(user.created_at),
        "user_created_at": instant(user.created_at),
    })
}
