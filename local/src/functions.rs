//! The functions, in this process: each with its own environment and clients, called with the events that Lambda
//! would hand it, and answering as it would.

use std::sync::Arc;

use lambda_http::request::LambdaRequest;
use lambda_http::{Adapter, Context, LambdaEvent, Request, Service, service_fn};
use serde_json::Value;
use shared::clock::Clock;
use shared::config::{Env, names};
use shared::handlers::edge::HttpResponse;
use shared::handlers::function::{Deps, Function};
use shared::handlers::{
    attendance, connect, directory, disconnect, join, notifications, outbox_sweep, poll,
    reminder_sweep, resend_invite, session_cancel, session_save, sessions, webhook,
};
use shared::random::Random;
use shared::telemetry;

/// A function that failed instead of answering.
#[derive(Debug, thiserror::Error)]
pub enum InvokeError {
    #[error("there is no function {0}")]
    NoSuchFunction(String),
    #[error("the event is not one of the function's: {0}")]
    BadEvent(#[from] serde_json::Error),
    #[error("{0}")]
    Failed(String),
}

/// Every function there is.
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
    notifications: Function<notifications::Deps>,
    resend_invite: Function<resend_invite::Deps>,
    reminder_sweep: Function<reminder_sweep::Deps>,
    outbox_sweep: Function<outbox_sweep::Deps>,
}

impl Functions {
    pub fn new<N: AsRef<str>>(
        environment: &[(N, String)],
        clock: &Clock,
        random: &Random,
    ) -> Arc<Self> {
        let with = Making { environment, clock, random };
        Arc::new(Self {
            connect: with.function("connect"),
            disconnect: with.function("disconnect"),
            session_save: with.function("session-save"),
            session_cancel: with.function("session-cancel"),
            sessions: with.function("sessions"),
            join: with.function("join"),
            webhook: with.function("webhook"),
            attendance: with.function("attendance"),
            poll: with.function("poll"),
            directory: with.function("directory"),
            notifications: with.function("notifications"),
            resend_invite: with.function("resend-invite"),
            reminder_sweep: with.function("reminder-sweep"),
            outbox_sweep: with.function("outbox-sweep"),
        })
    }

    /// Calls a function with an event, as Lambda does, and answers what it answers.
    pub async fn invoke(
        &self,
        function: &str,
        event: Value,
        context: Context,
    ) -> Result<Value, InvokeError> {
        match function {
            "connect" => {
                http(event, context, |request| connect::handle(&self.connect, request)).await
            }
            "disconnect" => {
                http(event, context, |request| disconnect::handle(&self.disconnect, request)).await
            }
            "session-save" => {
                http(event, context, |request| session_save::handle(&self.session_save, request))
                    .await
            }
            "session-cancel" => {
                http(event, context, |request| {
                    session_cancel::handle(&self.session_cancel, request)
                })
                .await
            }
            "sessions" => {
                http(event, context, |request| sessions::handle(&self.sessions, request)).await
            }
            "join" => http(event, context, |request| join::handle(&self.join, request)).await,
            "webhook" => {
                http(event, context, |request| webhook::handle(&self.webhook, request)).await
            }
            "attendance" => {
                http(event, context, |request| attendance::handle(&self.attendance, request)).await
            }
            "poll" => http(event, context, |request| poll::handle(&self.poll, request)).await,
            "notifications" => {
                http(event, context, |request| notifications::handle(&self.notifications, request))
                    .await
            }
            "resend-invite" => {
                http(event, context, |request| resend_invite::handle(&self.resend_invite, request))
                    .await
            }
            "directory" => {
                Box::pin(directory::either(&self.directory, LambdaEvent::new(event, context)))
                    .await
                    .map_err(|error| InvokeError::Failed(error.to_string()))
            }
            "reminder-sweep" => {
                let report = reminder_sweep::handle(&self.reminder_sweep, context.deadline).await;
                let report = report.map_err(|error| InvokeError::Failed(error.to_string()))?;
                Ok(serde_json::to_value(report)?)
            }
            "outbox-sweep" => {
                let report = outbox_sweep::handle(&self.outbox_sweep, context.deadline).await;
                let report = report
                    .map_err(|error| InvokeError::Failed(telemetry::causes(&error).to_string()))?;
                Ok(serde_json::to_value(report)?)
            }
            other => Err(InvokeError::NoSuchFunction(other.to_owned())),
        }
    }
}

struct Making<'a, N> {
    environment: &'a [(N, String)],
    clock: &'a Clock,
    random: &'a Random,
}

impl<N: AsRef<str>> Making<'_, N> {
    fn function<D: Deps>(&self, name: &str) -> Function<D> {
        let own = [(names::AWS_LAMBDA_FUNCTION_NAME, name.to_owned())];
        let given = self.environment.iter().map(|(name, value)| (name.as_ref(), value.clone()));
        let environment = given.chain(own);
        Function::new(&Env::from_pairs(environment), self.clock.clone(), self.random)
    }
}

/// Through the code that stands between Lambda and an HTTP handler in production, too.
async fn http<H, F>(event: Value, context: Context, handle: H) -> Result<Value, InvokeError>
where
    H: Fn(Request) -> F,
    F: Future<Output = HttpResponse> + Send,
{
    let request: LambdaRequest = serde_json::from_value(event)?;
    let service = service_fn(|request| {
        // In a box, or the future of the whole stack would be as deep as all that a function does.
        let answer = Box::pin(handle(request));
        async move { Ok::<_, InvokeError>(answer.await) }
    });
    let answer = Adapter::from(service).call(LambdaEvent::new(request, context)).await?;
    Ok(serde_json::to_value(answer)?)
}
