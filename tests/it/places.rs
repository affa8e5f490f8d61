//! Who comes to a course, or leaves it, while it has classes to come.

use http::Method;
use jiff::SignedDuration;
use local::calls::Service;
use serde_json::{Value, json};

use crate::look::{path_of, with};
use crate::newest::entries;
use crate::world::{World, course_class};

const PLACE: &str = "/v1/directory/courses/course-1/enrollments/student-9";
const NINE: &str = "student9@example.test";

impl World {
    /// The kinds of notices that `student-n` has about a class, oldest first.
    async fn noticed_of(&self, n: u32, session: &Value) -> Vec<String> {
        let items = self.listed(&self.student(n).await, "/v1/me/notifications").await;
        let about = items.iter().rev().filter(|item| item["session_id"] == session["id"]);
        about.map(|item| item["kind"].as_str().expect("a kind").to_owned()).collect()
    }

    /// Says something of a course or a place in it, and has told what follows a minute later.
    async fn say(&self, method: Method, path: &str, body: Option<Value>) {
        let service = self.service().await;
        let answer = self.call(method, path, &service, body, &[]).await;
        assert!(answer.status.is_success(), "{}", answer.text);
        self.advance(SignedDuration::from_mins(1));
        self.drain().await;
    }

    fn kinds_to(&self, address: &str) -> Vec<String> {
        entries(self, address).into_iter().map(|(kind, _)| kind).collect()
    }
}

/// A class of `course-1` by a pasted link, of which everybody was told.
async fn class_of_course(world: &World, hours: i64) -> Value {
    let link = json!({"provider": "manual", "join_url": "https://meet.example.test/a"});
    let trainer = world.trainer().await;
    let made = world.create(&trainer, &with(course_class(hours), link)).await.expect(201);
    world.drain().await;
    made
}

fn place(access: bool) -> Option<Value> {
    Some(json!({"email": NINE, "name": "Student Nine", "access_granted": access}))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_comes_to_a_course_is_invited_and_who_leaves_it_is_told() {
    let world = World::start().await;
    let session = class_of_course(&world, 50).await;
    let mailed = world.mailed().await.len();
    // Saying it twice is saying it once; a place without access is none.
    world.say(Method::PUT, PLACE, place(false)).await;
    assert_eq!(world.kinds_to(NINE), [""; 0]);
    for _ in 0..2 {
        world.say(Method::PUT, PLACE, place(true)).await;
    }
    assert_eq!(world.kinds_to(NINE), ["scheduled"]);
    assert_eq!(world.noticed_of(9, &session).await, ["scheduled"]);
    for _ in 0..2 {
        world.say(Method::PUT, PLACE, place(false)).await;
    }
    world.say(Method::PUT, PLACE, place(true)).await;
    for _ in 0..2 {
        world.say(Method::DELETE, PLACE, None).await;
    }
    let told = ["scheduled", "uninvited", "scheduled", "uninvited"];
    assert_eq!(world.kinds_to(NINE), told);
    assert_eq!(world.noticed_of(9, &session).await, told);
    assert_eq!(world.mailed().await.len(), mailed + 4, "and nobody else is told anything");
    assert_eq!(world.due("OUTBOX").await, [] as [Value; 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_counts_is_whether_they_have_a_place_when_it_is_told() {
    let world = World::start().await;
    let service = world.service().await;
    let session = class_of_course(&world, 50).await;
    // In and out, within the minute: nothing to come to. Out and in: nothing changed.
    world.put(&service, PLACE, place(true).expect("a body")).await.expect(200);
    world.say(Method::PUT, PLACE, place(false)).await;
    assert!(!world.kinds_to(NINE).contains(&"scheduled".to_owned()));
    let one = "/v1/directory/courses/course-1/enrollments/student-1";
    world.delete(&service, one).await.expect(204);
    let back = json!({"email": "student1@example.test", "name": "Student 1"});
    world.say(Method::PUT, one, Some(back)).await;
    assert_eq!(world.kinds_to("student1@example.test"), ["scheduled"], "one mail for all that");
    // Who is erased is told nothing any more, and nothing stays that names them.
    world.put(&service, PLACE, place(true).expect("a body")).await.expect(200);
    world.drain().await;
    world.delete(&service, PLACE).await.expect(204);
    world.delete(&service, "/v1/directory/users/student-9").await.expect(204);
    let before = world.mailed().await.len();
    world.drain().await;
    assert_eq!(world.mailed().await.len(), before);
    let left = json!(world.dump().await).to_string();
    assert!(!left.contains(NINE), "{left}");
    // A class that is over or was cancelled is nothing to come to.
    let trainer = world.trainer().await;
    world.cancel(&trainer, &session).await.expect(200);
    world.drain().await;
    let before = world.mailed().await.len();
    world.say(Method::PUT, PLACE, place(true)).await;
    assert_eq!(world.mailed().await.len(), before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_class_to_come_is_told_and_a_course_that_is_removed_uninvites_everybody() {
    let world = World::start().await;
    let over = class_of_course(&world, 1).await;
    world.advance(SignedDuration::from_hours(3));
    let classes = [class_of_course(&world, 50).await, class_of_course(&world, 60).await];
    world.say(Method::PUT, PLACE, place(true)).await;
    assert_eq!(world.kinds_to(NINE), ["scheduled"; 2]);
    assert_eq!(world.noticed_of(9, &over).await, [""; 0]);
    world.say(Method::DELETE, "/v1/directory/courses/course-1", None).await;
    for class in &classes {
        for n in [1, 5, 9] {
            assert_eq!(world.noticed_of(n, class).await, ["scheduled", "uninvited"], "{n}");
        }
    }
    let mailed = world.mailed().await;
    assert_eq!(mailed.iter().filter(|(kind, _)| kind == "uninvited").count(), 12);
    // Whoever knows that they are not invited need not be told that it is cancelled.
    let trainer = world.trainer().await;
    world.cancel(&trainer, &classes[0]).await.expect(200);
    world.drain().await;
    assert_eq!(world.mailed().await.len(), mailed.len());
    let shown = world.get(&trainer, &path_of(&classes[1])).await.expect(200);
    assert_eq!(shown["status"], "scheduled", "it stays with its trainer");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_import_asks_once_for_each_course_and_tells_those_whom_it_changes() {
    let world = World::start().await;
    let service = world.service().await;
    let line = |course: &str, n: usize| {
        let email = format!("s{n}@example.test");
        json!({"type": "enrollment", "course_id": course, "user_id": format!("s-{n}"), "email": email, "name": "S"})
            .to_string()
    };
    let import = async |course: &str, count: usize| {
        let lines: Vec<_> = (0..count).map(|n| line(course, n)).collect();
        let lines = lines.join("\n").into_bytes();
        world.stack.usage.reset();
        let told = world.raw(Method::POST, "/v1/directory/import", &service, lines).await;
        assert_eq!(told.expect(200)["accepted"], count);
    };
    let calls = |operation| world.stack.usage.calls("directory", Service::Dynamodb, operation);
    import("course-7", 450).await;
    let reads = calls("Query") + calls("BatchGetItem");
    assert_eq!((reads, calls("TransactWriteItems")), (1, 0), "a course without classes");

    class_of_course(&world, 50).await;
    let before = world.mailed().await.len();
    for _ in 0..2 {
        import("course-1", 50).await;
        world.drain().await;
        assert_eq!(world.mailed().await.len(), before + 50, "told once");
    }
}
