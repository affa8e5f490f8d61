//! Webhooks on their way: signed, sent, tried again by Zoom's rule, and remembered.
//!
//! Zoom: at least once and in no order. Tried again 5 minutes after the first attempt, 20 after the second and 60
//! after the third, only where nobody answered within 3 seconds or the answer was 500 or above.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use hmac::{Hmac, KeyInit, Mac};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::Sha256;

use super::Zoom;
use super::desk::Desk;

/// Zoom gives an endpoint 3 seconds.
pub(super) const ANSWER_WITHIN: Duration = Duration::from_secs(3);

/// From one attempt to the next.
const RETRY_SECONDS: [i64; 3] = [5 * 60, 20 * 60, 60 * 60];

/// Beyond so many, the oldest that are done with are forgotten.
const REMEMBERED: usize = 50_000;

/// The signature of a webhook: `v0=` and the lower-case hex HMAC-SHA256 of `v0:{timestamp}:{body}`.
pub fn sign_webhook(secret: &str, timestamp_seconds: i64, body: &[u8]) -> String {
    let mut signed = format!("v0:{timestamp_seconds}:").into_bytes();
    signed.extend_from_slice(body);
    format!("v0={}", hmac_hex(secret, &signed))
}

pub(super) fn hmac_hex(secret: &str, message: &[u8]) -> String {
    // HMAC takes keys of any length; there is no error to answer.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.as_bytes()) else {
        return String::new();
    };
    mac.update(message);
    data_encoding::HEXLOWER.encode(&mac.finalize().into_bytes())
}

/// Everything that was posted, and what is due when.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Post {
    next_id: u64,
    letters: BTreeMap<u64, Letter>,
    due: BTreeSet<(Timestamp, u64)>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Letter {
    id: u64,
    event: String,
    meeting_id: Option<i64>,
    body: String,
    state: State,
    next_attempt_at: Option<Timestamp>,
    attempts: Vec<Attempt>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum State {
    Waiting,
    Delivered,
    /// Answered below 500 but not with 2xx: Zoom does not ask again.
    Refused,
    GaveUp,
    /// The `drop` knob swallowed it.
    Lost,
    /// There is no endpoint.
    Unaddressed,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Attempt {
    at: Timestamp,
    /// As signed, in Unix seconds.
    timestamp: i64,
    status: Option<u16>,
    error: Option<String>,
}

/// What is needed to send one letter once.
struct Errand {
    letter: u64,
    timestamp: i64,
    body: Bytes,
}

impl Desk<'_> {
    /// Posts an event as the knobs have it: not at all, once, or several times.
    pub(super) fn post(&mut self, event: &str, meeting_id: Option<i64>, body: &Value) {
        let knobs = &mut self.memory.knobs.webhooks;
        if knobs.events.as_ref().is_some_and(|events| !events.contains(event)) {
            return;
        }
        let lost = knobs.drop > 0;
        let copies = if lost { 1 } else { knobs.duplicate.saturating_add(1) };
        knobs.drop = knobs.drop.saturating_sub(1);
        let state = match self.config.webhook_url {
            _ if lost => State::Lost,
            None => State::Unaddressed,
            Some(_) => State::Waiting,
        };
        for _ in 0..copies {
            let id = self.memory.post.next_id;
            // Zoom mixes escaped and raw text; every other letter is escaped.
            let body = if id % 2 == 1 { escape(&body.to_string()) } else { body.to_string() };
            let next_attempt_at = (state == State::Waiting).then_some(self.now);
            let letter = Letter {
                id,
                event: event.to_owned(),
                meeting_id,
                body,
                state,
                next_attempt_at,
                attempts: Vec::new(),
            };
            self.memory.post.put(letter);
        }
    }

    /// What is due by now, in order, or shuffled where the knob says so.
    fn errands(&mut self) -> Vec<Errand> {
        let now = self.now;
        let post = &self.memory.post;
        let due = post.due.range(..=(now, u64::MAX)).filter_map(|(_, id)| post.letters.get(id));
        let mut errands: Vec<_> = due
            .map(|letter| {
                let signed = letter.attempts.first().map(|first| first.timestamp);
                let timestamp = match signed {
                    Some(timestamp) if !self.memory.knobs.webhooks.fresh_timestamps => timestamp,
                    _ => now.as_second(),
                };
                let body = Bytes::from(letter.body.clone());
                Errand { letter: letter.id, timestamp, body }
            })
            .collect();
        if self.memory.knobs.webhooks.shuffle {
            for place in (1..errands.len()).rev() {
                let bound = u64::try_from(place + 1).unwrap_or(u64::MAX);
                let other = usize::try_from(self.random.below(bound)).unwrap_or(0);
                errands.swap(place, other);
            }
        }
        errands
    }

    /// Writes down how an attempt went, and when the next one is due.
    fn record(&mut self, errand: &Errand, outcome: Result<u16, String>) {
        let (now, timestamp) = (self.now, errand.timestamp);
        let Some(letter) = self.memory.post.letters.get_mut(&errand.letter) else { return };
        let retry_after = RETRY_SECONDS.get(letter.attempts.len());
        let retry_at =
            retry_after.and_then(|seconds| Timestamp::from_second(now.as_second() + seconds).ok());
        if let Some(due) = letter.next_attempt_at.take() {
            self.memory.post.due.remove(&(due, letter.id));
        }
        let (state, next) = match (&outcome, retry_at) {
            (Ok(200..=299), _) => (State::Delivered, None),
            (Ok(..500), _) => (State::Refused, None),
            (_, Some(at)) => (State::Waiting, Some(at)),
            (_, None) => (State::GaveUp, None),
        };
        (letter.state, letter.next_attempt_at) = (state, next);
        let (status, error) = match outcome {
            Ok(status) => (Some(status), None),
            Err(error) => (None, Some(error)),
        };
        letter.attempts.push(Attempt { at: now, timestamp, status, error });
        if let Some(at) = next {
            self.memory.post.due.insert((at, letter.id));
        }
    }
}

impl Post {
    fn put(&mut self, letter: Letter) {
        self.next_id += 1;
        if let Some(at) = letter.next_attempt_at {
            self.due.insert((at, letter.id));
        }
        self.letters.insert(letter.id, letter);
        if self.letters.len() > REMEMBERED
            && let Some(oldest) = self.letters.first_entry()
            && oldest.get().state != State::Waiting
        {
            oldest.remove();
        }
    }

    /// Oldest first; the body as JSON, the way the endpoint reads it.
    pub(super) fn log(&self) -> Vec<Value> {
        let shown = |letter: &Letter| {
            let mut shown = serde_json::to_value(letter).unwrap_or_default();
            shown["body"] = serde_json::from_str(&letter.body).unwrap_or_default();
            shown
        };
        self.letters.values().map(shown).collect()
    }
}

impl Zoom {
    /// Sends every webhook that is due by the clock. One round at a time: a second caller waits for the first, so
    /// that when this returns, what was due when it was called has been tried.
    pub async fn deliver_due(&self) {
        let _turn = self.inner.round.lock().await;
        loop {
            let (errands, concurrency) = self
                .at_desk(|desk| (desk.errands(), desk.memory.knobs.webhooks.concurrency.max(1)));
            if errands.is_empty() {
                return;
            }
            futures::stream::iter(errands)
                .for_each_concurrent(concurrency, |errand| async move {
                    let outcome = self.send(&errand).await;
                    self.at_desk(|desk| desk.record(&errand, outcome));
                })
                .await;
        }
    }

    async fn send(&self, errand: &Errand) -> Result<u16, String> {
        let url = self.inner.config.webhook_url.as_deref().unwrap_or_default();
        self.post_signed(url, errand.timestamp, errand.body.clone())
            .await
            .map(|answer| answer.status().as_u16())
    }

    /// One signed request to a webhook endpoint.
    pub(super) async fn post_signed(
        &self,
        url: &str,
        timestamp: i64,
        body: Bytes,
    ) -> Result<reqwest::Response, String> {
        let signature = sign_webhook(&self.inner.config.webhook_secret, timestamp, &body);
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

/// The same JSON in ASCII, as `\uXXXX`.
fn escape(json: &str) -> String {
    use std::fmt::Write;
    let mut escaped = String::with_capacity(json.len());
    for character in json.chars() {
        if character.is_ascii() {
            escaped.push(character);
            continue;
        }
        for unit in character.encode_utf16(&mut [0; 2]) {
            // Writing to a string does not fail.
            let _ = write!(escaped, "\\u{unit:04x}");
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signature_is_the_hmac_of_version_time_and_body() {
        // Recomputed with another tool: printf 'v0:1700000000:{}' | openssl dgst -sha256 -hmac secret
        assert_eq!(
            sign_webhook("secret", 1_700_000_000, b"{}"),
            "v0=84dd7b277ba946b3a34369b43499bfd9258b410b8894583f1288b1911aa6a6d6"
        );
    }

    #[test]
    fn escaped_text_is_the_same_json() {
        let json = serde_json::json!({ "name": "Zoë 😀 \"q\"" });
        let escaped = escape(&json.to_string());
        assert!(escaped.is_ascii() && escaped.contains("\\u00eb"));
        assert_eq!(serde_json::from_str::<Value>(&escaped).unwrap(), json);
    }
}
