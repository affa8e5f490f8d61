//! A class at Zoom, and Zoom's events about it, posted as Zoom posts them: signed, to the webhook's address.

use http::Method;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use shared::secret::Secret;

use crate::world::{Answer, World, course_class};

/// The class begins so long after a test does.
pub(crate) const HOURS_AHEAD: i64 = 26;
pub(crate) const HOST: &str = "x1yCzABCDEfg23HiJKl4mN";

/// What Zoom puts beside a body: when it was sent, and the signature over both.
pub(crate) struct Seal {
    pub(crate) timestamp: String,
    pub(crate) signature: String,
}

impl Seal {
    /// As Zoom seals `body` at `at`.
    pub(crate) fn at(at: Timestamp, body: &[u8]) -> Self {
        Self::by(local::settings::WEBHOOK_SECRET, at, body)
    }

    pub(crate) fn by(secret: &str, at: Timestamp, body: &[u8]) -> Self {
        let timestamp = at.as_second().to_string();
        let signature = shared::zoom::webhook::sign(&Secret::new(secret), &timestamp, body);
        Self { timestamp, signature }
    }

    pub(crate) fn headers(&self) -> [(&str, &str); 2] {
        [("x-zm-request-timestamp", &self.timestamp), ("x-zm-signature", &self.signature)]
    }
}

/// Posts a body to the webhook's address, signed now.
pub(crate) async fn post(world: &World, body: &str) -> Answer {
    let seal = Seal::at(world.now(), body.as_bytes());
    post_as(world, body.as_bytes(), &seal.headers()).await
}

/// Posts bytes to the webhook's address with just these headers.
pub(crate) async fn post_as(world: &World, body: &[u8], headers: &[(&str, &str)]) -> Answer {
    world.send(Method::POST, "/webhook", headers, body.to_vec()).await
}

/// Acts as somebody in a simulated meeting, or on the simulated Zoom.
pub(crate) async fn act(world: &World, path: &str, body: Value) -> Value {
    let answer = world.call(Method::POST, &format!("/zoom/sim/{path}"), "", Some(body), &[]).await;
    assert!(answer.status.is_success(), "{path}: {}", answer.text);
    if answer.text.is_empty() { Value::Null } else { answer.json() }
}

/// A scheduled class and the meeting behind it.
pub(crate) struct Lesson {
    /// Of the class in the API.
    pub(crate) path: String,
    pub(crate) meeting: i64,
    pub(crate) account: String,
    pub(crate) starts_at: Timestamp,
}

impl Lesson {
    /// Schedules a class of `course-1`, whose trainer has connected Zoom.
    pub(crate) async fn schedule(world: &World, trainer: &str) -> Self {
        Self::of(world, trainer, course_class(HOURS_AHEAD)).await
    }

    pub(crate) async fn of(world: &World, trainer: &str, class: Value) -> Self {
        let connection = world.get(trainer, "/v1/zoom/connection").await.expect(200);
        let made = world.post(trainer, "/v1/sessions", class).await.expect(201);
        let id = made["id"].as_str().expect("an id").to_owned();
        let meeting = made["meeting"]["id"].as_str().expect("a meeting");
        Self {
            path: format!("/v1/sessions/{id}"),
            meeting: meeting.parse().expect("a number"),
            account: connection["account_id"].as_str().expect("an account").to_owned(),
            starts_at: made["starts_at"].as_str().expect("a start").parse().expect("a time"),
        }
    }

    pub(crate) fn at(&self, minutes: i64) -> Timestamp {
        self.starts_at + SignedDuration::from_mins(minutes)
    }

    /// An event about the meeting: its number is text while it is held, and a number otherwise.
    pub(crate) fn event(&self, name: &str, at: Timestamp, object: &Value) -> Value {
        let number = match name.starts_with("meeting.participant_")
            || matches!(name, "meeting.started" | "meeting.ended")
        {
            true => json!(self.meeting.to_string()),
            false => json!(self.meeting),
        };
        let mut whole = json!({"id": number, "host_id": HOST});
        for (field, value) in object.as_object().into_iter().flatten() {
            whole[field] = value.clone();
        }
        json!({
            "event": name,
            "event_ts": at.as_millisecond(),
            "payload": {"account_id": self.account, "object": whole},
        })
    }

    pub(crate) fn started(&self, uuid: &str, minute: i64) -> Value {
        let at = self.at(minute);
        self.event("meeting.started", at, &json!({"uuid": uuid, "start_time": at}))
    }

    pub(crate) fn ended(&self, uuid: &str, from: i64, to: i64) -> Value {
        let (from, to) = (self.at(from), self.at(to));
        let object = json!({"uuid": uuid, "start_time": from, "end_time": to});
        self.event("meeting.ended", to, &object)
    }

    pub(crate) fn joined(&self, uuid: &str, connection: &str, minute: i64) -> Value {
        let at = self.at(minute);
        let person = json!({"participant_uuid": connection, "user_id": "16778240", "user_name": "Ada", "join_time": at});
        let object = json!({"uuid": uuid, "participant": person});
        self.event("meeting.participant_joined", at, &object)
    }

    pub(crate) fn left(&self, uuid: &str, connection: &str, minute: i64) -> Value {
        let at = self.at(minute);
        let person = json!({"participant_uuid": connection, "user_id": "16778240", "user_name": "Ada", "leave_time": at});
        let object = json!({"uuid": uuid, "participant": person});
        self.event("meeting.participant_left", at, &object)
    }

    /// Posts an event and sees it accepted.
    pub(crate) async fn tell(&self, world: &World, event: &Value) {
        post(world, &event.to_string()).await.expect(200);
    }

    pub(crate) async fn shown(&self, world: &World, trainer: &str) -> Value {
        world.get(trainer, &self.path).await.expect(200)
    }

    /// Acts as somebody in the simulated meeting.
    pub(crate) async fn act(&self, world: &World, verb: &str, body: Value) -> Value {
        act(world, &format!("meetings/{}/{verb}", self.meeting), body).await
    }
}
