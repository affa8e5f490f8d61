//! The variations of the local stack, as seen at the real Zoom and SQS. Each test has a seed of its own,
//! derived from its name, so that a run can be repeated. `VARIATION_SEED` sets another one, or `random` for a new one each
//! time. A failing test prints its seed.

use std::hash::{DefaultHasher, Hasher};

use local::zoom::{SettingsUpdate, TimeSpelling, WebhookSettingsUpdate};
use shared::random::Random;

/// The variable that repeats the variation of a failed test.
const SEED_VARIABLE: &str = "VARIATION_SEED";
/// Seeds stay short enough to type.
const SEEDS: u64 = 100_000;

/// The variation of one stack.
pub(crate) struct Variation {
    seed: u64,
    settings: WebhookSettingsUpdate,
}

impl Variation {
    /// Returns the variation of this test, or the one of `VARIATION_SEED`.
    #[expect(clippy::disallowed_methods, reason = "the variable is for tests and not a setting")]
    pub(crate) fn draw() -> Self {
        let seed = match std::env::var(SEED_VARIABLE).ok().as_deref() {
            None => seed_of_test(std::thread::current().name().unwrap_or_default()),
            Some("random") => Random::System.below(SEEDS),
            Some(text) => text.parse().expect("VARIATION_SEED is a number or `random`"),
        };
        Self::from_seed(seed)
    }

    pub(crate) fn from_seed(seed: u64) -> Self {
        // The stack draws from another stream, so that its draws do not follow from these.
        let random = Random::seeded(seed.wrapping_add(SEEDS));
        let flip = || random.below(2) == 0;
        let spelling = TimeSpelling::ALL[usize::from(random.bytes::<1>()[0]) % 4];
        let settings = WebhookSettingsUpdate {
            duplicate: Some(flip().into()),
            reorder: Some(flip()),
            fresh_timestamps: Some(flip()),
            deauthorized_time: Some(Some(spelling)),
            waiting_room_presence: Some(Some(flip())),
            companion_numbers: Some(Some(flip())),
            ..WebhookSettingsUpdate::default()
        };
        Self { seed, settings }
    }

    /// Returns the randomness of the stack: its ids, the order of events, and missed short polls.
    pub(crate) fn random(&self) -> Random {
        Random::seeded(self.seed)
    }

    pub(crate) fn settings(&self) -> SettingsUpdate {
        SettingsUpdate { webhooks: self.settings.clone(), ..SettingsUpdate::default() }
    }
}

/// The test's thread has its name.
fn seed_of_test(name: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(name.as_bytes());
    hasher.finish() % SEEDS
}

impl Drop for Variation {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!(
                "{SEED_VARIABLE}={} repeats the variations of this test: {:?}",
                self.seed, self.settings
            );
        }
    }
}
