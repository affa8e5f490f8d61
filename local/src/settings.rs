//! The configuration of the local stack: the contract's names, with values that are made up and fixed, so that anyone
//! can sign a webhook or check a signature.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use shared::config::names;

use crate::template::{Template, TemplateError};

/// The secret's name in Secrets Manager.
pub const SECRET_ID: &str = "live-classes/config";
pub const AUDIENCE: &str = "live-classes";
pub const ZOOM_CLIENT_ID: &str = "local-zoom-client";
pub const ZOOM_CLIENT_SECRET: &str = "local-zoom-client-secret";
pub const WEBHOOK_SECRET: &str = "local-webhook-secret-token";
pub const ZEPTOMAIL_TOKEN: &str = "local-zeptomail-token";
/// The Zoom account that the app itself belongs to.
pub const APP_ACCOUNT_ID: &str = "local-app-account";

/// The environment of every function. One that is made of the addresses cannot be fixed: the port is the user's.
pub fn environment(
    base_url: &str,
    queue_url: &str,
    dead_letter_queue_url: &str,
) -> Vec<(&'static str, String)> {
    let fixed = |name, value: &str| (name, value.to_owned());
    vec![
        fixed(names::TABLE_NAME, "MainTable"),
        fixed(names::TOKENS_TABLE_NAME, "TokensTable"),
        fixed(names::OUTBOX_QUEUE_URL, queue_url),
        fixed(names::OUTBOX_DLQ_URL, dead_letter_queue_url),
        fixed(names::CONFIG_SECRET_ID, SECRET_ID),
        (names::ZOOM_API_BASE_URL, format!("{base_url}/zoom/v2")),
        (names::ZOOM_OAUTH_BASE_URL, format!("{base_url}/zoom/oauth")),
        (names::ZOOM_REDIRECT_URIS, format!("{base_url}/callback")),
        fixed(names::MAIL_PROVIDER, "ses"),
        fixed(names::MAIL_RATE_PER_SECOND, "500"),
        fixed(names::MAIL_FROM, "Live Classes <classes@example.test>"),
        (names::ZEPTOMAIL_API_URL, format!("{base_url}{}", crate::calls::ZEPTOMAIL_SEND_PATH)),
        fixed(names::AUTH_ISSUER, base_url),
        fixed(names::AUTH_AUDIENCE, AUDIENCE),
        (names::AUTH_JWKS_URL, format!("{base_url}{}", crate::issuer::JWKS_PATH)),
        fixed(names::AUTH_ROLE_CLAIM, "role"),
        fixed(names::BRAND_NAME, "Live Classes"),
        fixed(names::APP_URL, base_url),
        fixed(names::DEFAULT_TIMEZONE, "Europe/Berlin"),
        fixed(names::DISCLAIMER, "Classes may be recorded."),
        fixed(names::LOG_LEVEL, "info"),
        fixed(names::ZOOM_APP_ACCOUNT_ID, APP_ACCOUNT_ID),
        (names::AWS_ENDPOINT_URL, format!("{base_url}{}", crate::calls::AWS_PATH)),
        fixed(names::AWS_REGION, crate::aws::names::REGION),
        fixed(names::AWS_ACCESS_KEY_ID, "local"),
        fixed(names::AWS_SECRET_ACCESS_KEY, "local"),
    ]
}

/// A variable that no function would read: most likely a slip, which must not look as if it had worked.
#[derive(Debug, thiserror::Error)]
pub enum UnknownSetting {
    #[error("no function reads a variable {0}")]
    Name(String),
    #[error(transparent)]
    Template(#[from] TemplateError),
}

/// The environment with these values instead, or beside.
pub fn changed(
    environment: Vec<(&'static str, String)>,
    changes: Vec<(String, String)>,
) -> Result<Vec<(String, String)>, UnknownSetting> {
    let template = Template::parse(crate::stack::TEMPLATE)?;
    let mut changed: BTreeMap<String, String> =
        environment.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    for (name, value) in changes {
        if !changed.contains_key(&name) && !template.variables().any(|known| known == name) {
            return Err(UnknownSetting::Name(name));
        }
        changed.insert(name, value);
    }
    Ok(changed.into_iter().collect())
}

/// The contract's one secret.
pub fn secrets() -> Value {
    json!({
        "zoom_client_id": ZOOM_CLIENT_ID,
        "zoom_client_secret": ZOOM_CLIENT_SECRET,
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

    fn with(name: &str, value: &str) -> Result<Vec<(String, String)>, UnknownSetting> {
        changed(environment("base", "queue", "dead"), vec![(name.to_owned(), value.to_owned())])
    }

    #[test]
    fn a_setting_takes_the_place_of_ours_or_stands_beside_them() {
        let mine = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let changed = with(names::MAIL_PROVIDER, "zeptomail").unwrap();
        assert!(changed.contains(&mine(names::MAIL_PROVIDER, "zeptomail")));
        assert_eq!(changed.len(), environment("base", "queue", "dead").len());
        assert!(with(names::JOIN_MODE, "link").unwrap().contains(&mine(names::JOIN_MODE, "link")));
    }

    /// A name that was misspelt would change nothing, and whoever tried something out would believe that they had.
    #[test]
    fn a_setting_that_no_function_reads_is_refused() {
        let refused = with("MAIL_PROVDER", "zeptomail").unwrap_err();
        assert_eq!(refused.to_string(), "no function reads a variable MAIL_PROVDER");
    }
}
