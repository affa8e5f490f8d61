//! The limits, and the shapes in which Zoom says that they are reached.

use super::*;

#[tokio::test]
async fn a_host_has_a_hundred_creates_and_updates_a_day_in_utc() {
    let bench = Bench::new();
    let token = bench.token(&[]).await;
    let id = bench.class(&token).await;
    let path = format!("/zoom/v2/meetings/{id}");
    for _ in 1..100 {
        let body = json!({ "topic": "Again" });
        let reply = bench.call("PATCH", &path, &token, Some(body)).await;
        assert_eq!(reply.status, StatusCode::NO_CONTENT);
    }
    let refused = bench.create(&token, class()).await;
    assert_eq!(refused.refusal(), (429, 429));
    for (header, value) in [
        ("x-ratelimit-category", "Light"),
        ("x-ratelimit-type", "Daily-limit"),
        ("x-ratelimit-limit", "100"),
        ("x-ratelimit-remaining", "0"),
        // An instant, not a number of seconds.
        ("retry-after", "2026-11-22T00:00:00Z"),
    ] {
        assert_eq!(refused.header(header), value, "{header}");
    }
    let read = bench.get(&path, &token).await;
    assert_eq!(read.status, StatusCode::OK, "reading is not counted");
    assert_eq!(bench.call("DELETE", &path, &token, None).await.status, StatusCode::NO_CONTENT);
    let colleague = bench.token(&[("user", "ada@school.test")]).await;
    assert_eq!(bench.create(&colleague, class()).await.status, StatusCode::CREATED);
    // From nine in the morning to midnight.
    bench.wait(15 * 3600 - 1);
    let token = bench.token(&[]).await;
    assert_eq!(bench.create(&token, class()).await.status, StatusCode::TOO_MANY_REQUESTS);
    bench.wait(1);
    assert_eq!(bench.create(&token, class()).await.status, StatusCode::CREATED);
}

#[tokio::test]
async fn the_limit_per_second_is_of_the_account_and_mostly_without_a_time_to_wait() {
    let bench = Bench::new();
    let token = bench.token(&[]).await;
    let colleague = bench.token(&[("user", "ada@school.test")]).await;
    let elsewhere = bench.token(&[("account", "other")]).await;
    bench.knobs(json!({ "qps": { "light": 2 } })).await;
    for token in [&token, &colleague] {
        assert_eq!(bench.get("/zoom/v2/users/me", token).await.status, StatusCode::OK);
    }
    let refused = bench.get("/zoom/v2/users/me", &token).await;
    assert_eq!(refused.refusal(), (429, 4001));
    assert_eq!(refused.header("x-ratelimit-type"), "QPS");
    assert!(!refused.headers.contains_key("retry-after"));
    assert_eq!(bench.get("/zoom/v2/users/me", &elsewhere).await.status, StatusCode::OK);
    let medium = bench.get("/zoom/v2/users/me/meetings", &token).await;
    assert_eq!(medium.status, StatusCode::OK, "another category");
    bench.knobs(json!({ "qps_retry_after_seconds": 1 })).await;
    assert_eq!(bench.get("/zoom/v2/users/me", &token).await.header("retry-after"), "1");
    bench.wait(1);
    assert_eq!(bench.get("/zoom/v2/users/me", &token).await.status, StatusCode::OK);
    bench.knobs(json!({ "qps": null })).await;
    for _ in 0..5 {
        assert_eq!(bench.get("/zoom/v2/users/me", &token).await.status, StatusCode::OK);
    }
}

#[tokio::test]
async fn a_knob_that_does_not_exist_is_refused() {
    let bench = Bench::new();
    for turn in [json!({ "qsp": null }), json!({ "webhooks": { "shufle": true } })] {
        let reply = bench.call("POST", "/zoom/sim/knobs", "", Some(turn)).await;
        assert_eq!(reply.status, StatusCode::UNPROCESSABLE_ENTITY);
    }
}
