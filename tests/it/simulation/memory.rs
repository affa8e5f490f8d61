//! Zoom's memory of a meeting, and its consequences for the class. It is computed from the simulator's state alone.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::story::{Hosting, MINUTE};

/// The window of a class of an hour: it opens 15 minutes before the planned start, and closes 90 minutes after the end.
const OPENS: i64 = -15 * MINUTE;
const CLOSES: i64 = 150 * MINUTE;

/// The name of a telephone at Zoom begins with this and ends with the name of the student.
pub(super) const TELEPHONE_OF: &str = "Telephone of ";

type Span = (Timestamp, Timestamp);

/// The final state of a meeting at Zoom.
pub(super) struct Memory<'a> {
    pub(super) meeting: &'a Value,
    pub(super) starts_at: Timestamp,
    /// The participations of telephones that Zoom knows to be a student's.
    pub(super) bound: &'a BTreeSet<String>,
    /// The registrations of the students, as they got them from us.
    pub(super) registrants: &'a BTreeSet<String>,
}

/// The class as it should be after the comparisons with Zoom.
#[derive(Debug, Default)]
pub(super) struct Expectations {
    pub(super) status: &'static str,
    pub(super) actual: Option<Span>,
    pub(super) held_minutes: i64,
    /// By the name at Zoom.
    pub(super) people: BTreeMap<String, ExpectedPerson>,
    /// The calls by telephone, by the name of the student.
    pub(super) calls: BTreeMap<String, Vec<Call>>,
    pub(super) files: BTreeMap<String, ExpectedFile>,
}

/// A student's connection by telephone.
#[derive(Clone, Copy, Debug)]
pub(super) struct Call {
    span: Span,
    /// Whether the telephone was bound to the student. Only an event reports that, and no list.
    pub(super) is_bound: bool,
}

impl Call {
    pub(super) fn minutes(self) -> i64 {
        rounded_minutes(seconds_between(self.span.0, self.span.1))
    }
}

#[derive(Clone, Debug, Default)]
pub(super) struct ExpectedPerson {
    /// The connections, without the time outside of the class's window.
    all: Vec<Span>,
    /// Those that Zoom's list attributes to the person.
    attributed: Vec<Span>,
}

#[derive(Debug)]
pub(super) struct ExpectedFile {
    /// The state at Zoom: `completed`, `trashed` or `deleted`.
    pub(super) state: String,
    /// Whether the meeting instance belongs to the class.
    pub(super) is_own: bool,
}

impl ExpectedPerson {
    /// Returns the minutes of the person, each counted once.
    pub(super) fn minutes(&self) -> i64 {
        rounded_minutes(seconds_of_union(self.all.clone()))
    }

    /// Returns the minutes that are known to be the person's without any event.
    pub(super) fn attributed_minutes(&self) -> i64 {
        rounded_minutes(seconds_of_union(self.attributed.clone()))
    }

    /// Returns the minutes of all connections, each counted on its own.
    pub(super) fn minutes_of_connections(&self) -> i64 {
        let seconds: i64 = self.all.iter().map(|(from, to)| seconds_between(*from, *to)).sum();
        rounded_minutes(seconds)
    }

    pub(super) fn is_attributed(&self) -> bool {
        self.all.len() == self.attributed.len()
    }

    /// Returns the person with calls that are known to be theirs. A call is attributed like the connection to which it belongs.
    pub(super) fn with_calls(&self, calls: &[Call]) -> Self {
        let mut person = self.clone();
        let spans = calls.iter().map(|call| call.span);
        person.all.extend(spans.clone());
        if self.is_attributed() {
            person.attributed.extend(spans);
        }
        person
    }
}

impl Memory<'_> {
    pub(super) fn expectations(&self, hosting: Hosting) -> Expectations {
        let instances = self.meeting["instances"].as_array().expect("a list");
        let mut expected = Expectations::default();
        let mut held = Vec::new();
        let mut actual: Vec<Span> = Vec::new();
        for instance in instances {
            let span = (time(&instance["started_at"]), time(&instance["ended_at"]));
            let is_own = span.0 < self.at(CLOSES) && span.1 > self.at(OPENS);
            expected.add_files(instance, is_own);
            if !is_own {
                continue;
            }
            // A meeting that ended before the planned start was a test.
            actual.extend((span.1 > self.starts_at).then_some(span));
            held.extend(self.clip(span));
            for participant in instance["participants"].as_array().expect("a list") {
                let connection =
                    (time(&participant["join_time"]), time(&participant["leave_time"]));
                if let Some(connection) = self.clip(connection) {
                    self.add_connection(&mut expected, participant, connection, hosting);
                }
            }
        }
        expected.held_minutes = rounded_minutes(seconds_of_union(held));
        expected.status = if actual.is_empty() { "scheduled" } else { "ended" };
        let first = actual.iter().map(|(from, _)| *from).min();
        expected.actual = first.zip(actual.iter().map(|(_, to)| *to).max());
        expected
    }

    fn at(&self, second: i64) -> Timestamp {
        self.starts_at + SignedDuration::from_secs(second)
    }

    fn add_connection(
        &self,
        expected: &mut Expectations,
        participant: &Value,
        connection: Span,
        hosting: Hosting,
    ) {
        if participant["host"] == true {
            return;
        }
        let name = participant["name"].as_str().expect("a name").to_owned();
        if let Some(student) = name.strip_prefix(TELEPHONE_OF) {
            let uuid = participant["participant_uuid"].as_str().expect("a uuid");
            let call = Call { span: connection, is_bound: self.bound.contains(uuid) };
            expected.calls.entry(student.to_owned()).or_default().push(call);
            return;
        }
        let text = |field: &str| participant[field].as_str().filter(|text| !text.is_empty());
        // Only the report of an account has the key.
        let has_key = hosting.is_by_platform() && text("customer_key").is_some();
        let has_link = text("registrant_id").is_some_and(|id| self.registrants.contains(id));
        let person = expected.people.entry(name).or_default();
        person.all.push(connection);
        if text("email").is_some() || has_key || has_link {
            person.attributed.push(connection);
        }
    }

    /// Returns the part of a span that lies in the class's window.
    fn clip(&self, (from, to): Span) -> Option<Span> {
        let clipped = (from.max(self.at(OPENS)), to.min(self.at(CLOSES)));
        (clipped.0 <= clipped.1).then_some(clipped)
    }
}

impl Expectations {
    fn add_files(&mut self, instance: &Value, is_own: bool) {
        let recording = &instance["recording"];
        for file in recording["files"].as_array().into_iter().flatten() {
            let state = recording["state"].as_str().expect("a state").to_owned();
            let id = file["id"].as_str().expect("an id").to_owned();
            self.files.insert(id, ExpectedFile { state, is_own });
        }
    }
}

fn time(value: &Value) -> Timestamp {
    value.as_str().expect("a time").parse().expect("a time")
}

fn seconds_between(from: Timestamp, to: Timestamp) -> i64 {
    to.as_second() - from.as_second()
}

/// Reports round to the nearest minute.
fn rounded_minutes(seconds: i64) -> i64 {
    (seconds + MINUTE / 2) / MINUTE
}

/// Returns the seconds that at least one of the spans covers.
fn seconds_of_union(mut spans: Vec<Span>) -> i64 {
    spans.sort();
    let mut covered_until = Timestamp::MIN;
    let mut seconds = 0;
    for (from, to) in spans {
        let from = from.max(covered_until);
        seconds += seconds_between(from, to).max(0);
        covered_until = covered_until.max(to);
    }
    seconds
}
