//! The webhooks with their attempts, and the times of the next ones.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::Value;

use super::apps::App;

/// Above this number, the oldest finished webhooks are removed. With a body of about 1 KB each, they take 10 MB.
const MAX_STORED: usize = 10_000;

/// All webhooks, and the times of pending attempts.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct WebhookQueue {
    pub(super) next_id: u64,
    /// A stored state has only those that wait for an attempt. The log of the others lasts as long as the process.
    #[serde(serialize_with = "serialize_waiting")]
    pub(super) webhooks: BTreeMap<u64, QueuedWebhook>,
    /// Time, position among the webhooks of that time, id.
    pub(super) due: BTreeSet<(Timestamp, u64, u64)>,
    /// The position of the next webhook in `due`.
    #[serde(default)]
    pub(super) next_position: u64,
    /// Webhooks that are sent after the next one.
    #[serde(default)]
    pub(super) reordered: BTreeSet<u64>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct QueuedWebhook {
    pub(super) id: u64,
    pub(super) event: String,
    /// The app that gets the event and whose secret signs it.
    #[serde(default)]
    pub(super) app: App,
    pub(super) meeting_id: Option<i64>,
    pub(super) body: String,
    pub(super) state: DeliveryState,
    pub(super) next_attempt_at: Option<Timestamp>,
    #[serde(default)]
    pub(super) position: u64,
    pub(super) attempts: Vec<Attempt>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum DeliveryState {
    Waiting,
    Delivered,
    /// The status was below 500 but not 2xx. Zoom does not retry.
    Refused,
    GaveUp,
    /// Dropped by the setting or the fault `drop`.
    Lost,
    /// No endpoint is configured.
    Unaddressed,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Attempt {
    pub(super) at: Timestamp,
    /// The signed timestamp in Unix seconds.
    pub(super) timestamp: i64,
    pub(super) status: Option<u16>,
    pub(super) error: Option<String>,
}

fn serialize_waiting<S: Serializer>(
    webhooks: &BTreeMap<u64, QueuedWebhook>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let is_waiting = |(_, webhook): &(_, &QueuedWebhook)| webhook.state == DeliveryState::Waiting;
    serializer.collect_map(webhooks.iter().filter(is_waiting))
}

impl WebhookQueue {
    /// Adds a webhook, and schedules its first attempt if it has one.
    pub(super) fn insert(&mut self, webhook: QueuedWebhook) {
        self.next_id += 1;
        let (id, next_attempt_at) = (webhook.id, webhook.next_attempt_at);
        self.webhooks.insert(id, webhook);
        if let Some(at) = next_attempt_at {
            self.schedule(id, at);
        }
        if self.webhooks.len() > MAX_STORED {
            // The first ones may wait for a retry.
            let mut finished =
                self.webhooks.iter().filter(|(_, it)| it.state != DeliveryState::Waiting);
            let oldest = finished.next().map(|(id, _)| *id);
            oldest.and_then(|id| self.webhooks.remove(&id));
        }
    }

    /// Returns whether an attempt is due.
    pub(super) fn is_due(&self, now: Timestamp) -> bool {
        self.due.first().is_some_and(|(at, _, _)| *at <= now)
    }

    /// Schedules the next attempt, after all others of that time.
    pub(super) fn schedule(&mut self, id: u64, at: Timestamp) {
        let Some(webhook) = self.webhooks.get_mut(&id) else { return };
        if let Some(due) = webhook.next_attempt_at {
            self.due.remove(&(due, webhook.position, id));
        }
        (webhook.next_attempt_at, webhook.position) = (Some(at), self.next_position);
        self.due.insert((at, self.next_position, id));
        self.next_position += 1;
    }

    /// Returns all webhooks, oldest first, with the body as JSON.
    pub(super) fn log(&self) -> Vec<Value> {
        let view = |webhook: &QueuedWebhook| {
            let mut view = serde_json::to_value(webhook).unwrap_or_default();
            view["body"] = serde_json::from_str(&webhook.body).unwrap_or_default();
            view
        };
        self.webhooks.values().map(view).collect()
    }
}
