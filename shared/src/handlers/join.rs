//! `join`: authorise, and hand out the embedded-join payload.

use std::sync::Arc;

use lambda_http::Request;
use serde::Serialize;

use super::deps::{self, CommonDeps};
use super::edge::{HttpResponse, RequestError, Authenticator, ResponseBody, named, route};
use super::function::{self, Function};
use crate::app::Services;
use crate::app::join::{self, JoinSettings, JoinCredentials, AdmittedJoin};
use crate::clock::Clock;
use crate::config::{ConfigError, Env, names};

use crate::domain::caller::Caller;
use crate::domain::id::SessionId;
use crate::domain::refusal::Refusal;
use crate::domain::session::Provider;
use crate::random::Random;
use crate::secrets::Secrets;

#[derive(Debug)]
pub struct Deps {
    gate: Authenticator,
    tools: Services,
    secrets: Arc<Secrets>,
    admission: JoinSettings,
    app_url: String,
}

impl function::Deps for Deps {
    fn new(env: &Env, clock: &Clock, random: &Random) -> Result<Self, ConfigError> {
        let base = CommonDeps::new(env, random)?;
        let secrets = base.secrets()?;
        Ok(Self {
            gate: Authenticator::new(env, base.http.clone(), secrets.clone())?,
            tools: base.tools(&secrets, clock)?,
            admission: JoinSettings {
                mode: deps::join_mode(env)?,
                app_account: env.optional(names::ZOOM_APP_ACCOUNT_ID),
                windows: deps::windows(env)?,
            },
            app_url: env.url(names::APP_URL)?.as_str().trim_end_matches('/').to_owned(),
            secrets,
        })
    }

    async fn warm(&self) {
        deps::warm(&self.tools.store, &self.secrets, Some(&self.gate), self.tools.clock.now())
            .await;
    }
}

#[derive(Serialize)]
struct View {
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
    function.answer(request, serve).await
}

async fn serve(deps: &Deps, request: Request) -> Result<ResponseBody, RequestError> {
    let now = deps.tools.clock.now();
    let (_, parameters) = route(&request)?;
    let caller = deps.gate.caller(&request, now).await?;
    let id = SessionId::parse(named(&parameters, "id")).ok_or(Refusal::NotFound)?;
    let pass = join::join(&deps.tools, &deps.admission, &caller, &id, now).await?;
    ResponseBody::ok(&view(deps, &caller, pass))
}

fn view(deps: &Deps, caller: &Caller, pass: AdmittedJoin) -> View {
    let shown = |secret: crate::secret::Secret| secret.expose().to_owned();
    let unnamed = if pass.is_owner { "Trainer" } else { "Student" };
    let view = View {
        provider: pass.session.provider,
        mode: "link",
        meeting_number: None,
        passcode: None,
        signature: None,
        sdk_key: None,
        role: u8::from(pass.is_owner),
        user_name: caller.name.as_ref().map_or(unnamed, |name| name.as_str()).to_owned(),
        customer_key: pass.customer_key,
        zak: None,
        obf_token: None,
        join_url: None,
        expires_at: pass.expires_at,
        leave_url: format!("{}/sessions/{}", deps.app_url, pass.session.id),
    };
    match pass.entrance {
        JoinCredentials::Embedded { meeting, passcode, signature, sdk_key, zak, obf_token } => View {
            mode: if obf_token.is_some() { "signature_obf" } else { "signature" },
            meeting_number: Some(meeting.to_string()),
            passcode: passcode.map(shown),
            signature: Some(shown(signature)),
            sdk_key: Some(sdk_key),
            zak: zak.map(shown),
            obf_token: obf_token.map(shown),
            ..view
        },
        JoinCredentials::Link { join_url, meeting, passcode } => View {
            join_url: Some(shown(join_url)),
            meeting_number: meeting.map(|id| id.to_string()),
            passcode: passcode.map(shown),
            ..view
        },
    }
}
