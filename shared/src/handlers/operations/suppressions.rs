//! Lists the suppressed addresses, and ends suppressions.

use jiff::Timestamp;
use lambda_http::Request;
use serde::Serialize;

use super::Deps;
use crate::app::operations::suppressions;
use crate::domain::id::SessionId;
use crate::domain::mailing::AddressDigest;
use crate::domain::refusal::Refusal;
use crate::domain::suppression::{Suppression, SuppressionReason};
use crate::domain::text::Email;
use crate::handlers::cursor::requested_id;
use crate::handlers::edge::{PathParameters, RequestError, ResponseBody, path_parameter};
use crate::http;

#[derive(Serialize)]
struct SuppressionView {
    email: Option<Email>,
    reason: SuppressionReason,
    detail: String,
    suppressed_at: Timestamp,
    session_id: Option<SessionId>,
}

#[derive(Serialize)]
struct SuppressionsView {
    items: Vec<SuppressionView>,
    next_cursor: Option<AddressDigest>,
}

impl From<Suppression> for SuppressionView {
    fn from(suppression: Suppression) -> Self {
        Self {
            email: suppression.email,
            reason: suppression.reason,
            detail: suppression.detail,
            suppressed_at: suppression.at,
            session_id: suppression.session,
        }
    }
}

pub(super) async fn list(deps: &Deps, request: &Request) -> Result<ResponseBody, RequestError> {
    let now = deps.clock.now();
    let reader = deps.authenticator.caller(request, now).await?;
    let after = requested_id(request, AddressDigest::parse)?;
    let limit = http::query_limit(request)?;
    let page = suppressions::list(&deps.clients, after.as_ref(), limit).await?;
    let count = page.suppressions.len();
    tracing::info!(event = "suppressions.read", user_id = %reader.id, count);
    let items = page.suppressions.into_iter().map(SuppressionView::from).collect();
    ResponseBody::ok(&SuppressionsView { items, next_cursor: page.last })
}

pub(super) async fn delete(
    deps: &Deps,
    request: &Request,
    parameters: &PathParameters,
) -> Result<ResponseBody, RequestError> {
    let now = deps.clock.now();
    let caller = deps.authenticator.caller(request, now).await?;
    let email = Email::parse(path_parameter(parameters, "email"))
        .map_err(|error| Refusal::field("email", error))?;
    let existed = suppressions::end(&deps.clients, &email).await?;
    tracing::info!(event = "suppression.ended", user_id = %caller.id, existed);
    Ok(ResponseBody::no_content())
}
