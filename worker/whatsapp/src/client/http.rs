//! One HTTP request on a connection of its own, by the way that the session leaves by. Knows no media.

use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty, combinators::UnsyncBoxBody};
use hyper::{
    Request, Response, StatusCode, Uri,
    body::Incoming,
    client::conn::http1,
    header::{HOST, HeaderValue, ORIGIN},
};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    task::JoinHandle,
};
use tokio_rustls::TlsConnector;

use super::{route, tls};
use crate::proxy::Proxy;

/// How hosts are reached, and what is told them.
pub(super) struct Way {
    pub(super) origin: String,
    pub(super) proxy: Option<Arc<Proxy>>,
}

/// What a request carries.
pub(super) type Body = UnsyncBoxBody<Bytes, std::io::Error>;

/// A request to a host.
pub(super) struct Call {
    host: String,
    port: u16,
    is_tls: bool,
    request: Request<Body>,
}

/// Why nobody answers.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct CallError(String);

impl Call {
    /// Asks for what is at an address.
    pub(super) fn get(address: &str) -> Result<Self, CallError> {
        let nothing = Empty::new().map_err(|never| match never {}).boxed_unsync();
        Self::new(address, Request::get("/").body(nothing).map_err(failed)?)
    }

    /// Sends a request, whose own address does not count, to an address.
    pub(super) fn new(address: &str, mut request: Request<Body>) -> Result<Self, CallError> {
        let uri: Uri = address.parse().map_err(failed)?;
        let host = uri
            .host()
            .ok_or_else(|| CallError("no host".to_owned()))?
            .to_owned();
        let is_tls = uri.scheme_str() == Some("https");
        let authority = uri
            .authority()
            .map_or(host.as_str(), |authority| authority.as_str());
        let named = HeaderValue::from_str(authority).map_err(failed)?;
        request.headers_mut().insert(HOST, named);
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        *request.uri_mut() = path.parse().map_err(failed)?;
        Ok(Self {
            port: uri.port_u16().unwrap_or(if is_tls { 443 } else { 80 }),
            host,
            is_tls,
            request,
        })
    }
}

/// What came back, as far as it was read.
pub(super) struct Answer {
    response: Response<Incoming>,
    _connection: Connection,
}

/// The task that moves the bytes of a connection; it ends with the answer.
struct Connection(JoinHandle<()>);

impl Drop for Connection {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Answer {
    pub(super) fn status(&self) -> StatusCode {
        self.response.status()
    }

    /// The next piece of its body; `None` at the end.
    pub(super) async fn piece(&mut self) -> Option<Result<Bytes, CallError>> {
        loop {
            match self.response.frame().await?.map(|frame| frame.into_data()) {
                Ok(Ok(bytes)) => return Some(Ok(bytes)),
                // Trailers.
                Ok(Err(_)) => {}
                Err(error) => return Some(Err(failed(error))),
            }
        }
    }
}

/// Sends a request and waits for the beginning of its answer.
pub(super) async fn exchange(way: &Way, call: Call) -> Result<Answer, CallError> {
    let Call {
        host,
        port,
        is_tls,
        mut request,
    } = call;
    let origin = HeaderValue::from_str(&way.origin).map_err(failed)?;
    request.headers_mut().insert(ORIGIN, origin);
    let socket = route::connect(way.proxy.as_deref(), &host, port).await;
    let socket = socket.map_err(failed)?;
    if !is_tls {
        return send(socket, request).await;
    }
    let config = tls::config().map_err(failed)?;
    let name = ServerName::try_from(host).map_err(failed)?;
    let secured = TlsConnector::from(config).connect(name, socket).await;
    send(secured.map_err(failed)?, request).await
}

async fn send(
    socket: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    request: Request<Body>,
) -> Result<Answer, CallError> {
    let connected = http1::Builder::new()
        .max_buf_size(BUFFER_BYTES)
        .handshake(TokioIo::new(socket));
    let (mut sender, connection) = connected.await.map_err(failed)?;
    // What ends it is told to whoever waits for the answer, or reads it.
    let connection = Connection(tokio::spawn(async move { drop(connection.await) }));
    let response = sender.send_request(request).await.map_err(failed)?;
    Ok(Answer {
        response,
        _connection: connection,
    })
}

/// Bytes that are read or written at a time.
const BUFFER_BYTES: usize = 64 * 1024;

fn failed(error: impl std::fmt::Display) -> CallError {
    CallError(error.to_string())
}
