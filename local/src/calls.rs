//! Identifies the service, the operation and the calling function of a request to AWS, ZeptoMail or Zoom.
//!
//! Faults and the usage meter share these names.

use std::fmt;

use http::{HeaderMap, Method};
use serde::{Deserialize, Serialize};
use simulated_aws::calls::{AwsCall, AwsService, calling_function};
use simulated_zoom::calls as zoom_calls;

/// The services that the local stack emulates, and Zoom's deliveries to the webhook.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Service {
    Dynamodb,
    Sqs,
    Secretsmanager,
    Ses,
    Zeptomail,
    Eventbridge,
    Zoom,
    /// Zoom's deliveries of events. They are not calls of a function, so only faults know them.
    Webhook,
}

impl From<AwsService> for Service {
    fn from(service: AwsService) -> Self {
        match service {
            AwsService::Dynamodb => Self::Dynamodb,
            AwsService::Sqs => Self::Sqs,
            AwsService::Secretsmanager => Self::Secretsmanager,
            AwsService::Ses => Self::Ses,
            AwsService::Zeptomail => Self::Zeptomail,
            AwsService::Eventbridge => Self::Eventbridge,
        }
    }
}

impl Service {
    pub fn name(self) -> &'static str {
        match self {
            Self::Dynamodb => AwsService::Dynamodb.name(),
            Self::Sqs => AwsService::Sqs.name(),
            Self::Secretsmanager => AwsService::Secretsmanager.name(),
            Self::Ses => AwsService::Ses.name(),
            Self::Zeptomail => AwsService::Zeptomail.name(),
            Self::Eventbridge => AwsService::Eventbridge.name(),
            Self::Zoom => "zoom",
            Self::Webhook => "webhook",
        }
    }

    /// Returns the operations that a fault may use.
    pub fn operations(self) -> Vec<&'static str> {
        match self {
            Self::Dynamodb => AwsService::Dynamodb.operations().to_vec(),
            Self::Sqs => AwsService::Sqs.operations().to_vec(),
            Self::Secretsmanager => AwsService::Secretsmanager.operations().to_vec(),
            Self::Ses => AwsService::Ses.operations().to_vec(),
            Self::Zeptomail => AwsService::Zeptomail.operations().to_vec(),
            Self::Eventbridge => AwsService::Eventbridge.operations().to_vec(),
            Self::Zoom => zoom_calls::call_names().collect(),
            Self::Webhook => simulated_zoom::EVENTS.to_vec(),
        }
    }
}

impl fmt::Display for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

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
        if let Some(call) = AwsCall::from_request(method, path, headers) {
            let AwsCall { service, operation, function } = call;
            return Some(Self { service: service.into(), operation, function });
        }
        let operation = zoom_calls::call_name(method, path, query)?;
        Some(Self { service: Service::Zoom, operation, function: calling_function(headers) })
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use http::header::USER_AGENT;

    use super::*;

    #[test]
    fn zoom_call_is_identified_by_path_and_user_agent() {
        let headers: HeaderMap =
            [(USER_AGENT, HeaderValue::from_static("live-classes/join"))].into_iter().collect();
        let call = |method, path| Call::from_request(method, path, None, &headers);
        let expected =
            Call { service: Service::Zoom, operation: "token".into(), function: "join".into() };
        assert_eq!(call(&Method::POST, "/zoom/oauth/token"), Some(expected));
        assert_eq!(call(&Method::GET, "/zoom/sim/meetings"), None);
        assert_eq!(call(&Method::GET, "/local/mail"), None);
    }
}
