//! `poll`: launches and closes polls, stores votes, and returns results. See `shared::handlers::poll`.

use lambda_http::{Error, run, service_fn};
use shared::config::Env;
use shared::handlers::{function::Function, poll};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let env = Env::process();
    shared::telemetry::start(&env);
    let function = &Function::start(&env).await;
    run(service_fn(
        move |request| async move { Ok::<_, Error>(poll::handle(function, request).await) },
    ))
    .await
}
