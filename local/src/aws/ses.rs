//! SES v2: `SendEmail` with a raw message, kept in the mailbox.
//! <https://docs.aws.amazon.com/ses/latest/APIReference-V2/API_SendEmail.html>

use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::StatusCode;
use serde::Deserialize;
use serde_json::json;

use super::mailbox::{MailError, Mailbox};
use super::refusal::{self, Refusal};
use crate::calls::Service;

/// A message with its attachments.
/// <https://docs.aws.amazon.com/ses/latest/dg/quotas.html>
const MESSAGE_BYTES: usize = 40 * 1024 * 1024;
/// Recipients of one message, in all three fields together.
const RECIPIENTS: usize = 50;

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
    match sent(mailbox, body) {
        Ok(id) => refusal::answer(Service::Ses, &json!({ "MessageId": id })),
        Err(refusal) => refusal.into_response(),
    }
}

fn sent(mailbox: &Mailbox, body: &[u8]) -> Result<String, Refusal> {
    let request: SendEmail =
        serde_json::from_slice(body).map_err(|error| bad_request(&error.to_string()))?;
    let Some(raw) = request.content.raw else {
        // A calendar invitation can only be sent raw, so the code sends nothing else.
        return Err(bad_request("This stack takes raw messages only."));
    };
    let message = STANDARD.decode(raw.data).map_err(|_| bad_request("The data is not base64."))?;
    if message.len() > MESSAGE_BYTES {
        return Err(bad_request("The message is larger than 40 MB."));
    }
    let Destination { to_addresses, cc_addresses, bcc_addresses } = request.destination;
    let recipients = [to_addresses, cc_addresses, bcc_addresses].concat();
    if recipients.len() > RECIPIENTS {
        return Err(bad_request("The message has more than 50 recipients."));
    }
    mailbox.keep(Service::Ses, &recipients, &message).map_err(|error| match error {
        MailError::Database(_) => Refusal::new(
            Service::Ses,
            StatusCode::INTERNAL_SERVER_ERROR,
            "InternalServiceErrorException",
            error.to_string(),
        ),
        _ => bad_request(&error.to_string()),
    })
}

fn bad_request(message: &str) -> Refusal {
    Refusal::new(Service::Ses, StatusCode::BAD_REQUEST, "BadRequestException", message)
}
