//! `reminder-sweep`: does the due work every five minutes. See `shared::handlers::reminder_sweep`.

use lambda_runtime::{Error, LambdaEvent, run, service_fn};
use serde_json::Value;
use shared::config::Env;
use shared::handlers::{function::Function, reminder_sweep};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let env = Env::process();
    shared::telemetry::start(&env);
    let function = &Function::start(&env).await;
    run(service_fn(move |event: LambdaEvent<Value>| {
        reminder_sweep::handle(function, event.context.deadline)
    }))
    .await
}
