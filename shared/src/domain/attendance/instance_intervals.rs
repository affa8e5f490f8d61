//! The times at which a session was held. Each meeting instance gets a start and an end, even if Zoom reported neither.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::span::Span;
use crate::domain::meeting_instance::{self, InstanceEvent, MeetingInstance};
use crate::domain::session::{Session, Status};
use crate::domain::time::plus_minutes;
use crate::domain::zoom_event::{EventPayload, ZoomEvent};

/// The source of a meeting instance's end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InstanceEnd {
    /// Zoom reported the end.
    Reported,
    /// The instance has not ended. Its interval ends at the time of the report.
    Ongoing,
    /// The end was lost and is inferred from the planned end and the last participant event.
    Inferred,
}

/// The start and end of one meeting instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InstanceInterval {
    pub span: Span,
    pub end: InstanceEnd,
}

/// Returns the intervals of the meeting instances by uuid. Rehearsals are left out, so attending one does not count.
pub fn instance_intervals(
    session: &Session,
    events: &[ZoomEvent],
    now: Timestamp,
) -> BTreeMap<String, InstanceInterval> {
    let known = known_instances(session, events);
    let last_events = last_participant_events(events);
    let window_start = session.window_opens_at();
    let live =
        meeting_instance::lifecycle(session.status, window_start, &known).status == Status::Live;
    let close = |(n, instance): (usize, &MeetingInstance)| {
        let next = known.get(n + 1);
        let planned_end = session.ends_at().max(instance.started_at);
        let (to, end) = match instance.ended_at {
            Some(ended_at) => (ended_at, InstanceEnd::Reported),
            None if live
                && next.is_none()
                && now < plus_minutes(planned_end, session.window.closing_minutes) =>
            {
                (now, InstanceEnd::Ongoing)
            }
            None => {
                let last_event = last_events.get(instance.uuid.as_str()).copied();
                let is_early = instance.started_at < window_start && next.is_some();
                // An early instance that was followed by another need not have lasted until the planned end.
                let planned_end = if is_early { instance.started_at } else { planned_end };
                let to = last_event.map_or(planned_end, |at| at.max(planned_end)).min(now);
                // A meeting has one instance at a time, so the next start ends this one.
                (next.map_or(to, |next| to.min(next.started_at)), InstanceEnd::Inferred)
            }
        };
        let span = Span { from: instance.started_at, to: to.max(instance.started_at) };
        (instance.uuid.clone(), InstanceInterval { span, end })
    };
    let closed = known.iter().enumerate().map(close);
    let is_rehearsal = |interval: &InstanceInterval| {
        interval.end != InstanceEnd::Ongoing && interval.span.to <= window_start
    };
    closed.filter(|(_, interval)| !is_rehearsal(interval)).collect()
}

/// Merges the session's stored meeting instances with the events. The session stores only the events that its status
/// needs, and a report may be requested before they are processed.
fn known_instances(session: &Session, events: &[ZoomEvent]) -> Vec<MeetingInstance> {
    let mut known = session.meeting_instances.clone();
    for event in events {
        let Some(uuid) = event.uuid.as_deref() else { continue };
        let instance_event = match &event.payload {
            EventPayload::Started { at } => InstanceEvent::Running(*at),
            EventPayload::Joined(presence) => InstanceEvent::Running(presence.at),
            EventPayload::Ended { started_at, at } => {
                InstanceEvent::Ended { started_at: *started_at, at: *at }
            }
            _ => continue,
        };
        known = meeting_instance::with_event(known, uuid, instance_event);
    }
    add_instances_from_leaves(known, session, events)
}

/// Adds the meeting instances that are known only because participants left them. Such an instance is assumed to have
/// started at the planned start, or at the end of the instance before it.
fn add_instances_from_leaves(
    mut known: Vec<MeetingInstance>,
    session: &Session,
    events: &[ZoomEvent],
) -> Vec<MeetingInstance> {
    let mut first_left: BTreeMap<&str, Timestamp> = BTreeMap::new();
    for event in events {
        if let (Some(uuid), EventPayload::Left(presence)) = (event.uuid.as_deref(), &event.payload)
        {
            let first = first_left.entry(uuid).or_insert(presence.at);
            *first = presence.at.min(*first);
        }
    }
    let mut by_time: Vec<_> = first_left.into_iter().collect();
    by_time.sort_by_key(|(uuid, at)| (*at, *uuid));
    for (uuid, left_at) in by_time {
        let since = if known.iter().any(|instance| instance.uuid == uuid) {
            left_at
        } else {
            let ends = known.iter().filter_map(|instance| instance.ended_at);
            let previous_end = ends.filter(|at| *at <= left_at).max();
            previous_end.map_or(session.starts_at, |at| at.max(session.starts_at)).min(left_at)
        };
        known = meeting_instance::with_event(known, uuid, InstanceEvent::Running(since));
    }
    known
}

/// Returns the time of the last join or leave by meeting instance.
fn last_participant_events(events: &[ZoomEvent]) -> BTreeMap<&str, Timestamp> {
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
