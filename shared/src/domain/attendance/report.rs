//! The attendance report: one row per person on the roster, and one per unidentified participant.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;
use strum::IntoStaticStr;

use super::instance_intervals::{InstanceEnd, InstanceInterval, instance_intervals};
use super::overrides::{AttendanceOverride, AttendanceOverrides};
use super::participation::{Participation, addresses_of_zoom_users, participations, with_owners};
use super::people::{IdentityMatch, People, RowOwner};
use super::provenance::{Provenance, ReportSources};
use super::span::{Span, total_millis, union};
use super::status::{AttendanceStatus, PresentBy};
use super::{AttendanceRules, AttendeeId, Percent};
use crate::domain::id::{SessionId, UserId};
use crate::domain::session::Session;
use crate::domain::text::Email;
use crate::domain::time::plus_minutes;
use crate::domain::zoom_event::ZoomEvent;
use crate::domain::zoom_report::InstanceReport;

const MINUTE_MILLIS: u64 = 60_000;

/// Everything from which a report is computed.
#[derive(Clone, Copy, Debug)]
pub struct ReportInputs<'a> {
    pub session: &'a Session,
    /// The events of the session's meeting from the account that hosts it, in any order and with duplicates.
    pub events: &'a [ZoomEvent],
    /// Zoom's lists of participants.
    pub reports: &'a [InstanceReport],
    pub people: &'a People,
    pub overrides: &'a AttendanceOverrides,
    pub rules: AttendanceRules,
    pub now: Timestamp,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AttendanceReport {
    pub session_id: SessionId,
    pub planned_minutes: u64,
    /// The time for which the meeting ran in the session's window.
    pub held_minutes: u64,
    /// The smaller of the planned and the held time. A share of the held time alone would shrink when the trainer opens early
    /// or forgets to end the meeting.
    pub counted_minutes: u64,
    pub attendees: Vec<ReportRow>,
    /// The number of people on the roster.
    pub expected: usize,
    /// The number of those people that were present. An unidentified row counts once it is assigned.
    pub present: usize,
    pub percent_present: Percent,
    pub sources: ReportSources,
    /// Whether no source is expected to change the report. Overrides still do.
    #[serde(rename = "final")]
    pub is_final: bool,
}

/// A reason to check a row before relying on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, IntoStaticStr)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
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
        self.into()
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
    /// `None` if the session was not held, and for a person who is not present yet while it is live.
    pub status: Option<AttendanceStatus>,
    pub flags: Vec<Flag>,
    pub provenance: Provenance,
    /// Whether the row belongs to a person on the roster.
    #[serde(skip)]
    pub is_expected: bool,
}

impl AttendanceReport {
    /// Computes the report. Equal sets of events give equal reports.
    pub fn compute(inputs: &ReportInputs<'_>) -> Self {
        let ReportInputs { session, events, reports, now, .. } = *inputs;
        let intervals = instance_intervals(session, events, reports, now);
        let held_millis =
            total_millis(&union(intervals.values().map(|interval| interval.span).collect()));
        let participations = participations(events, reports, &intervals, Span::of_window(session));
        let without_joins = participations.iter().filter(|it| it.lacks_events);
        let without_joins = without_joins.map(|it| it.instance_uuid.as_str()).collect();
        let sources = ReportSources::new(&intervals, events, reports, &without_joins);
        let (by_person, unidentified) = assign_participations(inputs, &participations);
        let counted_millis = held_millis.min(planned_millis(session));
        let progress = SessionProgress::from_intervals(session, &intervals);
        let row_builder = RowBuilder { inputs, counted_millis, progress, sources };
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
            session_id: session.id.clone(),
            planned_minutes: session.details.duration_minutes.into(),
            held_minutes: whole_minutes(held_millis),
            counted_minutes: whole_minutes(counted_millis),
            attendees,
            expected,
            present,
            percent_present: Percent::ratio(present as u64, expected as u64),
            sources,
            is_final: sources.is_final(session, now),
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
    let addresses = addresses_of_zoom_users(participations);
    let indexes: BTreeMap<&AttendeeId, usize> = inputs
        .people
        .expected()
        .iter()
        .enumerate()
        .map(|(index, person)| (&person.attendee, index))
        .collect();
    let mut by_person: BTreeMap<usize, Vec<IdentifiedParticipation<'_>>> = BTreeMap::new();
    let mut unidentified = UnidentifiedRows::new();
    // A telephone belongs to the row of the person who uses it.
    for (participation, owner) in with_owners(participations).filter(|(_, owner)| !owner.is_host) {
        let email_of_user = || addresses.get(owner.zoom_user.as_deref()?).copied();
        let email = owner.email.as_ref().or_else(email_of_user);
        match inputs.people.identify(owner, email) {
            Some((RowOwner::Host, _)) => {}
            Some((RowOwner::Person(index), matched)) => {
                by_person.entry(index).or_default().push((participation, matched));
            }
            None => {
                let ids = ids_of_unidentified(session, owner);
                let overridden = ids.iter().find(|id| inputs.overrides.contains_key(id));
                let id = overridden.unwrap_or(&ids[0]).clone();
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

/// Returns the ids of an unidentified participation. It may have been overridden under the id that it had before its events
/// or its rows arrived.
fn ids_of_unidentified(session: &SessionId, owner: &Participation) -> Vec<AttendeeId> {
    let of_user = owner.zoom_user.iter().map(|user| AttendeeId::for_zoom_user(session, user));
    let own_ids = std::iter::once(&owner.id).chain(&owner.reported_ids);
    let of_connection =
        own_ids.map(|id| AttendeeId::for_participation(session, &owner.instance_uuid, id));
    of_user.chain(of_connection).collect()
}

/// How far the session has come, with the times by which people are late or leave early.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SessionProgress {
    NotHeld,
    Live {
        /// The later of planned and actual start.
        began_at: Timestamp,
    },
    Over {
        began_at: Timestamp,
        /// The earlier of planned and actual end.
        ended_at: Timestamp,
    },
}

impl SessionProgress {
    /// A test start that ended before the planned start does not count as holding the session.
    fn from_intervals(session: &Session, intervals: &BTreeMap<String, InstanceInterval>) -> Self {
        let held = || {
            intervals.values().filter(|interval| {
                interval.end == InstanceEnd::Ongoing || interval.span.to > session.details.starts_at
            })
        };
        let Some(started_at) = held().map(|interval| interval.span.from).min() else {
            return Self::NotHeld;
        };
        let began_at = started_at.max(session.details.starts_at);
        if held().any(|interval| interval.end == InstanceEnd::Ongoing) {
            return Self::Live { began_at };
        }
        let ended_at = held().map(|interval| interval.span.to).max();
        Self::Over {
            began_at,
            ended_at: ended_at.map_or(session.planned_end(), |at| at.min(session.planned_end())),
        }
    }
}

/// Builds rows from participations.
struct RowBuilder<'a> {
    inputs: &'a ReportInputs<'a>,
    /// The time that a person could attend.
    counted_millis: u64,
    progress: SessionProgress,
    sources: ReportSources,
}

impl RowBuilder<'_> {
    /// Returns the status that follows from a person's time, without overrides.
    fn status(&self, is_present: bool, spans: &[Span]) -> Option<AttendanceStatus> {
        let late_minutes = self.inputs.rules.late_minutes;
        let is_late = |began_at| {
            spans.first().is_some_and(|first| first.from > plus_minutes(began_at, late_minutes))
        };
        let is_early = |ended_at| {
            spans.last().is_some_and(|last| last.to < plus_minutes(ended_at, -late_minutes))
        };
        match self.progress {
            SessionProgress::NotHeld => None,
            SessionProgress::Live { began_at } => is_present.then(|| {
                if is_late(began_at) { AttendanceStatus::Late } else { AttendanceStatus::Present }
            }),
            SessionProgress::Over { .. } if !is_present => Some(AttendanceStatus::Absent),
            SessionProgress::Over { began_at, .. } if is_late(began_at) => {
                Some(AttendanceStatus::Late)
            }
            SessionProgress::Over { ended_at, .. } if is_early(ended_at) => {
                Some(AttendanceStatus::LeftEarly)
            }
            SessionProgress::Over { .. } => Some(AttendanceStatus::Present),
        }
    }

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
        let percent = Percent::ratio(millis.min(self.counted_millis), self.counted_millis);
        let overridden = self.inputs.overrides.get(&id).and_then(AttendanceOverride::status);
        let is_present = self.progress != SessionProgress::NotHeld
            && self.inputs.rules.threshold.is_reached_by(percent);
        let status = overridden.or_else(|| self.status(is_present, &spans));
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
        // The name of a telephone is its number.
        let names = own.iter().map(|(it, _)| (it.telephone_of.is_some(), it.name.as_str()));
        let name = names.filter(|(_, name)| !name.is_empty()).min().map(|(_, name)| name);
        let email = own.iter().find_map(|(participation, _)| participation.email.clone());
        ReportRow {
            attendee_id: id,
            user_id: None,
            name: name.unwrap_or_default().to_owned(),
            email,
            matched: own.iter().map(|(_, by)| *by).min().unwrap_or(IdentityMatch::None),
            first_joined_at: spans.first().map(|span| span.from),
            last_left_at: spans.last().map(|span| span.to).filter(|_| !still_connected),
            minutes: whole_minutes(millis),
            percent,
            connections: own.len(),
            present: overridden.map_or(is_present, |status| status == AttendanceStatus::Present),
            present_by: if overridden.is_some() { PresentBy::Override } else { PresentBy::Rule },
            status,
            flags: flags.into_iter().filter(|(_, set)| *set).map(|(flag, _)| flag).collect(),
            provenance: own
                .iter()
                .map(|(it, _)| it.provenance)
                .reduce(Provenance::and)
                .unwrap_or_else(|| self.sources.of_absence()),
            is_expected,
        }
    }
}

fn planned_millis(session: &Session) -> u64 {
    u64::from(session.details.duration_minutes) * MINUTE_MILLIS
}

fn whole_minutes(millis: u64) -> u64 {
    (millis + MINUTE_MILLIS / 2) / MINUTE_MILLIS
}
