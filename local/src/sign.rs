//! `cargo local sign`: prints a Zoom event as the webhook's function URL receives it, signed with the current time.
//!
//! A signature is only valid within the replay window, so an event file cannot contain a valid one.

use std::path::PathBuf;
use std::process::ExitCode;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde_json::{Value, json};
use shared::clock::Clock;
use shared::secret::Secret;

use crate::settings;

/// The default event. Its envelope is also used for a body without one.
const TEMPLATE: &str = include_str!("../../events/webhook.meeting-started.json");

/// The event to sign. At most one of `event` and `body` is set.
#[derive(Debug, Default)]
pub struct SignRequest {
    /// A file with an event of the function URL, or with the body alone.
    pub event: Option<PathBuf>,
    /// The body of Zoom's request.
    pub body: Option<String>,
    /// The webhook's secret token. The default is that of the local stack.
    pub secret: Option<String>,
}

#[derive(Debug, thiserror::Error)]
pub enum SignError {
    #[error("--event and --body are mutually exclusive")]
    Both,
    #[error("{file} cannot be read: {source}")]
    File { file: String, source: std::io::Error },
    #[error("the body is not valid JSON: {0}")]
    Json(#[from] serde_json::Error),
    #[error("the event's body is not valid base64: {0}")]
    Base64(#[from] base64::DecodeError),
    #[error("the event has no body")]
    NoBody,
}

/// Prints the signed event.
pub fn run(request: &SignRequest) -> ExitCode {
    match build_event(request) {
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

fn build_event(request: &SignRequest) -> Result<Value, SignError> {
    let event = match (&request.event, &request.body) {
        (Some(_), Some(_)) => return Err(SignError::Both),
        (Some(file), None) => {
            let read = std::fs::read_to_string(file);
            let text = read
                .map_err(|source| SignError::File { file: file.display().to_string(), source })?;
            wrap_in_envelope(&text)?
        }
        (None, Some(body)) => wrap_in_envelope(body)?,
        (None, None) => serde_json::from_str(TEMPLATE)?,
    };
    let secret = request.secret.as_deref().unwrap_or(settings::WEBHOOK_SECRET);
    sign_event(event, &Secret::new(secret), Clock::System.now())
}

/// Returns an event of the function URL unchanged. Any other text becomes the exact body of an event, because the
/// signature covers each byte.
fn wrap_in_envelope(text: &str) -> Result<Value, SignError> {
    let event: Value = serde_json::from_str(text)?;
    if event["version"] == "2.0" && event["requestContext"].is_object() {
        return Ok(event);
    }
    let mut event: Value = serde_json::from_str(TEMPLATE)?;
    event["body"] = json!(text);
    event["isBase64Encoded"] = json!(false);
    Ok(event)
}

/// Adds the time and the signature that Zoom would send with the body at `now`.
pub fn sign_event(mut event: Value, secret: &Secret, now: Timestamp) -> Result<Value, SignError> {
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
        verify(&[Secret::new(secret)], signature, timestamp, body, WINDOW, now).is_ok()
    }

    #[test]
    fn body_is_signed_exactly_with_the_current_time() {
        let body = "{ \"event\": \"meeting.started\",\n \"name\": \"Zo\\u00eb\" }";
        let request = SignRequest { body: Some(body.to_owned()), ..SignRequest::default() };
        let signed = build_event(&request).unwrap();
        assert_eq!(signed["body"], body);
        assert!(verified(&signed, settings::WEBHOOK_SECRET, body.as_bytes()));
        let request = SignRequest { secret: Some("another".to_owned()), ..request };
        let signed = build_event(&request).unwrap();
        assert!(verified(&signed, "another", body.as_bytes()));
        assert!(!verified(&signed, settings::WEBHOOK_SECRET, body.as_bytes()));
    }

    #[test]
    fn event_file_is_signed_in_plain_text_and_in_base64() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("event.json");
        let sign = |text: String| {
            std::fs::write(&file, text).unwrap();
            build_event(&SignRequest { event: Some(file.clone()), ..SignRequest::default() })
        };
        let mut input: Value = serde_json::from_str(TEMPLATE).unwrap();
        let body = input["body"].as_str().unwrap().to_owned();
        let signed = sign(input.to_string()).unwrap();
        assert!(verified(&signed, settings::WEBHOOK_SECRET, body.as_bytes()));
        assert_eq!(signed["requestContext"]["http"], input["requestContext"]["http"]);
        input["body"] = json!(STANDARD.encode(&body));
        input["isBase64Encoded"] = json!(true);
        let signed = sign(input.to_string()).unwrap();
        assert!(verified(&signed, settings::WEBHOOK_SECRET, body.as_bytes()));
        // The body alone.
        assert!(verified(&sign(body.clone()).unwrap(), settings::WEBHOOK_SECRET, body.as_bytes()));
        assert!(verified(
            &build_event(&SignRequest::default()).unwrap(),
            settings::WEBHOOK_SECRET,
            body.as_bytes()
        ));
    }

    #[test]
    fn unusable_input_is_reported() {
        let both =
            SignRequest { event: Some("x".into()), body: Some("{}".to_owned()), secret: None };
        assert!(matches!(build_event(&both), Err(SignError::Both)));
        let invalid = SignRequest { body: Some("{".to_owned()), ..SignRequest::default() };
        assert!(matches!(build_event(&invalid), Err(SignError::Json(_))));
        let missing = SignRequest { event: Some("no/such/file".into()), ..SignRequest::default() };
        assert!(build_event(&missing).unwrap_err().to_string().starts_with("no/such/file"));
    }
}
