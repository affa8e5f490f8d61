//! Payments of the host platform: requests, refunds and reads. `carry_out` does the steps.
//!
//! A request is stored with its due work in one transaction, and a message of the payments queue starts the steps at once. If
//! the message is lost, or a step cannot be done, the meeting sweep finds the due work. A refund is stored in the same way.

mod carry_out;
mod classes;
mod enrollment;
mod meetings;
mod step;

use std::collections::BTreeSet;

use jiff::Timestamp;

pub use self::carry_out::{PaymentAttempt, carry_out};

use super::Services;
use super::error::Error;
use crate::domain::directory::User;
use crate::domain::draft::{OpenDraft, SaveBody};
use crate::domain::id::{CourseId, PaymentId, UserId};
use crate::domain::payment::{Payment, RequestedPayment};
use crate::domain::refusal::{FieldError, Refusal};
use crate::domain::session_window::JoinWindowSettings;
use crate::domain::text::Email;
use crate::domain::time::{Zone, whole_milli, whole_second};
use crate::queue::PaymentQueue;
use crate::store::error::CommitError;
use crate::store::payments::PaidClassRequest;
use crate::store::schema::ItemKey;
use crate::store::tx::{Action, ConditionSubject};
use crate::store::{erasures, payments};

/// Attempts at a change while others change the same payment.
const ATTEMPTS: usize = 5;

/// The services that payments use.
#[derive(Clone, Debug)]
pub struct PaymentTools {
    pub services: Services,
    /// Without one, the meeting sweep carries out every payment.
    pub queue: Option<PaymentQueue>,
}

/// A payment as the platform sends it.
#[derive(Clone, Debug)]
pub struct PaymentCommand {
    pub id: PaymentId,
    pub user: UserId,
    pub course: Option<CourseId>,
    pub classes: Vec<ClassCommand>,
    /// The hash of the body. The same id with another body is refused.
    pub body_hash: String,
    pub window: JoinWindowSettings,
}

/// A class of a payment.
#[derive(Clone, Debug)]
pub struct ClassCommand {
    pub trainer: UserId,
    pub body: SaveBody,
    /// The same body as JSON. It is stored until the class is created.
    pub text: String,
}

/// A read of a payment.
pub async fn load(tools: &PaymentTools, id: &PaymentId) -> Result<Payment, Error> {
    Ok(tools.services.store.payment(id).await?.ok_or(Refusal::NotFound)?)
}

/// Stores a payment, and starts its steps. It is idempotent: a payment that exists is returned as it is.
pub async fn request(
    tools: &PaymentTools,
    command: &PaymentCommand,
    now: Timestamp,
) -> Result<Payment, Error> {
    for _ in 0..ATTEMPTS {
        let (actions, payment) = match decide(tools, command, now).await? {
            Decision::Known(payment) => {
                // A repetition may follow a lost message.
                tools.wake(&payment).await;
                return Ok(*payment);
            }
            Decision::Change(actions, payment) => (actions, payment),
        };
        match tools.services.store.commit(actions).await {
            Ok(()) => {
                let (payment_id, classes) = (&payment.id, payment.classes.len());
                tracing::info!(event = "payment.requested", %payment_id, classes);
                tools.wake(&payment).await;
                return Ok(*payment);
            }
            Err(error) if error.refused(ConditionSubject::Erasure) => {
                return Err(Refusal::USER_ERASED.into());
            }
            Err(CommitError::Refused(_)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(Error::busy("the payment is being changed"))
}

/// Stores a refund, and starts it. It is idempotent. A refund that comes before its payment is kept.
pub async fn refund(
    tools: &PaymentTools,
    id: &PaymentId,
    now: Timestamp,
) -> Result<Payment, Error> {
    let store = &tools.services.store;
    for _ in 0..ATTEMPTS {
        let before = store.payment(id).await?;
        let after = match &before {
            None => Some(Payment::refunded_first(id.clone(), now)),
            Some(payment) => payment.with_refund(now),
        };
        let after = match (before.as_ref(), after) {
            (Some(before), None) => {
                tools.wake(before).await;
                return Ok(before.clone());
            }
            (_, Some(after)) => after,
            (None, None) => continue,
        };
        match store.commit(payments::replace(before.as_ref(), &after)).await {
            Ok(()) => {
                let state = after.state.as_str();
                tracing::info!(event = "payment.refund_requested", payment_id = %id, state);
                tools.wake(&after).await;
                return Ok(after);
            }
            Err(CommitError::Refused(_)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(Error::busy("the payment is being changed"))
}

/// Stores a payment that the platform issued at `issued_at`. One that is delivered after a later erasure of its student is
/// ignored.
pub async fn request_issued(
    tools: &PaymentTools,
    command: &PaymentCommand,
    issued_at: Timestamp,
    now: Timestamp,
) -> Result<(), Error> {
    let subjects = [erasures::person_digest(&command.user)];
    let erased_at = tools.services.store.last_erasure(&subjects).await?;
    // EventBridge's times have whole seconds.
    if erased_at.is_some_and(|erased_at| issued_at < whole_second(erased_at)) {
        tracing::info!(event = "payment.overtaken", payment_id = %command.id);
        return Ok(());
    }
    request(tools, command, now).await.map(drop)
}

impl PaymentTools {
    /// Sends the message that starts the steps, if some are due.
    async fn wake(&self, payment: &Payment) {
        let is_due = payment.work.is_some_and(|work| work.attempts == 0);
        if let Some(queue) = self.queue.as_ref().filter(|_| is_due) {
            queue.send(&payment.id).await;
        }
    }
}

enum Decision {
    /// The payment exists.
    Known(Box<Payment>),
    Change(Vec<Action>, Box<Payment>),
}

/// Decides about a request. A payment that exists is recognized before the body is checked, because the start of a class may
/// have passed since.
async fn decide(
    tools: &PaymentTools,
    command: &PaymentCommand,
    now: Timestamp,
) -> Result<Decision, Error> {
    let mut keys = vec![ItemKey::Payment(&command.id), ItemKey::User(&command.user)];
    keys.extend(command.course.as_ref().map(ItemKey::Course));
    let mut found = tools.services.store.batch_get(&keys).await?;
    if let Some(payment) = found.payment(&command.id)? {
        return match &payment.body_hash {
            Some(hash) if *hash == command.body_hash => Ok(Decision::Known(Box::new(payment))),
            Some(_) => Err(Refusal::PaymentIdReused.into()),
            // The refund came first.
            None => {
                let next = payment.with_late_request(command.body_hash.clone(), now);
                let actions = payments::replace(Some(&payment), &next);
                Ok(Decision::Change(actions, Box::new(next)))
            }
        };
    }
    let course = command.course.as_ref().map(|id| found.course(id)).transpose()?.flatten();
    let drafts = check(command, found.user(&command.user)?.is_some(), course.is_some(), now)?;
    check_invited_users(tools, &drafts).await?;
    let requested = RequestedPayment {
        id: command.id.clone(),
        user: command.user.clone(),
        course: command.course.clone(),
        body_hash: command.body_hash.clone(),
        classes: command.classes.len(),
        window: command.window,
    };
    let payment = Payment::requested(requested, now);
    let classes: Vec<_> = command.classes.iter().map(ClassCommand::to_stored).collect();
    let mut actions = payments::create(&payment, &classes);
    actions.push(erasures::require_not_erased(&command.user, whole_milli(now)));
    Ok(Decision::Change(actions, Box::new(payment)))
}

impl ClassCommand {
    fn to_stored(&self) -> PaidClassRequest {
        PaidClassRequest { trainer_id: self.trainer.clone(), body: self.text.clone() }
    }
}

/// Checks every field, and returns the errors of all classes at once.
fn check(
    command: &PaymentCommand,
    is_user_known: bool,
    is_course_known: bool,
    now: Timestamp,
) -> Result<Vec<OpenDraft>, Refusal> {
    let mut errors = Vec::new();
    if !is_user_known {
        errors.push(FieldError::new("user_id", "is not a user of the directory"));
    }
    if command.course.is_some() && !is_course_known {
        errors.push(FieldError::new("course_id", "is not a course of the directory"));
    }
    let mut drafts = Vec::with_capacity(command.classes.len());
    for (index, class) in command.classes.iter().enumerate() {
        match OpenDraft::check(class.body.clone(), &Zone::utc(), now) {
            Ok(draft) => drafts.push(draft),
            Err(Refusal::Invalid(invalid)) => errors.extend(invalid.into_iter().map(|error| {
                FieldError::new(format!("sessions[{index}].{}", error.field), error.message)
            })),
            Err(refusal) => return Err(refusal),
        }
    }
    if errors.is_empty() { Ok(drafts) } else { Err(Refusal::Invalid(errors)) }
}

/// Refuses classes that invite users without an address in the directory.
async fn check_invited_users(tools: &PaymentTools, drafts: &[OpenDraft]) -> Result<(), Error> {
    let invited: BTreeSet<_> = drafts.iter().flat_map(OpenDraft::invited_users).collect();
    if invited.is_empty() {
        return Ok(());
    }
    let known = tools.services.store.directory_entries(&invited).await?;
    let has_address = |user: &UserId| known.get(user).is_some_and(|entry| entry.email.is_some());
    let is_known = |draft: &OpenDraft| draft.invited_users().into_iter().all(has_address);
    let unknown = drafts.iter().enumerate().filter(|(_, draft)| !is_known(draft));
    let errors: Vec<_> = unknown
        .map(|(index, _)| {
            let field = format!("sessions[{index}].invitees");
            FieldError::new(field, "invites a user of whom the directory has no e-mail address")
        })
        .collect();
    if errors.is_empty() { Ok(()) } else { Err(Refusal::Invalid(errors).into()) }
}

/// Returns the present and the former addresses of a user.
fn addresses(user: &User) -> BTreeSet<Email> {
    user.emails().cloned().collect()
}

/// Removes an erased student from the payments that were requested, or from those before `until`. Steps that are left are not
/// carried out.
pub(super) async fn erase(
    services: &Services,
    user: &UserId,
    until: Option<Timestamp>,
) -> Result<(), Error> {
    let store = &services.store;
    for id in store.payments_of(user, until).await? {
        erase_from_payment(services, user, &id).await?;
    }
    Ok(())
}

async fn erase_from_payment(
    services: &Services,
    user: &UserId,
    id: &PaymentId,
) -> Result<(), Error> {
    let store = &services.store;
    for _ in 0..ATTEMPTS {
        let payment = store.payment(id).await?;
        let Some(payment) = payment.filter(|payment| payment.user.as_ref() == Some(user)) else {
            return Ok(());
        };
        let next = payment.without_user(services.clock.now());
        match store.commit(payments::replace(Some(&payment), &next)).await {
            Ok(()) => {
                tracing::info!(event = "payment.user_erased", payment_id = %id);
                return Ok(());
            }
            Err(CommitError::Refused(_)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(Error::busy("the payment is being changed"))
}
