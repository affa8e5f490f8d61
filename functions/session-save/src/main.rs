//! `session-save`: creates or edits a session, at Zoom and here. See `shared::handlers::session_save`.

use lambda_http::Error;
use shared::handlers::{function, session_save};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    function::run_http(session_save::handle).await
}
