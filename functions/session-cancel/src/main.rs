//! `session-cancel`: cancels a session, at Zoom and here. See `shared::handlers::session_cancel`.

use lambda_http::Error;
use shared::handlers::{function, session_cancel};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    function::run_http(session_cancel::handle).await
}
