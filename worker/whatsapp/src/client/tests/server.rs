//! The server of the driver's tests: WebSockets around the server's end of the connection tests.

use std::time::Duration;

use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::{
    WebSocketStream, accept_hdr_async,
    tungstenite::{
        Message,
        handshake::server::{ErrorResponse, Request, Response},
    },
};

use super::within;
use crate::{
    binary::Node,
    connection::{
        Config,
        tests::peer::{Peer, ServerKeys, result_of, success},
    },
};

/// A server that takes one connection after the other.
pub(super) struct Server {
    pub(super) listener: TcpListener,
    pub(super) keys: ServerKeys,
}

/// One connection of a client.
pub(super) struct Line {
    pub(super) stream: WebSocketStream<TcpStream>,
    pub(super) peer: Peer,
    received: Vec<Node>,
    pub(super) origin: Option<String>,
}

impl Server {
    pub(super) async fn new() -> (Self, Config) {
        let (listener, keys) = (
            TcpListener::bind("127.0.0.1:0").await.unwrap(),
            ServerKeys::new(1),
        );
        let url = format!("ws://{}/ws/chat", listener.local_addr().unwrap());
        let mut config = Config { url, ..keys.config() };
        config.timing.backoff_base = Duration::from_millis(1);
        config.timing.backoff_cap = Duration::from_millis(5);
        (Self { listener, keys }, config)
    }

    pub(super) async fn accept(&self) -> Line {
        let (stream, _) = within(self.listener.accept(), "connection").await.unwrap();
        let mut origin = None;
        #[expect(clippy::result_large_err, reason = "the library's callback type")]
        let note = |request: &Request, response: Response| -> Result<Response, ErrorResponse> {
            origin = request
                .headers()
                .get("origin")
                .map(|value| value.to_str().unwrap().to_owned());
            Ok(response)
        };
        let stream = accept_hdr_async(stream, note).await.unwrap();
        Line {
            stream,
            peer: Peer::new(&self.keys),
            received: Vec::new(),
            origin,
        }
    }

    /// A connection that has logged in and is open.
    pub(super) async fn accept_login(&self) -> Line {
        let mut line = self.accept().await;
        line.handshake().await;
        line.send(&success()).await;
        let active = line.expect("active", |node| node.child("active").is_some()).await;
        line.send(&result_of(&active)).await;
        line
    }
}

impl Line {
    pub(super) async fn handshake(&mut self) {
        while self.peer.payload.is_none() {
            self.turn("handshake").await;
        }
    }

    pub(super) async fn send(&mut self, node: &Node) {
        self.peer.send(node);
        self.flush().await;
    }

    pub(super) async fn expect(&mut self, what: &str, fits: impl Fn(&Node) -> bool) -> Node {
        loop {
            if let Some(at) = self.received.iter().position(&fits) {
                return self.received.remove(at);
            }
            self.turn(what).await;
        }
    }

    async fn turn(&mut self, what: &str) {
        let message = within(self.stream.next(), what)
            .await
            .unwrap_or_else(|| panic!("closed before {what}"));
        if let Message::Binary(bytes) = message.unwrap() {
            self.received.extend(self.peer.receive(bytes));
        }
        self.flush().await;
    }

    async fn flush(&mut self) {
        while let Some(bytes) = self.peer.outbox.pop_front() {
            // Cut where it hurts: boundaries of messages mean nothing.
            let (head, tail) = bytes.split_at(bytes.len() / 2);
            for piece in [head, tail] {
                self.stream
                    .send(Message::Binary(Bytes::copy_from_slice(piece)))
                    .await
                    .unwrap();
            }
        }
    }

    pub(super) async fn expect_closed(mut self) {
        while let Some(Ok(_)) = within(self.stream.next(), "close").await {}
    }
}
