//! The leads of an erasure.
//!
//! A request that began before the erasure may still store something, and an index may not show everything yet. The leads
//! are the ids and addresses by which the erasure is repeated minutes later. They are sealed, and are removed after the last
//! repetition.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::app::Services;
use crate::app::error::Error;
use crate::crypt::{Binding, Sealed};
use crate::domain::directory::Enrollment;
use crate::domain::id::{CourseId, UserId};
use crate::domain::text::Email;
use crate::domain::time::{plus_minutes, whole_milli};
use crate::store::due_work::DueErasure;
use crate::store::erasures::{self, StoredErasure};
use crate::store::error::CommitError;

/// Minutes after which an erasure is repeated: when every request that was in progress has ended, and once more for an index
/// that lags.
pub(super) const LOOK_MINUTES: [i64; 2] = [3, 60];
const LEADS_FIELD: &str = "erasure_leads";

/// The ids and addresses that lead to the data of an erasure.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Leads {
    Person(PersonLeads),
    Course(CourseId),
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct PersonLeads {
    pub(super) user: UserId,
    pub(super) addresses: BTreeSet<Email>,
    /// Every course that the person was enrolled in.
    pub(super) courses: BTreeSet<CourseId>,
    /// The courses that an interrupted request has not finished.
    pub(super) pending: BTreeSet<CourseId>,
}

impl PersonLeads {
    pub(super) fn new(user: &UserId) -> Self {
        Self {
            user: user.clone(),
            addresses: BTreeSet::new(),
            courses: BTreeSet::new(),
            pending: BTreeSet::new(),
        }
    }

    pub(super) fn add_enrollments<'a>(
        &mut self,
        enrollments: impl Iterator<Item = &'a Enrollment> + Clone,
    ) {
        self.addresses.extend(enrollments.clone().flat_map(Enrollment::emails).cloned());
        self.add_courses(enrollments.map(|enrollment| enrollment.course.clone()));
    }

    /// Adds courses. They are also added to a pass that was interrupted.
    pub(super) fn add_courses(&mut self, courses: impl IntoIterator<Item = CourseId>) {
        let is_interrupted = !self.pending.is_empty();
        for course in courses {
            if is_interrupted {
                self.pending.insert(course.clone());
            }
            self.courses.insert(course);
        }
    }

    /// Begins with all courses, or continues an interrupted pass.
    pub(super) fn begin_pass(&mut self) {
        if self.pending.is_empty() {
            self.pending = self.courses.clone();
        }
    }
}

impl Leads {
    pub(super) async fn seal(&self, services: &Services, subject: &str) -> Result<Sealed, Error> {
        let secrets = services.secrets.get(services.clock.now()).await?;
        let json = serde_json::to_string(self).map_err(|error| Error::Internal(error.into()))?;
        Ok(secrets.keyring()?.seal(&json, &binding(subject), &services.random))
    }
}

fn binding(subject: &str) -> Binding<'_> {
    Binding { owner: subject, field: LEADS_FIELD }
}

/// Returns the time and the leads of an erasure that may be repeated.
pub(super) async fn open_leads(
    services: &Services,
    subject: &str,
) -> Result<Option<(Timestamp, Leads)>, Error> {
    let Some(StoredErasure { erased_at, leads: Some(leads) }) =
        services.store.erasure(subject).await?
    else {
        return Ok(None);
    };
    let secrets = services.secrets.get(services.clock.now()).await?;
    let opened = secrets.keyring()?.open(&leads, &binding(subject))?;
    let leads = serde_json::from_str(opened.expose());
    Ok(Some((erased_at, leads.map_err(|error| Error::Internal(error.into()))?)))
}

/// Stores an erasure with its first repetition, before anything is erased.
pub(super) async fn begin_erasure(
    services: &Services,
    subject: &str,
    erased_at: Timestamp,
    leads: &Leads,
) -> Result<(), Error> {
    let leads = leads.seal(services, subject).await?;
    let actions = vec![
        erasures::put(subject, erased_at, &leads),
        due_erasure(subject, erased_at, 0, erased_at).put(),
    ];
    match services.store.commit(actions).await {
        Ok(()) => Ok(()),
        Err(CommitError::Refused(_)) => Err(Error::busy("a later request is erasing the same")),
        Err(error) => Err(error.into()),
    }
}

/// Returns a repetition of an erasure.
pub(super) fn due_erasure(
    subject: &str,
    erased_at: Timestamp,
    look: usize,
    now: Timestamp,
) -> DueErasure {
    let minutes = LOOK_MINUTES.get(look).copied().unwrap_or_default();
    let due_at = plus_minutes(erased_at, minutes).max(whole_milli(now));
    DueErasure { subject: subject.to_owned(), erased_at, due_at, look }
}
