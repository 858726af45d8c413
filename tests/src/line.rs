//! A line to a service that can be cut and held: what a network does to a broker or a database.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context as _, Result};
use reqwest::Url;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::AbortHandle;

/// How a line stands.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum State {
    Open,
    /// Connections stay and carry nothing.
    Held,
    /// What is asked passes, and no answer.
    Unanswered,
    /// Connections end, and new ones end at once.
    Cut,
}

/// A TCP forwarder on loopback. Dropping it cuts it for good.
pub struct Line {
    state: watch::Sender<State>,
    accepted: Arc<AtomicUsize>,
    task: AbortHandle,
}

impl Line {
    /// A line to the service of `url`, and the URL that goes over it.
    ///
    /// # Errors
    /// When the URL names no host and port, or no port is free.
    pub async fn to(url: &str) -> Result<(Self, String)> {
        let mut url = Url::parse(url)?;
        let host = url.host_str().context("the URL has no host")?;
        let target = format!("{host}:{}", url.port().context("the URL has no port")?);
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address: SocketAddr = listener.local_addr()?;
        let (state, _) = watch::channel(State::Open);
        let accepted = Arc::new(AtomicUsize::new(0));
        let task = tokio::spawn(accept(listener, target, state.subscribe(), accepted.clone()));
        let through = url
            .set_ip_host(address.ip())
            .and_then(|()| url.set_port(Some(address.port())));
        through.map_err(|()| anyhow::anyhow!("the URL takes no other address"))?;
        let line = Self {
            state,
            accepted,
            task: task.abort_handle(),
        };
        Ok((line, url.into()))
    }

    /// Ends all connections, and new ones at once.
    pub fn cut(&self) {
        self.state.send_replace(State::Cut);
    }

    /// Lets nothing through; connections stay, and new ones are taken.
    pub fn hold(&self) {
        self.state.send_replace(State::Held);
    }

    /// Lets what is asked through, and no answer.
    pub fn hold_answers(&self) {
        self.state.send_replace(State::Unanswered);
    }

    /// Lets everything through again.
    pub fn mend(&self) {
        self.state.send_replace(State::Open);
    }

    /// How many connections were ever asked for.
    #[must_use]
    pub fn asked_for(&self) -> usize {
        self.accepted.load(Ordering::Relaxed)
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.cut();
        self.task.abort();
    }
}

async fn accept(
    listener: TcpListener,
    target: String,
    state: watch::Receiver<State>,
    accepted: Arc<AtomicUsize>,
) {
    while let Ok((client, _)) = listener.accept().await {
        accepted.fetch_add(1, Ordering::Relaxed);
        let (target, mut state) = (target.clone(), state.clone());
        tokio::spawn(async move {
            let mut is_cut = state.clone();
            tokio::select! {
                // An error means that the line is gone, which cuts it too.
                _ = is_cut.wait_for(|state| *state == State::Cut) => {}
                () = carry(client, &target, &mut state) => {}
            }
        });
    }
}

async fn carry(client: TcpStream, target: &str, state: &mut watch::Receiver<State>) {
    if opened(state, ASKED).await.is_none() {
        return;
    }
    let Ok(service) = TcpStream::connect(target).await else {
        return;
    };
    // Small messages both ways: waiting for more of them would be slowness of the line's own making.
    let _ = (client.set_nodelay(true), service.set_nodelay(true));
    let ((from_client, to_client), (from_service, to_service)) = (client.into_split(), service.into_split());
    let mut back = state.clone();
    tokio::select! {
        () = pump(from_client, to_service, (state, ASKED)) => {}
        () = pump(from_service, to_client, (&mut back, ANSWERED)) => {}
    }
}

async fn pump(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    (state, passes): (&mut watch::Receiver<State>, &[State]),
) {
    let mut buffer = vec![0; 16 * 1024];
    while let Ok(read @ 1..) = from.read(&mut buffer).await {
        if opened(state, passes).await.is_none() || to.write_all(&buffer[..read]).await.is_err() {
            return;
        }
    }
}

/// When what is asked passes.
const ASKED: &[State] = &[State::Open, State::Unanswered];
/// When what is answered passes.
const ANSWERED: &[State] = &[State::Open];

/// Waits until the line stands in one of these ways; `None` when it is gone.
async fn opened(state: &mut watch::Receiver<State>, passes: &[State]) -> Option<()> {
    state
        .wait_for(|state| passes.contains(state))
        .await
        .ok()
        .map(drop)
}
