//! `join`: authorizes a person and returns the join credentials.

use lambda_http::Request;
use serde::{Deserialize, Serialize};

use super::Route;
use super::app_url::AppUrl;
use super::deps;
use super::edge::{HttpResponse, RequestError, ResponseBody, log_session, route, session_id};
use super::function::Function;
use super::guest::{GuestState, guest_name};
use super::http_deps::{HttpDeps, State};
use super::join_report;
use crate::app::Services;
use crate::app::join::{self, AdmittedJoin, JoinCredentials, JoinRequest, JoinSettings};
use crate::app::join_report::ReportLimit;
use crate::app::visibility::AudienceMemory;
use crate::config::{ConfigError, Env, names};
use crate::domain::admission::JoinPreference;
use crate::domain::session::Provider;
use crate::http;
use crate::secret::Secret;

pub type Deps = HttpDeps<Services, JoinConfig>;

#[derive(Debug)]
pub struct JoinConfig {
    settings: JoinSettings,
    memory: AudienceMemory,
    guests: GuestState,
    reports: ReportLimit,
    app_url: AppUrl,
}

impl State for JoinConfig {
    fn new(env: &Env) -> Result<Self, ConfigError> {
        let settings = JoinSettings {
            mode: deps::join_mode(env)?,
            app_account: env.optional(names::ZOOM_APP_ACCOUNT_ID),
        };
        let (memory, guests, reports) = Default::default();
        Ok(Self { settings, memory, guests, reports, app_url: AppUrl::new(env)? })
    }
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct JoinBody {
    prefer: Option<JoinPreference>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GuestJoinBody {
    token: Secret,
    name: Option<String>,
    prefer: Option<JoinPreference>,
}

#[derive(Serialize)]
struct CredentialsView {
    provider: Provider,
    mode: &'static str,
    meeting_number: Option<String>,
    passcode: Option<String>,
    signature: Option<String>,
    sdk_key: Option<String>,
    role: u8,
    user_name: String,
    customer_key: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    zak: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    obf_token: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    join_url: Option<String>,
    expires_at: jiff::Timestamp,
    leave_url: String,
}

pub async fn handle(function: &Function<Deps>, request: Request) -> HttpResponse {
    function.respond(request, serve).await
}

async fn serve(deps: &Deps, request: Request) -> Result<ResponseBody, RequestError> {
    let now = deps.clock.now();
    let (route, parameters) = route(&request)?;
    let JoinConfig { guests, memory, reports, .. } = &deps.state;
    match route.path {
        "/v1/guest/join" => return serve_guest(deps, &request, &route).await,
        join_report::ROUTE => return join_report::serve(deps, reports, &request).await,
        join_report::GUEST_ROUTE => {
            return join_report::serve_guest(deps, (guests, memory), &request, &route).await;
        }
        _ => {}
    }
    let caller = deps.authenticator.caller(&request, now).await?;
    let id = session_id(&parameters)?;
    let body: JoinBody = http::optional_json(&request)?;
    let JoinConfig { settings, memory, app_url, .. } = &deps.state;
    let join_request = JoinRequest { session: &id, preference: body.prefer, memory };
    let join = join::join(&deps.clients, settings, &caller, &join_request, now).await?;
    let default_name = if join.is_host { "Trainer" } else { "Student" };
    let leave_url = app_url.session_page(&join.session.id);
    ResponseBody::ok(&view(join, default_name, leave_url))
}

async fn serve_guest(
    deps: &Deps,
    request: &Request,
    route: &Route,
) -> Result<ResponseBody, RequestError> {
    let now = deps.clock.now();
    let JoinConfig { settings, memory, guests, app_url, .. } = &deps.state;
    let body: GuestJoinBody = http::json(request)?;
    let guest_request = guests.request(request, route, &body.token, memory)?;
    let name = guest_name(body.name.as_deref())?;
    let join = join::join_as_guest(&deps.clients, settings, &guest_request, name, body.prefer, now)
        .await?;
    log_session(&join.session.id);
    // Zoom's client gets this address, so it does not contain the token.
    ResponseBody::ok(&view(join, "Guest", app_url.guest_page()))
}

fn view(join: AdmittedJoin, default_name: &str, leave_url: String) -> CredentialsView {
    let exposed = |secret: Secret| secret.expose().to_owned();
    let view = CredentialsView {
        provider: join.session.provider,
        mode: "link",
        meeting_number: None,
        passcode: None,
        signature: None,
        sdk_key: None,
        role: u8::from(join.is_host),
        user_name: join.name.as_ref().map_or(default_name, |name| name.as_str()).to_owned(),
        customer_key: join.customer_key,
        zak: None,
        obf_token: None,
        join_url: None,
        expires_at: join.expires_at,
        leave_url,
    };
    match join.credentials {
        JoinCredentials::Embedded { meeting, passcode, signature, sdk_key, zak, obf_token } => {
            CredentialsView {
                mode: if obf_token.is_some() { "signature_obf" } else { "signature" },
                meeting_number: Some(meeting.to_string()),
                passcode: passcode.map(exposed),
                signature: Some(exposed(signature)),
                sdk_key: Some(sdk_key),
                zak: zak.map(exposed),
                obf_token: obf_token.map(exposed),
                ..view
            }
        }
        JoinCredentials::Link { join_url, meeting, passcode } => CredentialsView {
            join_url: Some(exposed(join_url)),
            meeting_number: meeting.map(|id| id.to_string()),
            passcode: passcode.map(exposed),
            ..view
        },
    }
}
