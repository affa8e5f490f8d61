//! What can be turned on the simulated Zoom: limits, plans, forbidden settings, withheld scopes, and how badly
//! webhooks arrive. `POST /zoom/sim/knobs` takes any part of this shape and leaves the rest as it is.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Deserializer, Serialize};

use super::memory::Plan;

/// Zoom: 100 creates and updates per host and UTC day.
const DAILY_LIMIT: u32 = 100;

/// The knobs as they stand.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Knobs {
    /// Creates and updates per host and UTC day.
    pub daily_limit: u32,
    /// Requests per second, account and category. Off at first: a clock that stands still would put a whole test
    /// into one second.
    pub qps: Option<Qps>,
    /// `Retry-After` of a per-second refusal; Zoom often leaves it out, and so does this unless set.
    pub qps_retry_after_seconds: Option<u32>,
    /// Where set, no token holds any other scope, whatever it was granted.
    pub scopes: Option<BTreeSet<String>>,
    pub webhooks: WebhookKnobs,
}

/// Requests per second; a category that is not named has no limit. Zoom's own on Pro: 30, 20, 10.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Qps {
    pub light: Option<u32>,
    pub medium: Option<u32>,
    pub heavy: Option<u32>,
}

/// How webhooks arrive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WebhookKnobs {
    /// Each event is sent this many times more.
    pub duplicate: u32,
    /// Events are kept back until the next round of deliveries and then go out in any order.
    pub shuffle: bool,
    /// The next so many events never arrive.
    pub drop: u32,
    /// How many are under way at once. One keeps them in order when nothing fails.
    pub concurrency: usize,
    /// Whether a retry is signed anew. Zoom does not say; the old timestamp is the harder case.
    pub fresh_timestamps: bool,
    /// Whether those who are in the meeting when it ends are reported to have left. Zoom sometimes forgets.
    pub leaves_at_end: bool,
    /// Whether events carry the `customer_key`. Zoom documents it; no recorded event has it.
    pub customer_keys: bool,
    /// Where set, the app has subscribed to these events only.
    pub events: Option<BTreeSet<String>>,
}

impl Default for Knobs {
    fn default() -> Self {
        Self {
            daily_limit: DAILY_LIMIT,
            qps: None,
            qps_retry_after_seconds: None,
            scopes: None,
            webhooks: WebhookKnobs::default(),
        }
    }
}

impl Default for WebhookKnobs {
    fn default() -> Self {
        Self {
            duplicate: 0,
            shuffle: false,
            drop: 0,
            concurrency: 1,
            fresh_timestamps: false,
            leaves_at_end: true,
            customer_keys: true,
            events: None,
        }
    }
}

/// A turn of some knobs: what is absent stays, what is `null` goes back to none.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Turn {
    pub daily_limit: Option<u32>,
    #[serde(deserialize_with = "present")]
    pub qps: Option<Option<Qps>>,
    #[serde(deserialize_with = "present")]
    pub qps_retry_after_seconds: Option<Option<u32>>,
    #[serde(deserialize_with = "present")]
    pub scopes: Option<Option<BTreeSet<String>>>,
    pub webhooks: WebhookTurn,
    /// By `app`, `other` or an account id.
    pub accounts: BTreeMap<String, AccountTurn>,
}

/// The part of a turn that is about webhooks.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WebhookTurn {
    pub duplicate: Option<u32>,
    pub shuffle: Option<bool>,
    pub drop: Option<u32>,
    pub concurrency: Option<usize>,
    pub fresh_timestamps: Option<bool>,
    pub leaves_at_end: Option<bool>,
    pub customer_keys: Option<bool>,
    #[serde(deserialize_with = "present")]
    pub events: Option<Option<BTreeSet<String>>>,
}

/// The part of a turn that is about one account.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AccountTurn {
    pub plan: Option<Plan>,
    /// Settings to drop silently: `join_before_host`, or with a value, `auto_recording=cloud`.
    pub forbid: Option<BTreeSet<String>>,
    #[serde(deserialize_with = "present")]
    pub licenses: Option<Option<usize>>,
}

impl Knobs {
    pub(super) fn turn(&mut self, turn: Turn) {
        set(&mut self.daily_limit, turn.daily_limit);
        set(&mut self.qps, turn.qps);
        set(&mut self.qps_retry_after_seconds, turn.qps_retry_after_seconds);
        set(&mut self.scopes, turn.scopes);
        let (webhooks, turn) = (&mut self.webhooks, turn.webhooks);
        set(&mut webhooks.duplicate, turn.duplicate);
        set(&mut webhooks.shuffle, turn.shuffle);
        set(&mut webhooks.drop, turn.drop);
        set(&mut webhooks.concurrency, turn.concurrency);
        set(&mut webhooks.fresh_timestamps, turn.fresh_timestamps);
        set(&mut webhooks.leaves_at_end, turn.leaves_at_end);
        set(&mut webhooks.customer_keys, turn.customer_keys);
        set(&mut webhooks.events, turn.events);
    }
}

pub(super) fn set<T>(knob: &mut T, turned: Option<T>) {
    if let Some(value) = turned {
        *knob = value;
    }
}

/// Tells a field that is `null` from one that is absent.
fn present<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}
