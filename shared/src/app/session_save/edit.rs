//! Edits a session here and at Zoom. Fields that Zoom does not have are changed here alone.
//!
//! An expired edit lease means that Zoom's values are unknown, so the next edit sends every field. An event that
//! arrives during an edit is compared again by the reminder sweep, because it may be the edit's own. A drift flag is
//! removed by an edit that has read it and sent every field.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;

use super::{
    delete_unused_invitees, drafted_invitees, lease_until, new_repair, require_scope,
    resolve_audience, set_reminders, write_long_list,
};
use crate::app::Services;
use crate::app::error::Error;
use crate::app::meeting::{
    self, ManualLink, MeetingError, MeetingPlan, MeetingProvider, MeetingUpdate, UpdateAttempts,
    ZoomMeetings,
};
use crate::domain::audience::{Audience, AudienceDraft, Invitee};
use crate::domain::caller::Caller;
use crate::domain::directory::Course;
use crate::domain::domain_event::{
    AudienceRef, ChangeKind, DomainEvent, DomainEventKind, SessionChange,
};
use crate::domain::draft::{Draft, Venue};
use crate::domain::drift;
use crate::domain::host_status::HostStatus;
use crate::domain::id::SessionId;
use crate::domain::meeting_fields::edited_digests;
use crate::domain::plan::PlanLimits;
use crate::domain::refusal::Refusal;
use crate::domain::reminder::Reminder;
use crate::domain::session::Session;
use crate::domain::session_window::JoinWindowSettings;
use crate::domain::text::Email;
use crate::domain::time::{seconds_to_utc_midnight, utc_month, whole_milli};
use crate::domain::trainer_session::SessionWithInvitees;
use crate::domain::zoom_connection::ZoomConnection;
use crate::store::counters::CountedZoomWrite;
use crate::store::due_work::repairs::{Repair, RepairTask};
use crate::store::error::CommitError;
use crate::store::invitations::ListReplacement;
use crate::store::schema::{ItemKey, limit};
use crate::store::sessions::{SessionRecord, UpdateBasis};
use crate::store::tx::{Action, ConditionSubject};
use crate::store::{counters, due_work, invitations as invitee_items, sessions};

/// Attempts against concurrent changes. More than three concurrent edits of one session are not expected.
const ATTEMPTS: u32 = 3;
/// The pause between two attempts, plus up to as much jitter.
const WAIT_MS: u64 = 400;

/// A condition on the version that an edit starts from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExpectedVersion {
    Any,
    /// One of these. An empty list accepts none.
    OneOf(Vec<u64>),
}

impl ExpectedVersion {
    fn accepts(&self, version: u64) -> bool {
        match self {
            Self::Any => true,
            Self::OneOf(versions) => versions.contains(&version),
        }
    }
}

/// A request to edit a session.
#[derive(Debug)]
pub struct EditSession {
    pub caller: Caller,
    pub session: SessionId,
    pub draft: Draft,
    /// The join window settings in force.
    pub window: JoinWindowSettings,
    /// The versions that the caller accepts (`If-Match`).
    pub expected_version: ExpectedVersion,
}

/// Edits a session. A request that changes nothing succeeds, even with an outdated version: RFC 9110, section 13.1.1,
/// allows that because the requested state is already in place.
pub async fn edit(
    services: &Services,
    request: &EditSession,
    mut now: Timestamp,
) -> Result<SessionWithInvitees, Error> {
    for attempt in 0..ATTEMPTS {
        if attempt > 0 {
            tokio::time::sleep(Duration::from_millis(WAIT_MS + services.random.below(WAIT_MS)))
                .await;
            // Other requests may have released resources since this request began.
            now = services.clock.now();
        }
        if let Some(edited) = try_edit(services, request, now).await? {
            return Ok(edited);
        }
    }
    Err(Refusal::Conflict("another request is changing the class, please try again").into())
}

/// The data for the decision.
pub(super) struct EditInputs {
    pub(super) record: SessionRecord,
    pub(super) invitees: Vec<Invitee>,
    pub(super) limits: PlanLimits,
    pub(super) course: Option<Course>,
    pub(super) connection: Option<ZoomConnection>,
}

impl EditInputs {
    fn host_status(&self) -> HostStatus {
        self.connection.as_ref().map(HostStatus::from_connection).unwrap_or_default()
    }
}

async fn load_inputs(
    services: &Services,
    request: &EditSession,
    now: Timestamp,
) -> Result<EditInputs, Error> {
    let trainer = &request.caller.id;
    let mut keys =
        vec![ItemKey::Session(&request.session), ItemKey::Settings, ItemKey::User(trainer)];
    let course = match &request.draft.audience {
        AudienceDraft::Course(course) => Some(course),
        _ => None,
    };
    keys.extend(course.map(ItemKey::Course));
    if request.draft.venue == Venue::Zoom {
        keys.push(ItemKey::ZoomConnection(trainer));
    }
    let mut found = services.store.batch_get(&keys).await?;
    let record = found.session(&request.session)?.ok_or(Refusal::NotFound)?;
    record.session.check_trainer(&request.caller)?;
    record.session.check_editable(now)?;
    let settings = found.settings()?;
    settings.check_enabled(trainer)?;
    let user = found.user(trainer)?;
    Ok(EditInputs {
        invitees: services.store.invitees_of_session(&record.session).await?,
        limits: settings.plan_limits(user.as_ref().and_then(|user| user.plan.as_deref()))?,
        course: course.map(|course| found.course(course)).transpose()?.flatten(),
        connection: found.connection(trainer)?,
        record,
    })
}

/// The outcome of an edit.
pub(super) struct EditDecision {
    pub(super) next: Session,
    pub(super) invitees: Vec<Invitee>,
    /// Whether the invitee list is rewritten: it changed, or the start by which it is indexed changed.
    pub(super) rewrites_invitees: bool,
    pub(super) audience_changed: bool,
    /// Whether people who stay invited get an updated calendar entry.
    pub(super) calendar_changed: bool,
}

impl EditDecision {
    /// Whether the session itself changes. It does not if only the meeting has to be sent to Zoom again.
    fn changes_session(&self, old: &Session) -> bool {
        self.next.version != old.version
    }
}

/// Makes one attempt. Returns `None` if the session changed between read and write.
async fn try_edit(
    services: &Services,
    request: &EditSession,
    now: Timestamp,
) -> Result<Option<SessionWithInvitees>, Error> {
    let inputs = load_inputs(services, request, now).await?;
    let record = &inputs.record;
    let secrets = services.secrets.get(now).await?;
    let decision = decide(services, request, &inputs, secrets.keyring()?, now)?;
    let Some(mut decision) = decision else {
        return Ok(Some(SessionWithInvitees {
            session: record.session.clone(),
            host: inputs.host_status(),
            invitees: inputs.invitees,
        }));
    };
    if !request.expected_version.accepts(record.session.version)
        && decision.changes_session(&record.session)
    {
        return Err(Refusal::PreconditionFailed { version: record.session.version }.into());
    }
    inputs.limits.check_draft(&request.draft)?;

    let (old_plan, new_plan) =
        (MeetingPlan::from_session(&record.session), MeetingPlan::from_session(&decision.next));
    // An earlier edit died during its call to Zoom, or somebody changed the meeting there: send all fields.
    let must_send_all = record.edit_lease.is_some() || !record.session.drift.is_empty();
    if let Some(lease) = &record.edit_lease
        && lease.until > now
    {
        return Ok(None);
    }
    if !must_send_all && !meeting::requires_update(record.session.provider, &old_plan, &new_plan) {
        let mut actions = month_count_actions(&record.session, &decision.next, &inputs.limits, now);
        let basis = UpdateBasis { record, lease_holder: None, replaces_drift: false };
        actions.push(sessions::update(&decision.next, &basis));
        return commit_edit(services, &inputs, decision, actions, now).await;
    }

    // Zoom is updated before the monthly count is committed, so a full month is refused here. The count itself
    // protects against concurrent requests.
    if let Some(most) = inputs.limits.sessions_per_month
        && utc_month(record.session.starts_at) != utc_month(decision.next.starts_at)
        && services.store.sessions_in_month(&request.caller.id, decision.next.starts_at).await?
            >= i64::from(most)
    {
        return Err(inputs.limits.monthly_limit_refusal().into());
    }
    let zoom_access = services.usable_access(&request.caller.id, inputs.connection.clone()).await?;
    let host_user = record.session.meeting.host_user.as_deref();
    services.check_host(host_user, &zoom_access.connection).await?;
    require_scope(&zoom_access.connection.scopes, "meeting:update:meeting")?;
    let holder = services.new_lease_holder();
    let until = lease_until(now);
    let session = &record.session;
    let sent = edited_digests((!must_send_all).then_some(session), &decision.next);
    let task = RepairTask::CompareMeeting { attempt: holder.clone(), sent };
    let repair = new_repair(session, until, task);
    let lease_actions = vec![
        sessions::take_edit_lease(session, &decision.next.settings_sent, &holder, until, now),
        repair.put(),
    ];
    let counted =
        CountedZoomWrite { zoom_user: zoom_access.connection.zoom_user.id.clone(), at: now };
    match services.store.commit_zoom_write(lease_actions, &counted.zoom_user, now).await {
        Ok(()) => {}
        Err(error) if error.refused(ConditionSubject::Session) => return Ok(None),
        Err(error) if error.refused(ConditionSubject::ZoomDay) => {
            return Err(Error::ZoomLimited {
                after: Duration::from_secs(seconds_to_utc_midnight(now)),
            });
        }
        Err(error) => return Err(error.into()),
    }
    let mut zoom = ZoomMeetings::new(services, zoom_access);
    let old_plan = (!must_send_all).then_some(&old_plan);
    let updated = zoom.update(session.meeting.id, old_plan, &new_plan).await;
    let MeetingUpdate { attempts, start_differs } = match updated {
        Ok(update) => update,
        Err(error) => {
            release_lease(services, &repair, &holder, &counted, &error, now).await;
            return Err(error.into());
        }
    };
    decision.next.zoom_synced_at = whole_milli(now);
    let remaining_drift = if must_send_all { &[][..] } else { &session.drift[..] };
    let remaining_drift =
        remaining_drift.iter().filter(|field| *field != drift::RECORDING).cloned();
    let recording = recording_drift(&mut zoom, session, &decision.next).await;
    let start = start_differs.then(|| drift::STARTS_AT.to_owned());
    decision.next.drift = remaining_drift.chain(recording).chain(start).collect();
    let mut actions = month_count_actions(session, &decision.next, &inputs.limits, now);
    let sets_drift = must_send_all || decision.next.drift != session.drift;
    let basis = UpdateBasis { record, lease_holder: Some(&holder), replaces_drift: sets_drift };
    actions.push(sessions::update(&decision.next, &basis));
    // After an unanswered attempt the meeting is compared later, when Zoom may have carried it out.
    actions.extend((attempts == UpdateAttempts::AllAnswered).then(|| repair.delete()));
    let id = session.id.clone();
    let finished = commit_edit(services, &inputs, decision, actions, now).await;
    if !matches!(finished, Ok(Some(_))) {
        // Zoom has the new fields and the session does not. The expired lease makes the next edit or the repair
        // correct Zoom without waiting. If the edit was stored after all, the lease no longer exists.
        let _ =
            services.store.commit_one(sessions::expire_edit_lease(&id, &holder, now)).await.inspect_err(
                |error| tracing::warn!(event = "session.lease_not_released", session_id = %id, %error),
            );
    }
    finished
}

/// Returns the recording drift. Zoom accepts a recording setting that the account forbids, so the meeting is read
/// again if recording was just requested or had been refused before.
async fn recording_drift(
    zoom: &mut ZoomMeetings<'_>,
    old: &Session,
    next: &Session,
) -> Vec<String> {
    let was_refused = old.drift.iter().any(|field| field == drift::RECORDING);
    let is_requested = next.record_session && (was_refused || !old.record_session);
    let Some(meeting) = next.meeting.id.filter(|_| is_requested) else { return Vec::new() };
    let is_refused = zoom.is_recorded(meeting).await.map_or(was_refused, |recorded| !recorded);
    if is_refused { vec![drift::RECORDING.to_owned()] } else { Vec::new() }
}

/// Releases the lease after a failed call, and gives the daily count back. If Zoom may have applied the change, the lease
/// expires instead, so that the next edit sends all fields or the repair restores the meeting.
async fn release_lease(
    services: &Services,
    repair: &Repair,
    holder: &str,
    counted: &CountedZoomWrite,
    error: &MeetingError,
    now: Timestamp,
) {
    let session = &repair.session;
    let actions = match error {
        MeetingError::Other(_) => {
            vec![
                sessions::release_edit_lease(session, holder),
                repair.delete(),
                counted.give_back(),
            ]
        }
        MeetingError::Unknown { .. } => vec![sessions::expire_edit_lease(session, holder, now)],
    };
    if let Err(error) = services.store.commit(actions).await {
        tracing::warn!(event = "session.lease_not_released", session_id = %session, %error);
    }
}

/// Decides the next state of the session. Returns `None` if nothing changes and Zoom is in sync.
fn decide(
    services: &Services,
    request: &EditSession,
    inputs: &EditInputs,
    keyring: &crate::crypt::Keyring,
    now: Timestamp,
) -> Result<Option<EditDecision>, Error> {
    let old = &inputs.record.session;
    let draft = &request.draft;
    if draft.venue.provider() != old.provider {
        return Err(Refusal::field(
            "provider",
            "cannot be changed: cancel the class and schedule a new one",
        )
        .into());
    }
    let new_invitees: Vec<Invitee> = drafted_invitees(draft).to_vec();
    let invitees_changed = new_invitees != inputs.invitees;
    let start_changed = draft.starts_at != old.starts_at;
    let rewrites_invitees = !new_invitees.is_empty() && (invitees_changed || start_changed);
    let list = match old.audience.invitee_list() {
        Some(list) if !rewrites_invitees => list,
        _ => services.new_invitee_list(),
    };
    let audience =
        resolve_audience(&draft.audience, inputs.course.clone(), &request.caller.id, list)
            .map_err(|refusal| {
                lost_course_refusal(&old.audience, &draft.audience, inputs.course.as_ref())
                    .unwrap_or(refusal)
            })?;
    let audience_changed = match (&old.audience, &audience) {
        (Audience::Course { id: before, .. }, Audience::Course { id: after, .. }) => {
            before != after
        }
        (Audience::Invitees { .. }, Audience::Invitees { .. }) => invitees_changed,
        (before, after) => before.kind() != after.kind(),
    };
    let meeting = match &draft.venue {
        Venue::Zoom => old.meeting.clone(),
        Venue::Manual { join_url } => {
            let before = meeting::join_data(old, keyring)?;
            if before.join_url.expose() == join_url {
                old.meeting.clone()
            } else {
                let link = ManualLink { join_url: join_url.clone() };
                meeting::seal(&link.meeting(), &old.id, keyring, &services.random)
            }
        }
    };
    let mut next = Session {
        title: draft.title.clone(),
        description: draft.description.clone(),
        audience,
        starts_at: draft.starts_at,
        zone: draft.zone.clone(),
        // An unchanged start keeps its local time.
        utc_offset: match start_changed || draft.zone != old.zone {
            true => draft.zone.utc_offset(draft.starts_at),
            false => old.utc_offset,
        },
        duration_minutes: draft.duration_minutes,
        record_session: draft.record_session,
        settings: draft.settings.clone(),
        settings_sent: &old.settings_sent | &draft.settings.names(),
        meeting,
        // Zoom gets all fields, which removes any drift.
        drift: Vec::new(),
        ..old.clone()
    };
    if next == *old {
        let must_resend = inputs.record.edit_lease.as_ref().is_some_and(|lease| lease.until <= now);
        return Ok(must_resend.then_some(EditDecision {
            next,
            invitees: new_invitees,
            rewrites_invitees: false,
            audience_changed: false,
            calendar_changed: false,
        }));
    }
    // A changed setting alone is no reason to change the session.
    next.window = request.window;
    next.version = old.version + 1;
    next.updated_at = whole_milli(now);
    let calendar_changed = old.calendar_differs(&next);
    // A withdrawn invitation needs a higher sequence than the invitation, and a renewed one a higher sequence than the
    // withdrawal. Some calendars ignore the second of two entries with an equal sequence.
    let invitations_change = match (&old.audience, &next.audience) {
        (Audience::Invitees { .. }, Audience::Invitees { .. }) => {
            addresses(&inputs.invitees) != addresses(&new_invitees)
        }
        _ => audience_changed,
    };
    if calendar_changed || invitations_change {
        next.ics_sequence = old.ics_sequence + 1;
    }
    Ok(Some(EditDecision {
        next,
        invitees: new_invitees,
        rewrites_invitees,
        audience_changed,
        calendar_changed,
    }))
}

/// Returns the reason why a session cannot keep its course. The trainer knows the course, so there is nothing to hide.
fn lost_course_refusal(
    old: &Audience,
    draft: &AudienceDraft,
    course: Option<&Course>,
) -> Option<Refusal> {
    match (old, draft) {
        (Audience::Course { id, .. }, AudienceDraft::Course(kept)) if id == kept => {
            Some(Refusal::Conflict(match course {
                Some(_) => {
                    "the course belongs to another trainer now: choose another audience, or cancel the class"
                }
                None => "the course no longer exists: choose another audience, or cancel the class",
            }))
        }
        _ => None,
    }
}

fn addresses(invitees: &[Invitee]) -> BTreeSet<&Email> {
    invitees.iter().map(|invitee| &invitee.email).collect()
}

/// Moves the session from one month's count to another's.
pub(super) fn month_count_actions(
    old: &Session,
    next: &Session,
    limits: &PlanLimits,
    now: Timestamp,
) -> Vec<Action> {
    if utc_month(old.starts_at) == utc_month(next.starts_at) {
        return Vec::new();
    }
    vec![
        counters::release_monthly_quota(&old.trainer, old.starts_at),
        counters::take_monthly_quota(&next.trainer, next.starts_at, limits.sessions_per_month, now),
    ]
}

/// Commits the edit with its reminders, invitees and domain event.
pub(super) async fn commit_edit(
    services: &Services,
    inputs: &EditInputs,
    decision: EditDecision,
    mut actions: Vec<Action>,
    now: Timestamp,
) -> Result<Option<SessionWithInvitees>, Error> {
    let (old, next) = (&inputs.record.session, &decision.next);
    if old.starts_at != next.starts_at {
        // Reminder keys contain the due time. With another start, no key is both withdrawn and set, which one
        // transaction would not accept.
        actions.extend(
            Reminder::ALL.into_iter().map(|reminder| due_work::delete_reminder(old, reminder)),
        );
        actions.extend(set_reminders(next, now));
    }
    if decision.rewrites_invitees
        && let Some(list) = next.audience.invitee_list()
    {
        let replacement = old
            .audience
            .invitee_list()
            .map(|replaces| ListReplacement { since: whole_milli(now), replaces });
        if decision.invitees.len() > limit::INVITEES_IN_TRANSACTION {
            actions.push(
                write_long_list(services, next, list, replacement, &decision.invitees, now).await?,
            );
        } else {
            actions.extend(invitee_items::put_list(next, list, replacement, &decision.invitees));
        }
    }
    let calendar_changed = decision.calendar_changed;
    let list_replaced = old.audience.invitee_list().is_some()
        && old.audience.invitee_list() != next.audience.invitee_list();
    let domain_event =
        (calendar_changed || decision.audience_changed || list_replaced).then(|| DomainEvent {
            // Another function's clock may be ahead of this one.
            at: whole_milli(now).max(old.updated_at),
            kind: DomainEventKind::Session(SessionChange {
                session: next.id.clone(),
                kind: ChangeKind::Updated,
                version: next.version,
                sequence: next.ics_sequence,
                audience: Some(AudienceRef::from_audience(&next.audience)),
                calendar_changed,
                previous_audience: replaced_audience(old, next),
                reason: None,
            }),
        });
    actions.extend(domain_event.as_ref().map(due_work::put_domain_event));
    match services.store.commit(actions).await {
        Ok(()) => {}
        Err(error @ CommitError::Refused(_)) => {
            if decision.rewrites_invitees {
                delete_unused_invitees(services, next, decision.invitees.len()).await;
            }
            return if error.refused(ConditionSubject::Month) {
                Err(inputs.limits.monthly_limit_refusal().into())
            } else {
                // A concurrent change was faster. The next attempt reads it and checks the expected version again.
                Ok(None)
            };
        }
        Err(error) => return Err(error.into()),
    }
    if !decision.changes_session(old) {
        tracing::info!(event = "session.resynced", session_id = %next.id);
        return Ok(Some(SessionWithInvitees {
            invitees: decision.invitees,
            session: decision.next,
            host: inputs.host_status(),
        }));
    }
    tracing::info!(event = "session.updated", session_id = %next.id, version = next.version, sequence = next.ics_sequence);
    if let Some(domain_event) = &domain_event {
        services.send_wake_up(domain_event).await;
    }
    Ok(Some(SessionWithInvitees {
        invitees: decision.invitees,
        session: decision.next,
        host: inputs.host_status(),
    }))
}

/// Returns the audience that an edit replaced, so that people who are no longer invited can be notified.
fn replaced_audience(old: &Session, next: &Session) -> Option<AudienceRef> {
    let (before, after) =
        (AudienceRef::from_audience(&old.audience), AudienceRef::from_audience(&next.audience));
    (before != after).then_some(before)
}
