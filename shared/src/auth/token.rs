//! A token's outer form: RFC 7515, 3.1.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey, crypto};
use serde_json::{Map, Value};

use super::{AuthError, TOKEN_BYTES_MAX};

/// A token taken apart, with nothing believed yet.
///
/// Of the header only `alg` and `kid` are read, to choose among the keys that we have. What points to other
/// keys (`jku`, `jwk`, `x5u`, `x5c`) is ignored: RFC 8725, 3.10.
pub(super) struct Token<'a> {
    pub(super) algorithm: Algorithm,
    pub(super) kid: Option<String>,
    signed: &'a str,
    payload: &'a str,
    signature: &'a str,
}

impl<'a> Token<'a> {
    pub(super) fn parse(text: &'a str) -> Result<Self, AuthError> {
        if text.len() > TOKEN_BYTES_MAX {
            return Err(AuthError::Malformed);
        }
        let (signed, signature) = text.rsplit_once('.').ok_or(AuthError::Malformed)?;
        let (header, payload) = signed.split_once('.').ok_or(AuthError::Malformed)?;
        // Five parts are an encrypted token (RFC 7516), which is not for us.
        if payload.contains('.') {
            return Err(AuthError::Malformed);
        }
        let header = object(header)?;
        // What is marked as critical must be understood, and none of it is (RFC 7515, 4.1.11).
        if header.contains_key("crit") {
            return Err(AuthError::Malformed);
        }
        let algorithm = header.get("alg").and_then(Value::as_str).ok_or(AuthError::Malformed)?;
        let kid = match header.get("kid") {
            None => None,
            Some(Value::String(kid)) => Some(kid.clone()),
            Some(_) => return Err(AuthError::Malformed),
        };
        Ok(Self { algorithm: known(algorithm)?, kid, signed, payload, signature })
    }

    pub(super) fn verify_signature(
        &self,
        key: &DecodingKey,
        algorithm: Algorithm,
    ) -> Result<(), AuthError> {
        if self.algorithm != algorithm {
            return Err(AuthError::Algorithm);
        }
        match crypto::verify(self.signature, self.signed.as_bytes(), key, algorithm) {
            Ok(true) => Ok(()),
            Ok(false) | Err(_) => Err(AuthError::Signature),
        }
    }

    /// To be asked only after the signature.
    pub(super) fn claims(&self) -> Result<Map<String, Value>, AuthError> {
        object(self.payload)
    }
}

/// The algorithms that a key of ours can have. `none` is not among them.
fn known(name: &str) -> Result<Algorithm, AuthError> {
    match name {
        "RS256" => Ok(Algorithm::RS256),
        "ES256" => Ok(Algorithm::ES256),
        "EdDSA" => Ok(Algorithm::EdDSA),
        "HS256" => Ok(Algorithm::HS256),
        _ => Err(AuthError::Algorithm),
    }
}

/// The decoder refuses padding and stray bits, so that a part can be written in one way only.
fn object(part: &str) -> Result<Map<String, Value>, AuthError> {
    let bytes = URL_SAFE_NO_PAD.decode(part).map_err(|_| AuthError::Malformed)?;
    serde_json::from_slice(&bytes).map_err(|_| AuthError::Malformed)
}
