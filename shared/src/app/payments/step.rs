//! The result of one step.

use crate::domain::payment::Payment;
use crate::store::tx::Action;

/// The payment after a step, and the data that is stored with it.
pub(super) struct StepResult {
    pub(super) payment: Payment,
    pub(super) actions: Vec<Action>,
}

impl From<Payment> for StepResult {
    fn from(payment: Payment) -> Self {
        Self { payment, actions: Vec::new() }
    }
}
