//! Users of the platform's own Zoom account: find, create, license, deactivate and remove them.

use jiff::Timestamp;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::Method;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Map, Value, json};

use super::client::{Access, ApiCall, Zoom};
use super::error::ZoomError;
use crate::domain::id::ZoomUserId;
use crate::domain::platform_host::{HostCreation, HostReason};
use crate::domain::text::{Email, PersonName};

/// Zoom: users with a licence have type 2, those without one type 1.
const LICENSED: u8 = 2;
const BASIC: u8 = 1;
/// Zoom: the longest first or last name, in characters.
const NAME_LIMIT_CHARS: usize = 64;

/// A user in a path.
#[derive(Clone, Copy, Debug)]
pub enum UserPath<'a> {
    Id(&'a ZoomUserId),
    /// The only way to find a user who has not accepted an invitation.
    Email(&'a Email),
}

impl UserPath<'_> {
    fn path(self, rest: &str) -> String {
        let user = match self {
            Self::Id(id) => id.as_str().to_owned(),
            Self::Email(email) => utf8_percent_encode(email.as_str(), NON_ALPHANUMERIC).to_string(),
        };
        format!("/users/{user}{rest}")
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UserStatus {
    Active,
    Inactive,
    /// Invited, and not accepted yet.
    Pending,
}

/// A user of the account.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct AccountUser {
    /// A pending user may lack it.
    #[serde(default)]
    pub id: Option<ZoomUserId>,
    #[serde(default)]
    pub account_id: Option<String>,
    pub status: UserStatus,
    r#type: u8,
}

impl AccountUser {
    pub fn is_licensed(&self) -> bool {
        self.r#type == LICENSED
    }
}

/// The meetings that a user hosts at this moment.
#[derive(Deserialize)]
struct LiveMeetings {
    meetings: Vec<IgnoredAny>,
}

/// A user to create.
#[derive(Clone, Copy, Debug)]
pub struct NewAccountUser<'a> {
    pub email: &'a Email,
    pub name: Option<&'a PersonName>,
    pub is_licensed: bool,
}

/// Zoom's refusal of a request about a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UserRefusal {
    /// A user has the address, in this account or in another.
    AddressInUse,
    /// The account has no such user.
    NoSuchUser,
    Refused {
        reason: HostReason,
        /// The number of licences or users that the account may have, if Zoom named it.
        limit: Option<u32>,
    },
}

impl UserRefusal {
    /// Returns the reason, given that the account has no user with the address.
    pub fn reason(self) -> HostReason {
        match self {
            Self::AddressInUse => HostReason::ExistsElsewhere,
            Self::NoSuchUser => HostReason::GoneAtZoom,
            Self::Refused { reason, .. } => reason,
        }
    }
}

/// A failed request about a user.
#[derive(Debug)]
pub enum UserError {
    Refused(UserRefusal),
    /// There was no final answer, or the access token was refused.
    Failed(ZoomError),
}

impl From<ZoomError> for UserError {
    fn from(error: ZoomError) -> Self {
        let reason = |reason| Self::Refused(UserRefusal::Refused { reason, limit: None });
        match error {
            ZoomError::Rejected { status, code, message } => {
                let refusal = classify(status, code, message.expose());
                if refusal.reason() == HostReason::ZoomRejected {
                    tracing::warn!(event = "zoom.user_refusal_unknown", status, code);
                }
                Self::Refused(refusal)
            }
            ZoomError::MissingScopes(scopes) => {
                tracing::error!(event = "zoom.account_scopes_missing", ?scopes);
                reason(HostReason::NotAllowed)
            }
            other => Self::Failed(other),
        }
    }
}

/// Every refusal that Zoom documents for these calls ("Create users", "Update a user", "Delete a user", "Update user
/// status").
fn classify(status: u16, code: Option<i64>, message: &str) -> UserRefusal {
    use HostReason::{
        AccountNotPaid, AddressRefused, ExistsElsewhere, InvitationExpired, NameRefused, NoLicence,
        NotAllowed, UserLimit, ZoomRejected,
    };
    let text = message.to_ascii_lowercase();
    let reason = match (status, code) {
        (_, Some(1005)) => return UserRefusal::AddressInUse,
        (_, Some(1001)) => return UserRefusal::NoSuchUser,
        (_, Some(1009)) => ExistsElsewhere,
        (_, Some(1120)) => InvitationExpired,
        // Zoom sends 3412 for both kinds of users and names the kind in its text.
        (_, Some(3412)) if text.contains("basic users") => UserLimit,
        (_, Some(2033)) => UserLimit,
        (_, Some(2034 | 2038 | 3412)) => NoLicence,
        (_, Some(1107 | 1116 | 11321)) => AddressRefused,
        (_, Some(1109)) => AccountNotPaid,
        // Accounts without a paid plan cannot have further users.
        (_, Some(200)) if text.contains("paid account") => AccountNotPaid,
        (_, Some(200 | 1000 | 1108 | 1117 | 2002 | 2016 | 2032 | 2035 | 2036)) => NotAllowed,
        (_, Some(300)) if text.contains("name contains an invalid word") => NameRefused,
        // A field of the request. All but the address are ours.
        (_, Some(300)) if text.contains("validation failed") => AddressRefused,
        (_, Some(300)) => NotAllowed,
        _ => ZoomRejected,
    };
    UserRefusal::Refused { reason, limit: limit_in(&text) }
}

/// Returns the number in `maximum number of "3" users`.
fn limit_in(text: &str) -> Option<u32> {
    let (_, rest) = text.split_once("maximum number of ")?;
    let digits = rest.trim_start_matches('"');
    let end = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
    digits.get(..end)?.parse().ok()
}

/// Returns Zoom's word for a way to create a user.
fn action(creation: HostCreation) -> &'static str {
    match creation {
        // An existing user is never created. An invitation would do the least harm.
        HostCreation::Existing | HostCreation::Invite => "create",
        HostCreation::Auto => "autoCreate",
        HostCreation::Sso => "ssoCreate",
        HostCreation::Custom => "custCreate",
    }
}

fn user_type(is_licensed: bool) -> u8 {
    if is_licensed { LICENSED } else { BASIC }
}

fn user_info(user: NewAccountUser<'_>) -> Value {
    let mut info = Map::new();
    info.insert("email".to_owned(), user.email.as_str().into());
    info.insert("type".to_owned(), user_type(user.is_licensed).into());
    if let Some(name) = user.name {
        let (first, last) = first_and_last_name(name);
        info.insert("first_name".to_owned(), first.into());
        info.insert("last_name".to_owned(), last.into());
    }
    Value::Object(info)
}

/// Splits a name at its first space, and shortens both parts to Zoom's limit.
pub(super) fn first_and_last_name(name: &PersonName) -> (String, String) {
    let (first, last) = name.as_str().split_once(' ').unwrap_or((name.as_str(), ""));
    let short = |text: &str| text.trim().chars().take(NAME_LIMIT_CHARS).collect();
    (short(first), short(last))
}

impl Zoom {
    /// Returns a user of the account.
    pub async fn account_user(
        &self,
        access: &Access,
        user: UserPath<'_>,
        now: Timestamp,
    ) -> Result<AccountUser, UserError> {
        let path = user.path("");
        let response = self.send_with_retry(access, ApiCall::get(&path), now).await?;
        Ok(response.json()?)
    }

    /// Creates a user without a retry. After [`ZoomError::Unavailable`] the user may exist, so callers must look for it
    /// before they create another.
    pub async fn create_account_user(
        &self,
        access: &Access,
        creation: HostCreation,
        user: NewAccountUser<'_>,
        now: Timestamp,
    ) -> Result<(), UserError> {
        let body = json!({"action": action(creation), "user_info": user_info(user)});
        let call = ApiCall::new(Method::POST, "/users").body(&body);
        Ok(self.send_once(access, call, now).await.map(drop)?)
    }

    /// Assigns a licence or takes it away. It is idempotent.
    pub async fn set_licence(
        &self,
        access: &Access,
        user: &ZoomUserId,
        is_licensed: bool,
        now: Timestamp,
    ) -> Result<(), UserError> {
        let path = UserPath::Id(user).path("");
        let body = json!({"type": user_type(is_licensed)});
        let call = ApiCall::new(Method::PATCH, &path).body(&body);
        Ok(self.send_with_retry(access, call, now).await.map(drop)?)
    }

    /// Returns whether a user hosts a meeting at this moment.
    pub async fn is_user_live(
        &self,
        access: &Access,
        user: &ZoomUserId,
        now: Timestamp,
    ) -> Result<bool, UserError> {
        let path = UserPath::Id(user).path("/meetings");
        let query = [("type", "live"), ("page_size", "1")];
        let call = ApiCall::get(&path).query(&query);
        let page: LiveMeetings = self.send_with_retry(access, call, now).await?.json()?;
        Ok(!page.meetings.is_empty())
    }

    /// Activates or deactivates a user. It is idempotent.
    pub async fn set_user_active(
        &self,
        access: &Access,
        user: &ZoomUserId,
        is_active: bool,
        now: Timestamp,
    ) -> Result<(), UserError> {
        let path = UserPath::Id(user).path("/status");
        let body = json!({"action": if is_active { "activate" } else { "deactivate" }});
        let call = ApiCall::new(Method::PUT, &path).body(&body);
        Ok(self.send_with_retry(access, call, now).await.map(drop)?)
    }

    /// Removes a user from the account, who keeps the meetings and becomes a free user. It also withdraws an invitation.
    pub async fn disassociate_user(
        &self,
        access: &Access,
        user: UserPath<'_>,
        now: Timestamp,
    ) -> Result<(), UserError> {
        let path = user.path("");
        let query = [("action", "disassociate")];
        let call = ApiCall::new(Method::DELETE, &path).query(&query);
        Ok(self.send_with_retry(access, call, now).await.map(drop)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_refusal_of_zoom_has_its_reason() {
        use HostReason as R;
        let refused = |reason| UserRefusal::Refused { reason, limit: None };
        let limited = |reason, limit| UserRefusal::Refused { reason, limit: Some(limit) };
        let paying = "Your request to add a new \"Licensed\" user couldn't be approved at this time because your account \
                      has reached the permitted maximum number of \"12\" paying users.";
        let basic = "your account has reached the permitted maximum number of 9999 basic users.";
        for (status, code, message, expected) in [
            (409, 1005, "Email \"a@b.test\" has already been used.", UserRefusal::AddressInUse),
            (404, 1001, "User does not exist: a@b.test.", UserRefusal::NoSuchUser),
            (
                400,
                1009,
                "The user a@b.test already holds an active account.",
                refused(R::ExistsElsewhere),
            ),
            (400, 1107, "Email domain is blocked.", refused(R::AddressRefused)),
            (400, 1116, "", refused(R::AddressRefused)),
            (400, 11321, "", refused(R::AddressRefused)),
            (400, 1120, "", refused(R::InvitationExpired)),
            (400, 2033, "", refused(R::UserLimit)),
            (400, 2034, "", refused(R::NoLicence)),
            (400, 2038, "", refused(R::NoLicence)),
            (400, 3412, paying, limited(R::NoLicence, 12)),
            (400, 3412, basic, limited(R::UserLimit, 9999)),
            (400, 3412, "the permitted maximum number of \"3\" users", limited(R::NoLicence, 3)),
            (400, 1108, "", refused(R::NotAllowed)),
            (400, 200, "No permission.", refused(R::NotAllowed)),
            (400, 200, "Only available for paid account: x.", refused(R::AccountNotPaid)),
            (400, 2016, "", refused(R::NotAllowed)),
            (400, 2002, "Single sign-on is not enabled", refused(R::NotAllowed)),
            (400, 1117, "", refused(R::NotAllowed)),
            (400, 1000, "", refused(R::NotAllowed)),
            (400, 1109, "Host is not a paid user.", refused(R::AccountNotPaid)),
            (400, 300, "the name contains an invalid word: x.", refused(R::NameRefused)),
            (400, 300, "Validation Failed.", refused(R::AddressRefused)),
            (400, 300, "Unable to unlink API user(s).", refused(R::NotAllowed)),
            (400, 99_999, "", refused(R::ZoomRejected)),
        ] {
            assert_eq!(
                classify(status, Some(code), message),
                expected,
                "{status} {code} {message}"
            );
        }
        assert_eq!(classify(403, None, ""), refused(R::ZoomRejected));
        let scopes = ZoomError::MissingScopes(vec!["user:write:user:admin".to_owned()]);
        assert!(matches!(
            UserError::from(scopes),
            UserError::Refused(UserRefusal::Refused { reason: R::NotAllowed, .. })
        ));
    }

    #[test]
    fn address_in_a_path_is_encoded() {
        let email = Email::parse("a/b+c?d%e@school.test").unwrap();
        assert_eq!(UserPath::Email(&email).path(""), "/users/a%2Fb%2Bc%3Fd%25e%40school%2Etest");
    }

    #[test]
    fn name_is_split_and_shortened_for_zoom() {
        let email = Email::parse("ada@school.test").unwrap();
        let info = |name: &str| {
            let name = PersonName::parse(name).unwrap();
            user_info(NewAccountUser { email: &email, name: Some(&name), is_licensed: true })
        };
        let ada = json!({"email": "ada@school.test", "type": 2, "first_name": "Ada", "last_name": "King Noel"});
        assert_eq!(info("Ada King Noel"), ada);
        assert_eq!(info(&"x".repeat(90))["first_name"].as_str().unwrap().len(), 64);
        let unknown = NewAccountUser { email: &email, name: None, is_licensed: false };
        assert_eq!(user_info(unknown), json!({"email": "ada@school.test", "type": 1}));
    }
}
