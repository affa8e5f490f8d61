//! Participations: the connection of one client to one meeting instance, with its times and the identity that Zoom gives.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::instance_intervals::InstanceInterval;
use super::participation_events::{
    JoinOrLeave, ParticipationKey, Presence, events_by_participant, presence,
};
use super::provenance::Provenance;
use super::reported_rows;
use super::span::Span;
use crate::domain::text::Email;
use crate::domain::zoom_event::{EventPayload, ParticipantEvent, ZoomEvent};
use crate::domain::zoom_report::{InstanceReport, ReportedConnection};

/// A participant's connection to one meeting instance, combined from all of its events and of its rows in Zoom's report.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Participation {
    pub instance_uuid: String,
    pub id: String,
    pub customer_key: Option<String>,
    pub registrant: Option<String>,
    pub email: Option<Email>,
    pub zoom_user: Option<String>,
    pub name: String,
    pub is_host: bool,
    /// For a telephone: the participation of the person who uses it.
    pub telephone_of: Option<String>,
    pub presence: Presence,
    pub provenance: Provenance,
    /// The ids that the participation has without its events.
    pub reported_ids: Vec<String>,
    /// Whether the events miss a join.
    pub lacks_events: bool,
}

/// Returns every participation of the given meeting instances in the session's window.
pub fn participations(
    events: &[ZoomEvent],
    reports: &[InstanceReport],
    intervals: &BTreeMap<String, InstanceInterval>,
    window: Span,
) -> Vec<Participation> {
    let events_by_participant = events_by_participant(events);
    let rows_by_participant = reported_rows::assign(reports, &events_by_participant);
    let owners = telephone_owners(events);
    let keys: BTreeSet<ParticipationKey<'_>> =
        events_by_participant.keys().chain(rows_by_participant.keys()).copied().collect();
    let (no_events, no_rows) = (BTreeSet::new(), Vec::new());
    let participation = |key: ParticipationKey<'_>| {
        let interval = intervals.get(key.0)?;
        let own_events = events_by_participant.get(&key).unwrap_or(&no_events);
        let rows = rows_by_participant.get(&key).unwrap_or(&no_rows);
        let telephone_of = owners.get(&key).map(|(_, owner)| str::to_owned(owner));
        let found = Participation::new(key, own_events, rows, interval, telephone_of);
        // Somebody who only came before or after the session's window did not attend the session.
        let in_window = |at: Timestamp| window.from <= at && at < window.to;
        let has_event = || own_events.iter().any(|event| in_window(event.at));
        let has_row = || rows.iter().any(|row| in_window(row.participant.at));
        (!found.presence.spans.is_empty() || has_event() || has_row()).then_some(found)
    };
    keys.into_iter().filter_map(participation).collect()
}

impl Participation {
    fn new(
        (instance_uuid, id): ParticipationKey<'_>,
        events: &BTreeSet<JoinOrLeave<'_>>,
        rows: &[&ReportedConnection],
        interval: &InstanceInterval,
        telephone_of: Option<String>,
    ) -> Self {
        let by_events = presence(events, interval);
        let lacks_events = events.is_empty() || by_events.joined_inferred;
        let (presence, provenance) = match (events.is_empty(), rows.is_empty()) {
            (_, true) => (by_events, Provenance::Webhook),
            (true, _) => (reported_rows::presence(events, rows, interval), Provenance::Report),
            (false, _) => (reported_rows::presence(events, rows, interval), Provenance::Both),
        };
        // The set is totally ordered, so the first known value does not depend on the order of arrival.
        let of_events = events.iter().map(|event| event.participant);
        let identities = of_events.chain(rows.iter().map(|row| &row.participant));
        let first = |field: fn(&ParticipantEvent) -> Option<&String>| {
            identities.clone().find_map(field).cloned()
        };
        let reported_ids: BTreeSet<_> =
            rows.iter().map(|row| row.participant.participant_uuid.clone()).collect();
        Self {
            instance_uuid: instance_uuid.to_owned(),
            id: id.to_owned(),
            customer_key: first(|participant| participant.customer_key.as_ref()),
            registrant: first(|participant| participant.registrant.as_ref()),
            email: identities.clone().find_map(|participant| participant.email.clone()),
            zoom_user: first(|participant| participant.zoom_user.as_ref()),
            name: first(|participant| Some(&participant.name).filter(|name| !name.is_empty()))
                .unwrap_or_default(),
            is_host: identities.clone().any(|participant| participant.is_host),
            telephone_of,
            presence,
            provenance,
            reported_ids: reported_ids.into_iter().collect(),
            lacks_events,
        }
    }
}

/// Returns the participation to which each telephone was bound last, by meeting instance and telephone.
fn telephone_owners(events: &[ZoomEvent]) -> BTreeMap<(&str, &str), (Option<Timestamp>, &str)> {
    let mut owners = BTreeMap::new();
    for event in events {
        if let (Some(uuid), EventPayload::TelephoneBound { telephone, participant }) =
            (event.uuid.as_deref(), &event.payload)
        {
            let bound = (event.at, participant.as_str());
            let last = owners.entry((uuid, telephone.as_str())).or_insert(bound);
            *last = bound.max(*last);
        }
    }
    owners
}

/// Returns the participation that identifies the person of each one: its own, or for a telephone that of its owner.
pub fn with_owners(
    participations: &[Participation],
) -> impl Iterator<Item = (&Participation, &Participation)> {
    let by_id: BTreeMap<_, _> =
        participations.iter().map(|it| ((it.instance_uuid.as_str(), it.id.as_str()), it)).collect();
    participations.iter().map(move |participation| {
        let owner = participation.telephone_of.as_deref();
        let owner = owner.and_then(|id| by_id.get(&(participation.instance_uuid.as_str(), id)));
        (participation, owner.copied().unwrap_or(participation))
    })
}

/// Returns the email address of each Zoom user. Zoom may give it in one event and omit it in the next.
pub fn addresses_of_zoom_users(participations: &[Participation]) -> BTreeMap<&str, &Email> {
    let mut addresses = BTreeMap::new();
    for participation in participations {
        if let (Some(user), Some(email)) = (&participation.zoom_user, &participation.email) {
            addresses.entry(user.as_str()).or_insert(email);
        }
    }
    addresses
}
