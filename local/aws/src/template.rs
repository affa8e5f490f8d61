//! `template.yaml` as data: its resources, with CloudFormation's short tags in their long form.
//!
//! The local stack creates its tables and queues from the template, and tests compare the code with
//! it, so that the deployment and the local stack cannot diverge. A parsed template keeps references:
//! `{"Ref": …}` stays as it is. `values` resolves them.

pub mod values;

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

/// The deployed template, from which the stack creates its tables and queues.
pub const TEMPLATE: &str = include_str!("../../../template.yaml");

/// The reason why a text is not a template.
#[derive(Debug, thiserror::Error)]
pub enum TemplateError {
    #[error("the template is not YAML")]
    Yaml(#[from] serde_norway::Error),
    #[error("the template has a key that is not text: {0}")]
    Key(String),
    #[error("the template's number {0} cannot be represented in JSON")]
    Number(String),
    #[error("the template has no `Resources`")]
    NoResources,
    #[error("the template's {0} has no value in the local stack")]
    Unresolved(String),
    #[error("the local stack does not support this policy of {function}: {policy}")]
    Policy { function: String, policy: String },
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
    /// The whole entry, including attributes such as `DeletionPolicy`.
    pub definition: &'a Value,
}

impl<'a> Resource<'a> {
    /// Returns the resource's properties, or `null`.
    pub fn properties(&self) -> &'a Value {
        &self.definition["Properties"]
    }

    /// Returns a property, or `null`.
    pub fn property(&self, name: &str) -> &'a Value {
        &self.definition["Properties"][name]
    }
}

impl Template {
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        let mut yaml: serde_norway::Value = serde_norway::from_str(text)?;
        yaml.apply_merge()?;
        let root = to_json(yaml)?;
        if !root["Resources"].is_object() {
            return Err(TemplateError::NoResources);
        }
        Ok(Self { root })
    }

    /// Returns the whole template, for sections without a method (`Globals`, `Outputs`, …).
    pub fn root(&self) -> &Value {
        &self.root
    }

    /// Returns all resources.
    pub fn resources(&self) -> impl Iterator<Item = Resource<'_>> {
        self.root["Resources"].as_object().into_iter().flatten().map(|(id, definition)| Resource {
            id,
            kind: definition["Type"].as_str().unwrap_or_default(),
            definition,
        })
    }

    /// Returns the resources of one type.
    pub fn resources_of_type<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = Resource<'a>> {
        self.resources().filter(move |resource| resource.kind == kind)
    }

    /// Returns the functions by the folders of their code, which are their names in the local stack.
    pub fn functions(&self) -> BTreeMap<&str, Resource<'_>> {
        self.resources_of_type("AWS::Serverless::Function")
            .filter_map(|function| {
                let folder = function.property("CodeUri").as_str()?.trim_end_matches('/');
                Some((folder.rsplit('/').next()?, function))
            })
            .collect()
    }

    /// Returns the names of each function's environment variables.
    pub fn function_variables(&self) -> impl Iterator<Item = (&str, Vec<&str>)> {
        let all = &self.root["Globals"]["Function"];
        self.functions().into_iter().map(move |(name, function)| {
            let own = function.properties();
            (name, [all, own].into_iter().flat_map(variable_names).collect())
        })
    }

    /// Returns the resource with this logical id.
    pub fn resource(&self, id: &str) -> Option<Resource<'_>> {
        self.resources().find(|resource| resource.id == id)
    }
}

/// Returns the names of the variables that a function's properties set.
fn variable_names(function: &Value) -> impl Iterator<Item = &str> {
    let variables = function["Environment"]["Variables"].as_object().into_iter().flatten();
    variables.map(|(name, _)| name.as_str())
}

/// Returns the logical id in a `Ref` or a `Fn::GetAtt`.
pub fn referenced_id(value: &Value) -> Option<&str> {
    value["Ref"].as_str().or_else(|| match &value["Fn::GetAtt"] {
        Value::Array(parts) => parts.first()?.as_str(),
        Value::String(dotted) => dotted.split('.').next(),
        _ => None,
    })
}

fn to_json(yaml: serde_norway::Value) -> Result<Value, TemplateError> {
    use serde_norway::Value as Yaml;
    Ok(match yaml {
        Yaml::Null => Value::Null,
        Yaml::Bool(flag) => Value::Bool(flag),
        Yaml::Number(number) => number_to_json(&number)?,
        Yaml::String(text) => Value::String(text),
        Yaml::Sequence(items) => {
            Value::Array(items.into_iter().map(to_json).collect::<Result<_, _>>()?)
        }
        Yaml::Mapping(entries) => {
            let mut map = Map::new();
            for (key, value) in entries {
                map.insert(key_to_text(&key)?, to_json(value)?);
            }
            Value::Object(map)
        }
        Yaml::Tagged(tagged) => {
            let tag = tagged.tag.to_string();
            long_form(tag.trim_start_matches('!'), to_json(tagged.value)?)
        }
    })
}

/// Returns the long form of a short tag: `!Ref X` and `!Condition X` keep their names, all others get
/// the prefix `Fn::`, and `!GetAtt A.B` becomes a list.
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

fn number_to_json(number: &serde_norway::Number) -> Result<Value, TemplateError> {
    serde_json::to_value(number).map_err(|_| TemplateError::Number(number.to_string()))
}

fn key_to_text(key: &serde_norway::Value) -> Result<String, TemplateError> {
    match key {
        serde_norway::Value::String(text) => Ok(text.clone()),
        // In YAML the key `200:` of a response is a number. In JSON it is text.
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
    fn short_tags_are_expanded() {
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
            referenced_id(&property("Outbox", "RedrivePolicy")["deadLetterTargetArn"]),
            Some("OutboxDlq")
        );
    }

    #[test]
    fn resources_are_found_by_type_and_by_id() {
        let template = Template::parse(TEXT).unwrap();
        let queues: Vec<_> =
            template.resources_of_type("AWS::SQS::Queue").map(|queue| queue.id).collect();
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
    fn invalid_template_is_rejected() {
        assert!(matches!(Template::parse("a: [").unwrap_err(), TemplateError::Yaml(_)));
        assert!(matches!(Template::parse("Outputs: {}").unwrap_err(), TemplateError::NoResources));
    }
}
