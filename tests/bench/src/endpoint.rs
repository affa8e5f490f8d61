//! TLS in front of the local stack, like that of AWS and of a platform's issuer.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use crate::BoxError;

/// A TLS port in front of the stack's port. It closes when this is dropped.
pub(crate) struct Endpoint {
    pub(crate) url: String,
    _served: JoinSet<()>,
}

impl Endpoint {
    /// Opens a port with the certificates that `tests/bench.sh` created under this name.
    pub(crate) async fn in_front_of(
        stack: SocketAddr,
        files: &Path,
        certificates: &str,
    ) -> Result<Self, BoxError> {
        let chain = CertificateDer::pem_file_iter(files.join(format!("{certificates}-chain.pem")))?;
        let chain = chain.collect::<Result<_, _>>()?;
        let key = PrivateKeyDer::from_pem_file(files.join(format!("{certificates}-key.pem")))?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(chain, key)?;
        // Clients store tickets by host name, and all services here are `localhost`. A ticket would shorten the second
        // service's handshake, unlike on AWS.
        config.send_tls13_tickets = 0;
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let url = format!("https://localhost:{}", listener.local_addr()?.port());
        let mut served = JoinSet::new();
        served.spawn(async move {
            let mut open = JoinSet::new();
            while let Ok((outer, _)) = listener.accept().await {
                let acceptor = acceptor.clone();
                open.spawn(async move { proxy(acceptor, outer, stack).await });
            }
        });
        Ok(Self { url, _served: served })
    }
}

async fn proxy(acceptor: TlsAcceptor, outer: TcpStream, stack: SocketAddr) {
    // The function closes connections that it no longer needs, so errors are ignored.
    if let (Ok(mut outer), Ok(mut inner)) =
        (acceptor.accept(outer).await, TcpStream::connect(stack).await)
    {
        let _ = tokio::io::copy_bidirectional(&mut outer, &mut inner).await;
    }
}
