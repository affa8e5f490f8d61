//! `template.yaml` as data: its resources, with CloudFormation's short tags written out.
//!
//! The local stack makes its tables and queues from it and tests hold the code against it, so that
//! what is deployed and what is run here cannot drift apart. Nothing is resolved in this module: a
//! reference stays a reference (`{"Ref": …}`), and who reads it decides what it stands for.

use serde_json::{Map, Value, json};

/// What keeps a text from being a template.
#[derive(Debug, thiserror::Error)]
pub enum TemplateError {
    #[error("the template is not YAML")]
    Yaml(#[from] serde_norway::Error),
    #[error("the template has a key that is not text: {0}")]
    Key(String),
    #[error("the template's number {0} has no place in JSON")]
    Number(String),
    #[error("the template has no `Resources`")]
    NoResources,
}

/// A parsed template.
#[derive(Clone, Debug)]
pub struct Template {
    root: Value,
}

/// One entry under `Resources`.
#[derive(Clone, Copy, Debug)]
pub struct Resource<'a> {
    /// The logical id.
    pub id: &'a str,
    /// The type, such as `AWS::DynamoDB::Table`.
    pub kind: &'a str,
    /// The whole entry, `DeletionPolicy` and the like included.
    pub definition: &'a Value,
}

impl<'a> Resource<'a> {
    /// The resource's properties; `null` when it has none.
    pub fn properties(&self) -> &'a Value {
        &self.definition["Properties"]
    }

    /// One property; `null` when it is not set.
    pub fn property(&self, name: &str) -> &'a Value {
        &self.definition["Properties"][name]
    }
}

impl Template {
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        let mut yaml: serde_norway::Value = serde_norway::from_str(text)?;
        yaml.apply_merge()?;
        let root = written_out(yaml)?;
        if !root["Resources"].is_object() {
            return Err(TemplateError::NoResources);
        }
        Ok(Self { root })
    }

    /// The whole template, for what the other methods do not reach (`Globals`, `Outputs`, …).
    pub fn root(&self) -> &Value {
        &self.root
    }

    /// All resources, by logical id.
    pub fn resources(&self) -> impl Iterator<Item = Resource<'_>> {
        self.root["Resources"].as_object().into_iter().flatten().map(|(id, definition)| Resource {
            id,
            kind: definition["Type"].as_str().unwrap_or_default(),
            definition,
        })
    }

    /// The resources of one type.
    pub fn of_type<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = Resource<'a>> {
        self.resources().filter(move |resource| resource.kind == kind)
    }

    /// The names of all variables that functions are given.
    pub fn variables(&self) -> impl Iterator<Item = &str> {
        let all = &self.root["Globals"]["Function"];
        let own = self.of_type("AWS::Serverless::Function").map(|function| function.properties());
        [all].into_iter().chain(own).flat_map(|function| {
            function["Environment"]["Variables"]
                .as_object()
                .into_iter()
                .flatten()
                .map(|(name, _)| name.as_str())
        })
    }

    /// The resource with this logical id.
    pub fn resource(&self, id: &str) -> Option<Resource<'_>> {
        self.resources().find(|resource| resource.id == id)
    }
}

/// The logical id that a `Ref` or a `Fn::GetAtt` points at.
pub fn target(value: &Value) -> Option<&str> {
    value["Ref"].as_str().or_else(|| match &value["Fn::GetAtt"] {
        Value::Array(parts) => parts.first()?.as_str(),
        Value::String(dotted) => dotted.split('.').next(),
        _ => None,
    })
}

fn written_out(yaml: serde_norway::Value) -> Result<Value, TemplateError> {
    use serde_norway::Value as Yaml;
    Ok(match yaml {
        Yaml::Null => Value::Null,
        Yaml::Bool(flag) => Value::Bool(flag),
        Yaml::Number(number) => number_written_out(&number)?,
        Yaml::String(text) => Value::String(text),
        Yaml::Sequence(items) => {
            Value::Array(items.into_iter().map(written_out).collect::<Result<_, _>>()?)
        }
        Yaml::Mapping(entries) => {
            let mut map = Map::new();
            for (key, value) in entries {
                map.insert(key_written_out(&key)?, written_out(value)?);
            }
            Value::Object(map)
        }
        Yaml::Tagged(tagged) => {
            let tag = tagged.tag.to_string();
            long_form(tag.trim_start_matches('!'), written_out(tagged.value)?)
        }
    })
}

/// The long form of a short tag: `!Ref X` and `!Condition X` keep their names, every other gets the
/// `Fn::` prefix, and `!GetAtt A.B` becomes a list.
/// <https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/intrinsic-function-reference.html>
fn long_form(tag: &str, value: Value) -> Value {
    match (tag, value) {
        ("Ref" | "Condition", value) => json!({ tag: value }),
        ("GetAtt", Value::String(dotted)) => {
            let (resource, attribute) = dotted.split_once('.').unwrap_or((&dotted, ""));
            json!({ "Fn::GetAtt": [resource, attribute] })
        }
        (function, value) => json!({ format!("Fn::{function}"): value }),
    }
}

fn number_written_out(number: &serde_norway::Number) -> Result<Value, TemplateError> {
    serde_json::to_value(number).map_err(|_| TemplateError::Number(number.to_string()))
}

fn key_written_out(key: &serde_norway::Value) -> Result<String, TemplateError> {
    match key {
        serde_norway::Value::String(text) => Ok(text.clone()),
        // YAML reads `200:` in a list of responses as a number; in JSON it is text.
        serde_norway::Value::Number(number) => Ok(number.to_string()),
        other => Err(TemplateError::Key(format!("{other:?}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"
AWSTemplateFormatVersion: 2010-09-09
Globals: { Function: { Environment: { Variables: { TABLE_NAME: !Ref Classes } } } }
Resources:
  Classes:
    Type: AWS::DynamoDB::Table
    DeletionPolicy: Retain
    Properties: { TableName: !Sub "${AWS::StackName}-classes", BillingMode: PAY_PER_REQUEST }
  Outbox:
    Type: AWS::SQS::Queue
    Properties:
      VisibilityTimeout: 90
      RedrivePolicy: { deadLetterTargetArn: !GetAtt OutboxDlq.Arn, maxReceiveCount: 5 }
  OutboxDlq: { Type: AWS::SQS::Queue }
  Alarm:
    Type: AWS::CloudWatch::Alarm
    Condition: Loud
    Properties: { AlarmActions: !If [Loud, [!Ref Topic], !Ref "AWS::NoValue"] }
"#;

    #[test]
    fn short_tags_are_written_out() {
        let template = Template::parse(TEXT).unwrap();
        let property = |id, name| template.resource(id).unwrap().property(name).clone();
        assert_eq!(
            property("Classes", "TableName"),
            json!({ "Fn::Sub": "${AWS::StackName}-classes" })
        );
        assert_eq!(
            property("Outbox", "RedrivePolicy"),
            json!({ "deadLetterTargetArn": { "Fn::GetAtt": ["OutboxDlq", "Arn"] }, "maxReceiveCount": 5 })
        );
        assert_eq!(
            property("Alarm", "AlarmActions"),
            json!({ "Fn::If": ["Loud", [{ "Ref": "Topic" }], { "Ref": "AWS::NoValue" }] })
        );
        assert_eq!(
            target(&property("Outbox", "RedrivePolicy")["deadLetterTargetArn"]),
            Some("OutboxDlq")
        );
    }

    #[test]
    fn resources_are_found_by_type_and_by_id() {
        let template = Template::parse(TEXT).unwrap();
        let queues: Vec<_> = template.of_type("AWS::SQS::Queue").map(|queue| queue.id).collect();
        assert_eq!(queues, ["Outbox", "OutboxDlq"]);
        let classes = template.resource("Classes").unwrap();
        assert_eq!(classes.definition["DeletionPolicy"], "Retain");
        assert!(template.resource("OutboxDlq").unwrap().properties().is_null());
        assert!(template.resource("Nothing").is_none());
        assert_eq!(
            template.root()["Globals"]["Function"]["Environment"]["Variables"]["TABLE_NAME"],
            json!({ "Ref": "Classes" })
        );
    }

    #[test]
    fn what_is_no_template_is_refused() {
        assert!(matches!(Template::parse("a: [").unwrap_err(), TemplateError::Yaml(_)));
        assert!(matches!(Template::parse("Outputs: {}").unwrap_err(), TemplateError::NoResources));
    }
}
