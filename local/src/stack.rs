//! The whole stack on one port: its start, its routes and its clock.

mod data_dir;
mod local_routes;
mod parameters;
mod state_files;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::Response;
use axum::routing::any;
use serde_json::Value;
use shared::clock::Clock;
use shared::handlers::WEBHOOK_ROUTE;
use shared::random::Random;
use shared::secret::Secret;
use simulated_aws::calls::AWS_PATH;
use simulated_aws::names::Names;
use simulated_aws::state_file::StateFileError;
use simulated_aws::template::{TEMPLATE, Template, TemplateError};
use simulated_aws::{Aws, AwsConfig};
use simulated_zoom::{ServerApp, Zoom, ZoomConfig};
use tokio::net::TcpListener;
use tokio::sync::watch;

use self::data_dir::{DataDir, DataError};
use self::local_routes::{LocalState, routes};
use self::state_files::{StateFiles, save_before_response};
use crate::console::Console;
use crate::faults::Faults;
use crate::functions::{Functions, InvokeError};
use crate::gateway::{self, Gateway};
use crate::issuer::Issuer;
use crate::lambda::{self, Lambda};
use crate::origin;
use crate::queue_triggers::QueueTriggers;
use crate::schedules::Schedules;
use crate::settings::SecretChanges;
use crate::usage::Usage;
use crate::wire::Wire;
use crate::{seed, settings};

/// How often the stack checks for due work.
const TICK_INTERVAL: Duration = Duration::from_secs(1);
/// How often the stack looks for messages that invoke a function.
const QUEUE_INTERVAL: Duration = Duration::from_millis(200);

/// Options for starting a stack.
#[derive(Debug)]
pub struct Options {
    /// The port, or 0 for a free one.
    pub port: u16,
    pub data_dir: Option<PathBuf>,
    /// Environment variables that replace or extend `settings::environment`, and fields of the secret. An empty value
    /// removes one.
    pub settings: Vec<(String, String)>,
    /// Whether to leave out the functions so that other tools can run them against this stack.
    pub cloud_only: bool,
    /// The directory with the console's files, for development. The default are the embedded files.
    pub console_dir: Option<PathBuf>,
    pub clock: Clock,
    pub random: Random,
}

#[derive(Debug, thiserror::Error)]
pub enum StackError {
    #[error("port {port} cannot be used: {source}")]
    Port { port: u16, source: std::io::Error },
    #[error("the address of this machine is unknown: {0}")]
    Address(#[from] std::io::Error),
    #[error(transparent)]
    Data(#[from] DataError),
    #[error(transparent)]
    File(#[from] StateFileError),
    #[error(transparent)]
    Setting(#[from] settings::SettingError),
    #[error("the AWS services did not start: {0}")]
    Aws(#[from] simulated_aws::StartError),
    #[error(transparent)]
    Secret(#[from] simulated_aws::SecretError),
    #[error(transparent)]
    Issuer(#[from] crate::issuer::IssuerError),
    #[error(transparent)]
    Template(#[from] TemplateError),
    #[error(transparent)]
    Environment(#[from] lambda::EnvironmentTooLarge),
    #[error(transparent)]
    Seed(#[from] InvokeError),
}

/// A running stack. Dropping it stops the stack.
pub struct Stack {
    pub base_url: String,
    pub clock: Clock,
    pub aws: Aws,
    pub zoom: Zoom,
    pub usage: Usage,
    pub faults: Faults,
    pub wire: Wire,
    pub functions: Arc<Functions>,
    pub schedules: Schedules,
    pub queue_triggers: QueueTriggers,
    disk: Option<StateFiles>,
    data: Option<DataDir>,
    tasks: Vec<tokio::task::JoinHandle<()>>,
}

impl std::fmt::Debug for Stack {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stack").field("base_url", &self.base_url).finish_non_exhaustive()
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
        if let Some(disk) = &self.disk {
            disk.close();
        }
    }
}

impl Stack {
    /// Starts a stack and serves it.
    pub async fn start(options: Options) -> Result<Self, StackError> {
        let Options { port, data_dir, settings: changes, cloud_only, console_dir, clock, random } =
            options;
        let (changes, secret_changes) = settings::split_changes(changes)?;
        let listener = TcpListener::bind(("127.0.0.1", port))
            .await
            .map_err(|source| StackError::Port { port, source })?;
        let base_url = format!("http://localhost:{}", listener.local_addr()?.port());
        let (faults, usage) = (Faults::default(), Usage::new(clock.clone()));
        let data = data_dir.map(DataDir::open).transpose()?;
        let aws_config =
            aws_config(&base_url, data.as_ref().map(|data| data.path.clone()), &changes);
        let aws = Aws::start(aws_config, clock.clone(), random.clone()).await?;
        let wire = Wire::new(faults.clone(), usage.clone(), clock.clone());
        let seed_environment = environment(&base_url, &aws);
        let environment = settings::with_overrides(seed_environment.clone(), changes)?;
        let template = Template::parse(TEMPLATE)?;
        lambda::check_environment(&template, &environment)?;
        let fresh = data.as_ref().is_none_or(|data| !data.has_state);
        let secret = prepare_secret(&aws, fresh, &secret_changes).await?;
        let issuer = Issuer::new(&base_url)?;
        let zoom_config = zoom_config(&base_url, &secret);
        let zoom = Zoom::new(zoom_config, clock.clone(), random.clone(), faults.of_deliveries());
        zoom.update_settings(settings::zoom_account());
        let disk = data.as_ref().map(|data| StateFiles::new(data.path.clone(), &zoom, &clock));
        if let Some(disk) = disk.as_ref().filter(|_| !fresh) {
            disk.restore()?;
        }
        let functions = Functions::new(&environment, &clock, &random);
        let lambda = Lambda::new(functions.clone(), &template, clock.clone(), usage.clone());
        let schedules = Schedules::new(lambda.clone(), clock.clone());
        let queue_triggers =
            QueueTriggers::new(lambda.clone(), aws.queues().clone(), clock.clone());
        let tasks = Vec::new();
        let mut stack = Self {
            base_url,
            clock,
            aws,
            zoom,
            usage,
            faults,
            wire,
            functions,
            schedules,
            queue_triggers,
            disk,
            data,
            tasks,
        };
        let (seeded, seeded_receiver) = watch::channel(!fresh);
        let mut router = stack.router(environment, &issuer, cloud_only);
        router = router.merge(Console::new(console_dir).router());
        if !cloud_only {
            router = router.merge(stack.api(lambda));
        }
        let router = router
            .layer(from_fn_with_state(seeded_receiver, wait_until_seeded))
            .layer(from_fn(parameters::refuse_unknown_query))
            .layer(from_fn(origin::only_this_machine));
        stack.serve(listener, router);
        if fresh {
            let secret = (!secret_changes.is_empty()).then(|| secret.to_string());
            let seed = Seed { environment: seed_environment, issuer, random, secret };
            seed.load(&stack).await?;
            seeded.send_replace(true);
        }
        Ok(stack)
    }

    /// The routes of the simulated services and of the stack itself.
    fn router(
        &self,
        environment: Vec<(String, String)>,
        issuer: &Issuer,
        cloud_only: bool,
    ) -> Router {
        let local = LocalState {
            environment,
            issuer: issuer.clone(),
            clock: self.clock.clone(),
            schedules: self.schedules.clone(),
            queue_triggers: self.queue_triggers.clone(),
            zoom: self.zoom.clone(),
            aws: self.aws.clone(),
            wire: self.wire.clone(),
            disk: self.disk.clone(),
            cloud_only,
        };
        let mut zoom = self.zoom.router();
        if let Some(disk) = &self.disk {
            zoom = zoom.layer(from_fn_with_state(disk.clone(), save_before_response));
        }
        routes(local)
            .merge(self.wire.wrap(self.aws.services()))
            .merge(self.aws.inspection())
            .merge(self.faults.router())
            .merge(self.usage.router())
            .merge(self.wire.wrap(zoom))
    }

    /// The routes that lead to the functions.
    fn api(&self, lambda: Lambda) -> Router {
        let gateway = Gateway {
            lambda,
            clock: self.clock.clone(),
            usage: self.usage.clone(),
            zoom: self.zoom.clone(),
        };
        Router::new()
            .route("/v1/{*rest}", any(gateway::serve))
            .route(WEBHOOK_ROUTE.path, any(gateway::serve))
            .route("/webhook", any(gateway::function_url))
            .with_state(gateway)
    }

    fn serve(&mut self, listener: TcpListener, router: Router) {
        self.run(async move {
            if let Err(error) = axum::serve(listener, router).await {
                tracing::error!(event = "stack.stopped", %error);
            }
        });
    }

    /// Starts to process due work every second: webhooks, schedules, time to live, and saving the state.
    pub fn tick(&mut self, cloud_only: bool) {
        let (zoom, schedules) = (self.zoom.clone(), self.schedules.clone());
        let (aws, wire, disk) = (self.aws.clone(), self.wire.clone(), self.disk.clone());
        if !cloud_only {
            self.poll_queues();
        }
        self.run(async move {
            let mut interval = tokio::time::interval(TICK_INTERVAL);
            loop {
                interval.tick().await;
                wire.run_deferred_calls().await;
                zoom.deliver_due().await;
                if !cloud_only {
                    schedules.run_due().await;
                }
                if let Err(error) = aws.sweep_ttl() {
                    tracing::warn!(event = "stack.ttl_failed", %error);
                }
                if let Some(disk) = &disk {
                    // A failure is logged, and the next tick tries again.
                    let _ = disk.save();
                }
            }
        });
    }

    /// Delivers the messages of queues to their functions within moments, as Lambda's long polls do.
    fn poll_queues(&mut self) {
        let triggers = self.queue_triggers.clone();
        self.run(async move {
            let mut interval = tokio::time::interval(QUEUE_INTERVAL);
            loop {
                interval.tick().await;
                triggers.deliver().await;
            }
        });
    }

    /// Saves the state that is not in a database.
    pub fn save(&self) -> Result<(), StateFileError> {
        self.disk.as_ref().map_or(Ok(()), StateFiles::save)
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "this process does not freeze like a Lambda sandbox, and the stack aborts its tasks"
    )]
    fn run(&mut self, task: impl Future<Output = ()> + Send + 'static) {
        self.tasks.push(tokio::spawn(task));
    }
}

/// Delays requests until the seed data is loaded, except those that loading it requires. Moving the clock in the
/// meantime would invalidate the token of the seed request.
async fn wait_until_seeded(
    State(mut seeded): State<watch::Receiver<bool>>,
    request: Request,
    next: Next,
) -> Response {
    let path = request.uri().path();
    if !path.starts_with(AWS_PATH) && path != crate::issuer::JWKS_PATH {
        // An error means that the stack did not start. Then nobody receives the response.
        let _ = seeded.wait_for(|seeded| *seeded).await;
    }
    next.run(request).await
}

/// The seed data of a new stack.
struct Seed {
    /// The default settings. Changed ones may name another issuer, whose tokens this stack cannot sign.
    environment: Vec<(&'static str, String)>,
    issuer: Issuer,
    random: Random,
    /// The changed secret, if there is one. It may refuse this stack's tokens, so it is stored afterwards.
    secret: Option<String>,
}

impl Seed {
    async fn load(self, stack: &Stack) -> Result<(), StackError> {
        let functions = Functions::new(&self.environment, &stack.clock, &self.random);
        seed::load(&functions, &self.issuer, &stack.clock).await?;
        if let Some(secret) = &self.secret {
            stack.aws.set_secret(settings::SECRET_ID, secret).await?;
        }
        // Seeding invokes a function, so the usage meter is reset afterwards.
        stack.usage.reset();
        stack.save()?;
        if let Some(data) = &stack.data {
            data.set_complete(true)?;
        }
        Ok(())
    }
}

fn aws_config(
    base_url: &str,
    data_dir: Option<PathBuf>,
    changes: &[(String, String)],
) -> AwsConfig<'static> {
    AwsConfig {
        data_dir,
        template: TEMPLATE,
        base_url: base_url.to_owned(),
        names: Names::new([("ConfigSecret", settings::SECRET_ID)]),
        parameters: vec![("MailIdentity", settings::mail_domain(changes).to_owned())],
        zeptomail_token: Secret::new(settings::ZEPTOMAIL_TOKEN),
    }
}

/// Returns the default environment of the functions.
fn environment(base_url: &str, aws: &Aws) -> Vec<(&'static str, String)> {
    let queue = |name: &str| aws.queues().url(name);
    settings::environment(
        base_url,
        &queue("OutboxQueue"),
        &queue("OutboxBulkQueue"),
        &queue("OutboxDeadLetterQueue"),
        &queue("PaymentsQueue"),
    )
}

/// Stores the secret, and returns it with the changes.
async fn prepare_secret(
    aws: &Aws,
    fresh: bool,
    changes: &SecretChanges,
) -> Result<Value, StackError> {
    let base = if fresh { settings::secrets() } else { stored_secret(aws).await };
    let secret = changes.apply(base);
    if fresh {
        // The seed data is loaded with the default secret, because a changed one may refuse this stack's tokens.
        aws.set_secret(settings::SECRET_ID, &settings::secrets().to_string()).await?;
    } else if !changes.is_empty() {
        aws.set_secret(settings::SECRET_ID, &secret.to_string()).await?;
    }
    Ok(secret)
}

/// Returns the secret as it is stored.
async fn stored_secret(aws: &Aws) -> Value {
    let text = aws.secret(settings::SECRET_ID).await.unwrap_or_default();
    serde_json::from_str(&text).unwrap_or_else(|_| Value::from(text))
}

fn zoom_config(base_url: &str, secret: &Value) -> ZoomConfig {
    let mut app_scopes: Vec<String> =
        shared::domain::scope::REQUIRED.iter().map(|spellings| spellings[0].to_owned()).collect();
    app_scopes.extend(["meeting:read:meeting", "meeting:update:status"].map(str::to_owned));
    ZoomConfig {
        client_id: settings::ZOOM_CLIENT_ID.to_owned(),
        client_secret: settings::ZOOM_CLIENT_SECRET.to_owned(),
        webhook_secret: settings::webhook_secret(secret),
        app_account_id: settings::APP_ACCOUNT_ID.to_owned(),
        redirect_uris: vec![format!("{base_url}/callback")],
        base_url: base_url.to_owned(),
        webhook_url: Some(format!("{base_url}/webhook")),
        app_scopes,
        server_app: Some(ServerApp {
            account_id: settings::APP_ACCOUNT_ID.to_owned(),
            client_id: settings::ZOOM_SERVER_CLIENT_ID.to_owned(),
            client_secret: settings::ZOOM_SERVER_CLIENT_SECRET.to_owned(),
            webhook_secret: settings::server_app_webhook_secret(secret),
            scopes: simulated_zoom::server_scopes(),
        }),
    }
}
