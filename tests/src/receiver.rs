//! A webhook receiver that can be told to fail.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use anyhow::{Context as _, Result};
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::{get, post};
use serde_json::Value;

/// How the receiver answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mood {
    /// 204 at once.
    #[default]
    Well,
    /// 500 at once.
    Failing,
    /// Never.
    Hanging,
}

/// One request as it came.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// The `webhook-id` header.
    pub id: String,
    /// All headers.
    pub headers: HeaderMap,
    /// The body as it was signed.
    pub body: Bytes,
    /// How it was answered.
    pub mood: Mood,
}

impl Attempt {
    /// The body as JSON; null where it is none.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
}

#[derive(Default)]
struct Book {
    mood: Mutex<Mood>,
    attempts: Mutex<Vec<Attempt>>,
}

/// A running receiver; it ends with the runtime.
pub struct Receiver {
    address: SocketAddr,
    book: Arc<Book>,
}

impl Receiver {
    /// Listens on `address` (port 0 chooses one).
    ///
    /// # Errors
    /// When the address is taken.
    pub async fn start(address: SocketAddr) -> Result<Self> {
        let listener = tokio::net::TcpListener::bind(address)
            .await
            .with_context(|| format!("listening on {address}"))?;
        let address = listener.local_addr()?;
        let book = Arc::new(Book::default());
        let router = Router::new()
            .route("/hook", post(take))
            .route("/count", get(count))
            .layer(axum::extract::DefaultBodyLimit::max(16 * 1024 * 1024))
            .with_state(book.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Ok(Self { address, book })
    }

    /// Where webhooks are to be sent.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}/hook", self.address)
    }

    /// Changes how the next requests are answered.
    pub fn set_mood(&self, mood: Mood) {
        *self.book.mood.lock().expect("a handler panicked") = mood;
    }

    /// All requests so far.
    #[must_use]
    pub fn attempts(&self) -> Vec<Attempt> {
        self.book.attempts.lock().expect("a handler panicked").clone()
    }

    /// The requests that were answered with success.
    #[must_use]
    pub fn delivered(&self) -> Vec<Attempt> {
        self.attempts()
            .into_iter()
            .filter(|attempt| attempt.mood == Mood::Well)
            .collect()
    }
}

async fn take(State(book): State<Arc<Book>>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let mood = *book.mood.lock().expect("a handler panicked");
    let id = headers
        .get("webhook-id")
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default()
        .to_owned();
    book.attempts.lock().expect("a handler panicked").push(Attempt {
        id,
        headers,
        body,
        mood,
    });
    match mood {
        Mood::Well => StatusCode::NO_CONTENT,
        Mood::Failing => StatusCode::INTERNAL_SERVER_ERROR,
        Mood::Hanging => std::future::pending().await,
    }
}

/// `{"attempts": N, "delivered": N}`, for a caller in another process.
async fn count(State(book): State<Arc<Book>>) -> axum::Json<Value> {
    let attempts = book.attempts.lock().expect("a handler panicked");
    let delivered: std::collections::HashSet<&str> = attempts
        .iter()
        .filter(|attempt| attempt.mood == Mood::Well)
        .map(|attempt| attempt.id.as_str())
        .collect();
    axum::Json(serde_json::json!({ "attempts": attempts.len(), "delivered": delivered.len() }))
}
