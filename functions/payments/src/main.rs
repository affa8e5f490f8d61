//! `payments`: payments of the host platform, by HTTP, as events, and from its queue. See `shared::handlers::payments`.

use lambda_runtime::Error;
use shared::handlers::{function, payments};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    function::run_events(payments::handle_event_or_request).await
}
