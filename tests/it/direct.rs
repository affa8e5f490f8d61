//! Functions called without the gateway: with a configuration of their own, an event that no gateway would send, or
//! little time. And the tables, read as nothing but a test may.

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

use crate::world::{Answer, World};

pub(crate) const TOKENS_TABLE: &str = "TokensTable";
pub(crate) const MAIN_TABLE: &str = "MainTable";
/// What Lambda says of the invocation when a test does not care.
pub(crate) const REQUEST_ID: &str = "request-of-a-test";

pub(crate) type Item = HashMap<String, AttributeValue>;

/// The environment of the world's functions.
pub(crate) fn environment(world: &World) -> Vec<(&'static str, String)> {
    let queue = |name: &str| world.stack.aws.queues().url(name);
    local::settings::environment(
        &world.stack.base_url,
        &queue("OutboxQueue"),
        &queue("OutboxDeadLetterQueue"),
    )
}

/// All functions once more, beside the stack's own.
pub(crate) struct Direct {
    functions: Arc<Functions>,
    clock: Clock,
}

impl Direct {
    /// As the stack's, but for these variables; one that is empty is not set.
    pub(crate) fn new(world: &World, changes: &[(&'static str, &str)]) -> Self {
        let mut environment = environment(world);
        for (name, value) in changes {
            environment.retain(|(known, _)| known != name);
            environment.push((name, (*value).to_owned()));
        }
        let clock = world.stack.clock.clone();
        // Each draws from a stream of its own, as processes do.
        static SEED: AtomicU64 = AtomicU64::new(2);
        let random = Random::seeded(SEED.fetch_add(1, Ordering::Relaxed));
        let functions = Functions::new(&environment, &clock, &random);
        Self { functions, clock }
    }

    /// The functions, printed for debugging.
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
    ) -> Answer {
        let event = event(method, path, token, body.map(Value::to_string).as_deref());
        self.invoke(function, event, SignedDuration::from_secs(30)).await
    }

    /// Runs the outbox's sweep, with so much time until Lambda would end it.
    pub(crate) async fn drain(&self, time: SignedDuration) -> Result<Value, InvokeError> {
        self.sweep("outbox-sweep", time).await
    }

    /// Runs the sweep that reminds and repairs, with so much time until Lambda would end it.
    pub(crate) async fn repair(&self, time: SignedDuration) -> Result<Value, InvokeError> {
        self.sweep("reminder-sweep", time).await
    }

    async fn sweep(&self, function: &str, time: SignedDuration) -> Result<Value, InvokeError> {
        let mut context = Context::default();
        let deadline = (self.clock.now() + time).as_millisecond();
        context.deadline = u64::try_from(deadline).expect("a time after 1970");
        self.functions.invoke(function, json!({}), context).await
    }

    /// Calls with an event, and so much time until Lambda would end the function.
    pub(crate) async fn invoke(
        &self,
        function: &str,
        event: Value,
        time: SignedDuration,
    ) -> Answer {
        let mut context = Context::default();
        context.request_id = REQUEST_ID.to_owned();
        let deadline = (self.clock.now() + time).as_millisecond();
        context.deadline = u64::try_from(deadline).expect("a time after 1970");
        let answer = self.functions.invoke(function, event, context).await;
        let answer = answer.expect("an HTTP function never fails");
        let mut headers = HeaderMap::new();
        for (name, value) in answer["headers"].as_object().into_iter().flatten() {
            let name = HeaderName::try_from(name).expect("a header's name");
            let value = value.as_str().expect("a header's value is text");
            headers.insert(name, HeaderValue::from_str(value).expect("a header's value"));
        }
        let status = answer["statusCode"].as_u64().and_then(|code| u16::try_from(code).ok());
        Answer {
            status: StatusCode::from_u16(status.expect("a status")).expect("a status"),
            headers,
            text: answer["body"].as_str().unwrap_or_default().to_owned(),
        }
    }
}

/// A payload 2.0 event.
pub(crate) fn event(method: &str, path: &str, token: &str, body: Option<&str>) -> Value {
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

/// A client for the tables that no function has.
pub(crate) fn dynamodb(world: &World) -> aws_sdk_dynamodb::Client {
    let name = (names::AWS_LAMBDA_FUNCTION_NAME, "tests".to_owned());
    let env = Env::from_pairs(environment(world).into_iter().chain([name]));
    let http = shared::net::http_client("live-classes/tests").expect("a client");
    shared::aws::Aws::new(&env, &http).expect("the environment is whole").dynamodb()
}

/// The main table as the functions' own code sees it, for what no function tells.
pub(crate) fn store(world: &World) -> Store {
    let env = Env::from_pairs(environment(world));
    Store::main_only(dynamodb(world), &env, Random::seeded(3)).expect("the environment is whole")
}

/// Every item of a table.
pub(crate) async fn dump(world: &World, table: &str) -> Vec<Item> {
    let scan = dynamodb(world).scan().table_name(table).consistent_read(true);
    let answer = scan.send().await.expect("the table can be read");
    assert!(answer.last_evaluated_key.is_none(), "a test's table fits one page");
    answer.items.unwrap_or_default()
}

/// The items of a table whose partition key begins so.
pub(crate) async fn items(world: &World, table: &str, pk: &str) -> Vec<Item> {
    let all = dump(world, table).await;
    all.into_iter().filter(|item| text(item, "pk").starts_with(pk)).collect()
}

pub(crate) fn text<'a>(item: &'a Item, name: &str) -> &'a str {
    item.get(name).and_then(|value| value.as_s().ok()).map_or("", String::as_str)
}

/// Waits, in the machine's time, for something that happens beside the test.
pub(crate) async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    for _ in 0..500 {
        if holds() {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("not within five seconds: {what}");
}
