//! `connect`: starts and finishes the trainer's Zoom OAuth flow, and shows the connection.
//! See `shared::handlers::connect`.

use lambda_http::{Error, run, service_fn};
use shared::config::Env;
use shared::handlers::{connect, function::Function};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let env = Env::process();
    shared::telemetry::start(&env);
    let function = &Function::start(&env).await;
    run(service_fn(move |request| async move {
        Ok::<_, Error>(connect::handle(function, request).await)
    }))
    .await
}
