//! `mail-events`: bounces and complaints that Amazon SES reports. See `shared::handlers::mail_events`.

use lambda_runtime::Error;
use shared::handlers::{function, mail_events};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    function::run_events(mail_events::handle).await
}
