//! Coming in: who may, when, by which way, and what they are given; what of it is stored, and what it costs.

use std::collections::HashSet;

use jiff::SignedDuration;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use local::calls::Service::{Dynamodb, Zoom};
use local::faults::{Fault, Kind};
use serde_json::{Value, json};
use shared::config::names;

use crate::direct::Direct;
use crate::lesson::{HOURS_AHEAD, Lesson};
use crate::look::with;
use crate::world::{Answer, World, class, course_class};

const MINUTE: SignedDuration = SignedDuration::from_mins(1);

/// A class of `course-1` whose trainer has connected Zoom, five minutes before its start.
struct Scene {
    world: World,
    trainer: String,
    student: String,
    lesson: Lesson,
    join: String,
}

impl Scene {
    async fn set(account: &str) -> Self {
        let world = World::start().await;
        let (trainer, student) = (world.trainer().await, world.student(1).await);
        world.connect_zoom(&trainer, account).await;
        let lesson = Lesson::schedule(&world, &trainer).await;
        let join = format!("{}/join", lesson.path);
        let scene = Self { world, trainer, student, lesson, join };
        scene.at(-5);
        scene
    }

    /// Moves the clock to so many minutes after the planned start.
    fn at(&self, minute: i64) {
        self.world.advance(self.lesson.at(minute).duration_since(self.world.now()));
    }

    async fn click(&self, token: &str) -> Answer {
        self.world.post(token, &self.join, json!({})).await
    }

    /// The same in a deployment with these settings.
    async fn click_with(&self, settings: &[(&'static str, &str)], token: &str) -> Answer {
        Direct::new(&self.world, settings).call("join", "POST", &self.join, token, None).await
    }

    /// What the trainer finds in the timeline of clicks, newest first.
    async fn clicks(&self) -> Vec<(String, String, String)> {
        let path = format!("{}/timeline?limit=100", self.lesson.path);
        let all = self.world.listed(&self.trainer, &path).await;
        let word = |value: &Value| value.as_str().expect("a word").to_owned();
        all.iter()
            .filter(|entry| entry["kind"].as_str().is_some_and(|kind| kind.starts_with("clicked")))
            .map(|entry| {
                (word(&entry["kind"]), word(&entry["actor"]), word(&entry["detail"]["outcome"]))
            })
            .collect()
    }
}

fn claims(pass: &Value) -> Value {
    let secrets = local::settings::secrets();
    let secret = secrets["zoom_sdk_secret"].as_str().expect("a secret");
    let jwt = pass["signature"].as_str().expect("a signature");
    let header = jsonwebtoken::decode_header(jwt).expect("a header");
    assert_eq!((header.alg, header.typ.as_deref()), (Algorithm::HS256, Some("JWT")));
    let mut validation = Validation::new(Algorithm::HS256);
    // By the stack's clock, which stands elsewhere than the machine's.
    validation.validate_exp = false;
    let key = DecodingKey::from_secret(secret.as_bytes());
    jsonwebtoken::decode::<Value>(jwt, &key, &validation).expect("signed with the secret").claims
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_signature_is_for_this_meeting_and_this_role_and_as_long_as_zoom_allows() {
    let scene = Scene::set("app").await;
    let secrets = local::settings::secrets();
    for (minute, token, role, whole) in [
        (-15, &scene.trainer, 1, true),
        (-10, &scene.student, 0, true),
        (30, &scene.student, 0, true),
        (149, &scene.student, 0, false),
    ] {
        scene.at(minute);
        // What the request asks for is not looked at.
        let wish =
            json!({"role": 1 - role, "meeting_number": "1", "mode": "link", "user_name": "Root"});
        let pass = scene.world.post(token, &scene.join, wish).await.expect(200);
        let claims = claims(&pass);
        let number = |name: &str| claims[name].as_i64().expect("a number");
        let meeting = scene.lesson.meeting.to_string();
        assert_eq!((&claims["mn"], &claims["role"]), (&json!(meeting), &json!(role)));
        assert_eq!((&pass["meeting_number"], &pass["role"]), (&json!(meeting), &json!(role)));
        assert_eq!(claims["appKey"], secrets["zoom_sdk_key"]);
        assert_eq!(claims["sdkKey"], secrets["zoom_sdk_key"]);
        assert_eq!(pass["sdk_key"], secrets["zoom_sdk_key"]);
        assert_eq!(number("iat"), scene.world.now().as_second() - 30);
        assert_eq!(number("exp"), number("tokenExp"));
        let life = number("exp") - number("iat");
        assert!((1_800..=172_800).contains(&life), "{life}");
        let ends = if whole { scene.lesson.at(60 + 90).as_second() } else { number("exp") };
        assert_eq!(number("exp"), ends, "as long as the door is open");
        let until: jiff::Timestamp =
            pass["expires_at"].as_str().expect("a time").parse().expect("a time");
        assert_eq!(until.as_second(), number("exp"));
        let (mode, name) = (&pass["mode"], pass["user_name"].as_str().expect("a name"));
        assert_eq!((mode, &pass["provider"]), (&json!("signature"), &json!("zoom")));
        assert_eq!(name, if role == 1 { "Tara" } else { "Student 1" });
        let leave = format!("{}{}", scene.world.stack.base_url, &scene.lesson.path[3..]);
        assert_eq!(pass["leave_url"], leave);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_deployment_admits_attendees_in_its_own_way() {
    for (account, mode, before_host, with_host) in [
        ("app", "auto", "signature", "signature"),
        ("other", "auto", "waiting_for_host", "signature_obf"),
        ("app", "signature", "signature", "signature"),
        ("other", "signature", "signature", "signature"),
        ("app", "signature_obf", "waiting_for_host", "signature_obf"),
        ("other", "signature_obf", "waiting_for_host", "signature_obf"),
        ("app", "link", "link", "link"),
        ("other", "link", "link", "link"),
    ] {
        let scene = Scene::set(account).await;
        let what = format!("{mode} in account {account}");
        let settings = [(names::JOIN_MODE, mode)];
        let door = async || {
            let direct = Direct::new(&scene.world, &settings);
            let answer =
                direct.call("sessions", "GET", "/v1/me/sessions", &scene.student, None).await;
            answer.expect(200)["items"][0]["join"]["state"].clone()
        };
        let answer = scene.click_with(&settings, &scene.student).await;
        if before_host == "waiting_for_host" {
            answer.refused(409, "waiting_for_host");
            assert_eq!(door().await, "waiting_for_host", "{what}");
        } else {
            assert_eq!(answer.expect(200)["mode"], before_host, "{what}");
            assert_eq!(door().await, "open", "{what}");
        }
        let host = scene.click_with(&settings, &scene.trainer).await.expect(200);
        assert_eq!(host["role"], 1, "{what}");
        if mode == "link" {
            assert_eq!(host["mode"], "link");
            assert!(host["join_url"].is_string() && host.get("zak").is_none(), "{what}: {host}");
        } else {
            assert_eq!(host["mode"], "signature", "{what}");
            assert!(host["zak"].is_string() && host.get("join_url").is_none(), "{what}: {host}");
        }
        assert!(host.get("obf_token").is_none(), "{what}");

        scene.lesson.act(&scene.world, "start", json!({})).await;
        let pass = scene.click_with(&settings, &scene.student).await.expect(200);
        assert_eq!((&pass["mode"], &pass["role"]), (&json!(with_host), &json!(0)), "{what}");
        assert_eq!(door().await, "open", "{what}");
        assert!(pass.get("zak").is_none() && pass["passcode"].is_string(), "{what}: {pass}");
        assert_eq!(pass["meeting_number"], scene.lesson.meeting.to_string());
        assert_eq!(pass["obf_token"].is_string(), with_host == "signature_obf", "{what}: {pass}");
        assert_eq!(pass["signature"].is_string(), with_host != "link", "{what}: {pass}");
        assert_eq!(pass["join_url"].is_string(), with_host == "link", "{what}: {pass}");
        if let Some(link) = pass["join_url"].as_str() {
            assert!(link.contains("/j/") && !link.contains("zak="), "a plain link: {link}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_zoom_gives_no_obf_token_the_link_serves_or_the_host_is_waited_for() {
    let scene = Scene::set("other").await;
    let shown = scene.lesson.act(&scene.world, "start", json!({})).await;
    let host = shown["participants"][0]["participant_uuid"].clone();
    scene.lesson.act(&scene.world, "join", json!({"name": "Somebody"})).await;
    // The meeting goes on without its host.
    scene.lesson.act(&scene.world, "leave", json!({"participant_uuid": host})).await;
    let pass = scene.click(&scene.student).await.expect(200);
    assert_eq!(pass["mode"], "link");
    assert!(pass["join_url"].is_string() && pass.get("obf_token").is_none(), "{pass}");
    let only = [(names::JOIN_MODE, "signature_obf")];
    scene.click_with(&only, &scene.student).await.refused(409, "waiting_for_host");

    // Zoom is down, or the grant is dead: who may use the link does.
    scene.world.fault(Fault::new(Zoom, "*", Kind::Error).times(20));
    assert_eq!(scene.click(&scene.student).await.expect(200)["mode"], "link");
    scene.click_with(&only, &scene.student).await.refused(502, "zoom_unavailable");
    scene.world.stack.faults.clear();
    scene.world.delete(&scene.trainer, "/v1/zoom/connection").await.expect(204);
    assert_eq!(scene.click(&scene.student).await.expect(200)["mode"], "link");
    scene.click_with(&only, &scene.student).await.refused(409, "zoom_not_connected");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_door_opens_and_closes_to_the_second() {
    let scene = Scene::set("app").await;
    let second = SignedDuration::from_secs(1);
    let opens = |problem: &Value| problem["opens_at"].clone();
    // Backwards from five minutes before, so as to try both sides of each edge.
    scene.world.advance(-(10 * MINUTE + second));
    let early = scene.click(&scene.trainer).await.refused(409, "too_early");
    assert_eq!(opens(&early), json!(scene.lesson.at(-15)));
    scene.world.advance(second);
    scene.click(&scene.trainer).await.expect(200);
    scene.world.advance(5 * MINUTE - second);
    let early = scene.click(&scene.student).await.refused(409, "too_early");
    assert_eq!(opens(&early), json!(scene.lesson.at(-10)));
    scene.world.advance(second);
    scene.click(&scene.student).await.expect(200);
    scene.at(60 + 90);
    scene.world.advance(-second);
    scene.click(&scene.student).await.expect(200);
    scene.click(&scene.trainer).await.expect(200);
    scene.world.advance(second);
    scene.click(&scene.student).await.refused(409, "session_ended");
    scene.click(&scene.trainer).await.refused(409, "session_ended");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_windows_are_the_deployments() {
    let scene = Scene::set("app").await;
    let settings = [
        (names::JOIN_OWNER_BEFORE_MINUTES, "60"),
        (names::JOIN_INVITED_BEFORE_MINUTES, "30"),
        (names::JOIN_AFTER_END_MINUTES, "0"),
    ];
    scene.at(-61);
    let early = scene.click_with(&settings, &scene.trainer).await.refused(409, "too_early");
    assert_eq!(early["opens_at"], json!(scene.lesson.at(-60)));
    scene.at(-60);
    scene.click_with(&settings, &scene.trainer).await.expect(200);
    let early = scene.click_with(&settings, &scene.student).await.refused(409, "too_early");
    assert_eq!(early["opens_at"], json!(scene.lesson.at(-30)));
    let direct = Direct::new(&scene.world, &settings);
    let listed = direct.call("sessions", "GET", "/v1/me/sessions", &scene.student, None).await;
    assert_eq!(
        listed.expect(200)["items"][0]["join"],
        json!({"state": "too_early", "opens_at": scene.lesson.at(-30), "closes_at": scene.lesson.at(60)})
    );
    scene.at(59);
    scene.click_with(&settings, &scene.student).await.expect(200);
    scene.at(60);
    scene.click_with(&settings, &scene.student).await.refused(409, "session_ended");
    for (name, value) in [
        (names::JOIN_MODE, "open"),
        (names::JOIN_OWNER_BEFORE_MINUTES, "soon"),
        (names::JOIN_INVITED_BEFORE_MINUTES, "-1"),
        (names::JOIN_AFTER_END_MINUTES, "100000"),
    ] {
        let answer = scene.click_with(&[(name, value)], &scene.student).await;
        answer.refused(503, "unavailable");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_those_whom_our_own_data_admits_come_in() {
    let scene = Scene::set("app").await;
    let world = &scene.world;
    let refused = async |who: Value| {
        let token = world.token(who.clone()).await;
        let problem =
            world.post(&token, &scene.join, json!({"role": 1})).await.refused(404, "not_found");
        assert!(problem.get("opens_at").is_none(), "{who}: {problem}");
    };
    refused(json!({"sub": "trainer-2", "role": "trainer"})).await;
    refused(json!({"sub": "student-9", "role": "student", "email": "student9@example.test"})).await;
    refused(json!({"sub": "root", "role": "admin"})).await;
    refused(json!({"sub": "host-platform", "role": "service"})).await;
    // The owner's name without their role.
    refused(json!({"sub": "trainer-1", "role": "student", "email": "trainer@example.test"})).await;
    // A course is joined by enrollment and not by address.
    refused(json!({"sub": "someone", "role": "student", "email": "student1@example.test"})).await;
    for path in ["/v1/sessions/ses_aaaaaaaaaaaaaaaaaaaaaaaaaa/join", "/v1/sessions/1/join"] {
        world.post(&scene.student, path, json!({})).await.refused(404, "not_found");
    }

    // Revoked between one click and the next.
    scene.click(&scene.student).await.expect(200);
    let place = "/v1/directory/courses/course-1/enrollments/student-1";
    let person =
        json!({"email": "student1@example.test", "name": "Student 1", "access_granted": false});
    let service = world.service().await;
    world.put(&service, place, person.clone()).await.expect(200);
    scene.click(&scene.student).await.refused(404, "not_found");
    world.put(&service, place, with(person, json!({"access_granted": true}))).await.expect(200);
    scene.click(&scene.student).await.expect(200);
    world.delete(&service, place).await.expect(204);
    scene.click(&scene.student).await.refused(404, "not_found");
    let clicks = scene.clicks().await;
    assert_eq!(clicks.len(), 2, "who is nobody here leaves no trace: {clicks:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_invitee_is_known_by_a_verified_address_only() {
    let world = World::start().await;
    let trainer = world.trainer().await;
    world.connect_zoom(&trainer, "app").await;
    let guests =
        json!([{"email": "Guest@Example.test", "name": "Gus"}, {"email": "student9@example.test"}]);
    let body = with(class(HOURS_AHEAD), json!({"audience_type": "invitees", "invitees": guests}));
    let lesson = Lesson::of(&world, &trainer, body.clone()).await;
    let join = format!("{}/join", lesson.path);
    world.advance(lesson.at(-5).duration_since(world.now()));
    let person = |email: &str, verified: bool| json!({"sub": "guest-1", "role": "student", "email": email, "email_verified": verified});
    for (email, verified, status) in [
        ("guest@example.test", true, 200),
        ("GUEST@example.test", true, 200),
        ("guest@example.test", false, 404),
        ("guest@example.test.evil.test", true, 404),
        ("other@example.test", true, 404),
        ("", true, 404),
    ] {
        let token = world.token(person(email, verified)).await;
        let answer = world.post(&token, &join, json!({})).await;
        assert_eq!(answer.status, status, "{email} {verified}: {}", answer.text);
    }
    // In the course, but not on this list.
    world.post(&world.student(1).await, &join, json!({})).await.refused(404, "not_found");
    world.post(&world.student(9).await, &join, json!({})).await.expect(200);
    // A standalone class is its owner's alone.
    let alone = Lesson::of(&world, &trainer, class(HOURS_AHEAD + 1)).await;
    world.advance(alone.at(-5).duration_since(world.now()));
    let join = format!("{}/join", alone.path);
    world.post(&world.student(1).await, &join, json!({})).await.refused(404, "not_found");
    world.post(&trainer, &join, json!({})).await.expect(200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_ended_class_is_the_owners_to_start_again_and_a_cancelled_one_nobodys() {
    let scene = Scene::set("other").await;
    scene.click(&scene.student).await.refused(409, "waiting_for_host");
    scene.lesson.act(&scene.world, "start", json!({})).await;
    scene.click(&scene.student).await.expect(200);
    scene.at(10);
    scene.lesson.act(&scene.world, "end", json!({})).await;
    scene.click(&scene.student).await.refused(409, "session_ended");
    scene.click(&scene.trainer).await.expect(200);
    scene.lesson.act(&scene.world, "start", json!({})).await;
    scene.click(&scene.student).await.expect(200);
    scene
        .world
        .post(&scene.trainer, &format!("{}/cancel", scene.lesson.path), json!({}))
        .await
        .expect(200);
    scene.click(&scene.student).await.refused(409, "session_cancelled");
    scene.click(&scene.trainer).await.refused(409, "session_cancelled");
    // Cancelled is told before the time is.
    let later = course_class(HOURS_AHEAD + 24);
    let lesson = Lesson::of(&scene.world, &scene.trainer, later).await;
    scene
        .world
        .post(&scene.trainer, &format!("{}/cancel", lesson.path), json!({}))
        .await
        .expect(200);
    let join = format!("{}/join", lesson.path);
    scene.world.post(&scene.student, &join, json!({})).await.refused(409, "session_cancelled");

    let mut clicks = scene.clicks().await;
    clicks.reverse();
    let seen: Vec<_> = clicks
        .iter()
        .map(|(kind, actor, outcome)| (kind.as_str(), actor.as_str(), outcome.as_str()))
        .collect();
    assert_eq!(seen.len(), 7, "{seen:?}");
    for expected in [
        ("clicked_join", "student-1", "waiting_for_host"),
        ("clicked_join", "student-1", "admitted"),
        ("clicked_join", "student-1", "session_ended"),
        ("clicked_start", "trainer-1", "admitted"),
        ("clicked_join", "student-1", "session_cancelled"),
        ("clicked_start", "trainer-1", "session_cancelled"),
    ] {
        assert!(seen.contains(&expected), "{expected:?} is not among {seen:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_comes_in_with_is_stored_nowhere_and_the_host_link_never_leaves() {
    let scene = Scene::set("other").await;
    let world = &scene.world;
    let join_tokens = || {
        let known = world.stack.zoom.snapshot()["join_tokens"].clone();
        known.as_object().expect("tokens").keys().cloned().collect::<Vec<_>>()
    };
    // That of the start link, which Zoom forgets in time.
    let mut secrets: HashSet<String> = join_tokens().into_iter().collect();
    let mut told = Vec::new();
    told.push(scene.click(&scene.trainer).await.expect(200));
    scene.lesson.act(world, "start", json!({})).await;
    told.push(scene.click(&scene.student).await.expect(200));
    told.push(scene.click_with(&[(names::JOIN_MODE, "link")], &scene.student).await.expect(200));
    told.push(scene.click_with(&[(names::JOIN_MODE, "link")], &scene.trainer).await.expect(200));
    told.push(world.get(&scene.trainer, &scene.lesson.path).await.expect(200));
    told.push(world.get(&scene.student, &scene.lesson.path).await.expect(200));
    told.push(
        world.get(&scene.trainer, &format!("{}/timeline", scene.lesson.path)).await.expect(200),
    );
    told.push(world.get(&scene.trainer, "/v1/sessions").await.expect(200));
    told.push(world.get(&scene.student, "/v1/me/sessions").await.expect(200));
    // The ZAK is the host's alone, and on no other answer.
    assert!(told[0]["zak"].is_string());
    for answer in &told[1..] {
        assert!(!answer.to_string().contains("\"zak\""), "{answer}");
    }
    secrets.extend(join_tokens());
    assert!(secrets.len() >= 3, "the start link's, the ZAK, the OBF token");
    for answer in &told {
        let text = answer.to_string();
        assert!(!text.contains("start_url") && !text.contains("/s/"), "{text}");
    }
    for pass in &told[..4] {
        for name in ["zak", "obf_token", "signature", "passcode", "join_url"] {
            secrets.extend(pass[name].as_str().map(str::to_owned));
        }
    }
    for item in world.dump().await {
        let text = item.to_string();
        assert!(!text.contains("start_url"), "{text}");
        for secret in &secrets {
            assert!(!text.contains(secret.as_str()), "{secret} is stored: {text}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_customer_key_is_a_persons_own_and_says_nothing() {
    let scene = Scene::set("app").await;
    let other = Lesson::of(&scene.world, &scene.trainer, course_class(HOURS_AHEAD)).await;
    let key = async |token: &str, path: &str| {
        let pass = scene.world.post(token, &format!("{path}/join"), json!({})).await.expect(200);
        pass["customer_key"].as_str().expect("a key").to_owned()
    };
    let first = key(&scene.student, &scene.lesson.path).await;
    assert_eq!(first, key(&scene.student, &scene.lesson.path).await, "on another device");
    assert_eq!(first, key(&scene.student, &other.path).await, "in another class");
    let mut all = HashSet::from([first]);
    for n in 2..=5 {
        all.insert(key(&scene.world.student(n).await, &scene.lesson.path).await);
    }
    all.insert(key(&scene.trainer, &scene.lesson.path).await);
    assert_eq!(all.len(), 6, "everybody has their own");
    for key in &all {
        assert!((20..=35).contains(&key.len()), "{key}");
        assert!(
            key.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit()),
            "{key}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_click_that_cannot_be_recorded_keeps_nobody_out() {
    let scene = Scene::set("app").await;
    scene.world.fault(Fault::new(Dynamodb, "PutItem", Kind::Error).by("join").times(20));
    scene.click(&scene.student).await.expect(200);
    scene.world.stack.faults.clear();
    scene.world.fault(Fault::new(Dynamodb, "GetItem", Kind::Error).by("join").times(20));
    scene.click(&scene.student).await.refused(503, "unavailable");
    scene.world.stack.faults.clear();
    // A host without a ZAK could not start the class, so there is no half of a pass.
    scene.world.fault(Fault::new(Zoom, "zak", Kind::Error).times(20));
    scene.click(&scene.trainer).await.refused(502, "zoom_unavailable");
    let clicks = scene.clicks().await;
    assert_eq!(clicks[0].2, "failed");
    assert_eq!(clicks.len(), 1, "{clicks:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_join_costs_two_small_reads_and_one_write() {
    let scene = Scene::set("app").await;
    // The keys of the tokens and the secret are read by now.
    scene.click(&scene.trainer).await.expect(200);
    let usage = &scene.world.stack.usage;
    println!("{:<28} {:>8} {:>6} {:>6} {:>5}", "join", "DynamoDB", "read", "write", "Zoom");
    for (what, token, reads, zoom) in [
        ("a student of the course", &scene.student, 2, 0),
        ("the host, with a fresh token", &scene.trainer, 2, 1),
    ] {
        usage.reset();
        scene.click(token).await.expect(200);
        let table = usage.service_totals("join", Dynamodb);
        let asked = usage.service_totals("join", Zoom).calls;
        println!(
            "{what:<28} {:>8} {:>6} {:>6} {asked:>5}",
            table.calls, table.read_units, table.write_units
        );
        assert_eq!(table.calls, reads + 1, "{what}: the reads and the click: {table:?}");
        assert!(table.read_units <= 1.5 && table.write_units <= 1.0, "{what}: {table:?}");
        assert_eq!(asked, zoom, "{what}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_needs_no_meeting_sdk() {
    let scene = Scene::set("app").await;
    let few = json!({"zoom_sdk_key": null, "zoom_sdk_secret": null});
    let few = with(local::settings::secrets(), few).to_string();
    scene.world.stack.aws.set_secret("few", &few).await.expect("set");
    let settings = [(names::CONFIG_SECRET_ID, "few"), (names::JOIN_MODE, "link")];
    for token in [&scene.student, &scene.trainer] {
        let pass = scene.click_with(&settings, token).await.expect(200);
        assert_eq!((&pass["mode"], &pass["customer_key"]), (&json!("link"), &Value::Null));
        assert!(pass["join_url"].is_string());
    }
    let link = json!({"provider": "manual", "join_url": "https://meet.example.test/a"});
    let body = with(course_class(HOURS_AHEAD), link);
    let starts_soon = with(body, json!({"starts_at": scene.world.now() + MINUTE * 5}));
    let made = scene.world.create(&scene.trainer, &starts_soon).await.expect(201);
    let join = format!("{}/join", crate::look::path_of(&made));
    let direct = Direct::new(&scene.world, &settings[..1]);
    let pass = direct.call("join", "POST", &join, &scene.student, None).await.expect(200);
    assert_eq!(pass["join_url"], "https://meet.example.test/a");
    // Where the client is to be embedded, what is missing is missed, and the click is told of.
    let answer = scene.click_with(&[(names::CONFIG_SECRET_ID, "few")], &scene.student).await;
    answer.refused(503, "unavailable");
    let clicks = scene.clicks().await;
    let mut outcomes: Vec<_> = clicks.iter().map(|(_, _, outcome)| outcome.as_str()).collect();
    outcomes.sort_unstable();
    assert_eq!(outcomes, ["admitted", "admitted", "failed"], "{clicks:?}");
}
