//! Classes that are being made. The intent is stored before Zoom is asked for a meeting, so that whatever happens
//! after, somebody knows that there may be one. It goes in the transaction that stores the class.
//!
//! ```text
//! reserve ──→ Zoom makes a meeting ──→ commit (class in, intent out)
//!    │                 │
//!    │                 └─ refused: abandon (intent out, month's class given back)
//!    └─ silence: the intent's time runs out; the next attempt or the repair sweep takes it over,
//!       looks the meeting up at Zoom by its mark, and goes on or cleans up
//! ```

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::error::StoreError;
use super::item::{decode, encode, value};
use super::schema::{ItemKey, attr};
use super::tx::{Action, ItemChanges, Guard, text};
use super::{BatchItems, Store};
use crate::domain::id::{SessionId, UserId};
use crate::domain::time::fixed;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Intent {
    pub session_id: SessionId,
    pub trainer_id: UserId,
    /// The hash of the body: a repeated create with another one is refused.
    pub created_from: String,
    /// Which attempt has it in hand, and until when.
    pub attempt: String,
    #[serde(with = "fixed_text")]
    pub attempt_until: Timestamp,
    /// The month in which it was counted.
    pub starts_at: Timestamp,
    /// Whether that month's place was given back, because Zoom gave no usable answer: whoever takes over counts anew.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub uncounted: bool,
}

/// Stored with milliseconds always, because conditions compare it as text.
mod fixed_text {
    use super::{Timestamp, fixed};
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(
        at: &Timestamp,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&fixed(*at))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Timestamp, D::Error> {
        Timestamp::deserialize(deserializer)
    }
}

/// Stores the intent; refused when the class is already being made.
pub fn reserve(intent: &Intent) -> Action {
    Action::put(ItemKey::Intent(&intent.session_id), encode(intent), Guard::new_item())
}

/// Takes over from an attempt whose time has run out, in order to make the class. Of one whose month's place was given
/// back it has to be counted with this.
pub fn take_over(intent: &Intent, attempt: &str, until: Timestamp, now: Timestamp) -> Action {
    taken_over(intent, attempt, until, now, |changes| changes.remove(attr::UNCOUNTED))
}

/// Takes over in order to give the class up; its month is as it was read.
pub fn take_away(intent: &Intent, attempt: &str, until: Timestamp, now: Timestamp) -> Action {
    taken_over(intent, attempt, until, now, |changes| changes)
}

fn taken_over(
    intent: &Intent,
    attempt: &str,
    until: Timestamp,
    now: Timestamp,
    and: impl FnOnce(ItemChanges) -> ItemChanges,
) -> Action {
    let changes = ItemChanges::new()
        .set(attr::ATTEMPT, text(attempt))
        .set(attr::ATTEMPT_UNTIL, text(fixed(until)));
    let guard = Guard::new()
        .equals(attr::ATTEMPT, text(&intent.attempt))
        .exists(attr::PK)
        .free_at(attr::ATTEMPT_UNTIL, now);
    // Should the attempt live after all, it may be giving the place back at this moment.
    let guard = if intent.uncounted {
        guard.exists(attr::UNCOUNTED)
    } else {
        guard.absent(attr::UNCOUNTED)
    };
    Action::update(ItemKey::Intent(&intent.session_id), and(changes), guard)
}

/// Lets an attempt's time run out at once: it has ended without knowing what Zoom made of its call, and whoever asks
/// next should look rather than wait. Its month's place is given back with this, since there may be no next.
pub fn give_back(session: &SessionId, attempt: &str, now: Timestamp) -> Action {
    let changes = ItemChanges::new()
        .set(attr::ATTEMPT_UNTIL, text(fixed(now)))
        .set(attr::UNCOUNTED, value(&true));
    Action::update(ItemKey::Intent(session), changes, Guard::new().equals(attr::ATTEMPT, text(attempt)))
}

/// Ends the intent, with the class stored or given up; refused when another attempt has it by now.
pub fn finish(session: &SessionId, attempt: &str) -> Action {
    Action::delete(ItemKey::Intent(session), Guard::new().equals(attr::ATTEMPT, text(attempt)))
}

impl Store {
    pub async fn intent(&self, session: &SessionId) -> Result<Option<Intent>, StoreError> {
        self.get(ItemKey::Intent(session)).await?.map(decode).transpose()
    }
}

impl BatchItems {
    pub(crate) fn intent(&mut self, session: &SessionId) -> Result<Option<Intent>, StoreError> {
        self.take(ItemKey::Intent(session)).map(decode).transpose()
    }
}
