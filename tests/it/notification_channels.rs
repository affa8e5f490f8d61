//! Notifications about a session from scheduling to recording, by mail and in-app, according to preferences.

use http::Method;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::support::{invitees, patched, session_path};
use crate::world::{World, course_session_body, session_body};
use crate::zoom_session::ScheduledSession;

const NOTIFICATIONS: &str = "/v1/me/notifications";

impl World {
    /// Runs both sweeps like their schedules.
    async fn run_sweeps(&self) {
        self.sweep().await;
        self.run_outbox_sweep().await;
    }

    async fn run_sweeps_at(&self, at: Timestamp) {
        self.advance(at.duration_since(self.now()));
        self.run_sweeps().await;
    }

    /// The kinds of the in-app notifications of `student-n`, oldest first.
    async fn notification_kinds(&self, n: u32) -> Vec<String> {
        let student = self.student(n).await;
        let items = self.list_items(&student, NOTIFICATIONS).await;
        let kinds = items.iter().rev().map(|item| item["kind"].as_str().expect("a kind"));
        kinds.map(str::to_owned).collect()
    }

    /// The kinds of mail that `student-n` received.
    async fn mail_kinds(&self, n: u32) -> Vec<String> {
        let address = format!("student{n}@example.test");
        let mailed = self.sent_mails().await.into_iter();
        mailed.filter(|(_, to)| *to == address).map(|(kind, _)| kind).collect()
    }

    async fn set_preferences(&self, n: u32, in_app: bool, email: bool) {
        let preferences = json!({"live_session": {"in_app": in_app, "email": email}});
        let student = self.student(n).await;
        self.put(&student, "/v1/me/notification-preferences", preferences).await.expect(200);
    }
}

async fn connected_world() -> World {
    let world = World::start().await;
    world.connect_zoom(&world.trainer().await, "app").await;
    world
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn student_is_notified_from_scheduling_to_recording() {
    let world = connected_world().await;
    let trainer = world.trainer().await;
    let session = ScheduledSession::schedule(&world, &trainer, course_session_body(50)).await;
    world.run_outbox_sweep().await;
    let moved = course_session_body(74);
    world.advance(SignedDuration::from_mins(1));
    world.put(&trainer, &session.path, moved).await.expect(200);
    world.run_outbox_sweep().await;
    let starts_at = session.starts_at + SignedDuration::from_hours(24);
    let at = |minutes| starts_at + SignedDuration::from_mins(minutes);
    for minutes in [-24 * 60, -60] {
        world.run_sweeps_at(at(minutes)).await;
        // A second run sends no second notification and no second mail.
        world.run_sweeps_at(at(minutes + 5)).await;
    }
    world.advance(at(-3).duration_since(world.now()));
    session.simulate(&world, "start", json!({})).await;
    world.run_outbox_sweep().await;
    world.run_sweeps_at(at(0)).await;
    session.simulate(&world, "recording", json!({"action": "start"})).await;
    world.advance(SignedDuration::from_mins(60));
    for verb in ["end", "recording"] {
        session.simulate(&world, verb, json!({})).await;
    }
    world.stack.zoom.deliver_due().await;
    world.run_sweeps().await;

    let expected = ["scheduled", "updated", "reminder", "reminder", "live", "recording_ready"];
    for n in 1..=5 {
        assert_eq!(world.notification_kinds(n).await, expected, "student-{n}");
        let mails = ["reminder_day_before", "reminder_hour_before", "scheduled", "updated"];
        assert_eq!(world.mail_kinds(n).await, mails, "student-{n}");
    }
    assert_eq!(world.notification_kinds(9).await, Vec::<String>::new());
    let student = world.student(1).await;
    let page = world.get(&student, NOTIFICATIONS).await.expect(200);
    assert_eq!(page["unread_count"], 6);
    let newest = &page["items"][0];
    assert_eq!((&newest["starts_at"], &newest["title"]), (&json!(starts_at), &json!("Algebra I")));
    let link = newest["link"].as_str().expect("a link");
    let shown = world.get(&student, &link.replace(&world.stack.base_url, "/v1")).await.expect(200);
    assert_eq!(shown["id"], newest["session_id"], "the link leads to the session");
    for item in page["items"].as_array().expect("a list") {
        let path = format!("{NOTIFICATIONS}/{}/read", item["id"].as_str().expect("an id"));
        world.call(Method::POST, &path, &student, None, &[]).await.expect(204);
    }
    assert_eq!(world.get(&student, NOTIFICATIONS).await.expect(200)["unread_count"], 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn notification_preferences_select_the_channels() {
    let world = connected_world().await;
    let trainer = world.trainer().await;
    world.set_preferences(2, true, false).await;
    world.set_preferences(3, false, true).await;
    world.set_preferences(4, false, false).await;
    // One session by course, and one by the students' addresses.
    let of_course = world.create(&trainer, &course_session_body(50)).await.expect(201);
    let list = json!({"audience_type": "invitees", "invitees": invitees(5)});
    world.create(&trainer, &patched(session_body(50), list)).await.expect(201);
    world.run_outbox_sweep().await;
    for (n, notification_kinds, mailed) in [(1, 2, 2), (2, 2, 0), (3, 0, 2), (4, 0, 0), (5, 2, 2)] {
        assert_eq!(
            world.notification_kinds(n).await,
            vec!["scheduled"; notification_kinds],
            "student-{n}"
        );
        assert_eq!(world.mail_kinds(n).await, vec!["scheduled"; mailed], "student-{n}");
    }
    // The preferences at the time of sending apply, not those at the time of the change. A calendar entry is withdrawn
    // in any case.
    world.cancel(&trainer, &of_course).await.expect(200);
    world.set_preferences(4, true, true).await;
    world.set_preferences(1, false, false).await;
    world.run_outbox_sweep().await;
    assert_eq!(world.notification_kinds(4).await, ["cancelled"]);
    assert_eq!(world.mail_kinds(4).await, ["cancelled"]);
    assert_eq!(world.notification_kinds(1).await, ["scheduled", "scheduled"]);
    assert_eq!(world.mail_kinds(1).await, ["cancelled", "scheduled", "scheduled"]);
    assert_eq!(world.mail_kinds(2).await, [""; 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn resent_invitation_reaches_only_its_recipients() {
    let world = connected_world().await;
    let trainer = world.trainer().await;
    let made = world.create(&trainer, &course_session_body(50)).await.expect(201);
    world.run_outbox_sweep().await;
    world.set_preferences(3, true, false).await;
    let resend = format!("{}/resend-invite", session_path(&made));
    for (body, queued) in
        [(json!({"recipients": ["student-1", "student2@example.test"]}), 2), (json!({}), 4)]
    {
        world.advance(SignedDuration::from_mins(1));
        let response = world.post(&trainer, &resend, body).await.expect(202);
        assert_eq!(response["queued"], queued);
        world.run_outbox_sweep().await;
    }
    for (n, resent) in [(1, 2), (2, 2), (3, 0), (4, 1), (5, 1)] {
        let mailed = world.mail_kinds(n).await;
        let again = mailed.iter().filter(|kind| *kind == "resent").count();
        assert_eq!(again, resent, "student-{n}: {mailed:?}");
        assert_eq!(
            world.notification_kinds(n).await,
            ["scheduled"],
            "a resend creates no in-app notification"
        );
    }
    // A resend of a session that is cancelled before sending is dropped.
    world.post(&trainer, &resend, json!({})).await.expect(202);
    world.cancel(&trainer, &made).await.expect(200);
    world.run_outbox_sweep().await;
    let resent = world.sent_mails().await.iter().filter(|(kind, _)| kind == "resent").count();
    assert_eq!(resent, 6);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pending_reminder_is_dropped_after_a_move_or_cancellation() {
    for change in ["moved", "cancelled"] {
        let world = connected_world().await;
        let trainer = world.trainer().await;
        let made = world.create(&trainer, &course_session_body(50)).await.expect(201);
        world.run_outbox_sweep().await;
        world.advance(SignedDuration::from_hours(26));
        assert_eq!(world.sweep().await["reminded"], 1);
        let trainer = world.trainer().await;
        if change == "moved" {
            world.edit(&trainer, &made, &course_session_body(80)).await.expect(200);
        } else {
            world.cancel(&trainer, &made).await.expect(200);
        }
        world.run_outbox_sweep().await;
        let kinds = world.mail_kinds(1).await;
        assert!(!kinds.iter().any(|kind| kind.starts_with("reminder")), "{change}: {kinds:?}");
        assert!(!world.notification_kinds(1).await.contains(&"reminder".to_owned()), "{change}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn trainer_is_notified_of_deleted_meeting_and_lost_connection() {
    let world = connected_world().await;
    let trainer = world.trainer().await;
    let session = ScheduledSession::schedule_for_course(&world, &trainer).await;
    world.run_outbox_sweep().await;
    let meeting = format!("/zoom/sim/meetings/{}", session.meeting);
    world.call(Method::DELETE, &meeting, "", None, &[]).await.expect(204);
    world.stack.zoom.deliver_due().await;
    world.run_outbox_sweep().await;
    // The meeting is recovered from Zoom's trash and deleted again.
    for (name, minutes) in [("recovered", 2), ("deleted", 4)] {
        let at = world.now() + SignedDuration::from_mins(minutes);
        session
            .post_event(&world, &session.event(&format!("meeting.{name}"), at, &json!({})))
            .await;
    }
    world.advance(SignedDuration::from_mins(5));
    world.run_outbox_sweep().await;
    world.deauthorize_without_event("trainer@app.zoom.test").await;
    world.advance(SignedDuration::from_hours(2));
    let trainer = world.trainer().await;
    world.create(&trainer, &session_body(50)).await.expect_problem(409, "reauth_required");
    world.run_outbox_sweep().await;
    let items = world.list_items(&trainer, NOTIFICATIONS).await;
    let kinds: Vec<_> = items.iter().map(|item| item["kind"].clone()).collect();
    assert_eq!(kinds, ["reconnect_zoom", "meeting_deleted", "meeting_deleted"]);
    assert_eq!((&items[0]["session_id"], &items[0]["title"]), (&Value::Null, &Value::Null));
    assert_eq!(
        items[0]["link"].as_str().map(|link| link.trim_end_matches('/')),
        Some(&*world.stack.base_url)
    );
    assert!(session.path.ends_with(items[1]["session_id"].as_str().expect("an id")));
    let mailed = world.sent_mails().await;
    let own = mailed.iter().filter(|(_, to)| to == "trainer@example.test");
    let own: Vec<_> = own.map(|(kind, _)| kind.as_str()).collect();
    assert_eq!(own, ["meeting_deleted", "meeting_deleted", "reauth_required"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn student_is_reached_at_the_address_of_their_directory_entry() {
    let world = connected_world().await;
    let trainer = world.trainer().await;
    let entry = json!({"email": "new1@example.test", "name": "New Name", "role": "student"});
    let service = world.service().await;
    world.put(&service, "/v1/directory/users/student-1", entry).await.expect(200);
    let made = world.create(&trainer, &course_session_body(50)).await.expect(201);
    world.run_outbox_sweep().await;
    let to: Vec<_> = world.sent_mails().await.into_iter().map(|(_, to)| to).collect();
    let expected = ["new1", "student2", "student3", "student4", "student5"];
    assert_eq!(to, expected.map(|name| format!("{name}@example.test")));
    let listed = world.get("", "/local/mail").await.expect(200);
    let mut mails = listed["items"].as_array().expect("mails").iter();
    let mail = mails.rfind(|mail| mail["to"] == "new1@example.test").expect("a mail");
    let raw = world.get("", &format!("/local/mail/{}", mail["id"].as_str().expect("an id"))).await;
    assert!(raw.text.contains("Hello New Name,"), "{}", raw.text);
    // The address of the enrollment identifies the recipient. The trainer does not know the other one.
    let resend = format!("{}/resend-invite", session_path(&made));
    for recipient in ["student1@example.test", "student-1"] {
        let recipients = json!({"recipients": [recipient]});
        assert_eq!(world.post(&trainer, &resend, recipients).await.expect(202)["queued"], 1);
    }
    for unknown in ["new1@example.test", "student9@example.test"] {
        let recipients = json!({"recipients": [unknown]});
        world.post(&trainer, &resend, recipients).await.expect_problem(422, "validation_failed");
    }
    world.run_outbox_sweep().await;
    let mailed = world.sent_mails().await.into_iter().filter(|(kind, _)| kind == "resent");
    assert_eq!(mailed.map(|(_, to)| to).collect::<Vec<_>>(), ["new1@example.test"; 2]);
}
