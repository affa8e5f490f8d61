//! The number of people in a meeting, without identifying them.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::instance_intervals::instance_intervals;
use super::participation::{Participation, participations};
use super::span::Span;
use crate::domain::session::Session;
use crate::domain::zoom_event::ZoomEvent;

/// Counts the people other than the host in the meeting at some time from `from` to `to`, as of `now`.
/// Participations with the same customer key count as one person. Without a key the email address decides, then the
/// Zoom user. Any other participation counts as a person of its own.
pub fn headcount(
    session: &Session,
    events: &[ZoomEvent],
    (from, to): (Timestamp, Timestamp),
    now: Timestamp,
) -> usize {
    let interval = Span::between(from, to);
    let participations =
        participations(events, &instance_intervals(session, events, now), Span::of_window(session));
    let was_present = |participation: &&Participation| {
        participation.presence.spans.iter().any(|span| span.intersection(interval).is_some())
    };
    let guests = participations.iter().filter(|participation| !participation.is_host);
    guests.filter(was_present).map(person_key).collect::<BTreeSet<_>>().len()
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum PersonKey<'a> {
    Key(&'a str),
    Email(&'a str),
    ZoomUser(&'a str),
    Participation(&'a str),
}

fn person_key(participation: &Participation) -> PersonKey<'_> {
    match (&participation.customer_key, &participation.email, &participation.zoom_user) {
        (Some(key), _, _) => PersonKey::Key(key),
        (None, Some(email), _) => PersonKey::Email(email.as_str()),
        (None, None, Some(user)) => PersonKey::ZoomUser(user),
        (None, None, None) => PersonKey::Participation(&participation.id),
    }
}
