//! A class for Ada and Bob, told by Zoom's events, and the tables and properties of its report.

mod counting;
mod matching;
mod presence;
mod properties;
mod rulings;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::people::JoinIdentity;
use super::report::{ReportInputs, AttendanceReport, ReportRow};
use super::overrides::AttendanceOverrides;
use super::{AttendeeId, People, Threshold};
use crate::crypt::Sealed;
use crate::domain::audience::Audience;
use crate::domain::directory::Enrollment;
use crate::domain::id::{CourseId, MeetingId, SessionId, UserId};
use crate::domain::meeting_instance::MeetingInstance;
use crate::domain::session::{Meeting, Provider, Session, Source, Status};
use crate::domain::settings::MeetingSettings;
use crate::domain::text::{Description, Email, PersonName, Title};
use crate::domain::time::Zone;
use crate::domain::zoom_event::ZoomEvent;

/// The planned start; the class is planned for 60 minutes.
fn start() -> Timestamp {
    "2026-11-22T11:00:00Z".parse().unwrap()
}

fn second(seconds: i64) -> Timestamp {
    start() + SignedDuration::from_secs(seconds)
}

fn minute(minutes: i64) -> Timestamp {
    second(minutes * 60)
}

fn event(name: &str, at: Timestamp, object: Value) -> ZoomEvent {
    let body = json!({
        "event": name, "event_ts": at.as_millisecond(),
        "payload": { "account_id": "acc", "object": object },
    });
    ZoomEvent::read(&body).unwrap()
}

fn started(uuid: &str, at: i64) -> ZoomEvent {
    let object = json!({ "id": "1", "uuid": uuid, "start_time": minute(at) });
    event("meeting.started", minute(at), object)
}

fn ended(uuid: &str, at: i64) -> ZoomEvent {
    let object = json!({ "id": "1", "uuid": uuid, "end_time": minute(at) });
    event("meeting.ended", minute(at), object)
}

/// A passage of the connection `c`, in its `seat`; rooms are told by an `_breakout_room` in `way`.
fn passage_at(uuid: &str, way: &str, c: &str, seat: &str, at: Timestamp, who: Value) -> ZoomEvent {
    let mut person = json!({ "participant_uuid": c, "user_id": seat, "user_name": "Somebody" });
    person[if way.starts_with("joined") { "join_time" } else { "leave_time" }] = json!(at);
    for (name, value) in who.as_object().into_iter().flatten() {
        person[name] = value.clone();
    }
    let object = json!({ "id": "1", "uuid": uuid, "host_id": "zoom-host", "participant": person });
    event(&format!("meeting.participant_{way}"), at, object)
}

fn passage(way: &str, c: &str, seat: &str, at: i64) -> ZoomEvent {
    passage_at("u", way, c, seat, minute(at), json!({ "customer_key": "key-ada" }))
}

fn joined(c: &str, at: i64) -> ZoomEvent {
    passage("joined", c, "main", at)
}

fn left(c: &str, at: i64) -> ZoomEvent {
    passage("left", c, "main", at)
}

fn class(audience: Audience, status: Status, occurrences: Vec<MeetingInstance>) -> Session {
    Session {
        id: SessionId::from_bytes([1; 16]),
        trainer: UserId::parse("trainer-1").unwrap(),
        title: Title::parse("Algebra I").unwrap(),
        description: Description::parse("").unwrap(),
        audience,
        starts_at: start(),
        zone: Zone::utc(),
        duration_minutes: 60,
        provider: Provider::Zoom,
        record_session: false,
        settings: MeetingSettings::default(),
        settings_told: Default::default(),
        status,
        source: Source::Manual,
        meeting: Meeting {
            account: Some("acc".into()),
            id: Some(MeetingId(1)),
            join_url: Sealed::from_stored(""),
            passcode: None,
            told: Default::default(),
        },
        ics_sequence: 0,
        version: 1,
        created_at: start(),
        updated_at: start(),
        zoom_told_at: start(),
        cancelled_at: None,
        actual_started_at: None,
        actual_ended_at: None,
        meeting_instances: occurrences,
        drift: Vec::new(),
    }
}

fn course() -> Audience {
    Audience::Course {
        id: CourseId::parse("course-1").unwrap(),
        title: Title::parse("Algebra").unwrap(),
    }
}

fn enrolled(user: &str, name: &str) -> Enrollment {
    Enrollment {
        course: CourseId::parse("course-1").unwrap(),
        user: UserId::parse(user).unwrap(),
        email: Email::parse(&format!("{user}@example.test")).unwrap(),
        name: PersonName::parse(name).unwrap(),
        access_granted: true,
    }
}

fn clicked(user: &str, key: &str) -> JoinIdentity {
    JoinIdentity {
        admitted: true,
        user: UserId::parse(user).unwrap(),
        email: Email::parse(&format!("{user}@example.test")).ok(),
        name: None,
        host: user == "trainer-1",
        customer_key: Some(key.into()),
    }
}

/// A class for Ada and Bob, both of whom clicked.
struct Case {
    session: Session,
    people: People,
    rulings: AttendanceOverrides,
}

impl Case {
    fn new() -> Self {
        let session = class(course(), Status::Scheduled, Vec::new());
        let people = People::new(
            &session,
            &[],
            &[enrolled("ada", "Ada"), enrolled("bob", "Bob")],
            &[clicked("trainer-1", "key-host"), clicked("ada", "key-ada")],
        );
        Self { session, people, rulings: AttendanceOverrides::new() }
    }

    fn report(&self, events: &[ZoomEvent], now: Timestamp) -> AttendanceReport {
        AttendanceReport::of(&ReportInputs {
            session: &self.session,
            events,
            people: &self.people,
            rulings: &self.rulings,
            threshold: Threshold::default(),
            now,
        })
    }

    fn id(&self, user: &str) -> AttendeeId {
        AttendeeId::of_user(&self.session.id, &UserId::parse(user).unwrap())
    }
}

fn row<'a>(report: &'a AttendanceReport, name: &str) -> &'a ReportRow {
    report.attendees.iter().find(|row| row.name == name).unwrap()
}
