//! Changing a class, at Zoom and here. What Zoom does not know of is changed here alone.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;

use super::{
    attempt_until, audience, forget_list, invitees, needs_scope, repair_of, set_reminders,
};
use crate::app::Services;
use crate::app::error::Error;
use crate::app::meeting::{self, ManualLink, MeetingError, MeetingProvider, MeetingPlan, ZoomMeetings};
use crate::domain::audience::{Audience, AudienceDraft, Invitee};
use crate::domain::caller::Caller;
use crate::domain::domain_event::{DomainEvent, AudienceRef, ChangeKind, SessionChange, DomainEventKind};
use crate::domain::zoom_connection::ZoomConnection;
use crate::domain::directory::Course;
use crate::domain::draft::{Draft, Venue};
use crate::domain::drift;
use crate::domain::id::SessionId;
use crate::domain::plan::Limits;
use crate::domain::refusal::Refusal;
use crate::domain::reminder::Reminder;
use crate::domain::session::{Session, SessionWithInvitees};
use crate::domain::text::Email;
use crate::domain::time::{seconds_to_utc_midnight, utc_month, whole_milli};
use crate::store::error::CommitError;
use crate::store::schema::{ItemKey, limit};
use crate::store::sessions::{UpdateBasis, SessionRecord};
use crate::store::tx::{Action, ConditionSubject};
use crate::store::{counters, invitations as invitee_items, outbox, sessions};

/// Tries of an edit that meets others. Three people at the same class in the same second are a mistake.
const ROUNDS: u32 = 3;
/// The pause between them, with as much again of jitter.
const WAIT_MS: u64 = 400;

/// A request to change a class.
#[derive(Debug)]
pub struct EditSession {
    pub caller: Caller,
    pub session: SessionId,
    pub draft: Draft,
    /// The version that the caller saw (`If-Match`); none means whichever there is.
    pub seen: Option<u64>,
}

/// Changes a class. Asking for what it already is changes nothing and succeeds (RFC 9110, section 13.1.1, allows it
/// even to someone who saw an earlier version: their change has been made).
pub async fn edit(
    tools: &Services,
    request: &EditSession,
    mut now: Timestamp,
) -> Result<SessionWithInvitees, Error> {
    for round in 0..ROUNDS {
        if round > 0 {
            tokio::time::sleep(Duration::from_millis(WAIT_MS + tools.random.below(WAIT_MS))).await;
            // What was handed back meanwhile is free by now, and was not when the request began.
            now = tools.clock.now();
        }
        if let Some(edited) = attempt(tools, request, now).await? {
            return Ok(edited);
        }
    }
    Err(Refusal::Conflict("the class is being changed by another request; try again").into())
}

/// Everything that deciding takes.
struct Read {
    held: SessionRecord,
    invitees: Vec<Invitee>,
    limits: Limits,
    course: Option<Course>,
    connection: Option<ZoomConnection>,
}

async fn read(tools: &Services, request: &EditSession, now: Timestamp) -> Result<Read, Error> {
    let trainer = &request.caller.id;
    let mut keys = vec![ItemKey::Session(&request.session), ItemKey::Settings, ItemKey::User(trainer)];
    let course = match &request.draft.audience {
        AudienceDraft::Course(course) => Some(course),
        _ => None,
    };
    keys.extend(course.map(ItemKey::Course));
    if request.draft.venue == Venue::Zoom {
        keys.push(ItemKey::Connection(trainer));
    }
    let mut found = tools.store.batch_get(&keys).await?;
    let held = found.session(&request.session)?.ok_or(Refusal::NotFound)?;
    held.session.owned_by(&request.caller)?;
    held.session.editable(now)?;
    let settings = found.settings()?;
    settings.enabled_for(trainer)?;
    let user = found.user(trainer)?;
    Ok(Read {
        invitees: tools.store.invitees_of(&held.session).await?,
        limits: settings.limits(user.as_ref().and_then(|user| user.plan.as_deref()))?,
        course: course.map(|course| found.course(course)).transpose()?.flatten(),
        connection: found.connection(trainer)?,
        held,
    })
}

/// What an edit comes to.
struct Decision {
    next: Session,
    invitees: Vec<Invitee>,
    /// Whether the list of invitees is written anew: it changed, or the class moved, by whose start it is found.
    new_list: bool,
    audience_changed: bool,
    /// Whether those who stay invited are given a new entry.
    calendar_changed: bool,
}

impl Decision {
    /// Whether the class itself becomes another: where Zoom only has to be told again what it is, it does not.
    fn changes(&self, old: &Session) -> bool {
        self.next.version != old.version
    }
}

/// One try. `None` when the class changed between reading and writing, and the caller did not say which version they saw.
async fn attempt(
    tools: &Services,
    request: &EditSession,
    now: Timestamp,
) -> Result<Option<SessionWithInvitees>, Error> {
    let read = read(tools, request, now).await?;
    let held = &read.held;
    let secrets = tools.secrets.get(now).await?;
    let decision = decide(tools, request, &read, secrets.keyring()?, now)?;
    let Some(mut decision) = decision else {
        return Ok(Some(SessionWithInvitees {
            session: held.session.clone(),
            invitees: read.invitees,
        }));
    };
    if let Some(seen) = request.seen
        && seen != held.session.version
        && decision.changes(&held.session)
    {
        return Err(Refusal::PreconditionFailed { version: held.session.version }.into());
    }
    read.limits.admit(&request.draft)?;

    let (old_plan, new_plan) = (MeetingPlan::of(&held.session), MeetingPlan::of(&decision.next));
    // An edit died on its way to Zoom, or somebody changed the meeting there: it is told everything.
    let unknown = held.claim.is_some() || !held.session.drift.is_empty();
    if let Some(claim) = &held.claim
        && claim.until > now
    {
        return Ok(None);
    }
    if !unknown && !meeting::concerns(held.session.provider, &old_plan, &new_plan) {
        let mut actions = month_moves(&held.session, &decision.next, &read.limits, now);
        let basis = UpdateBasis { read: held, claim: None, sets_drift: false };
        actions.push(sessions::update(&decision.next, &basis));
        return finish(tools, &read, decision, actions, now).await;
    }

    // Zoom is told before the month's count is committed, so what would be refused then is refused now. Whoever comes in
    // between is met by the count itself.
    if let Some(most) = read.limits.sessions_per_month
        && utc_month(held.session.starts_at) != utc_month(decision.next.starts_at)
        && tools.store.classes_in_month(&request.caller.id, decision.next.starts_at).await?
            >= i64::from(most)
    {
        return Err(read.limits.month_is_full().into());
    }
    let ready = tools.fresh(&request.caller.id, read.connection.clone()).await?;
    held.session.hosted_by(&ready.connection.zoom_user.account_id)?;
    needs_scope(&ready.connection.scopes, "meeting:update:meeting")?;
    let holder = tools.holder();
    let until = attempt_until(now);
    let session = &held.session;
    let claim = vec![
        sessions::claim(session, &decision.next.settings_told, &holder, until, now),
        outbox::set_repair(&repair_of(session, until)),
    ];
    let zoom_user = &ready.connection.zoom_user.id;
    match tools.store.commit_zoom_write(claim, zoom_user, now).await {
        Ok(()) => {}
        Err(error) if error.refused(ConditionSubject::Session) => return Ok(None),
        Err(error) if error.refused(ConditionSubject::ZoomDay) => {
            return Err(Error::ZoomLimited {
                after: Duration::from_secs(seconds_to_utc_midnight(now)),
            });
        }
        Err(error) => return Err(error.into()),
    }
    let mut zoom = ZoomMeetings::new(tools, ready);
    if let Err(error) =
        zoom.update(session.meeting.id, (!unknown).then_some(&old_plan), &new_plan).await
    {
        give_back(tools, &session.id, &holder, until, &error, now).await;
        return Err(error.into());
    }
    decision.next.zoom_told_at = whole_milli(now);
    let flagged = if unknown { &[][..] } else { &session.drift[..] };
    let flagged = flagged.iter().filter(|field| *field != drift::RECORDING).cloned();
    let recording = recording_drift(&mut zoom, session, &decision.next).await;
    decision.next.drift = flagged.chain(recording).collect();
    let mut actions = month_moves(session, &decision.next, &read.limits, now);
    let sets_drift = unknown || decision.next.drift != session.drift;
    let basis = UpdateBasis { read: held, claim: Some(&holder), sets_drift };
    actions.push(sessions::update(&decision.next, &basis));
    actions.push(outbox::withdraw_repair(&session.id, until));
    let id = session.id.clone();
    let finished = finish(tools, &read, decision, actions, now).await;
    if !matches!(finished, Ok(Some(_))) {
        // Zoom has what the class is not: the claim stays as the sign of it, and the next edit or the repair sets Zoom right.
        // It is let run out, so that neither waits. Where the edit was stored after all, there is no claim any more.
        let _ =
            tools.store.commit_one(sessions::expire_claim(&id, &holder, now)).await.inspect_err(
                |error| tracing::warn!(event = "session.claim_left", session_id = %id, %error),
            );
    }
    finished
}

/// Whether the meeting is not recorded though the class is to be. Zoom answers a change that the account forbids as any
/// other, so it is looked at again: where recording was just asked for, or had been asked for in vain.
async fn recording_drift(
    zoom: &mut ZoomMeetings<'_>,
    old: &Session,
    next: &Session,
) -> Vec<String> {
    let was_in_vain = old.drift.iter().any(|field| field == drift::RECORDING);
    let is_asked = next.record_session && (was_in_vain || !old.record_session);
    let Some(meeting) = next.meeting.id.filter(|_| is_asked) else { return Vec::new() };
    let is_in_vain = zoom.is_recorded(meeting).await.map_or(was_in_vain, |recorded| !recorded);
    if is_in_vain { vec![drift::RECORDING.to_owned()] } else { Vec::new() }
}

/// After a failed call: where Zoom certainly did nothing, all is as before; otherwise the claim is left to run out at
/// once, so that the next edit tells Zoom everything, or the repair sets it back.
async fn give_back(
    tools: &Services,
    session: &SessionId,
    holder: &str,
    repair_at: Timestamp,
    error: &MeetingError,
    now: Timestamp,
) {
    let actions = match error {
        MeetingError::Other(_) => {
            vec![sessions::release(session, holder), outbox::withdraw_repair(session, repair_at)]
        }
        MeetingError::Unknown { .. } => vec![sessions::expire_claim(session, holder, now)],
    };
    if let Err(error) = tools.store.commit(actions).await {
        tracing::warn!(event = "session.claim_left", session_id = %session, %error);
    }
}

/// What the class becomes; `None` when it is that already, and no edit before this one left Zoom with something else.
fn decide(
    tools: &Services,
    request: &EditSession,
    read: &Read,
    keyring: &crate::crypt::Keyring,
    now: Timestamp,
) -> Result<Option<Decision>, Error> {
    let old = &read.held.session;
    let draft = &request.draft;
    if draft.venue.provider() != old.provider {
        return Err(Refusal::field(
            "provider",
            "cannot be changed; cancel the class and schedule another",
        )
        .into());
    }
    let wanted: Vec<Invitee> = invitees(draft).to_vec();
    let invitees_changed = wanted != read.invitees;
    let moved = draft.starts_at != old.starts_at;
    let new_list = !wanted.is_empty() && (invitees_changed || moved);
    let list = match old.audience.list() {
        Some(list) if !new_list => list,
        _ => tools.new_list(),
    };
    let audience = audience(&draft.audience, read.course.clone(), &request.caller.id, list)?;
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
                meeting::seal(&link.meeting(), &old.id, keyring, &tools.random)
            }
        }
    };
    let mut next = Session {
        title: draft.title.clone(),
        description: draft.description.clone(),
        audience,
        starts_at: draft.starts_at,
        zone: draft.zone.clone(),
        duration_minutes: draft.duration_minutes,
        record_session: draft.record_session,
        settings: draft.settings.clone(),
        settings_told: &old.settings_told | &draft.settings.given(),
        meeting,
        // Zoom is told all of it, so what was changed there past us is no more.
        drift: Vec::new(),
        ..old.clone()
    };
    if next == *old {
        let undoes = read.held.claim.as_ref().is_some_and(|claim| claim.until <= now);
        return Ok(undoes.then_some(Decision {
            next,
            invitees: wanted,
            new_list: false,
            audience_changed: false,
            calendar_changed: false,
        }));
    }
    next.version = old.version + 1;
    next.updated_at = whole_milli(now);
    let calendar_changed = old.calendar_differs(&next);
    // An invitation that is taken back must outrank the one that was sent, and one that is given anew the taking back: of
    // an equal sequence some calendars take only the first.
    let others = match (&old.audience, &next.audience) {
        (Audience::Invitees { .. }, Audience::Invitees { .. }) => {
            addresses(&read.invitees) != addresses(&wanted)
        }
        _ => audience_changed,
    };
    if calendar_changed || others {
        next.ics_sequence = old.ics_sequence + 1;
    }
    Ok(Some(Decision { next, invitees: wanted, new_list, audience_changed, calendar_changed }))
}

fn addresses(invitees: &[Invitee]) -> BTreeSet<&Email> {
    invitees.iter().map(|invitee| &invitee.email).collect()
}

/// Moves the class from one month's count to another's.
fn month_moves(old: &Session, next: &Session, limits: &Limits, now: Timestamp) -> Vec<Action> {
    if utc_month(old.starts_at) == utc_month(next.starts_at) {
        return Vec::new();
    }
    vec![
        counters::uncount_class(&old.trainer, old.starts_at),
        counters::count_class(&next.trainer, next.starts_at, limits.sessions_per_month, now),
    ]
}

/// Commits the edit with everything that follows from it.
async fn finish(
    tools: &Services,
    read: &Read,
    decision: Decision,
    mut actions: Vec<Action>,
    now: Timestamp,
) -> Result<Option<SessionWithInvitees>, Error> {
    let (old, next) = (&read.held.session, &decision.next);
    if old.starts_at != next.starts_at {
        // Their keys hold when they are due, so with another start none is withdrawn and set at once,
        // which one transaction would not take.
        actions.extend(
            Reminder::ALL.into_iter().map(|reminder| outbox::withdraw_reminder(old, reminder)),
        );
        actions.extend(set_reminders(next, now));
    }
    if decision.new_list
        && let Some(list) = next.audience.list()
    {
        if decision.invitees.len() > limit::INVITEES_IN_TRANSACTION {
            tools.store.write_invitees(next, list, &decision.invitees).await?;
        } else {
            let put = |invitee| invitee_items::put(&next.id, next.starts_at, list, invitee);
            actions.extend(decision.invitees.iter().map(put));
        }
    }
    let calendar_changed = decision.calendar_changed;
    let list_replaced =
        old.audience.list().is_some() && old.audience.list() != next.audience.list();
    let announcement =
        (calendar_changed || decision.audience_changed || list_replaced).then(|| DomainEvent {
            at: whole_milli(now),
            kind: DomainEventKind::Session(SessionChange {
                session: next.id.clone(),
                kind: ChangeKind::Updated,
                version: next.version,
                sequence: next.ics_sequence,
                audience: Some(AudienceRef::of(&next.audience)),
                calendar_changed,
                before: before(old, next),
                reason: None,
            }),
        });
    actions.extend(announcement.as_ref().map(outbox::announce));
    match tools.store.commit(actions).await {
        Ok(()) => {}
        Err(error @ CommitError::Refused(_)) => {
            if decision.new_list {
                forget_list(tools, next, decision.invitees.len()).await;
            }
            return if error.refused(ConditionSubject::Month) {
                Err(read.limits.month_is_full().into())
            } else {
                // Somebody else was quicker; the next try sees what they made, and whether the caller had seen that.
                Ok(None)
            };
        }
        Err(error) => return Err(error.into()),
    }
    if !decision.changes(old) {
        tracing::info!(event = "session.set_right", session_id = %next.id);
        return Ok(Some(SessionWithInvitees {
            invitees: decision.invitees,
            session: decision.next,
        }));
    }
    tracing::info!(event = "session.updated", session_id = %next.id, version = next.version, sequence = next.ics_sequence);
    if let Some(announcement) = &announcement {
        tools.send_wake_up(announcement).await;
    }
    Ok(Some(SessionWithInvitees { invitees: decision.invitees, session: decision.next }))
}

/// The audience that an edit replaced, for those who have to be told that they are no longer invited.
fn before(old: &Session, next: &Session) -> Option<AudienceRef> {
    let (before, after) = (AudienceRef::of(&old.audience), AudienceRef::of(&next.audience));
    (before != after).then_some(before)
}
