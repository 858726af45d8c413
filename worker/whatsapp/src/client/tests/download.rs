//! Files of a media host that is what each test makes it.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::super::download::fetch;
use super::super::http::Way;
use crate::connection::{Download, DownloadError, Fetch};
use crate::media::{self, BadBlob, BlobRef, MediaKey, MediaKind};

const CONTENT: &[u8] = b"what the file says";

fn file() -> (Vec<u8>, BlobRef) {
    let key = MediaKey::new([7; 32]);
    let sealed = media::seal(MediaKind::History, &key, CONTENT);
    let blob = BlobRef {
        kind: MediaKind::History,
        path: "/v/1?ccb=1".to_owned(),
        key,
        sha256: sealed.sha256,
        enc_sha256: sealed.enc_sha256,
        length: None,
    };
    (sealed.file, blob)
}

/// What becomes of a download from a host that says this and then is silent.
async fn fetched(head: &str, body: &[u8], max_bytes: usize) -> Result<bytes::Bytes, DownloadError> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let answer = [head.as_bytes(), b"\r\n\r\n", body].concat();
    let host = tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        let mut asked = vec![0; 4096];
        let length = socket.read(&mut asked).await.unwrap();
        asked.truncate(length);
        socket.write_all(&answer).await.unwrap();
        std::future::pending::<()>().await;
        drop(socket);
        asked
    });
    let (_, blob) = file();
    let result = from_hosts(&[&url], Download { blob, max_bytes }).await;
    host.abort();
    result
}

async fn from_hosts(hosts: &[&str], file: Download) -> Result<bytes::Bytes, DownloadError> {
    let hosts = hosts.iter().map(|host| (*host).to_owned()).collect();
    let way = Way {
        origin: "https://web.whatsapp.com".to_owned(),
        proxy: None,
    };
    fetch(way, Duration::from_millis(1_000), Fetch { file, hosts }).await
}

/// A host that answers each request with this.
async fn host(answer: Vec<u8>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let mut asked = vec![0; 4096];
            drop(socket.read(&mut asked).await);
            drop(socket.write_all(&answer).await);
        }
    });
    url
}

#[tokio::test]
async fn a_host_that_is_away_or_broken_is_passed_over_and_one_that_says_no_is_not() {
    let (file, blob) = file();
    let head = |line: &str, length: usize| format!("HTTP/1.1 {line}\r\nContent-Length: {length}\r\n\r\n");
    let good = host([head("200 OK", file.len()).as_bytes(), &file].concat()).await;
    let broken = host(head("503 Service Unavailable", 0).into_bytes()).await;
    let gone = host(head("404 Not Found", 0).into_bytes()).await;
    let wanted = || Download {
        blob: blob.clone(),
        max_bytes: 1_000,
    };
    let nobody = "http://127.0.0.1:1";
    let found = from_hosts(&[nobody, &broken, &good], wanted()).await;
    assert_eq!(found.unwrap(), CONTENT);
    let last = from_hosts(&[nobody, &broken], wanted()).await;
    assert_eq!(last, Err(DownloadError::Refused(503)));
    let not_asked = from_hosts(&[&gone, &good], wanted()).await;
    assert_eq!(not_asked, Err(DownloadError::Expired));
    let too_many = from_hosts(&[nobody, nobody, nobody, nobody, &good], wanted()).await;
    assert!(matches!(too_many, Err(DownloadError::Unreachable(_))));
    assert!(matches!(
        from_hosts(&[], wanted()).await,
        Err(DownloadError::Unreachable(_))
    ));
}

fn ok(length: usize) -> String {
    format!("HTTP/1.1 200 OK\r\nContent-Length: {length}")
}

#[tokio::test]
async fn a_file_is_fetched_checked_and_opened() {
    let (file, _) = file();
    let content = fetched(&ok(file.len()), &file, file.len()).await.unwrap();
    assert_eq!(content, CONTENT);
    let until_closed = fetched("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked", b"zz", 100).await;
    assert!(matches!(until_closed, Err(DownloadError::Unreachable(_))));
}

#[tokio::test]
async fn each_way_to_fail_has_its_name() {
    let (file, _) = file();
    let short = file.len() - 1;
    assert_eq!(
        fetched(&ok(file.len()), &file, short).await,
        Err(DownloadError::TooLarge)
    );
    assert_eq!(
        fetched(&ok(file.len()), &file[..short], 100).await,
        Err(DownloadError::TimedOut)
    );
    let bad = fetched(&ok(short), &file[..short], 100).await;
    assert_eq!(bad, Err(DownloadError::Bad(BadBlob::FileHash)));
    for (status, error) in [
        ("404 Not Found", DownloadError::Expired),
        ("410 Gone", DownloadError::Expired),
        ("403 Forbidden", DownloadError::Refused(403)),
        ("302 Found", DownloadError::Refused(302)),
    ] {
        let head = format!("HTTP/1.1 {status}\r\nContent-Length: 0");
        assert_eq!(fetched(&head, b"", 100).await, Err(error));
    }
}
