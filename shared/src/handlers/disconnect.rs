//! `disconnect`: revokes the grant at Zoom and deletes its tokens.

use lambda_http::Request;

use super::edge::{HttpResponse, RequestError, ResponseBody, route};
use super::function::Function;
use super::http_deps::HttpDeps;
use crate::app::{Services, disconnect};

pub type Deps = HttpDeps<Services>;

pub async fn handle(function: &Function<Deps>, request: Request) -> HttpResponse {
    function.respond(request, serve).await
}

async fn serve(deps: &Deps, request: Request) -> Result<ResponseBody, RequestError> {
    let now = deps.clock.now();
    route(&request)?;
    let caller = deps.authenticator.caller(&request, now).await?;
    let affected = disconnect::disconnect(&deps.clients, &caller.id, now).await?;
    Ok(ResponseBody::no_content().with_affected_sessions(affected))
}
