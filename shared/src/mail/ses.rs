//! Amazon SES, API v2: the whole message, as only a raw one can bring an invitation.
//! <https://docs.aws.amazon.com/ses/latest/APIReference-V2/API_SendEmail.html>

use aws_sdk_sesv2::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_sesv2::operation::send_email::SendEmailError;
use aws_sdk_sesv2::primitives::Blob;
use aws_sdk_sesv2::types::{Destination, EmailContent, RawMessage};

use super::error::A_MOMENT;
use super::mailbox::on_the_wire;
use super::{Composed, MailError, MailService, Mailbox};

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
    async fn send(&self, mail: &Composed) -> Result<String, MailError> {
        let raw = RawMessage::builder().data(Blob::new(mail.raw.clone())).build();
        let raw = raw.map_err(|_| MailError::Refused { code: "RawMessage".to_owned() })?;
        let sent = self
            .client
            .send_email()
            .from_email_address(on_the_wire(&self.from.address))
            .destination(Destination::builder().to_addresses(on_the_wire(&mail.to)).build())
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
        SdkError::ResponseError(_) => busy("an answer that is not SES's"),
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
