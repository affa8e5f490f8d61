//! Replacement for the host platform's token issuer: a key set, and tokens for anyone.

use base64::Engine as _;
use jiff::{SignedDuration, Timestamp};
use jsonwebtoken::jwk::{Jwk, JwkSet};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use shared::config::{Env, names};
use shared::secrets::fields;

/// The `aud` of the tokens.
pub const AUDIENCE: &str = "live-classes";
pub const JWKS_PATH: &str = "/local/jwks.json";
const KEY_ID: &str = "local-1";
const DEFAULT_ROLE_CLAIM: &str = "role";
/// Claims that the role must not replace.
const OTHER_CLAIMS: [&str; 8] =
    ["iss", "aud", "iat", "exp", "sub", "email", "name", "email_verified"];
/// A public ES256 key pair (PKCS #8) for tests. Only the local stack trusts it.
const KEY_PKCS8_BASE64: &str = "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgWU8+MHi2fxRRIvZKScmyktJQyc/bnhp9hEG8Oa4UkLGhRANCAAQk8RnAakX8ppkQQp37LpXanE1Y170SedWY+mA+vJSj0+hkhvxRaAAvZe4i4K1Arh0A2/HHgkUkBmX4LnPAANlc";
/// Long enough to move the clock past a session without new tokens.
const LIFETIME_HOURS: i64 = 24 * 60;

/// The person in a token.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Person {
    pub sub: String,
    pub role: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(default = "yes")]
    pub email_verified: bool,
}

fn yes() -> bool {
    true
}

#[derive(Debug, thiserror::Error)]
pub enum IssuerError {
    #[error("the issuer's key is invalid")]
    Key(#[from] base64::DecodeError),
    #[error("the token could not be signed")]
    Sign(#[from] jsonwebtoken::errors::Error),
    #[error(
        "The functions verify tokens with the keys of {0}, and this stack cannot sign with them. Use tokens of that issuer."
    )]
    OtherKeys(String),
    #[error("The functions have no key for tokens: set AUTH_JWKS_URL or auth_hs256_secret.")]
    NoKey,
}

/// Returns the header of this issuer's tokens.
pub fn header() -> Header {
    Header { kid: Some(KEY_ID.to_owned()), ..Header::new(Algorithm::ES256) }
}

/// The issuer. It signs tokens that the functions accept, if their settings name its keys.
#[derive(Clone)]
pub struct Issuer {
    url: String,
    audience: String,
    role_claim: String,
    keys: AcceptedKeys,
    key: EncodingKey,
    jwks: JwkSet,
}

/// The keys with which the functions verify tokens.
#[derive(Clone)]
enum AcceptedKeys {
    Ours,
    /// Those of another issuer, at this address.
    Others(String),
    /// The shared secret in the configuration secret.
    SharedSecret,
}

impl std::fmt::Debug for Issuer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Issuer").field("url", &self.url).finish_non_exhaustive()
    }
}

impl Issuer {
    /// Creates the default issuer of the stack at `url`.
    pub fn new(url: &str) -> Result<Self, IssuerError> {
        shared::jwt::install_crypto();
        let der = base64::engine::general_purpose::STANDARD.decode(KEY_PKCS8_BASE64)?;
        let key = EncodingKey::from_ec_der(&der);
        let mut jwk = Jwk::from_encoding_key(&key, Algorithm::ES256)?;
        jwk.common.key_id = Some(KEY_ID.to_owned());
        Ok(Self {
            url: url.to_owned(),
            audience: AUDIENCE.to_owned(),
            role_claim: DEFAULT_ROLE_CLAIM.to_owned(),
            keys: AcceptedKeys::Ours,
            key,
            jwks: JwkSet { keys: vec![jwk] },
        })
    }

    /// Creates the issuer for functions with this environment. Its tokens have the issuer, the audience and the role claim
    /// that the functions expect.
    pub fn for_environment(
        url: &str,
        environment: &[(String, String)],
    ) -> Result<Self, IssuerError> {
        let default = Self::new(url)?;
        let environment = Env::from_pairs(environment.iter().cloned());
        let ours = format!("{url}{JWKS_PATH}");
        let keys = match environment.optional(names::AUTH_JWKS_URL) {
            None => AcceptedKeys::SharedSecret,
            Some(address) if address.replacen("127.0.0.1", "localhost", 1) == ours => {
                AcceptedKeys::Ours
            }
            Some(address) => AcceptedKeys::Others(address),
        };
        Ok(Self {
            url: environment.optional(names::AUTH_ISSUER).unwrap_or(default.url),
            audience: environment.optional(names::AUTH_AUDIENCE).unwrap_or(default.audience),
            role_claim: environment.optional(names::AUTH_ROLE_CLAIM).unwrap_or(default.role_claim),
            keys,
            ..default
        })
    }

    pub fn jwks(&self) -> &JwkSet {
        &self.jwks
    }

    /// Signs a token with any header and claims, for tests of token verification.
    pub fn sign(&self, header: &Header, claims: &impl Serialize) -> Result<String, IssuerError> {
        Ok(jsonwebtoken::encode(header, claims, &self.key)?)
    }

    /// Signs a token that the functions accept. `secret` is the configuration secret.
    pub fn token(
        &self,
        person: &Person,
        secret: &Value,
        now: Timestamp,
    ) -> Result<String, IssuerError> {
        let claims = self.claims(person, now);
        match &self.keys {
            AcceptedKeys::Ours => self.sign(&header(), &claims),
            AcceptedKeys::Others(address) => Err(IssuerError::OtherKeys(address.clone())),
            AcceptedKeys::SharedSecret => {
                let shared = shared_secret(secret).ok_or(IssuerError::NoKey)?;
                let key = EncodingKey::from_secret(shared.as_bytes());
                Ok(jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &key)?)
            }
        }
    }

    /// Returns why the functions accept none of this issuer's tokens, if that is so.
    pub fn refusal(&self, secret: &Value) -> Option<IssuerError> {
        match &self.keys {
            AcceptedKeys::Others(address) => Some(IssuerError::OtherKeys(address.clone())),
            AcceptedKeys::SharedSecret if shared_secret(secret).is_none() => {
                Some(IssuerError::NoKey)
            }
            _ => None,
        }
    }

    fn claims(&self, person: &Person, now: Timestamp) -> Value {
        let exp = now.saturating_add(SignedDuration::from_hours(LIFETIME_HOURS)).unwrap_or(now);
        let mut claims = json!({
            "iss": self.url,
            "aud": self.audience,
            "iat": now.as_second(),
            "exp": exp.as_second(),
            "sub": person.sub,
            "email_verified": person.email_verified,
        });
        let texts = [("email", &person.email), ("name", &person.name)];
        for (name, value) in
            texts.into_iter().filter_map(|(name, value)| Some((name, value.as_ref()?)))
        {
            claims[name] = json!(value);
        }
        set_claim(&mut claims, &self.role_claim, json!(person.role));
        claims
    }
}

/// Returns the first shared secret. There are several during a rotation.
fn shared_secret(secret: &Value) -> Option<&str> {
    let field = &secret[fields::AUTH_HS256_SECRET];
    field.as_str().or_else(|| field.as_array()?.iter().find_map(Value::as_str))
}

/// Sets the claim at a path. Dots separate nested objects, except in an address: `https://a.test/roles` is one name, and
/// `https://a.test/claims.role` are two.
fn set_claim(claims: &mut Value, path: &str, value: Value) {
    let address = path.rfind('/').map_or(0, |slash| slash + 1);
    let nested = path[address..].find('.').map(|dot| path.split_at(address + dot));
    match nested {
        Some((first, rest)) if !first.is_empty() && !OTHER_CLAIMS.contains(&first) => {
            let mut inner = Value::Object(Map::new());
            set_claim(&mut inner, &rest[1..], value);
            claims[first] = inner;
        }
        _ => claims[path] = value,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn role_is_at_the_configured_path() {
        for (path, expected) in [
            ("role", json!({"role": "trainer"})),
            ("realm_access.roles", json!({"realm_access": {"roles": "trainer"}})),
            ("a.b.c", json!({"a": {"b": {"c": "trainer"}}})),
            ("https://a.test/roles", json!({"https://a.test/roles": "trainer"})),
            ("https://a.test/claims.role", json!({"https://a.test/claims": {"role": "trainer"}})),
            ("email.role", json!({"email.role": "trainer"})),
            (".role", json!({".role": "trainer"})),
        ] {
            let mut claims = json!({});
            set_claim(&mut claims, path, json!("trainer"));
            assert_eq!(claims, expected, "{path}");
        }
    }
}
