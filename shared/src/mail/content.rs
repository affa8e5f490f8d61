//! What each kind of mail says, in English, before it is laid out as text or as a page.

use jiff::Timestamp;

use super::vtimezone::is_utc;
use super::{Brand, SessionDetails, Kind, MailContext, clean};
use crate::domain::time::{Zone, plus_minutes};

/// The content of a mail. Nothing in it is escaped yet.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct MailContent {
    pub(super) subject: String,
    pub(super) heading: String,
    pub(super) greeting: String,
    pub(super) lead: String,
    pub(super) facts: Vec<Fact>,
    /// The trainer's own words about the class, in lines.
    pub(super) about: String,
    pub(super) button: Option<Button>,
    /// What happens in the recipient's calendar.
    pub(super) note: Option<&'static str>,
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

/// What a kind says of any class.
struct Phrases {
    subject: &'static str,
    lead: &'static str,
    when: &'static str,
    button: Option<&'static str>,
    note: Option<&'static str>,
}

fn phrases(kind: Kind) -> Phrases {
    const ENTRY: &str = "The attached invitation adds the class to your calendar.";
    const UPDATE: &str = "The attached invitation updates the class in your calendar.";
    const REMOVAL: &str = "The attachment removes the class from your calendar.";
    let (subject, lead, when, button, note) = match kind {
        Kind::Scheduled => (
            "Invitation",
            "You are invited to a live class.",
            "When",
            Some("Open the class"),
            Some(ENTRY),
        ),
        Kind::Updated => (
            "Changed",
            "This live class was changed. It now stands as follows.",
            "When",
            Some("Open the class"),
            Some(UPDATE),
        ),
        Kind::Resent => (
            "Invitation",
            "Here is your invitation again, as the live class now stands.",
            "When",
            Some("Open the class"),
            Some(ENTRY),
        ),
        Kind::Cancelled => (
            "Cancelled",
            "This live class was cancelled and will not take place.",
            "Was planned for",
            Some("Open the class"),
            Some(REMOVAL),
        ),
        // Who is no longer invited would find the page closed.
        Kind::Removed => (
            "No longer invited",
            "You are no longer invited to this live class.",
            "Planned for",
            None,
            Some(REMOVAL),
        ),
        Kind::ReminderDayBefore => {
            ("Reminder", "Your live class is coming up.", "When", Some("Open the class"), None)
        }
        Kind::ReminderHourBefore => (
            "Starting soon",
            "Your live class starts soon. You can join a few minutes before it begins.",
            "When",
            Some("Join the class"),
            None,
        ),
        Kind::MeetingDeleted => (
            "Action needed",
            "The Zoom meeting of this live class was deleted at Zoom, so nobody can join it. Open the class to \
             plan it anew, or cancel it so that those invited are told.",
            "Planned for",
            Some("Open the class"),
            None,
        ),
        Kind::ReauthRequired => (
            "Action needed",
            "Zoom no longer accepts the connection to your account. Until you connect it again, your live classes \
             cannot be planned, changed or started.",
            "When",
            Some("Connect Zoom"),
            None,
        ),
    };
    Phrases { subject, lead, when, button, note }
}

/// The letter in words.
pub(super) fn words(letter: &MailContext<'_>, brand: &Brand) -> MailContent {
    let phrases = phrases(letter.kind);
    let (heading, subject) = titles(letter, &phrases);
    let name = letter.to_name.map(clean::one_line).filter(|name| !name.is_empty());
    let link = clean::link(&letter.link);
    MailContent {
        subject,
        heading,
        greeting: name.map_or_else(|| "Hello,".to_owned(), |name| format!("Hello {name},")),
        lead: phrases.lead.to_owned(),
        facts: letter.class.as_ref().map_or_else(Vec::new, |class| facts(letter, class, &phrases)),
        about: about(letter),
        button: phrases.button.map(|label| Button { label, link }),
        note: phrases.note,
        brand: clean::one_line(&brand.name),
        disclaimer: clean::lines(brand.disclaimer.as_deref().unwrap_or_default()),
    }
}

fn titles(letter: &MailContext<'_>, phrases: &Phrases) -> (String, String) {
    let title = letter.class.map(|class| clean::one_line(class.title));
    match (letter.kind, title) {
        (Kind::ReauthRequired, _) | (_, None) => {
            let heading = "Connect your Zoom account again".to_owned();
            let subject = format!("{}: connect your Zoom account again", phrases.subject);
            (heading, subject)
        }
        (Kind::MeetingDeleted, Some(title)) => {
            let subject = format!("{}: the Zoom meeting of {title} was deleted", phrases.subject);
            (title, subject)
        }
        (_, Some(title)) => {
            let when = letter.class.map(|class| when_short(class.starts_at, zone(letter, &class)));
            let subject = format!("{}: {title}, {}", phrases.subject, when.unwrap_or_default());
            (title, subject)
        }
    }
}

fn facts(letter: &MailContext<'_>, class: &SessionDetails<'_>, phrases: &Phrases) -> Vec<Fact> {
    let theirs = zone(letter, class);
    let (start, minutes) = (class.starts_at, class.duration_minutes);
    let mut facts = vec![Fact { label: phrases.when, value: when(start, minutes, theirs) }];
    let elsewhere = class.zone.wall_clock(start) != theirs.wall_clock(start);
    if elsewhere {
        facts.push(Fact { label: "Class time", value: when(start, minutes, class.zone) });
    }
    let told = [
        ("Course", class.course_title),
        ("Trainer", class.trainer_name),
        ("Reason", class.reason.filter(|_| tells_reason(letter.kind))),
    ];
    for (label, value) in told {
        let value = clean::lines(value.unwrap_or_default());
        if !value.is_empty() {
            facts.push(Fact { label, value });
        }
    }
    facts
}

/// The reason of a cancellation is for those who were to come, not for one who is taken off the list.
fn tells_reason(kind: Kind) -> bool {
    matches!(kind, Kind::Updated | Kind::Cancelled)
}

fn about(letter: &MailContext<'_>) -> String {
    let description = letter.class.map(|class| clean::lines(class.description)).unwrap_or_default();
    match letter.kind {
        Kind::Scheduled
        | Kind::Updated
        | Kind::Resent
        | Kind::ReminderDayBefore
        | Kind::ReminderHourBefore => description,
        Kind::Cancelled | Kind::Removed | Kind::ReauthRequired | Kind::MeetingDeleted => {
            String::new()
        }
    }
}

/// By whose clock the recipient is told the time.
fn zone<'a>(letter: &MailContext<'a>, class: &SessionDetails<'a>) -> &'a Zone {
    letter.zone.unwrap_or(class.zone)
}

/// `Sat 21 Nov 2026, 14:30 (Asia/Kolkata)`.
fn when_short(at: Timestamp, zone: &Zone) -> String {
    format!("{} ({})", zone.wall_clock(at).strftime("%a %-d %b %Y, %H:%M"), zone.name())
}

/// `Saturday, 21 November 2026, 14:30 to 15:30, Asia/Kolkata (UTC+05:30)`. The offset tells apart the two hours that a
/// clock shows alike when summer time ends.
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

/// The words as plain text, in lines ended by LF.
pub(super) fn plain_text(words: &MailContent) -> String {
    let mut blocks = vec![words.heading.clone(), words.greeting.clone(), words.lead.clone()];
    let facts = words.facts.iter().map(|fact| format!("{}: {}", fact.label, fact.value));
    blocks.push(facts.collect::<Vec<_>>().join("\n"));
    blocks.push(words.about.clone());
    if let Some(button) = &words.button {
        blocks.push(format!("{}: {}", button.label, button.link));
    }
    blocks.push(words.note.unwrap_or_default().to_owned());
    // What is above it is the mail, what is below it the signature (RFC 3676, section 4.3).
    let foot = format!("-- \n{}\n{}", words.brand, words.disclaimer);
    blocks.push(foot.trim_end().to_owned());
    blocks.retain(|block| !block.is_empty());
    blocks.join("\n\n") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_spelled_in_the_zone_they_name() {
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
        for (zone, start, minutes, spelled) in cases {
            let zone = Zone::parse(zone).unwrap();
            assert_eq!(when(start.parse().unwrap(), minutes, &zone), spelled);
        }
        let kolkata = Zone::parse("Asia/Kolkata").unwrap();
        let short = when_short("2026-11-21T09:00:00Z".parse().unwrap(), &kolkata);
        assert_eq!(short, "Sat 21 Nov 2026, 14:30 (Asia/Kolkata)");
    }
}
