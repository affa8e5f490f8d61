//! An issuer's published keys: RFC 7517, with the parameters of RFC 7518, 6 and RFC 8037, 2.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey};
use serde::Deserialize;
use serde_json::Value;

use super::AuthError;

/// An issuer has a handful, some while rotating; Google and Microsoft publish fewer than ten.
pub(super) const KEYS_MAX: usize = 100;

/// RFC 7518, 3.3 asks for 2048 bits or more; more than 8192 only makes us compute.
const RSA_MODULUS_BYTES: std::ops::RangeInclusive<usize> = 256..=1024;

#[derive(Debug)]
pub(super) struct VerificationKey {
    kid: Option<String>,
    pub(super) algorithm: Algorithm,
    pub(super) decoding: DecodingKey,
}

/// The keys that can verify a token. Others (for encryption, of a kind we do not know, damaged) are left
/// out, as RFC 7517, 5 asks.
#[derive(Debug)]
pub(super) struct KeySet {
    keys: Vec<Arc<VerificationKey>>,
}

impl KeySet {
    /// `None` if this is no key set at all.
    pub(super) fn parse(json: &[u8]) -> Option<Self> {
        #[derive(Deserialize)]
        struct Document {
            keys: Vec<Value>,
        }
        let Document { keys } = serde_json::from_slice(json).ok()?;
        let keys = keys.iter().take(KEYS_MAX).filter_map(VerificationKey::from_jwk).map(Arc::new).collect();
        Some(Self { keys })
    }

    /// The key that a token names, or without a name the only one that it can mean. `None`: no such key.
    pub(super) fn find(
        &self,
        kid: Option<&str>,
        algorithm: Algorithm,
    ) -> Option<Result<Arc<VerificationKey>, AuthError>> {
        let named = |key: &&Arc<VerificationKey>| kid.is_none() || key.kid.as_deref() == kid;
        let mut fitting = self.keys.iter().filter(named).filter(|key| key.algorithm == algorithm);
        match (fitting.next(), fitting.next()) {
            (Some(key), None) => Some(Ok(Arc::clone(key))),
            // Two keys of one name and algorithm: the issuer's mistake, and no reason to guess.
            (Some(_), Some(_)) => None,
            (None, _) if self.keys.iter().any(|key| named(&key)) => Some(Err(AuthError::Algorithm)),
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
        let signs = jwk.usage.as_deref().is_none_or(|usage| usage == "sig")
            && jwk.key_ops.as_ref().is_none_or(|ops| ops.iter().any(|op| op == "verify"));
        // A symmetric key (`oct`) in a public document is no secret, so it is not among the kinds.
        let (algorithm, name, decoding) = match (jwk.kty.as_str(), jwk.crv.as_deref()) {
            ("RSA", _) => (Algorithm::RS256, "RS256", rsa(jwk.n?, jwk.e?)?),
            ("EC", Some("P-256")) => (Algorithm::ES256, "ES256", p256(jwk.x?, jwk.y?)?),
            ("OKP", Some("Ed25519")) => (Algorithm::EdDSA, "EdDSA", ed25519(jwk.x?)?),
            _ => return None,
        };
        let named_so = jwk.alg.is_none_or(|alg| alg == name);
        (signs && named_so).then_some(Self { kid: jwk.kid, algorithm, decoding })
    }
}

fn rsa(modulus: String, exponent: String) -> Option<DecodingKey> {
    // Some issuers write a leading zero, which RFC 7518, 6.3.1.1 forbids and `ring` refuses.
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
    // SEC 1, 2.3.3: an uncompressed point begins with 4.
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

    /// The algorithms of the usable keys among these.
    fn usable(keys: &[Value]) -> Vec<Algorithm> {
        let set = KeySet::parse(json!({ "keys": keys }).to_string().as_bytes()).unwrap();
        set.keys.iter().map(|key| key.algorithm).collect()
    }

    fn changed(mut jwk: Value, name: &str, value: Value) -> Value {
        jwk[name] = value;
        jwk
    }

    #[test]
    fn the_key_gives_the_algorithm() {
        let keys = [Signer::rsa(), Signer::p256(), Signer::ed25519(1)].map(|key| key.jwk("k"));
        assert_eq!(usable(&keys), [Algorithm::RS256, Algorithm::ES256, Algorithm::EdDSA]);
    }

    #[test]
    fn what_cannot_verify_a_token_is_left_out() {
        let (rsa, ec, ed) =
            (Signer::rsa().jwk("r"), Signer::p256().jwk("e"), Signer::ed25519(1).jwk("o"));
        let out = [
            changed(rsa.clone(), "use", json!("enc")),
            changed(rsa.clone(), "key_ops", json!(["encrypt"])),
            changed(rsa.clone(), "alg", json!("RS512")),
            changed(rsa.clone(), "alg", json!("RSA-OAEP")),
            changed(rsa.clone(), "alg", json!("HS256")),
            changed(rsa.clone(), "n", json!(URL_SAFE_NO_PAD.encode([255; 128]))),
            changed(rsa.clone(), "n", json!(URL_SAFE_NO_PAD.encode([255; 2048]))),
            changed(rsa.clone(), "n", json!("not base64!")),
            changed(rsa.clone(), "e", json!("")),
            changed(ec.clone(), "crv", json!("P-384")),
            changed(ec.clone(), "x", json!("AAAA")),
            changed(ec, "y", json!(null)),
            changed(ed.clone(), "crv", json!("X25519")),
            changed(ed, "x", json!(7)),
            json!({"kty": "oct", "k": "c2VjcmV0", "alg": "HS256"}),
            json!({"kty": "AKP"}),
            json!("nonsense"),
        ];
        for key in out {
            assert_eq!(usable(&[key.clone(), rsa.clone()]), [Algorithm::RS256], "{key}");
        }
    }

    #[test]
    fn what_says_what_it_is_for_is_kept() {
        let rsa = Signer::rsa().jwk("r");
        let padded = [&[0][..], &decode(rsa["n"].as_str().unwrap()).unwrap()].concat();
        let kept = [
            changed(rsa.clone(), "use", json!("sig")),
            changed(rsa.clone(), "key_ops", json!(["verify"])),
            changed(rsa.clone(), "x5c", json!(["MIIB"])),
            changed(rsa, "n", json!(URL_SAFE_NO_PAD.encode(padded))),
        ];
        for key in kept {
            assert_eq!(usable(std::slice::from_ref(&key)), [Algorithm::RS256], "{key}");
        }
    }

    #[test]
    fn a_key_is_found_by_its_name_or_as_the_only_one() {
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
    fn only_so_many_are_read_and_nonsense_is_no_set() {
        let keys: Vec<_> = (0..150).map(|n| Signer::ed25519(n).jwk(&n.to_string())).collect();
        assert_eq!(usable(&keys).len(), KEYS_MAX);
        for json in ["", "[]", "{}", "{\"keys\":{}}", "<html>"] {
            assert!(KeySet::parse(json.as_bytes()).is_none(), "{json}");
        }
    }
}
