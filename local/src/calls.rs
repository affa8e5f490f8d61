//! Identifies the service, the operation and the calling function of a request.
//!
//! Faults and the usage meter share these names.

use std::fmt;

use http::{HeaderMap, Method};
use serde::{Deserialize, Serialize};

use crate::zoom_calls;

/// The path of the emulated AWS services.
pub const AWS_PATH: &str = "/local/aws";
/// The path prefix of the emulated ZeptoMail.
pub const ZEPTOMAIL_PATH: &str = "/local/zeptomail";
/// The path of ZeptoMail's send operation.
pub const ZEPTOMAIL_SEND_PATH: &str = "/local/zeptomail/v1.1/email";
/// The path of SES v2's send operation.
pub const SES_SEND_PATH: &str = "/local/aws/v2/email/outbound-emails";
/// The name of a caller whose User-Agent names no function.
pub const UNKNOWN_FUNCTION: &str = "unknown";

/// The prefix of the function's name in the User-Agent of AWS SDK clients (the SDK's `AppName`).
const AWS_AGENT_PREFIX: &str = "app/";
/// The prefix of the function's name in the User-Agent of our own HTTP client.
const OUR_AGENT_PREFIX: &str = "live-classes/";

/// The services that the local stack emulates, and Zoom's deliveries to the webhook.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Service {
    Dynamodb,
    Sqs,
    Secretsmanager,
    Ses,
    Zeptomail,
    Zoom,
    /// Zoom's deliveries of events. They are not calls of a function, so only faults know them.
    Webhook,
}

impl Service {
    pub fn name(self) -> &'static str {
        match self {
            Self::Dynamodb => "dynamodb",
            Self::Sqs => "sqs",
            Self::Secretsmanager => "secretsmanager",
            Self::Ses => "ses",
            Self::Zeptomail => "zeptomail",
            Self::Zoom => "zoom",
            Self::Webhook => "webhook",
        }
    }

    /// Returns the prefix of `X-Amz-Target`, for the three services with an AWS JSON protocol.
    fn target_prefix(self) -> Option<&'static str> {
        match self {
            Self::Dynamodb => Some("DynamoDB_20120810."),
            Self::Sqs => Some("AmazonSQS."),
            Self::Secretsmanager => Some("secretsmanager."),
            Self::Ses | Self::Zeptomail | Self::Zoom | Self::Webhook => None,
        }
    }

    /// Returns the operations that a fault may use.
    pub fn operations(self) -> Vec<&'static str> {
        match self {
            Self::Dynamodb => DYNAMODB.to_vec(),
            Self::Sqs => SQS.to_vec(),
            Self::Secretsmanager => SECRETSMANAGER.to_vec(),
            Self::Ses | Self::Zeptomail => vec![SEND_EMAIL],
            Self::Zoom => zoom_calls::call_names().collect(),
            Self::Webhook => crate::zoom::EVENTS.to_vec(),
        }
    }
}

impl fmt::Display for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The operation of both mail services.
pub const SEND_EMAIL: &str = "SendEmail";

const DYNAMODB: [&str; 15] = [
    "BatchGetItem",
    "BatchWriteItem",
    "CreateTable",
    "DeleteItem",
    "DescribeTable",
    "DescribeTimeToLive",
    "GetItem",
    "ListTables",
    "PutItem",
    "Query",
    "Scan",
    "TransactGetItems",
    "TransactWriteItems",
    "UpdateItem",
    "UpdateTimeToLive",
];

const SQS: [&str; 15] = [
    "ChangeMessageVisibility",
    "ChangeMessageVisibilityBatch",
    "CreateQueue",
    "DeleteMessage",
    "DeleteMessageBatch",
    "GetQueueAttributes",
    "GetQueueUrl",
    "ListMessageMoveTasks",
    "ListQueues",
    "PurgeQueue",
    "ReceiveMessage",
    "SendMessage",
    "SendMessageBatch",
    "SetQueueAttributes",
    "StartMessageMoveTask",
];

const SECRETSMANAGER: [&str; 7] = [
    "CreateSecret",
    "DeleteSecret",
    "DescribeSecret",
    "GetSecretValue",
    "ListSecrets",
    "PutSecretValue",
    "UpdateSecret",
];

/// One call to a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    pub service: Service,
    pub operation: String,
    pub function: String,
}

impl Call {
    /// Returns the delivery of an event by Zoom.
    pub(crate) fn delivery(event: &str) -> Self {
        let operation = event.to_owned();
        Self { service: Service::Webhook, operation, function: Service::Webhook.name().to_owned() }
    }

    /// Identifies the call of a request. Returns `None` if the request is not a call to a service. The
    /// simulated Zoom's consent page and `/zoom/sim` are for people and not metered.
    pub fn from_request(
        method: &Method,
        path: &str,
        query: Option<&str>,
        headers: &HeaderMap,
    ) -> Option<Self> {
        let (service, operation) = if method == Method::POST && path == SES_SEND_PATH {
            (Service::Ses, SEND_EMAIL.to_owned())
        } else if method == Method::POST && path == ZEPTOMAIL_SEND_PATH {
            (Service::Zeptomail, SEND_EMAIL.to_owned())
        } else if path.trim_end_matches('/') == AWS_PATH {
            aws_target(headers)?
        } else {
            (Service::Zoom, zoom_calls::call_name(method, path, query)?)
        };
        Some(Self { service, operation, function: calling_function(headers) })
    }
}

/// Returns the service and the operation in `X-Amz-Target`.
pub(crate) fn aws_target(headers: &HeaderMap) -> Option<(Service, String)> {
    let target = headers.get("x-amz-target")?.to_str().ok()?;
    [Service::Dynamodb, Service::Sqs, Service::Secretsmanager].into_iter().find_map(|service| {
        let operation = target.strip_prefix(service.target_prefix()?)?;
        Some((service, operation.to_owned()))
    })
}

fn calling_function(headers: &HeaderMap) -> String {
    // The SDK sends the long form in `x-amz-user-agent` and may shorten `user-agent`.
    ["x-amz-user-agent", "user-agent"]
        .into_iter()
        .filter_map(|name| headers.get(name)?.to_str().ok())
        .flat_map(str::split_ascii_whitespace)
        .find_map(|word| {
            word.strip_prefix(AWS_AGENT_PREFIX).or_else(|| word.strip_prefix(OUR_AGENT_PREFIX))
        })
        .unwrap_or(UNKNOWN_FUNCTION)
        .to_owned()
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn call(method: &Method, path: &str, headers: &[(&'static str, &'static str)]) -> Option<Call> {
        let headers = headers.iter().map(|(name, value)| {
            (http::HeaderName::from_static(name), HeaderValue::from_static(value))
        });
        Call::from_request(method, path, None, &headers.collect())
    }

    fn expected_call(service: Service, operation: &str, function: &str) -> Option<Call> {
        Some(Call { service, operation: operation.into(), function: function.into() })
    }

    #[test]
    fn aws_call_is_identified_by_target_and_app_name() {
        let agent = ("user-agent", "aws-sdk-rust/1.5.0 os/linux lang/rust/1.95.0 app/session-save");
        let target = ("x-amz-target", "DynamoDB_20120810.TransactWriteItems");
        assert_eq!(
            call(&Method::POST, "/local/aws/", &[agent, target]),
            expected_call(Service::Dynamodb, "TransactWriteItems", "session-save")
        );
        assert_eq!(
            call(&Method::POST, "/local/aws", &[("x-amz-target", "AmazonSQS.SendMessage")]),
            expected_call(Service::Sqs, "SendMessage", UNKNOWN_FUNCTION)
        );
        assert_eq!(
            call(&Method::POST, SES_SEND_PATH, &[agent]),
            expected_call(Service::Ses, SEND_EMAIL, "session-save")
        );
        assert_eq!(call(&Method::POST, "/local/aws/", &[("x-amz-target", "S3.Get")]), None);
    }

    #[test]
    fn zoom_and_zeptomail_calls_are_identified_by_path_and_user_agent() {
        let agent = ("user-agent", "live-classes/join");
        assert_eq!(
            call(&Method::POST, "/zoom/oauth/token", &[agent]),
            expected_call(Service::Zoom, "token", "join")
        );
        assert_eq!(
            call(&Method::POST, ZEPTOMAIL_SEND_PATH, &[agent]),
            expected_call(Service::Zeptomail, SEND_EMAIL, "join")
        );
        assert_eq!(call(&Method::GET, "/local/mail", &[agent]), None);
    }
}
