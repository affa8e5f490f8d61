//! A stack with functions that accept the tokens of another issuer.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use http::Method;
use ring::rand::SystemRandom;
use ring::rsa::PublicKeyComponents;
use ring::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use serde_json::{Value, json};
use shared::config::names;

use crate::support::patched;
use crate::world::{World, course_session_body};

const ISSUER: &str = "https://login.example.test/";
const ROLE_CLAIM: &str = "https://example.test/roles";

/// An issuer that serves its key set on a port of its own.
struct OtherIssuer {
    keys_url: String,
    key: RsaKeyPair,
}

impl OtherIssuer {
    fn start() -> Self {
        // A fixed key for tests, because `ring` cannot generate RSA keys.
        let text = include_str!("../../../shared/src/auth/testdata/rsa-2048.pkcs8.base64");
        let text: String = text.split_whitespace().collect();
        let key = RsaKeyPair::from_pkcs8(&STANDARD.decode(text).expect("base64")).expect("a key");
        let PublicKeyComponents::<Vec<u8>> { n, e } = key.public().into();
        let [n, e] = [n, e].map(|number| URL_SAFE_NO_PAD.encode(number));
        let keys =
            json!({"keys": [{"kty": "RSA", "kid": "other-1", "alg": "RS256", "n": n, "e": e}]});
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let keys_url = format!("http://{}/keys", listener.local_addr().expect("an address"));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                serve(stream, &keys.to_string());
            }
        });
        Self { keys_url, key }
    }

    fn token(&self, world: &World, sub: &str, role: &str) -> String {
        let header = json!({"alg": "RS256", "typ": "JWT", "kid": "other-1"});
        let claims = json!({
            "iss": ISSUER, "aud": ["platform"], "sub": sub, "exp": world.now().as_second() + 600,
            "email": format!("{sub}@example.test"), "email_verified": true, ROLE_CLAIM: [role],
        });
        let [header, claims] =
            [header, claims].map(|part| URL_SAFE_NO_PAD.encode(part.to_string()));
        let signed = format!("{header}.{claims}");
        let mut signature = vec![0; self.key.public().modulus_len()];
        #[expect(
            clippy::disallowed_methods,
            reason = "a signature with this scheme uses no randomness"
        )]
        let random = SystemRandom::new();
        let sign = self.key.sign(&RSA_PKCS1_SHA256, &random, signed.as_bytes(), &mut signature);
        sign.expect("a signature");
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}

/// Answers one request with the key set.
fn serve(mut stream: TcpStream, keys: &str) {
    let mut request = Vec::new();
    let mut bytes = [0; 1024];
    while !request.windows(4).any(|end| end == b"\r\n\r\n") {
        match stream.read(&mut bytes) {
            Ok(1..) => request.extend_from_slice(&bytes),
            _ => return,
        }
    }
    let length = keys.len();
    let head =
        format!("content-type: application/json\r\ncontent-length: {length}\r\nconnection: close");
    // The client may have gone.
    let _ = stream.write_all(format!("HTTP/1.1 200 OK\r\n{head}\r\n\r\n{keys}").as_bytes());
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_of_another_issuer_work_end_to_end() {
    let issuer = OtherIssuer::start();
    let world = World::start_with_settings(&[
        (names::AUTH_ISSUER, ISSUER),
        (names::AUTH_AUDIENCE, "platform"),
        (names::AUTH_JWKS_URL, &issuer.keys_url),
        (names::AUTH_ROLE_CLAIM, ROLE_CLAIM),
    ])
    .await;
    let service = issuer.token(&world, "platform", "service");
    let course = json!({"title": "Geometry", "trainer_id": "trainer-1"});
    world.put(&service, "/v1/directory/courses/course-2", course).await.expect(200);
    // The starting data is there, although this stack cannot sign a token.
    let trainer = issuer.token(&world, "trainer-1", "trainer");
    let link = json!({"provider": "manual", "join_url": "https://meet.example.test/algebra"});
    let body = patched(course_session_body(24), link);
    let session = world.create(&trainer, &body).await.expect(201);
    let student = issuer.token(&world, "student-1", "student");
    let listed = world.get(&student, "/v1/me/sessions").await.expect(200);
    assert_eq!(listed["items"][0]["id"], session["id"]);
    world.create(&student, &body).await.expect_problem(403, "forbidden");

    let person = json!({"sub": "trainer-1", "role": "trainer"});
    let refused = world.post("", "/local/tokens", person).await.expect(409);
    let reason = refused["error"].as_str().expect("a reason");
    assert!(reason.contains(&issuer.keys_url), "{reason}");
    let tokens = &world.get("", "/local/config").await.expect(200)["tokens"];
    assert_eq!(*tokens, json!({"accepted": false, "reason": reason}));
    // The default issuer of the stack is not accepted.
    let local = local::issuer::Issuer::new(&world.stack.base_url).expect("an issuer");
    let person = serde_json::from_value(json!({"sub": "trainer-1", "role": "trainer"}));
    let token = local.token(&person.expect("a person"), &Value::Null, world.now());
    let token = token.expect("a token");
    world.get(&token, "/v1/sessions").await.expect_problem(401, "unauthenticated");
}

#[tokio::test(flavor = "multi_thread")]
async fn local_tokens_follow_the_settings() {
    let shared = "a-shared-secret-of-32-bytes-or-more";
    let rotating = format!(r#"["{shared}", "the-former-secret-of-the-platform-01"]"#);
    for settings in [
        &[(names::AUTH_ROLE_CLAIM, "realm_access.roles")][..],
        &[(names::AUTH_ROLE_CLAIM, "https://example.test/claims.role")],
        &[(names::AUTH_ISSUER, ISSUER), (names::AUTH_AUDIENCE, "platform")],
        &[(names::AUTH_JWKS_URL, ""), ("auth_hs256_secret", shared)],
        &[(names::AUTH_JWKS_URL, ""), ("auth_hs256_secret", &rotating)],
    ] {
        let world = World::start_with_settings(settings).await;
        let trainer = world.trainer().await;
        let response = world.get(&trainer, "/v1/sessions").await;
        assert_eq!(response.status, 200, "{settings:?} {}", response.text);
        let config = world.get("", "/local/config").await.expect(200);
        assert_eq!(config["tokens"], json!({"accepted": true, "reason": null}));
    }
    let world = World::start_with_settings(&[(names::AUTH_JWKS_URL, "")]).await;
    let person = json!({"sub": "trainer-1", "role": "trainer"});
    let refused = world.call(Method::POST, "/local/tokens", "", Some(person), &[]).await;
    assert!(refused.expect(409)["error"].as_str().expect("a reason").contains("no key"));
}
