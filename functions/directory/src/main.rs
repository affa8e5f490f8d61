//! `directory`: applies the host platform's data about courses and people, by HTTP and as events.
//! See `shared::handlers::directory`.

use lambda_runtime::Error;
use shared::handlers::{directory, function};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    function::run_events(directory::handle_event_or_request).await
}
