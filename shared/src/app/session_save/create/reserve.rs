//! Step 1 of a creation: the intent, its repair, the quotas and the booking, in one transaction.

use std::time::Duration;

use crate::app::access::ZoomAccess;
use crate::app::error::Error;
use crate::app::session_save::overlap::BookingChange;
use crate::app::session_save::{
    BOOKING_ATTEMPTS, BOOKING_PAUSE_MS, daily_limit_error, lease_until,
};
use crate::domain::bookings::Booking;
use crate::domain::id::UserId;
use crate::domain::plan::PlanLimits;
use crate::domain::session_defaults::SessionDefaults;
use crate::store::counters::CountedZoomWrite;
use crate::store::due_work::repairs::{Repair, RepairTask};
use crate::store::error::CommitError;
use crate::store::intents::{self, Intent, IntentBooking, MonthQuota};
use crate::store::sessions;
use crate::store::tx::{Action, ConditionSubject};
use jiff::Timestamp;

use super::Creation;
use super::inputs::CreateInputs;
use super::repeat::is_of_other_body;

/// An attempt that has reserved the creation of a session.
pub(super) struct CreateReservation<'a> {
    pub(super) creation: Creation<'a>,
    pub(super) attempt: String,
    /// The trainer and the start of the monthly quota.
    pub(super) month: (UserId, Timestamp),
    pub(super) booking: BookingChange,
    /// The write that is counted for the Zoom user's day before Zoom is called.
    pub(super) zoom_write: CountedZoomWrite,
    pub(super) repair: Repair,
    pub(super) earlier: EarlierAttempt,
}

/// An earlier attempt that may have created a meeting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum EarlierAttempt {
    None,
    SameBody,
    /// The meeting may have other values than the session.
    OtherBody,
}

/// The outcome of an attempt to reserve.
enum ReserveOutcome<'a> {
    Reserved(Box<CreateReservation<'a>>),
    /// Another request for the session was faster.
    InProgress,
    /// The host got another booking on one of the days.
    CalendarChanged,
}

impl<'a> Creation<'a> {
    /// Reserves the creation, again while other sessions of the host are booked. Returns `None` if another request was
    /// faster.
    pub(super) async fn reserve(
        self,
        inputs: CreateInputs,
        zoom_access: &ZoomAccess,
    ) -> Result<Option<Box<CreateReservation<'a>>>, Error> {
        let services = self.services;
        for attempt in 0..BOOKING_ATTEMPTS {
            if attempt > 0 {
                let pause = BOOKING_PAUSE_MS + services.random.below(BOOKING_PAUSE_MS);
                tokio::time::sleep(Duration::from_millis(pause)).await;
            }
            let booking = self.booking(&inputs, zoom_access).await?;
            match self.try_reserve(&inputs, zoom_access, booking).await? {
                ReserveOutcome::Reserved(reservation) => return Ok(Some(reservation)),
                ReserveOutcome::InProgress => return Ok(None),
                ReserveOutcome::CalendarChanged => {}
            }
        }
        Err(Error::busy("too many concurrent bookings of the host"))
    }

    /// Reads the calendar of the host, and checks that it has room.
    async fn booking(
        self,
        inputs: &CreateInputs,
        zoom_access: &ZoomAccess,
    ) -> Result<BookingChange, Error> {
        let Self { services, request, id, .. } = self;
        let old = inputs.intent.as_ref().and_then(Intent::held_booking);
        let host_user = zoom_access.zoom_user().pseudonym();
        let new = host_user.map(|host| Booking::new(&host, id, &request.draft.details));
        let days = services.store.booked_days(&new).await?;
        let rule = inputs.settings.overlap_rule(zoom_access.hosting(), request.draft.allow_overlap);
        let change = BookingChange { old, new, days, rule };
        change.check(services, &request.trainer).await?;
        Ok(change)
    }

    /// Stores the intent, counts the session for the month, and books the host. A first attempt will certainly call Zoom,
    /// so the call is counted as well.
    async fn try_reserve(
        self,
        inputs: &CreateInputs,
        zoom_access: &ZoomAccess,
        booking: BookingChange,
    ) -> Result<ReserveOutcome<'a>, Error> {
        let Self { services, request, now, .. } = self;
        let CreateInputs { intent: earlier, limits, .. } = inputs;
        let starts_at = request.draft.details.starts_at;
        let attempt = services.new_lease_holder();
        let repair = self.undo_repair(&attempt, starts_at, zoom_access);
        let zoom_user = zoom_access.zoom_user();
        let month = (request.trainer.clone(), starts_at);
        let mut next = self.new_intent(&attempt, booking.new.as_ref(), &inputs.defaults);
        next.follows_other_body = earlier.as_ref().is_some_and(|earlier| {
            earlier.follows_other_body || is_of_other_body(earlier, request)
        });
        let mut actions = self.month_actions(earlier.as_ref(), limits);
        actions.push(repair.put());
        actions.extend(booking.actions());
        let reserved = match earlier {
            Some(intent) => {
                actions.push(intents::take_over_to_create(intent, &next, now));
                services.store.commit(actions).await
            }
            None => {
                // Another request may have stored the session, and deleted its intent, since this one read both.
                actions.push(sessions::require_absent(self.id));
                actions.push(intents::reserve(&next));
                services.store.commit_zoom_write(actions, &zoom_user.id, now).await
            }
        };
        if let Err(error) = reserved {
            return self.reserve_failure(error, limits);
        }
        let zoom_write = CountedZoomWrite { zoom_user: zoom_user.id.clone(), at: now };
        let earlier = match earlier {
            None => EarlierAttempt::None,
            Some(_) if next.follows_other_body => EarlierAttempt::OtherBody,
            Some(_) => EarlierAttempt::SameBody,
        };
        Ok(ReserveOutcome::Reserved(Box::new(CreateReservation {
            creation: self,
            attempt,
            month,
            booking,
            zoom_write,
            repair,
            earlier,
        })))
    }

    fn reserve_failure(
        self,
        error: CommitError,
        limits: &PlanLimits,
    ) -> Result<ReserveOutcome<'a>, Error> {
        if error.refused(ConditionSubject::Intent) || error.refused(ConditionSubject::Session) {
            Ok(ReserveOutcome::InProgress)
        } else if error.refused(ConditionSubject::Month) {
            Err(limits.monthly_limit_refusal().into())
        } else if error.refused(ConditionSubject::Bookings) {
            Ok(ReserveOutcome::CalendarChanged)
        } else {
            Err(daily_limit_error(error, self.now))
        }
    }

    /// Counts the session for the month, unless an earlier attempt has done so.
    pub(super) fn month_actions(
        self,
        earlier: Option<&Intent>,
        limits: &PlanLimits,
    ) -> Vec<Action> {
        let Self { request, now, .. } = self;
        let (trainer, starts_at) = (&request.trainer, request.draft.details.starts_at);
        let max = limits.sessions_per_month;
        Intent::month_actions(earlier, &MonthQuota { trainer, starts_at, max, now })
    }

    fn new_intent(
        self,
        attempt: &str,
        booking: Option<&Booking>,
        defaults: &SessionDefaults,
    ) -> Intent {
        Intent {
            session_id: self.id.clone(),
            trainer_id: self.request.trainer.clone(),
            created_from: self.request.body_hash.clone(),
            attempt: attempt.to_owned(),
            attempt_until: lease_until(self.now),
            starts_at: self.request.draft.details.starts_at,
            quota_released: false,
            booking: booking.map(IntentBooking::from),
            // A session on Zoom has no link of the trainer.
            defaults: SessionDefaults { join_url: None, ..defaults.clone() },
            follows_other_body: false,
        }
    }

    /// Builds the repair that removes the rest of the attempt if it dies.
    fn undo_repair(self, attempt: &str, starts_at: Timestamp, zoom_access: &ZoomAccess) -> Repair {
        let until = lease_until(self.now);
        Repair {
            session: self.id.clone(),
            trainer: self.request.trainer.clone(),
            due_at: until,
            first_due_at: until,
            task: RepairTask::UndoCreate {
                attempt: attempt.to_owned(),
                topic: self.request.draft.details.title.as_str().to_owned(),
                starts_at,
            },
            is_checked: false,
            host: zoom_access.host(),
            is_among_other_work: false,
        }
    }
}
