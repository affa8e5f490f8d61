//! The creation of a session with a meeting that is made later: one transaction, without a call to Zoom.
//!
//! The host is decided now if it is known, so that its time is booked. A trainer who has no Zoom account yet gets a host
//! when the meeting is made.

use std::time::Duration;

use jiff::Timestamp;

use super::inputs::CreateInputs;
use super::template::SessionTemplate;
use super::{CreateOutcome, Creation};
use crate::app::error::Error;
use crate::app::session_save::overlap::BookingChange;
use crate::app::session_save::{BOOKING_ATTEMPTS, BOOKING_PAUSE_MS};
use crate::domain::bookings::Booking;
use crate::domain::host_status::{HostStatus, WarningSources};
use crate::domain::hosting::Hosting;
use crate::domain::pending_meeting::PendingMeeting;
use crate::domain::platform_host::PlatformHost;
use crate::domain::refusal::Refusal;
use crate::domain::session::{Meeting, Session};
use crate::domain::time::whole_milli;
use crate::store::due_work::meetings::put_due_meeting;
use crate::store::error::CommitError;
use crate::store::intents::{self, Intent};
use crate::store::tx::ConditionSubject;

impl Creation<'_> {
    pub(super) async fn create_for_later(
        self,
        template: &SessionTemplate<'_>,
        inputs: CreateInputs,
    ) -> Result<CreateOutcome, Error> {
        let starts_at = self.request.draft.details.starts_at;
        let due_at = match self.request.triggered_by {
            // Somebody has paid, so the meeting is made by the next sweep.
            Some(_) => whole_milli(self.now),
            None => self.request.meeting_lead.due_at(starts_at),
        };
        let session = template.with_pending_meeting(inputs.pending_meeting(self, due_at));
        for attempt in 0..BOOKING_ATTEMPTS {
            if attempt > 0 {
                let pause = BOOKING_PAUSE_MS + self.services.random.below(BOOKING_PAUSE_MS);
                tokio::time::sleep(Duration::from_millis(pause)).await;
            }
            let booking = self.later_booking(&session, &inputs).await?;
            let error = match self.store_pending(&session, &booking, &inputs).await {
                Ok(()) => {
                    let sources = inputs.warning_sources(booking);
                    return Ok(CreateOutcome::Created(Box::new(session), Box::new(sources)));
                }
                Err(CommitError::Store(error)) => return Err(error.into()),
                Err(error) => error,
            };
            self.delete_unused_invitees(&session).await;
            if error.refused(ConditionSubject::Erasure) {
                return Err(Refusal::USER_ERASED.into());
            } else if error.refused(ConditionSubject::Payment) {
                return Err(Refusal::PAYMENT_REFUNDED.into());
            } else if error.refused(ConditionSubject::Session)
                || error.refused(ConditionSubject::Intent)
            {
                return Ok(CreateOutcome::InProgress);
            } else if error.refused(ConditionSubject::Month) {
                return Err(inputs.limits.monthly_limit_refusal().into());
            } else if !error.refused(ConditionSubject::Bookings) {
                return Err(error.into());
            }
        }
        Err(Error::busy("too many concurrent bookings of the host"))
    }

    async fn later_booking(
        self,
        session: &Session,
        inputs: &CreateInputs,
    ) -> Result<BookingChange, Error> {
        let Self { services, request, .. } = self;
        let new = Booking::of_session(session);
        let old = inputs.intent.as_ref().and_then(Intent::held_booking);
        let days = services.store.booked_days(old.iter().chain(&new)).await?;
        let hosting = session.meeting.hosting();
        let rule = inputs.settings.overlap_rule(hosting, request.draft.allow_overlap);
        let change = BookingChange { old, new, days, rule };
        change.check(services, &request.trainer).await?;
        Ok(change)
    }

    async fn store_pending(
        self,
        session: &Session,
        booking: &BookingChange,
        inputs: &CreateInputs,
    ) -> Result<(), CommitError> {
        let mut actions = self.month_actions(inputs.intent.as_ref(), &inputs.limits);
        actions.extend(inputs.intent.as_ref().map(intents::replace));
        actions.extend(booking.actions());
        actions.extend(put_due_meeting(session));
        self.store(session, actions).await
    }
}

impl CreateInputs {
    /// Returns the meeting that is made later, with its host if that is known.
    fn pending_meeting(&self, creation: Creation<'_>, due_at: Timestamp) -> Meeting {
        let platform_user = self.host.as_ref().and_then(PlatformHost::active_user);
        let policy = creation.services.hosting.policy;
        let allows_overlap = creation.request.draft.allow_overlap;
        let mut meeting =
            Meeting::pending(PendingMeeting { due_at, failure: None, allows_overlap });
        match policy.decide(self.hosting, platform_user.is_some()) {
            Hosting::Platform => {
                meeting.account = self.host.as_ref().and_then(|host| host.account.clone());
                meeting.host_user = platform_user.map(|user| user.pseudonym());
                meeting.platform_user = platform_user.cloned();
            }
            Hosting::Trainer => {
                let user = self.connection.as_ref().map(|connection| &connection.zoom_user);
                meeting.account = user.and_then(|user| user.account()).map(str::to_owned);
                meeting.host_user = user.and_then(|user| user.pseudonym());
            }
        }
        meeting
    }

    fn warning_sources(self, booking: BookingChange) -> WarningSources {
        WarningSources {
            host: self.connection.as_ref().map(HostStatus::from_connection).unwrap_or_default(),
            calendar: booking.days.calendar,
            host_capacity: self.settings.host_capacity,
            platform_host: self.host.map(Box::new),
        }
    }
}
