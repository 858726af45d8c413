//! Files to and from media hosts that are what each test makes them.

use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::sync::Mutex;

use super::super::transfer::{MediaRoute, Upload, UploadError};
use crate::connection::{Config, DownloadError};
use crate::event::{MediaAuth, MediaConn, MediaHost};
use crate::media::{BadBlob, BlobRef, MediaKey, MediaKind, seal};
use crate::version::ClientVersion;

const TAKEN: &str = "HTTP/1.1 200 OK\r\nContent-Length: 51\r\n\r\n{\"url\":\"http://h/v/1?x=2\",\"direct_path\":\"/v/1?x=2\"}";
/// More than a piece, and no whole number of them.
const LENGTH: usize = 200_001;

/// A host that answers each request with this, when it has all of it; and what it was sent.
async fn host(answer: Vec<u8>) -> (MediaHost, Arc<Mutex<Vec<Vec<u8>>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let hostname = listener.local_addr().unwrap().to_string();
    let asked = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&asked);
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let mut request = Vec::new();
            while !is_whole(&request) {
                let mut piece = vec![0; 65_536];
                let length = socket.read(&mut piece).await.unwrap();
                request.extend_from_slice(&piece[..length]);
            }
            log.lock().await.push(request);
            drop(socket.write_all(&answer).await);
        }
    });
    let named = MediaHost {
        hostname,
        fallback: None,
        max_bytes: None,
    };
    (named, asked)
}

fn is_whole(request: &[u8]) -> bool {
    let Some((head, body)) = split(request) else {
        return false;
    };
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(": ")?;
        name.eq_ignore_ascii_case("content-length")
            .then(|| value.parse::<usize>().unwrap())
    });
    body.len() >= length.unwrap_or_default()
}

fn split(request: &[u8]) -> Option<(String, &[u8])> {
    let end = request.windows(4).position(|bytes| bytes == b"\r\n\r\n")?;
    Some((
        String::from_utf8_lossy(&request[..end]).into_owned(),
        &request[end + 4..],
    ))
}

fn route(hosts: Vec<MediaHost>) -> MediaRoute {
    let mut config = Config::whatsapp(ClientVersion::KNOWN);
    config.media_url = "http://127.0.0.1:1".to_owned();
    let conn = MediaConn {
        auth: MediaAuth::new("a b/c"),
        ttl: Duration::from_secs(300),
        auth_ttl: Duration::from_secs(300),
        hosts,
    };
    MediaRoute::new(&config, None, conn)
}

fn file_with(content: &[u8]) -> std::fs::File {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(content).unwrap();
    file
}

fn upload(file: &std::fs::File, length: usize) -> Upload<'_> {
    Upload {
        kind: MediaKind::Image,
        enc_sha256: [0xfb; 32],
        length: length as u64,
        file,
    }
}

#[tokio::test]
async fn a_file_is_uploaded_under_its_hash_to_the_first_host_that_takes_it() {
    let (broken, _) = host(b"HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n".to_vec()).await;
    let (good, asked) = host(TAKEN.as_bytes().to_vec()).await;
    let gone = MediaHost {
        hostname: "127.0.0.1:1".to_owned(),
        ..good.clone()
    };
    let small = MediaHost {
        max_bytes: Some(1_000),
        hostname: "127.0.0.1:2".to_owned(),
        ..good.clone()
    };
    let sent = vec![7; LENGTH];
    let file = file_with(&sent);
    let route = route(vec![gone, small, broken, good]);
    let uploaded = route.upload(upload(&file, LENGTH)).await.unwrap();
    assert_eq!(uploaded.direct_path, "/v/1?x=2");
    assert_eq!(uploaded.url.as_deref(), Some("http://h/v/1?x=2"));
    let asked = asked.lock().await;
    let (head, body) = split(&asked[0]).unwrap();
    let token = "-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_s";
    let line = format!("POST /mms/image/{token}?auth=a%20b%2Fc&token={token} HTTP/1.1");
    assert_eq!(head.lines().next(), Some(line.as_str()));
    assert!(
        head.to_lowercase().contains("origin: https://web.whatsapp.com"),
        "{head}"
    );
    assert!(body == sent, "the file as it is");
}

#[tokio::test]
async fn what_hosts_say_no_to_is_told_apart() {
    let answers = |line: &str| format!("HTTP/1.1 {line}\r\nContent-Length: 0\r\n\r\n").into_bytes();
    let file = file_with(b"x");
    let refused = async |line: &str| {
        let (host, _) = host(answers(line)).await;
        route(vec![host]).upload(upload(&file, 1)).await.unwrap_err()
    };
    assert!(matches!(refused("401 No").await, UploadError::Unauthorized));
    assert!(matches!(refused("403 No").await, UploadError::Unauthorized));
    assert!(matches!(refused("413 No").await, UploadError::TooLarge));
    assert!(matches!(refused("418 No").await, UploadError::Refused(418)));
    assert!(matches!(refused("200 OK").await, UploadError::Malformed));
    assert!(refused("503 Later").await.is_passing() && !refused("418 No").await.is_passing());
    let none = route(Vec::new()).upload(upload(&file, 1)).await.unwrap_err();
    assert!(matches!(none, UploadError::TooLarge));
    let (host, asked) = host(answers("401 No")).await;
    let twice = route(vec![host.clone(), host]).upload(upload(&file, 1)).await;
    assert!(matches!(twice, Err(UploadError::Unauthorized)));
    assert_eq!(
        asked.lock().await.len(),
        1,
        "no other host is asked with the same secret"
    );
}

fn sealed() -> (Vec<u8>, BlobRef, Vec<u8>) {
    let content = vec![9; LENGTH];
    let key = MediaKey::new([7; 32]);
    let sealed = seal(MediaKind::Video, &key, &content);
    let blob = BlobRef {
        kind: MediaKind::Video,
        path: "/v/1?x=2".to_owned(),
        key,
        sha256: sealed.sha256,
        enc_sha256: sealed.enc_sha256,
        length: None,
    };
    (sealed.file, blob, content)
}

async fn downloaded(served: &[u8], blob: &BlobRef, max_bytes: u64) -> Result<Vec<u8>, DownloadError> {
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", served.len());
    let (host, _) = host([head.as_bytes(), served].concat()).await;
    let mut file = file_with(b"what was there before");
    route(vec![host]).download(blob, max_bytes, &file).await?;
    let mut content = Vec::new();
    file.seek(SeekFrom::Start(0)).unwrap();
    file.read_to_end(&mut content).unwrap();
    Ok(content)
}

#[tokio::test]
async fn a_file_is_downloaded_whole_and_checked_or_not_at_all() {
    let (file, blob, content) = sealed();
    assert!(downloaded(&file, &blob, 1 << 20).await.unwrap() == content);
    assert_eq!(
        downloaded(&file, &blob, 1_000).await,
        Err(DownloadError::TooLarge)
    );
    let mut altered = file.clone();
    altered[LENGTH / 2] ^= 1;
    let bad = downloaded(&altered, &blob, 1 << 20).await;
    assert_eq!(bad, Err(DownloadError::Bad(BadBlob::FileHash)));
    let (host, _) = host(b"HTTP/1.1 410 Gone\r\nContent-Length: 0\r\n\r\n".to_vec()).await;
    let gone = route(vec![host]).download(&blob, 1 << 20, &file_with(b"")).await;
    assert_eq!(gone, Err(DownloadError::Expired));
}
