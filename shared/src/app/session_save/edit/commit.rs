//! Step 3 of an edit: the session, in one transaction with everything that belongs to it.

use jiff::Timestamp;

use super::reserve::EditReservation;
use super::{EditDecision, EditInputs, MeetingEdit};
use crate::app::Services;
use crate::app::error::Error;
use crate::app::meeting::UpdateAttempts;
use crate::app::session_save::invitees::{NewInvitees, delete_unused_invitees, invitee_actions};
use crate::app::session_save::set_reminders;
use crate::domain::domain_event::{
    AudienceRef, ChangeKind, DomainEvent, DomainEventKind, SessionChange,
};
use crate::domain::hosting::Hosting;
use crate::domain::link_generation::LinkGenerations;
use crate::domain::plan::PlanLimits;
use crate::domain::reminder::Reminder;
use crate::domain::session::Session;
use crate::domain::time::{utc_month, whole_milli};
use crate::domain::trainer_session::SessionWithInvitees;
use crate::store::due_work::meetings::move_due_meeting;
use crate::store::error::CommitError;
use crate::store::invitations::ListReplacement;
use crate::store::sessions::{self, UpdateBasis};
use crate::store::tx::{Action, ConditionSubject};
use crate::store::{counters, due_work};

impl EditReservation<'_> {
    /// Stores the session and ends the lease. Returns `None` if the session has changed since it was read.
    pub(super) async fn commit(
        &self,
        inputs: &EditInputs,
        decision: EditDecision,
        meeting_edit: &MeetingEdit,
        attempts: UpdateAttempts,
    ) -> Result<Option<SessionWithInvitees>, Error> {
        let (record, next) = (&inputs.record, &decision.next);
        let mut actions = month_count_actions(&record.session, next, &inputs.limits, self.edit.now);
        let basis = UpdateBasis {
            record,
            lease_holder: Some(&self.holder),
            replaces_drift: meeting_edit.sends_all() || next.drift != record.session.drift,
        };
        actions.push(sessions::update(next, &basis));
        actions.extend(self.edit.delegated_action(&decision, &record.session));
        // After an unanswered attempt the meeting is compared later, when Zoom may have carried it out.
        let is_answered = attempts == UpdateAttempts::AllAnswered;
        actions.extend(is_answered.then(|| self.repair.delete()));
        let finished =
            commit_edit(self.edit.services, inputs, decision, actions, self.edit.now).await;
        if !matches!(finished, Ok(Some(_))) {
            self.expire_lease().await;
        }
        finished
    }
}

/// Moves the session from one month's count to another's.
pub(in crate::app::session_save) fn month_count_actions(
    old: &Session,
    next: &Session,
    limits: &PlanLimits,
    now: Timestamp,
) -> Vec<Action> {
    let (before, after) = (old.details.starts_at, next.details.starts_at);
    if utc_month(before) == utc_month(after) {
        return Vec::new();
    }
    vec![
        counters::release_monthly_quota(&old.trainer, before),
        counters::take_monthly_quota(&next.trainer, after, limits.sessions_per_month, now),
    ]
}

/// Commits the edit with its reminders, invitees and domain event. Returns `None` if a concurrent change was faster.
pub(in crate::app::session_save) async fn commit_edit(
    services: &Services,
    inputs: &EditInputs,
    decision: EditDecision,
    mut actions: Vec<Action>,
    now: Timestamp,
) -> Result<Option<SessionWithInvitees>, Error> {
    let (old, next) = (&inputs.record.session, &decision.next);
    actions.extend(reminder_actions(old, next, now));
    actions.extend(inputs.booking.actions());
    actions.extend(move_due_meeting(old, next));
    if decision.rewrites_invitees {
        let replaced = old.audience.invitee_list();
        let replacement =
            replaced.map(|replaces| ListReplacement { since: whole_milli(now), replaces });
        let generations = LinkGenerations::after_edit(inputs.links.clone(), next.updated_at);
        let invitees = &decision.invitees;
        let list = NewInvitees { invitees, replacement, generations: &generations };
        actions.extend(invitee_actions(services, next, list, now).await?);
    }
    let domain_event = updated_event(old, &decision, now);
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
                // The next attempt reads the concurrent change and checks the expected version again.
                Ok(None)
            };
        }
        Err(error) => return Err(error.into()),
    }
    if decision.changes_session(old) {
        tracing::info!(event = "session.updated", session_id = %next.id, version = next.version, sequence = next.ics_sequence);
        if let Some(domain_event) = &domain_event {
            services.send_wake_up(domain_event).await;
        }
    } else {
        tracing::info!(event = "session.resynced", session_id = %next.id);
    }
    Ok(Some(SessionWithInvitees {
        invitees: decision.invitees,
        session: decision.next,
        warning_sources: inputs.warning_sources(),
    }))
}

fn reminder_actions(old: &Session, next: &Session, now: Timestamp) -> Vec<Action> {
    if old.details.starts_at == next.details.starts_at {
        // The reminder for the start has the planned end, on which the host's licence depends.
        let is_end_changed = next.meeting.hosting() == Hosting::Platform
            && old.planned_end() != next.planned_end()
            && next.details.starts_at > now;
        return is_end_changed
            .then(|| due_work::put_reminder(next, Reminder::Start))
            .into_iter()
            .collect();
    }
    // Reminder keys contain the due time. With another start, no key is both withdrawn and set, which one transaction
    // would not accept.
    let withdrawn =
        Reminder::ALL.into_iter().map(|reminder| due_work::delete_reminder(old, reminder));
    withdrawn.chain(set_reminders(next, now)).collect()
}

/// Returns the domain event of the edit. `None` if it concerns nobody.
fn updated_event(old: &Session, decision: &EditDecision, now: Timestamp) -> Option<DomainEvent> {
    let (next, calendar_changed) = (&decision.next, decision.calendar_changed);
    let list_replaced = old.audience.invitee_list().is_some()
        && old.audience.invitee_list() != next.audience.invitee_list();
    let concerns_somebody = calendar_changed || decision.audience_changed || list_replaced;
    concerns_somebody.then(|| DomainEvent {
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
    })
}

/// Returns the audience that an edit replaced, so that people who are no longer invited can be notified.
fn replaced_audience(old: &Session, next: &Session) -> Option<AudienceRef> {
    let (before, after) =
        (AudienceRef::from_audience(&old.audience), AudienceRef::from_audience(&next.audience));
    (before != after).then_some(before)
}
