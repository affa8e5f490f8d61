//! Classes in the platform's own Zoom account, for trainers without a Zoom login.

use futures::future::join_all;
use jiff::SignedDuration;
use local::calls::Service::{Dynamodb, Zoom};
use local::faults::{Fault, FaultKind};
use serde_json::{Value, json};
use shared::config::names;
use shared::domain::scope::REQUIRED_OF_ACCOUNT;

use crate::functions::{DirectFunctions, TOKENS_TABLE, dynamodb, items_with_prefix, set_secret};
use crate::guests::guest_tokens;
use crate::late_answers::finish_repairs;
use crate::support::{patched, session_path};
use crate::usage::{check_budgets, take_cost};
use crate::world::{Response, World, course_session_body, session_body};
use crate::zoom_session::simulate;

/// The hours from the start of a world to the session of [`course_session_body`] with the same number.
const HOURS: i64 = 26;
const MINUTE: SignedDuration = SignedDuration::from_mins(1);
const NO_BODY: Value = Value::Null;

/// Gives a trainer an active host with a licence, and returns its Zoom user.
pub(crate) async fn assign_host(world: &World, trainer: &str, email: &str) -> String {
    let service = world.service().await;
    let path = format!("/v1/hosts/{trainer}");
    let body = json!({"email": email, "create": "auto", "licence": "permanent"});
    world.put(&service, &path, body).await.expect(202);
    world.post("", "/local/schedules/meeting-sweep/run", json!({})).await.expect(200);
    let host = world.get(&service, &path).await.expect(200);
    assert_eq!(host["state"], "active", "{host}");
    host["zoom_user_id"].as_str().expect("an id").to_owned()
}

/// A world in which the platform hosts the classes of `trainer-1`, without a Zoom login.
async fn hosted_trainer() -> (World, String, String) {
    let world = World::start().await;
    let only_required = REQUIRED_OF_ACCOUNT.into_iter().map(str::to_owned).collect();
    let mut update = local::zoom::SettingsUpdate::default();
    update.server_app.scopes = Some(Some(only_required));
    world.stack.zoom.update_settings(update);
    let trainer = world.trainer().await;
    let host = assign_host(&world, "trainer-1", "hana@example.test").await;
    delete_account_token(&world).await;
    world.stack.usage.reset();
    (world, trainer, host)
}

/// Deletes the token with which the host was created, so that the next request needs another.
pub(crate) async fn delete_account_token(world: &World) {
    for mut item in items_with_prefix(world, TOKENS_TABLE, "ACCOUNT#").await {
        item.retain(|name, _| name == "pk" || name == "sk");
        let delete = dynamodb(world).delete_item().table_name(TOKENS_TABLE).set_key(Some(item));
        delete.send().await.expect("deleted");
    }
}

fn account_token_calls(world: &World) -> u64 {
    let functions = ["session-save", "session-cancel", "join", "reminder-sweep"];
    functions.iter().map(|function| world.stack.usage.calls(function, Zoom, "token")).sum()
}

async fn join(world: &World, token: &str, session: &Value) -> Response {
    world.post(token, &format!("{}/join", session_path(session)), json!({})).await
}

async fn simulate_meeting(world: &World, session: &Value, verb: &str, body: Value) -> Value {
    let number = session["meeting"]["id"].as_str().expect("a number");
    simulate(world, &format!("meetings/{number}/{verb}"), body).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn trainer_without_zoom_login_holds_a_class_with_an_embedded_student() {
    let (world, trainer, host) = hosted_trainer().await;
    let connection = world.get(&trainer, "/v1/zoom/connection").await.expect(200);
    assert_eq!(connection["status"], "platform");
    assert_eq!(connection["host"], json!({"state": "active", "reason": null}));
    let session = world.create(&trainer, &course_session_body(HOURS)).await.expect(201);
    assert_eq!((&session["hosting"], &session["warnings"]), (&json!("platform"), &json!([])));
    assert_eq!(world.meeting_of(&session)["host_id"], host);
    let body = patched(course_session_body(HOURS), json!({"title": "Geometry"}));
    let session = world.edit(&trainer, &session, &body).await.expect(200);
    assert_eq!(world.meeting_of(&session)["topic"], "Geometry");

    world.advance(SignedDuration::from_hours(HOURS) - MINUTE * 5);
    let student = world.student(1).await;
    let early = join(&world, &student, &session).await.expect(200);
    assert_eq!((&early["mode"], &early["role"]), (&json!("signature"), &json!(0)));
    assert!(early.get("zak").is_none_or(Value::is_null), "{early}");
    assert!(early.get("obf_token").is_none_or(Value::is_null), "{early}");
    let started = join(&world, &trainer, &session).await.expect(200);
    assert_eq!((&started["mode"], &started["role"]), (&json!("signature"), &json!(1)));
    assert!(started["zak"].as_str().is_some_and(|zak| !zak.is_empty()), "{started}");
    assert!(started.get("obf_token").is_none_or(Value::is_null), "{started}");

    simulate_meeting(&world, &session, "start", json!({})).await;
    let live = world.get(&trainer, &session_path(&session)).await.expect(200);
    assert_eq!(live["status"], "live");
    world.advance(MINUTE * 20);
    simulate_meeting(&world, &session, "end", json!({})).await;
    let ended = world.get(&trainer, &session_path(&session)).await.expect(200);
    assert_eq!(ended["status"], "ended");

    let second = world.create(&trainer, &session_body(2 * HOURS)).await.expect(201);
    world.cancel(&trainer, &second).await.expect(200);
    assert_eq!(world.meeting_of(&second)["status"], "deleted");
    assert_eq!(world.due_work("REPAIR").await, Vec::<Value>::new());
    assert_eq!(account_token_calls(&world), 2, "one token a day later, and one at the beginning");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_concurrent_requests_cause_one_account_token() {
    let (world, trainer, _) = hosted_trainer().await;
    let session = world.create(&trainer, &course_session_body(HOURS)).await.expect(201);
    assert_eq!(account_token_calls(&world), 1);
    world.advance(SignedDuration::from_hours(HOURS));
    for calls in [2, 3] {
        let all = (0..50).map(|_| join(&world, &trainer, &session));
        for response in join_all(all).await {
            response.expect(200);
        }
        assert_eq!(account_token_calls(&world), calls);
        // The token has an hour left by our clock, but Zoom rejects it.
        world.stack.zoom.expire_access_tokens();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dying_account_token_is_replaced_once_and_the_call_repeated_once() {
    let (world, trainer, _) = hosted_trainer().await;
    world.inject_fault(Fault::new(Zoom, "create_meeting", FaultKind::Unauthorized));
    world.create(&trainer, &session_body(HOURS)).await.expect(201);
    assert_eq!(account_token_calls(&world), 2);
    assert_eq!(world.zoom_calls("session-save", "create_meeting"), 2);
    assert_eq!(world.meetings().len(), 1);

    world.inject_fault(Fault::new(Zoom, "create_meeting", FaultKind::Unauthorized).times(2));
    let body = session_body(HOURS + 2);
    world.create(&trainer, &body).await.expect_problem(503, "unavailable");
    assert_eq!(account_token_calls(&world), 3);
    assert_eq!(world.zoom_calls("session-save", "create_meeting"), 4);
    world.create(&trainer, &body).await.expect(201);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn account_token_survives_a_crash_at_any_step() {
    for (kind, calls) in [(FaultKind::Lost, 0), (FaultKind::Error, 0), (FaultKind::Html, 0)] {
        let (world, trainer, _) = hosted_trainer().await;
        let fault = Fault::new(Zoom, "token", kind).for_function("session-save");
        world.inject_fault(fault.after(calls));
        world.create(&trainer, &session_body(HOURS)).await.expect_problem(502, "zoom_unavailable");
        world.create(&trainer, &session_body(HOURS)).await.expect(201);
        assert_eq!(world.meetings().len(), 1);
    }
    // The lease of a function that died is waited for until it expires.
    let (world, trainer, _) = hosted_trainer().await;
    let dies = Fault::new(Dynamodb, "UpdateItem", FaultKind::Error).for_function("session-save");
    world.inject_fault(dies.after(1).times(20));
    world.create(&trainer, &session_body(HOURS)).await.expect_problem(503, "unavailable");
    world.stack.faults.clear();
    world.advance(SignedDuration::from_secs(21));
    world.create(&trainer, &session_body(HOURS)).await.expect(201);
    assert_eq!(world.meetings().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refused_account_credentials_concern_the_operator_alone() {
    let (world, trainer, _) = hosted_trainer().await;
    let session = world.create(&trainer, &session_body(HOURS)).await.expect(201);
    let app = |active| {
        let mut update = local::zoom::SettingsUpdate::default();
        update.server_app.active = Some(active);
        world.stack.zoom.update_settings(update);
    };
    app(false);
    world.advance(SignedDuration::from_hours(1));
    for _ in 0..3 {
        world.create(&trainer, &session_body(HOURS + 2)).await.expect_problem(503, "unavailable");
    }
    assert_eq!(account_token_calls(&world), 2, "refused credentials are not tried at once again");
    // The cancellation is certain, and its deletion at Zoom waits for the operator.
    world.cancel(&trainer, &session).await.expect(200);
    assert_ne!(world.meeting_of(&session)["status"], "deleted");
    assert_eq!(
        world
            .items("USER#trainer-1")
            .await
            .iter()
            .filter(|item| item["health"].is_string())
            .count(),
        0
    );
    app(true);
    world.advance(SignedDuration::from_secs(16));
    world.create(&trainer, &session_body(HOURS + 2)).await.expect(201);
    finish_repairs(&world).await;
    assert_eq!(world.meeting_of(&session)["status"], "deleted");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deployment_with_another_app_account_names_the_setting() {
    let (world, trainer, _) = hosted_trainer().await;
    let functions = DirectFunctions::new(&world, &[(names::ZOOM_APP_ACCOUNT_ID, "another")]);
    let body = session_body(HOURS);
    let response = functions.call("session-save", "POST", "/v1/sessions", &trainer, Some(&body));
    response.await.expect_problem(503, "unavailable");
    assert_eq!(account_token_calls(&world), 0);
    // Without the secret's field, the same function still serves trainers with their own account.
    let mut secret = local::settings::secrets();
    secret["zoom_s2s"] = NO_BODY;
    set_secret(&world, &secret.to_string()).await;
    world.advance(MINUTE * 5);
    world.create(&trainer, &session_body(HOURS)).await.expect_problem(503, "unavailable");
    let other = world.other_trainer().await;
    world.connect_zoom(&other, "other").await;
    let own = world.create(&other, &session_body(HOURS)).await.expect(201);
    assert_eq!(own["hosting"], "trainer");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn class_keeps_its_host_whatever_the_trainers_mode_is_later() {
    let (world, trainer, host) = hosted_trainer().await;
    let hosted = world.create(&trainer, &session_body(HOURS)).await.expect(201);
    // From now on the trainer's own account hosts.
    world.put_user("trainer-1", json!({"hosting": "trainer"})).await;
    world.connect_zoom(&trainer, "other").await;
    let own = world.create(&trainer, &session_body(HOURS + 2)).await.expect(201);
    assert_eq!(own["hosting"], "trainer");
    let body = patched(session_body(HOURS), json!({"title": "Geometry"}));
    let edited = world.edit(&trainer, &hosted, &body).await.expect(200);
    assert_eq!((&edited["hosting"], &edited["warnings"]), (&json!("platform"), &json!([])));
    let meeting = world.meeting_of(&edited);
    assert_eq!((&meeting["topic"], &meeting["host_id"]), (&json!("Geometry"), &json!(host)));
    world.advance(SignedDuration::from_hours(HOURS));
    let started = join(&world, &trainer, &edited).await.expect(200);
    assert_eq!((&started["mode"], &started["role"]), (&json!("signature"), &json!(1)));
    world.cancel(&trainer, &edited).await.expect(200);
    assert_eq!(world.meeting_of(&edited)["status"], "deleted");
    assert_ne!(world.meeting_of(&own)["status"], "deleted");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn meeting_of_a_lost_response_is_found_in_the_platforms_account() {
    let (world, trainer, _) = hosted_trainer().await;
    world.inject_fault(Fault::new(Zoom, "create_meeting", FaultKind::Lost));
    let body = session_body(HOURS);
    let create = || world.create_with_idempotency_key(&trainer, "one", &body);
    let made = create().await.expect(201);
    assert_eq!(world.meetings().len(), 1);
    assert_eq!(create().await.expect(201), made);
    // A create that dies is undone by the repair.
    world.inject_fault(Fault::new(Zoom, "create_meeting", FaultKind::Lost));
    world.inject_fault(Fault::new(Zoom, "list_meetings", FaultKind::Error).times(4));
    let body = session_body(HOURS + 2);
    world.create(&trainer, &body).await.expect_problem(502, "zoom_unavailable");
    assert_eq!(world.meetings().len(), 2);
    world.stack.faults.clear();
    finish_repairs(&world).await;
    let left = world.meetings().into_iter().filter(|meeting| meeting["status"] != "deleted");
    assert_eq!(left.count(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn trainer_without_an_active_host_is_told_so() {
    let world = World::start().await;
    let trainer = world.trainer().await;
    let functions = DirectFunctions::new(&world, &[(names::ZOOM_HOSTING, "platform")]);
    let body = session_body(HOURS);
    let response = functions.call("session-save", "POST", "/v1/sessions", &trainer, Some(&body));
    let problem = response.await.expect_problem(409, "zoom_not_connected");
    assert!(problem["detail"].as_str().is_some_and(|detail| detail.contains("no active host")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn co_trainer_teaches_and_starts_a_class_that_the_platform_hosts() {
    let (world, trainer, _) = hosted_trainer().await;
    let other = world.other_trainer().await;
    let co_taught = json!({"co_trainers": ["trainer-2", "trainer-2"]});
    let body = patched(course_session_body(HOURS), co_taught.clone());
    let hosted = world.create(&trainer, &body).await.expect(201);
    assert_eq!(hosted["co_trainers"], json!(["trainer-2"]));
    let path = session_path(&hosted);
    world.get(&other, &path).await.expect(200);
    world.cancel(&other, &hosted).await.expect_problem(403, "forbidden");
    world.edit(&other, &hosted, &body).await.expect_problem(403, "forbidden");
    world.advance(SignedDuration::from_hours(HOURS) - MINUTE * 14);
    let started = join(&world, &other, &hosted).await.expect(200);
    assert_eq!((&started["mode"], &started["role"]), (&json!("signature"), &json!(1)));
    assert!(started["zak"].is_string(), "{started}");
    world.advance(MINUTE * 15);
    simulate_meeting(&world, &hosted, "start", json!({})).await;
    let poll = json!({"question": "Ready?", "options": ["Yes", "No"]});
    world.post(&other, &format!("{path}/polls"), poll).await.expect(201);
    let correction = json!({"present": true});
    let row = world.get(&other, &format!("{path}/attendance")).await.expect(200)["attendees"][0]
        ["attendee_id"]
        .clone();
    let row = format!("{path}/attendance/{}", row.as_str().expect("an id"));
    world.put(&other, &row, correction).await.expect(200);
    let audit = world.list_items(&trainer, &format!("{path}/attendance/audit")).await;
    assert_eq!(audit[0]["actor"], "trainer-2");
    let timeline = world.list_items(&trainer, &format!("{path}/timeline")).await;
    let click = timeline.iter().find(|entry| entry["kind"] == "clicked_start").expect("a click");
    assert_eq!(click["actor"], "trainer-2");
    // Somebody without the role, or without the name on the list, gets nothing.
    let student = world.student(9).await;
    world.get(&student, &path).await.expect_problem(404, "not_found");

    // The trainer's own grant is for the trainer alone.
    world.put_user("trainer-1", json!({"hosting": "trainer"})).await;
    world.connect_zoom(&trainer, "app").await;
    let own =
        world.create(&trainer, &patched(session_body(HOURS + 2), co_taught)).await.expect(201);
    world.advance(SignedDuration::from_hours(2) - MINUTE * 15);
    let joined = join(&world, &other, &own).await.expect(200);
    assert_eq!((&joined["role"], joined["zak"].is_string()), (&json!(0), false));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn create_start_and_guest_join_stay_within_budget() {
    let (world, trainer, _) = hosted_trainer().await;
    // The first class obtains the account's token.
    world.create(&trainer, &session_body(2 * HOURS)).await.expect(201);
    world.stack.usage.reset();
    let mut costs = Vec::new();
    let mut measure = |action, function| costs.push(take_cost(&world, action, function));
    let invited = json!({"audience_type": "invitees", "invitees": [{"email": "gil@guests.test"}]});
    let body = patched(session_body(HOURS), invited);
    let session = world.create(&trainer, &body).await.expect(201);
    measure("create, hosted by the platform", "session-save");
    world.run_outbox_sweep().await;
    let (_, token) = guest_tokens(&world, "gil@guests.test").pop().expect("a mail");
    world.advance(SignedDuration::from_hours(HOURS) - MINUTE * 5);
    join(&world, &trainer, &session).await.expect(200);
    // The account's token has expired. The next start uses the new one.
    world.stack.usage.reset();
    join(&world, &trainer, &session).await.expect(200);
    measure("start, hosted by the platform", "join");
    let guest = json!({"token": token});
    world.post("", "/v1/guest/join", guest.clone()).await.expect(200);
    measure("join of a guest, first request", "join");
    world.post("", "/v1/guest/join", guest).await.expect(200);
    measure("join of a guest", "join");
    let budgets = [
        // The account's token, and the calendar and the record of the host, are three units of the reads.
        (5, 8.0, 34.0, 1, 1),
        (4, 2.5, 1.0, 0, 1),
        (3, 1.5, 2.0, 0, 0),
        (3, 1.5, 2.0, 0, 0),
    ];
    check_budgets(&costs, &budgets);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn repairs_leave_a_limited_account_to_people() {
    let (world, trainer, _) = hosted_trainer().await;
    let mut sessions = Vec::new();
    for hours in 1..=3 {
        let body = session_body(HOURS + 2 * hours);
        sessions.push(world.create(&trainer, &body).await.expect(201));
    }
    world.inject_fault(Fault::new(Zoom, "delete_meeting", FaultKind::Error).times(6));
    for session in &sessions {
        world.cancel(&trainer, session).await.expect(200);
    }
    world.stack.faults.clear();
    world.inject_fault(Fault::new(Zoom, "delete_meeting", FaultKind::Throttle));
    world.stack.usage.reset();
    world.advance(SignedDuration::from_secs(90));
    world.sweep().await;
    assert_eq!(world.zoom_calls("reminder-sweep", "delete_meeting"), 1, "the others wait");
    finish_repairs(&world).await;
    for session in &sessions {
        assert_eq!(world.meeting_of(session)["status"], "deleted");
    }
}
