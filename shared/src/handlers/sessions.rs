//! `sessions`: the reads.

use std::sync::Arc;

use jiff::Timestamp;
use lambda_http::Request;
use serde::Serialize;

use super::deps::{self, Base};
use super::edge::{Answer, Failure, Gate, Reply, named, route};
use super::function::{self, Function};
use super::{recording_view, session_view};
use crate::app::error::Error;
use crate::app::sessions::{self, ListRequest, Listed, View};
use crate::app::timeline;
use crate::clock::Clock;
use crate::config::{ConfigError, Env, names};
use crate::domain::admission::Mode;
use crate::domain::caller::Role;
use crate::domain::id::{CourseId, SessionId};
use crate::domain::refusal::Refusal;
use crate::domain::session::{Session, Status};
use crate::domain::window::{self, Windows};
use crate::http;
use crate::random::Random;
use crate::secrets::Secrets;
use crate::store::Store;
use crate::store::sessions::{Narrow, Place};
use crate::store::timeline::Moment;

#[derive(Debug)]
pub struct Deps {
    gate: Gate,
    store: Store,
    secrets: Arc<Secrets>,
    clock: Clock,
    windows: Windows,
    mode: Mode,
    app_account: Option<String>,
}

impl Deps {
    /// Whether those invited to a class have to wait for its host, in this deployment.
    fn needs_host(&self, session: &Session) -> bool {
        self.mode.way(session, self.app_account.as_deref()).needs_host()
    }
}

impl function::Deps for Deps {
    fn new(env: &Env, clock: &Clock, random: &Random) -> Result<Self, ConfigError> {
        let base = Base::new(env, random)?;
        let secrets = base.secrets()?;
        Ok(Self {
            gate: Gate::new(env, base.http.clone(), secrets.clone())?,
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
    items: Vec<timeline::Entry>,
    next_cursor: Option<String>,
    complete_since: Timestamp,
}

pub async fn handle(function: &Function<Deps>, request: Request) -> Answer {
    function.answer(request, serve).await
}

async fn serve(deps: &Deps, request: Request) -> Result<Reply, Failure> {
    let now = deps.clock.now();
    let (route, parameters) = route(&request)?;
    let caller = deps.gate.caller(&request, now).await?;
    match route.path {
        "/v1/sessions" => {
            if !caller.is(Role::Trainer) {
                return Err(Refusal::Forbidden.into());
            }
            let Listed { sessions, next } =
                sessions::list_own(&deps.store, &caller.id, &list_request(&request)?).await?;
            let secrets = deps.secrets.get(now).await?;
            let keyring = secrets.keyring()?;
            let items = sessions
                .iter()
                .map(|session| session_view::owner(session, None, keyring))
                .collect::<Result<_, _>>()?;
            Reply::ok(&Page { items, next_cursor: next.as_ref().map(cursor) })
        }
        "/v1/sessions/{id}" => {
            let id = SessionId::parse(named(&parameters, "id")).ok_or(Refusal::NotFound)?;
            match sessions::show(&deps.store, &caller, &id).await? {
                View::Owner { session, invitees, mails } => {
                    let secrets = deps.secrets.get(now).await?;
                    let view = session_view::owner(&session, Some(&invitees), secrets.keyring()?)?;
                    let view = session_view::Single { view, mail: mails };
                    Ok(Reply::ok(&view)?.tagged(session.version))
                }
                View::Invited(session) => {
                    let door = window::door(&session, deps.windows, deps.needs_host(&session), now);
                    Ok(Reply::ok(&session_view::invited(&session, door))?.tagged(session.version))
                }
            }
        }
        "/v1/sessions/{id}/recordings" => {
            let id = SessionId::parse(named(&parameters, "id")).ok_or(Refusal::NotFound)?;
            let session = sessions::class_for(&deps.store, &caller, &id).await?;
            let kept = deps.store.recordings(&session.id).await.map_err(Error::from)?;
            let secrets = deps.secrets.get(now).await?;
            let items = recording_view::all(&session, &kept, secrets.keyring()?)?;
            Reply::ok(&recording_view::List { items })
        }
        "/v1/sessions/{id}/timeline" => {
            let id = SessionId::parse(named(&parameters, "id")).ok_or(Refusal::NotFound)?;
            let before = http::query(&request, "cursor").map(|text| moment(&text)).transpose()?;
            let limit = http::query_limit(&request)?;
            let (items, next) =
                timeline::page(&deps.store, &caller, &id, before.as_ref(), limit).await?;
            Reply::ok(&TimelinePage {
                items,
                next_cursor: next.map(|moment| moment_cursor(&moment)),
                complete_since: timeline::complete_since(now),
            })
        }
        "/v1/me/sessions" => {
            let request = list_request(&request)?;
            let Listed { sessions, next } =
                sessions::list_invited(&deps.store, &caller, &request, now).await?;
            let view = |session| {
                session_view::invited(
                    session,
                    window::door(session, deps.windows, deps.needs_host(session), now),
                )
            };
            let items: Vec<_> = sessions.iter().map(view).collect();
            Reply::ok(&Page { items, next_cursor: next.as_ref().map(cursor) })
        }
        _ => Err(Failure::NoRoute),
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
        narrow: Narrow { status, from, to },
        course,
        after,
        limit: http::query_limit(request)?,
    })
}

/// Where a page ended, as text. It is a time and an id and nothing else: whose list it goes on in follows from who
/// asks, so a made-up cursor shows nobody anything that is not theirs.
fn cursor(place: &Place) -> String {
    data_encoding::BASE64URL_NOPAD
        .encode(format!("{}#{}", place.starts_at.as_second(), place.id).as_bytes())
}

fn place(text: &str) -> Result<Place, Refusal> {
    let read = || {
        let bytes = data_encoding::BASE64URL_NOPAD.decode(text.as_bytes()).ok()?;
        let text = String::from_utf8(bytes).ok()?;
        let (seconds, id) = text.split_once('#')?;
        Some(Place {
            starts_at: Timestamp::from_second(seconds.parse().ok()?).ok()?,
            id: SessionId::parse(id)?,
        })
    };
    read().ok_or_else(|| Refusal::field("cursor", "is not one of ours"))
}

fn moment_cursor(moment: &Moment) -> String {
    data_encoding::BASE64URL_NOPAD
        .encode(format!("{}#{}", moment.at.as_millisecond(), moment.tail).as_bytes())
}

fn moment(text: &str) -> Result<Moment, Refusal> {
    let read = || {
        let text =
            String::from_utf8(data_encoding::BASE64URL_NOPAD.decode(text.as_bytes()).ok()?).ok()?;
        let (millis, tail) = text.split_once('#')?;
        let plain = !tail.is_empty()
            && tail.len() <= 64
            && tail.bytes().all(|byte| byte.is_ascii_alphanumeric());
        let at = Timestamp::from_millisecond(millis.parse().ok()?).ok()?;
        plain.then(|| Moment { at, tail: tail.to_owned() })
    };
    read().ok_or_else(|| Refusal::field("cursor", "is not one of ours"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_reads_back_and_nothing_else_does() {
        let at = Place {
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
