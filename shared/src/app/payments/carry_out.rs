//! Carries out the steps of a payment, one after the other.
//!
//! Each step is idempotent and stores its result, and several workers may do the same payment at once. The enrollment and its
//! result are one transaction. A class has a derived id, and its transaction requires that the payment is not refunded.

use std::time::Duration;

use jiff::Timestamp;

use super::step::StepResult;
use super::{classes, enrollment, meetings};
use crate::app::Services;
use crate::app::error::Error;
use crate::app::run_time::RunTime;
use crate::domain::id::PaymentId;
use crate::domain::payment::{AttemptTime, Payment, PaymentState, PaymentStep};
use crate::store::error::CommitError;
use crate::store::payments;
use crate::telemetry::{error_chain, metrics};

/// The remaining time required for another step. A cancellation calls Zoom, which may answer late and be asked again.
const STEP_TIME: Duration = Duration::from_secs(15);
/// How often a worker reads a payment again that others change.
const RACES: u32 = 8;
/// The pause before that, plus up to as much jitter.
const RACE_PAUSE_MS: u64 = 50;

/// The outcome of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PaymentAttempt {
    /// Nothing is left to do.
    Finished,
    /// There is no such payment any more.
    Unknown,
    /// The rest is left to a later run, because a step failed or time is short.
    Postponed,
}

/// Carries out the steps that are left, as far as time allows.
pub async fn carry_out(
    services: &Services,
    id: &PaymentId,
    time: RunTime,
) -> Result<PaymentAttempt, Error> {
    let mut races = 0;
    let mut known = None;
    loop {
        let payment = match known.take() {
            Some(payment) => payment,
            None => match services.store.payment(id).await? {
                Some(payment) => payment,
                None => return Ok(PaymentAttempt::Unknown),
            },
        };
        // A refund that was given up has no work.
        let Some(step) = payment.next_step().filter(|_| payment.work.is_some()) else {
            return Ok(PaymentAttempt::Finished);
        };
        if !time.has_left(STEP_TIME) {
            return Ok(PaymentAttempt::Postponed);
        }
        // On the heap, because it is large.
        let done = Box::pin(do_step(services, &payment, step)).await;
        let StepResult { payment: next, mut actions } = match done {
            Ok(result) => result,
            Err(error) => return postpone(services, &payment, step, error).await,
        };
        actions.extend(payments::replace(Some(&payment), &next));
        match services.store.commit(actions).await {
            Ok(()) => {
                log_state(&payment, &next);
                known = Some(next);
            }
            // Another worker, a refund or the directory has changed something meanwhile.
            Err(CommitError::Refused(_)) if races < RACES => {
                races += 1;
                let pause = RACE_PAUSE_MS + services.random.below(RACE_PAUSE_MS);
                tokio::time::sleep(Duration::from_millis(pause)).await;
            }
            Err(CommitError::Refused(_)) => {
                let error = Error::busy("the payment is being changed");
                return postpone(services, &payment, step, error).await;
            }
            Err(error) => return postpone(services, &payment, step, error.into()).await,
        }
    }
}

async fn do_step(
    services: &Services,
    payment: &Payment,
    step: PaymentStep,
) -> Result<StepResult, Error> {
    let now = services.clock.now();
    match step {
        PaymentStep::Enroll => enrollment::grant(services, payment, now).await,
        PaymentStep::WithdrawEnrollment => enrollment::withdraw(services, payment, now).await,
        PaymentStep::BringMeetingsForward => {
            meetings::bring_forward(services, payment, now).await?;
            Ok(payment.with_meetings_due(services.clock.now()).into())
        }
        PaymentStep::CreateClass(index) => {
            let result = classes::create_class(services, payment, index, now).await?;
            Ok(payment.with_class(index, result, services.clock.now()).into())
        }
        PaymentStep::TakeBackClass(index) => {
            let result = classes::take_back(services, payment, index, now).await?;
            Ok(payment.with_class(index, result, services.clock.now()).into())
        }
    }
}

/// Stores that the attempt could not finish, so that a later run tries again.
async fn postpone(
    services: &Services,
    payment: &Payment,
    step: PaymentStep,
    error: Error,
) -> Result<PaymentAttempt, Error> {
    let payment_id = &payment.id;
    tracing::warn!(event = "payment.step_failed", %payment_id, ?step, error = error_chain(&error));
    let next = payment.postponed(attempt_time(services, services.clock.now()));
    match services.store.commit(payments::replace(Some(payment), &next)).await {
        Ok(()) => {
            if next.work.is_none() {
                tracing::error!(event = "payment.given_up", %payment_id, state = next.state.as_str());
                metrics::GIVEN_UP.count();
            }
            Ok(PaymentAttempt::Postponed)
        }
        // The request that has changed the payment goes on with it, and its due work stays in the queue.
        Err(CommitError::Refused(_)) => Ok(PaymentAttempt::Postponed),
        Err(error) => Err(error.into()),
    }
}

fn attempt_time(services: &Services, now: Timestamp) -> AttemptTime {
    const SPREAD: u64 = 1001;
    AttemptTime { now, spread: u16::try_from(services.random.below(SPREAD)).unwrap_or(0) }
}

fn log_state(before: &Payment, after: &Payment) {
    if before.state == after.state {
        return;
    }
    let (payment_id, state) = (&after.id, after.state.as_str());
    let counts = after.counts();
    let (created, failed, cancelled) = (counts.created, counts.failed, counts.cancelled);
    tracing::info!(event = "payment.finished", %payment_id, state, created, failed, cancelled);
    if after.state == PaymentState::Done && failed > 0 {
        tracing::warn!(event = "payment.classes_failed", %payment_id, failed);
    }
}
