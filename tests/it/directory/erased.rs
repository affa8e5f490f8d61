//! What leads to somebody who is erased, and by which way each of it is found.

use aws_sdk_dynamodb::types::AttributeValue;
use jiff::SignedDuration;
use local::calls::Service::Dynamodb;
use local::faults::{Fault, Kind};
use serde_json::{Value, json};

use crate::direct::{Direct, MAIN_TABLE, dynamodb, items, text};
use crate::lesson::{HOURS_AHEAD, Lesson};
use crate::look::with;
use crate::world::{World, class, course_class};

const ZELDA: &str = "/v1/directory/users/zelda";
const PLACE: &str = "/v1/directory/courses/course-1/enrollments/zelda";

/// What is stored and names her.
async fn naming(world: &World) -> Vec<Value> {
    let named = |item: &Value| {
        let text = item.to_string().to_lowercase();
        text.contains("zelda") || text.contains("zwingli")
    };
    world.dump().await.into_iter().filter(named).collect()
}

/// A world with `trainer-1` connected, a class of `course-1`, and Zelda in the course.
async fn world_and_lesson() -> (World, String, Lesson) {
    let world = World::start().await;
    let (trainer, service) = (world.trainer().await, world.service().await);
    world.connect_zoom(&trainer, "app").await;
    let place = json!({"email": "zelda@example.test", "name": "Zelda Zwingli"});
    world.put(&service, PLACE, place).await.expect(200);
    let lesson = Lesson::schedule(&world, &trainer).await;
    (world, trainer, lesson)
}

async fn zelda(world: &World) -> String {
    world
        .token(json!({"sub": "zelda", "role": "student", "email": "zelda@example.test", "name": "Zelda Zwingli"}))
        .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_stands_in_two_lists_of_one_class_is_erased_like_others() {
    let world = World::start().await;
    let (trainer, service) = (world.trainer().await, world.service().await);
    let user = json!({"email": "zelda@example.test", "name": "Zelda Zwingli", "role": "student"});
    world.put(&service, ZELDA, user).await.expect(200);
    let invites = |hours: i64| {
        let list = json!([{"email": "zelda@example.test", "name": "Zelda Zwingli"}]);
        with(
            class(hours),
            json!({"audience_type": "invitees", "invitees": list, "provider": "manual", "join_url": "https://meet.example.test/a"}),
        )
    };
    let made = world.create(&trainer, &invites(26)).await.expect(201);
    world.edit(&trainer, &made, &invites(30)).await.expect(200);
    world.delete(&service, ZELDA).await.expect(204);
    assert_eq!(naming(&world).await, Vec::<Value>::new());
}

/// Events that nothing follows from, and that name people in ways of their own.
fn unhandled(lesson: &Lesson) -> Vec<Value> {
    let person = json!({"user_id": "16778240", "user_name": "Zelda Zwingli", "participant_uuid": "c1",
        "email": "zelda@example.test", "phone_number": "+41 44 555 01 01"});
    let registrant = json!({"first_name": "Zelda", "last_name": "Zwingli", "email": "zelda@example.test", "city": "Zwinglistadt"});
    let chat = json!({"sender_name": "Zelda Zwingli", "message_content": "It is me, Zelda.", "file_ids": []});
    let said = [
        ("meeting.participant_put_in_waiting_room", json!({"participant": person})),
        ("meeting.participant_jbh_waiting", json!({"participant": person})),
        ("meeting.registration_created", json!({"registrant": registrant})),
        ("meeting.chat_message_sent", json!({"chat_message": chat})),
        ("meeting.event_of_tomorrow", json!({"people": [person]})),
    ];
    said.into_iter()
        .map(|(name, object)| {
            lesson.event(name, lesson.at(1), &with(object, json!({"uuid": "u1"})))
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_what_nothing_follows_from_only_that_it_came_is_kept() {
    let (world, trainer, lesson) = world_and_lesson().await;
    let before = naming(&world).await;
    let told = unhandled(&lesson);
    for event in told.iter().chain(&told) {
        lesson.tell(&world, event).await;
    }
    assert_eq!(naming(&world).await, before, "nobody is named by it");
    let timeline = world.listed(&trainer, &format!("{}/timeline", lesson.path)).await;
    let mut kinds: Vec<_> = timeline.iter().filter_map(|entry| entry["kind"].as_str()).collect();
    kinds.sort_unstable();
    let mut expected: Vec<_> = told
        .iter()
        .map(|event| format!("zoom.{}", event["event"].as_str().expect("a name")))
        .collect();
    expected.sort_unstable();
    assert_eq!(kinds, expected, "each once");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_older_version_kept_whole_names_nobody_after_erasing() {
    let (world, _, lesson) = world_and_lesson().await;
    for (n, event) in unhandled(&lesson).into_iter().enumerate() {
        let item = [
            ("pk", format!("MEETING#{}", lesson.meeting)),
            ("sk", format!("EVENT#{}.000Z#{n:016x}", lesson.at(1).strftime("%Y-%m-%dT%H:%M:%S"))),
            ("at", lesson.at(1).to_string()),
            ("raw", event.to_string()),
        ];
        let item = item.map(|(name, value)| (name.to_owned(), AttributeValue::S(value)));
        let put = dynamodb(&world).put_item().table_name(MAIN_TABLE).set_item(Some(item.into()));
        put.send().await.expect("stored");
    }
    assert!(naming(&world).await.len() > 5);
    world.delete(&world.service().await, ZELDA).await.expect(204);
    assert_eq!(naming(&world).await, Vec::<Value>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_came_before_a_secret_was_replaced_is_recognised_by_their_click() {
    let (world, _, lesson) = world_and_lesson().await;
    world.advance(SignedDuration::from_hours(HOURS_AHEAD));
    let token = zelda(&world).await;
    let pass = world.post(&token, &format!("{}/join", lesson.path), json!({})).await.expect(200);
    lesson.act(&world, "start", json!({})).await;
    let by_key = json!({"name": "Zelda Zwingli", "customer_key": pass["customer_key"]});
    lesson.act(&world, "join", by_key).await;
    world.advance(SignedDuration::from_mins(30));
    lesson.act(&world, "end", json!({})).await;
    let replaced = json!({"zoom_sdk_secret": "another-sdk-secret"});
    let replaced = with(local::settings::secrets(), replaced).to_string();
    world.stack.aws.set_secret(local::settings::SECRET_ID, &replaced).await.expect("set");
    world.advance(SignedDuration::from_mins(10));
    let service = world.service().await;
    // The first run ends after her clicks are gone, if they go before what they lead to.
    world.fault(
        Fault::new(Dynamodb, "BatchWriteItem", Kind::Error).by("directory").after(1).times(9),
    );
    world.delete(&service, ZELDA).await;
    world.stack.faults.clear();
    world.delete(&service, ZELDA).await.expect(204);
    assert_eq!(naming(&world).await, Vec::<Value>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_erasing_that_is_cut_off_goes_on_where_it_was() {
    const COURSES: usize = 6;
    let world = World::start().await;
    let (trainer, service) = (world.trainer().await, world.service().await);
    let user = json!({"email": "zelda@example.test", "name": "Zelda Zwingli", "role": "student"});
    world.put(&service, ZELDA, user).await.expect(200);
    let link = json!({"provider": "manual", "join_url": "https://meet.example.test/a"});
    for n in 0..COURSES {
        let course = format!("/v1/directory/courses/zc-{n}");
        let told = json!({"title": "Course", "trainer_id": "trainer-1"});
        world.put(&service, &course, told).await.expect(200);
        // One place has an address that stands nowhere else.
        let email = if n == 0 { "zelda.work@example.test" } else { "zelda@example.test" };
        let place = json!({"email": email, "name": "Zelda Zwingli"});
        world.put(&service, &format!("{course}/enrollments/zelda"), place).await.expect(200);
        let of_course = with(course_class(26), json!({"course_id": format!("zc-{n}")}));
        world.create(&trainer, &with(of_course, link.clone())).await.expect(201);
    }
    let list = json!([{"email": "zelda.work@example.test", "name": "Zelda Zwingli"}]);
    let invited = json!({"audience_type": "invitees", "invitees": list});
    world.create(&trainer, &with(with(class(26), link), invited)).await.expect(201);

    let left = async || {
        let all = items(&world, MAIN_TABLE, "USER#zelda").await;
        all.iter().filter(|item| text(item, "sk").starts_with("ENROLLMENT#")).count()
    };
    let mut runs = 0;
    let mut before = left().await;
    assert_eq!(before, COURSES);
    loop {
        // Each run gets a little further and then ends, whatever it was at.
        let fault = Fault::new(Dynamodb, "Query", Kind::Error).by("directory").after(20).times(9);
        world.fault(fault);
        let direct = Direct::new(&world, &[]);
        let answer = direct.call("directory", "DELETE", ZELDA, &service, None).await;
        world.stack.faults.clear();
        runs += 1;
        if answer.status == 204 {
            break;
        }
        let now = left().await;
        assert!(now < before, "run {runs} finished no course: {now} of {before} are left");
        before = now;
    }
    assert!(runs > 1, "it was cut off");
    assert_eq!(naming(&world).await, Vec::<Value>::new());
}
