//! `/local/dead-letters`: lists dead-lettered messages and moves them back, as the AWS console does.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};

use super::browse::{self, to_response};
use super::error::SqsError;
use super::moves::{self, StartMessageMoveTask};
use super::settings::arn;
use super::{QueueTransaction, Queues};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RedriveRequest {
    queue: String,
}

impl Queues {
    /// `GET /local/dead-letters` and `POST /local/dead-letters/redrive`.
    pub(crate) fn router(&self) -> Router {
        Router::new()
            .route(
                "/local/dead-letters",
                get(async |State(queues): State<Self>| {
                    to_response(queues.transaction(false, list))
                }),
            )
            .route(
                "/local/dead-letters/redrive",
                post(async |State(queues): State<Self>, Json(request): Json<RedriveRequest>| {
                    let moved = queues
                        .transaction(false, |transaction| redrive(transaction, &request.queue));
                    queues.message_available.notify_waiters();
                    to_response(moved)
                }),
            )
            .with_state(self.clone())
    }
}

/// Returns the source queues of each dead-letter queue.
fn sources(transaction: &QueueTransaction<'_>) -> Result<BTreeMap<String, Vec<String>>, SqsError> {
    let mut sources = BTreeMap::<_, Vec<_>>::new();
    for (source, settings) in transaction.queues()? {
        if let Some(redrive) = settings.redrive {
            sources.entry(redrive.dead_letter_queue).or_default().push(source);
        }
    }
    Ok(sources)
}

/// Lists every dead-letter queue with its source queues and its messages, oldest first.
fn list(transaction: &QueueTransaction<'_>) -> Result<Value, SqsError> {
    let mut items = Vec::new();
    for (queue, sources) in sources(transaction)? {
        let messages = browse::messages(transaction, &queue)?;
        items.push(json!({ "queue": queue, "sources": sources, "messages": messages }));
    }
    Ok(json!({ "items": items }))
}

/// Moves all messages of a dead-letter queue back to a source queue, as `StartMessageMoveTask` does. The sweep sends the
/// mails of all its queues, so any of them will do.
fn redrive(transaction: &QueueTransaction<'_>, queue: &str) -> Result<Value, SqsError> {
    let sources = sources(transaction)?.remove(queue).unwrap_or_default();
    let source = sources.first().ok_or(SqsError::ResourceNotFound)?;
    let waiting = transaction.depth(queue)?.visible;
    moves::start(transaction, &StartMessageMoveTask::all_messages(arn(queue), arn(source)))?;
    Ok(
        json!({ "queue": queue, "destination": source, "moved": waiting - transaction.depth(queue)?.visible }),
    )
}

#[cfg(test)]
mod tests {
    use axum::body::{Body, to_bytes};
    use axum::extract::Request;
    use http::StatusCode;
    use tower::ServiceExt as _;

    use super::*;
    use crate::sqs::browse::tests::queues;

    async fn call(queues: &Queues, request: Request<Body>) -> (StatusCode, Value) {
        let response = queues.router().oneshot(request).await.unwrap();
        let status = response.status();
        let body = to_bytes(response.into_body(), 1 << 20).await.unwrap();
        (status, serde_json::from_slice(&body).unwrap())
    }

    #[tokio::test]
    async fn dead_letter_is_listed_and_moved_back_to_its_source_queue() {
        let queues = queues();
        let outbox = queues.url("OutboxQueue");
        let dead = queues.url("OutboxDeadLetterQueue");
        let message = json!({ "QueueUrl": dead, "MessageBody": "failed" }).to_string();
        queues.handle("SendMessage", message.as_bytes(), None).await;

        let request = Request::get("/local/dead-letters").body(Body::empty()).unwrap();
        let (_, list) = call(&queues, request).await;
        let items = list["items"].as_array().unwrap();
        let listed = items.iter().find(|item| dead.ends_with(item["queue"].as_str().unwrap()));
        assert_eq!(listed.unwrap()["messages"][0]["body"], "failed");

        let redrive = |queue: &str| {
            Request::post("/local/dead-letters/redrive")
                .header("content-type", "application/json")
                .body(Body::from(json!({ "queue": queue }).to_string()))
                .unwrap()
        };
        let name = |url: &str| url.rsplit('/').next().unwrap().to_owned();
        let (status, moved) = call(&queues, redrive(&name(&dead))).await;
        assert_eq!((status, &moved["moved"]), (StatusCode::OK, &json!(1)));
        let destination = moved["destination"].as_str().unwrap();
        assert!(listed.unwrap()["sources"].as_array().unwrap().contains(&json!(destination)));
        assert_eq!(queues.depth(destination).visible, 1);
        let (status, _) = call(&queues, redrive(&name(&outbox))).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    }
}
