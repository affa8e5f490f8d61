//! Replacement for the host platform's token issuer: a key set, and tokens for anyone.

use base64::Engine as _;
use jiff::{SignedDuration, Timestamp};
use jsonwebtoken::jwk::{Jwk, JwkSet};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde::{Deserialize, Serialize};

/// The `aud` of the tokens.
pub const AUDIENCE: &str = "live-classes";
pub const JWKS_PATH: &str = "/local/jwks.json";
const KEY_ID: &str = "local-1";
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

#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    aud: &'a str,
    iat: i64,
    exp: i64,
    #[serde(flatten)]
    person: &'a Person,
}

#[derive(Debug, thiserror::Error)]
pub enum IssuerError {
    #[error("the issuer's key is invalid")]
    Key(#[from] base64::DecodeError),
    #[error("the token could not be signed")]
    Sign(#[from] jsonwebtoken::errors::Error),
}

/// Returns the header of this issuer's tokens.
pub fn header() -> Header {
    Header { kid: Some(KEY_ID.to_owned()), ..Header::new(Algorithm::ES256) }
}

/// The issuer. Its URL is the `iss` of its tokens.
#[derive(Clone)]
pub struct Issuer {
    url: String,
    key: EncodingKey,
    jwks: JwkSet,
}

impl std::fmt::Debug for Issuer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Issuer").field("url", &self.url).finish_non_exhaustive()
    }
}

impl Issuer {
    pub fn new(url: &str) -> Result<Self, IssuerError> {
        shared::jwt::install_crypto();
        let der = base64::engine::general_purpose::STANDARD.decode(KEY_PKCS8_BASE64)?;
        let key = EncodingKey::from_ec_der(&der);
        let mut jwk = Jwk::from_encoding_key(&key, Algorithm::ES256)?;
        jwk.common.key_id = Some(KEY_ID.to_owned());
        Ok(Self { url: url.to_owned(), key, jwks: JwkSet { keys: vec![jwk] } })
    }

    pub fn jwks(&self) -> &JwkSet {
        &self.jwks
    }

    /// Signs a token with any header and claims, for tests of token verification.
    pub fn sign(&self, header: &Header, claims: &impl Serialize) -> Result<String, IssuerError> {
        Ok(jsonwebtoken::encode(header, claims, &self.key)?)
    }

    pub fn token(&self, person: &Person, now: Timestamp) -> Result<String, IssuerError> {
        let exp = now.saturating_add(SignedDuration::from_hours(LIFETIME_HOURS)).unwrap_or(now);
        let claims = Claims {
            iss: &self.url,
            aud: AUDIENCE,
            iat: now.as_second(),
            exp: exp.as_second(),
            person,
        };
        self.sign(&header(), &claims)
    }
}
