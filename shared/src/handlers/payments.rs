//! `payments`: payments of the host platform, by HTTP and as events. It also carries them out, invoked by its queue.

mod event;
mod queue;

use std::sync::Arc;

use ::http::StatusCode;
use jiff::Timestamp;
use lambda_http::{Error, LambdaEvent, Request};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::deps::{self, CommonDeps};
use super::edge::{HttpResponse, RequestError, ResponseBody, path_parameter, route};
use super::function::Function;
use super::http_deps::{Clients, HttpDeps, State};
use super::platform_event;
use crate::app::payments::{self, ClassCommand, PaymentCommand, PaymentTools};
use crate::clock::Clock;
use crate::config::{ConfigError, Env};
use crate::domain::draft::SaveBody;
use crate::domain::id::{CourseId, PaymentId, SessionId, UserId};
use crate::domain::payment::{CLASSES_LIMIT, Payment, PaymentState};
use crate::domain::refusal::{FieldError, Refusal};
use crate::domain::session::Source;
use crate::domain::session_window::JoinWindowSettings;
use crate::domain::time::Zone;
use crate::http;
use crate::secrets::Secrets;
use crate::store::Store;

/// The longest class as JSON. It is stored as one item until it is created, and DynamoDB limits an item to 400 KB. A thousand
/// invitees with names take a third of it.
pub const CLASS_LIMIT_BYTES: usize = 300 * 1024;

pub type Deps = HttpDeps<PaymentTools, PaymentSettings>;

#[derive(Debug)]
pub struct PaymentSettings {
    default_zone: Zone,
    join_window: JoinWindowSettings,
}

impl State for PaymentSettings {
    fn new(env: &Env) -> Result<Self, ConfigError> {
        let default_zone = deps::default_zone(env)?;
        Ok(Self { default_zone, join_window: deps::join_window_settings(env)? })
    }
}

impl Clients for PaymentTools {
    fn new(base: &CommonDeps, secrets: &Arc<Secrets>, clock: &Clock) -> Result<Self, ConfigError> {
        Ok(Self { services: base.services(secrets, clock)?, queue: base.payment_queue() })
    }

    fn store(&self) -> &Store {
        &self.services.store
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct PaymentBody {
    user_id: String,
    course_id: Option<String>,
    sessions: Option<Vec<Value>>,
}

#[derive(Serialize)]
struct PaymentView {
    payment_id: PaymentId,
    user_id: Option<UserId>,
    course_id: Option<CourseId>,
    state: PaymentState,
    enrollment: &'static str,
    total: usize,
    created: usize,
    failed: usize,
    cancelled: usize,
    session_ids: Vec<SessionId>,
    failures: Vec<FailureView>,
    requested_at: Timestamp,
    updated_at: Timestamp,
}

/// A class that was refused.
#[derive(Serialize)]
struct FailureView {
    index: usize,
    code: String,
}

impl From<Payment> for PaymentView {
    fn from(payment: Payment) -> Self {
        let counts = payment.counts();
        let failure = |(index, code): (usize, &str)| FailureView { index, code: code.to_owned() };
        Self {
            state: payment.state,
            enrollment: payment.enrollment.as_str(),
            total: counts.total,
            created: counts.created,
            failed: counts.failed,
            cancelled: counts.cancelled,
            session_ids: payment.session_ids(),
            failures: payment.failures().map(failure).collect(),
            requested_at: payment.requested_at,
            updated_at: payment.updated_at,
            payment_id: payment.id,
            user_id: payment.user,
            course_id: payment.course,
        }
    }
}

pub async fn handle(function: &Function<Deps>, request: Request) -> HttpResponse {
    function.respond(request, serve).await
}

async fn serve(deps: &Deps, request: Request) -> Result<ResponseBody, RequestError> {
    let now = deps.clock.now();
    let (route, parameters) = route(&request)?;
    deps.authenticator.caller(&request, now).await?;
    let (tools, id) = (&deps.clients, payment_id(path_parameter(&parameters, "payment_id"))?);
    let payment = match route.method {
        "GET" => {
            let payment = payments::load(tools, &id).await?;
            return ResponseBody::ok(&PaymentView::from(payment));
        }
        "PUT" => {
            let command = command(id, http::json(&request)?, &deps.state)?;
            payments::request(tools, &command, now).await?
        }
        "DELETE" => payments::refund(tools, &id, now).await?,
        _ => return Err(RequestError::UnknownRoute),
    };
    ResponseBody::json(StatusCode::ACCEPTED, &PaymentView::from(payment))
}

fn payment_id(text: &str) -> Result<PaymentId, Refusal> {
    PaymentId::parse(text).map_err(|error| Refusal::field("payment_id", error))
}

/// Parses a body. Its fields are checked by the use case, which first looks whether the payment exists.
fn command(
    id: PaymentId,
    body: Value,
    settings: &PaymentSettings,
) -> Result<PaymentCommand, Refusal> {
    let body_hash = http::fingerprint(&body);
    let PaymentBody { user_id, course_id, sessions } = http::parse_value(body)?;
    let user = UserId::parse(&user_id).map_err(|error| Refusal::field("user_id", error))?;
    let course = course_id.map(|id| CourseId::parse(&id)).transpose();
    let course = course.map_err(|error| Refusal::field("course_id", error))?;
    let sessions = sessions.unwrap_or_default();
    if course.is_none() && sessions.is_empty() {
        return Err(Refusal::field("sessions", "are required without course_id"));
    }
    if sessions.len() > CLASSES_LIMIT {
        let message = format!("must have at most {CLASSES_LIMIT} entries");
        return Err(Refusal::field("sessions", message));
    }
    let (mut classes, mut errors) = (Vec::with_capacity(sessions.len()), Vec::new());
    for (index, session) in sessions.into_iter().enumerate() {
        match class(session, settings) {
            Ok(class) => classes.push(class),
            Err(Refusal::Invalid(invalid)) => errors.extend(invalid.into_iter().map(|error| {
                let field = match error.field.as_str() {
                    "body" => format!("sessions[{index}]"),
                    field => format!("sessions[{index}].{field}"),
                };
                FieldError::new(field, error.message)
            })),
            Err(refusal) => return Err(refusal),
        }
    }
    if !errors.is_empty() {
        return Err(Refusal::Invalid(errors));
    }
    Ok(PaymentCommand { id, user, course, classes, body_hash, window: settings.join_window })
}

/// Parses a class. The stored body has a time zone, so that it means the same when the class is created.
fn class(session: Value, settings: &PaymentSettings) -> Result<ClassCommand, Refusal> {
    let mut body: SaveBody = http::parse_value(session.clone())?;
    let trainer = body.trainer_id.take().ok_or_else(|| Refusal::field("trainer_id", "is required"));
    let trainer = UserId::parse(&trainer?).map_err(|error| Refusal::field("trainer_id", error))?;
    if body.source.take().is_some_and(|source| source != Source::Payment) {
        return Err(Refusal::field("source", "must be payment"));
    }
    let zone = body.timezone.get_or_insert_with(|| settings.default_zone.name().to_owned()).clone();
    let mut stored = session;
    if let Some(fields) = stored.as_object_mut() {
        fields.retain(|name, value| {
            !value.is_null() && !matches!(name.as_str(), "trainer_id" | "source")
        });
        fields.insert("timezone".to_owned(), Value::String(zone));
    }
    let text = stored.to_string();
    if text.len() > CLASS_LIMIT_BYTES {
        let message = format!("must have at most {CLASS_LIMIT_BYTES} bytes as JSON");
        return Err(Refusal::field("body", message));
    }
    Ok(ClassCommand { trainer, body, text })
}

/// Handles messages of the queue, an event of the platform, or a request of the HTTP API.
pub async fn handle_event_or_request(
    function: &Function<Deps>,
    event: LambdaEvent<Value>,
) -> Result<Value, Error> {
    if event.payload.get("Records").is_some() {
        return queue::handle_messages(function, event).await;
    }
    platform_event::handle_event_or_request(
        event,
        |event| event::handle_event(function, event),
        |request| handle(function, request),
    )
    .await
}
