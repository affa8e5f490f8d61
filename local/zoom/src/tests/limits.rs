//! Tests of the rate limits and their responses.

use super::*;

#[tokio::test]
async fn host_has_100_creates_and_updates_per_utc_day() {
    let bench = Bench::new();
    let token = bench.token(&[]).await;
    let id = bench.create_meeting(&token).await;
    let path = format!("/zoom/v2/meetings/{id}");
    for _ in 1..100 {
        let body = json!({ "topic": "Again" });
        let response = bench.call("PATCH", &path, &token, Some(body)).await;
        assert_eq!(response.status, StatusCode::NO_CONTENT);
    }
    let refused = bench.create(&token, meeting_body()).await;
    assert_eq!(refused.status_and_code(), (429, 429));
    for (header, value) in [
        ("x-ratelimit-category", "Light"),
        ("x-ratelimit-type", "Daily-limit"),
        ("x-ratelimit-limit", "100"),
        ("x-ratelimit-remaining", "0"),
        // A date-time, not a number of seconds.
        ("retry-after", "2026-11-22T00:00:00Z"),
    ] {
        assert_eq!(refused.header(header), value, "{header}");
    }
    let read = bench.get(&path, &token).await;
    assert_eq!(read.status, StatusCode::OK, "reads are not counted");
    assert_eq!(bench.call("DELETE", &path, &token, None).await.status, StatusCode::NO_CONTENT);
    let colleague = bench.token(&[("user", "ada@school.test")]).await;
    assert_eq!(bench.create(&colleague, meeting_body()).await.status, StatusCode::CREATED);
    // From 09:00 to midnight.
    bench.wait(15 * 3600 - 1);
    let token = bench.token(&[]).await;
    assert_eq!(bench.create(&token, meeting_body()).await.status, StatusCode::TOO_MANY_REQUESTS);
    bench.wait(1);
    assert_eq!(bench.create(&token, meeting_body()).await.status, StatusCode::CREATED);
}

#[tokio::test]
async fn per_second_limit_applies_to_the_account() {
    let bench = Bench::new();
    let token = bench.token(&[]).await;
    let colleague = bench.token(&[("user", "ada@school.test")]).await;
    let other_account = bench.token(&[("account", "other")]).await;
    bench.update_settings(json!({ "qps": { "light": 2 } })).await;
    for token in [&token, &colleague] {
        assert_eq!(bench.get("/zoom/v2/users/me", token).await.status, StatusCode::OK);
    }
    let refused = bench.get("/zoom/v2/users/me", &token).await;
    assert_eq!(refused.status_and_code(), (429, 4001));
    assert_eq!(refused.header("x-ratelimit-type"), "QPS");
    assert!(!refused.headers.contains_key("retry-after"));
    assert_eq!(bench.get("/zoom/v2/users/me", &other_account).await.status, StatusCode::OK);
    let medium = bench.get("/zoom/v2/users/me/meetings", &token).await;
    assert_eq!(medium.status, StatusCode::OK, "the limit applies to another category");
    bench.update_settings(json!({ "qps_retry_after_seconds": 1 })).await;
    assert_eq!(bench.get("/zoom/v2/users/me", &token).await.header("retry-after"), "1");
    bench.wait(1);
    assert_eq!(bench.get("/zoom/v2/users/me", &token).await.status, StatusCode::OK);
    bench.update_settings(json!({ "qps": null })).await;
    for _ in 0..5 {
        assert_eq!(bench.get("/zoom/v2/users/me", &token).await.status, StatusCode::OK);
    }
}

#[tokio::test]
async fn unknown_simulator_setting_is_rejected() {
    let bench = Bench::new();
    for update in [json!({ "qsp": null }), json!({ "webhooks": { "shufle": true } })] {
        let response = bench.call("POST", "/zoom/sim/knobs", "", Some(update)).await;
        assert_eq!(response.status, StatusCode::UNPROCESSABLE_ENTITY);
    }
}
