//! The order in which domain events are fanned out and mails leave.
//!
//! Urgent mails have a queue of their own, from which the sweep receives first. An urgent mail therefore waits for at most
//! one batch of bulk mails, however many invitations are waiting.

use jiff::{SignedDuration, Timestamp};

use crate::domain::domain_event::{ChangeKind, DomainEvent, DomainEventKind, SessionChange};
use crate::domain::id::SessionId;

/// The queue in which a mail waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Urgency {
    /// Cancellations, reminders, mails to trainers, and changes of sessions that start soon.
    Urgent,
    /// Invitations and changes of other sessions.
    Bulk,
}

/// A session that starts within this time starts soon: the time of the first reminder.
const SOON: SignedDuration = SignedDuration::from_hours(24);

impl Urgency {
    /// Returns the urgency of mails about a session that starts at `starts_at`.
    pub fn of_start(starts_at: Timestamp, now: Timestamp) -> Self {
        match starts_at.duration_since(now) <= SOON {
            true => Self::Urgent,
            false => Self::Bulk,
        }
    }
}

/// On what the urgency of a domain event depends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventUrgency<'a> {
    Always(Urgency),
    /// On the start of this session.
    Start(&'a SessionId),
    /// The event only creates an event for each session of a course, which has its own urgency.
    Split,
}

impl EventUrgency<'_> {
    pub fn is_always_urgent(&self) -> bool {
        *self == Self::Always(Urgency::Urgent)
    }

    pub fn of(event: &DomainEvent) -> EventUrgency<'_> {
        match &event.kind {
            DomainEventKind::Session(SessionChange { kind: ChangeKind::Cancelled, .. })
            | DomainEventKind::Reminder { .. }
            | DomainEventKind::ReauthRequired { .. }
            | DomainEventKind::HostNotConnected { .. }
            | DomainEventKind::MeetingDeleted { .. }
            | DomainEventKind::MeetingMissing { .. } => EventUrgency::Always(Urgency::Urgent),
            DomainEventKind::RecordingReady { .. } | DomainEventKind::MailReturned { .. } => {
                EventUrgency::Always(Urgency::Bulk)
            }
            DomainEventKind::Session(SessionChange { session, .. })
            | DomainEventKind::Resend { session, .. }
            | DomainEventKind::SessionEnrollments { session, .. } => EventUrgency::Start(session),
            DomainEventKind::CourseEnrollments(_) | DomainEventKind::EnrollmentCheck { .. } => {
                EventUrgency::Split
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn session_within_a_day_is_urgent() {
        let now: Timestamp = "2026-11-21T09:00:00Z".parse().unwrap();
        let cases = [
            (-60, Urgency::Urgent),
            (0, Urgency::Urgent),
            (1440, Urgency::Urgent),
            (1441, Urgency::Bulk),
        ];
        for (minutes, expected) in cases {
            let starts_at = now + SignedDuration::from_mins(minutes);
            assert_eq!(Urgency::of_start(starts_at, now), expected, "{minutes}");
        }
    }
}
