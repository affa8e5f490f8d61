//! ZeptoMail: `POST /v1.1/email`, kept in the mailbox as the mail that ZeptoMail would send.
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
use crate::calls::Service;

const SCHEME: &str = "Zoho-enczapikey ";
/// One mail with its attachments.
const MESSAGE_BYTES: usize = 15 * 1024 * 1024;

/// An error: its code, the code below it, the words, and the field it is about.
struct Problem(&'static str, &'static str, String, &'static str);

pub(super) fn send(
    mailbox: &Mailbox,
    token: &Secret,
    headers: &HeaderMap,
    body: &[u8],
) -> Response {
    let given = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    if given.and_then(|value| value.strip_prefix(SCHEME)) != Some(token.expose()) {
        return invalid_token();
    }
    match sent(mailbox, body) {
        Ok(request_id) => {
            let answer = json!({
                "data": [{ "code": "EM_104", "additional_info": [], "message": "Email request received" }],
                "message": "OK",
                "request_id": request_id,
                "object": "email",
            });
            (StatusCode::CREATED, Json(answer)).into_response()
        }
        Err(Problem(code, below, message, target)) => {
            refusal(StatusCode::BAD_REQUEST, code, below, &message, target)
        }
    }
}

/// An error as ZeptoMail tells it.
pub(crate) fn refusal(
    status: StatusCode,
    code: &str,
    below: &str,
    message: &str,
    target: &str,
) -> Response {
    let error = json!({ "error": {
        "code": code,
        "details": [{ "code": below, "message": message, "target": target }],
        "message": message,
        "request_id": "local",
    } });
    (status, Json(error)).into_response()
}

/// The answer to a token that is not the mail agent's.
pub(crate) fn invalid_token() -> Response {
    let message = "Invalid API Token found";
    refusal(StatusCode::UNAUTHORIZED, "TM_4001", "SERR_157", message, "Authorization")
}

fn sent(mailbox: &Mailbox, body: &[u8]) -> Result<String, Problem> {
    if body.len() > MESSAGE_BYTES {
        return Err(Problem("TM_8001", "SM_127", "The mail is larger than 15 MB.".into(), ""));
    }
    let mail: Value = serde_json::from_slice(body)
        .map_err(|_| Problem("TM_3301", "SM_101", "Invalid JSON.".into(), ""))?;
    let mut recipients = Vec::new();
    for field in ["to", "cc", "bcc"] {
        for entry in mail[field].as_array().into_iter().flatten() {
            recipients.push(address(&entry["email_address"], field)?.1.to_owned());
        }
    }
    if recipients.is_empty() {
        return Err(missing("to", "No recipient field found."));
    }
    let raw = rendered(mailbox, &mail)?;
    mailbox.keep(Service::Zeptomail, &recipients, &raw).map_err(|error| {
        tracing::error!(error = &error as &dyn std::error::Error, "the mail could not be kept");
        Problem("TM_3301", "SM_101", error.to_string(), "")
    })
}

/// The message that ZeptoMail would make of the request.
fn rendered(mailbox: &Mailbox, mail: &Value) -> Result<Vec<u8>, Problem> {
    let subject = mail["subject"].as_str().filter(|subject| !subject.is_empty());
    let subject = subject
        .ok_or_else(|| missing("subject", "Mandatory Field \"subject\" was set as Empty Value."))?;
    if mail["from"].is_null() {
        return Err(missing("from", "Mandatory Field \"from\" is missing."));
    }
    let list = |field| -> Result<Address<'_>, Problem> {
        let entries = mail[field].as_array().into_iter().flatten();
        let addresses =
            entries.map(|entry| Ok(mailbox_of(address(&entry["email_address"], field)?)));
        Ok(Address::new_list(addresses.collect::<Result<_, _>>()?))
    };
    let mut message = MessageBuilder::new()
        .message_id(format!("{}@zeptomail.local", mailbox.token()))
        .date(mailbox.now().as_second())
        .from(mailbox_of(address(&mail["from"], "from")?))
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
    let message = message.body(body(mailbox, mail)?);
    message.write_to_vec().map_err(|error| Problem("TM_3301", "SM_101", error.to_string(), ""))
}

/// Text and HTML as alternatives, the attachments beside them.
fn body<'a>(mailbox: &Mailbox, mail: &'a Value) -> Result<MimePart<'a>, Problem> {
    let bodies = [("textbody", "text/plain"), ("htmlbody", "text/html")];
    let alternatives: Vec<_> = bodies
        .into_iter()
        .filter_map(|(field, kind)| Some(MimePart::new(kind, mail[field].as_str()?)))
        .collect();
    if alternatives.is_empty() {
        return Err(missing("htmlbody", "Mandatory Field \"htmlbody\" is missing."));
    }
    let mut parts = vec![multipart(mailbox, "multipart/alternative", alternatives)];
    for attachment in mail["attachments"].as_array().into_iter().flatten() {
        let text = |field| attachment[field].as_str().filter(|text: &&str| !text.is_empty());
        let content = text("content").and_then(|content| STANDARD.decode(content).ok());
        let (Some(content), Some(kind), Some(name)) = (content, text("mime_type"), text("name"))
        else {
            let message = "Invalid Mimetype found".to_owned();
            return Err(Problem("TM_3301", "SM_120", message, "attachments"));
        };
        parts.push(MimePart::new(kind, content).attachment(name));
    }
    Ok(multipart(mailbox, "multipart/mixed", parts))
}

/// Parts under a boundary that is drawn here: the builder would draw it from the machine's clock.
fn multipart<'a>(mailbox: &Mailbox, kind: &'a str, parts: Vec<MimePart<'a>>) -> MimePart<'a> {
    MimePart::new(ContentType::new(kind).attribute("boundary", mailbox.token()), parts)
}

/// The name and the address of an entry.
fn address<'a>(
    entry: &'a Value,
    field: &'static str,
) -> Result<(Option<&'a str>, &'a str), Problem> {
    let address = entry["address"].as_str().filter(|address| address.contains('@'));
    let address = address.ok_or_else(|| {
        let message = format!("Mandatory Field \"{field}\" has Invalid Value.");
        Problem("TM_4001", "SM_113", message, field)
    })?;
    Ok((entry["name"].as_str(), address))
}

fn mailbox_of<'a>((name, address): (Option<&'a str>, &'a str)) -> Address<'a> {
    Address::new_address(name, address)
}

fn missing(field: &'static str, message: &str) -> Problem {
    Problem("TM_3201", "GE_102", message.to_owned(), field)
}
