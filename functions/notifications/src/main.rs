//! `notifications`: in-app notifications and notification preferences. See `shared::handlers::notifications`.

use lambda_http::Error;
use shared::handlers::{function, notifications};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    function::run_http(notifications::handle).await
}
