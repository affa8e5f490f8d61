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
    /// If set, users' access tokens lose all other scopes.
    pub scopes: Option<BTreeSet<String>>,
    /// The longest page of a list, if it is shorter than requested.
    #[serde(default)]
    pub list_page_size: Option<usize>,
    /// Number of next pages whose token has expired when they are requested. The list has to be read from its start.
    #[serde(default)]
    pub expired_pages: u32,
    /// The form of the uuids of meeting instances. Each uuid draws one if this is absent.
    #[serde(default)]
    pub uuid_form: Option<UuidForm>,
    /// IANA time zones that Zoom does not list. It accepts them, but reads the local time in the host's own zone.
    #[serde(default)]
    pub unlisted_zones: BTreeSet<String>,
    /// How long the lists of past participants say that they are not complete: all durations are 0.
    #[serde(default)]
    pub participants_lag_seconds: i64,
    /// Whether the lists of past participants have a row per connection, with the number of its first room, instead of a row
    /// per room. Zoom does not document it.
    #[serde(default)]
    pub participants_per_connection: bool,
    #[serde(default)]
    pub registrants: RegistrantLimits,
    pub webhooks: WebhookSettings,
    #[serde(default)]
    pub server_app: ServerAppSettings,
}

/// The form of the uuid of a meeting instance. A slash breaks the path of a URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UuidForm {
    Plain,
    LeadingSlash,
    DoubleSlash,
}

impl UuidForm {
    pub const ALL: [Self; 3] = [Self::Plain, Self::LeadingSlash, Self::DoubleSlash];
}

/// A Zoom account's plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Plan {
    /// Free, without cloud recordings and lists of past participants.
    Basic,
    /// Paid. A host runs one meeting at a time.
    Pro,
    /// Paid. A host runs two meetings at a time.
    Business,
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
    /// Whether both apps get the events of a user who authorised the user app and belongs to the account of the
    /// Server-to-Server app. Otherwise only the user app gets them.
    pub both_apps: bool,
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
            expired_pages: 0,
            uuid_form: None,
            unlisted_zones: BTreeSet::new(),
            participants_lag_seconds: 0,
            participants_per_connection: false,
            registrants: RegistrantLimits::default(),
            webhooks: WebhookSettings::default(),
            server_app: ServerAppSettings::default(),
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
            both_apps: false,
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
    pub expired_pages: Option<u32>,
    #[serde(deserialize_with = "present")]
    pub uuid_form: Option<Option<UuidForm>>,
    pub unlisted_zones: Option<BTreeSet<String>>,
    pub participants_lag_seconds: Option<i64>,
    pub participants_per_connection: Option<bool>,
    pub registrants: RegistrantLimitsUpdate,
    pub webhooks: WebhookSettingsUpdate,
    pub server_app: ServerAppSettingsUpdate,
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
    pub both_apps: Option<bool>,
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
    pub users: UserRulesUpdate,
}

impl Settings {
    pub(super) fn apply(&mut self, update: SettingsUpdate) {
        set(&mut self.daily_limit, update.daily_limit);
        set(&mut self.qps, update.qps);
        set(&mut self.qps_retry_after_seconds, update.qps_retry_after_seconds);
        set(&mut self.scopes, update.scopes);
        set(&mut self.list_page_size, update.list_page_size);
        set(&mut self.expired_pages, update.expired_pages);
        set(&mut self.uuid_form, update.uuid_form);
        set(&mut self.unlisted_zones, update.unlisted_zones);
        set(&mut self.participants_lag_seconds, update.participants_lag_seconds);
        set(&mut self.participants_per_connection, update.participants_per_connection);
        self.registrants.apply(update.registrants);
        self.server_app.apply(update.server_app);
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
        set(&mut webhooks.both_apps, update.both_apps);
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

/// Settings of the Server-to-Server app at Zoom.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ServerAppSettings {
    /// A deactivated app gets neither tokens nor events, and its tokens are invalid.
    pub active: bool,
    /// The client secret, if somebody replaced the configured one at Zoom.
    pub client_secret: Option<String>,
    /// If set, the app's tokens lose all other scopes.
    pub scopes: Option<BTreeSet<String>>,
    /// Whether a new token ends the earlier ones. Zoom's documentation contradicts itself. Each token draws one if this
    /// is absent.
    pub new_token_ends_older: Option<bool>,
}

impl Default for ServerAppSettings {
    fn default() -> Self {
        Self { active: true, client_secret: None, scopes: None, new_token_ends_older: None }
    }
}

/// An update of the settings of the Server-to-Server app.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ServerAppSettingsUpdate {
    pub active: Option<bool>,
    #[serde(deserialize_with = "present")]
    pub client_secret: Option<Option<String>>,
    #[serde(deserialize_with = "present")]
    pub scopes: Option<Option<BTreeSet<String>>>,
    #[serde(deserialize_with = "present")]
    pub new_token_ends_older: Option<Option<bool>>,
}

impl ServerAppSettings {
    fn apply(&mut self, update: ServerAppSettingsUpdate) {
        set(&mut self.active, update.active);
        set(&mut self.client_secret, update.client_secret);
        set(&mut self.scopes, update.scopes);
        set(&mut self.new_token_ends_older, update.new_token_ends_older);
    }
}

/// The limits of registrations.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RegistrantLimits {
    /// Registrants per meeting. Zoom: 4,999.
    pub capacity: usize,
    /// Requests per address, meeting and UTC day. Zoom: three.
    pub daily_requests: u32,
}

impl Default for RegistrantLimits {
    fn default() -> Self {
        Self { capacity: 4999, daily_requests: 3 }
    }
}

/// An update of the limits of registrations.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RegistrantLimitsUpdate {
    pub capacity: Option<usize>,
    pub daily_requests: Option<u32>,
}

impl RegistrantLimits {
    pub(super) fn apply(&mut self, update: RegistrantLimitsUpdate) {
        set(&mut self.capacity, update.capacity);
        set(&mut self.daily_requests, update.daily_requests);
    }
}

/// An account's rules for its users.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct UserRules {
    /// Maximum number of users without a licence.
    pub basic_users: Option<usize>,
    /// Domains whose users can be created without an invitation (`autoCreate`).
    pub managed_domains: BTreeSet<String>,
    /// Whether users of managed domains cannot be disassociated (1107).
    pub keep_managed_users: bool,
    /// If not empty, the account refuses addresses of all other domains (1116).
    pub limited_domains: BTreeSet<String>,
    /// Domains that the account refuses (1107).
    pub blocked_domains: BTreeSet<String>,
    /// Domains that Zoom itself refuses (11321).
    pub unsafe_domains: BTreeSet<String>,
    /// Words that a name must not contain (300).
    pub refused_words: BTreeSet<String>,
    /// Whether the account has single sign-on, which `ssoCreate` requires.
    pub sso: bool,
    /// Whether the account has a contract for integrated software, which `custCreate` requires.
    pub isv: bool,
    /// Whether invitations are accepted at once.
    pub accept_invitations: bool,
    /// The code for a lack of licences: 2034, 2038 or 3412. Each refusal draws one if this is absent.
    pub shortage_code: Option<u32>,
    /// Whether 409/1005 or 400/1009 is the response for a user of another account. Each refusal draws one if this is
    /// absent.
    pub foreign_user_code: Option<u32>,
    /// If set, every request to create a user is refused with this code.
    pub refuse_creation: Option<u32>,
    /// If set, every update of a user is refused with this code.
    pub refuse_update: Option<u32>,
    /// Whether a host loses the licence during a meeting. Otherwise the request is refused (1108).
    pub allow_live_downgrade: bool,
    /// Maximum number of invitations per UTC day, instead of the plan's.
    pub daily_invitations: Option<u32>,
}

/// An update of an account's rules for its users.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct UserRulesUpdate {
    #[serde(deserialize_with = "present")]
    pub basic_users: Option<Option<usize>>,
    pub managed_domains: Option<BTreeSet<String>>,
    pub keep_managed_users: Option<bool>,
    pub limited_domains: Option<BTreeSet<String>>,
    pub blocked_domains: Option<BTreeSet<String>>,
    pub unsafe_domains: Option<BTreeSet<String>>,
    pub refused_words: Option<BTreeSet<String>>,
    pub sso: Option<bool>,
    pub isv: Option<bool>,
    pub accept_invitations: Option<bool>,
    #[serde(deserialize_with = "present")]
    pub shortage_code: Option<Option<u32>>,
    #[serde(deserialize_with = "present")]
    pub foreign_user_code: Option<Option<u32>>,
    #[serde(deserialize_with = "present")]
    pub refuse_creation: Option<Option<u32>>,
    #[serde(deserialize_with = "present")]
    pub refuse_update: Option<Option<u32>>,
    pub allow_live_downgrade: Option<bool>,
    #[serde(deserialize_with = "present")]
    pub daily_invitations: Option<Option<u32>>,
}

impl UserRules {
    pub(super) fn apply(&mut self, update: UserRulesUpdate) {
        set(&mut self.basic_users, update.basic_users);
        set(&mut self.managed_domains, update.managed_domains);
        set(&mut self.keep_managed_users, update.keep_managed_users);
        set(&mut self.limited_domains, update.limited_domains);
        set(&mut self.blocked_domains, update.blocked_domains);
        set(&mut self.unsafe_domains, update.unsafe_domains);
        set(&mut self.refused_words, update.refused_words);
        set(&mut self.sso, update.sso);
        set(&mut self.isv, update.isv);
        set(&mut self.accept_invitations, update.accept_invitations);
        set(&mut self.shortage_code, update.shortage_code);
        set(&mut self.foreign_user_code, update.foreign_user_code);
        set(&mut self.refuse_creation, update.refuse_creation);
        set(&mut self.refuse_update, update.refuse_update);
        set(&mut self.allow_live_downgrade, update.allow_live_downgrade);
        set(&mut self.daily_invitations, update.daily_invitations);
    }
}
