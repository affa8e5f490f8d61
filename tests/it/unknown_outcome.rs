//! Mails of which nobody can tell whether the service accepted them, and writes whose response is lost.

use jiff::SignedDuration;
use local::calls::Service;
use local::faults::{Fault, FaultKind};
use serde_json::{Value, json};
use shared::domain::mailing::Mail;
use shared::domain::mailing::claim::NextAttempt;
use shared::domain::time::plus;
use shared::store::error::CommitError;
use shared::store::mailing::{ClaimResult, release_claim, release_outbox_lease, take_outbox_lease};
use tokio::time::Duration;

use crate::functions::{DirectFunctions, store};
use crate::outbox_faults::{AFTER_CLAIM, OUTBOX_DLQ, OUTBOX_QUEUE, RUN_TIME};
use crate::urgency::fan_out;
use crate::world::World;

/// The ends of two leases.
const FIRST: Duration = Duration::from_secs(100);
const SECOND: Duration = Duration::from_secs(200);

/// Runs the sweep several times, with pauses that exceed every delay of a mail.
async fn run_until_idle(world: &World, direct: &DirectFunctions) {
    for _ in 0..6 {
        world.advance(SignedDuration::from_hours(3));
        direct.run_outbox_sweep(RUN_TIME).await.expect("the run succeeds");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unanswered_mail_is_sent_once_more_and_not_by_a_redrive() {
    let cases = [
        (Service::Ses, FaultKind::Lost),
        (Service::Ses, FaultKind::Late),
        (Service::Ses, FaultKind::Half),
        (Service::Zeptomail, FaultKind::Lost),
        (Service::Zeptomail, FaultKind::Half),
    ];
    let checks = cases.map(|(service, kind)| async move {
        let world = World::start().await;
        let (trainer, session) = world.create_with_invitees(1).await;
        let name = if service == Service::Ses { "ses" } else { "zeptomail" };
        let direct = DirectFunctions::new(&world, &[("MAIL_PROVIDER", name)]);
        let sends = || world.stack.usage.calls("outbox-sweep", service, "SendEmail");
        world.inject_fault(Fault::new(service, "SendEmail", kind).times(9));
        let context = format!("{service} {kind:?}");

        let report = direct.run_outbox_sweep(RUN_TIME).await.expect("the run succeeds");
        assert_eq!(report["retried"], 1, "{context}: {report}");
        let trainer_token = trainer;
        assert_eq!(world.mail_counts(&trainer_token, &session).await, json!({"retrying": 1}));
        world.advance(SignedDuration::from_mins(1));
        let report = direct.run_outbox_sweep(RUN_TIME).await.expect("the run succeeds");
        assert_eq!(report["dead"], 1, "{context}: {report}");
        assert_eq!((world.depth(OUTBOX_QUEUE), world.depth(OUTBOX_DLQ)), (0, 1), "{context}");
        let dead = world.messages(OUTBOX_DLQ).await.remove(0);
        assert!(dead.contains("\"error\":\"outcome_unknown\""), "{context}: {dead}");
        world.advance(SignedDuration::from_secs(1));
        let statuses = world.delivery_statuses(&trainer_token, &session).await;
        let last = statuses.last().cloned();
        assert_eq!(last, Some(("dead".to_owned(), json!("outcome_unknown"))), "{context}");

        for _ in 0..2 {
            world.redrive().await;
            run_until_idle(&world, &direct).await;
        }
        assert_eq!(sends(), 2, "{context}");
        assert_eq!((world.depth(OUTBOX_QUEUE), world.depth(OUTBOX_DLQ)), (0, 0), "{context}");
        let trainer = world.trainer().await;
        assert_eq!(world.mail_counts(&trainer, &session).await, json!({"dead": 1}), "{context}");
    });
    futures::future::join_all(checks).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mail_without_an_answer_is_counted_once_the_service_responds() {
    let world = World::start().await;
    let (trainer, session) = world.create_with_invitees(1).await;
    for kind in [FaultKind::Error, FaultKind::Lost, FaultKind::Error] {
        world.inject_fault(Fault::new(Service::Ses, "SendEmail", kind));
        let report = world.run_outbox_sweep().await;
        assert_eq!(report["retried"], 1, "{kind:?}: {report}");
        world.advance(SignedDuration::from_hours(2));
    }
    assert_eq!(world.run_outbox_sweep().await["sent"], 1);
    assert_eq!(world.mail_counts(&trainer, &session).await, json!({"sent": 1}));
    assert_eq!(world.sent_mails().await.len(), 2, "the unanswered one and the last one");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unreachable_mail_service_uses_all_attempts_and_a_redrive_sends() {
    let world = World::start().await;
    let (_, session) = world.create_with_invitees(1).await;
    let nowhere = DirectFunctions::new(&world, &[("AWS_ENDPOINT_URL_SESV2", "http://127.0.0.1:9")]);
    for attempt in 1..=5 {
        let report = nowhere.run_outbox_sweep(RUN_TIME).await.expect("the run succeeds");
        let expected = if attempt < 5 { "retried" } else { "dead" };
        assert_eq!(report[expected], 1, "attempt {attempt}: {report}");
        world.advance(SignedDuration::from_hours(2));
    }
    let dead = world.messages(OUTBOX_DLQ).await.remove(0);
    assert!(dead.contains("\"error\":\"no connection\""), "{dead}");
    world.redrive().await;
    assert_eq!(world.run_outbox_sweep().await["sent"], 1);
    let trainer = world.trainer().await;
    assert_eq!(world.mail_counts(&trainer, &session).await, json!({"sent": 1}));
}

/// Returns the claims of a session's mails.
async fn claims(world: &World, session: &Value) -> Vec<Value> {
    let partition = format!("SESSION#{}", session["id"].as_str().expect("an id"));
    let mut claims = world.items(&partition).await;
    claims.retain(|item| item["sk"].as_str().is_some_and(|sk| sk.starts_with("MAIL#")));
    claims
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn update_repeated_after_a_lost_response_is_applied_once() {
    let mut updates = 0;
    loop {
        let world = World::start().await;
        let (trainer, session) = world.create_with_invitees(1).await;
        // The service refuses the mail because of its rate limit, so the claim is released.
        world.inject_fault(Fault::new(Service::Ses, "SendEmail", FaultKind::Throttle));
        let fault = Fault::new(Service::Dynamodb, "UpdateItem", FaultKind::Lost);
        world.inject_fault(fault.for_function("outbox-sweep").after(updates));
        let report = world.run_outbox_sweep().await;
        assert!(report["claimed"].as_u64() >= Some(1), "update {updates}: {report}");
        let hit = world.stack.faults.list().is_empty();
        world.stack.faults.clear();
        for claim in claims(&world, &session).await {
            let attempts = claim["attempts"].as_i64();
            assert!(matches!(attempts, Some(0 | 1)), "update {updates}: {claim}");
        }
        world.advance(AFTER_CLAIM);
        world.run_outbox_sweep().await;
        assert_eq!(world.mail_counts(&trainer, &session).await, json!({"sent": 1}), "{updates}");
        assert_eq!(world.sent_mails().await.len(), 1, "update {updates}");
        if !hit {
            break;
        }
        updates += 1;
    }
    assert!(updates >= 4, "mark as notified, lease, claim and release, but {updates}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn claim_with_a_negative_counter_is_still_sent() {
    let world = World::start().await;
    let (trainer, session) = world.create_with_invitees(1).await;
    world.inject_fault(Fault::new(Service::Ses, "SendEmail", FaultKind::Error));
    world.run_outbox_sweep().await;
    let claim = claims(&world, &session).await.remove(0);
    let text = |name: &str| {
        let value = claim[name].as_str().expect("a text");
        aws_sdk_dynamodb::types::AttributeValue::S(value.to_owned())
    };
    let minus_one = aws_sdk_dynamodb::types::AttributeValue::N("-2".to_owned());
    let update = world.dynamodb().update_item().table_name("MainTable");
    let update = update.key("pk", text("pk")).key("sk", text("sk"));
    let update =
        update.update_expression("SET attempts = :n").expression_attribute_values(":n", minus_one);
    update.send().await.expect("an update");
    world.advance(SignedDuration::from_mins(1));
    assert_eq!(world.run_outbox_sweep().await["sent"], 1);
    assert_eq!(world.mail_counts(&trainer, &session).await, json!({"sent": 1}));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lease_or_claim_is_released_by_its_holder_only() {
    let world = World::start().await;
    let (store, now) = (store(&world), world.now());
    let (first, second) = (plus(now, FIRST), plus(now, SECOND));
    // The first run is so slow that its lease and its claim have expired, and a second run has taken both.
    store.commit_one(take_outbox_lease("first", now, first)).await.expect("it is free");
    store.commit_one(take_outbox_lease("second", first, second)).await.expect("it has expired");
    let refused = store.commit_one(release_outbox_lease("first")).await;
    assert!(matches!(refused, Err(CommitError::Refused(_))), "{refused:?}");
    store.commit_one(release_outbox_lease("second")).await.expect("it is its own");

    let (_, session) = world.create_with_invitees(1).await;
    fan_out(&world).await;
    let message = world.messages(OUTBOX_QUEUE).await.into_iter();
    let mail = message.filter_map(|text| serde_json::from_str::<Mail>(&text).ok()).next();
    let mail = mail.expect("a waiting mail");
    let claimed = store.claim_mail(&mail, now, first).await.expect("it is claimed");
    let ClaimResult::Claimed(claim) = claimed else { panic!("{claimed:?}") };
    let again = store.reclaim_mail(&mail, &claim, NextAttempt::Lost, first, second).await;
    let ClaimResult::Claimed(reclaimed) = again.expect("it is claimed") else {
        panic!("the claim has expired")
    };
    let release = |holder| release_claim(&mail.subject, &mail.message_key, holder);
    let refused = store.commit_one(release(&claim.holder)).await;
    assert!(matches!(refused, Err(CommitError::Refused(_))), "{refused:?}");
    assert_eq!(claims(&world, &session).await[0]["attempts"], 2);
    store.commit_one(release(&reclaimed.holder)).await.expect("it is its own");
    assert_eq!(claims(&world, &session).await[0]["attempts"], 1);
}
