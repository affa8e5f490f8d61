//! Erases a person from one session.

use futures::future::OptionFuture;
use jiff::{SignedDuration, Timestamp};

use super::{ErasedPerson, Pass};
use crate::app::Services;
use crate::app::error::Error;
use crate::domain::attendance::erased::{participant_events, reported_participants, telephones};
use crate::domain::attendance::people::PersonDetails;
use crate::domain::attendance::{ErasureMarker, record, summary};
use crate::domain::directory::ERASED_NAME;
use crate::domain::session::Session;
use crate::domain::text::PersonName;
use crate::store::Store;
use crate::store::archive::Archive;
use crate::store::attendance::{self as attendance_items, StoredOverride};
use crate::store::due_work::ErasureCheck;
use crate::store::error::CommitError;
use crate::store::events::{self, MeetingItems};
use crate::store::join_attempts::{AttemptIdentifiers, JoinAttempt};
use crate::store::schema::limit;
use crate::store::tx::Action;

/// Attempts against the sweep, which archives a session once, and against overrides by hand.
const ATTEMPTS: usize = 5;

/// Returns whether join attempts and events of the session may still exist, given their expiry.
fn may_have_traces(session: &Session, now: Timestamp) -> bool {
    // The setting may have been higher when they were stored.
    let days = limit::EVENT_TTL_MAX_DAYS + limit::LATE_DELETION_DAYS;
    let since = now.saturating_sub(SignedDuration::from_hours(24 * days)).unwrap_or(now);
    record::last_trace_at(session) >= since
}

/// Erases a person from one session, and deletes their invitations last. Returns the number of erased items. The
/// anonymous attendance stays, because it is part of the session's report.
pub(super) async fn erase_from_session(
    services: &Services,
    session: &Session,
    invitations: &[Action],
    person: &ErasedPerson,
    pass: Pass,
) -> Result<usize, Error> {
    let store = &services.store;
    let now = services.clock.now();
    let mut marker = person.marker(session);
    let may_have_traces = may_have_traces(session, now);
    let meeting = session.meeting.id.filter(|_| may_have_traces);
    let items = OptionFuture::from(meeting.map(|id| store.meeting_items(id))).await.transpose()?;
    let (attempts, views) = match may_have_traces {
        true => find_clicks(store, session, &marker).await?,
        false => Default::default(),
    };
    let registrations = learn_registrations(store, session, &mut marker).await?;
    let archive = match record::may_have_archive(session, now) {
        true => Some(store.archive(&session.id).await?),
        false => None,
    };
    learn_identifiers(&mut marker, &attempts, archive.as_ref());
    let overrides = store.attendance_overrides(&session.id).await?;
    add_assigned_rows(&mut marker, &overrides);
    learn_participations(&mut marker, items.as_ref(), archive.as_ref());
    let mut traces = anonymize_overrides(services, session, person, &mut marker, overrides).await?;
    let markers = items.as_ref().map(MeetingItems::markers).transpose()?.unwrap_or_default();
    let earlier = markers.into_iter().find(|other| other.person == marker.person);
    // The marker of this erasure exists, so that the sweep finds late events and spares a person who has come back.
    let is_marked = pass == Pass::Repeated
        && earlier.as_ref().is_some_and(|earlier| earlier.erased_at >= marker.erased_at);
    if let (Some(meeting), Some(items), false) = (meeting, &items, is_marked) {
        marker.identities.extend(earlier.into_iter().flat_map(|earlier| earlier.identities));
        // Stored first, so that an event that arrives from now on is recognised.
        let complete_at = record::last_trace_at(session);
        let put = events::put_erasure_marker(meeting, &marker, complete_at, store.event_ttl());
        let due_at = record::first_erasure_check(session, now);
        let check = ErasureCheck { session: session.id.clone(), due_at }.put();
        store.write_directory(vec![put, check]).await?;
        let is_person = |instance: &str, event: &_| marker.is_participant(instance, event);
        traces += store.anonymize_participants(meeting, items, ERASED_NAME, is_person).await?;
    }
    // Deleted last, because they lead to the events.
    traces += attempts.len() + views.len() + registrations.len();
    let attempts = attempts.into_iter().map(|(_, delete)| delete);
    store.write_directory(attempts.chain(views).chain(registrations).collect()).await?;
    match archive {
        Some(archive) => {
            traces += erase_archived(services, session, archive, &marker, invitations).await?;
        }
        None => store.write_directory(invitations.to_vec()).await?,
    }
    // Last, so that the next summary is computed without the person.
    if summary::may_be_summarised(session, now) {
        traces += store.erase_summary(&session.id).await?;
    }
    Ok(traces)
}

/// Returns the person's join attempts with their deletions, and the deletions of their clicks to watch.
async fn find_clicks(
    store: &Store,
    session: &Session,
    marker: &ErasureMarker,
) -> Result<(Vec<(JoinAttempt, Action)>, Vec<Action>), Error> {
    let attempts = store.join_attempts_of_person(&session.id, marker).await?;
    let views = store.recording_views_of_person(&session.id, marker).await?;
    Ok((attempts, views))
}

/// Adds the identifiers of the person's join attempts. Customer keys change with the Meeting SDK's secret, and
/// addresses and registrations change too.
fn learn_identifiers(
    marker: &mut ErasureMarker,
    attempts: &[(JoinAttempt, Action)],
    archive: Option<&Archive>,
) {
    let archived = archive.into_iter().flat_map(|archive| archive.join_attempts_of(marker));
    let identifiers: Vec<_> =
        attempts.iter().map(|(attempt, _)| attempt.identifiers()).chain(archived).collect();
    for AttemptIdentifiers { customer_key, registrant, email } in identifiers {
        customer_key.iter().for_each(|key| marker.add_customer_key(key));
        registrant.iter().for_each(|id| marker.add_registrant(id));
        email.iter().for_each(|email| marker.add_email(email));
    }
}

/// Adds the registrations of the person at Zoom, and returns the deletions of their personal links.
async fn learn_registrations(
    store: &Store,
    session: &Session,
    marker: &mut ErasureMarker,
) -> Result<Vec<Action>, Error> {
    if !session.meeting.has_registration {
        return Ok(Vec::new());
    }
    let found = store.registrations_of_person(&session.id, marker).await?;
    for issued in found.iter().filter_map(|(registration, _)| registration.issued.as_ref()) {
        marker.add_registrant(&issued.registrant);
    }
    Ok(found.into_iter().map(|(_, delete)| delete).collect())
}

/// Adds the participations and telephones of the person, from stored and archived events.
fn learn_participations(
    marker: &mut ErasureMarker,
    items: Option<&MeetingItems>,
    archive: Option<&Archive>,
) {
    let events = items.map(MeetingItems::events).unwrap_or_default();
    let reports = items.map(MeetingItems::zoom_reports).unwrap_or_default();
    let archived = archive.map(Archive::participant_events).unwrap_or_default();
    let archived = archived.iter().map(|(instance, event)| (instance.as_str(), event));
    let stored = participant_events(events.iter().map(|stored| &stored.event));
    marker.learn_from(stored.chain(reported_participants(&reports)).chain(archived));
    let bound = archive.map(Archive::telephones).unwrap_or_default();
    let bound = bound.iter().map(|(instance, telephone, owner)| {
        (instance.as_str(), telephone.as_str(), owner.as_str())
    });
    marker.add_telephones(telephones(events.iter().map(|stored| &stored.event)).chain(bound));
}

/// Erases a person from the session's archive, and deletes their invitations if it has not changed in the meantime.
/// Returns the number of erased items.
async fn erase_archived(
    services: &Services,
    session: &Session,
    archive: Archive,
    marker: &ErasureMarker,
    invitations: &[Action],
) -> Result<usize, Error> {
    let (store, id) = (&services.store, &session.id);
    let (mut traces, mut read) = (0, Some(archive));
    for _ in 0..ATTEMPTS {
        let archive = match read.take() {
            Some(archive) => archive,
            None => store.archive(id).await?,
        };
        let finished = match store.erase_from_archive(id, &archive, marker).await {
            Ok(0) => store.commit_unless_archive_changed(id, &archive, invitations.to_vec()).await,
            Ok(more) => {
                traces += more;
                continue;
            }
            Err(error) => Err(error),
        };
        match finished {
            Ok(()) => return Ok(traces),
            Err(CommitError::Refused(_)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(Error::busy("too many concurrent writes of the session's archive"))
}

/// Adds the rows that a trainer assigned to the person. Their names and telephone numbers are the person's.
fn add_assigned_rows(marker: &mut ErasureMarker, overrides: &[StoredOverride]) {
    for stored in overrides {
        let assigned_to = &stored.attendance_override.assigned_to;
        if assigned_to.as_ref().is_some_and(|person| marker.identities.contains(person)) {
            marker.identities.insert(stored.attendee.clone());
        }
    }
}

/// Anonymizes the attendance overrides of a person and their audit, whose reasons may name the person. Starts again
/// after a concurrent override.
async fn anonymize_overrides(
    services: &Services,
    session: &Session,
    person: &ErasedPerson,
    marker: &mut ErasureMarker,
    mut overrides: Vec<StoredOverride>,
) -> Result<usize, Error> {
    let store = &services.store;
    let mut forgotten = 0;
    for _ in 0..ATTEMPTS {
        match try_anonymize_overrides(services, session, person, marker, &overrides).await {
            Ok(count) => {
                forgotten += count;
                if !overrides.is_empty() {
                    let rows = &marker.identities;
                    forgotten += store.erase_audit_reasons(&session.id, rows, ERASED_NAME).await?;
                }
                return Ok(forgotten);
            }
            Err(CommitError::Refused(_)) => {
                overrides = store.attendance_overrides(&session.id).await?;
                add_assigned_rows(marker, &overrides);
            }
            Err(error) => return Err(error.into()),
        }
    }
    Err(Error::busy("too many concurrent overrides of the session"))
}

async fn try_anonymize_overrides(
    services: &Services,
    session: &Session,
    person: &ErasedPerson,
    marker: &ErasureMarker,
    overrides: &[StoredOverride],
) -> Result<usize, CommitError> {
    let nobody =
        PersonDetails { name: PersonName::parse(ERASED_NAME).ok(), ..PersonDetails::default() };
    let mut forgotten = 0;
    for stored in overrides {
        let is_theirs = marker.identities.contains(&stored.attendee)
            || stored.identity.as_ref().is_some_and(|identity| {
                identity.user.as_ref() == Some(&person.id)
                    || identity.email.as_ref().is_some_and(|email| person.addresses.contains(email))
            });
        let is_later = stored.at.is_some_and(|at| marker.is_after_erasure(at));
        let is_anonymous = stored.identity.as_ref() == Some(&nobody)
            && stored.reason.as_deref().is_none_or(|reason| reason == ERASED_NAME);
        if is_theirs && !is_later && !is_anonymous {
            let put = attendance_items::put_anonymous_override(
                &session.id,
                stored,
                nobody.clone(),
                ERASED_NAME,
            );
            services.store.commit_one(put).await?;
            forgotten += 1;
        }
    }
    Ok(forgotten)
}
