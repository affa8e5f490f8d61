//! TLS in front of the local stack, as AWS and a platform's issuer have it.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use crate::Fault;

/// The port in front of another. It closes when this is dropped.
pub(crate) struct Endpoint {
    pub(crate) url: String,
    _served: JoinSet<()>,
}

impl Endpoint {
    /// Opens a port under the certificates that `tests/bench.sh` made by this name.
    pub(crate) async fn before(
        stack: SocketAddr,
        files: &Path,
        certificates: &str,
    ) -> Result<Self, Fault> {
        let chain = CertificateDer::pem_file_iter(files.join(format!("{certificates}-chain.pem")))?;
        let chain = chain.collect::<Result<_, _>>()?;
        let key = PrivateKeyDer::from_pem_file(files.join(format!("{certificates}-key.pem")))?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(chain, key)?;
        // Tickets are kept by host name, and all of these are `localhost`: with one of them the second service's
        // handshake would be a short one, as it is not on AWS.
        config.send_tls13_tickets = 0;
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let url = format!("https://localhost:{}", listener.local_addr()?.port());
        let mut served = JoinSet::new();
        served.spawn(async move {
            let mut open = JoinSet::new();
            while let Ok((outer, _)) = listener.accept().await {
                let acceptor = acceptor.clone();
                open.spawn(async move { pass(acceptor, outer, stack).await });
            }
        });
        Ok(Self { url, _served: served })
    }
}

async fn pass(acceptor: TlsAcceptor, outer: TcpStream, stack: SocketAddr) {
    // One that breaks off is one that the function was done with.
    if let (Ok(mut outer), Ok(mut inner)) =
        (acceptor.accept(outer).await, TcpStream::connect(stack).await)
    {
        let _ = tokio::io::copy_bidirectional(&mut outer, &mut inner).await;
    }
}
