//! Delivery of mails through SES and ZeptoMail, and the classification of their failures.

use std::time::Duration;

use mail_parser::{MessageParser, MimeHeaders, PartType};
use serde_json::{Value, json};
use shared::aws::Aws;
use shared::config::{Env, names};
use shared::domain::id::SessionId;
use shared::domain::mailing::MailKind;
use shared::domain::text::Email;
use shared::domain::time::Zone;
use shared::mail::{
    Brand, ComposedMail, MailContext, MailError, MailService, MailSession, RetryAdvice, Service,
    Ses, ZeptoMail, compose,
};
use shared::secret::Secret;

use crate::world::World;

const SERVICES: [&str; 2] = ["ses", "zeptomail"];

/// Returns the environment and the secrets of the stack's functions.
async fn config(world: &World) -> (Env, Value) {
    let config = world.get("", "/local/config").await.expect(200);
    let environment = config["environment"].as_object().expect("the environment");
    let pairs = environment
        .iter()
        .map(|(name, value)| (name.clone(), value.as_str().expect("a value").to_owned()));
    (Env::from_pairs(pairs), config["secrets"].clone())
}

async fn service(world: &World, name: &str) -> Service {
    let (env, secrets) = config(world).await;
    let http = shared::net::http_client("live-classes/outbox-sweep").expect("an HTTP client");
    let from = Brand::read(&env).expect("a brand").from;
    match name {
        "ses" => Service::Ses(Ses::new(Aws::new(&env, &http).expect("AWS").ses(), from, None)),
        _ => {
            let url = env.url(names::ZEPTOMAIL_API_URL).expect("an address");
            let token = Secret::new(secrets["zeptomail_token"].as_str().expect("a token"));
            Service::ZeptoMail(ZeptoMail::new(http, url, token, from))
        }
    }
}

async fn mail(world: &World, kind: MailKind) -> ComposedMail {
    let (env, _) = config(world).await;
    let brand = Brand::read(&env).expect("a brand");
    let (id, berlin) =
        (SessionId::from_bytes([7; 16]), Zone::parse("Europe/Berlin").expect("a zone"));
    let session = MailSession {
        id: &id,
        title: "Algebra I: ≤ & <b>",
        description: "Bring a pencil.",
        starts_at: world.now() + jiff::SignedDuration::from_hours(26),
        duration_minutes: 60,
        zone: &berlin,
        sequence: 1,
        reason: None,
        course_title: Some("Mathematics"),
        trainer_name: Some("Tara"),
    };
    let context = MailContext {
        kind,
        to: &Email::parse("student1@example.test").expect("an address"),
        to_name: Some("Študent 1"),
        session: Some(session),
        address_changed: false,
        link: Some(format!("{}/classes/{id}", brand.app_url)),
        message_id: "0123abcd@live-classes".to_owned(),
        locale: None,
        zone: None,
        now: world.now(),
    };
    compose(&context, &brand)
}

/// Returns the only mail in the stack's mailbox as its list item and its raw text.
async fn received(world: &World) -> (Value, String) {
    let listed = world.get("", "/local/mail").await.expect(200);
    let items = listed["items"].as_array().expect("a list");
    assert_eq!(items.len(), 1, "{listed}");
    let path = format!("/local/mail/{}", items[0]["id"].as_str().expect("an id"));
    (items[0].clone(), world.get("", &path).await.text)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ses_and_zeptomail_deliver_mail_with_calendar_invitation() {
    for name in SERVICES {
        let world = World::start().await;
        let mail = mail(&world, MailKind::Scheduled).await;
        let id = service(&world, name).await.send(&mail).await.expect("a sent mail");
        let (listed, raw) = received(&world).await;
        assert!(!id.is_empty());
        assert_eq!(listed["to"], "student1@example.test");
        assert_eq!(listed["kind"], "scheduled");
        assert_eq!(listed["subject"], mail.subject);
        let message = MessageParser::new().parse(raw.as_bytes()).expect("a message");
        assert_eq!(message.header_raw("Auto-Submitted").map(str::trim), Some("auto-generated"));
        assert_eq!(message.to().and_then(|to| to.first()?.name()), Some("Študent 1"));
        let calendar = mail.calendar.expect("an invitation").text;
        let is_invitation = |part: &mail_parser::MessagePart<'_>| {
            part.attachment_name() == Some("invite.ics") && part.contents() == calendar.as_bytes()
        };
        assert!(message.parts.iter().any(is_invitation), "{name}: {raw}");
        if name == "ses" {
            assert_eq!(raw.as_bytes(), mail.raw);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reminder_has_no_calendar_attachment() {
    for name in SERVICES {
        let world = World::start().await;
        let mail = mail(&world, MailKind::ReminderHourBefore).await;
        service(&world, name).await.send(&mail).await.expect("a sent mail");
        let (listed, raw) = received(&world).await;
        assert_eq!(listed["kind"], "reminder_hour_before");
        let message = MessageParser::new().parse(raw.as_bytes()).expect("a message");
        let texts =
            message.parts.iter().filter(|part| !matches!(part.body, PartType::Multipart(_)));
        assert_eq!(texts.count(), 2, "{name}: {raw}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mail_failures_are_classified_and_not_retried_by_client() {
    let second = Duration::from_secs(1);
    let refused = |code: &str| MailError::Refused { code: code.to_owned() };
    let misconfigured = |code: &str| MailError::Misconfigured { code: code.to_owned() };
    let unavailable = |detail: &str| MailError::Unavailable { detail: detail.to_owned() };
    let lost = MailError::Unknown { detail: "connection failed".to_owned() };
    let cases = [
        ("ses", "throttle", MailError::Limited { after: second }, 0),
        ("ses", "daily", MailError::DailyLimit, 0),
        ("ses", "paused", MailError::Paused { code: "SendingPausedException".to_owned() }, 0),
        ("ses", "rejected", refused("MessageRejected"), 0),
        ("ses", "unauthorized", misconfigured("UnrecognizedClientException"), 0),
        ("ses", "error", unavailable("InternalServiceErrorException"), 0),
        ("ses", "html", unavailable("502"), 0),
        // The mail is sent, but the response is lost.
        ("ses", "lost", lost.clone(), 1),
        ("zeptomail", "throttle", MailError::Limited { after: second }, 0),
        ("zeptomail", "daily", MailError::DailyLimit, 0),
        ("zeptomail", "rejected", refused("TM_4001/SM_113"), 0),
        ("zeptomail", "unauthorized", misconfigured("TM_4001/SERR_157"), 0),
        ("zeptomail", "error", unavailable("TM_5000/SERR_500"), 0),
        ("zeptomail", "html", unavailable("502"), 0),
        ("zeptomail", "lost", lost, 1),
    ];
    let world = World::start().await;
    let mail = mail(&world, MailKind::Cancelled).await;
    let mut sent = 0;
    for (name, kind, expected, delivered) in cases {
        // A retry by the client would succeed, because the fault occurs once.
        let fault = json!({"service": name, "operation": "*", "kind": kind, "times": 1});
        world.post("", "/local/faults", fault).await.expect(200);
        let error = service(&world, name).await.send(&mail).await.expect_err(kind);
        assert_eq!(error, expected, "{name} {kind}");
        let counts_as_attempt = matches!(error.retry_advice(), RetryAdvice::Attempt);
        assert_eq!(counts_as_attempt, matches!(error, MailError::Unavailable { .. }));
        sent += delivered;
        let listed = world.get("", "/local/mail").await.expect(200);
        assert_eq!(listed["items"].as_array().map(Vec::len), Some(sent), "{name} {kind}");
    }
}
