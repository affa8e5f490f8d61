//! Zoom's refusals of requests that create or change users, by code.

use http::StatusCode;

use super::responses::ApiError;

/// Codes of a lack of paid licences. Zoom documents all three and does not say which one an account gets.
pub(super) const NO_LICENCE: [u32; 3] = [2034, 2038, 3412];
/// Codes of a lack of places for users without a licence.
pub(super) const NO_BASIC_USER: [u32; 2] = [2033, 3412];
/// Codes for a user of another account.
pub(super) const FOREIGN_USER: [u32; 2] = [1005, 1009];

/// Returns the refusal with this code. `detail` is what its message names: an address, a domain, a word or a number.
pub(super) fn refusal(code: u32, detail: &str) -> ApiError {
    let status = match code {
        1005 => StatusCode::CONFLICT,
        1001 => StatusCode::NOT_FOUND,
        _ => StatusCode::BAD_REQUEST,
    };
    let message = match code {
        200 => "No permission.".to_owned(),
        300 => format!("The name contains an invalid word: {detail}."),
        1001 => format!("User does not exist: {detail}."),
        1005 => format!("Email \"{detail}\" has already been used."),
        1009 => format!("The user {detail} already holds an active account."),
        1107 => "Email domain is blocked.".to_owned(),
        1108 => "The requirements to change the type of this user were not met.".to_owned(),
        1109 => "Host is not a paid user.".to_owned(),
        1116 => format!("Email address {detail} does not match the limited domains."),
        1120 => {
            "A valid invitation to join the Zoom account was not found for this user.".to_owned()
        }
        2002 => "Single sign-on is not enabled for this account.".to_owned(),
        2016 => "No permission. Please contact Zoom Customer Support.".to_owned(),
        2033 => "The account has reached its maximum number of basic users.".to_owned(),
        2034 => format!("The account has reached the permitted maximum number of {detail} users."),
        2038 => "The account has reached the permitted maximum number of licences.".to_owned(),
        3412 => format!(
            "Your request was not approved because your account has reached the permitted maximum \
             number of \"{detail}\" users."
        ),
        11321 => "Email domain is blocked by Zoom Trust & Safety.".to_owned(),
        _ => "The request was refused.".to_owned(),
    };
    ApiError::new(status, code, message)
}
