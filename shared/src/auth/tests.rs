//! Tests of the verifier with whole tokens.

use std::sync::Mutex;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::testing::Signer;
use super::*;
use crate::net::http_client;
use crate::net::loopback::{Loopback, LoopbackResponse};

const NOW: i64 = 1_800_000_000;
const SECRET: &str = "a shared secret of thirty-two bytes or more";

fn settings(jwks_url: Option<String>) -> AuthSettings {
    AuthSettings {
        issuer: "https://issuer.test".into(),
        audience: "live-classes".into(),
        jwks_url: jwks_url.map(|url| Url::parse(&url).unwrap()),
        role_claim: "role".into(),
    }
}

fn verifier(jwks_url: Option<String>) -> Verifier {
    Verifier::new(settings(jwks_url), http_client("live-classes/test").unwrap())
}

fn claims() -> Value {
    json!({
        "iss": "https://issuer.test", "aud": ["live-classes"], "exp": NOW + 300, "sub": "trainer-1",
        "email": "trainer@example.test", "email_verified": true, "name": "Tess", "role": "trainer",
    })
}

async fn verify(
    verifier: &Verifier,
    token: &str,
    secret: Option<&str>,
) -> Result<Claims, AuthError> {
    verify_with(verifier, token, secret.as_slice()).await
}

/// Verifies a token with some shared secrets, or with none.
async fn verify_with(
    verifier: &Verifier,
    token: &str,
    secrets: &[&str],
) -> Result<Claims, AuthError> {
    let header = format!("Bearer {token}");
    let secrets: Vec<_> = secrets.iter().copied().map(Secret::new).collect();
    let now = Timestamp::from_second(NOW).unwrap();
    verifier.verify(Some(&header), Some(&*secrets).filter(|all| !all.is_empty()), now).await
}

/// An issuer with an RSA key `r`, a P-256 key `e` and an Ed25519 key `o`.
struct Issuer {
    rsa: Signer,
    p256: Signer,
    ed25519: Signer,
    server: Loopback,
    verifier: Verifier,
}

fn issuer() -> Issuer {
    let (rsa, p256, ed25519) = (Signer::rsa(), Signer::p256(), Signer::ed25519(1));
    let keys = json!({ "keys": [rsa.jwk("r"), p256.jwk("e"), ed25519.jwk("o")] }).to_string();
    let server = Loopback::start(move |_| LoopbackResponse::ok(keys.as_str()));
    let verifier = verifier(Some(server.url("/jwks.json")));
    Issuer { rsa, p256, ed25519, server, verifier }
}

#[tokio::test]
async fn tokens_of_each_key_type_are_accepted() {
    let issuer = issuer();
    for (kid, key) in [("r", &issuer.rsa), ("e", &issuer.p256), ("o", &issuer.ed25519)] {
        let header = json!({"alg": key.algorithm(), "kid": kid, "typ": "JWT"});
        let caller = verify(&issuer.verifier, &key.token(&header, &claims()), None).await.unwrap();
        assert_eq!(caller.sub, "trainer-1");
        assert_eq!(caller.email.as_deref(), Some("trainer@example.test"));
        assert!(caller.email_verified);
        assert_eq!(caller.roles, ["trainer"]);
        // Each is the only key of its type, so the kid is optional.
        let token = key.token(&json!({"alg": key.algorithm()}), &claims());
        assert!(verify(&issuer.verifier, &token, None).await.is_ok());
    }
    assert_eq!(issuer.server.requests().len(), 1);
}

#[tokio::test]
async fn token_signed_with_the_shared_secret_is_accepted() {
    let token = Signer::secret(SECRET).token(&json!({"alg": "HS256", "kid": "any"}), &claims());
    let verifier = verifier(None);
    assert!(verify(&verifier, &token, Some(SECRET)).await.is_ok());
    let other = "another secret of thirty-two bytes or more";
    assert_eq!(verify(&verifier, &token, Some(other)).await, Err(AuthError::Signature));
}

#[tokio::test]
async fn token_signed_with_any_shared_secret_is_accepted() {
    let header = json!({"alg": "HS256"});
    let other = "another secret of thirty-two bytes or more";
    let (token, none) =
        (Signer::secret(SECRET).token(&header, &claims()), unsigned(&header, &claims()));
    let verifier = verifier(None);
    for secrets in [[SECRET, other], [other, SECRET]] {
        assert!(verify_with(&verifier, &token, &secrets).await.is_ok());
        assert_eq!(verify_with(&verifier, &none, &secrets).await, Err(AuthError::Signature));
    }
    assert_eq!(verify_with(&verifier, &token, &[other, other]).await, Err(AuthError::Signature));
    // A short secret weakens the API even beside a long one.
    let short = verify_with(&verifier, &token, &[SECRET, "short"]).await;
    assert!(matches!(short, Err(AuthError::Config(_))), "{short:?}");
}

#[tokio::test]
async fn tampered_headers_are_refused() {
    let issuer = issuer();
    let (rsa, claims) = (&issuer.rsa, claims());
    // The public key as an HMAC secret, in each form that a naive verifier might use.
    let public = rsa.public_der();
    let modulus = rsa.jwk("r")["n"].as_str().unwrap().to_owned();
    let hs256_header = json!({"alg": "HS256", "kid": "r"});
    let stranger = Signer::ed25519(9);
    let embedded_key = json!({
        "alg": "EdDSA", "kid": "o", "jwk": stranger.jwk("o"), "jku": "https://evil.test/jwks.json",
    });
    let cases = [
        ("none", unsigned(&json!({"alg": "none"}), &claims), AuthError::Algorithm),
        ("None", unsigned(&json!({"alg": "None", "kid": "r"}), &claims), AuthError::Algorithm),
        (
            "no signature",
            unsigned(&json!({"alg": "RS256", "kid": "r"}), &claims),
            AuthError::Signature,
        ),
        ("HMAC by DER", Signer::secret(public).token(&hs256_header, &claims), AuthError::Algorithm),
        ("HMAC by n", Signer::secret(modulus).token(&hs256_header, &claims), AuthError::Algorithm),
        ("RS512", rsa.token(&json!({"alg": "RS512", "kid": "r"}), &claims), AuthError::Algorithm),
        ("PS256", rsa.token(&json!({"alg": "PS256", "kid": "r"}), &claims), AuthError::Algorithm),
        ("rs256", rsa.token(&json!({"alg": "rs256", "kid": "r"}), &claims), AuthError::Algorithm),
        ("no alg", rsa.token(&json!({"kid": "r"}), &claims), AuthError::Malformed),
        ("alg list", rsa.token(&json!({"alg": ["RS256"]}), &claims), AuthError::Malformed),
        (
            "another key's alg",
            rsa.token(&json!({"alg": "ES256", "kid": "r"}), &claims),
            AuthError::Algorithm,
        ),
        (
            "another key's kid",
            rsa.token(&json!({"alg": "RS256", "kid": "e"}), &claims),
            AuthError::Algorithm,
        ),
        (
            "unknown kid",
            rsa.token(&json!({"alg": "RS256", "kid": "x"}), &claims),
            AuthError::UnknownKey,
        ),
        (
            "kid number",
            rsa.token(&json!({"alg": "RS256", "kid": 7}), &claims),
            AuthError::Malformed,
        ),
        (
            "crit",
            rsa.token(&json!({"alg": "RS256", "kid": "r", "crit": ["exp"], "exp": 1}), &claims),
            AuthError::Malformed,
        ),
        ("embedded key", stranger.token(&embedded_key, &claims), AuthError::Signature),
    ];
    for (case, token, error) in cases {
        assert_eq!(verify(&issuer.verifier, &token, None).await, Err(error), "{case}");
    }
}

#[tokio::test]
async fn shared_secret_accepts_only_hs256() {
    let verifier = verifier(None);
    for (signer, algorithm) in [
        (Signer::rsa(), "RS256"),
        (Signer::p256(), "ES256"),
        (Signer::ed25519(1), "EdDSA"),
        (Signer::secret(SECRET), "HS512"),
        (Signer::secret(SECRET), "none"),
    ] {
        let token = signer.token(&json!({ "alg": algorithm }), &claims());
        assert_eq!(verify(&verifier, &token, Some(SECRET)).await, Err(AuthError::Algorithm));
    }
}

#[tokio::test]
async fn tokens_changed_after_signing_are_refused() {
    let issuer = issuer();
    for (kid, key) in [("r", &issuer.rsa), ("e", &issuer.p256), ("o", &issuer.ed25519)] {
        let token = key.token(&json!({"alg": key.algorithm(), "kid": kid}), &claims());
        let parts: Vec<&str> = token.split('.').collect();
        let mut other = claims();
        other["sub"] = json!("trainer-2");
        let other = URL_SAFE_NO_PAD.encode(other.to_string());
        let mut signature = URL_SAFE_NO_PAD.decode(parts[2]).unwrap();
        signature[7] ^= 1;
        let flipped = URL_SAFE_NO_PAD.encode(&signature);
        let short = URL_SAFE_NO_PAD.encode(&signature[1..]);
        for changed in [
            format!("{}.{other}.{}", parts[0], parts[2]),
            format!("{}.{}.{flipped}", parts[0], parts[1]),
            format!("{}.{}.{short}", parts[0], parts[1]),
            format!("{}.{}.", parts[0], parts[1]),
        ] {
            let result = verify(&issuer.verifier, &changed, None).await;
            assert_eq!(result, Err(AuthError::Signature), "{changed}");
        }
    }
}

#[tokio::test]
async fn malformed_tokens_are_refused() {
    let verifier = verifier(None);
    let valid = Signer::secret(SECRET).token(&json!({"alg": "HS256"}), &claims());
    let mut long = claims();
    long["padding"] = json!("x".repeat(TOKEN_BYTES_MAX));
    let long = Signer::secret(SECRET).token(&json!({"alg": "HS256"}), &long);
    let padded = valid.replacen('.', "=.", 1);
    let list = Signer::secret(SECRET).token(&json!({"alg": "HS256"}), &json!([1]));
    let tokens = [
        "",
        ".",
        "..",
        "a.b.c",
        "a.b.c.d.e",
        &format!("{valid}.e"),
        &padded,
        &long,
        &list,
        "ü.ü.ü",
    ];
    for token in tokens {
        let result = verify(&verifier, token, Some(SECRET)).await;
        assert_eq!(result, Err(AuthError::Malformed), "{token}");
    }
}

#[tokio::test]
async fn authorization_header_is_parsed_leniently() {
    let verifier = verifier(None);
    let token = Signer::secret(SECRET).token(&json!({"alg": "HS256"}), &claims());
    let (secret, now) = (Secret::new(SECRET), Timestamp::from_second(NOW).unwrap());
    let cases = [
        (None, Err(AuthError::Missing)),
        (Some(String::new()), Err(AuthError::Missing)),
        (Some("Basic dTpw".to_owned()), Err(AuthError::Missing)),
        (Some("Bearer".to_owned()), Err(AuthError::Malformed)),
        (Some(token.clone()), Err(AuthError::Malformed)),
        (Some(format!("Bearer {token}, Bearer {token}")), Err(AuthError::Malformed)),
        (Some(format!("Bearer {token}")), Ok(())),
        (Some(format!(" bearer   {token} ")), Ok(())),
    ];
    for (header, expected) in cases {
        let result =
            verifier.verify(header.as_deref(), Some(std::slice::from_ref(&secret)), now).await;
        assert_eq!(result.map(drop), expected, "{header:?}");
    }
}

#[tokio::test]
async fn valid_signature_does_not_excuse_invalid_claims() {
    let issuer = issuer();
    let header = json!({"alg": "EdDSA", "kid": "o"});
    let cases = [
        ("exp", json!(NOW - 31), AuthError::Expired),
        ("nbf", json!(NOW + 31), AuthError::NotYetValid),
        ("iss", json!("https://evil.test"), AuthError::Issuer),
        ("aud", json!("another"), AuthError::Audience),
        ("sub", json!(null), AuthError::Claims),
    ];
    for (name, value, error) in cases {
        let mut claims = claims();
        claims[name] = value;
        let token = issuer.ed25519.token(&header, &claims);
        assert_eq!(verify(&issuer.verifier, &token, None).await, Err(error), "{name}");
    }
}

#[tokio::test]
async fn exactly_one_key_source_must_be_configured() {
    let token = Signer::secret(SECRET).token(&json!({"alg": "HS256"}), &claims());
    let config_error = |result: Result<Claims, AuthError>| match result {
        Err(AuthError::Config(error)) => error,
        other => panic!("{other:?}"),
    };
    let none = config_error(verify(&verifier(None), &token, None).await);
    assert_eq!(none, ConfigError::Missing { name: names::AUTH_JWKS_URL });
    let both = verifier(Some("https://issuer.test/jwks.json".into()));
    let both = config_error(verify(&both, &token, Some(SECRET)).await);
    for name in [names::AUTH_JWKS_URL, secrets::fields::AUTH_HS256_SECRET] {
        assert!(both.to_string().contains(name), "{both}");
    }
    let short = config_error(
        verify(&verifier(None), &token, Some("thirty-one bytes are too short!")).await,
    );
    assert_eq!(short.name(), secrets::fields::AUTH_HS256_SECRET);
    assert!(!short.to_string().contains("thirty-one"));
}

#[tokio::test]
async fn rotated_key_is_found_and_the_old_one_is_refused() {
    let published = std::sync::Arc::new(Mutex::new(Signer::ed25519(1).jwk("one")));
    let shared = std::sync::Arc::clone(&published);
    let server = Loopback::start(move |_| {
        LoopbackResponse::ok(json!({ "keys": [shared.lock().unwrap().clone()] }).to_string())
    });
    let verifier = verifier(Some(server.url("/")));
    let one = Signer::ed25519(1).token(&json!({"alg": "EdDSA", "kid": "one"}), &claims());
    let two = Signer::ed25519(2).token(&json!({"alg": "EdDSA", "kid": "two"}), &claims());
    assert!(verify(&verifier, &one, None).await.is_ok());
    *published.lock().unwrap() = Signer::ed25519(2).jwk("two");
    assert!(verify(&verifier, &two, None).await.is_ok());
    assert_eq!(verify(&verifier, &one, None).await, Err(AuthError::UnknownKey));
}

#[test]
fn missing_settings_are_named() {
    let pairs =
        [(names::AUTH_ISSUER, "https://issuer.test"), (names::AUTH_AUDIENCE, "live-classes")];
    let settings = AuthSettings::read(&Env::from_pairs(pairs)).unwrap();
    assert_eq!(settings.role_claim, "role");
    assert_eq!(settings.jwks_url, None);
    for (n, name) in [names::AUTH_ISSUER, names::AUTH_AUDIENCE].into_iter().enumerate() {
        let env = Env::from_pairs([pairs[1 - n]]);
        assert_eq!(AuthSettings::read(&env).unwrap_err(), ConfigError::Missing { name });
    }
}

#[test]
fn only_key_and_configuration_errors_are_outages() {
    assert!(AuthError::KeysUnavailable.is_outage());
    assert!(AuthError::Config(ConfigError::Missing { name: names::AUTH_JWKS_URL }).is_outage());
    assert!(!AuthError::Expired.is_outage());
}

/// Returns a token with an empty signature.
fn unsigned(header: &Value, claims: &Value) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    format!("{}.{}.", part(header), part(claims))
}
