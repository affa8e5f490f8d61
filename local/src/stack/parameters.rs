//! The parameters of the stack's own routes. An unknown one is refused, because it would have no effect.

use axum::Json;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use simulated_aws::calls::{AWS_PATH, ZEPTOMAIL_PATH};

/// The routes that read their query, and refuse unknown parameters themselves.
const ROUTES_WITH_QUERY: [&str; 2] = ["/local/mail", "/local/events"];
/// The same, with the name of a table at the end.
const TABLE_ROUTES: &str = "/local/tables/";

/// The body of a route without parameters.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NoMembers {}

/// Returns an error of the stack's own routes.
pub(super) fn error_response(status: StatusCode, error: impl ToString) -> Response {
    (status, Json(json!({"error": error.to_string()}))).into_response()
}

pub(super) fn unprocessable(error: impl ToString) -> Response {
    error_response(StatusCode::UNPROCESSABLE_ENTITY, error)
}

/// Parses a JSON body. An empty one counts as an empty object.
///
/// The content type is ignored because `curl -d` sends that of a form.
#[expect(clippy::result_large_err, reason = "the error is the response, which is returned at once")]
pub(super) fn parse_body<T: DeserializeOwned>(body: &[u8]) -> Result<T, Response> {
    let body = if body.iter().all(u8::is_ascii_whitespace) { b"{}" } else { body };
    serde_json::from_slice(body).map_err(unprocessable)
}

/// Refuses the query of a route under `/local` that has no parameters.
pub(super) async fn refuse_unknown_query(request: Request, next: Next) -> Response {
    let (path, query) = (request.uri().path(), request.uri().query().unwrap_or_default());
    let is_ours = path.starts_with("/local/")
        && !path.starts_with(AWS_PATH)
        && !path.starts_with(ZEPTOMAIL_PATH);
    if is_ours
        && !ROUTES_WITH_QUERY.contains(&path)
        && !path.starts_with(TABLE_ROUTES)
        && let Some((name, _)) = url::form_urlencoded::parse(query.as_bytes()).next()
    {
        return unprocessable(format!("unknown query parameter `{name}`: {path} has none"));
    }
    next.run(request).await
}
