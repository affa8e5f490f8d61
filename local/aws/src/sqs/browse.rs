//! `/local/queues`: lists the queues and their messages, as the AWS console does, without receiving them.

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use http::StatusCode;
use jiff::Timestamp;
use rusqlite::params;
use serde_json::{Value, json};

use super::error::SqsError;
use super::{QueueTransaction, Queues};

/// The maximum number of listed messages per queue.
const MAX_SHOWN_MESSAGES: u32 = 100;

impl Queues {
    /// `GET /local/queues` and `GET /local/queues/{name}`.
    pub(crate) fn browser(&self) -> Router {
        Router::new()
            .route(
                "/local/queues",
                get(async |State(queues): State<Self>| {
                    to_response(queues.transaction(false, list))
                }),
            )
            .route(
                "/local/queues/{name}",
                get(async |State(queues): State<Self>, Path(name): Path<String>| {
                    to_response(queues.transaction(false, |transaction| {
                        transaction.settings(&name)?.ok_or(SqsError::ResourceNotFound)?;
                        Ok::<_, SqsError>(json!({ "items": messages(transaction, &name)? }))
                    }))
                }),
            )
            .with_state(self.clone())
    }
}

pub(super) fn to_response(response: Result<Value, SqsError>) -> Response {
    match response {
        Ok(response) => Json(response).into_response(),
        Err(error) => {
            let error = json!({ "error": error.to_string() });
            (StatusCode::UNPROCESSABLE_ENTITY, Json(error)).into_response()
        }
    }
}

fn list(transaction: &QueueTransaction<'_>) -> Result<Value, SqsError> {
    let mut items = Vec::new();
    for (name, settings) in transaction.queues()? {
        let depth = transaction.depth(&name)?;
        items.push(json!({
            "name": name,
            "visible": depth.visible,
            "in_flight": depth.in_flight,
            "delayed": depth.delayed,
            "dead_letter_queue": settings.redrive.map(|redrive| redrive.dead_letter_queue),
        }));
    }
    Ok(json!({ "items": items }))
}

/// Returns the messages of a queue, oldest first.
pub(super) fn messages(
    transaction: &QueueTransaction<'_>,
    queue: &str,
) -> Result<Vec<Value>, SqsError> {
    let now = transaction.now;
    let mut statement = transaction.database.prepare_cached(
        "SELECT id, body, sent_at, receives, visible_at FROM messages WHERE queue = ?1
         ORDER BY number LIMIT ?2",
    )?;
    let rows = statement.query_map(params![queue, MAX_SHOWN_MESSAGES], |row| {
        let time = |milliseconds| Timestamp::from_millisecond(milliseconds).unwrap_or_default();
        let visible_at: i64 = row.get(4)?;
        Ok(json!({
            "id": row.get::<_, String>(0)?,
            "body": row.get::<_, String>(1)?,
            "sent_at": time(row.get(2)?),
            "received": row.get::<_, i64>(3)?,
            // Only while the message is delayed or in flight.
            "visible_at": (visible_at > now).then(|| time(visible_at)),
        }))
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

#[cfg(test)]
pub(super) mod tests {
    use axum::body::{Body, to_bytes};
    use axum::extract::Request;
    use shared::clock::Clock;
    use shared::random::Random;
    use tower::ServiceExt as _;

    use super::*;
    use crate::names::Names;
    use crate::template::Template;

    pub(in crate::sqs) fn queues() -> Queues {
        let template = Template::parse(crate::template::TEMPLATE).unwrap();
        let clock = Clock::stopped_at(Timestamp::from_second(1_800_000_000).unwrap());
        let base = "http://localhost:4000";
        Queues::start(None, base, &template, &Names::default(), clock, Random::seeded(1)).unwrap()
    }

    async fn get(queues: &Queues, path: &str) -> (StatusCode, Value) {
        let request = Request::get(path).body(Body::empty()).unwrap();
        let response = queues.browser().oneshot(request).await.unwrap();
        let status = response.status();
        let body = to_bytes(response.into_body(), 1 << 20).await.unwrap();
        (status, serde_json::from_slice(&body).unwrap())
    }

    #[tokio::test]
    async fn listing_a_queue_shows_messages_without_receiving_them() {
        let queues = queues();
        let url = queues.url("OutboxQueue");
        for (body, delay) in [("at once", 0), ("later", 60)] {
            let message = json!({ "QueueUrl": url, "MessageBody": body, "DelaySeconds": delay });
            queues.handle("SendMessage", message.to_string().as_bytes(), None).await;
        }
        let name = url.rsplit('/').next().unwrap();
        for _ in 0..2 {
            let (_, list) = get(&queues, "/local/queues").await;
            let listed = list["items"].as_array().unwrap();
            let outbox = listed.iter().find(|queue| queue["name"] == name).unwrap();
            assert_eq!((&outbox["visible"], &outbox["delayed"]), (&json!(1), &json!(1)));
            let (_, messages) = get(&queues, &format!("/local/queues/{name}")).await;
            assert_eq!(messages["items"][0]["body"], "at once");
            assert_eq!(messages["items"][0]["visible_at"], Value::Null);
            assert_eq!(messages["items"][1]["visible_at"], "2027-01-15T08:01:00Z");
            assert_eq!(messages["items"][1]["received"], 0);
        }
        assert_eq!(get(&queues, "/local/queues/none").await.0, StatusCode::UNPROCESSABLE_ENTITY);
    }
}
