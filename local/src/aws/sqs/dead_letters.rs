//! `/local/dead-letters`: what was given up, to be looked at and sent back. AWS has this in its own console.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use http::StatusCode;
use jiff::Timestamp;
use rusqlite::params;
use serde::Deserialize;
use serde_json::{Value, json};

use super::error::SqsError;
use super::moves::{self, StartMessageMoveTask};
use super::settings::arn;
use super::{Queues, Session};

/// The most messages that are shown of a queue.
const SHOWN: u32 = 100;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Redrive {
    queue: String,
}

impl Queues {
    /// `GET /local/dead-letters` and `POST /local/dead-letters/redrive`.
    pub(crate) fn router(&self) -> Router {
        Router::new()
            .route(
                "/local/dead-letters",
                get(async |State(queues): State<Self>| told(queues.within(false, list))),
            )
            .route(
                "/local/dead-letters/redrive",
                post(async |State(queues): State<Self>, Json(wanted): Json<Redrive>| {
                    let moved = queues.within(false, |session| redrive(session, &wanted.queue));
                    queues.arrived.notify_waiters();
                    told(moved)
                }),
            )
            .with_state(self.clone())
    }
}

fn told(answer: Result<Value, SqsError>) -> Response {
    match answer {
        Ok(answer) => Json(answer).into_response(),
        Err(error) => {
            let error = json!({ "error": error.to_string() });
            (StatusCode::UNPROCESSABLE_ENTITY, Json(error)).into_response()
        }
    }
}

/// Every dead-letter queue with its messages, oldest first, and the queue whose failures it takes.
fn list(session: &Session<'_>) -> Result<Value, SqsError> {
    let mut items = Vec::new();
    for (source, settings) in session.queues()? {
        let Some(redrive) = settings.redrive else { continue };
        let queue = redrive.dead_letter_queue;
        let messages = session
            .database
            .prepare_cached(
                "SELECT id, body, sent_at, receives FROM messages WHERE queue = ?1 ORDER BY number LIMIT ?2",
            )?
            .query_map(params![queue, SHOWN], |row| {
                let sent_at: i64 = row.get(2)?;
                Ok(json!({
                    "id": row.get::<_, String>(0)?,
                    "body": row.get::<_, String>(1)?,
                    "sent_at": Timestamp::from_millisecond(sent_at).unwrap_or_default(),
                    "received": row.get::<_, i64>(3)?,
                }))
            })?
            .collect::<Result<Vec<_>, _>>()?;
        items.push(json!({ "queue": queue, "source": source, "messages": messages }));
    }
    Ok(json!({ "items": items }))
}

/// Sends everything in a dead-letter queue back to the queue whose failures it takes, as `StartMessageMoveTask` does.
fn redrive(session: &Session<'_>, queue: &str) -> Result<Value, SqsError> {
    let sources = session.queues()?;
    let source = sources.iter().find(|(_, settings)| {
        settings.redrive.as_ref().is_some_and(|redrive| redrive.dead_letter_queue == queue)
    });
    let (source, _) = source.ok_or(SqsError::ResourceNotFound)?;
    let waiting = session.depth(queue)?.visible;
    moves::start(session, &StartMessageMoveTask::everything(arn(queue), arn(source)))?;
    Ok(
        json!({ "queue": queue, "destination": source, "moved": waiting - session.depth(queue)?.visible }),
    )
}

#[cfg(test)]
mod tests {
    use axum::body::{Body, to_bytes};
    use axum::extract::Request;
    use shared::clock::Clock;
    use shared::random::Random;
    use tower::ServiceExt as _;

    use super::*;
    use crate::aws::names::Names;
    use crate::template::Template;

    fn queues() -> Queues {
        let template = Template::parse(crate::stack::TEMPLATE).unwrap();
        let clock = Clock::standing(Timestamp::from_second(1_800_000_000).unwrap());
        let base = "http://localhost:4000";
        Queues::start(None, base, &template, &Names::default(), clock, Random::seeded(1)).unwrap()
    }

    async fn call(queues: &Queues, request: Request<Body>) -> (StatusCode, Value) {
        let answer = queues.router().oneshot(request).await.unwrap();
        let status = answer.status();
        let body = to_bytes(answer.into_body(), 1 << 20).await.unwrap();
        (status, serde_json::from_slice(&body).unwrap())
    }

    #[tokio::test]
    async fn a_dead_letter_is_shown_and_sent_back_to_where_it_failed() {
        let queues = queues();
        let outbox = queues.url("OutboxQueue");
        let dead = queues.url("OutboxDeadLetterQueue");
        let message = json!({ "QueueUrl": dead, "MessageBody": "given up" }).to_string();
        queues.answer("SendMessage", message.as_bytes(), None).await;

        let shown = Request::get("/local/dead-letters").body(Body::empty()).unwrap();
        let (_, shown) = call(&queues, shown).await;
        let listed = shown["items"].as_array().unwrap();
        let listed = listed.iter().find(|item| dead.ends_with(item["queue"].as_str().unwrap()));
        assert_eq!(listed.unwrap()["messages"][0]["body"], "given up");

        let redrive = |queue: &str| {
            Request::post("/local/dead-letters/redrive")
                .header("content-type", "application/json")
                .body(Body::from(json!({ "queue": queue }).to_string()))
                .unwrap()
        };
        let name = |url: &str| url.rsplit('/').next().unwrap().to_owned();
        let (status, moved) = call(&queues, redrive(&name(&dead))).await;
        assert_eq!((status, &moved["moved"]), (StatusCode::OK, &json!(1)));
        assert_eq!(queues.depth(&name(&outbox)).visible, 1);
        let (status, _) = call(&queues, redrive(&name(&outbox))).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    }
}
