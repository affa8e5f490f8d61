//! The times at which a session was held. Each meeting instance gets a start and an end, even if Zoom reported neither.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::span::Span;
use crate::domain::meeting_instance::{self, InstanceEvent, MeetingInstance};
use crate::domain::session::{Session, Status};
use crate::domain::zoom_event::{EventPayload, ZoomEvent};
use crate::domain::zoom_report::InstanceReport;

/// The source of a meeting instance's end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InstanceEnd {
    /// Zoom reported the end.
    Reported,
    /// The instance has not ended. Its interval ends at the time of the report.
    Ongoing,
    /// Zoom has not reported the end, and it is inferred.
    Inferred,
}

/// The part of a meeting instance that lies in the session's window.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InstanceInterval {
    pub span: Span,
    pub end: InstanceEnd,
}

/// Returns the intervals of the session's meeting instances by uuid. Instances outside the window are left out, so
/// attending a rehearsal or a later call does not count.
pub fn instance_intervals(
    session: &Session,
    events: &[ZoomEvent],
    reports: &[InstanceReport],
    now: Timestamp,
) -> BTreeMap<String, InstanceInterval> {
    let known = known_instances(session, events, reports);
    let participants = participants_of_instances(events);
    let window = session.session_window();
    let limits = Span::of_window(session);
    let interval = |(n, instance): (usize, &MeetingInstance)| {
        let next = known.get(n + 1);
        let is_open = now < window.closes_at && session.status != Status::Cancelled;
        let (to, end) = match instance.ended_at {
            Some(ended_at) => (ended_at, InstanceEnd::Reported),
            None if is_open && next.is_none() => (now, InstanceEnd::Ongoing),
            None => {
                let participants = participants.get(instance.uuid.as_str());
                let is_early = instance.started_at < window.opens_at && next.is_some();
                let planned_end = session.planned_end().max(instance.started_at);
                let to = match participants {
                    // Zoom repeats an event for 85 minutes. If the end is still unknown when the window closes, the meeting
                    // most likely still runs.
                    Some(participants) if participants.is_anybody_connected && !is_early => {
                        window.closes_at
                    }
                    // An early instance that was followed by another need not have lasted until the planned end.
                    Some(participants) if is_early => participants.last_event_at,
                    Some(participants) => participants.last_event_at.max(planned_end),
                    None if is_early => instance.started_at,
                    None => planned_end,
                };
                // A meeting has one instance at a time, so the next start ends this one.
                (next.map_or(to, |next| to.min(next.started_at)).min(now), InstanceEnd::Inferred)
            }
        };
        let whole = Span { from: instance.started_at, to: to.max(instance.started_at) };
        let is_own = whole.from < limits.to && whole.to > limits.from;
        let span = whole.intersection(limits).filter(|_| is_own)?;
        Some((instance.uuid.clone(), InstanceInterval { span, end }))
    };
    known.iter().enumerate().filter_map(interval).collect()
}

/// Returns the time at which the session ended, as far as the events show. `None` if it was not held.
pub fn inferred_end(session: &Session, events: &[ZoomEvent], now: Timestamp) -> Option<Timestamp> {
    instance_intervals(session, events, &[], now)
        .into_values()
        .map(|interval| interval.span.to)
        .max()
}

/// Returns the events of the meeting instances that belong to the session.
pub fn events_of_session(session: &Session, events: Vec<ZoomEvent>) -> Vec<ZoomEvent> {
    let known = known_instances(session, &events, &[]);
    let own: BTreeSet<_> =
        session.session_window().own_instances(&known).map(|own| own.uuid.as_str()).collect();
    let is_own = |event: &ZoomEvent| event.uuid.as_deref().is_none_or(|uuid| own.contains(uuid));
    events.into_iter().filter(is_own).collect()
}

/// Merges the session's stored meeting instances with the events and reports. The session stores only the events that its
/// status needs, and a report may be requested before they are processed.
fn known_instances(
    session: &Session,
    events: &[ZoomEvent],
    reports: &[InstanceReport],
) -> Vec<MeetingInstance> {
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
    // Zoom lists ended instances only, and an instance lasts until its last leave at least.
    for report in reports.iter().filter(|report| report.is_complete) {
        if let Some((started_at, at)) = report.span() {
            let ended = InstanceEvent::Ended { started_at: Some(started_at), at };
            known = meeting_instance::with_event(known, &report.instance_uuid, ended);
        }
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
            previous_end
                .map_or(session.details.starts_at, |at| at.max(session.details.starts_at))
                .min(left_at)
        };
        known = meeting_instance::with_event(known, uuid, InstanceEvent::Running(since));
    }
    known
}

/// What the joins and leaves of a meeting instance reveal about its end.
struct InstanceParticipants {
    last_event_at: Timestamp,
    is_anybody_connected: bool,
}

fn participants_of_instances(events: &[ZoomEvent]) -> BTreeMap<&str, InstanceParticipants> {
    // The latest event of each participant. A leave and a join in one second are a move between rooms.
    let mut latest: BTreeMap<(&str, &str), (Timestamp, bool)> = BTreeMap::new();
    for event in events {
        let (presence, is_join) = match &event.payload {
            EventPayload::Joined(presence) => (presence, true),
            EventPayload::Left(presence) => (presence, false),
            _ => continue,
        };
        let Some(uuid) = event.uuid.as_deref() else { continue };
        let last =
            latest.entry((uuid, &presence.participant_uuid)).or_insert((presence.at, is_join));
        *last = (presence.at, is_join).max(*last);
    }
    let mut instances: BTreeMap<&str, InstanceParticipants> = BTreeMap::new();
    for ((uuid, _), (at, is_connected)) in latest {
        let instance = instances.entry(uuid).or_insert(InstanceParticipants {
            last_event_at: at,
            is_anybody_connected: is_connected,
        });
        instance.last_event_at = instance.last_event_at.max(at);
        instance.is_anybody_connected |= is_connected;
    }
    instances
}
