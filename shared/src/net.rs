//! The one HTTP client. AWS, Zoom, the mail service and the key set are all reached through its pool and
//! its TLS.

#[cfg(test)]
pub(crate) mod loopback;
mod smithy;

use std::sync::Arc;
use std::time::Duration;

use rustls::{ClientConfig, RootCertStore};

pub use self::smithy::SmithyClient;
use crate::config::{ConfigError, names};

/// For TCP and TLS together: two round trips around the world, and a first packet lost once, which is sent
/// again after a second.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// For a whole exchange whose caller sets nothing shorter: under 10 s, the shortest time-out of a function,
/// so that an answer can still be given.
pub const EXCHANGE_TIMEOUT: Duration = Duration::from_secs(8);

/// How long an unused connection is kept: half of the 60 s after which load balancers commonly close one
/// (the default of an AWS Application Load Balancer; nginx waits 75 s).
///
/// A sandbox may be frozen for hours between two events, and a connection that the other side closed
/// meanwhile looks alive until it is written to. The pool compares this age whenever it hands a connection
/// out, so after a freeze a new one is opened. What dies within these 30 s, or on a machine whose clock was
/// frozen too, is noticed in one of two ways: closed before anything was sent, the pool itself sends the
/// request once more on another connection; after that only the caller knows whether the request may be
/// repeated (the AWS clients do repeat theirs).
pub const POOL_IDLE_TIMEOUT: Duration = Duration::from_secs(30);

/// One sandbox handles one event at a time; this covers what such an event does in parallel.
const POOL_IDLE_CONNECTIONS_PER_HOST: usize = 16;

/// The client, which calls itself `live-classes/<function>`. Make one in a function and clone it.
#[expect(clippy::disallowed_methods, reason = "this is the one place that builds a client")]
pub fn http_client(user_agent: &str) -> Result<reqwest::Client, ConfigError> {
    reqwest::Client::builder()
        .tls_backend_preconfigured(tls()?)
        .http1_only()
        .user_agent(user_agent)
        .connect_timeout(CONNECT_TIMEOUT)
        .timeout(EXCHANGE_TIMEOUT)
        .pool_idle_timeout(POOL_IDLE_TIMEOUT)
        .pool_max_idle_per_host(POOL_IDLE_CONNECTIONS_PER_HOST)
        // A redirect would carry an Authorization header or a signed request to an address nobody configured.
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .build()
        .map_err(|why| ConfigError::invalid(names::AWS_LAMBDA_FUNCTION_NAME, why))
}

/// TLS on `ring` (aws-lc gathers jitter entropy for 420 million instructions when first asked for a random
/// number) and on roots that come parsed with the program (reading the system's takes longer than the
/// handshake). The roots are renewed with the `webpki-roots` crate, so a function must be built anew at
/// least yearly.
fn tls() -> Result<ClientConfig, ConfigError> {
    let roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|why| ConfigError::invalid("TLS", why))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(config)
}

#[cfg(test)]
mod tests {
    use super::loopback::{Answer, Loopback};
    use super::*;

    #[tokio::test]
    async fn it_names_itself_follows_no_redirect_and_reuses_its_connection() {
        let server = Loopback::start(|_| Answer::status(302).header("location", "/elsewhere"));
        let client = http_client("live-classes/join").unwrap();
        for _ in 0..2 {
            let answer = client.get(server.url("/")).send().await.unwrap();
            assert_eq!(answer.status(), 302);
            answer.bytes().await.unwrap();
        }
        let seen = server.requests();
        assert_eq!(seen.len(), 2);
        assert_eq!(seen[0].header("user-agent"), Some("live-classes/join"));
        assert_eq!(server.connections(), 1);
    }

    #[tokio::test]
    async fn a_connection_that_was_closed_while_idle_is_replaced() {
        let server = Loopback::start(|_| Answer::ok("{}").then_close());
        let client = http_client("live-classes/join").unwrap();
        for _ in 0..3 {
            let answer = client.post(server.url("/")).body("{}").send().await.unwrap();
            assert_eq!(answer.text().await.unwrap(), "{}");
            // Until the other side has hung up; what it does while it still listens is the caller's to
            // repeat.
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        assert_eq!(server.requests().len(), 3);
        assert_eq!(server.connections(), 3);
    }

    #[test]
    fn a_name_that_is_no_header_value_is_refused() {
        assert!(http_client("live\nclasses").is_err());
    }
}
