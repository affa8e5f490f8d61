//! Routes to read the mailbox.

use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use http::{HeaderName, StatusCode};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::json;

use super::mail_message;
use super::mailbox::{Mail, MailFilter, Mailbox, RECIPIENT_SEPARATOR};

/// Allows inline styles in a mail's HTML, but no scripts and no external resources.
const MAIL_PAGE_POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'self'; sandbox allow-popups";

/// An item of `GET /local/mail`.
#[derive(Debug, Serialize)]
struct MailSummary {
    id: String,
    to: String,
    subject: String,
    kind: Option<String>,
    session_id: Option<String>,
    sent_at: Timestamp,
}

impl From<Mail> for MailSummary {
    fn from(mail: Mail) -> Self {
        Self {
            id: mail.id,
            to: mail.to.join(RECIPIENT_SEPARATOR),
            subject: mail.subject,
            kind: mail.kind,
            session_id: mail.session_id,
            sent_at: mail.sent_at,
        }
    }
}

/// Routes of `GET /local/mail`, `GET /local/mail/{id}`, `…/parts` and `…/html`.
pub(super) fn router(mailbox: &Mailbox) -> Router {
    Router::new()
        .route("/local/mail", get(list))
        .route("/local/mail/{id}", get(get_raw))
        .route("/local/mail/{id}/parts", get(get_parts))
        .route("/local/mail/{id}/html", get(get_html))
        .with_state(mailbox.clone())
}

/// `GET /local/mail?to=&kind=&session_id=`.
async fn list(
    State(mailbox): State<Mailbox>,
    filter: Result<Query<MailFilter>, QueryRejection>,
) -> Response {
    let Query(filter) = match filter {
        Ok(filter) => filter,
        Err(error) => {
            let error = json!({ "error": error.body_text() });
            return (StatusCode::UNPROCESSABLE_ENTITY, Json(error)).into_response();
        }
    };
    match mailbox.find(&filter) {
        Ok(mails) => {
            let items: Vec<_> = mails.into_iter().map(MailSummary::from).collect();
            Json(json!({ "items": items })).into_response()
        }
        Err(error) => internal_error(&error),
    }
}

/// `GET /local/mail/{id}`.
async fn get_raw(State(mailbox): State<Mailbox>, Path(id): Path<String>) -> Response {
    match mailbox.get(&id) {
        Ok(Some(mail)) => ([(CONTENT_TYPE, "message/rfc822")], mail.raw).into_response(),
        Ok(None) => StatusCode::NOT_FOUND.into_response(),
        Err(error) => internal_error(&error),
    }
}

/// `GET /local/mail/{id}/parts`.
async fn get_parts(State(mailbox): State<Mailbox>, Path(id): Path<String>) -> Response {
    match mailbox.get(&id) {
        Ok(Some(mail)) => Json(mail_message::parts(&mail)).into_response(),
        Ok(None) => StatusCode::NOT_FOUND.into_response(),
        Err(error) => internal_error(&error),
    }
}

/// `GET /local/mail/{id}/html`, for display in a frame.
async fn get_html(State(mailbox): State<Mailbox>, Path(id): Path<String>) -> Response {
    let mail = match mailbox.get(&id) {
        Ok(mail) => mail,
        Err(error) => return internal_error(&error),
    };
    match mail.and_then(|mail| mail_message::html(&mail)) {
        Some(page) => {
            let policy: (HeaderName, &str) = (CONTENT_SECURITY_POLICY, MAIL_PAGE_POLICY);
            ([policy], Html(page)).into_response()
        }
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

fn internal_error(error: &rusqlite::Error) -> Response {
    tracing::error!(error = error as &dyn std::error::Error, "accessing the mailbox failed");
    StatusCode::INTERNAL_SERVER_ERROR.into_response()
}
