//! Proxies that are as strict as real ones: SOCKS 5 with user and password, and HTTP CONNECT.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};

use super::super::route::{RouteError, connect};
use crate::proxy::Proxy;

const USER: &str = "fan";
const PASSWORD: &str = "p@ss:word";

/// A server that says back what it hears.
async fn echo() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (mut from, mut to) = socket.split();
                tokio::io::copy(&mut from, &mut to).await
            });
        }
    });
    port
}

/// A proxy whose connections `serve` opens; counts those that it opened.
async fn proxy<F: Future<Output = Option<(TcpStream, TcpStream)>> + Send>(
    serve: impl Fn(TcpStream) -> F + Send + Sync + 'static,
) -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let opened = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&opened);
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            if let Some((mut ours, mut theirs)) = serve(socket).await {
                count.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(async move { copy_bidirectional(&mut ours, &mut theirs).await });
            }
        }
    });
    (port, opened)
}

async fn socks(mut socket: TcpStream) -> Option<(TcpStream, TcpStream)> {
    let mut head = [0; 2];
    socket.read_exact(&mut head).await.ok()?;
    let mut methods = vec![0; usize::from(head[1])];
    socket.read_exact(&mut methods).await.ok()?;
    if head[0] != 5 || !methods.contains(&2) {
        socket.write_all(&[5, 0xff]).await.ok()?;
        return None;
    }
    socket.write_all(&[5, 2]).await.ok()?;
    assert_eq!(socket.read_u8().await.ok()?, 1);
    let mut texts = Vec::new();
    for _ in 0..2 {
        let mut text = vec![0; usize::from(socket.read_u8().await.ok()?)];
        socket.read_exact(&mut text).await.ok()?;
        texts.push(String::from_utf8(text).ok()?);
    }
    let is_known = texts == [USER, PASSWORD];
    socket.write_all(&[1, u8::from(!is_known)]).await.ok()?;
    if !is_known {
        return None;
    }
    let mut request = [0; 4];
    socket.read_exact(&mut request).await.ok()?;
    assert_eq!(&request[..3], &[5, 1, 0]);
    let host = match request[3] {
        1 => {
            let mut address = [0; 4];
            socket.read_exact(&mut address).await.ok()?;
            std::net::Ipv4Addr::from(address).to_string()
        }
        3 => {
            let mut name = vec![0; usize::from(socket.read_u8().await.ok()?)];
            socket.read_exact(&mut name).await.ok()?;
            String::from_utf8(name).ok()?
        }
        other => panic!("address of type {other}"),
    };
    let port = socket.read_u16().await.ok()?;
    let Ok(there) = TcpStream::connect((host.as_str(), port)).await else {
        socket.write_all(&[5, 5, 0, 1, 0, 0, 0, 0, 0, 0]).await.ok()?;
        return None;
    };
    socket.write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0]).await.ok()?;
    Some((socket, there))
}

async fn http(socket: TcpStream) -> Option<(TcpStream, TcpStream)> {
    let mut socket = BufReader::new(socket);
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        socket.read_line(&mut line).await.ok()?;
        match line.trim_end() {
            "" => break,
            line => lines.push(line.to_owned()),
        }
    }
    let expected = format!("Basic {}", STANDARD.encode(format!("{USER}:{PASSWORD}")));
    let is_known = lines.iter().any(|line| {
        line.to_ascii_lowercase().starts_with("proxy-authorization:") && line.ends_with(&expected)
    });
    if !is_known {
        let refusal = b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n";
        socket.get_mut().write_all(refusal).await.ok()?;
        return None;
    }
    let target = lines[0].strip_prefix("CONNECT ")?.split(' ').next()?.to_owned();
    let Ok(there) = TcpStream::connect(&target).await else {
        socket
            .get_mut()
            .write_all(b"HTTP/1.1 502 Bad Gateway\r\n\r\n")
            .await
            .ok()?;
        return None;
    };
    socket
        .get_mut()
        .write_all(b"HTTP/1.1 200 OK\r\n\r\n")
        .await
        .ok()?;
    Some((socket.into_inner(), there))
}

fn url(scheme: &str, user: &str, port: u16) -> Proxy {
    format!("{scheme}://{user}@127.0.0.1:{port}").parse().unwrap()
}

#[tokio::test]
async fn connections_leave_by_each_kind_of_proxy() {
    let there = echo().await;
    let ((socks, by_socks), (http, by_http)) = (proxy(socks).await, proxy(http).await);
    for (scheme, port) in [("socks5", socks), ("socks5h", socks), ("http", http)] {
        let proxy = url(scheme, "fan:p%40ss%3Aword", port);
        let mut stream = connect(Some(&proxy), "localhost", there).await.unwrap();
        stream.write_all(b"hello").await.unwrap();
        let mut heard = [0; 5];
        stream.read_exact(&mut heard).await.unwrap();
        assert_eq!(&heard, b"hello", "{scheme}");
    }
    let opened = (by_socks.load(Ordering::SeqCst), by_http.load(Ordering::SeqCst));
    assert_eq!(opened, (2, 1));
}

#[tokio::test]
async fn a_proxy_that_is_away_or_refuses_is_named_without_its_password() {
    let there = echo().await;
    let ((socks, by_socks), (http, by_http)) = (proxy(socks).await, proxy(http).await);
    let nobody = {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        listener.local_addr().unwrap().port()
    };
    for (scheme, port) in [
        ("socks5h", socks),
        ("http", http),
        ("socks5", nobody),
        ("http", nobody),
    ] {
        let proxy = url(scheme, "fan:guess", port);
        let error = connect(Some(&proxy), "127.0.0.1", there).await.unwrap_err();
        assert!(matches!(&error, RouteError::Proxy { .. }), "{error}");
        let told = error.to_string();
        assert!(
            told.contains(&format!("127.0.0.1:{port}")) && !told.contains("guess"),
            "{told}"
        );
    }
    let opened = (by_socks.load(Ordering::SeqCst), by_http.load(Ordering::SeqCst));
    assert_eq!(opened, (0, 0));
}
