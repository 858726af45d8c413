//! The way out: TCP to a host, directly or through a proxy. TLS, where there is any, is inside of it.

use std::io;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::{Uri, header::HeaderValue};
use hyper_util::client::legacy::connect::{
    HttpConnector,
    proxy::{SocksV5, Tunnel},
};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpStream, lookup_host};
use tower_service::Service;

use crate::wire::proxy::{Credentials, Proxy, ProxyKind};

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(super) enum RouteError {
    /// The host can't be reached.
    #[error(transparent)]
    Host(#[from] io::Error),
    /// The proxy can't be reached, does not take us, or does not reach the host.
    #[error("the proxy {proxy} {problem}")]
    Proxy {
        /// Which, without user and password.
        proxy: String,
        /// What is the matter with it.
        problem: String,
    },
}

/// Connects to a host.
pub(super) async fn connect(proxy: Option<&Proxy>, host: &str, port: u16) -> Result<TcpStream, RouteError> {
    let host = host.trim_matches(['[', ']']);
    let stream = match proxy {
        None => TcpStream::connect((host, port)).await?,
        Some(proxy) => through(proxy, host, port).await?,
    };
    stream.set_nodelay(true)?;
    Ok(stream)
}

async fn through(proxy: &Proxy, host: &str, port: u16) -> Result<TcpStream, RouteError> {
    let failed = |problem: String| RouteError::Proxy {
        proxy: proxy.to_string(),
        problem,
    };
    let unfit = |_| failed("can't be asked for this host".to_owned());
    let own: Uri = format!("http://{}", proxy.authority()).parse().map_err(unfit)?;
    // A name that is looked up here is no fault of the proxy's.
    let there = match proxy.kind() {
        ProxyKind::Socks5 => {
            let mut found = lookup_host((host, port)).await?;
            let none = || io::Error::new(io::ErrorKind::NotFound, "the name has no address");
            found.next().ok_or_else(none)?.to_string()
        }
        ProxyKind::Socks5h | ProxyKind::Http if host.contains(':') => format!("[{host}]:{port}"),
        ProxyKind::Socks5h | ProxyKind::Http => format!("{host}:{port}"),
    };
    let there: Uri = format!("https://{there}").parse().map_err(unfit)?;
    let (direct, credentials) = (HttpConnector::new(), proxy.credentials());
    let connected: Result<TokioIo<TcpStream>, String> = match proxy.kind() {
        ProxyKind::Http => {
            let tunnel = Tunnel::new(own, direct);
            let mut tunnel = match credentials {
                Some(credentials) => tunnel.with_auth(basic(credentials)),
                None => tunnel,
            };
            tunnel.call(there).await.map_err(|error| told(&error))
        }
        ProxyKind::Socks5 | ProxyKind::Socks5h => {
            let socks = SocksV5::new(own, direct);
            let mut socks = match credentials {
                Some(Credentials { user, password }) => socks.with_auth(user.clone(), (**password).clone()),
                None => socks,
            };
            socks.call(there).await.map_err(|error| told(&error))
        }
    };
    connected.map(TokioIo::into_inner).map_err(failed)
}

/// An error with its causes; none of them holds a password.
fn told(error: &dyn std::error::Error) -> String {
    let mut text = format!("does not connect us: {error}");
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    text
}

fn basic(credentials: &Credentials) -> HeaderValue {
    let Credentials { user, password } = credentials;
    let encoded = STANDARD.encode(format!("{user}:{}", &**password));
    // Unwrap safety: base64 is visible ASCII.
    #[allow(clippy::unwrap_used)]
    let mut value = HeaderValue::from_str(&format!("Basic {encoded}")).unwrap();
    value.set_sensitive(true);
    value
}
