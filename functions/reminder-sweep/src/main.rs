//! `reminder-sweep`: does the due work every five minutes. See `shared::handlers::reminder_sweep`.

use lambda_runtime::{Error, LambdaEvent};
use serde_json::Value;
use shared::handlers::{function, reminder_sweep};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    function::run_events(|function, event: LambdaEvent<Value>| {
        reminder_sweep::handle(function, event.context.deadline)
    })
    .await
}
