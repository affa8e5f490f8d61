//! The events of participations: joins and leaves, and the times that follow from them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;

use super::instance_intervals::{InstanceEnd, InstanceInterval};
use super::span::Span;
use crate::domain::text::Email;
use crate::domain::time::{plus, whole_second};
use crate::domain::zoom_event::{
    ADMITTED, EventPayload, PUT_IN_WAITING_ROOM, ParticipantEvent, ZoomEvent,
};

/// Zoom reports a move to or from the waiting room by one event or by two, a few seconds apart.
pub(super) const SAME_MOVE: Duration = Duration::from_secs(5);

/// The times at which a participation was connected.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Presence {
    pub spans: Vec<Span>,
    /// The leave event was lost.
    pub left_inferred: bool,
    /// The join event was lost.
    pub joined_inferred: bool,
    /// The participant has not left an instance that is still running.
    pub still_connected: bool,
}

/// The uuid of the meeting instance and the id of a participation in it.
pub(super) type ParticipationKey<'a> = (&'a str, &'a str);
pub(super) type ParticipationEvents<'a> = BTreeMap<ParticipationKey<'a>, BTreeSet<JoinOrLeave<'a>>>;

/// Returns the joins and leaves of each participation.
pub(super) fn events_by_participant(events: &[ZoomEvent]) -> ParticipationEvents<'_> {
    let mut grouped = ParticipationEvents::new();
    for event in events {
        let (participant, direction) = match &event.payload {
            EventPayload::Joined(participant) => (participant, Direction::Join),
            EventPayload::Left(participant) => (participant, Direction::Leave),
            _ => continue,
        };
        let Some(uuid) = event.uuid.as_deref() else { continue };
        let own_events = grouped.entry((uuid, &participant.participant_uuid)).or_default();
        own_events.insert(JoinOrLeave::new(participant, direction, &event.name));
    }
    grouped
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Direction {
    Join,
    Leave,
}

/// A join or leave event. Two different events are unequal, and a redelivery is equal to the first delivery.
#[derive(Clone, Debug)]
pub(super) struct JoinOrLeave<'a> {
    pub(super) at: Timestamp,
    pub(super) direction: Direction,
    /// The name of the Zoom event, which differs between the main room and breakout rooms.
    event: &'a str,
    pub(super) participant: &'a ParticipantEvent,
}

impl<'a> JoinOrLeave<'a> {
    fn new(participant: &'a ParticipantEvent, direction: Direction, event: &'a str) -> Self {
        Self { at: participant.at, direction, event, participant }
    }

    /// Returns the key by which events are ordered and compared. The identity fields of a redelivery can differ from the
    /// first delivery only where one of the two omits a field.
    fn sort_key(&self) -> (Timestamp, Direction, &str, &Option<String>, IdentityFields<'_>) {
        let participant = self.participant;
        let identity = (
            &participant.customer_key,
            &participant.registrant,
            &participant.email,
            &participant.zoom_user,
            &participant.name,
            participant.is_host,
        );
        (self.at, self.direction, self.event, &participant.room_user_id, identity)
    }
}

type IdentityFields<'a> = (
    &'a Option<String>,
    &'a Option<String>,
    &'a Option<Email>,
    &'a Option<String>,
    &'a String,
    bool,
);

impl PartialEq for JoinOrLeave<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.sort_key() == other.sort_key()
    }
}

impl Eq for JoinOrLeave<'_> {}

impl PartialOrd for JoinOrLeave<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for JoinOrLeave<'_> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.sort_key().cmp(&other.sort_key())
    }
}

/// The join and leave events of one second, which is the precision of Zoom's times.
#[derive(Debug, Default)]
struct EventsInSecond<'a> {
    joins: BTreeSet<(&'a str, Option<&'a str>)>,
    leaves: BTreeSet<(&'a str, Option<&'a str>)>,
    first_join: Option<Timestamp>,
    last_leave: Option<Timestamp>,
}

/// Counts the joins or leaves of one second. A move from or to the waiting room may be reported twice.
fn count_moves(events: &BTreeSet<(&str, Option<&str>)>) -> usize {
    let is_waiting_room = |(name, _): &&(&str, _)| [ADMITTED, PUT_IN_WAITING_ROOM].contains(name);
    let of_waiting_room = events.iter().filter(is_waiting_room).count();
    of_waiting_room.max(events.len() - of_waiting_room)
}

impl<'a> EventsInSecond<'a> {
    fn group_by_second(events: &BTreeSet<JoinOrLeave<'a>>) -> BTreeMap<Timestamp, Self> {
        let mut seconds: BTreeMap<Timestamp, Self> = BTreeMap::new();
        for event in events {
            let second = seconds.entry(whole_second(event.at)).or_default();
            let name_and_room = (event.event, event.participant.room_user_id.as_deref());
            match event.direction {
                Direction::Join => {
                    second.joins.insert(name_and_room);
                    second.first_join.get_or_insert(event.at);
                }
                Direction::Leave => {
                    second.leaves.insert(name_and_room);
                    second.last_leave = Some(event.at);
                }
            }
        }
        seconds
    }

    fn is_put_in_waiting_room(&self) -> bool {
        self.leaves.iter().any(|(name, _)| *name == PUT_IN_WAITING_ROOM)
    }

    /// Returns whether the same room ids joined and left. After a change of rooms they differ.
    fn is_short_visit(&self) -> bool {
        let room_ids = |side: &BTreeSet<(_, Option<&'a str>)>| -> BTreeSet<_> {
            side.iter().map(|(_, room_id)| *room_id).collect()
        };
        room_ids(&self.joins) == room_ids(&self.leaves)
    }
}

/// Computes the times at which a participation was connected from its join and leave events.
///
/// A move between rooms is a leave and a join within one second, in either order. At the end of that second the
/// participant is connected if there are as many joins as leaves. Lost events are inferred. A participant cannot join
/// twice or leave twice in a row, so they were connected between two events of the same kind. A missing first join or
/// last leave is replaced by the start or end of the meeting instance. A person in the waiting room is not connected, so a
/// leave from there means no lost join.
pub(super) fn presence(
    events: &BTreeSet<JoinOrLeave<'_>>,
    interval: &InstanceInterval,
) -> Presence {
    let mut presence = Presence::default();
    let mut spans = Vec::new();
    let mut connected_since: Option<Timestamp> = None;
    let mut previous_leave: Option<Timestamp> = None;
    let mut in_waiting_room = false;
    for second in EventsInSecond::group_by_second(events).into_values() {
        let (joins, leaves) = (count_moves(&second.joins), count_moves(&second.leaves));
        let is_put_in_waiting_room = second.is_put_in_waiting_room();
        if let (None, None, Some(left_at)) = (connected_since, second.first_join, second.last_leave)
        {
            let is_same_move = is_put_in_waiting_room
                && previous_leave.is_some_and(|at| left_at <= plus(at, SAME_MOVE));
            if in_waiting_room || is_same_move {
                in_waiting_room = true;
                continue;
            }
        }
        let is_connected = match (connected_since, second.first_join, second.last_leave) {
            // Already connected: still connected unless there are more leaves than joins.
            (Some(_), _, _) => 1 + joins > leaves,
            (None, Some(joined_at), None) => {
                connected_since = Some(joined_at);
                true
            }
            (None, Some(joined_at), Some(_)) if joins > leaves => {
                connected_since = Some(joined_at);
                true
            }
            (None, Some(joined_at), Some(_)) if in_waiting_room => {
                connected_since = Some(joined_at);
                joins == leaves
            }
            (None, Some(joined_at), Some(_)) if joins == leaves && second.is_short_visit() => {
                connected_since = Some(joined_at);
                false
            }
            // A leave while disconnected: the join was lost.
            (None, _, _) => {
                connected_since = Some(previous_leave.unwrap_or(interval.span.from));
                presence.joined_inferred = true;
                joins > 0 && joins == leaves
            }
        };
        if !is_connected {
            if let (Some(from), Some(to)) = (connected_since.take(), second.last_leave) {
                spans.push(Span::between(from, to));
            }
            previous_leave = second.last_leave;
        }
        in_waiting_room = !is_connected && is_put_in_waiting_room;
    }
    if let Some(from) = connected_since {
        presence.still_connected = interval.end == InstanceEnd::Ongoing;
        presence.left_inferred = !presence.still_connected;
        if from <= interval.span.to {
            spans.push(Span { from, to: interval.span.to });
        }
    }
    presence.spans =
        spans.into_iter().filter_map(|span| span.intersection(interval.span)).collect();
    presence
}
