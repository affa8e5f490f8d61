//! The spans of a session's recordings, which are stored with the session.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Spans that are stored with a session. Zoom records a handful of files per meeting instance, all with the same times.
const SPAN_LIMIT: usize = 40;

/// The readers of a recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RecordingVisibility {
    /// The trainer and the audience.
    Invited,
    /// Only the trainer.
    Trainer,
}

/// The meeting instance and the time of recorded files. Sessions store the spans of their recordings, so that lists need
/// no further request.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct RecordedSpan {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub starts_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ends_at: Option<Timestamp>,
    /// The uuid of the recorded meeting instance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
    /// The trainer's decision about its visibility.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub visibility: Option<RecordingVisibility>,
    /// Whether a file of this span can be watched.
    #[serde(default)]
    pub is_available: bool,
    /// Whether the audience was notified of a recording of this meeting instance.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_notified: bool,
}

impl RecordedSpan {
    /// Returns the start and the end of the recording. `None` without a readable start. A missing or earlier end is
    /// treated as the start.
    pub fn times(&self) -> Option<(Timestamp, Timestamp)> {
        let starts_at = self.starts_at?;
        Some((starts_at, self.ends_at.map_or(starts_at, |ends_at| ends_at.max(starts_at))))
    }
}

/// Returns the distinct spans, oldest first. A span is available if one of its files is. Notifications are taken over from
/// the known spans.
pub fn distinct_spans(
    files: impl IntoIterator<Item = RecordedSpan>,
    known: &[RecordedSpan],
) -> Vec<RecordedSpan> {
    let mut spans: Vec<RecordedSpan> = files.into_iter().collect();
    // Available spans sort last, and of equal times the last one stays.
    spans.sort();
    spans.reverse();
    spans.dedup_by(|a, b| {
        (a.starts_at, a.ends_at, &a.instance, a.visibility)
            == (b.starts_at, b.ends_at, &b.instance, b.visibility)
    });
    spans.reverse();
    let excess = spans.len().saturating_sub(SPAN_LIMIT);
    spans.drain(..excess);
    for span in &mut spans {
        span.is_notified =
            known.iter().any(|known| known.instance == span.instance && known.is_notified);
    }
    spans
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(instance: &str, from: i64, to: i64) -> RecordedSpan {
        let at = |minute: i64| Timestamp::from_second(1_795_251_600 + 60 * minute).ok();
        RecordedSpan {
            starts_at: at(from),
            ends_at: at(to),
            instance: Some(instance.to_owned()),
            visibility: None,
            is_available: true,
            is_notified: false,
        }
    }

    #[test]
    fn spans_are_distinct_and_bounded() {
        let trashed = RecordedSpan { is_available: false, ..span("a", 0, 60) };
        let files = [span("a", 0, 60), trashed.clone(), span("b", 0, 60)];
        let spans = distinct_spans(files, &[]);
        assert_eq!(spans, [span("a", 0, 60), span("b", 0, 60)]);
        let notified = RecordedSpan { is_notified: true, ..trashed.clone() };
        assert_eq!(distinct_spans([trashed], std::slice::from_ref(&notified)), [notified]);
        let many = (0..1000).map(|minute| span("a", minute, minute + 1));
        assert_eq!(distinct_spans(many, &[]).len(), SPAN_LIMIT);
    }
}
