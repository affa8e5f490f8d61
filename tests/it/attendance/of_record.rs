//! The attendance of record: the union of Zoom's events and Zoom's list of participants.

use jiff::SignedDuration;
use local::calls::Service;
use local::faults::{Fault, FaultKind};
use serde_json::{Value, json};

use super::row;
use crate::platform_hosting::assign_host;
use crate::support::patched;
use crate::world::{World, course_session_body};
use crate::zoom_session::{HOURS_AHEAD, simulate};

const MINUTE: SignedDuration = SignedDuration::from_mins(1);
/// Minutes after the planned start at which the sweep has work: at the end +30 min, +1 h and +24 h.
const LOOKS: [i64; 3] = [90, 120, 60 + 24 * 60];

const CORRECTED: &str = "session.corrected";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Host {
    Trainer,
    Platform,
}

/// A one-hour class of `course-1`, at its planned start.
struct Class {
    world: World,
    path: String,
    meeting: String,
}

impl Class {
    async fn at_start(host: Host) -> Self {
        Self::at_start_with(host, json!({})).await
    }

    /// Like [`Self::at_start`], with settings of the simulated Zoom from before the meeting is created.
    async fn at_start_with(host: Host, settings: Value) -> Self {
        let world = World::start().await;
        world.post("", "/zoom/sim/knobs", settings).await.expect(200);
        let trainer = world.trainer().await;
        match host {
            Host::Trainer => drop(world.connect_zoom(&trainer, "app").await),
            Host::Platform => drop(assign_host(&world, "trainer-1", "hana@example.test").await),
        }
        let session = world.create(&trainer, &course_session_body(HOURS_AHEAD)).await.expect(201);
        let path = format!("/v1/sessions/{}", session["id"].as_str().expect("an id"));
        let meeting = session["meeting"]["id"].as_str().expect("a number").to_owned();
        world.advance(SignedDuration::from_hours(HOURS_AHEAD));
        world.sweep().await;
        Self { world, path, meeting }
    }

    fn lose_all_events(&self) {
        let lost = Fault::new(Service::Webhook, "*", FaultKind::Drop).times(1000);
        self.world.inject_fault(lost);
    }

    async fn act(&self, verb: &str, body: Value) -> Value {
        simulate(&self.world, &format!("meetings/{}/{verb}", self.meeting), body).await
    }

    async fn configure(&self, settings: Value) {
        self.world.post("", "/zoom/sim/knobs", settings).await.expect(200);
    }

    /// Requests to join as `student-n` and enters the meeting with the customer key. Returns the participation.
    async fn enter(&self, n: u32) -> Value {
        let token = self.world.student(n).await;
        let request = self.world.post(&token, &format!("{}/join", self.path), json!({})).await;
        let key = request.expect(200)["customer_key"].clone();
        self.enter_as(json!({"name": format!("Student {n}"), "customer_key": key})).await
    }

    async fn enter_as(&self, person: Value) -> Value {
        json!({ "participant_uuid": self.act("join", person).await["participant_uuid"] })
    }

    fn wait(&self, minutes: i64) {
        self.world.advance(MINUTE * i32::try_from(minutes).expect("a few minutes"));
    }

    /// Holds the class for 60 minutes: a student in a breakout room, one with a break, a late one known by the address, and a
    /// guest whom nothing identifies. Events are lost.
    async fn hold(&self) {
        self.act("start", json!({})).await;
        let first = self.enter(1).await;
        self.enter_as(json!({"name": "Guest"})).await;
        self.wait(5);
        let second = self.enter(2).await;
        self.wait(10);
        self.enter_as(json!({"name": "S. Three", "email": "student3@example.test"})).await;
        self.wait(5);
        self.act("room-move", patched(first.clone(), json!({"room": "Room 1"}))).await;
        self.wait(10);
        self.act("leave", second).await;
        self.wait(10);
        self.act("room-move", first).await;
        self.enter(2).await;
        self.wait(20);
        self.act("end", json!({})).await;
    }

    /// The uuid of the next or latest meeting instance at Zoom.
    fn uuid(&self) -> String {
        let number = self.meeting.parse().expect("a number");
        let meeting = self.world.stack.zoom.meeting(number).expect("a meeting");
        meeting["uuid"].as_str().expect("a uuid").to_owned()
    }

    async fn sweep(&self) -> Value {
        self.world.stack.schedules.run("reconcile-sweep").await.expect("a report of the sweep")
    }

    /// Advances to a minute after the planned start, 60 minutes after it at the earliest, and runs the sweep.
    async fn sweep_at(&self, minute: i64, now: &mut i64) -> Value {
        self.wait(minute - *now);
        *now = minute;
        self.sweep().await
    }

    /// Runs the sweeps after a class that has just ended.
    async fn reconcile(&self) {
        let mut now = 60;
        for look in LOOKS {
            self.sweep_at(look, &mut now).await;
        }
    }

    async fn report(&self) -> Value {
        let trainer = self.world.trainer().await;
        self.world.get(&trainer, &format!("{}/attendance", self.path)).await.expect(200)
    }

    async fn session(&self) -> Value {
        let trainer = self.world.trainer().await;
        self.world.get(&trainer, &self.path).await.expect(200)
    }

    async fn timeline(&self) -> Vec<Value> {
        let trainer = self.world.trainer().await;
        self.world.list_items(&trainer, &format!("{}/timeline", self.path)).await
    }
}

/// Returns the lifecycle of a session.
fn lifecycle(session: &Value) -> Value {
    let fields = ["status", "actual_started_at", "actual_ended_at"];
    fields.iter().map(|field| session[*field].clone()).collect()
}

/// Returns the report without the fields that name the sources. The id of an unidentified row depends on the source too.
fn attendance(report: &Value) -> Value {
    let mut report = report.clone();
    let fields = report.as_object_mut().expect("a report");
    fields.retain(|name, _| !["sources", "final", "session_id"].contains(&name.as_str()));
    for row in report["attendees"].as_array_mut().expect("rows") {
        let row = row.as_object_mut().expect("a row");
        row.retain(|name, _| !["provenance", "attendee_id"].contains(&name.as_str()));
    }
    report
}

/// Like [`attendance`]. The order of two rows with one name depends on the ids of their connections.
fn attendance_in_any_order(report: &Value) -> Value {
    let mut report = attendance(report);
    let rows = report["attendees"].as_array_mut().expect("rows");
    rows.sort_by_key(Value::to_string);
    report
}

fn total_minutes(report: &Value) -> i64 {
    let rows = report["attendees"].as_array().expect("rows");
    rows.iter().map(|row| row["minutes"].as_i64().expect("minutes")).sum()
}

/// Plays the same class with all events and without any.
async fn with_and_without_events(host: Host) -> [Class; 2] {
    let [told, lost] = [Class::at_start(host).await, Class::at_start(host).await];
    lost.lose_all_events();
    for class in [&told, &lost] {
        class.hold().await;
        class.reconcile().await;
    }
    [told, lost]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn class_of_a_platform_host_needs_no_event() {
    let [told, lost] = with_and_without_events(Host::Platform).await;
    let (expected, found) = (told.session().await, lost.session().await);
    assert_eq!(expected["status"], "ended");
    assert_eq!(lifecycle(&found), lifecycle(&expected));
    let (expected, found) = (told.report().await, lost.report().await);
    assert_eq!(attendance(&found), attendance(&expected));
    assert_eq!(row(&found, "Student 1")["minutes"], 60);
    assert_eq!(row(&found, "Student 2")["minutes"], 45);
    assert_eq!(row(&found, "Student 3")["status"], "late");
    assert_eq!(row(&expected, "Student 1")["provenance"], "both");
    assert_eq!(row(&found, "Student 1")["provenance"], "report");
    assert_eq!(expected["sources"], json!({"webhook": "complete", "report": "complete"}));
    assert_eq!(found["sources"], json!({"webhook": "none", "report": "complete"}));
    assert_eq!((&expected["final"], &found["final"]), (&json!(true), &json!(false)));
    lost.wait(60);
    assert_eq!(lost.report().await["final"], true, "25 hours after the end");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn class_in_a_trainers_account_needs_no_event_but_a_review() {
    let [told, lost] = with_and_without_events(Host::Trainer).await;
    let (expected, found) = (told.session().await, lost.session().await);
    assert_eq!(expected["status"], "ended");
    assert_eq!(lifecycle(&found), lifecycle(&expected));
    let (expected, found) = (told.report().await, lost.report().await);
    assert_eq!(found["held_minutes"], expected["held_minutes"]);
    assert_eq!(total_minutes(&found), total_minutes(&expected));
    let by_email = row(&found, "Student 3");
    assert_eq!((&by_email["match"], &by_email["minutes"]), (&json!("email"), &json!(45)));
    assert_eq!(by_email["minutes"], row(&expected, "Student 3")["minutes"]);
    let rows = found["attendees"].as_array().expect("rows");
    let unknown: Vec<_> =
        rows.iter().filter(|row| row["match"] == "none" && row["minutes"] != 0).collect();
    assert!(unknown.len() >= 3, "{found}");
    assert!(unknown.iter().all(|row| row["flags"] == json!(["needs_review"])), "{found}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn corrections_appear_in_the_timeline_with_their_source() {
    let class = Class::at_start(Host::Platform).await;
    class.lose_all_events();
    class.hold().await;
    class.reconcile().await;
    let timeline = class.timeline().await;
    for (part, source) in [("lifecycle", "past_meeting"), ("participants", "account_report")] {
        let entries = timeline.iter().filter(|entry| entry["kind"] == CORRECTED);
        let found: Vec<_> = entries.filter(|entry| entry["detail"]["corrected"] == part).collect();
        assert_eq!(found.len(), 1, "{part}: {timeline:?}");
        assert_eq!(found[0]["detail"]["source"], source);
    }
    // The comparisons of a session that agrees leave no entry.
    let agreeing = Class::at_start(Host::Platform).await;
    agreeing.hold().await;
    agreeing.reconcile().await;
    let timeline = agreeing.timeline().await;
    assert!(timeline.iter().all(|entry| entry["kind"] != CORRECTED), "{timeline:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn list_is_read_in_pages_and_again_until_it_is_complete() {
    let class = Class::at_start(Host::Trainer).await;
    class.configure(json!({"list_page_size": 2, "participants_lag_seconds": 5400})).await;
    class.hold().await;
    let mut now = 60;
    class.sweep_at(120, &mut now).await;
    let early = class.report().await;
    assert_eq!(early["sources"]["report"], "partial");
    // Every stay has a row: the host, two rooms and the return of student 1, two connections of student 2, and two others.
    let calls = class.world.zoom_calls("reconcile-sweep", "past_participants");
    assert_eq!(calls, 4);
    class.sweep_at(135, &mut now).await;
    assert_eq!(class.report().await["sources"]["report"], "partial");
    class.sweep_at(165, &mut now).await;
    let report = class.report().await;
    assert_eq!(report["sources"], json!({"webhook": "complete", "report": "complete"}));
    assert_eq!(attendance(&report), attendance(&early));
    assert_eq!((&report["final"], total_minutes(&report)), (&json!(true), total_minutes(&early)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn list_with_an_expired_page_is_read_from_its_start() {
    let lists = [(Host::Trainer, "past_participants"), (Host::Platform, "report_participants")];
    for (host, list) in lists {
        let complete = Class::at_start(host).await;
        complete.lose_all_events();
        complete.hold().await;
        complete.reconcile().await;
        let expected = attendance_in_any_order(&complete.report().await);
        for (uuid_form, slashes) in [("leading_slash", "/"), ("double_slash", "//")] {
            let settings = json!({"uuid_form": uuid_form, "list_page_size": 3});
            let class = Class::at_start_with(host, settings).await;
            let uuid = class.uuid();
            assert!(uuid.contains(slashes), "{uuid}");
            class.lose_all_events();
            class.hold().await;
            let mut now = 60;
            class.sweep_at(90, &mut now).await;
            // Every list expires, so there is none.
            class.configure(json!({"expired_pages": 1000})).await;
            class.sweep_at(120, &mut now).await;
            assert_eq!(class.report().await["sources"]["report"], "none", "{host:?} {uuid}");
            // The second of three pages expires once. Rows of the first one do not count twice.
            class.configure(json!({"expired_pages": 1})).await;
            class.world.stack.usage.reset();
            class.sweep_at(135, &mut now).await;
            assert_eq!(class.world.zoom_calls("reconcile-sweep", list), 5, "{host:?} {uuid}");
            let report = class.report().await;
            assert_eq!(report["sources"]["report"], "complete", "{host:?} {uuid}");
            assert_eq!(attendance_in_any_order(&report), expected, "{host:?} {uuid}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn empty_list_of_a_meeting_of_one_person_is_complete() {
    let class = Class::at_start(Host::Trainer).await;
    class.act("start", json!({})).await;
    class.wait(60);
    class.act("end", json!({})).await;
    class.reconcile().await;
    let report = class.report().await;
    assert_eq!(report["sources"]["report"], "complete");
    assert_eq!((&report["held_minutes"], &report["present"]), (&json!(60), &json!(0)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn meeting_used_outside_of_the_window_changes_nothing() {
    let class = Class::at_start(Host::Trainer).await;
    class.lose_all_events();
    // The window closes 90 minutes after the planned end.
    class.wait(151);
    class.act("start", json!({})).await;
    class.enter_as(json!({"name": "Guest", "email": "student1@example.test"})).await;
    class.wait(30);
    class.act("end", json!({})).await;
    let mut now = 181;
    for minute in [210, 24 * 60 + 90] {
        class.sweep_at(minute, &mut now).await;
    }
    let session = class.session().await;
    assert_eq!(lifecycle(&session), json!(["scheduled", null, null]));
    let report = class.report().await;
    assert_eq!((&report["held_minutes"], total_minutes(&report)), (&json!(0), 0));
    assert!(class.timeline().await.iter().all(|entry| entry["kind"] != CORRECTED));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failed_writes_are_repeated_by_the_next_sweep() {
    for kind in [FaultKind::Error, FaultKind::Lost] {
        for operation in ["BatchWriteItem", "TransactWriteItems", "UpdateItem"] {
            let class = Class::at_start(Host::Platform).await;
            class.lose_all_events();
            class.hold().await;
            let mut now = 60;
            class.sweep_at(90, &mut now).await;
            let fault = Fault::new(Service::Dynamodb, operation, kind).times(3);
            class.world.inject_fault(fault.for_function("reconcile-sweep"));
            class.wait(30);
            now += 30;
            // The run may fail as a whole.
            let _ = class.world.stack.schedules.run("reconcile-sweep").await;
            class.world.stack.faults.clear();
            for minute in [135, 150, 180, 60 + 24 * 60] {
                class.sweep_at(minute, &mut now).await;
            }
            let report = class.report().await;
            assert_eq!(report["sources"]["report"], "complete", "{operation} {kind:?}");
            assert_eq!(row(&report, "Student 1")["minutes"], 60, "{operation} {kind:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn erased_person_does_not_come_back_with_a_later_list() {
    let class = Class::at_start(Host::Platform).await;
    class.lose_all_events();
    class.hold().await;
    let mut now = 60;
    for minute in [90, 120] {
        class.sweep_at(minute, &mut now).await;
    }
    let person = "student3@example.test";
    assert!(names(&class, person).await, "the list has the address");
    let service = class.world.service().await;
    class.world.delete(&service, "/v1/directory/users/student-3").await.expect(204);
    assert!(!names(&class, person).await && !names(&class, "S. Three").await);
    let minutes = total_minutes(&class.report().await);
    class.sweep_at(60 + 24 * 60, &mut now).await;
    assert!(!names(&class, person).await && !names(&class, "S. Three").await);
    let report = class.report().await;
    assert_eq!(total_minutes(&report), minutes, "the anonymous time stays");
    // The archive keeps the list after it has expired.
    class.world.advance(SignedDuration::from_hours(24 * 4));
    class.world.sweep().await;
    let archived = class.report().await;
    assert_eq!(attendance(&archived), attendance(&report));
    class.world.advance(SignedDuration::from_hours(24 * 120));
    class.world.stack.aws.sweep_ttl().expect("a sweep of expired items");
    assert_eq!(attendance(&class.report().await), attendance(&report));
    assert!(!names(&class, person).await && !names(&class, "S. Three").await);
}

/// Returns whether any item about meetings or the session has a text.
async fn names(class: &Class, text: &str) -> bool {
    let items = class.world.dump().await;
    let prefixes = ["MEETING#", "SESSION#"];
    let is_about = |item: &&Value| {
        let pk = item["pk"].as_str().unwrap_or_default();
        prefixes.iter().any(|prefix| pk.starts_with(prefix))
    };
    items.iter().filter(is_about).any(|item| {
        let is_delivery = item["sk"].as_str().is_some_and(|sk| sk.starts_with("INVITEE#"));
        !is_delivery && item.to_string().contains(text)
    })
}
