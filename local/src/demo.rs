//! `cargo local demo`: one class from its beginning, played over HTTP as a platform, a trainer and a student would,
//! and told line by line with what really came back. It ends well only if every step held.

mod client;
mod lesson;
mod mails;
mod told;

use std::process::ExitCode;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use shared::clock::Clock;
use shared::random::Random;

use self::client::{Client, Fault};
use self::lesson::Lesson;
use self::told::Told;
use crate::stack::{Options, Stack};

/// Plays it on a stack of its own, in memory.
pub async fn play() -> ExitCode {
    let options = Options {
        port: 0,
        data_dir: None,
        settings: Vec::new(),
        cloud_only: false,
        console_dir: None,
        clock: Clock::running(),
        random: Random::System,
    };
    let stack = match Stack::start(options).await {
        Ok(stack) => stack,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::FAILURE;
        }
    };
    match tell(&stack).await {
        Ok(steps) => {
            println!("\nEvery one of {steps} steps held.");
            ExitCode::SUCCESS
        }
        Err(fault) => {
            println!("  ✗ {fault}");
            ExitCode::FAILURE
        }
    }
}

/// The story. Each line is a step; one that does not hold ends it.
async fn tell(stack: &Stack) -> Result<u32, Fault> {
    let mut client = Client::new(&stack.base_url)?;
    let trainer = client.token("trainer-1", "trainer", "trainer@example.test").await?;
    let stranger = client.token("trainer-2", "trainer", "trainer2@example.test").await?;
    let student = client.token("student-1", "student", "student1@example.test").await?;
    let guest = client.token("guest-1", "student", "guest@example.test").await?;

    client.chapter("Connecting Zoom");
    let connection = client.get(&trainer, "/v1/zoom/connection").await?.expect(200)?;
    client.holds(
        "the trainer has no Zoom account yet",
        connection["status"] == "not_connected",
        &connection["status"],
    )?;
    let early =
        client.post(&trainer, "/v1/sessions", class(stack, 2, "course")).await?.expect(409)?;
    client.holds(
        "so a class cannot be scheduled",
        early["code"] == "zoom_not_connected",
        &early["code"],
    )?;
    let redirect = format!("{}/callback", stack.base_url);
    let begun = client
        .post(&trainer, "/v1/zoom/authorize", json!({"redirect_uri": redirect}))
        .await?
        .expect(200)?;
    client.holds(
        "they are sent to Zoom's consent page",
        begun["authorize_url"].is_string(),
        &begun["expires_at"],
    )?;
    let (code, state) =
        client.consent(text(&begun["authorize_url"])?, "account=other&decision=allow").await?;
    let stolen = client
        .post(&stranger, "/v1/zoom/connect", json!({"code": code, "state": state}))
        .await?
        .expect(422)?;
    client.holds(
        "another trainer cannot use their return",
        stolen["code"] == "validation_failed",
        &stolen["code"],
    )?;
    let connection = client
        .post(&trainer, "/v1/zoom/connect", json!({"code": code, "state": state}))
        .await?
        .expect(200)?;
    client.holds(
        "and the account is connected",
        connection["status"] == "connected",
        &connection["zoom_email"],
    )?;
    client.holds(
        "with every scope",
        connection["missing_scopes"] == json!([]),
        &connection["scopes"],
    )?;
    client
        .post(&trainer, "/v1/zoom/connect", json!({"code": code, "state": state}))
        .await?
        .expect(422)?;
    client.told("the return works once", "a second time is refused");

    client.chapter("Scheduling");
    let mut wanted = class(stack, 26, "course");
    wanted["course_id"] = json!("course-1");
    let key = "demo-algebra-1";
    let session =
        client.post_with_key(&trainer, "/v1/sessions", &wanted, key).await?.expect(201)?;
    let path = format!("/v1/sessions/{}", text(&session["id"])?);
    client.holds(
        "a class is scheduled",
        session["status"] == "scheduled",
        &session["starts_at"],
    )?;
    let again = client.post_with_key(&trainer, "/v1/sessions", &wanted, key).await?.expect(201)?;
    client.holds(
        "a second click makes no second one",
        again["id"] == session["id"],
        &again["id"],
    )?;
    let meetings = client.get(&trainer, "/zoom/sim/meetings").await?.expect(200)?;
    let made = meetings["items"].as_array().map_or(0, Vec::len);
    client.holds("and Zoom has one meeting", made == 1, &json!(made))?;
    let meeting = format!("/zoom/sim/meetings/{}", text(&session["meeting"]["id"])?);
    let at_zoom = client.get(&trainer, &meeting).await?.expect(200)?;
    let asked = &at_zoom["requests"][0];
    client.holds(
        "which was asked for by the wall clock",
        asked["body"]["start_time"].is_string() || asked["start_time"].is_string(),
        asked,
    )?;

    mails::invited(&mut client).await?;

    client.chapter("Seeing it");
    let own = client.get(&trainer, "/v1/sessions?status=scheduled").await?.expect(200)?;
    client.holds(
        "the trainer's list has it",
        own["items"][0]["id"] == session["id"],
        &own["items"][0]["title"],
    )?;
    let theirs = client.get(&student, "/v1/me/sessions").await?.expect(200)?;
    client.holds(
        "so has the student's",
        theirs["items"][0]["id"] == session["id"],
        &theirs["items"][0]["join"],
    )?;
    client.holds(
        "without the way into the meeting",
        theirs["items"][0].get("meeting").is_none(),
        &json!("no meeting, no passcode"),
    )?;
    let nobody = client.get(&guest, &path).await?.expect(404)?;
    client.holds(
        "to a stranger it does not exist",
        nobody["code"] == "not_found",
        &nobody["code"],
    )?;

    client.chapter("Changing it");
    wanted["title"] = json!("Algebra I: fractions");
    let tag = format!("\"{}\"", session["version"]);
    let edited = client.put(&trainer, &path, &wanted, &tag).await?.expect(200)?;
    client.holds(
        "a new title raises version and sequence",
        edited["version"] == 2 && edited["ics_sequence"] == 1,
        &edited["title"],
    )?;
    let at_zoom = client.get(&trainer, &meeting).await?.expect(200)?;
    let patch =
        at_zoom["requests"].as_array().and_then(|all| all.last()).cloned().unwrap_or_default();
    client.holds(
        "Zoom is sent the title and nothing else",
        patch.to_string().contains("fractions") && !patch.to_string().contains("start_time"),
        &patch,
    )?;
    wanted["title"] = json!("Algebra I: decimals");
    let late = client.put(&trainer, &path, &wanted, &tag).await?.expect(412)?;
    client.holds(
        "an edit of the old version is refused",
        late["code"] == "precondition_failed",
        &late["detail"],
    )?;

    mails::updated(&mut client, &trainer, &path).await?;

    let classmate = client.token("student-2", "student", "student2@example.test").await?;
    let starts_at: Timestamp =
        text(&session["starts_at"])?.parse().map_err(|_| Fault::missing(&session))?;
    let lesson = Lesson {
        trainer: &trainer,
        student: &student,
        classmate: &classmate,
        path: &path,
        meeting: &meeting,
        before: starts_at - SignedDuration::from_mins(5),
    };
    let told = Told {
        trainer: &trainer,
        student: &student,
        classmate: &classmate,
        path: &path,
        starts_at,
    };
    told.before(&mut client).await?;
    lesson.play(&mut client).await?;
    told.after(&mut client).await?;

    client.chapter("An outside guest");
    let mut invited = class(stack, 50, "invitees");
    invited["invitees"] = json!([{"email": "guest@example.test", "name": "Gus Guest"}]);
    let private = client.post(&trainer, "/v1/sessions", invited).await?.expect(201)?;
    let theirs = client.get(&guest, "/v1/me/sessions").await?.expect(200)?;
    client.holds(
        "finds the class that invites them",
        theirs["items"][0]["id"] == private["id"],
        &theirs["items"][0]["title"],
    )?;
    mails::guest_invited(&mut client, "guest@example.test").await?;

    client.chapter("Revoking access");
    let service = client.token("host-platform", "service", "service@example.test").await?;
    let place = "/v1/directory/courses/course-1/enrollments/student-1";
    let revoked =
        json!({"email": "student1@example.test", "name": "Student 1", "access_granted": false});
    client.put(&service, place, &revoked, "").await?.expect(200)?;
    client.get(&student, &path).await?.expect(404)?;
    client.told("takes effect on the student's next request", "404");

    client.chapter("Cancelling");
    let path = format!("/v1/sessions/{}", text(&private["id"])?);
    let meeting = format!("/zoom/sim/meetings/{}", text(&private["meeting"]["id"])?);
    let cancelled = client
        .post(&trainer, &format!("{path}/cancel"), json!({"reason": "Snow."}))
        .await?
        .expect(200)?;
    client.holds(
        "the class is cancelled",
        cancelled["status"] == "cancelled",
        &cancelled["cancelled_at"],
    )?;
    let at_zoom = client.get(&trainer, &meeting).await?.expect(200)?;
    client.holds("and its meeting gone", at_zoom["status"] == "deleted", &at_zoom["status"])?;
    let twice = client.post(&trainer, &format!("{path}/cancel"), json!({})).await?.expect(200)?;
    client.holds(
        "a second time changes nothing",
        twice["version"] == cancelled["version"],
        &twice["version"],
    )?;

    mails::cancelled(&mut client, "guest@example.test").await?;

    client.chapter("What it cost");
    for function in
        ["session-save", "session-cancel", "sessions", "join", "poll", "webhook", "attendance"]
    {
        let usage = client.get(&trainer, "/local/usage").await?.expect(200)?;
        let of = &usage["functions"][function];
        client.holds(function, of["invocations"].as_u64().is_some_and(|n| n > 0), &json!({"invocations": of["invocations"], "totals": of["totals"], "price_usd": of["price_usd"]}))?;
    }

    client.chapter("Disconnecting");
    client.delete(&trainer, "/v1/zoom/connection").await?.expect_empty(204)?;
    let gone = client.get(&trainer, "/v1/zoom/connection").await?.expect(200)?;
    client.holds("the grant is forgotten", gone["status"] == "not_connected", &gone["status"])?;
    client.delete(&trainer, "/v1/zoom/connection").await?.expect_empty(204)?;
    client.told("a second time succeeds, too", "204");
    Ok(client.steps)
}

/// A class that begins so many hours from now, on the hour.
fn class(stack: &Stack, hours: i64, audience: &str) -> Value {
    const HOUR_SECONDS: i64 = 3600;
    let at = stack.clock.now() + SignedDuration::from_hours(hours);
    let at = Timestamp::from_second(at.as_second() / HOUR_SECONDS * HOUR_SECONDS).unwrap_or(at);
    let mut class = json!({
        "title": "Algebra I",
        "audience_type": audience,
        "starts_at": at,
        "timezone": "Europe/Berlin",
        "duration_minutes": 60,
    });
    if audience == "course" {
        class["course_id"] = json!("course-1");
    }
    class
}

fn text(value: &Value) -> Result<&str, Fault> {
    value.as_str().ok_or_else(|| Fault::missing(value))
}
