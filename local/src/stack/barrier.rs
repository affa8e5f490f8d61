//! The barrier before the stack's routes: requests wait while the starting data is loaded and while the stack is reset.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use shared::handlers::WEBHOOK_ROUTE;
use tokio::sync::{OwnedRwLockReadGuard, OwnedRwLockWriteGuard, RwLock};

use crate::calls::Call;
use crate::issuer::JWKS_PATH;

/// The route that closes the barrier itself.
pub(super) const RESET_PATH: &str = "/local/reset";

/// Requests share the barrier. A start or a reset has it alone.
#[derive(Clone, Debug, Default)]
pub(super) struct Barrier(Arc<RwLock<()>>);

impl Barrier {
    /// Waits for the requests in progress, and keeps others waiting until the guard is dropped.
    pub(super) async fn close(&self) -> OwnedRwLockWriteGuard<()> {
        self.0.clone().write_owned().await
    }

    pub(super) async fn enter(&self) -> OwnedRwLockReadGuard<()> {
        self.0.clone().read_owned().await
    }
}

/// Lets a request pass the barrier. Requests that another one causes pass at once: a start needs them, and a reset
/// waits for the request that causes them.
pub(super) async fn pass(State(barrier): State<Barrier>, request: Request, next: Next) -> Response {
    let (method, uri, headers) = (request.method(), request.uri(), request.headers());
    let path = uri.path();
    let is_caused = Call::from_request(method, path, uri.query(), headers).is_some()
        || ["/webhook", WEBHOOK_ROUTE.path, JWKS_PATH].contains(&path);
    let _passing = match is_caused || path == RESET_PATH {
        true => None,
        false => Some(barrier.enter().await),
    };
    next.run(request).await
}
