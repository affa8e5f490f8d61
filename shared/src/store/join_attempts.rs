//! Join attempts: requests to start or join, with their outcomes.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::error::StoreError;
use super::item::{decode, decode_readable, encode};
use super::schema::{ItemKey, JOIN_ATTEMPT_PREFIX, attempt_day_partition, attr, session_partition};
use super::tx::{Action, Condition, Item, key_item, number};
use super::{KeyRange, Store};
use crate::domain::attendance::ErasureMarker;
use crate::domain::id::{SessionId, UserId};
use crate::domain::text::{Email, PersonName};
use crate::domain::time::utc_day;

/// One request to start or join, and its outcome.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JoinAttempt {
    pub at: Timestamp,
    /// Absent for a guest, who has only an address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_id: Option<UserId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<Email>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<PersonName>,
    pub host: bool,
    /// [`ADMITTED`], or the code of the refusal.
    pub outcome: String,
    /// The customer key by which Zoom's events identify the person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub customer_key: Option<String>,
    /// Zoom's id of the person's registration, if they got a personal link.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub registrant: Option<String>,
}

/// The values of a join attempt by which Zoom's events identify the person.
#[derive(Clone, Debug)]
pub struct AttemptIdentifiers {
    pub customer_key: Option<String>,
    pub registrant: Option<String>,
    pub email: Option<Email>,
}

/// The outcome of a successful join attempt.
pub const ADMITTED: &str = "admitted";

impl JoinAttempt {
    /// Returns the user id, or the address of a guest.
    pub fn actor(&self) -> Option<String> {
        let user = self.user_id.as_ref().map(ToString::to_string);
        user.or_else(|| Some(self.email.as_ref()?.as_str().to_owned()))
    }

    pub fn identifiers(&self) -> AttemptIdentifiers {
        AttemptIdentifiers {
            customer_key: self.customer_key.clone(),
            registrant: self.registrant.clone(),
            email: self.email.clone(),
        }
    }

    /// Returns whether the attempt is of a person who was erased after it.
    pub fn is_of_any(&self, markers: &[ErasureMarker]) -> bool {
        markers.iter().any(|marker| {
            !marker.is_after_erasure(self.at)
                && marker.is_join_attempt(self.user_id.as_ref(), self.email.as_ref())
        })
    }

    pub fn is_admitted(&self) -> bool {
        self.outcome == ADMITTED
    }
}

/// Stores a join attempt for the time `ttl`.
pub fn put(
    session: &SessionId,
    join_attempt: &JoinAttempt,
    nonce: &str,
    ttl: SignedDuration,
) -> Action {
    let mut item = encode(join_attempt);
    let ttl = join_attempt.at.saturating_add(ttl).unwrap_or(join_attempt.at);
    item.insert(attr::TTL.to_owned(), number(ttl.as_second()));
    Action::put(
        ItemKey::JoinAttempt { session, at: join_attempt.at, nonce },
        item,
        Condition::new(),
    )
}

/// Notes that a session has join attempts of the UTC day of `at`. One note is written per session, day and function
/// instance, so that the list of a day needs no index and most join attempts cost no other write.
pub fn put_attempt_day(session: &SessionId, at: Timestamp, ttl: SignedDuration) -> Action {
    let day = utc_day(at);
    let kept = ttl.saturating_add(SignedDuration::from_hours(24));
    let until = at.saturating_add(kept).unwrap_or(at);
    let item = Item::from([(attr::TTL.to_owned(), number(until.as_second()))]);
    Action::put(ItemKey::AttemptDay { day: &day, session }, item, Condition::new())
}

impl Store {
    /// Returns sessions with join attempts of a UTC day in the order of their ids, after a session.
    pub async fn sessions_with_attempts(
        &self,
        day: &str,
        after: Option<&SessionId>,
        limit: usize,
    ) -> Result<Vec<SessionId>, StoreError> {
        let range = KeyRange {
            pk: attempt_day_partition(day),
            after: after.map(|session| key_item(&ItemKey::AttemptDay { day, session })),
            limit: i32::try_from(limit).ok(),
            ..KeyRange::default()
        };
        let items = self.query(range).await?.items;
        let id = |item: &Item| SessionId::parse(item.get(attr::SK)?.as_s().ok()?);
        Ok(items.iter().filter_map(id).collect())
    }

    /// Returns the join attempts of a session, oldest first.
    pub async fn join_attempts(&self, session: &SessionId) -> Result<Vec<JoinAttempt>, StoreError> {
        let range = KeyRange {
            pk: session_partition(session),
            prefix: Some(JOIN_ATTEMPT_PREFIX.to_owned()),
            ..KeyRange::default()
        };
        Ok(decode_readable(self.query_all(range).await?).collect())
    }

    /// Returns the join attempts of an erased person, each with its deletion.
    pub async fn join_attempts_of_person(
        &self,
        session: &SessionId,
        person: &ErasureMarker,
    ) -> Result<Vec<(JoinAttempt, Action)>, StoreError> {
        let range = KeyRange {
            pk: session_partition(session),
            prefix: Some(JOIN_ATTEMPT_PREFIX.to_owned()),
            ..KeyRange::default()
        };
        let mut matching = Vec::new();
        for item in self.query_all(range).await? {
            let Some(delete) = Action::delete_item(&item) else { continue };
            let join_attempt: JoinAttempt = decode(item)?;
            if join_attempt.is_of_any(std::slice::from_ref(person)) {
                matching.push((join_attempt, delete));
            }
        }
        Ok(matching)
    }
}
