//! Tests of consent, codes, tokens and scopes.

use super::*;

#[tokio::test]
async fn consent_page_rejects_unknown_apps_and_redirects() {
    let bench = Bench::new();
    let page = bench.get(&Bench::authorize_path(&[]), "").await;
    assert_eq!(page.status, StatusCode::OK);
    for part in ["<html lang=\"en\">", "<form method=\"post\">", "value=\"deny\"", "user:read:zak"]
    {
        assert!(page.text.contains(part), "{part}");
    }
    for change in [
        ("client_id", "somebody"),
        ("redirect_uri", "http://localhost:4000/callback/"),
        ("redirect_uri", "https://evil.test/"),
        ("redirect_uri", ""),
        ("response_type", "token"),
        ("code_challenge_method", "plain"),
    ] {
        let path = Bench::authorize_path(&[change]);
        for response in
            [bench.get(&path, "").await, bench.form(&path, &[("decision", "allow")]).await]
        {
            assert_eq!(response.status, StatusCode::BAD_REQUEST, "{change:?}");
            assert!(!response.headers.contains_key("location"));
            assert!(!response.text.contains("evil.test"));
        }
    }
    let neither = bench.form(&Bench::authorize_path(&[]), &[("decision", "perhaps")]).await;
    assert_eq!(neither.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn denial_and_consent_redirect_with_the_state() {
    let bench = Bench::new();
    let state = ("state".to_owned(), "a state&more".to_owned());
    let denied = bench.consent(&[("decision", "deny")]).await;
    assert_eq!(denied, [("error".to_owned(), "access_denied".to_owned()), state.clone()]);
    let allowed = bench.consent(&[("decision", "allow")]).await;
    assert_eq!(allowed[0].0, "code");
    assert_eq!(allowed[1], state);
    // A redirect URI keeps its registered query.
    let path = Bench::authorize_path(&[("redirect_uri", "https://app.test/zoom?from=zoom")]);
    let response = bench.form(&path, &[("decision", "deny")]).await;
    let target = "https://app.test/zoom?from=zoom&error=access_denied&state=a+state%26more";
    assert_eq!(response.header("location"), target);
}

#[tokio::test]
async fn code_is_exchanged_only_once() {
    let bench = Bench::new();
    let code = bench.code(&[]).await;
    let response = bench.exchange(&code).await;
    assert_eq!(response.status, StatusCode::OK);
    assert_eq!(response.body["token_type"], "bearer");
    assert_eq!(response.body["expires_in"], 3600);
    assert_eq!(response.body["api_url"], "http://localhost:4000/zoom");
    assert_eq!(response.body["scope"], ALL_SCOPES.join(" "));
    assert_ne!(response.body["refresh_token"], response.body["access_token"]);
    let again = bench.exchange(&code).await;
    assert_eq!(again.status, StatusCode::BAD_REQUEST);
    assert_eq!(again.body["error"], "invalid_grant");
}

#[tokio::test]
async fn code_expires_and_is_used_up_by_a_wrong_verifier_or_redirect() {
    let bench = Bench::new();
    let code = bench.code(&[]).await;
    bench.wait(5 * 60);
    assert_eq!(bench.exchange(&code).await.body["error"], "invalid_grant");
    for wrong in [
        ("code_verifier", "another-verifier-that-is-long-enough-to-be-one-too"),
        ("code_verifier", ""),
        ("redirect_uri", "https://app.test/zoom?from=zoom"),
    ] {
        let code = bench.code(&[]).await;
        let mut fields = vec![
            ("grant_type", "authorization_code"),
            ("code", code.as_str()),
            ("redirect_uri", REDIRECT),
            ("code_verifier", VERIFIER),
        ];
        fields.retain(|(name, _)| *name != wrong.0);
        fields.push(wrong);
        let refused = bench.form("/zoom/oauth/token", &fields).await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{wrong:?}");
        assert_eq!(
            bench.exchange(&code).await.status,
            StatusCode::BAD_REQUEST,
            "the code is used up"
        );
    }
}

#[tokio::test]
async fn token_endpoint_requires_a_form_and_basic_credentials() {
    let bench = Bench::new();
    let code = bench.code(&[]).await;
    let request = |basic: &'static str, kind: &'static str, path: &'static str, body: String| {
        Request::post(path)
            .header(header::AUTHORIZATION, format!("Basic {basic}"))
            .header(header::CONTENT_TYPE, kind)
            .body(Body::from(body))
            .unwrap()
    };
    let (right, form, path) =
        ("Y2xpZW50OmNsaWVudC1zZWNyZXQ=", "application/x-www-form-urlencoded", "/zoom/oauth/token");
    let wrong_secret = bench.send(request("Y2xpZW50OndvcmQ=", form, path, String::new())).await;
    assert_eq!(wrong_secret.status, StatusCode::UNAUTHORIZED);
    assert_eq!(wrong_secret.body["error"], "invalid_client");
    let json = json!({ "grant_type": "authorization_code", "code": code }).to_string();
    let as_json = bench.send(request(right, "application/json", path, json)).await;
    assert_eq!(as_json.body["error"], "invalid_request");
    let in_query = "/zoom/oauth/token?grant_type=refresh_token&refresh_token=x";
    let as_query = bench.send(request(right, form, in_query, String::new())).await;
    assert_eq!(as_query.body["error"], "invalid_request");
    let twice = "grant_type=refresh_token&refresh_token=a&refresh_token=b".to_owned();
    assert_eq!(
        bench.send(request(right, form, path, twice)).await.body["error"],
        "invalid_request"
    );
    let other = bench.form(path, &[("grant_type", "password")]).await;
    assert_eq!(other.body["error"], "unsupported_grant_type");
    assert_eq!(
        bench.exchange(&code).await.status,
        StatusCode::OK,
        "rejected requests do not use up the code"
    );
}

#[tokio::test]
async fn refresh_invalidates_the_old_refresh_token() {
    let bench = Bench::new();
    let first = bench.exchange(&bench.code(&[]).await).await.body;
    let old = first["refresh_token"].as_str().unwrap();
    let second = bench.refresh(old).await.body;
    assert_ne!(second["refresh_token"], first["refresh_token"]);
    let rejected = bench.refresh(old).await;
    assert_eq!(rejected.status, StatusCode::BAD_REQUEST);
    assert_eq!(rejected.body, json!({ "reason": "Invalid Token!", "error": "invalid_grant" }));
    let counts = bench.zoom.counts();
    assert_eq!((counts.token_refreshes, counts.refused_refreshes), (1, 1));

    let access = second["access_token"].as_str().unwrap();
    assert_eq!(bench.get("/zoom/v2/users/me", access).await.status, StatusCode::OK);
    bench.wait(3600);
    let expired = bench.get("/zoom/v2/users/me", access).await;
    assert_eq!(expired.status_and_code(), (401, 124));
    let refresh_token = second["refresh_token"].as_str().unwrap();
    bench.wait(90 * 24 * 3600 - 3600);
    assert_eq!(bench.refresh(refresh_token).await.body["error"], "invalid_grant");
}

#[tokio::test]
async fn new_consent_ends_only_that_users_previous_grant() {
    let bench = Bench::new();
    let other = bench.token(&[("account", "other")]).await;
    let first = bench.exchange(&bench.code(&[]).await).await.body;
    let again = bench.token(&[]).await;
    let old = first["access_token"].as_str().unwrap();
    assert_eq!(bench.get("/zoom/v2/users/me", old).await.status_and_code(), (401, 124));
    let rejected = bench.refresh(first["refresh_token"].as_str().unwrap()).await;
    assert_eq!(rejected.body["error"], "invalid_grant");
    for token in [again, other] {
        assert_eq!(bench.get("/zoom/v2/users/me", &token).await.status, StatusCode::OK);
    }
}

#[tokio::test]
async fn user_belongs_to_the_selected_account() {
    let bench = Bench::new();
    let me = async |form: &[(&str, &str)]| {
        let token = bench.token(form).await;
        let me = bench.get("/zoom/v2/users/me", &token).await.body;
        (me["account_id"].as_str().unwrap().to_owned(), me["email"].as_str().unwrap().to_owned())
    };
    let pair = |account: &str, email: &str| (account.to_owned(), email.to_owned());
    assert_eq!(me(&[]).await, pair("app-account", crate::APP_USER));
    let other = crate::OTHER_ACCOUNT;
    assert_eq!(me(&[("account", "other")]).await, pair(other, crate::OTHER_USER));
    let named = [("account", "other"), ("user", "ada@school.test")];
    assert_eq!(me(&named).await, pair(other, "ada@school.test"));
    assert_eq!(me(&[("user", "ada@school.test")]).await.0, other, "known users keep their account");
}

#[tokio::test]
async fn revocation_ends_the_grant_and_fails_without_one() {
    let bench = Bench::new();
    let tokens = bench.exchange(&bench.code(&[]).await).await.body;
    let access = tokens["access_token"].as_str().unwrap();
    let revoked = bench.form("/zoom/oauth/revoke", &[("token", access)]).await;
    assert_eq!(revoked.body, json!({ "status": "success" }));
    assert_eq!(bench.get("/zoom/v2/users/me", access).await.status_and_code(), (401, 124));
    let refresh = tokens["refresh_token"].as_str().unwrap();
    assert_eq!(bench.refresh(refresh).await.body["error"], "invalid_grant");
    let again = bench.form("/zoom/oauth/revoke", &[("token", access)]).await;
    assert_eq!(again.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn missing_scope_is_named() {
    let bench = Bench::new();
    let token = bench.token(&[("scopes", "user:read:user meeting:write:meeting")]).await;
    assert_eq!(bench.get("/zoom/v2/users/me", &token).await.status, StatusCode::OK);
    let refused = bench.get("/zoom/v2/users/me/meetings", &token).await;
    assert_eq!(refused.status_and_code(), (400, 4711));
    assert_eq!(
        refused.body["message"],
        "Invalid access token, does not contain scopes:\
         [meeting:read:list_meetings, meeting:read:list_meetings:admin]."
    );
    // The page sends an empty field first, so that no selection grants nothing.
    let none = bench.token(&[("scopes", "")]).await;
    assert_eq!(bench.get("/zoom/v2/users/me", &none).await.status_and_code(), (400, 4711));
    // The settings also withhold scopes from issued tokens.
    let all = bench.token(&[]).await;
    bench.update_settings(json!({ "scopes": ["meeting:read:meeting"] })).await;
    assert_eq!(bench.get("/zoom/v2/users/me", &all).await.status_and_code(), (400, 4711));
    bench.update_settings(json!({ "scopes": null })).await;
    assert_eq!(bench.get("/zoom/v2/users/me", &all).await.status, StatusCode::OK);
}

#[tokio::test]
async fn requests_without_a_valid_token_are_rejected() {
    let bench = Bench::new();
    for token in ["", "made-up"] {
        assert_eq!(bench.get("/zoom/v2/users/me", token).await.status_and_code(), (401, 124));
    }
    let token = bench.token(&[]).await;
    bench.zoom.expire_access_tokens();
    assert_eq!(bench.get("/zoom/v2/users/me", &token).await.status_and_code(), (401, 124));
}
