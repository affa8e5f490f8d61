//! SES v2: `SendEmail` with a raw message. The mailbox stores the message.
//! <https://docs.aws.amazon.com/ses/latest/APIReference-V2/API_SendEmail.html>

use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::StatusCode;
use serde::Deserialize;
use serde_json::json;

use super::mailbox::{MailError, Mailbox};
use super::refusal::{self, Refusal};
use crate::calls::AwsService;

/// The limit for a message with its attachments.
/// <https://docs.aws.amazon.com/ses/latest/dg/quotas.html>
const MAX_MESSAGE_BYTES: usize = 40 * 1024 * 1024;
/// The limit for the recipients of one message, in all three fields together.
const MAX_RECIPIENTS: usize = 50;

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct SendEmail {
    destination: Destination,
    content: Content,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Destination {
    to_addresses: Vec<String>,
    cc_addresses: Vec<String>,
    bcc_addresses: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Content {
    raw: Option<Raw>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Raw {
    data: String,
}

pub(super) fn send(mailbox: &Mailbox, body: &[u8]) -> Response {
    match store_mail(mailbox, body) {
        Ok(id) => refusal::success(AwsService::Ses, &json!({ "MessageId": id })),
        Err(refusal) => refusal.into_response(),
    }
}

fn store_mail(mailbox: &Mailbox, body: &[u8]) -> Result<String, Refusal> {
    let request: SendEmail =
        serde_json::from_slice(body).map_err(|error| bad_request(&error.to_string()))?;
    let Some(raw) = request.content.raw else {
        // The system only sends raw messages because SES accepts a calendar invitation in no other form.
        return Err(bad_request("This stack supports raw messages only."));
    };
    let message = STANDARD.decode(raw.data).map_err(|_| bad_request("The data is not base64."))?;
    if message.len() > MAX_MESSAGE_BYTES {
        return Err(bad_request("The message is larger than 40 MB."));
    }
    let Destination { to_addresses, cc_addresses, bcc_addresses } = request.destination;
    let recipients = [to_addresses, cc_addresses, bcc_addresses].concat();
    if recipients.len() > MAX_RECIPIENTS {
        return Err(bad_request("The message has more than 50 recipients."));
    }
    mailbox.store(AwsService::Ses, &recipients, &message).map_err(|error| match error {
        MailError::Database(_) => Refusal::new(
            AwsService::Ses,
            StatusCode::INTERNAL_SERVER_ERROR,
            "InternalServiceErrorException",
            error.to_string(),
        ),
        _ => bad_request(&error.to_string()),
    })
}

fn bad_request(message: &str) -> Refusal {
    Refusal::new(AwsService::Ses, StatusCode::BAD_REQUEST, "BadRequestException", message)
}
