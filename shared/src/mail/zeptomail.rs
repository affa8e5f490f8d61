//! Sends mails with ZeptoMail, which builds the message from its parts. It supports invitations only as attachments.
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
use super::error::DEFAULT_LIMIT_PAUSE;
use super::{ComposedMail, MailError, MailService, Mailbox, NEVER_CONNECTED};
use crate::aws::SEND_TIMEOUT;
use crate::secret::Secret;

/// The maximum `Retry-After` that we accept, as for Zoom. A longer value would be a mistake of the service.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// The prefix of the token in the header. ZeptoMail also shows it where the token is copied.
const SCHEME: &str = "Zoho-enczapikey ";
const INVALID_RESPONSE: &str = "not a ZeptoMail response";

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
            // Tracking of opened mails violates privacy, and rewritten links look like phishing.
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
        let response = self
            .http
            .post(self.url.clone())
            .header(AUTHORIZATION, self.authorization()?)
            .header("accept", "application/json")
            .timeout(self.timeout)
            .json(&self.request(mail))
            .send()
            .await
            .map_err(|error| without_response(&error))?;
        let (status, headers) = (response.status(), response.headers().clone());
        match response.bytes().await {
            Ok(body) => parse_response(status, &headers, &body),
            Err(error) if status.is_success() => Err(without_response(&error)),
            // The status alone shows that the mail was not accepted.
            Err(_) => Err(classify(status, retry_after(&headers), None)),
        }
    }
}

fn without_response(error: &reqwest::Error) -> MailError {
    if error.is_connect() {
        return MailError::Unavailable { detail: NEVER_CONNECTED.to_owned() };
    }
    let detail = if error.is_timeout() { "timed out" } else { "connection failed" };
    MailError::Unknown { detail: detail.to_owned() }
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

fn parse_response(
    status: StatusCode,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<String, MailError> {
    if status.is_success() {
        return match serde_json::from_slice::<Accepted>(body) {
            Ok(accepted) if !accepted.data.is_empty() => Ok(accepted.request_id),
            _ => Err(MailError::Unknown { detail: INVALID_RESPONSE.to_owned() }),
        };
    }
    let failure = serde_json::from_slice::<Failed>(body).ok().map(|failed| failed.error);
    Err(classify(status, retry_after(headers), failure.as_ref()))
}

/// Classifies an error: <https://www.zoho.com/zeptomail/help/api/error-codes.html>. The page lists no statuses, so
/// codes take precedence. It lists no code for too many requests either, which we expect as status 429.
fn classify(status: StatusCode, after: Duration, failure: Option<&Failure>) -> MailError {
    let detail = failure.and_then(|failure| failure.details.first());
    let (detail_code, target) = detail.map_or(("", ""), |detail| (&detail.code, &detail.target));
    let code = match failure {
        Some(failure) if detail_code.is_empty() => failure.code.clone(),
        Some(failure) => format!("{}/{detail_code}", failure.code),
        None => status.as_u16().to_string(),
    };
    match detail_code {
        "SMI_115" => return MailError::DailyLimit,
        // No credits, an expired trial, or an account that is blocked or not yet reviewed.
        "LE_101" | "LE_102" | "SM_133" | "AE_101" | "SM_128" => return MailError::Paused { code },
        // An unverified sender domain, an IP address that is not allowed, or an invalid token.
        "SM_111" | "SERR_156" | "SERR_157" => return MailError::Misconfigured { code },
        "SM_113" | "GE_102" if matches!(target, "from" | "bounce_address") => {
            return MailError::Misconfigured { code };
        }
        _ => {}
    }
    match status.as_u16() {
        429 => MailError::Limited { after },
        // A proxy may have given up waiting for ZeptoMail.
        408 => MailError::Unknown { detail: code },
        // A wrong URL or an invalid token.
        300..=399 | 401 | 403 | 404 | 405 => MailError::Misconfigured { code },
        // Other client errors without ZeptoMail's error body come from a proxy.
        400..=499 if failure.is_some() || status == StatusCode::PAYLOAD_TOO_LARGE => {
            MailError::Refused { code }
        }
        _ => MailError::Unavailable { detail: code },
    }
}

fn retry_after(headers: &HeaderMap) -> Duration {
    let seconds = headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
    seconds.map_or(DEFAULT_LIMIT_PAUSE, Duration::from_secs).min(LONGEST_PAUSE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mail::MailKind;
    use crate::mail::tests::{Case, brand};
    use crate::net::http_client;
    use crate::net::loopback::{Loopback, LoopbackResponse, unreachable_url};

    fn zeptomail(url: &str, token: &str) -> ZeptoMail {
        let http = http_client("live-classes/outbox-sweep").unwrap();
        ZeptoMail::new(http, url.parse().unwrap(), Secret::new(token), brand().from)
    }

    async fn send_with(url: &str) -> Result<String, MailError> {
        zeptomail(url, "hunter2").send(&Case::new(MailKind::Scheduled).compose()).await
    }

    fn unavailable(detail: &str) -> MailError {
        MailError::Unavailable { detail: detail.to_owned() }
    }

    fn unknown(detail: &str) -> MailError {
        MailError::Unknown { detail: detail.to_owned() }
    }

    #[tokio::test]
    async fn errors_are_classified_by_code() {
        let refused = |code: &str| MailError::Refused { code: code.to_owned() };
        let paused = |code: &str| MailError::Paused { code: code.to_owned() };
        let misconfigured = |code: &str| MailError::Misconfigured { code: code.to_owned() };
        let limited = MailError::Limited { after: DEFAULT_LIMIT_PAUSE };
        // In the order of ZeptoMail's table, with the observed or assumed statuses.
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
            (500, "TM_5000", "SERR_500", "", unavailable("TM_5000/SERR_500")),
        ];
        for (status, code, detail_code, target, expected) in cases {
            let error = json!({ "error": {
                "code": code,
                "details": [{ "code": detail_code, "message": "It is about ada@example.test.", "target": target }],
                "message": "Invalid request",
                "request_id": "r",
            } });
            let server =
                Loopback::start(move |_| LoopbackResponse::with(status, error.to_string()));
            let error = send_with(&server.url("/")).await.unwrap_err();
            assert_eq!(error, expected, "{status} {code} {detail_code} {target}");
            assert!(!error.to_string().contains("ada@"), "must not contain an address");
            assert_eq!(server.requests().len(), 1);
        }
    }

    #[tokio::test]
    async fn responses_of_proxies_are_recognized() {
        let html = "<html>Bad Gateway</html>";
        let invalid = || Err(unknown(INVALID_RESPONSE));
        let misconfigured = |code: &str| Err(MailError::Misconfigured { code: code.to_owned() });
        let cases = [
            (200, html, invalid()),
            (201, "", invalid()),
            (201, r#"{"data":[],"request_id":"r"}"#, invalid()),
            (200, r#"{"data":[{"code":"EM_104"}],"request_id":"r"}"#, Ok("r".to_owned())),
            (302, "", misconfigured("302")),
            (400, html, Err(unavailable("400"))),
            (400, r#"{"error":{"code":"TM_1"}}"#, Err(MailError::Refused { code: "TM_1".into() })),
            (401, html, misconfigured("401")),
            (404, html, misconfigured("404")),
            (408, "", Err(unknown("408"))),
            (413, html, Err(MailError::Refused { code: "413".into() })),
            (502, html, Err(unavailable("502"))),
        ];
        for (status, body, expected) in cases {
            let server = Loopback::start(move |_| LoopbackResponse::with(status, body));
            assert_eq!(send_with(&server.url("/")).await, expected, "{status} {body}");
        }
        for (value, seconds) in [("7", 7), ("86400", 60), ("18446744073709551615", 60), ("soon", 1)]
        {
            let server = Loopback::start(move |_| {
                LoopbackResponse::status(429).header("retry-after", value)
            });
            let after = Duration::from_secs(seconds);
            assert_eq!(
                send_with(&server.url("/")).await,
                Err(MailError::Limited { after }),
                "{value}"
            );
        }
    }

    #[tokio::test]
    async fn missing_response_is_unknown_unless_there_was_no_connection() {
        assert_eq!(send_with(&unreachable_url()).await, Err(unavailable(NEVER_CONNECTED)));
        let server = Loopback::start(|_| LoopbackResponse::ok("{\"data\":[1]}").truncated());
        assert_eq!(send_with(&server.url("/")).await, Err(unknown("connection failed")));
        let server = Loopback::start(|_| LoopbackResponse::with(503, "<html>").truncated());
        assert_eq!(send_with(&server.url("/")).await, Err(unavailable("503")));
        let server =
            Loopback::start(|_| LoopbackResponse::ok("{}").delayed(Duration::from_secs(2)));
        let soon = Duration::from_millis(100);
        let service = ZeptoMail { timeout: soon, ..zeptomail(&server.url("/"), "hunter2") };
        let late = service.send(&Case::new(MailKind::Scheduled).compose()).await;
        assert_eq!(late, Err(unknown("timed out")));
        assert_eq!(server.requests().len(), 1);
    }

    #[tokio::test]
    async fn mail_is_sent_as_separate_parts() {
        let response = r#"{"data":[{"code":"EM_104"}],"message":"OK","request_id":"2d6f.1"}"#;
        let server = Loopback::start(move |_| LoopbackResponse::with(201, response));
        assert_eq!(send_with(&server.url("/v1.1/email")).await, Ok("2d6f.1".to_owned()));
        let mail = Case::new(MailKind::Scheduled).compose();
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
        let reminder = Case::new(MailKind::ReminderDayBefore).compose();
        assert!(zeptomail("https://z.test", "t").request(&reminder).get("attachments").is_none());
    }

    #[test]
    fn token_may_include_its_scheme_and_is_not_printed() {
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
