//! The order in which a run fans out domain events.

use std::collections::{HashMap, VecDeque};

use jiff::Timestamp;

use crate::domain::domain_event::DomainEvent;
use crate::domain::id::SessionId;
use crate::domain::mailing::urgency::{EventUrgency, Urgency};
use crate::store::domain_events::PendingEvent;

/// When a domain event is fanned out. Earlier turns sort first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Turn {
    Urgent,
    /// It creates an event for each session of a course. Some of the sessions may start soon.
    Split,
    Bulk,
}

impl Turn {
    pub(super) fn of(
        event: &DomainEvent,
        starts: &HashMap<SessionId, Timestamp>,
        now: Timestamp,
    ) -> Self {
        let urgency = match EventUrgency::of(event) {
            EventUrgency::Always(urgency) => urgency,
            EventUrgency::Start(session) => match starts.get(session) {
                Some(at) => Urgency::of_start(*at, now),
                None => Urgency::Bulk,
            },
            EventUrgency::Split => return Self::Split,
        };
        match urgency {
            Urgency::Urgent => Self::Urgent,
            Urgency::Bulk => Self::Bulk,
        }
    }

    /// Returns the urgency by which a run decides whether it has time.
    pub(super) fn urgency(self) -> Urgency {
        match self {
            Self::Urgent | Self::Split => Urgency::Urgent,
            Self::Bulk => Urgency::Bulk,
        }
    }
}

/// Orders domain events by turn, and within a turn by age. No event overtakes an earlier one of its session: if a later one
/// is urgent, the earlier ones have its turn.
pub(super) fn in_order(
    mut events: Vec<PendingEvent>,
    turn_of: impl Fn(&DomainEvent) -> Turn,
) -> VecDeque<(Turn, PendingEvent)> {
    events.sort_by_cached_key(PendingEvent::sort_key);
    let mut turns: HashMap<SessionId, Turn> = HashMap::new();
    let newest_first = events.into_iter().rev().map(|pending| {
        let mut turn = turn_of(&pending.event);
        if let Some(session) = pending.event.kind.session() {
            let later = turns.entry(session.clone()).or_insert(turn);
            turn = turn.min(*later);
            *later = turn;
        }
        (turn, pending)
    });
    let mut ordered: Vec<_> = newest_first.collect();
    ordered.reverse();
    ordered.sort_by_key(|(turn, _)| *turn);
    ordered.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::domain_event::{
        ChangeKind, DomainEventKind, EnrollmentChange, EventNonce, SessionChange,
    };
    use crate::domain::id::CourseId;
    use crate::domain::time::plus_minutes;

    fn id(session: u8) -> SessionId {
        SessionId::from_bytes([session; 16])
    }

    fn change(session: u8, kind: ChangeKind, version: u64) -> DomainEventKind {
        DomainEventKind::Session(SessionChange {
            session: id(session),
            kind,
            version,
            sequence: 0,
            audience: None,
            calendar_changed: true,
            previous_audience: None,
            reason: None,
        })
    }

    #[test]
    fn urgent_event_overtakes_those_of_other_sessions_only() {
        let now: Timestamp = "2026-11-21T09:00:00Z".parse().unwrap();
        let recording =
            DomainEventKind::RecordingReady { session: id(1), nonce: EventNonce::derive("a") };
        let course = CourseId::parse("c").unwrap();
        let enrolled = EnrollmentChange::new(course, true, Vec::new(), now);
        // Session 3 starts soon, and the others later.
        let starts = [(1, 5_000), (2, 5_000), (3, 60)];
        let starts = starts.map(|(n, minutes)| (id(n), plus_minutes(now, minutes)));
        let starts = HashMap::from(starts);
        let stored = [
            (0, change(1, ChangeKind::Scheduled, 1)),
            (1, change(2, ChangeKind::Scheduled, 1)),
            (2, DomainEventKind::CourseEnrollments(enrolled)),
            (3, change(3, ChangeKind::Scheduled, 1)),
            (4, change(2, ChangeKind::Updated, 2)),
            (4, change(2, ChangeKind::Cancelled, 3)),
            (5, recording),
        ];
        let events = stored.map(|(minute, kind)| {
            PendingEvent::new(DomainEvent { at: plus_minutes(now, minute), kind })
        });
        let expected: Vec<_> = [1, 3, 4, 5, 2, 0, 6].map(|n: usize| events[n].sort_key()).into();
        // The order in which the events were read does not matter.
        for by in 0..events.len() {
            let mut read = events.clone();
            read.rotate_left(by);
            let ordered = in_order(read.into(), |event| Turn::of(event, &starts, now));
            let keys: Vec<_> = ordered.iter().map(|(_, pending)| pending.sort_key()).collect();
            assert_eq!(keys, expected, "{by}");
        }
    }
}
