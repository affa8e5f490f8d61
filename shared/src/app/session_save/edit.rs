//! Edits a session here and at Zoom. Fields that Zoom does not have are changed here alone.
//!
//! An edit that concerns Zoom has three steps. [`release`] undoes them.
//!
//! 1. [`reserve`] stores the edit lease and its repair, and counts the call for the day.
//! 2. [`call_zoom`] sends the changed fields.
//! 3. [`commit`] stores the session and its booking, and deletes lease and repair.
//!
//! An expired edit lease means that Zoom's values are unknown, so the next edit sends every field. An event that
//! arrives during an edit is compared again by the reminder sweep, because it may be the edit's own. A drift flag is
//! removed by an edit that has read it and sent every field.

mod call_zoom;
mod commit;
mod decide;
mod inputs;
mod release;
mod reserve;

use std::time::Duration;

use jiff::Timestamp;

pub(super) use self::commit::{commit_edit, month_count_actions};
pub(super) use self::decide::EditDecision;
pub(super) use self::inputs::EditInputs;
use crate::app::Services;
use crate::app::access::ZoomAccess;
use crate::app::delegated_actions;
use crate::app::error::Error;
use crate::app::meeting::{self, MeetingPlan, ZoomMeetings};
use crate::domain::caller::Caller;
use crate::domain::draft::{Draft, OpenDraft};
use crate::domain::id::{SessionId, UserId};
use crate::domain::pending_meeting::MeetingLead;
use crate::domain::refusal::Refusal;
use crate::domain::session::Session;
use crate::domain::session_window::JoinWindowSettings;
use crate::domain::time::utc_month;
use crate::domain::trainer_session::SessionWithInvitees;
use crate::store::delegated_actions::UPDATED;
use crate::store::sessions::{self, SessionRecord, UpdateBasis};
use crate::store::tx::Action;

/// Attempts against concurrent changes. More than three concurrent edits of one session are not expected.
const ATTEMPTS: u32 = 3;
/// The pause between two attempts, plus up to as much jitter.
const WAIT_MS: u64 = 400;

/// A condition on the version that an edit starts from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExpectedVersion {
    Any,
    /// Any version of a stored session.
    Stored,
    /// One of these. An empty list accepts none.
    OneOf(Vec<u64>),
}

impl ExpectedVersion {
    fn accepts(&self, version: u64) -> bool {
        match self {
            Self::Any | Self::Stored => true,
            Self::OneOf(versions) => versions.contains(&version),
        }
    }
}

/// A request to edit a session, with an open or a complete draft.
#[derive(Debug)]
pub struct EditSession<D = OpenDraft> {
    pub caller: Caller,
    pub session: SessionId,
    /// The trainer whose data is read together with the session. Another one is read afterwards.
    pub probable_trainer: UserId,
    pub draft: D,
    /// The join window settings in force.
    pub window: JoinWindowSettings,
    /// How long before the start a meeting is made that does not exist yet.
    pub meeting_lead: MeetingLead,
    /// The versions that the caller accepts (`If-Match`).
    pub expected_version: ExpectedVersion,
}

impl EditSession {
    fn with_draft(&self, draft: Draft) -> EditSession<Draft> {
        EditSession {
            caller: self.caller.clone(),
            session: self.session.clone(),
            probable_trainer: self.probable_trainer.clone(),
            draft,
            window: self.window,
            meeting_lead: self.meeting_lead,
            expected_version: self.expected_version.clone(),
        }
    }
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
        if let Some(edited) = (Edit { services, request, now }).attempt().await? {
            return Ok(edited);
        }
    }
    Err(Refusal::Conflict("another request is changing the class, please try again").into())
}

/// One attempt to edit a session.
#[derive(Debug)]
struct Edit<'a, D = Draft> {
    services: &'a Services,
    request: &'a EditSession<D>,
    now: Timestamp,
}

impl<D> Clone for Edit<'_, D> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<D> Copy for Edit<'_, D> {}

/// A change of the meeting that an edit requires.
struct MeetingEdit {
    /// The meeting as it is at Zoom. `None` if that is unknown, so that all fields are sent.
    old: Option<MeetingPlan>,
    new: MeetingPlan,
}

impl MeetingEdit {
    /// Returns `None` if Zoom need not get the edit.
    fn from_edit(record: &SessionRecord, next: &Session) -> Option<Self> {
        if record.session.meeting.pending.is_some() {
            return None;
        }
        let old = MeetingPlan::from_session(&record.session);
        let new = MeetingPlan::from_session(next);
        // An earlier edit died during its call to Zoom, or somebody changed the meeting there: send all fields.
        let must_send_all = record.edit_lease.is_some() || !record.session.drift.is_empty();
        let is_required =
            must_send_all || meeting::requires_update(record.session.provider, &old, &new);
        is_required.then_some(Self { old: (!must_send_all).then_some(old), new })
    }

    fn sends_all(&self) -> bool {
        self.old.is_none()
    }
}

impl Edit<'_, OpenDraft> {
    /// Makes one attempt. Returns `None` if the session changed between read and write.
    async fn attempt(self) -> Result<Option<SessionWithInvitees>, Error> {
        let (inputs, draft) = self.load_inputs().await?;
        let Self { services, request, now } = self;
        let request = request.with_draft(draft);
        Edit { services, request: &request, now }.carry_out(inputs).await
    }
}

impl Edit<'_> {
    async fn carry_out(self, inputs: EditInputs) -> Result<Option<SessionWithInvitees>, Error> {
        let session = &inputs.record.session;
        let secrets = self.services.secrets.get(self.now).await?;
        let Some(decision) = self.decide(&inputs, secrets.keyring()?)? else {
            return Ok(Some(inputs.into_unchanged()));
        };
        if !self.request.expected_version.accepts(session.version)
            && decision.changes_session(session)
        {
            return Err(Refusal::PreconditionFailed { version: Some(session.version) }.into());
        }
        inputs.limits.check_draft(&self.request.draft)?;
        inputs.booking.check(self.services, &session.trainer).await?;
        if inputs.record.edit_lease.as_ref().is_some_and(|lease| lease.until > self.now) {
            return Ok(None);
        }
        match MeetingEdit::from_edit(&inputs.record, &decision.next) {
            Some(meeting_edit) => self.edit_on_zoom(&inputs, decision, &meeting_edit).await,
            None => self.edit_here(&inputs, decision).await,
        }
    }

    async fn edit_here(
        self,
        inputs: &EditInputs,
        decision: EditDecision,
    ) -> Result<Option<SessionWithInvitees>, Error> {
        let Self { services, now, .. } = self;
        let record = &inputs.record;
        let mut actions = month_count_actions(&record.session, &decision.next, &inputs.limits, now);
        // The sweep has died while it made the meeting. Its repair deletes a meeting with the former values.
        let lease = record.edit_lease.as_ref().filter(|_| record.session.meeting.pending.is_some());
        let lease_holder = lease.map(|lease| lease.holder.as_str());
        let basis = UpdateBasis { record, lease_holder, replaces_drift: false };
        actions.push(sessions::update(&decision.next, &basis));
        actions.extend(self.delegated_action(&decision, &record.session));
        commit_edit(services, inputs, decision, actions, now).await
    }

    async fn edit_on_zoom(
        self,
        inputs: &EditInputs,
        mut decision: EditDecision,
        meeting_edit: &MeetingEdit,
    ) -> Result<Option<SessionWithInvitees>, Error> {
        self.check_month(inputs, &decision.next).await?;
        let zoom_access = self.zoom_access(inputs).await?;
        let session = &inputs.record.session;
        let zoom_user = &zoom_access.zoom_user().id;
        let reserved = self.reserve(session, &decision.next, meeting_edit, zoom_user).await?;
        let Some(reservation) = reserved else { return Ok(None) };
        let mut zoom = ZoomMeetings::new(self.services, zoom_access);
        let attempts =
            reservation.call_zoom(&mut zoom, session, &mut decision.next, meeting_edit).await?;
        reservation.commit(inputs, decision, meeting_edit, attempts).await
    }

    /// Returns the timeline entry of an edit for the trainer.
    fn delegated_action(self, decision: &EditDecision, old: &Session) -> Option<Action> {
        let Self { services, request, now } = self;
        let next = decision.changes_session(old).then_some(&decision.next)?;
        delegated_actions::record(&services.random, &request.caller, next, UPDATED, now)
    }

    /// Refuses an edit that moves the session to a full month. Zoom is updated before the monthly count is committed.
    /// The count itself protects against concurrent requests.
    async fn check_month(self, inputs: &EditInputs, next: &Session) -> Result<(), Error> {
        let (before, after) = (inputs.record.session.details.starts_at, next.details.starts_at);
        if let Some(most) = inputs.limits.sessions_per_month
            && utc_month(before) != utc_month(after)
            && self.services.store.sessions_in_month(&inputs.record.session.trainer, after).await?
                >= i64::from(most)
        {
            return Err(inputs.limits.monthly_limit_refusal().into());
        }
        Ok(())
    }

    /// Returns the access to Zoom of the meeting's host.
    async fn zoom_access(self, inputs: &EditInputs) -> Result<ZoomAccess, Error> {
        let Session { trainer, meeting, .. } = &inputs.record.session;
        let connection = inputs.connection.clone();
        let zoom_access =
            self.services.host_access_with(trainer, &meeting.host(), connection).await?;
        zoom_access.require_scope("meeting:update:meeting")?;
        Ok(zoom_access)
    }
}
