//! Configuration of the functions in the local stack. The values are fixed so that anyone can sign a webhook or verify
//! a signature.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use shared::config::names;
use shared::secrets::fields;

use simulated_aws::names::Names;
use simulated_aws::template::{Template, TemplateError};
use simulated_zoom::{AccountSettingsUpdate, SettingsUpdate, UserRulesUpdate};

/// The secret's name in Secrets Manager.
pub const SECRET_ID: &str = "live-classes/config";
pub const ZOOM_CLIENT_ID: &str = "local-zoom-client";
pub const ZOOM_CLIENT_SECRET: &str = "local-zoom-client-secret";
pub const ZOOM_SERVER_CLIENT_ID: &str = "local-zoom-server-client";
pub const ZOOM_SERVER_CLIENT_SECRET: &str = "local-zoom-server-client-secret";
pub const WEBHOOK_SECRET: &str = "local-webhook-secret-token";
pub const ZEPTOMAIL_TOKEN: &str = "local-zeptomail-token";
const MAIL_FROM: &str = "Live Classes <classes@example.test>";
/// The Zoom account that owns the app. The Server-to-Server app acts for it.
pub const APP_ACCOUNT_ID: &str = "local-app-account";
/// The domain of the account's users, and the number of their licences.
const MANAGED_DOMAIN: &str = "example.test";
const LICENCES: usize = 3;

/// Returns the first settings of the Zoom account that the app belongs to.
pub fn zoom_account(account_id: &str) -> SettingsUpdate {
    let users = UserRulesUpdate {
        managed_domains: Some([MANAGED_DOMAIN.to_owned()].into()),
        ..UserRulesUpdate::default()
    };
    let account = AccountSettingsUpdate {
        licenses: Some(Some(LICENCES)),
        users,
        ..AccountSettingsUpdate::default()
    };
    SettingsUpdate {
        accounts: [(account_id.to_owned(), account)].into(),
        ..SettingsUpdate::default()
    }
}

/// The variables that name resources of the stack, with their ids in the template.
const RESOURCES: [(&str, &str); 8] = [
    (names::TABLE_NAME, "MainTable"),
    (names::TOKENS_TABLE_NAME, "TokensTable"),
    (names::OUTBOX_QUEUE_URL, "OutboxQueue"),
    (names::OUTBOX_BULK_QUEUE_URL, "OutboxBulkQueue"),
    (names::OUTBOX_DLQ_URL, "OutboxDeadLetterQueue"),
    (names::PAYMENTS_QUEUE_URL, "PaymentsQueue"),
    (names::CONFIG_SECRET_ID, "ConfigSecret"),
    (names::MAIL_CONFIGURATION_SET, "MailConfigurationSet"),
];

/// Returns the names of the resources. A changed variable changes the name, so that the functions find the resource.
pub fn resource_names(changes: &[(String, String)]) -> Names {
    let changed = RESOURCES.iter().filter_map(|(variable, id)| {
        let value = self::variable(changes, variable)?;
        let is_url = value.contains("://");
        Some((*id, if is_url { value.rsplit('/').next().unwrap_or(value) } else { value }))
    });
    Names::new([("ConfigSecret", SECRET_ID)].into_iter().chain(changed))
}

/// Returns the name of the queue that has this id in the template.
pub fn queue_name<'a>(environment: &'a [(String, String)], id: &'a str) -> &'a str {
    let known = RESOURCES.iter().find(|(_, known)| *known == id);
    let url = known.and_then(|(name, _)| variable(environment, name));
    url.and_then(|url| url.rsplit('/').next()).unwrap_or(id)
}

/// Returns the changes of the variables that name resources.
pub fn resource_changes(changes: &[(String, String)]) -> Vec<(String, String)> {
    let is_resource = |name: &str| RESOURCES.iter().any(|(variable, _)| *variable == name);
    let of_resources = |(name, value): &&(String, String)| is_resource(name) && !value.is_empty();
    changes.iter().filter(of_resources).cloned().collect()
}

/// Returns the value of a variable. An empty one counts as missing.
pub fn variable<'a>(environment: &'a [(String, String)], name: &str) -> Option<&'a str> {
    let last = environment.iter().rfind(|(known, _)| known == name);
    last.map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
}

/// Returns the domain of the mail sender, which is verified in the emulated SES.
pub fn mail_domain(changes: &[(String, String)]) -> &str {
    let sender = variable(changes, names::MAIL_FROM).unwrap_or(MAIL_FROM);
    sender.rsplit('@').next().unwrap_or_default().trim_end_matches('>')
}

/// Returns the environment of every function. The URLs depend on the user's port.
pub fn environment(
    base_url: &str,
    queue_url: &str,
    bulk_queue_url: &str,
    dead_letter_queue_url: &str,
    payments_queue_url: &str,
) -> Vec<(&'static str, String)> {
    let fixed = |name, value: &str| (name, value.to_owned());
    vec![
        fixed(names::TABLE_NAME, "MainTable"),
        fixed(names::TOKENS_TABLE_NAME, "TokensTable"),
        fixed(names::OUTBOX_QUEUE_URL, queue_url),
        fixed(names::OUTBOX_BULK_QUEUE_URL, bulk_queue_url),
        fixed(names::OUTBOX_DLQ_URL, dead_letter_queue_url),
        fixed(names::PAYMENTS_QUEUE_URL, payments_queue_url),
        fixed(names::CONFIG_SECRET_ID, SECRET_ID),
        (names::ZOOM_API_BASE_URL, format!("{base_url}/zoom/v2")),
        (names::ZOOM_OAUTH_BASE_URL, format!("{base_url}/zoom/oauth")),
        (names::ZOOM_REDIRECT_URIS, format!("{base_url}/callback")),
        fixed(names::MAIL_PROVIDER, "ses"),
        fixed(names::MAIL_RATE_PER_SECOND, "500"),
        fixed(names::MAIL_FROM, MAIL_FROM),
        fixed(names::MAIL_CONFIGURATION_SET, "MailConfigurationSet"),
        (
            names::ZEPTOMAIL_API_URL,
            format!("{base_url}{}", simulated_aws::calls::ZEPTOMAIL_SEND_PATH),
        ),
        fixed(names::AUTH_ISSUER, base_url),
        fixed(names::AUTH_AUDIENCE, crate::issuer::AUDIENCE),
        (names::AUTH_JWKS_URL, format!("{base_url}{}", crate::issuer::JWKS_PATH)),
        fixed(names::AUTH_ROLE_CLAIM, "role"),
        fixed(names::BRAND_NAME, "Live Classes"),
        fixed(names::APP_URL, base_url),
        fixed(names::DEFAULT_TIMEZONE, "Europe/Berlin"),
        fixed(names::DISCLAIMER, "Classes may be recorded."),
        fixed(names::LOG_LEVEL, "info"),
        fixed(names::ZOOM_APP_ACCOUNT_ID, APP_ACCOUNT_ID),
        fixed(names::ZOOM_HOSTING, "both"),
        (names::AWS_ENDPOINT_URL, format!("{base_url}{}", simulated_aws::calls::AWS_PATH)),
        fixed(names::AWS_REGION, simulated_aws::names::REGION),
        fixed(names::AWS_ACCESS_KEY_ID, "local"),
        fixed(names::AWS_SECRET_ACCESS_KEY, "local"),
    ]
}

/// A setting that cannot be applied. A misspelt name is an error because it would have no effect.
#[derive(Debug, thiserror::Error)]
pub enum SettingError {
    #[error("no function reads the variable {0}")]
    UnknownVariable(String),
    #[error("the value of {name} is not JSON: {source}")]
    Json { name: String, source: serde_json::Error },
    #[error(transparent)]
    Template(#[from] TemplateError),
}

/// Returns the environment with some variables replaced or added.
pub fn with_overrides(
    environment: Vec<(impl Into<String>, String)>,
    changes: Vec<(String, String)>,
) -> Result<Vec<(String, String)>, SettingError> {
    let template = Template::parse(simulated_aws::template::TEMPLATE)?;
    let known: BTreeSet<_> = template.function_variables().flat_map(|(_, names)| names).collect();
    let mut changed: BTreeMap<String, String> =
        environment.into_iter().map(|(name, value)| (name.into(), value)).collect();
    for (name, value) in changes {
        if !changed.contains_key(&name) && !known.contains(name.as_str()) {
            return Err(SettingError::UnknownVariable(name));
        }
        changed.insert(name, value);
    }
    Ok(changed.into_iter().collect())
}

/// Separates changes of variables from changes of the secret's fields.
pub fn split_changes(
    changes: Vec<(String, String)>,
) -> Result<(Vec<(String, String)>, SecretChanges), SettingError> {
    let (fields, variables): (Vec<_>, Vec<_>) =
        changes.into_iter().partition(|(name, _)| fields::ALL.contains(&name.as_str()));
    let fields = fields.into_iter().map(|(name, value)| {
        let value = secret_value(&value);
        let value = value.map_err(|source| SettingError::Json { name: name.clone(), source })?;
        Ok((name, value))
    });
    Ok((variables, SecretChanges(fields.collect::<Result<_, SettingError>>()?)))
}

/// Parses a list or an object as JSON. Any other text is the value itself, and an empty one removes the field.
fn secret_value(text: &str) -> Result<Option<Value>, serde_json::Error> {
    match text.trim_start().as_bytes().first() {
        None => Ok(None),
        Some(b'[' | b'{') => serde_json::from_str(text).map(Some),
        Some(_) => Ok(Some(Value::from(text))),
    }
}

/// New values of the secret's fields. `None` removes a field.
#[derive(Clone, Debug, Default)]
pub struct SecretChanges(BTreeMap<String, Option<Value>>);

impl SecretChanges {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Applies the changes to a secret.
    pub fn apply(&self, mut secret: Value) -> Value {
        if let Some(fields) = secret.as_object_mut() {
            fields.retain(|name, _| !self.0.contains_key(name));
            let added =
                self.0.iter().filter_map(|(name, value)| Some((name.clone(), value.clone()?)));
            fields.extend(added);
        }
        secret
    }
}

/// Returns the secret with which the simulated Zoom signs: the first one that the functions accept.
pub fn webhook_secret(secret: &Value) -> String {
    webhook_secrets(secret).next().unwrap_or_default().to_owned()
}

/// Returns the webhook secret of the Server-to-Server app: the second one that the functions accept, or else the first.
pub fn server_app_webhook_secret(secret: &Value) -> String {
    webhook_secrets(secret).take(2).last().unwrap_or_default().to_owned()
}

fn webhook_secrets(secret: &Value) -> impl Iterator<Item = &str> {
    let field = &secret[fields::ZOOM_WEBHOOK_SECRET_TOKEN];
    let list = field.as_array().map_or(std::slice::from_ref(field), Vec::as_slice);
    list.iter().filter_map(Value::as_str)
}

/// Returns the content of the configuration secret.
pub fn secrets() -> Value {
    json!({
        "zoom_client_id": ZOOM_CLIENT_ID,
        "zoom_client_secret": ZOOM_CLIENT_SECRET,
        "zoom_s2s": {
            "account_id": APP_ACCOUNT_ID,
            "client_id": ZOOM_SERVER_CLIENT_ID,
            "client_secret": ZOOM_SERVER_CLIENT_SECRET,
        },
        "zoom_sdk_key": "local-sdk-key",
        "zoom_sdk_secret": "local-sdk-secret-of-at-least-32-bytes",
        "zoom_webhook_secret_token": WEBHOOK_SECRET,
        "oauth_state_secret": "local-oauth-state-secret-0123456789",
        "token_encryption_keys": {
            "current": "local-1",
            "keys": {"local-1": "UEChmi8ODBbJJtLHlQewokDIpPKemViuq7DekM/owZA="},
        },
        "zeptomail_token": ZEPTOMAIL_TOKEN,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_override(name: &str, value: &str) -> Result<Vec<(String, String)>, SettingError> {
        with_overrides(
            environment("base", "queue", "bulk", "dead", "payments"),
            vec![(name.to_owned(), value.to_owned())],
        )
    }

    #[test]
    fn override_replaces_or_adds_a_variable() {
        let variable = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let changed = with_override(names::MAIL_PROVIDER, "zeptomail").unwrap();
        assert!(changed.contains(&variable(names::MAIL_PROVIDER, "zeptomail")));
        assert_eq!(changed.len(), environment("base", "queue", "bulk", "dead", "payments").len());
        assert!(
            with_override(names::JOIN_MODE, "link")
                .unwrap()
                .contains(&variable(names::JOIN_MODE, "link"))
        );
    }

    #[test]
    fn secret_field_is_text_or_json() {
        let change = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let (variables, secret) = split_changes(vec![
            change(names::JOIN_MODE, "link"),
            change(fields::ZOOM_WEBHOOK_SECRET_TOKEN, r#"["new", "old", null]"#),
            change(fields::AUTH_HS256_SECRET, "text"),
            change(fields::ZEPTOMAIL_TOKEN, ""),
        ])
        .unwrap();
        assert_eq!(variables, [change(names::JOIN_MODE, "link")]);
        let changed = secret.apply(secrets());
        assert_eq!(changed[fields::ZOOM_WEBHOOK_SECRET_TOKEN], json!(["new", "old", null]));
        assert_eq!(webhook_secret(&changed), "new");
        assert_eq!(server_app_webhook_secret(&changed), "old");
        assert_eq!(server_app_webhook_secret(&secrets()), WEBHOOK_SECRET);
        assert_eq!(changed[fields::AUTH_HS256_SECRET], "text");
        assert!(changed.get(fields::ZEPTOMAIL_TOKEN).is_none());
        assert_eq!(changed[fields::ZOOM_CLIENT_ID], ZOOM_CLIENT_ID);
        assert_eq!(webhook_secret(&secrets()), WEBHOOK_SECRET);
        let refused = split_changes(vec![change(fields::AUTH_HS256_SECRET, "[")]);
        assert!(refused.unwrap_err().to_string().contains("auth_hs256_secret is not JSON"));
    }

    /// A misspelt name must not be ignored silently.
    #[test]
    fn variable_that_no_function_reads_is_rejected() {
        let refused = with_override("MAIL_PROVDER", "zeptomail").unwrap_err();
        assert_eq!(refused.to_string(), "no function reads the variable MAIL_PROVDER");
    }
}
