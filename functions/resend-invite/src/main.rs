//! `resend-invite`: sends the current invitation again. See `shared::handlers::resend_invite`.

use lambda_http::Error;
use shared::handlers::{function, resend_invite};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    function::run_http(resend_invite::handle).await
}
