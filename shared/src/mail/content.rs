//! The content of each mail: its words and the facts about the session, before they are rendered as plain text or HTML.

use jiff::Timestamp;

use super::texts::{Language, Texts, Variables, texts};
use super::vtimezone::is_utc;
use super::{Brand, MailContext, MailSession, clean};
use crate::domain::time::{Zone, plus_minutes};

/// The content of a mail, not yet escaped.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct MailContent {
    /// The tag of the language.
    pub(super) language: &'static str,
    pub(super) subject: String,
    pub(super) heading: String,
    pub(super) greeting: String,
    pub(super) lead: String,
    pub(super) facts: Vec<Fact>,
    /// The session's description, which may have several lines.
    pub(super) description: String,
    pub(super) button: Option<Button>,
    /// The effect of the mail on the recipient's calendar.
    pub(super) calendar_note: String,
    pub(super) brand: String,
    pub(super) disclaimer: String,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Fact {
    pub(super) label: String,
    pub(super) value: String,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Button {
    pub(super) label: String,
    pub(super) link: String,
}

/// Returns the content of a mail in a language.
pub(super) fn mail_content(
    context: &MailContext<'_>,
    brand: &Brand,
    texts: Texts,
    language: Language,
) -> MailContent {
    let session = context.session.as_ref();
    let button = context.link.as_deref();
    let button = button.map(|link| Button { label: texts.button.clone(), link: clean::link(link) });
    let description = session.filter(|_| context.kind.is_for_invited());
    MailContent {
        language: language.tag(),
        facts: session.map_or_else(Vec::new, |session| facts(context, session, &texts)),
        description: description.map_or_else(String::new, |it| clean::lines(it.description)),
        button: button.filter(|button| !button.label.is_empty()),
        brand: clean::one_line(&brand.name),
        disclaimer: clean::lines(brand.disclaimer.as_deref().unwrap_or_default()),
        subject: texts.subject,
        heading: texts.heading,
        greeting: texts.greeting,
        lead: texts.lead,
        calendar_note: texts.calendar_note,
    }
}

/// Returns the words of a mail in a language.
pub(super) fn mail_texts(context: &MailContext<'_>, language: Language) -> Texts {
    let session = context.session.as_ref();
    let start = session.map(|session| when_short(session.starts_at, zone(context, session)));
    let variables = Variables {
        name: &context.to_name.map(clean::one_line).unwrap_or_default(),
        title: &session.map(|session| clean::one_line(session.title)).unwrap_or_default(),
        start: &start.unwrap_or_default(),
        address_changed: context.address_changed,
    };
    texts(context.kind, language, variables)
}

fn facts(context: &MailContext<'_>, session: &MailSession<'_>, texts: &Texts) -> Vec<Fact> {
    let recipient_zone = zone(context, session);
    let (start, minutes) = (session.starts_at, session.duration_minutes);
    let fact = |label: &str, value| Fact { label: label.to_owned(), value };
    let mut facts = vec![fact(&texts.time_label, when(start, minutes, recipient_zone))];
    if session.zone.wall_clock(start) != recipient_zone.wall_clock(start) {
        facts.push(fact(&texts.class_time_label, when(start, minutes, session.zone)));
    }
    let reason = session.reason.filter(|_| context.kind.spec().shows_reason);
    let optional = [
        (&texts.course_label, session.course_title),
        (&texts.trainer_label, session.trainer_name),
        (&texts.reason_label, reason),
    ];
    for (label, value) in optional {
        let value = clean::lines(value.unwrap_or_default());
        if !value.is_empty() {
            facts.push(fact(label, value));
        }
    }
    facts
}

/// Returns the time zone in which the mail shows times.
fn zone<'a>(context: &MailContext<'a>, session: &MailSession<'a>) -> &'a Zone {
    context.zone.unwrap_or(session.zone)
}

/// Formats a time in English as `Sat 21 Nov 2026, 14:30 (Asia/Kolkata)`.
fn when_short(at: Timestamp, zone: &Zone) -> String {
    format!("{} ({})", zone.wall_clock(at).strftime("%a %-d %b %Y, %H:%M"), zone.name())
}

/// Formats a time in English as `Saturday, 21 November 2026, 14:30 to 15:30, Asia/Kolkata (UTC+05:30)`. The offset
/// distinguishes the repeated hour when summer time ends.
fn when(start: Timestamp, minutes: u16, zone: &Zone) -> String {
    let end = plus_minutes(start, minutes.into());
    let (from, to) = (zone.wall_clock(start), zone.wall_clock(end));
    let (from_offset, to_offset) = (offset(start, zone), offset(end, zone));
    let date = from.strftime("%A, %-d %B %Y");
    let end_date = match to.date() == from.date() {
        true => String::new(),
        false => to.strftime("%A, %-d %B %Y, ").to_string(),
    };
    let (from, to, name) = (from.strftime("%H:%M"), to.strftime("%H:%M"), zone.name());
    if from_offset != to_offset {
        format!("{date}, {from} ({from_offset}) to {end_date}{to} ({to_offset}), {name}")
    } else if is_utc(zone) {
        format!("{date}, {from} to {end_date}{to}, UTC")
    } else {
        format!("{date}, {from} to {end_date}{to}, {name} ({from_offset})")
    }
}

fn offset(at: Timestamp, zone: &Zone) -> String {
    at.to_zoned(zone.time_zone().clone()).strftime("UTC%:z").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_formatted_in_the_given_zone() {
        let cases = [
            (
                "Asia/Kolkata",
                "2026-11-21T09:00:00Z",
                60,
                "Saturday, 21 November 2026, 14:30 to 15:30, Asia/Kolkata (UTC+05:30)",
            ),
            ("UTC", "2026-11-01T09:00:00Z", 15, "Sunday, 1 November 2026, 09:00 to 09:15, UTC"),
            (
                "America/New_York",
                "2026-11-22T04:30:00Z",
                60,
                "Saturday, 21 November 2026, 23:30 to Sunday, 22 November 2026, 00:30, America/New_York (UTC-05:00)",
            ),
            (
                "Europe/Berlin",
                "2027-10-31T00:30:00Z",
                60,
                "Sunday, 31 October 2027, 02:30 (UTC+02:00) to 02:30 (UTC+01:00), Europe/Berlin",
            ),
            (
                "Asia/Kathmandu",
                "2026-11-21T09:00:00Z",
                480,
                "Saturday, 21 November 2026, 14:45 to 22:45, Asia/Kathmandu (UTC+05:45)",
            ),
        ];
        for (zone, start, minutes, expected) in cases {
            let zone = Zone::parse(zone).unwrap();
            assert_eq!(when(start.parse().unwrap(), minutes, &zone), expected);
        }
        let kolkata = Zone::parse("Asia/Kolkata").unwrap();
        let short = when_short("2026-11-21T09:00:00Z".parse().unwrap(), &kolkata);
        assert_eq!(short, "Sat 21 Nov 2026, 14:30 (Asia/Kolkata)");
    }
}
