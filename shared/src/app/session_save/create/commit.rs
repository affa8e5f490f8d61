//! Step 3 of a creation: the session, in one transaction with everything that belongs to it.

use super::call_zoom::CreateAnswer;
use super::reserve::CreateReservation;
use super::{CreateOutcome, Creation};
use crate::app::delegated_actions;
use crate::app::error::Error;
use crate::app::meeting::{MeetingProvider, ZoomMeetings};
use crate::app::session_save::invitees::{NewInvitees, drafted_invitees, invitee_actions};
use crate::app::session_save::set_reminders;
use crate::domain::domain_event::{
    AudienceRef, ChangeKind, DomainEvent, DomainEventKind, SessionChange,
};
use crate::domain::host_status::WarningSources;
use crate::domain::link_generation::LinkGenerations;
use crate::domain::refusal::Refusal;
use crate::domain::session::Session;
use crate::domain::time::{utc_month, whole_milli};
use crate::store::error::CommitError;
use crate::store::tx::{Action, ConditionSubject};
use crate::store::{due_work, erasures, intents, payments, session_refs, sessions};

/// A session that is to be stored with its meeting.
pub(super) struct MadeMeeting {
    pub(super) session: Session,
    pub(super) warning_sources: WarningSources,
    pub(super) answer: CreateAnswer,
}

impl CreateReservation<'_> {
    /// Stores the session. If that fails permanently, the earlier steps are undone.
    pub(super) async fn commit(
        &self,
        zoom: &mut ZoomMeetings<'_>,
        MadeMeeting { session, warning_sources, answer }: MadeMeeting,
    ) -> Result<CreateOutcome, Error> {
        let session_id = self.creation.id;
        let mut finishing_actions = vec![intents::finish(session_id, &self.attempt)];
        // After an unanswered call the repair looks for a second meeting.
        finishing_actions.extend((answer == CreateAnswer::Answered).then(|| self.repair.delete()));
        let error = match self.creation.store(&session, finishing_actions).await {
            Ok(()) => {
                return Ok(CreateOutcome::Created(Box::new(session), Box::new(warning_sources)));
            }
            Err(error) => error,
        };
        let is_erased = error.refused(ConditionSubject::Erasure);
        if is_erased {
            tracing::info!(event = "session.trainer_erased", %session_id);
        } else if error.refused(ConditionSubject::Intent)
            || error.refused(ConditionSubject::Session)
        {
            return self.yield_to_other_attempt(zoom, &session).await;
        } else {
            tracing::error!(event = "session.not_stored", %session_id, %error);
        }
        match self.undo(zoom, &session, is_erased).await {
            Some(record) => Ok(CreateOutcome::Exists(Box::new(record))),
            None if is_erased => Err(Refusal::USER_ERASED.into()),
            None => Err(error.into()),
        }
    }

    /// Leaves the session to the attempt that took over. It may have adopted this meeting, which only the stored
    /// session shows.
    async fn yield_to_other_attempt(
        &self,
        zoom: &mut ZoomMeetings<'_>,
        session: &Session,
    ) -> Result<CreateOutcome, Error> {
        let Creation { services, id, .. } = self.creation;
        self.creation.delete_unused_invitees(session).await;
        let Some(record) = services.store.session(id).await? else {
            return Ok(CreateOutcome::InProgress);
        };
        if record.session.meeting.id != session.meeting.id {
            zoom.cancel(session.meeting.id, false).await?;
        }
        Ok(CreateOutcome::Exists(Box::new(record)))
    }
}

impl Creation<'_> {
    /// Commits the session with its invitees, reminders, domain event and the `finishing_actions`. Refused if the
    /// trainer was erased since the request began, or if the payment that creates it is refunded.
    pub(super) async fn store(
        self,
        session: &Session,
        finishing_actions: Vec<Action>,
    ) -> Result<(), CommitError> {
        let Self { services, request, now, .. } = self;
        let mut actions = finishing_actions;
        actions.push(erasures::require_not_erased(&session.trainer, whole_milli(now)));
        actions.extend(request.triggered_by.as_ref().map(payments::require_pending));
        actions.push(sessions::create(session, &request.body_hash));
        actions.extend(request.external_ref.as_ref().map(session_refs::put));
        if let Some(meeting) = session.meeting.id {
            actions.push(sessions::put_meeting_pointer(meeting, &session.id, &session.trainer));
        }
        actions.extend(set_reminders(session, now));
        let invitees = drafted_invitees(&request.draft);
        let list =
            NewInvitees { invitees, replacement: None, generations: &LinkGenerations::default() };
        actions.extend(invitee_actions(services, session, list, now).await?);
        let domain_event = self.scheduled_event(session);
        actions.push(due_work::put_domain_event(&domain_event));
        let author = request.author.clone();
        actions.extend(author.and_then(|author| {
            delegated_actions::record_creation(&services.random, author, session, now)
        }));
        services.store.commit(actions).await?;
        tracing::info!(event = "session.created", session_id = %session.id, month = utc_month(session.details.starts_at));
        services.send_wake_up(&domain_event).await;
        Ok(())
    }

    fn scheduled_event(self, session: &Session) -> DomainEvent {
        DomainEvent {
            at: whole_milli(self.now),
            kind: DomainEventKind::Session(SessionChange {
                session: session.id.clone(),
                kind: ChangeKind::Scheduled,
                version: session.version,
                sequence: session.ics_sequence,
                audience: Some(AudienceRef::from_audience(&session.audience)),
                calendar_changed: true,
                previous_audience: None,
                reason: None,
            }),
        }
    }
}
