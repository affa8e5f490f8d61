//! What people are told of a class from its planning to its recording, by both channels, as they want it.

use http::Method;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::lesson::Lesson;
use crate::look::{invitees, path_of, with};
use crate::world::{World, class, course_class};

const LIST: &str = "/v1/me/notifications";

impl World {
    /// Both sweeps, as their schedules would run them.
    async fn sweeps(&self) {
        self.sweep().await;
        self.drain().await;
    }

    async fn sweeps_at(&self, at: Timestamp) {
        self.advance(at.duration_since(self.now()));
        self.sweeps().await;
    }

    /// The kinds of `student-n`'s notices, oldest first.
    async fn noticed(&self, n: u32) -> Vec<String> {
        let student = self.student(n).await;
        let items = self.listed(&student, LIST).await;
        let kinds = items.iter().rev().map(|item| item["kind"].as_str().expect("a kind"));
        kinds.map(str::to_owned).collect()
    }

    /// The kinds of mail that `student-n` got.
    async fn mailed_to(&self, n: u32) -> Vec<String> {
        let address = format!("student{n}@example.test");
        let mailed = self.mailed().await.into_iter();
        mailed.filter(|(_, to)| *to == address).map(|(kind, _)| kind).collect()
    }

    async fn prefer(&self, n: u32, in_app: bool, email: bool) {
        let wanted = json!({"live_session": {"in_app": in_app, "email": email}});
        let student = self.student(n).await;
        self.put(&student, "/v1/me/notification-preferences", wanted).await.expect(200);
    }
}

async fn teaching() -> World {
    let world = World::start().await;
    world.connect_zoom(&world.trainer().await, "app").await;
    world
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_student_follows_a_class_from_its_planning_to_its_recording() {
    let world = teaching().await;
    let trainer = world.trainer().await;
    let lesson = Lesson::of(&world, &trainer, course_class(50)).await;
    world.drain().await;
    let moved = course_class(74);
    world.advance(SignedDuration::from_mins(1));
    world.put(&trainer, &lesson.path, moved).await.expect(200);
    world.drain().await;
    let starts_at = lesson.starts_at + SignedDuration::from_hours(24);
    let at = |minutes| starts_at + SignedDuration::from_mins(minutes);
    for minutes in [-24 * 60, -60] {
        world.sweeps_at(at(minutes)).await;
        // A second time is no second notice and no second mail.
        world.sweeps_at(at(minutes + 5)).await;
    }
    world.advance(at(-3).duration_since(world.now()));
    lesson.act(&world, "start", json!({})).await;
    world.drain().await;
    world.sweeps_at(at(0)).await;
    lesson.act(&world, "recording", json!({"action": "start"})).await;
    world.advance(SignedDuration::from_mins(60));
    for verb in ["end", "recording"] {
        lesson.act(&world, verb, json!({})).await;
    }
    world.stack.zoom.deliver_due().await;
    world.sweeps().await;

    let expected = ["scheduled", "updated", "reminder", "reminder", "live", "recording_ready"];
    for n in 1..=5 {
        assert_eq!(world.noticed(n).await, expected, "student-{n}");
        let mails = ["reminder_day_before", "reminder_hour_before", "scheduled", "updated"];
        assert_eq!(world.mailed_to(n).await, mails, "student-{n}");
    }
    assert_eq!(world.noticed(9).await, Vec::<String>::new());
    let student = world.student(1).await;
    let page = world.get(&student, LIST).await.expect(200);
    assert_eq!(page["unread_count"], 6);
    let newest = &page["items"][0];
    assert_eq!((&newest["starts_at"], &newest["title"]), (&json!(starts_at), &json!("Algebra I")));
    let link = newest["link"].as_str().expect("a link");
    let shown = world.get(&student, &link.replace(&world.stack.base_url, "/v1")).await.expect(200);
    assert_eq!(shown["id"], newest["session_id"], "it leads to the class");
    for item in page["items"].as_array().expect("a list") {
        let path = format!("{LIST}/{}/read", item["id"].as_str().expect("an id"));
        world.call(Method::POST, &path, &student, None, &[]).await.expect(204);
    }
    assert_eq!(world.get(&student, LIST).await.expect(200)["unread_count"], 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_is_told_by_the_channels_they_want() {
    let world = teaching().await;
    let trainer = world.trainer().await;
    world.prefer(2, true, false).await;
    world.prefer(3, false, true).await;
    world.prefer(4, false, false).await;
    // Of a course, and by their address in a list.
    let of_course = world.create(&trainer, &course_class(50)).await.expect(201);
    let list = json!({"audience_type": "invitees", "invitees": invitees(5)});
    world.create(&trainer, &with(class(50), list)).await.expect(201);
    world.drain().await;
    for (n, noticed, mailed) in [(1, 2, 2), (2, 2, 0), (3, 0, 2), (4, 0, 0), (5, 2, 2)] {
        assert_eq!(world.noticed(n).await, vec!["scheduled"; noticed], "student-{n}");
        assert_eq!(world.mailed_to(n).await, vec!["scheduled"; mailed], "student-{n}");
    }
    // What holds is what they want when it is told, not when it happened.
    world.cancel(&trainer, &of_course).await.expect(200);
    world.prefer(4, true, true).await;
    world.prefer(1, false, false).await;
    world.drain().await;
    assert_eq!(world.noticed(4).await, ["cancelled"]);
    assert_eq!(world.mailed_to(4).await, ["cancelled"]);
    assert_eq!(world.noticed(1).await, ["scheduled", "scheduled"]);
    assert_eq!(world.mailed_to(1).await, ["scheduled", "scheduled"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_invitation_is_sent_again_to_those_it_was_meant_for() {
    let world = teaching().await;
    let trainer = world.trainer().await;
    let made = world.create(&trainer, &course_class(50)).await.expect(201);
    world.drain().await;
    world.prefer(3, true, false).await;
    let resend = format!("{}/resend-invite", path_of(&made));
    for (body, queued) in
        [(json!({"recipients": ["student-1", "student2@example.test"]}), 2), (json!({}), 5)]
    {
        world.advance(SignedDuration::from_mins(1));
        let told = world.post(&trainer, &resend, body).await.expect(202);
        assert_eq!(told["queued"], queued);
        world.drain().await;
    }
    for (n, resent) in [(1, 2), (2, 2), (3, 0), (4, 1), (5, 1)] {
        let mailed = world.mailed_to(n).await;
        let again = mailed.iter().filter(|kind| *kind == "resent").count();
        assert_eq!(again, resent, "student-{n}: {mailed:?}");
        assert_eq!(world.noticed(n).await, ["scheduled"], "the class is no news");
    }
    // One that was cancelled before it left goes to nobody.
    world.post(&trainer, &resend, json!({})).await.expect(202);
    world.cancel(&trainer, &made).await.expect(200);
    world.drain().await;
    let resent = world.mailed().await.iter().filter(|(kind, _)| kind == "resent").count();
    assert_eq!(resent, 6);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reminder_under_way_is_dropped_when_the_class_is_no_more_what_it_was() {
    for change in ["moved", "cancelled"] {
        let world = teaching().await;
        let trainer = world.trainer().await;
        let made = world.create(&trainer, &course_class(50)).await.expect(201);
        world.drain().await;
        world.advance(SignedDuration::from_hours(26));
        assert_eq!(world.sweep().await["reminded"], 1);
        let trainer = world.trainer().await;
        if change == "moved" {
            world.edit(&trainer, &made, &course_class(80)).await.expect(200);
        } else {
            world.cancel(&trainer, &made).await.expect(200);
        }
        world.drain().await;
        let kinds = world.mailed_to(1).await;
        assert!(!kinds.iter().any(|kind| kind.starts_with("reminder")), "{change}: {kinds:?}");
        assert!(!world.noticed(1).await.contains(&"reminder".to_owned()), "{change}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_trainer_is_told_of_what_befell_their_zoom() {
    let world = teaching().await;
    let trainer = world.trainer().await;
    let lesson = Lesson::schedule(&world, &trainer).await;
    world.drain().await;
    let meeting = format!("/zoom/sim/meetings/{}", lesson.meeting);
    world.call(Method::DELETE, &meeting, "", None, &[]).await.expect(204);
    world.stack.zoom.deliver_due().await;
    world.drain().await;
    // They get it back from Zoom's bin, and it is deleted once more.
    for (name, minutes) in [("recovered", 2), ("deleted", 4)] {
        let at = world.now() + SignedDuration::from_mins(minutes);
        lesson.tell(&world, &lesson.event(&format!("meeting.{name}"), at, &json!({}))).await;
    }
    world.advance(SignedDuration::from_mins(5));
    world.drain().await;
    world.deauthorize_unheard("trainer@app.zoom.test").await;
    world.advance(SignedDuration::from_hours(2));
    let trainer = world.trainer().await;
    world.create(&trainer, &class(50)).await.refused(409, "reauth_required");
    world.drain().await;
    let items = world.listed(&trainer, LIST).await;
    let kinds: Vec<_> = items.iter().map(|item| item["kind"].clone()).collect();
    assert_eq!(kinds, ["reconnect_zoom", "meeting_deleted", "meeting_deleted"]);
    assert_eq!((&items[0]["session_id"], &items[0]["title"]), (&Value::Null, &Value::Null));
    assert_eq!(
        items[0]["link"].as_str().map(|link| link.trim_end_matches('/')),
        Some(&*world.stack.base_url)
    );
    assert!(lesson.path.ends_with(items[1]["session_id"].as_str().expect("an id")));
    let mailed = world.mailed().await;
    let own = mailed.iter().filter(|(_, to)| to == "trainer@example.test");
    let own: Vec<_> = own.map(|(kind, _)| kind.as_str()).collect();
    assert_eq!(own, ["meeting_deleted", "meeting_deleted", "reauth_required"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_student_is_reached_where_their_own_entry_says() {
    let world = teaching().await;
    let trainer = world.trainer().await;
    let entry = json!({"email": "new1@example.test", "name": "New Name", "role": "student"});
    let service = world.service().await;
    world.put(&service, "/v1/directory/users/student-1", entry).await.expect(200);
    let made = world.create(&trainer, &course_class(50)).await.expect(201);
    world.drain().await;
    let to: Vec<_> = world.mailed().await.into_iter().map(|(_, to)| to).collect();
    let expected = ["new1", "student2", "student3", "student4", "student5"];
    assert_eq!(to, expected.map(|name| format!("{name}@example.test")));
    let listed = world.get("", "/local/mail").await.expect(200);
    let mut mails = listed["items"].as_array().expect("mails").iter();
    let mail = mails.rfind(|mail| mail["to"] == "new1@example.test").expect("a mail");
    let raw = world.get("", &format!("/local/mail/{}", mail["id"].as_str().expect("an id"))).await;
    assert!(raw.text.contains("Hello New Name,"), "{}", raw.text);
    // Named by either address, they are one.
    let resend = format!("{}/resend-invite", path_of(&made));
    for named in ["new1@example.test", "student1@example.test", "student-1"] {
        let named = json!({"recipients": [named]});
        assert_eq!(world.post(&trainer, &resend, named).await.expect(202)["queued"], 1);
    }
    let stranger = json!({"recipients": ["student9@example.test"]});
    world.post(&trainer, &resend, stranger).await.refused(422, "validation_failed");
    world.drain().await;
    let mailed = world.mailed().await.into_iter().filter(|(kind, _)| kind == "resent");
    assert_eq!(mailed.map(|(_, to)| to).collect::<Vec<_>>(), ["new1@example.test"; 3]);
}
