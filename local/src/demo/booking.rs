//! The third class of the demo: the platform's back end books it, takes a payment for it, and moves it.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::client::{Client, DemoError};
use super::meter::Meter;
use super::{People, classes, mails, notifications, text};
use crate::stack::Stack;

const BOOKING: &str = "/v1/sessions/by-ref/booking-77";
const PAYMENT: &str = "/v1/payments/payment-77";
/// Further ahead than meetings are made without a reason.
const HOURS_AHEAD: i64 = 9 * 24;

/// Plays a booking that is paid, moved and held.
pub(super) async fn play(
    client: &mut Client,
    stack: &Stack,
    people: &People,
) -> Result<(), DemoError> {
    client.print_heading("Driven by the platform's back end");
    let service = client.token("host-platform", "service", "service@example.test").await?;
    let booking = Booking { service, body: booking_body(stack, HOURS_AHEAD) };
    let session = booking.confirm(client).await?;
    booking.pay(client, &session).await?;
    let moved = booking.reschedule(client, stack, &session).await?;
    booking.hold(client, people, &moved).await
}

struct Booking {
    service: String,
    body: Value,
}

impl Booking {
    async fn confirm(&self, client: &mut Client) -> Result<Value, DemoError> {
        let meter = Meter::start(client, "session-save").await?;
        let session = client.put(&self.service, BOOKING, &self.body, "").await?.expect(201)?;
        client.check(
            "the booking engine confirms a lesson under its own reference, with a meeting that is made later",
            session["meeting_state"] == "pending" && session["external_ref"] == "booking-77",
            &json!({"starts_at": session["starts_at"], "meeting_at": session["meeting_at"]}),
        )?;
        meter.report(client, "usage of that request").await?;
        let again = client.put(&self.service, BOOKING, &self.body, "").await?.expect(200)?;
        client.check(
            "the same booking again changes nothing",
            again["id"] == session["id"] && again["version"] == session["version"],
            &again["version"],
        )?;
        Ok(session)
    }

    /// Reports a payment of the student, which brings the meeting forward.
    async fn pay(&self, client: &mut Client, session: &Value) -> Result<(), DemoError> {
        let body = json!({"user_id": "student-1", "course_id": "course-1"});
        client.put(&self.service, PAYMENT, &body, "").await?.expect(202)?;
        notifications::run(client, "outbox-sweep").await?;
        let report = notifications::run(client, "meeting-sweep").await?;
        let payment = client.get(&self.service, PAYMENT).await?.expect(200)?;
        client.check(
            "the payment is carried out",
            payment["state"] == "done",
            &payment["state"],
        )?;
        let paid = client.get(&self.service, BOOKING).await?.expect(200)?;
        client.check(
            "the sweep has made the meeting, days before it would be due",
            paid["meeting_state"] == "ready"
                && paid["triggered_by"] == "payment-77"
                && paid["version"] == session["version"],
            &json!({"sweep": report, "meeting": paid["meeting"]["id"]}),
        )
    }

    async fn reschedule(
        &self,
        client: &mut Client,
        stack: &Stack,
        session: &Value,
    ) -> Result<Value, DemoError> {
        let body = booking_body(stack, HOURS_AHEAD + 24);
        let moved = client.put(&self.service, BOOKING, &body, "").await?.expect(200)?;
        let meeting = format!("/zoom/sim/meetings/{}", text(&moved["meeting"]["id"])?);
        let at_zoom = client.get("", &meeting).await?.expect(200)?;
        let requests = at_zoom["requests"].as_array().map_or(0, Vec::len);
        client.check(
            "the booking engine moves it: one change at Zoom, and a new entry in the calendar",
            moved["id"] == session["id"]
                && requests == 2
                && moved["ics_sequence"]
                    == json!(session["ics_sequence"].as_u64().unwrap_or(0) + 1),
            &json!({"starts_at": moved["starts_at"], "ics_sequence": moved["ics_sequence"]}),
        )?;
        mails::booking_updated(client).await?;
        Ok(moved)
    }

    /// Starts the class, lets the student in, and ends it.
    async fn hold(
        &self,
        client: &mut Client,
        people: &People,
        session: &Value,
    ) -> Result<(), DemoError> {
        let starts_at: Timestamp =
            text(&session["starts_at"])?.parse().map_err(|_| DemoError::missing(session))?;
        let now = starts_at - SignedDuration::from_mins(5);
        client.post("", "/local/clock", json!({"now": now})).await?.expect(200)?;
        let path = format!("/v1/sessions/{}", text(&session["id"])?);
        let meeting = format!("/zoom/sim/meetings/{}", text(&session["meeting"]["id"])?);
        let join = format!("{path}/join");
        client.post(&people.trainer, &join, json!({})).await?.expect(200)?;
        client.post("", &format!("{meeting}/start"), json!({})).await?.expect(200)?;
        let admitted = client.post(&people.student, &join, json!({})).await?.expect(200)?;
        let person =
            json!({"name": admitted["user_name"], "customer_key": admitted["customer_key"]});
        client.post("", &format!("{meeting}/join"), person).await?.expect(200)?;
        client.post("", "/local/clock", json!({"advance": "50m"})).await?.expect(200)?;
        client.post("", &format!("{meeting}/end"), json!({})).await?.expect(200)?;
        let report = client.get(&self.service, &format!("{path}/attendance")).await?.expect(200)?;
        client.check(
            "the platform reads the attendance of the lesson",
            report["present"] == 1 && report["expected"] == 1,
            &json!({"present": report["present"], "expected": report["expected"]}),
        )
    }
}

fn booking_body(stack: &Stack, hours_ahead: i64) -> Value {
    let mut body = classes::class_body(stack, hours_ahead, "invitees");
    body["trainer_id"] = json!("trainer-1");
    body["title"] = json!("Private lesson");
    body["invitees"] = json!([{"user_id": "student-1"}]);
    body["meeting"] = json!("later");
    body
}
