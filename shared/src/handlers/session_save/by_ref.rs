//! Creates or edits the session of a name of the host platform.

use ::http::StatusCode;
use lambda_http::Request;
use serde_json::Value;

use super::{Deps, created_response, saved_response, source, trainer_id, versions};
use crate::app::error::Error;
use crate::app::session_save::{ExpectedVersion, UpsertSession, Upserted, upsert};
use crate::domain::caller::Caller;
use crate::domain::draft::{OpenDraft, SaveBody};
use crate::domain::id::ExternalRef;
use crate::domain::refusal::Refusal;
use crate::handlers::edge::{
    PathParameters, RequestError, ResponseBody, external_ref, log_session,
};
use crate::http;

pub(super) async fn serve(
    deps: &Deps,
    request: &Request,
    caller: &Caller,
    parameters: &PathParameters,
) -> Result<ResponseBody, RequestError> {
    let now = deps.clock.now();
    let name = external_ref(parameters)?;
    let expected_version = http::if_match(request)?.map_or(ExpectedVersion::Any, versions);
    let body: Value = http::json(request)?;
    let parsed = parse_upsert(deps, caller, name, body)?;
    let upserted =
        upsert(&deps.clients, &UpsertSession { expected_version, ..parsed }, now).await?;
    match upserted {
        Upserted::Created(created) => {
            log_session(&created.session.id);
            created_response(deps, &created).await
        }
        Upserted::Edited(edited) => {
            log_session(&edited.session.id);
            saved_response(deps, StatusCode::OK, &edited).await
        }
        Upserted::Unchanged(session) => {
            log_session(&session.id);
            let stored = deps.clients.store.with_invitees(*session).await.map_err(Error::from)?;
            saved_response(deps, StatusCode::OK, &stored).await
        }
    }
}

/// Parses a save body with its trainer. Whether the start lies ahead is not checked, because the body may be stored already.
pub(super) fn parse_upsert(
    deps: &Deps,
    caller: &Caller,
    name: ExternalRef,
    body: Value,
) -> Result<UpsertSession, Refusal> {
    let body_hash = http::fingerprint(&body);
    let mut body: SaveBody = http::parse_value(body)?;
    let trainer = trainer_id(body.trainer_id.take())?
        .ok_or_else(|| Refusal::field("trainer_id", "is required"))?;
    let source = source(true, body.source.take())?;
    let draft = OpenDraft::check_without_start(body, &deps.state.default_zone)?;
    Ok(UpsertSession {
        caller: caller.clone(),
        name,
        trainer,
        source,
        draft,
        window: deps.state.join_window,
        meeting_lead: deps.state.meeting_lead,
        body_hash,
        expected_version: ExpectedVersion::Any,
    })
}
