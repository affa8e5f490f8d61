//! The mailbox: what SES and ZeptoMail were given to send. Nothing leaves the machine.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::{Path as UrlPath, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use http::StatusCode;
use http::header::CONTENT_TYPE;
use jiff::Timestamp;
use mail_parser::{Address, MessageParser};
use rusqlite::{Connection, OptionalExtension, Row, params};
use serde::Serialize;
use serde_json::json;
use shared::clock::Clock;
use shared::random::Random;

use crate::calls::Service;

/// The header in which our mails say what they are.
pub const KIND_HEADER: &str = "X-Live-Class-Kind";

const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS mail (
    number INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    sent_at INTEGER NOT NULL,
    service TEXT NOT NULL,
    sender TEXT NOT NULL,
    recipients TEXT NOT NULL,
    subject TEXT NOT NULL,
    kind TEXT,
    raw BLOB NOT NULL
) STRICT;
";
const COLUMNS: &str = "id, sent_at, service, sender, recipients, subject, kind, raw";

/// The mails that were sent. Clones share them.
#[derive(Clone, Debug)]
pub struct Mailbox {
    database: Arc<Mutex<Connection>>,
    clock: Clock,
    random: Random,
}

/// One mail.
#[derive(Clone, Debug, PartialEq)]
pub struct Mail {
    pub id: String,
    pub sent_at: Timestamp,
    /// `ses` or `zeptomail`.
    pub service: String,
    pub from: String,
    /// Whom it goes to: the envelope's recipients where the service was told any, else the headers'.
    pub to: Vec<String>,
    pub subject: String,
    pub kind: Option<String>,
    /// The message as RFC 5322.
    pub raw: Vec<u8>,
}

/// One mail in the list.
#[derive(Debug, Serialize)]
struct Listed {
    id: String,
    to: String,
    subject: String,
    kind: Option<String>,
    sent_at: Timestamp,
}

/// The mail's text is no RFC 5322 message.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MailError {
    #[error("the message has no headers")]
    NoMessage,
    #[error("the message has no `From`")]
    NoSender,
    #[error("the message has no recipient")]
    NoRecipient,
    #[error("the mailbox failed")]
    Database(#[from] rusqlite::Error),
}

impl Mailbox {
    pub(crate) fn start(
        file: Option<&Path>,
        clock: Clock,
        random: Random,
    ) -> Result<Self, rusqlite::Error> {
        let database = match file {
            Some(file) => Connection::open(file)?,
            None => Connection::open_in_memory()?,
        };
        database.pragma_update(None, "journal_mode", "WAL")?;
        database.pragma_update(None, "synchronous", "NORMAL")?;
        database.execute_batch(SCHEMA)?;
        Ok(Self { database: Arc::new(Mutex::new(database)), clock, random })
    }

    /// All mails, in the order in which they were sent.
    pub fn list(&self) -> Result<Vec<Mail>, rusqlite::Error> {
        self.with(|database| {
            let mut statement =
                database.prepare_cached(&format!("SELECT {COLUMNS} FROM mail ORDER BY number"))?;
            statement.query_map([], mail)?.collect()
        })
    }

    /// One mail.
    pub fn get(&self, id: &str) -> Result<Option<Mail>, rusqlite::Error> {
        self.with(|database| {
            database
                .prepare_cached(&format!("SELECT {COLUMNS} FROM mail WHERE id = ?1"))?
                .query_row([id], mail)
                .optional()
        })
    }

    /// Forgets all mails.
    pub fn clear(&self) -> Result<(), rusqlite::Error> {
        self.with(|database| database.execute("DELETE FROM mail", []).map(drop))
    }

    /// Keeps a mail and returns its id. `envelope` are the recipients that the service was told
    /// beside the message.
    pub(crate) fn keep(
        &self,
        service: Service,
        envelope: &[String],
        raw: &[u8],
    ) -> Result<String, MailError> {
        let message = MessageParser::new().parse_headers(raw).ok_or(MailError::NoMessage)?;
        let from = addresses(message.from()).into_iter().next().ok_or(MailError::NoSender)?;
        let mut to: Vec<_> = envelope.iter().map(|address| bare(address).to_owned()).collect();
        if to.is_empty() {
            to = [message.to(), message.cc(), message.bcc()]
                .into_iter()
                .flat_map(addresses)
                .collect();
        }
        if to.is_empty() {
            return Err(MailError::NoRecipient);
        }
        let id = self.token();
        let kind = message.header_raw(KIND_HEADER).map(str::trim);
        self.with(|database| {
            database
                .prepare_cached(&format!(
                    "INSERT INTO mail ({COLUMNS}) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)"
                ))?
                .execute(params![
                    id,
                    self.clock.now().as_millisecond(),
                    service.name(),
                    from,
                    to.join(SEPARATOR),
                    message.subject().unwrap_or_default(),
                    kind,
                    raw,
                ])
        })?;
        Ok(id)
    }

    /// Random digits, for ids and boundaries.
    pub(crate) fn token(&self) -> String {
        data_encoding::HEXLOWER.encode(&self.random.bytes::<16>())
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// `GET /local/mail`, `GET /local/mail/{id}`, and its parts.
    pub(crate) fn router(&self) -> Router {
        Router::new()
            .route(
                "/local/mail",
                get(async |State(mailbox): State<Self>| match mailbox.list() {
                    Ok(mails) => {
                        let items: Vec<_> = mails.into_iter().map(Listed::from).collect();
                        Json(json!({ "items": items })).into_response()
                    }
                    Err(error) => failed(&error),
                }),
            )
            .route(
                "/local/mail/{id}",
                get(
                    async |State(mailbox): State<Self>, UrlPath(id): UrlPath<String>| match mailbox
                        .get(&id)
                    {
                        Ok(Some(mail)) => {
                            ([(CONTENT_TYPE, "message/rfc822")], mail.raw).into_response()
                        }
                        Ok(None) => StatusCode::NOT_FOUND.into_response(),
                        Err(error) => failed(&error),
                    },
                ),
            )
            .route("/local/mail/{id}/parts", get(super::letter::parts))
            .route("/local/mail/{id}/html", get(super::letter::html))
            .with_state(self.clone())
    }

    fn with<T>(&self, work: impl FnOnce(&Connection) -> T) -> T {
        // Every use is one statement; a panic elsewhere leaves none half done.
        work(&self.database.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Between recipients, in the database and in the list: as in a `To` header.
const SEPARATOR: &str = ", ";

fn mail(row: &Row<'_>) -> Result<Mail, rusqlite::Error> {
    let to: String = row.get(4)?;
    Ok(Mail {
        id: row.get(0)?,
        sent_at: Timestamp::from_millisecond(row.get(1)?).unwrap_or_default(),
        service: row.get(2)?,
        from: row.get(3)?,
        to: to.split(SEPARATOR).map(str::to_owned).collect(),
        subject: row.get(5)?,
        kind: row.get(6)?,
        raw: row.get(7)?,
    })
}

fn addresses(header: Option<&Address<'_>>) -> Vec<String> {
    let addresses = header.into_iter().flat_map(Address::iter);
    addresses.filter_map(|address| address.address().map(str::to_owned)).collect()
}

/// The address alone, of one that may have a name before it.
fn bare(address: &str) -> &str {
    let inner = address.split_once('<').and_then(|(_, rest)| rest.split_once('>'));
    inner.map_or(address, |(inner, _)| inner).trim()
}

pub(super) fn failed(error: &rusqlite::Error) -> Response {
    tracing::error!(error = error as &dyn std::error::Error, "the mailbox failed");
    StatusCode::INTERNAL_SERVER_ERROR.into_response()
}

impl From<Mail> for Listed {
    fn from(mail: Mail) -> Self {
        Self {
            id: mail.id,
            to: mail.to.join(SEPARATOR),
            subject: mail.subject,
            kind: mail.kind,
            sent_at: mail.sent_at,
        }
    }
}
