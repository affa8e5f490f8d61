//! The mailbox: stores the mails that were sent through SES and ZeptoMail. No mail leaves the machine.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use mail_parser::{Address, MessageParser};
use rusqlite::{Connection, OptionalExtension, Row, params};
use shared::clock::Clock;
use shared::random::Random;

use crate::calls::AwsService;

/// The header with the kind of a mail.
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

/// The sent mails. Clones share one mailbox.
#[derive(Clone, Debug)]
pub struct Mailbox {
    database: Arc<Mutex<Connection>>,
    clock: Clock,
    random: Random,
}

/// One sent mail.
#[derive(Clone, Debug, PartialEq)]
pub struct Mail {
    pub id: String,
    pub sent_at: Timestamp,
    /// `ses` or `zeptomail`.
    pub service: String,
    pub from: String,
    /// The recipients of the envelope, or those of the headers if the request has no envelope.
    pub to: Vec<String>,
    pub subject: String,
    pub kind: Option<String>,
    /// The message as RFC 5322.
    pub raw: Vec<u8>,
}

/// The reason why a mail was not stored.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MailError {
    #[error("the message has no headers")]
    NoMessage,
    #[error("the message has no `From`")]
    NoSender,
    #[error("the message has no recipient")]
    NoRecipient,
    #[error("accessing the mailbox failed")]
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

    /// Returns all mails, oldest first.
    pub fn list(&self) -> Result<Vec<Mail>, rusqlite::Error> {
        self.with_database(|database| {
            let mut statement =
                database.prepare_cached(&format!("SELECT {COLUMNS} FROM mail ORDER BY number"))?;
            statement.query_map([], mail_from_row)?.collect()
        })
    }

    pub fn get(&self, id: &str) -> Result<Option<Mail>, rusqlite::Error> {
        self.with_database(|database| {
            database
                .prepare_cached(&format!("SELECT {COLUMNS} FROM mail WHERE id = ?1"))?
                .query_row([id], mail_from_row)
                .optional()
        })
    }

    /// Deletes all mails.
    pub fn clear(&self) -> Result<(), rusqlite::Error> {
        self.with_database(|database| database.execute("DELETE FROM mail", []).map(drop))
    }

    /// Stores a mail and returns its id. `envelope` holds the recipients from the request, as opposed
    /// to those in the message's headers.
    pub(crate) fn store(
        &self,
        service: AwsService,
        envelope: &[String],
        raw: &[u8],
    ) -> Result<String, MailError> {
        let message = MessageParser::new().parse_headers(raw).ok_or(MailError::NoMessage)?;
        let from = addresses(message.from()).into_iter().next().ok_or(MailError::NoSender)?;
        let mut to: Vec<_> =
            envelope.iter().map(|address| address_only(address).to_owned()).collect();
        if to.is_empty() {
            to = [message.to(), message.cc(), message.bcc()]
                .into_iter()
                .flat_map(addresses)
                .collect();
        }
        if to.is_empty() {
            return Err(MailError::NoRecipient);
        }
        let id = self.random_token();
        let kind = message.header_raw(KIND_HEADER).map(str::trim);
        self.with_database(|database| {
            database
                .prepare_cached(&format!(
                    "INSERT INTO mail ({COLUMNS}) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)"
                ))?
                .execute(params![
                    id,
                    self.clock.now().as_millisecond(),
                    service.name(),
                    from,
                    to.join(RECIPIENT_SEPARATOR),
                    message.subject().unwrap_or_default(),
                    kind,
                    raw,
                ])
        })?;
        Ok(id)
    }

    /// Returns 32 random hexadecimal digits, for ids and MIME boundaries.
    pub(crate) fn random_token(&self) -> String {
        data_encoding::HEXLOWER.encode(&self.random.bytes::<16>())
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    fn with_database<T>(&self, work: impl FnOnce(&Connection) -> T) -> T {
        // Each use executes one statement, so a panic cannot leave a partial change.
        work(&self.database.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The separator of recipients in the database and in the list, as in a `To` header.
pub(super) const RECIPIENT_SEPARATOR: &str = ", ";

fn mail_from_row(row: &Row<'_>) -> Result<Mail, rusqlite::Error> {
    let to: String = row.get(4)?;
    Ok(Mail {
        id: row.get(0)?,
        sent_at: Timestamp::from_millisecond(row.get(1)?).unwrap_or_default(),
        service: row.get(2)?,
        from: row.get(3)?,
        to: to.split(RECIPIENT_SEPARATOR).map(str::to_owned).collect(),
        subject: row.get(5)?,
        kind: row.get(6)?,
        raw: row.get(7)?,
    })
}

fn addresses(header: Option<&Address<'_>>) -> Vec<String> {
    let addresses = header.into_iter().flat_map(Address::iter);
    addresses.filter_map(|address| address.address().map(str::to_owned)).collect()
}

/// Returns the address without a display name.
fn address_only(address: &str) -> &str {
    let inner = address.split_once('<').and_then(|(_, rest)| rest.split_once('>'));
    inner.map_or(address, |(inner, _)| inner).trim()
}
