//! Requests of guests. They have the token of a link instead of a caller's token.

use lambda_http::request::RequestContext;
use lambda_http::{Request, RequestExt};

use super::Route;
use super::edge::RequestError;
use crate::app::guests::{GuestLimits, GuestRequest};
use crate::app::visibility::AudienceMemory;
use crate::domain::attempt_limit::SourceNetwork;
use crate::domain::refusal::Refusal;
use crate::domain::text::PersonName;
use crate::http::check_query;
use crate::secret::Secret;

/// The state of a function instance for the requests of guests.
#[derive(Debug, Default)]
pub(super) struct GuestState {
    limits: GuestLimits,
}

impl GuestState {
    /// Returns the request with its source address, and refuses query parameters, which guest routes do not have.
    pub(super) fn request<'a>(
        &'a self,
        request: &Request,
        route: &Route,
        token: &'a Secret,
        memory: &'a AudienceMemory,
    ) -> Result<GuestRequest<'a>, RequestError> {
        check_query(request, route.query)?;
        let source = match request.request_context_ref() {
            Some(RequestContext::ApiGatewayV2(context)) => context.http.source_ip.as_deref(),
            _ => None,
        };
        Ok(GuestRequest {
            token,
            source: SourceNetwork::parse(source),
            memory,
            limits: &self.limits,
        })
    }
}

/// Parses the name that a guest has typed. A blank name counts as missing.
pub(super) fn guest_name(name: Option<&str>) -> Result<Option<PersonName>, Refusal> {
    let name = name.filter(|name| !name.trim().is_empty());
    let parse = |name| PersonName::parse(name).map_err(|error| Refusal::field("name", error));
    name.map(parse).transpose()
}
