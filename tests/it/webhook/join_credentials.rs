//! Join credentials follow changes at Zoom.

use http::Method;
use jiff::SignedDuration;
use serde_json::{Value, json};

use super::world_with_session;
use crate::support::patched;
use crate::world::course_session_body;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn passcode_and_link_changed_at_zoom_are_given_to_participants() {
    let (world, trainer, session) = world_with_session().await;
    let meeting = async || session.fetch(&world, &trainer).await["meeting"].clone();
    let made = meeting().await;
    let begin = world.now();
    let updated = |second: i64, object: Value| {
        session.event("meeting.updated", begin + SignedDuration::from_secs(second), &object)
    };
    let link =
        |passcode: &str| format!("https://us05web.zoom.us/j/{}?pwd={passcode}", session.meeting);
    let second = updated(20, json!({"password": "second", "join_url": link("second")}));
    session.post_event(&world, &second).await;
    let expected = json!({"id": made["id"], "passcode": "second", "join_url": link("second")});
    assert_eq!(meeting().await, expected);
    // A late event of an earlier change, an event without credentials, and links outside of Zoom are ignored.
    session
        .post_event(&world, &updated(10, json!({"password": "first", "join_url": link("first")})))
        .await;
    session.post_event(&world, &updated(30, json!({"topic": "Algebra I", "password": ""}))).await;
    for foreign in ["https://zoom.us.example.test/j/1", "http://us05web.zoom.us/j/1", "nonsense"] {
        session.post_event(&world, &updated(40, json!({"join_url": foreign}))).await;
    }
    let shown = session.fetch(&world, &trainer).await;
    assert_eq!(shown["meeting"], expected);
    assert_eq!(
        (&shown["drift"], &shown["version"]),
        (&json!([]), &json!(1)),
        "the change is not drift"
    );
    assert!(
        !json!(world.dump().await).to_string().contains("second"),
        "the passcode is encrypted at rest"
    );

    // An edit neither sends nor changes the credentials.
    world.advance(SignedDuration::from_mins(1));
    let renamed = patched(course_session_body(26), json!({"title": "Geometry"}));
    world.put(&trainer, &session.path, renamed).await.expect(200);
    session.post_event(&world, &second).await;
    assert_eq!(meeting().await, expected);
    world.advance(session.at(-5).duration_since(world.now()));
    let join = format!("{}/join", session.path);
    let credentials = world.post(&world.student(1).await, &join, json!({})).await.expect(200);
    assert_eq!(credentials["passcode"], "second");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn undated_change_never_replaces_dated_credentials() {
    let (world, trainer, session) = world_with_session().await;
    let passcode = async || session.fetch(&world, &trainer).await["meeting"]["passcode"].clone();
    let changed =
        |passcode: &str, at| session.event("meeting.updated", at, &json!({"password": passcode}));
    let undated = |passcode: &str| {
        let mut event = changed(passcode, world.now());
        event["event_ts"] = json!("soon");
        event
    };
    for first in ["undated", "later"] {
        session.post_event(&world, &undated(first)).await;
        assert_eq!(passcode().await, first, "no dated change is known");
    }
    session.post_event(&world, &changed("dated", world.now())).await;
    world.advance(SignedDuration::from_mins(1));
    // An edit syncs the meeting, but not the passcode.
    let renamed = patched(course_session_body(26), json!({"title": "Geometry"}));
    world.put(&trainer, &session.path, renamed).await.expect(200);
    session.post_event(&world, &undated("outdated")).await;
    assert_eq!(passcode().await, "dated");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deleted_meeting_cannot_be_joined() {
    let (world, trainer, session) = world_with_session().await;
    let student = world.student(1).await;
    let path = format!("/zoom/sim/meetings/{}", session.meeting);
    world.call(Method::DELETE, &path, "", None, &[]).await.expect(204);
    world.stack.zoom.deliver_due().await;
    let join_state = async || {
        let listed = world.list_items(&student, "/v1/me/sessions").await;
        listed[0]["join"]["state"].as_str().expect("a word").to_owned()
    };
    assert_eq!(join_state().await, "too_early");
    world.advance(session.at(-5).duration_since(world.now()));
    assert_eq!(join_state().await, "no_meeting_yet");
    assert_eq!(session.fetch(&world, &trainer).await["join"]["state"], "no_meeting_yet");
    let join = format!("{}/join", session.path);
    let zak_requests = world.zoom_calls("join", "zak");
    for (token, advice) in
        [(&trainer, "schedule a new one"), (&student, "the trainer has been notified")]
    {
        let response = world.post(token, &join, json!({})).await;
        let problem = response.expect_problem(409, "no_meeting_yet");
        let detail = problem["detail"].as_str().expect("a sentence");
        assert!(detail.contains("deleted at Zoom") && detail.contains(advice), "{detail}");
    }
    assert_eq!(world.zoom_calls("join", "zak"), zak_requests);
    // A recovered meeting can be joined.
    let recovered = session.event("meeting.recovered", world.now(), &json!({}));
    session.post_event(&world, &recovered).await;
    assert_eq!(join_state().await, "open");
    world.post(&student, &join, json!({})).await.expect(200);
}
