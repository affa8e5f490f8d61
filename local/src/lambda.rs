//! Lambda's limits: each function's timeout, and the sizes of events, responses and environments.
//! <https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html>

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use lambda_http::Context;
use serde_json::Value;
use shared::clock::Clock;
use simulated_aws::template::Template;

use crate::functions::{Functions, InvokeError};
use crate::usage::Usage;

/// The limit for the event of a synchronous invocation as JSON, which contains the request's body.
const EVENT_LIMIT_BYTES: usize = 6_291_456;
/// The limit for a response as JSON.
const RESPONSE_LIMIT_BYTES: usize = 6_291_556;
/// The limit for the names and values of a function's variables.
const ENVIRONMENT_LIMIT_BYTES: usize = 4096;

/// Invokes functions like Lambda.
#[derive(Clone, Debug)]
pub struct Lambda {
    functions: Arc<RwLock<Arc<Functions>>>,
    timeouts: Arc<BTreeMap<String, Duration>>,
    clock: Clock,
    usage: Usage,
}

/// The reason why Lambda returns no response of the function.
#[derive(Debug, thiserror::Error)]
pub enum LambdaError {
    #[error("Request must be smaller than {max} bytes for the InvokeFunction operation", max = EVENT_LIMIT_BYTES)]
    EventTooLarge,
    #[error("Response payload size exceeded maximum allowed payload size ({max} bytes).", max = RESPONSE_LIMIT_BYTES)]
    ResponseTooLarge,
    #[error("Task timed out after {seconds:.2} seconds", seconds = .0.as_secs_f64())]
    TimedOut(Duration),
    #[error(transparent)]
    Invoke(#[from] InvokeError),
}

/// A function's variables are larger than Lambda's limit.
#[derive(Debug, thiserror::Error)]
#[error(
    "Lambda was unable to configure the environment variables of {function}, because they have {bytes} bytes and the limit \
     is 4KB"
)]
pub struct EnvironmentTooLarge {
    function: String,
    bytes: usize,
}

impl Lambda {
    pub fn new(functions: Arc<Functions>, template: &Template, clock: Clock, usage: Usage) -> Self {
        let timeouts = template.functions().into_iter().filter_map(|(name, function)| {
            let seconds = function.property("Timeout").as_u64()?;
            Some((name.to_owned(), Duration::from_secs(seconds)))
        });
        let functions = Arc::new(RwLock::new(functions));
        Self { functions, timeouts: Arc::new(timeouts.collect()), clock, usage }
    }

    /// Replaces the functions by new ones, which have nothing in memory.
    pub fn replace_functions(&self, functions: Arc<Functions>) {
        *self.functions.write().unwrap_or_else(PoisonError::into_inner) = functions;
    }

    /// Invokes a function. Its deadline follows from the function's timeout.
    pub async fn invoke(
        &self,
        function: &str,
        request_id: String,
        event: Value,
    ) -> Result<Value, LambdaError> {
        let Some(timeout) = self.timeouts.get(function).copied() else {
            return Err(InvokeError::UnknownFunction(function.to_owned()).into());
        };
        if event.to_string().len() > EVENT_LIMIT_BYTES {
            return Err(LambdaError::EventTooLarge);
        }
        let mut context = Context::default();
        context.request_id = request_id;
        context.deadline = deadline_ms(self.clock.now(), timeout);
        let invoked_at = tokio::time::Instant::now();
        let functions = self.functions.read().unwrap_or_else(PoisonError::into_inner).clone();
        let response = within(timeout, Box::pin(functions.invoke(function, event, context))).await;
        let duration_ms = u64::try_from(invoked_at.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.usage.invocation(function, duration_ms);
        check_size(response?)
    }
}

/// Checks the size of each function's variables.
pub fn check_environment(
    template: &Template,
    environment: &[(String, String)],
) -> Result<(), EnvironmentTooLarge> {
    for (function, variables) in template.function_variables() {
        let set = environment.iter().filter(|(name, _)| variables.contains(&name.as_str()));
        let bytes: usize = set.map(|(name, value)| name.len() + value.len()).sum();
        if bytes > ENVIRONMENT_LIMIT_BYTES {
            return Err(EnvironmentTooLarge { function: function.to_owned(), bytes });
        }
    }
    Ok(())
}

/// Lambda ends a function at its timeout, in the machine's time.
async fn within(
    timeout: Duration,
    invocation: impl Future<Output = Result<Value, InvokeError>>,
) -> Result<Value, LambdaError> {
    match tokio::time::timeout(timeout, invocation).await {
        Ok(response) => Ok(response?),
        Err(_) => Err(LambdaError::TimedOut(timeout)),
    }
}

fn check_size(response: Value) -> Result<Value, LambdaError> {
    match response.to_string().len() > RESPONSE_LIMIT_BYTES {
        true => Err(LambdaError::ResponseTooLarge),
        false => Ok(response),
    }
}

fn deadline_ms(now: Timestamp, timeout: Duration) -> u64 {
    let timeout = SignedDuration::try_from(timeout).unwrap_or(SignedDuration::MAX);
    let deadline = now.saturating_add(timeout).unwrap_or(Timestamp::MAX);
    u64::try_from(deadline.as_millisecond()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[tokio::test]
    async fn function_is_ended_at_its_timeout() {
        let timeout = Duration::from_millis(20);
        let ended = within(timeout, std::future::pending()).await;
        assert!(matches!(ended, Err(LambdaError::TimedOut(_))), "{ended:?}");
        let done = within(timeout, async { Ok(json!({})) }).await;
        assert_eq!(done.unwrap(), json!({}));
    }

    #[test]
    fn response_above_the_limit_is_refused() {
        // Quotes and the escaped character count, too.
        let fits = "x".repeat(RESPONSE_LIMIT_BYTES - 2);
        assert!(check_size(json!(fits)).is_ok());
        let escaped = "\n".repeat(RESPONSE_LIMIT_BYTES / 2);
        assert!(matches!(check_size(json!(escaped)), Err(LambdaError::ResponseTooLarge)));
    }

    #[test]
    fn environment_above_the_limit_is_refused() {
        let template = Template::parse(simulated_aws::template::TEMPLATE).unwrap();
        let check = |bytes| {
            let variables = [("DISCLAIMER", bytes), ("ELSEWHERE", 9000)];
            let variables = variables.map(|(name, bytes)| (name.to_owned(), "x".repeat(bytes)));
            check_environment(&template, &variables)
        };
        let name = "DISCLAIMER".len();
        assert!(check(ENVIRONMENT_LIMIT_BYTES - name).is_ok());
        let error = check(ENVIRONMENT_LIMIT_BYTES - name + 1).unwrap_err();
        assert!(error.to_string().contains("because they have 4097 bytes"), "{error}");
    }
}
