//! A Zoom of one's own: it keeps state, tells time by the clock it is given, and is as strict as the real one.
//!
//! | under | does | file |
//! |---|---|---|
//! | `/zoom/oauth` | consent page, tokens, revocation | `consent`, `oauth` |
//! | `/zoom/v2` | meetings, users, what is left of a meeting | `meetings`, `listing`, `users`, `past`, `recordings` |
//! | `/zoom/sim` | acting as people, turning knobs, looking in | `sim`, `people`, `views`, `knobs` |
//!
//! What happens is told to the webhook endpoint (`events` says what, `webhooks` how). Everything goes through
//! `desk::Desk`, which exists only while the one lock is held; nothing waits while it does. Zoom's rules are quoted
//! where they are kept, as "Zoom: …".
//!
//! Events that follow from the app's own requests wait for the next [`Zoom::deliver_due`], as a real Zoom would not
//! call back before it has answered. Events that follow from `/zoom/sim` are sent before that answers.

mod answers;
mod consent;
mod desk;
mod events;
mod fields;
mod ids;
mod knobs;
mod listing;
mod meeting_fields;
mod meetings;
mod memory;
mod oauth;
mod past;
mod people;
mod recordings;
mod schedule;
mod scopes;
mod sim;
mod users;
mod views;
mod webhooks;

#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::extract::OriginalUri;
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get, patch, post, put};
use http::StatusCode;
use serde_json::Value;
use shared::clock::Clock;
use shared::random::Random;

use self::answers::Refusal;
use self::desk::Desk;
pub use self::knobs::{AccountTurn, Knobs, Qps, Turn, WebhookKnobs, WebhookTurn};
use self::memory::Memory;
pub use self::memory::{Counts, Plan};
pub use self::users::{APP_USER, OTHER_ACCOUNT, OTHER_USER};
pub use self::webhooks::sign_webhook;

/// What the app and Zoom agreed on.
#[derive(Clone)]
pub struct ZoomConfig {
    pub client_id: String,
    pub client_secret: String,
    pub webhook_secret: String,
    /// The app's own Zoom account.
    pub app_account_id: String,
    pub redirect_uris: Vec<String>,
    /// Where this Zoom is reached, without a slash at the end: `http://localhost:4000`.
    pub base_url: String,
    /// Without one, events are remembered and not sent.
    pub webhook_url: Option<String>,
    /// What the consent page asks for.
    pub app_scopes: Vec<String>,
}

impl fmt::Debug for ZoomConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ZoomConfig")
            .field("client_id", &self.client_id)
            .field("base_url", &self.base_url)
            .finish_non_exhaustive()
    }
}

/// The simulated Zoom. Clones are the same one.
#[derive(Clone)]
pub struct Zoom {
    inner: Arc<Inner>,
}

struct Inner {
    config: ZoomConfig,
    clock: Clock,
    random: Random,
    memory: Mutex<Memory>,
    /// One round of deliveries at a time.
    round: tokio::sync::Mutex<()>,
    http: reqwest::Client,
}

impl fmt::Debug for Zoom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Zoom").field("config", &self.inner.config).finish_non_exhaustive()
    }
}

impl Zoom {
    pub fn new(config: ZoomConfig, clock: Clock, random: Random) -> Self {
        let inner = Inner {
            config,
            clock,
            random,
            memory: Mutex::default(),
            round: tokio::sync::Mutex::default(),
            http: http_client(),
        };
        let zoom = Self { inner: Arc::new(inner) };
        zoom.at_desk(|desk| desk.open());
        zoom
    }

    /// Tells who sits at the browser that will open the consent page with `state`: each trainer has a Zoom user of
    /// their own, as in life, where a cookie says so.
    pub fn at_browser(&self, state: &str, person: &str) {
        self.at_desk(|desk| desk.memory.browsers.insert(state.to_owned(), person.to_owned()));
    }

    /// Serves everything under `/zoom/oauth`, `/zoom/v2` and `/zoom/sim`.
    pub fn router(&self) -> Router {
        let oauth = Router::new()
            .route("/zoom/oauth/authorize", get(consent::show).post(consent::decide))
            .route("/zoom/oauth/token", post(oauth::token))
            .route("/zoom/oauth/revoke", post(oauth::revoke));
        let rest = Router::new()
            .route("/zoom/v2/users", post(users::create))
            .route("/zoom/v2/users/{user}", get(users::get).patch(users::update))
            .route("/zoom/v2/users/{user}/status", put(users::set_status))
            .route("/zoom/v2/users/{user}/token", get(users::token))
            .route("/zoom/v2/users/{user}/meetings", get(listing::meetings).post(meetings::create))
            .route(
                "/zoom/v2/meetings/{meeting}",
                patch(meetings::update).get(meetings::get).delete(meetings::delete),
            )
            .route("/zoom/v2/meetings/{meeting}/status", put(meetings::set_status))
            .route("/zoom/v2/meetings/{meeting}/recordings", get(past::recordings))
            .route("/zoom/v2/past_meetings/{meeting}/participants", get(past::participants))
            .route("/zoom/v2/report/meetings/{meeting}/participants", get(past::report))
            .route("/zoom/v2/{*rest}", any(nothing_here));
        let sim = Router::new()
            .route("/zoom/sim/meetings", get(sim::meetings))
            .route("/zoom/sim/meetings/{id}", get(sim::meeting).delete(sim::delete))
            .route("/zoom/sim/meetings/{id}/start", post(sim::start))
            .route("/zoom/sim/meetings/{id}/end", post(sim::end))
            .route("/zoom/sim/meetings/{id}/join", post(sim::join))
            .route("/zoom/sim/meetings/{id}/leave", post(sim::leave))
            .route("/zoom/sim/meetings/{id}/kill", post(sim::kill))
            .route("/zoom/sim/meetings/{id}/room-move", post(sim::room_move))
            .route("/zoom/sim/meetings/{id}/recording", post(sim::recording))
            .route("/zoom/sim/deauthorize", post(sim::deauthorize))
            .route("/zoom/sim/deactivate", post(sim::deactivate))
            .route("/zoom/sim/expire-tokens", post(sim::expire_tokens))
            .route("/zoom/sim/knobs", get(sim::knobs).post(sim::turn_knobs))
            .route("/zoom/sim/counts", get(sim::counts))
            .route("/zoom/sim/webhooks", get(sim::webhooks))
            .route("/zoom/sim/webhooks/deliver", post(sim::deliver))
            .route("/zoom/sim/validate-url", post(sim::validate_url));
        oauth.merge(rest).merge(sim).with_state(self.clone())
    }

    /// How often what was asked so far.
    pub fn counts(&self) -> Counts {
        self.at_desk(|desk| desk.memory.counts.clone())
    }

    /// Refresh tokens exchanged so far.
    pub fn token_refreshes(&self) -> u64 {
        self.counts().token_refreshes
    }

    /// A meeting as `GET /zoom/sim/meetings/{id}` shows it; deleted ones too.
    pub fn meeting(&self, id: i64) -> Option<Value> {
        self.at_desk(|desk| desk.memory.meetings.get(&id).map(|it| desk.meeting_view(it)))
    }

    /// Every meeting there ever was.
    pub fn meetings(&self) -> Vec<Value> {
        self.at_desk(|desk| {
            let meetings = desk.memory.meetings.values();
            meetings.map(|meeting| desk.meeting_view(meeting)).collect()
        })
    }

    /// Every webhook there ever was, oldest first, with its attempts.
    pub fn webhooks(&self) -> Vec<Value> {
        self.at_desk(|desk| desk.memory.post.log())
    }

    pub fn knobs(&self) -> Knobs {
        self.at_desk(|desk| desk.memory.knobs.clone())
    }

    /// Turns knobs; what the turn does not name stays.
    pub fn turn_knobs(&self, turn: Turn) {
        self.at_desk(|desk| desk.turn_knobs(turn));
    }

    /// Every access token expires now; refresh tokens live on.
    pub fn expire_access_tokens(&self) {
        self.at_desk(|desk| {
            for token in desk.memory.access_tokens.values_mut() {
                token.expires_at = token.expires_at.min(desk.now);
            }
        });
    }

    /// All that this Zoom remembers.
    pub fn snapshot(&self) -> Value {
        self.at_desk(|desk| serde_json::to_value(&*desk.memory)).unwrap_or_default()
    }

    /// Remembers what a snapshot says instead. One that an older version wrote and this one cannot read is left
    /// aside with a warning: a simulated past is not worth a failed start.
    pub fn restore(&self, snapshot: Value) {
        match serde_json::from_value(snapshot) {
            Ok(memory) => self.at_desk(|desk| *desk.memory = memory),
            Err(error) => tracing::warn!(%error, "the simulated Zoom starts afresh"),
        }
    }

    /// The one way to what Zoom remembers. `act` cannot wait for anything, so the lock is held for moments only.
    fn at_desk<T>(&self, act: impl FnOnce(&mut Desk<'_>) -> T) -> T {
        let inner = &*self.inner;
        let mut memory = inner.memory.lock().unwrap_or_else(PoisonError::into_inner);
        let (config, random) = (&inner.config, &inner.random);
        let mut desk = Desk { memory: &mut memory, config, random, now: inner.clock.now() };
        desk.notice_killed_clients();
        act(&mut desk)
    }
}

/// Zoom has one answer for a path to a meeting that breaks at a slash, and another for what it never had.
async fn nothing_here(OriginalUri(uri): OriginalUri) -> Response {
    let path = uri.path().trim_start_matches("/zoom/v2");
    if path.starts_with("/meetings/") || path.starts_with("/past_meetings/") {
        let named = path.split('/').nth(2).unwrap_or_default();
        return Refusal::no_such_meeting(named).into_response();
    }
    let message = "This API endpoint is not recognized.";
    Refusal::new(StatusCode::NOT_FOUND, 2300, message).into_response()
}

/// Like Zoom's own: it follows no redirect and waits 3 seconds.
#[expect(
    clippy::disallowed_methods,
    reason = "Zoom's client is not one of the service's; it must not share its connections"
)]
fn http_client() -> reqwest::Client {
    // reqwest comes without a default TLS provider and panics when it has to look for one.
    let tls = rustls::ClientConfig::builder_with_provider(Arc::new(
        rustls::crypto::ring::default_provider(),
    ))
    .with_safe_default_protocol_versions()
    .map(|builder| {
        builder.with_root_certificates(rustls::RootCertStore::empty()).with_no_client_auth()
    });
    let builder = reqwest::Client::builder()
        .timeout(webhooks::ANSWER_WITHIN)
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy();
    let builder = match tls {
        Ok(tls) => builder.tls_backend_preconfigured(tls),
        Err(_) => builder,
    };
    builder.build().unwrap_or_default()
}
