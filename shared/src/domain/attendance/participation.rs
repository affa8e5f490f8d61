//! One client's connection to one running of the meeting: when it was in, and what Zoom tells of who it is.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::held::{InstanceEnd, InstanceInterval};
use super::span::Span;
use crate::domain::text::Email;
use crate::domain::time::whole_second;
use crate::domain::zoom_event::{ParticipantEvent, EventPayload, ZoomEvent};

/// A connection, from all of its events.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Participation {
    /// The uuid of the running.
    pub running: String,
    pub id: String,
    pub customer_key: Option<String>,
    pub registrant: Option<String>,
    pub email: Option<Email>,
    pub zoom_user: Option<String>,
    pub name: String,
    pub is_host: bool,
    pub stays: Participations,
}

/// When a connection was in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Participations {
    pub spans: Vec<Span>,
    /// It came, and nobody told that it left.
    pub left_inferred: bool,
    /// It left, and nobody told that it came.
    pub joined_inferred: bool,
    /// It is in, as far as is known now.
    pub still_in: bool,
}

/// Every connection of these runnings.
pub fn participations(events: &[ZoomEvent], windows: &BTreeMap<String, InstanceInterval>) -> Vec<Participation> {
    let mut heard: BTreeMap<(&str, &str), BTreeSet<Heard<'_>>> = BTreeMap::new();
    for event in events {
        let (presence, way) = match &event.payload {
            EventPayload::Joined(presence) => (presence, Way::In),
            EventPayload::Left(presence) => (presence, Way::Out),
            _ => continue,
        };
        let Some(uuid) = event.uuid.as_deref() else { continue };
        let of_connection = heard.entry((uuid, &presence.connection)).or_default();
        of_connection.insert(Heard::of(presence, way, &event.name));
    }
    let connection = |((uuid, id), heard): (_, BTreeSet<Heard<'_>>)| {
        let window = windows.get(uuid)?;
        // The set is ordered by time and then by everything else, so that what is taken from its first member
        // that says anything does not depend on the order of arrival.
        let first = |of: fn(&ParticipantEvent) -> Option<&String>| {
            heard.iter().find_map(|heard| of(heard.presence)).cloned()
        };
        Some(Participation {
            running: str::to_owned(uuid),
            id: str::to_owned(id),
            customer_key: first(|presence| presence.customer_key.as_ref()),
            registrant: first(|presence| presence.registrant.as_ref()),
            email: heard.iter().find_map(|heard| heard.presence.email.clone()),
            zoom_user: first(|presence| presence.zoom_user.as_ref()),
            name: first(|presence| Some(&presence.name).filter(|name| !name.is_empty()))
                .unwrap_or_default(),
            is_host: heard.iter().any(|heard| heard.presence.is_host),
            stays: stays(&heard, window),
        })
    };
    heard.into_iter().filter_map(connection).collect()
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Way {
    In,
    Out,
}

/// A coming or going. What distinguishes two events distinguishes two of these, and a redelivery is the same again.
#[derive(Clone, Debug)]
struct Heard<'a> {
    at: Timestamp,
    way: Way,
    /// Tells the main room's events from the breakout rooms'.
    event: &'a str,
    presence: &'a ParticipantEvent,
}

impl<'a> Heard<'a> {
    fn of(presence: &'a ParticipantEvent, way: Way, event: &'a str) -> Self {
        Self { at: presence.at, way, event, presence }
    }

    /// A redelivery has the same; what else it says can only differ by what one of the two leaves out.
    fn rank(&self) -> (Timestamp, Way, &str, &Option<String>, Completeness<'_>) {
        let p = self.presence;
        let says = (&p.customer_key, &p.registrant, &p.email, &p.zoom_user, &p.name, p.is_host);
        (self.at, self.way, self.event, &p.seat, says)
    }
}

type Completeness<'a> = (
    &'a Option<String>,
    &'a Option<String>,
    &'a Option<Email>,
    &'a Option<String>,
    &'a String,
    bool,
);

impl PartialEq for Heard<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.rank() == other.rank()
    }
}

impl Eq for Heard<'_> {}

impl PartialOrd for Heard<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Heard<'_> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.rank().cmp(&other.rank())
    }
}

/// What was heard within one second, which is as exact as Zoom is.
#[derive(Debug, Default)]
struct Moment<'a> {
    ins: BTreeSet<(&'a str, Option<&'a str>)>,
    outs: BTreeSet<(&'a str, Option<&'a str>)>,
    first_in: Option<Timestamp>,
    last_out: Option<Timestamp>,
}

impl<'a> Moment<'a> {
    fn all(heard: &BTreeSet<Heard<'a>>) -> BTreeMap<Timestamp, Self> {
        let mut moments: BTreeMap<Timestamp, Self> = BTreeMap::new();
        for heard in heard {
            let moment = moments.entry(whole_second(heard.at)).or_default();
            let what = (heard.event, heard.presence.seat.as_deref());
            match heard.way {
                Way::In => {
                    moment.ins.insert(what);
                    moment.first_in.get_or_insert(heard.at);
                }
                Way::Out => {
                    moment.outs.insert(what);
                    moment.last_out = Some(heard.at);
                }
            }
        }
        moments
    }

    /// Whether whoever came is who left, rather than somebody who changed rooms and so had another seat.
    fn is_short_visit(&self) -> bool {
        let seats = |side: &BTreeSet<(_, Option<&'a str>)>| -> BTreeSet<_> {
            side.iter().map(|(_, seat)| *seat).collect()
        };
        seats(&self.ins) == seats(&self.outs)
    }
}

/// When a connection was in, from its comings and goings.
///
/// A move between rooms is a leave and a join within one second, told in either order: by the end of that second the
/// connection is in if it came as often as it left. What was not told is filled in: a connection cannot come twice or
/// leave twice in a row, so it was in all the while between two signs of the same kind; and what has no beginning or
/// no end at all has the running's.
fn stays(heard: &BTreeSet<Heard<'_>>, window: &InstanceInterval) -> Participations {
    let mut stays = Participations::default();
    let mut spans = Vec::new();
    let mut since: Option<Timestamp> = None;
    let mut last_out: Option<Timestamp> = None;
    for moment in Moment::all(heard).into_values() {
        let (ins, outs) = (moment.ins.len(), moment.outs.len());
        let in_after = match (since, moment.first_in, moment.last_out) {
            // In before: it is still in unless it left more often than it came.
            (Some(_), _, _) => 1 + ins > outs,
            (None, Some(came), None) => {
                since = Some(came);
                true
            }
            (None, Some(came), Some(_)) if ins > outs => {
                since = Some(came);
                true
            }
            (None, Some(came), Some(_)) if ins == outs && moment.is_short_visit() => {
                since = Some(came);
                false
            }
            // Out before, and yet it left: that it came was not told.
            (None, _, _) => {
                since = Some(last_out.unwrap_or(window.span.from));
                stays.joined_inferred = true;
                ins > 0 && ins == outs
            }
        };
        if !in_after {
            if let (Some(from), Some(to)) = (since.take(), moment.last_out) {
                spans.push(Span::between(from, to));
            }
            last_out = moment.last_out;
        }
    }
    if let Some(from) = since {
        stays.still_in = window.end == InstanceEnd::Running;
        stays.left_inferred = !stays.still_in;
        if from <= window.span.to {
            spans.push(Span { from, to: window.span.to });
        }
    }
    stays.spans = spans.into_iter().filter_map(|span| span.within(window.span)).collect();
    stays
}
