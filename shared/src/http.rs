//! HTTP for the handlers: parsing requests with limits, and problem details (RFC 9457).

mod strict;

use jiff::Timestamp;
use lambda_http::{Body, Request, RequestExt};
use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};

use self::strict::{StrictError, StrictValue};
use crate::domain::refusal::Refusal;
use crate::domain::time::instant;

/// The longest request body. A thousand invitees with long names take a third of it.
pub const BODY_LIMIT_BYTES: usize = 1024 * 1024;
/// The longest import. Lambda accepts payloads of 6 MB, including the base64 encoding that a gateway may add.
pub const IMPORT_LIMIT_BYTES: usize = 4 * 1024 * 1024;
/// The page size unless the request has a `limit`.
pub const PAGE_DEFAULT: usize = 50;
/// The largest page size.
pub const PAGE_LIMIT: usize = 100;
/// The longest `Idempotency-Key`. RFC 9110 sets no limit, and a UUID has 36 characters.
pub const IDEMPOTENCY_KEY_LIMIT_BYTES: usize = 255;

/// A request that cannot be parsed.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadRequest {
    #[error("the body is too large")]
    TooLarge { limit: usize },
    #[error(transparent)]
    Refused(#[from] Refusal),
}

/// Returns the bytes of the body, up to `limit`.
pub fn bytes(request: &Request, limit: usize) -> Result<&[u8], BadRequest> {
    let bytes = match request.body() {
        Body::Text(text) => text.as_bytes(),
        Body::Binary(bytes) => bytes,
        _ => &[],
    };
    if bytes.len() > limit { Err(BadRequest::TooLarge { limit }) } else { Ok(bytes) }
}

/// Parses the body as JSON. Errors contain the path of the invalid field.
pub fn json<T: DeserializeOwned>(request: &Request) -> Result<T, BadRequest> {
    let bytes = bytes(request, BODY_LIMIT_BYTES)?;
    Ok(parse_json(bytes)?)
}

/// Parses the body as JSON. An empty body gives the default.
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
        let problem = if error.is_eof() { "is incomplete JSON" } else { "is not JSON" };
        Refusal::field("body", problem)
    })?;
    parse_value(value)
}

/// Deserializes a parsed JSON value. Errors contain the path of the invalid field.
pub fn parse_value<T: DeserializeOwned>(value: serde_json::Value) -> Result<T, Refusal> {
    serde_path_to_error::deserialize(StrictValue(value)).map_err(|error| {
        let path = Some(error.path().to_string()).filter(|path| path != ".");
        let error = error.into_inner();
        // The path of a missing field is the path of its object plus its name.
        let field = match (&error, path) {
            (StrictError::Missing(name), Some(path)) => format!("{path}.{name}"),
            (StrictError::Missing(name), None) => (*name).to_owned(),
            (StrictError::Value(_), path) => path.unwrap_or_else(|| "body".to_owned()),
        };
        Refusal::field(&field, error)
    })
}

/// Returns a hash of a body that identifies a repeated request. The order of the fields does not matter. 128 bits are enough,
/// because each trainer only compares own requests, and a session is charged by its size.
pub fn fingerprint(value: &serde_json::Value) -> String {
    // serde_json sorts object fields by name, so equal values have equal text.
    data_encoding::HEXLOWER.encode(&Sha256::digest(value.to_string())[..16])
}

pub fn header<'a>(request: &'a Request, name: &str) -> Option<&'a str> {
    request.headers().get(name).and_then(|value| value.to_str().ok()).map(str::trim)
}

/// Returns whether the `Accept` header (RFC 9110, section 12.5.1) names `wanted` with at least the weight of `otherwise`.
/// A range such as `*/*` does not name a type and gets the default.
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

/// Returns a query parameter. An empty one counts as absent.
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

/// Returns the `Idempotency-Key` header.
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

/// Returns the version in `If-Match: "7"`. `*` and a missing header match any version (RFC 9110, section 13.1.1).
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

/// Returns whether `If-None-Match` contains this entity tag (RFC 9110, section 13.1.2, weak comparison).
pub fn matches_if_none_match(request: &Request, tag: &str) -> bool {
    let headers = request.headers().get_all("if-none-match").into_iter();
    let mut tags = headers.filter_map(|value| value.to_str().ok()).flat_map(|text| text.split(','));
    tags.any(|seen| {
        let seen = seen.trim();
        seen == "*" || seen.strip_prefix("W/").unwrap_or(seen) == tag
    })
}

/// Problem details (RFC 9457). `detail` is for people and contains nothing internal.
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
    /// For `too_early`: the time at which the join window opens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub opens_at: Option<Timestamp>,
    /// For `missing_scopes`: the missing scopes.
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
    fn body_errors_name_the_field_path_and_the_problem() {
        let field_error = |text: &str| match parse_json::<Sample>(text.as_bytes()) {
            Err(Refusal::Invalid(errors)) => (errors[0].field.clone(), errors[0].message.clone()),
            other => panic!("{other:?}"),
        };
        for (body, field, message) in [
            (
                r#"{"invitees":[{"email":"a"},{"email":7}]}"#,
                "invitees[1].email",
                "must be a string",
            ),
            (r#"{"invitees":[],"titel":"x"}"#, "titel", "is not a known field"),
            ("{}", "invitees", "is required"),
            (r#"{"invitees":[{"email":"a"},{}]}"#, "invitees[1].email", "is required"),
            // Serde would fill the fields of an object from a list.
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
            (r#"{"invitees":["#, "body", "is incomplete JSON"),
            ("", "body", "is incomplete JSON"),
        ] {
            assert_eq!(field_error(body), (field.to_owned(), message.to_owned()), "{body}");
        }
    }

    #[test]
    fn if_none_match_is_understood_in_every_form() {
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
            assert_eq!(
                matches_if_none_match(&request.body(Body::Empty).unwrap(), "\"a\""),
                seen,
                "{sent}"
            );
        }
    }

    #[test]
    fn fingerprint_ignores_field_order_and_whitespace() {
        let a: serde_json::Value = serde_json::from_str(r#"{"a": 1, "b": [true]}"#).unwrap();
        let b: serde_json::Value = serde_json::from_str(r#"{"b":[true],"a":1}"#).unwrap();
        assert_eq!(fingerprint(&a), fingerprint(&b));
        assert_ne!(fingerprint(&a), fingerprint(&json!({"a": 2, "b": [true]})));
    }
}
