//! Sealed text. The `crypt` module seals and opens it.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Text that is encrypted at rest and bound to its owner. It is stored as
/// `v1.<key id>.<base64url of nonce, ciphertext and tag>`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Sealed(String);

impl Sealed {
    /// Wraps stored or newly sealed text. It is verified when it is opened.
    pub fn from_stored(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Prints the version and key id only, which are not secret.
impl fmt::Debug for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let head = self.0.rsplit_once('.').map_or("?", |(head, _)| head);
        write!(f, "Sealed({head}.…)")
    }
}
