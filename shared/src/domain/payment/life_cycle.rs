//! The life of a payment: the request, its steps, retries, the refund, and the erasure of the student.

use jiff::{SignedDuration, Timestamp};

use super::{ClassResult, EnrollmentResult, Payment, PaymentState, PaymentStep, PaymentWork};
use crate::domain::id::{CourseId, PaymentId, UserId};
use crate::domain::session_window::JoinWindowSettings;
use crate::domain::time::whole_milli;

/// The code of a class that could not be made within all attempts.
const UNAVAILABLE: &str = "unavailable";

/// The delay of the first retry, which is that of the sweep. It doubles with each attempt, up to the limit.
const RETRY: SignedDuration = SignedDuration::from_mins(5);
const RETRY_LIMIT: SignedDuration = SignedDuration::from_hours(6);
/// Attempts that could not finish: about nine days. Due work is kept for two weeks.
const ATTEMPTS_LIMIT: u32 = 40;

/// A checked request of the platform.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestedPayment {
    pub id: PaymentId,
    pub user: UserId,
    pub course: Option<CourseId>,
    pub body_hash: String,
    /// The number of classes.
    pub classes: usize,
    pub window: JoinWindowSettings,
}

/// The time of an attempt, and the random part of the delay of a retry in thousandths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AttemptTime {
    pub now: Timestamp,
    pub spread: u16,
}

impl AttemptTime {
    /// Returns the time after a delay that is up to a half longer than `delay`.
    fn after(self, delay: SignedDuration) -> Timestamp {
        let spread = delay.as_millis() * i128::from(self.spread.min(1000)) / 2000;
        let spread = SignedDuration::from_millis(i64::try_from(spread).unwrap_or(0));
        let at = self.now.saturating_add(delay).unwrap_or(self.now);
        whole_milli(at.saturating_add(spread).unwrap_or(at))
    }
}

impl PaymentWork {
    fn due(at: Timestamp) -> Self {
        Self { due_at: whole_milli(at), attempts: 0 }
    }

    /// Returns the work for another attempt. `None` after the last one.
    fn retry(self, time: AttemptTime) -> Option<Self> {
        let doubled = RETRY.checked_mul(1 << self.attempts.min(10)).unwrap_or(RETRY_LIMIT);
        let (attempts, due_at) = (self.attempts + 1, time.after(doubled.min(RETRY_LIMIT)));
        (attempts < ATTEMPTS_LIMIT).then_some(Self { due_at, attempts })
    }
}

impl Payment {
    /// Returns a payment with steps that are due now.
    pub fn requested(request: RequestedPayment, now: Timestamp) -> Self {
        let now = whole_milli(now);
        let enrollment = match request.course {
            Some(_) => EnrollmentResult::Pending,
            None => EnrollmentResult::None,
        };
        Self {
            id: request.id,
            user: Some(request.user),
            course: request.course,
            body_hash: Some(request.body_hash),
            state: PaymentState::Pending,
            enrollment,
            are_meetings_due: false,
            classes: vec![ClassResult::Pending; request.classes],
            window: request.window,
            work: Some(PaymentWork::due(now)),
            version: 1,
            requested_at: now,
            updated_at: now,
        }
    }

    /// Returns the record of a refund that came before its payment, which then brings nothing.
    pub fn refunded_first(id: PaymentId, now: Timestamp) -> Self {
        let now = whole_milli(now);
        Self {
            id,
            user: None,
            course: None,
            body_hash: None,
            state: PaymentState::Refunded,
            enrollment: EnrollmentResult::None,
            are_meetings_due: false,
            classes: Vec::new(),
            window: JoinWindowSettings::default(),
            work: None,
            version: 1,
            requested_at: now,
            updated_at: now,
        }
    }

    /// Returns the record of a refund with the request that has come now, so that another body is recognized.
    pub fn with_late_request(&self, body_hash: String, now: Timestamp) -> Self {
        Self { body_hash: Some(body_hash), ..self.changed(now) }
    }

    /// Returns the payment with its refund due. `None` if the refund is under way or carried out. A refund that was given up
    /// is tried again.
    pub fn with_refund(&self, now: Timestamp) -> Option<Self> {
        let is_under_way = self.state == PaymentState::Refunding && self.work.is_some();
        if is_under_way || self.state == PaymentState::Refunded {
            return None;
        }
        let mut next = self.changed(now);
        next.state = PaymentState::Refunding;
        next.work = Some(PaymentWork::due(now));
        next.enrollment = match next.enrollment {
            EnrollmentResult::Pending => EnrollmentResult::None,
            EnrollmentResult::AlreadyGranted => EnrollmentResult::Retained,
            other => other,
        };
        Some(next.finished_if_complete())
    }

    /// Returns the next step. `None` if nothing is left to do.
    pub fn next_step(&self) -> Option<PaymentStep> {
        match self.state {
            PaymentState::Pending if self.enrollment == EnrollmentResult::Pending => {
                Some(PaymentStep::Enroll)
            }
            PaymentState::Pending if !self.are_meetings_due => {
                Some(PaymentStep::BringMeetingsForward)
            }
            PaymentState::Pending => self
                .first_class(|result| *result == ClassResult::Pending)
                .map(PaymentStep::CreateClass),
            PaymentState::Refunding if self.enrollment == EnrollmentResult::Granted => {
                Some(PaymentStep::WithdrawEnrollment)
            }
            // A class may be stored although its result is not.
            PaymentState::Refunding => self
                .first_class(|result| matches!(result, ClassResult::Pending | ClassResult::Created))
                .map(PaymentStep::TakeBackClass),
            PaymentState::Done | PaymentState::Refunded => None,
        }
    }

    fn first_class(&self, is: impl Fn(&ClassResult) -> bool) -> Option<usize> {
        self.classes.iter().position(is)
    }

    /// Returns the payment with the result of the enrollment, or of its withdrawal.
    pub fn with_enrollment(&self, result: EnrollmentResult, now: Timestamp) -> Self {
        Self { enrollment: result, ..self.changed(now) }.finished_if_complete()
    }

    /// Returns the payment after the student's pending meetings were brought forward.
    pub fn with_meetings_due(&self, now: Timestamp) -> Self {
        Self { are_meetings_due: true, ..self.changed(now) }.finished_if_complete()
    }

    /// Returns the payment with the result of the class at a position.
    pub fn with_class(&self, index: usize, result: ClassResult, now: Timestamp) -> Self {
        let mut next = self.changed(now);
        if let Some(class) = next.classes.get_mut(index) {
            *class = result;
        }
        next.finished_if_complete()
    }

    /// Returns the payment after an attempt that could not finish. After the last one, the steps that are left fail. A refund
    /// that is given up stays as it is, and a request tries it again.
    pub fn postponed(&self, time: AttemptTime) -> Self {
        let mut next = self.changed(time.now);
        next.work = self.work.and_then(|work| work.retry(time));
        if next.work.is_none() && next.state == PaymentState::Pending {
            next.fail_rest(UNAVAILABLE);
        }
        next
    }

    /// Returns the payment without its student, who was erased. Steps that are left are not carried out.
    pub fn without_user(&self, now: Timestamp) -> Self {
        let mut next = Self { user: None, ..self.changed(now) };
        if next.state == PaymentState::Pending {
            next.fail_rest("not_found");
            next.work = None;
        }
        next
    }

    fn fail_rest(&mut self, code: &str) {
        if self.enrollment == EnrollmentResult::Pending {
            self.enrollment = EnrollmentResult::Failed;
        }
        let pending = self.classes.iter_mut().filter(|class| **class == ClassResult::Pending);
        pending.for_each(|class| *class = ClassResult::Failed { code: code.to_owned() });
        self.are_meetings_due = true;
        self.state = PaymentState::Done;
    }

    fn changed(&self, now: Timestamp) -> Self {
        Self { version: self.version + 1, updated_at: whole_milli(now), ..self.clone() }
    }

    fn finished_if_complete(mut self) -> Self {
        if self.next_step().is_none() {
            self.work = None;
            self.state = match self.state {
                PaymentState::Pending => PaymentState::Done,
                PaymentState::Refunding => PaymentState::Refunded,
                state => state,
            };
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn payment(course: bool, classes: usize) -> Payment {
        let request = RequestedPayment {
            id: PaymentId::parse("p").unwrap(),
            user: UserId::parse("u").unwrap(),
            course: course.then(|| CourseId::parse("c").unwrap()),
            body_hash: "x".to_owned(),
            classes,
            window: JoinWindowSettings::default(),
        };
        Payment::requested(request, at(1))
    }

    /// Carries out every step. The step for which `is_refused` holds fails.
    fn carried_out(mut payment: Payment, is_refused: impl Fn(PaymentStep) -> bool) -> Payment {
        while let Some(step) = payment.next_step() {
            let refused = is_refused(step);
            payment = match step {
                PaymentStep::Enroll if refused => {
                    payment.with_enrollment(EnrollmentResult::Failed, at(2))
                }
                PaymentStep::Enroll => payment.with_enrollment(EnrollmentResult::Granted, at(2)),
                PaymentStep::BringMeetingsForward => payment.with_meetings_due(at(2)),
                PaymentStep::CreateClass(n) if refused => {
                    payment.with_class(n, ClassResult::Failed { code: "conflict".into() }, at(2))
                }
                PaymentStep::CreateClass(n) => payment.with_class(n, ClassResult::Created, at(2)),
                PaymentStep::WithdrawEnrollment => {
                    payment.with_enrollment(EnrollmentResult::Withdrawn, at(2))
                }
                PaymentStep::TakeBackClass(n) => {
                    let result = match payment.classes[n] {
                        ClassResult::Pending => ClassResult::Withdrawn,
                        _ if n == 0 => ClassResult::Cancelled,
                        _ => ClassResult::Retained,
                    };
                    payment.with_class(n, result, at(2))
                }
            };
        }
        payment
    }

    #[test]
    fn steps_lead_to_the_end_and_a_refused_one_blocks_no_other() {
        let done = carried_out(payment(true, 3), |step| step == PaymentStep::CreateClass(1));
        assert_eq!((done.state, done.work), (PaymentState::Done, None));
        let counts = done.counts();
        assert_eq!((counts.total, counts.created, counts.failed), (3, 2, 1));
        assert_eq!(done.failures().collect::<Vec<_>>(), [(1, "conflict")]);
        assert_eq!(done.session_ids(), [done.session_id(0), done.session_id(2)]);
        assert_ne!(done.session_id(0), done.session_id(2));
        let nothing = carried_out(payment(false, 0), |_| false);
        assert_eq!(nothing.state, PaymentState::Done);
    }

    #[test]
    fn refund_takes_back_each_result_once() {
        let done = carried_out(payment(true, 2), |_| false);
        let refunding = done.with_refund(at(3)).unwrap();
        assert_eq!(refunding.state, PaymentState::Refunding);
        assert!(refunding.with_refund(at(4)).is_none());
        let refunded = carried_out(refunding, |_| false);
        assert_eq!((refunded.state, refunded.work), (PaymentState::Refunded, None));
        assert_eq!(refunded.enrollment, EnrollmentResult::Withdrawn);
        let counts = refunded.counts();
        assert_eq!((counts.created, counts.cancelled), (2, 1));
        assert!(refunded.with_refund(at(5)).is_none());
        assert_eq!(refunded.next_step(), None);

        // Before any step, only classes may be stored.
        let early = payment(true, 0).with_refund(at(2)).unwrap();
        assert_eq!((early.state, early.work), (PaymentState::Refunded, None));
        let early = payment(true, 1).with_refund(at(2)).unwrap();
        assert_eq!(early.next_step(), Some(PaymentStep::TakeBackClass(0)));
        assert_eq!(carried_out(early, |_| false).counts().created, 0);
    }

    #[test]
    fn attempts_are_spread_doubled_and_limited() {
        let mut pending = payment(true, 1);
        let mut last = at(1);
        for attempt in 1.. {
            let time = AttemptTime { now: last, spread: 1000 };
            pending = pending.postponed(time);
            let Some(work) = pending.work else { break };
            let minutes = work.due_at.duration_since(last).as_mins();
            let expected = [7, 15, 30, 60, 120, 240, 480, 540];
            assert_eq!(minutes, expected[(attempt - 1).min(7)], "{attempt}");
            assert!(attempt < 100);
            last = work.due_at;
        }
        assert_eq!(pending.state, PaymentState::Done);
        assert_eq!(pending.enrollment, EnrollmentResult::Failed);
        assert_eq!(pending.failures().collect::<Vec<_>>(), [(0, "unavailable")]);
    }

    #[test]
    fn refund_that_was_given_up_can_be_requested_again() {
        let done = carried_out(payment(true, 0), |_| false);
        let mut refunding = done.with_refund(at(3)).unwrap();
        while refunding.work.is_some() {
            refunding = refunding.postponed(AttemptTime { now: at(4), spread: 0 });
        }
        assert_eq!(refunding.state, PaymentState::Refunding);
        assert!(refunding.with_refund(at(5)).is_some_and(|again| again.work.is_some()));
    }

    #[test]
    fn erased_student_leaves_no_id_and_no_step() {
        let erased = payment(true, 1).without_user(at(2));
        assert_eq!((erased.user.clone(), erased.state), (None, PaymentState::Done));
        assert_eq!(erased.next_step(), None);
        assert_eq!(erased.failures().collect::<Vec<_>>(), [(0, "not_found")]);
        let done = carried_out(payment(true, 1), |_| false).without_user(at(3));
        assert_eq!((done.counts().created, done.counts().failed), (1, 0));
    }
}
