//! EventBridge: the buses of the template's rules, `PutEvents`, and the deliveries to functions.
//!
//! A rule is an `EventBridgeRule` trigger of a function in the template. Lambda invokes a function asynchronously with an
//! event: after an error it tries again twice, and then sends the event to the function's dead-letter queue. Waiting events
//! are in memory.
//! <https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-error-handling.html>

mod pattern;
mod put_events;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::response::{IntoResponse, Response};
use http::StatusCode;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use shared::clock::Clock;
use shared::random::Random;

use self::pattern::Pattern;
use super::names::{ACCOUNT_ID, Names, REGION};
use super::refusal::{self, Refusal};
use crate::calls::AwsService;
use crate::template::values::Values;
use crate::template::{Resource, Template, TemplateError};

/// The bus for which no name is given, and of AWS's own services.
pub const DEFAULT_BUS: &str = "default";
/// The minutes until Lambda tries again after each failed attempt.
const RETRY_MINUTES: [i64; 2] = [1, 2];

/// A rule with its target.
#[derive(Clone, Debug)]
struct Rule {
    bus: String,
    pattern: Pattern,
    function: String,
    /// How often Lambda tries again.
    max_retries: usize,
    /// The queue of events that failed.
    dead_letter_queue: Option<String>,
}

/// An event that is to be delivered to a function.
#[derive(Clone, Debug)]
pub struct Delivery {
    pub function: String,
    pub event: Value,
    due_at: Timestamp,
    failed_attempts: usize,
    max_retries: usize,
    dead_letter_queue: Option<String>,
}

/// The next step after a failed delivery.
#[derive(Clone, Debug, PartialEq)]
pub enum AfterFailure {
    Retry,
    /// The event belongs into this queue.
    DeadLetter(String),
    Dropped,
}

/// An event before it gets its envelope.
#[derive(Clone, Debug)]
pub(crate) struct NewEvent {
    pub(crate) bus: String,
    pub(crate) source: String,
    pub(crate) detail_type: String,
    pub(crate) resources: Vec<String>,
    pub(crate) time: Option<Timestamp>,
    pub(crate) detail: Value,
}

/// The buses of the stack. Clones share the waiting events.
#[derive(Clone, Debug)]
pub struct EventBuses {
    rules: Arc<Vec<Rule>>,
    waiting: Arc<Mutex<VecDeque<Delivery>>>,
    clock: Clock,
    random: Random,
}

impl EventBuses {
    /// Reads the rules of the template.
    pub(crate) fn new(
        template: &Template,
        names: &Names,
        values: &Values<'_>,
        clock: Clock,
        random: Random,
    ) -> Result<Self, TemplateError> {
        let mut rules = Vec::new();
        for (function, resource) in template.functions() {
            for (_, trigger) in resource.property("Events").as_object().into_iter().flatten() {
                if trigger["Type"] == "EventBridgeRule" {
                    let context = (template, names, values);
                    rules.push(rule(context, function, resource, &trigger["Properties"])?);
                }
            }
        }
        Ok(Self { rules: Arc::new(rules), waiting: Arc::default(), clock, random })
    }

    /// Forgets the waiting events.
    pub(crate) fn reset(&self) {
        self.lock().clear();
    }

    /// Handles one call.
    pub(crate) fn handle(&self, operation: &str, body: &[u8]) -> Response {
        let result = match operation {
            "PutEvents" => put_events::put(self, body),
            _ => Err(refused("UnknownOperationException", "This stack supports PutEvents only.")),
        };
        match result {
            Ok(body) => refusal::success(AwsService::Eventbridge, &body),
            Err(refusal) => refusal.into_response(),
        }
    }

    /// Puts an event on its bus. Returns the event's id.
    pub(crate) fn publish(&self, new: NewEvent) -> String {
        let now = self.clock.now();
        let id = self.random_id();
        let time = new.time.unwrap_or(now).as_second();
        let event = json!({
            "version": "0",
            "id": id,
            "detail-type": new.detail_type,
            "source": new.source,
            "account": ACCOUNT_ID,
            "time": Timestamp::from_second(time).unwrap_or(now).to_string(),
            "region": REGION,
            "resources": new.resources,
            "detail": new.detail,
        });
        let matching =
            self.rules.iter().filter(|rule| rule.bus == new.bus && rule.pattern.matches(&event));
        let deliveries = matching.map(|rule| Delivery {
            function: rule.function.clone(),
            event: event.clone(),
            due_at: now,
            failed_attempts: 0,
            max_retries: rule.max_retries,
            dead_letter_queue: rule.dead_letter_queue.clone(),
        });
        self.lock().extend(deliveries);
        id
    }

    /// Takes the next delivery that is due.
    pub fn take_due(&self) -> Option<Delivery> {
        let now = self.clock.now();
        let mut waiting = self.lock();
        let position = waiting.iter().position(|delivery| delivery.due_at <= now)?;
        waiting.remove(position)
    }

    /// Handles a failed delivery.
    pub fn fail(&self, mut delivery: Delivery) -> AfterFailure {
        let pause = RETRY_MINUTES.get(delivery.failed_attempts).copied();
        match pause.filter(|_| delivery.failed_attempts < delivery.max_retries) {
            Some(minutes) => {
                delivery.failed_attempts += 1;
                let now = self.clock.now();
                let pause = SignedDuration::from_mins(minutes);
                delivery.due_at = now.saturating_add(pause).unwrap_or(now);
                self.lock().push_back(delivery);
                AfterFailure::Retry
            }
            None => {
                delivery.dead_letter_queue.map_or(AfterFailure::Dropped, AfterFailure::DeadLetter)
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Delivery>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn random_id(&self) -> String {
        let hex = data_encoding::HEXLOWER.encode(&self.random.bytes::<16>());
        [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
    }
}

fn rule(
    (template, names, values): (&Template, &Names, &Values<'_>),
    function: &str,
    resource: Resource<'_>,
    trigger: &Value,
) -> Result<Rule, TemplateError> {
    let bus = match &trigger["EventBusName"] {
        Value::Null => None,
        name => values.text(name)?,
    };
    let target = &resource.property("DeadLetterQueue")["TargetArn"];
    let retries = resource.property("EventInvokeConfig")["MaximumRetryAttempts"].as_u64();
    Ok(Rule {
        bus: bus.unwrap_or_else(|| DEFAULT_BUS.to_owned()),
        pattern: Pattern::parse(&trigger["Pattern"], values)?,
        function: function.to_owned(),
        max_retries: retries
            .and_then(|retries| usize::try_from(retries).ok())
            .unwrap_or(RETRY_MINUTES.len()),
        dead_letter_queue: names.referenced_queue_name(template, target).map(str::to_owned),
    })
}

fn refused(code: &'static str, message: impl Into<String>) -> Refusal {
    Refusal::new(AwsService::Eventbridge, StatusCode::BAD_REQUEST, code, message)
}
