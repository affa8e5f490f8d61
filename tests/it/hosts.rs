//! The Zoom user that hosts a trainer's sessions: removed from the app, disconnected, or replaced by another one.

use jiff::SignedDuration;
use local::calls::Service::Zoom;
use serde_json::{Value, json};

use crate::support::{patched, session_path};
use crate::world::{Response, World, course_session_body};
use crate::zoom_session::{post_signed, simulate};

/// The default Zoom user of `trainer-1`, and a colleague in the same Zoom account.
const ZOOM_USER: &str = "trainer@app.zoom.test";
const COLLEAGUE: &str = "colleague@app.zoom.test";
const CONNECTION: &str = "/v1/zoom/connection";
const NOTIFICATIONS: &str = "/v1/me/notifications";

/// A world with `trainer-1` connected, their token, and a session of `course-1` in 50 hours.
async fn scheduled() -> (World, String, Value) {
    let world = World::start().await;
    let trainer = world.trainer().await;
    world.connect_zoom(&trainer, "app").await;
    let session = world.create(&trainer, &course_session_body(50)).await.expect(201);
    world.run_outbox_sweep().await;
    (world, trainer, session)
}

impl World {
    /// Connects a trainer to the Zoom user with this address in the app's account, and returns how many classes ahead
    /// need another one.
    async fn connect_zoom_user(&self, token: &str, address: &str) -> u32 {
        let (code, state) = self.consent(token, &format!("decision=allow&user={address}")).await;
        let body = json!({"code": code, "state": state});
        let response = self.post(token, "/v1/zoom/connect", body).await;
        let affected = affected_sessions(&response);
        response.expect(200);
        affected
    }

    async fn connection_status(&self, token: &str) -> Value {
        self.get(token, CONNECTION).await.expect(200)["status"].clone()
    }

    /// The warnings of a session in the list and in its own view, which must be equal.
    async fn warnings(&self, token: &str, session: &Value) -> Value {
        let shown = self.get(token, &session_path(session)).await.expect(200);
        let listed = self.list_items(token, "/v1/sessions").await;
        let listed = listed.iter().find(|item| item["id"] == session["id"]).expect("listed");
        assert_eq!(shown["warnings"], listed["warnings"]);
        shown["warnings"].clone()
    }

    async fn shown_notifications(&self, token: &str) -> Vec<String> {
        let items = self.list_items(token, NOTIFICATIONS).await;
        items.iter().map(|item| item["kind"].as_str().expect("a kind").to_owned()).collect()
    }

    /// The kinds of the mails to an address, sorted.
    async fn mails_to(&self, address: &str) -> Vec<String> {
        let sent = self.sent_mails().await.into_iter();
        sent.filter(|(_, to)| to == address).map(|(kind, _)| kind).collect()
    }
}

fn affected_sessions(response: &Response) -> u32 {
    let count = response.headers["affected-sessions"].to_str().expect("a text");
    count.parse().expect("a number")
}

fn zoom_user_id(world: &World, address: &str) -> String {
    let users = world.stack.zoom.snapshot()["users"].clone();
    let user = users.as_object().expect("users").values().find(|user| user["email"] == address);
    user.expect("the user")["id"].as_str().expect("an id").to_owned()
}

/// An `app_deauthorized` event about the trainer's Zoom user with these fields of the payload.
fn deauthorization(world: &World, fields: Value) -> String {
    let payload = patched(json!({"user_id": zoom_user_id(world, ZOOM_USER)}), fields);
    json!({"event": "app_deauthorized", "payload": payload}).to_string()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn removed_app_notifies_the_trainer_and_holds_reminders() {
    let (world, trainer, session) = scheduled().await;
    assert_eq!(session["warnings"], json!([]));
    world.advance(SignedDuration::from_hours(2));
    simulate(&world, "deauthorize", json!({"user": ZOOM_USER})).await;
    world.run_outbox_sweep().await;
    assert_eq!(world.shown_notifications(&trainer).await, ["reconnect_zoom"]);
    assert_eq!(world.mails_to("trainer@example.test").await, ["reauth_required"]);
    assert_eq!(world.warnings(&trainer, &session).await, json!(["zoom_not_connected"]));

    // The day before, only the trainer gets a word, and only one.
    world.advance(SignedDuration::from_hours(24));
    for _ in 0..3 {
        assert_eq!(world.sweep().await["postponed"], 1);
        world.run_outbox_sweep().await;
        world.advance(SignedDuration::from_mins(5));
    }
    let trainer = world.trainer().await;
    assert_eq!(world.shown_notifications(&trainer).await, ["host_not_connected", "reconnect_zoom"]);
    assert_eq!(
        world.mails_to("trainer@example.test").await,
        ["host_not_connected", "reauth_required"]
    );
    assert_eq!(world.mails_to("student1@example.test").await, ["scheduled"]);

    // After reconnecting, nothing is left of the problem, and the students are reminded.
    assert_eq!(world.connect_zoom_user(&trainer, ZOOM_USER).await, 0);
    assert_eq!(world.warnings(&trainer, &session).await, json!([]));
    assert_eq!(world.shown_notifications(&trainer).await, Vec::<String>::new());
    assert_eq!(world.get(&trainer, NOTIFICATIONS).await.expect(200)["unread_count"], 0);
    assert_eq!(world.sweep().await["reminded"], 1);
    world.run_outbox_sweep().await;
    assert_eq!(world.mails_to("student1@example.test").await, ["reminder_day_before", "scheduled"]);

    // The new connection has the first version again. The trainer is notified of its loss nevertheless.
    world.advance(SignedDuration::from_mins(10));
    simulate(&world, "deauthorize", json!({"user": ZOOM_USER})).await;
    world.run_outbox_sweep().await;
    assert_eq!(world.shown_notifications(&trainer).await, ["reconnect_zoom"]);
    assert_eq!(
        world.mails_to("trainer@example.test").await,
        ["host_not_connected", "reauth_required", "reauth_required"]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn trainer_who_reconnected_is_not_notified_of_the_earlier_loss() {
    let (world, trainer, _) = scheduled().await;
    world.advance(SignedDuration::from_hours(2));
    simulate(&world, "deauthorize", json!({"user": ZOOM_USER})).await;
    world.advance(SignedDuration::from_secs(30));
    world.connect_zoom(&trainer, "app").await;
    world.run_outbox_sweep().await;
    assert_eq!(world.shown_notifications(&trainer).await, Vec::<String>::new());
    assert_eq!(world.mails_to("trainer@example.test").await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reminders_are_sent_if_the_session_is_live_without_a_connection() {
    let (world, trainer, session) = scheduled().await;
    world.advance(SignedDuration::from_hours(50) - SignedDuration::from_mins(59));
    world.sweep().await;
    let before = world.due_work("OUTBOX").await.len();
    assert!(before > 0, "the reminders were sent");
    world.delete(&trainer, CONNECTION).await.expect(204);
    // The trainer starts the meeting in Zoom's own client.
    world.advance(SignedDuration::from_mins(50));
    let id = session["meeting"]["id"].as_str().expect("an id");
    world.post("", &format!("/zoom/sim/meetings/{id}/start"), json!({})).await.expect(200);
    let trainer = world.trainer().await;
    let shown = world.get(&trainer, &session_path(&session)).await.expect(200);
    assert_eq!(shown["status"], "live");
    let due = world.due_work("OUTBOX").await;
    assert!(due.iter().any(|item| item["reminder"] == "start"), "{due:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn late_or_foreign_deauthorizations_do_nothing() {
    let (world, trainer, _) = scheduled().await;
    let account = world.get(&trainer, CONNECTION).await.expect(200)["account_id"].clone();
    // The trainer removed the app and connected again an hour ago.
    let removed_at = world.now();
    world.advance(SignedDuration::from_hours(1));
    world.connect_zoom(&trainer, "app").await;
    world.advance(SignedDuration::from_hours(1));
    let spaced = removed_at.strftime("%Y-%m-%d %H:%M:%S").to_string();
    for fields in [
        json!({"event_ts": removed_at.as_millisecond()}),
        json!({"event_ts": removed_at.as_millisecond().to_string()}),
        json!({"event_ts": spaced.clone()}),
        json!({"deauthorization_time": removed_at}),
        json!({"deauthorization_time": removed_at, "event_ts": world.now().as_millisecond()}),
        // Zoom still accepts the grant, so it is not the one that was removed.
        json!({}),
        json!({"event_ts": "last week", "account_id": account.clone()}),
        json!({"event_ts": Value::Null}),
        // About another app or another account.
        json!({"deauthorization_time": world.now(), "client_id": "another-app"}),
        json!({"deauthorization_time": world.now(), "client_id": ["unreadable"]}),
        json!({"deauthorization_time": world.now(), "account_id": "another-account"}),
    ] {
        post_signed(&world, &deauthorization(&world, fields.clone())).await.expect(200);
        assert_eq!(world.connection_status(&trainer).await, "connected", "{fields}");
    }
    assert_eq!(world.due_work("OUTBOX").await, Vec::<Value>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deauthorization_is_applied_in_every_spelling_of_its_time() {
    let spellings: [fn(&World) -> Value; 5] = [
        |world| json!({"event_ts": world.now().as_millisecond()}),
        |world| json!({"event_ts": world.now().strftime("%Y-%m-%d %H:%M:%S").to_string()}),
        |world| json!({"deauthorization_time": world.now()}),
        |_| json!({}),
        |_| json!({"event_ts": "soon"}),
    ];
    let world = World::start().await;
    let trainer = world.trainer().await;
    for (n, fields) in spellings.into_iter().enumerate() {
        world.connect_zoom(&trainer, "app").await;
        // Half an hour later the access token is still valid, two hours later it is not.
        world.advance(SignedDuration::from_mins(if n % 2 == 0 { 30 } else { 120 }));
        world.deauthorize_without_event(ZOOM_USER).await;
        let event = deauthorization(&world, fields(&world));
        post_signed(&world, &event).await.expect(200);
        assert_eq!(world.connection_status(&trainer).await, "not_connected", "{event}");
        world.run_outbox_sweep().await;
        let sent = world.mails_to("trainer@example.test").await;
        assert_eq!(sent.len(), n + 1, "one mail per loss: {sent:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deauthorization_without_time_is_repeated_if_zoom_does_not_respond() {
    use local::faults::{Fault, FaultKind};
    let (world, trainer, _) = scheduled().await;
    world.advance(SignedDuration::from_mins(30));
    world.deauthorize_without_event(ZOOM_USER).await;
    let event = deauthorization(&world, json!({}));
    world.inject_fault(Fault::new(Zoom, "get_user", FaultKind::Error).times(3));
    let refused = post_signed(&world, &event).await;
    assert!(refused.status.is_server_error(), "{}", refused.text);
    assert_eq!(world.connection_status(&trainer).await, "connected");
    world.stack.faults.clear();
    post_signed(&world, &event).await.expect(200);
    assert_eq!(world.connection_status(&trainer).await, "not_connected");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn meeting_belongs_to_the_zoom_user_who_hosts_it() {
    let (world, trainer, session) = scheduled().await;
    assert_eq!(world.connect_zoom_user(&trainer, COLLEAGUE).await, 1);
    world.run_outbox_sweep().await;
    assert_eq!(world.shown_notifications(&trainer).await, ["reconnect_zoom"]);
    assert_eq!(world.mails_to("trainer@example.test").await, ["reauth_required"]);
    assert_eq!(world.warnings(&trainer, &session).await, json!(["other_zoom_user"]));

    let names_the_host = |problem: &Value| {
        problem["detail"].as_str().is_some_and(|detail| detail.contains(ZOOM_USER))
    };
    let edited = patched(course_session_body(50), json!({"title": "Geometry"}));
    let refused = world.edit(&trainer, &session, &edited).await.expect_problem(409, "conflict");
    assert!(names_the_host(&refused), "{refused}");
    assert_eq!(world.meetings().len(), 1, "nothing is created again");
    // A change that Zoom does not have is possible.
    let alone =
        patched(course_session_body(50), json!({"audience_type": "standalone", "course_id": null}));
    let alone = world.edit(&trainer, &session, &alone).await.expect(200);
    assert_eq!(alone["warnings"], json!(["other_zoom_user"]));
    world.edit(&trainer, &session, &course_session_body(50)).await.expect(200);

    world.advance(SignedDuration::from_mins(50 * 60 - 5));
    let trainer = world.trainer().await;
    let join = format!("{}/join", session_path(&session));
    let refused = world.post(&trainer, &join, json!({})).await.expect_problem(409, "conflict");
    assert!(names_the_host(&refused), "{refused}");
    // The address is not for students, however they join.
    let student = world.student(1).await;
    let answer = world.post(&student, &join, json!({})).await;
    assert!(!answer.text.contains(ZOOM_USER), "{}", answer.text);

    assert_eq!(world.connect_zoom_user(&trainer, ZOOM_USER).await, 0);
    assert_eq!(world.warnings(&trainer, &session).await, json!([]));
    world.post(&trainer, &join, json!({})).await.expect(200);
    let addresses = world.items("ZOOMHOST#").await;
    assert_eq!(addresses, Vec::<Value>::new(), "the address of a connected user is not kept");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cancelled_meeting_of_another_zoom_user_is_deleted_later() {
    let (world, trainer, session) = scheduled().await;
    world.connect_zoom_user(&trainer, COLLEAGUE).await;
    world.cancel(&trainer, &session).await.expect(200);
    let timeline = format!("{}/timeline", session_path(&session));
    let repairs = async |world: &World| {
        let trainer = world.trainer().await;
        let entries = world.list_items(&trainer, &timeline).await.into_iter();
        let text = |entry: &Value, name: &str| entry[name].as_str().unwrap_or_default().to_owned();
        let repairs = entries.filter(|entry| text(entry, "kind").starts_with("repair."));
        repairs
            .map(|entry| (text(&entry, "kind"), text(&entry["detail"], "reason")))
            .collect::<Vec<_>>()
    };
    let waiting = ("repair.waiting".to_owned(), "other_zoom_user".to_owned());
    assert_eq!(repairs(&world).await, vec![waiting.clone()]);
    for _ in 0..20 {
        world.advance(SignedDuration::from_hours(8));
        assert_eq!(world.sweep().await["postponed"], 1);
    }
    assert_eq!(world.meeting_of(&session)["status"], "waiting");
    let trainer = world.trainer().await;
    world.connect_zoom(&trainer, "app").await;
    world.advance(SignedDuration::from_hours(1));
    assert_eq!(world.sweep().await["repaired"], 1);
    assert_eq!(world.meeting_of(&session)["status"], "deleted");
    let finished = ("repair.finished".to_owned(), String::new());
    assert_eq!(repairs(&world).await, [finished, waiting]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cancellation_without_a_connection_keeps_its_repair_for_two_weeks() {
    for reconnects in [true, false] {
        let (world, trainer, session) = scheduled().await;
        let disconnected = world.delete(&trainer, CONNECTION).await;
        assert_eq!(affected_sessions(&disconnected), 1);
        disconnected.expect(204);
        world.run_outbox_sweep().await;
        assert_eq!(world.shown_notifications(&trainer).await, ["reconnect_zoom"]);
        assert_eq!(world.warnings(&trainer, &session).await, json!(["zoom_not_connected"]));
        world.cancel(&trainer, &session).await.expect(200);
        assert_eq!(world.warnings(&trainer, &session).await, json!([]), "it is cancelled");
        world.advance(SignedDuration::from_hours(24 * 13));
        assert_eq!(world.sweep().await["postponed"], 1);
        let trainer = world.trainer().await;
        let timeline = format!("{}/timeline", session_path(&session));
        let entries = world.list_items(&trainer, &timeline).await;
        let waiting = entries.iter().find(|entry| entry["kind"] == "repair.waiting");
        let waiting = waiting.expect("the timeline shows the repair");
        assert_eq!(waiting["detail"]["reason"], "zoom_not_connected");
        if reconnects {
            world.connect_zoom(&trainer, "app").await;
            world.advance(SignedDuration::from_hours(2));
            assert_eq!(world.sweep().await["repaired"], 1);
            assert_eq!(world.meeting_of(&session)["status"], "deleted");
        } else {
            world.advance(SignedDuration::from_hours(25));
            world.sweep().await;
            assert_eq!(world.due_work("REPAIR").await, Vec::<Value>::new());
            let entries = world.list_items(&trainer, &timeline).await;
            assert_eq!(entries[0]["kind"], "repair.given_up", "{entries:?}");
        }
        let disconnected = world.delete(&trainer, CONNECTION).await;
        assert_eq!(affected_sessions(&disconnected), 0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deauthorization_also_erases_a_former_zoom_user() {
    let (world, trainer, _) = scheduled().await;
    world.connect_zoom_user(&trainer, COLLEAGUE).await;
    assert_eq!(world.items("ZOOMHOST#").await.len(), 1);
    let event = deauthorization(&world, json!({"deauthorization_time": world.now()}));
    post_signed(&world, &event).await.expect(200);
    assert_eq!(world.items("ZOOMHOST#").await, Vec::<Value>::new());
    assert_eq!(world.connection_status(&trainer).await, "connected");
    assert!(!world.dump().await.iter().any(|item| item.to_string().contains(ZOOM_USER)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn classes_over_forty_minutes_of_a_basic_zoom_user_are_flagged() {
    let world = World::start().await;
    let trainer = world.trainer().await;
    let connect = async |licence: &str| {
        let decision = format!("decision=allow&account=app&licence={licence}");
        let (code, state) = world.consent(&trainer, &decision).await;
        let body = json!({"code": code, "state": state});
        world.post(&trainer, "/v1/zoom/connect", body).await.expect(200);
    };
    connect("basic").await;
    let lasting = |minutes: u32, hours: i64| {
        patched(course_session_body(hours), json!({"duration_minutes": minutes}))
    };
    let long = world.create(&trainer, &lasting(41, 50)).await.expect(201);
    let short = world.create(&trainer, &lasting(40, 60)).await.expect(201);
    let link = json!({"provider": "manual", "join_url": "https://meet.example.test/a"});
    let manual = world.create(&trainer, &patched(lasting(60, 70), link)).await.expect(201);
    assert_eq!(long["warnings"], json!(["forty_minutes"]));
    assert_eq!(world.warnings(&trainer, &long).await, json!(["forty_minutes"]));
    assert_eq!(world.warnings(&trainer, &short).await, json!([]));
    assert_eq!(world.warnings(&trainer, &manual).await, json!([]));
    connect("licensed").await;
    assert_eq!(world.warnings(&trainer, &long).await, json!([]));
}
