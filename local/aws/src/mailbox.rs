//! The mailbox: stores the mails that were sent through SES and ZeptoMail. No mail leaves the machine.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use mail_parser::{Address, MessageParser};
use rusqlite::{Connection, OptionalExtension, Row, params};
use serde::Deserialize;
use shared::clock::Clock;
use shared::random::Random;

use super::mail_parts;
use crate::calls::AwsService;
use crate::{StartError, state_file};

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
    raw BLOB NOT NULL,
    session_id TEXT,
    guest_link TEXT
) STRICT;
CREATE INDEX IF NOT EXISTS mail_by_guest_link ON mail (guest_link);
CREATE TABLE IF NOT EXISTS mail_source (
    mail_id TEXT PRIMARY KEY,
    configuration_set TEXT NOT NULL,
    tags TEXT NOT NULL
) STRICT;
";
const COLUMNS: &str = "id, sent_at, service, sender, recipients, subject, kind, raw, session_id";

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
    /// The session that the mail is about.
    pub session_id: Option<String>,
}

/// The parts of a request to SES beside the message: the configuration set and the tags.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct MailSource {
    pub(crate) configuration_set: Option<String>,
    pub(crate) tags: BTreeMap<String, String>,
}

/// Which mails a list contains. An absent member matches every mail.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MailFilter {
    /// One of the recipients' addresses, in any case.
    pub to: Option<String>,
    pub kind: Option<String>,
    pub session_id: Option<String>,
}

impl MailFilter {
    fn matches(&self, mail: &Mail) -> bool {
        let matches =
            |wanted: &Option<String>, found: &Option<String>| wanted.is_none() || wanted == found;
        self.to.as_ref().is_none_or(|to| mail.to.iter().any(|it| it.eq_ignore_ascii_case(to)))
            && matches(&self.kind, &mail.kind)
            && matches(&self.session_id, &mail.session_id)
    }
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
    ) -> Result<Self, StartError> {
        let database = state_file::open_database(file)?;
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

    /// Returns the mails that match, oldest first.
    pub fn find(&self, filter: &MailFilter) -> Result<Vec<Mail>, rusqlite::Error> {
        let mut mails = self.list()?;
        mails.retain(|mail| filter.matches(mail));
        Ok(mails)
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
        self.with_database(|database| {
            database.execute_batch("DELETE FROM mail; DELETE FROM mail_source;")
        })
    }

    /// Stores a mail of SES and returns its id.
    pub(crate) fn store_with_source(
        &self,
        source: &MailSource,
        envelope: &[String],
        raw: &[u8],
    ) -> Result<String, MailError> {
        let id = self.store(AwsService::Ses, envelope, raw)?;
        if let Some(set) = &source.configuration_set {
            let tags = serde_json::to_string(&source.tags).unwrap_or_default();
            self.with_database(|database| {
                database.execute("INSERT INTO mail_source VALUES (?1, ?2, ?3)", [&id, set, &tags])
            })?;
        }
        Ok(id)
    }

    /// Returns the configuration set and the tags of a mail.
    pub(crate) fn source(&self, id: &str) -> Result<MailSource, rusqlite::Error> {
        let row = self.with_database(|database| {
            database
                .prepare_cached(
                    "SELECT configuration_set, tags FROM mail_source WHERE mail_id = ?1",
                )?
                .query_row([id], |row| Ok((row.get(0)?, row.get::<_, String>(1)?)))
                .optional()
        })?;
        let Some((set, tags)) = row else { return Ok(MailSource::default()) };
        let tags = serde_json::from_str(&tags).unwrap_or_default();
        Ok(MailSource { configuration_set: Some(set), tags })
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
        let subject = mail_parts::subject(raw);
        self.with_database(|database| {
            let guest_link = subject.guest_link.as_deref();
            let session_id = match subject.session_id.clone() {
                None => session_of_guest_link(database, guest_link)?,
                found => found,
            };
            database
                .prepare_cached(&format!(
                    "INSERT INTO mail ({COLUMNS}, guest_link) \
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)"
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
                    session_id,
                    guest_link,
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

    fn with_database<T>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, rusqlite::Error>,
    ) -> Result<T, rusqlite::Error> {
        // Each use changes the database with one statement, so a panic cannot leave a partial change.
        let database = self.database.lock().unwrap_or_else(PoisonError::into_inner);
        work(&database).inspect_err(|error| state_file::log_full_disk(&database, error))
    }
}

/// Returns the session of an earlier mail with the same link. All mails of an invitation have the same one, and not all
/// of them name the session.
fn session_of_guest_link(
    database: &Connection,
    link: Option<&str>,
) -> Result<Option<String>, rusqlite::Error> {
    let Some(link) = link else { return Ok(None) };
    let earlier =
        "SELECT session_id FROM mail WHERE guest_link = ?1 AND session_id IS NOT NULL LIMIT 1";
    database.prepare_cached(earlier)?.query_row([link], |row| row.get(0)).optional()
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
        session_id: row.get(8)?,
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
