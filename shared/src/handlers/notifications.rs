//! `notifications`: what a person was told in-app, and what they want to be told of.

use std::sync::Arc;

use jiff::Timestamp;
use lambda_http::Request;
use serde::Serialize;

use super::deps::{self, CommonDeps};
use super::edge::{HttpResponse, RequestError, Authenticator, ResponseBody, named, route};
use super::function::{self, Function};
use crate::app::notifications::{self, NotificationPage, NotificationAction};
use crate::clock::Clock;
use crate::config::{ConfigError, Env, names};
use crate::domain::id::SessionId;
use crate::domain::in_app::{NotificationSubject, NotificationId, NotificationKind};
use crate::domain::preferences::Preferences;
use crate::domain::refusal::Refusal;
use crate::domain::text::Title;
use crate::http;
use crate::random::Random;
use crate::secrets::Secrets;
use crate::store::Store;
use crate::store::notifications::StoredNotification;

#[derive(Debug)]
pub struct Deps {
    gate: Authenticator,
    store: Store,
    secrets: Arc<Secrets>,
    clock: Clock,
    /// The platform's pages, without a slash at the end.
    app_url: String,
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
            app_url: env.url(names::APP_URL)?.as_str().trim_end_matches('/').to_owned(),
        })
    }

    async fn warm(&self) {
        deps::warm(&self.store, &self.secrets, Some(&self.gate), self.clock.now()).await;
    }
}

#[derive(Serialize)]
struct Page<'a> {
    items: Vec<View<'a>>,
    next_cursor: Option<String>,
    unread_count: usize,
}

/// A notice as its person reads it: what happened, and the facts to say it with in any language and time zone.
#[derive(Serialize)]
struct View<'a> {
    id: String,
    kind: NotificationKind,
    session_id: Option<&'a SessionId>,
    title: Option<&'a Title>,
    starts_at: Option<Timestamp>,
    /// Where in the platform's pages it leads.
    link: String,
    created_at: Timestamp,
    read_at: Option<Timestamp>,
}

impl<'a> View<'a> {
    fn of(kept: &'a StoredNotification, app_url: &str) -> Self {
        let notice = &kept.notice;
        let about = notice.about.as_ref();
        Self {
            id: notice.id.to_string(),
            kind: notice.kind,
            session_id: about.map(|about| &about.session),
            title: about.map(|about| &about.title),
            starts_at: about.map(|about| about.starts_at),
            link: link(about, app_url),
            created_at: notice.id.at,
            read_at: kept.read_at,
        }
    }
}

/// The class's page, or the platform's first.
fn link(about: Option<&NotificationSubject>, app_url: &str) -> String {
    about
        .map_or_else(|| app_url.to_owned(), |about| format!("{app_url}/sessions/{}", about.session))
}

pub async fn handle(function: &Function<Deps>, request: Request) -> HttpResponse {
    function.answer(request, serve).await
}

async fn serve(deps: &Deps, request: Request) -> Result<ResponseBody, RequestError> {
    let now = deps.clock.now();
    let (route, parameters) = route(&request)?;
    let caller = deps.gate.caller(&request, now).await?;
    match (route.method, route.path) {
        ("GET", "/v1/me/notifications") => {
            let after = http::query(&request, "cursor").map(|text| cursor(&text)).transpose()?;
            let limit = http::query_limit(&request)?;
            let NotificationPage { notices, next, unread } =
                notifications::list(&deps.store, &caller, after.as_ref(), limit, now).await?;
            ResponseBody::ok(&Page {
                items: notices.iter().map(|kept| View::of(kept, &deps.app_url)).collect(),
                next_cursor: next.map(|id| id.to_string()),
                unread_count: unread,
            })
        }
        ("POST", path) => {
            let mark = match path {
                "/v1/me/notifications/{id}/read" => NotificationAction::Read,
                "/v1/me/notifications/{id}/dismiss" => NotificationAction::Dismissed,
                _ => return Err(RequestError::NoRoute),
            };
            let id = NotificationId::parse(named(&parameters, "id")).ok_or(Refusal::NotFound)?;
            notifications::mark(&deps.store, &caller, &id, mark, now).await?;
            Ok(ResponseBody::no_content())
        }
        ("GET", "/v1/me/notification-preferences") => {
            ResponseBody::ok(&notifications::preferences(&deps.store, &caller).await?)
        }
        ("PUT", "/v1/me/notification-preferences") => {
            let wanted: Preferences = http::json(&request)?;
            notifications::prefer(&deps.store, &caller, &wanted).await?;
            ResponseBody::ok(&wanted)
        }
        _ => Err(RequestError::NoRoute),
    }
}

/// Where a page ended: the last notice's own id. Whose list it goes on in follows from who asks.
fn cursor(text: &str) -> Result<NotificationId, Refusal> {
    NotificationId::parse(text).ok_or_else(|| Refusal::field("cursor", "is not one of ours"))
}
