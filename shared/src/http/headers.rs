//! Request headers (RFC 9110).
//!
//! A header that cannot be read is refused, because it is not the same as a missing one: an unreadable condition must not
//! become an unconditional edit.

use lambda_http::Request;

use super::IDEMPOTENCY_KEY_LIMIT_BYTES;
use crate::domain::refusal::Refusal;

/// Returns a header in visible ASCII. `None` if it is missing, repeated or unreadable, so this is only for headers that are
/// required: credentials and signatures.
pub fn header<'a>(request: &'a Request, name: &str) -> Option<&'a str> {
    let mut values = request.headers().get_all(name).into_iter();
    let value = values.next()?;
    if values.next().is_some() {
        return None;
    }
    value.to_str().ok().map(str::trim)
}

/// Returns the value of an optional header as bytes, or of all headers with this name as one list (RFC 9110, section 5.3).
fn combined(request: &Request, name: &str) -> Option<Vec<u8>> {
    let mut values = request.headers().get_all(name).into_iter().map(|value| value.as_bytes());
    let mut combined = values.next()?.to_vec();
    for value in values {
        combined.extend(b", ");
        combined.extend(value);
    }
    Some(combined.trim_ascii().to_vec())
}

/// Returns whether the body is sent as it is, without a content coding.
pub(super) fn is_unencoded(request: &Request) -> bool {
    combined(request, "content-encoding")
        .is_none_or(|coding| coding.is_empty() || coding.eq_ignore_ascii_case(b"identity"))
}

/// Returns whether the `Accept` header (RFC 9110, section 12.5.1) names `wanted` with at least the weight of `otherwise`.
/// A range such as `*/*` does not name a type and gets the default.
pub fn prefers(request: &Request, wanted: &str, otherwise: &str) -> Result<bool, Refusal> {
    let Some(accept) = combined(request, "accept") else { return Ok(false) };
    let accept = String::from_utf8(accept).ok().filter(|text| is_printable(text));
    let accept = accept.ok_or_else(|| Refusal::field("Accept", "must be a list of media types"))?;
    let weight = |name: &str| {
        let mut ranges = accept.split(',').map(|range| range.split(';').map(str::trim));
        ranges.find_map(|mut parts| {
            let is_named = parts.next()?.eq_ignore_ascii_case(name);
            let given = parts.find_map(|part| {
                let (key, value) = part.split_once('=')?;
                key.eq_ignore_ascii_case("q").then_some(value)
            });
            is_named.then(|| given.map_or(1.0, quality))
        })
    };
    Ok(weight(wanted).is_some_and(|weighed| {
        weighed > 0.0 && weight(otherwise).is_none_or(|other| weighed >= other)
    }))
}

/// Returns the weight of a media range, 0 to 1. A value that is no weight makes the range unacceptable.
fn quality(text: &str) -> f32 {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let value = text.parse().ok().filter(|value| is_plain && (0.0..=1.0).contains(value));
    value.unwrap_or(0.0)
}

/// Returns whether text consists of the characters from space to tilde.
fn is_printable(text: &str) -> bool {
    text.bytes().all(|byte| (b' '..=b'~').contains(&byte))
}

/// Returns the `Idempotency-Key` header.
pub fn idempotency_key(request: &Request) -> Result<Option<String>, Refusal> {
    let mut values = request.headers().get_all("idempotency-key").into_iter();
    let Some(value) = values.next() else { return Ok(None) };
    let is_key =
        |key: &&str| (1..=IDEMPOTENCY_KEY_LIMIT_BYTES).contains(&key.len()) && is_printable(key);
    let key = std::str::from_utf8(value.as_bytes()).ok().map(str::trim).filter(is_key);
    match (key, values.next()) {
        (Some(key), None) => Ok(Some(key.to_owned())),
        _ => {
            let message =
                format!("must have 1 to {IDEMPOTENCY_KEY_LIMIT_BYTES} printable ASCII characters");
            Err(Refusal::field("Idempotency-Key", message))
        }
    }
}

/// An entity tag (RFC 9110, section 8.8.3), without its quotes. It may contain bytes that are not ASCII.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntityTag {
    pub is_weak: bool,
    pub opaque: Vec<u8>,
}

/// The value of `If-Match` or `If-None-Match`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EntityTags {
    /// `*`
    Any,
    Listed(Vec<EntityTag>),
}

impl EntityTags {
    /// Returns the header's value, or `None` without the header.
    fn read(request: &Request, name: &str) -> Result<Option<Self>, Refusal> {
        let Some(value) = combined(request, name) else { return Ok(None) };
        if value == b"*" {
            return Ok(Some(Self::Any));
        }
        match parse_tags(&value) {
            Some(tags) => Ok(Some(Self::Listed(tags))),
            None => Err(Refusal::field(
                name,
                "must be an entity tag in quotes such as \"1\", a list of them, or *",
            )),
        }
    }
}

/// Parses a list of entity tags. Empty list elements are skipped (RFC 9110, section 5.6.1.2).
fn parse_tags(value: &[u8]) -> Option<Vec<EntityTag>> {
    let mut tags = Vec::new();
    let mut rest = value;
    loop {
        rest = rest.trim_ascii_start();
        if rest.is_empty() {
            return (!tags.is_empty()).then_some(tags);
        }
        if let Some(after) = rest.strip_prefix(b",") {
            rest = after;
            continue;
        }
        let (is_weak, quoted) = match rest.strip_prefix(b"W/") {
            Some(quoted) => (true, quoted),
            None => (false, rest),
        };
        let inner = quoted.strip_prefix(b"\"")?;
        let end = inner.iter().position(|byte| *byte == b'"')?;
        let opaque = inner[..end].to_vec();
        if !opaque.iter().all(|byte| matches!(byte, b'!' | b'#'..=b'~' | 0x80..)) {
            return None;
        }
        tags.push(EntityTag { is_weak, opaque });
        rest = inner[end + 1..].trim_ascii_start();
        if !rest.is_empty() && !rest.starts_with(b",") {
            return None;
        }
    }
}

/// Returns the `If-Match` header (RFC 9110, section 13.1.1).
pub fn if_match(request: &Request) -> Result<Option<EntityTags>, Refusal> {
    EntityTags::read(request, "If-Match")
}

/// Returns whether `If-None-Match` contains the entity tag with this text between its quotes (RFC 9110, section 13.1.2,
/// weak comparison).
pub fn matches_if_none_match(request: &Request, opaque: &str) -> Result<bool, Refusal> {
    Ok(match EntityTags::read(request, "If-None-Match")? {
        None => false,
        Some(EntityTags::Any) => true,
        Some(EntityTags::Listed(tags)) => tags.iter().any(|tag| tag.opaque == opaque.as_bytes()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;
    use lambda_http::Body;

    fn request(name: &str, values: &[&[u8]]) -> Request {
        let mut request = Request::new(Body::Empty);
        let name: http::HeaderName = name.parse().unwrap();
        for value in values {
            request.headers_mut().append(&name, HeaderValue::from_bytes(value).unwrap());
        }
        request
    }

    fn field(refused: Refusal) -> String {
        match refused {
            Refusal::Invalid(errors) => errors[0].field.clone(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn if_none_match_is_understood_in_every_form() {
        for (sent, seen) in [
            ("\"a\"", true),
            ("W/\"a\"", true),
            ("\"b\", \"a\"", true),
            ("\"b\",,\"a\",", true),
            ("\"x,\"\t, \"a\"", true),
            ("*", true),
            ("\"b\"", false),
            ("\"\"", false),
            ("\"é\"", false),
        ] {
            let request = request("if-none-match", &[sent.as_bytes()]);
            assert_eq!(matches_if_none_match(&request, "a"), Ok(seen), "{sent}");
        }
        let two = request("if-none-match", &[b"\"b\"", b"\"a\""]);
        assert_eq!(matches_if_none_match(&two, "a"), Ok(true));
        assert_eq!(matches_if_none_match(&Request::new(Body::Empty), "a"), Ok(false));
    }

    #[test]
    fn malformed_entity_tags_are_refused() {
        for sent in [
            &b"a"[..],
            b"",
            b" , ",
            b"1",
            b"\"1",
            b"w/\"1\"",
            b"W/1",
            b"\"1\" \"2\"",
            b"\"1\"x",
            b"*, \"1\"",
            b"\"a b\"",
            b"'1'",
            b"\xe9",
            b"\"1\"\xe9",
        ] {
            let text = String::from_utf8_lossy(sent);
            let refused = if_match(&request("if-match", &[sent]));
            assert_eq!(refused.map_err(field), Err("If-Match".to_owned()), "{text}");
            let refused = matches_if_none_match(&request("if-none-match", &[sent]), "a");
            assert_eq!(refused.map_err(field), Err("If-None-Match".to_owned()), "{text}");
        }
        assert_eq!(if_match(&request("if-match", &[b"*"])), Ok(Some(EntityTags::Any)));
        let weak = EntityTag { is_weak: true, opaque: b"1".to_vec() };
        let strong = EntityTag { is_weak: false, opaque: b"\xe9".to_vec() };
        assert_eq!(
            if_match(&request("if-match", &[b"W/\"1\", \"\xe9\""])),
            Ok(Some(EntityTags::Listed(vec![weak, strong])))
        );
    }

    #[test]
    fn idempotency_key_is_printable_ascii_and_sent_once() {
        let key = |values: &[&[u8]]| idempotency_key(&request("idempotency-key", values));
        assert_eq!(idempotency_key(&Request::new(Body::Empty)), Ok(None));
        assert_eq!(key(&[b"a b~"]), Ok(Some("a b~".to_owned())));
        assert_eq!(key(&[&[b'x'; 255]]), Ok(Some("x".repeat(255))));
        for bad in [
            &[&b""[..]][..],
            &[b"a\tb"],
            &["é".as_bytes()],
            &[b"\xe9"],
            &[b"a", b"a"],
            &[&[b'x'; 256]],
        ] {
            assert_eq!(key(bad).map_err(field), Err("Idempotency-Key".to_owned()), "{bad:?}");
        }
    }

    #[test]
    fn accept_header_selects_a_named_type_by_weight() {
        for (sent, expected) in [
            ("text/csv", true),
            ("TEXT/CSV; charset=utf-8; Q=0.5, application/json;q=0.4", true),
            ("text/csv;q=0.4, application/json;q=0.5", false),
            ("text/csv;q=0", false),
            ("text/csv;q=inf", false),
            ("text/csv;q=NaN", false),
            ("text/csv;q=2", false),
            ("*/*", false),
            ("", false),
        ] {
            let request = request("accept", &[sent.as_bytes()]);
            assert_eq!(prefers(&request, "text/csv", "application/json"), Ok(expected), "{sent}");
        }
        let unreadable = request("accept", &["text/csv;é".as_bytes()]);
        let refused = prefers(&unreadable, "text/csv", "application/json");
        assert_eq!(refused.map_err(field), Err("Accept".to_owned()));
    }

    #[test]
    fn required_header_must_be_readable_and_sent_once() {
        let read = |values: &[&[u8]]| header(&request("x", values), "x").map(str::to_owned);
        assert_eq!(read(&[b" a "]), Some("a".to_owned()));
        for bad in [&[][..], &[&b"\xe9"[..]], &[b"a", b"a"]] {
            assert_eq!(read(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn compressed_body_is_recognized() {
        for (sent, expected) in [
            (&b"gzip"[..], false),
            (b"identity", true),
            (b"Identity", true),
            (b"", true),
            (b"\xe9", false),
        ] {
            assert_eq!(is_unencoded(&request("content-encoding", &[sent])), expected);
        }
        assert!(!is_unencoded(&request("content-encoding", &[b"identity", b"br"])));
    }
}
