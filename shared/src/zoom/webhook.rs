//! Webhook signatures (Zoom, "Using webhooks": verify with the request header and signing secret).

use jiff::{SignedDuration, Timestamp};

use crate::crypt::{constant_time_eq, hmac_sha256};
use crate::secret::Secret;

/// Zoom's clock may be this far ahead of ours.
const MAX_CLOCK_AHEAD: SignedDuration = SignedDuration::from_secs(5 * 60);

/// Why a webhook's signature was rejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSignature {
    /// Zoom always sends both headers.
    #[error("a header is missing")]
    Missing,
    #[error("a header is malformed")]
    Header,
    #[error("the timestamp is outside the accepted window")]
    Window,
    #[error("the signature is wrong")]
    Signature,
}

/// Compares the signature with `v0=` and the hex HMAC-SHA256 of `v0:{timestamp}:{body}` over the raw body, and returns the
/// secret that signed it. The error is only for our log. The response must not reveal it.
pub fn verify<'a>(
    secrets: &'a [Secret],
    signature: Option<&str>,
    timestamp: Option<&str>,
    body: &[u8],
    window: SignedDuration,
    now: Timestamp,
) -> Result<&'a Secret, InvalidSignature> {
    let (signature, timestamp) = signature.zip(timestamp).ok_or(InvalidSignature::Missing)?;
    let at = timestamp
        .parse()
        .ok()
        .and_then(|seconds| Timestamp::from_second(seconds).ok())
        .ok_or(InvalidSignature::Header)?;
    let age = now.duration_since(at);
    if age > window || age < -MAX_CLOCK_AHEAD {
        return Err(InvalidSignature::Window);
    }
    let hex = signature.strip_prefix("v0=").ok_or(InvalidSignature::Header)?;
    let given =
        data_encoding::HEXLOWER.decode(hex.as_bytes()).map_err(|_| InvalidSignature::Header)?;
    let message: [&[u8]; 4] = [b"v0:", timestamp.as_bytes(), b":", body];
    let is_signer = |secret: &&Secret| {
        constant_time_eq(&given, &hmac_sha256(secret.expose().as_bytes(), &message))
    };
    secrets.iter().find(is_signer).ok_or(InvalidSignature::Signature)
}

/// Returns the response to Zoom's endpoint validation: the token's hex HMAC-SHA256.
pub fn challenge_response(secret: &Secret, plain_token: &str) -> String {
    data_encoding::HEXLOWER
        .encode(&hmac_sha256(secret.expose().as_bytes(), &[plain_token.as_bytes()]))
}

/// Signs an event in Zoom's format, for tools that send test events.
pub fn sign(secret: &Secret, timestamp: &str, body: &[u8]) -> String {
    let mac = hmac_sha256(secret.expose().as_bytes(), &[b"v0:", timestamp.as_bytes(), b":", body]);
    format!("v0={}", data_encoding::HEXLOWER.encode(&mac))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Computed with `printf 'v0:1800000000:{"a":1}' | openssl dgst -sha256 -hmac secret`.
    const SIGNATURE: &str = "v0=7fd3b086c5276a9d3bb9c620aa7ca35037ab080c8357c44b685584377fcd032d";
    const WINDOW: SignedDuration = SignedDuration::from_mins(90);

    fn check(
        signature: &str,
        timestamp: &str,
        body: &[u8],
        late_seconds: i64,
    ) -> Result<(), InvalidSignature> {
        let now = Timestamp::from_second(1_800_000_000 + late_seconds).unwrap();
        let secrets = [Secret::new("secret")];
        verify(&secrets, Some(signature), Some(timestamp), body, WINDOW, now).map(|_| ())
    }

    #[test]
    fn secret_that_signed_is_returned() {
        let (body, ts) = (br#"{"a":1}"#, "1800000000");
        let now = Timestamp::from_second(1_800_000_000).unwrap();
        let [old, new, other] = ["old", "new", "other"].map(Secret::new);
        let secrets = [new.clone(), old.clone()];
        for (secret, signer) in
            [(&old, Ok(&old)), (&new, Ok(&new)), (&other, Err(InvalidSignature::Signature))]
        {
            let signature = sign(secret, ts, body);
            assert_eq!(verify(&secrets, Some(&signature), Some(ts), body, WINDOW, now), signer);
        }
    }

    #[test]
    fn only_zooms_signature_within_the_window_is_accepted() {
        let body = br#"{"a":1}"#;
        let ts = "1800000000";
        assert_eq!(check(SIGNATURE, ts, body, 0), Ok(()));
        assert_eq!(
            check(SIGNATURE, ts, body, 90 * 60),
            Ok(()),
            "Zoom's last retry is sent after 85 minutes"
        );
        assert_eq!(check(SIGNATURE, ts, body, -300), Ok(()));
        assert_eq!(check(SIGNATURE, ts, body, 90 * 60 + 1), Err(InvalidSignature::Window));
        assert_eq!(check(SIGNATURE, ts, body, -301), Err(InvalidSignature::Window));
        assert_eq!(check(SIGNATURE, ts, br#"{"a":2}"#, 0), Err(InvalidSignature::Signature));
        assert_eq!(check(SIGNATURE, "1800000001", body, 0), Err(InvalidSignature::Signature));
        assert_eq!(
            check(&SIGNATURE[..SIGNATURE.len() - 2], ts, body, 0),
            Err(InvalidSignature::Signature)
        );
        assert_eq!(check("v0=zz", ts, body, 0), Err(InvalidSignature::Header));
        assert_eq!(check(&SIGNATURE[3..], ts, body, 0), Err(InvalidSignature::Header));
        assert_eq!(check(SIGNATURE, "soon", body, 0), Err(InvalidSignature::Header));
        let now = Timestamp::from_second(1_800_000_000).unwrap();
        let secrets = [Secret::new("secret")];
        for (signature, timestamp) in [(None, Some(ts)), (Some(SIGNATURE), None), (None, None)] {
            let refused = verify(&secrets, signature, timestamp, body, WINDOW, now);
            assert_eq!(refused, Err(InvalidSignature::Missing));
        }
    }
}
