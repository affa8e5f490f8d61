//! The report: a row for everybody the class is for, and one for everybody else who was there.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::participation::{Participation, participations};
use super::held::windows;
use super::people::{IdentityMatch, RowOwner, People};
use super::overrides::AttendanceOverrides;
use super::span::{Span, total_millis, union};
use super::{AttendeeId, Percent, Threshold};
use crate::domain::id::{SessionId, UserId};
use crate::domain::session::Session;
use crate::domain::text::Email;
use crate::domain::zoom_event::ZoomEvent;

const MINUTE_MILLIS: u64 = 60_000;

/// Everything that a report is made of.
#[derive(Clone, Copy, Debug)]
pub struct ReportInputs<'a> {
    pub session: &'a Session,
    /// Of the class's meeting, from the account that hosts it; in any order, and as often as they came.
    pub events: &'a [ZoomEvent],
    pub people: &'a People,
    pub rulings: &'a AttendanceOverrides,
    pub threshold: Threshold,
    pub now: Timestamp,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AttendanceReport {
    pub session_id: SessionId,
    pub planned_minutes: u64,
    pub held_minutes: u64,
    pub attendees: Vec<ReportRow>,
    /// How many people the class is for.
    pub expected: usize,
    /// How many of them were present. Whoever was not recognised counts when they have been assigned.
    pub present: usize,
    pub percent_present: Percent,
}

/// What is to be known of a row before it is believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Flag {
    /// Nobody was recognised in it, and nobody has decided anything of it yet.
    NeedsReview,
    /// Somebody gave connections to this person by hand.
    Assigned,
    JoinedInferred,
    LeftInferred,
}

impl Flag {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NeedsReview => "needs_review",
            Self::Assigned => "assigned",
            Self::JoinedInferred => "joined_inferred",
            Self::LeftInferred => "left_inferred",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PresentBy {
    Rule,
    Override,
}

impl PresentBy {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Rule => "rule",
            Self::Override => "override",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ReportRow {
    pub attendee_id: AttendeeId,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_id: Option<UserId>,
    pub name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub email: Option<Email>,
    #[serde(rename = "match")]
    pub matched: IdentityMatch,
    pub first_joined_at: Option<Timestamp>,
    /// `None` for somebody who is still in, too.
    pub last_left_at: Option<Timestamp>,
    pub minutes: u64,
    pub percent: Percent,
    pub connections: usize,
    pub present: bool,
    pub present_by: PresentBy,
    pub flags: Vec<Flag>,
    /// Whether it is about somebody the class is for.
    #[serde(skip)]
    pub is_expected: bool,
}

impl AttendanceReport {
    /// Works the report out. Equal sets of events give equal reports.
    pub fn of(inputs: &ReportInputs<'_>) -> Self {
        let windows = windows(inputs.session, inputs.events, inputs.now);
        let held = total_millis(&union(windows.values().map(|window| window.span).collect()));
        let connections = participations(inputs.events, &windows);
        let (of_people, of_strangers) = sorted_out(inputs, &connections);
        let attended = Attended { inputs, held };
        let nothing = Vec::new();
        let people = inputs.people.expected().iter().enumerate().map(|(place, person)| {
            let own = of_people.get(&place).unwrap_or(&nothing);
            let name = person.name.as_ref().map(|name| name.as_str().to_owned());
            let address = || person.email.as_ref().map(|email| email.as_str().to_owned());
            let row = attended.row(person.attendee.clone(), own, true);
            let name = name.or_else(|| Some(row.name.clone()).filter(|name| !name.is_empty()));
            ReportRow {
                user_id: person.user.clone(),
                name: name.or_else(address).unwrap_or_default(),
                email: person.email.clone(),
                ..row
            }
        });
        let strangers = of_strangers.iter().map(|(id, own)| attended.row(id.clone(), own, false));
        let mut attendees: Vec<ReportRow> = people.chain(strangers).collect();
        attendees.sort_by_cached_key(|row| {
            (!row.is_expected, row.name.to_lowercase(), row.attendee_id.clone())
        });
        let expected = inputs.people.expected().len();
        let present = attendees.iter().filter(|row| row.is_expected && row.present).count();
        Self {
            session_id: inputs.session.id.clone(),
            planned_minutes: inputs.session.duration_minutes.into(),
            held_minutes: whole_minutes(held),
            attendees,
            expected,
            present,
            percent_present: Percent::of(present as u64, expected as u64),
        }
    }

    pub fn row(&self, id: &AttendeeId) -> Option<&ReportRow> {
        self.attendees.iter().find(|row| row.attendee_id == *id)
    }
}

/// A connection of a row, and what it was recognised by.
type Recognised<'a> = (&'a Participation, IdentityMatch);
type Strangers<'a> = BTreeMap<AttendeeId, Vec<Recognised<'a>>>;

/// Whose each connection is: of the people expected, by their place, or a stranger's. The host's are nobody's.
fn sorted_out<'a>(
    inputs: &ReportInputs<'_>,
    connections: &'a [Participation],
) -> (BTreeMap<usize, Vec<Recognised<'a>>>, Strangers<'a>) {
    let session = &inputs.session.id;
    // Zoom names a user's address in one event and leaves it out in the next.
    let mut addresses: BTreeMap<&str, &Email> = BTreeMap::new();
    for connection in connections {
        if let (Some(user), Some(email)) = (&connection.zoom_user, &connection.email) {
            addresses.entry(user).or_insert(email);
        }
    }
    let places: BTreeMap<&AttendeeId, usize> = inputs
        .people
        .expected()
        .iter()
        .enumerate()
        .map(|(place, person)| (&person.attendee, place))
        .collect();
    let mut of_people: BTreeMap<usize, Vec<Recognised<'_>>> = BTreeMap::new();
    let mut of_strangers = Strangers::new();
    for connection in connections.iter().filter(|connection| !connection.is_host) {
        let of_user = || addresses.get(connection.zoom_user.as_deref()?).copied();
        let email = connection.email.as_ref().or_else(of_user);
        match inputs.people.owner(connection, email) {
            Some((RowOwner::Host, _)) => {}
            Some((RowOwner::Person(place), by)) => {
                of_people.entry(place).or_default().push((connection, by));
            }
            None => {
                let id = match &connection.zoom_user {
                    Some(user) => AttendeeId::of_zoom_user(session, user),
                    None => AttendeeId::of_connection(session, &connection.running, &connection.id),
                };
                let assigned = inputs.rulings.get(&id).and_then(|r| r.assigned_to.as_ref());
                match assigned.and_then(|person| places.get(person)) {
                    Some(place) => {
                        of_people.entry(*place).or_default().push((connection, IdentityMatch::None));
                    }
                    None => of_strangers.entry(id).or_default().push((connection, IdentityMatch::None)),
                }
            }
        }
    }
    (of_people, of_strangers)
}

/// What makes rows of connections.
struct Attended<'a> {
    inputs: &'a ReportInputs<'a>,
    /// How long the class was held, in milliseconds.
    held: u64,
}

impl Attended<'_> {
    fn row(&self, id: AttendeeId, own: &[Recognised<'_>], is_expected: bool) -> ReportRow {
        let spans = own.iter().flat_map(|(connection, _)| connection.stays.spans.iter().copied());
        let spans: Vec<Span> = union(spans.collect());
        let time = total_millis(&spans);
        let percent = Percent::of(time, self.held);
        let ruled = self.inputs.rulings.get(&id).and_then(|ruling| ruling.present);
        let any = |is: fn(&Participation) -> bool| own.iter().any(|(connection, _)| is(connection));
        let is_assigned = is_expected && own.iter().any(|(_, by)| *by == IdentityMatch::None);
        let flags = [
            (Flag::NeedsReview, !is_expected && ruled.is_none()),
            (Flag::Assigned, is_assigned),
            (Flag::JoinedInferred, any(|connection| connection.stays.joined_inferred)),
            (Flag::LeftInferred, any(|connection| connection.stays.left_inferred)),
        ];
        let still_in = any(|connection| connection.stays.still_in);
        let name = own.iter().map(|(connection, _)| connection.name.as_str());
        let email = own.iter().find_map(|(connection, _)| connection.email.clone());
        ReportRow {
            attendee_id: id,
            user_id: None,
            name: name.filter(|name| !name.is_empty()).min().unwrap_or_default().to_owned(),
            email,
            matched: own.iter().map(|(_, by)| *by).min().unwrap_or(IdentityMatch::None),
            first_joined_at: spans.first().map(|span| span.from),
            last_left_at: spans.last().map(|span| span.to).filter(|_| !still_in),
            minutes: whole_minutes(time),
            percent,
            connections: own.len(),
            present: ruled.unwrap_or_else(|| self.inputs.threshold.is_reached_by(percent)),
            present_by: if ruled.is_some() { PresentBy::Override } else { PresentBy::Rule },
            flags: flags.into_iter().filter(|(_, set)| *set).map(|(flag, _)| flag).collect(),
            is_expected,
        }
    }
}

fn whole_minutes(millis: u64) -> u64 {
    (millis + MINUTE_MILLIS / 2) / MINUTE_MILLIS
}
