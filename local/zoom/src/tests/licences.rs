//! Tests of licences: their limit, plan usage, hosts in a meeting, and meetings without a licence.

use super::*;

const MINUTE: i64 = 60;

async fn bench(licences: usize) -> (Bench, String) {
    let bench = Bench::new();
    bench.update_settings(json!({ "accounts": { "app": { "licenses": licences } } })).await;
    let token = bench.account_token().await;
    (bench, token)
}

#[tokio::test]
async fn licences_are_limited_and_can_be_reassigned() {
    let (bench, token) = bench(1).await;
    let ada = bench.host(&token, "ada@school.test", 2).await;
    let mut codes = std::collections::BTreeSet::new();
    for _ in 0..20 {
        let refused = bench.create_user(&token, "create", "bob@school.test", 2).await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST);
        codes.insert(refused.status_and_code().1);
    }
    assert_eq!(Vec::from_iter(codes), [2034, 2038, 3412], "Zoom has several codes");
    let bob = bench.host(&token, "bob@school.test", 1).await;
    bench.user_rules(json!({ "shortage_code": 3412 })).await;
    let set = async |user: &str, kind: i64| {
        let path = format!("/zoom/v2/users/{user}");
        bench.call("PATCH", &path, &token, Some(json!({ "type": kind }))).await
    };
    let refused = set(&bob, 2).await;
    assert_eq!(refused.status_and_code(), (400, 3412));
    assert!(refused.body["message"].as_str().unwrap().contains("number of \"1\" users"));
    assert_eq!(set(&ada, 2).await.status, StatusCode::NO_CONTENT, "without a change");
    assert_eq!(set(&ada, 1).await.status, StatusCode::NO_CONTENT);
    assert_eq!(set(&bob, 2).await.status, StatusCode::NO_CONTENT);
    assert_eq!(set(&ada, 2).await.status_and_code(), (400, 3412));
    // Trainers who sign in on the consent page do not count.
    bench.token(&[("user", "max@school.test")]).await;
    let user = bench.token(&[]).await;
    let own = Some(json!({ "type": 1 }));
    let refused = bench.call("PATCH", "/zoom/v2/users/me", &user, own).await;
    assert_eq!(refused.status_and_code(), (400, 4711));
}

#[tokio::test]
async fn users_without_a_licence_are_limited_too() {
    let (bench, token) = bench(3).await;
    bench.user_rules(json!({ "basic_users": 1 })).await;
    bench.host(&token, "ada@school.test", 1).await;
    let mut codes = std::collections::BTreeSet::new();
    for _ in 0..20 {
        let refused = bench.create_user(&token, "create", "bob@school.test", 1).await;
        codes.insert(refused.status_and_code());
    }
    assert_eq!(Vec::from_iter(codes), [(400, 2033), (400, 3412)]);
    let bob = bench.host(&token, "bob@school.test", 2).await;
    let path = format!("/zoom/v2/users/{bob}");
    let (status, code) = bench.status_of("PATCH", &path, &token, json!({ "type": 1 })).await;
    assert_eq!(status, 400);
    assert!([2033, 3412].contains(&code), "{code}");
}

#[tokio::test]
async fn plan_usage_counts_licences_and_invitations() {
    let (bench, token) = bench(3).await;
    bench.host(&token, "ada@school.test", 2).await;
    bench.create_user(&token, "create", "bob@school.test", 2).await;
    bench.create_user(&token, "create", "eve@school.test", 1).await;
    let usage = bench.get("/zoom/v2/accounts/me/plans/usage", &token).await;
    let expected = json!({ "type": "monthly", "hosts": 3, "usage": 1, "pending": 1 });
    assert_eq!(usage.body["plan_base"], expected);
    let own = bench.get("/zoom/v2/accounts/app-account/plans/usage", &token).await;
    assert_eq!(own.body, usage.body);
    let foreign = bench.get("/zoom/v2/accounts/other-zoom-account/plans/usage", &token).await;
    assert_eq!(foreign.status_and_code(), (400, 200));
    // A pending user holds a licence.
    bench.host(&token, "max@school.test", 2).await;
    let refused = bench.create_user(&token, "create", "zoe@school.test", 2).await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST);
    bench.update_settings(json!({ "accounts": { "app": { "plan": "basic" } } })).await;
    let unpaid = bench.get("/zoom/v2/accounts/me/plans/usage", &token).await;
    assert_eq!(unpaid.status_and_code(), (400, 200));
}

#[tokio::test]
async fn live_host_does_not_lose_the_licence_unless_the_account_allows_it() {
    let (bench, token) = bench(3).await;
    let host = bench.host(&token, "ada@school.test", 2).await;
    let id = bench.create_meeting_of(&token, &host).await;
    bench.act(id, "start", json!({})).await;
    let path = format!("/zoom/v2/users/{host}");
    let downgrade = async || bench.status_of("PATCH", &path, &token, json!({ "type": 1 })).await;
    assert_eq!(downgrade().await, (400, 1108));
    assert_eq!(bench.zoom.counts().live_downgrades, 1);
    bench.wait(50 * MINUTE);
    assert_eq!(bench.zoom.meeting(id).unwrap()["status"], "started");
    bench.user_rules(json!({ "allow_live_downgrade": true })).await;
    assert_eq!(downgrade().await, (204, 0));
    assert_eq!(bench.zoom.meeting(id).unwrap()["status"], "ended", "the 40 minutes are over");
}

#[tokio::test]
async fn meeting_without_a_licence_ends_after_40_minutes() {
    let (bench, token) = bench(3).await;
    let host = bench.host(&token, "ada@school.test", 1).await;
    let id = bench.create_meeting_of(&token, &host).await;
    let status = || bench.zoom.meeting(id).unwrap()["status"].clone();
    bench.act(id, "start", json!({})).await;
    bench.act(id, "join", json!({ "name": "Zoë" })).await;
    bench.wait(40 * MINUTE - 1);
    assert_eq!(status(), "started");
    assert_eq!(bench.zoom.meeting(id).unwrap()["instances"][0]["host_licence"], 1);
    // The end has its own time, although nothing was requested then.
    bench.wait(10 * MINUTE);
    assert_eq!(status(), "ended");
    let ended = &bench.bodies("meeting.ended")[0]["payload"]["object"];
    assert_eq!(ended["end_time"], "2026-11-21T09:40:00Z");
    // A licence during the meeting removes the limit.
    bench.act(id, "start", json!({})).await;
    bench.wait(30 * MINUTE);
    let token = bench.account_token().await;
    let path = format!("/zoom/v2/users/{host}");
    assert_eq!(bench.status_of("PATCH", &path, &token, json!({ "type": 2 })).await, (204, 0));
    bench.wait(30 * MINUTE);
    assert_eq!(status(), "started");
}

#[tokio::test]
async fn host_runs_as_many_meetings_as_the_plan_allows() {
    let (bench, token) = bench(3).await;
    let host = bench.host(&token, "ada@school.test", 2).await;
    let mut meetings = Vec::new();
    for _ in 0..3 {
        meetings.push(bench.create_meeting_of(&token, &host).await);
    }
    let start =
        async |index: usize| bench.try_act(meetings[index], "start", json!({})).await.status;
    assert_eq!(start(0).await, StatusCode::OK);
    assert_eq!(start(1).await, StatusCode::CONFLICT);
    bench.update_settings(json!({ "accounts": { "app": { "plan": "business" } } })).await;
    assert_eq!(start(1).await, StatusCode::OK);
    assert_eq!(start(2).await, StatusCode::CONFLICT);
    bench.act(meetings[0], "end", json!({})).await;
    assert_eq!(start(2).await, StatusCode::OK);
    let users = bench.get("/zoom/sim/users", "").await.body;
    let users = users["items"].as_array().unwrap();
    let ada = users.iter().find(|user| user["id"] == *host).unwrap();
    assert_eq!(ada["live_meetings"], 2);
}

#[tokio::test]
async fn user_without_meetings_cannot_host() {
    let (bench, token) = bench(3).await;
    let host = bench.host(&token, "ada@school.test", 4).await;
    let path = format!("/zoom/v2/users/{host}/meetings");
    assert_eq!(bench.status_of("POST", &path, &token, meeting_body()).await, (400, 3161));
}
