//! Sends mails with Amazon SES, API v2, as raw messages, because only those can contain an inline invitation.
//! <https://docs.aws.amazon.com/ses/latest/APIReference-V2/API_SendEmail.html>

use aws_sdk_sesv2::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_sesv2::operation::send_email::SendEmailError;
use aws_sdk_sesv2::primitives::Blob;
use aws_sdk_sesv2::types::{Destination, EmailContent, MessageTag, RawMessage};

use super::error::DEFAULT_LIMIT_PAUSE;
use super::{ComposedMail, MailError, MailService, Mailbox, NEVER_CONNECTED};
use crate::domain::mail_return::{KIND_TAG, MESSAGE_TAG, SESSION_TAG};
use crate::net::never_connected;

const INVALID_RESPONSE: &str = "not an SES response";

#[derive(Clone, Debug)]
pub struct Ses {
    client: aws_sdk_sesv2::Client,
    from: Mailbox,
    /// The configuration set, which publishes bounces and complaints. Without one, they are unknown.
    configuration_set: Option<String>,
}

impl Ses {
    /// The client must not retry (as that of `Aws::ses`), because a retry could send a mail twice without the outbox
    /// noticing.
    pub fn new(
        client: aws_sdk_sesv2::Client,
        from: Mailbox,
        configuration_set: Option<String>,
    ) -> Self {
        Self { client, from, configuration_set }
    }
}

/// Returns the tags by which SES's reports refer to the mail. They contain ids and a digest.
fn tags(mail: &ComposedMail) -> Vec<MessageTag> {
    let message_key = mail.message_id.split('@').next().unwrap_or_default();
    let session = mail.session.as_ref().map(|session| (SESSION_TAG, session.as_str()));
    [(MESSAGE_TAG, message_key), (KIND_TAG, mail.kind.as_str())]
        .into_iter()
        .chain(session)
        .filter_map(|(name, value)| MessageTag::builder().name(name).value(value).build().ok())
        .collect()
}

impl MailService for Ses {
    /// SES replaces our `Message-ID` and `Date`, so a mail that is sent twice is also shown twice. Only the outbox can
    /// prevent that.
    async fn send(&self, mail: &ComposedMail) -> Result<String, MailError> {
        let raw = RawMessage::builder().data(Blob::new(mail.raw.clone())).build();
        let raw = raw.map_err(|_| MailError::Refused { code: "RawMessage".to_owned() })?;
        let result = self
            .client
            .send_email()
            .from_email_address(self.from.address.as_str())
            .destination(Destination::builder().to_addresses(mail.to.as_str()).build())
            .content(EmailContent::builder().raw(raw).build())
            .set_configuration_set_name(self.configuration_set.clone())
            .set_email_tags(Some(tags(mail)))
            .send()
            .await;
        match result {
            Ok(response) => Ok(response.message_id().unwrap_or_default().to_owned()),
            Err(error) => Err(to_mail_error(&error, self.from.address.as_str())),
        }
    }
}

fn to_mail_error(error: &SdkError<SendEmailError>, from: &str) -> MailError {
    let unknown = |detail: &str| MailError::Unknown { detail: detail.to_owned() };
    match error {
        SdkError::ServiceError(response) => {
            let (code, message) = (response.err().code(), response.err().message());
            let status = response.raw().status().as_u16();
            classify(status, code.unwrap_or_default(), message.unwrap_or_default(), from)
        }
        SdkError::TimeoutError(_) => unknown("timed out"),
        SdkError::DispatchFailure(failure)
            if failure.as_connector_error().is_some_and(|error| never_connected(error)) =>
        {
            MailError::Unavailable { detail: NEVER_CONNECTED.to_owned() }
        }
        SdkError::DispatchFailure(_) => unknown("connection failed"),
        SdkError::ResponseError(response) => {
            classify(response.raw().status().as_u16(), "", "", from)
        }
        // Usually invalid credentials or an invalid endpoint.
        SdkError::ConstructionFailure(_) => {
            MailError::Misconfigured { code: "ConstructionFailure".to_owned() }
        }
        _ => unknown("unknown"),
    }
}

/// Classifies an SES error. The per-second and daily quotas have several codes and differ only in their message:
/// <https://docs.aws.amazon.com/ses/latest/dg/manage-sending-quotas-errors.html>.
fn classify(status: u16, code: &str, message: &str, from: &str) -> MailError {
    let message = message.to_ascii_lowercase();
    let code_or_status = || if code.is_empty() { status.to_string() } else { code.to_owned() };
    match code {
        "TooManyRequestsException"
        | "LimitExceededException"
        | "ThrottlingException"
        | "Throttling" => limited(&message),
        "AccountSuspendedException" | "SendingPausedException" => {
            MailError::Paused { code: code_or_status() }
        }
        // The message lists every unverified address. If the sender is one of them, no mail can be sent.
        "MessageRejected" if message.contains("not verified") && message.contains(from) => {
            MailError::Misconfigured { code: code_or_status() }
        }
        "MessageRejected" | "BadRequestException" => MailError::Refused { code: code_or_status() },
        // Refers to the sender identity or a configuration set, which are the only resources in a request.
        "MailFromDomainNotVerifiedException" | "NotFoundException" => {
            MailError::Misconfigured { code: code_or_status() }
        }
        _ => match status {
            429 => limited(&message),
            // Credentials and permissions, with many different codes.
            401 | 403 => MailError::Misconfigured { code: code_or_status() },
            // A success status with an unreadable body.
            ..300 => MailError::Unknown { detail: INVALID_RESPONSE.to_owned() },
            // A proxy may have given up waiting for SES.
            408 => MailError::Unknown { detail: code_or_status() },
            400..=499 if is_credentials(code) => {
                MailError::Misconfigured { code: code_or_status() }
            }
            400..=499 => MailError::Refused { code: code_or_status() },
            _ => MailError::Unavailable { detail: code_or_status() },
        },
    }
}

fn limited(message: &str) -> MailError {
    if message.contains("daily") {
        MailError::DailyLimit
    } else {
        MailError::Limited { after: DEFAULT_LIMIT_PAUSE }
    }
}

/// <https://docs.aws.amazon.com/ses/latest/APIReference-V2/CommonErrors.html>
fn is_credentials(code: &str) -> bool {
    matches!(
        code,
        "AccessDeniedException"
            | "ExpiredTokenException"
            | "IncompleteSignature"
            | "InvalidClientTokenId"
            | "InvalidSignatureException"
            | "MissingAuthenticationToken"
            | "NotAuthorized"
            | "OptInRequired"
            | "SignatureDoesNotMatch"
            | "UnrecognizedClientException"
    )
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use aws_sdk_sesv2::config::timeout::TimeoutConfig;

    use super::*;
    use crate::aws::Aws;
    use crate::config::{Env, names};
    use crate::mail::MailKind;
    use crate::mail::tests::{Case, brand};
    use crate::net::http_client;
    use crate::net::loopback::{Loopback, LoopbackResponse, unreachable_url};

    fn ses(url: String) -> Ses {
        let env = Env::from_pairs([
            (names::AWS_REGION, "eu-west-1".to_owned()),
            (names::AWS_ACCESS_KEY_ID, "id".to_owned()),
            (names::AWS_SECRET_ACCESS_KEY, "key".to_owned()),
            (names::AWS_ENDPOINT_URL_SESV2, url),
        ]);
        let http = http_client("live-classes/outbox-sweep").unwrap();
        let configuration_set = Some("classes".to_owned());
        Ses::new(Aws::new(&env, &http).unwrap().ses(), brand().from, configuration_set)
    }

    async fn send_with(url: String) -> Result<String, MailError> {
        ses(url).send(&Case::new(MailKind::Scheduled).compose()).await
    }

    fn refused(code: &str) -> MailError {
        MailError::Refused { code: code.to_owned() }
    }

    fn paused(code: &str) -> MailError {
        MailError::Paused { code: code.to_owned() }
    }

    fn misconfigured(code: &str) -> MailError {
        MailError::Misconfigured { code: code.to_owned() }
    }

    fn unavailable(detail: &str) -> MailError {
        MailError::Unavailable { detail: detail.to_owned() }
    }

    fn unknown(detail: &str) -> MailError {
        MailError::Unknown { detail: detail.to_owned() }
    }

    #[tokio::test]
    async fn errors_are_classified_without_a_retry() {
        let limited = MailError::Limited { after: DEFAULT_LIMIT_PAUSE };
        let rate = "Maximum sending rate exceeded.";
        let daily = "Daily message quota exceeded.";
        let sender_not_verified = "Email address is not verified. The following identities failed the check in region \
                    EU-WEST-1: Live Classes <Classes@example.test>";
        let cases = [
            (429, "TooManyRequestsException", rate, limited.clone()),
            (429, "TooManyRequestsException", daily, MailError::DailyLimit),
            (400, "ThrottlingException", rate, limited.clone()),
            (400, "ThrottlingException", daily, MailError::DailyLimit),
            (400, "LimitExceededException", "", limited.clone()),
            (400, "LimitExceededException", daily, MailError::DailyLimit),
            (429, "", "", limited),
            (400, "MessageRejected", "Email address is not verified.", refused("MessageRejected")),
            (400, "MessageRejected", sender_not_verified, misconfigured("MessageRejected")),
            (400, "BadRequestException", "", refused("BadRequestException")),
            (413, "", "", refused("413")),
            (400, "ValidationException", "", refused("ValidationException")),
            (400, "AccountSuspendedException", "", paused("AccountSuspendedException")),
            (400, "SendingPausedException", "", paused("SendingPausedException")),
            (
                400,
                "MailFromDomainNotVerifiedException",
                "",
                misconfigured("MailFromDomainNotVerifiedException"),
            ),
            (404, "NotFoundException", "", misconfigured("NotFoundException")),
            (403, "AccessDeniedException", "", misconfigured("AccessDeniedException")),
            (400, "UnrecognizedClientException", "", misconfigured("UnrecognizedClientException")),
            (403, "", "", misconfigured("403")),
            (
                500,
                "InternalServiceErrorException",
                "",
                unavailable("InternalServiceErrorException"),
            ),
            (503, "", "", unavailable("503")),
            (408, "RequestTimeoutException", "", unknown("RequestTimeoutException")),
        ];
        for (status, code, message, expected) in cases {
            let body = serde_json::json!({ "message": message }).to_string();
            let server = Loopback::start(move |_| {
                let response = LoopbackResponse::with(status, body.as_str());
                if code.is_empty() { response } else { response.header("x-amzn-errortype", code) }
            });
            assert_eq!(
                send_with(server.url("/")).await,
                Err(expected),
                "{status} {code} {message}"
            );
            assert_eq!(server.requests().len(), 1, "{status} {code}: must not retry");
        }
    }

    #[tokio::test]
    async fn missing_response_is_unknown_unless_there_was_no_connection() {
        assert_eq!(send_with(unreachable_url()).await, Err(unavailable(NEVER_CONNECTED)));
        let server = Loopback::start(|_| LoopbackResponse::ok(r#"{"MessageId":"1"}"#).truncated());
        assert_eq!(send_with(server.url("/")).await, Err(unknown("connection failed")));
        assert_eq!(server.requests().len(), 1);
        let server = Loopback::start(|_| LoopbackResponse::ok("<html>"));
        assert_eq!(send_with(server.url("/")).await, Err(unknown(INVALID_RESPONSE)));

        let server =
            Loopback::start(|_| LoopbackResponse::ok("{}").delayed(Duration::from_secs(2)));
        let mut ses = ses(server.url("/"));
        let soon = Duration::from_millis(100);
        let soon = TimeoutConfig::builder().operation_timeout(soon).build();
        let config = ses.client.config().to_builder().timeout_config(soon).build();
        ses.client = aws_sdk_sesv2::Client::from_conf(config);
        let late = ses.send(&Case::new(MailKind::Scheduled).compose()).await;
        assert_eq!(late, Err(unknown("timed out")));
        assert_eq!(server.requests().len(), 1);
    }

    #[tokio::test]
    async fn complete_message_is_sent_to_one_recipient() {
        let server = Loopback::start(|_| LoopbackResponse::ok(r#"{"MessageId":"0100-1"}"#));
        assert_eq!(send_with(server.url("/")).await, Ok("0100-1".to_owned()));
        let request = &server.requests()[0];
        assert_eq!(request.path, "/v2/email/outbound-emails");
        let body: serde_json::Value = serde_json::from_str(&request.body).unwrap();
        assert_eq!(body["Destination"]["ToAddresses"], serde_json::json!(["ada@example.test"]));
        assert_eq!(body["FromEmailAddress"], "classes@example.test");
        assert_eq!(body["ConfigurationSetName"], "classes");
        let tags = body["EmailTags"].as_array().unwrap().iter();
        let names: Vec<_> = tags.map(|tag| tag["Name"].as_str().unwrap()).collect();
        assert_eq!(names, ["message", "kind", "session"]);
        let raw = Case::new(MailKind::Scheduled).compose().raw;
        let data = data_encoding::BASE64
            .decode(body["Content"]["Raw"]["Data"].as_str().unwrap().as_bytes());
        assert_eq!(data.unwrap(), raw);
    }
}
