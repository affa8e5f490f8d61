//! Joining a session: permissions, join windows, join methods and credentials, stored join attempts, and cost.

mod admission;

use std::collections::HashSet;

use jiff::SignedDuration;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use local::calls::Service::{Dynamodb, Zoom};
use local::faults::{Fault, FaultKind};
use serde_json::{Value, json};
use shared::config::names;

use crate::functions::{DirectFunctions, set_secret};
use crate::support::patched;
use crate::world::{Response, World, course_session_body, session_body};
use crate::zoom_session::{HOURS_AHEAD, ScheduledSession};

const MINUTE: SignedDuration = SignedDuration::from_mins(1);
/// Students join on the trainer's behalf.
const ON_BEHALF: [(&str, &str); 1] = [(names::JOIN_MODE, "signature_obf")];

/// A session of `course-1` five minutes before its start. The trainer has connected Zoom.
struct JoinScenario {
    world: World,
    trainer: String,
    student: String,
    session: ScheduledSession,
    join: String,
}

impl JoinScenario {
    async fn start(account: &str) -> Self {
        let world = World::start().await;
        let (trainer, student) = (world.trainer().await, world.student(1).await);
        world.connect_zoom(&trainer, account).await;
        let session = ScheduledSession::schedule_for_course(&world, &trainer).await;
        let join = format!("{}/join", session.path);
        let scenario = Self { world, trainer, student, session, join };
        scenario.move_to(-5);
        scenario
    }

    /// Moves the clock to a minute after the planned start.
    fn move_to(&self, minute: i64) {
        self.world.advance(self.session.at(minute).duration_since(self.world.now()));
    }

    async fn request_join(&self, token: &str) -> Response {
        self.world.post(token, &self.join, json!({})).await
    }

    /// Requests to join in a deployment with these settings.
    async fn request_join_with(&self, settings: &[(&'static str, &str)], token: &str) -> Response {
        DirectFunctions::new(&self.world, settings)
            .call("join", "POST", &self.join, token, None)
            .await
    }

    /// Returns the state of the student's join window in a deployment with these settings.
    async fn join_state_with(&self, settings: &[(&'static str, &str)]) -> Value {
        let functions = DirectFunctions::new(&self.world, settings);
        let response =
            functions.call("sessions", "GET", "/v1/me/sessions", &self.student, None).await;
        response.expect(200)["items"][0]["join"]["state"].clone()
    }

    /// Returns the join attempts in the trainer's timeline, newest first, as `(kind, actor, outcome)`.
    async fn join_attempts(&self) -> Vec<(String, String, String)> {
        let path = format!("{}/timeline?limit=100", self.session.path);
        let all = self.world.list_items(&self.trainer, &path).await;
        let text = |value: &Value| value.as_str().expect("text").to_owned();
        all.iter()
            .filter(|entry| entry["kind"].as_str().is_some_and(|kind| kind.starts_with("clicked")))
            .map(|entry| {
                (text(&entry["kind"]), text(&entry["actor"]), text(&entry["detail"]["outcome"]))
            })
            .collect()
    }
}

fn claims(credentials: &Value) -> Value {
    let secrets = local::settings::secrets();
    let secret = secrets["zoom_sdk_secret"].as_str().expect("a secret");
    let jwt = credentials["signature"].as_str().expect("a signature");
    let header = jsonwebtoken::decode_header(jwt).expect("a header");
    assert_eq!((header.alg, header.typ.as_deref()), (Algorithm::HS256, Some("JWT")));
    let mut validation = Validation::new(Algorithm::HS256);
    // The stack's clock differs from the machine's clock.
    validation.validate_exp = false;
    let key = DecodingKey::from_secret(secret.as_bytes());
    jsonwebtoken::decode::<Value>(jwt, &key, &validation).expect("a valid signature").claims
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sdk_signature_has_meeting_role_and_bounded_lifetime() {
    let scenario = JoinScenario::start("app").await;
    let secrets = local::settings::secrets();
    for (minute, token, role, lasts_until_end) in [
        (-15, &scenario.trainer, 1, true),
        (-10, &scenario.student, 0, true),
        (30, &scenario.student, 0, true),
        (149, &scenario.student, 0, false),
    ] {
        scenario.move_to(minute);
        let credentials = scenario.request_join(token).await.expect(200);
        let claims = claims(&credentials);
        let number = |name: &str| claims[name].as_i64().expect("a number");
        let meeting = scenario.session.meeting.to_string();
        assert_eq!((&claims["mn"], &claims["role"]), (&json!(meeting), &json!(role)));
        assert_eq!(
            (&credentials["meeting_number"], &credentials["role"]),
            (&json!(meeting), &json!(role))
        );
        assert_eq!(claims["appKey"], secrets["zoom_sdk_key"]);
        assert_eq!(claims["sdkKey"], secrets["zoom_sdk_key"]);
        assert_eq!(credentials["sdk_key"], secrets["zoom_sdk_key"]);
        assert_eq!(number("iat"), scenario.world.now().as_second() - 30);
        assert_eq!(number("exp"), number("tokenExp"));
        let lifetime = number("exp") - number("iat");
        assert!((1_800..=172_800).contains(&lifetime), "{lifetime}");
        let expected_end =
            if lasts_until_end { scenario.session.at(60 + 90).as_second() } else { number("exp") };
        assert_eq!(
            number("exp"),
            expected_end,
            "the signature should be valid until the join window closes"
        );
        let expires_at: jiff::Timestamp =
            credentials["expires_at"].as_str().expect("a time").parse().expect("a time");
        assert_eq!(expires_at.as_second(), number("exp"));
        let (mode, name) =
            (&credentials["mode"], credentials["user_name"].as_str().expect("a name"));
        assert_eq!((mode, &credentials["provider"]), (&json!("signature"), &json!("zoom")));
        assert_eq!(name, if role == 1 { "Tara" } else { "Student 1" });
        let leave_url = format!("{}{}", scenario.world.stack.base_url, &scenario.session.path[3..]);
        assert_eq!(credentials["leave_url"], leave_url);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn join_method_follows_configured_mode_and_account() {
    for (account, mode, before_host, with_host) in [
        ("app", "auto", "signature", "signature"),
        ("other", "auto", "link", "link"),
        ("app", "signature", "signature", "signature"),
        ("other", "signature", "signature", "signature"),
        ("app", "signature_obf", "waiting_for_host", "signature_obf"),
        ("other", "signature_obf", "waiting_for_host", "signature_obf"),
        ("app", "link", "link", "link"),
        ("other", "link", "link", "link"),
    ] {
        let scenario = JoinScenario::start(account).await;
        let case = format!("{mode} in account {account}");
        let settings = [(names::JOIN_MODE, mode)];
        let join_state = async || scenario.join_state_with(&settings).await;
        let response = scenario.request_join_with(&settings, &scenario.student).await;
        if before_host == "waiting_for_host" {
            response.expect_problem(409, "waiting_for_host");
            assert_eq!(join_state().await, "waiting_for_host", "{case}");
        } else {
            assert_eq!(response.expect(200)["mode"], before_host, "{case}");
            assert_eq!(join_state().await, "open", "{case}");
        }
        let host = scenario.request_join_with(&settings, &scenario.trainer).await.expect(200);
        assert_eq!(host["role"], 1, "{case}");
        if with_host == "link" {
            assert_eq!(host["mode"], "link");
            assert!(host["join_url"].is_string() && host.get("zak").is_none(), "{case}: {host}");
        } else {
            assert_eq!(host["mode"], "signature", "{case}");
            assert!(host["zak"].is_string() && host.get("join_url").is_none(), "{case}: {host}");
        }
        assert!(host.get("obf_token").is_none(), "{case}");

        scenario.session.simulate(&scenario.world, "start", json!({})).await;
        let credentials =
            scenario.request_join_with(&settings, &scenario.student).await.expect(200);
        assert_eq!(
            (&credentials["mode"], &credentials["role"]),
            (&json!(with_host), &json!(0)),
            "{case}"
        );
        assert_eq!(join_state().await, "open", "{case}");
        assert!(
            credentials.get("zak").is_none() && credentials["passcode"].is_string(),
            "{case}: {credentials}"
        );
        assert_eq!(credentials["meeting_number"], scenario.session.meeting.to_string());
        assert_eq!(
            credentials["obf_token"].is_string(),
            with_host == "signature_obf",
            "{case}: {credentials}"
        );
        assert_eq!(
            credentials["signature"].is_string(),
            with_host != "link",
            "{case}: {credentials}"
        );
        assert_eq!(
            credentials["join_url"].is_string(),
            with_host == "link",
            "{case}: {credentials}"
        );
        if let Some(link) = credentials["join_url"].as_str() {
            assert!(
                link.contains("/j/") && !link.contains("zak="),
                "a link without the host's token: {link}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn obf_token_is_requested_only_after_the_trainers_own_join() {
    let scenario = JoinScenario::start("other").await;
    let world = &scenario.world;
    let refused = async |case: &str| {
        let response = scenario.request_join_with(&ON_BEHALF, &scenario.student).await;
        response.expect_problem(409, "waiting_for_host");
        assert_eq!(scenario.join_state_with(&ON_BEHALF).await, "waiting_for_host", "{case}");
    };
    refused("before the meeting").await;
    // The meeting begins with somebody else, as Zoom allows with `join_before_host`.
    scenario.session.post_event(world, &scenario.session.started("u", -5)).await;
    let participant = |person: Value| {
        let object = json!({"uuid": "u", "participant": person});
        scenario.session.event("meeting.participant_joined", scenario.session.at(-4), &object)
    };
    let somebody = json!({"participant_uuid": "p1", "user_name": "Somebody", "join_time": scenario.session.at(-4)});
    scenario.session.post_event(world, &participant(somebody)).await;
    assert_eq!(scenario.session.fetch(world, &scenario.trainer).await["status"], "live");
    refused("before the trainer").await;
    assert_eq!(world.zoom_calls("join", "obf"), 0);

    world.advance(MINUTE);
    let shown = scenario.session.simulate(world, "start", json!({})).await;
    let credentials = scenario.request_join_with(&ON_BEHALF, &scenario.student).await.expect(200);
    assert_eq!(credentials["mode"], "signature_obf");
    assert_eq!(scenario.join_state_with(&ON_BEHALF).await, "open");

    // The meeting continues without its host, for whom Zoom issues no more tokens.
    let host = shown["participants"][0]["participant_uuid"].clone();
    scenario.session.simulate(world, "join", json!({"name": "Somebody"})).await;
    scenario.session.simulate(world, "leave", json!({"participant_uuid": host})).await;
    scenario
        .request_join_with(&ON_BEHALF, &scenario.student)
        .await
        .expect_problem(409, "waiting_for_host");
    world.inject_fault(Fault::new(Zoom, "*", FaultKind::Error).times(20));
    scenario
        .request_join_with(&ON_BEHALF, &scenario.student)
        .await
        .expect_problem(502, "zoom_unavailable");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn preferred_link_needs_neither_sdk_nor_zoom() {
    let scenario = JoinScenario::start("app").await;
    let world = &scenario.world;
    let link = json!({"prefer": "link"});
    world.inject_fault(Fault::new(Zoom, "*", FaultKind::Error).times(20));
    for (token, role) in [(&scenario.trainer, 1), (&scenario.student, 0)] {
        let credentials = world.post(token, &scenario.join, link.clone()).await.expect(200);
        assert_eq!(
            (&credentials["mode"], &credentials["role"]),
            (&json!("link"), &json!(role)),
            "{credentials}"
        );
        assert!(
            credentials["join_url"].as_str().is_some_and(|url| url.contains("/j/")),
            "{credentials}"
        );
        for field in ["signature", "sdk_key"] {
            assert_eq!(credentials[field], Value::Null, "{credentials}");
        }
        for field in ["zak", "obf_token", "start_url"] {
            assert!(credentials.get(field).is_none(), "{credentials}");
        }
    }
    world.stack.faults.clear();
    // A link does not wait for the trainer, because Zoom's own client does.
    let functions = DirectFunctions::new(world, &ON_BEHALF);
    let response =
        functions.call("join", "POST", &scenario.join, &scenario.student, Some(&link)).await;
    assert_eq!(response.expect(200)["mode"], "link");
    // Only people who are admitted get the link.
    let stranger = world.student(9).await;
    world.post(&stranger, &scenario.join, link.clone()).await.expect_problem(404, "not_found");
    scenario.move_to(-11);
    world.post(&scenario.student, &scenario.join, link).await.expect_problem(409, "too_early");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn join_body_has_no_other_members_than_prefer() {
    let scenario = JoinScenario::start("app").await;
    for (body, field) in [
        (json!({"role": 1}), "role"),
        (json!({"prefer": "link", "meeting_number": "1"}), "meeting_number"),
        (json!({"mode": "link"}), "mode"),
        (json!({"prefer": "signature"}), "prefer"),
        (json!({"prefer": true}), "prefer"),
        (json!([]), "body"),
    ] {
        let response = scenario.world.post(&scenario.student, &scenario.join, body.clone()).await;
        let problem = response.expect_problem(422, "validation_failed");
        assert_eq!(problem["errors"][0]["field"], field, "{body}: {problem}");
    }
    for body in [json!({}), json!({"prefer": null})] {
        let response = scenario.world.post(&scenario.student, &scenario.join, body).await;
        assert_eq!(response.expect(200)["mode"], "signature");
    }
    assert_eq!(scenario.join_attempts().await.len(), 2, "an invalid request is not an attempt");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn join_credentials_are_not_stored_and_start_url_is_never_returned() {
    let scenario = JoinScenario::start("other").await;
    let world = &scenario.world;
    let join_tokens = || {
        let known = world.stack.zoom.snapshot()["join_tokens"].clone();
        known.as_object().expect("tokens").keys().cloned().collect::<Vec<_>>()
    };
    // The token of the start URL, which expires at Zoom.
    let mut secrets: HashSet<String> = join_tokens().into_iter().collect();
    let mut responses = Vec::new();
    responses.push(scenario.request_join_with(&ON_BEHALF, &scenario.trainer).await.expect(200));
    scenario.session.simulate(world, "start", json!({})).await;
    responses.push(scenario.request_join_with(&ON_BEHALF, &scenario.student).await.expect(200));
    responses.push(
        scenario
            .request_join_with(&[(names::JOIN_MODE, "link")], &scenario.student)
            .await
            .expect(200),
    );
    responses.push(
        scenario
            .request_join_with(&[(names::JOIN_MODE, "link")], &scenario.trainer)
            .await
            .expect(200),
    );
    responses.push(world.get(&scenario.trainer, &scenario.session.path).await.expect(200));
    responses.push(world.get(&scenario.student, &scenario.session.path).await.expect(200));
    responses.push(
        world
            .get(&scenario.trainer, &format!("{}/timeline", scenario.session.path))
            .await
            .expect(200),
    );
    responses.push(world.get(&scenario.trainer, "/v1/sessions").await.expect(200));
    responses.push(world.get(&scenario.student, "/v1/me/sessions").await.expect(200));
    // Only the host's response contains the ZAK.
    assert!(responses[0]["zak"].is_string());
    for response in &responses[1..] {
        assert!(!response.to_string().contains("\"zak\""), "{response}");
    }
    secrets.extend(join_tokens());
    assert!(secrets.len() >= 3, "the tokens of the start URL, the ZAK and the OBF token");
    for response in &responses {
        let text = response.to_string();
        assert!(!text.contains("start_url") && !text.contains("/s/"), "{text}");
    }
    for credentials in &responses[..4] {
        for name in ["zak", "obf_token", "signature", "passcode", "join_url"] {
            secrets.extend(credentials[name].as_str().map(str::to_owned));
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
async fn customer_key_is_unique_per_person_and_opaque() {
    let scenario = JoinScenario::start("app").await;
    let other = ScheduledSession::schedule(
        &scenario.world,
        &scenario.trainer,
        course_session_body(HOURS_AHEAD),
    )
    .await;
    let key = async |token: &str, path: &str| {
        let credentials =
            scenario.world.post(token, &format!("{path}/join"), json!({})).await.expect(200);
        credentials["customer_key"].as_str().expect("a key").to_owned()
    };
    let first = key(&scenario.student, &scenario.session.path).await;
    assert_eq!(
        first,
        key(&scenario.student, &scenario.session.path).await,
        "the key should be the same on another device"
    );
    assert_eq!(
        first,
        key(&scenario.student, &other.path).await,
        "the key should be the same in another session"
    );
    let mut all = HashSet::from([first]);
    for n in 2..=5 {
        all.insert(key(&scenario.world.student(n).await, &scenario.session.path).await);
    }
    all.insert(key(&scenario.trainer, &scenario.session.path).await);
    assert_eq!(all.len(), 6, "each person should have a unique key");
    for key in &all {
        assert!((20..=35).contains(&key.len()), "{key}");
        assert!(
            key.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit()),
            "{key}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn join_succeeds_if_join_attempt_cannot_be_recorded() {
    let scenario = JoinScenario::start("app").await;
    scenario.world.inject_fault(
        Fault::new(Dynamodb, "PutItem", FaultKind::Error).for_function("join").times(20),
    );
    scenario.request_join(&scenario.student).await.expect(200);
    scenario.world.stack.faults.clear();
    scenario.world.inject_fault(
        Fault::new(Dynamodb, "BatchGetItem", FaultKind::Error).for_function("join").times(20),
    );
    scenario.request_join(&scenario.student).await.expect_problem(503, "unavailable");
    scenario.world.stack.faults.clear();
    // A host without a ZAK cannot start the meeting, so the whole request fails.
    scenario.world.inject_fault(Fault::new(Zoom, "zak", FaultKind::Error).times(20));
    scenario.request_join(&scenario.trainer).await.expect_problem(502, "zoom_unavailable");
    let join_attempts = scenario.join_attempts().await;
    assert_eq!(join_attempts[0].2, "failed");
    assert_eq!(join_attempts.len(), 1, "{join_attempts:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn warm_join_of_a_student_costs_one_read_and_one_write() {
    let scenario = JoinScenario::start("app").await;
    // The first request caches the signing keys, the secret, and the audience of the session.
    scenario.request_join(&scenario.trainer).await.expect(200);
    let usage = &scenario.world.stack.usage;
    println!("{:<28} {:>8} {:>6} {:>6} {:>5}", "join", "DynamoDB", "read", "write", "Zoom");
    for (case, token, reads, zoom) in [
        ("a student of the course", &scenario.student, 1, 0),
        ("the host, with a fresh token", &scenario.trainer, 2, 1),
    ] {
        usage.reset();
        scenario.request_join(token).await.expect(200);
        let table = usage.service_totals("join", Dynamodb);
        let zoom_calls = usage.service_totals("join", Zoom).calls;
        println!(
            "{case:<28} {:>8} {:>6} {:>6} {zoom_calls:>5}",
            table.calls, table.read_units, table.write_units
        );
        assert_eq!(table.calls, reads + 1, "{case}: the reads and the join attempt: {table:?}");
        assert!(table.read_units <= 1.5 && table.write_units <= 1.0, "{case}: {table:?}");
        assert_eq!(zoom_calls, zoom, "{case}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn link_mode_works_without_meeting_sdk_secret() {
    let scenario = JoinScenario::start("app").await;
    let partial_secret = json!({"zoom_sdk_key": null, "zoom_sdk_secret": null});
    let partial_secret = patched(local::settings::secrets(), partial_secret).to_string();
    set_secret(&scenario.world, &partial_secret).await;
    let settings = [(names::JOIN_MODE, "link")];
    for token in [&scenario.student, &scenario.trainer] {
        let credentials = scenario.request_join_with(&settings, token).await.expect(200);
        assert_eq!(
            (&credentials["mode"], &credentials["customer_key"]),
            (&json!("link"), &Value::Null)
        );
        assert!(credentials["join_url"].is_string());
    }
    let link = json!({"provider": "manual", "join_url": "https://meet.example.test/a"});
    let body = patched(course_session_body(HOURS_AHEAD), link);
    let starts_soon = patched(body, json!({"starts_at": scenario.world.now() + MINUTE * 5}));
    let session = scenario.world.create(&scenario.trainer, &starts_soon).await.expect(201);
    let join = format!("{}/join", crate::support::session_path(&session));
    let functions = DirectFunctions::new(&scenario.world, &[]);
    let credentials =
        functions.call("join", "POST", &join, &scenario.student, None).await.expect(200);
    assert_eq!(credentials["join_url"], "https://meet.example.test/a");
    // The embedded client needs the SDK secret. The failed join attempt is recorded.
    let response = scenario.request_join_with(&[], &scenario.student).await;
    response.expect_problem(503, "unavailable");
    let join_attempts = scenario.join_attempts().await;
    let mut outcomes: Vec<_> =
        join_attempts.iter().map(|(_, _, outcome)| outcome.as_str()).collect();
    outcomes.sort_unstable();
    assert_eq!(outcomes, ["admitted", "admitted", "failed"], "{join_attempts:?}");
}
