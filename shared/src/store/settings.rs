//! The platform's settings for live classes.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::error::StoreError;
use super::item::{decode, encode, or_default};
use super::schema::ItemKey;
use super::tx::{Action, Condition};
use super::{BatchItems, Store};
use crate::domain::id::UserId;
use crate::domain::plan::{LicenceShortage, OverlapReaction, PlanLimits, PlatformSettings};

#[derive(Serialize, Deserialize)]
struct StoredSettings {
    settings: StoredPlatformSettings,
}

/// The settings as they are stored. A request with an unknown setting is refused, but the item of a newer version is read
/// without it.
#[derive(Serialize, Deserialize)]
struct StoredPlatformSettings {
    #[serde(default = "enabled")]
    live_classes_enabled: bool,
    #[serde(default)]
    plans: BTreeMap<String, StoredPlanLimits>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pilot_trainer_ids: Option<Vec<UserId>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    licence_limit: Option<u32>,
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "Option::is_none")]
    licence_shortage: Option<LicenceShortage>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    host_capacity: Option<u32>,
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "Option::is_none")]
    overlap: Option<OverlapReaction>,
}

fn enabled() -> bool {
    true
}

#[derive(Serialize, Deserialize)]
struct StoredPlanLimits {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sessions_per_month: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    max_duration_minutes: Option<u16>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    max_invitees: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    recording: Option<bool>,
}

impl From<PlatformSettings> for StoredPlatformSettings {
    fn from(s: PlatformSettings) -> Self {
        Self {
            live_classes_enabled: s.live_classes_enabled,
            plans: s.plans.into_iter().map(|(name, plan)| (name, plan.into())).collect(),
            pilot_trainer_ids: s.pilot_trainer_ids,
            licence_limit: s.licence_limit,
            licence_shortage: s.licence_shortage,
            host_capacity: s.host_capacity,
            overlap: s.overlap,
        }
    }
}

impl From<StoredPlatformSettings> for PlatformSettings {
    fn from(s: StoredPlatformSettings) -> Self {
        Self {
            live_classes_enabled: s.live_classes_enabled,
            plans: s.plans.into_iter().map(|(name, plan)| (name, plan.into())).collect(),
            pilot_trainer_ids: s.pilot_trainer_ids,
            licence_limit: s.licence_limit,
            licence_shortage: s.licence_shortage,
            host_capacity: s.host_capacity,
            overlap: s.overlap,
        }
    }
}

impl From<PlanLimits> for StoredPlanLimits {
    fn from(s: PlanLimits) -> Self {
        let PlanLimits { sessions_per_month, max_duration_minutes, max_invitees, recording } = s;
        Self { sessions_per_month, max_duration_minutes, max_invitees, recording }
    }
}

impl From<StoredPlanLimits> for PlanLimits {
    fn from(s: StoredPlanLimits) -> Self {
        let StoredPlanLimits { sessions_per_month, max_duration_minutes, max_invitees, recording } =
            s;
        Self { sessions_per_month, max_duration_minutes, max_invitees, recording }
    }
}

pub fn put(settings: &PlatformSettings) -> Action {
    let stored = StoredSettings { settings: settings.clone().into() };
    Action::put(ItemKey::Settings, encode(&stored), Condition::new())
}

impl Store {
    pub async fn settings(&self) -> Result<PlatformSettings, StoreError> {
        let stored =
            self.get(ItemKey::Settings).await?.map(decode::<StoredSettings>).transpose()?;
        Ok(stored.map(|stored| stored.settings.into()).unwrap_or_default())
    }
}

impl BatchItems {
    pub(crate) fn settings(&mut self) -> Result<PlatformSettings, StoreError> {
        let stored = self.take(ItemKey::Settings).map(decode::<StoredSettings>).transpose()?;
        Ok(stored.map(|stored| stored.settings.into()).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn read(settings: Value) -> PlatformSettings {
        let item = serde_dynamo::aws_sdk_dynamodb_1::to_item(json!({ "settings": settings }));
        decode::<StoredSettings>(item.unwrap()).unwrap().settings.into()
    }

    #[test]
    fn settings_of_a_newer_version_are_read_without_their_unknown_parts() {
        let known = json!({"live_classes_enabled": false, "pilot_trainer_ids": ["ada"],
            "plans": {"free": {"sessions_per_month": 4, "max_duration_minutes": 60,
                "max_invitees": 20, "recording": false}, "pro": {}},
            "licence_limit": 3, "licence_shortage": "refuse", "host_capacity": 2,
            "overlap": "refuse"});
        let expected: PlatformSettings = serde_json::from_value(known.clone()).unwrap();
        let stored = encode(&StoredSettings { settings: expected.clone().into() });
        let stored: PlatformSettings = decode::<StoredSettings>(stored).unwrap().settings.into();
        assert_eq!(stored, expected);
        let mut newer = known;
        newer["quiet_hours"] = json!({"from": "22:00"});
        newer["plans"]["free"]["max_students"] = json!(30);
        assert!(serde_json::from_value::<PlatformSettings>(newer.clone()).is_err(), "a request");
        assert_eq!(read(newer.clone()), expected);
        newer["overlap"] = json!("ask");
        newer["licence_shortage"] = json!({"wait_minutes": 5});
        let without_words =
            PlatformSettings { overlap: None, licence_shortage: None, ..expected.clone() };
        assert_eq!(read(newer), without_words);
        assert_eq!(read(json!({})), PlatformSettings::default());
    }

    #[test]
    fn settings_with_an_unreadable_limit_are_not_replaced_by_the_default() {
        for damaged in [
            json!({"live_classes_enabled": "no"}),
            json!({"plans": {"free": {"sessions_per_month": "four"}}}),
            json!({"pilot_trainer_ids": "ada"}),
        ] {
            let item = json!({"pk": "SETTINGS", "sk": "SETTINGS", "settings": damaged});
            let item = serde_dynamo::aws_sdk_dynamodb_1::to_item(item).unwrap();
            assert!(decode::<StoredSettings>(item).is_err());
        }
    }
}
