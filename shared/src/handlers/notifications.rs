//! `notifications`: in-app notifications and notification preferences.

use jiff::Timestamp;
use lambda_http::Request;
use serde::Serialize;

use super::app_url::AppUrl;
use super::cursor::requested_id;
use super::edge::{HttpResponse, RequestError, ResponseBody, path_parameter, route};
use super::function::Function;
use super::http_deps::HttpDeps;
use crate::app::notifications::{self, NotificationAction, NotificationPage};
use crate::domain::id::SessionId;
use crate::domain::in_app::{NotificationId, NotificationKind, NotificationSubject};
use crate::domain::next_look;
use crate::domain::preferences::Preferences;
use crate::domain::refusal::Refusal;
use crate::domain::text::Title;
use crate::http;
use crate::store::Store;
use crate::store::notifications::StoredNotification;

pub type Deps = HttpDeps<Store, AppUrl>;

#[derive(Serialize)]
struct Page<'a> {
    items: Vec<NotificationView<'a>>,
    next_cursor: Option<String>,
    unread_count: usize,
    next_look_seconds: u32,
}

/// An in-app notification as JSON: its kind, and the facts for a text in any language and time zone.
#[derive(Serialize)]
struct NotificationView<'a> {
    id: String,
    kind: NotificationKind,
    session_id: Option<&'a SessionId>,
    title: Option<&'a Title>,
    starts_at: Option<Timestamp>,
    /// The page of the platform to which it links.
    link: String,
    created_at: Timestamp,
    read_at: Option<Timestamp>,
}

impl<'a> NotificationView<'a> {
    fn of(stored: &'a StoredNotification, app_url: &AppUrl) -> Self {
        let notification = &stored.notification;
        let subject = notification.subject.as_ref();
        Self {
            id: notification.id.to_string(),
            kind: notification.kind,
            session_id: subject.map(|subject| &subject.session),
            title: subject.map(|subject| &subject.title),
            starts_at: subject.map(|subject| subject.starts_at),
            link: link(subject, app_url),
            created_at: notification.id.at,
            read_at: stored.read_at,
        }
    }
}

/// Returns the URL of the session's page, or of the platform's start page.
fn link(subject: Option<&NotificationSubject>, app_url: &AppUrl) -> String {
    subject
        .map_or_else(|| app_url.base().to_owned(), |subject| app_url.session_page(&subject.session))
}

pub async fn handle(function: &Function<Deps>, request: Request) -> HttpResponse {
    function.respond(request, serve).await
}

async fn serve(deps: &Deps, request: Request) -> Result<ResponseBody, RequestError> {
    let now = deps.clock.now();
    let (route, parameters) = route(&request)?;
    let caller = deps.authenticator.caller(&request, now).await?;
    match (route.method, route.path) {
        ("GET", "/v1/me/notifications") => {
            let after = requested_id(&request, NotificationId::parse)?;
            let limit = http::query_limit(&request)?;
            let NotificationPage { notifications: listed, next, unread } =
                notifications::list(&deps.clients, &caller, after.as_ref(), limit, now).await?;
            let subjects = listed.iter().filter_map(|one| one.notification.subject.as_ref());
            let starts = subjects.map(|subject| subject.starts_at);
            ResponseBody::ok(&Page {
                next_look_seconds: next_look::for_starts(starts, now),
                items: listed
                    .iter()
                    .map(|stored| NotificationView::of(stored, &deps.state))
                    .collect(),
                next_cursor: next.map(|id| id.to_string()),
                unread_count: unread,
            })
        }
        ("POST", path) => {
            let action = match path {
                "/v1/me/notifications/{id}/read" => NotificationAction::Read,
                "/v1/me/notifications/{id}/dismiss" => NotificationAction::Dismissed,
                _ => return Err(RequestError::UnknownRoute),
            };
            let id = NotificationId::parse(path_parameter(&parameters, "id"))
                .ok_or(Refusal::NotFound)?;
            notifications::mark(&deps.clients, &caller, &id, action, now).await?;
            Ok(ResponseBody::no_content())
        }
        ("GET", "/v1/me/notification-preferences") => {
            ResponseBody::ok(&notifications::preferences(&deps.clients, &caller).await?)
        }
        ("PUT", "/v1/me/notification-preferences") => {
            let preferences: Preferences = http::json(&request)?;
            notifications::set_preferences(&deps.clients, &caller, &preferences, now).await?;
            ResponseBody::ok(&preferences)
        }
        _ => Err(RequestError::UnknownRoute),
    }
}
