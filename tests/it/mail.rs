//! Mails over the wire: what each service is given, and what its failures are taken for.

use std::time::Duration;

use mail_parser::{MessageParser, MimeHeaders, PartType};
use serde_json::{Value, json};
use shared::aws::Aws;
use shared::config::{Env, names};
use shared::domain::id::SessionId;
use shared::domain::text::Email;
use shared::domain::time::Zone;
use shared::mail::{
    Brand, SessionDetails, ComposedMail, Kind, MailContext, MailError, MailService, RetryAdvice, Service, Ses, ZeptoMail,
    compose,
};
use shared::secret::Secret;

use crate::world::World;

const SERVICES: [&str; 2] = ["ses", "zeptomail"];

/// The configuration that the stack's functions have.
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
    let http = shared::net::http_client("live-classes/outbox-sweep").expect("a client");
    let from = Brand::read(&env).expect("a brand").from;
    match name {
        "ses" => Service::Ses(Ses::new(Aws::new(&env, &http).expect("AWS").ses(), from)),
        _ => {
            let url = env.url(names::ZEPTOMAIL_API_URL).expect("an address");
            let token = Secret::new(secrets["zeptomail_token"].as_str().expect("a token"));
            Service::ZeptoMail(ZeptoMail::new(http, url, token, from))
        }
    }
}

async fn mail(world: &World, kind: Kind) -> ComposedMail {
    let (env, _) = config(world).await;
    let brand = Brand::read(&env).expect("a brand");
    let (id, berlin) =
        (SessionId::from_bytes([7; 16]), Zone::parse("Europe/Berlin").expect("a zone"));
    let class = SessionDetails {
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
    let letter = MailContext {
        kind,
        to: &Email::parse("student1@example.test").expect("an address"),
        to_name: Some("Študent 1"),
        class: Some(class),
        link: format!("{}/classes/{id}", brand.app_url),
        message_id: "0123abcd@live-classes".to_owned(),
        locale: None,
        zone: None,
        now: world.now(),
    };
    compose(&letter, &brand)
}

/// The one mail in the stack's mailbox: as it is listed, and raw.
async fn received(world: &World) -> (Value, String) {
    let listed = world.get("", "/local/mail").await.expect(200);
    let items = listed["items"].as_array().expect("a list");
    assert_eq!(items.len(), 1, "{listed}");
    let path = format!("/local/mail/{}", items[0]["id"].as_str().expect("an id"));
    (items[0].clone(), world.get("", &path).await.text)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_services_deliver_the_mail_with_its_invitation() {
    for name in SERVICES {
        let world = World::start().await;
        let mail = mail(&world, Kind::Scheduled).await;
        let id = service(&world, name).await.send(&mail).await.expect("it is sent");
        let (listed, raw) = received(&world).await;
        assert!(!id.is_empty());
        assert_eq!(listed["to"], "student1@example.test");
        assert_eq!(listed["kind"], "scheduled");
        assert_eq!(listed["subject"], mail.subject);
        let message = MessageParser::new().parse(raw.as_bytes()).expect("a message");
        assert_eq!(message.header_raw("Auto-Submitted").map(str::trim), Some("auto-generated"));
        assert_eq!(message.to().and_then(|to| to.first()?.name()), Some("Študent 1"));
        let calendar = mail.calendar.expect("an invitation").text;
        let entry = |part: &mail_parser::MessagePart<'_>| {
            part.attachment_name() == Some("invite.ics") && part.contents() == calendar.as_bytes()
        };
        assert!(message.parts.iter().any(entry), "{name}: {raw}");
        if name == "ses" {
            assert_eq!(raw.as_bytes(), mail.raw);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reminder_brings_no_calendar() {
    for name in SERVICES {
        let world = World::start().await;
        let mail = mail(&world, Kind::ReminderHourBefore).await;
        service(&world, name).await.send(&mail).await.expect("it is sent");
        let (listed, raw) = received(&world).await;
        assert_eq!(listed["kind"], "reminder_hour_before");
        let message = MessageParser::new().parse(raw.as_bytes()).expect("a message");
        let texts =
            message.parts.iter().filter(|part| !matches!(part.body, PartType::Multipart(_)));
        assert_eq!(texts.count(), 2, "{name}: {raw}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failures_are_told_apart_and_nothing_is_tried_twice() {
    let second = Duration::from_secs(1);
    let refused = |code: &str| MailError::Refused { code: code.to_owned() };
    let misconfigured = |code: &str| MailError::Misconfigured { code: code.to_owned() };
    let busy = |what: &str| MailError::Busy { what: what.to_owned() };
    let lost = "not reached, or broken off";
    let cases = [
        ("ses", "throttle", MailError::Limited { after: second }, 0),
        ("ses", "daily", MailError::DailyLimit, 0),
        ("ses", "paused", MailError::Paused { code: "SendingPausedException".to_owned() }, 0),
        ("ses", "rejected", refused("MessageRejected"), 0),
        ("ses", "unauthorized", misconfigured("UnrecognizedClientException"), 0),
        ("ses", "error", busy("InternalServiceErrorException"), 0),
        ("ses", "html", busy("502"), 0),
        // It was sent, and nobody learnt of it.
        ("ses", "lost", busy(lost), 1),
        ("zeptomail", "throttle", MailError::Limited { after: second }, 0),
        ("zeptomail", "daily", MailError::DailyLimit, 0),
        ("zeptomail", "rejected", refused("TM_4001/SM_113"), 0),
        ("zeptomail", "unauthorized", misconfigured("TM_4001/SERR_157"), 0),
        ("zeptomail", "error", busy("TM_5000/SERR_500"), 0),
        ("zeptomail", "html", busy("502"), 0),
        ("zeptomail", "lost", busy(lost), 1),
    ];
    let world = World::start().await;
    let mail = mail(&world, Kind::Cancelled).await;
    let mut sent = 0;
    for (name, kind, expected, arrives) in cases {
        // Were the client to try again, the second try would succeed.
        let fault = json!({"service": name, "operation": "*", "kind": kind, "times": 1});
        world.post("", "/local/faults", fault).await.expect(200);
        let error = service(&world, name).await.send(&mail).await.expect_err(kind);
        assert_eq!(error, expected, "{name} {kind}");
        let costs = matches!(error.retry(), RetryAdvice::Attempt);
        assert_eq!(costs, matches!(error, MailError::Busy { .. }));
        sent += arrives;
        let listed = world.get("", "/local/mail").await.expect(200);
        assert_eq!(listed["items"].as_array().map(Vec::len), Some(sent), "{name} {kind}");
    }
}
