//! Zoom's lists of participants. They are stored in parts beside the events of the meeting, so that the query for the
//! events reads them too, and they expire with the events.
//!
//! A class of 1,000 people has some thousand rows, and an item has at most 400 KB. A later list replaces an earlier one part
//! by part. If that is interrupted, the report counts as incomplete until the next look.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::Store;
use super::error::{CommitError, StoreError};
use super::events::MeetingItems;
use super::item::{decode, encode, encode_value};
use super::schema::{ItemKey, ZOOM_REPORT_PREFIX, attr, limit};
use super::tx::{Action, Condition, Item, number};
use crate::domain::attendance::erased;
use crate::domain::digest::Digest;
use crate::domain::id::MeetingId;
use crate::domain::text::Email;
use crate::domain::zoom_event::ParticipantEvent;
use crate::domain::zoom_report::{self, InstanceReport, ReportedConnection};

/// Hex digits of the hash that stands for a meeting instance in a key: 64 bits.
const DIGEST_DIGITS: usize = 16;

/// A row as it is stored, one line of JSON. Names are short, because a class may have thousands.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct StoredRow {
    at: Timestamp,
    to: Timestamp,
    #[serde(rename = "c")]
    participant_uuid: String,
    #[serde(rename = "s", default, skip_serializing_if = "Option::is_none")]
    room_user_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    customer_key: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    registrant: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    email: Option<Email>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    zoom_user: Option<String>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    host: bool,
}

impl StoredRow {
    pub(super) fn new(row: &ReportedConnection) -> Self {
        let participant = row.participant.clone();
        Self {
            at: participant.at,
            to: row.left_at,
            participant_uuid: participant.participant_uuid,
            room_user_id: participant.room_user_id,
            customer_key: participant.customer_key,
            registrant: participant.registrant,
            email: participant.email,
            name: participant.name,
            zoom_user: participant.zoom_user,
            host: participant.is_host,
        }
    }

    pub(super) fn into_connection(self) -> ReportedConnection {
        ReportedConnection {
            left_at: self.to,
            participant: ParticipantEvent {
                at: self.at,
                participant_uuid: self.participant_uuid,
                room_user_id: self.room_user_id,
                customer_key: self.customer_key,
                registrant: self.registrant,
                email: self.email,
                name: self.name,
                zoom_user: self.zoom_user,
                is_host: self.host,
            },
        }
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct StoredReportPart {
    instance: String,
    fetched_at: Timestamp,
    /// The number of parts of the list.
    parts: usize,
    complete: bool,
    rows: String,
}

impl StoredReportPart {
    fn report(&self) -> InstanceReport {
        let rows = self.rows.lines();
        let rows = rows.filter_map(|line| serde_json::from_str::<StoredRow>(line).ok());
        InstanceReport {
            instance_uuid: self.instance.clone(),
            is_complete: self.complete,
            connections: rows.map(StoredRow::into_connection).collect(),
        }
    }
}

/// Writes rows as lines, in texts that fit into one item each. A list without rows has one empty text.
fn split_into_parts(rows: &[ReportedConnection]) -> Vec<String> {
    let mut parts = vec![String::new()];
    for row in rows {
        let Ok(line) = serde_json::to_string(&StoredRow::new(row)) else { continue };
        if let Some(part) = parts
            .last_mut()
            .filter(|part| part.is_empty() || part.len() + line.len() < limit::ARCHIVE_PART_BYTES)
        {
            if !part.is_empty() {
                part.push('\n');
            }
            part.push_str(&line);
        } else {
            parts.push(line);
        }
    }
    parts
}

fn instance_digest(uuid: &str) -> String {
    Digest::of_value(uuid).hex(DIGEST_DIGITS)
}

/// Returns the number of a part from its key.
fn part_number(item: &Item) -> Option<usize> {
    let key = item.get(attr::SK)?.as_s().ok()?.strip_prefix(ZOOM_REPORT_PREFIX)?;
    key.rsplit_once('#')?.1.parse().ok()
}

fn put_part(
    meeting: MeetingId,
    part: usize,
    stored: &StoredReportPart,
    ttl: SignedDuration,
    condition: Condition,
) -> Action {
    let mut item = encode(stored);
    let expires_at = stored.fetched_at.saturating_add(ttl).unwrap_or(stored.fetched_at);
    item.insert(attr::TTL.to_owned(), number(expires_at.as_second()));
    let instance = instance_digest(&stored.instance);
    Action::put(ItemKey::ZoomReportPart { meeting, instance: &instance, part }, item, condition)
}

/// Returns the reports in the items of a meeting.
fn decode_reports<'a>(items: impl Iterator<Item = &'a Item>) -> Vec<InstanceReport> {
    let mut by_instance: BTreeMap<String, Vec<StoredReportPart>> = BTreeMap::new();
    for part in items.cloned().filter_map(|item| decode::<StoredReportPart>(item).ok()) {
        by_instance.entry(part.instance.clone()).or_default().push(part);
    }
    let whole = |parts: Vec<StoredReportPart>| {
        let first = parts.first().map(|part| (part.fetched_at, part.parts));
        let is_whole = first.is_some_and(|(fetched_at, count)| {
            parts.len() == count && parts.iter().all(|part| part.fetched_at == fetched_at)
        });
        let reports = parts.iter().map(StoredReportPart::report);
        reports
            .map(move |report| InstanceReport {
                is_complete: report.is_complete && is_whole,
                ..report
            })
            .collect::<Vec<_>>()
    };
    zoom_report::merged(by_instance.into_values().flat_map(whole))
}

impl MeetingItems {
    /// Returns Zoom's lists of participants, one per meeting instance.
    pub fn zoom_reports(&self) -> Vec<InstanceReport> {
        decode_reports(self.zoom_report_parts())
    }
}

impl Store {
    /// Stores Zoom's list of a meeting instance in place of the one in `items`, without the people whose erasure markers are
    /// among them.
    pub async fn save_zoom_report(
        &self,
        meeting: MeetingId,
        items: &MeetingItems,
        mut report: InstanceReport,
        fetched_at: Timestamp,
    ) -> Result<(), StoreError> {
        erased::anonymize_report(&mut report, &items.markers()?);
        let texts = split_into_parts(&report.connections);
        let count = texts.len();
        let put = |(part, rows)| {
            let stored = StoredReportPart {
                instance: report.instance_uuid.clone(),
                fetched_at,
                parts: count,
                complete: report.is_complete,
                rows,
            };
            put_part(meeting, part, &stored, self.event_ttl(), Condition::new())
        };
        let mut actions: Vec<_> = texts.into_iter().enumerate().map(put).collect();
        let instance = instance_digest(&report.instance_uuid);
        let known = items.zoom_report_parts();
        let surplus =
            known.filter_map(|item| Some((item, part_number(item)?))).filter(|(item, part)| {
                *part >= count
                    && item.get("instance").and_then(|it| it.as_s().ok())
                        == Some(&report.instance_uuid)
            });
        actions.extend(surplus.map(|(_, part)| {
            let key = ItemKey::ZoomReportPart { meeting, instance: &instance, part };
            Action::delete(key, Condition::new())
        }));
        self.write_all(actions).await
    }

    /// Replaces the identities of erased people in the stored lists of a meeting. Returns the number of changed parts. A part
    /// that was replaced meanwhile counts, so that the next search finds it.
    pub(super) async fn anonymize_zoom_reports(
        &self,
        meeting: MeetingId,
        items: &MeetingItems,
        is_match: impl Fn(&str, &ParticipantEvent) -> bool,
    ) -> Result<usize, StoreError> {
        let mut changed = 0;
        for item in items.zoom_report_parts() {
            let (Some(part), Ok(stored)) =
                (part_number(item), decode::<StoredReportPart>(item.clone()))
            else {
                continue;
            };
            let before = stored.report().connections;
            let mut rows = before.clone();
            for row in rows.iter_mut().filter(|row| is_match(&stored.instance, &row.participant)) {
                row.participant.anonymize();
            }
            if rows == before {
                continue;
            }
            let lines =
                rows.iter().filter_map(|row| serde_json::to_string(&StoredRow::new(row)).ok());
            let anonymous =
                StoredReportPart { rows: lines.collect::<Vec<_>>().join("\n"), ..stored.clone() };
            let unchanged =
                Condition::new().equals(attr::FETCHED_AT, encode_value(&stored.fetched_at));
            let put = put_part(meeting, part, &anonymous, self.event_ttl(), unchanged);
            match self.commit_one(put).await {
                Ok(()) | Err(CommitError::Refused(_)) => changed += 1,
                Err(CommitError::Store(error)) => return Err(error),
            }
        }
        Ok(changed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::zoom_report::ListedRow;
    use serde_json::json;

    fn report(rows: usize) -> InstanceReport {
        let row = |n: usize| {
            let row = json!({
                "user_id": n.to_string(), "name": "Zoë".repeat(20), "user_email": format!("p{n}@school.test"),
                "customer_key": "k".repeat(35), "id": n.to_string(), "join_time": "2026-11-22T11:00:00Z",
                "leave_time": "2026-11-22T12:00:00Z", "duration": 3600, "status": "in_meeting",
            });
            ListedRow::parse(&row, None)
        };
        InstanceReport::from_rows("u", (0..rows).filter_map(row).collect(), true)
    }

    fn items(report: &InstanceReport, fetched_at: Timestamp) -> Vec<Item> {
        let texts = split_into_parts(&report.connections);
        let parts = texts.len();
        let part = |rows| StoredReportPart {
            instance: report.instance_uuid.clone(),
            fetched_at,
            parts,
            complete: report.is_complete,
            rows,
        };
        texts.into_iter().map(|rows| encode(&part(rows))).collect()
    }

    #[test]
    fn report_of_a_large_class_is_stored_in_parts() {
        for rows in [0, 1, 3000] {
            let report = report(rows);
            let texts = split_into_parts(&report.connections);
            assert!(texts.iter().all(|text| text.len() < 300 * 1024), "{rows}");
            assert_eq!(texts.len() > 1, rows == 3000);
            let stored = items(&report, Timestamp::UNIX_EPOCH);
            assert_eq!(decode_reports(stored.iter()), vec![report], "{rows}");
        }
    }

    #[test]
    fn partly_replaced_report_is_incomplete_and_loses_no_row() {
        let report = report(3000);
        let mut stored = items(&report, Timestamp::UNIX_EPOCH);
        let newer = items(&report, Timestamp::UNIX_EPOCH + SignedDuration::from_hours(23));
        stored[0] = newer[0].clone();
        let expected = InstanceReport { is_complete: false, ..report.clone() };
        assert_eq!(decode_reports(stored.iter()), vec![expected.clone()]);
        let missing = decode_reports(newer[1..].iter());
        assert!(!missing[0].is_complete);
    }
}
