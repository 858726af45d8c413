//! The listening side of HTTP, with handlers of its own.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use shared::lifecycle::{Ended, Lifecycle};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

use super::PATIENCE;
use crate::listener::{self, Limits};

/// Short enough to be waited for.
const SHORT: Duration = Duration::from_millis(50);

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nhost: test\r\n\r\n";

async fn start(router: Router, limits: Limits) -> (SocketAddr, Lifecycle) {
    let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, lifecycle) = (socket.local_addr().unwrap(), Lifecycle::new());
    let life = lifecycle.clone();
    tokio::spawn(async move { listener::serve(socket, router, limits, &life).await });
    (address, lifecycle)
}

fn hello() -> Router {
    Router::new().route("/", get(async || "hello"))
}

async fn ask(client: &mut TcpStream) {
    client.write_all(REQUEST).await.unwrap();
}

/// Reads until the text ends in `end`, or the server closes.
async fn read_until(client: &mut TcpStream, end: &str) -> String {
    let mut text = Vec::new();
    let read = async {
        while !String::from_utf8_lossy(&text).ends_with(end) {
            if client.read_buf(&mut text).await.unwrap_or(0) == 0 {
                break;
            }
        }
    };
    tokio::time::timeout(PATIENCE, read).await.expect("in time");
    String::from_utf8(text).unwrap()
}

#[tokio::test]
async fn who_does_not_finish_a_head_is_not_waited_for() {
    let limits = Limits {
        head: SHORT,
        ..Limits::default()
    };
    let (address, _lifecycle) = start(hello(), limits).await;
    for begun in [&b""[..], b"GET / HTTP/1.1\r\nhost: te"] {
        let mut client = TcpStream::connect(address).await.unwrap();
        client.write_all(begun).await.unwrap();
        let answer = read_until(&mut client, "never").await;
        assert!(answer.is_empty(), "{answer}");
    }
    // An answered connection is idle, and goes the same way.
    let mut client = TcpStream::connect(address).await.unwrap();
    ask(&mut client).await;
    let answer = read_until(&mut client, "never").await;
    assert!(
        answer.starts_with("HTTP/1.1 200") && answer.ends_with("hello"),
        "{answer}"
    );
}

#[tokio::test]
async fn one_connection_too_many_waits_for_a_place() {
    let limits = Limits {
        connections: 1,
        ..Limits::default()
    };
    let (address, _lifecycle) = start(hello(), limits).await;
    let mut first = TcpStream::connect(address).await.unwrap();
    ask(&mut first).await;
    read_until(&mut first, "hello").await;
    let mut second = TcpStream::connect(address).await.unwrap();
    ask(&mut second).await;
    for _ in 0..20 {
        ask(&mut first).await;
        read_until(&mut first, "hello").await;
        let unanswered = second.try_read(&mut [0]);
        assert!(unanswered.is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock));
    }
    drop(first);
    assert!(read_until(&mut second, "hello").await.ends_with("hello"));
}

#[tokio::test]
async fn who_takes_nothing_of_an_answer_is_not_waited_for() {
    let limits = Limits {
        stall: SHORT,
        ..Limits::default()
    };
    // More than any socket buffers.
    let router = Router::new().route("/", get(async || vec![0_u8; 64 << 20]));
    let (address, lifecycle) = start(router, limits).await;
    let mut client = TcpStream::connect(address).await.unwrap();
    ask(&mut client).await;
    client.read_exact(&mut [0]).await.unwrap();
    lifecycle.stop();
    assert_eq!(lifecycle.ended().await, Ended::Clean);
}

#[tokio::test]
async fn a_request_in_hand_is_answered_before_the_end() {
    let (begun, end) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (begin, ended) = (begun.clone(), end.clone());
    let slow = async move || {
        begin.notify_one();
        ended.notified().await;
        "hello"
    };
    let router = Router::new().route("/", get(slow));
    let (address, lifecycle) = start(router, Limits::default()).await;
    let mut idle = TcpStream::connect(address).await.unwrap();
    let mut client = TcpStream::connect(address).await.unwrap();
    ask(&mut client).await;
    begun.notified().await;
    lifecycle.stop();
    assert_eq!(read_until(&mut idle, "never").await, "", "nothing is in its hand");
    end.notify_one();
    let answer = read_until(&mut client, "never").await;
    assert!(
        answer.starts_with("HTTP/1.1 200") && answer.ends_with("hello"),
        "{answer}"
    );
    assert_eq!(lifecycle.ended().await, Ended::Clean);
    assert!(TcpStream::connect(address).await.is_err());
}
