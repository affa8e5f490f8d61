//! Tests of registration: personal links, their refusals, and the participants who use them.

use super::*;

/// A meeting with registration, whose host belongs to the account of the Server-to-Server app.
async fn registered() -> (Bench, String, i64) {
    let bench = Bench::new();
    let token = bench.account_token().await;
    let host = bench.host(&token, "ada@school.test", 2).await;
    let id = bench.create_meeting_of(&token, &host).await;
    set_approval(&bench, &token, id, 0).await;
    (bench, token, id)
}

async fn set_approval(bench: &Bench, token: &str, id: i64, approval_type: i64) {
    let patch = json!({ "settings": { "approval_type": approval_type } });
    let path = format!("/zoom/v2/meetings/{id}");
    assert_eq!(bench.status_of("PATCH", &path, token, patch).await.0, 204);
}

async fn register(bench: &Bench, token: &str, id: i64, email: &str) -> TestResponse {
    let body = json!({ "email": email, "first_name": "Zoë", "last_name": "Z" });
    bench.call("POST", &format!("/zoom/v2/meetings/{id}/registrants"), token, Some(body)).await
}

fn tk(response: &TestResponse) -> String {
    let url = Url::parse(response.body["join_url"].as_str().unwrap()).unwrap();
    url.query_pairs().find(|(name, _)| name == "tk").unwrap().1.into_owned()
}

#[tokio::test]
async fn personal_link_admits_and_marks_the_participant() {
    let (bench, token, id) = registered().await;
    let shown = bench.get(&format!("/zoom/v2/meetings/{id}"), &token).await.body;
    assert!(shown["registration_url"].as_str().unwrap().contains("/meeting/register/"));
    let (zoe, max) = (
        register(&bench, &token, id, "zoe@school.test").await,
        register(&bench, &token, id, "max@school.test").await,
    );
    assert_eq!(zoe.status, StatusCode::CREATED, "{}", zoe.text);
    assert_ne!(tk(&zoe), tk(&max));
    let again = register(&bench, &token, id, "ZOE@school.test").await;
    assert_eq!(again.body, zoe.body, "the same person has the same link");
    bench.act(id, "start", json!({})).await;
    bench.act(id, "join", json!({ "name": "Zoë", "tk": tk(&zoe) })).await;
    bench.act(id, "wait", json!({ "name": "Max", "tk": tk(&max) })).await;
    bench.act(id, "join", json!({ "name": "Ada", "email": "ada@school.test" })).await;
    for body in [json!({ "name": "Eve" }), json!({ "name": "Eve", "tk": "made-up" })] {
        assert_eq!(bench.try_act(id, "join", body).await.status, StatusCode::CONFLICT);
    }
    bench.act(id, "join", json!({ "name": "Eve", "register": "eve@other.test" })).await;
    let joined = bench.bodies("meeting.participant_joined");
    let of = |name: &str| {
        let person = |body: &Value| body["payload"]["object"]["participant"].clone();
        let mut people = joined.iter().map(person);
        people.find(|person| person["user_name"] == name).unwrap()["registrant_id"].clone()
    };
    assert_eq!(of("Zoë"), zoe.body["registrant_id"]);
    assert_eq!(of("Ada"), Value::Null);
    assert!(of("Eve").is_string());
    bench.act(id, "end", json!({})).await;
    let past = bench
        .get(
            &format!("/zoom/v2/past_meetings/{id}/participants?include_fields=registrant_id"),
            &token,
        )
        .await
        .body;
    assert_eq!(past["participants"][1]["registrant_id"], zoe.body["registrant_id"]);
    let listed = bench.get(&format!("/zoom/v2/meetings/{id}/registrants"), &token).await.body;
    assert_eq!(listed["total_records"], 3);
    assert_eq!(listed["registrants"][0]["join_url"], zoe.body["join_url"]);
}

#[tokio::test]
async fn registration_is_refused_as_zoom_refuses_it() {
    let (bench, token, id) = registered().await;
    let register = async |token: &str, id, email: &str| {
        super::registrants::register(&bench, token, id, email).await.status_and_code()
    };
    let user = bench.token(&[("account", "other")]).await;
    assert_eq!(register("", id, "a@school.test").await, (401, 124));
    assert_eq!(register(&user, id, "a@school.test").await, (400, 4711), "no scope");
    assert_eq!(register(&token, 1, "a@school.test").await, (404, 1001));
    let foreign = bench.create_meeting(&user).await;
    assert_eq!(register(&token, foreign, "a@school.test").await, (404, 1001), "another account");
    assert_eq!(register(&token, id, &"a".repeat(129)).await, (400, 300));
    for _ in 0..3 {
        assert_eq!(register(&token, id, "a@school.test").await.0, 201);
    }
    assert_eq!(register(&token, id, "a@school.test").await, (429, 429), "a few a day");
    bench.update_settings(json!({ "registrants": { "capacity": 1 } })).await;
    assert_eq!(register(&token, id, "b@school.test").await, (400, 3043), "full");
    bench.update_settings(json!({ "registrants": { "capacity": 9 } })).await;
    set_approval(&bench, &token, id, 1).await;
    let by_hand = super::registrants::register(&bench, &token, id, "b@school.test").await;
    assert_eq!((by_hand.status.as_u16(), &by_hand.body["join_url"]), (201, &Value::Null));
    set_approval(&bench, &token, id, 2).await;
    assert_eq!(register(&token, id, "b@school.test").await, (400, 3000), "no registration");
    set_approval(&bench, &token, id, 0).await;
    bench.call("PATCH", "/zoom/v2/users/ada@school.test", &token, Some(json!({ "type": 1 }))).await;
    assert_eq!(register(&token, id, "b@school.test").await, (400, 3161), "not licensed");
}

#[tokio::test]
async fn registration_is_dropped_for_a_host_without_a_licence() {
    let bench = Bench::new();
    let token = bench.account_token().await;
    let host = bench.host(&token, "ada@school.test", 1).await;
    let id = bench.create_meeting_of(&token, &host).await;
    set_approval(&bench, &token, id, 0).await;
    let shown = bench.get(&format!("/zoom/v2/meetings/{id}"), &token).await.body;
    assert_eq!(shown["settings"]["approval_type"], 2);
    assert_eq!(shown["registration_url"], Value::Null);
}
