//! Domain events become mails and in-app notifications, once per recipient.

use jiff::SignedDuration;
use mail_parser::MessageParser;
use serde_json::{Value, json};

use crate::support::{invitees, patched, session_path};
use crate::world::{World, course_session_body, session_body};

impl World {
    /// Runs the outbox sweep once.
    pub(crate) async fn run_outbox_sweep(&self) -> Value {
        self.call(http::Method::POST, "/local/schedules/outbox-sweep/run", "", None, &[])
            .await
            .expect(200)
    }

    /// The sent mails as sorted `(kind, recipient)` pairs.
    pub(crate) async fn sent_mails(&self) -> Vec<(String, String)> {
        let listed = self.get("", "/local/mail").await.expect(200);
        let items = listed["items"].as_array().expect("a list");
        let text = |value: &Value| value.as_str().expect("a text").to_owned();
        let mut all: Vec<_> =
            items.iter().map(|item| (text(&item["kind"]), text(&item["to"]))).collect();
        all.sort();
        all
    }
}

/// The number of mails per kind.
fn count_by_kind(sent: &[(String, String)]) -> Vec<(&str, usize)> {
    let mut all: Vec<(&str, usize)> = Vec::new();
    for (kind, _) in sent {
        match all.last_mut() {
            Some((last, count)) if *last == kind => *count += 1,
            _ => all.push((kind, 1)),
        }
    }
    all
}

async fn connected_trainer() -> (World, String) {
    let world = World::start().await;
    let trainer = world.trainer().await;
    world.connect_zoom(&trainer, "app").await;
    (world, trainer)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn course_students_are_notified_once_of_each_change() {
    let (world, trainer) = connected_trainer().await;
    let session = world.create(&trainer, &course_session_body(50)).await.expect(201);
    let report = world.run_outbox_sweep().await;
    assert_eq!(report["sent"], 5, "{report}");
    assert_eq!(world.run_outbox_sweep().await["claimed"], 0);
    let moved = patched(course_session_body(50), json!({"starts_at": "2026-11-25T09:00:00Z"}));
    world.edit(&trainer, &session, &moved).await.expect(200);
    world.run_outbox_sweep().await;
    world.cancel(&trainer, &session).await.expect(200);
    world.run_outbox_sweep().await;
    let sent = world.sent_mails().await;
    assert_eq!(count_by_kind(&sent), [("cancelled", 5), ("scheduled", 5), ("updated", 5)]);
    assert_eq!(world.due_work("OUTBOX").await, [] as [Value; 0], "no domain event is left");
    let shown = world.get(&trainer, &session_path(&session)).await.expect(200);
    assert_eq!(
        shown["mail"],
        json!({"queued": 0, "sent": 15, "retrying": 0, "failed": 0, "dead": 0, "dropped": 0, "bounced": 0, "complained": 0})
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replaced_invitee_list_notifies_only_affected_people() {
    let (world, trainer) = connected_trainer().await;
    let list = |from: usize, to: usize| {
        let all = invitees(to);
        let some = all.as_array().expect("a list")[from..].to_vec();
        patched(session_body(50), json!({"audience_type": "invitees", "invitees": some}))
    };
    let session = world.create(&trainer, &list(0, 4)).await.expect(201);
    world.run_outbox_sweep().await;
    // The first invitee is removed, the last is new, and the others stay. Nothing else changes.
    world.edit(&trainer, &session, &list(1, 5)).await.expect(200);
    world.run_outbox_sweep().await;
    let sent = world.sent_mails().await;
    assert_eq!(count_by_kind(&sent), [("scheduled", 5), ("uninvited", 1)]);
    assert_eq!(sent[5].1, "student1@example.test");
    let moved = patched(list(1, 5), json!({"starts_at": "2026-11-25T09:00:00Z"}));
    world.edit(&trainer, &session, &moved).await.expect(200);
    world.run_outbox_sweep().await;
    assert_eq!(
        count_by_kind(&world.sent_mails().await),
        [("scheduled", 5), ("uninvited", 1), ("updated", 4)]
    );
}

/// The calendar method and sequence of each mail to an address, in order.
fn calendar_requests(world: &World, address: &str) -> Vec<(String, u32)> {
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

/// Some calendars ignore an entry with a known sequence (RFC 5546, section 2.1.5).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn removal_and_new_invitation_increase_the_calendar_sequence() {
    let (world, trainer) = connected_trainer().await;
    let list = |count: usize| {
        patched(session_body(50), json!({"audience_type": "invitees", "invitees": invitees(count)}))
    };
    let session = world.create(&trainer, &list(2)).await.expect(201);
    world.run_outbox_sweep().await;
    let course =
        patched(session_body(50), json!({"audience_type": "course", "course_id": "course-1"}));
    // Student 2 is removed and invited again, twice by the list and once by the course.
    for body in
        [list(1), list(2), list(1), course, list(1), patched(list(2), json!({"title": "B"}))]
    {
        world.edit(&trainer, &session, &body).await.expect(200);
        // The first run may miss messages in a short poll, and the schedule runs once a minute.
        world.run_outbox_sweep().await;
        world.advance(SignedDuration::from_mins(1));
        world.run_outbox_sweep().await;
    }
    world.cancel(&trainer, &session).await.expect(200);
    world.run_outbox_sweep().await;
    let calendar_requests = calendar_requests(&world, "student2@example.test");
    let methods: Vec<_> = calendar_requests.iter().map(|(method, _)| method.as_str()).collect();
    let expected = ["REQUEST", "CANCEL"].repeat(4);
    assert_eq!(methods, expected);
    assert!(
        calendar_requests.windows(2).all(|pair| pair[0].1 < pair[1].1),
        "{calendar_requests:?}"
    );
    // Student 1 stayed invited and got a mail only for the title.
    let requests_of_student_1 = self::calendar_requests(&world, "student1@example.test");
    let methods: Vec<_> = requests_of_student_1.iter().map(|(method, _)| method.as_str()).collect();
    assert_eq!(methods, ["REQUEST", "REQUEST", "CANCEL"], "{requests_of_student_1:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn session_without_recipients_sends_nothing_and_leaves_no_event() {
    let (world, trainer) = connected_trainer().await;
    let session = world.create(&trainer, &session_body(50)).await.expect(201);
    let report = world.run_outbox_sweep().await;
    assert_eq!((&report["finished_events"], &report["queued"]), (&json!(1), &json!(0)));
    // With an audience, only the invitation is sent.
    let list =
        patched(session_body(50), json!({"audience_type": "invitees", "invitees": invitees(1)}));
    world.edit(&trainer, &session, &list).await.expect(200);
    world.run_outbox_sweep().await;
    assert_eq!(
        world.sent_mails().await,
        [("scheduled".into(), "student1@example.test".to_owned())]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn timeline_shows_the_delivery_status_of_each_mail() {
    let (world, trainer) = connected_trainer().await;
    let body =
        patched(session_body(50), json!({"audience_type": "invitees", "invitees": invitees(2)}));
    let session = world.create(&trainer, &body).await.expect(201);
    world.run_outbox_sweep().await;
    world.advance(SignedDuration::from_secs(1));
    let path = format!("{}/timeline", session_path(&session));
    let entries = world.list_items(&trainer, &path).await;
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
    // Paging returns the same entries.
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
