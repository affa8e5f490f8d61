//! `sessions`: the reads.

use std::sync::Arc;

use jiff::Timestamp;
use lambda_http::Request;
use serde::Serialize;

use super::deps::{self, CommonDeps};
use super::edge::{HttpResponse, RequestError, Authenticator, ResponseBody, named, route};
use super::function::{self, Function};
use super::{recording_view, session_view};
use crate::app::error::Error;
use crate::app::sessions::{self, ListRequest, SessionPage, SessionView};
use crate::app::timeline;
use crate::clock::Clock;
use crate::config::{ConfigError, Env, names};
use crate::domain::admission::JoinMode;
use crate::domain::caller::Role;
use crate::domain::id::{CourseId, SessionId};
use crate::domain::refusal::Refusal;
use crate::domain::session::{Session, Status};
use crate::domain::join_window::{self, JoinWindowSettings};
use crate::http;
use crate::random::Random;
use crate::secrets::Secrets;
use crate::store::Store;
use crate::store::sessions::{SessionFilter, SessionCursor};
use crate::store::timeline::TimelineCursor;

#[derive(Debug)]
pub struct Deps {
    gate: Authenticator,
    store: Store,
    secrets: Arc<Secrets>,
    clock: Clock,
    windows: JoinWindowSettings,
    mode: JoinMode,
    app_account: Option<String>,
}

impl Deps {
    /// Whether those invited to a class have to wait for its host, in this deployment.
    fn needs_host(&self, session: &Session) -> bool {
        self.mode.join_method(session, self.app_account.as_deref()).needs_host()
    }
}

impl function::Deps for Deps {
    fn new(env: &Env, clock: &Clock, random: &Random) -> Result<Self, ConfigError> {
        let base = CommonDeps::new(env, random)?;
        let secrets = base.secrets()?;
        Ok(Self {
            gate: Authenticator::new(env, base.http.clone(), secrets.clone())?,
            store: base.store()?,
            secrets,
            clock: clock.clone(),
            windows: super::deps::windows(env)?,
            mode: super::deps::join_mode(env)?,
            app_account: env.optional(names::ZOOM_APP_ACCOUNT_ID),
        })
    }

    async fn warm(&self) {
        deps::warm(&self.store, &self.secrets, Some(&self.gate), self.clock.now()).await;
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
    function.answer(request, serve).await
}

async fn serve(deps: &Deps, request: Request) -> Result<ResponseBody, RequestError> {
    let now = deps.clock.now();
    let (route, parameters) = route(&request)?;
    let caller = deps.gate.caller(&request, now).await?;
    match route.path {
        "/v1/sessions" => {
            if !caller.is(Role::Trainer) {
                return Err(Refusal::Forbidden.into());
            }
            let SessionPage { sessions, next } =
                sessions::list_own(&deps.store, &caller.id, &list_request(&request)?).await?;
            let secrets = deps.secrets.get(now).await?;
            let keyring = secrets.keyring()?;
            let items = sessions
                .iter()
                .map(|session| session_view::owner(session, None, keyring))
                .collect::<Result<_, _>>()?;
            ResponseBody::ok(&Page { items, next_cursor: next.as_ref().map(cursor) })
        }
        "/v1/sessions/{id}" => {
            let id = SessionId::parse(named(&parameters, "id")).ok_or(Refusal::NotFound)?;
            match sessions::show(&deps.store, &caller, &id).await? {
                SessionView::Owner { session, invitees, mails } => {
                    let secrets = deps.secrets.get(now).await?;
                    let view = session_view::owner(&session, Some(&invitees), secrets.keyring()?)?;
                    let view = session_view::SessionDetailView { view, mail: mails };
                    Ok(ResponseBody::ok(&view)?.tagged(session.version))
                }
                SessionView::Invited(session) => {
                    let door = join_window::join_window(&session, deps.windows, deps.needs_host(&session), now);
                    Ok(ResponseBody::ok(&session_view::invited(&session, door))?.tagged(session.version))
                }
            }
        }
        "/v1/sessions/{id}/recordings" => {
            let id = SessionId::parse(named(&parameters, "id")).ok_or(Refusal::NotFound)?;
            let session = sessions::class_for(&deps.store, &caller, &id).await?;
            let kept = deps.store.recordings(&session.id).await.map_err(Error::from)?;
            let secrets = deps.secrets.get(now).await?;
            let items = recording_view::all(&session, &kept, secrets.keyring()?)?;
            ResponseBody::ok(&recording_view::RecordingsView { items })
        }
        "/v1/sessions/{id}/timeline" => {
            let id = SessionId::parse(named(&parameters, "id")).ok_or(Refusal::NotFound)?;
            let before = http::query(&request, "cursor").map(|text| moment(&text)).transpose()?;
            let limit = http::query_limit(&request)?;
            let (items, next) =
                timeline::page(&deps.store, &caller, &id, before.as_ref(), limit).await?;
            ResponseBody::ok(&TimelinePage {
                items,
                next_cursor: next.map(|moment| moment_cursor(&moment)),
                complete_since: timeline::complete_since(now),
            })
        }
        "/v1/me/sessions" => {
            let request = list_request(&request)?;
            let SessionPage { sessions, next } =
                sessions::list_invited(&deps.store, &caller, &request, now).await?;
            let view = |session| {
                session_view::invited(
                    session,
                    join_window::join_window(session, deps.windows, deps.needs_host(session), now),
                )
            };
            let items: Vec<_> = sessions.iter().map(view).collect();
            ResponseBody::ok(&Page { items, next_cursor: next.as_ref().map(cursor) })
        }
        _ => Err(RequestError::NoRoute),
    }
}

fn list_request(request: &Request) -> Result<ListRequest, Refusal> {
    let status = http::query(request, "status")
        .map(|word| {
            Status::parse(&word)
                .ok_or_else(|| Refusal::field("status", "is not a status of a class"))
        })
        .transpose()?;
    let course = http::query(request, "course_id")
        .map(|id| CourseId::parse(&id).map_err(|error| Refusal::field("course_id", error)))
        .transpose()?;
    let (from, to) = (http::query_time(request, "from")?, http::query_time(request, "to")?);
    if let (Some(from), Some(to)) = (from, to)
        && from > to
    {
        return Err(Refusal::field("to", "lies before from"));
    }
    let after = http::query(request, "cursor").map(|text| place(&text)).transpose()?;
    Ok(ListRequest {
        narrow: SessionFilter { status, from, to },
        course,
        after,
        limit: http::query_limit(request)?,
    })
}

/// Where a page ended, as text. It is a time and an id and nothing else: whose list it goes on in follows from who
/// asks, so a made-up cursor shows nobody anything that is not theirs.
fn cursor(place: &SessionCursor) -> String {
    data_encoding::BASE64URL_NOPAD
        .encode(format!("{}#{}", place.starts_at.as_second(), place.id).as_bytes())
}

fn place(text: &str) -> Result<SessionCursor, Refusal> {
    let read = || {
        let bytes = data_encoding::BASE64URL_NOPAD.decode(text.as_bytes()).ok()?;
        let text = String::from_utf8(bytes).ok()?;
        let (seconds, id) = text.split_once('#')?;
        Some(SessionCursor {
            starts_at: Timestamp::from_second(seconds.parse().ok()?).ok()?,
            id: SessionId::parse(id)?,
        })
    };
    read().ok_or_else(|| Refusal::field("cursor", "is not one of ours"))
}

fn moment_cursor(moment: &TimelineCursor) -> String {
    data_encoding::BASE64URL_NOPAD
        .encode(format!("{}#{}", moment.at.as_millisecond(), moment.tail).as_bytes())
}

fn moment(text: &str) -> Result<TimelineCursor, Refusal> {
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
    read().ok_or_else(|| Refusal::field("cursor", "is not one of ours"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_reads_back_and_nothing_else_does() {
        let at = SessionCursor {
            starts_at: "2026-12-01T09:00:00Z".parse().unwrap(),
            id: SessionId::from_bytes([8; 16]),
        };
        assert_eq!(place(&cursor(&at)), Ok(at));
        let encode = |text: &str| data_encoding::BASE64URL_NOPAD.encode(text.as_bytes());
        for bad in [
            "",
            "!",
            &encode("1"),
            &encode("1#TRAINER#other"),
            &encode("x#ses_aaaaaaaaaaaaaaaaaaaaaaaaaa"),
            &encode("99999999999999999#ses_aaaaaaaaaaaaaaaaaaaaaaaaaa"),
        ] {
            assert!(place(bad).is_err(), "{bad}");
        }
    }
}
