//! Simulator settings: limits, plans, forbidden settings, withheld scopes and faults of webhooks.
//! `POST /zoom/sim/knobs` changes the given settings and leaves the others unchanged.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Deserializer, Serialize};

/// Zoom: 100 creates and updates per host and UTC day.
const DAILY_LIMIT: u32 = 100;

/// The current simulator settings.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// Creates and updates per host and UTC day.
    pub daily_limit: u32,
    /// Requests per second, account and category. Off by default, because with a stopped clock a whole test runs in one
    /// second.
    pub qps: Option<Qps>,
    /// `Retry-After` of the per-second limit. Absent by default, because Zoom often omits it.
    pub qps_retry_after_seconds: Option<u32>,
    /// If set, access tokens lose all other scopes.
    pub scopes: Option<BTreeSet<String>>,
    /// The longest page of a list, if it is shorter than requested.
    #[serde(default)]
    pub list_page_size: Option<usize>,
    /// IANA time zones that Zoom does not list. It accepts them, but reads the local time in the host's own zone.
    #[serde(default)]
    pub unlisted_zones: BTreeSet<String>,
    pub webhooks: WebhookSettings,
}

/// A Zoom account's plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Plan {
    /// Free, without cloud recordings and lists of past participants.
    Basic,
    /// Paid.
    Pro,
}

/// Requests per second. An absent category has no limit. Zoom's limits on Pro are 30, 20 and 10.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Qps {
    pub light: Option<u32>,
    pub medium: Option<u32>,
    pub heavy: Option<u32>,
}

/// Settings of webhook delivery.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct WebhookSettings {
    /// Number of additional copies of each event.
    pub duplicate: u32,
    /// Whether events wait for the next delivery run and are then sent in random order.
    pub shuffle: bool,
    /// Whether the events of one delivery run are sent in random order, without waiting.
    pub reorder: bool,
    /// Number of next events that are lost.
    pub drop: u32,
    /// Number of concurrent deliveries. With 1, events arrive in order unless a delivery fails.
    pub concurrency: usize,
    /// Whether a retry has a new timestamp and signature. Zoom does not document it. The old timestamp is the harder
    /// case.
    pub fresh_timestamps: bool,
    /// Whether participants who are present at the end get a `participant_left` event. Zoom sometimes omits it.
    pub leaves_at_end: bool,
    /// Whether events have the `customer_key`. Zoom documents it, but no recorded event has it.
    pub customer_keys: bool,
    /// The spelling of the time in `app_deauthorized`. Each event draws one if this is absent.
    pub deauthorized_time: Option<TimeSpelling>,
    /// Whether a move between the waiting room and the meeting also has `participant_joined` and `participant_left`
    /// events. Zoom does not document it. Each move draws one if this is absent.
    pub waiting_room_presence: Option<bool>,
    /// Whether events about the AI companion contain the meeting's number beside its uuid. Other events of Zoom contain only
    /// the uuid. Each event draws one if this is absent.
    pub companion_numbers: Option<bool>,
    /// If set, the app is subscribed only to these events.
    pub events: Option<BTreeSet<String>>,
}

/// The spellings of `event_ts` in `app_deauthorized`. Zoom uses all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TimeSpelling {
    /// Milliseconds as a number.
    Number,
    /// Milliseconds as a string of digits.
    Text,
    /// Such as `2024-09-08 15:58:40`, in UTC.
    DateTime,
    /// There is no `event_ts`.
    Missing,
}

impl TimeSpelling {
    pub const ALL: [Self; 4] = [Self::Number, Self::Text, Self::DateTime, Self::Missing];
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            daily_limit: DAILY_LIMIT,
            qps: None,
            qps_retry_after_seconds: None,
            scopes: None,
            list_page_size: None,
            unlisted_zones: BTreeSet::new(),
            webhooks: WebhookSettings::default(),
        }
    }
}

impl Default for WebhookSettings {
    fn default() -> Self {
        Self {
            duplicate: 0,
            shuffle: false,
            reorder: false,
            drop: 0,
            concurrency: 1,
            fresh_timestamps: false,
            leaves_at_end: true,
            customer_keys: true,
            deauthorized_time: None,
            waiting_room_presence: None,
            companion_numbers: None,
            events: None,
        }
    }
}

/// An update of simulator settings. An absent field is unchanged, and `null` removes the value.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SettingsUpdate {
    pub daily_limit: Option<u32>,
    #[serde(deserialize_with = "present")]
    pub qps: Option<Option<Qps>>,
    #[serde(deserialize_with = "present")]
    pub qps_retry_after_seconds: Option<Option<u32>>,
    #[serde(deserialize_with = "present")]
    pub scopes: Option<Option<BTreeSet<String>>>,
    #[serde(deserialize_with = "present")]
    pub list_page_size: Option<Option<usize>>,
    pub unlisted_zones: Option<BTreeSet<String>>,
    pub webhooks: WebhookSettingsUpdate,
    /// By `app`, `other` or an account id.
    pub accounts: BTreeMap<String, AccountSettingsUpdate>,
}

/// An update of the webhook settings.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WebhookSettingsUpdate {
    pub duplicate: Option<u32>,
    pub shuffle: Option<bool>,
    pub reorder: Option<bool>,
    pub drop: Option<u32>,
    pub concurrency: Option<usize>,
    pub fresh_timestamps: Option<bool>,
    pub leaves_at_end: Option<bool>,
    pub customer_keys: Option<bool>,
    #[serde(deserialize_with = "present")]
    pub deauthorized_time: Option<Option<TimeSpelling>>,
    #[serde(deserialize_with = "present")]
    pub waiting_room_presence: Option<Option<bool>>,
    #[serde(deserialize_with = "present")]
    pub companion_numbers: Option<Option<bool>>,
    #[serde(deserialize_with = "present")]
    pub events: Option<Option<BTreeSet<String>>>,
}

/// An update of one account's settings.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AccountSettingsUpdate {
    pub plan: Option<Plan>,
    /// Meeting settings to drop silently, such as `join_before_host`, or with a value `auto_recording=cloud`.
    pub forbid: Option<BTreeSet<String>>,
    #[serde(deserialize_with = "present")]
    pub licenses: Option<Option<usize>>,
}

impl Settings {
    pub(super) fn apply(&mut self, update: SettingsUpdate) {
        set(&mut self.daily_limit, update.daily_limit);
        set(&mut self.qps, update.qps);
        set(&mut self.qps_retry_after_seconds, update.qps_retry_after_seconds);
        set(&mut self.scopes, update.scopes);
        set(&mut self.list_page_size, update.list_page_size);
        set(&mut self.unlisted_zones, update.unlisted_zones);
        let (webhooks, update) = (&mut self.webhooks, update.webhooks);
        set(&mut webhooks.duplicate, update.duplicate);
        set(&mut webhooks.shuffle, update.shuffle);
        set(&mut webhooks.reorder, update.reorder);
        set(&mut webhooks.drop, update.drop);
        set(&mut webhooks.concurrency, update.concurrency);
        set(&mut webhooks.fresh_timestamps, update.fresh_timestamps);
        set(&mut webhooks.leaves_at_end, update.leaves_at_end);
        set(&mut webhooks.customer_keys, update.customer_keys);
        set(&mut webhooks.deauthorized_time, update.deauthorized_time);
        set(&mut webhooks.waiting_room_presence, update.waiting_room_presence);
        set(&mut webhooks.companion_numbers, update.companion_numbers);
        set(&mut webhooks.events, update.events);
    }
}

pub(super) fn set<T>(setting: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *setting = value;
    }
}

/// Distinguishes `null` from an absent field.
fn present<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}
