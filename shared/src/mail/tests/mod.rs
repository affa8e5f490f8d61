//! Tests of complete mails, read with independent parsers.

mod calendars;
mod messages;

use jiff::Timestamp;

use super::{Brand, ComposedMail, MailContext, MailKind, MailSession, compose};
use crate::config::{Env, names};
use crate::domain::id::SessionId;
use crate::domain::text::Email;
use crate::domain::time::Zone;

/// Names and texts that are known to break mails.
const ODD: [&str; 10] = [
    "Ada Lovelace",
    "O'Brien, \"Bob\" (Maths); <b@c.test>",
    "👩‍🏫 درس مباشر — שיעור 中文",
    "a\r\nBcc: evil@example.test\r\n\r\nbody",
    "=cmd|' /C calc'!A0",
    "=?utf-8?Q?a?= =41 =\r\n",
    "<script>alert(1)</script>&amp;<!--",
    "END:VEVENT\nEND:VCALENDAR\\n;,:\\",
    "left\u{202e}right\u{2028}next\0",
    "x",
];

/// The owned values of a [`MailContext`].
#[derive(Clone)]
pub(super) struct Case {
    pub(super) kind: MailKind,
    pub(super) to: Email,
    pub(super) to_name: Option<String>,
    pub(super) text: String,
    pub(super) reason: Option<String>,
    pub(super) starts_at: Timestamp,
    pub(super) minutes: u16,
    pub(super) session_zone: Zone,
    pub(super) zone: Option<Zone>,
    pub(super) now: Timestamp,
    pub(super) id: SessionId,
    pub(super) title: String,
    pub(super) address_changed: bool,
    pub(super) link: Option<&'static str>,
}

/// The page of the tests' session.
const PAGE: &str = "https://learn.example.test/classes/ses_1?a=1&b=2";

impl Case {
    pub(super) fn new(kind: MailKind) -> Self {
        Self {
            kind,
            to: Email::parse("ada@example.test").unwrap(),
            to_name: Some("Ada Lovelace".to_owned()),
            text: "Bring a pencil.\nNo calculators.".to_owned(),
            reason: None,
            starts_at: at("2026-11-21T09:00:00Z"),
            minutes: 60,
            session_zone: zone("Europe/Berlin"),
            zone: None,
            now: at("2026-11-20T08:00:00Z"),
            id: SessionId::from_bytes([7; 16]),
            title: "Algebra I".to_owned(),
            address_changed: false,
            link: Some(PAGE),
        }
    }

    /// A mail with the given text in every user-supplied field.
    pub(super) fn with_text(kind: MailKind, odd: &str) -> Self {
        let some = Some(odd.to_owned());
        let (text, title) = (odd.to_owned(), odd.to_owned());
        Self { to_name: some.clone(), reason: some, text, title, ..Self::new(kind) }
    }

    pub(super) fn compose(&self) -> ComposedMail {
        compose(&self.context(), &brand())
    }

    fn context(&self) -> MailContext<'_> {
        let session = MailSession {
            id: &self.id,
            title: &self.title,
            description: &self.text,
            starts_at: self.starts_at,
            duration_minutes: self.minutes,
            zone: &self.session_zone,
            sequence: 3,
            reason: self.reason.as_deref(),
            course_title: Some("Mathematics, first year"),
            trainer_name: self.to_name.as_deref(),
        };
        MailContext {
            kind: self.kind,
            to: &self.to,
            to_name: self.to_name.as_deref(),
            address_changed: self.address_changed,
            session: (self.kind != MailKind::ReauthRequired).then_some(session),
            link: self.link.map(str::to_owned),
            message_id: "0123abcd@live-classes".to_owned(),
            locale: None,
            zone: self.zone.as_ref(),
            now: self.now,
        }
    }
}

pub(super) fn brand() -> Brand {
    Brand::read(&Env::from_pairs([
        (names::BRAND_NAME, "Akademie Größe & Söhne"),
        (names::MAIL_FROM, "Live Classes <classes@example.test>"),
        (names::DISCLAIMER, "Classes may be recorded."),
        (names::APP_URL, "https://learn.example.test/"),
    ]))
    .unwrap()
}

pub(super) fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

pub(super) fn zone(name: &str) -> Zone {
    Zone::parse(name).unwrap()
}

/// Every kind with plain and odd texts.
fn all_cases() -> impl Iterator<Item = Case> {
    let odd = |kind| ODD.iter().map(move |odd| Case::with_text(kind, odd));
    MailKind::ALL.into_iter().flat_map(move |kind| odd(kind).chain([Case::new(kind)]))
}

#[test]
fn missing_brand_setting_is_named() {
    assert_eq!(brand().app_url, "https://learn.example.test");
    let env = Env::from_pairs([(names::BRAND_NAME, "B"), (names::MAIL_FROM, "nobody")]);
    assert_eq!(Brand::read(&env).unwrap_err().name(), names::MAIL_FROM);
    let env = Env::from_pairs([(names::MAIL_FROM, "a@b.test"), (names::APP_URL, "https://b.test")]);
    assert_eq!(Brand::read(&env).unwrap_err().name(), names::BRAND_NAME);
}
