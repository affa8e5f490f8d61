//! The agreement of the events with Zoom's report, which measures how well attendance works without it.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::Percent;
use super::instance_intervals::instance_intervals;
use super::participation::participations;
use super::span::{Span, total_millis, union};
use crate::domain::session::Session;
use crate::domain::zoom_event::ZoomEvent;
use crate::domain::zoom_report::InstanceReport;

/// Returns the share of the participants' time on which the events alone and the events with Zoom's report agree. The
/// host is left out. `None` if nobody took part.
pub fn accuracy(
    session: &Session,
    events: &[ZoomEvent],
    reports: &[InstanceReport],
    now: Timestamp,
) -> Option<Percent> {
    let participations = |reports| {
        let intervals = instance_intervals(session, events, reports, now);
        participations(events, reports, &intervals, Span::of_window(session))
    };
    let (by_events, of_record) = (participations(&[]), participations(reports));
    let (mut agreed, mut total) = (0, 0);
    let mut times: BTreeMap<_, (&[Span], &[Span])> = BTreeMap::new();
    for it in by_events.iter().filter(|it| !it.is_host) {
        times.entry((&it.instance_uuid, &it.id)).or_default().0 = &it.presence.spans;
    }
    for it in of_record.iter().filter(|it| !it.is_host) {
        times.entry((&it.instance_uuid, &it.id)).or_default().1 = &it.presence.spans;
    }
    for (found, recorded) in times.into_values() {
        let either = time(&[found, recorded].concat());
        agreed += time(found) + time(recorded) - either;
        total += either;
    }
    (total > 0).then(|| Percent::ratio(agreed, total))
}

fn time(spans: &[Span]) -> u64 {
    total_millis(&union(spans.to_vec()))
}
