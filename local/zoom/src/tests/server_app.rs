//! Tests of the Server-to-Server app: its grant, its scopes, and the events of its account.

use super::*;
use crate::{OTHER_USER, server_scopes};

#[tokio::test]
async fn account_token_has_no_refresh_token_and_no_me() {
    let bench = Bench::new();
    let response = bench.request_account_token("server:server-secret", "app-account").await;
    assert_eq!(response.status, StatusCode::OK);
    assert_eq!(response.body["expires_in"], 3600);
    assert_eq!(response.body["api_url"], "http://localhost:4000/zoom");
    assert_eq!(response.body["scope"], server_scopes().join(" "));
    assert_eq!(response.body.get("refresh_token"), None);
    let token = response.body["access_token"].as_str().unwrap();
    assert_eq!(bench.get("/zoom/v2/users/me", token).await.status_and_code(), (404, 1001));
    let own = format!("/zoom/v2/users/{}", crate::APP_USER);
    assert_eq!(bench.get(&own, token).await.status, StatusCode::OK);
    let foreign = format!("/zoom/v2/users/{OTHER_USER}");
    assert_eq!(bench.get(&foreign, token).await.status_and_code(), (404, 1001));
    bench.wait(3600);
    assert_eq!(bench.get(&own, token).await.status_and_code(), (401, 124));
    assert_eq!(bench.zoom.counts().account_tokens, 1);
}

#[tokio::test]
async fn wrong_credentials_account_or_grant_are_refused() {
    let bench = Bench::new();
    for credentials in ["server:wrong", "server", "nobody:server-secret"] {
        let refused = bench.request_account_token(credentials, "app-account").await;
        assert!(matches!(refused.status.as_u16(), 400 | 401), "{credentials}");
        assert_eq!(refused.body["error"], "invalid_client", "{credentials}");
    }
    for account_id in ["other-zoom-account", ""] {
        let refused = bench.request_account_token("server:server-secret", account_id).await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST);
        assert_eq!(refused.body, json!({ "reason": "Bad Request", "error": "invalid_request" }));
    }
    // Each kind of app has its own grants.
    let user_app = bench.request_account_token("client:client-secret", "app-account").await;
    assert_eq!(user_app.body["error"], "unsupported_grant_type");
    let code = bench.code(&[]).await;
    let fields =
        [("grant_type", "authorization_code"), ("code", code.as_str()), ("redirect_uri", REDIRECT)];
    let path = "/zoom/oauth/token";
    let refused = bench.form_as("server:server-secret", path, &fields).await;
    assert_eq!(refused.body["error"], "unsupported_grant_type");
    assert_eq!(bench.exchange(&code).await.status, StatusCode::OK, "the code is not used up");
    let missing = bench.form_as("server:server-secret", path, &[("account_id", "x")]).await;
    assert_eq!(missing.body["error"], "invalid_request");
    assert_eq!(bench.zoom.counts().account_tokens, 0);
}

#[tokio::test]
async fn secret_replaced_at_zoom_refuses_the_old_one() {
    let bench = Bench::new();
    let old = bench.account_token().await;
    bench.update_settings(json!({ "server_app": { "client_secret": "replaced" } })).await;
    let refused = bench.request_account_token("server:server-secret", "app-account").await;
    assert_eq!(refused.body["error"], "invalid_client");
    let path = format!("/zoom/v2/users/{}", crate::APP_USER);
    assert_eq!(bench.get(&path, &old).await.status, StatusCode::OK, "issued tokens stay valid");
    let renewed = bench.request_account_token("server:replaced", "app-account").await;
    assert_eq!(renewed.status, StatusCode::OK);
}

#[tokio::test]
async fn deactivated_app_gets_no_tokens_and_its_tokens_are_invalid() {
    let bench = Bench::new();
    let token = bench.account_token().await;
    bench.update_settings(json!({ "server_app": { "active": false } })).await;
    let path = format!("/zoom/v2/users/{}", crate::APP_USER);
    assert_eq!(bench.get(&path, &token).await.status_and_code(), (401, 124));
    let mut errors = std::collections::BTreeSet::new();
    for _ in 0..20 {
        let refused = bench.request_account_token("server:server-secret", "app-account").await;
        assert!(matches!(refused.status.as_u16(), 400 | 401));
        errors.insert(refused.body["error"].as_str().unwrap().to_owned());
    }
    assert_eq!(errors.len(), 2, "Zoom does not document the error: {errors:?}");
    bench.update_settings(json!({ "server_app": { "active": true } })).await;
    assert_eq!(bench.get(&path, &token).await.status, StatusCode::OK);
    let user = bench.token(&[]).await;
    assert_eq!(bench.get("/zoom/v2/users/me", &user).await.status, StatusCode::OK);
}

#[tokio::test]
async fn new_token_ends_the_older_one_or_not() {
    let bench = Bench::new();
    let path = format!("/zoom/v2/users/{}", crate::APP_USER);
    for (ends_older, expected) in [(true, 401), (false, 200)] {
        let setting = json!({ "server_app": { "new_token_ends_older": ends_older } });
        bench.update_settings(setting).await;
        let first = bench.account_token().await;
        let second = bench.account_token().await;
        assert_eq!(bench.get(&path, &first).await.status.as_u16(), expected);
        assert_eq!(bench.get(&path, &second).await.status, StatusCode::OK);
    }
    // By default, each token draws one.
    bench.update_settings(json!({ "server_app": { "new_token_ends_older": null } })).await;
    let mut ended = 0;
    for _ in 0..20 {
        let first = bench.account_token().await;
        bench.account_token().await;
        ended += u32::from(bench.get(&path, &first).await.status == StatusCode::UNAUTHORIZED);
    }
    assert!((1..20).contains(&ended), "{ended}");
}

#[tokio::test]
async fn expiring_one_apps_tokens_keeps_the_others() {
    let bench = Bench::new();
    let (account, user) = (bench.account_token().await, bench.token(&[]).await);
    let path = format!("/zoom/v2/users/{}", crate::APP_USER);
    bench.sim("expire-tokens", json!({ "app": "server" })).await;
    assert_eq!(bench.get(&path, &account).await.status_and_code(), (401, 124));
    assert_eq!(bench.get(&path, &user).await.status, StatusCode::OK);
    // An app revokes only its own tokens.
    let account = bench.account_token().await;
    let token = [("token", account.as_str())];
    let foreign = bench.form("/zoom/oauth/revoke", &token).await;
    assert_eq!(foreign.status, StatusCode::BAD_REQUEST);
    assert_eq!(bench.get(&path, &account).await.status, StatusCode::OK);
    let own = bench.form_as("server:server-secret", "/zoom/oauth/revoke", &token).await;
    assert_eq!(own.status, StatusCode::OK);
    assert_eq!(bench.get(&path, &account).await.status_and_code(), (401, 124));
}

#[tokio::test]
async fn each_app_has_its_own_scopes() {
    let bench = Bench::new();
    let (account, user) = (bench.account_token().await, bench.token(&[]).await);
    let scopes = json!(["user:read:list_users:admin"]);
    bench.update_settings(json!({ "server_app": { "scopes": scopes } })).await;
    assert_eq!(bench.get("/zoom/v2/users", &account).await.status, StatusCode::OK);
    let refused = bench.create_user(&account, "create", "ada@school.test", 1).await;
    assert_eq!(refused.status_and_code(), (400, 4711));
    assert_eq!(
        refused.body["message"],
        "Invalid access token, does not contain scopes:[user:write:user:admin]."
    );
    assert_eq!(bench.get("/zoom/v2/users/me", &user).await.status, StatusCode::OK);
    assert_eq!(bench.get("/zoom/v2/users", &user).await.status_and_code(), (400, 4711));
}

#[tokio::test]
async fn account_token_reaches_the_meetings_of_its_account_only() {
    let bench = Bench::new();
    let account = bench.account_token().await;
    let host = bench.host(&account, "ada@school.test", 2).await;
    let id = bench.create_meeting_of(&account, &host).await;
    let path = format!("/zoom/v2/meetings/{id}");
    let zak = format!("/zoom/v2/users/{host}/token?type=zak");
    assert!(bench.get(&zak, &account).await.body["token"].is_string());
    assert_eq!(bench.get(&path, &account).await.body["host_email"], "ada@school.test");
    let change = json!({ "topic": "Geometry" });
    assert_eq!(bench.status_of("PATCH", &path, &account, change).await, (204, 0));
    let list = |kind: &str| format!("/zoom/v2/users/{host}/meetings?type={kind}");
    assert_eq!(bench.get(&list("live"), &account).await.body["total_records"], 0);
    bench.act(id, "start", json!({})).await;
    assert_eq!(bench.get(&list("live"), &account).await.body["meetings"][0]["id"], id);
    let end = json!({ "action": "end" });
    let status = format!("{path}/status");
    assert_eq!(bench.status_of("PUT", &status, &account, end).await, (204, 0));
    assert_eq!(bench.call("DELETE", &path, &account, None).await.status, StatusCode::NO_CONTENT);

    let other = bench.token(&[("account", "other")]).await;
    let foreign = bench.create_meeting(&other).await;
    let path = format!("/zoom/v2/meetings/{foreign}");
    assert_eq!(bench.get(&path, &account).await.status_and_code(), (404, 3001));
    assert_eq!(bench.get(&path, &other).await.status, StatusCode::OK);
    let foreign_zak = format!("/zoom/v2/users/{OTHER_USER}/token?type=zak");
    assert_eq!(bench.get(&foreign_zak, &account).await.status_and_code(), (404, 1001));
}

#[tokio::test]
async fn both_apps_share_the_limits_of_the_account() {
    let bench = Bench::new();
    let (account, user) = (bench.account_token().await, bench.token(&[]).await);
    let other = bench.token(&[("account", "other")]).await;
    bench.update_settings(json!({ "qps": { "light": 2 } })).await;
    let path = format!("/zoom/v2/users/{}", crate::APP_USER);
    for token in [&account, &user] {
        assert_eq!(bench.get(&path, token).await.status, StatusCode::OK);
    }
    for token in [&account, &user] {
        assert_eq!(bench.get(&path, token).await.status_and_code(), (429, 4001));
    }
    assert_eq!(bench.get("/zoom/v2/users/me", &other).await.status, StatusCode::OK);
    // The daily limit is the host's, whichever app calls.
    bench.update_settings(json!({ "qps": null, "daily_limit": 1 })).await;
    bench.create_meeting(&user).await;
    let meetings = format!("/zoom/v2/users/{}/meetings", crate::APP_USER);
    let refused = bench.call("POST", &meetings, &account, Some(meeting_body())).await;
    assert_eq!(refused.status_and_code(), (429, 429));
    let host = bench.host(&account, "ada@school.test", 2).await;
    bench.create_meeting_of(&account, &host).await;
}

/// Returns the apps that got each webhook since `from`.
fn apps(bench: &Bench, from: usize) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let webhooks = bench.zoom.webhooks();
    webhooks[from..].iter().map(|it| (text(&it["event"]), text(&it["app"]))).collect()
}

#[tokio::test]
async fn events_go_to_the_app_of_the_account_and_to_the_users_app() {
    let bench = Bench::new();
    let started = async |id: i64| {
        let from = bench.zoom.webhooks().len();
        bench.act(id, "start", json!({})).await;
        let apps = apps(&bench, from);
        let apps = apps.into_iter().filter(|(event, _)| event == "meeting.started");
        apps.map(|(_, app)| app).collect::<Vec<_>>()
    };
    let account = bench.account_token().await;
    let host = bench.host(&account, "ada@school.test", 2).await;
    let hosted = bench.create_meeting_of(&account, &host).await;
    assert_eq!(started(hosted).await, ["server"]);
    bench.act(hosted, "end", json!({})).await;

    let other = bench.token(&[("account", "other")]).await;
    let own = bench.create_meeting(&other).await;
    assert_eq!(started(own).await, ["user"], "another account has no Server-to-Server app");
    let user = bench.token(&[]).await;
    let own = bench.create_meeting(&user).await;
    assert_eq!(started(own).await, ["user"]);
    bench.act(own, "end", json!({})).await;
    bench.update_settings(json!({ "webhooks": { "both_apps": true } })).await;
    assert_eq!(started(own).await, ["user", "server"]);
    bench.act(own, "end", json!({})).await;
    bench.update_settings(json!({ "server_app": { "active": false } })).await;
    assert_eq!(started(own).await, ["user"]);
    assert_eq!(started(hosted).await, [""; 0], "a deactivated app gets no events");
}
