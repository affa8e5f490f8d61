//! Who may call, and what anybody is told who may not: tokens of every wrong kind, roles, and the shape of errors.

use data_encoding::BASE64URL_NOPAD;
use http::{HeaderMap, Method};
use jiff::SignedDuration;
use jsonwebtoken::{Algorithm, Header};
use local::issuer::{Issuer, JWKS_PATH};
use serde_json::{Value, json};
use shared::handlers::ROUTES;

use crate::direct::{Direct, REQUEST_ID, event};
use crate::look::{path_of, with};
use crate::world::{Answer, World, class, course_class};

const CONNECTION: &str = "/v1/zoom/connection";
/// 32 bytes, as RFC 7518 asks.
const HS256_SECRET: &str = "a-shared-secret-of-32-bytes-or-more";

/// The claims of `trainer-1`, as the world's issuer writes them, with some replaced; `null` takes one away.
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

/// A token of the world's issuer.
fn signed(world: &World, header: &Header, changes: &Value) -> String {
    let issuer = Issuer::new(&world.stack.base_url).expect("an issuer");
    issuer.sign(header, &claims(world, changes)).expect("a token")
}

fn good(world: &World, changes: &Value) -> String {
    signed(world, &local::issuer::header(), changes)
}

/// A token whose parts are as given, and whose signature is an HMAC.
fn hmac(header: &Value, claims: &Value, key: &[u8]) -> String {
    let part = |value: &Value| BASE64URL_NOPAD.encode(value.to_string().as_bytes());
    let signed = format!("{}.{}", part(header), part(claims));
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, key);
    let signature = ring::hmac::sign(&key, signed.as_bytes());
    format!("{signed}.{}", BASE64URL_NOPAD.encode(signature.as_ref()))
}

/// The words that tell how it is made, none of which is for callers.
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

/// Checks that an answer is a whole RFC 9457 problem that tells nothing internal.
#[track_caller]
fn is_problem(answer: Answer, status: u16, code: &str) -> Value {
    assert_eq!(answer.headers["cache-control"], "no-store", "{}", answer.text);
    let headers = answer.headers.clone();
    let problem = answer.refused(status, code);
    assert_eq!(problem["status"], status);
    assert_eq!(problem["type"], format!("urn:live-classes:problem:{code}"));
    for name in ["title", "detail", "request_id"] {
        assert!(problem[name].as_str().is_some_and(|text| !text.is_empty()), "{name}: {problem}");
    }
    let told =
        format!("{} {} {}", problem["title"], problem["detail"], problem["errors"]).to_lowercase();
    for word in INTERNAL {
        assert!(!told.contains(word), "{word}: {problem}");
    }
    let known = [
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
        problem.as_object().expect("an object").keys().all(|name| known.contains(&name.as_str())),
        "{problem}"
    );
    check_headers(&headers, status);
    problem
}

fn check_headers(headers: &HeaderMap, status: u16) {
    assert_eq!(headers.contains_key("www-authenticate"), status == 401);
    if status == 503 || status == 429 {
        let after = headers["retry-after"].to_str().ok().and_then(|text| text.parse::<u64>().ok());
        assert!(after.is_some_and(|seconds| seconds >= 1), "seconds");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_that_is_not_the_issuers_for_us_and_now_is_refused() {
    let world = World::start().await;
    let now = world.now().as_second();
    let kid = local::issuer::header().kid.expect("a name");
    let header = |alg: &str| json!({"alg": alg, "kid": kid, "typ": "JWT"});
    let own = claims(&world, &json!({}));
    let valid = good(&world, &json!({}));
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
        ("HS256 with the public key's JSON", hmac(&header("HS256"), &own, public.as_bytes())),
        ("HS256 with the public key's point", hmac(&header("HS256"), &own, &point)),
        ("HS256 with nothing", hmac(&header("HS256"), &own, b"")),
        ("HS512", hmac(&header("HS512"), &own, &point)),
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
        ("wrong audience", good(&world, &json!({"aud": "live-classes-2"}))),
        ("no audience", good(&world, &json!({"aud": null}))),
        ("wrong issuer", good(&world, &json!({"iss": format!("{}/", world.stack.base_url)}))),
        ("no issuer", good(&world, &json!({"iss": null}))),
        ("expired", good(&world, &json!({"exp": now - 30}))),
        ("no expiry", good(&world, &json!({"exp": null}))),
        ("not yet valid", good(&world, &json!({"nbf": now + 31}))),
        ("no subject", good(&world, &json!({"sub": null}))),
        ("a subject that is no id", good(&world, &json!({"sub": "trainer 1\n"}))),
        ("garbage", "garbage".to_owned()),
        ("dots", "..".to_owned()),
        ("not base64", "é.è.à".to_owned()),
        ("long", "a".repeat(9000)),
    ];
    for (what, token) in refused {
        let header = format!("Bearer {token}");
        let Ok(header) = http::HeaderValue::from_str(&header) else { continue };
        let header = header.to_str().map(str::to_owned).unwrap_or_default();
        let answer =
            world.call(Method::GET, CONNECTION, "", None, &[("authorization", &header)]).await;
        assert_eq!(answer.status, 401, "{what}: {}", answer.text);
        is_problem(answer, 401, "unauthenticated");
    }
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
        let answer =
            world.call(Method::GET, CONNECTION, "", None, &[("authorization", scheme)]).await;
        assert_eq!(answer.status, 401, "{scheme:?}: {}", answer.text);
        is_problem(answer, 401, "unauthenticated");
    }
    let answer =
        world.call(Method::GET, &format!("{CONNECTION}?access_token={valid}"), "", None, &[]).await;
    is_problem(answer, 401, "unauthenticated");
    // Within the leeway, and with the scheme in any case, it is good.
    for token in [
        good(&world, &json!({"exp": now - 29})),
        good(&world, &json!({"nbf": now + 30, "aud": ["x", "live-classes"]})),
    ] {
        let header = format!("bEARER {token}");
        world
            .call(Method::GET, CONNECTION, "", None, &[("authorization", &header)])
            .await
            .expect(200);
    }
    world.advance(SignedDuration::from_secs(331));
    is_problem(world.get(&valid, CONNECTION).await, 401, "unauthenticated");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_route_wants_a_token_and_the_role_that_the_contract_names() {
    let world = World::start().await;
    let student = world.student(1).await;
    let (trainer, service) = (world.trainer().await, world.service().await);
    let no_role = good(&world, &json!({"role": null}));
    let made_up = good(&world, &json!({"role": "root"}));
    for route in ROUTES {
        let path = route.path.replace("{id}", "some-id").replace("{user_id}", "some-user");
        let method: Method = route.method.parse().expect("a method");
        let body = (method == Method::POST || method == Method::PUT).then(|| json!({}));
        let call =
            async |token: &str| world.call(method.clone(), &path, token, body.clone(), &[]).await;
        let what = format!("{} {path}", route.method);
        let answer = call("").await;
        assert_eq!(answer.status, 401, "{what}");
        is_problem(answer, 401, "unauthenticated");
        let for_students = ["sessions", "join", "attendance", "notifications", "poll"];
        let open_to_students = for_students.contains(&route.function) && path != "/v1/sessions";
        for token in [&student, &no_role, &made_up] {
            let answer = call(token).await;
            if !open_to_students {
                assert_eq!(answer.status, 403, "{what} for a student");
                is_problem(answer, 403, "forbidden");
            } else {
                let admitted = [200, 404, 422].contains(&answer.status.as_u16());
                assert!(admitted, "{what}: {}", answer.text);
            }
        }
        if route.function == "directory" {
            is_problem(call(&trainer).await, 403, "forbidden");
        } else if route.function == "connect" || route.function == "disconnect" {
            is_problem(call(&service).await, 403, "forbidden");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_role_is_read_where_it_is_configured() {
    let world = World::start().await;
    let direct = Direct::new(&world, &[("AUTH_ROLE_CLAIM", "https://x.test/claims.roles")]);
    for (changes, status) in [
        (json!({"role": null, "https://x.test/claims": {"roles": ["student", "trainer"]}}), 200),
        (json!({"role": null, "https://x.test/claims.roles": "trainer"}), 200),
        (json!({"role": "trainer"}), 403),
        (json!({"role": "trainer", "https://x.test/claims": {"roles": ["student"]}}), 403),
        (json!({"https://x.test/claims": {"roles": {"trainer": true}}}), 403),
    ] {
        let answer = direct.call("connect", "GET", CONNECTION, &good(&world, &changes), None).await;
        assert_eq!(answer.status, status, "{changes}: {}", answer.text);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_has_several_roles_may_what_each_of_them_may() {
    let world = World::start().await;
    let both = good(&world, &json!({"role": ["admin", "trainer"]}));
    let stranger = good(&world, &json!({"role": "trainer", "sub": "trainer-2"}));
    let link = json!({"provider": "manual", "join_url": "https://meet.example.test/a"});
    world.connect_zoom(&both, "app").await;
    let own = world.create(&both, &with(course_class(26), link.clone())).await.expect(201);
    world.edit(&both, &own, &with(course_class(30), link.clone())).await.expect(200);
    assert_eq!(world.listed(&both, "/v1/sessions").await.len(), 1);
    // As an administrator they look after others, and as a trainer they do not own what is others'.
    let others = with(class(26), link);
    let others = world.create(&stranger, &others).await.expect(201);
    let path = path_of(&others);
    world.get(&both, &format!("{path}/attendance")).await.expect(200);
    world.get(&both, &format!("{path}/timeline")).await.expect(200);
    is_problem(world.get(&both, &path).await, 404, "not_found");
    is_problem(world.cancel(&both, &others).await, 404, "not_found");
    is_problem(world.put(&both, "/v1/directory/courses/c", json!({})).await, 403, "forbidden");
    world.cancel(&both, &own).await.expect(200);
    world.delete(&both, "/v1/zoom/connection").await.expect(204);

    // Who teaches one course may be a student of another.
    let learns = json!({"sub": "student-1", "role": ["trainer", "student"], "email": "student1@example.test"});
    let learns = good(&world, &learns);
    assert_eq!(world.listed(&learns, "/v1/me/sessions").await.len(), 1);
    assert_eq!(world.listed(&learns, "/v1/sessions").await.len(), 0);
    // The platform's back end speaks for trainers, also where it is one.
    let service = good(&world, &json!({"sub": "platform", "role": ["service", "trainer"]}));
    let asked = world.create(&service, &with(class(26), json!({"trainer_id": "trainer-1"}))).await;
    assert!(asked.status != 403, "{}", asked.text);
    world
        .put(&service, "/v1/directory/courses/c", json!({"title": "C", "trainer_id": "trainer-1"}))
        .await
        .expect(200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_there_and_what_is_too_much_is_a_problem_like_any_other() {
    let world = World::start().await;
    let trainer = world.trainer().await;
    let direct = Direct::new(&world, &[]);
    // What the gateway has no route for never gets to a function; a function that gets it all the same says so.
    for (method, path) in [
        ("GET", "/v1/nothing"),
        ("PATCH", CONNECTION),
        ("GET", "/"),
        ("POST", "/v1/zoom/connection/x"),
    ] {
        let answer = world.call(method.parse().expect("a method"), path, &trainer, None, &[]).await;
        assert!(answer.status == 404 || path == "/", "{method} {path}");
        for function in
            ["connect", "disconnect", "session-save", "session-cancel", "sessions", "directory"]
        {
            let answer = direct.call(function, method, path, &trainer, None).await;
            let problem = is_problem(answer, 404, "not_found");
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
            let event = event("POST", path, &trainer, Some(&body));
            is_problem(
                direct.invoke(function, event, SignedDuration::from_secs(30)).await,
                status,
                code,
            );
        }
    }
    // Through the gateway, and in base64, which is longer.
    let body = json!({"redirect_uri": "a".repeat(largest)});
    is_problem(world.post(&trainer, "/v1/zoom/authorize", body).await, 413, "payload_too_large");
    let mut encoded = event("POST", "/v1/zoom/authorize", &trainer, None);
    encoded["body"] = json!(data_encoding::BASE64.encode(&vec![b' '; largest]));
    encoded["isBase64Encoded"] = json!(true);
    is_problem(
        direct.invoke("connect", encoded, SignedDuration::from_secs(30)).await,
        422,
        "validation_failed",
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_is_no_json_names_what_is_wrong_and_quotes_nothing() {
    let world = World::start().await;
    let trainer = world.trainer().await;
    let direct = Direct::new(&world, &[]);
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
        let event = event("POST", "/v1/zoom/authorize", &trainer, Some(body));
        let answer = direct.invoke("connect", event, SignedDuration::from_secs(30)).await;
        let problem = is_problem(answer, 422, "validation_failed");
        let error = &problem["errors"][0];
        assert!(error["field"].as_str().is_some_and(|field| !field.is_empty()), "{problem}");
        assert!(
            error["message"]
                .as_str()
                .is_some_and(|text| text.len() < 200 && !text.contains("nonsense")),
            "{problem}"
        );
    }
    // Bytes that are no text at all.
    let mut binary = event("POST", "/v1/zoom/authorize", &trainer, None);
    binary["body"] = json!(data_encoding::BASE64.encode(&[0xff, 0xfe, 0, 0x7b]));
    binary["isBase64Encoded"] = json!(true);
    is_problem(
        direct.invoke("connect", binary, SignedDuration::from_secs(30)).await,
        422,
        "validation_failed",
    );
}

async fn with_hs256(world: &World, id: &str, secret: Value) {
    let mut secrets = local::settings::secrets();
    secrets["auth_hs256_secret"] = secret;
    world.stack.aws.set_secret(id, &secrets.to_string()).await.expect("set");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_a_shared_secret_only_hs256_is_accepted() {
    let world = World::start().await;
    with_hs256(&world, "shared", json!(HS256_SECRET)).await;
    let direct = Direct::new(&world, &[("AUTH_JWKS_URL", ""), ("CONFIG_SECRET_ID", "shared")]);
    let own = claims(&world, &json!({}));
    let header = |alg: &str| json!({"alg": alg, "typ": "JWT"});
    let get = async |token: &str| direct.call("connect", "GET", CONNECTION, token, None).await;
    get(&hmac(&header("HS256"), &own, HS256_SECRET.as_bytes())).await.expect(200);
    let es256 = good(&world, &json!({}));
    for (what, token) in [
        ("the issuer's ES256", es256),
        ("RS256 with the secret", hmac(&header("RS256"), &own, HS256_SECRET.as_bytes())),
        ("ES256 with the secret", hmac(&header("ES256"), &own, HS256_SECRET.as_bytes())),
        ("HS512 with the secret", hmac(&header("HS512"), &own, HS256_SECRET.as_bytes())),
        (
            "none",
            format!("{}.", hmac(&header("none"), &own, b"").rsplit_once('.').expect("parts").0),
        ),
        ("another secret", hmac(&header("HS256"), &own, b"another-shared-secret-of-32-bytes")),
        (
            "expired",
            hmac(&header("HS256"), &claims(&world, &json!({"exp": 1})), HS256_SECRET.as_bytes()),
        ),
    ] {
        let answer = get(&token).await;
        assert_eq!(answer.status, 401, "{what}");
        is_problem(answer, 401, "unauthenticated");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_ways_to_sign_or_none_or_one_that_is_too_weak_lets_nobody_in() {
    let world = World::start().await;
    with_hs256(&world, "both", json!(HS256_SECRET)).await;
    with_hs256(&world, "weak", json!("31-bytes-are-not-enough-for-sha")).await;
    with_hs256(&world, "no-text", json!(7)).await;
    let own = claims(&world, &json!({}));
    let header = json!({"alg": "HS256", "typ": "JWT"});
    let tokens = [
        good(&world, &json!({})),
        hmac(&header, &own, HS256_SECRET.as_bytes()),
        hmac(&header, &own, b"31-bytes-are-not-enough-for-sha"),
        hmac(&header, &own, b""),
    ];
    for changes in [
        vec![("CONFIG_SECRET_ID", "both")],
        vec![("CONFIG_SECRET_ID", "weak"), ("AUTH_JWKS_URL", "")],
        vec![("CONFIG_SECRET_ID", "no-text"), ("AUTH_JWKS_URL", "")],
        vec![("CONFIG_SECRET_ID", "no-text")],
        vec![("AUTH_JWKS_URL", "")],
    ] {
        let direct = Direct::new(&world, &changes);
        for token in &tokens {
            let answer = direct.call("connect", "GET", CONNECTION, token, None).await;
            assert_eq!(answer.status, 503, "{changes:?}");
            is_problem(answer, 503, "unavailable");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_issuer_that_cannot_be_reached_is_an_outage_and_not_the_callers_fault() {
    let world = World::start().await;
    let token = good(&world, &json!({}));
    for nothing in ["/local/nothing", "/local/clock", "/"] {
        let url = format!("{}{nothing}", world.stack.base_url);
        let direct = Direct::new(&world, &[("AUTH_JWKS_URL", &url)]);
        is_problem(
            direct.call("connect", "GET", CONNECTION, &token, None).await,
            503,
            "unavailable",
        );
        // Whoever is refused without the keys is refused.
        is_problem(
            direct.call("connect", "GET", CONNECTION, "garbage", None).await,
            401,
            "unauthenticated",
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_trainers_class_is_not_there() {
    let world = World::start().await;
    let (trainer, other) = (world.trainer().await, world.other_trainer().await);
    world.connect_zoom(&trainer, "app").await;
    world.connect_zoom(&other, "app").await;
    let made = world.post(&trainer, "/v1/sessions", class(26)).await.expect(201);
    let path = format!("/v1/sessions/{}", made["id"].as_str().expect("an id"));
    let theirs = [
        world.get(&other, &path).await,
        world.put(&other, &path, class(27)).await,
        world.post(&other, &format!("{path}/cancel"), json!({})).await,
    ];
    let none = [
        world.get(&other, "/v1/sessions/ses_nothing").await,
        world.put(&other, "/v1/sessions/ses_nothing", class(27)).await,
        world.post(&other, "/v1/sessions/ses_nothing/cancel", json!({})).await,
    ];
    for (theirs, none) in theirs.into_iter().zip(none) {
        let mut theirs = is_problem(theirs, 404, "not_found");
        let mut none = is_problem(none, 404, "not_found");
        // The same words for what is not mine and for what is not.
        theirs["request_id"] = Value::Null;
        none["request_id"] = Value::Null;
        assert_eq!(theirs, none);
    }
    assert_eq!(world.get(&trainer, &path).await.expect(200)["version"], 1);
}
