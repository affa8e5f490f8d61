//! What signs and verifies JWTs: `jsonwebtoken`, computing with `ring`, which TLS brings along anyway.

mod ring_provider;

/// Lets `jsonwebtoken` compute with `ring`. To be called before anything is signed with it; more than once
/// is fine.
pub fn install_crypto() {
    // It fails when a provider is installed already, which is then this one.
    let _ = ring_provider::PROVIDER.install_default();
}
