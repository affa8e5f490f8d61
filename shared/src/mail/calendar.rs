//! The calendar entry of a session: an invitation or a cancellation (RFC 5545, RFC 5546, RFC 6047).

use jiff::Timestamp;
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

use super::content_line::ContentLines;
use super::texts::{Language, Variables, texts};
use super::{Brand, MailContext, MailKind, MailSession, clean, vtimezone};
use crate::domain::notification_kind::CalendarMethod;
use crate::domain::text::Email;
use crate::domain::time::{Zone, plus_minutes};

const PRODUCT: &str = "-//Live Classes//Live Classes//EN";

/// The part of a `UID` after the session id. It is not a host name, because it must never change: every calendar would
/// show the class twice.
const UID_DOMAIN: &str = "live-classes";

/// The format of a time in UTC (RFC 5545, section 3.3.5).
const UTC: &str = "%Y%m%dT%H%M%SZ";

/// The characters that must be percent-encoded in a `mailto:` address (RFC 6068, section 2).
const MAILTO: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'%')
    .add(b'&')
    .add(b'/')
    .add(b';')
    .add(b'<')
    .add(b'=')
    .add(b'>')
    .add(b'?')
    .add(b'[')
    .add(b']')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}')
    .add(b'^')
    .add(b'\\');

/// The iTIP method of a calendar object (RFC 5546, section 1.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// An entry without an attendee. The two others require one.
    Publish,
    Request,
    Cancel,
}

impl Method {
    /// Returns the value of the `METHOD` property and of the equal MIME parameter (RFC 6047, section 2.4).
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Publish => "PUBLISH",
            Self::Request => "REQUEST",
            Self::Cancel => "CANCEL",
        }
    }
}

/// An iCalendar object with one entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Calendar {
    pub method: Method,
    pub text: String,
}

impl Calendar {
    /// Returns the media type. Calendar programs recognize an invitation by its method (RFC 6047, section 2.4).
    pub fn content_type(&self) -> &'static str {
        match self.method {
            Method::Publish => "text/calendar; charset=UTF-8; method=PUBLISH",
            Method::Request => "text/calendar; charset=UTF-8; method=REQUEST",
            Method::Cancel => "text/calendar; charset=UTF-8; method=CANCEL",
        }
    }
}

/// The person with the entry in the calendar.
#[derive(Clone, Copy, Debug)]
pub struct Attendee<'a> {
    pub email: &'a Email,
    pub name: Option<&'a str>,
}

/// The input of a calendar entry.
#[derive(Clone, Debug)]
pub struct EntryContext<'a> {
    pub session: MailSession<'a>,
    pub is_cancelled: bool,
    /// `None` for a person who gets no mail about the session.
    pub attendee: Option<Attendee<'a>>,
    /// The page to which the entry links.
    pub link: Option<&'a str>,
    /// The time of the entry, which decides between two entries with the same sequence.
    pub stamp: Timestamp,
}

/// Returns the calendar entry of a session for a person who asks for it. Their mails contain the same entry.
pub fn calendar_entry(context: &EntryContext<'_>, brand: &Brand, locale: Option<&str>) -> Calendar {
    let variables = Variables { name: "", title: "", start: "", address_changed: false };
    let texts = texts(MailKind::Scheduled, Language::of(locale), variables);
    entry(context, brand, &texts.calendar_link_label)
}

/// Returns the calendar object of the mail, if its kind has one.
pub(super) fn calendar(
    context: &MailContext<'_>,
    session: &MailSession<'_>,
    brand: &Brand,
    link_label: &str,
) -> Option<Calendar> {
    let method = context.kind.calendar_method()?;
    let reason = session.reason.filter(|_| context.kind.spec().shows_reason);
    let context = EntryContext {
        session: MailSession { reason, ..*session },
        is_cancelled: method == CalendarMethod::Cancel,
        attendee: Some(Attendee { email: context.to, name: context.to_name }),
        link: context.link.as_deref(),
        stamp: context.now,
    };
    Some(entry(&context, brand, link_label))
}

fn entry(context: &EntryContext<'_>, brand: &Brand, link_label: &str) -> Calendar {
    let EntryContext { session, is_cancelled, attendee, stamp, .. } = context;
    let method = match attendee {
        None => Method::Publish,
        Some(_) if *is_cancelled => Method::Cancel,
        Some(_) => Method::Request,
    };
    let link = context.link.map(clean::link);
    let mut lines = ContentLines::default();
    lines.begin("VCALENDAR");
    lines.value("VERSION", "2.0");
    lines.value("PRODID", PRODUCT);
    lines.value("CALSCALE", "GREGORIAN");
    lines.value("METHOD", method.as_str());
    let start = session.starts_at;
    let end = plus_minutes(start, session.duration_minutes.into());
    let zone = Some(session.zone).filter(|zone| {
        // A repeated local time means the first of the two (RFC 5545, section 3.3.5). A session in the second one needs
        // UTC for both start and end.
        let is_unambiguous = |at| zone.parse_instant(zone.wall_clock(at)) == Some(at);
        !vtimezone::is_utc(zone) && is_unambiguous(start) && is_unambiguous(end)
    });
    if let Some(zone) = zone {
        vtimezone::write(&mut lines, zone, start, end);
    }
    lines.begin("VEVENT");
    lines.value("UID", &format!("{}@{UID_DOMAIN}", session.id));
    lines.value("SEQUENCE", &session.sequence.to_string());
    lines.value("DTSTAMP", &utc(*stamp));
    time(&mut lines, "DTSTART", start, zone);
    time(&mut lines, "DTEND", end, zone);
    lines.text("SUMMARY", &clean::one_line(session.title));
    lines.text("DESCRIPTION", &description(context, link.as_deref(), link_label));
    if let Some(link) = &link {
        lines.text("LOCATION", link);
        lines.value("URL", link);
    }
    // RFC 5546, section 3.2.5 omits the status when only some attendees are removed. Our entries have a single attendee,
    // so a removal cancels the whole entry.
    lines.value("STATUS", if *is_cancelled { "CANCELLED" } else { "CONFIRMED" });
    let name = clean::one_line(&brand.name);
    lines.property("ORGANIZER", &[("CN", &name)], &mailto(&brand.from.address));
    if let Some(attendee) = attendee {
        write_attendee(&mut lines, attendee);
    }
    lines.value("TRANSP", "OPAQUE");
    lines.end("VEVENT");
    lines.end("VCALENDAR");
    Calendar { method, text: lines.finish() }
}

/// Does not request a reply, because nobody reads the sender's mailbox.
fn write_attendee(lines: &mut ContentLines, Attendee { email, name }: &Attendee<'_>) {
    let name = name.map(clean::one_line).filter(|name| !name.is_empty());
    let parameters = [
        ("CUTYPE", "INDIVIDUAL"),
        ("ROLE", "REQ-PARTICIPANT"),
        ("PARTSTAT", "NEEDS-ACTION"),
        ("RSVP", "FALSE"),
        ("CN", name.as_deref().unwrap_or(email.as_str())),
    ];
    lines.property("ATTENDEE", &parameters, &mailto(email));
}

fn description(context: &EntryContext<'_>, link: Option<&str>, link_label: &str) -> String {
    let session = &context.session;
    if context.is_cancelled {
        return clean::lines(session.reason.unwrap_or_default());
    }
    let description = clean::lines(session.description);
    let join = link.map(|link| format!("{link_label}: {link}"));
    let parts = [Some(description).filter(|text| !text.is_empty()), join];
    parts.into_iter().flatten().collect::<Vec<_>>().join("\n\n")
}

fn time(lines: &mut ContentLines, name: &str, at: Timestamp, zone: Option<&Zone>) {
    match zone {
        Some(zone) => {
            let local = vtimezone::local(zone.wall_clock(at));
            lines.property(name, &[("TZID", zone.name())], &local);
        }
        None => lines.value(name, &utc(at)),
    }
}

fn utc(at: Timestamp) -> String {
    at.strftime(UTC).to_string()
}

fn mailto(address: &Email) -> String {
    format!("mailto:{}", utf8_percent_encode(address.as_str(), MAILTO))
}
