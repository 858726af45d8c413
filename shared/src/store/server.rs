//! The database server as its URL names it: where it is, how connections are kept alive, and what TLS they use.
//!
//! `sslmode` means what it says, and more than with the C library: `disable` never encrypts; `prefer` (the default)
//! encrypts where the server can, and trusts whoever answers; `require`, `verify-ca` and `verify-full` all encrypt
//! and check the certificate's chain and name, against the machine's roots or those of `sslrootcert`.

use std::sync::Arc;
use std::time::Duration;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use tokio_postgres::config::SslMode;
use tokio_postgres_rustls::MakeRustlsConnect;

use super::StoreError;

/// How long a call waits for a pooled connection, and for the server to accept a new one.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// A server, and how to speak to it. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Server {
    config: tokio_postgres::Config,
    tls: MakeRustlsConnect,
}

impl Server {
    /// Reads a URL; roots are read where certificates are to be checked.
    pub(super) fn read(url: &str) -> Result<Self, StoreError> {
        let (url, roots_file) = plain_url(url);
        let mut config: tokio_postgres::Config = url
            .parse()
            .map_err(|e: tokio_postgres::Error| StoreError::Url(e.to_string()))?;
        config
            .application_name("fanfare")
            .connect_timeout(CONNECT_TIMEOUT)
            .keepalives_idle(Duration::from_secs(10))
            .keepalives_interval(Duration::from_secs(5))
            .keepalives_retries(2)
            .tcp_user_timeout(Duration::from_secs(20));
        let tls = match config.get_ssl_mode() {
            SslMode::Require => checked(roots_file.as_deref())?,
            _ => unchecked()?,
        };
        Ok(Self {
            config,
            tls: MakeRustlsConnect::new(tls),
        })
    }

    /// The settings of a connection with these server options, behind those of the URL.
    pub(super) fn configured(&self, options: &str) -> tokio_postgres::Config {
        let mut config = self.config.clone();
        let all = match config.get_options() {
            Some(own) => format!("{own} {options}"),
            None => options.to_owned(),
        };
        config.options(all);
        config
    }

    pub(super) fn tls(&self) -> MakeRustlsConnect {
        self.tls.clone()
    }
}

/// A URL that the driver understands, which knows three of the six modes and no roots; and the file of the roots.
fn plain_url(url: &str) -> (String, Option<String>) {
    let Some((base, query)) = url.split_once('?') else {
        return (url.to_owned(), None);
    };
    let (mut kept, mut roots) = (Vec::new(), None);
    for pair in query.split('&') {
        match pair.split_once('=') {
            Some(("sslrootcert", file)) => {
                let decoded = url::form_urlencoded::parse(file.as_bytes()).next();
                roots = decoded.map(|(file, _)| file.into_owned());
            }
            Some(("sslmode", "verify-ca" | "verify-full")) => kept.push("sslmode=require"),
            Some(("sslmode", "allow")) => kept.push("sslmode=prefer"),
            _ => kept.push(pair),
        }
    }
    (format!("{base}?{}", kept.join("&")), roots)
}

fn builder(
    provider: Arc<CryptoProvider>,
) -> Result<rustls::ConfigBuilder<ClientConfig, rustls::WantsVerifier>, StoreError> {
    ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|e| StoreError::Url(e.to_string()))
}

/// Checks the server against the roots of a file, or the machine's.
fn checked(file: Option<&str>) -> Result<ClientConfig, StoreError> {
    let mut roots = RootCertStore::empty();
    let certificates = match file {
        Some(file) => CertificateDer::pem_file_iter(file)
            .and_then(Iterator::collect::<Result<Vec<_>, _>>)
            .map_err(|e| StoreError::Url(format!("sslrootcert can't be read: {e}")))?,
        None => rustls_native_certs::load_native_certs().certs,
    };
    roots.add_parsable_certificates(certificates);
    if roots.is_empty() {
        let advice = "no root certificates: install ca-certificates, or name a file with sslrootcert";
        return Err(StoreError::Url(advice.into()));
    }
    Ok(builder(Arc::new(ring::default_provider()))?
        .with_root_certificates(roots)
        .with_no_client_auth())
}

/// Encrypts, and trusts whoever answers: what `prefer` promises.
fn unchecked() -> Result<ClientConfig, StoreError> {
    let provider = Arc::new(ring::default_provider());
    Ok(builder(provider.clone())?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anybody(provider)))
        .with_no_client_auth())
}

/// Takes any certificate that its server has the key of.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests;
