//! Somebody who uses the HTTP API.

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use reqwest::{Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};

use crate::simulated::Control;
use crate::wait::eventually;

/// How long pairing may take until the session says that it is open.
const PAIRING_PATIENCE: Duration = Duration::from_secs(60);

/// A client of the API with its key.
#[derive(Clone)]
pub struct Operator {
    base: Arc<str>,
    auth: Arc<str>,
    http: reqwest::Client,
}

impl Operator {
    /// A client of the API at `base` (`http://host:port`) with the key `auth`.
    #[must_use]
    pub fn new(base: &str, auth: &str) -> Self {
        Self {
            base: base.trim_end_matches('/').into(),
            auth: auth.into(),
            http: crate::http::client(),
        }
    }

    /// A request of any kind, with the key on it.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http
            .request(method, format!("{}{path}", self.base))
            .basic_auth(&*self.auth, Some(""))
    }

    /// A `POST` and its answer, whatever the status.
    ///
    /// # Errors
    /// When there is no answer or it is not JSON.
    pub async fn post(&self, path: &str, body: Value) -> Result<(StatusCode, Value)> {
        answer(path, self.request(Method::POST, path).json(&body)).await
    }

    /// A `GET` and its answer, whatever the status.
    ///
    /// # Errors
    /// When there is no answer or it is not JSON.
    pub async fn get(&self, path: &str) -> Result<(StatusCode, Value)> {
        answer(path, self.request(Method::GET, path)).await
    }

    /// A `DELETE` and its answer, whatever the status.
    ///
    /// # Errors
    /// When there is no answer or it is not JSON.
    pub async fn delete(&self, path: &str) -> Result<(StatusCode, Value)> {
        answer(path, self.request(Method::DELETE, path)).await
    }

    /// Makes the session `token` and pairs it with the simulated phone `number` by QR code.
    ///
    /// # Errors
    /// When it is not open in a minute.
    pub async fn pair(&self, control: &Control, token: &str, number: &str) -> Result<()> {
        let (status, body) = self
            .post("/api/whatsapp/create-instance", json!({ "token": token }))
            .await?;
        if !status.is_success() {
            bail!("create-instance {token}: {status}: {body}");
        }
        let mut scanned = String::new();
        eventually(
            PAIRING_PATIENCE,
            &format!("session {token} is open"),
            async || {
                let (_, session) = self.get(&format!("/v1/sessions/{token}")).await?;
                if session["state"] == "open" {
                    return Ok(true);
                }
                if let Ok(qr) = self.qr_text(token).await
                    && qr != scanned
                {
                    control.scan(number, &qr).await?;
                    scanned = qr;
                }
                Ok(false)
            },
        )
        .await
    }

    /// The text of the QR code that the session shows now.
    ///
    /// # Errors
    /// When it shows none.
    pub async fn qr_text(&self, token: &str) -> Result<String> {
        let path = format!("/v1/sessions/{token}/qr?format=text");
        let answer = self.request(Method::GET, &path).send().await?;
        if !answer.status().is_success() {
            bail!("{path}: {}", answer.status());
        }
        Ok(answer.text().await?.trim().to_owned())
    }

    /// Starts a broadcast of `text` to `numbers` and returns its queue id.
    ///
    /// # Errors
    /// When the API refuses it.
    pub async fn broadcast(
        &self,
        token: &str,
        numbers: &[String],
        text: &str,
        delay: RangeInclusive<f64>,
    ) -> Result<String> {
        let body = json!({
            "numbers": numbers,
            "message": { "type": "text", "text": text },
            "delay": { "min": delay.start(), "max": delay.end() },
        });
        let (status, answer) = self.post(&format!("/v1/sessions/{token}/queues"), body).await?;
        if status != StatusCode::ACCEPTED && !status.is_success() {
            bail!("broadcast: {status}: {answer}");
        }
        queue_id(&answer)
    }

    /// The state of a queue as the API tells it.
    ///
    /// # Errors
    /// When there is no such queue.
    pub async fn queue(&self, token: &str, queue: &str) -> Result<Value> {
        let (status, body) = self.get(&format!("/v1/sessions/{token}/queues/{queue}")).await?;
        if !status.is_success() {
            bail!("queue {queue}: {status}: {body}");
        }
        Ok(body)
    }

    /// `pause`, `resume` or `delete` on a queue; the answer whatever the status.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn command(&self, token: &str, queue: &str, command: &str) -> Result<(StatusCode, Value)> {
        match command {
            "delete" => self.delete(&format!("/v1/sessions/{token}/queues/{queue}")).await,
            _ => {
                self.post(
                    &format!("/v1/sessions/{token}/queues/{queue}/{command}"),
                    json!({}),
                )
                .await
            }
        }
    }
}

fn queue_id(answer: &Value) -> Result<String> {
    let id = answer["queueId"]
        .as_str()
        .or_else(|| answer["queue"]["queueId"].as_str());
    Ok(id.with_context(|| format!("no queueId in {answer}"))?.to_owned())
}

async fn answer(path: &str, request: RequestBuilder) -> Result<(StatusCode, Value)> {
    let answer = request.send().await.with_context(|| path.to_owned())?;
    let status = answer.status();
    let text = answer.text().await?;
    if text.is_empty() {
        return Ok((status, Value::Null));
    }
    Ok((
        status,
        serde_json::from_str(&text).with_context(|| format!("{path}: {status}: {text}"))?,
    ))
}
