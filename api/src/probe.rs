//! `ready`: asks a process of this machine whether it is ready, for health checks of containers, which have no other program
//! to ask with.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use reqwest::Url;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Longest that the answer may take: a few checks of three seconds each.
const PATIENCE: Duration = Duration::from_secs(15);
/// The largest answer.
const ANSWER_BYTES_MAX: u64 = 64 * 1024;

/// Asks `url`, plain HTTP, for `/readyz`; answers what it says.
///
/// # Errors
/// If it is not ready, with what it says is missing, or does not answer.
pub async fn ready(url: &Url) -> Result<String> {
    let answer = timeout(PATIENCE, ask(url)).await;
    let answer = answer.with_context(|| format!("{url} does not answer in {} s", PATIENCE.as_secs()))??;
    let (head, body) = answer.split_once("\r\n\r\n").context("no HTTP was answered")?;
    let status = head.split(' ').nth(1).unwrap_or_default();
    let body = body.trim();
    ensure!(status == "200", "not ready ({status}): {body}");
    Ok(body.to_owned())
}

/// HTTP/1.0, so that the answer is whole and ends with the connection.
async fn ask(url: &Url) -> Result<String> {
    if url.scheme() != "http" {
        bail!("{url} is not plain HTTP");
    }
    let host = url.host_str().context("the URL names no host")?;
    let port = url.port_or_known_default().unwrap_or(80);
    let connected = TcpStream::connect((host.trim_matches(['[', ']']), port)).await;
    let mut socket = connected.with_context(|| format!("can't connect to {host}:{port}"))?;
    let request = format!("GET /readyz HTTP/1.0\r\nHost: {host}\r\n\r\n");
    socket.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    socket.take(ANSWER_BYTES_MAX).read_to_string(&mut answer).await?;
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use axum::Json;
    use axum::Router;
    use axum::http::StatusCode;
    use axum::routing::get;
    use serde_json::json;

    use super::*;

    async fn answering(status: StatusCode) -> Url {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let route = get(async move || (status, Json(json!({ "problems": ["broker: away"] }))));
        tokio::spawn(async move { axum::serve(listener, Router::new().route("/readyz", route)).await });
        url.parse().unwrap()
    }

    #[tokio::test]
    async fn who_is_not_ready_says_what_is_missing() {
        ready(&answering(StatusCode::OK).await).await.unwrap();
        let refused = ready(&answering(StatusCode::SERVICE_UNAVAILABLE).await).await;
        let said = refused.unwrap_err().to_string();
        assert!(said.contains("503") && said.contains("broker: away"), "{said}");
        let nobody = ready(&"http://127.0.0.1:1".parse().unwrap()).await;
        assert!(nobody.unwrap_err().to_string().contains("127.0.0.1:1"));
    }
}
