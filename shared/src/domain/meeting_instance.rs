//! The runnings of a meeting, and what they make of a class's status.
//!
//! Zoom's events come at least once and in no order, so nothing is concluded from an event by itself: each is put
//! where it belongs among what is known, and the status follows from all of it. Whatever the order, the end is the same.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::session::Status;
use super::time::plus_minutes;

/// A running that was over this many minutes before the class's planned start was a rehearsal, and none of the class. It
/// is when the platform lets the trainer in, unless a deployment says otherwise.
const LEAD_MINUTES: i64 = 15;

/// One running of a meeting: from being started to being ended, under a uuid of its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MeetingInstance {
    pub uuid: String,
    /// The earliest that is known: of its start, or of a join when the start was lost.
    pub started_at: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
    /// When it is taken to have ended, because its end was lost. What Zoom tells of its end counts instead, and a later
    /// sign that it was running makes nothing of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inferred_end: Option<Timestamp>,
}

impl MeetingInstance {
    /// Its end, as far as it is known or taken for known.
    pub fn end(&self) -> Option<Timestamp> {
        self.ended_at.or(self.inferred_end)
    }

    /// Whether it was a rehearsal of a class that is planned for `starts_at`. One that goes on until the class's time is
    /// part of it, however early it was begun.
    pub fn is_rehearsal(&self, starts_at: Timestamp) -> bool {
        self.ended_at.is_some_and(|ended_at| ended_at <= class_begins(starts_at))
    }
}

/// From when on a meeting that runs is the class.
pub fn class_begins(starts_at: Timestamp) -> Timestamp {
    plus_minutes(starts_at, -LEAD_MINUTES)
}

/// What an event says of a running.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InstanceEvent {
    /// It was running at this time: it was started then, or somebody joined.
    Running(Timestamp),
    Ended {
        started_at: Option<Timestamp>,
        at: Timestamp,
    },
}

/// The runnings with what `sign` says of the one called `uuid`.
pub fn with_event(mut known: Vec<MeetingInstance>, uuid: &str, sign: InstanceEvent) -> Vec<MeetingInstance> {
    let (since, until) = match sign {
        InstanceEvent::Running(at) => (at, None),
        InstanceEvent::Ended { started_at, at } => (started_at.unwrap_or(at).min(at), Some(at)),
    };
    match known.iter_mut().find(|occurrence| occurrence.uuid == uuid) {
        Some(occurrence) => {
            occurrence.started_at = occurrence.started_at.min(since);
            occurrence.ended_at = occurrence.ended_at.max(until);
            occurrence.inferred_end = occurrence.inferred_end.filter(|end| *end >= since);
        }
        None => known.push(MeetingInstance {
            uuid: uuid.to_owned(),
            started_at: since,
            ended_at: until,
            inferred_end: None,
        }),
    }
    known.sort_by(|a, b| (a.started_at, &a.uuid).cmp(&(b.started_at, &b.uuid)));
    known
}

/// The runnings with the latest taken to be over at `at`, if nobody told when it was.
pub fn with_inferred_end(mut known: Vec<MeetingInstance>, at: Timestamp) -> Vec<MeetingInstance> {
    if let Some(last) = known.last_mut().filter(|last| last.end().is_none()) {
        last.inferred_end = Some(at.max(last.started_at));
    }
    known
}

/// What the runnings make of a class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionLifecycle {
    pub status: Status,
    pub started_at: Option<Timestamp>,
    pub ended_at: Option<Timestamp>,
}

/// The latest running decides: while it lasts the class is live, and when it has ended the class has. An earlier one
/// whose end was lost must have ended, since a meeting runs once at a time. After a rehearsal the class is as ahead as it
/// was before. Cancelled stays cancelled.
pub fn lifecycle(before: Status, starts_at: Timestamp, known: &[MeetingInstance]) -> SessionLifecycle {
    let begins = class_begins(starts_at);
    let last = known.last();
    // One that began before the class's time, that was followed by another, and of whose end nobody told, was most likely
    // a rehearsal, too; that it lasted for days is less likely.
    let is_stale = |one: &MeetingInstance| {
        one.end().is_none() && one.started_at < begins && last.is_some_and(|last| last != one)
    };
    let held = || known.iter().filter(|one| !one.is_rehearsal(starts_at) && !is_stale(one));
    let status = match (before, last, held().next_back()) {
        (Status::Cancelled, ..) => Status::Cancelled,
        (_, None, _) => before,
        (_, Some(_), None) => Status::Scheduled,
        (.., Some(last)) if last.end().is_some() => Status::Ended,
        (.., Some(_)) => Status::Live,
    };
    let ended_at = match status {
        Status::Live => None,
        _ => held().filter_map(MeetingInstance::end).max(),
    };
    SessionLifecycle { status, started_at: held().map(|first| first.started_at).next(), ended_at }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(minute: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + minute * 60).unwrap()
    }

    type Case<'a> = (&'a str, Vec<(&'a str, InstanceEvent)>, Status);

    fn fold(signs: &[(&str, InstanceEvent)]) -> Vec<MeetingInstance> {
        signs.iter().fold(Vec::new(), |known, (uuid, sign)| with_event(known, uuid, *sign))
    }

    #[test]
    fn the_latest_running_decides() {
        let started = |uuid, minute| (uuid, InstanceEvent::Running(at(minute)));
        let ended = |uuid, from, to| (uuid, InstanceEvent::Ended { started_at: Some(at(from)), at: at(to) });
        let cases: [Case<'_>; 7] = [
            ("started", vec![started("a", 0)], Status::Live),
            ("ended", vec![started("a", 0), ended("a", 0, 60)], Status::Ended),
            ("ended alone", vec![ended("a", 0, 60)], Status::Ended),
            (
                "ended before started is heard",
                vec![ended("a", 0, 60), started("a", 0)],
                Status::Ended,
            ),
            (
                "started again",
                vec![started("a", 0), ended("a", 0, 60), started("b", 65)],
                Status::Live,
            ),
            (
                "the old one's end comes late",
                vec![started("a", 0), started("b", 65), ended("a", 0, 60)],
                Status::Live,
            ),
            (
                "the old one's end was lost",
                vec![started("a", 0), started("b", 65), ended("b", 65, 90)],
                Status::Ended,
            ),
        ];
        for (name, signs, expected) in cases {
            assert_eq!(lifecycle(Status::Scheduled, at(0), &fold(&signs)).status, expected, "{name}");
            assert_eq!(
                lifecycle(Status::Cancelled, at(0), &fold(&signs)).status,
                Status::Cancelled,
                "{name}, cancelled"
            );
        }
        assert_eq!(lifecycle(Status::Scheduled, at(0), &[]).status, Status::Scheduled);
    }

    #[test]
    fn a_rehearsal_is_none_of_the_class() {
        let started = |uuid, minute| (uuid, InstanceEvent::Running(at(minute)));
        let ended = |uuid, from, to| (uuid, InstanceEvent::Ended { started_at: Some(at(from)), at: at(to) });
        let day = 24 * 60;
        // What is heard of a class that is planned for minute 0; the class then, and since when it has been on.
        let cases: [(Case<'_>, Option<i64>); 10] = [
            (("it is on, days ahead", vec![started("a", -3 * day)], Status::Live), Some(-3 * day)),
            (("it is over", vec![ended("a", -3 * day, -3 * day + 5)], Status::Scheduled), None),
            (("an hour ahead", vec![ended("a", -60, -50)], Status::Scheduled), None),
            (("just before the class's time", vec![ended("a", -20, -15)], Status::Scheduled), None),
            (("into the class's time", vec![ended("a", -60, -14)], Status::Ended), Some(-60)),
            (("early, and still on", vec![started("a", -60)], Status::Live), Some(-60)),
            (
                (
                    "then the class",
                    vec![ended("a", -day, -day + 5), started("b", -2)],
                    Status::Live,
                ),
                Some(-2),
            ),
            (
                (
                    "whose end is heard during the class",
                    vec![started("a", -60), started("b", -2), ended("a", -60, -50)],
                    Status::Live,
                ),
                Some(-2),
            ),
            (
                (
                    "whose end was lost",
                    vec![started("a", -day), started("b", -2), ended("b", -2, 60)],
                    Status::Ended,
                ),
                Some(-2),
            ),
            (
                (
                    "twice",
                    vec![ended("a", -day, -day + 5), ended("b", -30, -20)],
                    Status::Scheduled,
                ),
                None,
            ),
        ];
        for ((name, signs, status), since) in cases {
            let mut course_before = Status::Scheduled;
            for length in 1..=signs.len() {
                course_before = lifecycle(course_before, at(0), &fold(&signs[..length])).status;
            }
            let course = lifecycle(course_before, at(0), &fold(&signs));
            assert_eq!((course.status, course.started_at), (status, since.map(at)), "{name}");
        }
    }

    #[test]
    fn an_end_that_was_lost_is_inferred_until_something_else_is_heard() {
        let taken_over = || with_inferred_end(fold(&[("a", InstanceEvent::Running(at(0)))]), at(60));
        let ended = |known: &[MeetingInstance]| {
            let SessionLifecycle { status, ended_at, .. } = lifecycle(Status::Live, at(0), known);
            (status, ended_at)
        };
        assert_eq!(ended(&taken_over()), (Status::Ended, Some(at(60))));
        let cases = [
            ("an early join, late", "a", InstanceEvent::Running(at(30)), Status::Ended, Some(at(60))),
            ("it went on", "a", InstanceEvent::Running(at(61)), Status::Live, None),
            ("started again", "b", InstanceEvent::Running(at(70)), Status::Live, None),
            (
                "its end, late",
                "a",
                InstanceEvent::Ended { started_at: Some(at(0)), at: at(55) },
                Status::Ended,
                Some(at(55)),
            ),
        ];
        for (name, uuid, sign, status, ended_at) in cases {
            assert_eq!(ended(&with_event(taken_over(), uuid, sign)), (status, ended_at), "{name}");
        }
        let told = fold(&[("a", InstanceEvent::Ended { started_at: None, at: at(50) })]);
        assert_eq!(with_inferred_end(told.clone(), at(60)), told, "what was told stays");
        assert_eq!(lifecycle(Status::Cancelled, at(0), &taken_over()).status, Status::Cancelled);
    }

    proptest! {
        #[test]
        fn order_and_repetition_do_not_matter(
            signs in proptest::collection::vec((0..3usize, 0..200i64, proptest::option::of(0..200i64)), 1..12),
            order in any::<u64>(),
        ) {
            let uuids = ["a", "b", "c"];
            let signs: Vec<_> = signs
                .into_iter()
                .map(|(uuid, start, end)| {
                    let sign = match end {
                        None => InstanceEvent::Running(at(start)),
                        Some(end) => InstanceEvent::Ended { started_at: Some(at(start)), at: at(start.max(end)) },
                    };
                    (uuids[uuid], sign)
                })
                .collect();
            let mut shuffled: Vec<_> = signs.iter().chain(&signs).copied().collect();
            let length = shuffled.len();
            for n in 0..length {
                shuffled.swap(n, (order as usize).wrapping_mul(n + 7) % length);
            }
            prop_assert_eq!(fold(&signs), fold(&shuffled));
        }
    }
}
