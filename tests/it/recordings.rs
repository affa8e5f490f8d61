//! Recordings: the system stores and merges Zoom's events and shows the files to the audience. It never fetches a
//! recording.

mod batches;
mod undated;
mod visibility;

use std::collections::BTreeSet;

use jiff::SignedDuration;
use local::calls::Service::{Dynamodb, Zoom};
use serde_json::{Value, json};

use crate::usage::{check_budgets, take_cost};
use crate::world::World;
use crate::zoom_session::ScheduledSession;

/// What a person types at Zoom.
const PASSCODE: &str = "132456";
/// What replaces typing it, in the play URL.
const PLAY_PASSCODE: &str = "yNYIS408EJygs7rE5vVsJwXIz4-VW7MH";
const DOWNLOAD_TOKEN: &str = "abJhbGciOiJIUzUxMiJ9.eyJpc3MiOiJodHRwczovL2V2ZW50";

struct RecordedSession {
    world: World,
    trainer: String,
    student: String,
    session: ScheduledSession,
}

impl RecordedSession {
    async fn start() -> Self {
        let world = World::start().await;
        let (trainer, student) = (world.trainer().await, world.student(1).await);
        world.connect_zoom(&trainer, "app").await;
        let session = ScheduledSession::schedule_for_course(&world, &trainer).await;
        Self { world, trainer, student, session }
    }

    fn path(&self) -> String {
        format!("{}/recordings", self.session.path)
    }

    async fn listed(&self) -> Vec<Value> {
        self.world.list_items(&self.student, &self.path()).await
    }

    async fn listed_by_trainer(&self) -> Vec<Value> {
        self.world.list_items(&self.trainer, &self.path()).await
    }

    /// `has_recording` for the trainer and for the student, which is the same in a single class and in the lists.
    async fn has_recording(&self) -> (bool, bool) {
        let mut found = Vec::new();
        for (reader, list) in [(&self.trainer, "/v1/sessions"), (&self.student, "/v1/me/sessions")]
        {
            let one = self.world.get(reader, &self.session.path).await.expect(200);
            let items = self.world.list_items(reader, list).await;
            let listed = items.iter().find(|item| item["id"] == one["id"]).expect("it is listed");
            assert_eq!(one["has_recording"], listed["has_recording"]);
            found.push(one["has_recording"].as_bool().expect("true or false"));
        }
        (found[0], found[1])
    }

    async fn notification_count(&self) -> usize {
        let pending = self.world.pending_notifications().await;
        pending.iter().filter(|(event, _)| event == "recording_ready").count()
    }

    /// A `recording.completed` event of a meeting instance with one file, recorded between these minutes.
    fn recorded(&self, uuid: &str, id: &str, from: i64, to: i64) -> Value {
        let mut file = file(id, &format!("https://zoom.us/rec/play/{id}"));
        file["recording_start"] = json!(self.session.at(from));
        file["recording_end"] = json!(self.session.at(to));
        let mut event = self.completed(to + 10, &[file]);
        event["payload"]["object"]["uuid"] = json!(uuid);
        event
    }

    /// An event about several recordings, which contains no meeting number.
    fn batch(&self, name: &str, minute: i64, object: &Value) -> Value {
        json!({
            "event": name,
            "event_ts": self.session.at(minute).as_millisecond(),
            "payload": {
                "account_id": self.session.account,
                "operator": "admin@example.test",
                "operator_id": "I7zp-pYbTl22Z29H796Ixg",
                "object": object,
            },
        })
    }

    /// A `recording.completed` event with these files.
    fn completed(&self, minute: i64, files: &[Value]) -> Value {
        let object = json!({
            "uuid": "u1",
            "account_id": self.session.account,
            "password": PASSCODE,
            "recording_play_passcode": PLAY_PASSCODE,
            "share_url": "https://zoom.us/rec/share/abc",
            "total_size": 3_328_371,
            "recording_files": files,
        });
        let mut event = self.session.event("recording.completed", self.session.at(minute), &object);
        event["download_token"] = json!(DOWNLOAD_TOKEN);
        event
    }

    /// A later event about these files.
    fn step(&self, name: &str, minute: i64, ids: &[&str]) -> Value {
        let files: Vec<_> = ids.iter().map(|id| json!({"id": id})).collect();
        let object = json!({"uuid": "u1", "password": PASSCODE, "recording_files": files});
        let mut event = self.session.event(name, self.session.at(minute), &object);
        event["download_token"] = json!(DOWNLOAD_TOKEN);
        event
    }

    async fn post_event(&self, event: &Value) {
        self.session.post_event(&self.world, event).await;
    }
}

fn file(id: &str, play_url: &str) -> Value {
    json!({
        "id": id,
        "meeting_id": "098765ABCD",
        "recording_start": "2026-11-22T11:00:00Z",
        "recording_end": "2026-11-22T12:00:30Z",
        "recording_type": "shared_screen_with_speaker_view",
        "file_type": "MP4",
        "file_size": 282_825,
        "play_url": play_url,
        "download_url": "https://zoom.us/rec/download/abc",
        "status": "completed",
    })
}

fn with_pwd(play_url: &str) -> String {
    format!("{play_url}?pwd={PLAY_PASSCODE}")
}

fn ids(items: &[Value]) -> Vec<&str> {
    items.iter().map(|item| item["id"].as_str().expect("an id")).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn repeated_and_split_deliveries_are_merged_by_file() {
    let recorded = RecordedSession::start().await;
    let (a, b) =
        (file("a", "https://us02web.zoom.us/rec/play/a"), file("b", "https://zoom.us/rec/play/b"));
    recorded.post_event(&recorded.completed(70, std::slice::from_ref(&a))).await;
    recorded.post_event(&recorded.completed(71, std::slice::from_ref(&b))).await;
    recorded.post_event(&recorded.completed(70, std::slice::from_ref(&a))).await;
    let listed = recorded.listed().await;
    assert_eq!(ids(&listed), ["a", "b"]);
    assert_eq!(
        listed[0],
        json!({
            "id": "a", "file_type": "MP4", "play_url": with_pwd("https://us02web.zoom.us/rec/play/a"), "passcode": PASSCODE,
            "duration_seconds": 3630, "size_bytes": 282_825, "recorded_at": "2026-11-22T11:00:00Z", "state": "available",
            "reason": null, "visibility": "invited",
        })
    );
    // All files at once with other URLs: the later URLs apply.
    let again = [
        file("a", "https://zoom.us/rec/play/a2"),
        file("b", "https://zoom.us/rec/play/b2"),
        file("c", "https://zoom.us/rec/play/c"),
    ];
    recorded.post_event(&recorded.completed(80, &again)).await;
    let listed = recorded.listed().await;
    assert_eq!(ids(&listed), ["a", "b", "c"]);
    assert_eq!(listed[0]["play_url"], with_pwd("https://zoom.us/rec/play/a2"));
    // A file without an id is ignored. A file without a URL or size is shown once a later event contains them.
    recorded
        .post_event(&recorded.completed(
            81,
            &[
                json!({"file_type": "CHAT"}),
                json!({"id": "d", "file_type": "M4A"}),
                json!(7),
                Value::Null,
            ],
        ))
        .await;
    assert_eq!(ids(&recorded.listed().await), ["a", "b", "c"]);
    recorded.post_event(&recorded.completed(82, &[file("d", "https://zoom.us/rec/play/d")])).await;
    assert_eq!(ids(&recorded.listed().await), ["a", "b", "c", "d"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn recording_state_follows_event_times_not_delivery_order() {
    let all = ["completed", "recording.trashed", "recording.recovered", "recording.deleted"];
    // In order of their times: trashed, recovered, deleted. `completed` does not change the state.
    let orders: [&[usize]; 8] = [
        &[0, 1, 2, 3],
        &[3, 2, 1, 0],
        &[1, 0, 3, 2],
        &[2, 3, 0, 1],
        &[1, 2, 0],
        &[2, 1, 0],
        &[1, 0],
        &[0, 1, 1, 0],
    ];
    for order in orders {
        let recorded = RecordedSession::start().await;
        for n in order {
            let minute = 70 + i64::try_from(*n).expect("small");
            let event = match n {
                0 => recorded.completed(
                    minute,
                    &[
                        file("a", "https://zoom.us/rec/play/a"),
                        file("b", "https://zoom.us/rec/play/b"),
                    ],
                ),
                n => recorded.step(all[*n], minute, &["a"]),
            };
            recorded.post_event(&event).await;
        }
        let state = match order.iter().max() {
            Some(3) => "deleted",
            Some(2) => "available",
            _ => "trashed",
        };
        let listed = recorded.listed().await;
        assert_eq!(ids(&listed), ["a", "b"], "{order:?}");
        assert_eq!(listed[0]["state"], state, "{order:?}");
        for field in ["play_url", "passcode"] {
            assert_eq!(
                listed[0][field].is_string(),
                state == "available",
                "{order:?}: {}",
                listed[0]
            );
        }
        assert_eq!(listed[1]["state"], "available", "the other file is unchanged: {order:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn latest_event_decides_the_play_url_in_any_delivery_order() {
    let recorded = RecordedSession::start().await;
    let completed = |minute, play_url: &str| recorded.completed(minute, &[file("a", play_url)]);
    let (early, late) = (
        completed(70, "https://zoom.us/rec/play/early"),
        completed(80, "https://zoom.us/rec/play/late"),
    );
    for event in [&late, &early, &late, &early] {
        recorded.post_event(event).await;
        let latest = with_pwd("https://zoom.us/rec/play/late");
        assert_eq!(recorded.listed().await[0]["play_url"], latest);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn event_without_file_list_applies_to_the_whole_meeting_instance() {
    for order in [[0, 1, 2], [2, 1, 0], [1, 2, 0]] {
        let recorded = RecordedSession::start().await;
        let other = {
            let mut event = recorded.completed(70, &[file("z", "https://zoom.us/rec/play/z")]);
            event["payload"]["object"]["uuid"] = json!("u2");
            event
        };
        recorded.post_event(&other).await;
        let events = [
            recorded.completed(70, &[file("a", "https://zoom.us/rec/play/a")]),
            recorded.step("recording.trashed", 71, &[]),
            recorded.step("recording.recovered", 72, &["a"]),
        ];
        let mut delivered = Vec::new();
        for n in order {
            recorded.post_event(&events[n]).await;
            delivered.push(n);
            let listed = recorded.listed().await;
            let state = match (delivered.contains(&1), delivered.contains(&2)) {
                (true, false) => "trashed",
                _ => "available",
            };
            for item in listed.iter().filter(|item| item["id"] == "a") {
                assert_eq!(item["state"], state, "{delivered:?}");
            }
            let other_file = listed.iter().find(|item| item["id"] == "z").expect("it stays");
            assert_eq!(
                other_file["state"], "available",
                "another meeting instance is not affected"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn recording_passcode_is_encrypted_and_shown_only_to_the_audience() {
    let recorded = RecordedSession::start().await;
    recorded.post_event(&recorded.completed(70, &[file("a", "https://zoom.us/rec/play/a")])).await;
    recorded.post_event(&recorded.step("recording.trashed", 71, &["a"])).await;
    recorded.post_event(&recorded.step("recording.recovered", 72, &["a"])).await;
    for item in recorded.world.dump().await {
        let text = item.to_string();
        for secret in [PASSCODE, PLAY_PASSCODE, DOWNLOAD_TOKEN, "download_token"] {
            assert!(!text.contains(secret), "{secret}: {text}");
        }
    }
    let listed = recorded.world.list_items(&recorded.trainer, &recorded.path()).await;
    assert_eq!(listed[0]["passcode"], PASSCODE);
    assert_eq!(recorded.listed().await, listed);
    for claims in [
        json!({"sub": "trainer-2", "role": "trainer"}),
        json!({"sub": "student-9", "role": "student", "email": "student9@example.test"}),
    ] {
        let token = recorded.world.token(claims).await;
        recorded.world.get(&token, &recorded.path()).await.expect_problem(404, "not_found");
    }
    let admin = recorded.world.token(json!({"sub": "root", "role": "admin"})).await;
    assert_eq!(recorded.world.list_items(&admin, &recorded.path()).await, listed);
    let service = recorded.world.service().await;
    let enrollment_path = "/v1/directory/courses/course-1/enrollments/student-1";
    recorded.world.delete(&service, enrollment_path).await.expect(204);
    recorded.world.get(&recorded.student, &recorded.path()).await.expect_problem(404, "not_found");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn recordings_are_not_fetched_and_survive_cancellation() {
    let recorded = RecordedSession::start().await;
    let usage = &recorded.world.stack.usage;
    usage.reset();
    let before = recorded.world.stack.zoom.counts();
    recorded.post_event(&recorded.completed(70, &[file("a", "https://zoom.us/rec/play/a")])).await;
    for name in ["recording.started", "recording.paused", "recording.resumed", "recording.stopped"]
    {
        let at = recorded.session.at(30);
        let object = json!({"uuid": "u1", "recording_file": {"recording_start": at}});
        recorded.post_event(&recorded.session.event(name, at, &object)).await;
    }
    recorded
        .world
        .post(&recorded.trainer, &format!("{}/cancel", recorded.session.path), json!({}))
        .await
        .expect(200);
    recorded.world.advance(SignedDuration::from_hours(24 * 30));
    assert_eq!(recorded.listed().await.len(), 1);
    assert_eq!(usage.service_totals("webhook", Zoom).calls, 0);
    assert_eq!(usage.service_totals("sessions", Zoom).calls, 0);
    assert!(usage.service_totals("webhook", Dynamodb).calls > 0);
    // The only request to Zoom is our own cancellation.
    let after = recorded.world.stack.zoom.counts();
    let zoom_requests: u64 =
        after.requests.values().sum::<u64>() - before.requests.values().sum::<u64>();
    assert!(zoom_requests <= 1, "{before:?} {after:?}");
    let kinds = recorded
        .world
        .list_items(&recorded.trainer, &format!("{}/timeline", recorded.session.path))
        .await;
    let kinds: Vec<_> = kinds.iter().map(|entry| entry["kind"].as_str().expect("a word")).collect();
    for name in [
        "recording.started",
        "recording.paused",
        "recording.resumed",
        "recording.stopped",
        "recording.completed",
    ] {
        assert!(kinds.contains(&format!("zoom.{name}").as_str()), "{name}: {kinds:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn edit_keeps_recordings_that_it_has_not_read() {
    let recorded = RecordedSession::start().await;
    let day = 24 * 60;
    recorded.post_event(&recorded.recorded("u0", "rehearsal", -day, -day + 20)).await;
    let edited = crate::support::patched(
        crate::world::course_session_body(crate::zoom_session::HOURS_AHEAD),
        json!({"title": "Algebra II", "duration_minutes": 45}),
    );
    recorded.world.put(&recorded.trainer, &recorded.session.path, edited).await.expect(200);
    assert_eq!(recorded.has_recording().await, (true, false));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_recording_secret_is_used_where_it_belongs() {
    let play_url = "https://zoom.us/rec/play/a";
    for (password, play_passcode) in [(true, true), (true, false), (false, true), (false, false)] {
        let recorded = RecordedSession::start().await;
        let mut event = recorded.completed(70, &[file("a", play_url)]);
        let object = event["payload"]["object"].as_object_mut().expect("an object");
        if !password {
            object.remove("password");
        }
        if !play_passcode {
            object.remove("recording_play_passcode");
        }
        recorded.post_event(&event).await;
        let listed = recorded.listed().await;
        let expected = if play_passcode { with_pwd(play_url) } else { play_url.to_owned() };
        assert_eq!(listed[0]["play_url"], json!(expected));
        assert_eq!(listed[0]["passcode"], json!(password.then_some(PASSCODE)));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn students_see_only_the_recording_of_the_session_at_simulated_zoom() {
    let recorded = RecordedSession::start().await;
    let RecordedSession { world, session, .. } = &recorded;
    let simulate = async |verb: &str, body: Value| {
        session.simulate(world, verb, body).await;
        world.stack.zoom.deliver_due().await;
    };
    let record = async |minutes| {
        simulate("start", json!({})).await;
        world.advance(SignedDuration::from_mins(minutes));
        simulate("end", json!({})).await;
        simulate("recording", json!({"action": "complete"})).await;
    };
    // The rehearsal.
    record(20).await;
    assert_eq!(recorded.listed().await, [] as [Value; 0]);
    let rehearsal = recorded.listed_by_trainer().await;
    assert!(rehearsal.iter().all(|item| item["visibility"] == "trainer"), "{rehearsal:?}");
    assert_eq!(recorded.has_recording().await, (true, false));
    assert_eq!(recorded.notification_count().await, 0);

    world.advance_to(session.at(-5));
    record(65).await;
    simulate("recording", json!({"action": "transcript"})).await;
    let listed = recorded.listed().await;
    let types: BTreeSet<_> = listed.iter().map(|item| item["file_type"].as_str()).collect();
    assert_eq!(types, ["MP4", "M4A", "TRANSCRIPT"].map(Some).into());
    for item in &listed {
        let play_url = item["play_url"].as_str().expect("a link");
        let (_, secret) = play_url.split_once("?pwd=").expect("the secret of the link");
        assert_ne!(Some(secret), item["passcode"].as_str());
    }
    assert_eq!(recorded.listed_by_trainer().await.len(), rehearsal.len() + listed.len());
    assert_eq!(recorded.notification_count().await, 1);

    // Every recording of the meeting at once.
    for (action, state) in
        [("batch_trash", "trashed"), ("batch_recover", "available"), ("batch_delete", "deleted")]
    {
        world.advance(SignedDuration::from_mins(1));
        simulate("recording", json!({"action": action})).await;
        let all = recorded.listed_by_trainer().await;
        assert!(all.iter().all(|item| item["state"] == state), "{action}: {all:?}");
        let is_available = state == "available";
        assert_eq!(recorded.has_recording().await, (is_available, is_available), "{action}");
    }
    assert_eq!(recorded.notification_count().await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn recording_events_and_lists_stay_within_budget() {
    let recorded = RecordedSession::start().await;
    let RecordedSession { world, session, trainer, student } = &recorded;
    recorded.post_event(&session.started("u1", 0)).await;
    recorded.listed().await;
    world.stack.usage.reset();
    let mut costs = Vec::new();
    let mut measure = |action, function| costs.push(take_cost(world, action, function));
    let files = ["a", "b"].map(|id| file(id, &format!("https://zoom.us/rec/play/{id}")));
    recorded.post_event(&recorded.completed(70, &files)).await;
    measure("webhook, a recording of two files", "webhook");
    recorded.post_event(&recorded.completed(70, &files)).await;
    measure("webhook, the same again", "webhook");
    recorded.post_event(&recorded.step("recording.trashed", 80, &["a"])).await;
    measure("webhook, a file in the trash", "webhook");
    let object = json!({"meeting_uuids": ["u1", "foreign"]});
    recorded.post_event(&recorded.batch("recording.batch_trashed", 90, &object)).await;
    measure("webhook, two recordings in the trash", "webhook");
    recorded.listed().await;
    measure("recordings of a session", "sessions");
    world.list_items(trainer, "/v1/sessions").await;
    measure("trainer's list", "sessions");
    world.list_items(student, "/v1/me/sessions").await;
    measure("student's list, one course", "sessions");
    let budgets = [
        (7, 3.0, 14.0, 1, 0),
        (6, 3.0, 4.0, 0, 0),
        (5, 3.0, 2.0, 0, 0),
        (7, 4.0, 9.0, 0, 0),
        (3, 3.0, 0.0, 0, 0),
        // The host status and the booked times of the day are read together.
        (2, 1.5, 0.0, 0, 0),
        (3, 2.0, 0.0, 0, 0),
    ];
    check_budgets(&costs, &budgets);
}
