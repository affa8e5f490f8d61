//! `attendance`: the attendance report, its CSV, manual overrides and their audit. See `shared::handlers::attendance`.

use lambda_http::{Error, run, service_fn};
use shared::config::Env;
use shared::handlers::{attendance, function::Function};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let env = Env::process();
    shared::telemetry::start(&env);
    let function = &Function::start(&env).await;
    run(service_fn(move |request| async move {
        Ok::<_, Error>(attendance::handle(function, request).await)
    }))
    .await
}
