//! Composes mails and sends them through a mail service.
//!
//! [`compose`] is deterministic: an equal [`MailContext`] produces equal bytes, so a retry sends the same message. A
//! service returns a [`MailError`] with a [`RetryAdvice`] for the outbox. Storage, counting and retries belong to the
//! outbox.

mod calendar;
mod clean;
mod compose;
mod content;
mod content_line;
mod error;
mod layout;
mod mailbox;
mod ses;
mod texts;
mod vtimezone;
mod zeptomail;

#[cfg(test)]
mod tests;

use std::future::Future;

use jiff::Timestamp;

pub use self::calendar::{Attendee, Calendar, EntryContext, calendar_entry};
pub use self::compose::compose;
pub use self::error::{MailError, RetryAdvice};
pub use self::mailbox::{BadMailbox, Mailbox};
pub use self::ses::Ses;
pub use self::texts::LANGUAGES;
pub use self::zeptomail::ZeptoMail;
use crate::config::{ConfigError, Env, names};
use crate::domain::id::SessionId;
use crate::domain::mailing::MailKind;
use crate::domain::text::Email;
use crate::domain::time::Zone;

/// The detail of an error without a connection to the mail service.
const NEVER_CONNECTED: &str = "no connection";

/// The sender and the texts that are the same in every mail.
#[derive(Clone, Debug, PartialEq)]
pub struct Brand {
    pub name: String,
    pub from: Mailbox,
    /// Shown below every mail.
    pub disclaimer: Option<String>,
    /// The URL of the platform, without a trailing slash.
    pub app_url: String,
}

impl Brand {
    pub fn read(env: &Env) -> Result<Self, ConfigError> {
        // Reads every variable before the first error, so the set of variables that a function reads is constant.
        let from = env.required(names::MAIL_FROM);
        let name = env.required(names::BRAND_NAME);
        let disclaimer = env.optional(names::DISCLAIMER);
        let app_url = env.url(names::APP_URL);
        let from = from?.parse().map_err(|error| ConfigError::invalid(names::MAIL_FROM, error))?;
        let app_url = app_url?.as_str().trim_end_matches('/').to_owned();
        Ok(Self { name: name?, from, disclaimer, app_url })
    }
}

/// The current state of the session that a mail is about.
#[derive(Clone, Copy, Debug)]
pub struct MailSession<'a> {
    pub id: &'a SessionId,
    pub title: &'a str,
    pub description: &'a str,
    pub starts_at: Timestamp,
    pub duration_minutes: u16,
    pub zone: &'a Zone,
    /// RFC 5545, section 3.8.7.4. A calendar ignores an update with a lower number than that of its entry.
    pub sequence: u32,
    /// The trainer's reason for the change or the cancellation.
    pub reason: Option<&'a str>,
    pub course_title: Option<&'a str>,
    pub trainer_name: Option<&'a str>,
}

/// The input of [`compose`]: one mail to one person.
#[derive(Clone, Debug)]
pub struct MailContext<'a> {
    pub kind: MailKind,
    pub to: &'a Email,
    pub to_name: Option<&'a str>,
    /// `None` for [`MailKind::ReauthRequired`], which is about no session.
    pub session: Option<MailSession<'a>>,
    /// Whether a removal is for an address that the recipient no longer uses.
    pub address_changed: bool,
    /// The platform's page for the session or for guests. Never a Zoom link: anyone with one can join without signing in.
    /// `None` for a guest who cannot enter any more.
    pub link: Option<String>,
    /// Derived from message and recipient, so a retry has the same id. Without angle brackets.
    pub message_id: String,
    /// The recipient's language.
    pub locale: Option<&'a str>,
    /// The recipient's time zone. Defaults to the session's.
    pub zone: Option<&'a Zone>,
    pub now: Timestamp,
}

/// A composed mail: as separate parts for services that build the message, and as a complete raw message for the
/// others.
#[derive(Clone, Debug, PartialEq)]
pub struct ComposedMail {
    pub to: Email,
    pub to_name: Option<String>,
    pub subject: String,
    pub text: String,
    pub html: String,
    pub calendar: Option<Calendar>,
    pub message_id: String,
    pub kind: MailKind,
    /// The session that the mail is about.
    pub session: Option<SessionId>,
    /// The complete message (RFC 5322).
    pub raw: Vec<u8>,
}

/// A service that sends mails.
pub trait MailService {
    /// Sends the mail without retries and returns the service's message id.
    fn send(&self, mail: &ComposedMail) -> impl Future<Output = Result<String, MailError>> + Send;
}

/// The configured mail service.
#[derive(Clone, Debug)]
pub enum Service {
    Ses(Ses),
    ZeptoMail(ZeptoMail),
}

impl MailService for Service {
    async fn send(&self, mail: &ComposedMail) -> Result<String, MailError> {
        match self {
            Self::Ses(ses) => ses.send(mail).await,
            Self::ZeptoMail(zeptomail) => zeptomail.send(mail).await,
        }
    }
}
