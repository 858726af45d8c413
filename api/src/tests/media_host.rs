//! A media host, and messages with files that are there.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use ::media::{MediaKey, MediaKind, seal};
use axum::extract::{Path, State};
use axum::routing::get;
use tokio::net::TcpListener;

use super::*;

type Files = Arc<Mutex<HashMap<String, Vec<u8>>>>;

/// Files by the last part of their path.
pub(super) struct MediaHost {
    pub(super) url: String,
    files: Files,
}

/// The key of all files.
const FILE_KEY: [u8; 32] = [7; 32];

impl MediaHost {
    pub(super) async fn start() -> Self {
        let files = Files::default();
        let give = async |State(files): State<Files>, Path(name): Path<String>| {
            let file = files.lock().unwrap().get(&name).cloned();
            file.ok_or(StatusCode::NOT_FOUND)
        };
        let routes = Router::new()
            .route("/v/{name}", get(give))
            .with_state(files.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, routes).await });
        Self { url, files }
    }

    /// Puts the sealed file of what it says there, changed as is wished.
    pub(super) fn put(&self, name: &str, content: &[u8], change: impl FnOnce(&mut Vec<u8>)) {
        let mut sealed = seal(MediaKind::Document, &MediaKey::new(FILE_KEY), content).file;
        change(&mut sealed);
        self.files.lock().unwrap().insert(name.to_owned(), sealed);
    }
}

impl TestApi {
    /// A message that came in with a file which says this, and is at this name; claimed to be of this length.
    pub(super) async fn received(
        &self,
        token: &Token,
        (message, name): (&str, &str),
        content: &[u8],
        length: &str,
    ) {
        let sealed = seal(MediaKind::Document, &MediaKey::new(FILE_KEY), content);
        let (sha, enc) = (hex::encode(sealed.sha256), hex::encode(sealed.enc_sha256));
        let key = hex::encode(FILE_KEY);
        let sql = format!(
            "INSERT INTO received_media SELECT id, '{message}', '5531900000001@s.whatsapp.net', NULL, false, 3,
             'application/octet-stream', 'report ü.pdf', {length}, '\\x{key}', '\\x{sha}', '\\x{enc}', '/v/{name}',
             now(), now() + interval '1 day' FROM session WHERE token = '{token}'"
        );
        self.database.query(&sql).await;
    }
}
