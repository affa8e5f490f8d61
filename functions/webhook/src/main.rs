//! `webhook`: stores and processes Zoom's events. See `shared::handlers::webhook`.

use lambda_http::{Error, run, service_fn};
use shared::config::Env;
use shared::handlers::{function::Function, webhook};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let env = Env::process();
    shared::telemetry::start(&env);
    let function = &Function::start(&env).await;
    run(service_fn(move |request| async move {
        Ok::<_, Error>(webhook::handle(function, request).await)
    }))
    .await
}
