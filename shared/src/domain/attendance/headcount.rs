//! The number of people in a meeting, by the rules of the report.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::instance_intervals::instance_intervals;
use super::participation::{Participation, addresses_of_zoom_users, participations, with_owners};
use super::people::{People, RowOwner};
use super::span::Span;
use crate::domain::session::Session;
use crate::domain::text::Email;
use crate::domain::zoom_event::ZoomEvent;

/// Counts the people other than the host in the meeting at some time from `from` to `to`, as of `now`.
///
/// People on the roster are recognized as in the report, so that a person with two devices counts once. A telephone counts
/// as the participant to whom it is bound. Other participations with the same customer key, email address or Zoom user
/// count as one person, and any other participation counts as a person of its own.
pub fn headcount(
    session: &Session,
    people: &People,
    events: &[ZoomEvent],
    (from, to): (Timestamp, Timestamp),
    now: Timestamp,
) -> usize {
    let interval = Span::between(from, to);
    let intervals = instance_intervals(session, events, &[], now);
    let participations = participations(events, &[], &intervals, Span::of_window(session));
    let addresses = addresses_of_zoom_users(&participations);
    let was_present = |(participation, _): &(&Participation, _)| {
        participation.presence.spans.iter().any(|span| span.intersection(interval).is_some())
    };
    let present = with_owners(&participations)
        .filter(was_present)
        .map(|(_, owner)| person_of(people, owner, &addresses));
    present.filter(|person| *person != Somebody::Host).collect::<BTreeSet<_>>().len()
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Somebody<'a> {
    Host,
    /// The index in [`People::expected`].
    Expected(usize),
    Key(&'a str),
    Email(&'a Email),
    ZoomUser(&'a str),
    Participation(&'a str, &'a str),
}

fn person_of<'a>(
    people: &People,
    participation: &'a Participation,
    addresses: &BTreeMap<&str, &'a Email>,
) -> Somebody<'a> {
    if participation.is_host {
        return Somebody::Host;
    }
    let email_of_user = || addresses.get(participation.zoom_user.as_deref()?).copied();
    let email = participation.email.as_ref().or_else(email_of_user);
    let owner = people.identify(participation, email).map(|(owner, _)| owner);
    match (owner, &participation.customer_key, email, &participation.zoom_user) {
        (Some(RowOwner::Host), ..) => Somebody::Host,
        (Some(RowOwner::Person(index)), ..) => Somebody::Expected(index),
        (None, Some(key), ..) => Somebody::Key(key),
        (None, None, Some(email), _) => Somebody::Email(email),
        (None, None, None, Some(user)) => Somebody::ZoomUser(user),
        (None, None, None, None) => {
            Somebody::Participation(&participation.instance_uuid, &participation.id)
        }
    }
}
