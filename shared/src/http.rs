//! HTTP for the handlers: parsing requests with limits, and problem details (RFC 9457).

mod headers;
mod json;
mod query;
mod strict;

use jiff::Timestamp;
use lambda_http::{Body, Request};
use serde::Serialize;
use serde::de::DeserializeOwned;

pub use self::headers::{
    EntityTag, EntityTags, header, idempotency_key, if_match, matches_if_none_match, prefers,
};
pub use self::json::{fingerprint, parse_json, parse_value};
pub use self::query::{check_query, query, query_limit, query_time, query_word};
use crate::domain::refusal::Refusal;

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
    /// The body is compressed.
    #[error("the body has an unsupported content coding")]
    ContentEncoding,
    #[error(transparent)]
    Refused(#[from] Refusal),
}

/// Returns the bytes of the body as they were received, up to `limit`.
pub fn bytes(request: &Request, limit: usize) -> Result<&[u8], BadRequest> {
    let bytes = match request.body() {
        Body::Text(text) => text.as_bytes(),
        Body::Binary(bytes) => bytes,
        _ => &[],
    };
    if bytes.len() > limit { Err(BadRequest::TooLarge { limit }) } else { Ok(bytes) }
}

/// Returns the content of the body, up to `limit`, without a byte order mark. Refuses a compressed body, which would only be
/// reported as invalid otherwise.
pub fn content(request: &Request, limit: usize) -> Result<&[u8], BadRequest> {
    if !headers::is_unencoded(request) {
        return Err(BadRequest::ContentEncoding);
    }
    let bytes = bytes(request, limit)?;
    Ok(bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(bytes))
}

/// U+FEFF in UTF-8. Some editors and spreadsheets write it at the start of a file, and RFC 8259, section 8.1, allows
/// to ignore it.
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

/// Parses the body as JSON. Errors contain the path of the invalid field.
pub fn json<T: DeserializeOwned>(request: &Request) -> Result<T, BadRequest> {
    Ok(parse_json(content(request, BODY_LIMIT_BYTES)?)?)
}

/// Parses the body as JSON. An empty body gives the default.
pub fn optional_json<T: DeserializeOwned + Default>(request: &Request) -> Result<T, BadRequest> {
    let bytes = content(request, BODY_LIMIT_BYTES)?;
    if bytes.iter().all(u8::is_ascii_whitespace) {
        Ok(T::default())
    } else {
        Ok(parse_json(bytes)?)
    }
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
    /// For `conflict`: the class at the same time, if that is the reason.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub conflicting_session_id: Option<String>,
    /// Seconds for the `Retry-After` header.
    #[serde(skip)]
    pub retry_after: Option<u64>,
    /// For `unauthenticated`: why the token was refused, for the log.
    #[serde(skip)]
    pub refused_token: Option<&'static str>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ProblemField {
    pub field: String,
    pub message: String,
}
