//! Randomness. Ids, nonces and tokens are drawn here and nowhere else, so that a test can fix them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use sha2::{Digest, Sha256};

/// Where random bytes come from.
#[derive(Clone, Debug)]
pub enum Random {
    /// The operating system: production.
    System,
    /// A repeatable stream for tests. Never a secret's source outside them.
    Seeded(Seeded),
}

/// A counter hashed with a seed. Clones continue the same stream.
#[derive(Clone, Debug)]
pub struct Seeded {
    seed: u64,
    drawn: Arc<AtomicU64>,
}

impl Random {
    pub fn seeded(seed: u64) -> Self {
        Self::Seeded(Seeded { seed, drawn: Arc::new(AtomicU64::new(0)) })
    }

    /// `N` random bytes.
    pub fn bytes<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        match self {
            Self::System => fill_from_system(&mut bytes),
            Self::Seeded(stream) => stream.fill(&mut bytes),
        }
        bytes
    }

    /// A number below `bound`, for jitter. A modulo's bias does not matter there; do not draw secrets with it.
    pub fn below(&self, bound: u64) -> u64 {
        u64::from_le_bytes(self.bytes()) % bound.max(1)
    }
}

impl Seeded {
    fn fill(&self, bytes: &mut [u8]) {
        for block in bytes.chunks_mut(32) {
            let n = self.drawn.fetch_add(1, Ordering::SeqCst);
            let hash =
                Sha256::new().chain_update(self.seed.to_le_bytes()).chain_update(n.to_le_bytes());
            block.copy_from_slice(&hash.finalize()[..block.len()]);
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "this is the one place that asks the system for randomness"
)]
#[expect(
    clippy::expect_used,
    reason = "without randomness nothing may be signed or sealed; the panic is the answer"
)]
fn fill_from_system(bytes: &mut [u8]) {
    getrandom::fill(bytes).expect("the system has randomness");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_repeats_its_stream_and_another_seed_does_not() {
        let draw = |seed| {
            let random = Random::seeded(seed);
            (random.bytes::<40>(), random.bytes::<8>())
        };
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
        assert_ne!(draw(1).0[..8], draw(1).1[..]);
    }
}
