//! Announcements become mails and notices: who is told what, and once.

use jiff::SignedDuration;
use mail_parser::MessageParser;
use serde_json::{Value, json};

use crate::look::{invitees, path_of, with};
use crate::world::{World, class, course_class};

impl World {
    /// Runs the outbox's sweep once.
    pub(crate) async fn drain(&self) -> Value {
        self.call(http::Method::POST, "/local/schedules/outbox-sweep/run", "", None, &[])
            .await
            .expect(200)
    }

    /// What was sent, as `(kind, recipient)`, in the order of both.
    pub(crate) async fn mailed(&self) -> Vec<(String, String)> {
        let listed = self.get("", "/local/mail").await.expect(200);
        let items = listed["items"].as_array().expect("a list");
        let text = |value: &Value| value.as_str().expect("a text").to_owned();
        let mut all: Vec<_> =
            items.iter().map(|item| (text(&item["kind"]), text(&item["to"]))).collect();
        all.sort();
        all
    }
}

/// So many of each kind.
fn kinds(mailed: &[(String, String)]) -> Vec<(&str, usize)> {
    let mut all: Vec<(&str, usize)> = Vec::new();
    for (kind, _) in mailed {
        match all.last_mut() {
            Some((last, count)) if *last == kind => *count += 1,
            _ => all.push((kind, 1)),
        }
    }
    all
}

async fn teaching() -> (World, String) {
    let world = World::start().await;
    let trainer = world.trainer().await;
    world.connect_zoom(&trainer, "app").await;
    (world, trainer)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everybody_of_a_course_is_told_of_each_change_once() {
    let (world, trainer) = teaching().await;
    let session = world.create(&trainer, &course_class(50)).await.expect(201);
    let report = world.drain().await;
    assert_eq!(report["sent"], 5, "{report}");
    assert_eq!(world.drain().await["claimed"], 0);
    let moved = with(course_class(50), json!({"starts_at": "2026-11-25T09:00:00Z"}));
    world.edit(&trainer, &session, &moved).await.expect(200);
    world.drain().await;
    world.cancel(&trainer, &session).await.expect(200);
    world.drain().await;
    let mailed = world.mailed().await;
    assert_eq!(kinds(&mailed), [("cancelled", 5), ("scheduled", 5), ("updated", 5)]);
    assert_eq!(world.due("OUTBOX").await, [] as [Value; 0], "nothing is left to be told");
    let shown = world.get(&trainer, &path_of(&session)).await.expect(200);
    assert_eq!(
        shown["mail"],
        json!({"queued": 0, "sent": 15, "retrying": 0, "failed": 0, "dead": 0, "dropped": 0})
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_list_that_was_replaced_each_is_told_what_concerns_them() {
    let (world, trainer) = teaching().await;
    let list = |from: usize, to: usize| {
        let all = invitees(to);
        let some = all.as_array().expect("a list")[from..].to_vec();
        with(class(50), json!({"audience_type": "invitees", "invitees": some}))
    };
    let session = world.create(&trainer, &list(0, 4)).await.expect(201);
    world.drain().await;
    // The first is no longer invited, the last is new, and those between stay; nothing else changes.
    world.edit(&trainer, &session, &list(1, 5)).await.expect(200);
    world.drain().await;
    let mailed = world.mailed().await;
    assert_eq!(kinds(&mailed), [("scheduled", 5), ("uninvited", 1)]);
    assert_eq!(mailed[5].1, "student1@example.test");
    let moved = with(list(1, 5), json!({"starts_at": "2026-11-25T09:00:00Z"}));
    world.edit(&trainer, &session, &moved).await.expect(200);
    world.drain().await;
    assert_eq!(kinds(&world.mailed().await), [("scheduled", 5), ("uninvited", 1), ("updated", 4)]);
}

/// What each mail to an address asks of its calendar, in order: the method, and the sequence of the entry.
fn asked(world: &World, address: &str) -> Vec<(String, u32)> {
    let mails = world.stack.aws.mailbox().list().expect("the mailbox can be read").into_iter();
    let raw = mails.filter(|mail| mail.to.iter().any(|to| to == address)).map(|mail| mail.raw);
    raw.map(|raw| {
        let message = MessageParser::new().parse(&raw).expect("a message");
        let mut texts = message.parts.iter().filter_map(|part| part.text_contents());
        let entry = texts.find(|text| text.starts_with("BEGIN:VCALENDAR"));
        let lines: Vec<_> = entry.expect("a calendar entry").lines().map(str::to_owned).collect();
        let value =
            |name: &str| lines.iter().find_map(|line| line.strip_prefix(name)).expect("a value");
        (value("METHOD:").to_owned(), value("SEQUENCE:").parse().expect("a number"))
    })
    .collect()
}

/// Some calendars take nothing of a sequence that they know (RFC 5546, section 2.1.5).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_is_invited_no_more_and_then_again_is_asked_by_a_higher_sequence_each_time() {
    let (world, trainer) = teaching().await;
    let list = |count: usize| {
        with(class(50), json!({"audience_type": "invitees", "invitees": invitees(count)}))
    };
    let session = world.create(&trainer, &list(2)).await.expect(201);
    world.drain().await;
    let course = with(class(50), json!({"audience_type": "course", "course_id": "course-1"}));
    // Student 2 leaves and comes back, twice on a list and once by the course.
    for body in [list(1), list(2), list(1), course, list(1), with(list(2), json!({"title": "B"}))] {
        world.edit(&trainer, &session, &body).await.expect(200);
        world.drain().await;
    }
    world.cancel(&trainer, &session).await.expect(200);
    world.drain().await;
    let asked = asked(&world, "student2@example.test");
    let methods: Vec<_> = asked.iter().map(|(method, _)| method.as_str()).collect();
    let expected = ["REQUEST", "CANCEL"].repeat(4);
    assert_eq!(methods, expected);
    assert!(asked.windows(2).all(|pair| pair[0].1 < pair[1].1), "{asked:?}");
    // Who stayed was not bothered, but for the title.
    let stayed = self::asked(&world, "student1@example.test");
    let methods: Vec<_> = stayed.iter().map(|(method, _)| method.as_str()).collect();
    assert_eq!(methods, ["REQUEST", "REQUEST", "CANCEL"], "{stayed:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_is_told_of_a_class_for_nobody_and_no_announcement_stays() {
    let (world, trainer) = teaching().await;
    let session = world.create(&trainer, &class(50)).await.expect(201);
    let report = world.drain().await;
    assert_eq!((&report["announced"], &report["queued"]), (&json!(1), &json!(0)));
    // It becomes one for somebody, and only that is news.
    let list = with(class(50), json!({"audience_type": "invitees", "invitees": invitees(1)}));
    world.edit(&trainer, &session, &list).await.expect(200);
    world.drain().await;
    assert_eq!(world.mailed().await, [("scheduled".into(), "student1@example.test".to_owned())]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_fate_of_each_mail_stands_in_the_timeline() {
    let (world, trainer) = teaching().await;
    let body = with(class(50), json!({"audience_type": "invitees", "invitees": invitees(2)}));
    let session = world.create(&trainer, &body).await.expect(201);
    world.drain().await;
    world.advance(SignedDuration::from_secs(1));
    let path = format!("{}/timeline", path_of(&session));
    let entries = world.listed(&trainer, &path).await;
    let mails: Vec<_> = entries
        .iter()
        .filter(|entry| entry["kind"].as_str().expect("a kind").starts_with("mail."))
        .collect();
    assert_eq!(mails.len(), 4, "{entries:?}");
    for (kind, entry) in ["mail.sent", "mail.sent", "mail.queued", "mail.queued"].iter().zip(&mails)
    {
        assert_eq!(entry["kind"], *kind, "{entries:?}");
        assert_eq!(entry["detail"]["mail"], "scheduled");
        assert!(entry["detail"]["recipient"].as_str().expect("a name").contains("@example.test"));
        assert_eq!(entry["detail"]["message_id"].is_string(), *kind == "mail.sent");
    }
    // Page by page the same.
    let mut paged = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = world.get(&trainer, &format!("{path}?limit=1{cursor}")).await.expect(200);
        paged.extend(page["items"].as_array().expect("a list").clone());
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(paged, entries);
}
