//! Items that this version cannot read affect only their own session or person.

use std::collections::BTreeSet;

use aws_sdk_dynamodb::types::AttributeValue;
use jiff::SignedDuration;
use local::calls::Service;
use local::faults::{Fault, FaultKind};
use serde_json::{Value, json};
use shared::telemetry::metrics;

use crate::functions::{Item, MAIN_TABLE, TOKENS_TABLE, string_attr, table_items};
use crate::log::CapturedLog;
use crate::support::{patched, session_path};
use crate::world::{World, course_session_body};
use crate::zoom_session::ScheduledSession;

/// Attributes of keys and indexes, which are not changed.
const KEYS: [&str; 7] = ["pk", "sk", "g1pk", "g1sk", "g2pk", "g2sk", "expires_at"];

/// Attributes with a word of a fixed set.
const WORDS: [&str; 12] = [
    "status",
    "source",
    "provider",
    "kind",
    "event",
    "work",
    "reminder",
    "state",
    "phase",
    "recorded_status",
    "health",
    "outcome",
];

/// How an item is made unreadable.
#[derive(Clone, Copy, Debug)]
enum Damage {
    /// Each attribute has another type.
    Type,
    /// Each word is one that only a newer version has.
    Word,
    /// All attributes are missing.
    Empty,
}

impl Damage {
    fn apply(self, item: &Item) -> Item {
        let mut damaged = item.clone();
        match self {
            Self::Empty => damaged.retain(|name, _| KEYS.contains(&name.as_str())),
            Self::Type => {
                for (_, value) in
                    damaged.iter_mut().filter(|(name, _)| !KEYS.contains(&name.as_str()))
                {
                    let inner = AttributeValue::S("of tomorrow".to_owned());
                    *value = match value {
                        AttributeValue::M(_) | AttributeValue::L(_) => inner,
                        _ => AttributeValue::M([("new".to_owned(), inner)].into()),
                    };
                }
            }
            Self::Word => damaged.iter_mut().for_each(|(name, value)| rename_words(name, value)),
        }
        damaged
    }
}

fn rename_words(name: &str, value: &mut AttributeValue) {
    match value {
        // "k" and "s" are kind and status of a delivery record.
        AttributeValue::S(word) if WORDS.contains(&name) || matches!(name, "k" | "s") => {
            *word = "of_tomorrow".to_owned();
        }
        AttributeValue::M(members) => {
            members.iter_mut().for_each(|(name, value)| rename_words(name, value));
        }
        AttributeValue::L(list) => list.iter_mut().for_each(|value| rename_words(name, value)),
        _ => {}
    }
}

async fn put(world: &World, item: Item) {
    let put = world.dynamodb().put_item().table_name(MAIN_TABLE).set_item(Some(item));
    put.send().await.expect("a stored item");
}

/// Two sessions of `course-1`. The first one has items of every kind, and work that is due.
struct Scenario {
    world: World,
    damaged: ScheduledSession,
    other: Value,
}

impl Scenario {
    async fn prepare() -> Self {
        let world = World::start().await;
        let trainer = world.trainer().await;
        world.connect_zoom(&trainer, "app").await;
        let damaged = ScheduledSession::schedule(&world, &trainer, course_session_body(1)).await;
        let other = world.create(&trainer, &course_session_body(3)).await.expect(201);
        world.run_outbox_sweep().await;
        world.advance(SignedDuration::from_hours(1));
        // Join attempts, events, a poll, votes, overrides, recordings.
        let student = world.student(1).await;
        world.post(&student, &format!("{}/join", damaged.path), json!({})).await;
        damaged.post_event(&world, &damaged.started("u1", 0)).await;
        damaged.post_event(&world, &damaged.joined("u1", "a", 0)).await;
        let poll = json!({"question": "Which is larger?", "options": ["2/3", "3/4"]});
        let polls = format!("{}/polls", damaged.path);
        let poll = world.post(&trainer, &polls, poll).await.expect(201);
        let vote = format!("{polls}/{}/vote", poll["id"].as_str().expect("an id"));
        let choice = json!({"option_ids": [poll["options"][0]["id"]]});
        world.put(&student, &vote, choice).await.expect(200);
        let report = format!("{}/attendance", damaged.path);
        let rows = world.get(&trainer, &report).await.expect(200)["attendees"].clone();
        let row = rows[0]["attendee_id"].as_str().expect("an id").to_owned();
        let present = json!({"present": true, "reason": "Seen."});
        world.put(&trainer, &format!("{report}/{row}"), present).await.expect(200);
        let file = json!({"id": "f1", "file_type": "MP4", "file_size": 1000, "status": "completed",
            "recording_start": damaged.at(1), "recording_end": damaged.at(9),
            "play_url": "https://zoom.us/rec/play/f1"});
        let recorded = json!({"uuid": "u1", "recording_files": [file]});
        damaged
            .post_event(&world, &damaged.event("recording.completed", damaged.at(10), &recorded))
            .await;
        // A mail that waits for another attempt, and a domain event that was not fanned out.
        world.inject_fault(Fault::new(Service::Ses, "SendEmail", FaultKind::Error));
        let resend = format!("{}/resend-invite", damaged.path);
        world.post(&trainer, &resend, json!({})).await.expect(202);
        world.run_outbox_sweep().await;
        world.post(&trainer, &resend, json!({})).await.expect(202);
        Self { world, damaged, other }
    }

    fn id(&self) -> &str {
        self.damaged.path.rsplit('/').next().expect("an id")
    }

    /// Returns the items of the first session, and the enrollment of student 2.
    async fn items(&self) -> Vec<Item> {
        let id = self.id();
        let meeting = format!("MEETING#{}", self.damaged.meeting);
        let mut items = table_items(&self.world, MAIN_TABLE).await;
        items.retain(|item| {
            let (pk, sk) = (string_attr(item, "pk"), string_attr(item, "sk"));
            pk.contains(id)
                || sk.contains(id)
                || pk == meeting
                || pk.starts_with("POLL")
                || string_attr(item, "session_id") == id
                || (pk == "USER#student-2" && !sk.starts_with("NOTIFICATION"))
        });
        items
    }
}

fn key(item: &Item) -> (String, String) {
    (string_attr(item, "pk").to_owned(), string_attr(item, "sk").to_owned())
}

async fn check_damage(damage: Damage) {
    let scenario = Scenario::prepare().await;
    let Scenario { world, other, .. } = &scenario;
    let originals = scenario.items().await;
    let kinds: BTreeSet<_> = originals
        .iter()
        .map(|item| string_attr(item, "sk").split('#').next().unwrap_or_default().to_owned())
        .collect();
    for kind in [
        "SESSION",
        "MAIL",
        "DELIVERY",
        "POLLS",
        "BALLOTS",
        "OVERRIDE",
        "AUDIT",
        "EVENT",
        "RECORDING",
    ] {
        assert!(kinds.contains(kind), "no {kind} in {kinds:?}");
    }
    for item in &originals {
        put(world, damage.apply(item)).await;
    }
    let log = CapturedLog::start();
    let mut trainer = world.trainer().await;
    let moved = patched(course_session_body(4), json!({"title": "Geometry"}));
    world.edit(&trainer, other, &moved).await.expect(200);
    world.advance(SignedDuration::from_mins(2));
    let (outbox, reminders) = (world.run_outbox_sweep().await, world.sweep().await);
    let context = format!("{damage:?}: {outbox} {reminders}");
    // The reminder of the other session one hour before its start.
    world.advance(SignedDuration::from_mins(119));
    world.sweep().await;
    world.run_outbox_sweep().await;
    let mailed = world.sent_mails().await;
    for kind in ["updated", "reminder_hour_before"] {
        for student in [1, 3, 4, 5] {
            let mail = (kind.to_owned(), format!("student{student}@example.test"));
            assert!(mailed.contains(&mail), "{mail:?} {context}");
        }
    }
    // Lists, reports and notifications of the other session and of other people.
    trainer = world.trainer().await;
    let student = world.student(1).await;
    for (token, list) in [(&trainer, "/v1/sessions"), (&student, "/v1/me/sessions")] {
        let items = world.list_items(token, list).await;
        assert!(items.iter().any(|item| item["id"] == other["id"]), "{list}: {items:?} {context}");
    }
    world.list_items(&student, "/v1/me/notifications").await;
    let path = session_path(other);
    for part in ["", "/timeline", "/attendance", "/recordings", "/polls"] {
        world.get(&trainer, &format!("{path}{part}")).await.expect(200);
    }
    let report = world.get(&trainer, &format!("{path}/attendance")).await.expect(200);
    assert!(report["attendees"].as_array().map(Vec::len) >= Some(4), "{report} {context}");
    // Days later, the other session is archived.
    world.advance(SignedDuration::from_hours(24 * 4));
    world.sweep().await;
    let archived = world.items(&format!("SESSION#{}", other["id"].as_str().expect("an id"))).await;
    assert!(archived.iter().any(|item| item["sk"] == "ARCHIVE"), "{context}");

    assert!(log.text().contains(metrics::UNREADABLE_ITEMS.name), "{context}");
    // The damaged items are kept. Due work without a readable session expires.
    let left: BTreeSet<_> = table_items(world, MAIN_TABLE).await.iter().map(key).collect();
    for kept in originals.iter().map(key).filter(|(pk, _)| pk.starts_with("SESSION#")) {
        assert!(left.contains(&kept), "{kept:?} is gone: {context}");
    }
}

#[tokio::test]
async fn unreadable_items_of_a_session_do_not_affect_others() {
    for damage in [Damage::Type, Damage::Word, Damage::Empty] {
        Box::pin(check_damage(damage)).await;
    }
}

/// Changes the items with these prefixes of partition and sort key.
async fn change(world: &World, pk: &str, sk: &str, change: impl Fn(&mut Item)) {
    let mut items = table_items(world, MAIN_TABLE).await;
    items.retain(|item| {
        string_attr(item, "pk").starts_with(pk) && string_attr(item, "sk").starts_with(sk)
    });
    assert!(!items.is_empty(), "no item {pk} / {sk}");
    for mut item in items {
        change(&mut item);
        put(world, item).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unknown_values_are_kept_and_mails_are_sent() {
    let world = World::start().await;
    let trainer = world.trainer().await;
    world.connect_zoom(&trainer, "app").await;
    let text = |value: &str| AttributeValue::S(value.to_owned());
    // A name that this version would not accept.
    change(&world, "USER#student-1", "ENROLLMENT#", |item| {
        item.insert("name".to_owned(), text("Ada\u{7}"));
    })
    .await;
    let session = world.create(&trainer, &course_session_body(50)).await.expect(201);
    assert_eq!(world.run_outbox_sweep().await["sent"], 5);
    let partition = format!("SESSION#{}", session["id"].as_str().expect("an id"));
    change(&world, &partition, "SESSION", |item| {
        item.insert("source".to_owned(), text("import"));
        item.insert("v".to_owned(), AttributeValue::N("2".to_owned()));
        let setting = [("new_setting".to_owned(), AttributeValue::Bool(true))];
        item.insert("settings".to_owned(), AttributeValue::M(setting.into()));
    })
    .await;
    let mailing = partition.replace("SESSION#", "MAILING#");
    change(&world, &mailing, "DELIVERY#", |item| {
        let Some(AttributeValue::L(records)) = item.get_mut("mails") else { return };
        let Some(AttributeValue::M(record)) = records.first_mut() else { return };
        record.insert("s".to_owned(), text("bounced"));
        let Some(AttributeValue::M(record)) = records.last_mut() else { return };
        record.insert("k".to_owned(), text("congratulation"));
    })
    .await;
    let moved = patched(course_session_body(60), json!({"title": "Geometry"}));
    let edited = world.edit(&trainer, &session, &moved).await.expect(200);
    assert_eq!(edited["source"], "import");
    let report = world.run_outbox_sweep().await;
    assert_eq!(report["sent"], 5, "{report}");
    let stored = world.items(&partition).await;
    let stored = stored.iter().find(|item| item["sk"] == "SESSION").expect("the session");
    assert_eq!((&stored["source"], &stored["v"]), (&json!("import"), &json!(2)));
    world.advance(SignedDuration::from_secs(1));
    world.list_items(&trainer, &format!("{}/timeline", session_path(&session))).await;
    world.advance(SignedDuration::from_hours(63));
    let trainer = world.trainer().await;
    let report = world.get(&trainer, &format!("{}/attendance", session_path(&session))).await;
    let report = report.expect(200);
    assert_eq!(report["expected"], 5, "{report}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mail_of_an_unreadable_session_waits_and_is_sent_after_a_redrive() {
    let world = World::start().await;
    let (_, session) = world.create_with_invitees(1).await;
    let partition = format!("SESSION#{}", session["id"].as_str().expect("an id"));
    let status = |word: &'static str| {
        move |item: &mut Item| {
            item.insert("status".to_owned(), AttributeValue::S(word.to_owned()));
        }
    };
    world.inject_fault(Fault::new(Service::Ses, "SendEmail", FaultKind::Throttle));
    world.run_outbox_sweep().await;
    change(&world, &partition, "SESSION", status("postponed")).await;
    for _ in 0..5 {
        world.advance(SignedDuration::from_hours(2));
        let report = world.run_outbox_sweep().await;
        assert_eq!((&report["sent"], &report["dropped"]), (&json!(0), &json!(0)), "{report}");
    }
    let dead = world.messages(crate::outbox_faults::OUTBOX_DLQ).await.remove(0);
    assert!(dead.contains("\"error\":\"item_unreadable\""), "{dead}");
    change(&world, &partition, "SESSION", status("scheduled")).await;
    world.redrive().await;
    assert_eq!(world.run_outbox_sweep().await["sent"], 1);
    let trainer = world.trainer().await;
    assert_eq!(world.mail_counts(&trainer, &session).await, json!({"sent": 1}));
}

/// Attributes whose members are named by ids or by the platform, at any depth, and items that consist of such members.
const KEYED: [&str; 1] = ["plans"];
const KEYED_ITEMS: [&str; 3] = ["POLLS", "BALLOTS", "BOOKINGS"];

/// Adds a member of a newer version to a map and to the maps in it.
fn add_member(members: &mut Item) {
    for (name, value) in members.iter_mut() {
        match value {
            AttributeValue::M(inner) if KEYED.contains(&name.as_str()) => {
                inner.values_mut().for_each(add_members);
            }
            value => add_members(value),
        }
    }
    let added = [("of_tomorrow".to_owned(), AttributeValue::Bool(true))];
    members.insert("added_later".to_owned(), AttributeValue::M(added.into()));
}

fn add_members(value: &mut AttributeValue) {
    match value {
        AttributeValue::M(members) => add_member(members),
        AttributeValue::L(list) => list.iter_mut().for_each(add_members),
        _ => {}
    }
}

#[tokio::test]
async fn unknown_members_of_every_item_are_ignored() {
    let scenario = Scenario::prepare().await;
    let Scenario { world, damaged, other } = &scenario;
    world
        .put_settings(json!({"plans": {"pro": {"sessions_per_month": 40}}, "overlap": "warn"}))
        .await;
    world
        .put_user(
            "trainer-1",
            json!({"defaults": {"settings": {"waiting_room": true}, "record_session": true}}),
        )
        .await;
    let service = world.service().await;
    let host = json!({"email": "hana@example.test", "create": "auto", "licence": "leased"});
    world.put(&service, "/v1/hosts/trainer-2", host).await.expect(202);
    world.meeting_sweep().await;
    let mut changed = BTreeSet::new();
    for table in [MAIN_TABLE, TOKENS_TABLE] {
        for mut item in table_items(world, table).await {
            let sort_key =
                string_attr(&item, "sk").split('#').next().unwrap_or_default().to_owned();
            if KEYED_ITEMS.contains(&sort_key.as_str()) {
                item.values_mut().for_each(add_members);
            } else {
                add_member(&mut item);
            }
            changed.insert(sort_key);
            let put = world.dynamodb().put_item().table_name(table).set_item(Some(item));
            put.send().await.expect("a stored item");
        }
    }
    assert!(changed.len() > 20, "{changed:?}");
    let log = CapturedLog::start();
    let trainer = world.trainer().await;
    let student = world.student(1).await;
    for part in ["", "/timeline", "/attendance", "/attendance/audit", "/recordings", "/polls"] {
        world.get(&trainer, &format!("{}{part}", damaged.path)).await.expect(200);
    }
    for path in [
        "/v1/sessions",
        "/v1/me/notifications",
        "/v1/zoom/connection",
        "/v1/me/notification-preferences",
    ] {
        world.get(&trainer, path).await.expect(200);
    }
    assert_eq!(world.list_items(&student, "/v1/me/sessions").await.len(), 2);
    world.get(&service, "/v1/hosts/trainer-2").await.expect(200);
    world.get(&service, "/v1/hosts/licences").await.expect(200);
    world.post(&student, &format!("{}/join", damaged.path), json!({})).await.expect(200);
    damaged.post_event(world, &damaged.left("u1", "a", 5)).await;
    let created =
        world.create(&trainer, &patched(course_session_body(30), json!({"settings": {}}))).await;
    assert_eq!(created.expect(201)["record_session"], true, "the default of the trainer");
    let moved = patched(course_session_body(4), json!({"title": "Geometry"}));
    world.edit(&trainer, other, &moved).await.expect(200);
    for _ in 0..3 {
        world.run_outbox_sweep().await;
        world.sweep().await;
        world.meeting_sweep().await;
        world.advance(SignedDuration::from_hours(2));
    }
    world.advance(SignedDuration::from_hours(24 * 4));
    world.sweep().await;
    world
        .cancel(
            &world.trainer().await,
            &world.create(&world.trainer().await, &course_session_body(200)).await.expect(201),
        )
        .await
        .expect(200);
    let unreadable = log.events("store.item_unreadable");
    assert_eq!(unreadable, Vec::<Value>::new());
}
