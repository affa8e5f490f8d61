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
use super::{ComposedMail, MailError, MailService, Mailbox};
use crate::aws::SEND_TIMEOUT;
use crate::secret::Secret;

/// The longest pause that a limit per second may ask for, as with Zoom; more would be a mistake of somebody's clock.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// Stands before the token, both in the header and where ZeptoMail shows the token to copy.
const SCHEME: &str = "Zoho-enczapikey ";

#[derive(Clone, Debug)]
pub struct ZeptoMail {
    http: reqwest::Client,
    url: Url,
    token: Secret,
    from: Mailbox,
    timeout: Duration,
}

impl ZeptoMail {
    pub fn new(http: reqwest::Client, url: Url, token: Secret, from: Mailbox) -> Self {
        Self { http, url, token, from, timeout: SEND_TIMEOUT }
    }

    fn request(&self, mail: &ComposedMail) -> Value {
        let headers = mail.kind.headers().map(|(name, value)| (name.to_owned(), json!(value)));
        let mut request = json!({
            "from": address(self.from.name.as_deref(), self.from.address.as_str()),
            "to": [{ "email_address": address(mail.to_name.as_deref(), mail.to.as_str()) }],
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

fn address(name: Option<&str>, address: &str) -> Value {
    match name {
        Some(name) => json!({ "address": address, "name": name }),
        None => json!({ "address": address }),
    }
}

impl MailService for ZeptoMail {
    async fn send(&self, mail: &ComposedMail) -> Result<String, MailError> {
        let answer = self
            .http
            .post(self.url.clone())
            .header(AUTHORIZATION, self.authorization()?)
            .header("accept", "application/json")
            .timeout(self.timeout)
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
    seconds.map_or(A_MOMENT, Duration::from_secs).min(LONGEST_PAUSE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mail::Kind;
    use crate::mail::tests::{Case, brand};
    use crate::net::http_client;
    use crate::net::loopback::{LoopbackResponse, Loopback, dead_url};

    fn zeptomail(url: &str, token: &str) -> ZeptoMail {
        let http = http_client("live-classes/outbox-sweep").unwrap();
        ZeptoMail::new(http, url.parse().unwrap(), Secret::new(token), brand().from)
    }

    async fn sent(url: &str) -> Result<String, MailError> {
        zeptomail(url, "hunter2").send(&Case::new(Kind::Scheduled).compose()).await
    }

    fn busy(what: &str) -> MailError {
        MailError::Busy { what: what.to_owned() }
    }

    #[tokio::test]
    async fn every_error_says_what_to_do() {
        let refused = |code: &str| MailError::Refused { code: code.to_owned() };
        let paused = |code: &str| MailError::Paused { code: code.to_owned() };
        let misconfigured = |code: &str| MailError::Misconfigured { code: code.to_owned() };
        let limited = MailError::Limited { after: A_MOMENT };
        // In the order of ZeptoMail's own table, with the statuses that each was seen or is assumed to have.
        let cases = [
            (400, "TM_3201", "GE_102", "subject", refused("TM_3201/GE_102")),
            (400, "TM_3201", "GE_102", "from", misconfigured("TM_3201/GE_102")),
            (400, "TM_3301", "SM_101", "", refused("TM_3301/SM_101")),
            (400, "TM_3301", "SM_120", "attachments", refused("TM_3301/SM_120")),
            (400, "TM_3501", "LE_101", "", paused("TM_3501/LE_101")),
            (403, "TM_3601", "SERR_156", "", misconfigured("TM_3601/SERR_156")),
            (403, "TM_3601", "SM_133", "", paused("TM_3601/SM_133")),
            (403, "TM_3601", "SMI_115", "", MailError::DailyLimit),
            (500, "TM_3601", "SMI_115", "", MailError::DailyLimit),
            (403, "TM_3601", "AE_101", "", paused("TM_3601/AE_101")),
            (400, "TM_4001", "SM_111", "from", misconfigured("TM_4001/SM_111")),
            (400, "TM_4001", "SM_113", "to", refused("TM_4001/SM_113")),
            (400, "TM_4001", "SM_113", "from", misconfigured("TM_4001/SM_113")),
            (400, "TM_4001", "SM_128", "", paused("TM_4001/SM_128")),
            (401, "TM_4001", "SERR_157", "", misconfigured("TM_4001/SERR_157")),
            (400, "TM_8001", "SM_127", "", refused("TM_8001/SM_127")),
            (400, "TM_8001", "SM_129", "subject", refused("TM_8001/SM_129")),
            (429, "TM_4290", "LE_429", "", limited),
            (500, "TM_5000", "SERR_500", "", busy("TM_5000/SERR_500")),
        ];
        for (status, code, below, target, expected) in cases {
            let error = json!({ "error": {
                "code": code,
                "details": [{ "code": below, "message": "It is about ada@example.test.", "target": target }],
                "message": "Invalid request",
                "request_id": "r",
            } });
            let server = Loopback::start(move |_| LoopbackResponse::with(status, error.to_string()));
            let error = sent(&server.url("/")).await.unwrap_err();
            assert_eq!(error, expected, "{status} {code} {below} {target}");
            assert!(!error.to_string().contains("ada@"), "an address is not for the log");
            assert_eq!(server.requests().len(), 1);
        }
    }

    #[tokio::test]
    async fn answers_of_others_are_told_from_its_own() {
        let html = "<html>Bad Gateway</html>";
        let not_its = || Err(busy("an answer that is not ZeptoMail's"));
        let misconfigured = |code: &str| Err(MailError::Misconfigured { code: code.to_owned() });
        let cases = [
            (200, html, not_its()),
            (201, "", not_its()),
            (201, r#"{"data":[],"request_id":"r"}"#, not_its()),
            (200, r#"{"data":[{"code":"EM_104"}],"request_id":"r"}"#, Ok("r".to_owned())),
            (302, "", misconfigured("302")),
            (400, html, Err(busy("400"))),
            (400, r#"{"error":{"code":"TM_1"}}"#, Err(MailError::Refused { code: "TM_1".into() })),
            (401, html, misconfigured("401")),
            (404, html, misconfigured("404")),
            (408, "", Err(busy("408"))),
            (413, html, Err(MailError::Refused { code: "413".into() })),
            (502, html, Err(busy("502"))),
        ];
        for (status, body, expected) in cases {
            let server = Loopback::start(move |_| LoopbackResponse::with(status, body));
            assert_eq!(sent(&server.url("/")).await, expected, "{status} {body}");
        }
        for (said, seconds) in [("7", 7), ("86400", 60), ("18446744073709551615", 60), ("soon", 1)]
        {
            let server = Loopback::start(move |_| LoopbackResponse::status(429).header("retry-after", said));
            let after = Duration::from_secs(seconds);
            assert_eq!(sent(&server.url("/")).await, Err(MailError::Limited { after }), "{said}");
        }
    }

    #[tokio::test]
    async fn without_an_answer_nobody_knows() {
        assert_eq!(sent(&dead_url()).await, Err(busy("not reached, or broken off")));
        let server = Loopback::start(|_| LoopbackResponse::ok("{\"data\":[1]}").cut_in_half());
        assert_eq!(sent(&server.url("/")).await, Err(busy("not reached, or broken off")));
        let server = Loopback::start(|_| LoopbackResponse::ok("{}").late(Duration::from_secs(2)));
        let soon = Duration::from_millis(100);
        let service = ZeptoMail { timeout: soon, ..zeptomail(&server.url("/"), "hunter2") };
        let late = service.send(&Case::new(Kind::Scheduled).compose()).await;
        assert_eq!(late, Err(busy("timed out")));
        assert_eq!(server.requests().len(), 1);
    }

    #[tokio::test]
    async fn the_mail_goes_in_its_parts() {
        let answer = r#"{"data":[{"code":"EM_104"}],"message":"OK","request_id":"2d6f.1"}"#;
        let server = Loopback::start(move |_| LoopbackResponse::with(201, answer));
        assert_eq!(sent(&server.url("/v1.1/email")).await, Ok("2d6f.1".to_owned()));
        let mail = Case::new(Kind::Scheduled).compose();
        let request = &server.requests()[0];
        assert_eq!(request.path, "/v1.1/email");
        assert_eq!(request.header("authorization"), Some("Zoho-enczapikey hunter2"));
        let body: Value = serde_json::from_str(&request.body).unwrap();
        let calendar = mail.calendar.unwrap().text;
        let expected = json!({
            "from": { "address": "classes@example.test", "name": "Live Classes" },
            "to": [{ "email_address": { "address": "ada@example.test", "name": "Ada Lovelace" } }],
            "subject": mail.subject,
            "textbody": mail.text,
            "htmlbody": mail.html,
            "client_reference": "0123abcd@live-classes",
            "mime_headers": { "Auto-Submitted": "auto-generated", "X-Live-Class-Kind": "scheduled" },
            "track_opens": false,
            "track_clicks": false,
            "attachments": [{
                "name": "invite.ics",
                "mime_type": "text/calendar",
                "content": STANDARD.encode(calendar),
            }],
        });
        assert_eq!(body, expected);
        let reminder = Case::new(Kind::ReminderDayBefore).compose();
        assert!(zeptomail("https://z.test", "t").request(&reminder).get("attachments").is_none());
    }

    #[test]
    fn the_token_may_be_pasted_with_its_scheme_and_is_not_printed() {
        for token in ["hunter2", " Zoho-enczapikey hunter2\n"] {
            let service = zeptomail("https://z.test", token);
            let value = service.authorization().unwrap();
            assert_eq!(value.to_str().unwrap(), "Zoho-enczapikey hunter2");
            assert!(!format!("{service:?} {value:?}").contains("hunter2"));
        }
        let code = "zeptomail_token".to_owned();
        let broken = zeptomail("https://z.test", "a\nb").authorization();
        assert_eq!(broken.unwrap_err(), MailError::Misconfigured { code });
    }
}
