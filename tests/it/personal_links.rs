//! Personal links: classes in the platform's own account, which people join with Zoom's client.

use std::collections::BTreeSet;

use futures::future::join_all;
use jiff::SignedDuration;
use local::calls::Service::Zoom;
use local::faults::{Fault, FaultKind};
use local::zoom::{AccountSettingsUpdate, SettingsUpdate};
use serde_json::{Value, json};
use shared::config::names;
use shared::domain::scope::{REQUIRED_OF_ACCOUNT, REQUIRED_OF_ACCOUNT_FOR_LINKS};

use crate::functions::DirectFunctions;
use crate::guests::guest_tokens;
use crate::platform_hosting::{assign_host, delete_account_token};
use crate::support::{patched, session_path};
use crate::usage::{check_budgets, take_cost};
use crate::world::{Response, World, course_session_body, session_body};
use crate::zoom_session::{ScheduledSession, simulate};

const HOURS: i64 = 26;
const MINUTE: SignedDuration = SignedDuration::from_mins(1);
const GUEST: &str = "gil@guests.test";

/// A world in which people join by link and the platform hosts the classes of `trainer-1`.
async fn link_world() -> (World, String) {
    let world = World::start_with_settings(&[(names::JOIN_MODE, "link")]).await;
    set_scopes(&world, &REQUIRED_OF_ACCOUNT_FOR_LINKS);
    let trainer = world.trainer().await;
    assign_host(&world, "trainer-1", "hana@example.test").await;
    world.stack.usage.reset();
    (world, trainer)
}

/// Gives the account's app the scopes that it always needs, and these.
fn set_scopes(world: &World, others: &[&str]) {
    let scopes = REQUIRED_OF_ACCOUNT.iter().chain(others).map(|scope| (*scope).to_owned());
    let mut update = SettingsUpdate::default();
    update.server_app.scopes = Some(Some(scopes.collect()));
    world.stack.zoom.update_settings(update);
}

/// A class for the students with these numbers and a guest.
fn invitees_body(students: std::ops::RangeInclusive<u32>) -> Value {
    let students = students.map(|n| json!({"email": format!("student{n}@example.test")}));
    let invitees: Vec<_> = students.chain([json!({"email": GUEST, "name": "Gil"})]).collect();
    patched(session_body(HOURS), json!({"audience_type": "invitees", "invitees": invitees}))
}

async fn join(world: &World, token: &str, session: &Value) -> Value {
    let path = format!("{}/join", session_path(session));
    world.post(token, &path, json!({})).await.expect(200)
}

/// Lets the invitations be sent and the join window open.
async fn open_window(world: &World) {
    world.run_outbox_sweep().await;
    world.advance(SignedDuration::from_hours(HOURS) - MINUTE * 5);
}

/// Returns the token in a personal link, or `None` for the common link.
fn tk(joined: &Value) -> Option<String> {
    assert_eq!(joined["mode"], "link", "{joined}");
    let url = reqwest::Url::parse(joined["join_url"].as_str().expect("a link")).expect("a URL");
    url.query_pairs().find(|(name, _)| name == "tk").map(|(_, value)| value.into_owned())
}

async fn simulate_meeting(world: &World, session: &Value, verb: &str, body: Value) -> Value {
    let number = session["meeting"]["id"].as_str().expect("a number");
    simulate(world, &format!("meetings/{number}/{verb}"), body).await
}

fn registrations(world: &World) -> u64 {
    world.zoom_calls("join", "create_registrant")
}

async fn report(world: &World, trainer: &str, session: &Value) -> Value {
    world.get(trainer, &format!("{}/attendance", session_path(session))).await.expect(200)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn report_matches_people_who_join_by_personal_links() {
    let (world, trainer) = link_world().await;
    let session = world.create(&trainer, &invitees_body(1..=3)).await.expect(201);
    let meeting = world.meeting_of(&session);
    assert_eq!(meeting["settings"]["approval_type"], 0);
    let requested = &meeting["requests"][0]["settings"];
    for mails in ["registrants_confirmation_email", "registrants_email_notification"] {
        assert_eq!(requested[mails], false, "Zoom sends no mails");
    }
    open_window(&world).await;
    let started = join(&world, &trainer, &session).await;
    assert_eq!(
        started["join_url"], session["meeting"]["join_url"],
        "the host needs no registration"
    );
    simulate_meeting(&world, &session, "start", json!({})).await;
    let (_, token) = guest_tokens(&world, GUEST).pop().expect("a mail");
    let as_guest = json!({"token": token, "name": "Somebody"});
    let mut links = vec![world.post("", "/v1/guest/join", as_guest).await.expect(200)];
    for n in 1..=2 {
        links.push(join(&world, &world.student(n).await, &session).await);
    }
    let tokens: BTreeSet<_> =
        links.iter().map(|joined| tk(joined).expect("a personal link")).collect();
    assert_eq!((tokens.len(), registrations(&world)), (3, 3));
    let registrants = world.meeting_of(&session)["registrants"].clone();
    let names: Vec<_> =
        registrants.as_array().expect("a list").iter().map(|it| &it["first_name"]).collect();
    assert_eq!(names, ["Somebody", "Student", "Student"]);
    for tk in tokens {
        simulate_meeting(&world, &session, "join", json!({"name": "?", "tk": tk})).await;
    }
    // The common link asks for a registration, and nobody knows who fills in Zoom's form.
    let stranger = json!({"name": "Eve", "register": "eve@other.test"});
    simulate_meeting(&world, &session, "join", stranger).await;
    world.advance(MINUTE * 60);
    simulate_meeting(&world, &session, "end", json!({})).await;
    let first = report(&world, &trainer, &session).await;
    let rows: BTreeSet<_> = first["attendees"]
        .as_array()
        .expect("rows")
        .iter()
        .map(|row| {
            (
                row["email"].as_str().unwrap_or("?"),
                row["match"].as_str().unwrap_or("?"),
                row["present"] == true,
            )
        })
        .collect();
    let expected = [
        (GUEST, "registrant", true),
        ("student1@example.test", "registrant", true),
        ("student2@example.test", "registrant", true),
        ("student3@example.test", "none", false),
        ("?", "none", true),
    ];
    assert_eq!(rows, BTreeSet::from(expected), "{first:#}");
    world.advance(SignedDuration::from_hours(24 * 4));
    world.sweep().await;
    world.advance(SignedDuration::from_hours(24 * 100));
    let trainer = world.trainer().await;
    assert_eq!(
        report(&world, &trainer, &session).await["attendees"],
        first["attendees"],
        "from the archive"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn person_is_registered_once_however_often_they_join() {
    let (world, trainer) = link_world().await;
    let session = world.create(&trainer, &invitees_body(1..=2)).await.expect(201);
    open_window(&world).await;
    let student = world.student(1).await;
    let clicks = join_all((0..20).map(|_| join(&world, &student, &session))).await;
    let links: BTreeSet<_> = clicks.iter().map(tk).collect();
    assert_eq!((links.len(), registrations(&world)), (1, 1), "{links:?}");
    assert!(links.first().is_some_and(Option::is_some));
    let (_, token) = guest_tokens(&world, GUEST).pop().expect("a mail");
    let guest = || world.post("", "/v1/guest/join", json!({"token": token}));
    let first = guest().await.expect(200);
    for _ in 0..2 {
        assert_eq!(tk(&join(&world, &student, &session).await), tk(&clicks[0]));
        assert_eq!(guest().await.expect(200)["join_url"], first["join_url"]);
    }
    // The person has another function instance, and then another name and no other link.
    let functions = DirectFunctions::new(&world, &[(names::JOIN_MODE, "link")]);
    let path = format!("{}/join", session_path(&session));
    let again = functions.call("join", "POST", &path, &student, None).await.expect(200);
    assert_eq!((tk(&again), registrations(&world)), (tk(&clicks[0]), 2));
    let stored = world.items(&format!("SESSION#{}", session["id"].as_str().expect("an id"))).await;
    let links: Vec<_> = stored
        .iter()
        .filter(|item| item["sk"].as_str().is_some_and(|sk| sk.starts_with("LINK#")))
        .collect();
    assert_eq!(links.len(), 2);
    for text in ["student1", "guests.test", "tk="] {
        assert!(!json!(links).to_string().contains(text), "{text} is not stored in plain text");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failed_registration_gives_the_common_link_and_is_tried_again() {
    let (world, trainer) = link_world().await;
    let session = world.create(&trainer, &invitees_body(1..=20)).await.expect(201);
    open_window(&world).await;
    let common = &session["meeting"]["join_url"];
    let cases = [
        (FaultKind::Error, 1),
        (FaultKind::Timeout, 1),
        (FaultKind::Lost, 1),
        (FaultKind::Html, 1),
        (FaultKind::Half, 1),
        (FaultKind::Throttle, 2),
        (FaultKind::Daily, 1),
        (FaultKind::Unauthorized, 2),
    ];
    for (n, (kind, times)) in (1..).zip(cases) {
        let student = world.student(n).await;
        world.inject_fault(Fault::new(Zoom, "create_registrant", kind).times(times));
        let joined = join(&world, &student, &session).await;
        assert_eq!(&joined["join_url"], common, "{kind:?}");
        let calls = registrations(&world);
        assert_eq!(
            &join(&world, &student, &session).await["join_url"],
            common,
            "{kind:?}: a pause"
        );
        assert_eq!(registrations(&world), calls, "{kind:?}");
        world.stack.faults.clear();
        if kind != FaultKind::Daily {
            world.advance(SignedDuration::from_secs(61));
            let again = join(&world, &student, &session).await;
            assert!(tk(&again).is_some(), "{kind:?}: {again}");
        }
    }
    // A limit per second is waited for.
    let student = world.student(9).await;
    world.inject_fault(Fault::new(Zoom, "create_registrant", FaultKind::Throttle));
    assert!(tk(&join(&world, &student, &session).await).is_some());
    // Three requests without success are enough.
    let student = world.student(10).await;
    world.inject_fault(Fault::new(Zoom, "create_registrant", FaultKind::Error).times(9));
    let calls = registrations(&world);
    for _ in 0..5 {
        assert_eq!(tk(&join(&world, &student, &session).await), None);
        world.advance(SignedDuration::from_secs(61));
    }
    assert_eq!(registrations(&world), calls + 3);
    world.stack.faults.clear();
    // Everybody gets in, although the meeting is full or the app has lost the scope.
    let mut full = SettingsUpdate::default();
    full.registrants.capacity = Some(0);
    world.stack.zoom.update_settings(full);
    assert_eq!(tk(&join(&world, &world.student(11).await, &session).await), None);
    set_scopes(&world, &[]);
    assert_eq!(tk(&join(&world, &world.student(12).await, &session).await), None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn meeting_without_registration_has_the_common_link() {
    let (world, trainer) = link_world().await;
    let app = |change: &dyn Fn(&mut AccountSettingsUpdate)| {
        let mut account = AccountSettingsUpdate::default();
        change(&mut account);
        let mut update = SettingsUpdate::default();
        update.accounts.insert("app".to_owned(), account);
        world.stack.zoom.update_settings(update);
    };
    app(&|account| account.forbid = Some(["approval_type".to_owned()].into()));
    let dropped = world.create(&trainer, &course_session_body(HOURS)).await.expect(201);
    assert_eq!(world.meeting_of(&dropped)["requests"][0]["settings"]["approval_type"], 0);
    app(&|account| account.forbid = Some(BTreeSet::new()));
    set_scopes(&world, &[]);
    delete_account_token(&world).await;
    let overlapping = patched(course_session_body(HOURS), json!({"allow_overlap": true}));
    let without_scope = world.create(&trainer, &overlapping).await.expect(201);
    set_scopes(&world, &REQUIRED_OF_ACCOUNT_FOR_LINKS);
    delete_account_token(&world).await;
    let functions = DirectFunctions::new(&world, &[(names::JOIN_MODE, "auto")]);
    let create =
        functions.call("session-save", "POST", "/v1/sessions", &trainer, Some(&overlapping));
    let embedded = create.await.expect(201);
    world.put_user("trainer-1", json!({"hosting": "trainer"})).await;
    world.connect_zoom(&trainer, "app").await;
    let own = world.create(&trainer, &overlapping).await.expect(201);
    open_window(&world).await;
    let student = world.student(1).await;
    for (case, session) in
        [("dropped", &dropped), ("scope", &without_scope), ("auto", &embedded), ("own", &own)]
    {
        assert_eq!(world.meeting_of(session)["settings"]["approval_type"], 2, "{case}");
        let path = format!("{}/join", session_path(session));
        let joined = world.post(&student, &path, json!({"prefer": "link"})).await.expect(200);
        assert_eq!(joined["join_url"], session["meeting"]["join_url"], "{case}");
    }
    assert_eq!(registrations(&world), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn person_without_a_verified_address_gets_the_common_link() {
    let (world, trainer) = link_world().await;
    let session = world.create(&trainer, &course_session_body(HOURS)).await.expect(201);
    open_window(&world).await;
    let claims = json!({"sub": "student-3", "role": "student", "email": "student3@example.test", "email_verified": false});
    let joined = join(&world, &world.token(claims).await, &session).await;
    assert_eq!((tk(&joined), registrations(&world)), (None, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn class_with_registration_is_joined_by_link_in_every_mode() {
    let (world, trainer) = link_world().await;
    let session = world.create(&trainer, &course_session_body(HOURS)).await.expect(201);
    open_window(&world).await;
    let functions = DirectFunctions::new(&world, &[(names::JOIN_MODE, "auto")]);
    let path = format!("{}/join", session_path(&session));
    let joined = functions.call("join", "POST", &path, &world.student(1).await, None).await;
    assert!(tk(&joined.expect(200)).is_some());
    let started = functions.call("join", "POST", &path, &trainer, None).await.expect(200);
    assert_eq!((&started["mode"], started["zak"].is_string()), (&json!("signature"), true));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn registration_survives_lost_responses_of_create_and_edit() {
    let (world, trainer) = link_world().await;
    world.inject_fault(Fault::new(Zoom, "create_meeting", FaultKind::Lost));
    let body = course_session_body(HOURS);
    let session = world.create(&trainer, &body).await.expect(201);
    world.inject_fault(Fault::new(Zoom, "update_meeting", FaultKind::Lost).times(2));
    let edited = patched(body.clone(), json!({"title": "Geometry"}));
    world.edit(&trainer, &session, &edited).await.expect_problem(502, "zoom_unavailable");
    world.edit(&trainer, &session, &body).await.expect(200);
    let sent = world.meeting_updates(&session);
    assert_eq!(sent.last().expect("an edit")["settings"]["approval_type"], 0);
    open_window(&world).await;
    assert!(tk(&join(&world, &world.student(1).await, &session).await).is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changes_at_zoom_end_personal_links() {
    let (world, trainer) = link_world().await;
    let body = course_session_body(HOURS);
    let session = world.create(&trainer, &body).await.expect(201);
    let meeting = world.meeting_of(&session);
    let scheduled = ScheduledSession {
        path: session_path(&session),
        meeting: meeting["id"].as_i64().expect("a number"),
        account: meeting["account_id"].as_str().expect("an account").to_owned(),
        starts_at: session["starts_at"].as_str().expect("a start").parse().expect("a time"),
    };
    let changed = async |object: Value| {
        world.advance(MINUTE);
        let event = scheduled.event("meeting.updated", world.now(), &object);
        scheduled.post_event(&world, &event).await;
        world.advance(MINUTE);
    };
    open_window(&world).await;
    let student = world.student(1).await;
    assert!(tk(&join(&world, &student, &session).await).is_some());
    // A personal link contains the passcode.
    changed(json!({"password": "another"})).await;
    for _ in 0..2 {
        assert!(tk(&join(&world, &student, &session).await).is_some());
        assert_eq!(registrations(&world), 2);
    }
    changed(json!({"settings": {"approval_type": 2}})).await;
    let drift = world.get(&trainer, &scheduled.path).await.expect(200)["drift"].clone();
    assert_eq!(drift, json!(["settings.approval_type"]));
    assert_eq!(tk(&join(&world, &student, &session).await), None);
    let session = world.get(&trainer, &scheduled.path).await.expect(200);
    let edited =
        patched(body, json!({"description": "With fractions.", "starts_at": session["starts_at"]}));
    world.edit(&trainer, &session, &edited).await.expect(200);
    assert_eq!(world.meeting_updates(&session)[0]["settings"]["approval_type"], 0);
    assert!(tk(&join(&world, &student, &session).await).is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn erasure_deletes_the_link_and_the_name_in_events() {
    let (world, trainer) = link_world().await;
    let service = world.service().await;
    let enrollment = json!({"email": "zelda@example.test", "name": "Zelda Zwingli"});
    world
        .put(&service, "/v1/directory/courses/course-1/enrollments/zelda", enrollment)
        .await
        .expect(200);
    let session = world.create(&trainer, &course_session_body(HOURS)).await.expect(201);
    open_window(&world).await;
    simulate_meeting(&world, &session, "start", json!({})).await;
    let zelda = json!({"sub": "zelda", "role": "student", "email": "zelda@example.test", "name": "Zelda Zwingli"});
    for (name, token) in
        [("Zelda Zwingli", world.token(zelda).await), ("Sam", world.student(1).await)]
    {
        let tk = tk(&join(&world, &token, &session).await);
        simulate_meeting(&world, &session, "join", json!({"name": name, "tk": tk})).await;
    }
    let registrants = world.meeting_of(&session)["registrants"].clone();
    let id = |index: usize| registrants[index]["id"].as_str().expect("an id").to_owned();
    let (hers, his) = (id(0), id(1));
    world.delete(&service, "/v1/directory/users/zelda").await.expect(204);
    let dump = json!(world.dump().await).to_string();
    assert!(!dump.to_lowercase().contains("zwingli"), "{dump}");
    assert!(!dump.contains(&hers) && dump.contains(&his));
    // Zoom names her registration again, and an event of hers is late.
    let late = json!({"name": "Zelda Zwingli", "tk": registrants[0]["tk"]});
    simulate_meeting(&world, &session, "join", late).await;
    let rows = report(&world, &trainer, &session).await["attendees"].to_string();
    assert!(!rows.contains("Zwingli") && rows.contains("Student 1"), "{rows}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn joins_by_personal_link_stay_within_budget() {
    let (world, trainer) = link_world().await;
    let session = world.create(&trainer, &invitees_body(1..=5)).await.expect(201);
    open_window(&world).await;
    // The function instance has seen the session and the account's token.
    join(&world, &world.student(1).await, &session).await;
    world.stack.usage.reset();
    let mut costs = Vec::new();
    let student = world.student(2).await;
    for action in ["first join by link", "later join by link"] {
        join(&world, &student, &session).await;
        costs.push(take_cost(&world, action, "join"));
    }
    let (_, token) = guest_tokens(&world, GUEST).pop().expect("a mail");
    for action in ["first join of a guest", "later join of a guest"] {
        let joined: Response = world.post("", "/v1/guest/join", json!({"token": token})).await;
        joined.expect(200);
        costs.push(take_cost(&world, action, "join"));
    }
    // The lease, the link and the join attempt are written once each. A later join writes the attempt alone.
    check_budgets(
        &costs,
        &[(5, 3.0, 4.0, 0, 1), (2, 2.0, 1.0, 0, 0), (7, 3.5, 5.0, 0, 1), (4, 2.5, 2.0, 0, 0)],
    );
}
