//! Query parameters.

use jiff::Timestamp;
use lambda_http::{Request, RequestExt};

use super::{PAGE_DEFAULT, PAGE_LIMIT};
use crate::domain::refusal::{FieldError, Refusal};
use crate::domain::time::instant;

/// Refuses query parameters that the route does not have, or that are given twice. An ignored filter would return items that
/// the caller did not ask for.
pub fn check_query(request: &Request, known: &[&str]) -> Result<(), Refusal> {
    let Some(parameters) = request.query_string_parameters_ref() else { return Ok(()) };
    let mut errors = Vec::new();
    let mut seen: Vec<&str> = Vec::new();
    for (name, _) in parameters.iter() {
        let is_repeated = seen.contains(&name);
        seen.push(name);
        if !known.contains(&name) {
            if !is_repeated {
                errors.push(FieldError::new(name, "is not a known query parameter"));
            }
        } else if is_repeated {
            errors.push(FieldError::new(name, "must not be repeated"));
        }
    }
    if errors.is_empty() { Ok(()) } else { Err(Refusal::Invalid(errors)) }
}

/// Returns a query parameter. An empty one counts as absent.
pub fn query(request: &Request, name: &str) -> Option<String> {
    let parameters = request.query_string_parameters_ref()?;
    parameters.first(name).filter(|value| !value.is_empty()).map(str::to_owned)
}

pub fn query_time(request: &Request, name: &str) -> Result<Option<Timestamp>, Refusal> {
    const FORM: &str = "must be a time with an offset such as 2026-12-01T09:00:00Z or, with an encoded plus sign, \
                        2026-12-01T10:00:00%2B01:00 (RFC 3339)";
    query(request, name)
        .map(|text| instant(&text).ok_or_else(|| Refusal::field(name, FORM)))
        .transpose()
}

/// Returns a query parameter that is one of the words `expected`, as in `keep, deactivate or disassociate`.
pub fn query_word<T: std::str::FromStr>(
    request: &Request,
    name: &str,
    expected: &str,
) -> Result<Option<T>, Refusal> {
    let parse = |word: String| {
        word.parse().map_err(|_| Refusal::field(name, format!("must be {expected}")))
    };
    query(request, name).map(parse).transpose()
}

pub fn query_limit(request: &Request) -> Result<usize, Refusal> {
    let Some(text) = query(request, "limit") else { return Ok(PAGE_DEFAULT) };
    let is_decimal = text.bytes().all(|byte| byte.is_ascii_digit());
    let limit = text.parse().ok().filter(|limit| is_decimal && (1..=PAGE_LIMIT).contains(limit));
    limit.ok_or_else(|| Refusal::field("limit", format!("must be from 1 to {PAGE_LIMIT}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use lambda_http::Body;
    use std::collections::HashMap;

    fn request(pairs: &[(&str, &str)]) -> Request {
        let mut parameters: HashMap<String, Vec<String>> = HashMap::new();
        for (name, value) in pairs {
            parameters.entry((*name).to_owned()).or_default().push((*value).to_owned());
        }
        Request::new(Body::Empty).with_query_string_parameters(parameters)
    }

    #[test]
    fn unknown_and_repeated_query_parameters_are_refused() {
        let check = |pairs: &[(&str, &str)]| match check_query(&request(pairs), &["limit", "from"])
        {
            Ok(()) => Vec::new(),
            Err(Refusal::Invalid(errors)) => errors.into_iter().map(|error| error.field).collect(),
            Err(other) => panic!("{other:?}"),
        };
        assert_eq!(check(&[]), Vec::<String>::new());
        assert_eq!(check(&[("limit", "1"), ("from", "")]), Vec::<String>::new());
        assert_eq!(check(&[("limit", "1"), ("limit", "2")]), ["limit"]);
        assert_eq!(check(&[("Limit", "1")]), ["Limit"]);
        assert_eq!(check(&[("colour", "red"), ("colour", "blue"), ("limit", "1")]), ["colour"]);
    }

    #[test]
    fn limit_is_a_decimal_number() {
        for (text, expected) in [("1", Some(1)), ("100", Some(100)), ("", Some(PAGE_DEFAULT))] {
            assert_eq!(query_limit(&request(&[("limit", text)])).ok(), expected, "{text}");
        }
        for text in ["0", "101", "+5", "-1", "5.0", " 5", "ten"] {
            assert!(query_limit(&request(&[("limit", text)])).is_err(), "{text}");
        }
    }
}
