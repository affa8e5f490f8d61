//! `hosts`: the hosts of the platform's own Zoom account, by HTTP and as events. See `shared::handlers::hosts`.

use lambda_runtime::Error;
use shared::handlers::{function, hosts};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    function::run_events(hosts::handle_event_or_request).await
}
