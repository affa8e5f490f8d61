//! `outbox-sweep`: processes the outbox every minute. See `shared::handlers::outbox_sweep`.

use lambda_runtime::{Error, LambdaEvent, run, service_fn};
use serde_json::Value;
use shared::config::Env;
use shared::handlers::{function::Function, outbox_sweep};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let env = Env::process();
    shared::telemetry::start(&env);
    let function = &Function::start(&env).await;
    run(service_fn(move |event: LambdaEvent<Value>| {
        outbox_sweep::handle(function, event.context.deadline)
    }))
    .await
}
