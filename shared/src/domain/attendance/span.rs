//! Spans of time, and their union.

use jiff::Timestamp;

use crate::domain::session::Session;

/// A span of time, with equal ends for a join and leave at the same instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span {
    pub from: Timestamp,
    pub to: Timestamp,
}

impl Span {
    /// Returns the window of a session.
    pub fn of_window(session: &Session) -> Self {
        Self { from: session.window_opens_at(), to: session.window_closes_at() }
    }

    /// Returns the span between two instants, given in either order.
    pub fn between(a: Timestamp, b: Timestamp) -> Self {
        Self { from: a.min(b), to: a.max(b) }
    }

    /// Returns the part that lies within `limits`, if any.
    pub fn intersection(self, limits: Self) -> Option<Self> {
        let (from, to) = (self.from.max(limits.from), self.to.min(limits.to));
        (from <= to).then_some(Self { from, to })
    }

    fn millis(self) -> u64 {
        u64::try_from(self.to.as_millisecond() - self.from.as_millisecond()).unwrap_or(0)
    }
}

/// Merges spans that overlap or touch, and sorts them by start.
pub(super) fn union(mut spans: Vec<Span>) -> Vec<Span> {
    spans.sort();
    let mut merged: Vec<Span> = Vec::with_capacity(spans.len());
    for span in spans {
        match merged.last_mut() {
            Some(last) if span.from <= last.to => last.to = last.to.max(span.to),
            _ => merged.push(span),
        }
    }
    merged
}

/// Returns the total length of a [`union`] in milliseconds.
pub(super) fn total_millis(merged: &[Span]) -> u64 {
    merged.iter().map(|span| span.millis()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(from: i64, to: i64) -> Span {
        Span {
            from: Timestamp::from_second(from).unwrap(),
            to: Timestamp::from_second(to).unwrap(),
        }
    }

    #[test]
    fn union_counts_overlapping_time_once() {
        let cases = [
            (vec![], vec![], 0),
            (vec![span(0, 10), span(5, 7)], vec![span(0, 10)], 10),
            (vec![span(5, 20), span(0, 10)], vec![span(0, 20)], 20),
            (vec![span(10, 20), span(0, 10)], vec![span(0, 20)], 20),
            (vec![span(11, 20), span(0, 10)], vec![span(0, 10), span(11, 20)], 19),
            (vec![span(3, 3)], vec![span(3, 3)], 0),
        ];
        for (spans, merged, seconds) in cases {
            assert_eq!(union(spans.clone()), merged, "{spans:?}");
            assert_eq!(total_millis(&merged), seconds * 1000, "{spans:?}");
        }
    }

    #[test]
    fn intersection_is_clipped_to_the_limits() {
        assert_eq!(span(0, 10).intersection(span(5, 20)), Some(span(5, 10)));
        assert_eq!(span(0, 30).intersection(span(5, 20)), Some(span(5, 20)));
        assert_eq!(span(0, 4).intersection(span(5, 20)), None);
    }
}
