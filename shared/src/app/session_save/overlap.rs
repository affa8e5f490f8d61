//! Keeps the bookings of a host within its capacity.
//!
//! A create books its time when it reserves, so that most conflicts are refused before Zoom is called, and gives it back
//! with its quotas. An edit books its time when it commits. Both depend on the calendar as it was read: if another booking
//! was added to it meanwhile, the attempt is made again with the new calendar.

use crate::app::Services;
use crate::app::error::Error;
use crate::domain::bookings::{Booking, OverlapRule};
use crate::domain::id::UserId;
use crate::domain::refusal::{Overlap, OverlappingClass, Refusal};
use crate::store::bookings::{self, BookedDays};
use crate::store::tx::Action;

/// The change of a session's booking, with the calendar on which it depends.
#[derive(Clone, Debug)]
pub(in crate::app) struct BookingChange {
    pub(in crate::app) old: Option<Booking>,
    pub(in crate::app) new: Option<Booking>,
    pub(in crate::app) days: BookedDays,
    pub(in crate::app) rule: OverlapRule,
}

impl BookingChange {
    /// A change whose calendar need not be read, because it happens whatever other sessions there are.
    pub(in crate::app) fn forced(old: Option<Booking>, new: Option<Booking>) -> Self {
        Self { old, new, days: BookedDays::default(), rule: OverlapRule::Unlimited }
    }

    /// Returns whether the session gets another time. A session that stays may overlap as before.
    fn moves(&self) -> bool {
        self.old != self.new
    }

    /// Checks that the host has room for the new booking.
    pub(in crate::app) async fn check(
        &self,
        services: &Services,
        trainer: &UserId,
    ) -> Result<(), Error> {
        let Some(wanted) = self.new.as_ref().filter(|_| self.moves()) else { return Ok(()) };
        if self.days.calendar.conflict(wanted, self.rule).is_none() {
            return Ok(());
        }
        let others = self.days.calendar.overlapping(wanted);
        let others: Vec<_> = others.into_iter().map(|other| other.session.clone()).collect();
        let sessions = services.store.sessions_by_id(&others).await?.found;
        let calendar = self.days.calendar.clone().without_outdated(sessions.values());
        let Some(conflicting) = calendar.conflict(wanted, self.rule) else { return Ok(()) };
        let own = sessions.get(conflicting).filter(|session| session.trainer == *trainer);
        let class = own.map(|session| OverlappingClass {
            title: session.details.title.clone(),
            starts_at: session.details.starts_at,
        });
        Err(Refusal::Overlap(Overlap { session: conflicting.clone(), class }).into())
    }

    /// Returns the actions that store the change. A session of an earlier release, which has no booking, gets one.
    pub(in crate::app) fn actions(&self) -> Vec<Action> {
        let (old, new) = (self.old.as_ref(), self.new.as_ref());
        if !self.moves() && new.is_none_or(|new| self.days.calendar.contains(new)) {
            return Vec::new();
        }
        let is_limited = self.moves() && self.rule != OverlapRule::Unlimited;
        bookings::replace(old, new, is_limited.then_some(&self.days))
    }
}
