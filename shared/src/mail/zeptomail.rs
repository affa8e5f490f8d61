//! ZeptoMail: the mail in its parts, from which the service builds the message; an invitation can only be attached.
//! <https://www.zoho.com/zeptomail/help/api/email-sending.html>

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderValue, StatusCode};
use reqwest::header::{AUTHORIZATION, HeaderMap, RETRY_AFTER};
use serde::Deserialize;
use serde_json::{Value, json};
use url::Url;

use super::compose::FILE_NAME;
use super::error::A_MOMENT;
use super::mailbox::on_the_wire;
use super::{Composed, MailError, MailService, Mailbox};
use crate::aws::SEND_TIMEOUT;
use crate::secret::Secret;

/// Stands before the token, both in the header and where ZeptoMail shows the token to copy.
const SCHEME: &str = "Zoho-enczapikey ";

#[derive(Clone, Debug)]
pub struct ZeptoMail {
    http: reqwest::Client,
    url: Url,
    token: Secret,
    from: Mailbox,
}

impl ZeptoMail {
    pub fn new(http: reqwest::Client, url: Url, token: Secret, from: Mailbox) -> Self {
        Self { http, url, token, from }
    }

    fn request(&self, mail: &Composed) -> Value {
        let headers = mail.kind.headers().map(|(name, value)| (name.to_owned(), json!(value)));
        let mut request = json!({
            "from": address(self.from.name.as_deref(), on_the_wire(&self.from.address)),
            "to": [{ "email_address": address(mail.to_name.as_deref(), on_the_wire(&mail.to)) }],
            "subject": mail.subject,
            "textbody": mail.text,
            "htmlbody": mail.html,
            "client_reference": mail.message_id,
            "mime_headers": Value::Object(headers.into_iter().collect()),
            // An opened mail is nobody's business, and a link that was rewritten to count clicks looks like fraud.
            "track_opens": false,
            "track_clicks": false,
        });
        if let Some(calendar) = &mail.calendar {
            request["attachments"] = json!([{
                "name": FILE_NAME,
                "mime_type": "text/calendar",
                "content": STANDARD.encode(&calendar.text),
            }]);
        }
        request
    }

    fn authorization(&self) -> Result<HeaderValue, MailError> {
        let token = self.token.expose().trim();
        let token = token.strip_prefix(SCHEME).unwrap_or(token);
        let mut value = HeaderValue::try_from(format!("{SCHEME}{token}"))
            .map_err(|_| MailError::Misconfigured { code: "zeptomail_token".to_owned() })?;
        value.set_sensitive(true);
        Ok(value)
    }
}

fn address(name: Option<&str>, address: String) -> Value {
    match name {
        Some(name) => json!({ "address": address, "name": name }),
        None => json!({ "address": address }),
    }
}

impl MailService for ZeptoMail {
    async fn send(&self, mail: &Composed) -> Result<String, MailError> {
        let answer = self
            .http
            .post(self.url.clone())
            .header(AUTHORIZATION, self.authorization()?)
            .header("accept", "application/json")
            .timeout(SEND_TIMEOUT)
            .json(&self.request(mail))
            .send()
            .await
            .map_err(|error| unanswered(&error))?;
        let (status, headers) = (answer.status(), answer.headers().clone());
        let body = answer.bytes().await.map_err(|error| unanswered(&error))?;
        verdict(status, &headers, &body)
    }
}

fn unanswered(error: &reqwest::Error) -> MailError {
    let what = if error.is_timeout() { "timed out" } else { "not reached, or broken off" };
    MailError::Busy { what: what.to_owned() }
}

#[derive(Deserialize)]
struct Accepted {
    data: Vec<Value>,
    request_id: String,
}

#[derive(Deserialize)]
struct Failed {
    error: Failure,
}

#[derive(Deserialize)]
struct Failure {
    #[serde(default)]
    code: String,
    #[serde(default)]
    details: Vec<Detail>,
}

#[derive(Deserialize)]
struct Detail {
    #[serde(default)]
    code: String,
    #[serde(default)]
    target: String,
}

fn verdict(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Result<String, MailError> {
    if status.is_success() {
        return match serde_json::from_slice::<Accepted>(body) {
            Ok(accepted) if !accepted.data.is_empty() => Ok(accepted.request_id),
            _ => Err(MailError::Busy { what: "an answer that is not ZeptoMail's".to_owned() }),
        };
    }
    let failure = serde_json::from_slice::<Failed>(body).ok().map(|failed| failed.error);
    Err(refusal(status, retry_after(headers), failure.as_ref()))
}

/// What an error means: <https://www.zoho.com/zeptomail/help/api/error-codes.html>. That page names no statuses, so
/// the codes come first; it names no code for too many requests at once, which is 429 as everywhere.
fn refusal(status: StatusCode, after: Duration, failure: Option<&Failure>) -> MailError {
    let detail = failure.and_then(|failure| failure.details.first());
    let (below, target) = detail.map_or(("", ""), |detail| (&detail.code, &detail.target));
    let code = match failure {
        Some(failure) if below.is_empty() => failure.code.clone(),
        Some(failure) => format!("{}/{below}", failure.code),
        None => status.as_u16().to_string(),
    };
    match below {
        "SMI_115" => return MailError::DailyLimit,
        // Credits used up, a trial at its end, an account that is blocked or not yet reviewed.
        "LE_101" | "LE_102" | "SM_133" | "AE_101" | "SM_128" => return MailError::Paused { code },
        // A sender's domain that is not verified, an address that may not call, a token that is none.
        "SM_111" | "SERR_156" | "SERR_157" => return MailError::Misconfigured { code },
        "SM_113" | "GE_102" if matches!(target, "from" | "bounce_address") => {
            return MailError::Misconfigured { code };
        }
        _ => {}
    }
    match status.as_u16() {
        429 => MailError::Limited { after },
        408 => MailError::Busy { what: code },
        // Another service's address, or a token that is none.
        300..=399 | 401 | 403 | 404 | 405 => MailError::Misconfigured { code },
        // A refusal that is not in ZeptoMail's form is somebody's who stands in between.
        400..=499 if failure.is_some() || status == StatusCode::PAYLOAD_TOO_LARGE => {
            MailError::Refused { code }
        }
        _ => MailError::Busy { what: code },
    }
}

fn retry_after(headers: &HeaderMap) -> Duration {
    let seconds = headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
    seconds.map_or(A_MOMENT, Duration::from_secs)
}
