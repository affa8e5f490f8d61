//! Creation of the tables in `template.yaml`.

use std::collections::BTreeMap;

use dynoxide::Database;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use crate::StartError;
use crate::names::Names;
use crate::template::{Resource, Template};

const TABLE: &str = "AWS::DynamoDB::Table";
/// The properties that CloudFormation and `CreateTable` have in common.
const SHARED_PROPERTIES: [&str; 4] =
    ["AttributeDefinitions", "KeySchema", "GlobalSecondaryIndexes", "LocalSecondaryIndexes"];

/// The tables by physical name.
pub(crate) type Tables = BTreeMap<String, Table>;

/// A table's key attributes, those of its indexes, and its time-to-live attribute.
#[derive(Debug, Default)]
pub(crate) struct Table {
    pub(super) keys: Vec<String>,
    /// The partition and sort key of each index.
    pub(super) index_keys: Vec<Vec<String>>,
    pub(super) ttl: Option<String>,
}

/// Creates the missing tables. An existing table, from the file of an earlier run, must have the
/// same keys and indexes.
pub(super) fn create(
    database: &Database,
    template: &Template,
    names: &Names,
) -> Result<Tables, StartError> {
    let mut tables = Tables::new();
    for resource in template.resources_of_type(TABLE) {
        let name = names.physical_name(resource, "TableName").to_owned();
        let definition = table_definition(resource, &name);
        let exists = database.list_tables(typed_request(json!({}))?)?.table_names.contains(&name);
        if exists {
            check_unchanged(database, &name, &definition)?;
        } else {
            database.create_table(typed_request(definition)?)?;
        }
        let ttl = resource.property("TimeToLiveSpecification");
        if !exists && ttl["Enabled"] == true {
            let enable = json!({ "TableName": name, "TimeToLiveSpecification": ttl });
            database.update_time_to_live(typed_request(enable)?)?;
        }
        let table = Table {
            keys: attribute_names(resource.property("KeySchema")),
            index_keys: key_schemas(resource.properties())
                .into_iter()
                .filter_map(|(index, keys)| (!index.is_empty()).then_some(keys))
                .collect(),
            ttl: ttl["AttributeName"]
                .as_str()
                .filter(|_| ttl["Enabled"] == true)
                .map(str::to_owned),
        };
        tables.insert(name, table);
    }
    Ok(tables)
}

fn table_definition(resource: Resource<'_>, name: &str) -> Value {
    let mut definition = Map::new();
    definition.insert("TableName".to_owned(), json!(name));
    // The usage meter always uses on-demand prices.
    definition.insert("BillingMode".to_owned(), json!("PAY_PER_REQUEST"));
    for property in SHARED_PROPERTIES {
        if !resource.property(property).is_null() {
            definition.insert(property.to_owned(), resource.property(property).clone());
        }
    }
    Value::Object(definition)
}

fn check_unchanged(database: &Database, name: &str, expected: &Value) -> Result<(), StartError> {
    let described = database.describe_table(typed_request(json!({ "TableName": name }))?)?;
    let described = serde_json::to_value(described).map_err(StartError::Definition)?;
    if key_schemas(&described["Table"]) == key_schemas(expected) {
        Ok(())
    } else {
        Err(StartError::TableMismatch { table: name.to_owned() })
    }
}

/// Returns the key attributes of a table and of its indexes, sorted by index name.
fn key_schemas(table: &Value) -> BTreeMap<String, Vec<String>> {
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

/// Converts JSON to a request type of the emulator. The types have no other constructor.
pub(super) fn typed_request<T: DeserializeOwned>(json: Value) -> Result<T, StartError> {
    serde_json::from_value(json).map_err(StartError::Definition)
}
