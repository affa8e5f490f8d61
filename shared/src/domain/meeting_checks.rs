//! Checks for meetings at Zoom that should not exist: those of cancelled sessions, and those without a session.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::digest::Digest;
use super::id::{MeetingId, SessionId};
use super::session::{Session, Status};
use super::time::{plus, plus_minutes, seconds_to_utc_midnight, whole_second};

/// The check of a cancelled session's meeting, before the planned start. By then the deletion and its repair have had time,
/// and nobody has entered the meeting yet.
const BEFORE_START_MINUTES: i64 = 60;
/// The earliest check of a cancelled session's meeting. The repair of the deletion runs before.
const AFTER_CANCELLATION_MINUTES: i64 = 30;
/// A younger meeting may belong to a request that is in progress.
const SETTLED_AFTER: SignedDuration = SignedDuration::from_hours(1);
/// How long after a session a second meeting of it may have been created by a request that Zoom did not answer.
const LATE_CREATE: SignedDuration = SignedDuration::from_hours(1);
/// Minutes of a day over which the hosts' checks are spread.
const SPREAD_MINUTES: u64 = 23 * 60;
/// Postponements of a check before it is given up. The next class of the host brings another one.
const ATTEMPTS: u32 = 5;
/// The delay after a failed check. It grows with the number of failures.
const RETRY_MINUTES: i64 = 60;

/// Returns when the meeting of a session that is cancelled at `now` is looked for at Zoom.
pub fn cancelled_check_at(starts_at: Timestamp, now: Timestamp) -> Timestamp {
    let earliest = plus_minutes(now, AFTER_CANCELLATION_MINUTES);
    plus_minutes(starts_at, -BEFORE_START_MINUTES).max(earliest)
}

/// Returns when a host's meetings are looked through: on the UTC day after `now`, at a minute that follows from the key of
/// the host. All sessions of a day therefore lead to the same check.
pub fn host_check_at(key: &str, now: Timestamp) -> Timestamp {
    let minute = u64::from_be_bytes(Digest::of_value(key).first()) % SPREAD_MINUTES;
    let seconds = seconds_to_utc_midnight(now) + 60 * minute;
    plus(whole_second(now), Duration::from_secs(seconds))
}

/// Returns when a check that has failed `failures` times before is repeated. `None` if it is given up.
pub fn retry_at(failures: u32, after: SignedDuration, now: Timestamp) -> Option<Timestamp> {
    let delay = SignedDuration::from_mins(RETRY_MINUTES * i64::from(failures + 1)).max(after);
    (failures + 1 < ATTEMPTS).then(|| now.saturating_add(delay).unwrap_or(now))
}

/// A meeting in a host's list at Zoom that carries the mark of a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedMeeting {
    pub id: MeetingId,
    pub session: SessionId,
    pub topic: String,
    pub starts_at: Option<Timestamp>,
    /// `None` if it is missing or unreadable.
    pub created_at: Option<Timestamp>,
}

/// The decision about a marked meeting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MeetingVerdict {
    /// It belongs to its session, or may still do so.
    Keep,
    /// It does not belong to a session that takes place.
    Delete(DeleteReason),
    /// It is left to the host: a copy that somebody made, or the meeting of another deployment.
    Leave(LeaveReason),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum DeleteReason {
    SessionCancelled,
    /// Zoom carried out a create that it had not answered.
    SecondMeeting,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum LeaveReason {
    UnknownSession,
    OtherMeeting,
}

impl ListedMeeting {
    /// Decides about the meeting. `session` is the one in its mark, if it exists. The mark alone does not show that the meeting
    /// is ours: a host can copy a meeting with its description, and several deployments can use one Zoom account.
    pub fn decide(&self, session: Option<&Session>, now: Timestamp) -> MeetingVerdict {
        let is_settled = self.created_at.is_some_and(|at| now.duration_since(at) >= SETTLED_AFTER);
        let Some(session) = session.filter(|_| is_settled) else {
            return match is_settled {
                true => MeetingVerdict::Leave(LeaveReason::UnknownSession),
                false => MeetingVerdict::Keep,
            };
        };
        match session.meeting.id {
            _ if session.status == Status::Cancelled => {
                MeetingVerdict::Delete(DeleteReason::SessionCancelled)
            }
            Some(own) if own == self.id => MeetingVerdict::Keep,
            // The meeting is being made, or its repair is due.
            None => MeetingVerdict::Keep,
            Some(_) if self.is_late_create(session) => {
                MeetingVerdict::Delete(DeleteReason::SecondMeeting)
            }
            Some(_) => MeetingVerdict::Leave(LeaveReason::OtherMeeting),
        }
    }

    /// Returns whether a create of the session has made the meeting: it has the session's values and about its age.
    fn is_late_create(&self, session: &Session) -> bool {
        let age = self.created_at.map(|at| at.duration_since(session.created_at).abs());
        session.created_at == session.updated_at
            && self.topic == session.details.title.as_str()
            && self.starts_at == Some(session.details.starts_at)
            && age.is_some_and(|age| age <= LATE_CREATE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::session::testing;

    const START: &str = "2026-12-01T09:00:00Z";

    fn at(minute: i64) -> Timestamp {
        plus_minutes(START.parse().unwrap(), minute)
    }

    #[test]
    fn checks_have_their_times() {
        let day = 24 * 60;
        for (name, cancelled, expected) in [
            ("days before", at(-3 * day), at(-60)),
            ("shortly before", at(-70), at(-40)),
            ("after the start", at(5), at(35)),
        ] {
            assert_eq!(cancelled_check_at(at(0), cancelled), expected, "{name}");
        }
        let first = host_check_at("host#a", at(0));
        assert_eq!(host_check_at("host#a", at(600)), first, "the same day");
        assert_eq!(host_check_at("host#a", at(day)), plus_minutes(first, day));
        assert!(first > at(14 * 60) && first < at(39 * 60), "the next day");
        assert_eq!(retry_at(0, SignedDuration::ZERO, at(0)), Some(at(60)));
        assert_eq!(retry_at(1, SignedDuration::from_hours(9), at(0)), Some(at(9 * 60)));
        assert_eq!(retry_at(ATTEMPTS - 1, SignedDuration::ZERO, at(0)), None);
    }

    #[test]
    fn marked_meetings_are_deleted_only_if_they_are_ours() {
        let session = |status, id| {
            let mut session = testing::session(at(0), status);
            session.meeting.id = id;
            (session.created_at, session.updated_at) = (at(-600), at(-600));
            session
        };
        let own = Some(MeetingId(1));
        let scheduled = session(Status::Scheduled, own);
        let marked = |id, created_at: Option<i64>| ListedMeeting {
            id: MeetingId(id),
            session: scheduled.id.clone(),
            topic: scheduled.details.title.as_str().to_owned(),
            starts_at: Some(at(0)),
            created_at: created_at.map(at),
        };
        let cancelled = session(Status::Cancelled, own);
        let pending = session(Status::Scheduled, None);
        let edited = Session { updated_at: at(-590), ..scheduled.clone() };
        let moved = ListedMeeting { starts_at: Some(at(60)), ..marked(2, Some(-600)) };
        use MeetingVerdict::{Delete, Keep, Leave};
        for (name, meeting, session, expected) in [
            ("its own", marked(1, Some(-600)), Some(&scheduled), Keep),
            (
                "of a cancelled session",
                marked(1, Some(-600)),
                Some(&cancelled),
                Delete(DeleteReason::SessionCancelled),
            ),
            (
                "another one of a cancelled session",
                marked(2, Some(-600)),
                Some(&cancelled),
                Delete(DeleteReason::SessionCancelled),
            ),
            ("made a moment ago", marked(1, Some(-59)), Some(&cancelled), Keep),
            ("of an unreadable age", marked(1, None), Some(&cancelled), Keep),
            (
                "of an unknown session",
                marked(1, Some(-600)),
                None,
                Leave(LeaveReason::UnknownSession),
            ),
            ("new, of an unknown session", marked(1, Some(-30)), None, Keep),
            (
                "created a second time",
                marked(2, Some(-599)),
                Some(&scheduled),
                Delete(DeleteReason::SecondMeeting),
            ),
            (
                "copied hours later",
                marked(2, Some(-100)),
                Some(&scheduled),
                Leave(LeaveReason::OtherMeeting),
            ),
            ("copied and moved", moved, Some(&scheduled), Leave(LeaveReason::OtherMeeting)),
            (
                "second one of an edited session",
                marked(2, Some(-599)),
                Some(&edited),
                Leave(LeaveReason::OtherMeeting),
            ),
            ("of a pending meeting", marked(2, Some(-600)), Some(&pending), Keep),
        ] {
            assert_eq!(meeting.decide(session, at(0)), expected, "{name}");
        }
    }
}
