//! The English texts of each kind of mail, before they are rendered as plain text or HTML.

use jiff::Timestamp;

use super::vtimezone::is_utc;
use super::{Brand, MailContext, MailKind, SessionDetails, clean};
use crate::domain::time::{Zone, plus_minutes};

/// The content of a mail, not yet escaped.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct MailContent {
    pub(super) subject: String,
    pub(super) heading: String,
    pub(super) greeting: String,
    pub(super) lead: String,
    pub(super) facts: Vec<Fact>,
    /// The session's description, which may have several lines.
    pub(super) description: String,
    pub(super) button: Option<Button>,
    /// The effect of the mail on the recipient's calendar.
    pub(super) calendar_note: Option<&'static str>,
    pub(super) brand: String,
    pub(super) disclaimer: String,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Fact {
    pub(super) label: &'static str,
    pub(super) value: String,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Button {
    pub(super) label: &'static str,
    pub(super) link: String,
}

/// The texts of a mail kind that are the same for every session.
struct Phrases {
    subject: &'static str,
    lead: &'static str,
    time_label: &'static str,
    button: Option<&'static str>,
    calendar_note: Option<&'static str>,
}

fn phrases(kind: MailKind) -> Phrases {
    const ENTRY: &str = "The attached invitation adds the class to your calendar.";
    const UPDATE: &str = "The attached invitation updates the class in your calendar.";
    const REMOVAL: &str = "The attachment removes the class from your calendar.";
    let (subject, lead, time_label, button, calendar_note) = match kind {
        MailKind::Scheduled => (
            "Invitation",
            "You are invited to a live class.",
            "When",
            Some("Open the class"),
            Some(ENTRY),
        ),
        MailKind::Updated => (
            "Changed",
            "This live class has changed. Here are the new details.",
            "When",
            Some("Open the class"),
            Some(UPDATE),
        ),
        MailKind::Resent => (
            "Invitation",
            "Here is your invitation again, with the current details.",
            "When",
            Some("Open the class"),
            Some(ENTRY),
        ),
        MailKind::Cancelled => (
            "Cancelled",
            "This live class has been cancelled and will not take place.",
            "Was scheduled for",
            Some("Open the class"),
            Some(REMOVAL),
        ),
        // No button, because removed people cannot open the page.
        MailKind::Removed => (
            "No longer invited",
            "You are no longer invited to this live class.",
            "Scheduled for",
            None,
            Some(REMOVAL),
        ),
        MailKind::ReminderDayBefore => (
            "Reminder",
            "This is a reminder of your upcoming live class.",
            "When",
            Some("Open the class"),
            None,
        ),
        MailKind::ReminderHourBefore => (
            "Starting soon",
            "Your live class starts soon. You can join a few minutes before it begins.",
            "When",
            Some("Join the class"),
            None,
        ),
        MailKind::MeetingDeleted => (
            "Action needed",
            "The Zoom meeting of this live class was deleted in Zoom, so nobody can join it. Please open the class to \
             schedule it again, or cancel it so that everyone invited is informed.",
            "Scheduled for",
            Some("Open the class"),
            None,
        ),
        MailKind::HostNotConnected => (
            "Action needed",
            "This live class cannot be started, because the Zoom account that hosts it is not connected. The people \
             invited are reminded when you have connected it again. If the class does not take place, please cancel it.",
            "Scheduled for",
            Some("Open the class"),
            None,
        ),
        MailKind::ReauthRequired => (
            "Action needed",
            "The Zoom account of your live classes is not connected: the connection expired, the app was removed in \
             Zoom, or another account was connected. Please connect the account again. Until then, these classes \
             cannot be changed or started.",
            "When",
            Some("Connect Zoom"),
            None,
        ),
    };
    Phrases { subject, lead, time_label, button, calendar_note }
}

/// Returns the content of a mail.
pub(super) fn mail_content(context: &MailContext<'_>, brand: &Brand) -> MailContent {
    let mut phrases = phrases(context.kind);
    if context.address_changed {
        phrases.subject = "Address changed";
        phrases.lead = "Mails about this live class go to your new address from now on.";
    }
    let (heading, subject) = titles(context, &phrases);
    let name = context.to_name.map(clean::one_line).filter(|name| !name.is_empty());
    let link = clean::link(&context.link);
    MailContent {
        subject,
        heading,
        greeting: name.map_or_else(|| "Hello,".to_owned(), |name| format!("Hello {name},")),
        lead: phrases.lead.to_owned(),
        facts: context
            .session
            .as_ref()
            .map_or_else(Vec::new, |session| facts(context, session, &phrases)),
        description: description(context),
        button: phrases.button.map(|label| Button { label, link }),
        calendar_note: phrases.calendar_note,
        brand: clean::one_line(&brand.name),
        disclaimer: clean::lines(brand.disclaimer.as_deref().unwrap_or_default()),
    }
}

fn titles(context: &MailContext<'_>, phrases: &Phrases) -> (String, String) {
    let title = context.session.map(|session| clean::one_line(session.title));
    match (context.kind, title) {
        (MailKind::ReauthRequired, _) | (_, None) => {
            let heading = "Connect your Zoom account again".to_owned();
            let subject = format!("{}: connect your Zoom account again", phrases.subject);
            (heading, subject)
        }
        (MailKind::HostNotConnected, Some(title)) => {
            let subject =
                format!("{}: the Zoom account of {title} is not connected", phrases.subject);
            (title, subject)
        }
        (MailKind::MeetingDeleted, Some(title)) => {
            let subject = format!("{}: the Zoom meeting of {title} was deleted", phrases.subject);
            (title, subject)
        }
        (_, Some(title)) => {
            let when = context
                .session
                .map(|session| when_short(session.starts_at, zone(context, &session)));
            let subject = format!("{}: {title}, {}", phrases.subject, when.unwrap_or_default());
            (title, subject)
        }
    }
}

fn facts(context: &MailContext<'_>, session: &SessionDetails<'_>, phrases: &Phrases) -> Vec<Fact> {
    let recipient_zone = zone(context, session);
    let (start, minutes) = (session.starts_at, session.duration_minutes);
    let mut facts =
        vec![Fact { label: phrases.time_label, value: when(start, minutes, recipient_zone) }];
    if session.zone.wall_clock(start) != recipient_zone.wall_clock(start) {
        facts.push(Fact { label: "Class time", value: when(start, minutes, session.zone) });
    }
    let optional = [
        ("Course", session.course_title),
        ("Trainer", session.trainer_name),
        ("Reason", session.reason.filter(|_| shows_reason(context.kind))),
    ];
    for (label, value) in optional {
        let value = clean::lines(value.unwrap_or_default());
        if !value.is_empty() {
            facts.push(Fact { label, value });
        }
    }
    facts
}

/// Whether the mail shows the trainer's reason. It is for people who are still invited and not for removed people.
fn shows_reason(kind: MailKind) -> bool {
    matches!(kind, MailKind::Updated | MailKind::Cancelled)
}

fn description(context: &MailContext<'_>) -> String {
    let description =
        context.session.map(|session| clean::lines(session.description)).unwrap_or_default();
    match context.kind {
        MailKind::Scheduled
        | MailKind::Updated
        | MailKind::Resent
        | MailKind::ReminderDayBefore
        | MailKind::ReminderHourBefore => description,
        MailKind::Cancelled
        | MailKind::Removed
        | MailKind::ReauthRequired
        | MailKind::HostNotConnected
        | MailKind::MeetingDeleted => String::new(),
    }
}

/// Returns the time zone in which the mail shows times.
fn zone<'a>(context: &MailContext<'a>, session: &SessionDetails<'a>) -> &'a Zone {
    context.zone.unwrap_or(session.zone)
}

/// Formats a time as `Sat 21 Nov 2026, 14:30 (Asia/Kolkata)`.
fn when_short(at: Timestamp, zone: &Zone) -> String {
    format!("{} ({})", zone.wall_clock(at).strftime("%a %-d %b %Y, %H:%M"), zone.name())
}

/// `Saturday, 21 November 2026, 14:30 to 15:30, Asia/Kolkata (UTC+05:30)`. The offset distinguishes the repeated hour
/// when summer time ends.
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

/// Renders the content as plain text with LF line ends.
pub(super) fn plain_text(content: &MailContent) -> String {
    let mut blocks = vec![content.heading.clone(), content.greeting.clone(), content.lead.clone()];
    let facts = content.facts.iter().map(|fact| format!("{}: {}", fact.label, fact.value));
    blocks.push(facts.collect::<Vec<_>>().join("\n"));
    blocks.push(content.description.clone());
    if let Some(button) = &content.button {
        blocks.push(format!("{}: {}", button.label, button.link));
    }
    blocks.push(content.calendar_note.unwrap_or_default().to_owned());
    // `-- ` separates the text from the signature (RFC 3676, section 4.3).
    let foot = format!("-- \n{}\n{}", content.brand, content.disclaimer);
    blocks.push(foot.trim_end().to_owned());
    blocks.retain(|block| !block.is_empty());
    blocks.join("\n\n") + "\n"
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
