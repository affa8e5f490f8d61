//! The inputs of a report other than overrides, and the time at which they are complete.
//!
//! Zoom's events and join attempts expire, so a record of each session is archived. The report is a fold over sets, so an
//! archived record and newer events can be merged, and duplicates count once.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use super::erased::{participant_events, reported_participants};
use super::people::{JoinIdentity, People};
use crate::domain::audience::Invitee;
use crate::domain::directory::Enrollment;
use crate::domain::meeting_instance::MeetingInstance;
use crate::domain::session::{Session, Status};
use crate::domain::time::plus_minutes;
use crate::domain::zoom_event::{ParticipantEvent, ZoomEvent};
use crate::domain::zoom_report::InstanceReport;

/// Days after a session's last known event until its record counts as complete. A meeting lasts 30 hours at most, and Zoom
/// retries an event for up to 85 minutes. The rest of the time covers an outage of the webhook.
const GRACE_DAYS: i64 = 3;

/// Returns the time at which a session's record is complete. Only the instances that belong to the session extend it, and
/// not beyond the window.
pub fn complete_at(session: &Session) -> Timestamp {
    let window = session.session_window();
    let own = window.own_instances(&session.meeting_instances);
    let last = latest_time(own).unwrap_or(window.starts_at).min(window.closes_at);
    plus_grace_period(last.max(session.planned_end()))
}

/// Returns the time after which no more events of the session's meeting are expected, whether they belong to the session
/// or not.
pub fn last_trace_at(session: &Session) -> Timestamp {
    let last = latest_time(session.meeting_instances.iter()).unwrap_or(session.details.starts_at);
    plus_grace_period(last.max(session.planned_end()))
}

fn latest_time<'a>(instances: impl Iterator<Item = &'a MeetingInstance>) -> Option<Timestamp> {
    instances.flat_map(|instance| [Some(instance.started_at), instance.ended_at]).flatten().max()
}

/// Returns whether a session's record may have been archived before `now`.
pub fn may_have_archive(session: &Session, now: Timestamp) -> bool {
    now >= plus_grace_period(session.planned_end())
}

/// Returns the time in which a person must be enrolled or invited to be on the roster: from the earlier of planned and
/// actual start to the later of planned and actual end.
pub fn roster_times(session: &Session) -> (Timestamp, Timestamp) {
    let planned = session.details.starts_at;
    let from = session.actual_started_at.map_or(planned, |actual| actual.min(planned));
    let to = match session.status {
        Status::Live => Timestamp::MAX,
        _ => session.actual_ended_at.into_iter().fold(session.planned_end(), Timestamp::max),
    };
    (from, to)
}

/// Minutes between two searches for late events while Zoom still sends them.
const ERASURE_CHECK_MINUTES: i64 = 30;
/// Minutes after the session's window in which Zoom still sends events. Its last retry comes after 85 minutes.
const LATE_EVENT_MINUTES: i64 = 120;

/// Returns when late events of a person who is erased at `now` are searched for the first time.
pub fn first_erasure_check(session: &Session, now: Timestamp) -> Timestamp {
    now.max(session.details.starts_at)
}

/// Returns when late events of erased people are searched after a search at `now`. `None` if no more events are expected.
pub fn next_erasure_check(session: &Session, now: Timestamp) -> Option<Timestamp> {
    let last_trace_at = last_trace_at(session);
    if now < session.details.starts_at {
        Some(first_erasure_check(session, now))
    } else if now < plus_minutes(session.window_closes_at(), LATE_EVENT_MINUTES) {
        Some(plus_minutes(now, ERASURE_CHECK_MINUTES))
    } else {
        (now < last_trace_at).then_some(last_trace_at)
    }
}

fn plus_grace_period(at: Timestamp) -> Timestamp {
    at.saturating_add(SignedDuration::from_hours(24 * GRACE_DAYS)).unwrap_or(Timestamp::MAX)
}

#[derive(Clone, Debug, Default)]
pub struct AttendanceRecord {
    /// The events of the session's meeting from the account that hosts it.
    pub events: Vec<ZoomEvent>,
    /// Zoom's lists of participants, one per meeting instance.
    pub reports: Vec<InstanceReport>,
    pub join_attempts: Vec<(Timestamp, JoinIdentity)>,
    pub invitees: Vec<Invitee>,
    pub enrollments: Vec<Enrollment>,
}

impl AttendanceRecord {
    /// Returns the participants in events and reports with the uuids of their meeting instances.
    pub fn participants(&self) -> impl Iterator<Item = (&str, &ParticipantEvent)> + Clone {
        participant_events(&self.events).chain(reported_participants(&self.reports))
    }

    /// Returns each distinct identity with the time of its first join attempt, in order of time. Repeated attempts change
    /// nothing, and a person's name comes from the first one.
    pub fn first_join_attempts(&self) -> Vec<(Timestamp, &JoinIdentity)> {
        let mut first: BTreeMap<&JoinIdentity, Timestamp> = BTreeMap::new();
        for (at, identity) in &self.join_attempts {
            let earliest = first.entry(identity).or_insert(*at);
            *earliest = (*at).min(*earliest);
        }
        let mut by_time: Vec<_> = first.into_iter().map(|(identity, at)| (at, identity)).collect();
        by_time.sort();
        by_time
    }

    pub fn people(&self, session: &Session) -> People {
        let identities: Vec<_> =
            self.first_join_attempts().into_iter().map(|(_, identity)| identity.clone()).collect();
        People::new(session, &self.invitees, &self.enrollments, &identities)
    }
}
