//! Identifies the service, the operation and the calling function of a request.

use std::fmt;

use http::{HeaderMap, Method};

/// The path of the emulated AWS services.
pub const AWS_PATH: &str = "/local/aws";
/// The path of SES v2's send operation.
pub const SES_SEND_PATH: &str = "/local/aws/v2/email/outbound-emails";
/// The path prefix of the emulated ZeptoMail.
pub const ZEPTOMAIL_PATH: &str = "/local/zeptomail";
/// The path of ZeptoMail's send operation.
pub const ZEPTOMAIL_SEND_PATH: &str = "/local/zeptomail/v1.1/email";
/// The operation of both mail services.
pub const SEND_EMAIL: &str = "SendEmail";
/// The operation of EventBridge that this stack supports.
const PUT_EVENTS: &str = "PutEvents";
/// The name of a caller whose User-Agent names no function.
pub const UNKNOWN_FUNCTION: &str = "unknown";

/// The prefix of the function's name in the User-Agent of AWS SDK clients (the SDK's `AppName`).
const AWS_AGENT_PREFIX: &str = "app/";
/// The prefix of the function's name in the User-Agent of our own HTTP client.
const OUR_AGENT_PREFIX: &str = "live-classes/";

/// The services of AWS, and ZeptoMail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AwsService {
    Dynamodb,
    Sqs,
    Secretsmanager,
    Ses,
    Zeptomail,
    Eventbridge,
}

impl AwsService {
    pub fn name(self) -> &'static str {
        match self {
            Self::Dynamodb => "dynamodb",
            Self::Sqs => "sqs",
            Self::Secretsmanager => "secretsmanager",
            Self::Ses => "ses",
            Self::Zeptomail => "zeptomail",
            Self::Eventbridge => "eventbridge",
        }
    }

    /// Returns the prefix of `X-Amz-Target`, for the services with an AWS JSON protocol.
    fn target_prefix(self) -> Option<&'static str> {
        match self {
            Self::Dynamodb => Some("DynamoDB_20120810."),
            Self::Sqs => Some("AmazonSQS."),
            Self::Secretsmanager => Some("secretsmanager."),
            Self::Eventbridge => Some("AWSEvents."),
            Self::Ses | Self::Zeptomail => None,
        }
    }

    /// Returns the operations that the service knows, also those that it refuses.
    pub fn operations(self) -> &'static [&'static str] {
        match self {
            Self::Dynamodb => &DYNAMODB,
            Self::Sqs => &SQS,
            Self::Secretsmanager => &SECRETSMANAGER,
            Self::Ses | Self::Zeptomail => &[SEND_EMAIL],
            Self::Eventbridge => &[PUT_EVENTS],
        }
    }
}

impl fmt::Display for AwsService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

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
pub struct AwsCall {
    pub service: AwsService,
    pub operation: String,
    pub function: String,
}

impl AwsCall {
    /// Identifies the call of a request. Returns `None` if the request is not a call to one of the services.
    pub fn from_request(method: &Method, path: &str, headers: &HeaderMap) -> Option<Self> {
        let (service, operation) = if method == Method::POST && path == SES_SEND_PATH {
            (AwsService::Ses, SEND_EMAIL.to_owned())
        } else if method == Method::POST && path == ZEPTOMAIL_SEND_PATH {
            (AwsService::Zeptomail, SEND_EMAIL.to_owned())
        } else if path.trim_end_matches('/') == AWS_PATH {
            aws_target(headers)?
        } else {
            return None;
        };
        Some(Self { service, operation, function: calling_function(headers) })
    }
}

/// Returns the service and the operation in `X-Amz-Target`.
pub(crate) fn aws_target(headers: &HeaderMap) -> Option<(AwsService, String)> {
    let target = headers.get("x-amz-target")?.to_str().ok()?;
    let services = [
        AwsService::Dynamodb,
        AwsService::Sqs,
        AwsService::Secretsmanager,
        AwsService::Eventbridge,
    ];
    services.into_iter().find_map(|service| {
        let operation = target.strip_prefix(service.target_prefix()?)?;
        Some((service, operation.to_owned()))
    })
}

/// Returns the function in the User-Agent of a request.
pub fn calling_function(headers: &HeaderMap) -> String {
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

    fn call(path: &str, headers: &[(&'static str, &'static str)]) -> Option<AwsCall> {
        let headers = headers.iter().map(|(name, value)| {
            (http::HeaderName::from_static(name), HeaderValue::from_static(value))
        });
        AwsCall::from_request(&Method::POST, path, &headers.collect())
    }

    #[test]
    fn call_is_identified_by_target_path_and_user_agent() {
        use AwsService::{Dynamodb, Eventbridge, Ses, Sqs, Zeptomail};
        let sdk = ("user-agent", "aws-sdk-rust/1.5.0 os/linux lang/rust/1.95.0 app/session-save");
        let ours = ("user-agent", "live-classes/join");
        let target = |operation| ("x-amz-target", operation);
        let transact = target("DynamoDB_20120810.TransactWriteItems");
        let cases = [
            (
                "/local/aws/",
                vec![sdk, transact],
                Some((Dynamodb, "TransactWriteItems", "session-save")),
            ),
            (
                "/local/aws",
                vec![target("AmazonSQS.SendMessage")],
                Some((Sqs, "SendMessage", UNKNOWN_FUNCTION)),
            ),
            (SES_SEND_PATH, vec![sdk], Some((Ses, SEND_EMAIL, "session-save"))),
            (ZEPTOMAIL_SEND_PATH, vec![ours], Some((Zeptomail, SEND_EMAIL, "join"))),
            (
                "/local/aws/",
                vec![target("AWSEvents.PutEvents")],
                Some((Eventbridge, PUT_EVENTS, UNKNOWN_FUNCTION)),
            ),
            ("/local/aws/", vec![target("S3.Get")], None),
            ("/local/mail", vec![ours], None),
        ];
        for (path, headers, expected) in cases {
            let expected = expected.map(|(service, operation, function)| AwsCall {
                service,
                operation: operation.to_owned(),
                function: function.to_owned(),
            });
            assert_eq!(call(path, &headers), expected, "{path}");
        }
    }
}
