//! Responses in the format of AWS's JSON protocols.

use std::borrow::Cow;

use axum::response::{IntoResponse, Response};
use http::header::CONTENT_TYPE;
use http::{HeaderValue, StatusCode};
use serde_json::{Map, Value, json};

use crate::calls::AwsService;

/// An error response of one of the AWS services.
#[derive(Debug)]
pub struct Refusal {
    service: AwsService,
    status: StatusCode,
    code: Cow<'static, str>,
    /// The error's name in the older query protocol of SQS, if it differs. The SDKs use this name.
    query_code: Option<&'static str>,
    namespace: &'static str,
    message: String,
    extra_members: Map<String, Value>,
}

impl Refusal {
    pub fn new(
        service: AwsService,
        status: StatusCode,
        code: impl Into<Cow<'static, str>>,
        message: impl Into<String>,
    ) -> Self {
        Self {
            service,
            status,
            code: code.into(),
            query_code: None,
            namespace: match service {
                AwsService::Dynamodb => "com.amazonaws.dynamodb.v20120810#",
                AwsService::Sqs => "com.amazonaws.sqs#",
                _ => "",
            },
            message: message.into(),
            extra_members: Map::new(),
        }
    }

    /// Adds a member to the body.
    pub fn with_member(mut self, name: &str, value: Value) -> Self {
        self.extra_members.insert(name.to_owned(), value);
        self
    }

    /// Sets the name in the query protocol of SQS.
    pub(crate) fn query_code(self, code: &'static str) -> Self {
        Self { query_code: Some(code), ..self }
    }

    /// Sets the namespace of the error's name.
    pub(crate) fn namespace(self, namespace: &'static str) -> Self {
        Self { namespace, ..self }
    }

    pub fn message(&self) -> &str {
        &self.message
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let typed = format!("{}{}", self.namespace, self.code);
        let mut body = self.extra_members;
        body.insert("__type".to_owned(), json!(typed));
        // DynamoDB writes "Message" for cancelled transactions. Every SDK reads both spellings.
        body.insert("message".to_owned(), json!(self.message));
        let mut response = (self.status, Value::Object(body).to_string()).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type(self.service)));
        if let Ok(code) = HeaderValue::from_str(&self.code)
            && self.service == AwsService::Ses
        {
            headers.insert("x-amzn-errortype", code);
        }
        if self.service == AwsService::Sqs {
            let code = self.query_code.unwrap_or(&self.code);
            let fault = if self.status.is_server_error() { "Receiver" } else { "Sender" };
            if let Ok(value) = HeaderValue::from_str(&format!("{code};{fault}")) {
                headers.insert("x-amzn-query-error", value);
            }
        }
        response
    }
}

/// Returns the content type of a service's responses.
pub(crate) fn content_type(service: AwsService) -> &'static str {
    match service {
        AwsService::Dynamodb | AwsService::Sqs => "application/x-amz-json-1.0",
        AwsService::Secretsmanager | AwsService::Eventbridge => "application/x-amz-json-1.1",
        AwsService::Ses | AwsService::Zeptomail => "application/json",
    }
}

/// Returns a successful response in the service's protocol.
pub(crate) fn success(service: AwsService, body: &Value) -> Response {
    ([(CONTENT_TYPE, content_type(service))], body.to_string()).into_response()
}
