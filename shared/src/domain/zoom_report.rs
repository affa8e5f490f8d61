//! Zoom's list of the participants of a past meeting: the second source of attendance beside the events.
//!
//! A list arrives an hour after the session or later, and it is complete where events were lost. It has a row for each
//! connection, or for each room of a connection. The rows name no `participant_uuid`, so a connection is known by Zoom's
//! `user_id`, as in an event without one.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::Value;

use super::id::zoom_user_pseudonym;
use super::text::Email;
use super::zoom_event::{ParticipantEvent, event_time, id, integer, text};

/// The rows of one list that are read and stored. A meeting has at most 1,000 participants, who connect a few times each.
pub const ROWS_LIMIT: usize = 12_000;

/// A row of Zoom's list: a connection to one meeting instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReportedConnection {
    pub left_at: Timestamp,
    /// The identity of the participant, with the time of the join.
    pub participant: ParticipantEvent,
}

impl ReportedConnection {
    /// Returns the key by which two versions of a row are recognised.
    fn key(&self) -> (Timestamp, &str) {
        (self.participant.at, &self.participant.participant_uuid)
    }
}

/// A row as Zoom returns it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedRow {
    /// `None` for a person who was only in the waiting room.
    pub connection: Option<ReportedConnection>,
    /// Zoom lists a duration of 0 until it has computed the list.
    pub has_duration: bool,
}

impl ListedRow {
    /// Parses a row. Returns `None` for a row without a person or a time. Ids that are compared are replaced by pseudonyms,
    /// and the name and address of the host, whose pseudonym is `host_user`, are left out, as in stored events.
    pub fn parse(row: &Value, host_user: Option<&str>) -> Option<Self> {
        let joined_at = event_time(&row["join_time"])?;
        let left_at = event_time(&row["leave_time"])?.max(joined_at);
        let seconds = integer(&row["duration"]).unwrap_or(0);
        let has_duration = seconds > 0 || left_at == joined_at;
        if row["status"] == "in_waiting_room" {
            return Some(Self { connection: None, has_duration });
        }
        let room_user_id = id(&row["user_id"]);
        let zoom_user = id(&row["participant_user_id"]).or_else(|| id(&row["id"]));
        let zoom_user = zoom_user.as_deref().map(zoom_user_pseudonym);
        let is_host = zoom_user.is_some() && zoom_user.as_deref() == host_user;
        let email = || text(&row["user_email"]).and_then(|email| Email::parse(&email).ok());
        let participant = ParticipantEvent {
            at: joined_at,
            participant_uuid: room_user_id.clone().unwrap_or_else(|| joined_at.to_string()),
            room_user_id,
            customer_key: id(&row["customer_key"]),
            registrant: id(&row["registrant_id"]),
            email: if is_host { None } else { email() },
            name: if is_host { String::new() } else { id(&row["name"]).unwrap_or_default() },
            zoom_user,
            is_host,
        };
        Some(Self { connection: Some(ReportedConnection { left_at, participant }), has_duration })
    }
}

/// Zoom's list of one meeting instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InstanceReport {
    pub instance_uuid: String,
    /// Whether Zoom had finished the list. A meeting of one person has an empty list, which is complete.
    pub is_complete: bool,
    pub connections: Vec<ReportedConnection>,
}

impl InstanceReport {
    /// Builds a report from the rows of all pages. It is complete if `is_whole`, which means that every page was read, and no
    /// row lacks its duration.
    pub fn from_rows(instance_uuid: &str, rows: Vec<ListedRow>, is_whole: bool) -> Self {
        let is_complete = is_whole && rows.iter().all(|row| row.has_duration);
        let connections = rows.into_iter().filter_map(|row| row.connection).collect();
        let report = Self { instance_uuid: instance_uuid.to_owned(), is_complete, connections };
        Self { connections: distinct(report.connections), ..report }
    }

    /// Returns the first join and the last leave, if anybody is listed.
    pub fn span(&self) -> Option<(Timestamp, Timestamp)> {
        let first = self.connections.iter().map(|row| row.participant.at).min()?;
        let last = self.connections.iter().map(|row| row.left_at).max()?;
        Some((first, last))
    }
}

/// Merges reports of the same instance, which were read at different times.
pub fn merged(reports: impl IntoIterator<Item = InstanceReport>) -> Vec<InstanceReport> {
    let mut by_instance: BTreeMap<String, InstanceReport> = BTreeMap::new();
    for report in reports {
        match by_instance.get_mut(&report.instance_uuid) {
            Some(known) => {
                known.is_complete |= report.is_complete;
                known.connections.extend(report.connections);
            }
            None => drop(by_instance.insert(report.instance_uuid.clone(), report)),
        }
    }
    let distinct = |report: InstanceReport| InstanceReport {
        connections: distinct(report.connections),
        ..report
    };
    by_instance.into_values().map(distinct).collect()
}

/// Returns each row once, by the time of the join. Of two versions of a row the longer one counts, because a list that is
/// not complete may have the person still connected.
fn distinct(mut rows: Vec<ReportedConnection>) -> Vec<ReportedConnection> {
    let has_key = |row: &ReportedConnection| row.participant.customer_key.is_some();
    rows.sort_by(|a, b| {
        let longer_first = b.left_at.cmp(&a.left_at);
        a.key().cmp(&b.key()).then(longer_first).then(has_key(b).cmp(&has_key(a)))
    });
    rows.dedup_by(|later, first| later.key() == first.key());
    rows
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn row(user_id: &str, left: &str, extra: Value) -> Value {
        let mut row = json!({
            "id": "", "user_id": user_id, "name": "Zoë", "user_email": "", "join_time": "2026-11-22T11:00:00Z",
            "leave_time": left, "duration": 60, "status": "in_meeting",
        });
        for (name, value) in extra.as_object().into_iter().flatten() {
            row[name] = value.clone();
        }
        row
    }

    fn parse(extra: Value) -> Option<ListedRow> {
        ListedRow::parse(&row("7", "2026-11-22T11:01:00Z", extra), Some(&zoom_user_pseudonym("H")))
    }

    #[test]
    fn row_is_parsed_with_every_identity_and_without_zoom_ids() {
        let parsed = parse(
            json!({"id": "Z", "customer_key": "k", "registrant_id": "r", "user_email": "Ada@x.test"}),
        );
        let participant = parsed.unwrap().connection.unwrap().participant;
        assert_eq!(participant.zoom_user, Some(zoom_user_pseudonym("Z")));
        assert_eq!(participant.customer_key.as_deref(), Some("k"));
        assert_eq!(participant.registrant.as_deref(), Some("r"));
        assert_eq!(participant.email, Email::parse("ada@x.test").ok());
        assert_eq!(participant.participant_uuid, "7");
        assert!(!participant.is_host);
    }

    #[test]
    fn host_is_recognised_and_not_named() {
        for name in ["id", "participant_user_id"] {
            let parsed = parse(json!({ (name): "H", "user_email": "host@x.test" }));
            let participant = parsed.unwrap().connection.unwrap().participant;
            assert!(participant.is_host && participant.email.is_none());
            assert_eq!(participant.name, "");
        }
    }

    #[test]
    fn unusable_rows_are_left_out() {
        assert_eq!(parse(json!({"join_time": "yesterday"})), None);
        assert_eq!(parse(json!({"leave_time": null})), None);
        assert_eq!(ListedRow::parse(&json!([]), None), None);
        let waiting = parse(json!({"status": "in_waiting_room"})).unwrap();
        assert_eq!(waiting.connection, None);
    }

    #[test]
    fn list_is_complete_once_every_row_has_a_duration() {
        let rows = |durations: &[i64]| -> Vec<_> {
            durations.iter().filter_map(|it| parse(json!({ "duration": it }))).collect()
        };
        let is_complete =
            |rows, is_whole| InstanceReport::from_rows("u", rows, is_whole).is_complete;
        assert!(is_complete(rows(&[]), true), "a meeting of one person");
        assert!(is_complete(rows(&[60, 60]), true));
        assert!(!is_complete(rows(&[60, 0]), true));
        assert!(!is_complete(rows(&[60]), false), "a page was not read");
        let at_once = parse(json!({"leave_time": "2026-11-22T11:00:00Z", "duration": 0}));
        assert!(is_complete(at_once.into_iter().collect(), true), "left in the same second");
    }

    #[test]
    fn reports_of_one_instance_are_merged() {
        let listed = |left: &str, is_whole| {
            let rows = ["7", "8"]
                .iter()
                .filter_map(|id| ListedRow::parse(&row(id, left, json!({})), None));
            InstanceReport::from_rows("u", rows.collect(), is_whole)
        };
        let early = listed("2026-11-22T11:01:00Z", false);
        let late = listed("2026-11-22T11:30:00Z", true);
        assert_eq!(merged([early.clone(), late.clone()]), vec![late.clone()]);
        assert_eq!(merged([late.clone(), early]), vec![late]);
    }
}
