//! The compact serialisation of a JWS (RFC 7515, 3.1).

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey, crypto};
use serde_json::{Map, Value};

use super::{AuthError, TOKEN_BYTES_MAX};

/// A parsed token whose signature is not verified yet.
///
/// Only `alg` and `kid` of the header are used, to select one of the issuer's keys. Headers that point to other keys
/// (`jku`, `jwk`, `x5u`, `x5c`) are ignored (RFC 8725, 3.10).
pub(super) struct Token<'a> {
    pub(super) algorithm: Algorithm,
    pub(super) kid: Option<String>,
    signing_input: &'a str,
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
        // Five parts are an encrypted token (RFC 7516), which we do not support.
        if payload.contains('.') {
            return Err(AuthError::Malformed);
        }
        let header = decode_object(header)?;
        // Critical headers must be understood, and we support none (RFC 7515, 4.1.11).
        if header.contains_key("crit") {
            return Err(AuthError::Malformed);
        }
        let algorithm = header.get("alg").and_then(Value::as_str).ok_or(AuthError::Malformed)?;
        let kid = match header.get("kid") {
            None => None,
            Some(Value::String(kid)) => Some(kid.clone()),
            Some(_) => return Err(AuthError::Malformed),
        };
        Ok(Self {
            algorithm: parse_algorithm(algorithm)?,
            kid,
            signing_input: signed,
            payload,
            signature,
        })
    }

    pub(super) fn verify_signature(
        &self,
        key: &DecodingKey,
        algorithm: Algorithm,
    ) -> Result<(), AuthError> {
        if self.algorithm != algorithm {
            return Err(AuthError::Algorithm);
        }
        match crypto::verify(self.signature, self.signing_input.as_bytes(), key, algorithm) {
            Ok(true) => Ok(()),
            Ok(false) | Err(_) => Err(AuthError::Signature),
        }
    }

    /// Decodes the claims. Call this only after the signature was verified.
    pub(super) fn claims(&self) -> Result<Map<String, Value>, AuthError> {
        decode_object(self.payload)
    }
}

/// The supported algorithms do not include `none`.
fn parse_algorithm(name: &str) -> Result<Algorithm, AuthError> {
    match name {
        "RS256" => Ok(Algorithm::RS256),
        "ES256" => Ok(Algorithm::ES256),
        "EdDSA" => Ok(Algorithm::EdDSA),
        "HS256" => Ok(Algorithm::HS256),
        _ => Err(AuthError::Algorithm),
    }
}

/// The decoder rejects padding and stray bits, so each part has exactly one encoding.
fn decode_object(part: &str) -> Result<Map<String, Value>, AuthError> {
    let bytes = URL_SAFE_NO_PAD.decode(part).map_err(|_| AuthError::Malformed)?;
    serde_json::from_slice(&bytes).map_err(|_| AuthError::Malformed)
}
