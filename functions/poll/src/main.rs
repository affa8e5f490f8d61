//! `poll`: launches and closes polls, stores votes, and returns results. See `shared::handlers::poll`.

use lambda_http::Error;
use shared::handlers::{function, poll};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    function::run_http(poll::handle).await
}
