//! `directory`: applies the host platform's data about courses and people, by HTTP and as events.
//! See `shared::handlers::directory`.

use lambda_runtime::{Error, LambdaEvent, run, service_fn};
use serde_json::Value;
use shared::config::Env;
use shared::handlers::{directory, function::Function};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let env = Env::process();
    shared::telemetry::start(&env);
    let function = &Function::start(&env).await;
    run(service_fn(move |event: LambdaEvent<Value>| {
        directory::handle_event_or_request(function, event)
    }))
    .await
}
