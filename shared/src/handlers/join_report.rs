//! Accepts the time that joining took, which the platform's page has measured.

use lambda_http::Request;
use serde::Deserialize;

use super::Route;
use super::edge::{RequestError, ResponseBody, log_session};
use super::guest::GuestState;
use super::http_deps::HttpDeps;
use crate::app::guests;
use crate::app::join_report::{self, ReportLimit};
use crate::app::visibility::AudienceMemory;
use crate::http;
use crate::secret::Secret;

pub(super) const ROUTE: &str = "/v1/sessions/{id}/join-report";
pub(super) const GUEST_ROUTE: &str = "/v1/guest/join-report";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ReportBody {
    milliseconds: Option<u64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GuestReportBody {
    token: Secret,
    milliseconds: Option<u64>,
}

/// Accepts the report of a caller. The session of the path is only logged.
pub(super) async fn serve<C, S>(
    deps: &HttpDeps<C, S>,
    limit: &ReportLimit,
    request: &Request,
) -> Result<ResponseBody, RequestError> {
    let now = deps.clock.now();
    let caller = deps.authenticator.caller(request, now).await?;
    let body: ReportBody = http::json(request)?;
    limit.count(&caller.id, now)?;
    join_report::record(body.milliseconds)?;
    Ok(ResponseBody::no_content())
}

/// Accepts the report of a guest. The token is opened and not looked up.
pub(super) async fn serve_guest<C, S>(
    deps: &HttpDeps<C, S>,
    (state, memory): (&GuestState, &AudienceMemory),
    request: &Request,
    route: &Route,
) -> Result<ResponseBody, RequestError> {
    let now = deps.clock.now();
    let body: GuestReportBody = http::json(request)?;
    let guest_request = state.request(request, route, &body.token, memory)?;
    let secrets = deps.secrets.get(now).await?;
    let link = guests::open_request(secrets.keyring()?, &guest_request, now)?;
    log_session(&link.session);
    join_report::record(body.milliseconds)?;
    Ok(ResponseBody::no_content())
}
