//! `/zoom/v2/users`: list, create, read, update, deactivate and remove users.

use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use http::{HeaderMap, header};
use serde_json::{Map, Value, json};

use super::accounts::{NewUser, check_names};
use super::context::{Caller, Context};
use super::fields::{self, AllowedIn};
use super::listing::{PageFormat, Parameters};
use super::responses::{ApiError, ApiResult, created, instant, no_content, ok};
use super::state::{Holder, User, UserOrigin, UserStatus};
use super::user_fields::{NEW_USER, USER, USER_STATUS};
use super::user_refusals::refusal;
use super::{Zoom, scopes};

/// Zoom: a page of users has 30 entries by default and 2,000 at most.
const PAGE: PageFormat = PageFormat { name: "users", max_size: 2_000 };

const OWNER_ROLE: &str = "0";
const MEMBER_ROLE: &str = "2";

pub(super) async fn list(
    State(zoom): State<Zoom>,
    Query(query): Query<Parameters>,
    headers: HeaderMap,
) -> ApiResult {
    zoom.with_context(|context| {
        let caller = context.authenticate(&headers, scopes::LIST_USERS)?;
        let status = match query.get("status").map_or("active", String::as_str) {
            "active" => UserStatus::Active,
            "inactive" => UserStatus::Inactive,
            "pending" => UserStatus::Pending,
            _ => return Err(ApiError::invalid_field("status", "Invalid field.")),
        };
        let role = query.get("role_id").map(String::as_str);
        let rows = context
            .state
            .users
            .values()
            .filter(|user| user.account_id == caller.account_id())
            .filter(|user| user.status(context.now) == status)
            .filter(|user| role.is_none_or(|role| role == role_id(user)))
            .map(|user| list_entry(user, status))
            .collect();
        let list_key = format!("users of {} {status:?} {role:?}", caller.account_id());
        context.page(PAGE, &list_key, rows, &query)
    })
}

pub(super) async fn get(
    State(zoom): State<Zoom>,
    Path(user): Path<String>,
    headers: HeaderMap,
) -> ApiResult {
    zoom.with_context(|context| {
        let caller = context.authenticate(&headers, scopes::GET_USER)?;
        let user = context.user_in_path(&caller, &user)?;
        Ok(ok(context.user_body(&user)))
    })
}

pub(super) async fn create(State(zoom): State<Zoom>, headers: HeaderMap, body: Bytes) -> ApiResult {
    zoom.with_context(|context| {
        let caller = context.authenticate(&headers, scopes::CREATE_USER)?;
        let body = fields::parse_body(&body, content_type(&headers), NEW_USER, AllowedIn::Create)?;
        let new_user = parse_new_user(&body)?;
        let account_id = caller.account_id();
        context.check_new_user(account_id, &new_user)?;
        context.check_licences(account_id, new_user.licence)?;
        if new_user.origin == UserOrigin::Create {
            context.count_invitation(account_id)?;
        }
        let id = context.create_user(account_id, new_user);
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

fn parse_new_user(body: &Map<String, Value>) -> Result<NewUser, ApiError> {
    let info = &body["user_info"];
    let text = |name: &str| info[name].as_str().map(str::to_owned);
    let origin = match body["action"].as_str() {
        Some("autoCreate") => UserOrigin::AutoCreate,
        Some("custCreate") => UserOrigin::CustCreate,
        Some("ssoCreate") => UserOrigin::SsoCreate,
        _ => UserOrigin::Create,
    };
    // Zoom: a password is only for `autoCreate`.
    if let Some(password) = info["password"].as_str()
        && (origin != UserOrigin::AutoCreate || !is_password(password))
    {
        return Err(ApiError::invalid_field("password", "Invalid parameter: password"));
    }
    Ok(NewUser {
        email: text("email").unwrap_or_default(),
        first_name: text("first_name").unwrap_or_default(),
        last_name: text("last_name").unwrap_or_default(),
        display_name: text("display_name"),
        licence: info["type"].as_i64().unwrap_or_default(),
        origin,
    })
}

/// Zoom: at least 8 characters with a capital letter, a small letter and a digit.
fn is_password(text: &str) -> bool {
    const MIN_CHARACTERS: usize = 8;
    let has = |is: fn(char) -> bool| text.chars().any(is);
    text.chars().count() >= MIN_CHARACTERS
        && has(char::is_uppercase)
        && has(char::is_lowercase)
        && has(|character| character.is_ascii_digit())
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
        context.update_user(&caller, &user, &body)?;
        context.emit_user_updated(&user);
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
        let activate = body["action"] == "activate";
        let status = user.status(context.now);
        if status == UserStatus::Pending {
            return Err(ApiError::no_such_user(&user.id));
        }
        if user.owner {
            return Err(refusal(200, &user.email));
        }
        if activate && status == UserStatus::Inactive {
            context.check_licences(&user.account_id, user.licence)?;
        }
        context.set_active(&user.id, activate);
        Ok(no_content())
    })
}

/// `DELETE /users/{user}`. Zoom: `disassociate` (the default) gives the user an account of their own, `delete` removes
/// the user with all meetings and recordings.
pub(super) async fn delete(
    State(zoom): State<Zoom>,
    Path(user): Path<String>,
    Query(query): Query<Parameters>,
    headers: HeaderMap,
) -> ApiResult {
    zoom.with_context(|context| {
        let caller = context.authenticate(&headers, scopes::DELETE_USER)?;
        let user = context.user_in_path(&caller, &user)?;
        let disassociate = match query.get("action").map_or("disassociate", String::as_str) {
            "disassociate" => true,
            "delete" => false,
            _ => return Err(ApiError::invalid_field("action", "Invalid field.")),
        };
        context.check_removal(&user, disassociate)?;
        let target = context.transfer_target(&user, &query)?;
        if let Some(target) = target {
            let is_set = |name: &str| query.get(name).is_some_and(|value| value == "true");
            let (meetings, recordings) = (is_set("transfer_meeting"), is_set("transfer_recording"));
            context.transfer_meetings(&user.id, &target, meetings, recordings);
        }
        context.remove_user(&user, disassociate);
        Ok(no_content())
    })
}

impl Context<'_> {
    fn update_user(
        &mut self,
        caller: &Caller,
        user: &User,
        body: &Map<String, Value>,
    ) -> Result<(), ApiError> {
        let rules = self.user_rules(&user.account_id);
        if let Some(code) = rules.refuse_update {
            return Err(refusal(code, &user.email));
        }
        let text = |name: &str| body.get(name).and_then(Value::as_str).map(str::to_owned);
        let names = ["first_name", "last_name", "display_name"].map(text);
        check_names(&rules, names.iter().flatten())?;
        let licence = body.get("type").and_then(Value::as_i64).unwrap_or(user.licence);
        if licence != user.licence {
            // Zoom: users cannot change their own licence.
            if matches!(caller.holder(), Holder::User(_)) && caller.require_scope(false).is_err() {
                return Err(refusal(1108, &user.email));
            }
            self.check_licence_change(user, licence)?;
            self.change_licence(&user.id, licence);
        }
        let Some(stored) = self.state.users.get_mut(&user.id) else {
            return Err(ApiError::no_such_user(&user.id));
        };
        let [first_name, last_name, display_name] = names;
        if let Some(first_name) = first_name {
            stored.first_name = first_name;
        }
        if let Some(last_name) = last_name {
            stored.last_name = last_name;
        }
        // Zoom: an empty display name is derived from the first and the last name.
        if let Some(name) = display_name {
            stored.chosen_name = Some(name).filter(|name| !name.is_empty());
        }
        if let Some(timezone) = text("timezone") {
            stored.timezone = timezone;
        }
        Ok(())
    }

    fn check_removal(&self, user: &User, disassociate: bool) -> Result<(), ApiError> {
        let domain = user.email.rsplit('@').next().unwrap_or_default();
        let rules = self.user_rules(&user.account_id);
        let is_kept = rules.keep_managed_users && rules.managed_domains.contains(domain);
        let code = match user.status(self.now) {
            // Zoom: an invitation is withdrawn with `disassociate`.
            UserStatus::Pending if disassociate => return Ok(()),
            UserStatus::Pending => 200,
            _ if user.owner => 1117,
            _ if disassociate && user.origin == UserOrigin::CustCreate => {
                return Err(ApiError::invalid_field("action", "Unable to unlink API user(s)."));
            }
            _ if disassociate && is_kept => 1107,
            _ => return Ok(()),
        };
        Err(refusal(code, &user.email))
    }

    /// Returns the id of the user who gets the meetings of a removed user.
    fn transfer_target(&self, user: &User, query: &Parameters) -> Result<Option<String>, ApiError> {
        let Some(email) = query.get("transfer_email") else { return Ok(None) };
        let target = self.user_with_email(email).filter(|target| {
            target.id != user.id
                && target.account_id == user.account_id
                && target.status(self.now) == UserStatus::Active
        });
        let target = target.map(|target| target.id.clone());
        target.map(Some).ok_or_else(|| ApiError::invalid_field("transfer_email", "Invalid field."))
    }

    fn transfer_meetings(&mut self, from: &str, to: &str, meetings: bool, recordings: bool) {
        for meeting in self.state.meetings.values_mut().filter(|it| it.host_id == from) {
            let is_over = !meeting.instances.is_empty();
            if is_over && recordings || !is_over && meetings {
                to.clone_into(&mut meeting.host_id);
            }
        }
    }

    fn remove_user(&mut self, user: &User, disassociate: bool) {
        let is_pending = user.status(self.now) == UserStatus::Pending;
        let event = if disassociate { "user.disassociated" } else { "user.deleted" };
        self.emit_user_removed(event, user);
        if disassociate && !is_pending {
            self.move_to_own_account(&user.id);
            return;
        }
        let hosted = self.state.meetings.values().filter(|it| it.host_id == user.id && !it.deleted);
        let hosted: Vec<_> = hosted.map(|meeting| meeting.id).collect();
        for id in hosted {
            self.end_meeting(id);
            if let Some(meeting) = self.state.meetings.get_mut(&id) {
                meeting.deleted = true;
            }
        }
        self.end_grant(&user.id);
        self.state.users.remove(&user.id);
    }

    fn user_body(&self, user: &User) -> Value {
        let status = user.status(self.now);
        let is_pending = status == UserStatus::Pending;
        // Zoom: a pending user was created at the time of the request.
        let created_at = instant(if is_pending { self.now } else { user.created_at });
        json!({
            "id": user.id,
            "account_id": user.account_id,
            "email": user.email,
            "first_name": user.first_name,
            "last_name": user.last_name,
            "display_name": user.display_name(),
            "type": user.licence,
            "role_id": role_id(user),
            "role_name": if user.owner { "Owner" } else { "Member" },
            "timezone": user.timezone,
            "language": "en-US",
            "status": status.name(),
            "verified": i64::from(!is_pending),
            "use_pmi": false,
            "created_at": created_at,
            "user_created_at": created_at,
        })
    }
}

fn role_id(user: &User) -> &'static str {
    if user.owner { OWNER_ROLE } else { MEMBER_ROLE }
}

/// Zoom: lists do not contain the ids of pending users.
fn list_entry(user: &User, status: UserStatus) -> Value {
    let is_pending = status == UserStatus::Pending;
    let mut entry = json!({
        "email": user.email,
        "first_name": user.first_name,
        "last_name": user.last_name,
        "display_name": user.display_name(),
        "type": user.licence,
        "role_id": role_id(user),
        "timezone": user.timezone,
        "status": status.name(),
        "verified": i64::from(!is_pending),
        "created_at": instant(user.created_at),
        "user_created_at": instant(user.created_at),
    });
    if !is_pending {
        entry["id"] = user.id.clone().into();
    }
    entry
}

pub(super) fn content_type(headers: &HeaderMap) -> Option<&str> {
    headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok())
}
