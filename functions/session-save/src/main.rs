//! `session-save`: creates or edits a session, at Zoom and here. See `shared::handlers::session_save`.

use lambda_http::{Error, run, service_fn};
use shared::config::Env;
use shared::handlers::{function::Function, session_save};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let env = Env::process();
    shared::telemetry::start(&env);
    let function = &Function::start(&env).await;
    run(service_fn(move |request| async move {
        Ok::<_, Error>(session_save::handle(function, request).await)
    }))
    .await
}
