//! The rows of Zoom's report: the participation to which each belongs, and the times that follow from them.
//!
//! Events and rows describe the same connections in two ways. An event has a `participant_uuid`, a row has only the
//! `user_id`, which an event of the same room has too. Where the events of that room were lost, a row is recognised by the
//! identity and the times. No minute is counted twice, because a recognised row replaces the times that the events leave open.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;

use super::instance_intervals::InstanceInterval;
use super::participation_events::{
    Direction, JoinOrLeave, ParticipationEvents, ParticipationKey, Presence, SAME_MOVE,
};
use super::span::Span;
use crate::domain::time::plus;
use crate::domain::zoom_event::ParticipantEvent;
use crate::domain::zoom_report::{InstanceReport, ReportedConnection};

/// A move between rooms is a leave and a join in the same second, which is the precision of Zoom's times.
const SAME_SECOND: Duration = Duration::from_secs(1);

pub(super) type ParticipationRows<'a> = BTreeMap<ParticipationKey<'a>, Vec<&'a ReportedConnection>>;

type EventsOfInstance<'e, 'a> = BTreeMap<ParticipationKey<'a>, &'e BTreeSet<JoinOrLeave<'a>>>;

/// Assigns each row to the participation of its events, or else to a participation of its own.
pub(super) fn assign<'a>(
    reports: &'a [InstanceReport],
    events: &ParticipationEvents<'a>,
) -> ParticipationRows<'a> {
    let mut assigned = ParticipationRows::new();
    for report in reports {
        let mut rows: Vec<_> = report.connections.iter().collect();
        rows.sort_by_key(|row| {
            (row.participant.at, row.left_at, &row.participant.participant_uuid)
        });
        let own_events: EventsOfInstance<'_, 'a> = events
            .range((report.instance_uuid.as_str(), "")..)
            .take_while(|((instance, _), _)| *instance == report.instance_uuid)
            .map(|(key, events)| (*key, events))
            .collect();
        let rows = assign_by_room(rows, &own_events, &mut assigned);
        let rows = assign_by_identity_and_time(rows, &own_events, &mut assigned);
        assign_to_own_participations(&report.instance_uuid, rows, &mut assigned);
    }
    assigned
}

/// Assigns the rows whose `user_id` an event of the same instance has. Returns the others.
fn assign_by_room<'a>(
    rows: Vec<&'a ReportedConnection>,
    events: &EventsOfInstance<'_, 'a>,
    assigned: &mut ParticipationRows<'a>,
) -> Vec<&'a ReportedConnection> {
    let mut by_room: BTreeMap<&str, Vec<ParticipationKey<'a>>> = BTreeMap::new();
    for (key, own_events) in events {
        let rooms: BTreeSet<_> = own_events
            .iter()
            .filter_map(|event| event.participant.room_user_id.as_deref())
            .collect();
        for room in rooms {
            by_room.entry(room).or_default().push(*key);
        }
    }
    let mut others = Vec::new();
    for row in rows {
        let room = row.participant.room_user_id.as_deref();
        let candidates = room.and_then(|room| by_room.get(room)).map_or(&[][..], Vec::as_slice);
        // Zoom gives a number again at most after its participant has left.
        let at_the_time = candidates.iter().find(|key| has_event_in(events[*key], row));
        match at_the_time.or(candidates.first()) {
            Some(key) => assigned.entry(*key).or_default().push(row),
            None => others.push(row),
        }
    }
    others
}

/// Assigns rows to participations without rows, by identity or by time. Returns the others.
fn assign_by_identity_and_time<'a>(
    mut rows: Vec<&'a ReportedConnection>,
    events: &EventsOfInstance<'_, 'a>,
    assigned: &mut ParticipationRows<'a>,
) -> Vec<&'a ReportedConnection> {
    let mut without_rows: Vec<_> =
        events.iter().filter(|(key, _)| !assigned.contains_key(*key)).collect();
    without_rows.sort_by_key(|(key, own)| (own.first().map(|event| event.at), **key));
    let all_rows = rows.clone();
    for (key, own_events) in &without_rows {
        let is_theirs = |row: &ReportedConnection| shares_identity(own_events, &row.participant);
        if let Some(index) = best_row(&rows, own_events, is_theirs) {
            assigned.entry(**key).or_default().push(rows.remove(index));
        }
    }
    without_rows.retain(|(key, _)| !assigned.contains_key(*key));
    assign_by_time(&mut rows, &without_rows, assigned);
    without_rows.retain(|(key, _)| !assigned.contains_key(*key));
    for (key, own_events) in &without_rows {
        // All connections of the person are listed, so another row of theirs replaces an inferred time.
        let is_theirs = |row: &&&ReportedConnection| shares_identity(own_events, &row.participant);
        if let Some(row) = all_rows.iter().find(is_theirs) {
            assigned.entry(**key).or_default().push(row);
        }
    }
    // Every connection has a row, so an anonymous participation is one of the anonymous rows that are left.
    without_rows.retain(|(key, own)| !assigned.contains_key(*key) && is_anonymous(own));
    for (key, own_events) in &without_rows {
        if let Some(index) = best_row(&rows, own_events, ReportedConnection::is_anonymous) {
            assigned.entry(**key).or_default().push(rows.remove(index));
        }
    }
    rows
}

/// Returns the index of a row that may describe the events: one with all of them in its time. The first to end leaves the most
/// rows for events that are later.
fn best_row(
    rows: &[&ReportedConnection],
    events: &BTreeSet<JoinOrLeave<'_>>,
    is_possible: impl Fn(&ReportedConnection) -> bool,
) -> Option<usize> {
    let possible = rows
        .iter()
        .enumerate()
        .filter(|(_, row)| is_possible(row) && events.iter().all(|event| is_in(event, row)));
    possible.min_by_key(|(_, row)| row.left_at).map(|(index, _)| index)
}

/// Assigns rows by the times of joins and leaves, if that leaves no doubt.
fn assign_by_time<'a>(
    rows: &mut Vec<&'a ReportedConnection>,
    without_rows: &[(&ParticipationKey<'a>, &&BTreeSet<JoinOrLeave<'a>>)],
    assigned: &mut ParticipationRows<'a>,
) {
    for (key, own_events) in without_rows {
        let fits = |row: &ReportedConnection| {
            has_times_of(own_events, row) && !contradicts(own_events, &row.participant)
        };
        let fitting: Vec<_> = (0..rows.len()).filter(|index| fits(rows[*index])).collect();
        let Some(first) = fitting.first().copied() else { continue };
        let rivals = without_rows.iter().filter(|(_, other)| {
            has_times_of(other, rows[first]) && !contradicts(other, &rows[first].participant)
        });
        // Among people without any identity, every choice gives the same minutes.
        let is_any_as_good = is_anonymous(own_events) && rows[first].is_anonymous();
        if is_any_as_good || (fitting.len() == 1 && rivals.count() == 1) {
            assigned.entry(**key).or_default().push(rows.remove(first));
        }
    }
}

/// Assigns the remaining rows. A row that continues another one of the same person, in the next room, is part of the same
/// participation.
fn assign_to_own_participations<'a>(
    instance: &'a str,
    rows: Vec<&'a ReportedConnection>,
    assigned: &mut ParticipationRows<'a>,
) {
    for row in rows {
        let of_instance =
            assigned.range((instance, "")..).take_while(|((other, _), _)| *other == instance);
        let mut continued = of_instance
            .filter(|(_, known)| known.iter().any(|known| is_same_connection(known, row)))
            .map(|(key, _)| *key);
        let key = continued.next().unwrap_or((instance, &row.participant.participant_uuid));
        assigned.entry(key).or_default().push(row);
    }
}

fn is_same_connection(a: &ReportedConnection, b: &ReportedConnection) -> bool {
    let follows = |first: &ReportedConnection, next: &ReportedConnection| {
        is_near(first.left_at, next.participant.at, SAME_SECOND)
    };
    let is_same_room = a.participant.participant_uuid == b.participant.participant_uuid;
    let is_same_person = || have_equal_identity(&a.participant, &b.participant);
    is_same_room || ((follows(a, b) || follows(b, a)) && is_same_person())
}

impl ReportedConnection {
    fn is_anonymous(&self) -> bool {
        identity(&self.participant).iter().all(Option::is_none)
    }
}

/// The identity of a participant apart from the name, which anybody can type.
fn identity(participant: &ParticipantEvent) -> [Option<&str>; 4] {
    let ParticipantEvent { customer_key, registrant, zoom_user, email, .. } = participant;
    [
        customer_key.as_deref(),
        registrant.as_deref(),
        zoom_user.as_deref(),
        email.as_ref().map(|email| email.as_str()),
    ]
}

/// Returns whether two participants are the same person: the strongest identity that both have is equal.
fn have_equal_identity(a: &ParticipantEvent, b: &ParticipantEvent) -> bool {
    let both = identity(a).into_iter().zip(identity(b)).find_map(|(a, b)| a.zip(b));
    both.is_some_and(|(a, b)| a == b)
}

fn shares_identity(events: &BTreeSet<JoinOrLeave<'_>>, row: &ParticipantEvent) -> bool {
    !contradicts(events, row)
        && events.iter().any(|event| have_equal_identity(event.participant, row))
}

/// Returns whether an event and the row name two different people.
fn contradicts(events: &BTreeSet<JoinOrLeave<'_>>, row: &ParticipantEvent) -> bool {
    events.iter().any(|event| {
        let pairs = identity(event.participant).into_iter().zip(identity(row));
        let strongest = pairs.filter_map(|(a, b)| a.zip(b)).map(|(a, b)| a != b).next();
        strongest.unwrap_or(false)
    })
}

fn is_anonymous(events: &BTreeSet<JoinOrLeave<'_>>) -> bool {
    events.iter().all(|event| identity(event.participant).iter().all(Option::is_none))
}

fn is_near(a: Timestamp, b: Timestamp, tolerance: Duration) -> bool {
    a <= plus(b, tolerance) && b <= plus(a, tolerance)
}

fn has_event_in(events: &BTreeSet<JoinOrLeave<'_>>, row: &ReportedConnection) -> bool {
    events.iter().any(|event| is_in(event, row))
}

fn is_in(event: &JoinOrLeave<'_>, row: &ReportedConnection) -> bool {
    row.participant.at <= plus(event.at, SAME_MOVE) && event.at <= plus(row.left_at, SAME_MOVE)
}

/// Returns whether the events have the join of the row, and its leave if they have a leave at their end.
fn has_times_of(events: &BTreeSet<JoinOrLeave<'_>>, row: &ReportedConnection) -> bool {
    let (first, last) = (events.first(), events.last());
    let joined = first.is_some_and(|first| {
        first.direction == Direction::Join && is_near(first.at, row.participant.at, SAME_MOVE)
    });
    let left = last.is_none_or(|last| {
        last.direction == Direction::Join || is_near(last.at, row.left_at, SAME_MOVE)
    });
    joined && left
}

/// Returns the times of a participation with rows. The rows count for every room that they list. If some of the events' rooms
/// are listed, a room that is not counts by its events, from a join to the leave of the same room. What was inferred
/// without the report does not count any more.
pub(super) fn presence(
    events: &BTreeSet<JoinOrLeave<'_>>,
    rows: &[&ReportedConnection],
    interval: &InstanceInterval,
) -> Presence {
    let listed: BTreeSet<_> =
        rows.iter().filter_map(|row| row.participant.room_user_id.as_deref()).collect();
    let mut spans: Vec<_> =
        rows.iter().map(|row| Span::between(row.participant.at, row.left_at)).collect();
    let mut joined_at: BTreeMap<&str, Timestamp> = BTreeMap::new();
    let room_of = |event: &JoinOrLeave<'_>| event.participant.room_user_id.clone();
    let is_listed = |room: &str| listed.contains(room);
    let is_any_listed = events.iter().filter_map(room_of).any(|room| is_listed(&room));
    for event in events.iter().filter(|_| is_any_listed) {
        let room = event.participant.room_user_id.as_deref();
        let Some(room) = room.filter(|room| !is_listed(room)) else { continue };
        match event.direction {
            Direction::Join => drop(joined_at.entry(room).or_insert(event.at)),
            Direction::Leave => {
                let joined_at = joined_at.remove(room);
                spans.extend(joined_at.map(|joined_at| Span::between(joined_at, event.at)));
            }
        }
    }
    let spans = spans.into_iter().filter_map(|span| span.intersection(interval.span)).collect();
    Presence { spans, ..Presence::default() }
}
