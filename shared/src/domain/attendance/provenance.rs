//! The sources of a report, and whether the report can still change.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use strum::IntoStaticStr;

use super::instance_intervals::InstanceInterval;
use crate::domain::session::{Session, Status};
use crate::domain::zoom_event::{EventPayload, ZoomEvent};
use crate::domain::zoom_report::InstanceReport;

/// Hours after the end of a session at which its report is final, whether or not Zoom has listed the participants. The
/// last look at Zoom's list comes after 24 hours.
const FINAL_AFTER_HOURS: i64 = 25;

/// The source of a row or of a participation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, IntoStaticStr)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Provenance {
    /// The events that Zoom sent during the session.
    #[default]
    Webhook,
    /// Zoom's list of participants after the session.
    Report,
    Both,
}

impl Provenance {
    pub fn as_str(self) -> &'static str {
        self.into()
    }

    /// Returns the provenance of something that rests on both.
    pub fn and(self, other: Self) -> Self {
        if self == other { self } else { Self::Both }
    }
}

/// The part of a source that has arrived.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SourceState {
    #[default]
    None,
    Partial,
    Complete,
}

impl SourceState {
    fn of(arrived: usize, complete: usize, total: usize) -> Self {
        match (arrived, complete) {
            (0, _) => Self::None,
            (_, complete) if complete == total => Self::Complete,
            _ => Self::Partial,
        }
    }
}

/// The sources of a session's report.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ReportSources {
    /// Complete if the end of every meeting instance and no lost join is known.
    pub webhook: SourceState,
    /// Complete if Zoom has listed the participants of every meeting instance.
    pub report: SourceState,
}

impl ReportSources {
    /// `without_joins` are the meeting instances of which a join event was lost.
    pub(super) fn new(
        intervals: &BTreeMap<String, InstanceInterval>,
        events: &[ZoomEvent],
        reports: &[InstanceReport],
        without_joins: &BTreeSet<&str>,
    ) -> Self {
        let has_event = |uuid: &str, is: fn(&EventPayload) -> bool| {
            events.iter().any(|event| event.uuid.as_deref() == Some(uuid) && is(&event.payload))
        };
        let count = |is: &dyn Fn(&str) -> bool| intervals.keys().filter(|uuid| is(uuid)).count();
        let report = |uuid: &str| reports.iter().find(|report| report.instance_uuid == uuid);
        let is_ended = |payload: &EventPayload| matches!(payload, EventPayload::Ended { .. });
        Self {
            webhook: SourceState::of(
                count(&|uuid| has_event(uuid, |_| true)),
                count(&|uuid| has_event(uuid, is_ended) && !without_joins.contains(uuid)),
                intervals.len(),
            ),
            report: SourceState::of(
                count(&|uuid| report(uuid).is_some()),
                count(&|uuid| report(uuid).is_some_and(|report| report.is_complete)),
                intervals.len(),
            ),
        }
    }

    /// Returns the provenance of a person without participations, whose absence rests on the data that has arrived.
    pub(super) fn of_absence(self) -> Provenance {
        match (self.webhook, self.report) {
            (_, SourceState::None) => Provenance::Webhook,
            (SourceState::None, _) => Provenance::Report,
            _ => Provenance::Both,
        }
    }

    /// Returns whether a session's report is final at `now`: both sources are in and the meeting cannot be restarted in the
    /// session's window, or the session has been over for long.
    pub(super) fn is_final(self, session: &Session, now: Timestamp) -> bool {
        let is_over = session.status != Status::Live && now >= session.window_closes_at();
        let are_in = (self.webhook, self.report) == (SourceState::Complete, SourceState::Complete);
        (is_over && are_in) || now >= final_at(session)
    }
}

/// Returns the time at which a session's report is final with whatever has arrived.
pub(super) fn final_at(session: &Session) -> Timestamp {
    let planned = session.planned_end();
    let end = session.actual_ended_at.map_or(planned, |actual| actual.max(planned));
    end.saturating_add(SignedDuration::from_hours(FINAL_AFTER_HOURS)).unwrap_or(Timestamp::MAX)
}
