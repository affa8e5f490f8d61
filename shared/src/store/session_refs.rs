//! Pointers from the host platform's names to their sessions. A pointer is stored in the transaction that stores the session,
//! so that a name never refers to two sessions that are not cancelled.

use serde::{Deserialize, Serialize};

use super::error::StoreError;
use super::item::{decode, encode, unreadable};
use super::schema::{ItemKey, attr};
use super::sessions::SessionRecord;
use super::tx::{Action, Condition, number};
use super::{BatchItems, Store};
use crate::domain::directory::User;
use crate::domain::id::{ExternalRef, SessionId, UserId};
use crate::domain::session::Session;
use crate::domain::session_ref::SessionRef;

#[derive(Serialize, Deserialize)]
struct StoredSessionRef {
    session_id: SessionId,
    generation: u32,
}

/// The current session of a name.
#[derive(Clone, Debug)]
pub struct NamedSession {
    pub session_ref: SessionRef,
    pub record: SessionRecord,
}

/// Lets a name refer to a new session. Refused if the name refers to another session than the one before it.
pub fn put(session_ref: &SessionRef) -> Action {
    let SessionRef { name, generation } = session_ref;
    let stored = StoredSessionRef { session_id: session_ref.session_id(), generation: *generation };
    let condition = match *generation {
        SessionRef::FIRST_GENERATION => Condition::item_absent(),
        later => Condition::new().equals(attr::GENERATION, number(later - 1)),
    };
    Action::put(ItemKey::SessionRef(name), encode(&stored), condition)
}

impl Store {
    /// Returns the current session of a name, in one request unless an earlier session of the name was cancelled.
    pub async fn named_session(
        &self,
        name: &ExternalRef,
    ) -> Result<Option<NamedSession>, StoreError> {
        let first = SessionRef::first(name).session_id();
        let keys = [ItemKey::SessionRef(name), ItemKey::Session(&first)];
        let mut found = self.batch_get(&keys).await?;
        self.take_named_session(name, &mut found).await
    }

    /// Returns the current session of a name, and the user who is to be its trainer.
    pub async fn named_session_and_trainer(
        &self,
        name: &ExternalRef,
        trainer: &UserId,
    ) -> Result<(Option<NamedSession>, Option<User>), StoreError> {
        let first = SessionRef::first(name).session_id();
        let keys = [ItemKey::SessionRef(name), ItemKey::Session(&first), ItemKey::User(trainer)];
        let mut found = self.batch_get(&keys).await?;
        let user = found.user(trainer)?;
        Ok((self.take_named_session(name, &mut found).await?, user))
    }

    async fn take_named_session(
        &self,
        name: &ExternalRef,
        found: &mut BatchItems,
    ) -> Result<Option<NamedSession>, StoreError> {
        let first = SessionRef::first(name).session_id();
        let key = ItemKey::SessionRef(name);
        let Some(pointer) = found.take(key) else { return Ok(None) };
        let StoredSessionRef { session_id, generation } = decode(pointer)?;
        let record = match found.session(&first)? {
            Some(record) if session_id == first => record,
            // The batch may have read the session before it was stored, and the pointer afterwards.
            _ => {
                let mut found = self.batch_get(&[ItemKey::Session(&session_id)]).await?;
                let missing = || unreadable(key.pk(), "the session of the name does not exist");
                found.session(&session_id)?.ok_or_else(missing)?
            }
        };
        let session_ref = SessionRef { name: name.clone(), generation };
        Ok(Some(NamedSession { session_ref, record }))
    }

    /// Returns the sessions that had a name, newest first and at most `limit`. Unreadable ones are left out.
    pub async fn sessions_of_name(
        &self,
        name: &ExternalRef,
        limit: u32,
    ) -> Result<Vec<Session>, StoreError> {
        let key = ItemKey::SessionRef(name);
        let Some(pointer) = self.batch_get(&[key]).await?.take(key) else { return Ok(Vec::new()) };
        let StoredSessionRef { generation: newest, .. } = decode(pointer)?;
        let generations = (SessionRef::FIRST_GENERATION..=newest).rev().take(limit as usize);
        let ids: Vec<_> = generations
            .map(|generation| SessionRef { name: name.clone(), generation }.session_id())
            .collect();
        let mut found = self.sessions_by_id(&ids).await?.found;
        Ok(ids.iter().filter_map(|id| found.remove(id)).collect())
    }
}
