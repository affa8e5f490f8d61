//! Permissions: AWS refuses every call that the template does not grant to the calling function. This stack does the
//! same, and keeps a list of refused calls, because many callers continue without an optional call.
//!
//! A caller that is not a function of the template, such as a test or an operator's command line, has all permissions.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::StatusCode;
use mail_parser::MessageParser;
use serde::Serialize;
use serde_json::{Value, json};

use super::names::{
    ACCOUNT_ID, configuration_set_arn, event_bus_arn, identity_arn, queue_arn, secret_arn,
    table_arn,
};
use super::policies::Policies;
use super::refusal::Refusal;
use crate::calls::{AwsCall, AwsService};

/// The kinds of a transaction's items, with the permissions that they need.
/// <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/transaction-apis-iam.html>
const TRANSACTION_ITEMS: [(&str, &str); 5] = [
    ("ConditionCheck", "ConditionCheckItem"),
    ("Delete", "DeleteItem"),
    ("Get", "GetItem"),
    ("Put", "PutItem"),
    ("Update", "UpdateItem"),
];

/// The namespace of errors that AWS's common request handling returns, before the service sees the request.
const COMMON_NAMESPACE: &str = "com.amazon.coral.service#";

/// The permissions of the functions. Clones share the list of denied calls.
#[derive(Clone, Debug)]
pub(super) struct Permissions {
    policies: Arc<Policies>,
    denied_calls: Arc<Mutex<Vec<DeniedCall>>>,
}

/// A call that the template does not grant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DeniedCall {
    pub function: String,
    pub action: String,
    pub resource: String,
}

impl fmt::Display for DeniedCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { function, action, resource } = self;
        write!(f, "template.yaml does not grant {action} on {resource} to {function}")
    }
}

impl Permissions {
    pub(super) fn new(policies: Policies) -> Self {
        Self { policies: Arc::new(policies), denied_calls: Arc::default() }
    }

    /// Returns the calls that were denied since the last call of this method.
    pub(super) fn take_denied_calls(&self) -> Vec<DeniedCall> {
        std::mem::take(&mut *self.lock())
    }

    /// `GET /local/denied-calls`.
    pub(super) fn router(&self) -> Router {
        Router::new()
            .route(
                "/local/denied-calls",
                get(async |State(permissions): State<Self>| {
                    Json(json!({ "items": *permissions.lock() }))
                }),
            )
            .with_state(self.clone())
    }

    /// Returns the first permission that the calling function does not have.
    fn check(&self, call: &AwsCall, body: &[u8]) -> Result<(), DeniedCall> {
        let Some(policy) = self.policies.of(&call.function) else { return Ok(()) };
        let request = serde_json::from_slice(body).unwrap_or_default();
        for (action, resource) in needed_permissions(call, &request) {
            if !policy.allows(&action, &resource) {
                return Err(DeniedCall { function: call.function.clone(), action, resource });
            }
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Vec<DeniedCall>> {
        self.denied_calls.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Refuses calls without permission.
pub(super) async fn authorize(
    State(permissions): State<Permissions>,
    request: Request,
    next: Next,
) -> Response {
    let uri = request.uri();
    let call = AwsCall::from_request(request.method(), uri.path(), request.headers());
    let Some(call) = call else { return next.run(request).await };
    let (head, body) = request.into_parts();
    let Ok(body) = to_bytes(body, usize::MAX).await else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    if let Err(denied) = permissions.check(&call, &body) {
        let DeniedCall { function, action, resource } = &denied;
        tracing::error!(event = "aws.call_denied", function, action, resource);
        let response = refusal(call.service, &denied).into_response();
        permissions.lock().push(denied);
        return response;
    }
    next.run(Request::from_parts(head, Body::from(body))).await
}

/// Returns the actions and resources of a call.
fn needed_permissions(call: &AwsCall, request: &Value) -> Vec<(String, String)> {
    let operation = call.operation.as_str();
    match call.service {
        AwsService::Dynamodb => dynamodb_permissions(operation, request),
        AwsService::Sqs => {
            let action = operation.strip_suffix("Batch").unwrap_or(operation);
            let url = request["QueueUrl"].as_str().and_then(|url| url.rsplit('/').next());
            let arn =
                url.map(queue_arn).or_else(|| request["SourceArn"].as_str().map(str::to_owned));
            vec![(format!("sqs:{action}"), arn.unwrap_or_else(|| queue_arn("")))]
        }
        AwsService::Secretsmanager => {
            let id = request["SecretId"].as_str().unwrap_or_default();
            let arn = if id.starts_with("arn:") { id.to_owned() } else { secret_arn(id) };
            vec![(format!("secretsmanager:{operation}"), arn)]
        }
        AwsService::Ses => {
            let identity = identity_arn(&sender_domain(request));
            let raw = request["Content"]["Raw"].is_object().then_some("ses:SendRawEmail");
            let set = request["ConfigurationSetName"].as_str().map(configuration_set_arn);
            let resources: Vec<_> = std::iter::once(identity).chain(set).collect();
            let actions = ["ses:SendEmail"].into_iter().chain(raw);
            let on_all = |action: &'static str| {
                resources.iter().map(move |resource| (action.to_owned(), resource.clone()))
            };
            actions.flat_map(on_all).collect()
        }
        AwsService::Eventbridge => {
            let entries = request["Entries"].as_array().into_iter().flatten();
            let bus =
                |entry: &Value| entry["EventBusName"].as_str().unwrap_or("default").to_owned();
            entries
                .map(|entry| ("events:PutEvents".to_owned(), event_bus_arn(&bus(entry))))
                .collect()
        }
        AwsService::Zeptomail => Vec::new(),
    }
}

/// DynamoDB checks each item of a transaction by its own action, and a query of an index on the index alone.
fn dynamodb_permissions(operation: &str, request: &Value) -> Vec<(String, String)> {
    let needs = |action: &str, target: &Value| (format!("dynamodb:{action}"), table(target));
    match operation {
        "TransactWriteItems" | "TransactGetItems" => {
            let items = request["TransactItems"].as_array().into_iter().flatten();
            items
                .filter_map(Value::as_object)
                .flatten()
                .map(|(kind, item)| {
                    let known = TRANSACTION_ITEMS.iter().find(|(known, _)| known == kind);
                    needs(known.map_or(kind.as_str(), |(_, action)| *action), &item["TableName"])
                })
                .collect()
        }
        "BatchGetItem" | "BatchWriteItem" => {
            let tables = request["RequestItems"].as_object().into_iter().flatten();
            tables.map(|(name, _)| needs(operation, &json!(name))).collect()
        }
        _ => {
            let (action, mut arn) = needs(operation, &request["TableName"]);
            if let Some(index) = request["IndexName"].as_str() {
                arn = format!("{arn}/index/{index}");
            }
            vec![(action, arn)]
        }
    }
}

/// Returns a table's ARN. Requests may contain the name or the ARN.
fn table(name: &Value) -> String {
    match name.as_str() {
        Some(arn) if arn.starts_with("arn:") => arn.to_owned(),
        name => table_arn(name.unwrap_or("*")),
    }
}

/// Returns the domain of a mail's sender. In this stack, the domains of all senders are verified identities.
fn sender_domain(request: &Value) -> String {
    let raw = request["Content"]["Raw"]["Data"].as_str();
    let raw = raw.and_then(|data| STANDARD.decode(data).ok()).unwrap_or_default();
    let header = MessageParser::new().parse_headers(raw.as_slice());
    let header = header.as_ref().and_then(|message| message.from()?.first()?.address());
    let sender = header.or_else(|| request["FromEmailAddress"].as_str()).unwrap_or_default();
    sender.rsplit('@').next().unwrap_or_default().trim_end_matches('>').to_ascii_lowercase()
}

/// Returns the error of the service, with the texts of AWS.
fn refusal(service: AwsService, denied: &DeniedCall) -> Refusal {
    let DeniedCall { function, action, resource } = denied;
    let user = format!("arn:aws:sts::{ACCOUNT_ID}:assumed-role/local-{function}/local-{function}");
    let message = |action: &str| {
        format!(
            "User: {user} is not authorized to perform: {action} on resource: {resource} because no \
             identity-based policy allows the {action} action"
        )
    };
    let refusal = |status, message| Refusal::new(service, status, "AccessDeniedException", message);
    match service {
        AwsService::Dynamodb => {
            refusal(StatusCode::BAD_REQUEST, message(action)).namespace(COMMON_NAMESPACE)
        }
        AwsService::Sqs => refusal(StatusCode::FORBIDDEN, message(&action.to_ascii_lowercase()))
            .namespace(COMMON_NAMESPACE)
            .query_code("AccessDenied"),
        AwsService::Ses => refusal(
            StatusCode::FORBIDDEN,
            format!(
                "User `{user}' is not authorized to perform `{action}' on resource `{resource}'"
            ),
        ),
        _ => refusal(StatusCode::BAD_REQUEST, message(action)),
    }
}
