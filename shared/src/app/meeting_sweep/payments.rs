//! Finishes payments after a lost message or a failed step.

use std::time::Duration;

use jiff::Timestamp;

use super::MeetingReport;
use crate::app::Services;
use crate::app::error::Error;
use crate::app::payments::{PaymentAttempt, carry_out};
use crate::app::run_time::RunTime;
use crate::telemetry::error_chain;

/// The remaining time required for another payment: a step of it, and the hosts that are due after the payments.
const PAYMENT_TIME: Duration = Duration::from_secs(60);

/// Carries out the due payments, oldest first and one after the other. A failed one does not block the others.
pub(super) async fn carry_out_due_payments(
    tools: &Services,
    now: Timestamp,
    time: RunTime,
    report: &mut MeetingReport,
) -> Result<(), Error> {
    let due = tools.store.due_payments(now).await?;
    report.due += due.len();
    let mut last_error = None;
    for (done, payment) in due.iter().enumerate() {
        if !time.has_left(PAYMENT_TIME) {
            report.leave(due.len() - done);
            break;
        }
        // On the heap, because it is large.
        match Box::pin(carry_out(tools, &payment.payment, time)).await {
            Ok(PaymentAttempt::Finished) => report.payments_finished += 1,
            Ok(PaymentAttempt::Postponed) => report.postponed += 1,
            Ok(PaymentAttempt::Unknown) => tools.store.commit_one(payment.delete()).await?,
            Err(error) => {
                let (payment_id, error_text) = (&payment.payment, error_chain(&error).to_string());
                tracing::error!(event = "payment.failed", %payment_id, error = error_text);
                // An unreadable payment waits, and the alarm of its metric reports it.
                if !error.is_unreadable_item() {
                    last_error = Some(error);
                }
            }
        }
    }
    last_error.map_or(Ok(()), Err)
}
