//! The stored form of a trainer's defaults for sessions. It is a part of the user, and of the intent of a creation.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};

use super::item::or_default;
use crate::domain::sealed::Sealed;
use crate::domain::session::Provider;
use crate::domain::session_defaults::SessionDefaults;
use crate::domain::settings::MeetingSettings;

/// A value of a newer version is left out, so that the field has no default.
#[derive(Default, Serialize, Deserialize)]
struct StoredDefaults {
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "Option::is_none")]
    provider: Option<Provider>,
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "Option::is_none")]
    record_session: Option<bool>,
    #[serde(
        default,
        deserialize_with = "stored_settings",
        skip_serializing_if = "Option::is_none"
    )]
    settings: Option<MeetingSettings>,
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "Option::is_none")]
    join_url: Option<Sealed>,
}

fn stored_settings<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<MeetingSettings>, D::Error> {
    let stored: Option<Map<String, Value>> = or_default(deserializer)?;
    Ok(stored.map(MeetingSettings::from_stored))
}

pub(super) fn is_empty(defaults: &SessionDefaults) -> bool {
    *defaults == SessionDefaults::default()
}

pub(super) fn serialize<S: Serializer>(
    defaults: &SessionDefaults,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let SessionDefaults { provider, record_session, settings, join_url } = defaults.clone();
    StoredDefaults { provider, record_session, settings, join_url }.serialize(serializer)
}

pub(super) fn deserialize<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<SessionDefaults, D::Error> {
    let StoredDefaults { provider, record_session, settings, join_url } = or_default(deserializer)?;
    Ok(SessionDefaults { provider, record_session, settings, join_url })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(stored: Value) -> SessionDefaults {
        deserialize(stored).unwrap()
    }

    #[test]
    fn default_of_a_newer_version_is_left_out() {
        let expected = SessionDefaults {
            provider: Some(Provider::Manual),
            record_session: Some(true),
            settings: Some(MeetingSettings { waiting_room: Some(true), ..Default::default() }),
            join_url: Some(Sealed::from_stored("v1.k.x")),
        };
        let stored = serialize(&expected, serde_json::value::Serializer).unwrap();
        assert_eq!(read(stored.clone()), expected);
        let mut newer = stored.clone();
        newer["language"] = json!("de");
        newer["settings"]["hologram"] = json!({"on": true});
        assert_eq!(read(newer), expected);
        for (field, value) in [
            ("provider", json!("theatre")),
            ("record_session", json!("audio")),
            ("settings", json!(["waiting_room"])),
            ("join_url", json!({"room": 1})),
        ] {
            let (mut newer, mut without) = (stored.clone(), stored.clone());
            newer[field] = value;
            without.as_object_mut().unwrap().remove(field);
            assert_eq!(read(newer), read(without), "{field}");
        }
        for without_default in [json!({}), json!("of tomorrow")] {
            assert!(is_empty(&read(without_default)));
        }
    }
}
