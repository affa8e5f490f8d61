//! Physical names of the template's resources.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::template::{Resource, Template, referenced_id};

/// The account id in all ARNs and URLs.
pub const ACCOUNT_ID: &str = "000000000000";
/// The region in all ARNs. The prices are for this region, too.
pub const REGION: &str = "us-east-1";

/// Returns the ARN of a table.
pub(crate) fn table_arn(name: &str) -> String {
    format!("arn:aws:dynamodb:{REGION}:{ACCOUNT_ID}:table/{name}")
}

/// Returns the ARN of a queue.
pub(crate) fn queue_arn(name: &str) -> String {
    format!("arn:aws:sqs:{REGION}:{ACCOUNT_ID}:{name}")
}

/// Returns the ARN of a secret, without the random suffix that AWS adds.
pub(crate) fn secret_arn(name: &str) -> String {
    format!("arn:aws:secretsmanager:{REGION}:{ACCOUNT_ID}:secret:{name}")
}

/// Returns the ARN of a mail identity, which is a domain or an address.
pub(crate) fn identity_arn(name: &str) -> String {
    format!("arn:aws:ses:{REGION}:{ACCOUNT_ID}:identity/{name}")
}

/// Returns the ARN of a configuration set of SES.
pub(crate) fn configuration_set_arn(name: &str) -> String {
    format!("arn:aws:ses:{REGION}:{ACCOUNT_ID}:configuration-set/{name}")
}

/// Returns the ARN of an event bus, which may be given by its ARN.
pub(crate) fn event_bus_arn(name: &str) -> String {
    match name.starts_with("arn:") {
        true => name.to_owned(),
        false => format!("arn:aws:events:{REGION}:{ACCOUNT_ID}:event-bus/{name}"),
    }
}

/// Physical names by logical id. A resource that is not listed has the literal name from the
/// template, or else its logical id.
#[derive(Clone, Debug, Default)]
pub struct Names(BTreeMap<String, String>);

impl Names {
    pub fn new<'a>(names: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        Self(names.into_iter().map(|(id, name)| (id.to_owned(), name.to_owned())).collect())
    }

    /// Returns the physical name of a resource whose name property is `property`.
    pub(crate) fn physical_name<'a>(&'a self, resource: Resource<'a>, property: &str) -> &'a str {
        self.0
            .get(resource.id)
            .map(String::as_str)
            .or_else(|| resource.property(property).as_str())
            .unwrap_or(resource.id)
    }

    /// Returns the physical name of the queue that a property references, by `Ref`, `Fn::GetAtt` or ARN.
    pub(crate) fn referenced_queue_name<'a>(
        &'a self,
        template: &'a Template,
        reference: &'a Value,
    ) -> Option<&'a str> {
        match reference.as_str() {
            Some(arn) => arn.rsplit(':').next(),
            None => {
                Some(self.physical_name(template.resource(referenced_id(reference)?)?, "QueueName"))
            }
        }
    }
}
