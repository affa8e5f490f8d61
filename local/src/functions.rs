//! All functions in this process. Each has its function_name environment and clients, and receives the same events as on Lambda.

use std::sync::Arc;

use lambda_http::request::LambdaRequest;
use lambda_http::{Adapter, Context, LambdaEvent, Request, Service, service_fn};
use serde_json::Value;
use shared::clock::Clock;
use shared::config::{Env, names};
use shared::handlers::edge::HttpResponse;
use shared::handlers::function::{Deps, Function};
use shared::handlers::{
    attendance, connect, directory, disconnect, hosts, join, mail_events, meeting_sweep,
    notifications, operations, outbox_sweep, payments, poll, reconcile_sweep, reminder_sweep,
    resend_invite, session_cancel, session_save, sessions, webhook,
};
use shared::random::Random;
use shared::telemetry;

/// The reason why an invocation returned no response.
#[derive(Debug, thiserror::Error)]
pub enum InvokeError {
    #[error("there is no function {0}")]
    UnknownFunction(String),
    #[error("invalid event: {0}")]
    BadEvent(#[from] serde_json::Error),
    #[error("{0}")]
    Failed(String),
}

/// All functions.
#[derive(Debug)]
pub struct Functions {
    connect: Function<connect::Deps>,
    disconnect: Function<disconnect::Deps>,
    session_save: Function<session_save::Deps>,
    session_cancel: Function<session_cancel::Deps>,
    sessions: Function<sessions::Deps>,
    join: Function<join::Deps>,
    webhook: Function<webhook::Deps>,
    attendance: Function<attendance::Deps>,
    poll: Function<poll::Deps>,
    directory: Function<directory::Deps>,
    hosts: Function<hosts::Deps>,
    payments: Function<payments::Deps>,
    notifications: Function<notifications::Deps>,
    operations: Function<operations::Deps>,
    resend_invite: Function<resend_invite::Deps>,
    reminder_sweep: Function<reminder_sweep::Deps>,
    meeting_sweep: Function<meeting_sweep::Deps>,
    reconcile_sweep: Function<reconcile_sweep::Deps>,
    outbox_sweep: Function<outbox_sweep::Deps>,
    mail_events: Function<mail_events::Deps>,
}

impl Functions {
    pub fn new<N: AsRef<str>>(
        environment: &[(N, String)],
        clock: &Clock,
        random: &Random,
    ) -> Arc<Self> {
        let factory = FunctionFactory { environment, clock, random };
        Arc::new(Self {
            connect: factory.function("connect"),
            disconnect: factory.function("disconnect"),
            session_save: factory.function("session-save"),
            session_cancel: factory.function("session-cancel"),
            sessions: factory.function("sessions"),
            join: factory.function("join"),
            webhook: factory.function("webhook"),
            attendance: factory.function("attendance"),
            poll: factory.function("poll"),
            directory: factory.function("directory"),
            hosts: factory.function("hosts"),
            payments: factory.function("payments"),
            notifications: factory.function("notifications"),
            operations: factory.function("operations"),
            resend_invite: factory.function("resend-invite"),
            reminder_sweep: factory.function("reminder-sweep"),
            meeting_sweep: factory.function("meeting-sweep"),
            reconcile_sweep: factory.function("reconcile-sweep"),
            outbox_sweep: factory.function("outbox-sweep"),
            mail_events: factory.function("mail-events"),
        })
    }

    /// Invokes a function factory an event, and returns its response.
    pub async fn invoke(
        &self,
        function: &str,
        event: Value,
        context: Context,
    ) -> Result<Value, InvokeError> {
        match function {
            "connect" => invoke_http(&self.connect, connect::handle, event, context).await,
            "disconnect" => invoke_http(&self.disconnect, disconnect::handle, event, context).await,
            "session-save" => {
                invoke_http(&self.session_save, session_save::handle, event, context).await
            }
            "session-cancel" => {
                invoke_http(&self.session_cancel, session_cancel::handle, event, context).await
            }
            "sessions" => invoke_http(&self.sessions, sessions::handle, event, context).await,
            "join" => invoke_http(&self.join, join::handle, event, context).await,
            "webhook" => invoke_http(&self.webhook, webhook::handle, event, context).await,
            "attendance" => invoke_http(&self.attendance, attendance::handle, event, context).await,
            "poll" => invoke_http(&self.poll, poll::handle, event, context).await,
            "notifications" => {
                invoke_http(&self.notifications, notifications::handle, event, context).await
            }
            "operations" => invoke_http(&self.operations, operations::handle, event, context).await,
            "resend-invite" => {
                invoke_http(&self.resend_invite, resend_invite::handle, event, context).await
            }
            "directory" => Box::pin(directory::handle_event_or_request(
                &self.directory,
                LambdaEvent::new(event, context),
            ))
            .await
            .map_err(|error| InvokeError::Failed(error.to_string())),
            "hosts" => Box::pin(hosts::handle_event_or_request(
                &self.hosts,
                LambdaEvent::new(event, context),
            ))
            .await
            .map_err(|error| InvokeError::Failed(error.to_string())),
            "payments" => Box::pin(payments::handle_event_or_request(
                &self.payments,
                LambdaEvent::new(event, context),
            ))
            .await
            .map_err(|error| InvokeError::Failed(error.to_string())),
            "mail-events" => {
                mail_events::handle(&self.mail_events, LambdaEvent::new(event, context))
                    .await
                    .map(|()| Value::Null)
                    .map_err(|error| {
                        InvokeError::Failed(telemetry::error_chain(&error).to_string())
                    })
            }
            "meeting-sweep" => {
                let report = meeting_sweep::handle(&self.meeting_sweep, context.deadline).await;
                let report = report.map_err(|error| InvokeError::Failed(error.to_string()))?;
                Ok(serde_json::to_value(report)?)
            }
            "reconcile-sweep" => {
                let report = reconcile_sweep::handle(&self.reconcile_sweep, context.deadline).await;
                let report = report.map_err(|error| InvokeError::Failed(error.to_string()))?;
                Ok(serde_json::to_value(report)?)
            }
            "reminder-sweep" => {
                let report = reminder_sweep::handle(&self.reminder_sweep, context.deadline).await;
                let report = report.map_err(|error| InvokeError::Failed(error.to_string()))?;
                Ok(serde_json::to_value(report)?)
            }
            "outbox-sweep" => {
                let report = outbox_sweep::handle(&self.outbox_sweep, context.deadline).await;
                let report = report.map_err(|error| {
                    InvokeError::Failed(telemetry::error_chain(&error).to_string())
                })?;
                Ok(serde_json::to_value(report)?)
            }
            other => Err(InvokeError::UnknownFunction(other.to_owned())),
        }
    }
}

struct FunctionFactory<'a, N> {
    environment: &'a [(N, String)],
    clock: &'a Clock,
    random: &'a Random,
}

impl<N: AsRef<str>> FunctionFactory<'_, N> {
    fn function<D: Deps>(&self, name: &str) -> Function<D> {
        let function_name = [(names::AWS_LAMBDA_FUNCTION_NAME, name.to_owned())];
        let variables = self.environment.iter().map(|(name, value)| (name.as_ref(), value.clone()));
        let environment = variables.chain(function_name);
        Function::new(&Env::from_pairs(environment), self.clock.clone(), self.random)
    }
}

/// Invokes an HTTP handler through the adapter of `lambda_http`, as in production.
async fn invoke_http<'a, D, H, F>(
    function: &'a Function<D>,
    handle: H,
    event: Value,
    context: Context,
) -> Result<Value, InvokeError>
where
    H: Fn(&'a Function<D>, Request) -> F,
    F: Future<Output = HttpResponse> + Send,
{
    let request: LambdaRequest = serde_json::from_value(event)?;
    let service = service_fn(|request| {
        // Boxing keeps the future of the stack small.
        let response = Box::pin(handle(function, request));
        async move { Ok::<_, InvokeError>(response.await) }
    });
    let response = Adapter::from(service).call(LambdaEvent::new(request, context)).await?;
    Ok(serde_json::to_value(response)?)
}
