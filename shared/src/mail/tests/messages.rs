//! Messages, read with `mail-parser`.

use std::fs;
use std::path::Path;

use mail_parser::{Message, MessageParser, MimeHeaders, PartType};

use super::{Case, ODD, all_cases, at, brand, zone};
use crate::domain::notification_kind::MailKind;
use crate::mail::{ComposedMail, compose};

fn parse(mail: &ComposedMail) -> Message<'_> {
    MessageParser::new().parse(&mail.raw).unwrap()
}

/// Returns the content types of a part and its children, in order.
fn tree(message: &Message<'_>, part: usize) -> String {
    let part = &message.parts[part];
    let kind = part.content_type().unwrap();
    let kind = format!("{}/{}", kind.c_type, kind.subtype().unwrap());
    match &part.body {
        PartType::Multipart(parts) => {
            let parts: Vec<_> = parts.iter().map(|part| tree(message, *part as usize)).collect();
            format!("{kind}({})", parts.join(" "))
        }
        _ => kind,
    }
}

#[test]
fn invitation_is_last_alternative_and_attachment() {
    for mail in all_cases().map(|case| case.compose()) {
        let message = parse(&mail);
        let Some(calendar) = &mail.calendar else {
            assert_eq!(tree(&message, 0), "multipart/alternative(text/plain text/html)");
            continue;
        };
        assert_eq!(
            tree(&message, 0),
            "multipart/mixed(multipart/alternative(text/plain text/html text/calendar) application/ics)"
        );
        let is = |part: &&mail_parser::MessagePart<'_>, kind: &str| {
            part.content_type().is_some_and(|have| have.subtype() == Some(kind))
        };
        let inline = message.parts.iter().find(|part| is(part, "calendar")).unwrap();
        let kind = inline.content_type().unwrap();
        assert_eq!(kind.attribute("method"), Some(calendar.method.as_str()));
        assert_eq!(kind.attribute("charset"), Some("UTF-8"));
        assert_eq!(inline.text_contents(), Some(calendar.text.as_str()));
        let file = message.parts.iter().find(|part| is(part, "ics")).unwrap();
        assert_eq!(file.attachment_name(), Some("invite.ics"));
        assert_eq!(file.contents(), calendar.text.as_bytes());
        let method = format!("\r\nMETHOD:{}\r\n", calendar.method.as_str());
        assert_eq!(calendar.text.matches(&method).count(), 1);
    }
}

#[test]
fn parts_are_parsed_unchanged() {
    for mail in all_cases().map(|case| case.compose()) {
        let message = parse(&mail);
        assert_eq!(message.body_text(0).unwrap(), mail.text.replace('\n', "\r\n"));
        assert_eq!(message.body_html(0).unwrap(), mail.html.replace('\n', "\r\n"));
        assert_eq!(message.subject(), Some(mail.subject.as_str()));
    }
}

#[test]
fn headers_have_sender_recipient_date_and_kind() {
    for case in all_cases() {
        let mail = case.compose();
        let message = parse(&mail);
        let from = message.from().unwrap().first().unwrap();
        assert_eq!(
            (from.name(), from.address()),
            (Some("Live Classes"), Some("classes@example.test"))
        );
        assert_eq!(message.to().unwrap().iter().count(), 1);
        let to = message.to().unwrap().first().unwrap();
        assert_eq!((to.name(), to.address()), (mail.to_name.as_deref(), Some("ada@example.test")));
        assert_eq!(message.date().unwrap().to_timestamp(), case.now.as_second());
        assert_eq!(message.message_id(), Some("0123abcd@live-classes"));
        for (name, value) in [
            ("Auto-Submitted", "auto-generated"),
            ("X-Live-Class-Kind", case.kind.as_str()),
            ("Content-Language", "en"),
            ("MIME-Version", "1.0"),
        ] {
            assert_eq!(message.header_raw(name).map(str::trim), Some(value));
        }
    }
}

#[test]
fn text_cannot_add_a_header_or_a_part() {
    let plain = |kind| Case::new(kind).compose().raw;
    let names = |raw: &[u8]| {
        let message = MessageParser::new().parse(raw).unwrap();
        let mut names: Vec<_> =
            message.headers().iter().map(|header| header.name().to_owned()).collect();
        names.sort();
        (names, message.parts.len())
    };
    for case in all_cases() {
        let mail = case.compose();
        assert_eq!(names(&mail.raw), names(&plain(case.kind)), "{:?}", case.title);
    }
}

#[test]
fn lines_are_short_ascii_and_end_with_crlf() {
    for mail in all_cases().map(|case| case.compose()) {
        let raw = &mail.raw;
        for (index, byte) in raw.iter().enumerate() {
            match byte {
                b'\n' => assert_eq!(raw[index - 1], b'\r', "a bare LF"),
                b'\r' => assert_eq!(raw[index + 1], b'\n', "a bare CR"),
                _ => assert!(byte.is_ascii() && *byte != 0, "{byte:#x}"),
            }
        }
        // RFC 5322, section 2.1.1.
        let longest = raw.split(|byte| *byte == b'\n').map(<[u8]>::len).max().unwrap();
        assert!(longest <= 79, "{longest}");
    }
}

#[test]
fn equal_mails_have_equal_bytes_and_others_new_boundaries() {
    for case in all_cases() {
        assert_eq!(case.compose(), case.compose());
    }
    let boundary = |title: &str| {
        let mail = Case { title: title.to_owned(), ..Case::new(MailKind::Scheduled) }.compose();
        parse(&mail).content_type().unwrap().attribute("boundary").unwrap().to_owned()
    };
    assert_ne!(boundary("a"), boundary("b"));
}

#[test]
fn text_cannot_add_markup_to_the_html() {
    for odd in ODD {
        for kind in MailKind::ALL {
            let html = Case::with_text(kind, odd).compose().html;
            let plain = Case::with_text(kind, "x").compose().html;
            // As many tags as with a harmless text, except for line breaks.
            let tags = |html: &str| html.replace("<br>", "").matches('<').count();
            assert_eq!(tags(&html), tags(&plain), "{kind:?} {odd:?}");
            assert!(!html.contains("<script") && !html.contains("<!--"));
        }
    }
}

#[test]
fn html_has_one_heading_and_no_external_content() {
    for mail in all_cases().map(|case| case.compose()) {
        let html = &mail.html;
        assert!(html.starts_with("<!DOCTYPE html>\n<html lang=\"en\">"));
        assert_eq!(html.matches("<h1 ").count(), 1);
        let links = usize::from(mail.kind != MailKind::Removed);
        assert_eq!(html.matches("<a href=").count(), links);
        assert!(!html.contains("<img") && !html.contains("url("), "must not load external content");
        assert!(html.contains("Akademie Größe &amp; Söhne") && html.contains("may be recorded"));
        assert!(mail.text.contains("Akademie Größe & Söhne\nClasses may be recorded.\n"));
    }
}

/// The mail of each kind as its readers see it, in `tests/mails`. With `UPDATE_MAILS=1` the files are written instead.
#[test]
fn mails_read_as_in_their_files() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/mail/tests/mails");
    let compare = |name: String, current: &str| {
        let file = folder.join(name);
        #[expect(clippy::disallowed_methods, reason = "the person who runs the test sets it")]
        let updates = std::env::var_os("UPDATE_MAILS").is_some();
        if updates {
            fs::write(&file, current).unwrap();
        }
        let expected = fs::read_to_string(&file).unwrap_or_default();
        assert_eq!(
            current,
            expected,
            "{} differs. docs/how-to/mail.md describes how to update it",
            file.display()
        );
    };
    let case = |kind| Case {
        zone: Some(zone("Asia/Kolkata")),
        reason: Some("The room is taken.".to_owned()),
        ..Case::new(kind)
    };
    let cases = MailKind::ALL.map(|kind| (kind.as_str().to_owned(), case(kind)));
    let former_address = Case { address_changed: true, ..case(MailKind::Removed) };
    let former_address = ("uninvited_former_address".to_owned(), former_address);
    let former_guest = Case { link: None, ..case(MailKind::Cancelled) };
    let former_guest = ("cancelled_guest".to_owned(), former_guest);
    for (name, case) in cases.into_iter().chain([former_address, former_guest]) {
        let mail = case.compose();
        let method = mail.calendar.map_or("none", |calendar| calendar.method.as_str());
        let text = format!("Subject: {}\nCalendar: {method}\n\n{}", mail.subject, mail.text);
        compare(format!("{name}.txt"), &text);
        if case.kind == MailKind::Updated {
            compare(format!("{name}.html"), &mail.html);
        }
    }
}

#[test]
fn mail_without_page_has_no_link() {
    for case in MailKind::ALL.map(|kind| Case { link: None, ..Case::new(kind) }) {
        let mail = case.compose();
        let calendar = mail.calendar.map(|calendar| calendar.text).unwrap_or_default();
        for text in [&mail.text, &mail.html, &calendar] {
            assert!(!text.contains("https://") && !text.contains("<a "), "{:?}: {text}", case.kind);
        }
        assert!(!calendar.contains("LOCATION") && !calendar.contains("\r\nURL"));
    }
}

#[test]
fn reason_is_shown_unless_recipient_was_removed() {
    for (kind, shown) in
        [(MailKind::Cancelled, true), (MailKind::Updated, true), (MailKind::Removed, false)]
    {
        let case = Case { reason: Some("I am ill.\nSorry".to_owned()), ..Case::new(kind) };
        let mail = case.compose();
        assert_eq!(mail.text.contains("Reason: I am ill.\nSorry\n"), shown, "{kind:?}");
    }
}

#[test]
fn mail_without_session_is_complete() {
    for kind in MailKind::ALL {
        let case = Case::new(kind);
        let mut context = case.context();
        (context.session, context.to_name, context.now) =
            (None, None, at("2026-11-20T08:00:00.9Z"));
        let mail = compose(&context, &brand());
        assert!(mail.calendar.is_none() && mail.text.contains("Hello,\n"));
        assert!(MessageParser::new().parse(&mail.raw).unwrap().subject().is_some());
    }
}
