//! The words of mails: compile-time templates in `templates/mail`, with a folder for each language and a file for each
//! kind. `docs/how-to/mail.md` describes how to change them.

use askama::Template;

use super::{MailKind, clean};

/// The languages that have templates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Language {
    English,
}

/// The tags of all languages, in the order of the variants.
pub const LANGUAGES: &[&str] = &[Language::English.tag()];

impl Language {
    /// Returns the language of a mail to a recipient with this locale.
    pub(super) fn of(_locale: Option<&str>) -> Self {
        Self::English
    }

    /// Returns the tag of the language (RFC 5646).
    pub(super) const fn tag(self) -> &'static str {
        match self {
            Self::English => "en",
        }
    }
}

/// The variables of the templates. Texts of users are cleaned and have one line.
#[derive(Clone, Copy, Debug)]
pub(super) struct Variables<'a> {
    /// The recipient's name, or an empty text.
    pub(super) name: &'a str,
    /// The title of the session.
    pub(super) title: &'a str,
    /// The start of the session in the recipient's time zone.
    pub(super) start: &'a str,
    /// Whether the mail is for an address that the recipient no longer uses.
    pub(super) address_changed: bool,
}

/// The words of one mail, not yet escaped.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Texts {
    pub(super) subject: String,
    pub(super) heading: String,
    pub(super) greeting: String,
    pub(super) lead: String,
    pub(super) time_label: String,
    pub(super) class_time_label: String,
    pub(super) course_label: String,
    pub(super) trainer_label: String,
    pub(super) reason_label: String,
    /// The label of the button. Without one there is no button.
    pub(super) button: String,
    /// The effect of the mail on the recipient's calendar.
    pub(super) calendar_note: String,
    /// The label of the link in the calendar entry.
    pub(super) calendar_link_label: String,
}

/// Returns the words of a mail.
pub(super) fn texts(kind: MailKind, language: Language, variables: Variables<'_>) -> Texts {
    match language {
        Language::English => english(kind, variables),
    }
}

/// Defines the function that returns the words of one language. Each kind has a template with a block for each text.
macro_rules! language {
    ($language:ident, $($kind:ident => $path:tt,)*) => {
        fn $language(kind: MailKind, variables: Variables<'_>) -> Texts {
            let Variables { name, title, start, address_changed } = variables;
            match kind {
                $(MailKind::$kind => {
                    #[derive(Template)]
                    #[template(path = $path, blocks = [
                        "subject", "heading", "greeting", "lead", "time_label", "class_time_label", "course_label",
                        "trainer_label", "reason_label", "button", "calendar_note", "calendar_link_label",
                    ])]
                    #[allow(dead_code, reason = "a template need not use every variable")]
                    struct KindTemplate<'a> {
                        name: &'a str,
                        title: &'a str,
                        start: &'a str,
                        address_changed: bool,
                    }
                    let words = KindTemplate { name, title, start, address_changed };
                    Texts {
                        subject: line(&words.as_subject()),
                        heading: line(&words.as_heading()),
                        greeting: line(&words.as_greeting()),
                        lead: paragraphs(&words.as_lead()),
                        time_label: line(&words.as_time_label()),
                        class_time_label: line(&words.as_class_time_label()),
                        course_label: line(&words.as_course_label()),
                        trainer_label: line(&words.as_trainer_label()),
                        reason_label: line(&words.as_reason_label()),
                        button: line(&words.as_button()),
                        calendar_note: paragraphs(&words.as_calendar_note()),
                        calendar_link_label: line(&words.as_calendar_link_label()),
                    }
                })*
            }
        }
    };
}

language! { english,
    Scheduled => "mail/en/scheduled.txt",
    Updated => "mail/en/updated.txt",
    Cancelled => "mail/en/cancelled.txt",
    ReminderDayBefore => "mail/en/reminder_day_before.txt",
    ReminderHourBefore => "mail/en/reminder_hour_before.txt",
    Resent => "mail/en/resent.txt",
    Removed => "mail/en/uninvited.txt",
    ReauthRequired => "mail/en/reauth_required.txt",
    HostNotConnected => "mail/en/host_not_connected.txt",
    MeetingDeleted => "mail/en/meeting_deleted.txt",
    MeetingMissing => "mail/en/meeting_missing.txt",
    MailReturned => "mail/en/mail_returned.txt",
}

/// Renders a template. Only a filter of our own could fail, and there is none.
pub(super) fn render(template: &impl Template) -> String {
    template.render().unwrap_or_else(|error| unreachable!("a template failed: {error}"))
}

/// Renders a text of one line.
fn line(template: &impl Template) -> String {
    clean::one_line(&render(template))
}

/// Joins the lines of a paragraph, so that a template can wrap them. An empty line begins a new paragraph.
fn paragraphs(template: &impl Template) -> String {
    let text = clean::lines(&render(template));
    let paragraphs = text.split("\n\n").map(|paragraph| {
        let words: Vec<_> = paragraph.split_whitespace().collect();
        words.join(" ")
    });
    let paragraphs: Vec<_> = paragraphs.filter(|paragraph| !paragraph.is_empty()).collect();
    paragraphs.join("\n\n")
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};
    use std::fs;
    use std::path::Path;

    use super::*;

    /// Returns the templates of all languages: the folder, the name and the text of each.
    fn templates() -> Vec<(String, String, String)> {
        let name = |path: &Path| path.file_name().unwrap().to_str().unwrap().to_owned();
        let paths =
            |folder: &Path| fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("templates/mail");
        let languages = paths(&root).filter(|path| path.is_dir());
        let files =
            languages.flat_map(|folder| paths(&folder).map(move |file| (name(&folder), file)));
        files
            .map(|(language, file)| (language, name(&file), fs::read_to_string(&file).unwrap()))
            .collect()
    }

    #[test]
    fn every_language_has_a_template_of_each_kind() {
        let mut languages: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
        for (language, name, _) in templates() {
            languages.entry(language).or_default().insert(name);
        }
        let kinds = MailKind::ALL.iter().map(|kind| format!("{}.txt", kind.as_str()));
        let expected: BTreeSet<_> = kinds.chain(["base.txt".to_owned()]).collect();
        assert!(languages.contains_key(Language::English.tag()));
        for (language, names) in languages {
            assert_eq!(names, expected, "{language}");
        }
    }

    #[test]
    fn templates_have_only_known_blocks() {
        let blocks = |text: &str| -> BTreeSet<String> {
            let rest = text.split("{% block ").skip(1);
            rest.filter_map(|rest| Some(rest.split_once(' ')?.0.to_owned())).collect()
        };
        let templates = templates();
        let base = templates.iter().find(|(_, name, _)| name == "base.txt").unwrap();
        let known = blocks(&base.2);
        assert_eq!(known.len(), 12);
        // Text outside of the blocks is not shown.
        for (language, name, text) in &templates {
            assert!(blocks(text).is_subset(&known), "{language}/{name}");
            let outside = text.split("{% endblock %}").map(|part| part.split("{% block").next());
            for words in outside.map(|part| part.unwrap_or_default().trim()) {
                let is_tag = words.is_empty() || words.starts_with('{') && words.ends_with('}');
                assert!(is_tag, "{language}/{name}: {words}");
            }
        }
    }

    #[test]
    fn wrapped_lines_are_one_paragraph() {
        #[derive(Template)]
        #[template(source = "\nOne\r\n  line.\n\n\n Another\none.\n", ext = "txt")]
        struct Wrapped;
        assert_eq!(paragraphs(&Wrapped), "One line.\n\nAnother one.");
    }
}
