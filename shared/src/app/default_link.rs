//! A trainer's default link, which is encrypted at rest like the links of sessions.

use super::error::Error;
use crate::crypt::{Binding, Keyring, Sealed};
use crate::domain::id::UserId;
use crate::random::Random;

fn binding(user: &UserId) -> Binding<'_> {
    Binding { owner: user.as_str(), field: "default_join_url" }
}

/// Encrypts the link, bound to the trainer.
pub(super) fn seal(link: &str, user: &UserId, keyring: &Keyring, random: &Random) -> Sealed {
    keyring.seal(link, &binding(user), random)
}

/// Decrypts the link of the trainer.
pub(super) fn open(sealed: &Sealed, user: &UserId, keyring: &Keyring) -> Result<String, Error> {
    Ok(keyring.open(sealed, &binding(user))?.expose().to_owned())
}
