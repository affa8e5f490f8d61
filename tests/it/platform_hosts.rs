//! The hosts of the platform's own Zoom account: requests, Zoom's answers, removals, events and lists.

mod answers;
mod crashes;

use http::Method;
use jiff::SignedDuration;
use local::calls::Service;
use serde_json::{Value, json};

use crate::support::{patched, session_path};
use crate::world::{World, course_session_body};

const EMAIL: &str = "tara@school.test";

impl World {
    /// Requests a host as the platform's back end.
    async fn put_host(&self, trainer: &str, email: &str, create: &str, licence: &str) -> Value {
        let body = json!({"email": email, "create": create, "licence": licence});
        let service = self.service().await;
        self.put(&service, &format!("/v1/hosts/{trainer}"), body).await.expect(202)
    }

    async fn host(&self, trainer: &str) -> Value {
        let service = self.service().await;
        self.get(&service, &format!("/v1/hosts/{trainer}")).await.expect(200)
    }

    /// Runs the meeting sweep and returns the trainer's host.
    async fn host_after_sweep(&self, trainer: &str) -> Value {
        self.meeting_sweep().await;
        self.host(trainer).await
    }

    pub(crate) async fn meeting_sweep(&self) -> Value {
        self.stack.schedules.run("meeting-sweep").await.expect("a report of the sweep")
    }

    /// The user at Zoom, in any account.
    async fn zoom_user(&self, email: &str) -> Option<Value> {
        let users = self.get("", "/zoom/sim/users").await.expect(200);
        let users = users["items"].as_array().expect("users").clone();
        users.into_iter().find(|user| user["email"] == email)
    }

    async fn change_zoom(&self, knobs: Value) {
        self.post("", "/zoom/sim/knobs", knobs).await.expect(200);
    }

    /// Changes the rules of the platform's account for its users.
    async fn change_user_rules(&self, rules: Value) {
        self.change_zoom(json!({"accounts": {"app": {"users": rules}}})).await;
    }

    fn calls_about_users(&self) -> u64 {
        let operations =
            ["create_user", "get_user", "update_user", "set_user_status", "delete_user"];
        let calls =
            operations.map(|name| self.stack.usage.calls("meeting-sweep", Service::Zoom, name));
        calls.iter().sum()
    }
}

fn state_and_reason(host: &Value) -> (&str, Option<&str>) {
    (host["state"].as_str().expect("a state"), host["reason"].as_str())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn invited_person_becomes_an_active_host_after_accepting() {
    let world = World::start().await;
    let requested = world.put_host("trainer-1", EMAIL, "invite", "permanent").await;
    assert_eq!(state_and_reason(&requested), ("requested", None));
    assert_eq!(requested["zoom_user_id"], Value::Null);
    assert_eq!(world.zoom_user(EMAIL).await, None, "the sweep carries it out");

    let invited = world.host_after_sweep("trainer-1").await;
    assert_eq!(state_and_reason(&invited), ("invited", None));
    let user = world.zoom_user(EMAIL).await.expect("the user");
    assert_eq!((&user["status"], &user["licence"]), (&json!("pending"), &json!(2)));
    // Nothing is due before the next look, and an equal request changes nothing.
    let calls = world.calls_about_users();
    let repeated = world.put_host("trainer-1", EMAIL, "invite", "permanent").await;
    assert_eq!(repeated, world.host_after_sweep("trainer-1").await);
    assert_eq!(repeated, invited);
    assert_eq!(world.calls_about_users(), calls);

    world.post("", &format!("/zoom/sim/users/{EMAIL}/accept"), json!({})).await.expect(200);
    world.advance(SignedDuration::from_mins(8));
    let active = world.host_after_sweep("trainer-1").await;
    assert_eq!(state_and_reason(&active), ("active", None));
    assert_eq!(active["zoom_user_id"], user["id"]);
    assert_eq!(active["licence"]["held"], true);
    assert_eq!(active["licence"]["since"], invited["licence"]["since"], "the date is kept");
    assert_eq!(world.items("DUE#HOSTS").await, Vec::<Value>::new());

    // Without the mode, the licence is given back, and the host stays in use meanwhile.
    let changed = world.put_host("trainer-1", EMAIL, "invite", "none").await;
    assert_eq!(state_and_reason(&changed), ("active", None));
    let basic = world.host_after_sweep("trainer-1").await;
    assert_eq!(basic["licence"], json!({"mode": "none", "held": false, "since": null}));
    assert_eq!(world.zoom_user(EMAIL).await.expect("the user")["licence"], 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn expired_invitation_fails_and_a_repeated_request_invites_again() {
    let world = World::start().await;
    world.put_host("trainer-1", EMAIL, "invite", "none").await;
    world.meeting_sweep().await;
    world.post("", &format!("/zoom/sim/users/{EMAIL}/expire"), json!({})).await.expect(200);
    world.advance(SignedDuration::from_mins(8));
    let failed = world.host_after_sweep("trainer-1").await;
    assert_eq!(state_and_reason(&failed), ("failed", Some("invitation_expired")));
    let again = world.put_host("trainer-1", EMAIL, "invite", "none").await;
    assert_eq!(state_and_reason(&again), ("requested", None));
    assert_eq!(world.host_after_sweep("trainer-1").await["state"], "invited");
    // Somebody withdraws the invitation at Zoom.
    world.delete_zoom_user(EMAIL).await;
    world.advance(SignedDuration::from_mins(8));
    let gone = world.host_after_sweep("trainer-1").await;
    assert_eq!(state_and_reason(&gone), ("failed", Some("gone_at_zoom")));
}

impl World {
    /// Removes a user from the account, as an administrator does on Zoom's pages.
    async fn delete_zoom_user(&self, email: &str) {
        let token = self.account_token().await;
        let path = format!("/zoom/v2/users/{email}?action=disassociate");
        self.call(Method::DELETE, &path, &token, None, &[]).await.expect(204);
    }

    async fn account_token(&self) -> String {
        use local::settings::{APP_ACCOUNT_ID, ZOOM_SERVER_CLIENT_ID, ZOOM_SERVER_CLIENT_SECRET};
        let credentials = format!("{ZOOM_SERVER_CLIENT_ID}:{ZOOM_SERVER_CLIENT_SECRET}");
        let basic = format!("Basic {}", data_encoding::BASE64.encode(credentials.as_bytes()));
        let headers =
            [("authorization", &*basic), ("content-type", "application/x-www-form-urlencoded")];
        let form = format!("grant_type=account_credentials&account_id={APP_ACCOUNT_ID}");
        let response = self.send(Method::POST, "/zoom/oauth/token", &headers, form.into_bytes());
        response.await.expect(200)["access_token"].as_str().expect("a token").to_owned()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_address_is_another_user_and_belongs_to_one_trainer() {
    let world = World::start().await;
    let service = world.service().await;
    let other = "tara@example.test";
    world.put_host("trainer-1", "old@example.test", "auto", "permanent").await;
    world.meeting_sweep().await;
    let taken = json!({"email": "old@example.test", "create": "auto", "licence": "none"});
    let refused = world.put(&service, "/v1/hosts/trainer-2", taken.clone()).await;
    refused.expect_problem(409, "conflict");

    world.put_host("trainer-1", other, "auto", "permanent").await;
    let active = world.host_after_sweep("trainer-1").await;
    assert_eq!(active["state"], "active");
    assert_eq!(active["zoom_user_id"], world.zoom_user(other).await.expect("the user")["id"]);
    let former = world.zoom_user("old@example.test").await.expect("the former user stays");
    assert_eq!((&former["licence"], &former["status"]), (&json!(1), &json!("active")));
    world.put(&service, "/v1/hosts/trainer-2", taken).await.expect(202);
    assert_eq!(world.host_after_sweep("trainer-2").await["zoom_user_id"], former["id"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn removal_does_at_zoom_what_was_requested() {
    let world = World::start().await;
    let service = world.service().await;
    for (n, (query, status, licence, keeps_id)) in [
        ("", "active", 1, true),
        ("?zoom=deactivate", "inactive", 1, true),
        ("?zoom=disassociate", "active", 1, false),
    ]
    .into_iter()
    .enumerate()
    {
        let (trainer, email) = (format!("trainer-{n}0"), format!("t{n}@example.test"));
        world.put_host(&trainer, &email, "auto", "permanent").await;
        world.meeting_sweep().await;
        let path = format!("/v1/hosts/{trainer}{query}");
        let removed = world.delete(&service, &path).await.expect(202);
        assert_eq!(state_and_reason(&removed), ("removed", None));
        let done = world.host_after_sweep(&trainer).await;
        assert_eq!(done["licence"]["held"], false, "{query}");
        assert_eq!(done["zoom_user_id"].is_string(), keeps_id, "{query}");
        let user = world.zoom_user(&email).await.expect("the user");
        assert_eq!(
            (&user["status"], &user["licence"]),
            (&json!(status), &json!(licence)),
            "{query}"
        );
        let is_in_account = user["account_id"] == local::settings::APP_ACCOUNT_ID;
        assert_eq!(is_in_account, keeps_id, "{query}");
        let repeated = world.delete(&service, &path).await.expect(202);
        assert_eq!(repeated, done, "a repeated removal changes nothing");
        // The address is free.
        world.put_host(&format!("{trainer}1"), &email, "existing", "none").await;
    }
    // An invitation is withdrawn, also by its address if nothing is known of the user.
    for (trainer, is_swept) in [("trainer-1", true), ("trainer-2", false)] {
        world.put_host(trainer, EMAIL, "invite", "none").await;
        if is_swept {
            world.meeting_sweep().await;
        }
        world.delete(&service, &format!("/v1/hosts/{trainer}?zoom=deactivate")).await.expect(202);
        assert_eq!(world.host_after_sweep(trainer).await["reason"], Value::Null);
        assert_eq!(world.zoom_user(EMAIL).await, None);
    }
    // A user of a managed domain that cannot leave.
    world.change_user_rules(json!({"keep_managed_users": true})).await;
    world.put_host("trainer-1", "kept@example.test", "auto", "none").await;
    world.meeting_sweep().await;
    let path = "/v1/hosts/trainer-1?zoom=disassociate";
    world.delete(&service, path).await.expect(202);
    let refused = world.host_after_sweep("trainer-1").await;
    assert_eq!(state_and_reason(&refused), ("removed", Some("not_allowed")));
    world.change_user_rules(json!({"keep_managed_users": false})).await;
    world.delete(&service, path).await.expect(202);
    assert_eq!(world.host_after_sweep("trainer-1").await["reason"], Value::Null);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn host_with_classes_ahead_is_removed_only_by_force() {
    let world = World::start().await;
    let (service, trainer) = (world.service().await, world.trainer().await);
    world.put_host("trainer-1", "trainer@example.test", "auto", "permanent").await;
    world.meeting_sweep().await;
    let session = world.create(&trainer, &course_session_body(50)).await.expect(201);
    let path = "/v1/hosts/trainer-1";
    world.delete(&service, path).await.expect_problem(409, "conflict");
    assert_eq!(world.host("trainer-1").await["state"], "active");
    world.cancel(&trainer, &session).await.expect(200);
    world.create(&trainer, &course_session_body(60)).await.expect(201);
    world.delete(&service, &format!("{path}?force=true")).await.expect(202);
    // The trainer has no host any more, and no Zoom account of their own.
    let refused = world.create(&trainer, &course_session_body(70)).await;
    refused.expect_problem(409, "zoom_not_connected");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn directory_decides_who_hosts_a_trainers_new_classes() {
    let world = World::start().await;
    let trainer = world.trainer().await;
    world.put_host("trainer-1", "trainer@example.test", "auto", "permanent").await;
    world.meeting_sweep().await;
    let host_of = async |hours| {
        let session = world.create(&trainer, &course_session_body(hours)).await.expect(201);
        world.meeting_of(&session)["host_email"].clone()
    };
    let email = json!({"email": "trainer@example.test"});
    for (hosting, hours) in [(Value::Null, 20), (json!("platform"), 30)] {
        world.put_user("trainer-1", patched(email.clone(), json!({"hosting": hosting}))).await;
        assert_eq!(host_of(hours).await, "trainer@example.test");
    }
    world.put_user("trainer-1", patched(email.clone(), json!({"hosting": "trainer"}))).await;
    let refused = world.create(&trainer, &course_session_body(40)).await;
    refused.expect_problem(409, "zoom_not_connected");
    world.connect_zoom(&trainer, "app").await;
    assert_eq!(host_of(40).await, "trainer@app.zoom.test");
    let service = world.service().await;
    let unknown = json!({"email": "a@b.test", "name": "A", "role": "trainer", "hosting": "nobody"});
    let refused = world.put(&service, "/v1/directory/users/trainer-1", unknown).await;
    refused.expect_problem(422, "validation_failed");
}

async fn send_event(world: &World, kind: &str, time: &str, detail: Value) -> Result<Value, String> {
    let event = json!({
        "version": "0", "id": "e-1", "detail-type": kind, "source": "host.platform", "account": "000000000000",
        "time": time, "region": "eu-central-1", "resources": [], "detail": detail,
    });
    let result = world.stack.functions.invoke("hosts", event, Default::default()).await;
    result.map_err(|error| error.to_string())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_do_the_same_as_requests_and_late_ones_are_ignored() {
    let world = World::start().await;
    let (earlier, now) = ("2026-11-21T08:59:00Z", "2026-11-21T09:00:00Z");
    let assigned = json!({"trainer_id": "trainer-1", "email": "t@example.test", "create": "auto", "licence": "leased"});
    let removed = json!({"trainer_id": "trainer-1", "zoom": "deactivate"});
    send_event(&world, "InstructorRemoved", now, removed.clone()).await.expect("nothing to remove");
    for _ in 0..2 {
        send_event(&world, "InstructorAssigned", now, assigned.clone()).await.expect("applied");
    }
    assert_eq!(world.host_after_sweep("trainer-1").await["state"], "active");
    send_event(&world, "InstructorRemoved", earlier, removed.clone()).await.expect("overtaken");
    assert_eq!(world.host("trainer-1").await["state"], "active");
    send_event(&world, "InstructorRemoved", now, removed).await.expect("applied");
    assert_eq!(world.host_after_sweep("trainer-1").await["state"], "removed");
    assert_eq!(world.zoom_user("t@example.test").await.expect("the user")["status"], "inactive");

    for invalid in [
        json!({"trainer_id": "trainer-1"}),
        patched(assigned.clone(), json!({"email": "nobody"})),
        patched(assigned.clone(), json!({"create": "magic"})),
        patched(assigned.clone(), json!({"colour": "red"})),
    ] {
        let sent = send_event(&world, "InstructorAssigned", now, invalid.clone()).await;
        assert!(sent.is_err(), "{invalid}");
    }
    send_event(&world, "InstructorPromoted", now, assigned.clone()).await.expect("ignored");

    // An event from before the erasure does not bring the trainer back.
    world.advance(SignedDuration::from_mins(1));
    let service = world.service().await;
    world.delete(&service, "/v1/directory/users/trainer-1").await.expect(204);
    send_event(&world, "InstructorAssigned", now, assigned).await.expect("overtaken");
    world.get(&service, "/v1/hosts/trainer-1").await.expect_problem(404, "not_found");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn erasing_a_trainer_erases_the_host_and_deactivates_the_zoom_user() {
    let world = World::start().await;
    let service = world.service().await;
    let email = "secret-address@example.test";
    world.put_host("trainer-1", email, "auto", "permanent").await;
    world.meeting_sweep().await;
    // A repetition of the erasure of somebody who has no host must not fail.
    world.delete(&service, "/v1/directory/users/trainer-2").await.expect(204);
    world.delete(&service, "/v1/directory/users/trainer-1").await.expect(204);
    world.get(&service, "/v1/hosts/trainer-1").await.expect_problem(404, "not_found");
    let traces = world.dump().await;
    assert!(!traces.iter().any(|item| item.to_string().contains(email)));
    assert_eq!(world.list_items(&service, "/v1/hosts").await, Vec::<Value>::new());

    world.inject_fault(
        local::faults::Fault::new(
            Service::Zoom,
            "set_user_status",
            local::faults::FaultKind::Error,
        )
        .times(2),
    );
    world.meeting_sweep().await;
    assert_eq!(world.zoom_user(email).await.expect("the user")["status"], "active");
    world.advance(SignedDuration::from_hours(2));
    world.meeting_sweep().await;
    let user = world.zoom_user(email).await.expect("the user");
    assert_eq!((&user["status"], &user["licence"]), (&json!("inactive"), &json!(1)));
    assert_eq!(world.items("DUE#HOSTS").await, Vec::<Value>::new());
    // Somebody else can get the address.
    world.put_host("trainer-3", email, "existing", "none").await;
    assert_eq!(world.host_after_sweep("trainer-3").await["state"], "active");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hosts_are_listed_by_state_for_service_and_admin_only() {
    let world = World::start().await;
    let service = world.service().await;
    for n in 0..5 {
        let email = format!("t{n}@{}.test", if n < 3 { "example" } else { "school" });
        world.put_host(&format!("trainer-{n}"), &email, "auto", "none").await;
    }
    world.meeting_sweep().await;
    world.put_host("trainer-9", "t9@example.test", "auto", "none").await;
    let trainers = async |query: &str| {
        let mut trainers = Vec::new();
        let mut cursor = String::new();
        loop {
            let path = format!("/v1/hosts?limit=2{query}{cursor}");
            let page = world.get(&service, &path).await.expect(200);
            let items = page["items"].as_array().expect("items").iter();
            trainers
                .extend(items.map(|host| host["trainer_id"].as_str().expect("an id").to_owned()));
            match page["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return trainers,
            }
        }
    };
    assert_eq!(trainers("&state=active").await, ["trainer-0", "trainer-1", "trainer-2"]);
    assert_eq!(trainers("&state=failed").await, ["trainer-3", "trainer-4"]);
    assert_eq!(trainers("&state=invited").await, Vec::<String>::new());
    assert_eq!(trainers("").await.len(), 6);
    let wrong = world.get(&service, "/v1/hosts?state=idle").await;
    wrong.expect_problem(422, "validation_failed");

    let admin = world.token(json!({"sub": "a", "role": "admin"})).await;
    world.get(&admin, "/v1/hosts/trainer-0").await.expect(200);
    let body = json!({"email": "x@example.test", "create": "auto", "licence": "none"});
    for stranger in [world.trainer().await, world.student(1).await] {
        for path in ["/v1/hosts", "/v1/hosts/trainer-1"] {
            world.get(&stranger, path).await.expect_problem(403, "forbidden");
        }
        let put = world.put(&stranger, "/v1/hosts/trainer-1", body.clone()).await;
        put.expect_problem(403, "forbidden");
        world.delete(&stranger, "/v1/hosts/trainer-1").await.expect_problem(403, "forbidden");
    }
    // A trainer hosted by the platform teaches as usual.
    let trainer = world.trainer().await;
    let session = world.create(&trainer, &course_session_body(50)).await.expect(201);
    world.get(&trainer, &session_path(&session)).await.expect(200);
}
