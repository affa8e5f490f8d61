//! `disconnect`: revokes the trainer's grant at Zoom and deletes its tokens. See `shared::handlers::disconnect`.

use lambda_http::{Error, run, service_fn};
use shared::config::Env;
use shared::handlers::{disconnect, function::Function};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let env = Env::process();
    shared::telemetry::start(&env);
    let function = &Function::start(&env).await;
    run(service_fn(move |request| async move {
        Ok::<_, Error>(disconnect::handle(function, request).await)
    }))
    .await
}
