//! Which fields Zoom takes in a body, and which values. What is not listed here is refused: Zoom itself would pass
//! over it in silence, and a request of ours that names a field that does not exist is a mistake to be found.

use serde_json::{Map, Value};

use super::answers::{FieldError, Refusal};

/// What a field may hold.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    /// Text of at most so many characters.
    Text(usize),
    /// Text without a length of its own.
    AnyText,
    /// 1 to 10 characters that can be typed on any keyboard.
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

/// Where a field may stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum In {
    Both,
    Create,
    Update,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Field {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    pub(super) stands: In,
    required: bool,
}

pub(super) const fn field(name: &'static str, kind: Kind) -> Field {
    Field { name, kind, stands: In::Both, required: false }
}

pub(super) const fn required(name: &'static str, kind: Kind) -> Field {
    Field { name, kind, stands: In::Both, required: true }
}

pub(super) const fn only(stands: In, name: &'static str, kind: Kind) -> Field {
    Field { name, kind, stands, required: false }
}

/// The body as an object of which every field is known and holds what it may.
pub(super) fn read(
    body: &[u8],
    content_type: Option<&str>,
    fields: &[Field],
    stands: In,
) -> Result<Map<String, Value>, Refusal> {
    let json = content_type.is_some_and(|kind| {
        kind.split(';')
            .next()
            .is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"))
    });
    if !json {
        return Err(Refusal::invalid_field("Content-Type", "Unsupported content type."));
    }
    let Ok(Value::Object(body)) = serde_json::from_slice(body) else {
        return Err(Refusal::invalid_field("body", "The body is not a JSON object."));
    };
    let mut errors = Vec::new();
    check_object(&body, fields, stands, "", &mut errors);
    if errors.is_empty() { Ok(body) } else { Err(Refusal::invalid(errors)) }
}

fn check_object(
    object: &Map<String, Value>,
    fields: &[Field],
    stands: In,
    path: &str,
    errors: &mut Vec<FieldError>,
) {
    for (name, value) in object {
        let known = fields.iter().find(|field| {
            field.name == name && (field.stands == In::Both || field.stands == stands)
        });
        let path = format!("{path}{name}");
        match known {
            Some(field) => check(value, field.kind, stands, &path, errors),
            None => errors.push(FieldError::new(path, "Unrecognized field.")),
        }
    }
    for field in fields.iter().filter(|field| field.required && !object.contains_key(field.name)) {
        errors.push(FieldError::new(format!("{path}{}", field.name), "Field is required."));
    }
}

fn check(value: &Value, kind: Kind, stands: In, path: &str, errors: &mut Vec<FieldError>) {
    let mut refuse = |message: String| errors.push(FieldError::new(path, message));
    let valid = match kind {
        Kind::Text(most) => match value.as_str() {
            Some(text) if text.chars().count() > most => {
                return refuse(format!("At most {most} characters."));
            }
            text => text.is_some(),
        },
        Kind::AnyText => value.is_string(),
        Kind::Passcode => value.as_str().is_some_and(is_passcode),
        Kind::Flag => value.is_boolean(),
        Kind::Between(least, most) => match value.as_i64() {
            Some(number) if !(least..=most).contains(&number) => {
                return refuse(format!("Between {least} and {most}."));
            }
            number => number.is_some(),
        },
        Kind::AnyNumber => value.is_i64() || value.is_u64(),
        Kind::Word(words) => value.as_str().is_some_and(|word| words.contains(&word)),
        Kind::Number(numbers) => value.as_i64().is_some_and(|number| numbers.contains(&number)),
        Kind::Texts => all(value, Value::is_string),
        Kind::Object(fields) => match value.as_object() {
            Some(object) => {
                return check_object(object, fields, stands, &format!("{path}."), errors);
            }
            None => false,
        },
        Kind::Objects(fields) => match value.as_array() {
            Some(items) => {
                for (index, item) in items.iter().enumerate() {
                    let path = format!("{path}[{index}]");
                    check(item, Kind::Object(fields), stands, &path, errors);
                }
                return;
            }
            None => false,
        },
    };
    if !valid {
        refuse("Invalid field.".to_owned());
    }
}

fn all(value: &Value, fits: impl Fn(&Value) -> bool) -> bool {
    value.as_array().is_some_and(|items| items.iter().all(fits))
}

/// Zoom: up to ten characters, letters, digits and the usual special ones. Quotes, brackets and the backslash are
/// left out, because whether they pass depends on the account.
fn is_passcode(text: &str) -> bool {
    const LONGEST: usize = 10;
    text.len() <= LONGEST
        && text.bytes().all(|byte| byte.is_ascii_graphic() && !b"\"'`<>\\".contains(&byte))
}
