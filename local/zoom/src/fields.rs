//! The fields and values that Zoom accepts in request bodies. Zoom ignores unknown fields, but the simulator rejects
//! them, so that misspelt fields in our requests are found.

use serde_json::{Map, Value};

use super::responses::{ApiError, FieldError};

/// The accepted values of a field.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    /// Text with at most this many characters.
    Text(usize),
    /// Text without a length limit.
    AnyText,
    /// At most 10 ASCII characters.
    Passcode,
    Flag,
    Between(i64, i64),
    AnyNumber,
    Word(&'static [&'static str]),
    Number(&'static [i64]),
    Object(&'static [Field]),
    /// A list of objects.
    Objects(&'static [Field]),
    Texts,
}

/// The requests in which a field is allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AllowedIn {
    Both,
    Create,
    Update,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Field {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    pub(super) allowed_in: AllowedIn,
    required: bool,
}

pub(super) const fn field(name: &'static str, kind: Kind) -> Field {
    Field { name, kind, allowed_in: AllowedIn::Both, required: false }
}

pub(super) const fn required(name: &'static str, kind: Kind) -> Field {
    Field { name, kind, allowed_in: AllowedIn::Both, required: true }
}

pub(super) const fn only(allowed_in: AllowedIn, name: &'static str, kind: Kind) -> Field {
    Field { name, kind, allowed_in, required: false }
}

/// Parses a body and validates all its fields.
pub(super) fn parse_body(
    body: &[u8],
    content_type: Option<&str>,
    fields: &[Field],
    allowed_in: AllowedIn,
) -> Result<Map<String, Value>, ApiError> {
    let json = content_type.is_some_and(|kind| {
        kind.split(';')
            .next()
            .is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"))
    });
    if !json {
        return Err(ApiError::invalid_field("Content-Type", "Unsupported content type."));
    }
    let Ok(Value::Object(body)) = serde_json::from_slice(body) else {
        return Err(ApiError::invalid_field("body", "The body is not a JSON object."));
    };
    let mut errors = Vec::new();
    check_object(&body, fields, allowed_in, "", &mut errors);
    if errors.is_empty() { Ok(body) } else { Err(ApiError::invalid(errors)) }
}

fn check_object(
    object: &Map<String, Value>,
    fields: &[Field],
    allowed_in: AllowedIn,
    path: &str,
    errors: &mut Vec<FieldError>,
) {
    for (name, value) in object {
        let field = fields.iter().find(|field| {
            field.name == name
                && (field.allowed_in == AllowedIn::Both || field.allowed_in == allowed_in)
        });
        let path = format!("{path}{name}");
        match field {
            Some(field) => check(value, field.kind, allowed_in, &path, errors),
            None => errors.push(FieldError::new(path, "Unrecognized field.")),
        }
    }
    for field in fields.iter().filter(|field| field.required && !object.contains_key(field.name)) {
        errors.push(FieldError::new(format!("{path}{}", field.name), "Field is required."));
    }
}

fn check(
    value: &Value,
    kind: Kind,
    allowed_in: AllowedIn,
    path: &str,
    errors: &mut Vec<FieldError>,
) {
    let mut add_error = |message: String| errors.push(FieldError::new(path, message));
    let valid = match kind {
        Kind::Text(max) => match value.as_str() {
            Some(text) if text.chars().count() > max => {
                return add_error(format!("At most {max} characters."));
            }
            text => text.is_some(),
        },
        Kind::AnyText => value.is_string(),
        Kind::Passcode => value.as_str().is_some_and(is_passcode),
        Kind::Flag => value.is_boolean(),
        Kind::Between(min, max) => match value.as_i64() {
            Some(number) if !(min..=max).contains(&number) => {
                return add_error(format!("Between {min} and {max}."));
            }
            number => number.is_some(),
        },
        Kind::AnyNumber => value.is_i64() || value.is_u64(),
        Kind::Word(words) => value.as_str().is_some_and(|word| words.contains(&word)),
        Kind::Number(numbers) => value.as_i64().is_some_and(|number| numbers.contains(&number)),
        Kind::Texts => is_array_of(value, Value::is_string),
        Kind::Object(fields) => match value.as_object() {
            Some(object) => {
                return check_object(object, fields, allowed_in, &format!("{path}."), errors);
            }
            None => false,
        },
        Kind::Objects(fields) => match value.as_array() {
            Some(items) => {
                for (index, item) in items.iter().enumerate() {
                    let path = format!("{path}[{index}]");
                    check(item, Kind::Object(fields), allowed_in, &path, errors);
                }
                return;
            }
            None => false,
        },
    };
    if !valid {
        add_error("Invalid field.".to_owned());
    }
}

fn is_array_of(value: &Value, is_valid: impl Fn(&Value) -> bool) -> bool {
    value.as_array().is_some_and(|items| items.iter().all(is_valid))
}

/// Zoom: up to ten letters, digits and common special characters. Quotes, angle brackets and the backslash are
/// rejected, because Zoom accepts them only for some accounts.
fn is_passcode(text: &str) -> bool {
    const MAX_LENGTH: usize = 10;
    text.len() <= MAX_LENGTH
        && text.bytes().all(|byte| byte.is_ascii_graphic() && !b"\"'`<>\\".contains(&byte))
}
