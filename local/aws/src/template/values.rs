//! Values of the template's references in a deployment: CloudFormation's functions, as far as the template uses them in
//! policies and variables.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Template, TemplateError};

const SSM_PARAMETER: &str = "AWS::SSM::Parameter";

/// The values of parameters and resources in one deployment.
#[derive(Clone, Debug)]
pub struct Values<'a> {
    template: &'a Template,
    /// Values by the text of the reference: `MainTable`, `MainTable.Arn`, `AWS::Region`.
    known: BTreeMap<String, String>,
}

impl<'a> Values<'a> {
    /// Combines the given values with the defaults of the template's parameters.
    pub fn new(template: &'a Template, given: impl IntoIterator<Item = (String, String)>) -> Self {
        let parameters = template.root()["Parameters"].as_object().into_iter().flatten();
        let defaults = parameters.filter_map(|(name, parameter)| {
            let default = match parameter.get("Default")? {
                Value::String(text) => text.clone(),
                other => other.to_string(),
            };
            Some((name.clone(), default))
        });
        Self { template, known: defaults.chain(given).collect() }
    }

    /// Returns the text of a value. `Ok(None)` is `AWS::NoValue`.
    pub fn text(&self, value: &Value) -> Result<Option<String>, TemplateError> {
        match value {
            Value::String(text) => return Ok(Some(text.clone())),
            Value::Number(_) | Value::Bool(_) => return Ok(Some(value.to_string())),
            _ => {}
        }
        if value["Ref"] == "AWS::NoValue" {
            return Ok(None);
        }
        if let Some(id) = value["Ref"].as_str() {
            return self.reference(id).map(Some);
        }
        if let [Value::String(id), Value::String(attribute)] =
            value["Fn::GetAtt"].as_array().map(Vec::as_slice).unwrap_or_default()
        {
            return self.reference(&format!("{id}.{attribute}")).map(Some);
        }
        if let Some(text) = value["Fn::Sub"].as_str() {
            return self.substitute(text).map(Some);
        }
        if let [Value::String(condition), yes, no] =
            value["Fn::If"].as_array().map(Vec::as_slice).unwrap_or_default()
        {
            let condition = self.condition(&self.template.root()["Conditions"][condition])?;
            return self.text(if condition { yes } else { no });
        }
        Err(unresolved(value))
    }

    /// Returns the value of a parameter or a resource. An SSM parameter of the template is the value that it stores.
    fn reference(&self, name: &str) -> Result<String, TemplateError> {
        if let Some(known) = self.known.get(name) {
            return Ok(known.clone());
        }
        let stored = name
            .strip_suffix(".Value")
            .and_then(|id| self.template.resource(id))
            .filter(|resource| resource.kind == SSM_PARAMETER);
        let value = stored.map(|resource| self.text(resource.property("Value"))).transpose()?;
        value.flatten().ok_or_else(|| TemplateError::Unresolved(name.to_owned()))
    }

    fn substitute(&self, text: &str) -> Result<String, TemplateError> {
        let mut result = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("${") {
            let (name, after) =
                after.split_once('}').ok_or_else(|| TemplateError::Unresolved(text.to_owned()))?;
            result.push_str(before);
            result.push_str(&self.reference(name)?);
            rest = after;
        }
        Ok(result + rest)
    }

    fn condition(&self, condition: &Value) -> Result<bool, TemplateError> {
        if let [negated] = condition["Fn::Not"].as_array().map(Vec::as_slice).unwrap_or_default() {
            return Ok(!self.condition(negated)?);
        }
        if let [left, right] =
            condition["Fn::Equals"].as_array().map(Vec::as_slice).unwrap_or_default()
        {
            return Ok(self.text(left)? == self.text(right)?);
        }
        Err(unresolved(condition))
    }
}

fn unresolved(value: &Value) -> TemplateError {
    TemplateError::Unresolved(value.to_string())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn text(value: &Value) -> Result<Option<String>, TemplateError> {
        let template = Template::parse(
            r#"
Parameters: { Key: { Type: String, Default: "" }, Rate: { Type: Number, Default: 14 } }
Conditions: { HasKey: !Not [!Equals [!Ref Key, ""]] }
Resources:
  Table: { Type: AWS::DynamoDB::Table }
  InUse: { Type: AWS::SSM::Parameter, Properties: { Value: !If [HasKey, !Ref Key, !GetAtt Table.Arn] } }
"#,
        )
        .unwrap();
        let given = [("Table.Arn", "arn:table"), ("AWS::Region", "r")];
        let given = given.map(|(name, value)| (name.to_owned(), value.to_owned()));
        Values::new(&template, given).text(value)
    }

    #[test]
    fn references_have_their_values() {
        for (value, expected) in [
            (json!("plain"), Some("plain")),
            (json!({ "Ref": "Rate" }), Some("14")),
            (json!({ "Ref": "AWS::NoValue" }), None),
            (json!({ "Fn::GetAtt": ["Table", "Arn"] }), Some("arn:table")),
            (json!({ "Fn::GetAtt": ["InUse", "Value"] }), Some("arn:table")),
            (json!({ "Fn::Sub": "${Table.Arn}/index/${AWS::Region}" }), Some("arn:table/index/r")),
            (json!({ "Fn::If": ["HasKey", "yes", "no"] }), Some("no")),
        ] {
            assert_eq!(text(&value).unwrap().as_deref(), expected, "{value}");
        }
    }

    #[test]
    fn unknown_reference_or_function_is_an_error() {
        for value in
            [json!({ "Ref": "Nothing" }), json!({ "Fn::Sub": "${No}" }), json!({ "Fn::Join": [] })]
        {
            assert!(matches!(text(&value), Err(TemplateError::Unresolved(_))), "{value}");
        }
    }
}
