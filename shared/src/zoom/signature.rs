//! The Meeting SDK signature: a JWT with which Zoom's client joins one meeting in one role
//! (Zoom, "Meeting SDK authorization").

use jiff::{SignedDuration, Timestamp};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde::{Deserialize, Serialize};

use crate::domain::id::MeetingId;
use crate::secret::Secret;

/// `iat` is this far in the past, so that clock differences do not invalidate a signature.
const CLOCK_SKEW: SignedDuration = SignedDuration::from_secs(30);
/// Zoom: `exp` must be 1,800 to 172,800 seconds after `iat`.
const MIN_LIFETIME: SignedDuration = SignedDuration::from_secs(1_800);
const MAX_LIFETIME: SignedDuration = SignedDuration::from_secs(172_800);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SdkRole {
    Attendee = 0,
    Host = 1,
}

#[derive(Debug, Serialize, Deserialize)]
struct SdkClaims {
    #[serde(rename = "appKey")]
    app_key: String,
    #[serde(rename = "sdkKey")]
    sdk_key: String,
    mn: String,
    role: u8,
    iat: i64,
    exp: i64,
    #[serde(rename = "tokenExp")]
    token_exp: i64,
}

/// A signature and its expiry.
#[derive(Clone, Debug)]
pub struct Signature {
    pub jwt: Secret,
    pub expires_at: Timestamp,
}

/// Signs for a meeting and a role. The signature expires at `until` or at the nearest time that Zoom accepts.
pub fn sign(
    sdk_key: &str,
    sdk_secret: &Secret,
    meeting: MeetingId,
    role: SdkRole,
    until: Timestamp,
    now: Timestamp,
) -> Result<Signature, jsonwebtoken::errors::Error> {
    crate::jwt::install_crypto();
    let issued_at = now.saturating_sub(CLOCK_SKEW).unwrap_or(now);
    let lifetime = until.duration_since(issued_at).clamp(MIN_LIFETIME + CLOCK_SKEW, MAX_LIFETIME);
    let expires_at = issued_at.saturating_add(lifetime).unwrap_or(issued_at);
    let claims = SdkClaims {
        app_key: sdk_key.to_owned(),
        sdk_key: sdk_key.to_owned(),
        mn: meeting.to_string(),
        role: role as u8,
        iat: issued_at.as_second(),
        exp: expires_at.as_second(),
        token_exp: expires_at.as_second(),
    };
    let key = EncodingKey::from_secret(sdk_secret.expose().as_bytes());
    let jwt = jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &key)?;
    Ok(Signature { jwt: Secret::new(jwt), expires_at })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signature_has_zooms_claims_within_zooms_bounds() {
        let now = Timestamp::from_second(1_800_000_000).unwrap();
        for (until_seconds, lifetime) in [(0, 1_830), (3_600, 3_630), (1_000_000, 172_800)] {
            let until = now + SignedDuration::from_secs(until_seconds);
            let signed = sign(
                "key",
                &Secret::new("s".repeat(32)),
                MeetingId(98_765_432_101),
                SdkRole::Host,
                until,
                now,
            )
            .unwrap();
            let part = |n: usize| {
                let text = signed.jwt.expose().split('.').nth(n).unwrap().to_owned();
                serde_json::from_slice::<serde_json::Value>(
                    &data_encoding::BASE64URL_NOPAD.decode(text.as_bytes()).unwrap(),
                )
                .unwrap()
            };
            assert_eq!(part(0), serde_json::json!({"alg": "HS256", "typ": "JWT"}));
            let claims = part(1);
            assert_eq!(claims["iat"], 1_800_000_000 - 30);
            assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), lifetime);
            assert_eq!(claims["exp"], claims["tokenExp"]);
            assert_eq!((&claims["mn"], &claims["role"]), (&"98765432101".into(), &1.into()));
            assert_eq!((&claims["appKey"], &claims["sdkKey"]), (&"key".into(), &"key".into()));
        }
    }
}
