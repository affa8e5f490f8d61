//! The calendar entry of a session: an invitation or a cancellation (RFC 5545, RFC 5546, RFC 6047).

use jiff::Timestamp;
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

use super::content_line::ContentLines;
use super::{Brand, MailContext, MailSession, clean, vtimezone};
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

/// An iCalendar object with one entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Calendar {
    pub method: CalendarMethod,
    pub text: String,
}

/// Returns the calendar object of the mail, if its kind has one.
pub(super) fn calendar(
    context: &MailContext<'_>,
    session: &MailSession<'_>,
    brand: &Brand,
    link_label: &str,
) -> Option<Calendar> {
    let method = context.kind.calendar_method()?;
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
    lines.value("DTSTAMP", &utc(context.now));
    time(&mut lines, "DTSTART", start, zone);
    time(&mut lines, "DTEND", end, zone);
    lines.text("SUMMARY", &clean::one_line(session.title));
    lines.text("DESCRIPTION", &description(context, session, method, link_label));
    if let Some(link) = context.link.as_deref().map(clean::link) {
        lines.text("LOCATION", &link);
        lines.value("URL", &link);
    }
    lines.value("STATUS", status(method));
    let name = clean::one_line(&brand.name);
    lines.property("ORGANIZER", &[("CN", &name)], &mailto(&brand.from.address));
    attendee(&mut lines, context);
    lines.value("TRANSP", "OPAQUE");
    lines.end("VEVENT");
    lines.end("VCALENDAR");
    Some(Calendar { method, text: lines.finish() })
}

/// RFC 5546, section 3.2.5 omits the status when only some attendees are removed. Our entries have a single attendee,
/// so a removal cancels the whole entry.
fn status(method: CalendarMethod) -> &'static str {
    match method {
        CalendarMethod::Request => "CONFIRMED",
        CalendarMethod::Cancel => "CANCELLED",
    }
}

/// Does not request a reply, because nobody reads the sender's mailbox.
fn attendee(lines: &mut ContentLines, context: &MailContext<'_>) {
    let address = context.to.as_str();
    let name = context.to_name.map(clean::one_line).filter(|name| !name.is_empty());
    let parameters = [
        ("CUTYPE", "INDIVIDUAL"),
        ("ROLE", "REQ-PARTICIPANT"),
        ("PARTSTAT", "NEEDS-ACTION"),
        ("RSVP", "FALSE"),
        ("CN", name.as_deref().unwrap_or(address)),
    ];
    lines.property("ATTENDEE", &parameters, &mailto(context.to));
}

fn description(
    context: &MailContext<'_>,
    session: &MailSession<'_>,
    method: CalendarMethod,
    link_label: &str,
) -> String {
    match method {
        CalendarMethod::Cancel => {
            let reason = session.reason.filter(|_| context.kind.spec().shows_reason);
            clean::lines(reason.unwrap_or_default())
        }
        CalendarMethod::Request => {
            let description = clean::lines(session.description);
            let join = context.link.as_deref();
            let join = join.map(|link| format!("{link_label}: {}", clean::link(link)));
            let parts = [Some(description).filter(|text| !text.is_empty()), join];
            parts.into_iter().flatten().collect::<Vec<_>>().join("\n\n")
        }
    }
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
