//! `join`: authorizes a person and returns the join credentials. See `shared::handlers::join`.

use lambda_http::Error;
use shared::handlers::{function, join};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    function::run_http(join::handle).await
}
