//! `attendance`: the attendance report, its CSV, manual overrides and their audit. See `shared::handlers::attendance`.

use lambda_http::Error;
use shared::handlers::{attendance, function};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    function::run_http(attendance::handle).await
}
