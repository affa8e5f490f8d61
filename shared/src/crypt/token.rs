//! Tokens that contain their own data, encrypted and authenticated. Equal data has an equal token, so that a mail that is
//! composed again has the same link.

use aes_gcm::{AeadInOut, Aes256Gcm, KeyInit};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::{KEY_BYTES, Keyring, NONCE_BYTES, encrypt, hmac_sha256};

/// The length of a GCM tag.
const TAG_BYTES: usize = 16;

/// The keys of the tokens that belong to one key of the keyring. They are derived, so that tokens and stored texts never
/// share a key.
#[derive(Clone)]
pub(super) struct TokenKey {
    cipher: Aes256Gcm,
    nonce_key: [u8; 32],
}

impl TokenKey {
    pub(super) fn derive(key: &[u8; KEY_BYTES]) -> Self {
        let derived = |label: &[u8]| hmac_sha256(key, &[label]);
        Self {
            cipher: Aes256Gcm::new(&derived(b"token-encryption\0").into()),
            nonce_key: derived(b"token-nonce\0"),
        }
    }

    /// Seals with a nonce that is derived from the data. Different data therefore has different nonces, as GCM requires,
    /// and a nonce that repeats reveals only that the data is equal.
    fn seal(&self, purpose: &str, plain: &[u8]) -> Vec<u8> {
        let mac = hmac_sha256(&self.nonce_key, &[purpose.as_bytes(), b"\0", plain]);
        let mut nonce = [0; NONCE_BYTES];
        nonce.copy_from_slice(&mac[..NONCE_BYTES]);
        let mut text = plain.to_vec();
        encrypt(&self.cipher, nonce, purpose.as_bytes(), &mut text);
        [&nonce[..], &text].concat()
    }

    fn open(&self, purpose: &str, sealed: &[u8]) -> Option<Vec<u8>> {
        let (nonce, text) = sealed.split_first_chunk::<NONCE_BYTES>()?;
        let mut plain = text.to_vec();
        self.cipher.decrypt_in_place(nonce.into(), purpose.as_bytes(), &mut plain).ok()?;
        Some(plain)
    }
}

impl Keyring {
    /// Returns the token of some data. The current key seals it.
    pub fn seal_token(&self, purpose: &'static str, plain: &[u8]) -> String {
        URL_SAFE_NO_PAD.encode(self.current_key.tokens.seal(purpose, plain))
    }

    /// Returns the data of a token with `length` bytes. Every key opens, because a token does not name its key. `None` if
    /// the token was not sealed for this purpose by one of the keys.
    pub fn open_token(&self, purpose: &'static str, token: &str, length: usize) -> Option<Vec<u8>> {
        let bytes = NONCE_BYTES + length + TAG_BYTES;
        // Text of another length is refused before it is decoded.
        if token.len() != (bytes * 8).div_ceil(6) {
            return None;
        }
        let sealed = URL_SAFE_NO_PAD.decode(token).ok()?;
        self.keys.values().find_map(|key| key.tokens.open(purpose, &sealed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ring(current: &str, ids: &[&str]) -> Keyring {
        let keys = ids.iter().map(|id| (id.to_string(), hmac_sha256(id.as_bytes(), &[])));
        Keyring::new("keys", current, keys).unwrap()
    }

    #[test]
    fn token_of_equal_data_is_equal_and_opens_for_its_purpose() {
        let ring = ring("k1", &["k1"]);
        let token = ring.seal_token("guest", b"data");
        assert_eq!(token, ring.seal_token("guest", b"data"));
        assert_ne!(token, ring.seal_token("guest", b"date"));
        assert_ne!(token, ring.seal_token("other", b"data"));
        assert_eq!(ring.open_token("guest", &token, 4).as_deref(), Some(&b"data"[..]));
        assert_eq!(ring.open_token("other", &token, 4), None);
        assert_eq!(ring.open_token("guest", &token, 5), None);
    }

    #[test]
    fn token_outlives_a_rotation_until_its_key_is_removed() {
        let old = ring("k1", &["k1"]).seal_token("guest", b"data");
        let both = ring("k2", &["k1", "k2"]);
        assert!(both.open_token("guest", &old, 4).is_some());
        let new = both.seal_token("guest", b"data");
        assert_ne!(new, old);
        assert!(ring("k2", &["k2"]).open_token("guest", &new, 4).is_some());
        assert_eq!(ring("k2", &["k2"]).open_token("guest", &old, 4), None);
    }

    #[test]
    fn changed_or_malformed_token_is_refused() {
        let ring = ring("k1", &["k1"]);
        let token = ring.seal_token("guest", b"data");
        for (at, _) in token.char_indices() {
            for digit in ["A", "B", "*", "="] {
                let mut changed = token.clone();
                changed.replace_range(at..=at, digit);
                if changed != token {
                    assert_eq!(ring.open_token("guest", &changed, 4), None, "{at} {digit}");
                }
            }
        }
        for text in ["", "A", "é", &token[1..], &format!("{token}A"), &format!("{token}=")] {
            assert_eq!(ring.open_token("guest", text, 4), None, "{text}");
        }
    }
}
