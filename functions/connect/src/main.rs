//! `connect`: starts and finishes the trainer's Zoom OAuth flow, and shows the connection.
//! See `shared::handlers::connect`.

use lambda_http::Error;
use shared::handlers::{connect, function};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    function::run_http(connect::handle).await
}
