//! Which hosts and origins the stack accepts: only those of this machine. Otherwise a page of the internet could use the
//! stack, with its own name for this machine's address (DNS rebinding) or with a request from another origin.

use std::net::{IpAddr, UdpSocket};

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::header::{HOST, HeaderValue, ORIGIN};
use http::{StatusCode, Uri};

/// Refuses requests for other hosts. Except for the API and the webhook, it also refuses pages of other origins. AWS
/// invokes functions for every origin, and only leaves out the headers with which a page can read the response.
pub(crate) async fn only_this_machine(request: Request, next: Next) -> Response {
    let headers = request.headers();
    let host = headers.get(HOST).and_then(|host| host.to_str().ok()).or_else(|| {
        // HTTP/2 has no `Host`.
        request.uri().authority().map(http::uri::Authority::as_str)
    });
    if !host.is_some_and(is_authority_of_this_machine) {
        return refusal("This stack only serves this machine, as localhost.");
    }
    let path = request.uri().path();
    let is_deployed = path == "/webhook" || path.starts_with("/v1/");
    if !is_deployed && headers.get(ORIGIN).is_some_and(|origin| !is_local_origin(origin)) {
        return refusal("This stack only serves pages of this machine.");
    }
    next.run(request).await
}

/// Returns whether a page of this origin is on this machine.
pub(crate) fn is_local_origin(origin: &HeaderValue) -> bool {
    let authority = origin.to_str().ok().and_then(|origin| origin.split_once("://"));
    authority.is_some_and(|(_, authority)| is_authority_of_this_machine(authority))
}

fn is_authority_of_this_machine(authority: &str) -> bool {
    let Ok(uri) = Uri::builder().scheme("http").authority(authority).path_and_query("/").build()
    else {
        return false;
    };
    let host = uri.host().unwrap_or_default().to_ascii_lowercase();
    if host == "localhost" || host.ends_with(".localhost") {
        return true;
    }
    // An address cannot be rebound. Containers use that of a bridge, which a socket can bind if it is this machine's.
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    address.is_ok_and(|address| {
        !address.is_unspecified()
            && (address.is_loopback() || UdpSocket::bind((address, 0)).is_ok())
    })
}

fn refusal(message: &str) -> Response {
    (StatusCode::FORBIDDEN, axum::Json(serde_json::json!({ "message": message }))).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_and_addresses_of_this_machine_are_accepted() {
        for (authority, accepted) in [
            ("localhost:4000", true),
            ("LOCALHOST", true),
            ("app.localhost:4000", true),
            ("127.0.0.1:4000", true),
            ("127.1.2.3", true),
            ("[::1]:4000", true),
            ("example.com", false),
            ("localhost.example.com:4000", false),
            ("localhost@example.com", false),
            ("192.0.2.1", false),
            ("0.0.0.0:4000", false),
            ("", false),
            ("local host", false),
        ] {
            assert_eq!(is_authority_of_this_machine(authority), accepted, "{authority}");
        }
    }

    #[test]
    fn origin_of_another_machine_is_not_local() {
        for (origin, local) in [
            ("http://localhost:5173", true),
            ("https://127.0.0.1", true),
            ("https://example.com", false),
            ("null", false),
        ] {
            assert_eq!(is_local_origin(&HeaderValue::from_static(origin)), local, "{origin}");
        }
    }
}
