//! Who clicked start or join, when, and what came of it.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::error::StoreError;
use super::item::{decode, encode};
use super::schema::{CLICK_PREFIX, ItemKey, attr, limit, session_partition};
use super::tx::{Action, Guard, number};
use super::{KeyRange, Store};
use crate::domain::id::{SessionId, UserId};
use crate::domain::text::{Email, PersonName};

/// One click of somebody who may come in, and how it ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JoinAttempt {
    pub at: Timestamp,
    pub user_id: UserId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<Email>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<PersonName>,
    pub host: bool,
    /// [`ADMITTED`], or the code of the refusal.
    pub outcome: String,
    /// What Zoom's events will name the person by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub customer_key: Option<String>,
}

/// What came of a click that let somebody in.
pub const ADMITTED: &str = "admitted";

impl JoinAttempt {
    pub fn is_admitted(&self) -> bool {
        self.outcome == ADMITTED
    }
}

pub fn put(session: &SessionId, click: &JoinAttempt, nonce: &str) -> Action {
    let mut item = encode(click);
    let ttl = click
        .at
        .saturating_add(SignedDuration::from_hours(24 * limit::CLICK_TTL_DAYS))
        .unwrap_or(click.at);
    item.insert(attr::TTL.to_owned(), number(ttl.as_second()));
    Action::put(ItemKey::JoinAttempt { session, at: click.at, nonce }, item, Guard::new())
}

impl Store {
    /// Every click on a class, oldest first.
    pub async fn join_attempts(&self, session: &SessionId) -> Result<Vec<JoinAttempt>, StoreError> {
        let range = KeyRange {
            pk: session_partition(session),
            prefix: Some(CLICK_PREFIX.to_owned()),
            ..KeyRange::default()
        };
        self.query_all(range).await?.into_iter().map(decode).collect()
    }

    /// The clicks of somebody, by their id or by one of their addresses, each with what deletes it.
    pub async fn clicks_of(
        &self,
        session: &SessionId,
        user: &UserId,
        addresses: &[Email],
    ) -> Result<Vec<(JoinAttempt, Action)>, StoreError> {
        let range = KeyRange {
            pk: session_partition(session),
            prefix: Some(CLICK_PREFIX.to_owned()),
            ..KeyRange::default()
        };
        let mut theirs = Vec::new();
        for item in self.query_all(range).await? {
            let Some(delete) = Action::delete_item(&item) else { continue };
            let click: JoinAttempt = decode(item)?;
            let is_theirs = click.user_id == *user
                || click.email.as_ref().is_some_and(|email| addresses.contains(email));
            if is_theirs {
                theirs.push((click, delete));
            }
        }
        Ok(theirs)
    }
}
