//! The comparison of the functions' reports with Zoom's memory.

use std::collections::BTreeSet;
use std::fmt;

use jiff::Timestamp;
use serde_json::Value;

use super::memory::{Call, Expectations, ExpectedPerson, TELEPHONE_OF};

/// A rule that a story breaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Disagreement {
    pub(super) rule: &'static str,
    detail: String,
}

impl Disagreement {
    pub(super) fn new(rule: &'static str, detail: impl fmt::Display) -> Self {
        Self { rule, detail: detail.to_string() }
    }
}

impl fmt::Display for Disagreement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.rule, self.detail)
    }
}

/// Returns the broken rules. `recordings` are those that the trainer and a student see.
pub(super) fn compare(
    expected: &Expectations,
    session: &Value,
    report: &Value,
    recordings: [&Value; 2],
) -> Vec<Disagreement> {
    let mut comparison = Comparison { found: Vec::new() };
    comparison.compare_lifecycle(expected, session);
    comparison.compare_report(expected, report);
    let [of_trainer, of_student] = recordings;
    comparison.compare_recordings(expected, of_trainer, false);
    comparison.compare_recordings(expected, of_student, true);
    comparison.found
}

/// Returns the broken rules of a class that the platform has cancelled: it stays cancelled, and has no meeting. Without a
/// grant, the meeting cannot be deleted.
pub(super) fn compare_cancelled(
    session: &Value,
    meeting: &Value,
    is_disconnected: bool,
) -> Vec<Disagreement> {
    let mut comparison = Comparison { found: Vec::new() };
    let status = &session["status"];
    comparison.check(status == "cancelled", "status", || format!("{status} instead of cancelled"));
    let status = &meeting["status"];
    comparison.check(is_disconnected || status == "deleted", "meeting", || {
        format!("the meeting of a cancelled class is {status}")
    });
    comparison.found
}

struct Comparison {
    found: Vec<Disagreement>,
}

impl Comparison {
    fn check(&mut self, holds: bool, rule: &'static str, detail: impl FnOnce() -> String) {
        if !holds {
            self.found.push(Disagreement { rule, detail: detail() });
        }
    }

    fn compare_lifecycle(&mut self, expected: &Expectations, session: &Value) {
        let status = &session["status"];
        self.check(*status == expected.status, "status", || {
            format!("{status} instead of {}", expected.status)
        });
        let (from, to) = expected.actual.unzip();
        for (field, at) in [("actual_started_at", from), ("actual_ended_at", to)] {
            let found: Option<Timestamp> =
                session[field].as_str().map(|text| text.parse().expect("a time"));
            self.check(found == at, "actual times", || {
                format!("{field}: {found:?} instead of {at:?}")
            });
        }
    }

    fn compare_report(&mut self, expected: &Expectations, report: &Value) {
        let held = report["held_minutes"].as_i64();
        self.check(held == Some(expected.held_minutes), "held minutes", || {
            format!("{held:?} instead of {}", expected.held_minutes)
        });
        self.check(report["final"] == true, "final", || "the report is not final".to_owned());
        let rows = report["attendees"].as_array().expect("a list");
        let own = |name: &str| rows.iter().filter(|row| row["name"] == name).collect::<Vec<_>>();
        let students = expected.people.keys().chain(expected.calls.keys());
        for name in students.collect::<BTreeSet<_>>() {
            let person = expected.people.get(name).cloned().unwrap_or_default();
            let calls = expected.calls.get(name).map_or(&[][..], Vec::as_slice);
            let of_telephone = own(&format!("{TELEPHONE_OF}{name}"));
            self.compare_person(name, &person, calls, &own(name), &of_telephone);
        }
        for row in rows {
            let name = row["name"].as_str().unwrap_or_default();
            let name = name.strip_prefix(TELEPHONE_OF).unwrap_or(name);
            let is_known = expected.people.contains_key(name) || expected.calls.contains_key(name);
            self.check(is_known || minutes(row) == 0, "people", || {
                format!("Zoom does not know {row}")
            });
        }
    }

    /// Compares a person's rows, and those of their telephone. A call counts for the person if an event has
    /// bound the telephone, and if the other events of the two have arrived.
    fn compare_person(
        &mut self,
        name: &str,
        person: &ExpectedPerson,
        calls: &[Call],
        rows: &[&Value],
        of_telephone: &[&Value],
    ) {
        let (bound, others): (Vec<_>, Vec<_>) = calls.iter().partition(|call| call.is_bound);
        let mut results = Vec::new();
        for chosen in 0..1_usize << bound.len() {
            let (theirs, rest): (Vec<_>, Vec<_>) =
                bound.iter().enumerate().partition(|(index, _)| chosen & (1 << index) != 0);
            let calls = |some: Vec<(usize, &Call)>| -> Vec<Call> {
                some.into_iter().map(|(_, call)| *call).collect()
            };
            let alone = [calls(rest), others.clone()].concat();
            let mut comparison = Self { found: Vec::new() };
            comparison.compare_telephone(name, &alone, of_telephone);
            comparison.compare_rows(name, &person.with_calls(&calls(theirs)), rows);
            results.push(comparison.found);
        }
        self.found.extend(results.into_iter().min_by_key(Vec::len).unwrap_or_default());
    }

    /// Compares the calls of a telephone that is not known to be a person's.
    fn compare_telephone(&mut self, name: &str, calls: &[Call], rows: &[&Value]) {
        let found: i64 = rows.iter().map(|row| minutes(row)).sum();
        let expected: i64 = calls.iter().map(|call| call.minutes()).sum();
        self.check(found == expected, "minutes of a telephone", || {
            format!("{name}: {expected} expected in\n    {}", listed(rows))
        });
    }

    fn compare_rows(&mut self, name: &str, person: &ExpectedPerson, rows: &[&Value]) {
        let (recognised, others): (Vec<_>, Vec<_>) =
            rows.iter().partition(|row| row["match"] != "none");
        let sum = |rows: &[&&Value]| rows.iter().map(|row| minutes(row)).sum::<i64>();
        let (of_person, of_others) = (sum(&recognised), sum(&others));
        let found = of_person + of_others;
        let shown = || listed(rows);
        if person.is_attributed() {
            let minutes = person.minutes();
            self.check((of_person, of_others) == (minutes, 0), "minutes of a known person", || {
                format!("{name}: {minutes} expected in\n    {}", shown())
            });
            return;
        }
        let attributed = person.attributed_minutes();
        self.check(of_person >= attributed, "minutes of a known person", || {
            format!("{name}: at least {attributed} expected in\n    {}", shown())
        });
        // Each row is rounded.
        let rounding = i64::try_from(rows.len().div_ceil(2)).unwrap_or(0);
        let least = person.minutes() - rounding;
        let most = person.minutes_of_connections() + rounding;
        self.check((least..=most).contains(&found), "minutes", || {
            format!("{name}: {least} to {most} expected, {found} found in\n    {}", shown())
        });
        let needs_review = |row: &&&Value| {
            let flags = row["flags"].as_array().expect("a list");
            minutes(row) == 0 || flags.iter().any(|flag| flag == "needs_review")
        };
        self.check(others.iter().all(needs_review), "needs_review", shown);
    }

    /// Compares the files that one reader sees. Invited people see only those of the class.
    fn compare_recordings(
        &mut self,
        expected: &Expectations,
        recordings: &Value,
        is_invited: bool,
    ) {
        let reader = if is_invited { "student" } else { "trainer" };
        let items = recordings["items"].as_array().expect("a list");
        let state_of = |id: &str| {
            let item = items.iter().find(|item| item["id"] == id);
            item.map_or("absent", |item| item["state"].as_str().expect("a state"))
        };
        for (id, file) in &expected.files {
            let state = state_of(id);
            let is_right = match (file.state.as_str(), file.is_own) {
                (_, false) if state == "absent" => true,
                (_, false) if is_invited => false,
                ("completed", _) => state == "available",
                // A file that was never listed may be unknown.
                ("trashed", _) => ["trashed", "absent"].contains(&state),
                _ => ["deleted", "unavailable", "absent"].contains(&state),
            };
            self.check(is_right, "recordings", || {
                format!("{reader}: {id} is {state}, and {file:?} at Zoom")
            });
        }
        for item in items {
            let id = item["id"].as_str().expect("an id");
            self.check(expected.files.contains_key(id), "recordings", || {
                format!("Zoom does not know {item}")
            });
        }
    }
}

fn listed(rows: &[&Value]) -> String {
    rows.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n    ")
}

fn minutes(row: &Value) -> i64 {
    row["minutes"].as_i64().expect("minutes")
}
