//! Who calls: the host platform's JWTs, verified in the function itself.
//!
//! The key decides the algorithm, never the token: RFC 8725, 3.1. A key set gives RS256, ES256 and EdDSA; a
//! shared secret gives HS256; a deployment has one of the two.

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

/// How far the issuer's clock and ours may differ.
pub const LEEWAY: SignedDuration = SignedDuration::from_secs(30);

/// Bearer tokens of the common issuers have 1 to 4 KiB; API Gateway ends at 10 KiB for all headers together.
pub const TOKEN_BYTES_MAX: usize = 8 * 1024;

/// RFC 7518, 3.2: a key as long as the hash, or longer.
pub const HS256_SECRET_BYTES_MIN: usize = 32;

const DEFAULT_ROLE_CLAIM: &str = "role";

/// Whose tokens are accepted.
#[derive(Clone, Debug)]
pub struct AuthSettings {
    /// `iss`, compared character by character.
    pub issuer: String,
    /// One of `aud`.
    pub audience: String,
    /// Where the issuer publishes its keys; absent where it signs with a shared secret.
    pub jwks_url: Option<Url>,
    /// The claim that holds the role or roles: a name, or a path through objects.
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

/// Why a caller is not let in. None of the texts holds a part of the token.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuthError {
    #[error("there is no bearer token")]
    Missing,
    #[error("the token is not a signed JWT")]
    Malformed,
    #[error("the token's algorithm is not its key's")]
    Algorithm,
    #[error("the token's key is not the issuer's")]
    UnknownKey,
    #[error("the token's signature is wrong")]
    Signature,
    #[error("the token is another issuer's")]
    Issuer,
    #[error("the token is for another audience")]
    Audience,
    #[error("the token has expired")]
    Expired,
    #[error("the token is not valid yet")]
    NotYetValid,
    #[error("the token lacks a claim, or has one of the wrong type")]
    Claims,
    #[error("the issuer's keys cannot be read")]
    KeysUnavailable,
    #[error(transparent)]
    Config(#[from] ConfigError),
}

impl AuthError {
    /// Whether we could not check, as opposed to having checked and refused.
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

/// Verifies callers. One per function, as it holds the issuer's keys.
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

    /// Reads the issuer's keys ahead, if it has any. What fails is asked for by the first token.
    pub async fn warm(&self, now: Timestamp) {
        if let Some(jwks) = &self.jwks {
            jwks.warm(now).await;
        }
    }

    /// The claims of the token in an `Authorization` header.
    pub async fn verify(
        &self,
        authorization_header: Option<&str>,
        hs256_secret: Option<&Secret>,
        now: Timestamp,
    ) -> Result<Claims, AuthError> {
        let by = self.means(hs256_secret)?;
        let token = Token::parse(bearer(authorization_header)?)?;
        match by {
            Means::Jwks(jwks) => {
                if token.algorithm == Algorithm::HS256 {
                    return Err(AuthError::Algorithm);
                }
                let key = jwks.key(token.kid.as_deref(), token.algorithm, now).await?;
                token.verify_signature(&key.decoding, key.algorithm)?;
            }
            Means::Hs256(key) => token.verify_signature(&key, Algorithm::HS256)?,
        }
        claims::check(&token.claims()?, &self.settings, now)
    }

    /// With both configured, whoever learns the weaker could sign for all; with none, nobody could come in.
    fn means(&self, hs256_secret: Option<&Secret>) -> Result<Means<'_>, ConfigError> {
        let hs256_name = secrets::fields::AUTH_HS256_SECRET;
        match (&self.jwks, hs256_secret) {
            (Some(jwks), None) => Ok(Means::Jwks(jwks)),
            (None, Some(secret)) => {
                let bytes = secret.expose().as_bytes();
                if bytes.len() < HS256_SECRET_BYTES_MIN {
                    let why = format!("it is shorter than {HS256_SECRET_BYTES_MIN} bytes");
                    return Err(ConfigError::invalid(hs256_name, why));
                }
                Ok(Means::Hs256(DecodingKey::from_secret(bytes)))
            }
            (Some(_), Some(_)) => Err(ConfigError::invalid(
                names::AUTH_JWKS_URL,
                format!("{hs256_name} is set too, and only one of them may be"),
            )),
            (None, None) => Err(ConfigError::Missing { name: names::AUTH_JWKS_URL }),
        }
    }
}

enum Means<'a> {
    Jwks(&'a Jwks),
    Hs256(DecodingKey),
}

/// RFC 6750, 2.1; the scheme's name is case-insensitive by RFC 9110, 11.1.
fn bearer(header: Option<&str>) -> Result<&str, AuthError> {
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
