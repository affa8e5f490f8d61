//! The steps about classes before and after they take place.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::client::{Client, DemoError};
use super::{People, mails, text};
use crate::stack::Stack;

/// A class of a course that the demo plays.
pub(super) struct DemoClass {
    /// The body that scheduled it.
    body: Value,
    pub(super) session: Value,
    /// Its path in the API.
    pub(super) path: String,
    /// The path of its meeting in the simulated Zoom.
    pub(super) meeting: String,
}

/// Schedules a class for a course.
pub(super) async fn schedule(
    client: &mut Client,
    stack: &Stack,
    people: &People,
) -> Result<DemoClass, DemoError> {
    client.print_heading("Scheduling");
    let mut body = class_body(stack, 26, "course");
    body["course_id"] = json!("course-1");
    let key = "demo-algebra-1";
    let session =
        client.post_with_key(&people.trainer, "/v1/sessions", &body, key).await?.expect(201)?;
    let path = format!("/v1/sessions/{}", text(&session["id"])?);
    client.check(
        "a class is scheduled",
        session["status"] == "scheduled",
        &session["starts_at"],
    )?;
    let again =
        client.post_with_key(&people.trainer, "/v1/sessions", &body, key).await?.expect(201)?;
    client.check(
        "a repeated request creates no second class",
        again["id"] == session["id"],
        &again["id"],
    )?;
    let meetings = client.get(&people.trainer, "/zoom/sim/meetings").await?.expect(200)?;
    let count = meetings["items"].as_array().map_or(0, Vec::len);
    client.check("Zoom has exactly one meeting", count == 1, &json!(count))?;
    let meeting = format!("/zoom/sim/meetings/{}", text(&session["meeting"]["id"])?);
    let at_zoom = client.get(&people.trainer, &meeting).await?.expect(200)?;
    let request = &at_zoom["requests"][0];
    client.check(
        "the meeting was requested in local time",
        request["body"]["start_time"].is_string() || request["start_time"].is_string(),
        request,
    )?;
    Ok(DemoClass { body, session, path, meeting })
}

/// Reads the class as the trainer, a student and a stranger.
pub(super) async fn view(
    client: &mut Client,
    people: &People,
    class: &DemoClass,
) -> Result<(), DemoError> {
    client.print_heading("Viewing the class");
    let trainer_list =
        client.get(&people.trainer, "/v1/sessions?status=scheduled").await?.expect(200)?;
    client.check(
        "the trainer's list contains the class",
        trainer_list["items"][0]["id"] == class.session["id"],
        &trainer_list["items"][0]["title"],
    )?;
    let student_list = client.get(&people.student, "/v1/me/sessions").await?.expect(200)?;
    client.check(
        "the student's list contains it, too",
        student_list["items"][0]["id"] == class.session["id"],
        &student_list["items"][0]["join"],
    )?;
    client.check(
        "the student's list has no link to the meeting",
        student_list["items"][0].get("meeting").is_none(),
        &json!("no meeting, no passcode"),
    )?;
    let not_invited = client.get(&people.guest, &class.path).await?.expect(404)?;
    client.check(
        "a person who is not invited gets \"not found\"",
        not_invited["code"] == "not_found",
        &not_invited["code"],
    )?;
    Ok(())
}

/// Edits the class.
pub(super) async fn edit(
    client: &mut Client,
    people: &People,
    class: &DemoClass,
) -> Result<(), DemoError> {
    client.print_heading("Changing the class");
    let mut body = class.body.clone();
    body["title"] = json!("Algebra I: fractions");
    let tag = format!("\"{}\"", class.session["version"]);
    let edited = client.put(&people.trainer, &class.path, &body, &tag).await?.expect(200)?;
    client.check(
        "a new title increases the version and the calendar sequence",
        edited["version"] == 2 && edited["ics_sequence"] == 1,
        &edited["title"],
    )?;
    let at_zoom = client.get(&people.trainer, &class.meeting).await?.expect(200)?;
    let patch =
        at_zoom["requests"].as_array().and_then(|all| all.last()).cloned().unwrap_or_default();
    client.check(
        "only the title is sent to Zoom",
        patch.to_string().contains("fractions") && !patch.to_string().contains("start_time"),
        &patch,
    )?;
    body["title"] = json!("Algebra I: decimals");
    let outdated = client.put(&people.trainer, &class.path, &body, &tag).await?.expect(412)?;
    client.check(
        "an edit based on the old version is rejected",
        outdated["code"] == "precondition_failed",
        &outdated["detail"],
    )?;
    Ok(())
}

/// An invited address without an account.
const GUEST: &str = "guest@example.test";

/// Invites a person without an account. Returns that class.
pub(super) async fn invite_guest(
    client: &mut Client,
    stack: &Stack,
    people: &People,
) -> Result<Value, DemoError> {
    client.print_heading("An outside guest");
    let mut invited = class_body(stack, 50, "invitees");
    invited["invitees"] = json!([{"email": GUEST, "name": "Gus Guest"}]);
    let private = client.post(&people.trainer, "/v1/sessions", invited).await?.expect(201)?;
    let guest_list = client.get(&people.guest, "/v1/me/sessions").await?.expect(200)?;
    client.check(
        "the guest's list contains the class",
        guest_list["items"][0]["id"] == private["id"],
        &guest_list["items"][0]["title"],
    )?;
    mails::guest_invited(client, GUEST).await?;
    let token = mails::guest_token(client, GUEST).await?;
    let shown = client.post("", "/v1/guest/session", json!({"token": token})).await?.expect(200)?;
    client.check(
        "the link in the mail shows the class without an account",
        shown["id"] == private["id"],
        &shown["join"],
    )?;
    Ok(private)
}

/// Withdraws a student's access to the course.
pub(super) async fn revoke_access(
    client: &mut Client,
    people: &People,
    path: &str,
) -> Result<(), DemoError> {
    client.print_heading("Revoking access");
    let service = client.token("host-platform", "service", "service@example.test").await?;
    let enrollment = "/v1/directory/courses/course-1/enrollments/student-1";
    let revoked =
        json!({"email": "student1@example.test", "name": "Student 1", "access_granted": false});
    client.put(&service, enrollment, &revoked, "").await?.expect(200)?;
    client.get(&people.student, path).await?.expect(404)?;
    client.pass("the student's next request gets \"not found\"", "404");
    Ok(())
}

/// Cancels a class.
pub(super) async fn cancel(
    client: &mut Client,
    people: &People,
    private: &Value,
) -> Result<(), DemoError> {
    client.print_heading("Cancelling");
    let path = format!("/v1/sessions/{}", text(&private["id"])?);
    let meeting = format!("/zoom/sim/meetings/{}", text(&private["meeting"]["id"])?);
    let cancelled = client
        .post(&people.trainer, &format!("{path}/cancel"), json!({"reason": "Snow."}))
        .await?
        .expect(200)?;
    client.check(
        "the class is cancelled",
        cancelled["status"] == "cancelled",
        &cancelled["cancelled_at"],
    )?;
    let at_zoom = client.get(&people.trainer, &meeting).await?.expect(200)?;
    client.check(
        "its meeting at Zoom is deleted",
        at_zoom["status"] == "deleted",
        &at_zoom["status"],
    )?;
    let twice =
        client.post(&people.trainer, &format!("{path}/cancel"), json!({})).await?.expect(200)?;
    client.check(
        "a second cancellation changes nothing",
        twice["version"] == cancelled["version"],
        &twice["version"],
    )?;

    mails::cancelled(client, GUEST).await?;
    let token = mails::guest_token(client, GUEST).await?;
    client.post("", "/v1/guest/session", json!({"token": token})).await?.expect(404)?;
    client.pass("the guest's link no longer works", "404");
    Ok(())
}

/// Returns a class that starts at the full hour after `hours` from now.
pub(super) fn class_body(stack: &Stack, hours: i64, audience: &str) -> Value {
    const HOUR_SECONDS: i64 = 3600;
    let at = stack.clock.now() + SignedDuration::from_hours(hours);
    let at = Timestamp::from_second(at.as_second() / HOUR_SECONDS * HOUR_SECONDS).unwrap_or(at);
    let mut body = json!({
        "title": "Algebra I",
        "audience_type": audience,
        "starts_at": at,
        "timezone": "Europe/Berlin",
        "duration_minutes": 60,
    });
    if audience == "course" {
        body["course_id"] = json!("course-1");
    }
    body
}
