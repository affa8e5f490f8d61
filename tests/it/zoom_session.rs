//! A session with its Zoom meeting, and Zoom's signed webhook events about it.

use http::Method;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use shared::secret::Secret;

use crate::world::{Response, World, course_session_body};

/// The start of the session in hours after the test's start.
pub(crate) const HOURS_AHEAD: i64 = 26;
pub(crate) const HOST: &str = "x1yCzABCDEfg23HiJKl4mN";

/// The timestamp and signature headers of a webhook request.
pub(crate) struct WebhookSignature {
    pub(crate) timestamp: String,
    pub(crate) signature: String,
}

impl WebhookSignature {
    /// Signs a body with the configured webhook secret.
    pub(crate) fn sign(at: Timestamp, body: &[u8]) -> Self {
        Self::sign_with(local::settings::WEBHOOK_SECRET, at, body)
    }

    pub(crate) fn sign_with(secret: &str, at: Timestamp, body: &[u8]) -> Self {
        let timestamp = at.as_second().to_string();
        let signature = shared::zoom::webhook::sign(&Secret::new(secret), &timestamp, body);
        Self { timestamp, signature }
    }

    pub(crate) fn headers(&self) -> [(&str, &str); 2] {
        [("x-zm-request-timestamp", &self.timestamp), ("x-zm-signature", &self.signature)]
    }
}

/// Posts a body to the webhook, signed at the current time.
pub(crate) async fn post_signed(world: &World, body: &str) -> Response {
    let signature = WebhookSignature::sign(world.now(), body.as_bytes());
    post_with_headers(world, body.as_bytes(), &signature.headers()).await
}

/// Posts a raw body to the webhook with exactly these headers.
pub(crate) async fn post_with_headers(
    world: &World,
    body: &[u8],
    headers: &[(&str, &str)],
) -> Response {
    world.send(Method::POST, "/webhook", headers, body.to_vec()).await
}

/// Posts a command to the Zoom simulator.
pub(crate) async fn simulate(world: &World, path: &str, body: Value) -> Value {
    let response =
        world.call(Method::POST, &format!("/zoom/sim/{path}"), "", Some(body), &[]).await;
    assert!(response.status.is_success(), "{path}: {}", response.text);
    if response.text.is_empty() { Value::Null } else { response.json() }
}

/// A scheduled session and its Zoom meeting.
pub(crate) struct ScheduledSession {
    /// The path of the session in the API.
    pub(crate) path: String,
    pub(crate) meeting: i64,
    /// Empty where the platform hosts.
    pub(crate) account: String,
    pub(crate) starts_at: Timestamp,
}

impl ScheduledSession {
    /// Schedules a session of `course-1`. The trainer has connected Zoom or has a host.
    pub(crate) async fn schedule_for_course(world: &World, trainer: &str) -> Self {
        Self::schedule(world, trainer, course_session_body(HOURS_AHEAD)).await
    }

    pub(crate) async fn schedule(world: &World, trainer: &str, body: Value) -> Self {
        let connection = world.get(trainer, "/v1/zoom/connection").await.expect(200);
        let session = world.post(trainer, "/v1/sessions", body).await.expect(201);
        let id = session["id"].as_str().expect("an id").to_owned();
        let meeting = session["meeting"]["id"].as_str().expect("a meeting");
        Self {
            path: format!("/v1/sessions/{id}"),
            meeting: meeting.parse().expect("a number"),
            account: connection["account_id"].as_str().unwrap_or_default().to_owned(),
            starts_at: session["starts_at"].as_str().expect("a start").parse().expect("a time"),
        }
    }

    pub(crate) fn at(&self, minutes: i64) -> Timestamp {
        self.starts_at + SignedDuration::from_mins(minutes)
    }

    /// Returns a webhook event about the meeting. Zoom sends the meeting number as text in events of a running meeting
    /// and as a number in others.
    pub(crate) fn event(&self, name: &str, at: Timestamp, object: &Value) -> Value {
        let number = match name.starts_with("meeting.participant_")
            || matches!(name, "meeting.started" | "meeting.ended")
        {
            true => json!(self.meeting.to_string()),
            false => json!(self.meeting),
        };
        let mut meeting = json!({"id": number, "host_id": HOST});
        for (field, value) in object.as_object().into_iter().flatten() {
            meeting[field] = value.clone();
        }
        json!({
            "event": name,
            "event_ts": at.as_millisecond(),
            "payload": {"account_id": self.account, "object": meeting},
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

    pub(crate) fn joined(&self, uuid: &str, participation: &str, minute: i64) -> Value {
        let at = self.at(minute);
        let person = json!({"participant_uuid": participation, "user_id": format!("{participation:.40}-in-room"), "user_name": "Ada", "join_time": at});
        let object = json!({"uuid": uuid, "participant": person});
        self.event("meeting.participant_joined", at, &object)
    }

    pub(crate) fn left(&self, uuid: &str, participation: &str, minute: i64) -> Value {
        let at = self.at(minute);
        let person = json!({"participant_uuid": participation, "user_id": format!("{participation:.40}-in-room"), "user_name": "Ada", "leave_time": at});
        let object = json!({"uuid": uuid, "participant": person});
        self.event("meeting.participant_left", at, &object)
    }

    /// Posts a webhook event and expects status 200.
    pub(crate) async fn post_event(&self, world: &World, event: &Value) {
        post_signed(world, &event.to_string()).await.expect(200);
    }

    pub(crate) async fn fetch(&self, world: &World, trainer: &str) -> Value {
        world.get(trainer, &self.path).await.expect(200)
    }

    /// Posts a command about the meeting to the Zoom simulator.
    pub(crate) async fn simulate(&self, world: &World, verb: &str, body: Value) -> Value {
        simulate(world, &format!("meetings/{}/{verb}", self.meeting), body).await
    }
}
