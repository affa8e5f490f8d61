//! Payments, the classes that they have not created yet, and their due work.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::due_work::due_ttl;
use super::error::StoreError;
use super::item::{decode, decode_readable, encode, or_default};
use super::schema::{
    DueQueue, ItemKey, PAYMENT_PREFIX, attr, due_partition, limit, user_partition,
};
use super::tx::{Action, Condition, Item, number, text};
use super::{BatchItems, KeyRange, Store};
use crate::domain::id::{CourseId, PaymentId, UserId};
use crate::domain::payment::{ClassResult, EnrollmentResult, Payment, PaymentState, PaymentWork};
use crate::domain::session_window::JoinWindowSettings;
use crate::domain::time::sortable_text;

/// Due payments that a run of the sweep reads, more than it has time for.
const DUE_PAYMENTS_PAGE: i32 = 200;

#[derive(Serialize, Deserialize)]
struct StoredPayment {
    payment_id: PaymentId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    user_id: Option<UserId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    course_id: Option<CourseId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    body_hash: Option<String>,
    state: PaymentState,
    enrollment: EnrollmentResult,
    #[serde(default)]
    are_meetings_due: bool,
    #[serde(default)]
    classes: Vec<StoredClass>,
    #[serde(default, deserialize_with = "or_default")]
    window: JoinWindowSettings,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    work: Option<PaymentWork>,
    version: u64,
    requested_at: Timestamp,
    updated_at: Timestamp,
    #[serde(rename = "expires_at")]
    ttl: i64,
}

/// A class of a payment, under short names, because the record is written after each of fifty.
#[derive(Serialize, Deserialize)]
struct StoredClass {
    #[serde(rename = "r")]
    result: StoredResult,
    #[serde(rename = "c", default, skip_serializing_if = "Option::is_none")]
    code: Option<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum StoredResult {
    Pending,
    Created,
    Failed,
    Cancelled,
    Retained,
    Withdrawn,
}

impl From<&ClassResult> for StoredClass {
    fn from(class: &ClassResult) -> Self {
        let (result, code) = match class {
            ClassResult::Pending => (StoredResult::Pending, None),
            ClassResult::Created => (StoredResult::Created, None),
            ClassResult::Failed { code } => (StoredResult::Failed, Some(code.clone())),
            ClassResult::Cancelled => (StoredResult::Cancelled, None),
            ClassResult::Retained => (StoredResult::Retained, None),
            ClassResult::Withdrawn => (StoredResult::Withdrawn, None),
        };
        Self { result, code }
    }
}

impl From<StoredClass> for ClassResult {
    fn from(stored: StoredClass) -> Self {
        match stored.result {
            StoredResult::Pending => Self::Pending,
            StoredResult::Created => Self::Created,
            StoredResult::Failed => Self::Failed { code: stored.code.unwrap_or_default() },
            StoredResult::Cancelled => Self::Cancelled,
            StoredResult::Retained => Self::Retained,
            StoredResult::Withdrawn => Self::Withdrawn,
        }
    }
}

impl From<&Payment> for StoredPayment {
    fn from(payment: &Payment) -> Self {
        Self {
            payment_id: payment.id.clone(),
            user_id: payment.user.clone(),
            course_id: payment.course.clone(),
            body_hash: payment.body_hash.clone(),
            state: payment.state,
            enrollment: payment.enrollment,
            are_meetings_due: payment.are_meetings_due,
            classes: payment.classes.iter().map(StoredClass::from).collect(),
            window: payment.window,
            work: payment.work,
            version: payment.version,
            requested_at: payment.requested_at,
            updated_at: payment.updated_at,
            ttl: payment_ttl(payment),
        }
    }
}

impl From<StoredPayment> for Payment {
    fn from(stored: StoredPayment) -> Self {
        Self {
            id: stored.payment_id,
            user: stored.user_id,
            course: stored.course_id,
            body_hash: stored.body_hash,
            state: stored.state,
            enrollment: stored.enrollment,
            are_meetings_due: stored.are_meetings_due,
            classes: stored.classes.into_iter().map(ClassResult::from).collect(),
            window: stored.window,
            work: stored.work,
            version: stored.version,
            requested_at: stored.requested_at,
            updated_at: stored.updated_at,
        }
    }
}

fn payment_ttl(payment: &Payment) -> i64 {
    let life = SignedDuration::from_hours(24 * limit::PAYMENT_TTL_DAYS);
    payment.updated_at.saturating_add(life).unwrap_or(payment.updated_at).as_second()
}

/// The end of the pointer from the student to the payment. A refund near the end of the payment's life keeps the payment for
/// another one, and an erasure must find it until then.
fn pointer_ttl(payment: &Payment) -> i64 {
    let days = 2 * limit::PAYMENT_TTL_DAYS + limit::DUE_TTL_DAYS + limit::LATE_DELETION_DAYS;
    let life = SignedDuration::from_hours(24 * days);
    payment.requested_at.saturating_add(life).unwrap_or(payment.requested_at).as_second()
}

/// A class that a payment has not created yet. It is deleted with its result.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PaidClassRequest {
    pub trainer_id: UserId,
    /// The save body as JSON, with its time zone.
    pub body: String,
}

#[derive(Serialize, Deserialize)]
struct StoredClassRequest {
    #[serde(flatten)]
    request: PaidClassRequest,
    #[serde(rename = "expires_at")]
    ttl: i64,
}

#[derive(Serialize, Deserialize)]
struct StoredPointer {
    payment_id: PaymentId,
    #[serde(rename = "expires_at")]
    ttl: i64,
}

#[derive(Serialize, Deserialize)]
struct StoredDuePayment {
    payment_id: PaymentId,
    due_at: Timestamp,
    #[serde(rename = "expires_at")]
    ttl: i64,
}

/// A payment in the queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DuePayment {
    pub payment: PaymentId,
    pub due_at: Timestamp,
}

/// Stores a payment that was requested now, with its classes, its due work and the pointer from its student. Refused if it
/// exists.
pub fn create(payment: &Payment, classes: &[PaidClassRequest]) -> Vec<Action> {
    let mut actions = replace(None, payment);
    let ttl = due_ttl(payment.requested_at);
    actions.extend(classes.iter().enumerate().map(|(index, request)| {
        let item = encode(&StoredClassRequest { request: request.clone(), ttl });
        Action::put(ItemKey::PaidClass { payment: &payment.id, index }, item, Condition::new())
    }));
    actions.extend(payment.user.as_ref().map(|user| {
        let ttl = pointer_ttl(payment);
        let item = encode(&StoredPointer { payment_id: payment.id.clone(), ttl });
        let key = ItemKey::PaymentOfUser { user, payment: &payment.id };
        Action::put(key, item, Condition::new()).requested_at(payment.requested_at)
    }));
    actions
}

/// Replaces a payment that was read, or stores the first one, with its due work. The requests of classes that have a result
/// now are deleted. Refused if the payment has changed since.
pub fn replace(before: Option<&Payment>, after: &Payment) -> Vec<Action> {
    let condition = match before {
        Some(before) => Condition::new().equals(attr::VERSION, number(before.version)),
        None => Condition::item_absent(),
    };
    let key = ItemKey::Payment(&after.id);
    let mut actions = vec![Action::put(key, encode(&StoredPayment::from(after)), condition)];
    let due_at = |payment: &Payment| payment.work.map(|work| work.due_at);
    let (old, new) = (before.and_then(due_at), due_at(after));
    // A transaction must not write one item twice.
    actions.extend(old.filter(|_| old != new).map(|at| DuePayment::of(after, at).delete()));
    actions.extend(new.filter(|_| old != new).map(|at| DuePayment::of(after, at).put()));
    let classes = before.map(|before| before.classes.as_slice()).unwrap_or_default();
    let is_pending = |class: &ClassResult| *class == ClassResult::Pending;
    let classes = classes.iter().zip(&after.classes).enumerate();
    let settled = classes.filter(|(_, (old, new))| is_pending(old) && !is_pending(new));
    actions.extend(settled.map(|(index, _)| {
        Action::delete(ItemKey::PaidClass { payment: &after.id, index }, Condition::new())
    }));
    actions
}

/// Refuses a transaction that creates a class of a payment whose steps are no longer carried out, because it is refunded.
pub fn require_pending(payment: &PaymentId) -> Action {
    let state = text(PaymentState::Pending.as_str());
    Action::check(ItemKey::Payment(payment), Condition::new().equals(attr::STATE, state))
}

impl DuePayment {
    fn of(payment: &Payment, due_at: Timestamp) -> Self {
        Self { payment: payment.id.clone(), due_at }
    }

    fn put(&self) -> Action {
        let stored = StoredDuePayment {
            payment_id: self.payment.clone(),
            due_at: self.due_at,
            ttl: due_ttl(self.due_at),
        };
        Action::put(self.key(), encode(&stored), Condition::new())
    }

    /// Removes the payment from the queue.
    pub fn delete(&self) -> Action {
        Action::delete(self.key(), Condition::new())
    }

    fn key(&self) -> ItemKey<'_> {
        ItemKey::Due { queue: DueQueue::Payments, at: self.due_at, key: self.payment.as_str() }
    }
}

fn decode_payment(item: Option<Item>) -> Result<Option<Payment>, StoreError> {
    item.map(|item| decode::<StoredPayment>(item).map(Payment::from)).transpose()
}

impl Store {
    /// Returns a payment with strong consistency.
    pub async fn payment(&self, id: &PaymentId) -> Result<Option<Payment>, StoreError> {
        decode_payment(self.get(ItemKey::Payment(id)).await?)
    }

    /// Returns a class that a payment has not created yet.
    pub async fn paid_class(
        &self,
        payment: &PaymentId,
        index: usize,
    ) -> Result<Option<PaidClassRequest>, StoreError> {
        let item = self.get(ItemKey::PaidClass { payment, index }).await?;
        Ok(item.map(decode::<StoredClassRequest>).transpose()?.map(|stored| stored.request))
    }

    /// Returns the payments that are due at `now`, oldest first.
    pub async fn due_payments(&self, now: Timestamp) -> Result<Vec<DuePayment>, StoreError> {
        let range = KeyRange {
            pk: due_partition(DueQueue::Payments),
            // '~' sorts after the '#' that follows the time, so that work due at exactly `now` is included.
            to: Some(format!("{}~", sortable_text(now))),
            limit: Some(DUE_PAYMENTS_PAGE),
            consistent: true,
            ..KeyRange::default()
        };
        let stored = decode_readable::<StoredDuePayment>(self.query(range).await?.items);
        let due = stored.map(|due| DuePayment { payment: due.payment_id, due_at: due.due_at });
        Ok(due.collect())
    }

    /// Returns the payments of a student. With `until`, it leaves out those that were requested later.
    pub async fn payments_of(
        &self,
        user: &UserId,
        until: Option<Timestamp>,
    ) -> Result<Vec<PaymentId>, StoreError> {
        let range = KeyRange {
            pk: user_partition(user),
            prefix: Some(PAYMENT_PREFIX.to_owned()),
            consistent: true,
            ..KeyRange::default()
        };
        let mut items = self.query_all(range).await?;
        let requested_ms = |item: &Item| item.get(attr::REQUESTED_MS)?.as_n().ok()?.parse().ok();
        items.retain(|item| {
            let at: Option<i64> = requested_ms(item);
            until.is_none_or(|until| at.is_none_or(|at| at < until.as_millisecond()))
        });
        Ok(decode_readable::<StoredPointer>(items).map(|stored| stored.payment_id).collect())
    }
}

impl BatchItems {
    pub(crate) fn payment(&mut self, id: &PaymentId) -> Result<Option<Payment>, StoreError> {
        decode_payment(self.take(ItemKey::Payment(id)))
    }
}
