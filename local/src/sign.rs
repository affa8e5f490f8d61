//! `cargo local sign`: an event of Zoom's, signed now, as the webhook's function URL is handed it.
//!
//! A signature is good for as long as the replay window lasts, so an event file cannot hold one that stays good.

use std::path::PathBuf;
use std::process::ExitCode;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde_json::{Value, json};
use shared::clock::Clock;
use shared::secret::Secret;

use crate::settings;

/// The event that is signed unless another is given, and the envelope of those given without one.
const TEMPLATE: &str = include_str!("../../events/webhook.meeting-started.json");

/// What to sign. At most one of `event` and `body` is given.
#[derive(Debug, Default)]
pub struct Request {
    /// A file with an event of the function URL, or with Zoom's body alone.
    pub event: Option<PathBuf>,
    /// Zoom's body.
    pub body: Option<String>,
    /// The webhook's secret token; that of the local stack unless given.
    pub secret: Option<String>,
}

#[derive(Debug, thiserror::Error)]
pub enum SignError {
    #[error("give either --event or --body")]
    Both,
    #[error("{file} cannot be read: {source}")]
    File { file: String, source: std::io::Error },
    #[error("the body is not JSON, as an event of Zoom's is: {0}")]
    Json(#[from] serde_json::Error),
    #[error("the event's body is not base64, though it says so: {0}")]
    Base64(#[from] base64::DecodeError),
    #[error("the event has no body")]
    NoBody,
}

/// Prints the signed event.
pub fn run(request: &Request) -> ExitCode {
    match event(request) {
        Ok(event) => {
            println!("{event:#}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn event(request: &Request) -> Result<Value, SignError> {
    let event = match (&request.event, &request.body) {
        (Some(_), Some(_)) => return Err(SignError::Both),
        (Some(file), None) => {
            let read = std::fs::read_to_string(file);
            let text = read
                .map_err(|source| SignError::File { file: file.display().to_string(), source })?;
            enveloped(&text)?
        }
        (None, Some(body)) => enveloped(body)?,
        (None, None) => serde_json::from_str(TEMPLATE)?,
    };
    let secret = request.secret.as_deref().unwrap_or(settings::WEBHOOK_SECRET);
    signed(event, &Secret::new(secret), Clock::System.now())
}

/// An event of the function URL as it is; anything else as the body of one, to the letter, since that is what is signed.
fn enveloped(text: &str) -> Result<Value, SignError> {
    let given: Value = serde_json::from_str(text)?;
    if given["version"] == "2.0" && given["requestContext"].is_object() {
        return Ok(given);
    }
    let mut event: Value = serde_json::from_str(TEMPLATE)?;
    event["body"] = json!(text);
    event["isBase64Encoded"] = json!(false);
    Ok(event)
}

/// The event with the time and the signature that Zoom would send with its body at `now`.
pub fn signed(mut event: Value, secret: &Secret, now: Timestamp) -> Result<Value, SignError> {
    let body = event["body"].as_str().ok_or(SignError::NoBody)?;
    let bytes = match event["isBase64Encoded"].as_bool() {
        Some(true) => STANDARD.decode(body)?,
        _ => body.as_bytes().to_vec(),
    };
    let timestamp = now.as_second().to_string();
    event["headers"]["x-zm-signature"] =
        json!(shared::zoom::webhook::sign(secret, &timestamp, &bytes));
    event["headers"]["x-zm-request-timestamp"] = json!(timestamp);
    event["requestContext"]["time"] = json!(now.strftime("%d/%b/%Y:%H:%M:%S +0000").to_string());
    event["requestContext"]["timeEpoch"] = json!(now.as_millisecond());
    Ok(event)
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;
    use shared::zoom::webhook::verify;

    use super::*;

    const WINDOW: SignedDuration = SignedDuration::from_mins(1);

    fn verified(event: &Value, secret: &str, body: &[u8]) -> bool {
        let header = |name: &str| event["headers"][name].as_str();
        let (signature, timestamp) = (header("x-zm-signature"), header("x-zm-request-timestamp"));
        let now = Clock::System.now();
        verify(&Secret::new(secret), signature, timestamp, body, WINDOW, now).is_ok()
    }

    #[test]
    fn a_body_is_signed_to_the_letter_and_now() {
        let body = "{ \"event\": \"meeting.started\",\n \"name\": \"Zo\\u00eb\" }";
        let request = Request { body: Some(body.to_owned()), ..Request::default() };
        let signed = event(&request).unwrap();
        assert_eq!(signed["body"], body);
        assert!(verified(&signed, settings::WEBHOOK_SECRET, body.as_bytes()));
        let request = Request { secret: Some("another".to_owned()), ..request };
        let signed = event(&request).unwrap();
        assert!(verified(&signed, "another", body.as_bytes()));
        assert!(!verified(&signed, settings::WEBHOOK_SECRET, body.as_bytes()));
    }

    #[test]
    fn an_event_file_is_signed_as_it_is_encoded_or_not() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("event.json");
        let sign = |text: String| {
            std::fs::write(&file, text).unwrap();
            event(&Request { event: Some(file.clone()), ..Request::default() })
        };
        let mut given: Value = serde_json::from_str(TEMPLATE).unwrap();
        let body = given["body"].as_str().unwrap().to_owned();
        let signed = sign(given.to_string()).unwrap();
        assert!(verified(&signed, settings::WEBHOOK_SECRET, body.as_bytes()));
        assert_eq!(signed["requestContext"]["http"], given["requestContext"]["http"]);
        given["body"] = json!(STANDARD.encode(&body));
        given["isBase64Encoded"] = json!(true);
        let signed = sign(given.to_string()).unwrap();
        assert!(verified(&signed, settings::WEBHOOK_SECRET, body.as_bytes()));
        // Zoom's body alone.
        assert!(verified(&sign(body.clone()).unwrap(), settings::WEBHOOK_SECRET, body.as_bytes()));
        assert!(verified(
            &event(&Request::default()).unwrap(),
            settings::WEBHOOK_SECRET,
            body.as_bytes()
        ));
    }

    #[test]
    fn what_cannot_be_signed_is_said() {
        let both = Request { event: Some("x".into()), body: Some("{}".to_owned()), secret: None };
        assert!(matches!(event(&both), Err(SignError::Both)));
        let nonsense = Request { body: Some("{".to_owned()), ..Request::default() };
        assert!(matches!(event(&nonsense), Err(SignError::Json(_))));
        let missing = Request { event: Some("no/such/file".into()), ..Request::default() };
        assert!(event(&missing).unwrap_err().to_string().starts_with("no/such/file"));
    }
}
