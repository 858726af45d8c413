//! TLS in front of the simulator, which speaks plain WebSocket: for measuring what TLS adds to a session.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, OnceLock};

use anyhow::{Context as _, Result, ensure};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::Command;
use tokio_rustls::TlsAcceptor;

/// A listener that passes everything on, without the TLS.
pub(crate) struct Front {
    port: u16,
    folder: PathBuf,
    target: Arc<OnceLock<String>>,
}

impl Front {
    /// Listens with a certificate for `localhost` made now.
    ///
    /// # Errors
    /// When openssl is missing.
    pub(crate) async fn start() -> Result<Self> {
        let folder = std::env::temp_dir().join(format!("fanfare-bench-{}", uuid::Uuid::new_v4().simple()));
        std::fs::create_dir_all(&folder)?;
        make_certificate(&folder).await?;
        let chain = vec![CertificateDer::from_pem_file(folder.join("cert.pem"))?];
        let key = PrivateKeyDer::from_pem_file(folder.join("key.pem"))?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(chain, key)?;
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let port = listener.local_addr()?.port();
        let target = Arc::new(OnceLock::new());
        tokio::spawn(serve(
            listener,
            TlsAcceptor::from(Arc::new(config)),
            target.clone(),
        ));
        Ok(Self { port, folder, target })
    }

    /// Its address for clients.
    pub(crate) fn url(&self) -> String {
        format!("wss://localhost:{}/ws/chat", self.port)
    }

    /// The file of its certificate, to be trusted.
    pub(crate) fn certificate(&self) -> PathBuf {
        self.folder.join("cert.pem")
    }

    /// Passes on to the server at the plain address `ws` from now on.
    ///
    /// # Errors
    /// When it is no such address.
    pub(crate) fn pass_to(&self, ws: &str) -> Result<()> {
        let host = ws.strip_prefix("ws://").and_then(|rest| rest.split('/').next());
        let host = host.with_context(|| format!("{ws} is no plain WebSocket address"))?;
        self.target.get_or_init(|| host.to_owned());
        Ok(())
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

async fn make_certificate(folder: &Path) -> Result<()> {
    let status = Command::new("openssl")
        .args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
            "-nodes",
            "-days",
            "2",
        ])
        .args([
            "-subj",
            "/CN=localhost",
            "-addext",
            "subjectAltName=DNS:localhost",
        ])
        .args([
            "-addext",
            "basicConstraints=critical,CA:FALSE",
            "-keyout",
            "key.pem",
            "-out",
            "cert.pem",
        ])
        .current_dir(folder)
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .await
        .context("starting openssl, which makes the certificate")?;
    ensure!(status.success(), "openssl made no certificate");
    Ok(())
}

async fn serve(listener: TcpListener, acceptor: TlsAcceptor, target: Arc<OnceLock<String>>) {
    while let Ok((socket, _)) = listener.accept().await {
        let (acceptor, target) = (acceptor.clone(), target.clone());
        tokio::spawn(async move {
            // A client that goes, or a server that does, is no concern of ours: both see it.
            let _ = pass(socket, &acceptor, &target).await;
        });
    }
}

async fn pass(socket: TcpStream, acceptor: &TlsAcceptor, target: &OnceLock<String>) -> Result<()> {
    let mut outer = acceptor.accept(socket).await?;
    let mut inner = TcpStream::connect(target.get().context("no server yet")?).await?;
    tokio::io::copy_bidirectional(&mut outer, &mut inner).await?;
    Ok(())
}
