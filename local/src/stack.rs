//! The whole stack on one port: its start, its routes and its clock.

mod barrier;
mod configuration;
mod data_dir;
mod events;
mod local_routes;
mod mail_reports;
mod parameters;
mod reset;
mod state_files;

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::any;
use futures::FutureExt as _;
use shared::clock::Clock;
use shared::config::names;
use shared::handlers::WEBHOOK_ROUTE;
use shared::random::Random;
use simulated_aws::Aws;
use simulated_aws::state_file::StateFileError;
use simulated_aws::template::{TEMPLATE, Template, TemplateError};
use simulated_zoom::Zoom;
use tokio::net::TcpListener;

use self::barrier::Barrier;
use self::data_dir::{DataDir, DataError};
use self::local_routes::{LocalState, routes};
use self::reset::StartState;
use self::state_files::{StateFiles, save_before_response};
use crate::console::Console;
use crate::event_targets::EventTargets;
use crate::faults::Faults;
use crate::functions::Functions;
use crate::gateway::{self, Gateway};
use crate::issuer::Issuer;
use crate::lambda::{self, Lambda};
use crate::queue_triggers::QueueTriggers;
use crate::schedules::Schedules;
use crate::seed::{Seed, SeedError, SeedSource};
use crate::usage::Usage;
use crate::wire::Wire;
use crate::{origin, settings};

/// How often the stack checks for due work.
const TICK_INTERVAL: Duration = Duration::from_secs(1);
/// How often the stack looks for messages that invoke a function.
const QUEUE_INTERVAL: Duration = Duration::from_millis(200);

/// How often the stack deletes the items whose time to live has ended. The search reads whole tables, and DynamoDB takes days.
const TTL_INTERVAL: Duration = Duration::from_secs(60);

/// Options for starting a stack.
#[derive(Debug)]
pub struct Options {
    /// The address that the stack listens on. In a container it must be another one than the loopback, which a published
    /// port does not reach.
    pub listen: IpAddr,
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
    /// The contents of a new stack.
    pub seed: SeedSource,
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
    Aws(#[source] simulated_aws::StartError),
    #[error(transparent)]
    Secret(#[from] simulated_aws::SecretError),
    #[error(transparent)]
    Issuer(#[from] crate::issuer::IssuerError),
    #[error(transparent)]
    Template(#[from] TemplateError),
    #[error(transparent)]
    Environment(#[from] lambda::EnvironmentTooLarge),
    #[error(transparent)]
    Seed(#[from] SeedError),
}

impl From<simulated_aws::StartError> for StackError {
    fn from(error: simulated_aws::StartError) -> Self {
        match error {
            simulated_aws::StartError::File(error) => Self::File(error),
            other => Self::Aws(other),
        }
    }
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
    /// The functions since the start. A reset of the stack replaces those that its routes lead to.
    pub functions: Arc<Functions>,
    pub schedules: Schedules,
    pub queue_triggers: QueueTriggers,
    pub event_targets: EventTargets,
    barrier: Barrier,
    disk: Option<StateFiles>,
    data: Option<DataDir>,
    seed_warnings: Vec<String>,
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
        let Options { port, data_dir, settings: changes, cloud_only, console_dir, .. } = options;
        let Options { listen, seed, clock, random, .. } = options;
        let (changes, secret_changes) = settings::split_changes(changes)?;
        let seed = Seed::read(&seed)?;
        let listener = TcpListener::bind((listen, port))
            .await
            .map_err(|source| StackError::Port { port, source })?;
        let base_url = format!("http://localhost:{}", listener.local_addr()?.port());
        let (faults, usage) = (Faults::default(), Usage::new(clock.clone()));
        let data = data_dir.map(DataDir::open).transpose()?;
        let is_new = data.as_ref().is_none_or(|data| !data.has_state);
        let data_path = data.as_ref().map(|data| data.path.clone());
        let aws_config = configuration::aws_config(&base_url, data_path.clone(), &changes);
        let mut aws = Aws::start(aws_config, clock.clone(), random.clone()).await?;
        let wire = Wire::new(faults.clone(), usage.clone(), clock.clone());
        let seed_environment = configuration::default_environment(&base_url, &aws, &changes)?;
        let environment = settings::with_overrides(seed_environment.clone(), changes)?;
        let template = Template::parse(TEMPLATE)?;
        lambda::check_environment(&template, &environment)?;
        let secret_id = settings::variable(&environment, names::CONFIG_SECRET_ID);
        let secret_id = secret_id.unwrap_or(settings::SECRET_ID).to_owned();
        let secret =
            configuration::prepare_secret(&aws, &secret_id, is_new, &secret_changes).await?;
        aws.accept_zeptomail_token(configuration::zeptomail_token(&secret));
        let issuer = Issuer::for_environment(&base_url, &environment)?;
        let zoom_config = configuration::zoom_config(&base_url, &environment, &secret);
        let zoom = Zoom::new(zoom_config, clock.clone(), random.clone(), faults.of_deliveries());
        let account_id = configuration::app_account_id(&environment, &secret);
        let zoom_account = settings::zoom_account(&account_id);
        zoom.update_settings(zoom_account.clone());
        let time = match &clock {
            Clock::System => None,
            Clock::Manual(manual_clock) => Some(manual_clock.time()),
        };
        let disk = data_path.map(|path| StateFiles::new(path, &zoom, &clock));
        if let Some(disk) = disk.as_ref().filter(|_| !is_new) {
            disk.restore()?;
        }
        let environment = Arc::new(environment);
        let functions = Functions::new(&environment, &clock, &random);
        let lambda = Lambda::new(functions.clone(), &template, clock.clone(), usage.clone());
        let schedules = Schedules::new(lambda.clone(), clock.clone());
        let queue_triggers =
            QueueTriggers::new(lambda.clone(), aws.queues().clone(), clock.clone(), &environment);
        let event_targets = EventTargets::new(lambda.clone(), aws.clone(), clock.clone());
        let start_state = StartState {
            barrier: Barrier::default(),
            aws: aws.clone(),
            zoom: zoom.clone(),
            wire: wire.clone(),
            faults: faults.clone(),
            usage: usage.clone(),
            lambda,
            schedules: schedules.clone(),
            disk: disk.clone(),
            clock: clock.clone(),
            time,
            random,
            environment,
            seed_environment: Arc::new(seed_environment),
            seed,
            secret_id,
            secret: secret.to_string(),
            zoom_account,
        };
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
            event_targets,
            barrier: start_state.barrier.clone(),
            disk,
            data,
            seed_warnings: Vec::new(),
            tasks: Vec::new(),
        };
        let router = stack.router(&start_state, issuer, cloud_only);
        let router = router.merge(Console::new(console_dir).router());
        // Requests wait until the starting data is loaded.
        let closed = stack.barrier.close().await;
        stack.serve(listener, router);
        if is_new {
            stack.seed_warnings = start_state.load().await?;
        }
        drop(closed);
        Ok(stack)
    }

    /// Returns the warnings about the starting data, each for a person.
    pub fn seed_warnings(&self) -> &[String] {
        &self.seed_warnings
    }

    /// Returns whether the stack has restored the state of an earlier run.
    pub fn is_restored(&self) -> bool {
        self.data.as_ref().is_some_and(|data| data.has_state)
    }

    /// The routes of the simulated services and of the stack itself.
    fn router(&self, start_state: &StartState, issuer: Issuer, cloud_only: bool) -> Router {
        let local = LocalState {
            environment: start_state.environment.clone(),
            issuer,
            clock: self.clock.clone(),
            lambda: start_state.lambda.clone(),
            schedules: self.schedules.clone(),
            queue_triggers: self.queue_triggers.clone(),
            event_targets: self.event_targets.clone(),
            zoom: self.zoom.clone(),
            aws: self.aws.clone(),
            wire: self.wire.clone(),
            disk: self.disk.clone(),
            cloud_only,
            secret_id: start_state.secret_id.clone(),
            directory: Arc::new(start_state.seed.commands()),
        };
        let mut zoom = self.zoom.router();
        if let Some(disk) = &self.disk {
            zoom = zoom.layer(from_fn_with_state(disk.clone(), save_before_response));
        }
        let mut router = routes(local.clone())
            .merge(events::router(local.clone()))
            .merge(mail_reports::router(local))
            .merge(reset::router(start_state.clone()))
            .merge(self.wire.wrap(self.aws.services()))
            .merge(self.aws.inspection())
            .merge(self.faults.router())
            .merge(self.usage.router())
            .merge(self.wire.wrap(zoom));
        if !cloud_only {
            router = router.merge(self.api(start_state.lambda.clone()));
        }
        router
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
        let router = router
            .layer(from_fn_with_state(self.barrier.clone(), barrier::pass))
            .layer(from_fn(parameters::refuse_unknown_query))
            .layer(from_fn(origin::only_this_machine));
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
        let barrier = self.barrier.clone();
        self.run(async move {
            let mut interval = tokio::time::interval(TICK_INTERVAL);
            let mut ttl_interval = tokio::time::interval(TTL_INTERVAL);
            loop {
                interval.tick().await;
                let _passing = barrier.enter().await;
                wire.run_deferred_calls().await;
                zoom.deliver_due().await;
                if !cloud_only {
                    schedules.run_due().await;
                }
                if ttl_interval.tick().now_or_never().is_some()
                    && let Err(error) = aws.sweep_ttl()
                {
                    tracing::warn!(event = "stack.ttl_failed", %error);
                }
                if let Some(disk) = &disk {
                    // A failure is logged, and the next tick tries again.
                    let _ = disk.save();
                }
            }
        });
    }

    /// Delivers events and the messages of queues to their functions within moments, as EventBridge and Lambda do.
    fn poll_queues(&mut self) {
        let (triggers, targets) = (self.queue_triggers.clone(), self.event_targets.clone());
        let barrier = self.barrier.clone();
        self.run(async move {
            let mut interval = tokio::time::interval(QUEUE_INTERVAL);
            loop {
                interval.tick().await;
                let _passing = barrier.enter().await;
                targets.deliver().await;
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
