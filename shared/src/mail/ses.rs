//! Amazon SES, API v2: the whole message, as only a raw one can bring an invitation.
//! <https://docs.aws.amazon.com/ses/latest/APIReference-V2/API_SendEmail.html>

use aws_sdk_sesv2::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_sesv2::operation::send_email::SendEmailError;
use aws_sdk_sesv2::primitives::Blob;
use aws_sdk_sesv2::types::{Destination, EmailContent, RawMessage};

use super::error::A_MOMENT;
use super::{ComposedMail, MailError, MailService, Mailbox};

const NOT_ITS: &str = "an answer that is not SES's";

#[derive(Clone, Debug)]
pub struct Ses {
    client: aws_sdk_sesv2::Client,
    from: Mailbox,
}

impl Ses {
    /// The client must try once and no more, as that of `Aws::ses` does: a second try of its own could send a mail
    /// twice that the outbox takes for sent once.
    pub fn new(client: aws_sdk_sesv2::Client, from: Mailbox) -> Self {
        Self { client, from }
    }
}

impl MailService for Ses {
    /// SES puts a `Message-ID` and a `Date` of its own in the place of ours. So a mail that is sent twice is seen
    /// twice, and only the outbox can keep that from happening.
    async fn send(&self, mail: &ComposedMail) -> Result<String, MailError> {
        let raw = RawMessage::builder().data(Blob::new(mail.raw.clone())).build();
        let raw = raw.map_err(|_| MailError::Refused { code: "RawMessage".to_owned() })?;
        let sent = self
            .client
            .send_email()
            .from_email_address(self.from.address.as_str())
            .destination(Destination::builder().to_addresses(mail.to.as_str()).build())
            .content(EmailContent::builder().raw(raw).build())
            .send()
            .await;
        match sent {
            Ok(answer) => Ok(answer.message_id().unwrap_or_default().to_owned()),
            Err(error) => Err(failure(&error, self.from.address.as_str())),
        }
    }
}

fn failure(error: &SdkError<SendEmailError>, from: &str) -> MailError {
    let busy = |what: &str| MailError::Busy { what: what.to_owned() };
    match error {
        SdkError::ServiceError(refused) => {
            let (code, message) = (refused.err().code(), refused.err().message());
            let status = refused.raw().status().as_u16();
            refusal(status, code.unwrap_or_default(), message.unwrap_or_default(), from)
        }
        SdkError::TimeoutError(_) => busy("timed out"),
        SdkError::DispatchFailure(_) => busy("not reached, or broken off"),
        SdkError::ResponseError(_) => busy(NOT_ITS),
        // Chiefly credentials or an endpoint that cannot be used.
        SdkError::ConstructionFailure(_) => {
            MailError::Misconfigured { code: "ConstructionFailure".to_owned() }
        }
        _ => busy("unknown"),
    }
}

/// What an error of SES means. The quotas by the second and by the day come under several names and are told apart
/// by their message alone: <https://docs.aws.amazon.com/ses/latest/dg/manage-sending-quotas-errors.html>.
fn refusal(status: u16, code: &str, message: &str, from: &str) -> MailError {
    let message = message.to_ascii_lowercase();
    let told = || if code.is_empty() { status.to_string() } else { code.to_owned() };
    match code {
        "TooManyRequestsException"
        | "LimitExceededException"
        | "ThrottlingException"
        | "Throttling" => limited(&message),
        "AccountSuspendedException" | "SendingPausedException" => {
            MailError::Paused { code: told() }
        }
        // A message names every address that is not verified. If ours is among them, no mail will leave.
        "MessageRejected" if message.contains("not verified") && message.contains(from) => {
            MailError::Misconfigured { code: told() }
        }
        "MessageRejected" | "BadRequestException" => MailError::Refused { code: told() },
        // Not found is what the sender's identity is, or a configuration set: nothing else is named in a request.
        "MailFromDomainNotVerifiedException" | "NotFoundException" => {
            MailError::Misconfigured { code: told() }
        }
        _ => match status {
            429 => limited(&message),
            // Credentials and permissions, under a dozen names.
            401 | 403 => MailError::Misconfigured { code: told() },
            // It says that all is well, and cannot be read.
            ..300 => MailError::Busy { what: NOT_ITS.to_owned() },
            400..=499 if is_credentials(code) => MailError::Misconfigured { code: told() },
            400..=499 if status != 408 => MailError::Refused { code: told() },
            _ => MailError::Busy { what: told() },
        },
    }
}

fn limited(message: &str) -> MailError {
    if message.contains("daily") {
        MailError::DailyLimit
    } else {
        MailError::Limited { after: A_MOMENT }
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
    use crate::mail::Kind;
    use crate::mail::tests::{Case, brand};
    use crate::net::http_client;
    use crate::net::loopback::{LoopbackResponse, Loopback, dead_url};

    fn ses(url: String) -> Ses {
        let env = Env::from_pairs([
            (names::AWS_REGION, "eu-west-1".to_owned()),
            (names::AWS_ACCESS_KEY_ID, "id".to_owned()),
            (names::AWS_SECRET_ACCESS_KEY, "key".to_owned()),
            (names::AWS_ENDPOINT_URL_SESV2, url),
        ]);
        let http = http_client("live-classes/outbox-sweep").unwrap();
        Ses::new(Aws::new(&env, &http).unwrap().ses(), brand().from)
    }

    async fn sent(url: String) -> Result<String, MailError> {
        ses(url).send(&Case::new(Kind::Scheduled).compose()).await
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

    fn busy(what: &str) -> MailError {
        MailError::Busy { what: what.to_owned() }
    }

    #[tokio::test]
    async fn every_error_says_what_to_do_and_is_asked_for_once() {
        let limited = MailError::Limited { after: A_MOMENT };
        let rate = "Maximum sending rate exceeded.";
        let daily = "Daily message quota exceeded.";
        let ours = "Email address is not verified. The following identities failed the check in region \
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
            (400, "MessageRejected", ours, misconfigured("MessageRejected")),
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
            (500, "InternalServiceErrorException", "", busy("InternalServiceErrorException")),
            (503, "", "", busy("503")),
            (408, "RequestTimeoutException", "", busy("RequestTimeoutException")),
        ];
        for (status, code, message, expected) in cases {
            let body = serde_json::json!({ "message": message }).to_string();
            let server = Loopback::start(move |_| {
                let answer = LoopbackResponse::with(status, body.as_str());
                if code.is_empty() { answer } else { answer.header("x-amzn-errortype", code) }
            });
            assert_eq!(sent(server.url("/")).await, Err(expected), "{status} {code} {message}");
            assert_eq!(
                server.requests().len(),
                1,
                "{status} {code}: it is the outbox that tries again"
            );
        }
    }

    #[tokio::test]
    async fn without_an_answer_nobody_knows() {
        assert_eq!(sent(dead_url()).await, Err(busy("not reached, or broken off")));
        let server = Loopback::start(|_| LoopbackResponse::ok(r#"{"MessageId":"1"}"#).cut_in_half());
        assert_eq!(sent(server.url("/")).await, Err(busy("not reached, or broken off")));
        assert_eq!(server.requests().len(), 1);
        let server = Loopback::start(|_| LoopbackResponse::ok("<html>"));
        assert_eq!(sent(server.url("/")).await, Err(busy(NOT_ITS)));

        let server = Loopback::start(|_| LoopbackResponse::ok("{}").late(Duration::from_secs(2)));
        let mut ses = ses(server.url("/"));
        let soon = Duration::from_millis(100);
        let soon = TimeoutConfig::builder().operation_timeout(soon).build();
        let config = ses.client.config().to_builder().timeout_config(soon).build();
        ses.client = aws_sdk_sesv2::Client::from_conf(config);
        let late = ses.send(&Case::new(Kind::Scheduled).compose()).await;
        assert_eq!(late, Err(busy("timed out")));
        assert_eq!(server.requests().len(), 1);
    }

    #[tokio::test]
    async fn the_message_goes_whole_to_one_person() {
        let server = Loopback::start(|_| LoopbackResponse::ok(r#"{"MessageId":"0100-1"}"#));
        assert_eq!(sent(server.url("/")).await, Ok("0100-1".to_owned()));
        let request = &server.requests()[0];
        assert_eq!(request.path, "/v2/email/outbound-emails");
        let body: serde_json::Value = serde_json::from_str(&request.body).unwrap();
        assert_eq!(body["Destination"]["ToAddresses"], serde_json::json!(["ada@example.test"]));
        assert_eq!(body["FromEmailAddress"], "classes@example.test");
        let raw = Case::new(Kind::Scheduled).compose().raw;
        let data = data_encoding::BASE64
            .decode(body["Content"]["Raw"]["Data"].as_str().unwrap().as_bytes());
        assert_eq!(data.unwrap(), raw);
    }
}
