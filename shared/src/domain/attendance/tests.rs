//! Builders of a session for Ada and Bob and of its Zoom events, for the tests of its report.

mod class_time;
mod counting;
mod matching;
mod overrides;
mod presence;
mod properties;
mod reported;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::overrides::AttendanceOverrides;
use super::people::JoinIdentity;
use super::report::{AttendanceReport, ReportInputs, ReportRow};
use super::{AttendanceRules, AttendeeId, People};
use crate::domain::audience::Audience;
use crate::domain::directory::Enrollment;
use crate::domain::id::{CourseId, MeetingId, UserId};
use crate::domain::meeting_instance::MeetingInstance;
use crate::domain::session::{Meeting, Session, Status, testing};
use crate::domain::text::{Email, PersonName, Title};
use crate::domain::zoom_event::ZoomEvent;
use crate::domain::zoom_report::InstanceReport;

/// The planned start of the session, which lasts 60 minutes.
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
    ZoomEvent::parse(&body).unwrap()
}

fn started(uuid: &str, at: i64) -> ZoomEvent {
    let object = json!({ "id": "1", "uuid": uuid, "start_time": minute(at) });
    event("meeting.started", minute(at), object)
}

fn ended(uuid: &str, at: i64) -> ZoomEvent {
    let object = json!({ "id": "1", "uuid": uuid, "end_time": minute(at) });
    event("meeting.ended", minute(at), object)
}

/// A move of the participant `c` with the room id `room`. `kind` is the end of the event's name, such as
/// `joined_breakout_room`.
fn participant_event_at(
    uuid: &str,
    kind: &str,
    c: &str,
    room: &str,
    at: Timestamp,
    identity: Value,
) -> ZoomEvent {
    let mut person = json!({ "participant_uuid": c, "user_id": room, "user_name": "Somebody" });
    let time = match kind.split('_').next() {
        Some("joined") => "join_time",
        Some("left") => "leave_time",
        _ => "date_time",
    };
    person[time] = json!(at);
    for (name, value) in identity.as_object().into_iter().flatten() {
        person[name] = value.clone();
    }
    let object = json!({ "id": "1", "uuid": uuid, "host_id": "zoom-host", "participant": person });
    event(&format!("meeting.participant_{kind}"), at, object)
}

fn participant_event(kind: &str, c: &str, room: &str, at: i64) -> ZoomEvent {
    participant_event_at("u", kind, c, room, minute(at), json!({ "customer_key": "key-ada" }))
}

fn joined(c: &str, at: i64) -> ZoomEvent {
    participant_event("joined", c, "main", at)
}

fn left(c: &str, at: i64) -> ZoomEvent {
    participant_event("left", c, "main", at)
}

fn session(audience: Audience, status: Status, meeting_instances: Vec<MeetingInstance>) -> Session {
    let fixture = testing::session(start(), status);
    Session {
        audience,
        meeting: Meeting {
            account: Some("acc".into()),
            id: Some(MeetingId(1)),
            ..fixture.meeting.clone()
        },
        meeting_instances,
        ..fixture
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
        email: Email::parse(&format!("{user}@example.test")).ok(),
        name: PersonName::parse(name).unwrap(),
        access_granted: true,
        former_emails: Vec::new(),
        paid_by: Default::default(),
    }
}

fn join_identity(user: &str, key: &str) -> JoinIdentity {
    JoinIdentity {
        admitted: true,
        user: Some(UserId::parse(user).unwrap()),
        email: Email::parse(&format!("{user}@example.test")).ok(),
        name: None,
        host: user == "trainer-1",
        customer_key: Some(key.into()),
        registrant: None,
    }
}

/// A session for Ada and Bob, with join attempts of Ada and the host.
struct Case {
    session: Session,
    people: People,
    overrides: AttendanceOverrides,
}

impl Case {
    fn new() -> Self {
        let session = session(course(), Status::Scheduled, Vec::new());
        let people = People::new(
            &session,
            &[],
            &[enrolled("ada", "Ada"), enrolled("bob", "Bob")],
            &[join_identity("trainer-1", "key-host"), join_identity("ada", "key-ada")],
        );
        Self { session, people, overrides: AttendanceOverrides::new() }
    }

    fn report(&self, events: &[ZoomEvent], now: Timestamp) -> AttendanceReport {
        self.report_with(events, &[], now)
    }

    fn report_with(
        &self,
        events: &[ZoomEvent],
        reports: &[InstanceReport],
        now: Timestamp,
    ) -> AttendanceReport {
        AttendanceReport::compute(&ReportInputs {
            session: &self.session,
            events,
            reports,
            people: &self.people,
            overrides: &self.overrides,
            rules: AttendanceRules::default(),
            now,
        })
    }

    fn attendee_id(&self, user: &str) -> AttendeeId {
        AttendeeId::for_user(&self.session.id, &UserId::parse(user).unwrap())
    }
}

fn row<'a>(report: &'a AttendanceReport, name: &str) -> &'a ReportRow {
    report.attendees.iter().find(|row| row.name == name).unwrap()
}
