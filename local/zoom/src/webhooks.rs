//! Webhook delivery: signing, sending, retries and a log.
//!
//! Zoom: delivery is at least once and unordered. A retry follows 5 minutes after the first attempt, 20 minutes after
//! the second and 60 minutes after the third, but only if there was no response within 3 seconds or its status was 500
//! or above.

use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use hmac::{Hmac, KeyInit, Mac};
use jiff::Timestamp;
use serde_json::Value;
use sha2::Sha256;

use super::Zoom;
use super::apps::App;
use super::context::Context;
use super::delivery_fault::DeliveryFault;
use super::settings::WebhookSettings;
use super::state::User;
use super::webhook_queue::{Attempt, DeliveryState, QueuedWebhook};

/// Zoom waits 3 seconds for a response.
pub(super) const RESPONSE_TIMEOUT: Duration = Duration::from_secs(3);

/// Delays between attempts.
const RETRY_SECONDS: [i64; 3] = [5 * 60, 20 * 60, 60 * 60];

/// The events that are simulated.
pub const EVENTS: &[&str] = &[
    "app_deauthorized",
    "meeting.ai_companion_started",
    "meeting.created",
    "meeting.deleted",
    "meeting.ended",
    "meeting.participant_admitted",
    "meeting.participant_bind",
    "meeting.participant_joined",
    "meeting.participant_joined_breakout_room",
    "meeting.participant_joined_waiting_room",
    "meeting.participant_left",
    "meeting.participant_left_breakout_room",
    "meeting.participant_left_waiting_room",
    "meeting.participant_put_in_waiting_room",
    "meeting.started",
    "meeting.summary_completed",
    "meeting.updated",
    "recording.batch_deleted",
    "recording.batch_recovered",
    "recording.batch_trashed",
    "recording.completed",
    "recording.deleted",
    "recording.paused",
    "recording.recovered",
    "recording.resumed",
    "recording.started",
    "recording.stopped",
    "recording.transcript_completed",
    "recording.trashed",
    "user.activated",
    "user.created",
    "user.deactivated",
    "user.deleted",
    "user.disassociated",
    "user.invitation_accepted",
    "user.updated",
];

/// Returns a webhook's signature: `v0=` and the lower-case hex HMAC-SHA256 of `v0:{timestamp}:{body}`.
pub fn sign_webhook(secret: &str, timestamp_seconds: i64, body: &[u8]) -> String {
    let mut signed = format!("v0:{timestamp_seconds}:").into_bytes();
    signed.extend_from_slice(body);
    format!("v0={}", hmac_hex(secret, &signed))
}

pub(super) fn hmac_hex(secret: &str, message: &[u8]) -> String {
    // HMAC accepts keys of any length, so this never fails.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.as_bytes()) else {
        return String::new();
    };
    mac.update(message);
    data_encoding::HEXLOWER.encode(&mac.finalize().into_bytes())
}

/// One attempt to send a webhook.
struct Delivery {
    webhook_id: u64,
    app: App,
    timestamp: i64,
    body: Bytes,
}

impl Context<'_> {
    /// Enqueues an event of a meeting for the apps that get the host's events.
    pub(super) fn enqueue_webhook(&mut self, event: &str, meeting_id: i64, body: &Value) {
        let host = self.meeting_and_host(meeting_id).map(|(_, host)| host);
        let apps = host.map(|host| self.apps_of(host)).unwrap_or_default();
        self.enqueue_app_webhook(event, Some(meeting_id), body, &apps);
    }

    /// Enqueues an event about a user.
    pub(super) fn enqueue_user_webhook(&mut self, event: &str, user: &User, body: &Value) {
        let apps = self.apps_of(user);
        self.enqueue_app_webhook(event, None, body, &apps);
    }

    /// Enqueues an event zero, one or several times for each app, as the settings require.
    pub(super) fn enqueue_app_webhook(
        &mut self,
        event: &str,
        meeting_id: Option<i64>,
        body: &Value,
        apps: &[App],
    ) {
        for app in apps {
            self.enqueue_copies(event, meeting_id, body, *app);
        }
    }

    fn enqueue_copies(&mut self, event: &str, meeting_id: Option<i64>, body: &Value, app: App) {
        debug_assert!(EVENTS.contains(&event), "{event} is not listed");
        let settings = &mut self.state.settings.webhooks;
        if settings.events.as_ref().is_some_and(|events| !events.contains(event)) {
            return;
        }
        let fault = self.faults.take(event);
        let lost = settings.drop > 0 || fault == Some(DeliveryFault::Drop);
        let duplicates =
            settings.duplicate.saturating_add((fault == Some(DeliveryFault::Duplicate)).into());
        let copies = if lost { 1 } else { duplicates.saturating_add(1) };
        settings.drop = settings.drop.saturating_sub(1);
        let delay = fault.map_or(Duration::ZERO, DeliveryFault::delay);
        let first_attempt_at = self.now.checked_add(delay).unwrap_or(self.now);
        let overtaken = std::mem::take(&mut self.state.webhook_queue.reordered);
        let state = match self.config.webhook_url {
            _ if lost => DeliveryState::Lost,
            None => DeliveryState::Unaddressed,
            Some(_) => DeliveryState::Waiting,
        };
        for _ in 0..copies {
            let id = self.state.webhook_queue.next_id;
            // Zoom sends both escaped and raw text, so every second webhook is escaped.
            let body = if id % 2 == 1 { escape_json(&body.to_string()) } else { body.to_string() };
            let next_attempt_at = (state == DeliveryState::Waiting).then_some(first_attempt_at);
            let webhook = QueuedWebhook {
                id,
                event: event.to_owned(),
                app,
                meeting_id,
                body,
                state,
                next_attempt_at,
                position: 0,
                attempts: Vec::new(),
            };
            self.state.webhook_queue.insert(webhook);
            if fault == Some(DeliveryFault::Reorder) {
                self.state.webhook_queue.reordered.insert(id);
            }
        }
        for id in overtaken {
            self.state.webhook_queue.schedule(id, self.now);
        }
    }

    /// Returns the due deliveries in order, or shuffled if the settings require it.
    fn due_deliveries(&mut self) -> Vec<Delivery> {
        let now = self.now;
        let queue = &self.state.webhook_queue;
        let due = queue.due.range(..=(now, u64::MAX, u64::MAX));
        let due = due.filter_map(|(_, _, id)| queue.webhooks.get(id));
        let mut deliveries: Vec<_> = due
            .map(|webhook| {
                let first_timestamp = webhook.attempts.first().map(|first| first.timestamp);
                let timestamp = match first_timestamp {
                    Some(timestamp) if !self.state.settings.webhooks.fresh_timestamps => timestamp,
                    _ => now.as_second(),
                };
                let body = Bytes::from(webhook.body.clone());
                Delivery { webhook_id: webhook.id, app: webhook.app, timestamp, body }
            })
            .collect();
        let WebhookSettings { shuffle, reorder, .. } = self.state.settings.webhooks;
        if shuffle || reorder {
            for index in (1..deliveries.len()).rev() {
                let bound = u64::try_from(index + 1).unwrap_or(u64::MAX);
                let other = usize::try_from(self.random.below(bound)).unwrap_or(0);
                deliveries.swap(index, other);
            }
        }
        deliveries
    }

    /// Records the outcome of an attempt and schedules the next one.
    fn record_attempt(&mut self, delivery: &Delivery, outcome: Result<u16, String>) {
        let (now, timestamp) = (self.now, delivery.timestamp);
        let Some(webhook) = self.state.webhook_queue.webhooks.get_mut(&delivery.webhook_id) else {
            return;
        };
        let retry_after = RETRY_SECONDS.get(webhook.attempts.len());
        let retry_at =
            retry_after.and_then(|seconds| Timestamp::from_second(now.as_second() + seconds).ok());
        if let Some(due) = webhook.next_attempt_at.take() {
            self.state.webhook_queue.due.remove(&(due, webhook.position, webhook.id));
            self.state.webhook_queue.reordered.remove(&delivery.webhook_id);
        }
        let (state, next) = match (&outcome, retry_at) {
            (Ok(200..=299), _) => (DeliveryState::Delivered, None),
            (Ok(..500), _) => (DeliveryState::Refused, None),
            (_, Some(at)) => (DeliveryState::Waiting, Some(at)),
            (_, None) => (DeliveryState::GaveUp, None),
        };
        webhook.state = state;
        let (status, error) = match outcome {
            Ok(status) => (Some(status), None),
            Err(error) => (None, Some(error)),
        };
        webhook.attempts.push(Attempt { at: now, timestamp, status, error });
        if let Some(at) = next {
            self.state.webhook_queue.schedule(delivery.webhook_id, at);
        }
    }
}

impl Zoom {
    /// Sends all due webhooks. A second caller waits for the first, so all webhooks that were due at the call have been
    /// attempted on return.
    pub async fn deliver_due(&self) {
        let _guard = self.inner.delivery_lock.lock().await;
        // An idle stack must not count as changed.
        while self.inspect(|context| context.state.webhook_queue.is_due(context.now)) {
            let (deliveries, concurrency) = self.with_context(|context| {
                (context.due_deliveries(), context.state.settings.webhooks.concurrency.max(1))
            });
            futures::stream::iter(deliveries)
                .for_each_concurrent(concurrency, |delivery| async move {
                    let outcome = self.send(&delivery).await;
                    self.with_context(|context| context.record_attempt(&delivery, outcome));
                })
                .await;
        }
    }

    async fn send(&self, delivery: &Delivery) -> Result<u16, String> {
        let url = self.inner.config.webhook_url.as_deref().unwrap_or_default();
        self.post_signed(delivery.app, url, delivery.timestamp, delivery.body.clone())
            .await
            .map(|response| response.status().as_u16())
    }

    /// Returns the secret with which an app's webhooks are signed.
    pub(super) fn webhook_secret(&self, app: App) -> &str {
        let config = &self.inner.config;
        match (app, &config.server_app) {
            (App::Server, Some(server_app)) => &server_app.webhook_secret,
            _ => &config.webhook_secret,
        }
    }

    /// Sends one request to a webhook endpoint, signed for the app.
    pub(super) async fn post_signed(
        &self,
        app: App,
        url: &str,
        timestamp: i64,
        body: Bytes,
    ) -> Result<reqwest::Response, String> {
        let signature = sign_webhook(self.webhook_secret(app), timestamp, &body);
        self.inner
            .http
            .post(url)
            .header("content-type", "application/json; charset=utf-8")
            .header("user-agent", "Zoom Marketplace/1.0a")
            .header("x-zm-request-timestamp", timestamp.to_string())
            .header("x-zm-signature", signature)
            .body(body)
            .send()
            .await
            .map_err(|error| error.without_url().to_string())
    }
}

/// Escapes non-ASCII characters in JSON as `\uXXXX`.
fn escape_json(json: &str) -> String {
    use std::fmt::Write;
    let mut escaped = String::with_capacity(json.len());
    for character in json.chars() {
        if character.is_ascii() {
            escaped.push(character);
            continue;
        }
        for unit in character.encode_utf16(&mut [0; 2]) {
            // Writing to a string never fails.
            let _ = write!(escaped, "\\u{unit:04x}");
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signature_is_the_hmac_of_version_timestamp_and_body() {
        // Computed with: printf 'v0:1700000000:{}' | openssl dgst -sha256 -hmac secret
        assert_eq!(
            sign_webhook("secret", 1_700_000_000, b"{}"),
            "v0=84dd7b277ba946b3a34369b43499bfd9258b410b8894583f1288b1911aa6a6d6"
        );
    }

    #[test]
    fn escaped_json_is_equivalent() {
        let json = serde_json::json!({ "name": "Zoë 😀 \"q\"" });
        let escaped = escape_json(&json.to_string());
        assert!(escaped.is_ascii() && escaped.contains("\\u00eb"));
        assert_eq!(serde_json::from_str::<Value>(&escaped).unwrap(), json);
    }
}
