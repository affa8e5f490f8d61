//! Recordings: what Zoom tells of them is kept, merged and shown to those who may see it; nothing is ever fetched.

use jiff::SignedDuration;
use local::calls::Service::{Dynamodb, Zoom};
use serde_json::{Value, json};

use crate::lesson::Lesson;
use crate::world::World;

const PASSCODE: &str = "yNYIS408EJygs7rE5vVsJwXIz4-VW7MH";
const DOWNLOAD_TOKEN: &str = "abJhbGciOiJIUzUxMiJ9.eyJpc3MiOiJodHRwczovL2V2ZW50";

struct Scene {
    world: World,
    trainer: String,
    student: String,
    lesson: Lesson,
}

impl Scene {
    async fn set() -> Self {
        let world = World::start().await;
        let (trainer, student) = (world.trainer().await, world.student(1).await);
        world.connect_zoom(&trainer, "app").await;
        let lesson = Lesson::schedule(&world, &trainer).await;
        Self { world, trainer, student, lesson }
    }

    fn path(&self) -> String {
        format!("{}/recordings", self.lesson.path)
    }

    async fn shown(&self) -> Vec<Value> {
        self.world.listed(&self.student, &self.path()).await
    }

    /// `recording.completed` with these files, as Zoom sends it.
    fn completed(&self, minute: i64, files: &[Value]) -> Value {
        let object = json!({
            "uuid": "u1",
            "account_id": self.lesson.account,
            "password": "132456",
            "recording_play_passcode": PASSCODE,
            "share_url": "https://zoom.us/rec/share/abc",
            "total_size": 3_328_371,
            "recording_files": files,
        });
        let mut event = self.lesson.event("recording.completed", self.lesson.at(minute), &object);
        event["download_token"] = json!(DOWNLOAD_TOKEN);
        event
    }

    /// Another step in the life of these files.
    fn step(&self, name: &str, minute: i64, ids: &[&str]) -> Value {
        let files: Vec<_> = ids.iter().map(|id| json!({"id": id})).collect();
        let object = json!({"uuid": "u1", "password": "132456", "recording_files": files});
        let mut event = self.lesson.event(name, self.lesson.at(minute), &object);
        event["download_token"] = json!(DOWNLOAD_TOKEN);
        event
    }

    async fn tell(&self, event: &Value) {
        self.lesson.tell(&self.world, event).await;
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

fn ids(items: &[Value]) -> Vec<&str> {
    items.iter().map(|item| item["id"].as_str().expect("an id")).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deliveries_that_repeat_or_are_split_merge_by_file() {
    let scene = Scene::set().await;
    let (a, b) =
        (file("a", "https://us02web.zoom.us/rec/play/a"), file("b", "https://zoom.us/rec/play/b"));
    scene.tell(&scene.completed(70, std::slice::from_ref(&a))).await;
    scene.tell(&scene.completed(71, std::slice::from_ref(&b))).await;
    scene.tell(&scene.completed(70, std::slice::from_ref(&a))).await;
    let shown = scene.shown().await;
    assert_eq!(ids(&shown), ["a", "b"]);
    assert_eq!(
        shown[0],
        json!({
            "id": "a", "file_type": "MP4", "play_url": "https://us02web.zoom.us/rec/play/a", "passcode": PASSCODE,
            "duration_seconds": 3630, "size_bytes": 282_825, "recorded_at": "2026-11-22T11:00:00Z", "state": "available",
        })
    );
    // All at once, with other addresses: the later ones hold.
    let again = [
        file("a", "https://zoom.us/rec/play/a2"),
        file("b", "https://zoom.us/rec/play/b2"),
        file("c", "https://zoom.us/rec/play/c"),
    ];
    scene.tell(&scene.completed(80, &again)).await;
    let shown = scene.shown().await;
    assert_eq!(ids(&shown), ["a", "b", "c"]);
    assert_eq!(shown[0]["play_url"], "https://zoom.us/rec/play/a2");
    // A file without an id is none, and one without an address or a size is told of when there is more.
    scene
        .tell(&scene.completed(
            81,
            &[
                json!({"file_type": "CHAT"}),
                json!({"id": "d", "file_type": "M4A"}),
                json!(7),
                Value::Null,
            ],
        ))
        .await;
    assert_eq!(ids(&scene.shown().await), ["a", "b", "c"]);
    scene.tell(&scene.completed(82, &[file("d", "https://zoom.us/rec/play/d")])).await;
    assert_eq!(ids(&scene.shown().await), ["a", "b", "c", "d"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_a_file_is_follows_the_times_of_the_events_and_not_their_order() {
    let all = ["completed", "recording.trashed", "recording.recovered", "recording.deleted"];
    // By their own times: trashed, recovered, deleted. `completed` says nothing of it.
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
        let scene = Scene::set().await;
        for n in order {
            let minute = 70 + i64::try_from(*n).expect("small");
            let event = match n {
                0 => scene.completed(
                    minute,
                    &[
                        file("a", "https://zoom.us/rec/play/a"),
                        file("b", "https://zoom.us/rec/play/b"),
                    ],
                ),
                n => scene.step(all[*n], minute, &["a"]),
            };
            scene.tell(&event).await;
        }
        let state = match order.iter().max() {
            Some(3) => "deleted",
            Some(2) => "available",
            _ => "trashed",
        };
        let shown = scene.shown().await;
        assert_eq!(ids(&shown), ["a", "b"], "{order:?}");
        assert_eq!(shown[0]["state"], state, "{order:?}");
        for way in ["play_url", "passcode"] {
            assert_eq!(shown[0][way].is_string(), state == "available", "{order:?}: {}", shown[0]);
        }
        assert_eq!(shown[1]["state"], "available", "the other file stays: {order:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_said_last_of_a_file_holds_whatever_comes_last() {
    let scene = Scene::set().await;
    let said = |minute, play_url: &str| scene.completed(minute, &[file("a", play_url)]);
    let (early, late) =
        (said(70, "https://zoom.us/rec/play/early"), said(80, "https://zoom.us/rec/play/late"));
    for event in [&late, &early, &late, &early] {
        scene.tell(event).await;
        assert_eq!(scene.shown().await[0]["play_url"], "https://zoom.us/rec/play/late");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_list_of_files_all_that_was_recorded_of_the_running_is_meant() {
    for order in [[0, 1, 2], [2, 1, 0], [1, 2, 0]] {
        let scene = Scene::set().await;
        let other = {
            let mut event = scene.completed(70, &[file("z", "https://zoom.us/rec/play/z")]);
            event["payload"]["object"]["uuid"] = json!("u2");
            event
        };
        scene.tell(&other).await;
        let events = [
            scene.completed(70, &[file("a", "https://zoom.us/rec/play/a")]),
            scene.step("recording.trashed", 71, &[]),
            scene.step("recording.recovered", 72, &["a"]),
        ];
        let mut told = Vec::new();
        for n in order {
            scene.tell(&events[n]).await;
            told.push(n);
            let shown = scene.shown().await;
            let state = match (told.contains(&1), told.contains(&2)) {
                (true, false) => "trashed",
                _ => "available",
            };
            for item in shown.iter().filter(|item| item["id"] == "a") {
                assert_eq!(item["state"], state, "{told:?}");
            }
            let of_other = shown.iter().find(|item| item["id"] == "z").expect("it stays");
            assert_eq!(of_other["state"], "available", "another running is not meant");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_an_address_of_zooms_own_is_shown() {
    let scene = Scene::set().await;
    for (n, (play_url, shown)) in [
        ("https://zoom.us/rec/play/x", true),
        ("https://us06web.zoom.us/rec/play/x", true),
        ("https://company.zoomgov.com/rec/play/x", true),
        ("http://zoom.us/rec/play/x", false),
        ("https://example.com/rec/play/x", false),
        ("https://zoom.us.evil.test/rec/play/x", false),
        ("https://evilzoom.us/rec/play/x", false),
        ("https://zoom.us@evil.test/rec/play/x", false),
        ("https://evil.test/#zoom.us", false),
        ("https://evil.test\\@zoom.us/", false),
        ("javascript:alert(1)//zoom.us", false),
        ("//zoom.us/rec/play/x", false),
        ("", false),
        ("nonsense", false),
    ]
    .into_iter()
    .enumerate()
    {
        let id = format!("file-{n}");
        scene.tell(&scene.completed(70, &[file(&id, play_url)])).await;
        let items = scene.shown().await;
        let found = items.iter().find(|item| item["id"] == id.as_str());
        assert_eq!(found.is_some(), shown, "{play_url}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_passcode_is_nowhere_in_the_clear_and_for_those_invited_only() {
    let scene = Scene::set().await;
    scene.tell(&scene.completed(70, &[file("a", "https://zoom.us/rec/play/a")])).await;
    scene.tell(&scene.step("recording.trashed", 71, &["a"])).await;
    scene.tell(&scene.step("recording.recovered", 72, &["a"])).await;
    for item in scene.world.dump().await {
        let text = item.to_string();
        for secret in [PASSCODE, "132456", DOWNLOAD_TOKEN, "download_token"] {
            assert!(!text.contains(secret), "{secret}: {text}");
        }
    }
    let shown = scene.world.listed(&scene.trainer, &scene.path()).await;
    assert_eq!(shown[0]["passcode"], PASSCODE);
    assert_eq!(scene.shown().await, shown);
    for who in [
        json!({"sub": "trainer-2", "role": "trainer"}),
        json!({"sub": "student-9", "role": "student", "email": "student9@example.test"}),
        json!({"sub": "root", "role": "admin"}),
    ] {
        let token = scene.world.token(who).await;
        scene.world.get(&token, &scene.path()).await.refused(404, "not_found");
    }
    let service = scene.world.service().await;
    let place = "/v1/directory/courses/course-1/enrollments/student-1";
    scene.world.delete(&service, place).await.expect(204);
    scene.world.get(&scene.student, &scene.path()).await.refused(404, "not_found");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_fetched_and_a_cancelled_class_keeps_its_recordings() {
    let scene = Scene::set().await;
    let usage = &scene.world.stack.usage;
    usage.reset();
    let before = scene.world.stack.zoom.counts();
    scene.tell(&scene.completed(70, &[file("a", "https://zoom.us/rec/play/a")])).await;
    for name in ["recording.started", "recording.paused", "recording.resumed", "recording.stopped"]
    {
        let at = scene.lesson.at(30);
        let object = json!({"uuid": "u1", "recording_file": {"recording_start": at}});
        scene.tell(&scene.lesson.event(name, at, &object)).await;
    }
    scene
        .world
        .post(&scene.trainer, &format!("{}/cancel", scene.lesson.path), json!({}))
        .await
        .expect(200);
    scene.world.advance(SignedDuration::from_hours(24 * 30));
    assert_eq!(scene.shown().await.len(), 1);
    assert_eq!(usage.service_totals("webhook", Zoom).calls, 0);
    assert_eq!(usage.service_totals("sessions", Zoom).calls, 0);
    assert!(usage.service_totals("webhook", Dynamodb).calls > 0);
    // What Zoom was asked is our own cancelling.
    let after = scene.world.stack.zoom.counts();
    let asked: u64 = after.requests.values().sum::<u64>() - before.requests.values().sum::<u64>();
    assert!(asked <= 1, "{before:?} {after:?}");
    let kinds =
        scene.world.listed(&scene.trainer, &format!("{}/timeline", scene.lesson.path)).await;
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
