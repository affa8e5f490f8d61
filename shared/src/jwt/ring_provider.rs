//! A cryptography provider for `jsonwebtoken`: public-key signatures on `ring`, HS256 on `hmac`. The two providers of `jsonwebtoken` would add aws-lc or a second
//! set of big-number crates to every function.

use hmac::Mac;
use jsonwebtoken::crypto::{CryptoProvider, JwtSigner, JwtVerifier, KeyUtils};
use jsonwebtoken::errors::{Error, ErrorKind, Result, new_error};
use jsonwebtoken::jwk::{EllipticCurve, ThumbprintHash};
use jsonwebtoken::{Algorithm, DecodingKey, DecodingKeyKind, EncodingKey};
use ring::digest;
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, ED25519, EcdsaKeyPair, KeyPair,
    RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents, UnparsedPublicKey, VerificationAlgorithm,
};
use signature::{Signer, Verifier};

use crate::crypt::{HmacSha256, hmac_with_key};

/// Verifies RS256, ES256, EdDSA and HS256. Signs ES256 and HS256.
pub(super) static PROVIDER: CryptoProvider = CryptoProvider {
    signer_factory: signer,
    verifier_factory: verifier,
    key_utils: KeyUtils {
        rsa_pub_components_from_private_key: |_| Err(unsupported()),
        rsa_pub_components_from_public_key: |_| Err(unsupported()),
        ec_pub_components_from_private_key: ec_public,
        ed_pub_components_from_private_key: |_, _| Err(unsupported()),
        compute_digest,
    },
};

type SignatureResult<T> = std::result::Result<T, signature::Error>;

fn unsupported() -> Error {
    new_error(ErrorKind::UnsupportedAlgorithm)
}

fn signer(algorithm: &Algorithm, key: &EncodingKey) -> Result<Box<dyn JwtSigner>> {
    if key.family() != algorithm.family() {
        return Err(new_error(ErrorKind::InvalidKeyFormat));
    }
    match algorithm {
        Algorithm::HS256 => Ok(Box::new(Hs256::new(key.as_bytes()))),
        Algorithm::ES256 => {
            Ok(Box::new(Es256 { pair: ec_pair(key.as_bytes())?, rng: system_random() }))
        }
        _ => Err(unsupported()),
    }
}

/// Refuses a key of another algorithm family: a public RSA key used as an HMAC secret is a known JWT attack
/// (RFC 8725, section 2.1).
fn verifier(algorithm: &Algorithm, key: &DecodingKey) -> Result<Box<dyn JwtVerifier>> {
    if key.family() != algorithm.family() {
        return Err(new_error(ErrorKind::InvalidKeyFormat));
    }
    let asymmetric = |by: &'static dyn VerificationAlgorithm| -> Result<Box<dyn JwtVerifier>> {
        let key = UnparsedPublicKey::new(by, key.try_get_as_bytes()?.to_vec());
        Ok(Box::new(Asymmetric { algorithm: *algorithm, key }))
    };
    match (algorithm, key.kind()) {
        (Algorithm::HS256, _) => Ok(Box::new(Hs256::new(key.try_get_as_bytes()?))),
        (Algorithm::ES256, _) => asymmetric(&ECDSA_P256_SHA256_FIXED),
        (Algorithm::EdDSA, _) => asymmetric(&ED25519),
        (Algorithm::RS256, DecodingKeyKind::SecretOrDer(_)) => {
            asymmetric(&RSA_PKCS1_2048_8192_SHA256)
        }
        (Algorithm::RS256, DecodingKeyKind::RsaModulusExponent { n, e }) => {
            Ok(Box::new(Rs256(RsaPublicKeyComponents { n: n.clone(), e: e.clone() })))
        }
        _ => Err(unsupported()),
    }
}

struct Hs256(HmacSha256);

impl Hs256 {
    fn new(secret: &[u8]) -> Self {
        Self(hmac_with_key(secret))
    }
}

impl Signer<Vec<u8>> for Hs256 {
    fn try_sign(&self, message: &[u8]) -> SignatureResult<Vec<u8>> {
        Ok(self.0.clone().chain_update(message).finalize().into_bytes().to_vec())
    }
}

impl JwtSigner for Hs256 {
    fn algorithm(&self) -> Algorithm {
        Algorithm::HS256
    }
}

impl Verifier<Vec<u8>> for Hs256 {
    fn verify(&self, message: &[u8], signature: &Vec<u8>) -> SignatureResult<()> {
        let mac = self.0.clone().chain_update(message);
        mac.verify_slice(signature).map_err(|_| signature::Error::new())
    }
}

impl JwtVerifier for Hs256 {
    fn algorithm(&self) -> Algorithm {
        Algorithm::HS256
    }
}

struct Es256 {
    pair: EcdsaKeyPair,
    rng: SystemRandom,
}

impl Signer<Vec<u8>> for Es256 {
    fn try_sign(&self, message: &[u8]) -> SignatureResult<Vec<u8>> {
        let signature = self.pair.sign(&self.rng, message).map_err(|_| signature::Error::new())?;
        Ok(signature.as_ref().to_vec())
    }
}

impl JwtSigner for Es256 {
    fn algorithm(&self) -> Algorithm {
        Algorithm::ES256
    }
}

/// Verifies ES256 and EdDSA, and RS256 with a DER key.
struct Asymmetric {
    algorithm: Algorithm,
    key: UnparsedPublicKey<Vec<u8>>,
}

impl Verifier<Vec<u8>> for Asymmetric {
    fn verify(&self, message: &[u8], signature: &Vec<u8>) -> SignatureResult<()> {
        self.key.verify(message, signature).map_err(|_| signature::Error::new())
    }
}

impl JwtVerifier for Asymmetric {
    fn algorithm(&self) -> Algorithm {
        self.algorithm
    }
}

/// Verifies RS256 with the modulus and exponent of a JWK.
struct Rs256(RsaPublicKeyComponents<Vec<u8>>);

impl Verifier<Vec<u8>> for Rs256 {
    fn verify(&self, message: &[u8], signature: &Vec<u8>) -> SignatureResult<()> {
        self.0
            .verify(&RSA_PKCS1_2048_8192_SHA256, message, signature)
            .map_err(|_| signature::Error::new())
    }
}

impl JwtVerifier for Rs256 {
    fn algorithm(&self) -> Algorithm {
        Algorithm::RS256
    }
}

fn ec_pair(pkcs8: &[u8]) -> Result<EcdsaKeyPair> {
    EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8, &system_random())
        .map_err(|_| new_error(ErrorKind::InvalidEcdsaKey))
}

fn ec_public(pkcs8: &[u8], algorithm: Algorithm) -> Result<(EllipticCurve, Vec<u8>, Vec<u8>)> {
    if algorithm != Algorithm::ES256 {
        return Err(unsupported());
    }
    let pair = ec_pair(pkcs8)?;
    match pair.public_key().as_ref() {
        // SEC 1, section 2.3.3: the byte 4, then both coordinates.
        [4, point @ ..] if point.len() == 64 => {
            Ok((EllipticCurve::P256, point[..32].to_vec(), point[32..].to_vec()))
        }
        _ => Err(new_error(ErrorKind::InvalidEcdsaKey)),
    }
}

fn compute_digest(data: &[u8], hash: ThumbprintHash) -> Result<Vec<u8>> {
    let algorithm = match hash {
        ThumbprintHash::SHA256 => &digest::SHA256,
        ThumbprintHash::SHA384 => &digest::SHA384,
        ThumbprintHash::SHA512 => &digest::SHA512,
        _ => return Err(unsupported()),
    };
    Ok(digest::digest(algorithm, data).as_ref().to_vec())
}

#[expect(
    clippy::disallowed_methods,
    reason = "only ECDSA draws its nonces here, because a repeated nonce would reveal the key"
)]
fn system_random() -> SystemRandom {
    SystemRandom::new()
}

#[cfg(test)]
mod tests {
    use jsonwebtoken::jwk::Jwk;
    use jsonwebtoken::{Header, crypto, encode};
    use serde_json::json;

    use super::super::install_crypto;
    use super::*;
    use crate::auth::testing::Signer;

    #[test]
    fn signed_tokens_verify() {
        install_crypto();
        install_crypto();
        let pkcs8 =
            EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &system_random())
                .unwrap();
        let ec = EncodingKey::from_ec_der(pkcs8.as_ref());
        let public = Jwk::from_encoding_key(&ec, Algorithm::ES256).unwrap();
        let cases = [
            (Algorithm::ES256, ec, DecodingKey::from_jwk(&public).unwrap()),
            (Algorithm::HS256, EncodingKey::from_secret(b"s"), DecodingKey::from_secret(b"s")),
        ];
        for (algorithm, private, public) in cases {
            let token = encode(&Header::new(algorithm), &json!({"a": 1}), &private).unwrap();
            let (message, signature) = token.rsplit_once('.').unwrap();
            let check = |message: &str| {
                crypto::verify(signature, message.as_bytes(), &public, algorithm).unwrap()
            };
            assert!(check(message));
            assert!(!check(&message[1..]));
        }
    }

    /// RFC 7515, A.1: HS256 with its published key, message and signature.
    #[test]
    fn hs256_signature_matches_rfc_7515() {
        install_crypto();
        let key = "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow";
        let message = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
        let key = EncodingKey::from_urlsafe_base64_secret(&format!("{key}==")).unwrap();
        assert_eq!(
            crypto::sign(message.as_bytes(), &key, Algorithm::HS256).unwrap(),
            "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
        );
    }

    #[test]
    fn key_is_only_accepted_for_its_own_algorithm_family() {
        let keys = [
            DecodingKey::from_secret(b"s"),
            DecodingKey::from_ed_der(&[1; 32]),
            DecodingKey::from_ec_der(&[4; 65]),
            DecodingKey::from_rsa_raw_components(&[255; 256], &[3]),
        ];
        let known = [Algorithm::HS256, Algorithm::EdDSA, Algorithm::ES256, Algorithm::RS256];
        for (i, key) in keys.iter().enumerate() {
            for (j, algorithm) in known.iter().enumerate() {
                assert_eq!(verifier(algorithm, key).is_ok(), i == j);
            }
            for algorithm in
                [Algorithm::HS512, Algorithm::PS256, Algorithm::ES384, Algorithm::RS512]
            {
                assert!(verifier(&algorithm, key).is_err());
            }
        }
        assert!(signer(&Algorithm::EdDSA, &EncodingKey::from_ed_der(&[])).is_err());
        assert!(signer(&Algorithm::ES256, &EncodingKey::from_secret(b"s")).is_err());
        assert!(signer(&Algorithm::ES256, &EncodingKey::from_ec_der(b"no key")).is_err());
    }

    #[test]
    fn rsa_key_verifies_from_jwk_components_and_from_der() {
        let rsa = Signer::rsa();
        let jwk = rsa.jwk("r");
        let numbers = DecodingKey::from_rsa_components(
            jwk["n"].as_str().unwrap(),
            jwk["e"].as_str().unwrap(),
        );
        let der = DecodingKey::from_rsa_der(&rsa.public_der());
        for key in [numbers.unwrap(), der] {
            let verifier = verifier(&Algorithm::RS256, &key).unwrap();
            let signature = rsa.sign_bytes(b"message");
            assert!(verifier.verify(b"message", &signature).is_ok());
            assert!(verifier.verify(b"messagf", &signature).is_err());
            assert_eq!(verifier.algorithm(), Algorithm::RS256);
        }
    }
}
