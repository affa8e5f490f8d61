//! `outbox-sweep`: processes the outbox every minute. See `shared::handlers::outbox_sweep`.

use lambda_runtime::{Error, LambdaEvent};
use serde_json::Value;
use shared::handlers::{function, outbox_sweep};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    function::run_events(|function, event: LambdaEvent<Value>| {
        outbox_sweep::handle(function, event.context.deadline)
    })
    .await
}
