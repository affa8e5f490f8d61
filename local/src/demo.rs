//! `cargo local demo`: plays one class over HTTP as the platform, a trainer and students, and prints each step with
//! values from the responses. It fails at the first step with an unexpected response.

mod client;
mod mails;
mod notifications;
mod teaching;

use std::process::ExitCode;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use shared::clock::Clock;
use shared::random::Random;

use self::client::{Client, DemoError};
use self::notifications::NotificationSteps;
use self::teaching::LiveSession;
use crate::stack::{Options, Stack};

/// Runs the demo on its own stack in memory.
pub async fn play() -> ExitCode {
    let options = Options {
        port: 0,
        data_dir: None,
        settings: Vec::new(),
        cloud_only: false,
        console_dir: None,
        clock: Clock::offset_from_system(),
        random: Random::System,
    };
    let stack = match Stack::start(options).await {
        Ok(stack) => stack,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::FAILURE;
        }
    };
    match run_steps(&stack).await {
        Ok(steps) => {
            let denied = stack.aws.take_denied_calls();
            for call in &denied {
                println!("  ✗ {call}");
            }
            if !denied.is_empty() {
                return ExitCode::FAILURE;
            }
            println!("\nAll {steps} steps passed.");
            ExitCode::SUCCESS
        }
        Err(error) => {
            println!("  ✗ {error}");
            ExitCode::FAILURE
        }
    }
}

/// Runs all steps and returns their number. The first failed step ends the demo.
async fn run_steps(stack: &Stack) -> Result<u32, DemoError> {
    let mut client = Client::new(&stack.base_url)?;
    let trainer = client.token("trainer-1", "trainer", "trainer@example.test").await?;
    let stranger = client.token("trainer-2", "trainer", "trainer2@example.test").await?;
    let student = client.token("student-1", "student", "student1@example.test").await?;
    let guest = client.token("guest-1", "student", "guest@example.test").await?;

    client.print_heading("Connecting Zoom");
    let connection = client.get(&trainer, "/v1/zoom/connection").await?.expect(200)?;
    client.check(
        "the trainer has not connected a Zoom account",
        connection["status"] == "not_connected",
        &connection["status"],
    )?;
    let early =
        client.post(&trainer, "/v1/sessions", class_body(stack, 2, "course")).await?.expect(409)?;
    client.check(
        "a class cannot be scheduled without one",
        early["code"] == "zoom_not_connected",
        &early["code"],
    )?;
    let redirect = format!("{}/callback", stack.base_url);
    let authorization = client
        .post(&trainer, "/v1/zoom/authorize", json!({"redirect_uri": redirect}))
        .await?
        .expect(200)?;
    client.check(
        "the trainer gets a link to Zoom's consent page",
        authorization["authorize_url"].is_string(),
        &authorization["expires_at"],
    )?;
    let (code, state) = client
        .consent(text(&authorization["authorize_url"])?, "account=app&decision=allow")
        .await?;
    let rejected = client
        .post(&stranger, "/v1/zoom/connect", json!({"code": code, "state": state}))
        .await?
        .expect(422)?;
    client.check(
        "another trainer cannot use the returned code",
        rejected["code"] == "validation_failed",
        &rejected["code"],
    )?;
    let connection = client
        .post(&trainer, "/v1/zoom/connect", json!({"code": code, "state": state}))
        .await?
        .expect(200)?;
    client.check(
        "the Zoom account is connected",
        connection["status"] == "connected",
        &connection["zoom_email"],
    )?;
    client.check(
        "no scope is missing",
        connection["missing_scopes"] == json!([]),
        &connection["scopes"],
    )?;
    client
        .post(&trainer, "/v1/zoom/connect", json!({"code": code, "state": state}))
        .await?
        .expect(422)?;
    client.pass("the code works only once", "the second request is rejected");

    client.print_heading("Scheduling");
    let mut body = class_body(stack, 26, "course");
    body["course_id"] = json!("course-1");
    let key = "demo-algebra-1";
    let session = client.post_with_key(&trainer, "/v1/sessions", &body, key).await?.expect(201)?;
    let path = format!("/v1/sessions/{}", text(&session["id"])?);
    client.check(
        "a class is scheduled",
        session["status"] == "scheduled",
        &session["starts_at"],
    )?;
    let again = client.post_with_key(&trainer, "/v1/sessions", &body, key).await?.expect(201)?;
    client.check(
        "a repeated request creates no second class",
        again["id"] == session["id"],
        &again["id"],
    )?;
    let meetings = client.get(&trainer, "/zoom/sim/meetings").await?.expect(200)?;
    let count = meetings["items"].as_array().map_or(0, Vec::len);
    client.check("Zoom has exactly one meeting", count == 1, &json!(count))?;
    let meeting = format!("/zoom/sim/meetings/{}", text(&session["meeting"]["id"])?);
    let at_zoom = client.get(&trainer, &meeting).await?.expect(200)?;
    let request = &at_zoom["requests"][0];
    client.check(
        "the meeting was requested in local time",
        request["body"]["start_time"].is_string() || request["start_time"].is_string(),
        request,
    )?;

    mails::invited(&mut client).await?;

    client.print_heading("Viewing the class");
    let trainer_list = client.get(&trainer, "/v1/sessions?status=scheduled").await?.expect(200)?;
    client.check(
        "the trainer's list contains the class",
        trainer_list["items"][0]["id"] == session["id"],
        &trainer_list["items"][0]["title"],
    )?;
    let student_list = client.get(&student, "/v1/me/sessions").await?.expect(200)?;
    client.check(
        "the student's list contains it, too",
        student_list["items"][0]["id"] == session["id"],
        &student_list["items"][0]["join"],
    )?;
    client.check(
        "the student's list has no link to the meeting",
        student_list["items"][0].get("meeting").is_none(),
        &json!("no meeting, no passcode"),
    )?;
    let not_invited = client.get(&guest, &path).await?.expect(404)?;
    client.check(
        "a person who is not invited gets \"not found\"",
        not_invited["code"] == "not_found",
        &not_invited["code"],
    )?;

    client.print_heading("Changing the class");
    body["title"] = json!("Algebra I: fractions");
    let tag = format!("\"{}\"", session["version"]);
    let edited = client.put(&trainer, &path, &body, &tag).await?.expect(200)?;
    client.check(
        "a new title increases the version and the calendar sequence",
        edited["version"] == 2 && edited["ics_sequence"] == 1,
        &edited["title"],
    )?;
    let at_zoom = client.get(&trainer, &meeting).await?.expect(200)?;
    let patch =
        at_zoom["requests"].as_array().and_then(|all| all.last()).cloned().unwrap_or_default();
    client.check(
        "only the title is sent to Zoom",
        patch.to_string().contains("fractions") && !patch.to_string().contains("start_time"),
        &patch,
    )?;
    body["title"] = json!("Algebra I: decimals");
    let outdated = client.put(&trainer, &path, &body, &tag).await?.expect(412)?;
    client.check(
        "an edit based on the old version is rejected",
        outdated["code"] == "precondition_failed",
        &outdated["detail"],
    )?;

    mails::updated(&mut client, &trainer, &path).await?;

    let classmate = client.token("student-2", "student", "student2@example.test").await?;
    let starts_at: Timestamp =
        text(&session["starts_at"])?.parse().map_err(|_| DemoError::missing(&session))?;
    let live_session = LiveSession {
        trainer: &trainer,
        student: &student,
        classmate: &classmate,
        path: &path,
        meeting: &meeting,
        five_minutes_before: starts_at - SignedDuration::from_mins(5),
    };
    let notifications = NotificationSteps {
        trainer: &trainer,
        student: &student,
        classmate: &classmate,
        path: &path,
        starts_at,
    };
    notifications.before_class(&mut client).await?;
    live_session.play(&mut client).await?;
    notifications.after_class(&mut client).await?;

    client.print_heading("An outside guest");
    let mut invited = class_body(stack, 50, "invitees");
    invited["invitees"] = json!([{"email": "guest@example.test", "name": "Gus Guest"}]);
    let private = client.post(&trainer, "/v1/sessions", invited).await?.expect(201)?;
    let guest_list = client.get(&guest, "/v1/me/sessions").await?.expect(200)?;
    client.check(
        "the guest's list contains the class",
        guest_list["items"][0]["id"] == private["id"],
        &guest_list["items"][0]["title"],
    )?;
    mails::guest_invited(&mut client, "guest@example.test").await?;

    client.print_heading("Revoking access");
    let service = client.token("host-platform", "service", "service@example.test").await?;
    let enrollment = "/v1/directory/courses/course-1/enrollments/student-1";
    let revoked =
        json!({"email": "student1@example.test", "name": "Student 1", "access_granted": false});
    client.put(&service, enrollment, &revoked, "").await?.expect(200)?;
    client.get(&student, &path).await?.expect(404)?;
    client.pass("the student's next request gets \"not found\"", "404");

    client.print_heading("Cancelling");
    let path = format!("/v1/sessions/{}", text(&private["id"])?);
    let meeting = format!("/zoom/sim/meetings/{}", text(&private["meeting"]["id"])?);
    let cancelled = client
        .post(&trainer, &format!("{path}/cancel"), json!({"reason": "Snow."}))
        .await?
        .expect(200)?;
    client.check(
        "the class is cancelled",
        cancelled["status"] == "cancelled",
        &cancelled["cancelled_at"],
    )?;
    let at_zoom = client.get(&trainer, &meeting).await?.expect(200)?;
    client.check(
        "its meeting at Zoom is deleted",
        at_zoom["status"] == "deleted",
        &at_zoom["status"],
    )?;
    let twice = client.post(&trainer, &format!("{path}/cancel"), json!({})).await?.expect(200)?;
    client.check(
        "a second cancellation changes nothing",
        twice["version"] == cancelled["version"],
        &twice["version"],
    )?;

    mails::cancelled(&mut client, "guest@example.test").await?;

    client.print_heading("Costs per function");
    for function in
        ["session-save", "session-cancel", "sessions", "join", "poll", "webhook", "attendance"]
    {
        let usage = client.get(&trainer, "/local/usage").await?.expect(200)?;
        let totals = &usage["functions"][function];
        client.check(function, totals["invocations"].as_u64().is_some_and(|n| n > 0), &json!({"invocations": totals["invocations"], "totals": totals["totals"], "price_usd": totals["price_usd"]}))?;
    }

    client.print_heading("Disconnecting");
    client.delete(&trainer, "/v1/zoom/connection").await?.expect_empty(204)?;
    let connection = client.get(&trainer, "/v1/zoom/connection").await?.expect(200)?;
    client.check(
        "the Zoom account is disconnected",
        connection["status"] == "not_connected",
        &connection["status"],
    )?;
    client.delete(&trainer, "/v1/zoom/connection").await?.expect_empty(204)?;
    client.pass("a second disconnection succeeds, too", "204");
    Ok(client.steps)
}

/// Returns a class that starts at the full hour after `hours` from now.
fn class_body(stack: &Stack, hours: i64, audience: &str) -> Value {
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

fn text(value: &Value) -> Result<&str, DemoError> {
    value.as_str().ok_or_else(|| DemoError::missing(value))
}
