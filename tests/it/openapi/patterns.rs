//! The patterns in `openapi.yaml` against the parsers: both accept and refuse the same texts.

use lambda_http::{Body, Request};
use serde_json::{Value, json};
use shared::domain::id::CourseId;
use shared::domain::text::{Description, Email, OptionText, PersonName, Question, Title};
use shared::domain::time::{Zone, instant, local_time};
use shared::http;

use super::Spec;

/// The texts that every pattern is tried with, besides its own.
const TEXTS: [&str; 15] = [
    "Algebra",
    " Algebra ",
    "a b",
    "a\nb",
    "a\r\nb",
    "a\rb",
    "a\tb",
    "a\n",
    "\na",
    "a\0",
    "a\u{7f}",
    "a\u{85}b",
    "a\u{2028}b",
    "\u{7}",
    "é",
];

struct Case {
    schema: Value,
    texts: &'static [&'static str],
    is_accepted: fn(&str) -> bool,
}

fn with_header(name: &'static str, value: &str) -> Option<Request> {
    let mut request = Request::new(Body::Empty);
    let value = ::http::HeaderValue::from_bytes(value.as_bytes()).ok()?;
    request.headers_mut().insert(name, value);
    Some(request)
}

fn cases(spec: &Spec) -> Vec<Case> {
    let at = |pointer: &str| {
        assert!(spec.0.pointer(pointer).is_some(), "{pointer}");
        json!({"$ref": format!("#{pointer}")})
    };
    let draft = |field: &str| at(&format!("/components/schemas/SessionDraft/properties/{field}"));
    let parameter = |name: &str| spec.0["components"]["parameters"][name]["schema"].clone();
    vec![
        Case {
            schema: draft("title"),
            texts: &["", " "],
            is_accepted: |text| Title::parse(text).is_ok(),
        },
        Case {
            schema: at("/components/schemas/User/properties/name"),
            texts: &["", " "],
            is_accepted: |text| PersonName::parse(text).is_ok(),
        },
        Case {
            schema: at("/components/schemas/LaunchPoll/properties/question"),
            texts: &["", " "],
            is_accepted: |text| Question::parse(text).is_ok(),
        },
        Case {
            schema: at("/components/schemas/LaunchPoll/properties/options/items"),
            texts: &["", " "],
            is_accepted: |text| OptionText::parse(text).is_ok(),
        },
        Case {
            schema: draft("description"),
            texts: &["", " ", "a\u{1b}[2J", "a\r\n\tb\r\n"],
            is_accepted: |text| Description::parse(text).is_ok(),
        },
        Case {
            schema: at("/components/schemas/Email"),
            texts: &[
                "a@b.cd",
                "A.b+c@Example.test",
                "o'neil_x@mail-1.example.test",
                "",
                "ada",
                "ada@",
                "@b.c",
                "ada@localhost",
                "a b@c.de",
                "a@b.c\r\nBcc: x@y.z",
                "\"a b\"@c.de",
                "a@[1.2.3.4]",
                "a@b.c,d@e.f",
                "ü@x.test",
            ],
            is_accepted: |text| Email::parse(text).is_ok(),
        },
        Case {
            schema: at("/components/schemas/ForeignId"),
            texts: &["auth0|5f7c", "a#b", "", "ada@example.test"],
            is_accepted: |text| CourseId::parse(text).is_ok(),
        },
        Case {
            schema: draft("timezone"),
            texts: &[
                "Europe/Berlin",
                "Etc/GMT+5",
                "Factory",
                "Etc/Unknown",
                "+02:00",
                "Europe/Berlin\n",
                "",
            ],
            // Only the database has the names.
            is_accepted: |text| Zone::parse(text).is_ok() || matches!(text, "Algebra"),
        },
        Case {
            schema: at("/components/schemas/Instant"),
            texts: &[
                "2026-12-01T10:00:00Z",
                "2026-12-01t10:00:00.123456789-23:59",
                "2026-12-01T10:00:00.1234567890Z",
                "2026-12-01T10:00:00+01:00[Europe/Berlin]",
                "2026-12-01T10:00:00+25:00",
                "2026-12-01T10:00:00+01:60",
                "20261201T100000Z",
                "2026-12-01 10:00:00Z",
                "2026-12-31T23:59:60Z",
                "2026-12-01T10:00:00,5Z",
                "2026-12-01T24:00:00Z",
                "2026-02-30T10:00:00Z",
                "2026-12-01T10:00:00",
                "2026-12-01",
            ],
            is_accepted: |text| instant(text).is_some(),
        },
        Case {
            schema: draft("starts_at"),
            texts: &[
                "2026-12-01T10:00:00",
                "2026-12-01T10:00:00Z",
                "2026-12-01T10:00",
                "2026-12-01 10:00:00",
                "2026-12-01T10:00:00.5",
                "2026-12-01T10:00:60",
                "2026-12-01T10:00:00[Europe/Berlin]",
                "2026-12-01",
            ],
            is_accepted: |text| instant(text).is_some() || local_time(text).is_some(),
        },
        Case {
            schema: parameter("IfMatch"),
            texts: &[
                "*",
                "\"1\"",
                "W/\"1\"",
                "\"1\", \"2\"",
                "\"1\",,\"2\",",
                "1",
                "\"1",
                "w/\"1\"",
                "*, \"1\"",
                "",
            ],
            is_accepted: |text| {
                with_header("if-match", text).is_some_and(|it| http::if_match(&it).is_ok())
            },
        },
        Case {
            schema: parameter("IfNoneMatch"),
            texts: &["*", "\"a\"", "W/\"a\"", "a", "\"a\" \"b\"", ""],
            is_accepted: |text| {
                with_header("if-none-match", text)
                    .is_some_and(|it| http::matches_if_none_match(&it, "a").is_ok())
            },
        },
        Case {
            schema: parameter("IdempotencyKey"),
            texts: &["6f1e2f0c", "a~", ""],
            is_accepted: |text| {
                with_header("idempotency-key", text)
                    .is_some_and(|it| http::idempotency_key(&it).is_ok())
            },
        },
    ]
}

#[test]
fn documented_patterns_accept_what_the_code_accepts() {
    let spec = Spec::read();
    for Case { schema, texts, is_accepted } in cases(&spec) {
        let validator = spec.validator(&schema);
        for text in TEXTS.iter().chain(texts) {
            let is_valid = validator.is_valid(&json!(text));
            assert_eq!(is_valid, is_accepted(text), "{schema}: {text:?}");
        }
    }
}
