//! JSON bodies: strict parsing, and the fingerprint of a body.

use std::cell::RefCell;
use std::fmt;

use serde::de::{DeserializeOwned, DeserializeSeed, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use super::strict::{StrictError, StrictValue, whole_number};
use crate::domain::digest::Digest;
use crate::domain::refusal::Refusal;

/// The message of a member that an object has twice. Parsers differ in the one that they use (RFC 8259, section 4).
const REPEATED: &str = "must not be repeated";

pub fn parse_json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Refusal> {
    let repeated = RefCell::new(None);
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let root = UniqueMembers { path: &Path::Root, repeated: &repeated };
    let parsed = root.deserialize(&mut deserializer);
    let parsed = parsed.and_then(|value| deserializer.end().map(|()| value));
    let value = parsed.map_err(|error| match repeated.take() {
        Some(path) => Refusal::field(&path, REPEATED),
        None if error.is_eof() => Refusal::field("body", "is incomplete JSON"),
        None => Refusal::field("body", "is not JSON"),
    })?;
    parse_value(value)
}

/// Deserializes a parsed JSON value. Errors contain the path of the invalid field.
pub fn parse_value<T: DeserializeOwned>(value: Value) -> Result<T, Refusal> {
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

/// Hex digits of a fingerprint: 128 bits. Each trainer only compares own requests, and a session is charged by its
/// size.
const FINGERPRINT_DIGITS: usize = 32;

/// Returns a hash of a body that identifies a repeated request. The order of the fields does not matter, nor does the
/// spelling of a number, and `null` is equal to an absent field.
pub fn fingerprint(value: &Value) -> String {
    // serde_json sorts object fields by name, so equal values have equal text.
    Digest::of_value(normalized(value).to_string()).hex(FINGERPRINT_DIGITS)
}

fn normalized(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let fields = fields.iter().filter(|(_, value)| !value.is_null());
            fields
                .map(|(name, value)| (name.clone(), normalized(value)))
                .collect::<Map<_, _>>()
                .into()
        }
        Value::Array(items) => items.iter().map(normalized).collect(),
        Value::Number(number) => match whole_number(number) {
            Some(whole) => whole.into(),
            None => value.clone(),
        },
        other => other.clone(),
    }
}

/// Where a value is in the body.
enum Path<'a> {
    Root,
    Member(&'a Path<'a>, &'a str),
    Item(&'a Path<'a>, usize),
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Root => Ok(()),
            Self::Member(Path::Root, name) => f.write_str(name),
            Self::Member(parent, name) => write!(f, "{parent}.{name}"),
            Self::Item(parent, index) => write!(f, "{parent}[{index}]"),
        }
    }
}

/// Deserializes a value like [`Value`], but refuses an object with a repeated member, of which `Value` keeps the last.
struct UniqueMembers<'a> {
    path: &'a Path<'a>,
    /// The path of a repeated member.
    repeated: &'a RefCell<Option<String>>,
}

impl<'de> DeserializeSeed<'de> for UniqueMembers<'_> {
    type Value = Value;

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for UniqueMembers<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        loop {
            let path = Path::Item(self.path, items.len());
            let item = UniqueMembers { path: &path, repeated: self.repeated };
            match access.next_element_seed(item)? {
                Some(item) => items.push(item),
                None => return Ok(Value::Array(items)),
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut fields = Map::new();
        while let Some(name) = access.next_key::<String>()? {
            let path = Path::Member(self.path, &name);
            if fields.contains_key(&name) {
                self.repeated.replace(Some(path.to_string()));
                return Err(A::Error::custom(REPEATED));
            }
            let value =
                access.next_value_seed(UniqueMembers { path: &path, repeated: self.repeated })?;
            fields.insert(name, value);
        }
        Ok(Value::Object(fields))
    }
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
            (r#"{"invitees":[],"minutes":70000.0}"#, "minutes", "is out of range"),
            (r#"{"invitees":[],"minutes":1e300}"#, "minutes", "is out of range"),
            (r#"{"invitees":[],"minutes":1,"minutes":1}"#, "minutes", REPEATED),
            (r#"{"invitees":[],"x":{"a":[1,{"b":1,"\u0062":2}]}}"#, "x.a[1].b", REPEATED),
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
    fn whole_number_may_have_a_fraction_of_zero() {
        for text in ["60", "60.0", "6e1", "600.0e-1"] {
            let body = format!(r#"{{"invitees":[],"minutes":{text}}}"#);
            let parsed: Sample = parse_json(body.as_bytes()).unwrap();
            assert_eq!(parsed.minutes, Some(60), "{text}");
        }
    }

    #[test]
    fn fingerprint_ignores_the_spelling_of_a_body() {
        let a: serde_json::Value = serde_json::from_str(r#"{"a": 1, "b": [true]}"#).unwrap();
        let b: serde_json::Value = serde_json::from_str(r#"{"b":[true],"a":1}"#).unwrap();
        assert_eq!(fingerprint(&a), fingerprint(&b));
        assert_ne!(fingerprint(&a), fingerprint(&json!({"a": 2, "b": [true]})));
        for (text, equal) in [
            (r#"{"a":1.0,"b":[true]}"#, true),
            (r#"{"a":10e-1,"b":[true],"c":null}"#, true),
            (r#"{"a":1,"b":[true,null]}"#, false),
            (r#"{"a":1,"b":[true],"c":{}}"#, false),
            (r#"{"a":1.5,"b":[true]}"#, false),
            (r#"{"a":"1","b":[true]}"#, false),
        ] {
            let other: serde_json::Value = serde_json::from_str(text).unwrap();
            assert_eq!(fingerprint(&a) == fingerprint(&other), equal, "{text}");
        }
        let inner = json!({"settings": {"watermark": null}});
        assert_eq!(fingerprint(&inner), fingerprint(&json!({"settings": {}})), "on every level");
    }
}
