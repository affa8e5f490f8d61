//! The values that the halves of the stack read from the same settings: the functions, the simulated services and the issuer.

use std::path::PathBuf;

use serde_json::Value;
use shared::config::names;
use shared::secret::Secret;
use shared::secrets::fields;
use simulated_aws::template::TEMPLATE;
use simulated_aws::{Aws, AwsConfig};
use simulated_zoom::{ServerApp, ZoomConfig};

use super::StackError;
use crate::settings::{self, SecretChanges};

/// Returns the configuration of the simulated AWS. Its tables, queues and secret have the names of the changed variables.
pub(super) fn aws_config(
    base_url: &str,
    data_dir: Option<PathBuf>,
    changes: &[(String, String)],
) -> AwsConfig<'static> {
    AwsConfig {
        data_dir,
        template: TEMPLATE,
        base_url: base_url.to_owned(),
        names: settings::resource_names(changes),
        parameters: vec![("MailIdentity", settings::mail_domain(changes).to_owned())],
        zeptomail_token: Secret::new(settings::ZEPTOMAIL_TOKEN),
    }
}

/// Returns the default environment of the functions, with the names of the resources.
pub(super) fn default_environment(
    base_url: &str,
    aws: &Aws,
    changes: &[(String, String)],
) -> Result<Vec<(String, String)>, settings::SettingError> {
    let queue = |name: &str| aws.queues().url(name);
    let environment = settings::environment(
        base_url,
        &queue("OutboxQueue"),
        &queue("OutboxBulkQueue"),
        &queue("OutboxDeadLetterQueue"),
        &queue("PaymentsQueue"),
    );
    settings::with_overrides(environment, settings::resource_changes(changes))
}

/// Returns the secret with the changes, and stores a changed one.
pub(super) async fn prepare_secret(
    aws: &Aws,
    secret_id: &str,
    is_new: bool,
    changes: &SecretChanges,
) -> Result<Value, StackError> {
    let base = if is_new { settings::secrets() } else { stored_secret(aws, secret_id).await };
    let secret = changes.apply(base);
    if is_new || !changes.is_empty() {
        aws.set_secret(secret_id, &secret.to_string()).await?;
    }
    Ok(secret)
}

/// Returns the secret as it is stored.
pub(super) async fn stored_secret(aws: &Aws, secret_id: &str) -> Value {
    let text = aws.secret(secret_id).await.unwrap_or_default();
    serde_json::from_str(&text).unwrap_or_else(|_| Value::from(text))
}

/// Returns the token that the simulated ZeptoMail accepts.
pub(super) fn zeptomail_token(secret: &Value) -> Secret {
    Secret::new(text(secret, fields::ZEPTOMAIL_TOKEN))
}

/// Returns the registration of both apps at the simulated Zoom, as the functions know it.
pub(super) fn zoom_config(
    base_url: &str,
    environment: &[(String, String)],
    secret: &Value,
) -> ZoomConfig {
    let mut app_scopes: Vec<String> =
        shared::domain::scope::REQUIRED.iter().map(|spellings| spellings[0].to_owned()).collect();
    let optional =
        ["meeting:read:meeting", "meeting:update:status", shared::domain::scope::LIST_TRASH];
    app_scopes.extend(optional.map(str::to_owned));
    let redirect_uris = settings::variable(environment, names::ZOOM_REDIRECT_URIS);
    let redirect_uris = redirect_uris.unwrap_or_default().split(',').map(str::trim);
    let server_app = &secret[fields::ZOOM_S2S];
    ZoomConfig {
        client_id: text(secret, fields::ZOOM_CLIENT_ID),
        client_secret: text(secret, fields::ZOOM_CLIENT_SECRET),
        webhook_secret: settings::webhook_secret(secret),
        app_account_id: app_account_id(environment, secret),
        redirect_uris: redirect_uris.map(str::to_owned).collect(),
        base_url: base_url.to_owned(),
        webhook_url: Some(format!("{base_url}/webhook")),
        app_scopes,
        server_app: server_app.is_object().then(|| ServerApp {
            account_id: text(server_app, "account_id"),
            client_id: text(server_app, "client_id"),
            client_secret: text(server_app, "client_secret"),
            webhook_secret: settings::server_app_webhook_secret(secret),
            scopes: simulated_zoom::server_scopes(),
        }),
    }
}

/// Returns the Zoom account that owns the app.
pub(super) fn app_account_id(environment: &[(String, String)], secret: &Value) -> String {
    let configured = settings::variable(environment, names::ZOOM_APP_ACCOUNT_ID);
    let of_server_app = || secret[fields::ZOOM_S2S]["account_id"].as_str();
    configured.or_else(of_server_app).unwrap_or(settings::APP_ACCOUNT_ID).to_owned()
}

fn text(object: &Value, field: &str) -> String {
    object[field].as_str().unwrap_or_default().to_owned()
}
