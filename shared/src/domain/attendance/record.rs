//! Everything that a report is made of but what is decided by hand, and when it is all there.
//!
//! A record is kept of each class, because Zoom's events and the clicks are not. The report is a fold over sets, so
//! that what is kept and what there still is may simply be put together: what is in both counts once.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use super::people::{JoinIdentity, People};
use crate::domain::audience::Invitee;
use crate::domain::directory::Enrollment;
use crate::domain::session::Session;
use crate::domain::zoom_event::ZoomEvent;

/// Days after the last that was heard of a class from which on nothing more is expected. A meeting runs for 30 hours at
/// most, and Zoom sends an event for the last time 85 minutes after the first; the rest is for a webhook that was down.
const FINAL_AFTER_DAYS: i64 = 3;

/// When everything that a class's report is made of is there, unless its meeting is started once more.
pub fn final_at(session: &Session) -> Timestamp {
    let runnings = session.meeting_instances.iter();
    let heard = runnings.flat_map(|running| [Some(running.started_at), running.ended_at]);
    later(heard.flatten().fold(session.ends_at(), Timestamp::max))
}

/// Whether a record may have been kept of a class before `now`, be it that its meeting was started again since.
pub fn may_be_kept(session: &Session, now: Timestamp) -> bool {
    now >= later(session.ends_at())
}

fn later(at: Timestamp) -> Timestamp {
    at.saturating_add(SignedDuration::from_hours(24 * FINAL_AFTER_DAYS)).unwrap_or(Timestamp::MAX)
}

#[derive(Clone, Debug, Default)]
pub struct AttendanceRecord {
    /// Of the class's meeting, from the account that hosts it.
    pub events: Vec<ZoomEvent>,
    /// Who clicked, and when.
    pub clicks: Vec<(Timestamp, JoinIdentity)>,
    pub invitees: Vec<Invitee>,
    pub students: Vec<Enrollment>,
}

impl AttendanceRecord {
    /// Each who clicked in the same way once, by when they first did. Who clicks again changes nothing, and who is called
    /// what follows from the first click.
    pub fn first_clicks(&self) -> Vec<(Timestamp, &JoinIdentity)> {
        let mut first: BTreeMap<&JoinIdentity, Timestamp> = BTreeMap::new();
        for (at, clicker) in &self.clicks {
            let known = first.entry(clicker).or_insert(*at);
            *known = (*at).min(*known);
        }
        let mut by_time: Vec<_> = first.into_iter().map(|(clicker, at)| (at, clicker)).collect();
        by_time.sort();
        by_time
    }

    pub fn people(&self, session: &Session) -> People {
        let clickers: Vec<_> =
            self.first_clicks().into_iter().map(|(_, clicker)| clicker.clone()).collect();
        People::new(session, &self.invitees, &self.students, &clickers)
    }
}
