//! The whole stack on one port: starting it, its routes, its clock.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{Path, Request, State};
use axum::http::{Method, StatusCode};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get, post};
use axum::{Json, Router};
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde_json::{Value, json};
use shared::clock::Clock;
use shared::random::Random;
use shared::secret::Secret;
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::aws::names::Names;
use crate::aws::{Aws, AwsConfig};
use crate::calls::AWS_PATH;
use crate::console::Console;
use crate::faults::Faults;
use crate::functions::{Functions, InvokeError};
use crate::gateway::{self, Gateway};
use crate::issuer::{Issuer, Person};
use crate::schedules::Schedules;
use crate::usage::Usage;
use crate::zoom::{Zoom, ZoomConfig};
use crate::{seed, settings};

/// What is deployed is what runs here: the tables and queues are made from the template itself.
pub const TEMPLATE: &str = include_str!("../../template.yaml");
/// How often the stack looks whether something is due by its clock.
const TICK: Duration = Duration::from_secs(1);

/// How to start a stack.
#[derive(Debug)]
pub struct Options {
    /// 0 takes a free one.
    pub port: u16,
    pub data_dir: Option<PathBuf>,
    /// Variables of the functions with another value than `settings::environment` says, or with none.
    pub settings: Vec<(String, String)>,
    /// Whether the functions are left out, to be run by other tools against this stack.
    pub cloud_only: bool,
    /// Where the console's files are read from, to work on them; the binary's own without it.
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
    Setting(#[from] settings::UnknownSetting),
    #[error("the AWS services did not start: {0}")]
    Aws(#[from] crate::aws::StartError),
    #[error(transparent)]
    Secret(#[from] crate::aws::SecretError),
    #[error(transparent)]
    Issuer(#[from] crate::issuer::IssuerError),
    #[error(transparent)]
    Seed(#[from] InvokeError),
    #[error("the saved state cannot be read: {0}")]
    Saved(#[from] serde_json::Error),
}

/// A running stack. It ends when this is dropped.
pub struct Stack {
    pub base_url: String,
    pub clock: Clock,
    pub aws: Aws,
    pub zoom: Zoom,
    pub usage: Usage,
    pub faults: Faults,
    pub functions: Arc<Functions>,
    pub schedules: Schedules,
    disk: Option<Disk>,
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
        let listener = TcpListener::bind(("127.0.0.1", port))
            .await
            .map_err(|source| StackError::Port { port, source })?;
        let base_url = format!("http://localhost:{}", listener.local_addr()?.port());
        let (faults, usage) = (Faults::default(), Usage::new(clock.clone()));
        let aws_config = AwsConfig {
            data_dir: data_dir.clone(),
            template: TEMPLATE,
            base_url: base_url.clone(),
            names: Names::default(),
            zeptomail_token: Secret::new(settings::ZEPTOMAIL_TOKEN),
        };
        let aws =
            Aws::start(aws_config, clock.clone(), random.clone(), faults.clone(), usage.clone())
                .await?;
        let queue = |name: &str| aws.queues().url(name);
        let environment = settings::environment(
            &base_url,
            &queue("OutboxQueue"),
            &queue("OutboxDeadLetterQueue"),
        );
        let environment = settings::changed(environment, changes)?;

        let planted = data_dir.as_ref().map(|dir| dir.join("planted"));
        let fresh = planted.as_ref().is_none_or(|file| !file.exists());
        if fresh {
            aws.set_secret(settings::SECRET_ID, &settings::secrets().to_string()).await?;
        }
        let issuer = Issuer::new(&base_url)?;
        let zoom = Zoom::new(zoom_config(&base_url), clock.clone(), random.clone());
        let disk = match data_dir {
            Some(dir) => {
                restore(&dir, &zoom, &clock)?;
                Some(Disk { dir, zoom: zoom.clone(), clock: clock.clone(), lock: Arc::default() })
            }
            None => None,
        };
        let functions = Functions::new(&environment, &clock, &random);
        let schedules = Schedules::new(functions.clone(), clock.clone(), usage.clone());
        let local = Local {
            environment,
            issuer: issuer.clone(),
            clock: clock.clone(),
            schedules: schedules.clone(),
            zoom: zoom.clone(),
            disk: disk.clone(),
            cloud_only,
        };
        let gateway = Gateway {
            functions: functions.clone(),
            clock: clock.clone(),
            usage: usage.clone(),
            zoom: zoom.clone(),
        };
        let mut zoom_router = zoom.router();
        if let Some(disk) = &disk {
            zoom_router = zoom_router.layer(from_fn_with_state(disk.clone(), save_first));
        }
        let mut router = routes(local)
            .merge(Console::new(console_dir).router())
            .merge(aws.router())
            .merge(faults.router())
            .merge(usage.router())
            .merge(aws.wire().around(zoom_router));
        if !cloud_only {
            router = router.merge(
                Router::new()
                    .route("/v1/{*rest}", any(gateway::serve))
                    .route("/webhook", any(gateway::function_url))
                    .with_state(gateway),
            );
        }
        let (planted_yet, is_planted) = watch::channel(!fresh);
        let router = router.layer(from_fn_with_state(is_planted, when_planted));
        let mut stack = Self {
            base_url,
            clock,
            aws,
            zoom,
            usage,
            faults,
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
            // Through the functions and the services, like everything; and off the meter, since nobody asked for it.
            seed::plant(&stack.functions, &issuer, &stack.clock).await?;
            stack.usage.reset();
            if let Some(file) = planted {
                std::fs::write(file, "")?;
            }
            planted_yet.send_replace(true);
        }
        Ok(stack)
    }

    /// Lets time pass: what is due by the clock happens without being asked, second by second.
    pub fn tick(&mut self, cloud_only: bool) {
        let (zoom, schedules) = (self.zoom.clone(), self.schedules.clone());
        let (aws, disk) = (self.aws.clone(), self.disk.clone());
        self.run(async move {
            let mut interval = tokio::time::interval(TICK);
            loop {
                interval.tick().await;
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

    /// Writes down what is not in a database, for the next start in the same directory.
    pub fn save(&self) {
        if let Some(disk) = &self.disk {
            disk.save();
        }
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "this process is no sandbox that freezes, and the stack ends its tasks"
    )]
    fn run(&mut self, task: impl Future<Output = ()> + Send + 'static) {
        self.tasks.push(tokio::spawn(task));
    }
}

/// The simulated Zoom as it was, and the clock as far ahead as it was.
fn restore(dir: &std::path::Path, zoom: &Zoom, clock: &Clock) -> Result<(), StackError> {
    let file = dir.join("zoom.json");
    if file.exists() {
        zoom.restore(serde_json::from_slice(&std::fs::read(file)?)?);
    }
    let file = dir.join("clock.json");
    if let (true, Clock::Manual(hands)) = (file.exists(), clock) {
        hands.advance(serde_json::from_slice(&std::fs::read(file)?)?);
    }
    Ok(())
}

/// Where what is in no database is written down.
#[derive(Clone)]
struct Disk {
    dir: PathBuf,
    zoom: Zoom,
    clock: Clock,
    /// One writes at a time, and what is written last is what was so last.
    lock: Arc<Mutex<()>>,
}

impl Disk {
    fn save(&self) {
        let _writing = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
        write(&self.dir.join("zoom.json"), &self.zoom.snapshot());
        if let Clock::Manual(hands) = &self.clock {
            write(&self.dir.join("clock.json"), &json!(hands.ahead()));
        }
    }
}

/// What Zoom was told is on the disk before it answers, as it is with the real one: whoever got the answer and stored what
/// follows from it, as a token or a meeting's number, must find it again, however this process ends.
async fn save_first(State(disk): State<Disk>, request: Request, next: Next) -> Response {
    let changes = request.method() != Method::GET || request.uri().path().ends_with("/token");
    let answer = next.run(request).await;
    if changes {
        disk.save();
    }
    answer
}

/// Whoever comes while the starting data is being told waits for it; those who tell it do not. Its token would not bear the
/// clock's being moved meanwhile.
async fn when_planted(
    State(mut planted): State<watch::Receiver<bool>>,
    request: Request,
    next: Next,
) -> Response {
    let path = request.uri().path();
    if !path.starts_with(AWS_PATH) && path != crate::issuer::JWKS_PATH {
        // An error means that the stack did not start, and then this goes nowhere.
        let _ = planted.wait_for(|planted| *planted).await;
    }
    next.run(request).await
}

/// Written beside and moved into place, so that being stopped in the middle leaves the state before.
fn write(file: &std::path::Path, state: &Value) {
    let beside = file.with_extension("json.new");
    let saved =
        std::fs::write(&beside, state.to_string()).and_then(|()| std::fs::rename(&beside, file));
    if let Err(error) = saved {
        tracing::warn!(event = "stack.not_saved", %error);
    }
}

fn zoom_config(base_url: &str) -> ZoomConfig {
    let mut app_scopes: Vec<String> =
        shared::domain::scope::REQUIRED.iter().map(|spellings| spellings[0].to_owned()).collect();
    app_scopes.extend(["meeting:read:meeting", "meeting:update:status"].map(str::to_owned));
    ZoomConfig {
        client_id: settings::ZOOM_CLIENT_ID.to_owned(),
        client_secret: settings::ZOOM_CLIENT_SECRET.to_owned(),
        webhook_secret: settings::WEBHOOK_SECRET.to_owned(),
        app_account_id: settings::APP_ACCOUNT_ID.to_owned(),
        redirect_uris: vec![format!("{base_url}/callback")],
        base_url: base_url.to_owned(),
        webhook_url: Some(format!("{base_url}/webhook")),
        app_scopes,
    }
}

/// What only a local stack has.
#[derive(Clone)]
struct Local {
    environment: Vec<(String, String)>,
    issuer: Issuer,
    clock: Clock,
    schedules: Schedules,
    zoom: Zoom,
    disk: Option<Disk>,
    cloud_only: bool,
}

fn routes(local: Local) -> Router {
    Router::new()
        .route("/local/tokens", post(token))
        .route(
            crate::issuer::JWKS_PATH,
            get(async |State(local): State<Local>| Json(local.issuer.jwks().clone())),
        )
        .route("/local/clock", get(read_clock).post(move_clock))
        .route("/local/config", get(config))
        .route("/local/directory", get(async || Json(json!({ "items": seed::statements() }))))
        .route("/local/schedules/{function}/run", post(run_schedule))
        .with_state(local)
}

/// A refusal of the stack's own routes.
fn refused(status: StatusCode, error: impl ToString) -> Response {
    (status, Json(json!({"error": error.to_string()}))).into_response()
}

async fn token(State(local): State<Local>, body: Bytes) -> Response {
    let person: Person = match serde_json::from_slice(&body) {
        Ok(person) => person,
        Err(error) => return refused(StatusCode::UNPROCESSABLE_ENTITY, error),
    };
    match local.issuer.token(&person, local.clock.now()) {
        Ok(token) => Json(json!({"token": token})).into_response(),
        Err(error) => refused(StatusCode::INTERNAL_SERVER_ERROR, error),
    }
}

async fn read_clock(State(local): State<Local>) -> Json<Value> {
    Json(json!({"now": local.clock.now()}))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Move {
    /// As in `7h10m`.
    advance: Option<String>,
    now: Option<Timestamp>,
}

/// Moves the clock, and lets happen what has become due by it before answering.
///
/// Whatever the body is said to be, it is read as JSON: `curl -d` says that it is a form.
async fn move_clock(State(local): State<Local>, body: Bytes) -> Response {
    let wanted: Move = match serde_json::from_slice(&body) {
        Ok(wanted) => wanted,
        Err(error) => return refused(StatusCode::UNPROCESSABLE_ENTITY, error),
    };
    let Clock::Manual(hands) = &local.clock else {
        return refused(StatusCode::CONFLICT, "this clock is the system's");
    };
    match (wanted.advance, wanted.now) {
        (Some(by), None) => match by.parse::<SignedDuration>() {
            Ok(by) => hands.advance(by),
            Err(error) => return refused(StatusCode::UNPROCESSABLE_ENTITY, error),
        },
        (None, Some(now)) => hands.set(now),
        _ => return refused(StatusCode::UNPROCESSABLE_ENTITY, "say either advance or now"),
    }
    local.zoom.deliver_due().await;
    if !local.cloud_only {
        local.schedules.run_due().await;
    }
    if let Some(disk) = &local.disk {
        disk.save();
    }
    Json(json!({"now": local.clock.now()})).into_response()
}

async fn config(State(local): State<Local>) -> Json<Value> {
    let environment: serde_json::Map<_, _> = local
        .environment
        .iter()
        .map(|(name, value)| (name.clone(), Value::from(value.as_str())))
        .collect();
    Json(json!({"environment": environment, "secrets": settings::secrets()}))
}

async fn run_schedule(State(local): State<Local>, Path(function): Path<String>) -> Response {
    match local.schedules.run(&function).await {
        Ok(report) => Json(report).into_response(),
        Err(error @ InvokeError::NoSuchFunction(_)) => refused(StatusCode::NOT_FOUND, error),
        Err(error) => refused(StatusCode::BAD_GATEWAY, error),
    }
}
