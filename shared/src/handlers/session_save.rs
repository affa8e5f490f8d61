//! `session-save`: create or edit a class, at Zoom and here.

use std::sync::Arc;

use ::http::StatusCode;
use lambda_http::Request;
use serde_json::Value;

use super::deps::{self, CommonDeps};
use super::edge::{HttpResponse, RequestError, Authenticator, ResponseBody, named, route};
use super::function::{self, Function};
use super::session_view;
use crate::app::Services;
use crate::app::session_save::{
    RepeatedCreate, CreateSession, EditSession, create, edit, made_before, speaks_as_service, trainer_of,
};
use crate::clock::Clock;
use crate::config::{ConfigError, Env, names};
use crate::domain::caller::Role;
use crate::domain::draft::{Draft, SaveBody};
use crate::domain::id::{SessionId, UserId};
use crate::domain::refusal::Refusal;
use crate::domain::session::{SessionWithInvitees, Source};
use crate::domain::time::Zone;
use crate::http;
use crate::random::Random;
use crate::secrets::Secrets;

#[derive(Debug)]
pub struct Deps {
    gate: Authenticator,
    tools: Services,
    secrets: Arc<Secrets>,
    default_zone: Zone,
}

impl function::Deps for Deps {
    fn new(env: &Env, clock: &Clock, random: &Random) -> Result<Self, ConfigError> {
        let base = CommonDeps::new(env, random)?;
        let secrets = base.secrets()?;
        let zone = env.required(names::DEFAULT_TIMEZONE)?;
        Ok(Self {
            gate: Authenticator::new(env, base.http.clone(), secrets.clone())?,
            tools: base.tools(&secrets, clock)?,
            default_zone: Zone::parse(&zone)
                .map_err(|error| ConfigError::invalid(names::DEFAULT_TIMEZONE, error))?,
            secrets,
        })
    }

    async fn warm(&self) {
        deps::warm(&self.tools.store, &self.secrets, Some(&self.gate), self.tools.clock.now())
            .await;
    }
}

pub async fn handle(function: &Function<Deps>, request: Request) -> HttpResponse {
    function.answer(request, serve).await
}

async fn serve(deps: &Deps, request: Request) -> Result<ResponseBody, RequestError> {
    let now = deps.tools.clock.now();
    let (route, parameters) = route(&request)?;
    let caller = deps.gate.caller_with(&request, &[Role::Trainer, Role::Service], now).await?;
    if route.method == "POST" {
        let said: Value = http::json(&request)?;
        let body_hash = http::fingerprint(&said);
        let mut body: SaveBody = http::parse_value(said)?;
        let on_behalf_of = trainer_id(body.trainer_id.take())?;
        let by_service = speaks_as_service(&caller, on_behalf_of.as_ref());
        let source = source(by_service, body.source.take())?;
        let trainer = trainer_of(&caller, on_behalf_of)?;
        let key = http::idempotency_key(&request)?;
        let draft = match Draft::check(body, &deps.default_zone, now) {
            Ok(draft) => draft,
            Err(refusal) => {
                let again = key.as_deref().map(|key| RepeatedCreate {
                    trainer: &trainer,
                    key,
                    body_hash: &body_hash,
                });
                return match before(deps, again).await? {
                    Some(made) => created(deps, &made).await,
                    None => Err(refusal.into()),
                };
            }
        };
        let request = CreateSession { trainer, source, draft, key, body_hash };
        let made = create(&deps.tools, &request, now).await?;
        return created(deps, &made).await;
    }
    let session = SessionId::parse(named(&parameters, "id")).ok_or(Refusal::NotFound)?;
    if !caller.is(Role::Trainer) {
        return Err(Refusal::Forbidden.into());
    }
    let body: SaveBody = http::json(&request)?;
    let seen = http::if_match(&request)?;
    let draft = Draft::check(body, &deps.default_zone, now)?;
    let edited = edit(&deps.tools, &EditSession { caller, session, draft, seen }, now).await?;
    reply(deps, StatusCode::OK, &edited).await
}

async fn before(
    deps: &Deps,
    again: Option<RepeatedCreate<'_>>,
) -> Result<Option<SessionWithInvitees>, RequestError> {
    match again {
        Some(again) => Ok(made_before(&deps.tools, &again).await?),
        None => Ok(None),
    }
}

async fn created(deps: &Deps, made: &SessionWithInvitees) -> Result<ResponseBody, RequestError> {
    let path = format!("/v1/sessions/{}", made.session.id);
    Ok(reply(deps, StatusCode::CREATED, made).await?.with_location(&path))
}

async fn reply(
    deps: &Deps,
    status: StatusCode,
    saved: &SessionWithInvitees,
) -> Result<ResponseBody, RequestError> {
    let secrets = deps.secrets.get(deps.tools.clock.now()).await?;
    let view = session_view::owner(&saved.session, Some(&saved.invitees), secrets.keyring()?)?;
    Ok(ResponseBody::json(status, &view)?.tagged(saved.session.version))
}

fn trainer_id(text: Option<String>) -> Result<Option<UserId>, Refusal> {
    text.map(|text| UserId::parse(&text).map_err(|error| Refusal::field("trainer_id", error)))
        .transpose()
}

/// Who caused the class: the trainer in person, or what the host platform's service says.
fn source(by_service: bool, said: Option<Source>) -> Result<Source, Refusal> {
    match (by_service, said) {
        (true, Some(Source::Manual)) => {
            Err(Refusal::field("source", "must be service, payment or schedule"))
        }
        (true, said) => Ok(said.unwrap_or(Source::Service)),
        (false, None) => Ok(Source::Manual),
        (false, Some(_)) => {
            Err(Refusal::field("source", "is for the host platform's service only"))
        }
    }
}
