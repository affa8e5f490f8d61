//! `/local/tables`: lists the tables and their items, as the AWS console does. Nothing is metered.

use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use dynoxide::DynoxideError;
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::Dynamo;
use super::ttl::from_json;

/// The number of items in a page.
const PAGE_ITEMS: usize = 50;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Page {
    /// The partition whose items are listed. Without it, all items are listed.
    partition: Option<String>,
    /// The `next` of the page before.
    after: Option<String>,
}

impl Dynamo {
    /// `GET /local/tables` and `GET /local/tables/{name}?partition=&after=`.
    pub(crate) fn router(&self) -> Router {
        Router::new()
            .route("/local/tables", get(list))
            .route("/local/tables/{name}", get(items))
            .with_state(self.clone())
    }

    fn page(&self, name: &str, page: Page) -> Result<Option<Value>, DynoxideError> {
        let Some(table) = self.tables.get(name) else { return Ok(None) };
        let mut request = json!({ "TableName": name, "Limit": PAGE_ITEMS });
        if let Some(after) = page.after {
            let key = serde_json::from_str::<Map<_, _>>(&after).map_err(|error| {
                DynoxideError::SerializationException(format!("invalid `after`: {error}"))
            })?;
            request["ExclusiveStartKey"] = Value::Object(key);
        }
        let (items, next) = match page.partition {
            Some(partition) => {
                request["KeyConditionExpression"] = json!("#partition = :partition");
                request["ExpressionAttributeNames"] = json!({ "#partition": table.keys[0] });
                request["ExpressionAttributeValues"] = json!({ ":partition": { "S": partition } });
                let found = self.database.query(from_json(request)?)?;
                (json!(found.items), json!(found.last_evaluated_key))
            }
            None => {
                let found = self.database.scan(from_json(request)?)?;
                (json!(found.items), json!(found.last_evaluated_key))
            }
        };
        let next = (!next.is_null()).then(|| next.to_string());
        Ok(Some(json!({ "keys": table.keys, "items": items, "next": next })))
    }
}

async fn list(State(dynamo): State<Dynamo>) -> Json<Value> {
    let items: Vec<_> = dynamo
        .tables
        .iter()
        .map(|(name, table)| json!({ "name": name, "keys": table.keys }))
        .collect();
    Json(json!({ "items": items }))
}

async fn items(
    State(dynamo): State<Dynamo>,
    Path(name): Path<String>,
    page: Result<Query<Page>, QueryRejection>,
) -> Response {
    let refused = |error: String| {
        (StatusCode::UNPROCESSABLE_ENTITY, Json(json!({ "error": error }))).into_response()
    };
    let Query(page) = match page {
        Ok(page) => page,
        Err(error) => return refused(error.body_text()),
    };
    match dynamo.page(&name, page) {
        Ok(Some(page)) => Json(page).into_response(),
        Ok(None) => StatusCode::NOT_FOUND.into_response(),
        Err(error) => refused(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use axum::body::{Body, to_bytes};
    use axum::extract::Request;
    use jiff::Timestamp;
    use shared::clock::Clock;
    use tower::ServiceExt as _;

    use super::*;
    use crate::names::Names;
    use crate::template::{TEMPLATE, Template};

    async fn get(dynamo: &Dynamo, path: &str) -> (StatusCode, Value) {
        let request = Request::get(path).body(Body::empty()).unwrap();
        let response = dynamo.router().oneshot(request).await.unwrap();
        let status = response.status();
        let body = to_bytes(response.into_body(), 1 << 20).await.unwrap();
        (status, serde_json::from_slice(&body).unwrap_or_default())
    }

    #[tokio::test]
    async fn table_is_listed_page_by_page_and_by_partition() {
        let template = Template::parse(TEMPLATE).unwrap();
        let clock = Clock::stopped_at(Timestamp::from_second(1_800_000_000).unwrap());
        let dynamo = Dynamo::start(None, &template, &Names::default(), clock).await.unwrap();
        let (_, tables) = get(&dynamo, "/local/tables").await;
        // The tokens have no sort key.
        let table = tables["items"].as_array().unwrap();
        let table =
            table.iter().find(|table| table["keys"].as_array().unwrap().len() == 2).unwrap();
        let name = table["name"].as_str().unwrap();
        let keys = table["keys"].as_array().unwrap();
        let count = PAGE_ITEMS + 1;
        for n in 0..count {
            let values = [format!("PK#{}", n % 2), n.to_string()];
            let mut put = json!({ "TableName": name });
            for (key, value) in keys.iter().zip(values) {
                put["Item"][key.as_str().unwrap()] = json!({ "S": value });
            }
            dynamo.database.put_item(from_json(put).unwrap()).unwrap();
        }

        let (_, first) = get(&dynamo, &format!("/local/tables/{name}")).await;
        assert_eq!(first["items"].as_array().unwrap().len(), PAGE_ITEMS);
        let next = first["next"].as_str().unwrap();
        let after: String = next.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let (_, last) = get(&dynamo, &format!("/local/tables/{name}?after={after}")).await;
        assert_eq!(last["items"].as_array().unwrap().len(), 1);
        assert_eq!(last["next"], Value::Null);

        let (_, odd) = get(&dynamo, &format!("/local/tables/{name}?partition=PK%231")).await;
        assert_eq!(odd["items"].as_array().unwrap().len(), count / 2);
    }

    #[tokio::test]
    async fn unknown_table_or_parameter_is_refused() {
        let template = Template::parse(TEMPLATE).unwrap();
        let clock = Clock::stopped_at(Timestamp::from_second(1_800_000_000).unwrap());
        let dynamo = Dynamo::start(None, &template, &Names::default(), clock).await.unwrap();
        let (_, tables) = get(&dynamo, "/local/tables").await;
        let name = tables["items"][0]["name"].as_str().unwrap();
        assert_eq!(get(&dynamo, "/local/tables/none").await.0, StatusCode::NOT_FOUND);
        for query in ["limit=5", "after=x"] {
            let (status, _) = get(&dynamo, &format!("/local/tables/{name}?{query}")).await;
            assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{query}");
        }
    }
}
