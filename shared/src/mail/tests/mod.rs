//! Whole mails, read by parsers that are not the builders'.

mod calendars;
mod messages;

use jiff::Timestamp;

use super::{Brand, SessionDetails, ComposedMail, Kind, MailContext, compose};
use crate::config::{Env, names};
use crate::domain::id::SessionId;
use crate::domain::text::Email;
use crate::domain::time::Zone;

/// Names and texts that have broken somebody's mail before.
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

/// A letter with what it borrows.
#[derive(Clone)]
pub(super) struct Case {
    pub(super) kind: Kind,
    pub(super) to: Email,
    pub(super) to_name: Option<String>,
    pub(super) text: String,
    pub(super) reason: Option<String>,
    pub(super) starts_at: Timestamp,
    pub(super) minutes: u16,
    pub(super) class_zone: Zone,
    pub(super) zone: Option<Zone>,
    pub(super) now: Timestamp,
    pub(super) id: SessionId,
    pub(super) title: String,
}

impl Case {
    pub(super) fn new(kind: Kind) -> Self {
        Self {
            kind,
            to: Email::parse("ada@example.test").unwrap(),
            to_name: Some("Ada Lovelace".to_owned()),
            text: "Bring a pencil.\nNo calculators.".to_owned(),
            reason: None,
            starts_at: at("2026-11-21T09:00:00Z"),
            minutes: 60,
            class_zone: zone("Europe/Berlin"),
            zone: None,
            now: at("2026-11-20T08:00:00Z"),
            id: SessionId::from_bytes([7; 16]),
            title: "Algebra I".to_owned(),
        }
    }

    /// Every text that a stranger may write.
    pub(super) fn saying(kind: Kind, odd: &str) -> Self {
        let some = Some(odd.to_owned());
        let (text, title) = (odd.to_owned(), odd.to_owned());
        Self { to_name: some.clone(), reason: some, text, title, ..Self::new(kind) }
    }

    pub(super) fn compose(&self) -> ComposedMail {
        compose(&self.letter(), &brand())
    }

    fn letter(&self) -> MailContext<'_> {
        let class = SessionDetails {
            id: &self.id,
            title: &self.title,
            description: &self.text,
            starts_at: self.starts_at,
            duration_minutes: self.minutes,
            zone: &self.class_zone,
            sequence: 3,
            reason: self.reason.as_deref(),
            course_title: Some("Mathematics, first year"),
            trainer_name: self.to_name.as_deref(),
        };
        MailContext {
            kind: self.kind,
            to: &self.to,
            to_name: self.to_name.as_deref(),
            class: (self.kind != Kind::ReauthRequired).then_some(class),
            link: "https://learn.example.test/classes/ses_1?a=1&b=2".to_owned(),
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

/// Every kind, with plain and with odd texts.
fn all() -> impl Iterator<Item = Case> {
    let odd = |kind| ODD.iter().map(move |odd| Case::saying(kind, odd));
    Kind::ALL.into_iter().flat_map(move |kind| odd(kind).chain([Case::new(kind)]))
}

#[test]
fn a_kind_has_one_name() {
    for kind in Kind::ALL {
        assert_eq!(serde_json::to_value(kind).unwrap(), kind.as_str());
    }
}

#[test]
fn the_brand_names_what_it_lacks() {
    assert_eq!(brand().app_url, "https://learn.example.test");
    let env = Env::from_pairs([(names::BRAND_NAME, "B"), (names::MAIL_FROM, "nobody")]);
    assert_eq!(Brand::read(&env).unwrap_err().name(), names::MAIL_FROM);
    let env = Env::from_pairs([(names::MAIL_FROM, "a@b.test"), (names::APP_URL, "https://b.test")]);
    assert_eq!(Brand::read(&env).unwrap_err().name(), names::BRAND_NAME);
}
