//! `session-save`: creates or edits a session, at Zoom and here. It also writes the visibility of recordings and the clicks to watch them.

mod by_ref;
mod import;
mod recordings;

use ::http::StatusCode;
use lambda_http::Request;
use serde_json::Value;

use super::app_url::AppUrl;
use super::deps;
use super::edge::{HttpResponse, RequestError, ResponseBody, route, session_id};
use super::function::Function;
use super::http_deps::{HttpDeps, State};
use super::session_view;
use crate::app::Services;
use crate::app::session_save::{
    CreateSession, EditSession, ExpectedVersion, RepeatedCreate, acts_as_service, create, edit,
    find_created_session, requested_trainer,
};
use crate::config::{ConfigError, Env};
use crate::domain::actor::Actor;
use crate::domain::draft::{OpenDraft, SaveBody};
use crate::domain::id::{SessionId, UserId};
use crate::domain::pending_meeting::MeetingLead;
use crate::domain::refusal::Refusal;
use crate::domain::session::Source;
use crate::domain::session_window::JoinWindowSettings;
use crate::domain::time::Zone;
use crate::domain::trainer_session::SessionWithInvitees;
use crate::http::{self, EntityTag, EntityTags};

pub type Deps = HttpDeps<Services, SaveSettings>;

#[derive(Debug)]
pub struct SaveSettings {
    default_zone: Zone,
    join_window: JoinWindowSettings,
    meeting_lead: MeetingLead,
    app_url: AppUrl,
}

impl State for SaveSettings {
    fn new(env: &Env) -> Result<Self, ConfigError> {
        let default_zone = deps::default_zone(env)?;
        let join_window = deps::join_window_settings(env)?;
        let meeting_lead = deps::meeting_lead(env)?;
        Ok(Self { default_zone, join_window, meeting_lead, app_url: AppUrl::new(env)? })
    }
}

pub async fn handle(function: &Function<Deps>, request: Request) -> HttpResponse {
    function.respond(request, serve).await
}

async fn serve(deps: &Deps, request: Request) -> Result<ResponseBody, RequestError> {
    let now = deps.clock.now();
    let (route, parameters) = route(&request)?;
    let caller = deps.authenticator.caller(&request, now).await?;
    match route.path {
        "/v1/sessions/by-ref/{external_ref}" => {
            return by_ref::serve(deps, &request, &caller, &parameters).await;
        }
        "/v1/sessions/import" => return import::serve(deps, &request, &caller).await,
        recordings::SYNC_ROUTE => return recordings::sync(deps, &caller, &parameters).await,
        recordings::FILE_ROUTE => {
            return recordings::set_visibility(deps, &request, &caller, &parameters).await;
        }
        recordings::VIEW_ROUTE => {
            return recordings::record_view(deps, &caller, &parameters).await;
        }
        _ => {}
    }
    if route.method == "POST" {
        let body: Value = http::json(&request)?;
        let body_hash = http::fingerprint(&body);
        let mut body: SaveBody = http::parse_value(body)?;
        let on_behalf_of = trainer_id(body.trainer_id.take())?;
        let by_service = acts_as_service(&caller, on_behalf_of.as_ref());
        let source = source(by_service, body.source.take())?;
        let trainer = requested_trainer(&caller, on_behalf_of)?;
        let key = http::idempotency_key(&request)?;
        let draft = match OpenDraft::check(body, &deps.state.default_zone, now) {
            Ok(draft) => draft,
            Err(refusal) => {
                let repeated = key.as_deref().map(|key| RepeatedCreate {
                    trainer: &trainer,
                    key,
                    body_hash: &body_hash,
                });
                return match find_repeated(deps, repeated).await? {
                    Some(session) => created_response(deps, &session).await,
                    None => Err(refusal.into()),
                };
            }
        };
        let id = key.as_deref().map(|key| SessionId::for_key(&trainer, key));
        let request = CreateSession {
            trainer,
            source,
            author: by_service.then(|| Actor::service(&caller)),
            draft,
            window: deps.state.join_window,
            meeting_lead: deps.state.meeting_lead,
            id,
            external_ref: None,
            triggered_by: None,
            body_hash,
        };
        let session = create(&deps.clients, &request, now).await?;
        return created_response(deps, &session).await;
    }
    let session = session_id(&parameters)?;
    let body: SaveBody = http::json(&request)?;
    let expected_version = http::if_match(&request)?.map_or(ExpectedVersion::Any, versions);
    let draft = OpenDraft::check(body, &deps.state.default_zone, now)?;
    let SaveSettings { join_window: window, meeting_lead, .. } = deps.state;
    let request = EditSession {
        probable_trainer: caller.id.clone(),
        caller,
        session,
        draft,
        window,
        meeting_lead,
        expected_version,
    };
    let edited = edit(&deps.clients, &request, now).await?;
    saved_response(deps, StatusCode::OK, &edited).await
}

/// Returns the versions of an `If-Match` header. A weak tag matches no version (RFC 9110, section 13.1.1), nor does a tag
/// that is not exactly a version, such as `"01"`.
fn versions(tags: EntityTags) -> ExpectedVersion {
    let version = |tag: &EntityTag| {
        let version: u64 = std::str::from_utf8(&tag.opaque).ok()?.parse().ok()?;
        let is_exact = !tag.is_weak && version.to_string().as_bytes() == tag.opaque;
        is_exact.then_some(version)
    };
    match tags {
        EntityTags::Any => ExpectedVersion::Stored,
        EntityTags::Listed(tags) => {
            ExpectedVersion::OneOf(tags.iter().filter_map(version).collect())
        }
    }
}

async fn find_repeated(
    deps: &Deps,
    repeated: Option<RepeatedCreate<'_>>,
) -> Result<Option<SessionWithInvitees>, RequestError> {
    match repeated {
        Some(repeated) => Ok(find_created_session(&deps.clients, &repeated).await?),
        None => Ok(None),
    }
}

async fn created_response(
    deps: &Deps,
    session: &SessionWithInvitees,
) -> Result<ResponseBody, RequestError> {
    let path = format!("/v1/sessions/{}", session.session.id);
    Ok(saved_response(deps, StatusCode::CREATED, session).await?.with_location(&path))
}

async fn saved_response(
    deps: &Deps,
    status: StatusCode,
    saved: &SessionWithInvitees,
) -> Result<ResponseBody, RequestError> {
    let now = deps.clock.now();
    let secrets = deps.secrets.get(now).await?;
    let view = session_view::owner_view(
        &saved.session,
        Some(&saved.invitees),
        &saved.warning_sources,
        &deps.state.app_url,
        secrets.keyring()?,
        now,
    )?;
    Ok(ResponseBody::json(status, &view)?.with_etag(saved.session.version))
}

fn trainer_id(text: Option<String>) -> Result<Option<UserId>, Refusal> {
    text.map(|text| UserId::parse(&text).map_err(|error| Refusal::field("trainer_id", error)))
        .transpose()
}

/// Returns the source of the session: the trainer in person, or the source that the host platform's service reports.
fn source(by_service: bool, body: Option<Source>) -> Result<Source, Refusal> {
    match (by_service, body) {
        (true, Some(Source::Manual)) => {
            Err(Refusal::field("source", "must be service, payment or schedule"))
        }
        (true, body) => Ok(body.unwrap_or(Source::Service)),
        (false, None) => Ok(Source::Manual),
        (false, Some(_)) => {
            Err(Refusal::field("source", "is reserved for the host platform's service"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_exact_strong_tags_are_versions() {
        let tag = |is_weak, text: &[u8]| EntityTag { is_weak, opaque: text.to_vec() };
        let listed = vec![
            tag(false, b"7"),
            tag(true, b"8"),
            tag(false, b"01"),
            tag(false, b"+9"),
            tag(false, b""),
            tag(false, b"\xe9"),
            tag(false, b"10"),
        ];
        assert_eq!(versions(EntityTags::Listed(listed)), ExpectedVersion::OneOf(vec![7, 10]));
        assert_eq!(versions(EntityTags::Any), ExpectedVersion::Stored);
    }
}
