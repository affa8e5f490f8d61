//! The simulated EventBridge: `PutEvents`, as a platform's back end calls it.

use http::Method;
use local::calls::Service;
use local::faults::{Fault, FaultKind};
use serde_json::{Value, json};

use crate::world::World;

/// Calls `PutEvents` as the SDK of any language does.
async fn put_events(world: &World, entries: Value) -> crate::world::Response {
    let headers =
        [("x-amz-target", "AWSEvents.PutEvents"), ("content-type", "application/x-amz-json-1.1")];
    let body = json!({ "Entries": entries }).to_string().into_bytes();
    world.send(Method::POST, "/local/aws", &headers, body).await
}

fn course(id: &str, title: &str) -> Value {
    let detail = json!({"id": id, "title": title, "trainer_id": "trainer-1"}).to_string();
    json!({"Source": "platform", "DetailType": "CourseUpserted", "Detail": detail})
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn put_event_reaches_the_function_of_its_rule() {
    let world = World::start().await;
    let unknown = json!({"Source": "platform", "DetailType": "Unknown", "Detail": "{}"});
    let response = put_events(&world, json!([course("course-7", "Logic"), unknown])).await;
    assert_eq!(response.headers["content-type"], "application/x-amz-json-1.1");
    let response = response.expect(200);
    assert_eq!(response["FailedEntryCount"], 0, "{response}");
    assert_ne!(response["Entries"][0]["EventId"], response["Entries"][1]["EventId"]);
    world.stack.event_targets.deliver().await;
    let stored = world.items("COURSE#course-7").await;
    assert_eq!(stored[0]["title"], "Logic", "{stored:?}");
    let usage = world.get("", "/local/usage").await.expect(200);
    let calls = &usage["functions"]["tests"]["calls"];
    let call =
        calls.as_array().expect("calls").iter().find(|call| call["service"] == "eventbridge");
    assert_eq!(call.expect("the call")["operation"], "PutEvents", "{calls}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn invalid_entries_and_requests_are_refused() {
    let world = World::start().await;
    let of_aws = json!({"Source": "aws.ses", "DetailType": "Email Bounced", "Detail": "{}"});
    let malformed = json!({"Source": "platform", "DetailType": "CourseUpserted", "Detail": "{"});
    let without = json!({"DetailType": "CourseUpserted", "Detail": "{}"});
    let entries = json!([of_aws, malformed, without, course("course-8", "Sets")]);
    let response = put_events(&world, entries).await.expect(200);
    assert_eq!(response["FailedEntryCount"], 3, "{response}");
    let codes: Vec<_> =
        (0..3).map(|n| response["Entries"][n]["ErrorCode"].as_str().expect("a code")).collect();
    assert_eq!(codes, ["NotAuthorizedForSourceException", "MalformedDetail", "InvalidArgument"]);
    world.stack.event_targets.deliver().await;
    assert_eq!(world.items("COURSE#course-8").await.len(), 1);

    let eleven = Value::from(vec![course("course-9", "x"); 11]);
    let large = json!([course("course-9", &"x".repeat(256 * 1024))]);
    for entries in [json!([]), eleven, large] {
        let refused = put_events(&world, entries).await.expect(400);
        assert_eq!(refused["__type"], "ValidationException", "{refused}");
    }
    world.inject_fault(Fault::new(Service::Eventbridge, "PutEvents", FaultKind::Throttle));
    let refused = put_events(&world, json!([course("course-9", "x")])).await.expect(400);
    assert_eq!(refused["__type"], "ThrottlingException");
    world.stack.event_targets.deliver().await;
    assert_eq!(world.items("COURSE#course-9").await.len(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mail_without_a_configuration_set_is_not_reported() {
    let world = World::start_with_settings(&[("MAIL_CONFIGURATION_SET", "")]).await;
    world.create_with_invitees(1).await;
    world.run_outbox_sweep().await;
    let path = format!("/local/mail/{}/bounce", world.mail_id("scheduled", super::GUEST));
    world.post("", &path, json!({"kind": "hard"})).await.expect(409);
    world.post("", &path, json!({"kind": "other"})).await.expect(422);
    world.post("", "/local/mail/unknown/bounce", json!({"kind": "hard"})).await.expect(404);
}
