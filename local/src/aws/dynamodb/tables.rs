//! The tables of `template.yaml`.

use std::collections::BTreeMap;

use dynoxide::Database;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use crate::aws::StartError;
use crate::aws::names::Names;
use crate::template::{Resource, Template};

const TABLE: &str = "AWS::DynamoDB::Table";
/// The properties that CloudFormation and `CreateTable` write alike.
const SHARED_PROPERTIES: [&str; 4] =
    ["AttributeDefinitions", "KeySchema", "GlobalSecondaryIndexes", "LocalSecondaryIndexes"];

/// What the front knows of each table, by physical name.
pub(crate) type KeyAttributes = BTreeMap<String, Table>;

/// One table's keys and its time-to-live attribute.
#[derive(Debug, Default)]
pub(crate) struct Table {
    pub(super) keys: Vec<String>,
    pub(super) ttl: Option<String>,
}

/// Makes the tables that are not there yet. One that is there, in a file of an earlier run, must
/// have the same keys and indexes.
pub(super) fn create(
    database: &Database,
    template: &Template,
    names: &Names,
) -> Result<KeyAttributes, StartError> {
    let mut tables = KeyAttributes::new();
    for resource in template.of_type(TABLE) {
        let name = names.of(resource, "TableName").to_owned();
        let wanted = wanted(resource, &name);
        let exists = database.list_tables(request(json!({}))?)?.table_names.contains(&name);
        if exists {
            same(database, &name, &wanted)?;
        } else {
            database.create_table(request(wanted)?)?;
        }
        let ttl = resource.property("TimeToLiveSpecification");
        if !exists && ttl["Enabled"] == true {
            let enable = json!({ "TableName": name, "TimeToLiveSpecification": ttl });
            database.update_time_to_live(request(enable)?)?;
        }
        let table = Table {
            keys: attribute_names(resource.property("KeySchema")),
            ttl: ttl["AttributeName"]
                .as_str()
                .filter(|_| ttl["Enabled"] == true)
                .map(str::to_owned),
        };
        tables.insert(name, table);
    }
    Ok(tables)
}

fn wanted(resource: Resource<'_>, name: &str) -> Value {
    let mut wanted = Map::new();
    wanted.insert("TableName".to_owned(), json!(name));
    // What it costs is metered on demand, whatever the template says.
    wanted.insert("BillingMode".to_owned(), json!("PAY_PER_REQUEST"));
    for property in SHARED_PROPERTIES {
        if !resource.property(property).is_null() {
            wanted.insert(property.to_owned(), resource.property(property).clone());
        }
    }
    Value::Object(wanted)
}

fn same(database: &Database, name: &str, wanted: &Value) -> Result<(), StartError> {
    let described = database.describe_table(request(json!({ "TableName": name }))?)?;
    let described = serde_json::to_value(described).map_err(StartError::Definition)?;
    if shape(&described["Table"]) == shape(wanted) {
        Ok(())
    } else {
        Err(StartError::OtherTable { table: name.to_owned() })
    }
}

/// A table's keys and those of its indexes, in an order of their own.
fn shape(table: &Value) -> BTreeMap<String, Vec<String>> {
    let indexes = ["GlobalSecondaryIndexes", "LocalSecondaryIndexes"]
        .into_iter()
        .filter_map(|kind| table[kind].as_array())
        .flatten()
        .map(|index| {
            let name = index["IndexName"].as_str().unwrap_or_default().to_owned();
            (name, attribute_names(&index["KeySchema"]))
        });
    indexes.chain([(String::new(), attribute_names(&table["KeySchema"]))]).collect()
}

fn attribute_names(key_schema: &Value) -> Vec<String> {
    let elements = key_schema.as_array().into_iter().flatten();
    elements.filter_map(|element| element["AttributeName"].as_str().map(str::to_owned)).collect()
}

/// A request of the emulator's, which are only made from JSON.
pub(super) fn request<T: DeserializeOwned>(json: Value) -> Result<T, StartError> {
    serde_json::from_value(json).map_err(StartError::Definition)
}
