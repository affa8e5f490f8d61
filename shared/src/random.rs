//! Randomness for ids, nonces and tokens. Everything is drawn here, so that tests can seed it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::domain::digest::Digest;

/// A source of random bytes.
#[derive(Clone, Debug)]
pub enum Random {
    /// The operating system, in production.
    System,
    /// A repeatable stream for tests. It must not generate real secrets.
    SeededStream(SeededStream),
}

/// A stream of hashes of a seed and a counter. Clones share the counter.
#[derive(Clone, Debug)]
pub struct SeededStream {
    seed: u64,
    drawn: Arc<AtomicU64>,
}

impl Random {
    pub fn seeded(seed: u64) -> Self {
        Self::SeededStream(SeededStream { seed, drawn: Arc::new(AtomicU64::new(0)) })
    }

    /// `N` random bytes.
    pub fn bytes<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        match self {
            Self::System => fill_from_system(&mut bytes),
            Self::SeededStream(stream) => stream.fill(&mut bytes),
        }
        bytes
    }

    /// Returns a number below `bound`, for jitter. It has a modulo bias, so do not use it for secrets.
    pub fn below(&self, bound: u64) -> u64 {
        u64::from_le_bytes(self.bytes()) % bound.max(1)
    }
}

impl SeededStream {
    fn fill(&self, bytes: &mut [u8]) {
        for block in bytes.chunks_mut(32) {
            let n = self.drawn.fetch_add(1, Ordering::SeqCst);
            let digest = Digest::unframed(&[&self.seed.to_le_bytes(), &n.to_le_bytes()]);
            block.copy_from_slice(&digest.to_bytes()[..block.len()]);
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the only place that draws randomness from the system"
)]
#[expect(clippy::expect_used, reason = "without randomness nothing may be signed or sealed")]
fn fill_from_system(bytes: &mut [u8]) {
    getrandom::fill(bytes).expect("the system provides randomness");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seed_determines_the_stream() {
        let draw = |seed| {
            let random = Random::seeded(seed);
            (random.bytes::<40>(), random.bytes::<8>())
        };
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
        assert_ne!(draw(1).0[..8], draw(1).1[..]);
    }
}
