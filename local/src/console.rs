//! The console: pages on which a person sees and does everything, and a SPA team sees how the API is called.
//!
//! Static files that are part of the binary, without a build step. They talk to `/v1` as a platform's pages would, and to
//! `/local` and `/zoom/sim` for what only a local stack has.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path as UrlPath, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, IF_NONE_MATCH, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use sha2::{Digest, Sha256};

use self::files::FILES;

mod files;

const PAGE: &str = "index.html";
const ROOM: &str = "room.html";

/// Everything comes from here, and nothing is written into the page that could run. Mails are shown in frames of their
/// own, see `aws::letter`.
const PAGE_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
    connect-src 'self'; frame-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// What Zoom's Meeting SDK for the web needs on the page that it runs in: its own hosts, WebAssembly, workers made of
/// blobs, and styles that it writes itself.
/// <https://developers.zoom.us/docs/meeting-sdk/web/browser-support/#content-security-policy-header>
const ROOM_POLICY: &str = "default-src 'self'; \
    script-src 'self' 'unsafe-inline' 'unsafe-eval' 'wasm-unsafe-eval' blob: https://source.zoom.us https://*.zoom.us; \
    style-src 'self' 'unsafe-inline' https://source.zoom.us; \
    img-src 'self' data: blob: https://*.zoom.us; font-src 'self' data: https://source.zoom.us; \
    connect-src 'self' blob: data: https://zoom.us https://*.zoom.us wss://*.zoom.us; \
    worker-src 'self' blob: https://source.zoom.us; media-src 'self' blob: data: https://source.zoom.us; \
    frame-src 'self' https://zoom.us https://*.zoom.us; object-src 'none'; base-uri 'none'; form-action 'self'; \
    frame-ancestors 'none'";

/// The console's files, from the binary or, to work on them, from a directory.
#[derive(Clone, Debug, Default)]
pub struct Console {
    directory: Option<Arc<Path>>,
}

impl Console {
    pub fn new(directory: Option<PathBuf>) -> Self {
        Self { directory: directory.map(Arc::from) }
    }

    /// `/callback` is where Zoom's consent page sends the browser back to; the page finishes with the code in the query.
    /// `/sessions/…` is where mails and notices lead, and where one who leaves a class goes.
    pub fn router(self) -> Router {
        Router::new()
            .route("/", get(page))
            .route("/callback", get(page))
            .route("/sessions/{session}", get(page))
            .route("/room/{session}", get(room))
            .route("/console/{*path}", get(asset))
            .with_state(self)
    }

    fn read(&self, path: &str) -> Option<Vec<u8>> {
        // Only what the binary has is served, so that no path leads out of the directory.
        let (_, embedded) = FILES.iter().find(|(name, _)| *name == path)?;
        match &self.directory {
            Some(directory) => std::fs::read(directory.join(path)).ok(),
            None => Some(embedded.to_vec()),
        }
    }

    fn answer(&self, path: &str, headers: &HeaderMap) -> Response {
        let Some(content) = self.read(path) else {
            return (StatusCode::NOT_FOUND, "There is no such file.").into_response();
        };
        let tag = format!("\"{}\"", data_encoding::HEXLOWER.encode(&Sha256::digest(&content)[..8]));
        let known =
            headers.get(IF_NONE_MATCH).is_some_and(|known| known.as_bytes() == tag.as_bytes());
        let mut response = match known {
            true => StatusCode::NOT_MODIFIED.into_response(),
            false => Response::new(Body::from(content)),
        };
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type(path)));
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
        // Another build has other files under the same names: asked for again each time, sent again when they differ.
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        if let Ok(tag) = HeaderValue::try_from(tag) {
            headers.insert(ETAG, tag);
        }
        response
    }
}

async fn page(State(console): State<Console>, headers: HeaderMap) -> Response {
    let mut response = console.answer(PAGE, &headers);
    response.headers_mut().insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(PAGE_POLICY));
    response
}

/// The room's page alone is isolated from other origins: Zoom's SDK then has shared memory, for video in its full size.
async fn room(State(console): State<Console>, headers: HeaderMap) -> Response {
    let mut response = console.answer(ROOM, &headers);
    let set = |response: &mut Response, name, value| {
        response
            .headers_mut()
            .insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    };
    set(&mut response, "cross-origin-opener-policy", "same-origin");
    set(&mut response, "cross-origin-embedder-policy", "credentialless");
    set(&mut response, "content-security-policy", ROOM_POLICY);
    response
}

async fn asset(
    State(console): State<Console>,
    UrlPath(path): UrlPath<String>,
    headers: HeaderMap,
) -> Response {
    console.answer(&path, &headers)
}

fn content_type(path: &str) -> &'static str {
    match path.rsplit('.').next() {
        Some("html") => "text/html; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("svg") => "image/svg+xml",
        _ => "text/plain; charset=utf-8",
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use axum::extract::Request;
    use tower::ServiceExt as _;

    use super::*;

    fn on_disk(directory: &Path, found: &mut BTreeSet<String>) {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                on_disk(&path, found);
            } else {
                let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("console");
                found.insert(path.strip_prefix(root).unwrap().to_str().unwrap().to_owned());
            }
        }
    }

    async fn get(path: &str, known: Option<&str>) -> Response {
        let request = Request::get(path).header(IF_NONE_MATCH, known.unwrap_or("\"other\""));
        let request = request.body(Body::empty()).unwrap();
        Console::default().router().oneshot(request).await.unwrap()
    }

    /// A module that was added and not listed would be missing in the binary and there from `--console`.
    #[test]
    fn every_file_of_the_console_is_in_the_binary() {
        let mut found = BTreeSet::new();
        on_disk(&Path::new(env!("CARGO_MANIFEST_DIR")).join("console"), &mut found);
        let embedded: BTreeSet<_> = FILES.iter().map(|(name, _)| (*name).to_owned()).collect();
        assert_eq!(embedded, found);
    }

    #[tokio::test]
    async fn a_page_is_sent_once_and_then_only_when_it_is_another() {
        let first = get("/", None).await;
        assert_eq!(first.status(), StatusCode::OK);
        let tag = first.headers()[ETAG].to_str().unwrap().to_owned();
        assert_eq!(get("/", Some(&tag)).await.status(), StatusCode::NOT_MODIFIED);
        assert_eq!(get("/console/../Cargo.toml", None).await.status(), StatusCode::NOT_FOUND);
    }

    /// Zoom's hosts are let in where its SDK runs; a console that let them in everywhere would show mails beside them.
    #[tokio::test]
    async fn only_the_room_is_isolated_and_lets_zooms_hosts_in() {
        let policy = |answer: &Response| {
            answer.headers()[CONTENT_SECURITY_POLICY].to_str().unwrap().to_owned()
        };
        let room = get("/room/ses_aaaaaaaaaaaaaaaaaaaaaaaaaa", None).await;
        assert!(policy(&room).contains("https://source.zoom.us"));
        assert_eq!(room.headers()["cross-origin-opener-policy"], "same-origin");
        assert_eq!(room.headers()["cross-origin-embedder-policy"], "credentialless");
        let page = get("/", None).await;
        assert!(!policy(&page).contains("unsafe"));
        assert!(!page.headers().contains_key("cross-origin-opener-policy"));
    }
}
