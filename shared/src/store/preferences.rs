//! Notification preferences.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use serde::{Deserialize, Serialize};

use super::Store;
use super::error::StoreError;
use super::item::{decode, encode};
use super::schema::ItemKey;
use super::tx::{Action, Condition, Item};
use crate::domain::id::UserId;
use crate::domain::preferences::{NotificationChannels, Preferences};
use crate::domain::text::Email;

#[derive(Serialize, Deserialize)]
struct StoredPreferences {
    #[serde(default)]
    live_session: StoredChannels,
    /// The verified address with which the preferences were saved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    email: Option<Email>,
}

#[derive(Serialize, Deserialize)]
struct StoredChannels {
    #[serde(default = "enabled")]
    in_app: bool,
    #[serde(default = "enabled")]
    email: bool,
}

fn enabled() -> bool {
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

/// Decodes preferences. Unreadable ones may contain an opt-out, so no mail is sent then.
fn decode_preferences(item: Item) -> Preferences {
    let live_session = match decode::<StoredPreferences>(item) {
        Ok(StoredPreferences { live_session: StoredChannels { in_app, email }, .. }) => {
            NotificationChannels { in_app, email }
        }
        Err(_) => NotificationChannels { in_app: true, email: false },
    };
    Preferences { live_session }
}

pub fn put(user: &UserId, preferences: &Preferences, verified: Option<&Email>) -> Action {
    let stored = StoredPreferences {
        live_session: preferences.live_session.into(),
        email: verified.cloned(),
    };
    Action::put(ItemKey::Preferences(user), encode(&stored), Condition::new())
}

pub fn delete(user: &UserId) -> Action {
    Action::delete(ItemKey::Preferences(user), Condition::new())
}

impl Store {
    /// Returns the verified address with which a user last saved preferences.
    pub async fn email_of_preferences(&self, user: &UserId) -> Result<Option<Email>, StoreError> {
        let item = self.get(ItemKey::Preferences(user)).await?;
        // New preferences replace unreadable ones.
        let stored = item.and_then(|item| decode::<StoredPreferences>(item).ok());
        Ok(stored.and_then(|stored| stored.email))
    }

    pub async fn preferences_of(&self, user: &UserId) -> Result<Preferences, StoreError> {
        let item = self.get(ItemKey::Preferences(user)).await?;
        Ok(item.map(decode_preferences).unwrap_or_default())
    }

    /// Returns those of `users` without mails, a hundred per request. Eventually consistent.
    pub async fn users_without_mails(
        &self,
        users: &[UserId],
    ) -> Result<HashSet<UserId>, StoreError> {
        let keys: Vec<_> = users.iter().map(ItemKey::Preferences).collect();
        let mut found = self.batch_get_eventually_consistent(&keys).await?;
        let mut without = HashSet::new();
        for user in users {
            let stored = found.take(ItemKey::Preferences(user)).map(decode_preferences);
            if stored.is_some_and(|stored| !stored.live_session.email) {
                without.insert(user.clone());
            }
        }
        Ok(without)
    }

    /// Returns the preferences of each of `users`, with defaults, a hundred per request.
    pub async fn preferences(
        &self,
        users: &[UserId],
    ) -> Result<BTreeMap<UserId, Preferences>, StoreError> {
        let users: BTreeSet<_> = users.iter().collect();
        let keys: Vec<_> = users.iter().map(|user| ItemKey::Preferences(user)).collect();
        let mut found = self.batch_get(&keys).await?;
        let mut all = BTreeMap::new();
        for user in users {
            let stored = found.take(ItemKey::Preferences(user)).map(decode_preferences);
            all.insert(user.clone(), stored.unwrap_or_default());
        }
        Ok(all)
    }
}
