//! A report is applied once, whichever call fails.

use local::calls::Service;
use local::faults::{Fault, FaultKind};
use serde_json::json;

use super::{GUEST, invited_guests};
use jiff::SignedDuration;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn report_is_applied_once_after_a_failure_at_any_call() {
    for (operation, kind) in [
        ("BatchGetItem", FaultKind::Error),
        ("Query", FaultKind::Throttle),
        ("TransactWriteItems", FaultKind::Error),
        ("TransactWriteItems", FaultKind::Conflict),
        // The write is carried out, and its response is lost.
        ("TransactWriteItems", FaultKind::Lost),
    ] {
        let (world, trainer, session) = invited_guests().await;
        let fault = Fault::new(Service::Dynamodb, operation, kind).for_function("mail-events");
        world.inject_fault(fault.times(12));
        world.return_mail(&world.mail_id("scheduled", GUEST), "hard").await;
        world.stack.faults.clear();
        for minutes in [1, 2] {
            world.advance(SignedDuration::from_mins(minutes));
            world.stack.event_targets.deliver().await;
        }
        world.run_outbox_sweep().await;
        let counts = world.mail_counts(&trainer, &session).await;
        assert_eq!(counts, json!({"sent": 2, "bounced": 1}), "{operation} {kind:?}");
        assert_eq!(world.return_notifications().await, 1, "{operation} {kind:?}");
        let statuses = world.delivery_statuses(&trainer, &session).await;
        let bounced = statuses.iter().filter(|(status, _)| status == "bounced");
        assert_eq!(bounced.count(), 1, "{operation} {kind:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn report_that_always_fails_goes_to_the_dead_letter_queue() {
    let (world, trainer, session) = invited_guests().await;
    world.inject_fault(
        Fault::new(Service::Dynamodb, "*", FaultKind::Error).for_function("mail-events").times(999),
    );
    world.return_mail(&world.mail_id("scheduled", GUEST), "hard").await;
    for minutes in [1, 2] {
        world.advance(SignedDuration::from_mins(minutes));
        world.stack.event_targets.deliver().await;
    }
    world.stack.faults.clear();
    assert_eq!(world.stack.aws.queues().depth("DirectoryDeadLetterQueue").visible, 1);
    assert_eq!(world.mail_counts(&trainer, &session).await, json!({"sent": 2}));
}
