//! A text that only its owner's key opens. Here it is carried about; `crypt` seals and opens it.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A sealed text, `v1.<key id>.<base64url of nonce, ciphertext and tag>`: what is stored.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Sealed(String);

impl Sealed {
    /// What was read from storage, or just sealed; whether it is sound is found when it is opened.
    pub fn from_stored(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Its form and its key's id, which are no secret, and nothing of the text.
impl fmt::Debug for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let head = self.0.rsplit_once('.').map_or("?", |(head, _)| head);
        write!(f, "Sealed({head}.…)")
    }
}
