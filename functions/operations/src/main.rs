//! `operations`: capabilities of callers, and logs for administrators. See `shared::handlers::operations`.

use lambda_http::Error;
use shared::handlers::{function, operations};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    function::run_http(operations::handle).await
}
