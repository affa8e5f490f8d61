//! Clicks to watch a recording, for the timeline. They share the key range of the delegated actions, so that the timeline needs
//! no further request.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::error::StoreError;
use super::item::{decode, encode};
use super::schema::{DELEGATED_ACTION_PREFIX, ItemKey, attr, session_partition};
use super::tx::{Action, Condition, ItemChanges, number, text};
use super::{KeyRange, Store};
use crate::domain::attendance::{AttendeeId, ErasureMarker};
use crate::domain::id::{SessionId, UserId};
use crate::domain::time::sortable_text;

/// Clicks of one person in one session that the timeline shows.
const VIEW_LIMIT: i64 = 100;
/// Clicks of one person within this time are shown as one.
const VIEW_INTERVAL: SignedDuration = SignedDuration::from_secs(60);

/// A click to watch a recording.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WatchClick {
    pub at: Timestamp,
    pub viewer: UserId,
    pub recording_id: String,
}

impl WatchClick {
    /// Returns whether it is of a person who was erased after it.
    pub fn is_of_any(&self, markers: &[ErasureMarker]) -> bool {
        markers.iter().any(|marker| {
            !marker.is_after_erasure(self.at) && marker.is_join_attempt(Some(&self.viewer), None)
        })
    }
}

/// Stores a click for the time `ttl`. Refused if the person has just clicked, or very often.
pub fn put(session: &SessionId, view: &WatchClick, ttl: SignedDuration) -> Vec<Action> {
    let at = view.at;
    let person = AttendeeId::for_user(session, &view.viewer);
    let expires_at = at.saturating_add(ttl).unwrap_or(at).as_second();
    let mut item = encode(view);
    item.insert(attr::TTL.to_owned(), number(expires_at));
    let before = at.saturating_sub(VIEW_INTERVAL).unwrap_or(at);
    let is_allowed = Condition::new()
        .absent_or_below(attr::VIEWS, number(VIEW_LIMIT))
        .absent_or_below(attr::VIEWED_AT, text(sortable_text(before)));
    let changes = ItemChanges::new()
        .add(attr::VIEWS, 1)
        .set(attr::VIEWED_AT, text(sortable_text(at)))
        .set(attr::TTL, number(expires_at));
    let nonce = person.to_string();
    vec![
        Action::update(ItemKey::RecordingViews { session, person: &person }, changes, is_allowed),
        Action::put(
            ItemKey::DelegatedAction { session, at, nonce: &nonce },
            item,
            Condition::new(),
        ),
    ]
}

impl Store {
    /// Returns the deletions of the clicks of an erased person.
    pub async fn recording_views_of_person(
        &self,
        session: &SessionId,
        person: &ErasureMarker,
    ) -> Result<Vec<Action>, StoreError> {
        let range = KeyRange {
            pk: session_partition(session),
            prefix: Some(DELEGATED_ACTION_PREFIX.to_owned()),
            ..KeyRange::default()
        };
        let mut matching = Vec::new();
        for item in self.query_all(range).await? {
            // Other changes of the session are no clicks.
            if !item.contains_key(attr::VIEWER) {
                continue;
            }
            let Some(delete) = Action::delete_item(&item) else { continue };
            let view: WatchClick = decode(item)?;
            if view.is_of_any(std::slice::from_ref(person)) {
                let viewer = AttendeeId::for_user(session, &view.viewer);
                let counted = ItemKey::RecordingViews { session, person: &viewer };
                matching.push(delete);
                if matching.len() == 1 {
                    matching.push(Action::delete(counted, Condition::new()));
                }
            }
        }
        Ok(matching)
    }
}
