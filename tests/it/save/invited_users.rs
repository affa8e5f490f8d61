//! People who are invited by their user id.

use local::calls::Service::Dynamodb;
use serde_json::{Value, json};

use super::connected_trainer;
use crate::support::{fields, patched};
use crate::world::{World, session_body};

fn inviting(invitees: Value) -> Value {
    patched(session_body(26), json!({"audience_type": "invitees", "invitees": invitees}))
}

async fn put_student(world: &World, id: &str, email: &str, name: &str) {
    let user = json!({"email": email, "name": name, "role": "student", "plan": null});
    world.put_user(id, user).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn users_and_addresses_are_invited_together() {
    let (world, trainer) = connected_trainer().await;
    put_student(&world, "ada", "ada@example.test", "Ada").await;
    put_student(&world, "bob", "bob@example.test", "Bob").await;
    let body = inviting(json!([
        {"user_id": "bob"}, {"email": "ADA@example.test"}, {"user_id": "ada"},
        {"email": "gil@example.test", "name": "Gil"}, {"user_id": "bob", "name": "Bobby"},
    ]));
    let create = || world.create_with_idempotency_key(&trainer, "k-1", &body);
    let session = create().await.expect(201);
    let invited = json!([
        {"email": "ada@example.test", "name": "Ada"}, {"email": "bob@example.test", "name": "Bobby"},
        {"email": "gil@example.test", "name": "Gil"},
    ]);
    assert_eq!(session["invitees"], invited);
    world.run_outbox_sweep().await;
    let mut mailed: Vec<_> = world.sent_mails().await.into_iter().map(|(_, to)| to).collect();
    mailed.sort();
    assert_eq!(mailed, ["ada@example.test", "bob@example.test", "gil@example.test"]);
    let ada =
        world.token(json!({"sub": "ada", "role": "student", "email": "ada@example.test"})).await;
    assert_eq!(world.list_items(&ada, "/v1/me/sessions").await.len(), 1);

    // The directory changes. The class follows with its next edit, and a repeated create changes nothing.
    put_student(&world, "bob", "robert@example.test", "Robert").await;
    assert_eq!(create().await.expect(201)["invitees"], invited);
    let edited = world.edit(&trainer, &session, &body).await.expect(200);
    assert_eq!(edited["version"], 2);
    assert_eq!(edited["invitees"][2], json!({"email": "robert@example.test", "name": "Bobby"}));
    assert_eq!(world.edit(&trainer, &session, &body).await.expect(200), edited);
    world.run_outbox_sweep().await;
    let mailed = world.sent_mails().await;
    for mail in [("uninvited", "bob@example.test"), ("scheduled", "robert@example.test")] {
        assert!(mailed.contains(&(mail.0.to_owned(), mail.1.to_owned())), "{mail:?} {mailed:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unknown_and_erased_users_are_refused_with_their_position() {
    let (world, trainer) = connected_trainer().await;
    put_student(&world, "ada", "ada@example.test", "Ada").await;
    put_student(&world, "bob", "bob@example.test", "Bob").await;
    let body = |last: &str| {
        inviting(
            json!([{"user_id": "ada"}, {"email": "gil@example.test"}, {"user_id": "ada"}, {"user_id": last}]),
        )
    };
    let session = world.create(&trainer, &body("bob")).await.expect(201);
    let service = world.service().await;
    world.delete(&service, "/v1/directory/users/bob").await.expect(204);
    let count = world.meetings().len();
    for unknown in ["bob", "nobody"] {
        let created = world.create(&trainer, &body(unknown)).await;
        let edited = world.edit(&trainer, &session, &body(unknown)).await;
        for response in [created, edited] {
            let problem = response.expect_problem(422, "validation_failed");
            assert_eq!(fields(&problem), ["invitees[3].user_id"], "{problem}");
        }
    }
    assert_eq!(world.meetings().len(), count);
    for (entry, field) in [
        (json!({"user_id": "ada", "email": "ada@example.test"}), "invitees[0].user_id"),
        (json!({"user_id": 7}), "invitees[0].user_id"),
        (json!({"name": "Ada"}), "invitees[0].email"),
    ] {
        let problem = world.create(&trainer, &inviting(json!([entry]))).await;
        let problem = problem.expect_problem(422, "validation_failed");
        assert_eq!(fields(&problem), [field], "{entry}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thousand_users_are_read_in_ten_batches() {
    let (world, trainer) = connected_trainer().await;
    let lines: Vec<_> = (0..1000)
        .map(|n| {
            json!({"type": "user", "id": format!("u-{n}"), "email": format!("u{n}@example.test"),
                "name": format!("User {n}"), "role": "student"})
            .to_string()
        })
        .collect();
    let service = world.service().await;
    let file = lines.join("\n").into_bytes();
    let imported = world.send_raw(http::Method::POST, "/v1/directory/import", &service, file).await;
    assert_eq!(imported.expect(200)["accepted"], 1000);
    let users = |count: usize| -> Value {
        (0..count).map(|n| json!({"user_id": format!("u-{n}")})).collect()
    };
    world.stack.usage.reset();
    let session = world.create(&trainer, &inviting(users(1000))).await.expect(201);
    assert_eq!(session["invitees"].as_array().map(Vec::len), Some(1000));
    let batches = world.stack.usage.calls("session-save", Dynamodb, "BatchGetItem");
    assert_eq!(batches, 12, "the class, the calendar of its host, and ten for the users");
    // The plan's limit counts the people.
    world.put_user("trainer-1", json!({"plan": "free"})).await;
    world.create(&trainer, &inviting(users(21))).await.expect_problem(403, "plan_limit");
    let twice: Vec<_> = (0..40).map(|n| json!({"user_id": format!("u-{}", n / 2)})).collect();
    world.create(&trainer, &inviting(Value::Array(twice))).await.expect(201);
}
