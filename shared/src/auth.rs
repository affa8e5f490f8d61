//! Verification of the host platform's JWTs.
//!
//! The key determines the algorithm, never the token (RFC 8725, 3.1). A deployment has either a key set, with RS256,
//! ES256 and EdDSA, or shared secrets, with HS256.

mod claims;
mod jwks;
mod keys;
#[cfg(test)]
pub(crate) mod testing;
mod token;

use jiff::{SignedDuration, Timestamp};
use jsonwebtoken::{Algorithm, DecodingKey};
use url::Url;

pub use self::claims::Claims;
use self::jwks::Jwks;
use self::token::Token;
use crate::config::{ConfigError, Env, names};
use crate::secret::Secret;
use crate::secrets;

/// Accepted difference between the issuer's clock and ours.
pub const LEEWAY: SignedDuration = SignedDuration::from_secs(30);

/// Tokens of common issuers have 1 to 4 KiB. API Gateway allows 10 KiB for all headers together.
pub const TOKEN_BYTES_MAX: usize = 8 * 1024;

/// RFC 7518, 3.2: the key must be at least as long as the hash.
pub const HS256_SECRET_BYTES_MIN: usize = 32;

const DEFAULT_ROLE_CLAIM: &str = "role";

/// The accepted issuer and audience.
#[derive(Clone, Debug)]
pub struct AuthSettings {
    /// Expected `iss`, compared exactly.
    pub issuer: String,
    /// Expected in `aud`.
    pub audience: String,
    /// URL of the issuer's key set. Absent if the issuer signs with a shared secret.
    pub jwks_url: Option<Url>,
    /// Name of the claim with the role or roles, or a path through nested objects.
    pub role_claim: String,
}

impl AuthSettings {
    pub fn read(env: &Env) -> Result<Self, ConfigError> {
        let role_claim = env.optional(names::AUTH_ROLE_CLAIM);
        Ok(Self {
            issuer: env.required(names::AUTH_ISSUER)?,
            audience: env.required(names::AUTH_AUDIENCE)?,
            jwks_url: env.optional_url(names::AUTH_JWKS_URL)?,
            role_claim: role_claim.unwrap_or_else(|| DEFAULT_ROLE_CLAIM.to_owned()),
        })
    }
}

/// Why a token was rejected. No message contains a part of the token.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuthError {
    #[error("the bearer token is missing")]
    Missing,
    #[error("the token is not a signed JWT")]
    Malformed,
    #[error("the token's algorithm does not match its key")]
    Algorithm,
    #[error("the token's key is not in the issuer's key set")]
    UnknownKey,
    #[error("the token's signature is wrong")]
    Signature,
    #[error("the token is from another issuer")]
    Issuer,
    #[error("the token is for another audience")]
    Audience,
    #[error("the token has expired")]
    Expired,
    #[error("the token is not valid yet")]
    NotYetValid,
    #[error("a claim of the token is missing or has the wrong type")]
    Claims,
    #[error("the issuer's key set is unavailable")]
    KeysUnavailable,
    #[error(transparent)]
    Config(#[from] ConfigError),
}

impl AuthError {
    /// Returns the reason for the operator, as a word of the log. Callers are not told, because it would help to forge a
    /// token.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Malformed | Self::Claims => "malformed",
            Self::Algorithm => "algorithm",
            Self::UnknownKey | Self::Signature => "key",
            Self::Issuer => "issuer",
            Self::Audience => "audience",
            Self::Expired => "expired",
            Self::NotYetValid => "not_yet_valid",
            Self::KeysUnavailable | Self::Config(_) => "unavailable",
        }
    }

    /// Returns whether the token could not be checked, as opposed to being rejected.
    pub fn is_outage(&self) -> bool {
        match self {
            Self::KeysUnavailable | Self::Config(_) => true,
            Self::Missing
            | Self::Malformed
            | Self::Algorithm
            | Self::UnknownKey
            | Self::Signature
            | Self::Issuer
            | Self::Audience
            | Self::Expired
            | Self::NotYetValid
            | Self::Claims => false,
        }
    }
}

/// Verifies tokens and caches the issuer's keys, so a function needs only one.
#[derive(Debug)]
pub struct Verifier {
    settings: AuthSettings,
    jwks: Option<Jwks>,
}

impl Verifier {
    pub fn new(settings: AuthSettings, http: reqwest::Client) -> Self {
        crate::jwt::install_crypto();
        let jwks = settings.jwks_url.clone().map(|url| Jwks::new(url, http));
        Self { settings, jwks }
    }

    /// Prefetches the issuer's key set, if there is one. After a failure the first token fetches it again.
    pub async fn warm(&self, now: Timestamp) {
        if let Some(jwks) = &self.jwks {
            jwks.warm(now).await;
        }
    }

    /// Returns whether the issuer signs with shared secrets instead of the keys of a key set.
    pub fn uses_shared_secrets(&self) -> bool {
        self.jwks.is_none()
    }

    /// Verifies the token in an `Authorization` header and returns its claims.
    pub async fn verify(
        &self,
        authorization_header: Option<&str>,
        hs256_secrets: Option<&[Secret]>,
        now: Timestamp,
    ) -> Result<Claims, AuthError> {
        let key_source = self.key_source(hs256_secrets)?;
        let token = Token::parse(bearer_token(authorization_header)?)?;
        match key_source {
            KeySource::Jwks(jwks) => {
                if token.algorithm == Algorithm::HS256 {
                    return Err(AuthError::Algorithm);
                }
                let key = jwks.key(token.kid.as_deref(), token.algorithm, now).await?;
                token.verify_signature(&key.decoding, key.algorithm)?;
            }
            KeySource::Hs256(secrets) => verify_hs256(&token, secrets)?,
        }
        claims::validate(&token.claims()?, &self.settings, now)
    }

    /// Exactly one key source must be configured. With both, the weaker one would decide how safe the API is.
    fn key_source<'a>(
        &'a self,
        hs256_secrets: Option<&'a [Secret]>,
    ) -> Result<KeySource<'a>, ConfigError> {
        let hs256_name = secrets::fields::AUTH_HS256_SECRET;
        match (&self.jwks, hs256_secrets) {
            (Some(jwks), None) => Ok(KeySource::Jwks(jwks)),
            (None, Some(secrets)) => {
                let is_short = |secret: &Secret| secret.expose().len() < HS256_SECRET_BYTES_MIN;
                if secrets.iter().any(is_short) {
                    let reason = format!("it is shorter than {HS256_SECRET_BYTES_MIN} bytes");
                    return Err(ConfigError::invalid(hs256_name, reason));
                }
                Ok(KeySource::Hs256(secrets))
            }
            (Some(_), Some(_)) => Err(ConfigError::invalid(
                names::AUTH_JWKS_URL,
                format!("{hs256_name} is set too, and only one of them may be"),
            )),
            (None, None) => Err(ConfigError::Missing { name: names::AUTH_JWKS_URL }),
        }
    }
}

enum KeySource<'a> {
    Jwks(&'a Jwks),
    Hs256(&'a [Secret]),
}

/// Verifies a token with one of the shared secrets. There are several during a rotation.
fn verify_hs256(token: &Token<'_>, secrets: &[Secret]) -> Result<(), AuthError> {
    let mut verified = Err(AuthError::Signature);
    for secret in secrets {
        let key = DecodingKey::from_secret(secret.expose().as_bytes());
        verified = token.verify_signature(&key, Algorithm::HS256);
        if verified != Err(AuthError::Signature) {
            break;
        }
    }
    verified
}

/// Returns the token of a header in the form of RFC 6750, 2.1. The scheme is case-insensitive (RFC 9110, 11.1).
fn bearer_token(header: Option<&str>) -> Result<&str, AuthError> {
    let header = header.map(str::trim).filter(|header| !header.is_empty());
    let (scheme, token) =
        header.ok_or(AuthError::Missing)?.split_once(' ').ok_or(AuthError::Malformed)?;
    if !scheme.eq_ignore_ascii_case("Bearer") {
        return Err(AuthError::Missing);
    }
    Ok(token.trim_start())
}

#[cfg(test)]
mod tests;
