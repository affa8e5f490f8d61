use serde_json::{Value, json};

use super::*;
use crate::domain::id::{CourseId, UserId};
use crate::domain::session::{Status, testing};
use crate::domain::text::Email;
use crate::domain::text::PersonName;

/// DynamoDB: the longest item.
const ITEM_LIMIT_BYTES: usize = 400 * 1024;

fn start() -> Timestamp {
    "2026-11-22T11:00:00Z".parse().unwrap()
}

fn session() -> Session {
    testing::session(start(), Status::Ended)
}

fn zoom_event(name: &str, object: &Value) -> ZoomEvent {
    let payload = json!({ "account_id": "acc", "object": object });
    ZoomEvent::parse(
        &json!({ "event": name, "event_ts": 1_795_345_200_000_i64, "payload": payload }),
    )
    .unwrap()
}

/// A participant with every field that Zoom and the platform may send.
fn participant(n: usize) -> (Enrollment, JoinIdentity, [ZoomEvent; 2]) {
    let user = UserId::parse(&format!("5f7c1c9e-0d5b-4c57-9f43-0000000{n:05}")).unwrap();
    let email = Email::parse(&format!("ada.lovelace.{n}@students.example.test")).unwrap();
    let name =
        PersonName::parse(&format!("Ada Augusta King, Countess of Lovelace {n} 👩‍🎓")).unwrap();
    let key = format!("fxhbgfqi26ql6ynwzf7woj5woy{n}");
    let event = |name: &str, time: &str, room: &str| {
        let person = json!({
            "participant_uuid": format!("55555AAAiAAAAAiAiAiiAii{n}"), "user_id": "16778240", "customer_key": key,
            "registrant_id": "abcdefghij0-klmnopq23456", "email": email.as_str(), "id": "zoom-ada",
            "user_name": "Ada\nLovelace", time: "2026-11-22T11:00:07.123Z",
        });
        let object = json!({"id": "1", "uuid": "4444AAAiAAAAAiAiAiiAii==", "host_id": "zoom-host", "participant": person});
        zoom_event(&format!("meeting.participant_{name}{room}"), &object)
    };
    let events = [event("joined", "join_time", ""), event("left", "leave_time", "_breakout_room")];
    let enrollment = Enrollment {
        course: CourseId::parse("course-1").unwrap(),
        user: user.clone(),
        email: Some(email.clone()),
        name: name.clone(),
        access_granted: true,
        former_emails: Vec::new(),
        paid_by: Default::default(),
    };
    let identity = JoinIdentity {
        user: Some(user),
        email: Some(email),
        name: Some(name),
        host: n == 0,
        admitted: n.is_multiple_of(2),
        customer_key: Some(key),
        registrant: Some("abcdefghij0-klmnopq23456".to_owned()),
    };
    (enrollment, identity, events)
}

fn record_with(people: usize) -> AttendanceRecord {
    let mut record = AttendanceRecord::default();
    for (student, identity, events) in (0..people).map(participant) {
        record.enrollments.push(student);
        record.join_attempts.push((start(), identity.clone()));
        record.join_attempts.push((start() + SignedDuration::from_mins(1), identity));
        record.events.extend(events);
    }
    record
}

fn archived(record: &AttendanceRecord) -> Archive {
    let session = session();
    let lines = Archive::default().lines_with(record, &session);
    Archive { revision: 1, starts_at: Some(session.details.starts_at), lines, ..Archive::default() }
}

#[test]
fn archived_attendance_reads_back_unchanged() {
    let mut record = record_with(3);
    let frame = json!({"id": "1", "uuid": "u", "start_time": start(), "end_time": start()});
    record.events.push(zoom_event("meeting.started", &frame));
    record.events.push(zoom_event("meeting.ended", &frame));
    let session = session();
    let back = archived(&record).merged_with(AttendanceRecord::default(), &session);
    let said = |record: &AttendanceRecord| {
        let mut all: Vec<_> = record
            .events
            .iter()
            .map(|event| format!("{} {:?} {:?}", event.name, event.uuid, event.payload))
            .collect();
        all.sort();
        all
    };
    assert_eq!(said(&back), said(&record));
    assert_eq!(back.first_join_attempts(), record.first_join_attempts());
    assert_eq!(back.enrollments, record.enrollments);
}

#[test]
fn archiving_again_after_sources_expired_changes_nothing() {
    let (record, session) = (record_with(4), session());
    let archive = archived(&record);
    for expired in 0..4 {
        let mut live = record.clone();
        live.events.drain(..expired * 2);
        live.join_attempts.drain(..expired * 2);
        let gathered = archive.merged_with(live, &session);
        assert_eq!(archive.lines_with(&gathered, &session), archive.lines);
    }
}

#[test]
fn moved_session_gets_a_new_audience_and_keeps_its_events() {
    let archive = archived(&record_with(2));
    let next_day = start() + SignedDuration::from_hours(24);
    let moved = testing::session(next_day, Status::Ended);
    let live =
        AttendanceRecord { enrollments: vec![participant(7).0], ..AttendanceRecord::default() };
    let now = archive.merged_with(live, &moved);
    assert_eq!(now.enrollments, [participant(7).0]);
    assert_eq!((now.events.len(), now.join_attempts.len()), (4, 2));
    let lines = archive.lines_with(&now, &moved);
    assert_eq!(lines.iter().filter(|line| ArchiveLine::is_audience(line)).count(), 1);
}

#[test]
fn archive_lines_of_a_later_version_are_preserved() {
    let mut archive = archived(&record_with(1));
    archive.lines.insert(r#"{"seen":{"by":"a later version"}}"#.to_owned());
    let gathered = archive.merged_with(AttendanceRecord::default(), &session());
    assert_eq!(archive.lines_with(&gathered, &session()), archive.lines);
}

#[test]
fn archive_of_ten_thousand_people_fits_item_limits() {
    let archive = archived(&record_with(10_000));
    let parts = split_into_parts(&archive.lines);
    let bytes: usize = parts.iter().map(String::len).sum();
    println!("{} lines, {bytes} bytes, {} parts", archive.lines.len(), parts.len());
    assert!(parts.iter().all(|part| part.len() < ITEM_LIMIT_BYTES / 2 + 4096));
    assert!(parts.len() <= 100, "{} parts", parts.len());
    let lines: BTreeSet<String> =
        parts.iter().flat_map(|part| part.lines()).map(str::to_owned).collect();
    assert_eq!(lines, archive.lines);
}
