//! Reports that arrive twice, early, late, or about mails of somebody else.

use jiff::SignedDuration;
use local::calls::Service;
use local::faults::{Fault, FaultKind};
use serde_json::{Value, json};

use super::{GUEST, invited_guests};
use crate::outbox_faults::AFTER_CLAIM;
use crate::urgency::fan_out;
use crate::world::World;

/// A report of SES about the mail with this message key.
fn report(session: &Value, message_key: &str, bounce: &Value, sent_at: jiff::Timestamp) -> Value {
    json!({
        "version": "0",
        "id": "17793124-05d4-b198-2fde-7ededc63b103",
        "detail-type": "Email Bounced",
        "source": "aws.ses",
        "account": "000000000000",
        "time": sent_at,
        "region": "us-east-1",
        "resources": ["arn:aws:ses:us-east-1:000000000000:configuration-set/MailConfigurationSet"],
        "detail": {
            "eventType": "Bounce",
            "bounce": bounce,
            "mail": {
                "timestamp": sent_at,
                "messageId": "0100019",
                "destination": [GUEST],
                "tags": {
                    "ses:configuration-set": ["MailConfigurationSet"],
                    "message": [message_key],
                    "session": [session["id"]],
                    "kind": ["scheduled"],
                },
            },
        },
    })
}

fn permanent(sub_type: &str) -> Value {
    json!({"bounceType": "Permanent", "bounceSubType": sub_type, "bouncedRecipients": []})
}

/// The message key of the invitation to the guest.
async fn message_key(world: &World, session: &Value) -> String {
    let partition = format!("SESSION#{}", session["id"].as_str().expect("an id"));
    let items = world.items(&partition).await.into_iter();
    let mut keys =
        items.filter_map(|item| Some(item["sk"].as_str()?.strip_prefix("MAIL#")?.to_owned()));
    keys.next().expect("a claim")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn repeated_report_changes_nothing() {
    let (world, trainer, session) = invited_guests().await;
    let mail = world.mail_id("scheduled", GUEST);
    world.return_mail(&mail, "hard").await;
    world.run_outbox_sweep().await;
    let statuses = world.delivery_statuses(&trainer, &session).await;
    for minutes in [0, 1, 90] {
        world.advance(SignedDuration::from_mins(minutes));
        world.return_mail(&mail, "hard").await;
        world.run_outbox_sweep().await;
    }
    assert_eq!(world.delivery_statuses(&trainer, &session).await, statuses);
    assert_eq!(world.return_notifications().await, 1);
    // One of two invitations, and the mail to the trainer.
    assert_eq!(world.mail_counts(&trainer, &session).await, json!({"sent": 2, "bounced": 1}));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn report_before_the_delivery_record_is_applied_later() {
    let world = World::start().await;
    let (trainer, session) = world.create_with_invitees(1).await;
    let to = GUEST;
    // The run cannot store that the mail was sent, as if it died.
    fan_out(&world).await;
    world.inject_fault(
        Fault::new(Service::Dynamodb, "TransactWriteItems", FaultKind::Error)
            .for_function("outbox-sweep")
            .times(99),
    );
    let run = "/local/schedules/outbox-sweep/run";
    world.call(http::Method::POST, run, "", None, &[]).await.expect(502);
    world.stack.faults.clear();
    assert_eq!(world.count_mails("scheduled", to), 1);
    // The first attempt fails, because the run might still store it.
    world.return_mail(&world.mail_id("scheduled", to), "hard").await;
    assert_eq!(world.mail_counts(&trainer, &session).await, json!({"queued": 1}));
    world.advance(AFTER_CLAIM);
    world.stack.event_targets.deliver().await;
    world.advance(SignedDuration::from_mins(2));
    world.stack.event_targets.deliver().await;
    assert_eq!(world.mail_counts(&trainer, &session).await, json!({"bounced": 1}));
    // The redelivered message sends no second mail.
    world.run_outbox_sweep().await;
    assert_eq!(world.count_mails("scheduled", to), 1);
    assert_eq!(world.suppressions().await.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn report_about_an_unknown_mail_only_suppresses_the_address() {
    let (world, trainer, session) = invited_guests().await;
    let before = world.delivery_statuses(&trainer, &session).await;
    let unknown = "0123456789abcdef0123456789abcdef";
    let mut event = report(&session, unknown, &permanent("General"), world.now());
    world.post("", "/local/events", event.clone()).await.expect(200);
    assert_eq!(world.delivery_statuses(&trainer, &session).await, before);
    assert_eq!((world.suppressions().await.len(), world.return_notifications().await), (1, 0));
    // A mail without our tags is of another sender.
    event["detail"]["mail"]["tags"] = json!({"ses:configuration-set": ["MailConfigurationSet"]});
    event["detail"]["mail"]["destination"] = json!(["stranger@example.test"]);
    world.post("", "/local/events", event).await.expect(200);
    assert_eq!(world.suppressions().await.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn address_on_the_list_of_the_ses_account_is_suppressed() {
    let world = World::start().await;
    let (trainer, session) = world.create_with_invitees(1).await;
    world.run_outbox_sweep().await;
    let key = message_key(&world, &session).await;
    let event = report(&session, &key, &permanent("OnAccountSuppressionList"), world.now());
    world.post("", "/local/events", event).await.expect(200);
    let statuses = world.delivery_statuses(&trainer, &session).await;
    let expected = json!("permanent_on_account_suppression_list");
    assert_eq!(statuses.last(), Some(&("bounced".to_owned(), expected)));
    assert_eq!(world.suppressions().await[0]["reason"], "bounce");
}
