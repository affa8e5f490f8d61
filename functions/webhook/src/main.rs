//! `webhook`: stores and processes Zoom's events. See `shared::handlers::webhook`.

use lambda_http::Error;
use shared::handlers::{function, webhook};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    function::run_http(webhook::handle).await
}
