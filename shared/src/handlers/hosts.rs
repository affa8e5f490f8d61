//! `hosts`: the hosts of the platform's own Zoom account, by HTTP and as events of the platform.

use jiff::Timestamp;
use lambda_http::{Error, LambdaEvent, Request};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::cursor::Cursor;
use super::edge::{HttpResponse, RequestError, ResponseBody, path_parameter, route};
use super::function::Function;
use super::http_deps::HttpDeps;
use super::pages::Page;
use super::platform_event::{self, EventFailed, PlatformEvent};
use crate::app::error::Error as AppError;
use crate::app::hosts::{self, HostCommand};
use crate::app::licences::{self, LicenceOverview};
use crate::domain::id::UserId;
use crate::domain::licence::LicenceNeed;
use crate::domain::plan::DEFAULT_HOST_CAPACITY;
use crate::domain::platform_host::{
    HostCreation, HostRequest, HostState, LicenceMode, PlatformHost, ZoomUserRemoval,
};
use crate::domain::refusal::Refusal;
use crate::domain::text::Email;
use crate::http;
use crate::store::Store;
use crate::telemetry::error_chain;

pub type Deps = HttpDeps<Store>;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct HostBody {
    email: String,
    create: HostCreation,
    licence: LicenceMode,
}

/// The detail of `InstructorAssigned`: the body of the request with the trainer.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct AssignedDetail {
    trainer_id: String,
    email: String,
    create: HostCreation,
    licence: LicenceMode,
}

/// The detail of `InstructorRemoved`: the query of the request with the trainer.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RemovedDetail {
    trainer_id: String,
    zoom: Option<ZoomUserRemoval>,
    #[serde(default)]
    force: bool,
}

#[derive(Serialize)]
struct HostView {
    trainer_id: UserId,
    email: Email,
    create: HostCreation,
    zoom_user_id: Option<String>,
    state: HostState,
    reason: Option<&'static str>,
    licence: LicenceView,
    capacity: u32,
    requested_at: Timestamp,
    updated_at: Timestamp,
}

#[derive(Serialize)]
struct LicenceView {
    mode: LicenceMode,
    held: bool,
    since: Option<Timestamp>,
}

/// The licences of the account.
#[derive(Serialize)]
struct LicencesView {
    limit: Option<u32>,
    assigned: u32,
    held: Vec<HeldView>,
    forecast: Vec<NeedView>,
}

#[derive(Serialize)]
struct HeldView {
    trainer_id: UserId,
    since: Timestamp,
    until: Option<Timestamp>,
}

#[derive(Serialize)]
struct NeedView {
    at: Timestamp,
    needed: u32,
}

impl From<LicenceOverview> for LicencesView {
    fn from(overview: LicenceOverview) -> Self {
        let held = overview.held.into_iter().map(|(trainer_id, held)| HeldView {
            trainer_id,
            since: held.since,
            until: held.until,
        });
        let need = |need: LicenceNeed| NeedView { at: need.at, needed: need.needed };
        Self {
            limit: overview.limit,
            assigned: overview.assigned,
            held: held.collect(),
            forecast: overview.forecast.into_iter().map(need).collect(),
        }
    }
}

impl HostView {
    /// `capacity` is the number of sessions that a host can hold at the same time.
    fn of(host: PlatformHost, capacity: u32) -> Self {
        Self {
            trainer_id: host.trainer,
            email: host.email,
            create: host.creation,
            zoom_user_id: host.zoom_user.map(String::from),
            state: host.state,
            reason: host.reason.map(|reason| reason.as_str()),
            licence: LicenceView {
                mode: host.licence,
                held: host.held.is_some(),
                since: host.held.map(|held| held.since),
            },
            capacity,
            requested_at: host.requested_at,
            updated_at: host.updated_at,
        }
    }
}

pub async fn handle(function: &Function<Deps>, request: Request) -> HttpResponse {
    function.respond(request, serve).await
}

async fn serve(deps: &Deps, request: Request) -> Result<ResponseBody, RequestError> {
    let now = deps.clock.now();
    let (route, parameters) = route(&request)?;
    deps.authenticator.caller(&request, now).await?;
    let store = &deps.clients;
    let capacity = store.settings().await.map_err(AppError::from)?.host_capacity;
    let capacity = capacity.unwrap_or(DEFAULT_HOST_CAPACITY);
    if route.path == "/v1/hosts" {
        let state = http::query_word(&request, "state", HostState::WORDS)?;
        let after = Cursor::requested(&request)?;
        let limit = http::query_limit(&request)?;
        let page = hosts::list(store, state, after.as_ref(), limit).await?;
        let items = page.hosts.into_iter().map(|host| HostView::of(host, capacity)).collect();
        return ResponseBody::ok(&Page::new(items, page.last));
    }
    if route.path == "/v1/hosts/licences" {
        let overview = licences::overview(store, now).await?;
        return ResponseBody::ok(&LicencesView::from(overview));
    }
    let trainer = trainer_id(path_parameter(&parameters, "trainer_id"))?;
    let command = match route.method {
        "GET" => {
            let host = hosts::load(store, &trainer).await?;
            return ResponseBody::ok(&HostView::of(host, capacity));
        }
        "PUT" => {
            let HostBody { email, create, licence } = http::json(&request)?;
            HostCommand::Request(host_request(&email, create, licence)?)
        }
        "DELETE" => HostCommand::Remove {
            zoom: http::query_word(&request, "zoom", ZoomUserRemoval::WORDS)?
                .unwrap_or(ZoomUserRemoval::Keep),
            force: http::query_word(&request, "force", "true or false")?.unwrap_or(false),
        },
        _ => return Err(RequestError::UnknownRoute),
    };
    let host = hosts::apply(store, &trainer, &command, now).await?;
    ResponseBody::json(::http::StatusCode::ACCEPTED, &HostView::of(host, capacity))
}

fn trainer_id(text: &str) -> Result<UserId, Refusal> {
    UserId::parse(text).map_err(|error| Refusal::field("trainer_id", error))
}

fn host_request(
    email: &str,
    creation: HostCreation,
    licence: LicenceMode,
) -> Result<HostRequest, Refusal> {
    let email = Email::parse(email).map_err(|error| Refusal::field("email", error))?;
    Ok(HostRequest { email, creation, licence })
}

/// Handles an event of the platform or a request of the HTTP API.
pub async fn handle_event_or_request(
    function: &Function<Deps>,
    event: LambdaEvent<Value>,
) -> Result<Value, Error> {
    platform_event::handle_event_or_request(
        event,
        |event| handle_event(function, event),
        |request| handle(function, request),
    )
    .await
}

/// Applies an event.
async fn handle_event(function: &Function<Deps>, event: Value) -> Result<(), EventFailed> {
    let work = async {
        let deps = function.deps()?;
        let event = PlatformEvent::parse(event)?;
        let (id, kind) = (event.id, event.detail_type);
        let Some((trainer, command)) = parse_event(&kind, event.detail)? else {
            // A newer platform may send detail types that this version does not know.
            tracing::warn!(event = "hosts.event_ignored", id, kind);
            return Ok(());
        };
        let now = deps.clock.now();
        let issued_at = event.time.unwrap_or(now);
        hosts::apply_issued(&deps.clients, &trainer, &command, issued_at, now).await?;
        tracing::info!(event = "hosts.event_applied", id, kind);
        Ok(())
    };
    work.await.map_err(|error: AppError| {
        tracing::error!(event = "hosts.event_failed", error = error_chain(&error));
        EventFailed(error)
    })
}

/// Parses an event. Returns `None` for an unknown detail type.
fn parse_event(
    kind: &str,
    detail: Map<String, Value>,
) -> Result<Option<(UserId, HostCommand)>, Refusal> {
    let detail = Value::Object(detail);
    let parsed = match kind {
        "InstructorAssigned" => {
            let detail: AssignedDetail = http::parse_value(detail)?;
            let request = host_request(&detail.email, detail.create, detail.licence)?;
            (trainer_id(&detail.trainer_id)?, HostCommand::Request(request))
        }
        "InstructorRemoved" => {
            let RemovedDetail { trainer_id: id, zoom, force } = http::parse_value(detail)?;
            let zoom = zoom.unwrap_or(ZoomUserRemoval::Keep);
            (trainer_id(&id)?, HostCommand::Remove { zoom, force })
        }
        _ => return Ok(None),
    };
    Ok(Some(parsed))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::handlers::detail_types;

    #[test]
    fn every_routed_detail_type_is_parsed_and_others_are_ignored() {
        for kind in detail_types("hosts") {
            assert!(parse_event(kind, Map::new()).is_err(), "{kind} needs a detail");
        }
        assert_eq!(parse_event("InstructorPromoted", Map::new()), Ok(None));
    }
}
