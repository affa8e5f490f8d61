//! The calendar entry of a class: an invitation or its withdrawal (RFC 5545, RFC 5546, RFC 6047).

use jiff::Timestamp;
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

use super::content_line::ContentLines;
use super::{Brand, SessionDetails, Kind, MailContext, clean, vtimezone};
use crate::domain::text::Email;
use crate::domain::time::{Zone, plus_minutes};

const PRODUCT: &str = "-//Live Classes//Live Classes//EN";

/// Follows the class's id in a `UID`. It must never change for a class, or every calendar would show it twice; so it
/// is no name of a host.
const UID_DOMAIN: &str = "live-classes";

/// The form of a time in UTC (RFC 5545, section 3.3.5).
const UTC: &str = "%Y%m%dT%H%M%SZ";

/// What an address in a `mailto:` must not hold as it is (RFC 6068, section 2).
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

/// What a calendar is asked to do with the entry (RFC 5546, section 3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CalendarMethod {
    Request,
    Cancel,
}

impl CalendarMethod {
    /// The value of the property `METHOD`, and of the MIME parameter that must equal it (RFC 6047, section 2.4).
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Request => "REQUEST",
            Self::Cancel => "CANCEL",
        }
    }
}

/// An iCalendar object with one entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Calendar {
    pub method: CalendarMethod,
    pub text: String,
}

/// The entry that the letter brings, if its kind brings one.
pub(super) fn calendar(letter: &MailContext<'_>, class: &SessionDetails<'_>, brand: &Brand) -> Option<Calendar> {
    let method = letter.kind.method()?;
    let mut lines = ContentLines::default();
    lines.begin("VCALENDAR");
    lines.value("VERSION", "2.0");
    lines.value("PRODID", PRODUCT);
    lines.value("CALSCALE", "GREGORIAN");
    lines.value("METHOD", method.as_str());
    let start = class.starts_at;
    let end = plus_minutes(start, class.duration_minutes.into());
    let zone = Some(class.zone).filter(|zone| {
        // A wall clock that shows an hour twice means the first of the two (RFC 5545, section 3.3.5). A class in the
        // second can only be told in UTC, and then start and end must both be.
        let tells = |at| zone.instant(zone.wall_clock(at)) == Some(at);
        !vtimezone::is_utc(zone) && tells(start) && tells(end)
    });
    if let Some(zone) = zone {
        vtimezone::write(&mut lines, zone, start, end);
    }
    lines.begin("VEVENT");
    lines.value("UID", &format!("{}@{UID_DOMAIN}", class.id));
    lines.value("SEQUENCE", &class.sequence.to_string());
    lines.value("DTSTAMP", &utc(letter.now));
    time(&mut lines, "DTSTART", start, zone);
    time(&mut lines, "DTEND", end, zone);
    lines.text("SUMMARY", &clean::one_line(class.title));
    lines.text("DESCRIPTION", &description(letter, class, method));
    let link = clean::link(&letter.link);
    lines.text("LOCATION", &link);
    lines.value("URL", &link);
    lines.value("STATUS", status(method));
    let name = clean::one_line(&brand.name);
    lines.with("ORGANIZER", &[("CN", &name)], &mailto(&brand.from.address));
    attendee(&mut lines, letter);
    lines.value("TRANSP", "OPAQUE");
    lines.end("VEVENT");
    lines.end("VCALENDAR");
    Some(Calendar { method, text: lines.finish() })
}

/// RFC 5546, section 3.2.5 leaves the status out when some of many are no longer invited. Here everybody's entry has
/// one attendee, themselves, so for whoever is no longer invited the whole of it is cancelled.
fn status(method: CalendarMethod) -> &'static str {
    match method {
        CalendarMethod::Request => "CONFIRMED",
        CalendarMethod::Cancel => "CANCELLED",
    }
}

/// Nobody is asked for an answer: there is no mailbox that would read it.
fn attendee(lines: &mut ContentLines, letter: &MailContext<'_>) {
    let address = letter.to.as_str();
    let name = letter.to_name.map(clean::one_line).filter(|name| !name.is_empty());
    let parameters = [
        ("CUTYPE", "INDIVIDUAL"),
        ("ROLE", "REQ-PARTICIPANT"),
        ("PARTSTAT", "NEEDS-ACTION"),
        ("RSVP", "FALSE"),
        ("CN", name.as_deref().unwrap_or(address)),
    ];
    lines.with("ATTENDEE", &parameters, &mailto(letter.to));
}

fn description(letter: &MailContext<'_>, class: &SessionDetails<'_>, method: CalendarMethod) -> String {
    match method {
        CalendarMethod::Cancel if letter.kind == Kind::Cancelled => {
            clean::lines(class.reason.unwrap_or_default())
        }
        CalendarMethod::Cancel => String::new(),
        CalendarMethod::Request => {
            let description = clean::lines(class.description);
            let join = format!("Join the class here: {}", clean::link(&letter.link));
            if description.is_empty() { join } else { format!("{description}\n\n{join}") }
        }
    }
}

fn time(lines: &mut ContentLines, name: &str, at: Timestamp, zone: Option<&Zone>) {
    match zone {
        Some(zone) => {
            let local = vtimezone::local(zone.wall_clock(at));
            lines.with(name, &[("TZID", zone.name())], &local);
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
