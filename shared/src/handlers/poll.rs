//! `poll`: launches and closes polls, stores votes, and returns results.

use ::http::StatusCode;
use lambda_http::Request;
use serde::Deserialize;
use serde_json::Value;

use super::csv::{ReportFormat, requested_format};
use super::cursor::Cursor;
use super::edge::{HttpResponse, RequestError, ResponseBody, path_parameter, route, session_id};
use super::function::Function;
use super::http_deps::{HttpDeps, State};
use super::poll_view::{self, CsvPosition};
use crate::app::poll::{self, LaunchPoll, LookMemory, PollCache, PollContext, PollSelection};
use crate::config::{ConfigError, Env};
use crate::domain::id::PollId;
use crate::domain::poll::PollDraft;
use crate::domain::refusal::Refusal;
use crate::domain::rights::View;
use crate::http;
use crate::store::Store;

pub type Deps = HttpDeps<Store, PollMemory>;

/// The state of a function instance between requests.
#[derive(Debug, Default)]
pub struct PollMemory {
    cache: PollCache,
    looks: LookMemory,
}

impl State for PollMemory {
    fn new(_: &Env) -> Result<Self, ConfigError> {
        Ok(Self::default())
    }
}

pub async fn handle(function: &Function<Deps>, request: Request) -> HttpResponse {
    function.respond(request, serve).await
}

async fn serve(deps: &Deps, request: Request) -> Result<ResponseBody, RequestError> {
    let now = deps.clock.now();
    let (route, parameters) = route(&request)?;
    let caller = deps.authenticator.caller(&request, now).await?;
    let id = session_id(&parameters)?;
    let poll_id = || PollId::parse(path_parameter(&parameters, "poll_id")).ok_or(Refusal::NotFound);
    let secrets = deps.secrets.get(now).await?;
    let context = PollContext {
        store: &deps.clients,
        secrets: &secrets,
        cache: &deps.state.cache,
        looks: &deps.state.looks,
        random: &deps.random,
        now,
    };
    match (route.method, route.path) {
        ("POST", "/v1/sessions/{id}/polls") => {
            let body: Value = http::json(&request)?;
            let launch = LaunchPoll {
                draft: PollDraft::check(http::json(&request)?)?,
                key: http::idempotency_key(&request)?,
                body_hash: http::fingerprint(&body),
            };
            let poll = poll::launch(&context, &caller, &id, &launch).await?;
            ResponseBody::json(StatusCode::CREATED, &poll_view::poll_view(&poll))
        }
        ("POST", "/v1/sessions/{id}/polls/{poll_id}/close") => ResponseBody::ok(
            &poll_view::poll_view(&poll::close(&context, &caller, &id, &poll_id()?).await?),
        ),
        ("PUT", "/v1/sessions/{id}/polls/{poll_id}/vote") => {
            let body: VoteBody = http::json(&request)?;
            let poll = poll::vote(&context, &caller, &id, &poll_id()?, &body.option_ids).await?;
            ResponseBody::ok(&poll_view::poll_view(&poll))
        }
        ("GET", "/v1/sessions/{id}/polls") => {
            let format = requested_format(&request)?;
            let only = http::query(&request, "poll_id")
                .map(|text| PollId::parse(&text).ok_or(Refusal::NotFound))
                .transpose()?;
            let position: Option<CsvPosition> = Cursor::requested(&request)?;
            let selection = PollSelection {
                only: only.as_ref(),
                from: position.as_ref().map(CsvPosition::poll),
            };
            let response = match format {
                ReportFormat::Json if position.is_some() => {
                    return Err(Refusal::field("cursor", "is only allowed with format csv").into());
                }
                ReportFormat::Json => {
                    let is_same = |tag: &str| {
                        only.is_none() && http::matches_if_none_match(&request, tag) == Ok(true)
                    };
                    if let Some(tag) =
                        poll::unchanged_since(&context, &caller, &id, is_same).await?
                    {
                        return Ok(ResponseBody::not_modified(&tag));
                    }
                    let list = poll::list(&context, &caller, &id, selection).await?;
                    let response = ResponseBody::ok(&poll_view::polls_view(&list))?;
                    poll::remember_look(&context, &caller, &id, &list, response.content_tag());
                    response
                }
                ReportFormat::Csv(separator) => {
                    let list = poll::list(&context, &caller, &id, selection).await?;
                    if list.view == View::Limited {
                        let reason = "only the trainer of the class can export its polls";
                        return Err(Refusal::NotAllowed(reason).into());
                    }
                    let (table, next) = poll_view::csv(&list, separator, position.as_ref());
                    let page = table.respond(&format!("polls-{id}.csv"));
                    page.with_next_page(&request, next.map(|next| next.encode()).as_deref())
                }
            };
            Ok(response.with_content_etag(&request)?)
        }
        _ => Err(RequestError::UnknownRoute),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct VoteBody {
    option_ids: Vec<String>,
}
