//! Checks a record's references to records that the directory may not have.

use std::collections::BTreeSet;

use crate::app::Services;
use crate::app::error::Error;
use crate::domain::directory::DirectoryCommand;
use crate::domain::import_references::{ImportReferences, ImportWarning, Referenced};
use crate::domain::plan::PlatformSettings;
use crate::domain::refusal::Refusal;
use crate::store::schema::ItemKey;

/// Refuses a user with a plan that the settings do not have. An import warns instead, because its settings may come later,
/// and events arrive in any order.
pub async fn check_plan(services: &Services, command: &DirectoryCommand) -> Result<(), Error> {
    let DirectoryCommand::SaveUser { user, .. } = command else { return Ok(()) };
    let Some(plan) = &user.plan else { return Ok(()) };
    match services.store.settings().await?.has_plan(plan) {
        true => Ok(()),
        false => Err(Refusal::field("plan", "is not one of the plans in the settings").into()),
    }
}

/// Returns the warnings about an import after its lines were applied.
pub(super) async fn import_warnings(
    services: &Services,
    references: &ImportReferences,
) -> Result<Vec<ImportWarning>, Error> {
    let store = &services.store;
    let unresolved: Vec<_> = references.unresolved().into_iter().collect();
    let keys: Vec<_> = unresolved.iter().filter_map(|to| item_key(to)).collect();
    let missing: BTreeSet<_> = store.missing_items(&keys).await?.into_iter().collect();
    let is_missing =
        |to: &&Referenced| item_key(to).is_some_and(|key| missing.contains(&(key.pk(), key.sk())));
    let missing = unresolved.into_iter().filter(is_missing).collect();
    let settings = match references.needs_settings() {
        true => store.settings().await?,
        false => PlatformSettings::default(),
    };
    Ok(references.warnings(&missing, &settings))
}

fn item_key(to: &Referenced) -> Option<ItemKey<'_>> {
    match to {
        Referenced::Course(id) => Some(ItemKey::Course(id)),
        Referenced::User(id) => Some(ItemKey::User(id)),
        Referenced::Plan(_) => None,
    }
}
