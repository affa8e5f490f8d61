//! How many were there, without asking who they are.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::participation::{Participation, participations};
use super::held::windows;
use super::span::Span;
use crate::domain::session::Session;
use crate::domain::zoom_event::ZoomEvent;

/// How many people but the host were in the meeting at some time from `from` to `to`, as far as is known at `now`. Two
/// connections are one person's if they bear the same key, or else the same address or Zoom user; others count by
/// themselves.
pub fn headcount(
    session: &Session,
    events: &[ZoomEvent],
    (from, to): (Timestamp, Timestamp),
    now: Timestamp,
) -> usize {
    let asked = Span::between(from, to);
    let connections = participations(events, &windows(session, events, now));
    let was_in = |connection: &&Participation| {
        connection.stays.spans.iter().any(|span| span.within(asked).is_some())
    };
    let guests = connections.iter().filter(|connection| !connection.is_host).filter(was_in);
    guests.map(person).collect::<BTreeSet<_>>().len()
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Person<'a> {
    Key(&'a str),
    Address(&'a str),
    ZoomUser(&'a str),
    Connection(&'a str),
}

fn person(connection: &Participation) -> Person<'_> {
    match (&connection.customer_key, &connection.email, &connection.zoom_user) {
        (Some(key), _, _) => Person::Key(key),
        (None, Some(email), _) => Person::Address(email.as_str()),
        (None, None, Some(user)) => Person::ZoomUser(user),
        (None, None, None) => Person::Connection(&connection.id),
    }
}
