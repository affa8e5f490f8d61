//! The fields of the secret. A missing or invalid field fails only the code that uses it.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::SecretsError;
use crate::config::ConfigError;
use crate::crypt::{KEY_BYTES, Keyring};
use crate::secret::Secret;

/// The names of the JSON fields.
pub mod fields {
    pub const ZOOM_CLIENT_ID: &str = "zoom_client_id";
    pub const ZOOM_CLIENT_SECRET: &str = "zoom_client_secret";
    pub const ZOOM_S2S: &str = "zoom_s2s";
    pub const ZOOM_SDK_KEY: &str = "zoom_sdk_key";
    pub const ZOOM_SDK_SECRET: &str = "zoom_sdk_secret";
    pub const ZOOM_WEBHOOK_SECRET_TOKEN: &str = "zoom_webhook_secret_token";
    pub const OAUTH_STATE_SECRET: &str = "oauth_state_secret";
    pub const TOKEN_ENCRYPTION_KEYS: &str = "token_encryption_keys";
    pub const AUTH_HS256_SECRET: &str = "auth_hs256_secret";
    pub const ZEPTOMAIL_TOKEN: &str = "zeptomail_token";

    pub const ALL: [&str; 10] = [
        ZOOM_CLIENT_ID,
        ZOOM_CLIENT_SECRET,
        ZOOM_S2S,
        ZOOM_SDK_KEY,
        ZOOM_SDK_SECRET,
        ZOOM_WEBHOOK_SECRET_TOKEN,
        OAUTH_STATE_SECRET,
        TOKEN_ENCRYPTION_KEYS,
        AUTH_HS256_SECRET,
        ZEPTOMAIL_TOKEN,
    ];
}

/// The most secrets of one list. Each signature is compared with all of them, and a rotation of two apps needs four.
const LIST_LIMIT: usize = 8;

type Field<T> = Result<T, ConfigError>;

/// One or several secrets for the same purpose, each of which verifies, so that a rotation refuses nobody.
#[derive(Debug)]
pub struct SecretList {
    secrets: Vec<Secret>,
    awaits_another: bool,
}

impl SecretList {
    pub fn all(&self) -> &[Secret] {
        &self.secrets
    }

    /// Returns whether another secret is announced. It may already sign before it is stored here.
    pub fn awaits_another(&self) -> bool {
        self.awaits_another
    }
}

/// The credentials of the server-to-server app in the platform's own Zoom account.
#[derive(Clone, Debug, Deserialize)]
pub struct AccountCredentials {
    pub account_id: String,
    pub client_id: String,
    pub client_secret: Secret,
}

/// A parsed secret.
#[derive(Debug)]
pub struct SecretSet {
    zoom_client_id: Field<Secret>,
    zoom_client_secret: Field<Secret>,
    zoom_account: Field<AccountCredentials>,
    zoom_sdk_key: Field<Secret>,
    zoom_sdk_secret: Field<Secret>,
    zoom_webhook_secrets: Field<SecretList>,
    oauth_state_secret: Field<Secret>,
    keyring: Field<Keyring>,
    auth_hs256_secrets: Field<SecretList>,
    zeptomail_token: Field<Secret>,
}

impl SecretSet {
    /// Parses the JSON. A deployment creates the secret empty, so an empty text has no fields.
    pub fn parse(json: &str) -> Result<Self, SecretsError> {
        let json = if json.trim().is_empty() { "{}" } else { json };
        // The message of serde_json would quote the content.
        let all: Map<String, Value> =
            serde_json::from_str(json).map_err(|error| SecretsError::Invalid {
                reason: format!(
                    "not a JSON object, at line {} column {}",
                    error.line(),
                    error.column()
                ),
            })?;
        Ok(Self {
            zoom_client_id: text(&all, fields::ZOOM_CLIENT_ID),
            zoom_client_secret: text(&all, fields::ZOOM_CLIENT_SECRET),
            zoom_account: account(&all),
            zoom_sdk_key: text(&all, fields::ZOOM_SDK_KEY),
            zoom_sdk_secret: text(&all, fields::ZOOM_SDK_SECRET),
            zoom_webhook_secrets: list(&all, fields::ZOOM_WEBHOOK_SECRET_TOKEN, true),
            oauth_state_secret: text(&all, fields::OAUTH_STATE_SECRET),
            keyring: keyring(&all),
            auth_hs256_secrets: list(&all, fields::AUTH_HS256_SECRET, false),
            zeptomail_token: text(&all, fields::ZEPTOMAIL_TOKEN),
        })
    }

    /// Returns the client id and client secret of the OAuth app.
    pub fn zoom_client(&self) -> Result<(&str, &Secret), ConfigError> {
        Ok((get(&self.zoom_client_id)?.expose(), get(&self.zoom_client_secret)?))
    }

    /// Returns the credentials of the platform's own Zoom account.
    pub fn zoom_account(&self) -> Result<&AccountCredentials, ConfigError> {
        get(&self.zoom_account)
    }

    /// Returns the key and secret of the Meeting SDK.
    pub fn zoom_sdk(&self) -> Result<(&str, &Secret), ConfigError> {
        Ok((get(&self.zoom_sdk_key)?.expose(), get(&self.zoom_sdk_secret)?))
    }

    /// Returns the secrets with which Zoom signs its webhooks.
    pub fn zoom_webhook_secrets(&self) -> Result<&SecretList, ConfigError> {
        get(&self.zoom_webhook_secrets)
    }

    /// Returns the secret with which we sign the OAuth `state`.
    pub fn oauth_state_secret(&self) -> Result<&Secret, ConfigError> {
        get(&self.oauth_state_secret)
    }

    pub fn keyring(&self) -> Result<&Keyring, ConfigError> {
        get(&self.keyring)
    }

    /// Returns the secrets with which the host platform signs its tokens if it has no JWKS. An invalid secret is an error
    /// instead of `None`, so that authentication never silently ignores it.
    pub fn auth_hs256(&self) -> Result<Option<&[Secret]>, ConfigError> {
        match get(&self.auth_hs256_secrets) {
            Ok(list) => Ok(Some(list.all())),
            Err(ConfigError::Missing { .. }) => Ok(None),
            Err(invalid) => Err(invalid),
        }
    }

    pub fn zeptomail_token(&self) -> Result<&Secret, ConfigError> {
        get(&self.zeptomail_token)
    }
}

fn get<T>(field: &Field<T>) -> Result<&T, ConfigError> {
    field.as_ref().map_err(Clone::clone)
}

/// An empty text and `null` count as absent.
fn text(all: &Map<String, Value>, name: &'static str) -> Field<Secret> {
    match all.get(name) {
        None | Some(Value::Null) => Err(ConfigError::Missing { name }),
        Some(Value::String(text)) if text.is_empty() => Err(ConfigError::Missing { name }),
        Some(Value::String(text)) => Ok(Secret::new(text)),
        Some(_) => Err(ConfigError::invalid(name, "it must be a string")),
    }
}

/// Reads a secret or a list of secrets. If `null` is allowed in the list, it announces another secret.
fn list(all: &Map<String, Value>, name: &'static str, allows_null: bool) -> Field<SecretList> {
    let Some(Value::Array(entries)) = all.get(name) else {
        let only = text(all, name)?;
        return Ok(SecretList { secrets: vec![only], awaits_another: false });
    };
    let is_valid = |entry: &Value| match entry {
        Value::String(text) => !text.is_empty(),
        Value::Null => allows_null,
        _ => false,
    };
    if entries.len() > LIST_LIMIT || !entries.iter().all(is_valid) {
        let reason = format!("it must be a string or a list of at most {LIST_LIMIT} strings");
        return Err(ConfigError::invalid(name, reason));
    }
    let secrets: Vec<_> = entries.iter().filter_map(Value::as_str).map(Secret::new).collect();
    if secrets.is_empty() {
        return Err(ConfigError::Missing { name });
    }
    Ok(SecretList { awaits_another: entries.iter().any(Value::is_null), secrets })
}

fn account(all: &Map<String, Value>) -> Field<AccountCredentials> {
    const NAME: &str = fields::ZOOM_S2S;
    let value = match all.get(NAME) {
        None | Some(Value::Null) => return Err(ConfigError::Missing { name: NAME }),
        Some(value) => value,
    };
    let credentials = AccountCredentials::deserialize(value).ok().filter(|credentials| {
        let AccountCredentials { account_id, client_id, client_secret } = credentials;
        ![account_id, client_id, client_secret.expose()].iter().any(|text| text.is_empty())
    });
    let reason = "it must be {account_id, client_id, client_secret}";
    credentials.ok_or_else(|| ConfigError::invalid(NAME, reason))
}

#[derive(Deserialize)]
struct Keys {
    current: String,
    keys: BTreeMap<String, String>,
}

fn keyring(all: &Map<String, Value>) -> Field<Keyring> {
    const NAME: &str = fields::TOKEN_ENCRYPTION_KEYS;
    let value = match all.get(NAME) {
        None | Some(Value::Null) => return Err(ConfigError::Missing { name: NAME }),
        Some(Value::String(text)) if text.is_empty() => {
            return Err(ConfigError::Missing { name: NAME });
        }
        Some(value) => value,
    };
    let Ok(Keys { current, keys }) = Keys::deserialize(value) else {
        return Err(ConfigError::invalid(NAME, "it must be {current, keys: {id: base64}}"));
    };
    if keys.is_empty() {
        return Err(ConfigError::Missing { name: NAME });
    }
    // Errors contain no id either, because an operator may have swapped key and id.
    let keys = keys.into_iter().map(|(id, text)| {
        let key =
            STANDARD.decode(text).ok().and_then(|bytes| <[u8; KEY_BYTES]>::try_from(bytes).ok());
        let key =
            key.ok_or_else(|| ConfigError::invalid(NAME, "each key must be base64 of 32 bytes"));
        Ok((id, key?))
    });
    Keyring::new(NAME, &current, keys.collect::<Result<Vec<_>, _>>()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

    fn parse(value: &Value) -> SecretSet {
        SecretSet::parse(&value.to_string()).unwrap()
    }

    fn exposed(secrets: &[Secret]) -> Vec<&str> {
        secrets.iter().map(Secret::expose).collect()
    }

    #[test]
    fn rotated_fields_are_strings_or_lists() {
        let parse_field = |name: &str, value: &Value| parse(&serde_json::json!({ name: value }));
        for (value, secrets, awaits_another) in [
            (serde_json::json!("a"), vec!["a"], false),
            (serde_json::json!(["a"]), vec!["a"], false),
            (serde_json::json!(["b", "a"]), vec!["b", "a"], false),
            (serde_json::json!(["a", null]), vec!["a"], true),
        ] {
            let set = parse_field(fields::ZOOM_WEBHOOK_SECRET_TOKEN, &value);
            let list = set.zoom_webhook_secrets().unwrap();
            assert_eq!(
                (exposed(list.all()), list.awaits_another()),
                (secrets.clone(), awaits_another)
            );
            let set = parse_field(fields::AUTH_HS256_SECRET, &value);
            // The platform chooses its own secrets, so it announces none.
            match awaits_another {
                false => assert_eq!(exposed(set.auth_hs256().unwrap().unwrap()), secrets),
                true => assert!(matches!(set.auth_hs256(), Err(ConfigError::Invalid { .. }))),
            }
        }
        let many: Vec<_> = (0..=LIST_LIMIT).map(|n| format!("hunter2-{n}")).collect();
        for value in [
            serde_json::json!(["hunter2", ""]),
            serde_json::json!(["hunter2", 7]),
            serde_json::json!([["hunter2"]]),
            serde_json::json!({"hunter2": 1}),
            serde_json::json!(many),
        ] {
            for name in [fields::ZOOM_WEBHOOK_SECRET_TOKEN, fields::AUTH_HS256_SECRET] {
                let set = parse_field(name, &value);
                let error = match name {
                    fields::AUTH_HS256_SECRET => set.auth_hs256().unwrap_err(),
                    _ => set.zoom_webhook_secrets().unwrap_err(),
                };
                assert!(matches!(error, ConfigError::Invalid { .. }), "{value}");
                assert!(!format!("{error} {set:?}").contains("hunter2"), "{error}");
            }
        }
        for value in [serde_json::json!([]), serde_json::json!([null])] {
            let set = parse_field(fields::ZOOM_WEBHOOK_SECRET_TOKEN, &value);
            let error = set.zoom_webhook_secrets().unwrap_err();
            assert!(matches!(error, ConfigError::Missing { .. }), "{value}");
        }
    }

    #[test]
    fn every_field_is_returned_by_its_accessor() {
        let set = parse(&serde_json::json!({
            "zoom_client_id": "a", "zoom_client_secret": "b", "zoom_sdk_key": "c", "zoom_sdk_secret": "d",
            "zoom_webhook_secret_token": "e", "oauth_state_secret": "f",
            "token_encryption_keys": {"current": "k1", "keys": {"k1": KEY}},
            "auth_hs256_secret": "g", "zeptomail_token": "h", "a field of tomorrow": 1,
        }));
        assert_eq!(set.zoom_client().map(|(id, key)| (id, key.expose())), Ok(("a", "b")));
        assert_eq!(set.zoom_sdk().map(|(id, key)| (id, key.expose())), Ok(("c", "d")));
        assert_eq!(exposed(set.zoom_webhook_secrets().unwrap().all()), ["e"]);
        assert_eq!(set.oauth_state_secret().map(Secret::expose), Ok("f"));
        assert!(set.keyring().is_ok());
        assert_eq!(exposed(set.auth_hs256().unwrap().unwrap()), ["g"]);
        assert_eq!(set.zeptomail_token().map(Secret::expose), Ok("h"));
    }

    #[test]
    fn empty_secret_parses_and_accessors_name_the_missing_field() {
        for json in ["", " \n", "{}", r#"{"zoom_client_id":"","zoom_sdk_key":null}"#] {
            let set = SecretSet::parse(json).unwrap();
            let missing = |name| ConfigError::Missing { name };
            assert_eq!(set.zoom_client(), Err(missing(fields::ZOOM_CLIENT_ID)));
            assert_eq!(set.zoom_sdk(), Err(missing(fields::ZOOM_SDK_KEY)));
            assert_eq!(
                set.zoom_webhook_secrets().unwrap_err(),
                missing(fields::ZOOM_WEBHOOK_SECRET_TOKEN)
            );
            assert_eq!(set.oauth_state_secret(), Err(missing(fields::OAUTH_STATE_SECRET)));
            assert_eq!(set.keyring().unwrap_err(), missing(fields::TOKEN_ENCRYPTION_KEYS));
            assert_eq!(set.zeptomail_token(), Err(missing(fields::ZEPTOMAIL_TOKEN)));
            assert_eq!(set.auth_hs256(), Ok(None));
        }
        let set = SecretSet::parse(r#"{"zoom_client_id":"a"}"#).unwrap();
        assert_eq!(set.zoom_client().unwrap_err().name(), fields::ZOOM_CLIENT_SECRET);
    }

    #[test]
    fn invalid_field_is_named_without_its_value() {
        let wrong = [
            serde_json::json!("hunter2"),
            serde_json::json!({"current": "k1"}),
            serde_json::json!({"current": "k1", "keys": {"k1": "hunter2"}}),
            serde_json::json!({"current": "k1", "keys": {"k1": "aHVudGVyMg=="}}),
            serde_json::json!({"current": "k1", "keys": {"hunter2": "k1"}}),
            serde_json::json!({"current": "k1", "keys": {"hunter2=": KEY}}),
            serde_json::json!({"current": "k2", "keys": {"k1": KEY}}),
        ];
        for keys in wrong {
            let set = parse(&serde_json::json!({
                "token_encryption_keys": keys, "zoom_sdk_key": {"hunter2": 1}, "oauth_state_secret": "f",
            }));
            for error in [set.keyring().unwrap_err(), set.zoom_sdk().unwrap_err()] {
                assert!(matches!(error, ConfigError::Invalid { .. }), "{error}");
                assert!(!error.to_string().contains("hunter2"), "{error}");
            }
            assert!(set.oauth_state_secret().is_ok());
            assert!(!format!("{set:?}").contains("hunter2"));
        }
    }

    #[test]
    fn error_of_invalid_json_does_not_quote_the_secret() {
        for json in ["hunter2", "\"hunter2\"", "[\"hunter2\"]", "{\"a\": hunter2}"] {
            let error = SecretSet::parse(json).unwrap_err();
            assert!(!format!("{error} {error:?}").contains("hunter2"), "{error}");
        }
    }
}
