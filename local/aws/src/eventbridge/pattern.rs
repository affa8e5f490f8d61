//! Event patterns: an object of the fields that an event must have, with lists of allowed values.
//! <https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-event-patterns.html>

use serde_json::Value;

use crate::template::TemplateError;
use crate::template::values::Values;

/// A pattern without content filters such as `prefix`.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Pattern {
    /// Every named field matches.
    Fields(Vec<(String, Pattern)>),
    /// The value, or one element of a list, is one of these.
    AnyOf(Vec<Value>),
}

impl Pattern {
    /// Parses a pattern of the template. A filter that this stack does not evaluate is refused.
    pub(super) fn parse(pattern: &Value, values: &Values<'_>) -> Result<Self, TemplateError> {
        match pattern {
            Value::Object(fields) => {
                let parse = |(name, field): (&String, &Value)| {
                    Ok((name.clone(), Self::parse(field, values)?))
                };
                fields.iter().map(parse).collect::<Result<_, _>>().map(Self::Fields)
            }
            Value::Array(allowed) => {
                let resolve = |value: &Value| match value {
                    Value::Object(_) => {
                        let text = values.text(value)?;
                        text.map(Value::from).ok_or_else(|| unsupported(value))
                    }
                    Value::Array(_) => Err(unsupported(value)),
                    literal => Ok(literal.clone()),
                };
                allowed.iter().map(resolve).collect::<Result<_, _>>().map(Self::AnyOf)
            }
            other => Err(unsupported(other)),
        }
    }

    pub(super) fn matches(&self, event: &Value) -> bool {
        match (self, event) {
            (Self::Fields(fields), Value::Object(_)) => {
                fields.iter().all(|(name, pattern)| pattern.matches(&event[name]))
            }
            (Self::Fields(_), _) => false,
            (Self::AnyOf(allowed), Value::Array(found)) => {
                found.iter().any(|value| allowed.contains(value))
            }
            (Self::AnyOf(allowed), value) => allowed.contains(value),
        }
    }
}

fn unsupported(value: &Value) -> TemplateError {
    TemplateError::Unresolved(format!("event pattern {value}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::template::Template;

    fn parse(pattern: &Value) -> Result<Pattern, TemplateError> {
        let template = Template::parse("Resources: {}").unwrap();
        let given = [("Set".to_owned(), "classes".to_owned())];
        Pattern::parse(pattern, &Values::new(&template, given))
    }

    #[test]
    fn every_field_of_the_pattern_must_match() {
        let tags = json!({"set": [{"Ref": "Set"}]});
        let pattern = json!({"source": ["aws.ses"], "detail": {"mail": {"tags": tags}}});
        let pattern = parse(&pattern).unwrap();
        let event = |source: &str, tags: Value| json!({"source": source, "detail": {"mail": {"tags": tags}}});
        for (event, expected) in [
            (event("aws.ses", json!({"set": ["classes"]})), true),
            (event("aws.ses", json!({"set": ["others", "classes"], "kind": ["x"]})), true),
            (event("aws.ses", json!({"set": "classes"})), true),
            (event("aws.ses", json!({"set": ["others"]})), false),
            (event("aws.ses", json!({})), false),
            (event("platform", json!({"set": ["classes"]})), false),
            (json!({"source": "aws.ses"}), false),
        ] {
            assert_eq!(pattern.matches(&event), expected, "{event}");
        }
    }

    #[test]
    fn filter_that_is_not_evaluated_is_refused() {
        for pattern in [json!({"source": [{"prefix": "aws"}]}), json!({"source": "aws.ses"})] {
            assert!(parse(&pattern).is_err(), "{pattern}");
        }
    }
}
