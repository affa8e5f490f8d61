//! The HTTP client. AWS, Zoom, the mail service and the JWKS share its connection pool and TLS settings.

#[cfg(test)]
pub(crate) mod loopback;
mod smithy;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use rustls::CipherSuite::TLS13_AES_128_GCM_SHA256;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

pub use self::smithy::{SmithyClient, never_connected};
use crate::config::{ConfigError, Env, names};

/// Limit on TCP and TLS connect together: two round trips around the world, and one lost first packet, which is sent
/// again after a second.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// Limit on a whole request unless the caller sets a shorter one. Below 10 s, the shortest timeout of a function, so that
/// the function can still respond.
pub const EXCHANGE_TIMEOUT: Duration = Duration::from_secs(8);

/// Time for which an idle connection is kept: half of the 60 s after which load balancers commonly close one (the default
/// of an AWS Application Load Balancer. nginx waits 75 s).
///
/// A sandbox may be frozen for hours between two events, and a connection that the peer has closed meanwhile fails only
/// when it is written to. The pool checks the idle time whenever it reuses a connection, so a new one is opened after a
/// freeze. If a connection dies within these 30 s, or the clock was frozen too, there are two cases. If it was closed
/// before anything was sent, the pool sends the request again on another connection. Otherwise only the caller can decide
/// whether to repeat the request, as the AWS clients do.
pub const POOL_IDLE_TIMEOUT: Duration = Duration::from_secs(30);

/// Covers the parallel requests of one event, of which `outbox-sweep` has most. With a lower limit, each batch of mails would
/// open connections that the previous batch has just closed. A sandbox handles one event at a time.
pub const POOL_IDLE_CONNECTIONS_PER_HOST: usize = 64;

/// Creates the client with the user agent `live-classes/<function>`. Create one per function and clone it.
pub fn http_client(user_agent: &str) -> Result<reqwest::Client, ConfigError> {
    build_client(user_agent, built_in_roots())
}

/// Creates a client that also trusts the certificates in `AWS_CA_BUNDLE`, for operators whose firewall or proxy intercepts
/// TLS.
pub fn http_client_with_ca_bundle(
    env: &Env,
    user_agent: &str,
) -> Result<reqwest::Client, ConfigError> {
    build_client(user_agent, root_certificates(env)?)
}

#[expect(clippy::disallowed_methods, reason = "the only place that builds an HTTP client")]
fn build_client(user_agent: &str, roots: RootCertStore) -> Result<reqwest::Client, ConfigError> {
    reqwest::Client::builder()
        .tls_backend_preconfigured(tls_config(roots)?)
        .http1_only()
        .user_agent(user_agent)
        .connect_timeout(CONNECT_TIMEOUT)
        .timeout(EXCHANGE_TIMEOUT)
        .pool_idle_timeout(POOL_IDLE_TIMEOUT)
        .pool_max_idle_per_host(POOL_IDLE_CONNECTIONS_PER_HOST)
        // A redirect would send an Authorization header or a signed request to an unconfigured address.
        .redirect(reqwest::redirect::Policy::none())
        // Retries apply only to requests that HTTP/2 rejects, and would keep a copy of each request.
        .retry(reqwest::retry::never())
        .no_proxy()
        .build()
        .map_err(|error| ConfigError::invalid(names::AWS_LAMBDA_FUNCTION_NAME, error))
}

/// The root certificates compiled into the binary: reading the system's takes longer than a TLS handshake. They are updated
/// with the `webpki-roots` crate, so functions must be rebuilt at least yearly.
fn built_in_roots() -> RootCertStore {
    RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() }
}

/// Adds the certificates in `AWS_CA_BUNDLE` to the built-in ones. The variable grants no new power: someone who can set it
/// can also redirect all calls with `AWS_ENDPOINT_URL`.
fn root_certificates(env: &Env) -> Result<RootCertStore, ConfigError> {
    let mut roots = built_in_roots();
    let Some(file) = env.optional(names::AWS_CA_BUNDLE) else { return Ok(roots) };
    let invalid = |reason: &dyn fmt::Display| ConfigError::invalid(names::AWS_CA_BUNDLE, reason);
    let mut count = 0;
    for certificate in CertificateDer::pem_file_iter(file).map_err(|error| invalid(&error))? {
        roots
            .add(certificate.map_err(|error| invalid(&error))?)
            .map_err(|error| invalid(&error))?;
        count += 1;
    }
    if count == 0 { Err(invalid(&"it contains no certificate")) } else { Ok(roots) }
}

/// TLS on `ring`. aws-lc spends 420 million instructions on jitter entropy before its first random number.
fn tls_config(roots: RootCertStore) -> Result<ClientConfig, ConfigError> {
    let mut provider = rustls::crypto::ring::default_provider();
    // Prefers the suite that AWS prefers, too. The others hash with SHA-384, which costs at least twice as much, and more
    // on processors that accelerate only SHA-256, such as Graviton2.
    provider.cipher_suites.sort_by_key(|suite| suite.suite() != TLS13_AES_128_GCM_SHA256);
    let config = ClientConfig::builder_with_provider(Arc::new(provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| ConfigError::invalid("TLS", error))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(config)
}

#[cfg(test)]
mod tests {
    use super::loopback::{Loopback, LoopbackResponse};
    use super::*;

    #[tokio::test]
    async fn client_sends_user_agent_and_reuses_its_connection() {
        let server =
            Loopback::start(|_| LoopbackResponse::status(302).header("location", "/elsewhere"));
        let client = http_client("live-classes/join").unwrap();
        for _ in 0..2 {
            let response = client.get(server.url("/")).send().await.unwrap();
            assert_eq!(response.status(), 302);
            response.bytes().await.unwrap();
        }
        let seen = server.requests();
        assert_eq!(seen.len(), 2);
        assert_eq!(seen[0].header("user-agent"), Some("live-classes/join"));
        assert_eq!(server.connections(), 1);
    }

    #[tokio::test]
    async fn parallel_requests_reuse_the_connections_of_earlier_ones() {
        const PARALLEL: usize = POOL_IDLE_CONNECTIONS_PER_HOST;
        // Responds when all requests of a batch have arrived.
        let arrived = std::sync::Barrier::new(PARALLEL);
        let server = Loopback::start(move |_| {
            arrived.wait();
            LoopbackResponse::ok("{}")
        });
        let client = http_client("live-classes/outbox-sweep").unwrap();
        for _ in 0..2 {
            let requests = (0..PARALLEL).map(|_| async {
                client.get(server.url("/")).send().await.unwrap().bytes().await.unwrap()
            });
            futures::future::join_all(requests).await;
            // Lets the connections return to the pool.
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        assert_eq!((server.requests().len(), server.connections()), (2 * PARALLEL, PARALLEL));
    }

    #[tokio::test]
    async fn closed_idle_connection_is_replaced() {
        let server = Loopback::start(|_| LoopbackResponse::ok("{}").then_close());
        let client = http_client("live-classes/join").unwrap();
        for _ in 0..3 {
            let response = client.post(server.url("/")).body("{}").send().await.unwrap();
            assert_eq!(response.text().await.unwrap(), "{}");
            // Waits until the server has closed the connection.
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        assert_eq!(server.requests().len(), 3);
        assert_eq!(server.connections(), 3);
    }

    /// A self-signed test certificate. Its key was discarded.
    const BUNDLE: &str = "\
-----BEGIN CERTIFICATE-----
MIIBgTCCASegAwIBAgIUB+uk+h4ZI0zHbXdDyW3lU6QXS7UwCgYIKoZIzj0EAwIw
FTETMBEGA1UEAwwKQSBmaXJld2FsbDAgFw0yNjExMjUyMDU1NTdaGA8yMTI2MTEw
MTIwNTU1N1owFTETMBEGA1UEAwwKQSBmaXJld2FsbDBZMBMGByqGSM49AgEGCCqG
SM49AwEHA0IABDg6/fU+yevlUDwgx7qPp2RCN8xe/1ztN6Cod7p94SM1ta3cvps4
4dRTeYRxIMrO68FO8BntzWs9ysskRzkeHVmjUzBRMB0GA1UdDgQWBBS+rMu2wHh1
ovifajk7+2o9Ovj4MzAfBgNVHSMEGDAWgBS+rMu2wHh1ovifajk7+2o9Ovj4MzAP
BgNVHRMBAf8EBTADAQH/MAoGCCqGSM49BAMCA0gAMEUCICP2nX7447tEoKv2miFG
YSY1n6CzKJIc7c3pOZRto8E8AiEAue9nMtp5nTb91xyB0KTAoYIsoZP5cyBt37CN
z1abUV0=
-----END CERTIFICATE-----
";

    fn roots_with(bundle: &str) -> Result<RootCertStore, ConfigError> {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("bundle.pem");
        std::fs::write(&file, bundle).unwrap();
        root_certificates(&Env::from_pairs([(names::AWS_CA_BUNDLE, file.to_str().unwrap())]))
    }

    #[test]
    fn ca_bundle_is_added_to_the_built_in_roots() {
        let built_in = built_in_roots().len();
        assert_eq!(
            root_certificates(&Env::from_pairs([(names::APP_URL, "")])).unwrap().len(),
            built_in
        );
        let roots = roots_with(BUNDLE).unwrap();
        assert_eq!(roots.len(), built_in + 1);
        let subject = roots.roots[built_in].subject.as_ref();
        assert!(subject.ends_with(b"A firewall"), "{subject:?}");
        assert_eq!(roots_with(&BUNDLE.repeat(2)).unwrap().len(), built_in + 2);
    }

    #[test]
    fn unusable_ca_bundle_is_a_config_error() {
        let cut = &BUNDLE[..BUNDLE.len() / 2];
        let nonsense = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        for bundle in ["", "a text", cut, nonsense, &format!("{BUNDLE}{nonsense}")] {
            assert_eq!(roots_with(bundle).unwrap_err().name(), names::AWS_CA_BUNDLE, "{bundle}");
        }
        let env = Env::from_pairs([(names::AWS_CA_BUNDLE, "/there/is/none.pem")]);
        assert_eq!(http_client_with_ca_bundle(&env, "a").unwrap_err().name(), names::AWS_CA_BUNDLE);
    }

    #[test]
    fn invalid_user_agent_is_refused() {
        assert!(http_client("live\nclasses").is_err());
    }
}
