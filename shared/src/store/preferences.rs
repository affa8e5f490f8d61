//! What each person wants to be told of.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::Store;
use super::error::StoreError;
use super::item::{decode, encode};
use super::schema::ItemKey;
use super::tx::{Action, Guard, Item};
use crate::domain::id::UserId;
use crate::domain::preferences::{NotificationChannels, Preferences};
use crate::domain::text::Email;

#[derive(Serialize, Deserialize)]
struct Stored {
    #[serde(default)]
    live_session: StoredChannels,
    /// The address by which they are found, too, since they said what they want.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    email: Option<Email>,
}

#[derive(Serialize, Deserialize)]
struct StoredChannels {
    #[serde(default = "on")]
    in_app: bool,
    #[serde(default = "on")]
    email: bool,
}

fn on() -> bool {
    true
}

impl Default for StoredChannels {
    fn default() -> Self {
        NotificationChannels::default().into()
    }
}

impl From<NotificationChannels> for StoredChannels {
    fn from(NotificationChannels { in_app, email }: NotificationChannels) -> Self {
        Self { in_app, email }
    }
}

fn read(item: Item) -> Result<Preferences, StoreError> {
    let StoredChannels { in_app, email } = decode::<Stored>(item)?.live_session;
    Ok(Preferences { live_session: NotificationChannels { in_app, email } })
}

pub fn put(user: &UserId, preferences: &Preferences, verified: Option<&Email>) -> Action {
    let stored = Stored { live_session: preferences.live_session.into(), email: verified.cloned() };
    Action::put(ItemKey::Preferences(user), encode(&stored), Guard::new())
}

pub fn delete(user: &UserId) -> Action {
    Action::delete(ItemKey::Preferences(user), Guard::new())
}

impl Store {
    /// The address that a person had when they last said what they want.
    pub async fn address_with_preferences(
        &self,
        user: &UserId,
    ) -> Result<Option<Email>, StoreError> {
        let item = self.get(ItemKey::Preferences(user)).await?;
        Ok(item.map(decode::<Stored>).transpose()?.and_then(|stored| stored.email))
    }

    pub async fn preferences_of(&self, user: &UserId) -> Result<Preferences, StoreError> {
        let item = self.get(ItemKey::Preferences(user)).await?;
        Ok(item.map(read).transpose()?.unwrap_or_default())
    }

    /// What each of `users` wants, one request for a hundred of them. Everybody asked for is in the answer.
    pub async fn preferences(
        &self,
        users: &[UserId],
    ) -> Result<BTreeMap<UserId, Preferences>, StoreError> {
        let users: BTreeSet<_> = users.iter().collect();
        let keys: Vec<_> = users.iter().map(|user| ItemKey::Preferences(user)).collect();
        let mut found = self.batch_get(&keys).await?;
        let mut all = BTreeMap::new();
        for user in users {
            let stored = found.take(ItemKey::Preferences(user)).map(read).transpose()?;
            all.insert(user.clone(), stored.unwrap_or_default());
        }
        Ok(all)
    }
}
