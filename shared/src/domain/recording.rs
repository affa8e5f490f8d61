//! Recordings of a session, and the rule for which of them its audience sees.
//!
//! A meeting can be used outside of its session, for a rehearsal or another call. The audience sees only what was recorded
//! in the session. The trainer sees everything.

use super::meeting_instance::MeetingInstance;
pub use super::recorded_span::RecordingVisibility;
use jiff::Timestamp;

use super::recorded_span::RecordedSpan;
use super::session::Session;

impl Session {
    /// Returns the visibility of a recording of this span: as the trainer has decided. Otherwise the audience sees it if its meeting
    /// instance and its own time overlap the session's window. Zoom's times of a file count only if they lie within its
    /// meeting instance.
    pub fn recording_visibility(&self, span: &RecordedSpan) -> RecordingVisibility {
        if let Some(decided) = span.visibility {
            return decided;
        }
        let window = self.session_window();
        let is_in_window = |(from, to)| window.overlaps(from, Some(to));
        let instance = self
            .meeting_instances
            .iter()
            .find(|instance| Some(instance.uuid.as_str()) == span.instance.as_deref());
        let belongs = match (instance, span.times()) {
            (Some(instance), _) if !window.contains_instance(instance) => false,
            (Some(instance), Some(times)) if overlaps(instance, times) => is_in_window(times),
            (Some(_), _) => true,
            // The events of the instance were lost.
            (None, Some(times)) => is_in_window(times),
            (None, None) => false,
        };
        if belongs { RecordingVisibility::Invited } else { RecordingVisibility::Trainer }
    }

    /// Returns whether the audience can watch a recording.
    pub fn has_recording_for_audience(&self) -> bool {
        self.recordings.iter().any(|span| span.is_available && self.is_for_audience(span))
    }

    /// Returns whether the trainer can watch a recording.
    pub fn has_recording_for_trainer(&self) -> bool {
        self.recordings.iter().any(|span| span.is_available)
    }

    /// Marks the audience as notified of the recordings of a meeting instance. Returns whether it has to be notified: it was
    /// not yet, and can watch one of them.
    pub fn take_recording_notification(
        &self,
        instance: Option<&str>,
        spans: &mut [RecordedSpan],
    ) -> bool {
        let is_of_instance = |span: &RecordedSpan| span.instance.as_deref() == instance;
        let is_due = !spans.iter().any(|span| is_of_instance(span) && span.is_notified)
            && spans.iter().any(|span| {
                is_of_instance(span) && span.is_available && self.is_for_audience(span)
            });
        for span in spans.iter_mut().filter(|span| is_due && is_of_instance(span)) {
            span.is_notified = true;
        }
        is_due
    }

    fn is_for_audience(&self, span: &RecordedSpan) -> bool {
        self.recording_visibility(span) == RecordingVisibility::Invited
    }
}

/// Returns whether a recording's times lie at least partly within its meeting instance.
fn overlaps(instance: &MeetingInstance, (from, to): (Timestamp, Timestamp)) -> bool {
    to >= instance.started_at && instance.end().is_none_or(|end| from <= end)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::recorded_span;
    use crate::domain::session::{Status, testing};
    use crate::domain::time::plus_minutes;

    const START: &str = "2026-12-01T09:00:00Z";

    fn at(minute: i64) -> Timestamp {
        plus_minutes(START.parse().unwrap(), minute)
    }

    /// A session of 60 minutes, whose window is from minute -15 to minute 150.
    fn session(instances: &[(&str, i64, Option<i64>)]) -> Session {
        let instance = |(uuid, from, to): &(&str, i64, Option<i64>)| MeetingInstance {
            uuid: (*uuid).to_owned(),
            started_at: at(*from),
            ended_at: to.map(at),
            inferred_end: None,
            host_joined_at: None,
        };
        let meeting_instances = instances.iter().map(instance).collect();
        Session { meeting_instances, ..testing::session(at(0), Status::Ended) }
    }

    fn span(instance: &str, from: Option<i64>, to: Option<i64>) -> RecordedSpan {
        RecordedSpan {
            starts_at: from.map(at),
            ends_at: to.map(at),
            instance: Some(instance.to_owned()),
            visibility: None,
            is_available: true,
            is_notified: false,
        }
    }

    #[test]
    fn audience_sees_what_was_recorded_within_the_window() {
        let day = 24 * 60;
        let instances = [
            ("rehearsal", -day, Some(-day + 30)),
            ("session", -10, Some(70)),
            ("later", 300, Some(360)),
            ("running", -day, None),
        ];
        for (name, instance, from, to, expected) in [
            ("session", "session", Some(0), Some(60), true),
            ("file without times", "session", None, None, true),
            ("file without an end", "session", Some(0), None, true),
            (
                "file with times of another year",
                "session",
                Some(-400 * day),
                Some(-399 * day),
                true,
            ),
            ("rehearsal", "rehearsal", Some(-day), Some(-day + 30), false),
            ("rehearsal with wrong times", "rehearsal", Some(0), Some(60), false),
            ("rehearsal without times", "rehearsal", None, None, false),
            ("later use of the meeting", "later", Some(300), Some(360), false),
            (
                "rehearsal in an instance that never ended",
                "running",
                Some(-day),
                Some(-day + 30),
                false,
            ),
            ("session in an instance that never ended", "running", Some(0), Some(60), true),
            ("unknown instance within the window", "unknown", Some(0), Some(60), true),
            ("unknown instance at both edges", "unknown", Some(-60), Some(-14), true),
            (
                "unknown instance that ends as the window opens",
                "unknown",
                Some(-60),
                Some(-15),
                false,
            ),
            (
                "unknown instance that starts as the window closes",
                "unknown",
                Some(150),
                Some(200),
                false,
            ),
            ("unknown instance without an end", "unknown", Some(-60), None, false),
            ("unknown instance that ends before it starts", "unknown", Some(10), Some(-60), true),
            ("unknown instance without times", "unknown", None, None, false),
        ] {
            let visibility = session(&instances).recording_visibility(&span(instance, from, to));
            assert_eq!(visibility == RecordingVisibility::Invited, expected, "{name}");
        }
    }

    #[test]
    fn trainer_decides_who_sees_a_recording() {
        let session = session(&[("session", -10, Some(70)), ("later", 300, Some(360))]);
        let (shown, hidden) = (RecordingVisibility::Invited, RecordingVisibility::Trainer);
        for (instance, from, decided, expected) in [
            ("session", 0, None, shown),
            ("session", 0, Some(hidden), hidden),
            ("later", 300, None, hidden),
            ("later", 300, Some(shown), shown),
        ] {
            let span = RecordedSpan { visibility: decided, ..span(instance, Some(from), None) };
            assert_eq!(session.recording_visibility(&span), expected, "{instance} {decided:?}");
        }
    }

    #[test]
    fn audience_is_notified_once_per_instance() {
        let take = |session: &Session, instance: &str, spans: &mut [RecordedSpan]| {
            session.take_recording_notification(Some(instance), spans)
        };
        let session = session(&[("a", 0, Some(60)), ("later", 300, Some(360))]);
        let trashed = RecordedSpan { is_available: false, ..span("a", Some(0), Some(60)) };
        assert!(!take(&session, "a", &mut [trashed]), "a recording in the trash");
        assert!(!take(&session, "later", &mut [span("later", Some(300), Some(360))]));
        let mut spans = [span("a", Some(0), Some(30)), span("a", Some(30), Some(60))];
        assert!(take(&session, "a", &mut spans));
        assert!(!take(&session, "a", &mut spans), "the second time");
        assert!(!take(
            &session,
            "a",
            &mut recorded_span::distinct_spans([span("a", Some(5), Some(9))], &spans)
        ));
    }
}
