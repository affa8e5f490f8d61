//! `reconcile-sweep`: compares ended sessions with Zoom every 15 minutes. See `shared::handlers::reconcile_sweep`.

use lambda_runtime::{Error, LambdaEvent};
use serde_json::Value;
use shared::handlers::{function, reconcile_sweep};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    function::run_events(|function, event: LambdaEvent<Value>| {
        reconcile_sweep::handle(function, event.context.deadline)
    })
    .await
}
