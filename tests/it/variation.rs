//! The variations of the local stack: what the real Zoom and SQS do in one way or another. Each test draws a seed, and
//! prints it if it fails.

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
    /// Draws a variation, or takes the one of `VARIATION_SEED`.
    #[expect(clippy::disallowed_methods, reason = "the variable is for tests and not a setting")]
    pub(crate) fn draw() -> Self {
        let given = std::env::var(SEED_VARIABLE).ok();
        let given = given.map(|text| text.parse().expect("VARIATION_SEED is a number"));
        Self::from_seed(given.unwrap_or_else(|| Random::System.below(SEEDS)))
    }

    fn from_seed(seed: u64) -> Self {
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
            ..WebhookSettingsUpdate::default()
        };
        Self { seed, settings }
    }

    /// Returns the randomness of the stack: its ids, the order of events, and what short polls miss.
    pub(crate) fn random(&self) -> Random {
        Random::seeded(self.seed)
    }

    pub(crate) fn settings(&self) -> SettingsUpdate {
        SettingsUpdate { webhooks: self.settings.clone(), ..SettingsUpdate::default() }
    }
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
