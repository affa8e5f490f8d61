//! `session-cancel`: cancels a session, at Zoom and here.

use lambda_http::Request;
use serde::Deserialize;

use super::app_url::AppUrl;
use super::edge::{
    HttpResponse, RequestError, ResponseBody, external_ref, log_session, route, session_id,
};
use super::function::Function;
use super::http_deps::HttpDeps;
use super::session_view;
use crate::app::{Services, session_cancel};
use crate::domain::refusal::Refusal;
use crate::domain::text::Description;
use crate::http;

/// The reason is one sentence in a mail.
pub const REASON_LIMIT_CHARS: usize = 500;

pub type Deps = HttpDeps<Services, AppUrl>;

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct CancelBody {
    reason: Option<String>,
}

pub async fn handle(function: &Function<Deps>, request: Request) -> HttpResponse {
    function.respond(request, serve).await
}

async fn serve(deps: &Deps, request: Request) -> Result<ResponseBody, RequestError> {
    let now = deps.clock.now();
    let (route, parameters) = route(&request)?;
    let caller = deps.authenticator.caller(&request, now).await?;
    let cancelled = if route.path == "/v1/sessions/by-ref/{external_ref}" {
        let name = external_ref(&parameters)?;
        let reason = requested_reason(&request)?;
        let cancelled =
            session_cancel::cancel_by_name(&deps.clients, &caller, &name, reason, now).await?;
        log_session(&cancelled.session.id);
        cancelled
    } else {
        let id = session_id(&parameters)?;
        let reason = requested_reason(&request)?;
        session_cancel::cancel(&deps.clients, &caller, &id, reason, now).await?
    };
    let secrets = deps.secrets.get(now).await?;
    let view = session_view::owner_view(
        &cancelled.session,
        Some(&cancelled.invitees),
        &cancelled.warning_sources,
        &deps.state,
        secrets.keyring()?,
        now,
    )?;
    Ok(ResponseBody::ok(&view)?.with_etag(cancelled.session.version))
}

/// Returns the reason of the body, which is optional.
fn requested_reason(request: &Request) -> Result<Option<String>, RequestError> {
    let body: CancelBody = http::optional_json(request)?;
    let reason = body.reason.as_deref().map(reason).transpose()?;
    Ok(reason.filter(|reason| !reason.is_empty()))
}

fn reason(text: &str) -> Result<String, Refusal> {
    let text = Description::parse(text.trim()).map_err(|error| Refusal::field("reason", error))?;
    if text.as_str().chars().count() > REASON_LIMIT_CHARS {
        return Err(Refusal::field(
            "reason",
            format!("must have at most {REASON_LIMIT_CHARS} characters"),
        ));
    }
    Ok(text.into())
}
