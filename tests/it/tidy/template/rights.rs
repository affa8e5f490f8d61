//! The variables and permissions of each function.

use super::*;

/// Starts a function with these variables and returns the names that it reads.
type ReadVariables = fn(&[(String, String)]) -> Vec<&'static str>;

fn read_variables<D: Deps>(variables: &[(String, String)]) -> Vec<&'static str> {
    let lambda = [names::AWS_REGION, names::AWS_ACCESS_KEY_ID, names::AWS_SECRET_ACCESS_KEY];
    let lambda = lambda.map(|name| (name.to_owned(), "set-by-lambda".to_owned()));
    let env = Env::from_pairs(variables.iter().cloned().chain(lambda));
    let clock = Clock::stopped_at(crate::world::START.parse().expect("a time"));
    if let Err(error) = D::new(&env, &clock, &Random::seeded(1)) {
        panic!("{error}");
    }
    // Every `main` also starts the telemetry with the same environment.
    env.names_read().into_iter().chain([names::LOG_LEVEL]).collect()
}

const READ_VARIABLES: [(&str, ReadVariables); 20] = [
    ("attendance", read_variables::<attendance::Deps>),
    ("connect", read_variables::<connect::Deps>),
    ("directory", read_variables::<directory::Deps>),
    ("disconnect", read_variables::<disconnect::Deps>),
    ("hosts", read_variables::<hosts::Deps>),
    ("join", read_variables::<join::Deps>),
    ("mail-events", read_variables::<mail_events::Deps>),
    ("meeting-sweep", read_variables::<meeting_sweep::Deps>),
    ("notifications", read_variables::<notifications::Deps>),
    ("operations", read_variables::<operations::Deps>),
    ("outbox-sweep", read_variables::<outbox_sweep::Deps>),
    ("payments", read_variables::<payments::Deps>),
    ("poll", read_variables::<poll::Deps>),
    ("reconcile-sweep", read_variables::<reconcile_sweep::Deps>),
    ("reminder-sweep", read_variables::<reminder_sweep::Deps>),
    ("resend-invite", read_variables::<resend_invite::Deps>),
    ("session-cancel", read_variables::<session_cancel::Deps>),
    ("session-save", read_variables::<session_save::Deps>),
    ("sessions", read_variables::<sessions::Deps>),
    ("webhook", read_variables::<webhook::Deps>),
];

/// A value that the variable can have in a deployment: the parameter's default, or a text that is valid as id, name and
/// address.
fn sample(template: &Template, value: &Value) -> String {
    let default = referenced_id(value).map(|id| &template.root()["Parameters"][id]["Default"]);
    match default {
        Some(Value::String(text)) if !text.is_empty() => text.clone(),
        Some(Value::Number(number)) => number.to_string(),
        _ => "https://example.com/something".to_owned(),
    }
}

#[test]
fn function_variables_match_those_that_the_code_reads() {
    let template = template();
    let deployed = deployed(&template);
    assert_eq!(READ_VARIABLES.map(|(name, _)| name.to_owned()).to_vec(), functions());
    let mut problems = Vec::new();
    for (name, read_variables) in READ_VARIABLES {
        let environment = environment(&template, &deployed[name]);
        let variables: Vec<_> = environment
            .iter()
            .map(|(name, value)| (name.clone(), sample(&template, value)))
            .collect();
        // Lambda sets the SDK's variables.
        let read_variables: BTreeSet<String> = read_variables(&variables)
            .into_iter()
            .filter(|name| !name.starts_with("AWS_"))
            .map(str::to_owned)
            .collect();
        let mut given: BTreeSet<String> = environment.into_keys().collect();
        if name == "mail-events" {
            // All functions get it, and this one needs no secret.
            given.remove(names::CONFIG_SECRET_ID);
        }
        let report = |names: Vec<&String>, problem| {
            (!names.is_empty()).then(|| format!("{name} {problem} {names:?}"))
        };
        problems
            .extend(report(read_variables.difference(&given).collect(), "reads but is not given"));
        problems.extend(report(
            given.difference(&read_variables).collect(),
            "is given but does not read",
        ));
    }
    assert_no_problems(&problems);
}

#[test]
fn permissions_are_named_and_limited_to_what_the_code_uses() {
    let template = template();
    // Resources with the variable that names them and the prefix of their allowed actions.
    let reached = [
        ("MainTableArn", names::TABLE_NAME, "dynamodb:"),
        ("TokensTableArn", names::TOKENS_TABLE_NAME, "dynamodb:"),
        ("OutboxQueue", names::OUTBOX_QUEUE_URL, "sqs:"),
        ("OutboxBulkQueue", names::OUTBOX_BULK_QUEUE_URL, "sqs:"),
        ("OutboxDeadLetterQueue", names::OUTBOX_DLQ_URL, "sqs:"),
        ("PaymentsQueue", names::PAYMENTS_QUEUE_URL, "sqs:"),
        ("ConfigSecret", names::CONFIG_SECRET_ID, "secretsmanager:GetSecretValue"),
        ("MailIdentity", names::MAIL_FROM, "ses:Send"),
        ("MailConfigurationSet", names::MAIL_CONFIGURATION_SET, "ses:Send"),
    ];
    let indexes: Vec<_> =
        Index::ALL.iter().map(|index| format!("/index/{}", index.name())).collect();
    let mut problems = Vec::new();
    for (name, function) in deployed(&template) {
        let environment = environment(&template, &function);
        for statement in
            list(function.property("Policies")).iter().flat_map(|policy| list(&policy["Statement"]))
        {
            let mut report =
                |problem: String| problems.push(format!("{name}, {}: {problem}", statement["Sid"]));
            if statement["Effect"] != "Allow" || !statement["Sid"].is_string() {
                report("a statement needs a `Sid` and the effect `Allow`".to_owned());
            }
            let mut resources = BTreeSet::new();
            collect_references(&statement["Resource"], &mut resources);
            // Pseudo parameters are not resources.
            resources.retain(|resource| !resource.starts_with("AWS::"));
            let named = |part: &&Value| !part.to_string().contains('*');
            let parts = list(&statement["Resource"]);
            if resources.is_empty() || !parts.iter().all(named) {
                report(format!("{} is not one resource", statement["Resource"]));
            }
            for part in list(&statement["Resource"]) {
                let index = part["Fn::Sub"]
                    .as_str()
                    .filter(|arn| !arn.starts_with("arn:"))
                    .and_then(|arn| arn.split_once('}'))
                    .map(|(_, rest)| rest);
                if index.is_some_and(|index| !indexes.iter().any(|known| known == index)) {
                    report(format!("{part} is not an index"));
                }
            }
            for resource in resources {
                let known = reached.iter().find(|(id, _, _)| *id == resource);
                let Some((_, variable, actions)) = known else {
                    report(format!("the code does not use {resource}"));
                    continue;
                };
                if !environment.contains_key(*variable) {
                    report(format!("it has permissions on {resource} without {variable}"));
                }
                for action in list(&statement["Action"]) {
                    let action = action.as_str().unwrap_or_default();
                    if !action.starts_with(actions)
                        || action.contains('*')
                        || action.ends_with(":Scan")
                    {
                        report(format!("{action} on {resource}"));
                    }
                }
            }
        }
        // A managed policy is a string, and a SAM policy template has no statements.
        if list(function.property("Policies")).iter().any(|policy| !policy["Statement"].is_array())
        {
            problems.push(format!("{name}: a policy without statements"));
        }
        // A function must not refer to a resource that it does not use.
        let mut references = BTreeSet::new();
        collect_references(function.definition, &mut references);
        for (resource, variable, _) in reached {
            // The rule of `mail-events` names the set whose events it gets.
            let is_in_rule = name == "mail-events" && resource == "MailConfigurationSet";
            if !is_in_rule && references.contains(resource) && !environment.contains_key(variable) {
                problems.push(format!("{name}: {resource} without {variable}"));
            }
        }
    }
    assert_no_problems(&problems);
}
