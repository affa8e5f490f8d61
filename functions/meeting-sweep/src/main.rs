//! `meeting-sweep`: does the due work of the platform's Zoom account every five minutes. See
//! `shared::handlers::meeting_sweep`.

use lambda_runtime::{Error, LambdaEvent};
use serde_json::Value;
use shared::handlers::{function, meeting_sweep};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    function::run_events(|function, event: LambdaEvent<Value>| {
        meeting_sweep::handle(function, event.context.deadline)
    })
    .await
}
