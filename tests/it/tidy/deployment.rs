//! Rules of AWS that `template.yaml` can break although each of its parts is valid by itself.

use std::collections::BTreeSet;
use std::fs;

use local::template::referenced_id;
use local::template::values::Values;
use serde_json::{Value, json};

use super::assert_no_problems;
use super::source::root;
use super::template::{deployed, environment, list, template, triggers};

/// Lambda's limit for the names and values of a function's variables.
const ENVIRONMENT_LIMIT_BYTES: u64 = 4096;
/// The maximum length of a generated name, URL or ARN: a queue URL with a region, an account and a name of 80 characters.
const GENERATED_LENGTH: u64 = 160;
/// SES's limit for the name of a configuration set.
const CONFIGURATION_SET_LENGTH: u64 = 64;
/// The maximum number of digits of a numeric parameter.
const NUMBER_LENGTH: u64 = 16;
/// The parameters with text in any language. A character needs up to four bytes.
const TEXT_PARAMETERS: [&str; 3] = ["BrandName", "Disclaimer", "MailFrom"];

/// The largest number of bytes of a variable's value, or `None` if it has no limit.
fn largest_value(root: &Value, value: &Value) -> Option<u64> {
    if let [_, yes, no] = &list(&value["Fn::If"])[..] {
        return Some(largest_value(root, yes)?.max(largest_value(root, no)?));
    }
    let id = referenced_id(value)?;
    let parameter = &root["Parameters"][id];
    if parameter.is_null() {
        let length = match root["Resources"][id]["Type"].as_str()? {
            "AWS::SES::ConfigurationSet" => CONFIGURATION_SET_LENGTH,
            _ => GENERATED_LENGTH,
        };
        return Some(length);
    }
    let bytes = if TEXT_PARAMETERS.contains(&id) { 4 } else { 1 };
    match &parameter["AllowedValues"] {
        Value::Array(values) => {
            values.iter().filter_map(Value::as_str).map(|value| value.len() as u64).max()
        }
        _ if parameter["Type"] == "Number" => Some(NUMBER_LENGTH),
        _ => parameter["MaxLength"].as_u64().map(|length| length * bytes),
    }
}

/// CloudFormation would accept a longer text, and the update of the function would fail.
#[test]
fn longest_parameters_fit_into_the_environment() {
    let template = template();
    let mut problems = Vec::new();
    for (function, resource) in deployed(&template) {
        let mut total = 0;
        for (name, value) in environment(&template, &resource) {
            match largest_value(template.root(), &value) {
                Some(bytes) => total += name.len() as u64 + bytes,
                None => problems.push(format!("{function}: {name} has no `MaxLength`")),
            }
        }
        if total > ENVIRONMENT_LIMIT_BYTES {
            problems.push(format!("{function}: the variables may have {total} bytes"));
        }
    }
    assert_no_problems(&problems);
}

/// Replaces each of a value's references by its text, and returns the texts.
fn rendered(values: &Values<'_>, value: &Value, texts: &mut Vec<String>) {
    if let Ok(Some(text)) = values.text(value) {
        texts.push(text);
        return;
    }
    match value {
        Value::Object(members) => members.values().for_each(|one| rendered(values, one, texts)),
        Value::Array(items) => items.iter().for_each(|one| rendered(values, one, texts)),
        _ => {}
    }
}

/// With the parameters that name restored tables, nothing in the deployment uses the stack's own tables.
#[test]
fn restored_tables_replace_the_original_ones_everywhere() {
    const TABLES: [&str; 2] = ["MainTable", "TokensTable"];
    const RESTORED: [(&str, &str); 2] =
        [("RestoredMainTable", "main-restored"), ("RestoredTokensTable", "tokens-restored")];
    let template = template();
    let pseudo = ["Partition", "Region", "AccountId", "StackName"];
    let pseudo = pseudo.map(|name| (format!("AWS::{name}"), name.to_owned()));
    let own = TABLES.iter().flat_map(|id| {
        [((*id).to_owned(), format!("own-{id}")), (format!("{id}.Arn"), format!("arn:own-{id}"))]
    });
    let own: Vec<_> = pseudo.into_iter().chain(own).collect();
    let render = |restored: &[(&str, &str)]| {
        let restored = restored.iter().map(|(name, value)| ((*name).into(), (*value).into()));
        let values = Values::new(&template, own.clone().into_iter().chain(restored));
        let mut texts = Vec::new();
        let mut sections = vec![&template.root()["Globals"], &template.root()["Outputs"]];
        sections.extend(
            template.resources().filter(|one| !TABLES.contains(&one.id)).map(|one| one.definition),
        );
        sections.into_iter().for_each(|section| rendered(&values, section, &mut texts));
        texts
    };
    let count =
        |texts: &[String], part: &str| texts.iter().filter(|text| text.contains(part)).count();
    let (before, after) = (render(&[]), render(&RESTORED));
    for (table, (_, restored)) in TABLES.iter().zip(RESTORED) {
        let own = format!("own-{table}");
        assert!(count(&before, &own) > 10, "{before:?}");
        assert_eq!((count(&before, restored), count(&after, &own)), (0, 0));
        assert_eq!(count(&after, restored), count(&before, &own), "{table}");
    }
    let arn = "arn:Partition:dynamodb:Region:AccountId:table/main-restored";
    for one in [arn.to_owned(), format!("{arn}/index/by_owner"), "main-restored".to_owned()] {
        assert!(after.contains(&one), "{one}");
    }
}

/// EventBridge writes to a dead-letter queue only if the queue's policy allows this rule, which SAM names.
#[test]
fn dead_letter_queues_accept_their_rules() {
    let template = template();
    let mut rules = 0;
    for (_, function) in deployed(&template) {
        for (event, definition) in function.property("Events").as_object().into_iter().flatten() {
            let queue = &definition["Properties"]["DeadLetterConfig"]["Arn"];
            let Some(queue) = referenced_id(queue) else { continue };
            rules += 1;
            let rule = json!({ "Fn::GetAtt": [format!("{}{event}", function.id), "Arn"] });
            let statement = |rules: &Value| {
                json!({
                    "Effect": "Allow",
                    "Principal": { "Service": "events.amazonaws.com" },
                    "Action": "sqs:SendMessage",
                    "Resource": { "Fn::GetAtt": [queue, "Arn"] },
                    "Condition": { "ArnEquals": { "aws:SourceArn": rules } },
                })
            };
            let accepts = template.resources_of_type("AWS::SQS::QueuePolicy").any(|policy| {
                let queues = list(policy.property("Queues"));
                let statements = list(&policy.property("PolicyDocument")["Statement"]);
                queues.into_iter().any(|one| referenced_id(one) == Some(queue))
                    && statements.into_iter().any(|found| {
                        let mut found = found.clone();
                        let rules = found["Condition"]["ArnEquals"]["aws:SourceArn"].clone();
                        found.as_object_mut().is_some_and(|found| found.remove("Sid").is_some())
                            && list(&rules).contains(&&rule)
                            && found == statement(&rules)
                    })
            });
            assert!(accepts, "{queue} does not accept {event} of {}", function.id);
        }
    }
    assert_eq!(
        rules,
        deployed(&template)
            .values()
            .flat_map(|function| triggers(function, "EventBridgeRule"))
            .count()
    );
}

/// The functions have no permissions on the customer's key, so the documented policy must allow every service.
#[test]
fn documented_key_policy_covers_every_encrypted_resource() {
    const KEY: &str = "EncryptionKeyArn";
    let template = template();
    let text = fs::read_to_string(root().join("infra/README.md")).expect("infra/README.md");
    let section = text.split_once("\n## Encryption\n").expect("a section").1;
    let policy = section.split_once("```json\n").and_then(|(_, rest)| rest.split_once("```"));
    let policy: Value = serde_json::from_str(policy.expect("a policy").0).expect("JSON");
    let statement = |sid: &str| {
        list(&policy).into_iter().find(|found| found["Sid"] == sid).cloned().expect("a statement")
    };
    let actions = |sid: &str| -> BTreeSet<String> {
        list(&statement(sid)["Action"])
            .into_iter()
            .filter_map(Value::as_str)
            .map(str::to_owned)
            .collect()
    };
    let via: BTreeSet<_> =
        list(&statement("ByWayOfServices")["Condition"]["StringEquals"]["kms:ViaService"])
            .into_iter()
            .filter_map(|service| service.as_str()?.split('.').next().map(str::to_owned))
            .collect();
    let mut encrypted = BTreeSet::new();
    for resource in template.resources() {
        if !resource.properties().to_string().contains(KEY) {
            continue;
        }
        match resource.kind {
            "AWS::DynamoDB::Table" => encrypted.insert("dynamodb"),
            "AWS::SQS::Queue" => encrypted.insert("sqs"),
            "AWS::SecretsManager::Secret" => encrypted.insert("secretsmanager"),
            "AWS::Logs::LogGroup" => true,
            other => panic!("{} of type {other} uses the key", resource.id),
        };
    }
    assert_eq!(statement("Logs")["Principal"]["Service"], "logs.<region>.amazonaws.com");
    assert_eq!(encrypted.into_iter().map(str::to_owned).collect::<BTreeSet<_>>(), via);
    for action in ["kms:Decrypt", "kms:GenerateDataKey*", "kms:CreateGrant", "kms:DescribeKey"] {
        assert!(actions("ByWayOfServices").contains(action), "{action}");
    }
    // The rule writes to an encrypted queue.
    let events = statement("EventsThatAreSetAside");
    assert_eq!(events["Principal"]["Service"], "events.amazonaws.com");
    let needed = ["kms:Decrypt", "kms:GenerateDataKey"].map(str::to_owned);
    assert_eq!(actions("EventsThatAreSetAside"), BTreeSet::from(needed));
}
