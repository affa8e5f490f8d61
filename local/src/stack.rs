//! The whole stack on one port: its start, its routes and its clock.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{Path, Request, State};
use axum::http::{Method, StatusCode};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get, post};
use axum::{Json, Router};
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde_json::{Value, json};
use shared::clock::Clock;
use shared::handlers::WEBHOOK_ROUTE;
use shared::random::Random;
use shared::secret::Secret;
use simulated_aws::calls::AWS_PATH;
use simulated_aws::names::Names;
use simulated_aws::template::{TEMPLATE, Template, TemplateError};
use simulated_aws::{Aws, AwsConfig};
use simulated_zoom::{Zoom, ZoomConfig};
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::console::Console;
use crate::faults::Faults;
use crate::functions::{Functions, InvokeError};
use crate::gateway::{self, Gateway};
use crate::issuer::{Issuer, Person};
use crate::lambda::{self, Lambda, LambdaError};
use crate::origin;
use crate::schedules::Schedules;
use crate::usage::Usage;
use crate::wire::Wire;
use crate::{seed, settings};

/// The latest time to which the clock can be moved, the year 9000. The calendar ends a thousand years later, because the
/// functions compute later times from the current one.
const LATEST: Timestamp = Timestamp::constant(221_845_392_000, 0);
/// How often the stack checks for due work.
const TICK_INTERVAL: Duration = Duration::from_secs(1);

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
    #[error("the data directory cannot be used: {0}")]
    Data(#[from] std::io::Error),
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
    #[error("the saved state cannot be read: {0}")]
    Saved(#[from] serde_json::Error),
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
    disk: Option<StateFiles>,
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
        let aws_config = AwsConfig {
            data_dir: data_dir.clone(),
            template: TEMPLATE,
            base_url: base_url.clone(),
            names: Names::new([("ConfigSecret", settings::SECRET_ID)]),
            parameters: vec![("MailIdentity", settings::mail_domain(&changes).to_owned())],
            zeptomail_token: Secret::new(settings::ZEPTOMAIL_TOKEN),
        };
        let aws = Aws::start(aws_config, clock.clone(), random.clone()).await?;
        let wire = Wire::new(faults.clone(), usage.clone(), clock.clone());
        let queue = |name: &str| aws.queues().url(name);
        let environment = settings::environment(
            &base_url,
            &queue("OutboxQueue"),
            &queue("OutboxBulkQueue"),
            &queue("OutboxDeadLetterQueue"),
        );
        let seed_environment = environment.clone();
        let environment = settings::with_overrides(environment, changes)?;
        let template = Template::parse(TEMPLATE)?;
        lambda::check_environment(&template, &environment)?;

        let seeded_marker = data_dir.as_ref().map(|dir| dir.join("seeded"));
        let fresh = seeded_marker.as_ref().is_none_or(|file| !file.exists());
        let base_secret = match fresh {
            true => settings::secrets(),
            false => stored_secret(&aws).await,
        };
        let secret = secret_changes.apply(base_secret);
        if fresh {
            // The seed data is loaded with the default secret, because a changed one may refuse this stack's tokens.
            aws.set_secret(settings::SECRET_ID, &settings::secrets().to_string()).await?;
        } else if !secret_changes.is_empty() {
            aws.set_secret(settings::SECRET_ID, &secret.to_string()).await?;
        }
        let issuer = Issuer::new(&base_url)?;
        let zoom_config = zoom_config(&base_url, settings::webhook_secret(&secret));
        let zoom = Zoom::new(zoom_config, clock.clone(), random.clone(), faults.of_deliveries());
        let disk = match data_dir {
            Some(dir) => {
                restore(&dir, &zoom, &clock)?;
                Some(StateFiles {
                    dir,
                    zoom: zoom.clone(),
                    clock: clock.clone(),
                    lock: Arc::default(),
                })
            }
            None => None,
        };
        let functions = Functions::new(&environment, &clock, &random);
        let lambda = Lambda::new(functions.clone(), &template, clock.clone(), usage.clone());
        let schedules = Schedules::new(lambda.clone(), clock.clone());
        let local = LocalState {
            environment,
            issuer: issuer.clone(),
            clock: clock.clone(),
            schedules: schedules.clone(),
            zoom: zoom.clone(),
            aws: aws.clone(),
            wire: wire.clone(),
            disk: disk.clone(),
            cloud_only,
        };
        let gateway =
            Gateway { lambda, clock: clock.clone(), usage: usage.clone(), zoom: zoom.clone() };
        let mut zoom_router = zoom.router();
        if let Some(disk) = &disk {
            zoom_router = zoom_router.layer(from_fn_with_state(disk.clone(), save_before_response));
        }
        let mut router = routes(local)
            .merge(Console::new(console_dir).router())
            .merge(wire.wrap(aws.services()))
            .merge(aws.inspection())
            .merge(faults.router())
            .merge(usage.router())
            .merge(wire.wrap(zoom_router));
        if !cloud_only {
            router = router.merge(
                Router::new()
                    .route("/v1/{*rest}", any(gateway::serve))
                    .route(WEBHOOK_ROUTE.path, any(gateway::serve))
                    .route("/webhook", any(gateway::function_url))
                    .with_state(gateway),
            );
        }
        let (seeded_sender, seeded_receiver) = watch::channel(!fresh);
        let router = router
            .layer(from_fn_with_state(seeded_receiver, wait_until_seeded))
            .layer(from_fn(origin::only_this_machine));
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
            disk,
            tasks: Vec::new(),
        };
        stack.run(async move {
            if let Err(error) = axum::serve(listener, router).await {
                tracing::error!(event = "stack.stopped", %error);
            }
        });
        if fresh {
            // The settings may name another issuer. This stack cannot sign its tokens.
            let functions = Functions::new(&seed_environment, &stack.clock, &random);
            seed::load(&functions, &issuer, &stack.clock).await?;
            if !secret_changes.is_empty() {
                stack.aws.set_secret(settings::SECRET_ID, &secret.to_string()).await?;
            }
            // Seeding invokes a function, so the usage meter is reset afterwards.
            stack.usage.reset();
            if let Some(file) = seeded_marker {
                std::fs::write(file, "")?;
            }
            seeded_sender.send_replace(true);
        }
        Ok(stack)
    }

    /// Starts to process due work every second: webhooks, schedules, time to live, and saving the state.
    pub fn tick(&mut self, cloud_only: bool) {
        let (zoom, schedules) = (self.zoom.clone(), self.schedules.clone());
        let (aws, wire, disk) = (self.aws.clone(), self.wire.clone(), self.disk.clone());
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
                    disk.save();
                }
            }
        });
    }

    /// Saves the state that is not in a database.
    pub fn save(&self) {
        if let Some(disk) = &self.disk {
            disk.save();
        }
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "this process does not freeze like a Lambda sandbox, and the stack aborts its tasks"
    )]
    fn run(&mut self, task: impl Future<Output = ()> + Send + 'static) {
        self.tasks.push(tokio::spawn(task));
    }
}

/// Restores the simulated Zoom and the offset of the clock.
fn restore(dir: &std::path::Path, zoom: &Zoom, clock: &Clock) -> Result<(), StackError> {
    let file = dir.join("zoom.json");
    if file.exists() {
        zoom.restore(serde_json::from_slice(&std::fs::read(file)?)?);
    }
    let file = dir.join("clock.json");
    if let (true, Clock::Manual(manual_clock)) = (file.exists(), clock) {
        manual_clock.advance(serde_json::from_slice(&std::fs::read(file)?)?);
    }
    Ok(())
}

/// The files with the state that is not in a database.
#[derive(Clone)]
struct StateFiles {
    dir: PathBuf,
    zoom: Zoom,
    clock: Clock,
    /// Serializes the writes, so that the last write contains the latest state.
    lock: Arc<Mutex<()>>,
}

impl StateFiles {
    fn save(&self) {
        let _writing = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
        write_state(&self.dir.join("zoom.json"), &self.zoom.snapshot());
        if let Clock::Manual(manual_clock) = &self.clock {
            write_state(&self.dir.join("clock.json"), &json!(manual_clock.offset()));
        }
    }
}

/// Saves the state of the simulated Zoom before it responds. A caller that stored a token or a meeting number from the
/// response must find it again, even if this process crashes.
async fn save_before_response(
    State(disk): State<StateFiles>,
    request: Request,
    next: Next,
) -> Response {
    let changes = request.method() != Method::GET || request.uri().path().ends_with("/token");
    let response = next.run(request).await;
    if changes {
        disk.save();
    }
    response
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

/// Writes to a temporary file first, so that a crash keeps the previous state.
fn write_state(file: &std::path::Path, state: &Value) {
    let temporary_file = file.with_extension("json.new");
    let saved = std::fs::write(&temporary_file, state.to_string())
        .and_then(|()| std::fs::rename(&temporary_file, file));
    if let Err(error) = saved {
        tracing::warn!(event = "stack.not_saved", %error);
    }
}

/// Returns the secret as it is stored.
async fn stored_secret(aws: &Aws) -> Value {
    let text = aws.secret(settings::SECRET_ID).await.unwrap_or_default();
    serde_json::from_str(&text).unwrap_or_else(|_| Value::from(text))
}

fn zoom_config(base_url: &str, webhook_secret: String) -> ZoomConfig {
    let mut app_scopes: Vec<String> =
        shared::domain::scope::REQUIRED.iter().map(|spellings| spellings[0].to_owned()).collect();
    app_scopes.extend(["meeting:read:meeting", "meeting:update:status"].map(str::to_owned));
    ZoomConfig {
        client_id: settings::ZOOM_CLIENT_ID.to_owned(),
        client_secret: settings::ZOOM_CLIENT_SECRET.to_owned(),
        webhook_secret,
        app_account_id: settings::APP_ACCOUNT_ID.to_owned(),
        redirect_uris: vec![format!("{base_url}/callback")],
        base_url: base_url.to_owned(),
        webhook_url: Some(format!("{base_url}/webhook")),
        app_scopes,
    }
}

/// The state of the routes that only a local stack has.
#[derive(Clone)]
struct LocalState {
    environment: Vec<(String, String)>,
    issuer: Issuer,
    clock: Clock,
    schedules: Schedules,
    zoom: Zoom,
    aws: Aws,
    wire: Wire,
    disk: Option<StateFiles>,
    cloud_only: bool,
}

fn routes(local: LocalState) -> Router {
    Router::new()
        .route("/local/tokens", post(token))
        .route(
            crate::issuer::JWKS_PATH,
            get(async |State(local): State<LocalState>| Json(local.issuer.jwks().clone())),
        )
        .route("/local/clock", get(read_clock).post(move_clock))
        .route("/local/config", get(config))
        .route(
            "/local/directory",
            get(async || Json(json!({ "items": seed::directory_commands() }))),
        )
        .route("/local/schedules/{function}/run", post(run_schedule))
        .with_state(local)
}

/// Returns an error of the stack's own routes.
fn error_response(status: StatusCode, error: impl ToString) -> Response {
    (status, Json(json!({"error": error.to_string()}))).into_response()
}

async fn token(State(local): State<LocalState>, body: Bytes) -> Response {
    let person: Person = match serde_json::from_slice(&body) {
        Ok(person) => person,
        Err(error) => return error_response(StatusCode::UNPROCESSABLE_ENTITY, error),
    };
    match local.issuer.token(&person, local.clock.now()) {
        Ok(token) => Json(json!({"token": token})).into_response(),
        Err(error) => error_response(StatusCode::INTERNAL_SERVER_ERROR, error),
    }
}

async fn read_clock(State(local): State<LocalState>) -> Json<Value> {
    Json(json!({"now": local.clock.now()}))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ClockChange {
    /// A duration such as `7h10m`.
    advance: Option<String>,
    now: Option<Timestamp>,
}

/// Moves the clock, and completes the work that is then due before it responds.
///
/// The content type is ignored because `curl -d` sends that of a form.
async fn move_clock(State(local): State<LocalState>, body: Bytes) -> Response {
    let change: ClockChange = match serde_json::from_slice(&body) {
        Ok(change) => change,
        Err(error) => return error_response(StatusCode::UNPROCESSABLE_ENTITY, error),
    };
    let Clock::Manual(manual_clock) = &local.clock else {
        return error_response(StatusCode::CONFLICT, "this stack uses the system's clock");
    };
    let target = match (change.advance, change.now) {
        (Some(by), None) => match by.parse::<SignedDuration>() {
            Ok(by) => manual_clock.now().checked_add(by).ok(),
            Err(error) => return error_response(StatusCode::UNPROCESSABLE_ENTITY, error),
        },
        (None, Some(now)) => Some(now),
        _ => return error_response(StatusCode::UNPROCESSABLE_ENTITY, "give either advance or now"),
    };
    match target.filter(|target| (Timestamp::UNIX_EPOCH..=LATEST).contains(target)) {
        Some(target) => manual_clock.set(target),
        None => {
            let range = format!("the clock goes from {} to {LATEST}", Timestamp::UNIX_EPOCH);
            return error_response(StatusCode::UNPROCESSABLE_ENTITY, range);
        }
    }
    local.wire.run_deferred_calls().await;
    local.zoom.deliver_due().await;
    if !local.cloud_only {
        local.schedules.run_due().await;
    }
    if let Some(disk) = &local.disk {
        disk.save();
    }
    Json(json!({"now": local.clock.now()})).into_response()
}

async fn config(State(local): State<LocalState>) -> Json<Value> {
    let environment: serde_json::Map<_, _> = local
        .environment
        .iter()
        .map(|(name, value)| (name.clone(), Value::from(value.as_str())))
        .collect();
    Json(json!({"environment": environment, "secrets": stored_secret(&local.aws).await}))
}

async fn run_schedule(State(local): State<LocalState>, Path(function): Path<String>) -> Response {
    match local.schedules.run(&function).await {
        Ok(report) => Json(report).into_response(),
        Err(error @ LambdaError::Invoke(InvokeError::UnknownFunction(_))) => {
            error_response(StatusCode::NOT_FOUND, error)
        }
        Err(error) => error_response(StatusCode::BAD_GATEWAY, error),
    }
}
