//! The policies of the template's functions, evaluated like IAM's.
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html>

use std::collections::BTreeMap;

use serde_json::Value;

use super::names::{
    ACCOUNT_ID, Names, REGION, configuration_set_arn, queue_arn, secret_arn, table_arn,
};
use crate::template::values::Values;
use crate::template::{Template, TemplateError};

/// The members that a statement may have. Others, such as `Condition`, would restrict it, so they are refused.
const STATEMENT_MEMBERS: [&str; 4] = ["Sid", "Effect", "Action", "Resource"];
/// The length of the random suffix in a secret's ARN, with its hyphen.
const SECRET_SUFFIX_LENGTH: usize = 7;

/// The policies of the functions by their names.
#[derive(Clone, Debug, Default)]
pub(super) struct Policies(BTreeMap<String, Policy>);

/// The statements of one function.
#[derive(Clone, Debug, Default)]
pub(super) struct Policy(Vec<Statement>);

#[derive(Clone, Debug)]
struct Statement {
    allows: bool,
    actions: Vec<String>,
    resources: Vec<String>,
}

impl Policies {
    /// Reads the policies of the template.
    pub(super) fn from_template(
        template: &Template,
        values: &Values<'_>,
    ) -> Result<Self, TemplateError> {
        let mut policies = BTreeMap::new();
        for (function, resource) in template.functions() {
            let mut statements = Vec::new();
            for policy in list(resource.property("Policies")) {
                for statement in list(&policy["Statement"]) {
                    let parsed = Statement::parse(statement, values)?;
                    statements.push(parsed.ok_or_else(|| TemplateError::Policy {
                        function: function.to_owned(),
                        policy: policy.to_string(),
                    })?);
                }
            }
            policies.insert(function.to_owned(), Policy(statements));
        }
        Ok(Self(policies))
    }

    /// Returns the policy of a function, or `None` if the template has no such function. The caller's name may have a
    /// deployment's name in front, as on Lambda and with SAM.
    pub(super) fn of(&self, caller: &str) -> Option<&Policy> {
        let mut functions = self.0.iter();
        let found = functions.find(|(function, _)| {
            caller
                .strip_suffix(function.as_str())
                .is_some_and(|deployment| deployment.is_empty() || deployment.ends_with('-'))
        });
        found.map(|(_, policy)| policy)
    }
}

impl Policy {
    /// Returns whether the function may perform the action on the resource.
    pub(super) fn allows(&self, action: &str, resource: &str) -> bool {
        let mut matching =
            self.0.iter().filter(|statement| statement.matches(action, resource)).peekable();
        matching.peek().is_some() && matching.all(|statement| statement.allows)
    }
}

impl Statement {
    /// Returns `None` if the statement has members that this stack does not evaluate.
    fn parse(statement: &Value, values: &Values<'_>) -> Result<Option<Self>, TemplateError> {
        let Some(members) = statement.as_object() else { return Ok(None) };
        let allows = match statement["Effect"].as_str() {
            Some("Allow") => true,
            Some("Deny") => false,
            _ => return Ok(None),
        };
        if members.keys().any(|member| !STATEMENT_MEMBERS.contains(&member.as_str())) {
            return Ok(None);
        }
        let texts = |member: &str| {
            list(&statement[member])
                .iter()
                .filter_map(|value| values.text(value).transpose())
                .collect::<Result<Vec<_>, _>>()
        };
        let (actions, resources) = (texts("Action")?, texts("Resource")?);
        Ok(Some(Self { allows, actions, resources }))
    }

    fn matches(&self, action: &str, resource: &str) -> bool {
        let action = action.to_ascii_lowercase();
        self.actions.iter().any(|pattern| matches(&pattern.to_ascii_lowercase(), &action))
            && self.resources.iter().any(|pattern| matches(pattern, resource))
    }
}

/// Returns the values of the template's references. `parameters` are its parameters that have no default or another value.
pub(super) fn template_values<'a>(
    template: &'a Template,
    names: &Names,
    parameters: Vec<(&'static str, String)>,
) -> Values<'a> {
    let given = parameters.into_iter().map(|(name, value)| (name.to_owned(), value));
    Values::new(template, given.chain(resource_values(template, names)))
}

/// Returns the names and ARNs of the template's tables, queues, secrets and configuration sets, and the pseudo parameters.
fn resource_values(template: &Template, names: &Names) -> Vec<(String, String)> {
    let mut values: Vec<_> = [
        ("AWS::Partition", "aws"),
        ("AWS::Region", REGION),
        ("AWS::AccountId", ACCOUNT_ID),
        ("AWS::StackName", "local"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into();
    for resource in template.resources() {
        let (property, arn): (_, fn(&str) -> String) = match resource.kind {
            "AWS::DynamoDB::Table" => ("TableName", table_arn),
            "AWS::SQS::Queue" => ("QueueName", queue_arn),
            "AWS::SecretsManager::Secret" => ("Name", secret_arn),
            "AWS::SES::ConfigurationSet" => ("Name", configuration_set_arn),
            _ => continue,
        };
        let name = names.physical_name(resource, property);
        values.push((format!("{}.Arn", resource.id), arn(name)));
        // The reference to a secret is its ARN.
        let is_secret = resource.kind == "AWS::SecretsManager::Secret";
        let reference = if is_secret { arn(name) } else { name.to_owned() };
        values.push((resource.id.to_owned(), reference));
    }
    values
}

/// Returns the values of a member that may be a list or a single value.
fn list(value: &Value) -> Vec<&Value> {
    match value {
        Value::Array(values) => values.iter().collect(),
        Value::Null => Vec::new(),
        single => vec![single],
    }
}

/// Returns whether a text matches a pattern with `*` and `?`.
fn matches(pattern: &str, text: &str) -> bool {
    fn matches_bytes(pattern: &[u8], text: &[u8]) -> bool {
        match (pattern.split_first(), text.split_first()) {
            (None, None) => true,
            (Some((b'*', rest)), _) => {
                (0..=text.len()).any(|skipped| matches_bytes(rest, &text[skipped..]))
            }
            (Some((expected, pattern)), Some((actual, text))) => {
                (*expected == b'?' || expected == actual) && matches_bytes(pattern, text)
            }
            _ => false,
        }
    }
    matches_bytes(pattern.as_bytes(), text.as_bytes())
        || text
            .len()
            .checked_sub(SECRET_SUFFIX_LENGTH)
            .filter(|_| text.contains(":secret:"))
            .and_then(|end| text.get(..end))
            .is_some_and(|name| matches_bytes(pattern.as_bytes(), name.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"
Parameters: { MailIdentity: { Type: String } }
Resources:
  Classes: { Type: AWS::DynamoDB::Table }
  Config: { Type: AWS::SecretsManager::Secret }
  JoinFunction:
    Type: AWS::Serverless::Function
    Properties:
      CodeUri: target/lambda/join/
      Policies:
        - Statement:
            - { Effect: Allow, Action: [dynamodb:GetItem, dynamodb:Put*], Resource: !GetAtt Classes.Arn }
            - { Effect: Allow, Action: dynamodb:Query, Resource: !Sub "${Classes.Arn}/index/by_owner" }
            - { Effect: Deny, Action: dynamodb:PutItem, Resource: "*" }
            - { Effect: Allow, Action: secretsmanager:GetSecretValue, Resource: !Ref Config }
            - Effect: Allow
              Action: ses:SendEmail
              Resource: !Sub arn:${AWS::Partition}:ses:${AWS::Region}:${AWS::AccountId}:identity/${MailIdentity}
"#;

    fn policies(text: &str) -> Result<Policies, TemplateError> {
        let parameters = vec![("MailIdentity", "example.test".to_owned())];
        let template = Template::parse(text).unwrap();
        let values = template_values(&template, &Names::default(), parameters);
        Policies::from_template(&template, &values)
    }

    #[test]
    fn only_granted_actions_on_granted_resources_are_allowed() {
        let policies = policies(TEXT).unwrap();
        let table = table_arn("Classes");
        let index = |name: &str| format!("{table}/index/{name}");
        let secret = secret_arn("Config");
        let identity = super::super::names::identity_arn;
        for (action, resource, allowed) in [
            ("dynamodb:GetItem", table.clone(), true),
            ("dynamodb:getitem", table.clone(), true),
            ("dynamodb:PutItem", table.clone(), false),
            ("dynamodb:DeleteItem", table.clone(), false),
            ("dynamodb:Query", table.clone(), false),
            ("dynamodb:Query", index("by_owner"), true),
            ("dynamodb:Query", index("by_audience"), false),
            ("dynamodb:GetItem", table_arn("Tokens"), false),
            ("secretsmanager:GetSecretValue", secret.clone(), true),
            ("secretsmanager:GetSecretValue", format!("{secret}-a1B2c3"), true),
            ("secretsmanager:GetSecretValue", format!("{secret}-of-others"), false),
            ("ses:SendEmail", identity("example.test"), true),
            ("ses:SendEmail", identity("example.com"), false),
        ] {
            let join = policies.of("join").unwrap();
            assert_eq!(join.allows(action, &resource), allowed, "{action} {resource}");
        }
        assert!(policies.of("classes-dev-join").is_some());
        assert!(policies.of("tests").is_none() && policies.of("rejoin").is_none());
    }

    #[test]
    fn policy_that_is_not_evaluated_is_refused() {
        for statement in [
            r#"{ Effect: Allow, Action: "s3:*", Resource: "*", Condition: {} }"#,
            r#"{ Effect: Allow, NotAction: "s3:*", Resource: "*" }"#,
            r#"{ Action: "s3:*", Resource: "*" }"#,
        ] {
            let function = "{ Type: AWS::Serverless::Function, Properties: { CodeUri: f/, Policies: [{ Statement: STATEMENT }] } }";
            let text = format!("Resources: {{ F: {} }}", function.replace("STATEMENT", statement));
            assert!(matches!(policies(&text), Err(TemplateError::Policy { .. })), "{statement}");
        }
    }
}
