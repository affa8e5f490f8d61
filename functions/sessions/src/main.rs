//! `sessions`: lists and reads sessions. See `shared::handlers::sessions`.

use lambda_http::Error;
use shared::handlers::{function, sessions};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    function::run_http(sessions::handle).await
}
