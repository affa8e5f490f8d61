//! Repeats an erasure as due work.

use jiff::{SignedDuration, Timestamp};

use super::leads::{LOOK_MINUTES, Leads, due_erasure, open_leads};
use super::{erase, remove_course_again};
use crate::app::Services;
use crate::app::error::Error;
use crate::domain::time::{plus_minutes, whole_milli};
use crate::store::due_work::DueErasure;
use crate::store::erasures;
use crate::store::error::CommitError;
use crate::store::schema::limit;
use crate::telemetry::metrics;

/// Minutes after which a failed repetition is tried again.
const RETRY_MINUTES: i64 = 5;
/// Repeats an erasure that is due. A failed repetition is tried again for two weeks.
pub async fn repeat_erasure(
    services: &Services,
    due: &DueErasure,
    now: Timestamp,
) -> Result<(), Error> {
    let leads = match open_leads(services, &due.subject).await {
        // A later erasure has its own repetitions.
        Ok(Some((erased_at, leads))) if erased_at == due.erased_at => leads,
        Ok(_) => return Ok(services.store.commit_one(due.delete()).await?),
        Err(error) => return postpone(services, due, now, error).await,
    };
    let repeated = match leads {
        Leads::Person(leads) => {
            erase::erase_again(services, leads, due.erased_at).await.map(Leads::Person)
        }
        Leads::Course(course) => remove_course_again(services, &course, due.erased_at)
            .await
            .map(|()| Leads::Course(course)),
    };
    let leads = match repeated {
        Ok(leads) => leads,
        Err(error) => return postpone(services, due, now, error).await,
    };
    let next = due.look + 1;
    let mut actions = vec![due.delete()];
    if next < LOOK_MINUTES.len() {
        actions.push(due_erasure(&due.subject, due.erased_at, next, now).put());
        let leads = leads.seal(services, &due.subject).await?;
        actions.push(erasures::put(&due.subject, due.erased_at, &leads));
    } else {
        actions.push(erasures::remove_leads(&due.subject, due.erased_at));
    }
    match services.store.commit(actions).await {
        Ok(()) => Ok(()),
        // Begun again meanwhile. The next run deletes this repetition.
        Err(CommitError::Refused(_)) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

async fn postpone(
    services: &Services,
    due: &DueErasure,
    now: Timestamp,
    error: Error,
) -> Result<(), Error> {
    let mut actions = vec![due.delete()];
    if now.duration_since(due.erased_at) < SignedDuration::from_hours(24 * limit::DUE_TTL_DAYS) {
        let due_at = plus_minutes(whole_milli(now), RETRY_MINUTES);
        actions.push(DueErasure { due_at, ..due.clone() }.put());
    } else {
        tracing::error!(event = "directory.erasure_given_up", subject = due.subject);
        metrics::GIVEN_UP.count();
    }
    services.store.commit(actions).await?;
    Err(error)
}
