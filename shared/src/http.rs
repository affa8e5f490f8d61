//! HTTP as the handlers see it: what a request says, read with limits, and problems as RFC 9457 has them.

mod strict;

use jiff::Timestamp;
use lambda_http::{Body, Request, RequestExt};
use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};

use self::strict::{Strict, StrictError};
use crate::domain::refusal::Refusal;
use crate::domain::time::instant;

/// The most that a body may have: a thousand invitees with long names are a third of this.
pub const BODY_LIMIT_BYTES: usize = 1024 * 1024;
/// The most of an import: Lambda takes 6 MB of payload in all, and a gateway may have encoded it in base64.
pub const IMPORT_LIMIT_BYTES: usize = 4 * 1024 * 1024;
/// A page of a list unless asked.
pub const PAGE_DEFAULT: usize = 50;
/// The longest page.
pub const PAGE_LIMIT: usize = 100;
/// RFC 9110 sets no limit; a UUID is 36 characters, and nobody needs more than a few of them.
pub const IDEMPOTENCY_KEY_LIMIT_BYTES: usize = 255;

/// What cannot be read of a request, before any use case sees it.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadRequest {
    #[error("the body is too large")]
    TooLarge { limit: usize },
    #[error(transparent)]
    Refused(#[from] Refusal),
}

/// The body's bytes, if they are not too many.
pub fn bytes(request: &Request, limit: usize) -> Result<&[u8], BadRequest> {
    let bytes = match request.body() {
        Body::Text(text) => text.as_bytes(),
        Body::Binary(bytes) => bytes,
        _ => &[],
    };
    if bytes.len() > limit { Err(BadRequest::TooLarge { limit }) } else { Ok(bytes) }
}

/// The body as JSON. What does not fit is told by its path in the body.
pub fn json<T: DeserializeOwned>(request: &Request) -> Result<T, BadRequest> {
    let bytes = bytes(request, BODY_LIMIT_BYTES)?;
    Ok(parse_json(bytes)?)
}

/// The body as JSON; none is the default.
pub fn optional_json<T: DeserializeOwned + Default>(request: &Request) -> Result<T, BadRequest> {
    let bytes = bytes(request, BODY_LIMIT_BYTES)?;
    if bytes.iter().all(u8::is_ascii_whitespace) {
        Ok(T::default())
    } else {
        Ok(parse_json(bytes)?)
    }
}

pub fn parse_json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Refusal> {
    let value = serde_json::from_slice(bytes).map_err(|error| {
        let what = if error.is_eof() { "ends too early" } else { "is not JSON" };
        Refusal::field("body", what)
    })?;
    parse_value(value)
}

/// A value that has been parsed already, as a body of this shape.
pub fn parse_value<T: DeserializeOwned>(value: serde_json::Value) -> Result<T, Refusal> {
    serde_path_to_error::deserialize(Strict(value)).map_err(|error| {
        let path = Some(error.path().to_string()).filter(|path| path != ".");
        let wrong = error.into_inner();
        // What is missing is told by the place where it is missing, and its own name.
        let field = match (&wrong, path) {
            (StrictError::Missing(name), Some(path)) => format!("{path}.{name}"),
            (StrictError::Missing(name), None) => (*name).to_owned(),
            (StrictError::Value(_), path) => path.unwrap_or_else(|| "body".to_owned()),
        };
        Refusal::field(&field, wrong)
    })
}

/// A body's fingerprint, by which a repeated request is told from another one. Made of what the body says, not of how:
/// a retry may order its fields otherwise.
pub fn fingerprint(value: &serde_json::Value) -> String {
    // serde_json keeps objects sorted by name, so equal values print equally.
    data_encoding::HEXLOWER.encode(&Sha256::digest(value.to_string()))
}

pub fn header<'a>(request: &'a Request, name: &str) -> Option<&'a str> {
    request.headers().get(name).and_then(|value| value.to_str().ok()).map(str::trim)
}

/// Whether a request would rather have `wanted` than `otherwise`, by its `Accept` (RFC 9110, section 12.5.1): it names
/// it, and not with a lower weight. A range such as `*/*` names nothing, and gets what there is without asking.
pub fn prefers(request: &Request, wanted: &str, otherwise: &str) -> bool {
    let accept = header(request, "accept").unwrap_or_default();
    let weight = |name: &str| {
        let mut ranges = accept.split(',').map(|range| range.split(';').map(str::trim));
        ranges.find_map(|mut parts| {
            let is_named = parts.next()?.eq_ignore_ascii_case(name);
            let given = parts.find_map(|part| part.strip_prefix("q=")?.parse::<f32>().ok());
            is_named.then(|| given.unwrap_or(1.0))
        })
    };
    weight(wanted).is_some_and(|weighed| {
        weighed > 0.0 && weight(otherwise).is_none_or(|other| weighed >= other)
    })
}

/// A query parameter; an empty one counts as absent.
pub fn query(request: &Request, name: &str) -> Option<String> {
    let parameters = request.query_string_parameters_ref()?;
    parameters.first(name).filter(|value| !value.is_empty()).map(str::to_owned)
}

pub fn query_time(request: &Request, name: &str) -> Result<Option<Timestamp>, Refusal> {
    query(request, name)
        .map(|text| instant(&text).ok_or_else(|| Refusal::field(name, "is not an RFC 3339 time")))
        .transpose()
}

pub fn query_limit(request: &Request) -> Result<usize, Refusal> {
    let Some(text) = query(request, "limit") else { return Ok(PAGE_DEFAULT) };
    let limit = text.parse().ok().filter(|limit| (1..=PAGE_LIMIT).contains(limit));
    limit.ok_or_else(|| Refusal::field("limit", format!("must be from 1 to {PAGE_LIMIT}")))
}

/// The `Idempotency-Key`, if there is one.
pub fn idempotency_key(request: &Request) -> Result<Option<String>, Refusal> {
    let Some(value) = request.headers().get("idempotency-key") else { return Ok(None) };
    let key = value
        .to_str()
        .ok()
        .map(str::trim)
        .filter(|key| (1..=IDEMPOTENCY_KEY_LIMIT_BYTES).contains(&key.len()));
    key.map(|key| Some(key.to_owned())).ok_or_else(|| {
        Refusal::field("Idempotency-Key", "must have 1 to 255 visible ASCII characters")
    })
}

/// The version in `If-Match: "7"`; `*` and no header stand for any (RFC 9110, section 13.1.1).
pub fn if_match(request: &Request) -> Result<Option<u64>, Refusal> {
    match header(request, "if-match") {
        None | Some("*") => Ok(None),
        Some(tag) => {
            let digits = tag.strip_prefix('"').and_then(|tag| tag.strip_suffix('"')).unwrap_or(tag);
            let version =
                digits.parse().map_err(|_| Refusal::field("If-Match", "is not a version"))?;
            Ok(Some(version))
        }
    }
}

/// Whether the request's `If-None-Match` names this entity tag (RFC 9110, section 13.1.2, by its weak comparison).
pub fn has_seen(request: &Request, tag: &str) -> bool {
    let headers = request.headers().get_all("if-none-match").into_iter();
    let mut tags = headers.filter_map(|value| value.to_str().ok()).flat_map(|text| text.split(','));
    tags.any(|seen| {
        let seen = seen.trim();
        seen == "*" || seen.strip_prefix("W/").unwrap_or(seen) == tag
    })
}

/// A problem as RFC 9457 has it. `detail` is for a person and never says anything internal.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Problem {
    #[serde(rename = "type")]
    pub kind: String,
    pub title: &'static str,
    pub status: u16,
    pub detail: String,
    pub code: &'static str,
    pub request_id: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<ProblemField>,
    /// With `too_early`: when to come back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub opens_at: Option<Timestamp>,
    /// With `missing_scopes`: which.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub missing_scopes: Option<Vec<String>>,
    /// Seconds for the `Retry-After` header.
    #[serde(skip)]
    pub retry_after: Option<u64>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ProblemField {
    pub field: String,
    pub message: String,
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[derive(Debug, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Sample {
        #[expect(dead_code, reason = "read by serde")]
        invitees: Vec<Invitee>,
        #[expect(dead_code, reason = "read by serde")]
        minutes: Option<u16>,
        #[expect(dead_code, reason = "read by serde")]
        muted: Option<bool>,
        #[expect(dead_code, reason = "read by serde")]
        colour: Option<Colour>,
    }

    #[derive(Debug, serde::Deserialize)]
    #[serde(rename_all = "snake_case")]
    enum Colour {
        Red,
        Green,
    }

    #[derive(Debug, serde::Deserialize)]
    struct Invitee {
        #[expect(dead_code, reason = "read by serde")]
        email: String,
    }

    #[test]
    fn what_does_not_fit_is_told_by_its_path_in_plain_words() {
        let told = |text: &str| match parse_json::<Sample>(text.as_bytes()) {
            Err(Refusal::Invalid(errors)) => (errors[0].field.clone(), errors[0].message.clone()),
            other => panic!("{other:?}"),
        };
        for (body, field, message) in [
            (r#"{"invitees":[{"email":"a"},{"email":7}]}"#, "invitees[1].email", "must be a text"),
            (r#"{"invitees":[],"titel":"x"}"#, "titel", "is not a field of this object"),
            ("{}", "invitees", "is required"),
            (r#"{"invitees":[{"email":"a"},{}]}"#, "invitees[1].email", "is required"),
            // A list would fill an object's fields in their order, which nobody means who sends one.
            (r#"{"invitees":[["a@example.test"]]}"#, "invitees[0]", "must be an object"),
            (r#"[[{"email":"a"}]]"#, "body", "must be an object"),
            (r#"{"invitees":{}}"#, "invitees", "must be a list"),
            (r#"{"invitees":[],"minutes":"60"}"#, "minutes", "must be a whole number"),
            (r#"{"invitees":[],"minutes":6.5}"#, "minutes", "must be a whole number"),
            (r#"{"invitees":[],"minutes":70000}"#, "minutes", "is out of range"),
            (r#"{"invitees":[],"muted":1}"#, "muted", "must be true or false"),
            (r#"{"invitees":[],"colour":"blue"}"#, "colour", "must be one of red, green"),
            (r#"{"invitees":[],"colour":{"red":1}}"#, "colour", "must be one of red, green"),
            ("nonsense", "body", "is not JSON"),
            (r#"{"invitees":[]} {}"#, "body", "is not JSON"),
            (r#"{"invitees":["#, "body", "ends too early"),
            ("", "body", "ends too early"),
        ] {
            assert_eq!(told(body), (field.to_owned(), message.to_owned()), "{body}");
        }
    }

    #[test]
    fn a_tag_that_was_seen_is_known_in_every_form_that_a_client_sends() {
        for (sent, seen) in [
            ("\"a\"", true),
            ("W/\"a\"", true),
            ("\"b\", \"a\"", true),
            ("*", true),
            ("\"b\"", false),
            ("a", false),
            ("", false),
        ] {
            let request = http::Request::builder().header("if-none-match", sent);
            assert_eq!(has_seen(&request.body(Body::Empty).unwrap(), "\"a\""), seen, "{sent}");
        }
    }

    #[test]
    fn a_fingerprint_is_of_what_is_said_not_of_how() {
        let a: serde_json::Value = serde_json::from_str(r#"{"a": 1, "b": [true]}"#).unwrap();
        let b: serde_json::Value = serde_json::from_str(r#"{"b":[true],"a":1}"#).unwrap();
        assert_eq!(fingerprint(&a), fingerprint(&b));
        assert_ne!(fingerprint(&a), fingerprint(&json!({"a": 2, "b": [true]})));
    }
}
