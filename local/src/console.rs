//! The console: a web interface to the whole stack, which also shows a SPA team how to call the API.
//!
//! It consists of static files that are embedded in the binary, without a build step. They call `/v1` like a platform's
//! pages, and `/local` and `/zoom/sim` for the features of the local stack.

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
use include_dir::{Dir, include_dir};
use sha2::{Digest, Sha256};

/// The embedded files. The build script watches the directory, because the compiler does not notice a new file.
static FILES: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/console");

const PAGE: &str = "index.html";
const ROOM: &str = "room.html";
const ZOOM_FRAME: &str = "zoom-frame.html";

/// Allows resources from this origin and no inline scripts. Mails are in frames with a policy of their own
/// (`aws::mail_message`).
const PAGE_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
    connect-src 'self'; frame-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// The policy that Zoom's Meeting SDK for the web requires on its page: Zoom's hosts, WebAssembly, workers from blobs,
/// and inline styles. Only the frame inside the room has it.
/// <https://developers.zoom.us/docs/meeting-sdk/web/browser-support/#content-security-policy-header>
const ZOOM_POLICY: &str = "default-src 'self'; \
    script-src 'self' 'unsafe-inline' 'unsafe-eval' 'wasm-unsafe-eval' blob: https://source.zoom.us https://*.zoom.us; \
    style-src 'self' 'unsafe-inline' https://source.zoom.us; \
    img-src 'self' data: blob: https://*.zoom.us; font-src 'self' data: https://source.zoom.us; \
    connect-src 'self' blob: data: https://zoom.us https://*.zoom.us wss://*.zoom.us; \
    worker-src 'self' blob: https://source.zoom.us; media-src 'self' blob: data: https://source.zoom.us; \
    frame-src 'self' https://zoom.us https://*.zoom.us; object-src 'none'; base-uri 'none'; form-action 'self'; \
    frame-ancestors 'self'";

/// The console's files, from the binary or, for development, from a directory.
#[derive(Clone, Debug, Default)]
pub struct Console {
    directory: Option<Arc<Path>>,
}

impl Console {
    pub fn new(directory: Option<PathBuf>) -> Self {
        Self { directory: directory.map(Arc::from) }
    }

    /// Routes of the console. Zoom's consent page redirects to `/callback`. Mails, in-app notifications and the room's
    /// exit link to `/sessions/…`, mails to guests to `/guest/…`.
    pub fn router(self) -> Router {
        Router::new()
            .route("/", get(page))
            .route("/callback", get(page))
            .route("/sessions/{session}", get(page))
            .route("/room/{session}", get(room))
            // The room takes the token out of the address. Zoom's client leads back to the address without one.
            .route("/guest", get(room))
            .route("/guest/{token}", get(room))
            .route("/zoom-frame", get(zoom_frame))
            .route("/console/{*path}", get(asset))
            .with_state(self)
    }

    fn read(&self, path: &str) -> Option<Vec<u8>> {
        // Only embedded paths are served, so that no path leads out of the directory.
        let embedded = FILES.get_file(path)?;
        match &self.directory {
            Some(directory) => std::fs::read(directory.join(path)).ok(),
            None => Some(embedded.contents().to_vec()),
        }
    }

    fn file_response(&self, path: &str, headers: &HeaderMap) -> Response {
        let Some(content) = self.read(path) else {
            return (StatusCode::NOT_FOUND, "Not found.").into_response();
        };
        let tag = format!("\"{}\"", data_encoding::HEXLOWER.encode(&Sha256::digest(&content)[..8]));
        let unchanged =
            headers.get(IF_NONE_MATCH).is_some_and(|etag| etag.as_bytes() == tag.as_bytes());
        let mut response = match unchanged {
            true => StatusCode::NOT_MODIFIED.into_response(),
            false => Response::new(Body::from(content)),
        };
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type(path)));
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
        // Another build may have other content under the same name, so the browser must revalidate each time.
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        if let Ok(tag) = HeaderValue::try_from(tag) {
            headers.insert(ETAG, tag);
        }
        response
    }
}

async fn page(State(console): State<Console>, headers: HeaderMap) -> Response {
    let mut response = console.file_response(PAGE, &headers);
    response.headers_mut().insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(PAGE_POLICY));
    response
}

/// Serves the room's page, with the policy of all pages.
async fn room(State(console): State<Console>, headers: HeaderMap) -> Response {
    isolated(console.file_response(ROOM, &headers), PAGE_POLICY)
}

/// Serves the page in the room's frame, which holds Zoom's client.
async fn zoom_frame(State(console): State<Console>, headers: HeaderMap) -> Response {
    isolated(console.file_response(ZOOM_FRAME, &headers), ZOOM_POLICY)
}

/// Isolates a page from other origins, so that Zoom's client can use shared memory. Without that it shows one person at a
/// time. A frame is isolated only if the page around it is.
fn isolated(mut response: Response, policy: &'static str) -> Response {
    let headers = response.headers_mut();
    let mut set = |name, value| {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    };
    set("cross-origin-opener-policy", "same-origin");
    set("cross-origin-embedder-policy", "credentialless");
    set("content-security-policy", policy);
    response
}

async fn asset(
    State(console): State<Console>,
    UrlPath(path): UrlPath<String>,
    headers: HeaderMap,
) -> Response {
    console.file_response(&path, &headers)
}

fn content_type(path: &str) -> &'static str {
    match path.rsplit('.').next() {
        Some("html") => "text/html; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("json") => "application/json",
        Some("svg") => "image/svg+xml",
        _ => "text/plain; charset=utf-8",
    }
}

#[cfg(test)]
mod tests {
    use axum::extract::Request;
    use tower::ServiceExt as _;

    use super::*;

    fn collect_files(directory: &Path, found: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { collect_files(&path, found) } else { found.push(path) }
        }
    }

    async fn get(path: &str, etag: Option<&str>) -> Response {
        let request = Request::get(path).header(IF_NONE_MATCH, etag.unwrap_or("\"other\""));
        let request = request.body(Body::empty()).unwrap();
        Console::default().router().oneshot(request).await.unwrap()
    }

    #[test]
    fn every_console_file_is_embedded_in_the_binary() {
        let (root, mut found) = (Path::new(env!("CARGO_MANIFEST_DIR")).join("console"), Vec::new());
        collect_files(&root, &mut found);
        assert!(found.len() > 50, "{} files", found.len());
        for file in found {
            let path = file.strip_prefix(&root).unwrap().to_str().unwrap();
            assert_eq!(Console::default().read(path), std::fs::read(&file).ok(), "{path}");
        }
    }

    #[tokio::test]
    async fn unchanged_page_is_answered_with_not_modified() {
        let first = get("/", None).await;
        assert_eq!(first.status(), StatusCode::OK);
        let tag = first.headers()[ETAG].to_str().unwrap().to_owned();
        assert_eq!(get("/", Some(&tag)).await.status(), StatusCode::NOT_MODIFIED);
        assert_eq!(get("/console/../Cargo.toml", None).await.status(), StatusCode::NOT_FOUND);
    }

    /// The pages that show mails or hold a token must not allow scripts from other hosts.
    #[tokio::test]
    async fn only_the_frame_of_the_room_allows_hosts_of_zoom() {
        let policy = |response: &Response| {
            response.headers()[CONTENT_SECURITY_POLICY].to_str().unwrap().to_owned()
        };
        let manifest: serde_json::Value =
            serde_json::from_slice(&Console::default().read("zoom-sdk.json").unwrap()).unwrap();
        let frame = get("/zoom-frame", None).await;
        assert!(policy(&frame).contains(manifest["host"].as_str().unwrap()));
        assert!(policy(&frame).ends_with("frame-ancestors 'self'"));
        let room = get("/room/ses_aaaaaaaaaaaaaaaaaaaaaaaaaa", None).await;
        for page in [&frame, &room] {
            assert_eq!(page.headers()["cross-origin-opener-policy"], "same-origin");
            assert_eq!(page.headers()["cross-origin-embedder-policy"], "credentialless");
        }
        let page = get("/", None).await;
        assert!(!policy(&page).contains("unsafe"));
        assert!(!page.headers().contains_key("cross-origin-opener-policy"));
        assert_eq!(policy(&room), policy(&page));
        // A guest's page is a room, and its address must not reach Zoom's hosts.
        for path in ["/guest/a-token", "/guest"] {
            let guest = get(path, None).await;
            assert_eq!(policy(&guest), policy(&room));
            assert_eq!(guest.headers()[REFERRER_POLICY], "no-referrer");
        }
    }
}
