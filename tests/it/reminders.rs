//! Reminders: each told once and in time, to no class that moved, was cancelled or is over, and at no cost where
//! nothing is due. And what else Zoom's events announce.

use aws_sdk_dynamodb::types::AttributeValue;
use http::Method;
use jiff::{SignedDuration, Timestamp};
use local::calls::Service;
use local::faults::{Fault, Kind};
use serde_json::{Value, json};

use crate::direct::MAIN_TABLE;
use crate::lesson::Lesson;
use crate::look::with;
use crate::world::{START, World, class, course_class};

/// A class of `course-1` by a pasted link, in so many hours.
fn linked(hours: i64) -> Value {
    with(
        course_class(hours),
        json!({"provider": "manual", "join_url": "https://meet.example.test/a"}),
    )
}

impl World {
    /// What the outbox was asked to tell besides changes of classes: `(what, reminder)`, in order.
    async fn told(&self) -> Vec<(String, String)> {
        let word = |item: &Value, name: &str| item[name].as_str().unwrap_or_default().to_owned();
        let due = self.due("OUTBOX").await;
        let told = due.iter().filter(|item| item["what"] != "session");
        told.map(|item| (word(item, "what"), word(item, "reminder"))).collect()
    }

    fn advance_to(&self, at: Timestamp) {
        self.advance(at.duration_since(self.now()));
    }

    /// Moves the clock to so many minutes from a class's start, and sweeps.
    async fn sweep_at(&self, starts_at: Timestamp, minutes: i64) -> Value {
        self.advance_to(starts_at + SignedDuration::from_mins(minutes));
        self.sweep().await
    }
}

fn reminders(names: &[&str]) -> Vec<(String, String)> {
    names.iter().map(|name| ("reminder".to_owned(), (*name).to_owned())).collect()
}

fn in_hours(hours: i64) -> Timestamp {
    START.parse::<Timestamp>().expect("a time") + SignedDuration::from_hours(hours)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_reminder_is_told_once_when_its_time_has_come() {
    let world = World::start().await;
    let trainer = world.trainer().await;
    let made = world.create(&trainer, &linked(50)).await.expect(201);
    let start = in_hours(50);
    let mut expected = Vec::new();
    for (minutes, reminder) in [(-24 * 60, "day_before"), (-60, "hour_before"), (0, "start")] {
        assert_eq!(world.sweep_at(start, minutes - 1).await["due"], 0, "{reminder}");
        let before = world.told().await;
        assert_eq!(before, reminders(&expected));
        world.advance(SignedDuration::from_mins(1));
        // Two runs at once, and another after them.
        let (a, b) = futures::join!(world.sweep(), world.sweep());
        let told = |report: &Value| report["reminded"].as_u64().expect("a number");
        assert_eq!(told(&a) + told(&b), 1, "{reminder}: {a} {b}");
        assert_eq!(world.sweep().await["due"], 0);
        expected.push(reminder);
        assert_eq!(world.told().await, reminders(&expected));
    }
    let told = world.due("OUTBOX").await;
    let told = told.iter().rfind(|item| item["what"] == "reminder").expect("a reminder");
    assert_eq!(
        (&told["session_id"], &told["version"], &told["starts_at"]),
        (&made["id"], &json!(1), &json!(start))
    );
    assert_eq!(world.due("REMINDER").await, Vec::<Value>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_class_that_moves_gets_others_and_one_that_is_cancelled_none() {
    let world = World::start().await;
    let trainer = world.trainer().await;
    let made = world.create(&trainer, &linked(50)).await.expect(201);
    world.sweep_at(in_hours(50), -24 * 60).await;
    assert_eq!(world.told().await, reminders(&["day_before"]));
    let trainer = world.trainer().await;
    world.edit(&trainer, &made, &linked(100)).await.expect(200);
    assert_eq!(world.sweep_at(in_hours(50), 5).await["due"], 0, "of the old start");
    world.sweep_at(in_hours(100), -24 * 60).await;
    world.sweep_at(in_hours(100), -60).await;
    assert_eq!(world.told().await, reminders(&["day_before", "day_before", "hour_before"]));
    let versions: Vec<_> =
        world.due("OUTBOX").await.iter().map(|item| item["version"].clone()).collect();
    assert_eq!(versions, [1, 1, 2, 2, 2]);
    let trainer = world.trainer().await;
    world.cancel(&trainer, &made).await.expect(200);
    assert_eq!(world.sweep_at(in_hours(100), 0).await["due"], 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_class_planned_at_short_notice_gets_no_late_reminder_and_one_for_nobody_none() {
    let world = World::start().await;
    let trainer = world.trainer().await;
    let mut soon = linked(1);
    soon["starts_at"] = json!("2026-11-21T09:30:00Z");
    world.create(&trainer, &soon).await.expect(201);
    let link = json!({"provider": "manual", "join_url": "https://meet.example.test/a"});
    world.create(&trainer, &with(class(1), link)).await.expect(201);
    for minutes in [0, 5, 29] {
        world.sweep_at(START.parse().expect("a time"), minutes).await;
    }
    assert_eq!(world.told().await, reminders(&[]));
    world.sweep_at(START.parse().expect("a time"), 30).await;
    assert_eq!(world.told().await, reminders(&["start"]));
    let report = world.sweep_at(in_hours(1), 0).await;
    assert_eq!((&report["reminded"], &report["void"]), (&json!(0), &json!(1)), "standalone");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sweep_that_did_not_run_tells_what_is_still_of_use() {
    // How long nothing ran from the day before's reminder on, in minutes, and what is told then.
    for (minutes, expected) in [
        (60, vec!["day_before"]),
        (12 * 60 - 1, vec!["day_before"]),
        (12 * 60, vec![]),
        (23 * 60 + 30, vec!["hour_before"]),
        (24 * 60, vec!["start"]),
        (24 * 60 + 29, vec!["start"]),
        (24 * 60 + 30, vec![]),
    ] {
        let world = World::start().await;
        let trainer = world.trainer().await;
        world.create(&trainer, &linked(50)).await.expect(201);
        world.sweep_at(in_hours(50), minutes - 24 * 60).await;
        assert_eq!(world.told().await, reminders(&expected), "after {minutes} minutes");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reminder_is_told_once_however_its_telling_fails() {
    for kind in [Kind::Error, Kind::Lost, Kind::Throttle] {
        let world = World::start().await;
        let trainer = world.trainer().await;
        for hours in [50, 50, 50] {
            world.create(&trainer, &linked(hours)).await.expect(201);
        }
        let fault = Fault::new(Service::Dynamodb, "TransactWriteItems", kind);
        world.fault(fault.by("reminder-sweep").times(4));
        world.sweep_at(in_hours(50), -24 * 60).await;
        world.stack.faults.clear();
        world.advance(SignedDuration::from_mins(5));
        world.sweep().await;
        assert_eq!(world.told().await.len(), 3, "{kind:?}");
        assert_eq!(world.sweep().await["due"], 0);
    }
    // The queue is only told; the table has it all the same.
    let world = World::start().await;
    let trainer = world.trainer().await;
    world.create(&trainer, &linked(50)).await.expect(201);
    world.fault(Fault::new(Service::Sqs, "SendMessage", Kind::Error).by("reminder-sweep").times(9));
    assert_eq!(world.sweep_at(in_hours(50), -24 * 60).await["reminded"], 1);
    assert_eq!(world.told().await, reminders(&["day_before"]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_class_that_makes_no_sense_keeps_no_other_from_being_told() {
    let world = World::start().await;
    let trainer = world.trainer().await;
    let odd = world.create(&trainer, &linked(50)).await.expect(201);
    world.create(&trainer, &linked(50)).await.expect(201);
    let key = |name: &str, value: String| (name.to_owned(), AttributeValue::S(value));
    let session = odd["id"].as_str().expect("an id");
    world
        .dynamodb()
        .update_item()
        .table_name(MAIN_TABLE)
        .set_key(Some(
            [key("pk", format!("SESSION#{session}")), key("sk", "SESSION".into())].into(),
        ))
        .update_expression("SET starts_at = :odd")
        .expression_attribute_values(":odd", AttributeValue::S("tomorrow".to_owned()))
        .send()
        .await
        .expect("written");
    let report = world.sweep_at(in_hours(50), -24 * 60).await;
    assert_eq!((&report["reminded"], &report["left"]), (&json!(1), &json!(1)), "{report}");
    assert_eq!(world.told().await, reminders(&["day_before"]));
}

/// A world with a class of `course-1` at Zoom.
async fn lesson() -> (World, Lesson) {
    let world = World::start().await;
    let trainer = world.trainer().await;
    world.connect_zoom(&trainer, "app").await;
    let lesson = Lesson::schedule(&world, &trainer).await;
    (world, lesson)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_class_is_told_to_be_live_once_when_it_starts_or_should() {
    // Minutes from the planned start to the start, if it is started, and to the first notice.
    for (started, told_at) in [
        (Some(-5), -5),
        (Some(0), 0),
        // A rehearsal is nobody's news; that it is on when the class should begin is.
        (Some(-40), 0),
        // Nobody sees a host who is late by their clock; the door is open.
        (Some(7), 0),
        (None, 0),
    ] {
        let (world, lesson) = lesson().await;
        world.advance_to(lesson.at(-45));
        let mut first = None;
        for minute in -45..40 {
            world.advance_to(lesson.at(minute));
            if started == Some(minute) {
                // The same event twice, and a join that stands for it.
                let event = lesson.started("u1", minute);
                lesson.tell(&world, &event).await;
                lesson.tell(&world, &event).await;
                lesson.tell(&world, &lesson.joined("u1", "c1", minute)).await;
            }
            if minute % 5 == 0 {
                world.sweep().await;
            }
            let told = world.told().await;
            let live = told.iter().filter(|(_, reminder)| reminder == "start").count();
            assert!(live <= 1, "{started:?}: {told:?}");
            if live == 1 {
                first.get_or_insert(minute);
            }
        }
        assert_eq!(first, Some(told_at), "{started:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_class_that_was_ended_before_its_start_is_told_when_it_is_started_for_good() {
    let (world, lesson) = lesson().await;
    world.advance_to(lesson.at(-12));
    lesson.tell(&world, &lesson.started("u1", -12)).await;
    lesson.tell(&world, &lesson.ended("u1", -12, -5)).await;
    for minute in [0, 5] {
        assert_eq!(world.sweep_at(lesson.starts_at, minute).await["left"], 1);
    }
    world.advance(SignedDuration::from_mins(1));
    lesson.tell(&world, &lesson.started("u2", 6)).await;
    assert!(world.told().await.contains(&("reminder".to_owned(), "start".to_owned())));
    // Started once more, it is the same class.
    lesson.tell(&world, &lesson.ended("u2", 6, 20)).await;
    lesson.tell(&world, &lesson.started("u3", 21)).await;
    world.sweep_at(lesson.starts_at, 25).await;
    let told = world.told().await;
    assert_eq!(told.iter().filter(|(_, reminder)| reminder == "start").count(), 1, "{told:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_recording_is_announced_once_with_the_first_file_there_is_to_watch() {
    let (world, lesson) = lesson().await;
    world.advance_to(lesson.at(70));
    let file = |id: &str, play: Option<&str>| {
        json!({"id": id, "file_type": "MP4", "file_size": 9, "play_url": play,
            "recording_start": lesson.at(0), "recording_end": lesson.at(60), "status": "completed"})
    };
    let completed = |minute, files: Value| {
        let object = json!({"uuid": "u1", "recording_files": files});
        lesson.event("recording.completed", lesson.at(minute), &object)
    };
    lesson.tell(&world, &completed(65, json!([file("chat", None)]))).await;
    let ready = async || {
        let told = world.told().await;
        told.iter().filter(|(what, _)| what == "recording_ready").count()
    };
    assert_eq!(ready().await, 0, "nothing to watch");
    let watch = Some("https://us02web.zoom.us/rec/play/a");
    let event =
        completed(66, json!([file("chat", None), file("film", watch), file("more", watch)]));
    // It fails once after it was kept; Zoom sends it again, and again.
    world.fault(
        Fault::new(Service::Dynamodb, "TransactWriteItems", Kind::Error).by("webhook").times(4),
    );
    let failed = crate::lesson::post(&world, &event.to_string()).await;
    assert!(failed.status.is_server_error(), "{failed:?}");
    world.stack.faults.clear();
    for _ in 0..3 {
        lesson.tell(&world, &event).await;
    }
    assert_eq!(ready().await, 1);
    let student = world.student(1).await;
    assert_eq!(world.listed(&student, &format!("{}/recordings", lesson.path)).await.len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_trainer_is_told_of_a_meeting_that_somebody_else_deleted() {
    let (world, lesson) = lesson().await;
    let trainer = world.trainer().await;
    let path = format!("/zoom/sim/meetings/{}", lesson.meeting);
    world.call(Method::DELETE, &path, "", None, &[]).await.expect(204);
    world.stack.zoom.deliver_due().await;
    let told = world.due("OUTBOX").await;
    let told: Vec<_> = told.iter().filter(|item| item["what"] == "meeting_deleted").collect();
    assert_eq!(told.len(), 1);
    assert_eq!(told[0]["trainer_id"], "trainer-1");
    // Other news of the same meeting says nothing new.
    let later = world.now() + SignedDuration::from_mins(2);
    lesson.tell(&world, &lesson.event("meeting.updated", later, &json!({"topic": "x"}))).await;
    let own = world.create(&trainer, &course_class(80)).await.expect(201);
    world.cancel(&trainer, &own).await.expect(200);
    world.stack.zoom.deliver_due().await;
    let told = world.told().await;
    assert_eq!(told.iter().filter(|(what, _)| what == "meeting_deleted").count(), 1, "{told:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sweep_costs_what_is_due_and_nothing_else() {
    let world = World::start().await;
    let trainer = world.trainer().await;
    let cost = async || {
        world.stack.usage.reset();
        world.sweep().await;
        let totals = world.stack.usage.service_totals("reminder-sweep", Service::Dynamodb);
        (totals.calls, totals.read_units, totals.write_units)
    };
    world.sweep().await;
    let with_none = cost().await;
    for n in 0..100 {
        world.create(&trainer, &linked(30 + n)).await.expect(201);
    }
    let with_many = cost().await;
    assert_eq!(with_none, with_many, "the same with none and with a hundred classes");
    assert!(with_none.0 <= 2 && with_none.1 <= 1.0, "{with_none:?}");
    world.advance(SignedDuration::from_hours(6));
    let (calls, read, write) = cost().await;
    println!("one reminder told: {calls} requests, {read} read units, {write} write units");
    assert!(calls <= 4 && read <= 2.5 && write <= 6.0, "{calls} {read} {write}");
}
