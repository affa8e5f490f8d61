//! The message: headers and parts (RFC 5322, RFC 2046, RFC 6047).

use std::borrow::Cow;

use data_encoding::HEXLOWER;
use mail_builder::MessageBuilder;
use mail_builder::headers::address::Address;
use mail_builder::headers::content_type::ContentType;
use mail_builder::headers::message_id::MessageId;
use mail_builder::headers::raw::Raw;
use mail_builder::headers::text::Text;
use mail_builder::mime::MimePart;
use sha2::{Digest, Sha256};

use super::calendar::{Calendar, calendar};
use super::content::{plain_text, words};
use super::{Brand, ComposedMail, Kind, MailContext, clean, html};

/// By this the local stack and a mail log tell one kind from another.
pub(super) const KIND_HEADER: &str = "X-Live-Class-Kind";
/// Tells automatic responders not to answer (RFC 3834, section 5).
pub(super) const AUTOMATIC: (&str, &str) = ("Auto-Submitted", "auto-generated");
/// The file by which mail programs offer what they do not show as an invitation.
pub(super) const FILE_NAME: &str = "invite.ics";

/// Writes the letter. Equal letters make equal bytes.
pub fn compose(letter: &MailContext<'_>, brand: &Brand) -> ComposedMail {
    let words = words(letter, brand);
    let mut mail = ComposedMail {
        to: letter.to.clone(),
        to_name: letter.to_name.map(clean::header).filter(|name| !name.is_empty()),
        text: plain_text(&words),
        html: html::page(&words),
        subject: clean::header(&words.subject),
        calendar: letter.class.and_then(|class| calendar(letter, &class, brand)),
        message_id: clean::message_id(&letter.message_id),
        kind: letter.kind,
        raw: Vec::new(),
    };
    mail.raw = message(&mail, letter, brand);
    mail
}

fn message(mail: &ComposedMail, letter: &MailContext<'_>, brand: &Brand) -> Vec<u8> {
    let from = Address::new_address(
        brand.from.name.as_deref().map(clean::header),
        brand.from.address.as_str(),
    );
    let to = Address::new_address(mail.to_name.as_deref(), mail.to.as_str());
    let (automatic, how) = AUTOMATIC;
    let message = MessageBuilder::new()
        // Left to itself, the builder would take these two from the machine's clock and its host's name.
        .date(letter.now.as_second())
        .message_id(MessageId::new(mail.message_id.as_str()))
        .from(from)
        .to(to)
        .subject(mail.subject.as_str())
        .header(automatic, Text::new(how))
        .header(KIND_HEADER, Text::new(mail.kind.as_str()))
        .header("Content-Language", Text::new("en"))
        .body(body(mail));
    let mut bytes = Vec::new();
    message.serialize(&mut bytes);
    bytes
}

/// The last alternative is the one that a program prefers (RFC 2046, section 5.1.4): those that know calendars show
/// the invitation, all others the page or the text.
fn body(mail: &ComposedMail) -> MimePart<'_> {
    let boundary = Boundary::of(mail);
    let mut alternatives = vec![
        text_part("text/plain; charset=UTF-8", &mail.text),
        text_part("text/html; charset=UTF-8", &mail.html),
    ];
    let Some(calendar) = &mail.calendar else {
        return multipart("multipart/alternative", boundary.inner(), alternatives);
    };
    let method = calendar.method.as_str();
    let kind = format!("text/calendar; charset=UTF-8; method={method}");
    alternatives.push(text_part(kind, &calendar.text));
    let parts = vec![
        multipart("multipart/alternative", boundary.inner(), alternatives),
        attachment(calendar),
    ];
    multipart("multipart/mixed", boundary.outer(), parts)
}

/// The type goes in as it is: the builder would quote every parameter, which is as right, and which some programs that
/// look for `method=` do not expect. Text is given its CRLF here, since not every encoding of the builder's does so
/// (RFC 2046, section 4.1.1).
fn text_part<'a>(kind: impl Into<Cow<'a, str>>, text: &str) -> MimePart<'a> {
    let text = text.replace("\r\n", "\n").replace('\n', "\r\n");
    MimePart::raw(text).header("Content-Type", Raw::new(kind))
}

/// Not `text/calendar` again: a program that found two of those would show the invitation twice.
fn attachment(calendar: &Calendar) -> MimePart<'_> {
    let kind = ContentType::new("application/ics").attribute("name", FILE_NAME);
    MimePart::new(kind, calendar.text.as_bytes()).attachment(FILE_NAME)
}

fn multipart<'a>(kind: &'a str, boundary: String, parts: Vec<MimePart<'a>>) -> MimePart<'a> {
    MimePart::new(ContentType::new(kind).attribute("boundary", boundary), parts)
}

/// What separates the parts, derived from the parts: it differs from everything in them, since nobody can write a
/// text that holds its own digest.
struct Boundary(String);

impl Boundary {
    fn of(mail: &ComposedMail) -> Self {
        let calendar = mail.calendar.as_ref().map_or("", |calendar| calendar.text.as_str());
        let mut digest = Sha256::new();
        for part in [&mail.message_id, &mail.text, &mail.html, calendar] {
            digest.update(part.len().to_be_bytes());
            digest.update(part);
        }
        Self(HEXLOWER.encode(&digest.finalize()[..16]))
    }

    /// `=_` occurs in no quoted-printable and no base64 text (RFC 2045, section 6.7).
    fn outer(&self) -> String {
        format!("=_m_{}", self.0)
    }

    fn inner(&self) -> String {
        format!("=_a_{}", self.0)
    }
}

impl Kind {
    /// Headers beyond those of every mail, as a service takes them that builds the message itself.
    pub(super) fn headers(self) -> [(&'static str, &'static str); 2] {
        [AUTOMATIC, (KIND_HEADER, self.as_str())]
    }
}
