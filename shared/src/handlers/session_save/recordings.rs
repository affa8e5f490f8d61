//! The comparison of a session's recordings with Zoom on request, the visibility of a recording, and the clicks to watch it.

use lambda_http::Request;
use serde::{Deserialize, Serialize};

use super::Deps;
use crate::app::recording_access;
use crate::app::recordings_sync::{SyncOutcome, sync_for};
use crate::domain::caller::Caller;
use crate::domain::recording::RecordingVisibility;
use crate::domain::refusal::Refusal;
use crate::handlers::edge::{
    PathParameters, RequestError, ResponseBody, path_parameter, session_id,
};
use crate::handlers::recording_view;
use crate::http;

pub(super) const SYNC_ROUTE: &str = "/v1/sessions/{id}/recordings/sync";
pub(super) const FILE_ROUTE: &str = "/v1/sessions/{id}/recordings/{recording_id}";
pub(super) const VIEW_ROUTE: &str = "/v1/sessions/{id}/recordings/{recording_id}/view";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct VisibilityBody {
    visibility: RecordingVisibility,
}

#[derive(Serialize)]
#[serde(untagged)]
enum SyncView {
    Compared { files: usize },
    Skipped { skipped: &'static str },
}

pub(super) async fn sync(
    deps: &Deps,
    caller: &Caller,
    parameters: &PathParameters,
) -> Result<ResponseBody, RequestError> {
    let id = session_id(parameters)?;
    let view = match sync_for(&deps.clients, caller, &id).await? {
        SyncOutcome::Fresh => SyncView::Skipped { skipped: "fresh" },
        SyncOutcome::Compared { files, .. } => SyncView::Compared { files },
    };
    ResponseBody::ok(&view)
}

pub(super) async fn set_visibility(
    deps: &Deps,
    request: &Request,
    caller: &Caller,
    parameters: &PathParameters,
) -> Result<ResponseBody, RequestError> {
    let id = session_id(parameters)?;
    let file = path_parameter(parameters, "recording_id");
    let VisibilityBody { visibility } = http::json(request)?;
    let decided =
        recording_access::set_visibility(&deps.clients, caller, &id, file, visibility).await?;
    let secrets = deps.secrets.get(deps.clock.now()).await?;
    let view = recording_view::recording_view(
        &decided.session,
        &decided.recordings,
        &decided.file,
        secrets.keyring()?,
    )?;
    ResponseBody::ok(&view.ok_or(Refusal::NotFound)?)
}

pub(super) async fn record_view(
    deps: &Deps,
    caller: &Caller,
    parameters: &PathParameters,
) -> Result<ResponseBody, RequestError> {
    let id = session_id(parameters)?;
    let file = path_parameter(parameters, "recording_id");
    recording_access::record_view(&deps.clients, caller, &id, file, deps.clock.now()).await?;
    Ok(ResponseBody::no_content())
}
