//! An adapter that lets the AWS SDK use the shared HTTP client.

use std::error::Error;
use std::io;
use std::time::Duration;

use aws_smithy_runtime_api::client::connector_metadata::ConnectorMetadata;
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::retry::ErrorKind;

/// [`HttpClient`] over a [`reqwest::Client`].
///
/// Request and response bodies are kept in memory, because we use no streaming API of AWS. The connect timeout is that of
/// the client ([`super::CONNECT_TIMEOUT`]), because a pool has only one. The read timeout comes from the SDK's settings.
#[derive(Clone, Debug)]
pub struct SmithyClient {
    client: reqwest::Client,
}

impl SmithyClient {
    pub fn new(client: reqwest::Client) -> Self {
        Self { client }
    }

    fn connector(&self, settings: &HttpConnectorSettings) -> Connector {
        Connector { client: self.client.clone(), read_timeout: settings.read_timeout() }
    }
}

impl HttpClient for SmithyClient {
    fn http_connector(
        &self,
        settings: &HttpConnectorSettings,
        _: &RuntimeComponents,
    ) -> SharedHttpConnector {
        SharedHttpConnector::new(self.connector(settings))
    }

    fn connector_metadata(&self) -> Option<ConnectorMetadata> {
        Some(ConnectorMetadata::new("reqwest", None))
    }
}

#[derive(Debug)]
struct Connector {
    client: reqwest::Client,
    read_timeout: Option<Duration>,
}

impl HttpConnector for Connector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let (client, read_timeout) = (self.client.clone(), self.read_timeout);
        HttpConnectorFuture::new(async move {
            let mut request = outgoing(request)?;
            // Smithy measures to the first byte of the response. Here it is the last byte, because the body is read
            // into memory.
            if let Some(limit) = read_timeout {
                *request.timeout_mut() = Some(limit);
            }
            let response = client.execute(request).await.map_err(classify)?;
            incoming(response).await
        })
    }
}

/// Converts a request. Headers stay as the SDK signed them, including its User-Agent.
fn outgoing(request: HttpRequest) -> Result<reqwest::Request, ConnectorError> {
    let request = request.try_into_http1x().map_err(|error| ConnectorError::user(error.into()))?;
    let (parts, body) = request.into_parts();
    let body = body.bytes().map(bytes::Bytes::copy_from_slice);
    let body = body.ok_or_else(|| ConnectorError::user("the body is not in memory".into()))?;
    reqwest::Request::try_from(http::Request::from_parts(parts, body))
        .map_err(|error| ConnectorError::user(error.without_url().into()))
}

async fn incoming(mut response: reqwest::Response) -> Result<HttpResponse, ConnectorError> {
    let mut converted = http::Response::new(SdkBody::empty());
    *converted.status_mut() = response.status();
    *converted.headers_mut() = std::mem::take(response.headers_mut());
    *converted.body_mut() = SdkBody::from(response.bytes().await.map_err(classify)?);
    HttpResponse::try_from(converted).map_err(|error| ConnectorError::other(error.into(), None))
}

/// Converts an error to the kinds by which the SDK decides on retries: it retries timeouts, I/O errors and transient errors,
/// but never a request that could not be built.
fn classify(error: reqwest::Error) -> ConnectorError {
    let error = error.without_url();
    let (builder, connect) = (error.is_builder(), error.is_connect() || error.is_dns());
    let (timeout, io) = (error.is_timeout(), has_io_source(&error));
    let failure = if builder {
        ConnectorError::user(error.into())
    } else if timeout {
        ConnectorError::timeout(error.into())
    } else if connect || io {
        ConnectorError::io(error.into())
    } else {
        // Mostly a truncated response, which has no I/O error as its source.
        ConnectorError::other(error.into(), Some(ErrorKind::TransientError))
    };
    if connect { failure.never_connected() } else { failure }
}

/// Returns whether a request failed before there was a connection, so that the service cannot have carried it out. The SDK
/// has no public field for it.
pub fn never_connected(error: &(dyn Error + 'static)) -> bool {
    std::iter::successors(Some(error), |&error| error.source())
        .filter_map(<dyn Error + 'static>::downcast_ref::<reqwest::Error>)
        .any(|error| error.is_connect() || error.is_dns())
}

fn has_io_source(error: &reqwest::Error) -> bool {
    std::iter::successors(error.source(), |&error| error.source())
        .any(<dyn Error + 'static>::is::<io::Error>)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::http_client;
    use crate::net::loopback::{Loopback, LoopbackResponse, unreachable_url};

    const LIMIT: Duration = Duration::from_secs(1);

    async fn call(url: &str, body: SdkBody) -> Result<HttpResponse, ConnectorError> {
        let client = SmithyClient::new(http_client("live-classes/test").unwrap());
        let settings = HttpConnectorSettings::builder().read_timeout(LIMIT).build();
        let mut request = HttpRequest::new(body);
        request.set_method("POST").unwrap();
        request.set_uri(url).unwrap();
        request.headers_mut().insert("user-agent", "aws-sdk-rust/1");
        client.connector(&settings).call(request).await
    }

    #[tokio::test]
    async fn request_and_response_pass_unchanged() {
        let server =
            Loopback::start(|_| LoopbackResponse::status(400).header("x-amzn-requestid", "r-1"));
        let response = call(&server.url("/"), SdkBody::from("{\"a\":1}")).await.unwrap();
        assert_eq!(response.status().as_u16(), 400);
        assert_eq!(response.headers().get("x-amzn-requestid"), Some("r-1"));
        let seen = &server.requests()[0];
        assert_eq!(seen.header("user-agent"), Some("aws-sdk-rust/1"));
        assert_eq!(seen.body, "{\"a\":1}");
    }

    #[tokio::test]
    async fn delayed_response_is_a_timeout_error() {
        let server = Loopback::start(|_| LoopbackResponse::ok("").delayed(LIMIT * 3));
        let error = call(&server.url("/"), SdkBody::empty()).await.unwrap_err();
        assert!(error.is_timeout(), "{error:?}");
    }

    #[tokio::test]
    async fn refused_connection_is_an_io_error() {
        let error = call(&unreachable_url(), SdkBody::empty()).await.unwrap_err();
        assert!(error.is_io(), "{error:?}");
    }

    #[tokio::test]
    async fn truncated_response_is_a_transient_error() {
        let server = Loopback::start(|_| LoopbackResponse::ok("0123456789").truncated());
        let error = call(&server.url("/"), SdkBody::empty()).await.unwrap_err();
        let transient = error.as_other() == Some(ErrorKind::TransientError);
        assert!(error.is_io() || transient, "{error:?}");
    }
}
