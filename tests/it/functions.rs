//! Functions invoked without the gateway, with their own configuration, event or deadline, and direct access to the
//! tables.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use aws_sdk_dynamodb::types::AttributeValue;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use jiff::SignedDuration;
use lambda_http::Context;
use local::functions::{Functions, InvokeError};
use serde_json::{Value, json};
use shared::clock::Clock;
use shared::config::{Env, names};
use shared::random::Random;
use shared::store::Store;

use crate::world::{Response, World};

pub(crate) const TOKENS_TABLE: &str = "TokensTable";
pub(crate) const MAIN_TABLE: &str = "MainTable";
/// The request id of an invocation by [`DirectFunctions::invoke`].
pub(crate) const REQUEST_ID: &str = "request-of-a-test";

pub(crate) type Item = HashMap<String, AttributeValue>;

/// Returns the environment of the stack's functions.
pub(crate) fn environment(world: &World) -> Vec<(&'static str, String)> {
    let queue = |name: &str| world.stack.aws.queues().url(name);
    local::settings::environment(
        &world.stack.base_url,
        &queue("OutboxQueue"),
        &queue("OutboxBulkQueue"),
        &queue("OutboxDeadLetterQueue"),
        &queue("PaymentsQueue"),
    )
}

/// A second instance of all functions with its own configuration.
pub(crate) struct DirectFunctions {
    functions: Arc<Functions>,
    clock: Clock,
}

/// The seed of the next random sequence.
static SEED: AtomicU64 = AtomicU64::new(2);

impl DirectFunctions {
    /// Uses the stack's environment with some variables replaced. An empty value unsets the variable.
    pub(crate) fn new(world: &World, changes: &[(&'static str, &str)]) -> Self {
        let mut environment = environment(world);
        for (name, value) in changes {
            environment.retain(|(existing, _)| existing != name);
            environment.push((name, (*value).to_owned()));
        }
        let clock = world.stack.clock.clone();
        // Each instance has its own random sequence, as separate processes have.
        let random = Random::seeded(SEED.fetch_add(1, Ordering::Relaxed));
        let functions = Functions::new(&environment, &clock, &random);
        Self { functions, clock }
    }

    /// Returns the `Debug` output of the functions.
    pub(crate) fn debug(&self) -> String {
        format!("{:?}", self.functions)
    }

    pub(crate) async fn call(
        &self,
        function: &str,
        method: &str,
        path: &str,
        token: &str,
        body: Option<&Value>,
    ) -> Response {
        let event = gateway_event(method, path, token, body.map(Value::to_string).as_deref());
        // A handler's future is large, and a test's thread has a stack of 2 MiB.
        Box::pin(self.invoke(function, event, SignedDuration::from_secs(30))).await
    }

    /// Runs `outbox-sweep` with this time left before the Lambda timeout.
    pub(crate) async fn run_outbox_sweep(
        &self,
        time: SignedDuration,
    ) -> Result<Value, InvokeError> {
        self.sweep("outbox-sweep", time).await
    }

    /// Runs `reminder-sweep` with this time left before the Lambda timeout.
    pub(crate) async fn run_reminder_sweep(
        &self,
        time: SignedDuration,
    ) -> Result<Value, InvokeError> {
        self.sweep("reminder-sweep", time).await
    }

    async fn sweep(&self, function: &str, time: SignedDuration) -> Result<Value, InvokeError> {
        let mut context = Context::default();
        let deadline = (self.clock.now() + time).as_millisecond();
        context.deadline = u64::try_from(deadline).expect("a time after 1970");
        self.functions.invoke(function, json!({}), context).await
    }

    /// Invokes an HTTP function with this event and this time left before the Lambda timeout.
    pub(crate) async fn invoke(
        &self,
        function: &str,
        event: Value,
        time: SignedDuration,
    ) -> Response {
        let mut context = Context::default();
        context.request_id = REQUEST_ID.to_owned();
        let deadline = (self.clock.now() + time).as_millisecond();
        context.deadline = u64::try_from(deadline).expect("a time after 1970");
        let response = self.functions.invoke(function, event, context).await;
        let response = response.expect("an HTTP function returns a response");
        let mut headers = HeaderMap::new();
        for (name, value) in response["headers"].as_object().into_iter().flatten() {
            let name = HeaderName::try_from(name).expect("a header name");
            let value = value.as_str().expect("a header value as text");
            headers.insert(name, HeaderValue::from_str(value).expect("a header value"));
        }
        let status = response["statusCode"].as_u64().and_then(|code| u16::try_from(code).ok());
        Response {
            status: StatusCode::from_u16(status.expect("a status")).expect("a status"),
            headers,
            text: response["body"].as_str().unwrap_or_default().to_owned(),
        }
    }
}

/// Replaces the configuration secret. Functions that have read it keep their copy for five minutes.
pub(crate) async fn set_secret(world: &World, text: &str) {
    world.stack.aws.set_secret(local::settings::SECRET_ID, text).await.expect("set");
}

/// Returns an API Gateway event in payload format 2.0.
pub(crate) fn gateway_event(method: &str, path: &str, token: &str, body: Option<&str>) -> Value {
    let mut headers = json!({"content-type": "application/json"});
    if !token.is_empty() {
        headers["authorization"] = json!(format!("Bearer {token}"));
    }
    let http =
        json!({"method": method, "path": path, "protocol": "HTTP/1.1", "sourceIp": "127.0.0.1"});
    json!({
        "version": "2.0",
        "routeKey": format!("{method} {path}"),
        "rawPath": path,
        "rawQueryString": "",
        "headers": headers,
        "requestContext": {"http": http, "stage": "$default"},
        "isBase64Encoded": false,
        "body": body,
    })
}

/// Returns a DynamoDB client of the test, whose calls are counted under the function name `tests`.
pub(crate) fn dynamodb(world: &World) -> aws_sdk_dynamodb::Client {
    let name = (names::AWS_LAMBDA_FUNCTION_NAME, "tests".to_owned());
    let env = Env::from_pairs(environment(world).into_iter().chain([name]));
    let http = shared::net::http_client("live-classes/tests").expect("an HTTP client");
    shared::aws::Aws::new(&env, &http).expect("a complete environment").dynamodb()
}

/// Returns the functions' own store, for data that no route returns.
pub(crate) fn store(world: &World) -> Store {
    let env = Env::from_pairs(environment(world));
    // The tokens of transactions must differ between two stores.
    let random = Random::seeded(SEED.fetch_add(1, Ordering::Relaxed));
    Store::without_tokens(dynamodb(world), &env, random).expect("a complete environment")
}

/// Returns every item of a table.
pub(crate) async fn table_items(world: &World, table: &str) -> Vec<Item> {
    let scan = dynamodb(world).scan().table_name(table).consistent_read(true);
    let response = scan.send().await.expect("a table scan");
    assert!(response.last_evaluated_key.is_none(), "the scan should fit on one page");
    response.items.unwrap_or_default()
}

/// Returns the items of a table whose partition key has this prefix.
pub(crate) async fn items_with_prefix(world: &World, table: &str, pk: &str) -> Vec<Item> {
    let all = table_items(world, table).await;
    all.into_iter().filter(|item| string_attr(item, "pk").starts_with(pk)).collect()
}

pub(crate) fn string_attr<'a>(item: &'a Item, name: &str) -> &'a str {
    item.get(name).and_then(|value| value.as_s().ok()).map_or("", String::as_str)
}

/// Waits up to five seconds of real time for something that happens concurrently with the test.
pub(crate) async fn wait_until(condition: &str, mut is_met: impl FnMut() -> bool) {
    for _ in 0..500 {
        if is_met() {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("not within five seconds: {condition}");
}
