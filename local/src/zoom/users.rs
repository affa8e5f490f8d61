//! Zoom's users: who signs in, what `/zoom/v2/users` tells and changes, and the tokens to join with.

use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use http::{HeaderMap, StatusCode, header};
use serde_json::{Value, json};

use super::answers::{Answer, Refusal, created, instant, no_content, ok};
use super::desk::Desk;
use super::fields::{self, Field, In, Kind, field, required};
use super::listing::{Parameters, number};
use super::memory::{JoinToken, User};
use super::{Zoom, ids, scopes};

/// Who signs in on the consent page where nobody is named.
pub const APP_USER: &str = "trainer@app.zoom.test";
pub const OTHER_USER: &str = "trainer@other.zoom.test";

/// The account that is not the app's own.
pub const OTHER_ACCOUNT: &str = "other-zoom-account";

/// Zoom: ZAK and OBF live two hours unless asked otherwise, and a year at most.
const JOIN_TOKEN_SECONDS: i64 = 7200;
const LONGEST_JOIN_TOKEN_SECONDS: i64 = 365 * 24 * 3600;

const LICENSED: i64 = 2;

/// Inside or outside the app's own account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
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
) -> Answer {
    zoom.at_desk(|desk| {
        let caller = desk.caller(&headers, scopes::GET_USER)?;
        let user = desk.user_in_path(&caller, &user)?;
        Ok(ok(user_body(&user)))
    })
}

pub(super) async fn create(State(zoom): State<Zoom>, headers: HeaderMap, body: Bytes) -> Answer {
    zoom.at_desk(|desk| {
        desk.caller(&headers, scopes::CREATE_USER)?;
        let body = fields::read(&body, content_type(&headers), NEW_USER, In::Create)?;
        let text = |name: &str| body["user_info"][name].as_str().unwrap_or_default().to_owned();
        let email = text("email");
        if desk.memory.users.values().any(|user| user.email.eq_ignore_ascii_case(&email)) {
            let message = format!("Email \"{email}\" has already been used.");
            return Err(Refusal::new(StatusCode::CONFLICT, 1005, message));
        }
        let account_id = desk.config.app_account_id.clone();
        let licence = body["user_info"]["type"].as_i64().unwrap_or_default();
        desk.take_licence(&account_id, licence)?;
        let id =
            desk.add_user(&account_id, &email, &text("first_name"), &text("last_name"), licence);
        let user = desk.user_with_id(&id)?;
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
) -> Answer {
    zoom.at_desk(|desk| {
        let caller = desk.caller(&headers, scopes::UPDATE_USER)?;
        let user = desk.user_in_path(&caller, &user)?;
        let body = fields::read(&body, content_type(&headers), USER, In::Update)?;
        if let Some(licence) = body.get("type").and_then(Value::as_i64)
            && licence != user.licence
        {
            desk.take_licence(&user.account_id, licence)?;
        }
        let Some(known) = desk.memory.users.get_mut(&user.id) else {
            return Err(Refusal::no_such_user(&user.id));
        };
        for (name, value) in &body {
            let text = || value.as_str().unwrap_or_default().to_owned();
            match name.as_str() {
                "first_name" => known.first_name = text(),
                "last_name" => known.last_name = text(),
                "timezone" => known.timezone = text(),
                "type" => known.licence = value.as_i64().unwrap_or(known.licence),
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
) -> Answer {
    zoom.at_desk(|desk| {
        let caller = desk.caller(&headers, scopes::SET_USER_STATUS)?;
        let user = desk.user_in_path(&caller, &user)?;
        let body = fields::read(&body, content_type(&headers), USER_STATUS, In::Update)?;
        desk.set_active(&user.id, body["action"] == "activate");
        Ok(no_content())
    })
}

/// `GET /users/{user}/token`: the start token (ZAK), or the token to join on the user's behalf (OBF).
pub(super) async fn token(
    State(zoom): State<Zoom>,
    Path(user): Path<String>,
    Query(query): Query<Parameters>,
    headers: HeaderMap,
) -> Answer {
    zoom.at_desk(|desk| {
        let caller = desk.caller(&headers, scopes::GET_TOKEN)?;
        let user = desk.user_in_path(&caller, &user)?;
        let seconds = number(&query, "ttl")?.unwrap_or(JOIN_TOKEN_SECONDS);
        if !(1..=LONGEST_JOIN_TOKEN_SECONDS).contains(&seconds) {
            return Err(Refusal::invalid_field("ttl", "Invalid field."));
        }
        let meeting_id = match query.get("type").map(String::as_str) {
            Some("zak") => None,
            Some("onbehalf") => {
                let meeting_id = number(&query, "meeting_id")?;
                Some(desk.meeting_of_present_host(&user.id, meeting_id)?)
            }
            None | Some("token") => {
                let message = "Token is no longer supported. Please use ZAK token instead.";
                return Err(Refusal::invalid_field("type", message));
            }
            Some(_) => return Err(Refusal::invalid_field("type", "Invalid field.")),
        };
        let token = desk.issue_join_token(&user.id, meeting_id, seconds);
        Ok(ok(json!({ "token": token })))
    })
}

impl Desk<'_> {
    /// The two who sign in where nobody is named.
    pub(super) fn open(&mut self) {
        for side in [Side::App, Side::Other] {
            self.user_who_signs_in(side, None, None);
        }
    }

    pub(super) fn account_of(&self, side: Side) -> String {
        match side {
            Side::App => self.config.app_account_id.clone(),
            Side::Other => OTHER_ACCOUNT.to_owned(),
        }
    }

    /// A user who is known by e-mail keeps their account, whatever the form says.
    /// The Zoom user with this address, or the one whom the person at the browser has in that account.
    pub(super) fn user_who_signs_in(
        &mut self,
        side: Side,
        email: Option<&str>,
        person: Option<&str>,
    ) -> String {
        let theirs = |default: &str| match (person, default.split_once('@')) {
            (Some(person), Some((_, domain))) => format!("{person}@{domain}"),
            _ => default.to_owned(),
        };
        let email = match (email, side) {
            (Some(email), _) => email.to_owned(),
            (None, Side::App) => theirs(APP_USER),
            (None, Side::Other) => theirs(OTHER_USER),
        };
        let (email, name) = (email.as_str(), email.split('@').next().unwrap_or(&email));
        let known = self.memory.users.values().find(|user| user.email.eq_ignore_ascii_case(email));
        if let Some(user) = known {
            return user.id.clone();
        }
        let account_id = self.account_of(side);
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
        self.memory.users.insert(id.clone(), user);
        id
    }

    /// Zoom: 400 with code 2034 where the account has as many licensed users as it paid for.
    fn take_licence(&mut self, account_id: &str, licence: i64) -> Result<(), Refusal> {
        let users = self.memory.users.values();
        let taken =
            users.filter(|user| user.account_id == account_id && user.licence == LICENSED).count();
        match self.account(account_id).licenses {
            Some(most) if licence == LICENSED && taken >= most => {
                let message = format!("The account has reached its {most} licensed users.");
                Err(Refusal::new(StatusCode::BAD_REQUEST, 2034, message))
            }
            _ => Ok(()),
        }
    }

    /// Zoom: an on-behalf token is for one meeting and needs its host to be in it. Which code it refuses with is not
    /// published; a client should look at the status.
    fn meeting_of_present_host(
        &self,
        user_id: &str,
        meeting_id: Option<i64>,
    ) -> Result<i64, Refusal> {
        let id =
            meeting_id.ok_or_else(|| Refusal::invalid_field("meeting_id", "Field is required."))?;
        let meeting = self
            .memory
            .meetings
            .get(&id)
            .filter(|meeting| !meeting.deleted)
            .ok_or_else(|| Refusal::no_such_meeting(&id.to_string()))?;
        let present = meeting.running().is_some_and(|instance| {
            instance.participants.iter().any(|participant| {
                participant.leave_time.is_none()
                    && participant.zoom_user_id.as_deref() == Some(user_id)
            })
        });
        if present {
            return Ok(id);
        }
        let message = format!("The user is not in the meeting: {id}.");
        Err(Refusal::new(StatusCode::BAD_REQUEST, 3000, message))
    }

    pub(super) fn issue_join_token(
        &mut self,
        user_id: &str,
        meeting_id: Option<i64>,
        seconds: i64,
    ) -> String {
        let now = self.now;
        self.memory.join_tokens.retain(|_, token| token.expires_at > now);
        let token = ids::token(self.random);
        let expires_at = self.after(seconds);
        let join_token = JoinToken { user_id: user_id.to_owned(), meeting_id, expires_at };
        self.memory.join_tokens.insert(token.clone(), join_token);
        token
    }

    /// The ZAK inside a start link, with the life that Zoom gives it.
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
