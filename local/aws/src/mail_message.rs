//! The readable parts of one stored mail: its texts, calendar entry and headers.

use mail_parser::MessageParser;
use serde_json::{Value, json};

use super::mail_parts::{first_text_part, is_calendar, is_html, is_plain};
use super::mailbox::Mail;

/// Returns the HTML of a mail.
pub(super) fn html(mail: &Mail) -> Option<String> {
    first_text_part(&MessageParser::new().parse(&mail.raw)?, is_html)
}

/// Returns the parts of a mail as JSON.
pub(super) fn parts(mail: &Mail) -> Value {
    let message = MessageParser::new().parse(&mail.raw);
    let text =
        |matches_type| message.as_ref().and_then(|message| first_text_part(message, matches_type));
    let headers: Vec<Value> = message
        .iter()
        .flat_map(|message| message.headers_raw())
        .map(|(name, value)| json!({ "name": name, "value": value.trim() }))
        .collect();
    json!({
        "id": mail.id,
        "service": mail.service,
        "from": mail.from,
        "to": mail.to,
        "subject": mail.subject,
        "kind": mail.kind,
        "session_id": mail.session_id,
        "sent_at": mail.sent_at,
        "headers": headers,
        "text": text(is_plain),
        "calendar": text(is_calendar),
        "has_html": text(is_html).is_some(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mail_parts_are_decoded_by_content_type() {
        let raw = "From: a@example.test\r\nTo: b@example.test\r\nSubject: Algebra\r\nMIME-Version: 1.0\r\n\
            Content-Type: multipart/alternative; boundary=x\r\n\r\n\
            --x\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nplain\r\n\
            --x\r\nContent-Type: text/html; charset=utf-8\r\n\r\n<p>page</p>\r\n\
            --x\r\nContent-Type: text/calendar; method=REQUEST\r\nContent-Transfer-Encoding: base64\r\n\r\nQkVHSU4=\r\n\
            --x--\r\n";
        let message = MessageParser::new().parse(raw.as_bytes()).unwrap();
        assert_eq!(first_text_part(&message, is_plain).unwrap().trim(), "plain");
        assert_eq!(first_text_part(&message, is_html).unwrap().trim(), "<p>page</p>");
        assert_eq!(first_text_part(&message, is_calendar).unwrap(), "BEGIN");
    }
}
