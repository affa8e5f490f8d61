//! Mail: what is said to whom, as which message, and through which service it leaves.
//!
//! [`compose`] is a plain function: equal letters make equal bytes, so that a retry sends the same message. The
//! services answer a [`MailError`] that says what the outbox should do. What is kept, counted or tried again is
//! the outbox's business and not known here.

mod calendar;
mod clean;
mod compose;
mod content_line;
mod error;
mod html;
mod mailbox;
mod ses;
mod vtimezone;
mod content;
mod zeptomail;

#[cfg(test)]
mod tests;

use std::future::Future;

use jiff::Timestamp;

pub use self::calendar::{Calendar, CalendarMethod};
pub use self::compose::compose;
pub use self::error::{MailError, RetryAdvice};
pub use self::mailbox::{BadMailbox, Mailbox};
pub use self::ses::Ses;
pub use self::zeptomail::ZeptoMail;
use crate::config::{ConfigError, Env, names};
use crate::domain::id::SessionId;
pub use crate::domain::mailing::MailKind as Kind;
use crate::domain::text::Email;
use crate::domain::time::Zone;

impl Kind {
    /// What the mail asks a calendar to do. A reminder changes no entry, and what concerns a trainer's Zoom is
    /// none.
    pub fn method(self) -> Option<CalendarMethod> {
        match self {
            Self::Scheduled | Self::Updated | Self::Resent => Some(CalendarMethod::Request),
            Self::Cancelled | Self::Removed => Some(CalendarMethod::Cancel),
            Self::ReminderDayBefore
            | Self::ReminderHourBefore
            | Self::ReauthRequired
            | Self::MeetingDeleted => None,
        }
    }
}

/// Who writes.
#[derive(Clone, Debug, PartialEq)]
pub struct Brand {
    pub name: String,
    pub from: Mailbox,
    /// Stands below every mail.
    pub disclaimer: Option<String>,
    /// The platform's own address, without a slash at its end.
    pub app_url: String,
}

impl Brand {
    pub fn read(env: &Env) -> Result<Self, ConfigError> {
        // All are read before one is found wanting, so that what a function reads does not depend on what it finds.
        let from = env.required(names::MAIL_FROM);
        let name = env.required(names::BRAND_NAME);
        let disclaimer = env.optional(names::DISCLAIMER);
        let app_url = env.url(names::APP_URL);
        let from = from?.parse().map_err(|why| ConfigError::invalid(names::MAIL_FROM, why))?;
        let app_url = app_url?.as_str().trim_end_matches('/').to_owned();
        Ok(Self { name: name?, from, disclaimer, app_url })
    }
}

/// The class that a mail is about, as it stands when the mail is sent.
#[derive(Clone, Copy, Debug)]
pub struct SessionDetails<'a> {
    pub id: &'a SessionId,
    pub title: &'a str,
    pub description: &'a str,
    pub starts_at: Timestamp,
    pub duration_minutes: u16,
    pub zone: &'a Zone,
    /// RFC 5545, section 3.8.7.4. A calendar ignores what has a lower one than the entry that it holds.
    pub sequence: u32,
    /// Why it was changed or cancelled, in the trainer's words.
    pub reason: Option<&'a str>,
    pub course_title: Option<&'a str>,
    pub trainer_name: Option<&'a str>,
}

/// One mail to one person, before it is written.
#[derive(Clone, Debug)]
pub struct MailContext<'a> {
    pub kind: Kind,
    pub to: &'a Email,
    pub to_name: Option<&'a str>,
    /// `None` where the mail is about no class: [`Kind::ReauthRequired`].
    pub class: Option<SessionDetails<'a>>,
    /// The platform's own page about it. A link of Zoom's never stands here: whoever holds one enters without
    /// being asked who they are.
    pub link: String,
    /// Derived from what is sent to whom, so that a retry is the same message; without angle brackets.
    pub message_id: String,
    /// The recipient's language. Every mail is in English so far, and nothing reads this.
    pub locale: Option<&'a str>,
    /// The recipient's zone, if it is known; the class's is used where it is not.
    pub zone: Option<&'a Zone>,
    pub now: Timestamp,
}

/// A mail as it leaves, in its parts for a service that builds the message itself, and whole for one that does
/// not.
#[derive(Clone, Debug, PartialEq)]
pub struct ComposedMail {
    pub to: Email,
    pub to_name: Option<String>,
    pub subject: String,
    pub text: String,
    pub html: String,
    pub calendar: Option<Calendar>,
    pub message_id: String,
    pub kind: Kind,
    /// The whole message (RFC 5322).
    pub raw: Vec<u8>,
}

/// Something that takes a mail and sends it on.
pub trait MailService {
    /// Hands the mail over once, without trying again; answers the service's own id for it.
    fn send(&self, mail: &ComposedMail) -> impl Future<Output = Result<String, MailError>> + Send;
}

/// The service that the configuration names.
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
