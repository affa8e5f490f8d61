//! The enrollment that a payment gives.
//!
//! An enrollment lists the payments that give it. If the directory gives it as well, the list is empty, and no refund ends
//! the access. The last payment of the list ends it.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::step::StepResult;
use crate::app::Services;
use crate::app::directory::EnrollmentTransaction;
use crate::app::error::Error;
use crate::domain::directory::{Enrollment, EnrollmentPeriod, User};
use crate::domain::id::{CourseId, PaymentId};
use crate::domain::payment::{EnrollmentResult, Payment};
use crate::store::erasures;
use crate::store::schema::ItemKey;

/// Enrolls the student in the course. The enrollment and the payment's result are one transaction, so a place that the
/// directory revokes later is not given again.
pub(super) async fn grant(
    services: &Services,
    payment: &Payment,
    now: Timestamp,
) -> Result<StepResult, Error> {
    let failed = || Ok(payment.with_enrollment(EnrollmentResult::Failed, now).into());
    let (Some(user), Some(course)) = (&payment.user, &payment.course) else { return failed() };
    let keys = [ItemKey::User(user), ItemKey::Course(course), ItemKey::Enrollment { user, course }];
    let mut found = services.store.batch_get(&keys).await?;
    let (Some(student), Some(_)) = (found.user(user)?, found.course(course)?) else {
        return failed();
    };
    let before = found.enrollment_period(user, course)?;
    let Some(next) = granted(&payment.id, course, student, before.as_ref()) else {
        return Ok(payment.with_enrollment(EnrollmentResult::AlreadyGranted, now).into());
    };
    let began_at = payment.requested_at;
    let mut actions = EnrollmentTransaction::put(next, before.as_ref(), began_at, now).actions;
    actions.push(erasures::require_not_erased(user, began_at));
    let payment = payment.with_enrollment(EnrollmentResult::Granted, now);
    Ok(StepResult { payment, actions })
}

/// Returns the enrollment after a payment. `None` if the directory gives the access.
fn granted(
    payment: &PaymentId,
    course: &CourseId,
    student: User,
    before: Option<&EnrollmentPeriod>,
) -> Option<Enrollment> {
    let current = before.map(|before| &before.enrollment).filter(|it| it.access_granted);
    match current {
        Some(current) if current.paid_by.is_empty() => None,
        Some(current) => {
            let mut next = current.clone();
            next.paid_by.insert(payment.clone());
            Some(next)
        }
        None => Some(Enrollment {
            course: course.clone(),
            user: student.id,
            email: student.email,
            name: student.name,
            access_granted: true,
            former_emails: student.former_emails,
            paid_by: BTreeSet::from([payment.clone()]),
        }),
    }
}

/// Ends the access that only this payment gives.
pub(super) async fn withdraw(
    services: &Services,
    payment: &Payment,
    now: Timestamp,
) -> Result<StepResult, Error> {
    let retained = || Ok(payment.with_enrollment(EnrollmentResult::Retained, now).into());
    let (Some(user), Some(course)) = (&payment.user, &payment.course) else { return retained() };
    let mut found = services.store.batch_get(&[ItemKey::Enrollment { user, course }]).await?;
    let Some(before) = found.enrollment_period(user, course)? else { return retained() };
    let current = &before.enrollment;
    if !current.access_granted || !current.paid_by.contains(&payment.id) {
        return retained();
    }
    let mut next = current.clone();
    next.paid_by.remove(&payment.id);
    let began_at = payment.requested_at;
    let (actions, result) = if next.paid_by.is_empty() {
        let deletion = EnrollmentTransaction::delete(&before, began_at, now);
        (deletion.actions, EnrollmentResult::Withdrawn)
    } else {
        let put = EnrollmentTransaction::put(next, Some(&before), began_at, now);
        (put.actions, EnrollmentResult::Retained)
    };
    Ok(StepResult { payment: payment.with_enrollment(result, now), actions })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::id::UserId;
    use crate::domain::text::{Email, PersonName};

    #[test]
    fn access_from_the_directory_is_not_taken_over() {
        let (course, payment) = (CourseId::parse("c").unwrap(), PaymentId::parse("p2").unwrap());
        let student = || User {
            id: UserId::parse("u").unwrap(),
            email: Email::parse("new@example.test").ok(),
            name: PersonName::parse("Ada").unwrap(),
            role: "student".to_owned(),
            plan: None,
            locale: None,
            hosting: None,
            defaults: Default::default(),
            former_emails: Vec::new(),
        };
        let before = |access_granted, paid_by: &[&str]| EnrollmentPeriod {
            enrollment: Enrollment {
                course: course.clone(),
                user: student().id,
                email: Email::parse("old@example.test").ok(),
                name: PersonName::parse("Ada").unwrap(),
                access_granted,
                former_emails: Vec::new(),
                paid_by: paid_by.iter().map(|id| PaymentId::parse(id).unwrap()).collect(),
            },
            since: None,
            until: None,
        };
        // The enrollment before, and the address and payments after.
        let cases = [
            (None, Some(("new@example.test", vec!["p2"]))),
            (Some(before(true, &[])), None),
            (Some(before(false, &[])), Some(("new@example.test", vec!["p2"]))),
            (Some(before(true, &["p1"])), Some(("old@example.test", vec!["p1", "p2"]))),
        ];
        for (before, expected) in cases {
            let next = granted(&payment, &course, student(), before.as_ref());
            let next = next.map(|next| {
                let ids = next.paid_by.iter().map(|id| id.as_str().to_owned()).collect::<Vec<_>>();
                (next.email.unwrap().as_str().to_owned(), ids)
            });
            let expected = expected.map(|(email, ids)| {
                (email.to_owned(), ids.into_iter().map(str::to_owned).collect::<Vec<_>>())
            });
            assert_eq!(next, expected, "{before:?}");
        }
    }
}
