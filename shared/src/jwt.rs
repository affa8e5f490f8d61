//! Signing and verifying JWTs with `jsonwebtoken` on `ring`, which TLS needs anyway.

mod ring_provider;

/// Makes `jsonwebtoken` use `ring`. Must be called before anything is signed or verified. Repeated calls have no effect.
pub fn install_crypto() {
    // Fails only if the provider is already installed.
    let _ = ring_provider::PROVIDER.install_default();
}
