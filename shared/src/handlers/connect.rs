//! `connect`: starts and finishes the trainer's Zoom OAuth flow, and shows the connection.

use lambda_http::Request;
use serde::{Deserialize, Serialize};

use super::edge::{HttpResponse, RequestError, ResponseBody, route};
use super::function::Function;
use super::http_deps::{HttpDeps, State};
use crate::app::connect::{FinishedConnection, TrainerHosting};
use crate::app::{Services, connect};
use crate::config::{ConfigError, Env, names};
use crate::domain::platform_host::{HostReason, HostState};
use crate::domain::refusal::Refusal;
use crate::domain::zoom_connection::{ConnectionHealth, ZoomConnection};
use crate::http;

pub type Deps = HttpDeps<Services, RedirectUris>;

/// The URIs to which Zoom may send a trainer back.
#[derive(Debug)]
pub struct RedirectUris(Vec<String>);

impl State for RedirectUris {
    fn new(env: &Env) -> Result<Self, ConfigError> {
        redirect_uris(&env.required(names::ZOOM_REDIRECT_URIS)?).map(Self)
    }
}

/// Parses a comma-separated list of URIs. They are compared exactly, so they are not normalized.
fn redirect_uris(list: &str) -> Result<Vec<String>, ConfigError> {
    let uris: Vec<String> =
        list.split(',').map(str::trim).filter(|uri| !uri.is_empty()).map(str::to_owned).collect();
    if uris.is_empty() {
        return Err(ConfigError::Missing { name: names::ZOOM_REDIRECT_URIS });
    }
    for uri in &uris {
        url::Url::parse(uri).map_err(|why| ConfigError::invalid(names::ZOOM_REDIRECT_URIS, why))?;
    }
    Ok(uris)
}

/// The connection as the trainer sees it.
#[derive(Serialize)]
struct ConnectionView {
    status: &'static str,
    zoom_email: Option<String>,
    account_id: Option<String>,
    scopes: Vec<String>,
    missing_scopes: Vec<String>,
    connected_at: Option<jiff::Timestamp>,
    /// Only where the platform hosts.
    #[serde(skip_serializing_if = "Option::is_none")]
    host: Option<HostStateView>,
}

/// The trainer's host in the platform's own account.
#[derive(Serialize)]
struct HostStateView {
    /// `None` if nobody has requested a host.
    state: Option<HostState>,
    reason: Option<&'static str>,
}

impl ConnectionView {
    fn without_connection(status: &'static str) -> Self {
        Self {
            status,
            zoom_email: None,
            account_id: None,
            scopes: Vec::new(),
            missing_scopes: Vec::new(),
            connected_at: None,
            host: None,
        }
    }
}

impl From<TrainerHosting> for ConnectionView {
    fn from(hosting: TrainerHosting) -> Self {
        match hosting {
            TrainerHosting::Trainer(Some(connection)) => Self::from(*connection),
            TrainerHosting::Trainer(None) => Self::without_connection("not_connected"),
            TrainerHosting::Platform(host) => Self {
                zoom_email: host.as_ref().map(|host| host.email.as_str().to_owned()),
                account_id: host.as_ref().and_then(|host| host.account.clone()),
                host: Some(HostStateView {
                    state: host.as_ref().map(|host| host.state),
                    reason: host.and_then(|host| host.reason).map(HostReason::as_str),
                }),
                ..Self::without_connection("platform")
            },
        }
    }
}

impl From<ZoomConnection> for ConnectionView {
    fn from(c: ZoomConnection) -> Self {
        Self {
            status: match c.health {
                ConnectionHealth::Connected => "connected",
                ConnectionHealth::ReauthRequired => "reauth_required",
            },
            missing_scopes: c.missing_scopes(),
            zoom_email: c.zoom_user.email.map(String::from),
            account_id: Some(c.zoom_user.account_id),
            scopes: c.scopes,
            connected_at: Some(c.connected_at),
            host: None,
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AuthorizeBody {
    redirect_uri: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ConnectBody {
    code: String,
    state: String,
}

#[derive(Serialize)]
struct AuthorizationView {
    authorize_url: String,
    state: String,
    expires_at: jiff::Timestamp,
}

pub async fn handle(function: &Function<Deps>, request: Request) -> HttpResponse {
    function.respond(request, serve).await
}

async fn serve(deps: &Deps, request: Request) -> Result<ResponseBody, RequestError> {
    let now = deps.clock.now();
    let (route, _) = route(&request)?;
    let caller = deps.authenticator.caller(&request, now).await?;
    match (route.method, route.path) {
        ("GET", "/v1/zoom/connection") => ResponseBody::ok(&ConnectionView::from(
            connect::load_connection(&deps.clients, &caller.id).await?,
        )),
        ("POST", "/v1/zoom/authorize") => {
            let body: AuthorizeBody = http::json(&request)?;
            let authorization = connect::authorize(
                &deps.clients,
                &caller.id,
                &body.redirect_uri,
                &deps.state.0,
                now,
            )
            .await?;
            ResponseBody::ok(&AuthorizationView {
                authorize_url: authorization.authorize_url.into(),
                state: authorization.state,
                expires_at: authorization.expires_at,
            })
        }
        ("POST", "/v1/zoom/connect") => {
            let body: ConnectBody = http::json(&request)?;
            if body.code.is_empty() || body.code.len() > connect::CODE_LIMIT_BYTES {
                return Err(Refusal::field("code", "is not a valid Zoom authorization code").into());
            }
            let FinishedConnection { connection, affected_sessions } =
                connect::finish(&deps.clients, &caller.id, &body.code, &body.state, now).await?;
            let view = ConnectionView::from(connection);
            Ok(ResponseBody::ok(&view)?.with_affected_sessions(affected_sessions))
        }
        _ => Err(RequestError::UnknownRoute),
    }
}
