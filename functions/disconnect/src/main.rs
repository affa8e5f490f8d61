//! `disconnect`: revokes the trainer's grant at Zoom and deletes its tokens. See `shared::handlers::disconnect`.

use lambda_http::Error;
use shared::handlers::{disconnect, function};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    function::run_http(disconnect::handle).await
}
