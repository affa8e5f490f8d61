//! When a class was held: the runnings of its meeting, each with a beginning and an end even where Zoom told of none.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::span::Span;
use crate::domain::meeting_instance::{self, MeetingInstance, InstanceEvent};
use crate::domain::session::{OVERRUN_MINUTES, Session, Status};
use crate::domain::time::plus_minutes;
use crate::domain::zoom_event::{EventPayload, ZoomEvent};

/// How we know when a running ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InstanceEnd {
    /// Zoom told.
    Told,
    /// It has not: until now, and counting.
    Running,
    /// Nobody told; it is taken from the plan and from the last that was heard.
    Inferred,
}

/// One running of the meeting, closed on both sides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InstanceInterval {
    pub span: Span,
    pub end: InstanceEnd,
}

/// The runnings by uuid. A rehearsal is none of the class, and who was in it was not in the class.
pub fn windows(
    session: &Session,
    events: &[ZoomEvent],
    now: Timestamp,
) -> BTreeMap<String, InstanceInterval> {
    let known = runnings(session, events);
    let last_signs = last_signs(events);
    let live = meeting_instance::lifecycle(session.status, session.starts_at, &known).status == Status::Live;
    let begins = meeting_instance::class_begins(session.starts_at);
    let close = |(n, running): (usize, &MeetingInstance)| {
        let next = known.get(n + 1);
        let planned_end = session.ends_at().max(running.started_at);
        let (to, end) = match running.ended_at {
            Some(ended_at) => (ended_at, InstanceEnd::Told),
            None if live && next.is_none() && now < plus_minutes(planned_end, OVERRUN_MINUTES) => {
                (now, InstanceEnd::Running)
            }
            None => {
                let heard = last_signs.get(running.uuid.as_str()).copied();
                let early = running.started_at < begins && next.is_some();
                // Begun before the class's time and followed by another: until the class it need not have lasted.
                let planned_end = if early { running.started_at } else { planned_end };
                let to = heard.map_or(planned_end, |heard| heard.max(planned_end)).min(now);
                // A meeting runs once at a time: it was over when it was started again.
                (next.map_or(to, |next| to.min(next.started_at)), InstanceEnd::Inferred)
            }
        };
        let span = Span { from: running.started_at, to: to.max(running.started_at) };
        (running.uuid.clone(), InstanceInterval { span, end })
    };
    let closed = known.iter().enumerate().map(close);
    let is_rehearsal = |window: &InstanceInterval| window.end != InstanceEnd::Running && window.span.to <= begins;
    closed.filter(|(_, window)| !is_rehearsal(window)).collect()
}

/// What the class remembers of its runnings, and what the events add to it: a class remembers only what it took to
/// know its status, and a report may be read before that was worked out.
fn runnings(session: &Session, events: &[ZoomEvent]) -> Vec<MeetingInstance> {
    let mut known = session.meeting_instances.clone();
    for event in events {
        let Some(uuid) = event.uuid.as_deref() else { continue };
        let sign = match &event.payload {
            EventPayload::Started { at } => InstanceEvent::Running(*at),
            EventPayload::Joined(presence) => InstanceEvent::Running(presence.at),
            EventPayload::Ended { started_at, at } => InstanceEvent::Ended { started_at: *started_at, at: *at },
            _ => continue,
        };
        known = meeting_instance::with_event(known, uuid, sign);
    }
    with_leaves(known, session, events)
}

/// Adds what is known only from people leaving. A running was on by then; and one of which nothing else is known is
/// taken to have begun as planned, or when the one before it was over.
fn with_leaves(
    mut known: Vec<MeetingInstance>,
    session: &Session,
    events: &[ZoomEvent],
) -> Vec<MeetingInstance> {
    let mut first_left: BTreeMap<&str, Timestamp> = BTreeMap::new();
    for event in events {
        if let (Some(uuid), EventPayload::Left(presence)) = (event.uuid.as_deref(), &event.payload) {
            let first = first_left.entry(uuid).or_insert(presence.at);
            *first = presence.at.min(*first);
        }
    }
    let mut by_time: Vec<_> = first_left.into_iter().collect();
    by_time.sort_by_key(|(uuid, at)| (*at, *uuid));
    for (uuid, left_at) in by_time {
        let since = if known.iter().any(|running| running.uuid == uuid) {
            left_at
        } else {
            let before = known.iter().filter_map(|running| running.ended_at);
            let over = before.filter(|at| *at <= left_at).max();
            over.map_or(session.starts_at, |at| at.max(session.starts_at)).min(left_at)
        };
        known = meeting_instance::with_event(known, uuid, InstanceEvent::Running(since));
    }
    known
}

/// The last time that anybody came or went, by running.
fn last_signs(events: &[ZoomEvent]) -> BTreeMap<&str, Timestamp> {
    let mut last: BTreeMap<&str, Timestamp> = BTreeMap::new();
    for event in events {
        if let (Some(uuid), EventPayload::Joined(presence) | EventPayload::Left(presence)) =
            (event.uuid.as_deref(), &event.payload)
        {
            let at = last.entry(uuid).or_insert(presence.at);
            *at = presence.at.max(*at);
        }
    }
    last
}
