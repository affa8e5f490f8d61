//! The message with its headers and parts (RFC 5322, RFC 2046, RFC 6047).

use std::borrow::Cow;

use mail_builder::MessageBuilder;
use mail_builder::headers::address::Address;
use mail_builder::headers::content_type::ContentType;
use mail_builder::headers::message_id::MessageId;
use mail_builder::headers::raw::Raw;
use mail_builder::headers::text::Text;
use mail_builder::mime::MimePart;

use super::calendar::{Calendar, calendar};
use super::content::{mail_content, mail_texts};
use super::texts::Language;
use super::{Brand, ComposedMail, MailContext, MailKind, clean, layout};
use crate::domain::digest::Digest;

/// Identifies the kind of a mail for the local stack and for mail logs.
pub(super) const KIND_HEADER: &str = "X-Live-Class-Kind";
/// Keeps automatic responders from replying (RFC 3834, section 5).
pub(super) const AUTO_SUBMITTED: (&str, &str) = ("Auto-Submitted", "auto-generated");
/// The attachment for mail programs that do not show the inline invitation.
pub(super) const FILE_NAME: &str = "invite.ics";

/// Composes the mail. An equal context produces equal bytes.
pub fn compose(context: &MailContext<'_>, brand: &Brand) -> ComposedMail {
    let language = Language::of(context.locale);
    let texts = mail_texts(context, language);
    let session = context.session.as_ref();
    let calendar =
        session.and_then(|session| calendar(context, session, brand, &texts.calendar_link_label));
    let content = mail_content(context, brand, texts, language);
    let mut mail = ComposedMail {
        to: context.to.clone(),
        to_name: context.to_name.map(clean::header).filter(|name| !name.is_empty()),
        text: layout::plain_text(&content),
        html: layout::html(&content),
        subject: clean::header(&content.subject),
        calendar,
        message_id: clean::message_id(&context.message_id),
        kind: context.kind,
        session: session.map(|session| session.id.clone()),
        raw: Vec::new(),
    };
    mail.raw = message(&mail, context, brand, language);
    mail
}

fn message(
    mail: &ComposedMail,
    context: &MailContext<'_>,
    brand: &Brand,
    language: Language,
) -> Vec<u8> {
    let from = Address::new_address(
        brand.from.name.as_deref().map(clean::header),
        brand.from.address.as_str(),
    );
    let to = Address::new_address(mail.to_name.as_deref(), mail.to.as_str());
    let (automatic_header, automatic_value) = AUTO_SUBMITTED;
    let message = MessageBuilder::new()
        // By default the builder uses the system clock and the host name for these two.
        .date(context.now.as_second())
        .message_id(MessageId::new(mail.message_id.as_str()))
        .from(from)
        .to(to)
        .subject(mail.subject.as_str())
        .header(automatic_header, Text::new(automatic_value))
        .header(KIND_HEADER, Text::new(mail.kind.as_str()))
        .header("Content-Language", Text::new(language.tag()))
        .body(body(mail));
    let mut bytes = Vec::new();
    message.serialize(&mut bytes);
    bytes
}

/// Mail programs prefer the last alternative that they support (RFC 2046, section 5.1.4). Programs with a calendar show
/// the invitation, the others show the HTML or the plain text.
fn body(mail: &ComposedMail) -> MimePart<'_> {
    let boundary = Boundary::derive(mail);
    let mut alternatives = vec![
        text_part("text/plain; charset=UTF-8", &mail.text),
        text_part("text/html; charset=UTF-8", &mail.html),
    ];
    let Some(calendar) = &mail.calendar else {
        return multipart("multipart/alternative", boundary.inner(), alternatives);
    };
    alternatives.push(text_part(calendar.content_type(), &calendar.text));
    let parts = vec![
        multipart("multipart/alternative", boundary.inner(), alternatives),
        attachment(calendar),
    ];
    multipart("multipart/mixed", boundary.outer(), parts)
}

/// Writes the content type as a raw header, because the builder quotes every parameter and some programs search for an
/// unquoted `method=`. Converts line ends to CRLF (RFC 2046, section 4.1.1), because not every encoding of the builder
/// does so.
fn text_part<'a>(kind: impl Into<Cow<'a, str>>, text: &str) -> MimePart<'a> {
    let text = text.replace("\r\n", "\n").replace('\n', "\r\n");
    MimePart::raw(text).header("Content-Type", Raw::new(kind))
}

/// Not `text/calendar`, because some programs would then show the invitation twice.
fn attachment(calendar: &Calendar) -> MimePart<'_> {
    let kind = ContentType::new("application/ics").attribute("name", FILE_NAME);
    MimePart::new(kind, calendar.text.as_bytes()).attachment(FILE_NAME)
}

fn multipart<'a>(kind: &'a str, boundary: String, parts: Vec<MimePart<'a>>) -> MimePart<'a> {
    MimePart::new(ContentType::new(kind).attribute("boundary", boundary), parts)
}

/// A boundary derived from a digest of the parts. It cannot occur in them, because no text can contain its own digest.
struct Boundary(String);

/// Hex digits of a boundary: 128 bits.
const BOUNDARY_DIGITS: usize = 32;

impl Boundary {
    fn derive(mail: &ComposedMail) -> Self {
        let calendar = mail.calendar.as_ref().map_or("", |calendar| calendar.text.as_str());
        let parts = [&mail.message_id, &mail.text, &mail.html, calendar];
        Self(Digest::new("boundary", parts).hex(BOUNDARY_DIGITS))
    }

    /// The sequence `=_` occurs in neither quoted-printable nor base64 text (RFC 2045, section 6.7).
    fn outer(&self) -> String {
        format!("=_m_{}", self.0)
    }

    fn inner(&self) -> String {
        format!("=_a_{}", self.0)
    }
}

impl MailKind {
    /// Returns the additional headers for services that build the message themselves.
    pub(super) fn headers(self) -> [(&'static str, &'static str); 2] {
        [AUTO_SUBMITTED, (KIND_HEADER, self.as_str())]
    }
}
