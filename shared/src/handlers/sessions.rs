//! `sessions`: lists and reads sessions.

use jiff::Timestamp;
use lambda_http::Request;
use serde::{Deserialize, Serialize};

use super::app_url::AppUrl;
use super::cursor::Cursor;
use super::deps;
use super::edge::{
    HttpResponse, RequestError, ResponseBody, external_ref, log_session, route, session_id,
};
use super::function::Function;
use super::guest::GuestState;
use super::http_deps::{HttpDeps, State};
use super::pages::Page;
use super::session_view::{InvitedView, SessionDetailView};
use super::{Route, recording_view, session_view};
use crate::app::calendar_entry::load_session_entry;
use crate::app::error::Error;
use crate::app::guests::load_guest_session;
use crate::app::sessions::{
    self, ListRequest, ListScope, OwnerDetails, SessionPage, SessionView, TrainerSessionPage,
};
use crate::app::timeline;
use crate::app::visibility::AudienceMemory;
use crate::config::{ConfigError, Env, names};
use crate::domain::admission::JoinMode;
use crate::domain::host_status::WarningSources;
use crate::domain::id::{CourseId, ExternalRef, UserId};
use crate::domain::join_window;
use crate::domain::next_look;
use crate::domain::recording::RecordingVisibility;
use crate::domain::refusal::Refusal;
use crate::domain::rights::{Operation, View};
use crate::domain::session::{Session, Status};
use crate::domain::time::whole_milli;
use crate::http;
use crate::mail::Brand;
use crate::secret::Secret;
use crate::store::Store;
use crate::store::sessions::{SessionCursor, SessionFilter};
use crate::store::timeline::TimelineCursor;

pub type Deps = HttpDeps<Store, SessionsConfig>;

/// The settings of joining and of the texts that people see.
#[derive(Debug)]
pub struct SessionsConfig {
    mode: JoinMode,
    app_account: Option<String>,
    app_url: AppUrl,
    disclaimer: Option<String>,
    /// The sender of mails, who is the organizer in calendars. Mails wait until it is set, and so do calendar files.
    brand: Result<Brand, ConfigError>,
    memory: AudienceMemory,
    guests: GuestState,
}

impl State for SessionsConfig {
    fn new(env: &Env) -> Result<Self, ConfigError> {
        let app_account = env.optional(names::ZOOM_APP_ACCOUNT_ID);
        let (memory, guests) = Default::default();
        let (mode, app_url) = (deps::join_mode(env), AppUrl::new(env));
        let (brand, disclaimer) = (Brand::read(env), env.optional(names::DISCLAIMER));
        let (mode, app_url) = (mode?, app_url?);
        Ok(Self { mode, app_account, app_url, disclaimer, brand, memory, guests })
    }
}

impl SessionsConfig {
    /// Returns whether invited people can join only while the host is in the meeting.
    fn needs_host(&self, session: &Session) -> bool {
        self.mode.join_method(session, self.app_account.as_deref(), None).needs_host()
    }
}

/// The name under which a browser stores a calendar entry.
const CALENDAR_FILE: &str = "class.ics";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GuestBody {
    token: Secret,
}

/// A response with the server's time, from which a client counts down to the join window.
#[derive(Serialize)]
struct WithServerTime<T> {
    #[serde(flatten)]
    body: T,
    server_time: Timestamp,
}

/// The class of a guest link, with what a guest reads nowhere else.
#[derive(Serialize)]
struct GuestView<'a> {
    #[serde(flatten)]
    view: WithServerTime<InvitedView>,
    disclaimer: Option<&'a str>,
}

#[derive(Serialize)]
struct TimelinePage {
    #[serde(flatten)]
    page: Page<timeline::TimelineEntry, TimelineCursor>,
    complete_since: Timestamp,
}

#[derive(Serialize)]
struct StudentPage {
    #[serde(flatten)]
    page: Page<InvitedView, SessionCursor>,
    next_look_seconds: u32,
}

pub async fn handle(function: &Function<Deps>, request: Request) -> HttpResponse {
    function.respond(request, serve).await
}

async fn serve(deps: &Deps, request: Request) -> Result<ResponseBody, RequestError> {
    let now = deps.clock.now();
    let (route, parameters) = route(&request)?;
    if route.path == "/v1/guest/session" {
        return serve_guest(deps, &request, &route).await;
    }
    let caller = deps.authenticator.caller(&request, now).await?;
    match route.path {
        "/v1/sessions" => {
            let list = list_request(&request)?;
            let trainer = query_id(&request, "trainer_id", UserId::parse)?;
            let scope = match query_id(&request, "external_ref", ExternalRef::parse)? {
                Some(name) => ListScope::named(&caller, name, trainer, list.course.clone())?,
                None => ListScope::requested(&caller, trainer, list.course.clone())?,
            };
            let TrainerSessionPage { page: SessionPage { sessions, next }, warning_sources } =
                sessions::list_for_trainer(&deps.clients, &scope, &list, now).await?;
            let no_warnings = WarningSources::default();
            let secrets = deps.secrets.get(now).await?;
            let keyring = secrets.keyring()?;
            let items = sessions
                .iter()
                .map(|session| {
                    session_view::owner_view(
                        session,
                        None,
                        warning_sources.get(&session.trainer).unwrap_or(&no_warnings),
                        &deps.state.app_url,
                        keyring,
                        now,
                    )
                })
                .collect::<Result<_, _>>()?;
            ResponseBody::ok(&with_server_time(Page::new(items, next), now))
        }
        "/v1/sessions/{id}" => {
            let id = session_id(&parameters)?;
            match sessions::load_session_view(&deps.clients, &caller, &id, now).await? {
                SessionView::Owner(details) => {
                    let view = with_server_time(owner_detail(deps, &details, now).await?, now);
                    Ok(ResponseBody::ok(&view)?.with_etag(details.session.version))
                }
                SessionView::Invited(session) => {
                    let view = invited_view(deps, &session, now);
                    Ok(ResponseBody::ok(&view)?.with_etag(session.version))
                }
            }
        }
        "/v1/sessions/{id}/calendar.ics" => {
            let id = session_id(&parameters)?;
            let brand = deps.state.brand.as_ref().map_err(Clone::clone)?;
            let entry = load_session_entry(&deps.clients, &caller, &id).await?;
            let calendar = entry.to_calendar(brand, &deps.state.app_url.session_page(&id));
            let response = ResponseBody::text(calendar.content_type(), calendar.text);
            let response = response.with_file_name(CALENDAR_FILE).cached_privately();
            Ok(response.with_content_etag(&request)?)
        }
        "/v1/sessions/by-ref/{external_ref}" => {
            let name = external_ref(&parameters)?;
            let details = sessions::load_named_session(&deps.clients, &name, now).await?;
            log_session(&details.session.id);
            let view = owner_detail(deps, &details, now).await?;
            Ok(ResponseBody::ok(&view)?.with_etag(details.session.version))
        }
        "/v1/sessions/{id}/recordings" => {
            let id = session_id(&parameters)?;
            let operation = Operation::ListRecordings;
            let (session, view) =
                sessions::load_visible_session(&deps.clients, &caller, &id, operation).await?;
            let recordings = deps.clients.recordings(&session.id).await.map_err(Error::from)?;
            let secrets = deps.secrets.get(now).await?;
            let reader = match view {
                View::Full => RecordingVisibility::Trainer,
                View::Limited => RecordingVisibility::Invited,
            };
            let keyring = secrets.keyring()?;
            ResponseBody::ok(&recording_view::recordings_view(
                &session,
                &recordings,
                reader,
                keyring,
                now,
            )?)
        }
        "/v1/sessions/{id}/timeline" => {
            let id = session_id(&parameters)?;
            let before = Cursor::requested(&request)?;
            let limit = http::query_limit(&request)?;
            let (items, next) =
                timeline::load_timeline(&deps.clients, &caller, &id, before.as_ref(), limit)
                    .await?;
            ResponseBody::ok(&TimelinePage {
                page: Page::new(items, next),
                complete_since: timeline::complete_since(&deps.clients, now),
            })
        }
        "/v1/me/sessions" => {
            let request = list_request(&request)?;
            let SessionPage { sessions, next } =
                sessions::list_invited(&deps.clients, &caller, &request, now).await?;
            let view = |session| {
                session_view::invited_view(
                    session,
                    &deps.state.app_url,
                    join_window::join_window(session, false, deps.state.needs_host(session), now),
                )
            };
            let items: Vec<_> = sessions.iter().map(view).collect();
            let next_look_seconds = next_look::for_sessions(&sessions, now);
            let page = StudentPage { page: Page::new(items, next), next_look_seconds };
            ResponseBody::ok(&with_server_time(page, now))
        }
        _ => Err(RequestError::UnknownRoute),
    }
}

/// Returns the class of a guest link as a student sees it.
async fn serve_guest(
    deps: &Deps,
    request: &Request,
    route: &Route,
) -> Result<ResponseBody, RequestError> {
    let now = deps.clock.now();
    let SessionsConfig { memory, guests, disclaimer, .. } = &deps.state;
    let body: GuestBody = http::json(request)?;
    let guest_request = guests.request(request, route, &body.token, memory)?;
    let secrets = deps.secrets.get(now).await?;
    let (session, _) =
        load_guest_session(&deps.clients, secrets.keyring()?, &guest_request, now).await?;
    log_session(&session.id);
    let view =
        GuestView { view: invited_view(deps, &session, now), disclaimer: disclaimer.as_deref() };
    Ok(ResponseBody::ok(&view)?.with_etag(session.version))
}

fn with_server_time<T>(body: T, now: Timestamp) -> WithServerTime<T> {
    WithServerTime { body, server_time: whole_milli(now) }
}

/// Returns one class with everything that its trainer sees.
async fn owner_detail(
    deps: &Deps,
    details: &OwnerDetails,
    now: Timestamp,
) -> Result<SessionDetailView, RequestError> {
    let OwnerDetails { session, invitees, mails, warning_sources } = details;
    let secrets = deps.secrets.get(now).await?;
    let view = session_view::owner_view(
        session,
        Some(invitees),
        warning_sources,
        &deps.state.app_url,
        secrets.keyring()?,
        now,
    )?;
    Ok(SessionDetailView { view, mail: *mails })
}

/// Renders one class for an invited person.
fn invited_view(deps: &Deps, session: &Session, now: Timestamp) -> WithServerTime<InvitedView> {
    let window = join_window::join_window(session, false, deps.state.needs_host(session), now);
    with_server_time(session_view::invited_view(session, &deps.state.app_url, window), now)
}

fn query_id<T, E: ToString>(
    request: &Request,
    name: &str,
    parse: impl Fn(&str) -> Result<T, E>,
) -> Result<Option<T>, Refusal> {
    let id = http::query(request, name);
    id.map(|id| parse(&id).map_err(|error| Refusal::field(name, error))).transpose()
}

fn list_request(request: &Request) -> Result<ListRequest, Refusal> {
    let status = http::query(request, "status")
        .map(|word| {
            Status::parse(&word).ok_or_else(|| {
                Refusal::field("status", "must be scheduled, live, ended or cancelled")
            })
        })
        .transpose()?;
    let course = query_id(request, "course_id", CourseId::parse)?;
    let (from, to) = (http::query_time(request, "from")?, http::query_time(request, "to")?);
    if let (Some(from), Some(to)) = (from, to)
        && from > to
    {
        return Err(Refusal::field("to", "must not be before from"));
    }
    Ok(ListRequest {
        filter: SessionFilter { status, from, to, ..SessionFilter::default() },
        course,
        after: Cursor::requested(request)?,
        limit: http::query_limit(request)?,
    })
}
