//! The attendance report: one row per person on the roster, and one per unidentified participant.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::instance_intervals::instance_intervals;
use super::overrides::AttendanceOverrides;
use super::participation::{Participation, participations};
use super::people::{IdentityMatch, People, RowOwner};
use super::span::{Span, total_millis, union};
use super::{AttendeeId, Percent, Threshold};
use crate::domain::id::{SessionId, UserId};
use crate::domain::session::Session;
use crate::domain::text::Email;
use crate::domain::zoom_event::ZoomEvent;

const MINUTE_MILLIS: u64 = 60_000;

/// Everything from which a report is computed.
#[derive(Clone, Copy, Debug)]
pub struct ReportInputs<'a> {
    pub session: &'a Session,
    /// The events of the session's meeting from the account that hosts it, in any order and with duplicates.
    pub events: &'a [ZoomEvent],
    pub people: &'a People,
    pub overrides: &'a AttendanceOverrides,
    pub threshold: Threshold,
    pub now: Timestamp,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AttendanceReport {
    pub session_id: SessionId,
    pub planned_minutes: u64,
    pub held_minutes: u64,
    pub attendees: Vec<ReportRow>,
    /// The number of people on the roster.
    pub expected: usize,
    /// The number of those people that were present. An unidentified row counts once it is assigned.
    pub present: usize,
    pub percent_present: Percent,
}

/// A reason to check a row before relying on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Flag {
    /// The row is unidentified and has no override yet.
    NeedsReview,
    /// A trainer assigned participations to this person.
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
    /// `None` also while the person is still connected.
    pub last_left_at: Option<Timestamp>,
    pub minutes: u64,
    pub percent: Percent,
    pub connections: usize,
    pub present: bool,
    pub present_by: PresentBy,
    pub flags: Vec<Flag>,
    /// Whether the row belongs to a person on the roster.
    #[serde(skip)]
    pub is_expected: bool,
}

impl AttendanceReport {
    /// Computes the report. Equal sets of events give equal reports.
    pub fn compute(inputs: &ReportInputs<'_>) -> Self {
        let intervals = instance_intervals(inputs.session, inputs.events, inputs.now);
        let held_millis =
            total_millis(&union(intervals.values().map(|interval| interval.span).collect()));
        let participations = participations(inputs.events, &intervals);
        let (by_person, unidentified) = assign_participations(inputs, &participations);
        let row_builder = RowBuilder { inputs, held_millis };
        let no_participations = Vec::new();
        let people = inputs.people.expected().iter().enumerate().map(|(index, person)| {
            let own = by_person.get(&index).unwrap_or(&no_participations);
            let name = person.name.as_ref().map(|name| name.as_str().to_owned());
            let address = || person.email.as_ref().map(|email| email.as_str().to_owned());
            let row = row_builder.row(person.attendee.clone(), own, true);
            let name = name.or_else(|| Some(row.name.clone()).filter(|name| !name.is_empty()));
            ReportRow {
                user_id: person.user.clone(),
                name: name.or_else(address).unwrap_or_default(),
                email: person.email.clone(),
                ..row
            }
        });
        let unidentified_rows =
            unidentified.iter().map(|(id, own)| row_builder.row(id.clone(), own, false));
        let mut attendees: Vec<ReportRow> = people.chain(unidentified_rows).collect();
        attendees.sort_by_cached_key(|row| {
            (!row.is_expected, row.name.to_lowercase(), row.attendee_id.clone())
        });
        let expected = inputs.people.expected().len();
        let present = attendees.iter().filter(|row| row.is_expected && row.present).count();
        Self {
            session_id: inputs.session.id.clone(),
            planned_minutes: inputs.session.duration_minutes.into(),
            held_minutes: whole_minutes(held_millis),
            attendees,
            expected,
            present,
            percent_present: Percent::ratio(present as u64, expected as u64),
        }
    }

    pub fn row(&self, id: &AttendeeId) -> Option<&ReportRow> {
        self.attendees.iter().find(|row| row.attendee_id == *id)
    }
}

/// A participation of a row, and the evidence by which it was matched.
type IdentifiedParticipation<'a> = (&'a Participation, IdentityMatch);
type UnidentifiedRows<'a> = BTreeMap<AttendeeId, Vec<IdentifiedParticipation<'a>>>;

/// Assigns each participation to a person on the roster, by index, or to an unidentified row. The host's are left out.
fn assign_participations<'a>(
    inputs: &ReportInputs<'_>,
    participations: &'a [Participation],
) -> (BTreeMap<usize, Vec<IdentifiedParticipation<'a>>>, UnidentifiedRows<'a>) {
    let session = &inputs.session.id;
    // Zoom may give a user's address in one event and omit it in the next.
    let mut addresses: BTreeMap<&str, &Email> = BTreeMap::new();
    for participation in participations {
        if let (Some(user), Some(email)) = (&participation.zoom_user, &participation.email) {
            addresses.entry(user).or_insert(email);
        }
    }
    let indexes: BTreeMap<&AttendeeId, usize> = inputs
        .people
        .expected()
        .iter()
        .enumerate()
        .map(|(index, person)| (&person.attendee, index))
        .collect();
    let mut by_person: BTreeMap<usize, Vec<IdentifiedParticipation<'_>>> = BTreeMap::new();
    let mut unidentified = UnidentifiedRows::new();
    for participation in participations.iter().filter(|participation| !participation.is_host) {
        let email_of_user = || addresses.get(participation.zoom_user.as_deref()?).copied();
        let email = participation.email.as_ref().or_else(email_of_user);
        match inputs.people.identify(participation, email) {
            Some((RowOwner::Host, _)) => {}
            Some((RowOwner::Person(index), matched)) => {
                by_person.entry(index).or_default().push((participation, matched));
            }
            None => {
                let id = match &participation.zoom_user {
                    Some(user) => AttendeeId::for_zoom_user(session, user),
                    None => AttendeeId::for_participation(
                        session,
                        &participation.instance_uuid,
                        &participation.id,
                    ),
                };
                let assigned = inputs.overrides.get(&id).and_then(|row| row.assigned_to.as_ref());
                match assigned.and_then(|person| indexes.get(person)) {
                    Some(index) => {
                        by_person
                            .entry(*index)
                            .or_default()
                            .push((participation, IdentityMatch::None));
                    }
                    None => unidentified
                        .entry(id)
                        .or_default()
                        .push((participation, IdentityMatch::None)),
                }
            }
        }
    }
    (by_person, unidentified)
}

/// Builds rows from participations.
struct RowBuilder<'a> {
    inputs: &'a ReportInputs<'a>,
    /// The time for which the session was held.
    held_millis: u64,
}

impl RowBuilder<'_> {
    fn row(
        &self,
        id: AttendeeId,
        own: &[IdentifiedParticipation<'_>],
        is_expected: bool,
    ) -> ReportRow {
        let spans =
            own.iter().flat_map(|(participation, _)| participation.presence.spans.iter().copied());
        let spans: Vec<Span> = union(spans.collect());
        let millis = total_millis(&spans);
        let percent = Percent::ratio(millis, self.held_millis);
        let overridden = self.inputs.overrides.get(&id).and_then(|row| row.present);
        let any =
            |is: fn(&Participation) -> bool| own.iter().any(|(participation, _)| is(participation));
        let is_assigned = is_expected && own.iter().any(|(_, by)| *by == IdentityMatch::None);
        let flags = [
            (Flag::NeedsReview, !is_expected && overridden.is_none()),
            (Flag::Assigned, is_assigned),
            (Flag::JoinedInferred, any(|participation| participation.presence.joined_inferred)),
            (Flag::LeftInferred, any(|participation| participation.presence.left_inferred)),
        ];
        let still_connected = any(|participation| participation.presence.still_connected);
        let name = own.iter().map(|(participation, _)| participation.name.as_str());
        let email = own.iter().find_map(|(participation, _)| participation.email.clone());
        ReportRow {
            attendee_id: id,
            user_id: None,
            name: name.filter(|name| !name.is_empty()).min().unwrap_or_default().to_owned(),
            email,
            matched: own.iter().map(|(_, by)| *by).min().unwrap_or(IdentityMatch::None),
            first_joined_at: spans.first().map(|span| span.from),
            last_left_at: spans.last().map(|span| span.to).filter(|_| !still_connected),
            minutes: whole_minutes(millis),
            percent,
            connections: own.len(),
            present: overridden.unwrap_or_else(|| self.inputs.threshold.is_reached_by(percent)),
            present_by: if overridden.is_some() { PresentBy::Override } else { PresentBy::Rule },
            flags: flags.into_iter().filter(|(_, set)| *set).map(|(flag, _)| flag).collect(),
            is_expected,
        }
    }
}

fn whole_minutes(millis: u64) -> u64 {
    (millis + MINUTE_MILLIS / 2) / MINUTE_MILLIS
}
