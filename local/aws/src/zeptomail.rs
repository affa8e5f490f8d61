//! ZeptoMail: `POST /v1.1/email`. The mailbox stores the message that ZeptoMail would send.
//! <https://www.zoho.com/zeptomail/help/api/email-sending.html>

use axum::Json;
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header::AUTHORIZATION;
use http::{HeaderMap, StatusCode};
use mail_builder::MessageBuilder;
use mail_builder::headers::address::Address;
use mail_builder::headers::content_type::ContentType;
use mail_builder::headers::text::Text;
use mail_builder::mime::MimePart;
use serde_json::{Value, json};
use shared::secret::Secret;

use super::mailbox::Mailbox;
use crate::calls::AwsService;

const SCHEME: &str = "Zoho-enczapikey ";
/// The limit for one mail with its attachments.
const MAX_MESSAGE_BYTES: usize = 15 * 1024 * 1024;

/// An error: code, sub-code, message, and target field.
struct ZeptomailError(&'static str, &'static str, String, &'static str);

pub(super) fn send(
    mailbox: &Mailbox,
    token: &Secret,
    headers: &HeaderMap,
    body: &[u8],
) -> Response {
    let authorization = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    if authorization.and_then(|value| value.strip_prefix(SCHEME)) != Some(token.expose()) {
        return invalid_token();
    }
    match store_mail(mailbox, body) {
        Ok(request_id) => {
            let response = json!({
                "data": [{ "code": "EM_104", "additional_info": [], "message": "Email request received" }],
                "message": "OK",
                "request_id": request_id,
                "object": "email",
            });
            (StatusCode::CREATED, Json(response)).into_response()
        }
        Err(ZeptomailError(code, sub_code, message, target)) => {
            error_response(StatusCode::BAD_REQUEST, code, sub_code, &message, target)
        }
    }
}

/// Returns an error in ZeptoMail's format.
pub fn error_response(
    status: StatusCode,
    code: &str,
    sub_code: &str,
    message: &str,
    target: &str,
) -> Response {
    let error = json!({ "error": {
        "code": code,
        "details": [{ "code": sub_code, "message": message, "target": target }],
        "message": message,
        "request_id": "local",
    } });
    (status, Json(error)).into_response()
}

/// Returns the response to a token that is not the mail agent's.
pub fn invalid_token() -> Response {
    let message = "Invalid API Token found";
    error_response(StatusCode::UNAUTHORIZED, "TM_4001", "SERR_157", message, "Authorization")
}

fn store_mail(mailbox: &Mailbox, body: &[u8]) -> Result<String, ZeptomailError> {
    if body.len() > MAX_MESSAGE_BYTES {
        return Err(ZeptomailError(
            "TM_8001",
            "SM_127",
            "The mail is larger than 15 MB.".into(),
            "",
        ));
    }
    let mail: Value = serde_json::from_slice(body)
        .map_err(|_| ZeptomailError("TM_3301", "SM_101", "Invalid JSON.".into(), ""))?;
    let mut recipients = Vec::new();
    for field in ["to", "cc", "bcc"] {
        for entry in mail[field].as_array().into_iter().flatten() {
            recipients.push(parse_address(&entry["email_address"], field)?.1.to_owned());
        }
    }
    if recipients.is_empty() {
        return Err(missing_field("to", "No recipient field found."));
    }
    let raw = render_message(mailbox, &mail)?;
    mailbox.store(AwsService::Zeptomail, &recipients, &raw).map_err(|error| {
        tracing::error!(error = &error as &dyn std::error::Error, "storing the mail failed");
        ZeptomailError("TM_3301", "SM_101", error.to_string(), "")
    })
}

/// Renders the message that ZeptoMail would send for the request.
fn render_message(mailbox: &Mailbox, mail: &Value) -> Result<Vec<u8>, ZeptomailError> {
    let subject = mail["subject"].as_str().filter(|subject| !subject.is_empty());
    let subject = subject.ok_or_else(|| {
        missing_field("subject", "Mandatory Field \"subject\" was set as Empty Value.")
    })?;
    if mail["from"].is_null() {
        return Err(missing_field("from", "Mandatory Field \"from\" is missing."));
    }
    let list = |field| -> Result<Address<'_>, ZeptomailError> {
        let entries = mail[field].as_array().into_iter().flatten();
        let addresses =
            entries.map(|entry| Ok(mail_address(parse_address(&entry["email_address"], field)?)));
        Ok(Address::new_list(addresses.collect::<Result<_, _>>()?))
    };
    let mut message = MessageBuilder::new()
        .message_id(format!("{}@zeptomail.local", mailbox.random_token()))
        .date(mailbox.now().as_second())
        .from(mail_address(parse_address(&mail["from"], "from")?))
        .to(list("to")?)
        .subject(subject);
    if mail["cc"].is_array() {
        message = message.cc(list("cc")?);
    }
    for (name, value) in mail["mime_headers"].as_object().into_iter().flatten() {
        message = message.header(name.as_str(), Text::new(value.as_str().unwrap_or_default()));
    }
    if let Some(reference) = mail["client_reference"].as_str() {
        message = message.header("X-Client-Reference", Text::new(reference));
    }
    let message = message.body(message_body(mailbox, mail)?);
    message
        .write_to_vec()
        .map_err(|error| ZeptomailError("TM_3301", "SM_101", error.to_string(), ""))
}

/// Builds the MIME body: text and HTML as alternatives, followed by the attachments.
fn message_body<'a>(mailbox: &Mailbox, mail: &'a Value) -> Result<MimePart<'a>, ZeptomailError> {
    let bodies = [("textbody", "text/plain"), ("htmlbody", "text/html")];
    let alternatives: Vec<_> = bodies
        .into_iter()
        .filter_map(|(field, kind)| Some(MimePart::new(kind, mail[field].as_str()?)))
        .collect();
    if alternatives.is_empty() {
        return Err(missing_field("htmlbody", "Mandatory Field \"htmlbody\" is missing."));
    }
    let mut parts = vec![multipart(mailbox, "multipart/alternative", alternatives)];
    for attachment in mail["attachments"].as_array().into_iter().flatten() {
        let text = |field| attachment[field].as_str().filter(|text: &&str| !text.is_empty());
        let content = text("content").and_then(|content| STANDARD.decode(content).ok());
        let (Some(content), Some(kind), Some(name)) = (content, text("mime_type"), text("name"))
        else {
            let message = "Invalid Mimetype found".to_owned();
            return Err(ZeptomailError("TM_3301", "SM_120", message, "attachments"));
        };
        parts.push(MimePart::new(kind, content).attachment(name));
    }
    Ok(multipart(mailbox, "multipart/mixed", parts))
}

/// Builds a multipart with a random boundary. The mail builder would derive it from the machine's clock.
fn multipart<'a>(mailbox: &Mailbox, kind: &'a str, parts: Vec<MimePart<'a>>) -> MimePart<'a> {
    MimePart::new(ContentType::new(kind).attribute("boundary", mailbox.random_token()), parts)
}

/// Returns the display name and the address of an entry.
fn parse_address<'a>(
    entry: &'a Value,
    field: &'static str,
) -> Result<(Option<&'a str>, &'a str), ZeptomailError> {
    let address = entry["address"].as_str().filter(|address| address.contains('@'));
    let address = address.ok_or_else(|| {
        let message = format!("Mandatory Field \"{field}\" has Invalid Value.");
        ZeptomailError("TM_4001", "SM_113", message, field)
    })?;
    Ok((entry["name"].as_str(), address))
}

fn mail_address<'a>((name, address): (Option<&'a str>, &'a str)) -> Address<'a> {
    Address::new_address(name, address)
}

fn missing_field(field: &'static str, message: &str) -> ZeptomailError {
    ZeptomailError("TM_3201", "GE_102", message.to_owned(), field)
}
