//! The simulated services follow the settings of the functions.

use serde_json::{Value, json};
use shared::config::names;

use crate::support::{patched, session_path};
use crate::world::{World, course_session_body, session_body};

#[tokio::test(flavor = "multi_thread")]
async fn simulated_zoom_follows_the_settings_of_the_functions() {
    let own_callback = "http://localhost:5173/zoom/callback";
    let redirects = format!("{own_callback}, https://app.example.test/zoom");
    let server_app = json!({"account_id": "acme", "client_id": "acme-s2s", "client_secret": "s2s"});
    let world = World::start_with_settings(&[
        (names::ZOOM_REDIRECT_URIS, &redirects),
        (names::ZOOM_APP_ACCOUNT_ID, "acme"),
        ("zoom_client_id", "acme-app"),
        ("zoom_client_secret", "acme-secret"),
        ("zoom_s2s", &server_app.to_string()),
    ])
    .await;
    let trainer = world.trainer().await;
    // A single-page app receives its own callback.
    let authorize = json!({"redirect_uri": own_callback});
    let authorization = world.post(&trainer, "/v1/zoom/authorize", authorize).await.expect(200);
    let (code, state) = world.submit_consent(&authorization, "decision=allow&account=app").await;
    let body = json!({"code": code, "state": state});
    let connection = world.post(&trainer, "/v1/zoom/connect", body).await.expect(200);
    assert_eq!(
        (&connection["status"], &connection["account_id"]),
        (&json!("connected"), &json!("acme"))
    );
    world.create(&trainer, &session_body(24)).await.expect(201);
    // The account's own app creates a host on one of the account's licences.
    let service = world.service().await;
    let host = json!({"email": "host@example.test", "create": "auto", "licence": "permanent"});
    world.put(&service, "/v1/hosts/trainer-2", host).await.expect(202);
    world.post("", "/local/schedules/meeting-sweep/run", json!({})).await.expect(200);
    let host = world.get(&service, "/v1/hosts/trainer-2").await.expect(200);
    assert_eq!(host["state"], "active", "{host}");
    let user =
        world.stack.zoom.users().into_iter().find(|user| user["email"] == "host@example.test");
    assert_eq!(user.expect("a Zoom user")["account_id"], "acme");
}

#[tokio::test(flavor = "multi_thread")]
async fn simulated_aws_follows_the_settings_of_the_functions() {
    let queues = "http://localhost/000000000000";
    let [urgent, bulk, dead, payments] =
        ["urgent", "bulk", "dead", "paid"].map(|name| format!("{queues}/{name}"));
    let world = World::try_start(local::stack::Options {
        settings: [
            (names::TABLE_NAME, "acme-main"),
            (names::TOKENS_TABLE_NAME, "acme-tokens"),
            (names::OUTBOX_QUEUE_URL, &urgent),
            (names::OUTBOX_BULK_QUEUE_URL, &bulk),
            (names::OUTBOX_DLQ_URL, &dead),
            (names::PAYMENTS_QUEUE_URL, &payments),
            (names::CONFIG_SECRET_ID, "acme/config"),
            (names::MAIL_PROVIDER, "zeptomail"),
            ("zeptomail_token", "acme-mail-token"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into(),
        ..World::options()
    })
    .await
    .expect("a started stack");
    let trainer = world.trainer().await;
    world.connect_zoom(&trainer, "app").await;
    let session = world.create(&trainer, &course_session_body(24)).await.expect(201);
    world.get(&trainer, &session_path(&session)).await.expect(200);
    for _ in 0..2 {
        world.post("", "/local/schedules/outbox-sweep/run", json!({})).await.expect(200);
    }
    let mails = world.stack.aws.mailbox().list().expect("a list");
    let services: Vec<_> = mails.iter().map(|mail| mail.service.as_str()).collect();
    assert_eq!(services, ["zeptomail"; 5]);
    // A payment is carried out through its queue.
    let payment = json!({"user_id": "student-9", "course_id": "course-1"});
    let service = world.service().await;
    world.put(&service, "/v1/payments/pay-1", payment).await.expect(202);
    world.post("", "/local/schedules/outbox-sweep/run", json!({})).await.expect(200);
    let paid = world.get(&service, "/v1/payments/pay-1").await.expect(200);
    assert_eq!(paid["state"], "done", "{paid}");
    assert!(world.stack.aws.secret("acme/config").await.is_some());
    let config = world.get("", "/local/config").await.expect(200);
    assert_eq!(config["secrets"]["zeptomail_token"], "acme-mail-token");
}

#[tokio::test(flavor = "multi_thread")]
async fn deactivated_hosting_leaves_the_server_app_out() {
    let settings = [("zoom_s2s", ""), (names::ZOOM_HOSTING, "trainer")];
    let world = World::start_with_settings(&settings).await;
    let trainer = world.trainer().await;
    world.connect_zoom(&trainer, "app").await;
    let body = patched(session_body(24), Value::Object(Default::default()));
    world.create(&trainer, &body).await.expect(201);
}
