//! SES v2: `SendEmail` with a raw message. The mailbox stores the message.
//! <https://docs.aws.amazon.com/ses/latest/APIReference-V2/API_SendEmail.html>

use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::StatusCode;
use serde::Deserialize;
use serde_json::json;

use super::mailbox::{MailError, MailSource, Mailbox};
use super::refusal::{self, Refusal};
use crate::calls::AwsService;

/// The limit for a message with its attachments.
/// <https://docs.aws.amazon.com/ses/latest/dg/quotas.html>
const MAX_MESSAGE_BYTES: usize = 40 * 1024 * 1024;
/// The limit for a tag's name, and for its value.
const MAX_TAG_LENGTH: usize = 256;
/// The limit for the recipients of one message, in all three fields together.
const MAX_RECIPIENTS: usize = 50;

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct SendEmail {
    destination: Destination,
    content: Content,
    configuration_set_name: Option<String>,
    email_tags: Vec<Tag>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Tag {
    name: String,
    value: String,
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

pub(super) fn send(mailbox: &Mailbox, configuration_sets: &[String], body: &[u8]) -> Response {
    match store_mail(mailbox, configuration_sets, body) {
        Ok(id) => refusal::success(AwsService::Ses, &json!({ "MessageId": id })),
        Err(refusal) => refusal.into_response(),
    }
}

fn store_mail(
    mailbox: &Mailbox,
    configuration_sets: &[String],
    body: &[u8],
) -> Result<String, Refusal> {
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
    let set = request.configuration_set_name;
    if let Some(set) = set.as_ref().filter(|set| !configuration_sets.contains(set)) {
        let message = format!("Configuration set <{set}> does not exist.");
        return Err(Refusal::new(
            AwsService::Ses,
            StatusCode::NOT_FOUND,
            "NotFoundException",
            message,
        ));
    }
    check_tags(&request.email_tags)?;
    let Destination { to_addresses, cc_addresses, bcc_addresses } = request.destination;
    let recipients = [to_addresses, cc_addresses, bcc_addresses].concat();
    if recipients.len() > MAX_RECIPIENTS {
        return Err(bad_request("The message has more than 50 recipients."));
    }
    let tags = request.email_tags.into_iter().map(|tag| (tag.name, tag.value)).collect();
    let source = MailSource { configuration_set: set, tags };
    mailbox.store_with_source(&source, &recipients, &message).map_err(|error| match error {
        MailError::Database(_) => Refusal::new(
            AwsService::Ses,
            StatusCode::INTERNAL_SERVER_ERROR,
            "InternalServiceErrorException",
            error.to_string(),
        ),
        _ => bad_request(&error.to_string()),
    })
}

/// Checks the characters and the length of tags.
/// <https://docs.aws.amazon.com/ses/latest/APIReference-V2/API_MessageTag.html>
fn check_tags(tags: &[Tag]) -> Result<(), Refusal> {
    let is_valid = |text: &str, extra: &str| {
        (1..=MAX_TAG_LENGTH).contains(&text.len())
            && text.chars().all(|char| char.is_ascii_alphanumeric() || extra.contains(char))
    };
    let mut names: Vec<_> = tags.iter().map(|tag| tag.name.as_str()).collect();
    names.sort_unstable();
    if names.windows(2).any(|pair| pair[0] == pair[1]) {
        return Err(bad_request("Duplicate tag names."));
    }
    for Tag { name, value } in tags {
        if !is_valid(name, "_-") {
            return Err(bad_request(&format!("Invalid tag name <{name}>.")));
        }
        if !is_valid(value, "_-.@") {
            return Err(bad_request(&format!("Invalid value of the tag <{name}>.")));
        }
    }
    Ok(())
}

fn bad_request(message: &str) -> Refusal {
    Refusal::new(AwsService::Ses, StatusCode::BAD_REQUEST, "BadRequestException", message)
}
