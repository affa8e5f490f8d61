//! What the template's resources are called here.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::template::{Resource, Template, target};

/// The account that everything here belongs to.
pub const ACCOUNT_ID: &str = "000000000000";
/// The region that everything here is in, and that prices are those of.
pub const REGION: &str = "us-east-1";

/// Physical names by logical id. A resource that is not in the list has the literal name that the
/// template gives it, else its logical id.
#[derive(Clone, Debug, Default)]
pub struct Names(BTreeMap<String, String>);

impl Names {
    pub fn new<'a>(names: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        Self(names.into_iter().map(|(id, name)| (id.to_owned(), name.to_owned())).collect())
    }

    /// The physical name of a resource whose name property is `property`.
    pub(crate) fn of<'a>(&'a self, resource: Resource<'a>, property: &str) -> &'a str {
        self.0
            .get(resource.id)
            .map(String::as_str)
            .or_else(|| resource.property(property).as_str())
            .unwrap_or(resource.id)
    }

    /// The physical name of the queue that a property refers to, or names by its ARN.
    pub(crate) fn queue_referred<'a>(
        &'a self,
        template: &'a Template,
        reference: &'a Value,
    ) -> Option<&'a str> {
        match reference.as_str() {
            Some(arn) => arn.rsplit(':').next(),
            None => Some(self.of(template.resource(target(reference)?)?, "QueueName")),
        }
    }
}
