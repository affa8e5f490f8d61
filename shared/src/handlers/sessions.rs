//! `sessions`: lists and reads sessions.

use std::sync::Arc;

use jiff::Timestamp;
use lambda_http::Request;
use serde::Serialize;

use super::app_url::AppUrl;
use super::deps::{self, CommonDeps};
use super::edge::{Authenticator, HttpResponse, RequestError, ResponseBody, path_parameter, route};
use super::function::{self, Function};
use super::{recording_view, session_view};
use crate::app::error::Error;
use crate::app::sessions::{self, ListRequest, OwnSessionPage, SessionPage, SessionView};
use crate::app::timeline;
use crate::clock::Clock;
use crate::config::{ConfigError, Env, names};
use crate::domain::admission::JoinMode;
use crate::domain::caller::Role;
use crate::domain::id::{CourseId, SessionId};
use crate::domain::join_window;
use crate::domain::recording::RecordingVisibility;
use crate::domain::refusal::Refusal;
use crate::domain::session::{Session, Status};
use crate::http;
use crate::random::Random;
use crate::secrets::Secrets;
use crate::store::Store;
use crate::store::sessions::{SessionCursor, SessionFilter};
use crate::store::timeline::TimelineCursor;

#[derive(Debug)]
pub struct Deps {
    authenticator: Authenticator,
    store: Store,
    secrets: Arc<Secrets>,
    clock: Clock,
    mode: JoinMode,
    app_account: Option<String>,
    app_url: AppUrl,
}

impl Deps {
    /// Returns whether invited people can join only while the host is in the meeting.
    fn needs_host(&self, session: &Session) -> bool {
        let account = session.meeting.account.as_deref();
        let app_account = self.app_account.as_deref();
        self.mode.join_method(session.provider, account, app_account, None).needs_host()
    }
}

impl function::Deps for Deps {
    fn new(env: &Env, clock: &Clock, random: &Random) -> Result<Self, ConfigError> {
        let base = CommonDeps::new(env, random)?;
        let secrets = base.secrets()?;
        Ok(Self {
            authenticator: Authenticator::new(env, base.http.clone(), secrets.clone())?,
            store: base.store()?,
            secrets,
            clock: clock.clone(),
            mode: super::deps::join_mode(env)?,
            app_account: env.optional(names::ZOOM_APP_ACCOUNT_ID),
            app_url: AppUrl::read(env)?,
        })
    }

    async fn warm(&self) {
        deps::warm(&self.store, &self.secrets, Some(&self.authenticator), self.clock.now()).await;
    }
}

#[derive(Serialize)]
struct Page<T> {
    items: Vec<T>,
    next_cursor: Option<String>,
}

#[derive(Serialize)]
struct TimelinePage {
    items: Vec<timeline::TimelineEntry>,
    next_cursor: Option<String>,
    complete_since: Timestamp,
}

pub async fn handle(function: &Function<Deps>, request: Request) -> HttpResponse {
    function.respond(request, serve).await
}

async fn serve(deps: &Deps, request: Request) -> Result<ResponseBody, RequestError> {
    let now = deps.clock.now();
    let (route, parameters) = route(&request)?;
    let caller = deps.authenticator.caller(&request, now).await?;
    match route.path {
        "/v1/sessions" => {
            if !caller.has_role(Role::Trainer) {
                return Err(Refusal::Forbidden.into());
            }
            let OwnSessionPage { page: SessionPage { sessions, next }, host } =
                sessions::list_own(&deps.store, &caller.id, &list_request(&request)?, now).await?;
            let secrets = deps.secrets.get(now).await?;
            let keyring = secrets.keyring()?;
            let items = sessions
                .iter()
                .map(|session| {
                    session_view::owner_view(session, None, &host, &deps.app_url, keyring, now)
                })
                .collect::<Result<_, _>>()?;
            ResponseBody::ok(&Page { items, next_cursor: next.as_ref().map(format_cursor) })
        }
        "/v1/sessions/{id}" => {
            let id =
                SessionId::parse(path_parameter(&parameters, "id")).ok_or(Refusal::NotFound)?;
            match sessions::load_session_view(&deps.store, &caller, &id, now).await? {
                SessionView::Owner { session, invitees, mails, host } => {
                    let secrets = deps.secrets.get(now).await?;
                    let view = session_view::owner_view(
                        &session,
                        Some(&invitees),
                        &host,
                        &deps.app_url,
                        secrets.keyring()?,
                        now,
                    )?;
                    let view = session_view::SessionDetailView { view, mail: mails };
                    Ok(ResponseBody::ok(&view)?.with_etag(session.version))
                }
                SessionView::Invited(session) => {
                    let window =
                        join_window::join_window(&session, false, deps.needs_host(&session), now);
                    let view = session_view::invited_view(&session, &deps.app_url, window);
                    Ok(ResponseBody::ok(&view)?.with_etag(session.version))
                }
            }
        }
        "/v1/sessions/{id}/recordings" => {
            let id =
                SessionId::parse(path_parameter(&parameters, "id")).ok_or(Refusal::NotFound)?;
            let session = sessions::load_visible_session(&deps.store, &caller, &id).await?;
            let recordings = deps.store.recordings(&session.id).await.map_err(Error::from)?;
            let secrets = deps.secrets.get(now).await?;
            let reader = if session.is_taught_by(&caller) {
                RecordingVisibility::Trainer
            } else {
                RecordingVisibility::Invited
            };
            let items =
                recording_view::recordings_view(&session, &recordings, reader, secrets.keyring()?)?;
            ResponseBody::ok(&recording_view::RecordingsView { items })
        }
        "/v1/sessions/{id}/timeline" => {
            let id =
                SessionId::parse(path_parameter(&parameters, "id")).ok_or(Refusal::NotFound)?;
            let before = http::query(&request, "cursor")
                .map(|text| parse_timeline_cursor(&text))
                .transpose()?;
            let limit = http::query_limit(&request)?;
            let (items, next) =
                timeline::load_timeline(&deps.store, &caller, &id, before.as_ref(), limit).await?;
            ResponseBody::ok(&TimelinePage {
                items,
                next_cursor: next.map(|cursor| format_timeline_cursor(&cursor)),
                complete_since: timeline::complete_since(now),
            })
        }
        "/v1/me/sessions" => {
            let request = list_request(&request)?;
            let SessionPage { sessions, next } =
                sessions::list_invited(&deps.store, &caller, &request, now).await?;
            let view = |session| {
                session_view::invited_view(
                    session,
                    &deps.app_url,
                    join_window::join_window(session, false, deps.needs_host(session), now),
                )
            };
            let items: Vec<_> = sessions.iter().map(view).collect();
            ResponseBody::ok(&Page { items, next_cursor: next.as_ref().map(format_cursor) })
        }
        _ => Err(RequestError::UnknownRoute),
    }
}

fn list_request(request: &Request) -> Result<ListRequest, Refusal> {
    let status = http::query(request, "status")
        .map(|word| {
            Status::parse(&word).ok_or_else(|| {
                Refusal::field("status", "must be scheduled, live, ended or cancelled")
            })
        })
        .transpose()?;
    let course = http::query(request, "course_id")
        .map(|id| CourseId::parse(&id).map_err(|error| Refusal::field("course_id", error)))
        .transpose()?;
    let (from, to) = (http::query_time(request, "from")?, http::query_time(request, "to")?);
    if let (Some(from), Some(to)) = (from, to)
        && from > to
    {
        return Err(Refusal::field("to", "must not be before from"));
    }
    let after = http::query(request, "cursor").map(|text| parse_cursor(&text)).transpose()?;
    Ok(ListRequest {
        filter: SessionFilter { status, from, to, ..SessionFilter::default() },
        course,
        after,
        limit: http::query_limit(request)?,
    })
}

/// Formats a cursor. It contains only a time and an id. The caller determines the list, so a forged cursor reveals
/// nothing.
fn format_cursor(cursor: &SessionCursor) -> String {
    data_encoding::BASE64URL_NOPAD
        .encode(format!("{}#{}", cursor.starts_at.as_second(), cursor.id).as_bytes())
}

fn parse_cursor(text: &str) -> Result<SessionCursor, Refusal> {
    let read = || {
        let bytes = data_encoding::BASE64URL_NOPAD.decode(text.as_bytes()).ok()?;
        let text = String::from_utf8(bytes).ok()?;
        let (seconds, id) = text.split_once('#')?;
        Some(SessionCursor {
            starts_at: Timestamp::from_second(seconds.parse().ok()?).ok()?,
            id: SessionId::parse(id)?,
        })
    };
    read().ok_or_else(|| Refusal::field("cursor", "is not a valid cursor"))
}

fn format_timeline_cursor(cursor: &TimelineCursor) -> String {
    data_encoding::BASE64URL_NOPAD
        .encode(format!("{}#{}", cursor.at.as_millisecond(), cursor.tail).as_bytes())
}

fn parse_timeline_cursor(text: &str) -> Result<TimelineCursor, Refusal> {
    let read = || {
        let text =
            String::from_utf8(data_encoding::BASE64URL_NOPAD.decode(text.as_bytes()).ok()?).ok()?;
        let (millis, tail) = text.split_once('#')?;
        let plain = !tail.is_empty()
            && tail.len() <= 64
            && tail.bytes().all(|byte| byte.is_ascii_alphanumeric());
        let at = Timestamp::from_millisecond(millis.parse().ok()?).ok()?;
        plain.then(|| TimelineCursor { at, tail: tail.to_owned() })
    };
    read().ok_or_else(|| Refusal::field("cursor", "is not a valid cursor"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn session_cursor_round_trips_and_other_text_is_rejected() {
        let at = SessionCursor {
            starts_at: "2026-12-01T09:00:00Z".parse().unwrap(),
            id: SessionId::from_bytes([8; 16]),
        };
        assert_eq!(parse_cursor(&format_cursor(&at)), Ok(at));
        let encode = |text: &str| data_encoding::BASE64URL_NOPAD.encode(text.as_bytes());
        for bad in [
            "",
            "!",
            &encode("1"),
            &encode("1#TRAINER#other"),
            &encode("x#ses_aaaaaaaaaaaaaaaaaaaaaaaaaa"),
            &encode("99999999999999999#ses_aaaaaaaaaaaaaaaaaaaaaaaaaa"),
        ] {
            assert!(parse_cursor(bad).is_err(), "{bad}");
        }
    }
}
