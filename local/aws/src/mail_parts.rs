//! The text parts of a message, and the session that they name.

use mail_parser::{Message, MessageParser, MimeHeaders as _, PartType};

/// The identity of the session that a mail is about.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct MailSubject {
    pub(super) session_id: Option<String>,
    /// The link of a guest. It does not contain the session's id.
    pub(super) guest_link: Option<String>,
}

/// Finds the session in the calendar entry's `UID` or in a link to the session's page.
pub(super) fn subject(raw: &[u8]) -> MailSubject {
    let Some(message) = MessageParser::new().parse(raw) else { return MailSubject::default() };
    let calendar = first_text_part(&message, is_calendar).unwrap_or_default();
    let text = first_text_part(&message, is_plain).unwrap_or_default();
    MailSubject {
        session_id: word_after(&calendar, "UID:")
            .or_else(|| word_after(&text, "/sessions/"))
            .map(str::to_owned),
        guest_link: word_after(&text, "/guest/").map(str::to_owned),
    }
}

/// Returns the id or token that follows `prefix`.
fn word_after<'a>(text: &'a str, prefix: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(prefix)?;
    let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && !matches!(c, '_' | '-'));
    Some(&rest[..end.unwrap_or(rest.len())]).filter(|word| !word.is_empty())
}

/// Returns the decoded text of the first part whose content type `matches_type` accepts.
pub(super) fn first_text_part(
    message: &Message<'_>,
    matches_type: fn(&str) -> bool,
) -> Option<String> {
    message.parts.iter().find_map(|part| {
        let content_type = match part.content_type() {
            Some(content_type) => {
                format!("{}/{}", content_type.ctype(), content_type.subtype().unwrap_or_default())
            }
            None => "text/plain".to_owned(),
        };
        match &part.body {
            PartType::Text(text) | PartType::Html(text) if matches_type(&content_type) => {
                Some(text.to_string())
            }
            PartType::Binary(bytes) if matches_type(&content_type) => {
                Some(String::from_utf8_lossy(bytes).into_owned())
            }
            _ => None,
        }
    })
}

pub(super) fn is_plain(content_type: &str) -> bool {
    content_type.eq_ignore_ascii_case("text/plain")
}

pub(super) fn is_html(content_type: &str) -> bool {
    content_type.eq_ignore_ascii_case("text/html")
}

pub(super) fn is_calendar(content_type: &str) -> bool {
    content_type.eq_ignore_ascii_case("text/calendar")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn session_is_found_in_calendar_entry_or_link() {
        let mail = |text: &str, calendar: &str| {
            format!(
                "From: a@example.test\r\nMIME-Version: 1.0\r\nContent-Type: multipart/alternative; boundary=x\r\n\r\n\
                 --x\r\nContent-Type: text/plain\r\n\r\n{text}\r\n\
                 --x\r\nContent-Type: text/calendar\r\n\r\n{calendar}\r\n--x--\r\n"
            )
        };
        for (text, calendar, session_id, guest_link) in [
            ("See https://app.test/sessions/ses_a.", "", Some("ses_a"), None),
            ("See https://app.test/sessions/ses_a", "UID:ses_b@live-classes", Some("ses_b"), None),
            ("https://app.test/guest/to-ken_1\r\nBye", "", None, Some("to-ken_1")),
            ("Connect Zoom again", "", None, None),
        ] {
            let found = subject(mail(text, calendar).as_bytes());
            let found = (found.session_id.as_deref(), found.guest_link.as_deref());
            assert_eq!(found, (session_id, guest_link), "{text}");
        }
    }
}
