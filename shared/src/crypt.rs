//! Encryption at rest, tokens, hashes and constant-time comparison.

mod token;

use std::collections::BTreeMap;
use std::fmt;

use aes_gcm::{AeadInOut, Aes256Gcm, KeyInit};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;

use self::token::TokenKey;
use crate::config::ConfigError;
pub use crate::domain::sealed::Sealed;
use crate::random::Random;
use crate::secret::Secret;

/// AES-256.
pub const KEY_BYTES: usize = 32;

/// The length of a GCM nonce (NIST SP 800-38D, section 5.2.1.1).
const NONCE_BYTES: usize = 12;

/// The version prefix of the sealed format.
const FORMAT: &str = "v1";

/// Long enough for a date, a counter or a UUID.
const KEY_ID_LIMIT_BYTES: usize = 64;

/// AES-256-GCM keys by id. The current key seals and every key opens, so that a key can be replaced while texts that it
/// sealed still exist.
///
/// A nonce has 96 random bits. NIST SP 800-38D, section 8.3, allows 2^32 of them per key, which is eleven years at a
/// million sealings per day.
#[derive(Clone)]
pub struct Keyring {
    current: String,
    current_key: Key,
    keys: BTreeMap<String, Key>,
}

#[derive(Clone)]
struct Key {
    cipher: Aes256Gcm,
    tokens: TokenKey,
}

/// The owner and field of a sealed text. It opens only with the same binding, so that an item copied to another trainer, or
/// a refresh token stored as an access token, is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Binding<'a> {
    pub owner: &'a str,
    pub field: &'a str,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CryptError {
    #[error("the encryption key {id:?} is not in the configuration")]
    UnknownKey { id: String },
    #[error("a sealed text was modified or has another binding")]
    AuthenticationFailed,
    #[error("a sealed text has an unknown format")]
    Malformed,
}

impl Keyring {
    /// Creates a keyring. `name` is the setting that a [`ConfigError`] names.
    pub fn new(
        name: &'static str,
        current: &str,
        keys: impl IntoIterator<Item = (String, [u8; KEY_BYTES])>,
    ) -> Result<Self, ConfigError> {
        let mut ready = BTreeMap::new();
        for (id, bytes) in keys {
            if !is_key_id(&id) {
                return Err(ConfigError::invalid(
                    name,
                    "a key's id is 1 to 64 letters, digits, '-' or '_'",
                ));
            }
            let cipher = Aes256Gcm::new(&bytes.into());
            ready.insert(id, Key { cipher, tokens: TokenKey::derive(&bytes) });
        }
        let current_key = ready
            .get(current)
            .cloned()
            .ok_or_else(|| ConfigError::invalid(name, "the current key is not among the keys"))?;
        Ok(Self { current: current.to_owned(), current_key, keys: ready })
    }

    pub fn seal(&self, plain: &str, bound_to: &Binding<'_>, random: &Random) -> Sealed {
        let nonce = random.bytes::<NONCE_BYTES>();
        let mut text = plain.as_bytes().to_vec();
        encrypt(&self.current_key.cipher, nonce, &bound_to.to_bytes(&self.current), &mut text);
        let body = URL_SAFE_NO_PAD.encode([&nonce[..], &text].concat());
        Sealed::from_stored(format!("{FORMAT}.{}.{body}", self.current))
    }

    pub fn open(&self, sealed: &Sealed, bound_to: &Binding<'_>) -> Result<Secret, CryptError> {
        let (id, body) = split_sealed(sealed).ok_or(CryptError::Malformed)?;
        let key = self.keys.get(id).ok_or_else(|| CryptError::UnknownKey { id: id.to_owned() })?;
        let body = URL_SAFE_NO_PAD.decode(body).map_err(|_| CryptError::Malformed)?;
        let (nonce, text) = body.split_first_chunk::<NONCE_BYTES>().ok_or(CryptError::Malformed)?;
        let mut plain = text.to_vec();
        key.cipher
            .decrypt_in_place(nonce.into(), &bound_to.to_bytes(id), &mut plain)
            .map_err(|_| CryptError::AuthenticationFailed)?;
        let plain = std::str::from_utf8(&plain).map_err(|_| CryptError::Malformed)?;
        Ok(Secret::new(plain))
    }

    /// Returns whether the current key sealed the text. Otherwise it should be sealed again.
    pub fn is_current(&self, sealed: &Sealed) -> bool {
        split_sealed(sealed).is_some_and(|(id, _)| id == self.current)
    }
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keyring").field("current", &self.current).finish_non_exhaustive()
    }
}

impl Binding<'_> {
    /// The associated data. Each part follows its length, so that different bindings never have the same bytes.
    fn to_bytes(self, key_id: &str) -> Vec<u8> {
        let mut bytes = Vec::new();
        for part in [FORMAT, self.owner, self.field, key_id] {
            bytes.extend_from_slice(&(part.len() as u64).to_be_bytes());
            bytes.extend_from_slice(part.as_bytes());
        }
        bytes
    }
}

/// Splits a sealed text into key id and body.
fn split_sealed(sealed: &Sealed) -> Option<(&str, &str)> {
    sealed.as_str().strip_prefix(FORMAT)?.strip_prefix('.')?.split_once('.')
}

/// Allows no dot in a key id, because it separates the parts of a sealed text.
fn is_key_id(id: &str) -> bool {
    (1..=KEY_ID_LIMIT_BYTES).contains(&id.len())
        && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

#[expect(clippy::expect_used, reason = "GCM allows 64 GiB, and sealed texts fit into an item")]
fn encrypt(key: &Aes256Gcm, nonce: [u8; NONCE_BYTES], bound: &[u8], text: &mut Vec<u8>) {
    key.encrypt_in_place(&nonce.into(), bound, text).expect("the text is shorter than 64 GiB");
}

/// Returns the HMAC-SHA-256 of the concatenated parts. Parts of variable length need a separator.
pub fn hmac_sha256(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    let mut mac = hmac_with_key(key);
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

/// An HMAC-SHA-256 in progress.
pub(crate) type HmacSha256 = Hmac<Sha256>;

/// Starts an HMAC-SHA-256.
#[expect(clippy::expect_used, reason = "RFC 2104, section 3: a key may have any length")]
pub(crate) fn hmac_with_key(key: &[u8]) -> HmacSha256 {
    HmacSha256::new_from_slice(key).expect("a key of any length")
}

/// Compares two byte strings in a time that depends only on their lengths.
pub fn constant_time_eq(a: &[u8], b: &[u8]) -> bool {
    a.ct_eq(b).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: Binding<'_> = Binding { owner: "trainer-1", field: "refresh_token" };

    fn ring(current: &str, ids: &[&str]) -> Keyring {
        let keys = ids.iter().map(|id| (id.to_string(), hmac_sha256(id.as_bytes(), &[])));
        Keyring::new("keys", current, keys).unwrap()
    }

    fn sealed(plain: &str) -> Sealed {
        ring("k1", &["k1"]).seal(plain, &TOKEN, &Random::seeded(7))
    }

    #[test]
    fn sealed_text_opens_and_each_sealing_differs() {
        let (ring, random) = (ring("k1", &["k1"]), Random::seeded(7));
        for plain in ["", "a token", "ein Schlüssel 🔑", &"x".repeat(70_000)] {
            let once = ring.seal(plain, &TOKEN, &random);
            assert_eq!(ring.open(&once, &TOKEN).unwrap().expose(), plain);
            assert!(once.as_str().starts_with("v1.k1."));
            assert_ne!(once, ring.seal(plain, &TOKEN, &random));
        }
    }

    #[test]
    fn old_key_opens_and_current_key_seals() {
        let old = sealed("a token");
        let both = ring("k2", &["k1", "k2"]);
        assert_eq!(both.open(&old, &TOKEN).unwrap().expose(), "a token");
        assert!(!both.is_current(&old));
        let new = both.seal("a token", &TOKEN, &Random::seeded(8));
        assert!(both.is_current(&new) && new.as_str().starts_with("v1.k2."));
        let gone = ring("k2", &["k2"]).open(&old, &TOKEN);
        assert_eq!(gone, Err(CryptError::UnknownKey { id: "k1".into() }));
    }

    #[test]
    fn sealed_text_is_bound_to_owner_and_field() {
        let text = sealed("a token");
        let elsewhere = [
            Binding { owner: "trainer-2", ..TOKEN },
            Binding { field: "access_token", ..TOKEN },
            // The same characters, split differently.
            Binding { owner: "trainer-1r", field: "efresh_token" },
        ];
        for binding in elsewhere {
            assert_eq!(
                ring("k1", &["k1"]).open(&text, &binding),
                Err(CryptError::AuthenticationFailed)
            );
        }
    }

    #[test]
    fn key_id_is_authenticated() {
        let key = [9; KEY_BYTES];
        let ring = Keyring::new("keys", "a", [("a".into(), key), ("b".into(), key)]).unwrap();
        let text = ring.seal("a token", &TOKEN, &Random::seeded(7));
        let renamed = Sealed::from_stored(text.as_str().replacen(".a.", ".b.", 1));
        assert_eq!(ring.open(&renamed, &TOKEN), Err(CryptError::AuthenticationFailed));
    }

    #[test]
    fn every_flipped_bit_is_detected() {
        let text = sealed("a token");
        let (id, body) = split_sealed(&text).unwrap();
        let body = URL_SAFE_NO_PAD.decode(body).unwrap();
        for bit in 0..body.len() * 8 {
            let mut body = body.clone();
            body[bit / 8] ^= 1 << (bit % 8);
            let text =
                Sealed::from_stored(format!("{FORMAT}.{id}.{}", URL_SAFE_NO_PAD.encode(body)));
            assert_eq!(
                ring("k1", &["k1"]).open(&text, &TOKEN),
                Err(CryptError::AuthenticationFailed)
            );
        }
    }

    #[test]
    fn unknown_format_is_refused_without_a_panic() {
        let good = sealed("a token").as_str().to_owned();
        let cut = &good[..good.len() - 1];
        for text in ["", "v1", "v1.", "v1.k1", "v1.k1.", "v1.k1.AAAA", "v1.k1.*", "v2.k1.AAAA", cut]
        {
            let error = ring("k1", &["k1"]).open(&Sealed::from_stored(text), &TOKEN).unwrap_err();
            assert!(
                matches!(error, CryptError::Malformed | CryptError::AuthenticationFailed),
                "{text}"
            );
        }
    }

    #[test]
    fn keyring_without_current_key_or_with_invalid_id_is_refused() {
        let key = |id: &str| [(id.to_owned(), [1; KEY_BYTES])];
        let cases = [("k2", "k1"), ("k.1", "k.1"), ("", ""), ("é", "é")];
        for (current, id) in cases {
            assert_eq!(Keyring::new("keys", current, key(id)).unwrap_err().name(), "keys");
        }
    }

    #[test]
    fn hashes_match_published_test_vectors() {
        // RFC 4231, test case 2.
        let hash = hmac_sha256(b"Jefe", &[b"what do ya want ", b"for nothing?"]);
        assert_eq!(
            data_encoding::HEXLOWER.encode(&hash),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
        assert!(
            constant_time_eq(b"abc", b"abc")
                && !constant_time_eq(b"abc", b"abd")
                && !constant_time_eq(b"abc", b"ab")
        );
    }

    #[test]
    fn debug_output_shows_neither_key_nor_text() {
        let text = sealed("a token");
        assert_eq!(format!("{text:?}"), "Sealed(v1.k1.…)");
        assert_eq!(format!("{:?}", ring("k1", &["k1"])), "Keyring { current: \"k1\", .. }");
    }
}
