//! A bucket in a store that speaks S3: moto, a server that is not ours, as a process.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result};

use crate::process::free_address;
use crate::wait::eventually;

/// How long it may take to start.
const PATIENCE: Duration = Duration::from_secs(60);

/// An empty bucket and the server that holds it in its memory. Dropping it ends both.
pub struct Bucket {
    child: Child,
    url: String,
    http: reqwest::Client,
}

impl Bucket {
    /// Its name.
    pub const NAME: &str = "files";

    /// Starts the server and makes the bucket.
    ///
    /// # Errors
    /// When the Python of the tests is not known, or moto does not answer.
    pub async fn start() -> Result<Self> {
        let python = std::env::var("FANFARE_PYTHON")
            .context("FANFARE_PYTHON: `make test` sets it to a Python with moto")?;
        let address = free_address()?;
        let child = Command::new(python)
            .args(["-m", "moto.server", "-H", "127.0.0.1", "-p"])
            .arg(address.port().to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("starting moto")?;
        let mut bucket = Self {
            child,
            url: format!("http://{address}"),
            http: crate::http::client(),
        };
        eventually(PATIENCE, "moto has a bucket", async || {
            let ended = bucket.child.try_wait()?;
            anyhow::ensure!(
                ended.is_none(),
                "moto ended ({ended:?}); is it installed in FANFARE_PYTHON's folder (tests/stores/requirements.txt)?"
            );
            let made = bucket.http.put(bucket.path("")).send().await;
            Ok(made.is_ok_and(|answer| answer.status().is_success()))
        })
        .await?;
        Ok(bucket)
    }

    /// Where the server listens (`http://host:port`).
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The keys of all objects.
    ///
    /// # Errors
    /// When the server does not answer.
    pub async fn keys(&self) -> Result<Vec<String>> {
        self.texts("?list-type=2", "Key").await
    }

    /// The keys of all uploads that were begun and neither completed nor given up.
    ///
    /// # Errors
    /// When the server does not answer.
    pub async fn unfinished(&self) -> Result<Vec<String>> {
        self.texts("?uploads", "Key").await
    }

    /// What stands between the tags of this name in an answer.
    async fn texts(&self, query: &str, tag: &str) -> Result<Vec<String>> {
        let answer = self.http.get(self.path(query)).send().await?;
        let text = answer.error_for_status()?.text().await?;
        let (begin, end) = (format!("<{tag}>"), format!("</{tag}>"));
        let parts = text.split(begin.as_str()).skip(1);
        let texts = parts.filter_map(|part| part.split_once(end.as_str()));
        Ok(texts.map(|(text, _)| text.to_owned()).collect())
    }

    fn path(&self, query: &str) -> String {
        format!("{}/{}{query}", self.url, Self::NAME)
    }
}

impl Drop for Bucket {
    fn drop(&mut self) {
        // One that ended already is no error.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
