//! Authentication and authorization: invalid tokens, roles, signing keys, and the format of problem details.

mod shared_secrets;

use data_encoding::BASE64URL_NOPAD;
use http::{HeaderMap, Method};
use jiff::SignedDuration;
use jsonwebtoken::{Algorithm, Header};
use local::issuer::{Issuer, JWKS_PATH};
use serde_json::{Value, json};
use shared::domain::rights::{Answer, Party, RIGHTS};

use crate::functions::{DirectFunctions, REQUEST_ID, gateway_event};
use crate::log::CapturedLog;
use crate::support::{patched, session_path};
use crate::world::{Response, World, course_session_body, session_body};

const CONNECTION: &str = "/v1/zoom/connection";
/// RFC 6750, section 3.1.
const INVALID_TOKEN: &str = "Bearer error=\"invalid_token\"";

/// Returns the claims of `trainer-1` with some replaced. A `null` removes the claim.
fn claims(world: &World, changes: &Value) -> Value {
    let now = world.now().as_second();
    let mut claims = json!({
        "iss": world.stack.base_url, "aud": "live-classes", "sub": "trainer-1", "role": "trainer",
        "iat": now, "exp": now + 300, "email": "trainer@example.test", "email_verified": true, "name": "Tara",
    });
    for (name, value) in changes.as_object().expect("an object") {
        claims[name] = value.clone();
    }
    claims.as_object_mut().expect("an object").retain(|_, value| !value.is_null());
    claims
}

/// Returns a token that the stack's issuer signed.
fn signed(world: &World, header: &Header, changes: &Value) -> String {
    let issuer = Issuer::new(&world.stack.base_url).expect("an issuer");
    issuer.sign(header, &claims(world, changes)).expect("a token")
}

fn issue_token(world: &World, changes: &Value) -> String {
    signed(world, &local::issuer::header(), changes)
}

/// Returns a token with this header, these claims and an HMAC signature.
fn hmac(header: &Value, claims: &Value, key: &[u8]) -> String {
    let part = |value: &Value| BASE64URL_NOPAD.encode(value.to_string().as_bytes());
    let signing_input = format!("{}.{}", part(header), part(claims));
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, key);
    let signature = ring::hmac::sign(&key, signing_input.as_bytes());
    format!("{signing_input}.{}", BASE64URL_NOPAD.encode(signature.as_ref()))
}

/// Words about the implementation or a person that must not occur in problem details.
const INTERNAL: [&str; 16] = [
    "dynamodb",
    "table",
    "secret",
    "lambda",
    "rust",
    "panic",
    "jwks",
    "kid",
    "signature",
    "claim",
    "trainer-1",
    "example.test",
    "src/",
    "127.0.0.1",
    "localhost",
    "aws",
];

/// Checks that a response is a complete RFC 9457 problem without internal details.
#[track_caller]
fn assert_problem(response: Response, status: u16, code: &str) -> Value {
    assert_eq!(response.headers["cache-control"], "no-store", "{}", response.text);
    let headers = response.headers.clone();
    let problem = response.expect_problem(status, code);
    assert_eq!(problem["status"], status);
    assert_eq!(problem["type"], format!("urn:live-classes:problem:{code}"));
    for name in ["title", "detail", "request_id"] {
        assert!(problem[name].as_str().is_some_and(|text| !text.is_empty()), "{name}: {problem}");
    }
    let shown =
        format!("{} {} {}", problem["title"], problem["detail"], problem["errors"]).to_lowercase();
    for word in INTERNAL {
        assert!(!shown.contains(word), "{word}: {problem}");
    }
    let allowed = [
        "type",
        "title",
        "status",
        "detail",
        "code",
        "request_id",
        "errors",
        "opens_at",
        "missing_scopes",
    ];
    assert!(
        problem.as_object().expect("an object").keys().all(|name| allowed.contains(&name.as_str())),
        "{problem}"
    );
    check_headers(&headers, status);
    problem
}

fn check_headers(headers: &HeaderMap, status: u16) {
    assert_eq!(headers.contains_key("www-authenticate"), status == 401);
    if status == 503 || status == 429 {
        let retry_after =
            headers["retry-after"].to_str().ok().and_then(|text| text.parse::<u64>().ok());
        assert!(
            retry_after.is_some_and(|seconds| seconds >= 1),
            "Retry-After should be in seconds"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn invalid_tokens_are_rejected() {
    let world = World::start().await;
    let now = world.now().as_second();
    let kid = local::issuer::header().kid.expect("a key id");
    let header = |alg: &str| json!({"alg": alg, "kid": kid, "typ": "JWT"});
    let own_claims = claims(&world, &json!({}));
    let valid = issue_token(&world, &json!({}));
    world.get(&valid, CONNECTION).await.expect(200);
    let (signed_part, signature) = valid.rsplit_once('.').expect("three parts");
    let jwks = world.call(Method::GET, JWKS_PATH, "", None, &[]).await;
    let public = jwks.text.clone();
    let jwks = jwks.expect(200);
    let point = |name: &str| {
        BASE64URL_NOPAD.decode(jwks["keys"][0][name].as_str().expect("text").as_bytes())
    };
    let point = [vec![4], point("x").expect("base64url"), point("y").expect("base64url")].concat();
    let none = BASE64URL_NOPAD.encode(br#"{"alg":"none"}"#);
    let payload = signed_part.split_once('.').expect("two parts").1;
    let changed =
        BASE64URL_NOPAD.encode(claims(&world, &json!({"sub": "trainer-2"})).to_string().as_bytes());

    let refused = [
        ("none", format!("{none}.{payload}.")),
        ("none, with a signature", format!("{none}.{payload}.{signature}")),
        ("None", format!("{}.{payload}.", BASE64URL_NOPAD.encode(br#"{"alg":"None"}"#))),
        (
            "HS256 with the public key's JSON",
            hmac(&header("HS256"), &own_claims, public.as_bytes()),
        ),
        ("HS256 with the public key's point", hmac(&header("HS256"), &own_claims, &point)),
        ("HS256 with nothing", hmac(&header("HS256"), &own_claims, b"")),
        ("HS512", hmac(&header("HS512"), &own_claims, &point)),
        (
            "RS256 on a key for ES256",
            format!(
                "{}.{payload}.{signature}",
                BASE64URL_NOPAD.encode(header("RS256").to_string().as_bytes())
            ),
        ),
        (
            "ES384",
            format!(
                "{}.{payload}.{signature}",
                BASE64URL_NOPAD.encode(header("ES384").to_string().as_bytes())
            ),
        ),
        (
            "another payload",
            format!("{}.{changed}.{signature}", signed_part.split_once('.').expect("two").0),
        ),
        ("another signature", format!("{signed_part}.{}", "A".repeat(signature.len()))),
        ("no signature", format!("{signed_part}.")),
        ("two parts", signed_part.to_owned()),
        ("four parts", format!("{valid}.{signature}")),
        ("five parts", format!("{valid}.a.b")),
        ("cut", valid[..valid.len() - 2].to_owned()),
        ("padded", format!("{valid}==")),
        (
            "an unknown kid",
            signed(
                &world,
                &Header { kid: Some("local-2".into()), ..Header::new(Algorithm::ES256) },
                &json!({}),
            ),
        ),
        ("wrong audience", issue_token(&world, &json!({"aud": "live-classes-2"}))),
        ("no audience", issue_token(&world, &json!({"aud": null}))),
        (
            "wrong issuer",
            issue_token(&world, &json!({"iss": format!("{}/", world.stack.base_url)})),
        ),
        ("no issuer", issue_token(&world, &json!({"iss": null}))),
        ("expired", issue_token(&world, &json!({"exp": now - 30}))),
        ("no expiry", issue_token(&world, &json!({"exp": null}))),
        ("not yet valid", issue_token(&world, &json!({"nbf": now + 31}))),
        ("no subject", issue_token(&world, &json!({"sub": null}))),
        ("a subject that is no id", issue_token(&world, &json!({"sub": "trainer 1\n"}))),
        ("garbage", "garbage".to_owned()),
        ("dots", "..".to_owned()),
        ("not base64", "é.è.à".to_owned()),
        ("long", "a".repeat(9000)),
    ];
    for (case, token) in refused {
        let header = format!("Bearer {token}");
        let Ok(header) = http::HeaderValue::from_str(&header) else { continue };
        let header = header.to_str().map(str::to_owned).unwrap_or_default();
        let response =
            world.call(Method::GET, CONNECTION, "", None, &[("authorization", &header)]).await;
        assert_eq!(response.status, 401, "{case}: {}", response.text);
        // A header that is not text is as good as none.
        let challenge = if header.is_empty() { "Bearer" } else { INVALID_TOKEN };
        assert_eq!(response.headers["www-authenticate"], challenge, "{case}");
        assert_problem(response, 401, "unauthenticated");
    }
    let without = world.call(Method::GET, CONNECTION, "", None, &[]).await;
    assert_eq!(without.headers["www-authenticate"], "Bearer");
    for scheme in [
        "",
        " ",
        "Bearer",
        "Bearer ",
        "Basic dHJhaW5lci0xOg==",
        &valid,
        &format!("Token {valid}"),
        &format!("Bearer {valid} {valid}"),
        &format!("Bearer {valid}, Bearer {valid}"),
    ] {
        let response =
            world.call(Method::GET, CONNECTION, "", None, &[("authorization", scheme)]).await;
        assert_eq!(response.status, 401, "{scheme:?}: {}", response.text);
        assert_problem(response, 401, "unauthenticated");
    }
    let response =
        world.call(Method::GET, &format!("{CONNECTION}?access_token={valid}"), "", None, &[]).await;
    assert_problem(response, 401, "unauthenticated");
    // Tokens within the clock leeway are valid, and the scheme is case-insensitive.
    for token in [
        issue_token(&world, &json!({"exp": now - 29})),
        issue_token(&world, &json!({"nbf": now + 30, "aud": ["x", "live-classes"]})),
    ] {
        let header = format!("bEARER {token}");
        world
            .call(Method::GET, CONNECTION, "", None, &[("authorization", &header)])
            .await
            .expect(200);
    }
    world.advance(SignedDuration::from_secs(331));
    assert_problem(world.get(&valid, CONNECTION).await, 401, "unauthenticated");
}

/// The other roles are in `openapi::rights`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn token_without_a_known_role_counts_as_a_students() {
    let world = World::start().await;
    let no_role = issue_token(&world, &json!({"role": null}));
    let unknown_role = issue_token(&world, &json!({"role": "root"}));
    for row in RIGHTS {
        let path = row.path.replace("{id}", "some-id").replace("{user_id}", "some-user");
        let method: Method = row.method.parse().expect("a method");
        let body = (method == Method::POST || method == Method::PUT).then(|| json!({}));
        let is_forbidden = row.answer(Party::Student) == Answer::Forbidden;
        for token in [&no_role, &unknown_role] {
            let response = world.call(method.clone(), &path, token, body.clone(), &[]).await;
            assert_eq!(response.status == 403, is_forbidden, "{method} {path}: {}", response.text);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn role_is_read_from_configured_claim() {
    let world = World::start().await;
    let functions =
        DirectFunctions::new(&world, &[("AUTH_ROLE_CLAIM", "https://x.test/claims.roles")]);
    for (changes, status) in [
        (json!({"role": null, "https://x.test/claims": {"roles": ["student", "trainer"]}}), 200),
        (json!({"role": null, "https://x.test/claims.roles": "trainer"}), 200),
        (json!({"role": "trainer"}), 403),
        (json!({"role": "trainer", "https://x.test/claims": {"roles": ["student"]}}), 403),
        (json!({"https://x.test/claims": {"roles": {"trainer": true}}}), 403),
    ] {
        let response = functions
            .call("connect", "GET", CONNECTION, &issue_token(&world, &changes), None)
            .await;
        assert_eq!(response.status, status, "{changes}: {}", response.text);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn caller_with_several_roles_has_permissions_of_each() {
    let world = World::start().await;
    let both = issue_token(&world, &json!({"role": ["admin", "trainer"]}));
    let other_trainer = issue_token(&world, &json!({"role": "trainer", "sub": "trainer-2"}));
    let link = json!({"provider": "manual", "join_url": "https://meet.example.test/a"});
    world.connect_zoom(&both, "app").await;
    let own_session =
        world.create(&both, &patched(course_session_body(26), link.clone())).await.expect(201);
    world
        .edit(&both, &own_session, &patched(course_session_body(30), link.clone()))
        .await
        .expect(200);
    assert_eq!(world.list_items(&both, "/v1/sessions").await.len(), 1);
    // An administrator reads and cancels the sessions of other trainers, and does not edit them.
    let body = patched(session_body(26), link);
    let foreign_session = world.create(&other_trainer, &body).await.expect(201);
    let path = session_path(&foreign_session);
    world.get(&both, &format!("{path}/attendance")).await.expect(200);
    world.get(&both, &format!("{path}/timeline")).await.expect(200);
    world.get(&both, &path).await.expect(200);
    assert_problem(world.edit(&both, &foreign_session, &body).await, 403, "forbidden");
    world.cancel(&both, &foreign_session).await.expect(200);
    assert_problem(world.put(&both, "/v1/directory/courses/c", json!({})).await, 403, "forbidden");
    world.cancel(&both, &own_session).await.expect(200);
    world.delete(&both, "/v1/zoom/connection").await.expect(204);

    // A trainer may be a student of another course.
    let trainer_and_student = json!({"sub": "student-1", "role": ["trainer", "student"], "email": "student1@example.test"});
    let trainer_and_student = issue_token(&world, &trainer_and_student);
    assert_eq!(world.list_items(&trainer_and_student, "/v1/me/sessions").await.len(), 1);
    assert_eq!(world.list_items(&trainer_and_student, "/v1/sessions").await.len(), 0);
    // The service role may act for trainers even if it also has the trainer role.
    let service = issue_token(&world, &json!({"sub": "platform", "role": ["service", "trainer"]}));
    let created = world
        .create(&service, &patched(session_body(26), json!({"trainer_id": "trainer-1"})))
        .await;
    assert!(created.status != 403, "{}", created.text);
    world
        .put(&service, "/v1/directory/courses/c", json!({"title": "C", "trainer_id": "trainer-1"}))
        .await
        .expect(200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unknown_routes_and_large_bodies_return_problem_details() {
    let world = World::start().await;
    let trainer = world.trainer().await;
    let functions = DirectFunctions::new(&world, &[]);
    // The gateway does not forward unknown routes. A function that receives one returns 404.
    for (method, path) in [
        ("GET", "/v1/nothing"),
        ("PATCH", CONNECTION),
        ("GET", "/"),
        ("POST", "/v1/zoom/connection/x"),
    ] {
        let response =
            world.call(method.parse().expect("a method"), path, &trainer, None, &[]).await;
        assert!(response.status == 404 || path == "/", "{method} {path}");
        for function in
            ["connect", "disconnect", "session-save", "session-cancel", "sessions", "directory"]
        {
            let response = functions.call(function, method, path, &trainer, None).await;
            let problem = assert_problem(response, 404, "not_found");
            assert_eq!(problem["request_id"], REQUEST_ID);
        }
    }
    let largest = 1024 * 1024;
    for (size, status, code) in
        [(largest, 422, "validation_failed"), (largest + 1, 413, "payload_too_large")]
    {
        let body = format!("\"{}\"", "a".repeat(size - 2));
        for (function, path) in
            [("connect", "/v1/zoom/authorize"), ("session-save", "/v1/sessions")]
        {
            let event = gateway_event("POST", path, &trainer, Some(&body));
            assert_problem(
                functions.invoke(function, event, SignedDuration::from_secs(30)).await,
                status,
                code,
            );
        }
    }
    // Through the gateway, and as base64, which is longer than the body.
    let body = json!({"redirect_uri": "a".repeat(largest)});
    assert_problem(
        world.post(&trainer, "/v1/zoom/authorize", body).await,
        413,
        "payload_too_large",
    );
    let mut encoded = gateway_event("POST", "/v1/zoom/authorize", &trainer, None);
    encoded["body"] = json!(data_encoding::BASE64.encode(&vec![b' '; largest]));
    encoded["isBase64Encoded"] = json!(true);
    assert_problem(
        functions.invoke("connect", encoded, SignedDuration::from_secs(30)).await,
        422,
        "validation_failed",
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn malformed_json_is_rejected_without_quoting_it() {
    let world = World::start().await;
    let trainer = world.trainer().await;
    let functions = DirectFunctions::new(&world, &[]);
    let deep = "[".repeat(100_000);
    for body in [
        "",
        " ",
        "{",
        "nonsense",
        "{\"redirect_uri\": }",
        "{\"redirect_uri\": \"a\"} x",
        "\u{feff}{}",
        &deep,
        "{\"redirect_uri\": \"\\ud800\"}",
    ] {
        let event = gateway_event("POST", "/v1/zoom/authorize", &trainer, Some(body));
        let response = functions.invoke("connect", event, SignedDuration::from_secs(30)).await;
        let problem = assert_problem(response, 422, "validation_failed");
        let error = &problem["errors"][0];
        assert!(error["field"].as_str().is_some_and(|field| !field.is_empty()), "{problem}");
        assert!(
            error["message"]
                .as_str()
                .is_some_and(|text| text.len() < 200 && !text.contains("nonsense")),
            "{problem}"
        );
    }
    // A body that is not UTF-8.
    let mut binary = gateway_event("POST", "/v1/zoom/authorize", &trainer, None);
    binary["body"] = json!(data_encoding::BASE64.encode(&[0xff, 0xfe, 0, 0x7b]));
    binary["isBase64Encoded"] = json!(true);
    assert_problem(
        functions.invoke("connect", binary, SignedDuration::from_secs(30)).await,
        422,
        "validation_failed",
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unreachable_issuer_returns_503() {
    let world = World::start().await;
    let token = issue_token(&world, &json!({}));
    for path in ["/local/nothing", "/local/clock", "/"] {
        let url = format!("{}{path}", world.stack.base_url);
        let functions = DirectFunctions::new(&world, &[("AUTH_JWKS_URL", &url)]);
        assert_problem(
            functions.call("connect", "GET", CONNECTION, &token, None).await,
            503,
            "unavailable",
        );
        // A malformed token is rejected without the keys.
        assert_problem(
            functions.call("connect", "GET", CONNECTION, "garbage", None).await,
            401,
            "unauthenticated",
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn session_of_another_trainer_is_not_found() {
    let world = World::start().await;
    let (trainer, other) = (world.trainer().await, world.other_trainer().await);
    world.connect_zoom(&trainer, "app").await;
    world.connect_zoom(&other, "app").await;
    let session = world.post(&trainer, "/v1/sessions", session_body(26)).await.expect(201);
    let path = format!("/v1/sessions/{}", session["id"].as_str().expect("an id"));
    let foreign = [
        world.get(&other, &path).await,
        world.put(&other, &path, session_body(27)).await,
        world.post(&other, &format!("{path}/cancel"), json!({})).await,
    ];
    let missing = [
        world.get(&other, "/v1/sessions/ses_nothing").await,
        world.put(&other, "/v1/sessions/ses_nothing", session_body(27)).await,
        world.post(&other, "/v1/sessions/ses_nothing/cancel", json!({})).await,
    ];
    for (foreign, missing) in foreign.into_iter().zip(missing) {
        let mut foreign = assert_problem(foreign, 404, "not_found");
        let mut missing = assert_problem(missing, 404, "not_found");
        // The responses do not reveal whether the session exists.
        foreign["request_id"] = Value::Null;
        missing["request_id"] = Value::Null;
        assert_eq!(foreign, missing);
    }
    assert_eq!(world.get(&trainer, &path).await.expect(200)["version"], 1);
}

#[tokio::test]
async fn refused_token_is_logged_with_its_reason() {
    let world = World::start().await;
    let log = CapturedLog::start();
    let now = world.now().as_second();
    let unknown_key = Header { kid: Some("unknown".to_owned()), ..local::issuer::header() };
    let hs256 = hmac(&json!({"alg": "HS256"}), &claims(&world, &json!({})), b"a key");
    let cases = [
        (issue_token(&world, &json!({"iss": "https://other.test"})), "issuer"),
        (issue_token(&world, &json!({"aud": "another-api"})), "audience"),
        (issue_token(&world, &json!({"exp": now - 60})), "expired"),
        (issue_token(&world, &json!({"nbf": now + 60})), "not_yet_valid"),
        (issue_token(&world, &json!({"sub": null})), "malformed"),
        ("not-a-token".to_owned(), "malformed"),
        (signed(&world, &unknown_key, &json!({})), "key"),
        (hs256, "algorithm"),
    ];
    for (token, reason) in cases {
        let refused = world.get(&token, CONNECTION).await;
        assert!(!refused.text.contains(reason), "{}", refused.text);
        assert_problem(refused, 401, "unauthenticated");
        let lines = log.lines();
        let line = lines.iter().rfind(|line| line["event"] == "request.refused");
        assert_eq!(line.expect("a line")["reason"], reason, "{line:?}");
        assert!(!log.text().contains(&token));
    }
}
