//! Files of a media host that is what each test makes it.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::super::download::{Host, fetch};
use crate::connection::{Download, DownloadError};
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
    let limit = Duration::from_millis(1_000);
    let from = Host {
        url,
        origin: "https://web.whatsapp.com".to_owned(),
        proxy: None,
    };
    let result = fetch(from, limit, Download { blob, max_bytes }).await;
    host.abort();
    result
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
    let from = Host {
        url: "http://127.0.0.1:1".to_owned(),
        origin: String::new(),
        proxy: None,
    };
    let wanted = Download {
        blob: file_ref(),
        max_bytes: 1,
    };
    let nobody = fetch(from, Duration::from_secs(5), wanted);
    assert!(matches!(nobody.await, Err(DownloadError::Unreachable(_))));
}

fn file_ref() -> BlobRef {
    file().1
}
