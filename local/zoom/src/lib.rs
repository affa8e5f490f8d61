//! A simulated Zoom that keeps state, uses the stack's clock and is as strict as the real one.
//!
//! | path | purpose | module |
//! |---|---|---|
//! | `/zoom/oauth` | consent page, tokens, revocation | `consent`, `oauth` |
//! | `/zoom/v2` | meetings | `meetings`, `listing`, `registrants`, `past`, `recordings` |
//! | `/zoom/v2` | users and licences | `users`, `join_tokens`, `accounts`, `licences` |
//! | `/zoom/sim` | actions of people, inspection | `sim`, `sim_users`, `participants`, `views` |
//! | `/zoom/sim/knobs` | simulator settings | `settings` |
//!
//! There are several Zoom accounts: the app's own, the default other one, and those that users get when they leave an
//! account. `apps` describes the two apps that call the API.
//!
//! `events` builds webhook bodies, `webhook_queue` stores them, and `webhooks` delivers them. All access to the state goes through
//! `context::Context`, which exists only while the single lock is held, so code with a context never awaits. Comments
//! that start with "Zoom:" quote Zoom's rules.
//!
//! Events caused by the app's own requests wait for the next [`Zoom::deliver_due`], because the real Zoom responds
//! before it sends a webhook. Events caused by `/zoom/sim` are sent before its response.

mod accounts;
mod apps;
pub mod calls;
mod consent;
mod context;
mod delivery_fault;
mod events;
mod fields;
mod ids;
mod join_tokens;
mod licences;
mod listing;
mod meeting_fields;
mod meetings;
mod oauth;
mod participants;
mod past;
mod recording_list;
mod recordings;
mod registrants;
mod responses;
mod schedule;
mod scopes;
mod settings;
mod sim;
mod sim_error;
mod sim_users;
mod state;
mod user_events;
mod user_fields;
mod user_refusals;
mod users;
mod views;
mod webhook_queue;
mod webhooks;

#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::extract::OriginalUri;
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get, patch, post, put};
use http::StatusCode;
use serde_json::Value;
use shared::clock::Clock;
use shared::random::Random;

pub use self::accounts::{APP_USER, OTHER_ACCOUNT, OTHER_USER};
pub use self::apps::{App, ServerApp};
use self::context::Context;
pub use self::delivery_fault::{DeliveryFault, DeliveryFaults};
use self::responses::ApiError;
pub use self::scopes::server_scopes;
pub use self::settings::{
    AccountSettingsUpdate, Plan, Qps, RegistrantLimits, RegistrantLimitsUpdate, ServerAppSettings,
    ServerAppSettingsUpdate, Settings, SettingsUpdate, TimeSpelling, UserRules, UserRulesUpdate,
    WebhookSettings, WebhookSettingsUpdate,
};
pub use self::state::Counts;
use self::state::ZoomState;
pub use self::webhooks::{EVENTS, sign_webhook};

/// The app's registration at Zoom.
#[derive(Clone)]
pub struct ZoomConfig {
    pub client_id: String,
    pub client_secret: String,
    pub webhook_secret: String,
    /// The app's own Zoom account.
    pub app_account_id: String,
    pub redirect_uris: Vec<String>,
    /// Base URL of this Zoom without a trailing slash, such as `http://localhost:4000`.
    pub base_url: String,
    /// Without a URL, events are recorded but not sent.
    pub webhook_url: Option<String>,
    /// The scopes on the consent page.
    pub app_scopes: Vec<String>,
    /// The Server-to-Server app, which has its own client id, secrets and scopes.
    pub server_app: Option<ServerApp>,
}

impl fmt::Debug for ZoomConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ZoomConfig")
            .field("client_id", &self.client_id)
            .field("base_url", &self.base_url)
            .finish_non_exhaustive()
    }
}

/// The simulated Zoom. Clones share their state.
#[derive(Clone)]
pub struct Zoom {
    inner: Arc<Inner>,
}

struct Inner {
    config: ZoomConfig,
    clock: Clock,
    random: Random,
    faults: DeliveryFaults,
    state: Mutex<ZoomState>,
    /// Counts the changes of the state.
    revision: AtomicU64,
    /// Held during a delivery run.
    delivery_lock: tokio::sync::Mutex<()>,
    http: reqwest::Client,
}

impl fmt::Debug for Zoom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Zoom").field("config", &self.inner.config).finish_non_exhaustive()
    }
}

impl Zoom {
    pub fn new(config: ZoomConfig, clock: Clock, random: Random, faults: DeliveryFaults) -> Self {
        let inner = Inner {
            config,
            clock,
            random,
            faults,
            state: Mutex::default(),
            revision: AtomicU64::default(),
            delivery_lock: tokio::sync::Mutex::default(),
            http: http_client(),
        };
        let zoom = Self { inner: Arc::new(inner) };
        zoom.with_context(|context| context.create_default_users());
        zoom
    }

    /// Sets the person at the browser that opens the consent page with `state`, so that each trainer has their own Zoom
    /// user. The real Zoom identifies the user by a cookie.
    pub fn set_browser_user(&self, state: &str, person: &str) {
        self.with_context(|context| {
            context.state.browsers.insert(state.to_owned(), person.to_owned())
        });
    }

    /// Serves everything under `/zoom/oauth`, `/zoom/v2` and `/zoom/sim`.
    pub fn router(&self) -> Router {
        let oauth = Router::new()
            .route("/zoom/oauth/authorize", get(consent::show).post(consent::decide))
            .route("/zoom/oauth/token", post(oauth::token))
            .route("/zoom/oauth/revoke", post(oauth::revoke));
        let rest = Router::new()
            .route("/zoom/v2/users", get(users::list).post(users::create))
            .route(
                "/zoom/v2/users/{user}",
                get(users::get).patch(users::update).delete(users::delete),
            )
            .route("/zoom/v2/users/{user}/status", put(users::set_status))
            .route("/zoom/v2/users/{user}/token", get(join_tokens::token))
            .route("/zoom/v2/users/{user}/recordings", get(recording_list::recordings))
            .route("/zoom/v2/accounts/{account}/plans/usage", get(licences::plan_usage))
            .route("/zoom/v2/users/{user}/meetings", get(listing::meetings).post(meetings::create))
            .route(
                "/zoom/v2/meetings/{meeting}",
                patch(meetings::update).get(meetings::get).delete(meetings::delete),
            )
            .route("/zoom/v2/meetings/{meeting}/status", put(meetings::set_status))
            .route("/zoom/v2/meetings/{meeting}/recordings", get(past::recordings))
            .route(
                "/zoom/v2/meetings/{meeting}/registrants",
                get(registrants::list).post(registrants::create),
            )
            .route("/zoom/v2/past_meetings/{meeting}", get(past::details))
            .route("/zoom/v2/past_meetings/{meeting}/instances", get(past::instances))
            .route("/zoom/v2/past_meetings/{meeting}/participants", get(past::participants))
            .route("/zoom/v2/report/meetings/{meeting}/participants", get(past::report))
            .route("/zoom/v2/{*rest}", any(unknown_path));
        let sim = Router::new()
            .route("/zoom/sim/meetings", get(sim::meetings))
            .route(
                "/zoom/sim/meetings/{id}",
                get(sim::meeting).patch(sim::edit).delete(sim::delete),
            )
            .route("/zoom/sim/meetings/{id}/start", post(sim::start))
            .route("/zoom/sim/meetings/{id}/end", post(sim::end))
            .route("/zoom/sim/meetings/{id}/join", post(sim::join))
            .route("/zoom/sim/meetings/{id}/leave", post(sim::leave))
            .route("/zoom/sim/meetings/{id}/kill", post(sim::kill))
            .route("/zoom/sim/meetings/{id}/room-move", post(sim::room_move))
            .route("/zoom/sim/meetings/{id}/wait", post(sim::wait))
            .route("/zoom/sim/meetings/{id}/admit", post(sim::admit))
            .route("/zoom/sim/meetings/{id}/put-in-waiting-room", post(sim::put_in_waiting_room))
            .route("/zoom/sim/meetings/{id}/bind", post(sim::bind))
            .route("/zoom/sim/meetings/{id}/recording", post(sim::recording))
            .route("/zoom/sim/meetings/{id}/companion", post(sim::companion))
            .route("/zoom/sim/users", get(sim_users::list).post(sim_users::create))
            .route("/zoom/sim/users/{user}/accept", post(sim_users::accept))
            .route("/zoom/sim/users/{user}/expire", post(sim_users::expire))
            .route("/zoom/sim/deauthorize", post(sim::deauthorize))
            .route("/zoom/sim/deactivate", post(sim::deactivate))
            .route("/zoom/sim/expire-tokens", post(sim::expire_tokens))
            .route("/zoom/sim/knobs", get(sim::settings).post(sim::update_settings))
            .route("/zoom/sim/counts", get(sim::counts))
            .route("/zoom/sim/webhooks", get(sim::webhooks))
            .route("/zoom/sim/webhooks/deliver", post(sim::deliver))
            .route("/zoom/sim/validate-url", post(sim::validate_url));
        oauth.merge(rest).merge(sim).with_state(self.clone())
    }

    /// Returns the request counts.
    pub fn counts(&self) -> Counts {
        self.inspect(|context| context.state.counts.clone())
    }

    /// Returns how many refresh tokens were exchanged.
    pub fn token_refreshes(&self) -> u64 {
        self.counts().token_refreshes
    }

    /// Returns a meeting in the form of `GET /zoom/sim/meetings/{id}`, even if it was deleted.
    pub fn meeting(&self, id: i64) -> Option<Value> {
        self.inspect(|context| context.state.meetings.get(&id).map(|it| context.meeting_view(it)))
    }

    /// Returns all meetings, including deleted ones.
    pub fn meetings(&self) -> Vec<Value> {
        self.inspect(|context| {
            let meetings = context.state.meetings.values();
            meetings.map(|meeting| context.meeting_view(meeting)).collect()
        })
    }

    /// Returns the users of all accounts in the form of `GET /zoom/sim/users`.
    pub fn users(&self) -> Vec<Value> {
        self.inspect(|context| {
            context.state.users.values().map(|user| context.user_view(user)).collect()
        })
    }

    /// Returns all webhooks with their attempts, oldest first.
    pub fn webhooks(&self) -> Vec<Value> {
        self.inspect(|context| context.state.webhook_queue.log())
    }

    pub fn settings(&self) -> Settings {
        self.inspect(|context| context.state.settings.clone())
    }

    /// Updates the simulator settings. Absent fields are unchanged.
    pub fn update_settings(&self, update: SettingsUpdate) {
        self.with_context(|context| context.update_settings(update));
    }

    /// Expires all access tokens. Refresh tokens stay valid.
    pub fn expire_access_tokens(&self) {
        self.expire_tokens(None);
    }

    /// Expires the access tokens of one app, or of both.
    pub fn expire_tokens(&self, app: Option<App>) {
        self.with_context(|context| {
            for token in context.state.access_tokens.values_mut() {
                if app.is_none_or(|app| token.holder.app() == app) {
                    token.expires_at = token.expires_at.min(context.now);
                }
            }
        });
    }

    /// Returns the number of changes so far. An equal number means an equal state.
    pub fn revision(&self) -> u64 {
        self.inner.revision.load(Ordering::SeqCst)
    }

    /// Returns the whole state, without the log of finished webhooks, and its revision.
    pub fn snapshot_with_revision(&self) -> (Value, u64) {
        self.inspect(|context| {
            (serde_json::to_value(&*context.state).unwrap_or_default(), self.revision())
        })
    }

    /// Returns the whole state, without the log of finished webhooks.
    pub fn snapshot(&self) -> Value {
        self.snapshot_with_revision().0
    }

    /// Replaces the state by a snapshot.
    pub fn restore(&self, snapshot: Value) -> Result<(), serde_json::Error> {
        let state = serde_json::from_value(snapshot)?;
        self.with_context(|context| {
            *context.state = state;
            // A state of an older version has no owner.
            context.create_owner();
        });
        Ok(())
    }

    /// Returns to the state of a new Zoom.
    pub fn reset(&self) {
        self.with_context(|context| {
            *context.state = ZoomState::default();
            context.create_default_users();
        });
    }

    /// Runs `act` with exclusive access to the state, which then counts as changed. `act` cannot await, so the lock is
    /// held only briefly.
    fn with_context<T>(&self, act: impl FnOnce(&mut Context<'_>) -> T) -> T {
        self.enter(true, act)
    }

    /// Runs `read` on the state, which does not count as changed.
    fn inspect<T>(&self, read: impl FnOnce(&Context<'_>) -> T) -> T {
        self.enter(false, |context| read(context))
    }

    fn enter<T>(&self, changes: bool, act: impl FnOnce(&mut Context<'_>) -> T) -> T {
        let inner = &*self.inner;
        let mut state = inner.state.lock().unwrap_or_else(PoisonError::into_inner);
        let Inner { config, random, faults, .. } = inner;
        let mut context =
            Context { state: &mut state, config, random, faults, now: inner.clock.now() };
        let removed = context.remove_killed_clients();
        let ended = context.end_meetings_without_licence();
        if changes || removed || ended {
            inner.revision.fetch_add(1, Ordering::SeqCst);
        }
        act(&mut context)
    }
}

/// Zoom sends one error for a meeting path that is broken by a slash, and another for any other unknown path.
async fn unknown_path(OriginalUri(uri): OriginalUri) -> Response {
    let path = uri.path().trim_start_matches("/zoom/v2");
    if path.starts_with("/meetings/") || path.starts_with("/past_meetings/") {
        let meeting = path.split('/').nth(2).unwrap_or_default();
        return ApiError::no_such_meeting(meeting).into_response();
    }
    let message = "This API endpoint is not recognized.";
    ApiError::new(StatusCode::NOT_FOUND, 2300, message).into_response()
}

/// Zoom's client follows no redirects and waits 3 seconds.
#[expect(clippy::disallowed_methods, reason = "Zoom must not share connections with the service")]
fn http_client() -> reqwest::Client {
    // reqwest is built without a default TLS provider and panics without an explicit one.
    let tls = rustls::ClientConfig::builder_with_provider(Arc::new(
        rustls::crypto::ring::default_provider(),
    ))
    .with_safe_default_protocol_versions()
    .map(|builder| {
        builder.with_root_certificates(rustls::RootCertStore::empty()).with_no_client_auth()
    });
    let builder = reqwest::Client::builder()
        .timeout(webhooks::RESPONSE_TIMEOUT)
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy();
    let builder = match tls {
        Ok(tls) => builder.tls_backend_preconfigured(tls),
        Err(_) => builder,
    };
    builder.build().unwrap_or_default()
}
