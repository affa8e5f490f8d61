//! Meeting instances, and the session lifecycle that follows from them.
//!
//! Zoom delivers its events at least once and in any order. Each event is merged into the known instances, and the
//! lifecycle is computed from all of them, so the result does not depend on the order.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::session::Status;
use super::session_window::SessionWindow;

/// One run of a meeting with its own uuid.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MeetingInstance {
    pub uuid: String,
    /// The earliest known time: its start, or a join if the start event was lost.
    pub started_at: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
    /// The assumed end after the end event was lost. An end that Zoom reports takes precedence, and a later event of the
    /// instance clears it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inferred_end: Option<Timestamp>,
    /// When Zoom first reported that the host joined. Others may have joined earlier.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host_joined_at: Option<Timestamp>,
}

impl MeetingInstance {
    /// Returns the reported or inferred end.
    pub fn end(&self) -> Option<Timestamp> {
        self.ended_at.or(self.inferred_end)
    }

    fn last_known_time(&self) -> Timestamp {
        self.end().unwrap_or(self.started_at)
    }
}

/// Instances that are stored with a session one by one, about 135 bytes each. A trainer whose connection breaks restarts a
/// meeting a few times, and Zoom's late events concern the latest of them.
const STORED_INSTANCES: usize = 6;

/// The figures of the instances that are no longer stored one by one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EarlierInstances {
    /// The last known time of these instances. An instance that started before it is one of them.
    until: Timestamp,
    /// The last known time of those that ended before the planned start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tested_until: Option<Timestamp>,
    /// The first start of those that count for the session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    started_at: Option<Timestamp>,
    /// The last known end of those that count for the session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ended_at: Option<Timestamp>,
}

impl EarlierInstances {
    /// Returns whether an instance that ran at `at` is one of them.
    pub fn contains(&self, at: Timestamp) -> bool {
        at < self.until
    }

    /// Returns whether an instance without an end is a test start, because another one followed before the planned start.
    fn is_test_start(&self, instance: &MeetingInstance, window: &SessionWindow) -> bool {
        let next = self.started_at.filter(|started_at| *started_at <= window.starts_at);
        instance.end().is_none()
            && self.tested_until.max(next).is_some_and(|later| instance.started_at < later)
    }

    fn add(&mut self, instance: &MeetingInstance, is_test_start: bool) {
        let (started_at, last) = (instance.started_at, instance.last_known_time());
        self.until = self.until.max(last);
        if is_test_start {
            self.tested_until = self.tested_until.max(Some(last));
        } else {
            self.started_at = self.started_at.into_iter().chain([started_at]).min();
            self.ended_at = self.ended_at.max(instance.end());
        }
    }
}

/// The information that one Zoom event adds to a meeting instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InstanceEvent {
    /// The instance was running at this time, because it was started or somebody joined.
    Running(Timestamp),
    /// The host joined at this time.
    HostJoined(Timestamp),
    Ended {
        started_at: Option<Timestamp>,
        at: Timestamp,
    },
}

impl InstanceEvent {
    pub fn time(self) -> Timestamp {
        match self {
            Self::Running(at) | Self::HostJoined(at) | Self::Ended { at, .. } => at,
        }
    }
}

/// Merges an event of the instance `uuid` into the known instances.
pub fn with_event(
    mut known: Vec<MeetingInstance>,
    uuid: &str,
    event: InstanceEvent,
) -> Vec<MeetingInstance> {
    let (since, until, host_joined_at) = match event {
        InstanceEvent::Running(at) => (at, None, None),
        InstanceEvent::HostJoined(at) => (at, None, Some(at)),
        InstanceEvent::Ended { started_at, at } => {
            (started_at.unwrap_or(at).min(at), Some(at), None)
        }
    };
    match known.iter_mut().find(|instance| instance.uuid == uuid) {
        Some(instance) => {
            instance.started_at = instance.started_at.min(since);
            instance.ended_at = instance.ended_at.max(until);
            instance.inferred_end = instance.inferred_end.filter(|end| *end >= since);
            instance.host_joined_at =
                instance.host_joined_at.into_iter().chain(host_joined_at).min();
        }
        None => known.push(MeetingInstance {
            uuid: uuid.to_owned(),
            started_at: since,
            ended_at: until,
            inferred_end: None,
            host_joined_at,
        }),
    }
    known.sort_by(|a, b| (a.started_at, &a.uuid).cmp(&(b.started_at, &b.uuid)));
    known
}

/// Sets an inferred end of `at` on the session's latest instance if its end is unknown.
pub fn with_inferred_end(
    mut known: Vec<MeetingInstance>,
    window: &SessionWindow,
    at: Timestamp,
) -> Vec<MeetingInstance> {
    let last = known.iter_mut().rfind(|instance| window.contains_instance(instance));
    if let Some(last) = last.filter(|last| last.end().is_none()) {
        last.inferred_end = Some(at.max(last.started_at));
    }
    known
}

/// Reduces the instances to a number that does not grow with the restarts of the meeting. The lifecycle is that of all
/// instances, in any order of their events.
///
/// The latest instances stay as they are, because later events concern them. The figures of the others are merged into
/// `earlier`, where a repeated event changes nothing. An instance that ran at the planned start stays until its end is
/// known, because it may have been a test start. Of the instances after the window only the last is kept.
pub fn compact(
    mut earlier: Option<EarlierInstances>,
    mut known: Vec<MeetingInstance>,
    window: &SessionWindow,
) -> (Option<EarlierInstances>, Vec<MeetingInstance>) {
    let later = known.partition_point(|instance| instance.started_at < window.closes_at);
    known.drain(later..known.len().saturating_sub(1).max(later));
    let mut n = 0;
    while let [_, .., _] = &known[n..] {
        let (instance, next) = (&known[n], &known[n + 1]);
        let is_earlier = earlier.is_some_and(|earlier| earlier.contains(instance.started_at));
        if !is_earlier && known.len() <= STORED_INSTANCES {
            break;
        }
        if earlier.is_some_and(|earlier| earlier.is_test_start(instance, window)) {
            known.remove(n);
            continue;
        }
        let is_test_start = instance.end().unwrap_or(next.started_at) <= window.starts_at;
        let may_be_test_start = instance.end().is_none() && instance.started_at <= window.starts_at;
        if may_be_test_start && !is_test_start {
            n += 1;
            continue;
        }
        let figures = earlier.get_or_insert(EarlierInstances {
            until: instance.started_at,
            tested_until: None,
            started_at: None,
            ended_at: None,
        });
        figures.add(&known.remove(n), is_test_start);
    }
    (earlier, known)
}

/// The status and actual times of a session that follow from its meeting instances.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionLifecycle {
    pub status: Status,
    pub started_at: Option<Timestamp>,
    pub ended_at: Option<Timestamp>,
}

/// Computes the lifecycle from the instances that belong to the session. The session is live while the latest of them runs
/// and ended once it has ended. A meeting has one instance at a time, so an earlier instance whose end was lost has ended
/// too, at the start of the next one at the latest. A test start that ended before the planned start leaves the session
/// `scheduled`, and a cancelled session stays cancelled.
pub fn lifecycle(
    before: Status,
    window: &SessionWindow,
    earlier: Option<&EarlierInstances>,
    known: &[MeetingInstance],
) -> SessionLifecycle {
    let is_test_start = |instance: &&MeetingInstance| {
        let next = known
            .iter()
            .find(|next| (next.started_at, &next.uuid) > (instance.started_at, &instance.uuid));
        let end = instance.end().or(next.map(|next| next.started_at));
        end.is_some_and(|end| end <= window.starts_at)
    };
    let instances = || window.own_instances(known).filter(|instance| !is_test_start(instance));
    let earlier_start = earlier.and_then(|earlier| earlier.started_at);
    let earlier_end = earlier.and_then(|earlier| earlier.ended_at);
    let status = match (before, instances().next_back()) {
        (Status::Cancelled, _) => Status::Cancelled,
        (_, None) if known.is_empty() => before,
        (_, None) if earlier_start.is_some() => Status::Ended,
        (_, None) => Status::Scheduled,
        (_, Some(last)) if last.end().is_some() => Status::Ended,
        (_, Some(_)) => Status::Live,
    };
    let ended_at = match status {
        Status::Live => None,
        _ => instances().filter_map(MeetingInstance::end).max().max(earlier_end),
    };
    let started_at = instances().map(|first| first.started_at).next();
    SessionLifecycle {
        status,
        started_at: started_at.into_iter().chain(earlier_start).min(),
        ended_at,
    }
}

impl SessionWindow {
    /// Returns whether a meeting instance belongs to the session. An instance that lasts into the window belongs to it,
    /// however early it started.
    pub fn contains_instance(&self, instance: &MeetingInstance) -> bool {
        self.overlaps(instance.started_at, instance.end())
    }

    /// Returns the known instances that belong to the session. An instance from before the window whose end is unknown and
    /// that was followed by another one was most likely a rehearsal. It is less likely that it lasted for days.
    pub fn own_instances<'a>(
        &self,
        known: &'a [MeetingInstance],
    ) -> impl DoubleEndedIterator<Item = &'a MeetingInstance> + use<'a> {
        let window = *self;
        let last = known.last();
        known.iter().filter(move |instance| {
            let is_stale = instance.end().is_none()
                && instance.started_at < window.opens_at
                && last.is_some_and(|last| last != *instance);
            window.contains_instance(instance) && !is_stale
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(minute: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + minute * 60).unwrap()
    }

    /// The window of a session planned from minute 0 to 60.
    fn window() -> SessionWindow {
        SessionWindow { opens_at: at(-15), starts_at: at(0), closes_at: at(150) }
    }

    type Case<'a> = (&'a str, Vec<(&'a str, InstanceEvent)>, Status);

    fn fold(events: &[(&str, InstanceEvent)]) -> Vec<MeetingInstance> {
        events.iter().fold(Vec::new(), |known, (uuid, event)| with_event(known, uuid, *event))
    }

    #[test]
    fn latest_instance_decides_the_status() {
        let started = |uuid, minute| (uuid, InstanceEvent::Running(at(minute)));
        let ended = |uuid, from, to| {
            (uuid, InstanceEvent::Ended { started_at: Some(at(from)), at: at(to) })
        };
        let cases: [Case<'_>; 7] = [
            ("started", vec![started("a", 0)], Status::Live),
            ("ended", vec![started("a", 0), ended("a", 0, 60)], Status::Ended),
            ("ended alone", vec![ended("a", 0, 60)], Status::Ended),
            (
                "ended is delivered before started",
                vec![ended("a", 0, 60), started("a", 0)],
                Status::Ended,
            ),
            (
                "started again",
                vec![started("a", 0), ended("a", 0, 60), started("b", 65)],
                Status::Live,
            ),
            (
                "first end is delivered late",
                vec![started("a", 0), started("b", 65), ended("a", 0, 60)],
                Status::Live,
            ),
            (
                "first end was lost",
                vec![started("a", 0), started("b", 65), ended("b", 65, 90)],
                Status::Ended,
            ),
        ];
        for (name, events, expected) in cases {
            assert_eq!(
                lifecycle(Status::Scheduled, &window(), None, &fold(&events)).status,
                expected,
                "{name}"
            );
            assert_eq!(
                lifecycle(Status::Cancelled, &window(), None, &fold(&events)).status,
                Status::Cancelled,
                "{name}, cancelled"
            );
        }
        assert_eq!(lifecycle(Status::Scheduled, &window(), None, &[]).status, Status::Scheduled);
    }

    #[test]
    fn rehearsal_leaves_the_session_scheduled() {
        let started = |uuid, minute| (uuid, InstanceEvent::Running(at(minute)));
        let ended = |uuid, from, to| {
            (uuid, InstanceEvent::Ended { started_at: Some(at(from)), at: at(to) })
        };
        let day = 24 * 60;
        // Name, events, status and actual start of a session planned for minute 0.
        let cases: [(Case<'_>, Option<i64>); 15] = [
            (("running, days ahead", vec![started("a", -3 * day)], Status::Live), Some(-3 * day)),
            (
                ("ended, days ahead", vec![ended("a", -3 * day, -3 * day + 5)], Status::Scheduled),
                None,
            ),
            (("ended an hour ahead", vec![ended("a", -60, -50)], Status::Scheduled), None),
            (("ended at the window's start", vec![ended("a", -20, -15)], Status::Scheduled), None),
            (("ended before the start", vec![ended("a", -60, -14)], Status::Scheduled), None),
            (("test start in the window", vec![ended("a", -10, -6)], Status::Scheduled), None),
            (("ended at the planned start", vec![ended("a", -10, 0)], Status::Scheduled), None),
            (("ended in the session's time", vec![ended("a", -60, 1)], Status::Ended), Some(-60)),
            (
                (
                    "test start, then the session",
                    vec![ended("a", -10, -6), started("b", -2)],
                    Status::Live,
                ),
                Some(-2),
            ),
            (
                ("started before the window closes", vec![started("a", 149)], Status::Live),
                Some(149),
            ),
            (("started early, still running", vec![started("a", -60)], Status::Live), Some(-60)),
            (
                (
                    "rehearsal, then the session",
                    vec![ended("a", -day, -day + 5), started("b", -2)],
                    Status::Live,
                ),
                Some(-2),
            ),
            (
                (
                    "end of the rehearsal delivered during the session",
                    vec![started("a", -60), started("b", -2), ended("a", -60, -50)],
                    Status::Live,
                ),
                Some(-2),
            ),
            (
                (
                    "end of the rehearsal lost",
                    vec![started("a", -day), started("b", -2), ended("b", -2, 60)],
                    Status::Ended,
                ),
                Some(-2),
            ),
            (
                (
                    "two rehearsals",
                    vec![ended("a", -day, -day + 5), ended("b", -30, -20)],
                    Status::Scheduled,
                ),
                None,
            ),
        ];
        for ((name, events, status), since) in cases {
            let mut status_before = Status::Scheduled;
            for length in 1..=events.len() {
                status_before =
                    lifecycle(status_before, &window(), None, &fold(&events[..length])).status;
            }
            let lifecycle_after = lifecycle(status_before, &window(), None, &fold(&events));
            assert_eq!(
                (lifecycle_after.status, lifecycle_after.started_at),
                (status, since.map(at)),
                "{name}"
            );
        }
    }

    #[test]
    fn instance_after_the_window_leaves_the_session_unchanged() {
        let ended = |uuid, from, to| {
            (uuid, InstanceEvent::Ended { started_at: Some(at(from)), at: at(to) })
        };
        let held = [ended("a", -5, 45)];
        for (later, belongs) in [
            (vec![("b", InstanceEvent::Running(at(150)))], false),
            (vec![ended("b", 150, 200)], false),
            (vec![ended("b", 3 * 24 * 60, 3 * 24 * 60 + 60)], false),
            (vec![ended("b", 149, 200)], true),
        ] {
            let known = fold(&[&held[..], &later[..]].concat());
            let SessionLifecycle { status, started_at, ended_at } =
                lifecycle(Status::Ended, &window(), None, &known);
            let end = if belongs { 200 } else { 45 };
            assert_eq!(
                (status, started_at, ended_at),
                (Status::Ended, Some(at(-5)), Some(at(end))),
                "{later:?}"
            );
            let alone = lifecycle(Status::Scheduled, &window(), None, &fold(&later)).status;
            let expected = if belongs { Status::Ended } else { Status::Scheduled };
            assert_eq!(alone, expected, "{later:?}");
        }
    }

    #[test]
    fn inferred_end_is_replaced_by_later_events() {
        let with_lost_end =
            || with_inferred_end(fold(&[("a", InstanceEvent::Running(at(0)))]), &window(), at(60));
        let ended = |known: &[MeetingInstance]| {
            let SessionLifecycle { status, ended_at, .. } =
                lifecycle(Status::Live, &window(), None, known);
            (status, ended_at)
        };
        assert_eq!(ended(&with_lost_end()), (Status::Ended, Some(at(60))));
        let cases = [
            (
                "earlier join delivered late",
                "a",
                InstanceEvent::Running(at(30)),
                Status::Ended,
                Some(at(60)),
            ),
            (
                "later event of the same instance",
                "a",
                InstanceEvent::Running(at(61)),
                Status::Live,
                None,
            ),
            ("started again", "b", InstanceEvent::Running(at(70)), Status::Live, None),
            (
                "end delivered late",
                "a",
                InstanceEvent::Ended { started_at: Some(at(0)), at: at(55) },
                Status::Ended,
                Some(at(55)),
            ),
        ];
        for (name, uuid, event, status, ended_at) in cases {
            assert_eq!(
                ended(&with_event(with_lost_end(), uuid, event)),
                (status, ended_at),
                "{name}"
            );
        }
        let reported = fold(&[("a", InstanceEvent::Ended { started_at: None, at: at(50) })]);
        assert_eq!(
            with_inferred_end(reported.clone(), &window(), at(60)),
            reported,
            "a reported end is kept"
        );
        assert_eq!(
            lifecycle(Status::Cancelled, &window(), None, &with_lost_end()).status,
            Status::Cancelled
        );
    }

    proptest! {
        #[test]
        fn instances_ignore_order_and_repetition_of_events(
            events in proptest::collection::vec((0..3usize, 0..200i64, proptest::option::of(0..200i64), any::<bool>()), 1..12),
            order in any::<u64>(),
        ) {
            let uuids = ["a", "b", "c"];
            let events: Vec<_> = events
                .into_iter()
                .map(|(uuid, start, end, is_host)| {
                    let event = match end {
                        None if is_host => InstanceEvent::HostJoined(at(start)),
                        None => InstanceEvent::Running(at(start)),
                        Some(end) => InstanceEvent::Ended { started_at: Some(at(start)), at: at(start.max(end)) },
                    };
                    (uuids[uuid], event)
                })
                .collect();
            let mut shuffled: Vec<_> = events.iter().chain(&events).copied().collect();
            let length = shuffled.len();
            for n in 0..length {
                shuffled.swap(n, (order as usize).wrapping_mul(n + 7) % length);
            }
            prop_assert_eq!(fold(&events), fold(&shuffled));
        }

        #[test]
        fn restarts_do_not_grow_the_stored_instances(
            gaps in proptest::collection::vec((0..12i64, 1..12i64, any::<[bool; 4]>()), 8..60),
            first in -300..60i64,
            order in any::<u64>(),
        ) {
            // A meeting has one instance at a time. Some of its events are lost.
            let mut minute = first;
            let mut events = Vec::new();
            for (n, (pause, length, is_lost)) in gaps.into_iter().enumerate() {
                let (start, end) = (minute + pause, minute + pause + length);
                let all = [
                    InstanceEvent::Running(at(start)),
                    InstanceEvent::HostJoined(at(start)),
                    InstanceEvent::Running(at(start + length / 2)),
                    InstanceEvent::Ended { started_at: Some(at(start)), at: at(end) },
                ];
                let left = all.into_iter().zip(is_lost).filter(|(_, is_lost)| !is_lost);
                events.extend(left.map(|(event, _)| (format!("uuid-{n}"), event)));
                minute = end + 1;
            }
            let mut shuffled: Vec<_> = events.iter().chain(&events).cloned().collect();
            let length = shuffled.len();
            for n in 0..length {
                shuffled.swap(n, (order as usize).wrapping_mul(n + 7) % length);
            }
            let (mut all, mut stored, mut earlier) = (Vec::new(), Vec::new(), None);
            for (uuid, event) in &shuffled {
                all = with_event(all, uuid, *event);
                (earlier, stored) = compact(earlier, with_event(stored, uuid, *event), &window());
                prop_assert!(stored.len() <= STORED_INSTANCES, "{stored:?}");
            }
            prop_assert_eq!(
                lifecycle(Status::Scheduled, &window(), earlier.as_ref(), &stored),
                lifecycle(Status::Scheduled, &window(), None, &all)
            );
        }
    }
}
