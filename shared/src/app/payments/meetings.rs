//! Brings the student's pending meetings forward, so that they are made by the next sweep.
//!
//! These are the meetings of the course's upcoming classes, and of classes that invite the student, alone or with others.

use std::collections::BTreeMap;

use futures::stream::{self, StreamExt};
use jiff::Timestamp;

use super::addresses;
use crate::app::Services;
use crate::app::error::Error;
use crate::app::session_save::bring_meeting_forward;
use crate::domain::id::SessionId;
use crate::domain::payment::{EnrollmentResult, Payment};
use crate::domain::session::{Session, Status};
use crate::domain::time::whole_milli;
use crate::store::sessions::SessionFilter;

/// Meetings that one payment brings forward, those with the nearest starts first. They are as many as a host may create in a
/// day, so the others would wait anyway.
const MEETINGS_LIMIT: usize = 100;
/// Meetings that are brought forward at the same time.
const CONCURRENCY: usize = 4;

pub(super) async fn bring_forward(
    services: &Services,
    payment: &Payment,
    now: Timestamp,
) -> Result<(), Error> {
    let mut sessions: BTreeMap<SessionId, Session> = BTreeMap::new();
    let mut add = |found: Vec<Session>| {
        sessions.extend(found.into_iter().map(|session| (session.id.clone(), session)));
    };
    add(sessions_of_course(services, payment, now).await?);
    add(sessions_of_student(services, payment, now).await?);
    let now = whole_milli(now);
    let waits = |session: &Session| session.with_meeting_due(now, None).is_some();
    let mut waiting: Vec<_> = sessions.into_values().filter(waits).collect();
    waiting.sort_by(|a, b| (a.details.starts_at, &a.id).cmp(&(b.details.starts_at, &b.id)));
    waiting.truncate(MEETINGS_LIMIT);
    let mut changes = Vec::with_capacity(waiting.len());
    for session in &waiting {
        changes.push(bring_meeting_forward(services, &session.id, Some(&payment.id), now));
    }
    let mut results = stream::iter(changes).buffer_unordered(CONCURRENCY);
    while let Some(result) = results.next().await {
        match result {
            // The class is gone.
            Ok(_) | Err(Error::Refused(_)) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Returns the classes ahead of the course in which the payment has enrolled the student.
async fn sessions_of_course(
    services: &Services,
    payment: &Payment,
    now: Timestamp,
) -> Result<Vec<Session>, Error> {
    let is_enrolled = !matches!(payment.enrollment, EnrollmentResult::Failed);
    let Some(course) = payment.course.as_ref().filter(|_| is_enrolled) else {
        return Ok(Vec::new());
    };
    let filter = SessionFilter {
        status: Some(Status::Scheduled),
        from: Some(now),
        ..SessionFilter::default()
    };
    let page = services.store.sessions_of_course(course, None, &filter, None, MEETINGS_LIMIT);
    Ok(page.await?.0)
}

/// Returns the classes ahead that invite the student.
async fn sessions_of_student(
    services: &Services,
    payment: &Payment,
    now: Timestamp,
) -> Result<Vec<Session>, Error> {
    let store = &services.store;
    let Some(user) = &payment.user else { return Ok(Vec::new()) };
    let Some(user) = store.user(user).await? else { return Ok(Vec::new()) };
    let mut invitations = Vec::new();
    for email in addresses(&user) {
        invitations.extend(store.readable_invitations(&email, now, Timestamp::MAX).await?);
    }
    if invitations.is_empty() {
        return Ok(Vec::new());
    }
    let ids: Vec<_> = invitations.iter().map(|invitation| invitation.session.clone()).collect();
    let mut found = store.sessions_by_id(&ids).await?.found;
    let in_force = invitations.into_iter().filter_map(|invitation| {
        let session = found.remove(&invitation.session)?;
        if session.audience.invitee_list() == Some(invitation.list) {
            return Some(session);
        }
        // Another invitation of the same address may be in force.
        found.insert(invitation.session, session);
        None
    });
    Ok(in_force.collect())
}
