//! One mail taken apart, as a person reads it: its texts, its calendar entry, its headers.

use axum::Json;
use axum::extract::{Path, State};
use axum::response::{Html, IntoResponse, Response};
use http::header::CONTENT_SECURITY_POLICY;
use http::{HeaderName, StatusCode};
use mail_parser::{Message, MessageParser, MimeHeaders as _, PartType};
use serde_json::{Value, json};

use super::mailbox::{Mail, Mailbox};

/// A mail's page may look as it wants, and neither run nor load anything.
const LETTER_POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'self'; sandbox allow-popups";

/// `GET /local/mail/{id}/parts`.
pub(super) async fn parts(State(mailbox): State<Mailbox>, Path(id): Path<String>) -> Response {
    match mailbox.get(&id) {
        Ok(Some(mail)) => Json(taken_apart(&mail)).into_response(),
        Ok(None) => StatusCode::NOT_FOUND.into_response(),
        Err(error) => super::mailbox::failed(&error),
    }
}

/// `GET /local/mail/{id}/html`, to be shown in a frame.
pub(super) async fn html(State(mailbox): State<Mailbox>, Path(id): Path<String>) -> Response {
    let mail = match mailbox.get(&id) {
        Ok(mail) => mail,
        Err(error) => return super::mailbox::failed(&error),
    };
    let page = mail.and_then(|mail| text_of(&MessageParser::new().parse(&mail.raw)?, is_html));
    match page {
        Some(page) => {
            let policy: (HeaderName, &str) = (CONTENT_SECURITY_POLICY, LETTER_POLICY);
            ([policy], Html(page)).into_response()
        }
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

fn taken_apart(mail: &Mail) -> Value {
    let message = MessageParser::new().parse(&mail.raw);
    let text = |wanted| message.as_ref().and_then(|message| text_of(message, wanted));
    let headers: Vec<Value> = message
        .iter()
        .flat_map(|message| message.headers_raw())
        .map(|(name, value)| json!({ "name": name, "value": value.trim() }))
        .collect();
    json!({
        "id": mail.id,
        "service": mail.service,
        "from": mail.from,
        "to": mail.to,
        "subject": mail.subject,
        "kind": mail.kind,
        "sent_at": mail.sent_at,
        "headers": headers,
        "text": text(is_plain),
        "calendar": text(is_calendar),
        "has_html": text(is_html).is_some(),
    })
}

/// The first part of a kind, decoded.
fn text_of(message: &Message<'_>, wanted: fn(&str) -> bool) -> Option<String> {
    message.parts.iter().find_map(|part| {
        let kind = match part.content_type() {
            Some(kind) => format!("{}/{}", kind.ctype(), kind.subtype().unwrap_or_default()),
            None => "text/plain".to_owned(),
        };
        match &part.body {
            PartType::Text(text) | PartType::Html(text) if wanted(&kind) => Some(text.to_string()),
            PartType::Binary(bytes) if wanted(&kind) => {
                Some(String::from_utf8_lossy(bytes).into_owned())
            }
            _ => None,
        }
    })
}

fn is_plain(kind: &str) -> bool {
    kind.eq_ignore_ascii_case("text/plain")
}

fn is_html(kind: &str) -> bool {
    kind.eq_ignore_ascii_case("text/html")
}

fn is_calendar(kind: &str) -> bool {
    kind.eq_ignore_ascii_case("text/calendar")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mail_is_taken_apart_into_what_a_person_reads() {
        let raw = "From: a@example.test\r\nTo: b@example.test\r\nSubject: Algebra\r\nMIME-Version: 1.0\r\n\
            Content-Type: multipart/alternative; boundary=x\r\n\r\n\
            --x\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nplain\r\n\
            --x\r\nContent-Type: text/html; charset=utf-8\r\n\r\n<p>page</p>\r\n\
            --x\r\nContent-Type: text/calendar; method=REQUEST\r\nContent-Transfer-Encoding: base64\r\n\r\nQkVHSU4=\r\n\
            --x--\r\n";
        let message = MessageParser::new().parse(raw.as_bytes()).unwrap();
        assert_eq!(text_of(&message, is_plain).unwrap().trim(), "plain");
        assert_eq!(text_of(&message, is_html).unwrap().trim(), "<p>page</p>");
        assert_eq!(text_of(&message, is_calendar).unwrap(), "BEGIN");
    }
}
