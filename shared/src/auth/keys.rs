//! An issuer's key set (RFC 7517) with the key parameters of RFC 7518, 6 and RFC 8037, 2.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey};
use serde::Deserialize;
use serde_json::Value;

use super::AuthError;

/// Issuers publish a few keys. Google and Microsoft publish fewer than ten.
pub(super) const MAX_KEYS: usize = 100;

/// RFC 7518, 3.3 requires at least 2048 bits. Keys above 8192 bits would only cost CPU time.
const RSA_MODULUS_BYTES: std::ops::RangeInclusive<usize> = 256..=1024;

#[derive(Debug)]
pub(super) struct VerificationKey {
    kid: Option<String>,
    pub(super) algorithm: Algorithm,
    pub(super) decoding: DecodingKey,
}

/// The keys that can verify a token. Encryption keys, unknown types and malformed keys are skipped (RFC 7517, 5).
#[derive(Debug)]
pub(super) struct KeySet {
    keys: Vec<Arc<VerificationKey>>,
}

impl KeySet {
    /// Returns `None` if the document is not a key set.
    pub(super) fn parse(json: &[u8]) -> Option<Self> {
        #[derive(Deserialize)]
        struct Document {
            keys: Vec<Value>,
        }
        let Document { keys } = serde_json::from_slice(json).ok()?;
        let keys = keys
            .iter()
            .take(MAX_KEYS)
            .filter_map(VerificationKey::from_jwk)
            .map(Arc::new)
            .collect();
        Some(Self { keys })
    }

    /// Returns the key with the `kid`, or without a `kid` the only key of the algorithm. `None` means that there is no
    /// such key.
    pub(super) fn find(
        &self,
        kid: Option<&str>,
        algorithm: Algorithm,
    ) -> Option<Result<Arc<VerificationKey>, AuthError>> {
        let has_kid = |key: &&Arc<VerificationKey>| kid.is_none() || key.kid.as_deref() == kid;
        let mut matching =
            self.keys.iter().filter(has_kid).filter(|key| key.algorithm == algorithm);
        match (matching.next(), matching.next()) {
            (Some(key), None) => Some(Ok(Arc::clone(key))),
            // Two keys with the same kid and algorithm are an issuer's mistake. We do not guess.
            (Some(_), Some(_)) => None,
            (None, _) if self.keys.iter().any(|key| has_kid(&key)) => {
                Some(Err(AuthError::Algorithm))
            }
            (None, _) => None,
        }
    }
}

#[derive(Deserialize)]
struct Jwk {
    kty: String,
    kid: Option<String>,
    alg: Option<String>,
    #[serde(rename = "use")]
    usage: Option<String>,
    key_ops: Option<Vec<String>>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

impl VerificationKey {
    fn from_jwk(value: &Value) -> Option<Self> {
        let jwk = Jwk::deserialize(value).ok()?;
        let can_verify = jwk.usage.as_deref().is_none_or(|usage| usage == "sig")
            && jwk.key_ops.as_ref().is_none_or(|ops| ops.iter().any(|op| op == "verify"));
        // A symmetric key (`oct`) in a public document is not secret, so it is not accepted.
        let (algorithm, name, decoding) = match (jwk.kty.as_str(), jwk.crv.as_deref()) {
            ("RSA", _) => (Algorithm::RS256, "RS256", rsa(jwk.n?, jwk.e?)?),
            ("EC", Some("P-256")) => (Algorithm::ES256, "ES256", p256(jwk.x?, jwk.y?)?),
            ("OKP", Some("Ed25519")) => (Algorithm::EdDSA, "EdDSA", ed25519(jwk.x?)?),
            _ => return None,
        };
        let algorithm_matches = jwk.alg.is_none_or(|alg| alg == name);
        (can_verify && algorithm_matches).then_some(Self { kid: jwk.kid, algorithm, decoding })
    }
}

fn rsa(modulus: String, exponent: String) -> Option<DecodingKey> {
    // Some issuers send leading zeros, which RFC 7518, 6.3.1.1 forbids and `ring` rejects.
    let [modulus, exponent] = [decode(&modulus)?, decode(&exponent)?].map(|mut bytes| {
        let zeros = bytes.iter().take_while(|&&byte| byte == 0).count();
        bytes.split_off(zeros)
    });
    if !RSA_MODULUS_BYTES.contains(&modulus.len()) || exponent.is_empty() {
        return None;
    }
    Some(DecodingKey::from_rsa_raw_components(&modulus, &exponent))
}

fn p256(x: String, y: String) -> Option<DecodingKey> {
    let (x, y) = (decode_32(&x)?, decode_32(&y)?);
    // SEC 1, 2.3.3: an uncompressed point starts with 4.
    Some(DecodingKey::from_ec_der(&[&[4], &x[..], &y[..]].concat()))
}

fn ed25519(x: String) -> Option<DecodingKey> {
    Some(DecodingKey::from_ed_der(&decode_32(&x)?))
}

fn decode(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}

fn decode_32(text: &str) -> Option<[u8; 32]> {
    decode(text)?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::testing::Signer;
    use super::*;

    /// Returns the algorithms of the usable keys.
    fn usable_algorithms(keys: &[Value]) -> Vec<Algorithm> {
        let set = KeySet::parse(json!({ "keys": keys }).to_string().as_bytes()).unwrap();
        set.keys.iter().map(|key| key.algorithm).collect()
    }

    fn with_field(mut jwk: Value, name: &str, value: Value) -> Value {
        jwk[name] = value;
        jwk
    }

    #[test]
    fn key_determines_the_algorithm() {
        let keys = [Signer::rsa(), Signer::p256(), Signer::ed25519(1)].map(|key| key.jwk("k"));
        assert_eq!(
            usable_algorithms(&keys),
            [Algorithm::RS256, Algorithm::ES256, Algorithm::EdDSA]
        );
    }

    #[test]
    fn keys_that_cannot_verify_a_token_are_left_out() {
        let (rsa, ec, ed) =
            (Signer::rsa().jwk("r"), Signer::p256().jwk("e"), Signer::ed25519(1).jwk("o"));
        let unusable = [
            with_field(rsa.clone(), "use", json!("enc")),
            with_field(rsa.clone(), "key_ops", json!(["encrypt"])),
            with_field(rsa.clone(), "alg", json!("RS512")),
            with_field(rsa.clone(), "alg", json!("RSA-OAEP")),
            with_field(rsa.clone(), "alg", json!("HS256")),
            with_field(rsa.clone(), "n", json!(URL_SAFE_NO_PAD.encode([255; 128]))),
            with_field(rsa.clone(), "n", json!(URL_SAFE_NO_PAD.encode([255; 2048]))),
            with_field(rsa.clone(), "n", json!("not base64!")),
            with_field(rsa.clone(), "e", json!("")),
            with_field(ec.clone(), "crv", json!("P-384")),
            with_field(ec.clone(), "x", json!("AAAA")),
            with_field(ec, "y", json!(null)),
            with_field(ed.clone(), "crv", json!("X25519")),
            with_field(ed, "x", json!(7)),
            json!({"kty": "oct", "k": "c2VjcmV0", "alg": "HS256"}),
            json!({"kty": "AKP"}),
            json!("nonsense"),
        ];
        for key in unusable {
            assert_eq!(usable_algorithms(&[key.clone(), rsa.clone()]), [Algorithm::RS256], "{key}");
        }
    }

    #[test]
    fn keys_marked_for_verification_are_kept() {
        let rsa = Signer::rsa().jwk("r");
        let padded = [&[0][..], &decode(rsa["n"].as_str().unwrap()).unwrap()].concat();
        let usable = [
            with_field(rsa.clone(), "use", json!("sig")),
            with_field(rsa.clone(), "key_ops", json!(["verify"])),
            with_field(rsa.clone(), "x5c", json!(["MIIB"])),
            with_field(rsa, "n", json!(URL_SAFE_NO_PAD.encode(padded))),
        ];
        for key in usable {
            assert_eq!(usable_algorithms(std::slice::from_ref(&key)), [Algorithm::RS256], "{key}");
        }
    }

    #[test]
    fn key_is_found_by_kid_or_as_the_only_candidate() {
        let find = |keys: &[Value], kid, algorithm| {
            let set = KeySet::parse(json!({ "keys": keys }).to_string().as_bytes()).unwrap();
            set.find(kid, algorithm).map(|found| found.map(|key| key.algorithm))
        };
        let (es, ed, ed2) =
            (Signer::p256().jwk("e"), Signer::ed25519(1).jwk("o"), Signer::ed25519(2).jwk("p"));
        let all = [es, ed.clone(), ed2];
        assert_eq!(find(&all, Some("e"), Algorithm::ES256), Some(Ok(Algorithm::ES256)));
        assert_eq!(find(&all, Some("e"), Algorithm::EdDSA), Some(Err(AuthError::Algorithm)));
        assert_eq!(find(&all, Some("x"), Algorithm::ES256), None);
        assert_eq!(find(&all, None, Algorithm::ES256), Some(Ok(Algorithm::ES256)));
        assert_eq!(find(&all, None, Algorithm::EdDSA), None);
        assert_eq!(find(&all, None, Algorithm::RS256), Some(Err(AuthError::Algorithm)));
        assert_eq!(find(&[ed.clone(), ed], Some("o"), Algorithm::EdDSA), None);
        assert_eq!(find(&[], None, Algorithm::EdDSA), None);
    }

    #[test]
    fn key_set_is_limited_and_malformed_documents_are_refused() {
        let keys: Vec<_> = (0..150).map(|n| Signer::ed25519(n).jwk(&n.to_string())).collect();
        assert_eq!(usable_algorithms(&keys).len(), MAX_KEYS);
        for json in ["", "[]", "{}", "{\"keys\":{}}", "<html>"] {
            assert!(KeySet::parse(json.as_bytes()).is_none(), "{json}");
        }
    }
}
