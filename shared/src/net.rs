//! The one HTTP client. AWS, Zoom, the mail service and the key set are all reached through its pool and
//! its TLS.

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

pub use self::smithy::SmithyClient;
use crate::config::{ConfigError, Env, names};

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
pub fn http_client(user_agent: &str) -> Result<reqwest::Client, ConfigError> {
    client(user_agent, built_in_roots())
}

/// The same for where the way out leads through something that opens TLS, a firewall or a proxy of the operator's: it
/// trusts what `AWS_CA_BUNDLE` names as well.
pub fn http_client_for(env: &Env, user_agent: &str) -> Result<reqwest::Client, ConfigError> {
    client(user_agent, roots(env)?)
}

#[expect(clippy::disallowed_methods, reason = "this is the one place that builds a client")]
fn client(user_agent: &str, roots: RootCertStore) -> Result<reqwest::Client, ConfigError> {
    reqwest::Client::builder()
        .tls_backend_preconfigured(tls(roots)?)
        .http1_only()
        .user_agent(user_agent)
        .connect_timeout(CONNECT_TIMEOUT)
        .timeout(EXCHANGE_TIMEOUT)
        .pool_idle_timeout(POOL_IDLE_TIMEOUT)
        .pool_max_idle_per_host(POOL_IDLE_CONNECTIONS_PER_HOST)
        // A redirect would carry an Authorization header or a signed request to an address nobody configured.
        .redirect(reqwest::redirect::Policy::none())
        // What it would repeat is what HTTP/2 turns away; to be ready for that it keeps a copy of each request.
        .retry(reqwest::retry::never())
        .no_proxy()
        .build()
        .map_err(|why| ConfigError::invalid(names::AWS_LAMBDA_FUNCTION_NAME, why))
}

/// Roots that come parsed with the program: reading the system's takes longer than the handshake. They are renewed with
/// the `webpki-roots` crate, so a function must be built anew at least yearly.
fn built_in_roots() -> RootCertStore {
    RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() }
}

/// Whoever can set the variable can also send the function's calls wherever they like, by `AWS_ENDPOINT_URL`: it gives
/// nobody a right. Reading it costs nothing where it is not set.
fn roots(env: &Env) -> Result<RootCertStore, ConfigError> {
    let mut roots = built_in_roots();
    let Some(file) = env.optional(names::AWS_CA_BUNDLE) else { return Ok(roots) };
    let invalid = |why: &dyn fmt::Display| ConfigError::invalid(names::AWS_CA_BUNDLE, why);
    let mut read = 0;
    for certificate in CertificateDer::pem_file_iter(file).map_err(|why| invalid(&why))? {
        roots.add(certificate.map_err(|why| invalid(&why))?).map_err(|why| invalid(&why))?;
        read += 1;
    }
    if read == 0 { Err(invalid(&"it holds no certificate")) } else { Ok(roots) }
}

/// TLS on `ring`: aws-lc gathers jitter entropy for 420 million instructions when first asked for a random number.
fn tls(roots: RootCertStore) -> Result<ClientConfig, ConfigError> {
    let mut provider = rustls::crypto::ring::default_provider();
    // The order in which AWS chooses, too. The other suites hash with SHA-384, which costs twice as much, or more where a
    // processor helps with SHA-256 alone, as Graviton2 does.
    provider.cipher_suites.sort_by_key(|suite| suite.suite() != TLS13_AES_128_GCM_SHA256);
    let config = ClientConfig::builder_with_provider(Arc::new(provider))
        .with_safe_default_protocol_versions()
        .map_err(|why| ConfigError::invalid("TLS", why))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(config)
}

#[cfg(test)]
mod tests {
    use super::loopback::{LoopbackResponse, Loopback};
    use super::*;

    #[tokio::test]
    async fn it_names_itself_follows_no_redirect_and_reuses_its_connection() {
        let server = Loopback::start(|_| LoopbackResponse::status(302).header("location", "/elsewhere"));
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
        let server = Loopback::start(|_| LoopbackResponse::ok("{}").then_close());
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

    /// A root of nobody's, whose key is thrown away.
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
        roots(&Env::from_pairs([(names::AWS_CA_BUNDLE, file.to_str().unwrap())]))
    }

    #[test]
    fn a_bundle_is_trusted_beside_the_built_in_roots_and_only_where_it_is_named() {
        let built_in = built_in_roots().len();
        assert_eq!(roots(&Env::from_pairs([(names::APP_URL, "")])).unwrap().len(), built_in);
        let roots = roots_with(BUNDLE).unwrap();
        assert_eq!(roots.len(), built_in + 1);
        let subject = roots.roots[built_in].subject.as_ref();
        assert!(subject.ends_with(b"A firewall"), "{subject:?}");
        assert_eq!(roots_with(&BUNDLE.repeat(2)).unwrap().len(), built_in + 2);
    }

    #[test]
    fn a_bundle_that_is_none_is_named_rather_than_left_out() {
        let cut = &BUNDLE[..BUNDLE.len() / 2];
        let nonsense = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        for bundle in ["", "a text", cut, nonsense, &format!("{BUNDLE}{nonsense}")] {
            assert_eq!(roots_with(bundle).unwrap_err().name(), names::AWS_CA_BUNDLE, "{bundle}");
        }
        let env = Env::from_pairs([(names::AWS_CA_BUNDLE, "/there/is/none.pem")]);
        assert_eq!(http_client_for(&env, "a").unwrap_err().name(), names::AWS_CA_BUNDLE);
    }

    #[test]
    fn a_name_that_is_no_header_value_is_refused() {
        assert!(http_client("live\nclasses").is_err());
    }
}
