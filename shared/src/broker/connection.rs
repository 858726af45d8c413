//! One supervised connection, and channels on it that are opened again when they break.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::StreamExt;
use lapin::options::ConfirmSelectOptions;
use lapin::uri::AMQPUri;
use lapin::{Channel, Connection, ConnectionProperties};
use rand::RngExt;
use rand::rngs::StdRng;
use tokio::sync::{Mutex, watch};
use tokio_util::sync::CancellationToken;

use super::error::BrokerError;
use super::topology::Topology;
use crate::metrics::labels::Link;
use crate::metrics::list;

/// How long any single request to the broker may take.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// Seconds between heartbeats: a silent broker is noticed within two of them. The server's own proposal of 60
/// would take two minutes.
const HEARTBEAT_SECONDS: u16 = 10;
/// Shortest and longest pause between two tries to connect; it grows between them, with full jitter.
const PAUSE_MIN: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(5);
/// How long closing may take.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// How a connection stands.
#[derive(Clone)]
enum State {
    /// Not connected, and why.
    Down(BrokerError),
    Up(Arc<Connection>),
    Closed,
}

/// A connection that comes back. Cheap to clone.
#[derive(Clone)]
pub(super) struct RecoveringConnection {
    state: watch::Receiver<State>,
}

impl RecoveringConnection {
    /// Starts the supervisor. `topology` is declared on each new connection before anyone gets it.
    pub(super) fn start(
        url: &str,
        link: Link,
        topology: Option<Arc<Topology>>,
        rng: StdRng,
        stop: CancellationToken,
    ) -> Result<Self, BrokerError> {
        let mut uri: AMQPUri = url.parse().map_err(BrokerError::Url)?;
        uri.query.heartbeat.get_or_insert(HEARTBEAT_SECONDS);
        let down = State::Down(BrokerError::Unavailable("not connected yet".into()));
        let (sender, state) = watch::channel(down);
        tokio::spawn(
            Supervisor {
                uri,
                link,
                topology,
                rng,
                stop,
                state: sender,
            }
            .run(),
        );
        Ok(Self { state })
    }

    /// Waits until connected. A refusal is an answer; other failures are waited out.
    pub(super) async fn ready(&self, timeout: Duration) -> Result<Arc<Connection>, BrokerError> {
        let mut state = self.state.clone();
        let wait = async {
            loop {
                match &*state.borrow_and_update() {
                    State::Up(connection) => return Ok(connection.clone()),
                    State::Closed => return Err(BrokerError::Unavailable("closed".into())),
                    State::Down(error @ BrokerError::Refused(_)) => return Err(error.clone()),
                    State::Down(_) => {}
                }
                if state.changed().await.is_err() {
                    return Err(BrokerError::Unavailable("closed".into()));
                }
            }
        };
        match tokio::time::timeout(timeout, wait).await {
            Ok(result) => result,
            Err(_) => match &*self.state.borrow() {
                State::Down(error) => Err(error.clone()),
                _ => Err(BrokerError::Unavailable("no connection in time".into())),
            },
        }
    }

    /// Why it can't be used just now, if it can't.
    pub(super) fn trouble(&self) -> Option<String> {
        match &*self.state.borrow() {
            State::Up(connection) if !connection.status().connected() => {
                Some("the connection ended".to_owned())
            }
            State::Up(connection) if connection.status().blocked() => {
                Some("the broker takes no messages: it is short of memory or disk".to_owned())
            }
            State::Up(_) => None,
            State::Down(error) => Some(error.to_string()),
            State::Closed => Some("closed".to_owned()),
        }
    }

    pub(super) fn is_closed(&self) -> bool {
        matches!(&*self.state.borrow(), State::Closed)
    }

    /// Waits until the supervisor has closed the connection for good.
    pub(super) async fn closed(&self) {
        let mut state = self.state.clone();
        // An error means that the supervisor is gone, which is closed too.
        let _ = state.wait_for(|state| matches!(state, State::Closed)).await;
    }
}

struct Supervisor {
    uri: AMQPUri,
    link: Link,
    topology: Option<Arc<Topology>>,
    /// Draws the pauses.
    rng: StdRng,
    stop: CancellationToken,
    state: watch::Sender<State>,
}

impl Supervisor {
    /// Connects, waits for the end of the connection, and begins again; until told to stop.
    async fn run(mut self) {
        let mut ceiling = PAUSE_MIN;
        while !self.stop.is_cancelled() {
            let connection = tokio::select! {
                () = self.stop.cancelled() => break,
                connection = self.connect() => connection,
            };
            match connection {
                Ok(connection) => {
                    tracing::info!(broker.link = self.link.as_str(), "connected to the broker");
                    ceiling = PAUSE_MIN;
                    self.hold(connection).await;
                }
                Err(error) => {
                    tracing::warn!(broker.link = self.link.as_str(), error = %error, "can't connect to the broker; trying again");
                    self.state.send_replace(State::Down(error));
                }
            }
            list::BROKER_RECONNECTS.of(self.link).increment(1);
            let pause = self.rng.random_range(PAUSE_MIN..=ceiling.max(PAUSE_MIN));
            ceiling = (ceiling * 2).min(PAUSE_MAX);
            tokio::select! {
                () = self.stop.cancelled() => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
        self.state.send_replace(State::Closed);
    }

    async fn connect(&self) -> Result<Connection, BrokerError> {
        let properties = ConnectionProperties::default()
            .with_connection_name(format!("fanfare {}", self.link.as_str()).into());
        let connect = Connection::connect_uri(self.uri.clone(), properties);
        let connection = tokio::time::timeout(REQUEST_TIMEOUT, connect)
            .await
            .map_err(|_| BrokerError::Unavailable("connecting timed out".into()))??;
        if let Some(topology) = &self.topology {
            tokio::time::timeout(REQUEST_TIMEOUT, topology.declare(&connection))
                .await
                .map_err(|_| BrokerError::Unavailable("declaring timed out".into()))??;
        }
        Ok(connection)
    }

    /// Lends the connection out until it breaks or we stop.
    async fn hold(&self, connection: Connection) {
        let connection = Arc::new(connection);
        let mut events = std::pin::pin!(connection.events_listener());
        self.state.send_replace(State::Up(connection.clone()));
        let connected = list::BROKER_CONNECTED.of(self.link);
        connected.set(1.0);
        let why = loop {
            if !connection.status().connected() {
                break "the connection ended".to_owned();
            }
            tokio::select! {
                () = self.stop.cancelled() => {
                    let close = connection.close(200, "stop".into());
                    // Closing is a courtesy: the broker notices the end of the socket as well.
                    let _ = tokio::time::timeout(CLOSE_TIMEOUT, close).await;
                    self.state.send_replace(State::Closed);
                    return;
                }
                event = events.next() => match event {
                    Some(lapin::Event::Error(error)) => break error.to_string(),
                    Some(lapin::Event::ConnectionBlocked(reason)) => {
                        connected.set(0.0);
                        tracing::warn!(broker.link = self.link.as_str(), reason, "the broker takes no messages: it is short of memory or disk");
                    }
                    Some(lapin::Event::ConnectionUnblocked) => {
                        connected.set(1.0);
                        tracing::info!(broker.link = self.link.as_str(), "the broker takes messages again");
                    }
                    Some(_) => {}
                    None => break "the connection ended".to_owned(),
                },
            }
        };
        connected.set(0.0);
        tracing::warn!(
            broker.link = self.link.as_str(),
            error = why,
            "lost the broker; connecting again"
        );
        self.state
            .send_replace(State::Down(BrokerError::Unavailable(why)));
    }
}

/// A channel on a recovering connection, opened when needed and again when broken.
pub(super) struct RecoveringChannel {
    connection: RecoveringConnection,
    confirms: bool,
    channel: std::sync::Mutex<Option<Channel>>,
    /// How many channels were opened here.
    opened: AtomicU64,
    /// One opener at a time; the others wait for its channel.
    opening: Mutex<()>,
}

impl RecoveringChannel {
    /// A channel for requests.
    pub(super) fn new(connection: RecoveringConnection) -> Self {
        Self {
            connection,
            confirms: false,
            channel: std::sync::Mutex::new(None),
            opened: AtomicU64::new(0),
            opening: Mutex::new(()),
        }
    }

    /// A channel with publisher confirms.
    pub(super) fn confirming(connection: RecoveringConnection) -> Self {
        Self {
            confirms: true,
            ..Self::new(connection)
        }
    }

    /// The channel, opened if need be.
    pub(super) async fn get(&self) -> Result<Channel, BrokerError> {
        if let Some(channel) = self.current() {
            return Ok(channel);
        }
        // All wait for the connection side by side: behind the lock each would wait its full time after the others.
        let connection = self.connection.ready(REQUEST_TIMEOUT).await?;
        let open = async {
            let _opening = self.opening.lock().await;
            if let Some(channel) = self.current() {
                return Ok(channel);
            }
            let channel = connection.create_channel().await?;
            if self.confirms {
                channel.confirm_select(ConfirmSelectOptions::default()).await?;
            }
            self.opened.fetch_add(1, Ordering::Relaxed);
            *self.slot() = Some(channel.clone());
            Ok::<_, lapin::Error>(channel)
        };
        Ok(tokio::time::timeout(REQUEST_TIMEOUT, open)
            .await
            .map_err(|_| BrokerError::Unavailable("opening a channel timed out".into()))??)
    }

    /// The number of the channel that was opened last, from 1: another one than before where another channel is.
    pub(super) fn opened(&self) -> u64 {
        self.opened.load(Ordering::Relaxed)
    }

    /// Drops the channel of that number, so that the next use opens another. A newer one stays: what is told of an
    /// old one may be told late.
    pub(super) fn discard(&self, number: u64) {
        let mut channel = self.slot();
        if self.opened() == number {
            *channel = None;
        }
    }

    /// Does one request on the channel, within the time a request may take.
    pub(super) async fn request<T>(
        &self,
        request: impl AsyncFnOnce(&Channel) -> Result<T, lapin::Error>,
    ) -> Result<T, BrokerError> {
        let channel = self.get().await?;
        let number = self.opened();
        match tokio::time::timeout(REQUEST_TIMEOUT, request(&channel)).await {
            Ok(result) => Ok(result?),
            Err(_) => {
                self.discard(number);
                Err(BrokerError::Unavailable("a request timed out".into()))
            }
        }
    }

    fn current(&self) -> Option<Channel> {
        let channel = self.slot();
        channel.as_ref().filter(|open| open.status().connected()).cloned()
    }

    fn slot(&self) -> MutexGuard<'_, Option<Channel>> {
        self.channel.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn those_who_wait_for_a_broker_that_is_away_wait_side_by_side() {
        let stop = CancellationToken::new();
        let connection = RecoveringConnection::start(
            "amqp://127.0.0.1:1",
            Link::Publish,
            None,
            StdRng::seed_from_u64(1),
            stop.clone(),
        )
        .unwrap();
        let channel = RecoveringChannel::confirming(connection);
        let started = tokio::time::Instant::now();
        let all = futures_util::future::join_all((0..20).map(|_| channel.get())).await;
        assert!(all.iter().all(Result::is_err));
        assert!(
            started.elapsed() < REQUEST_TIMEOUT * 2,
            "{:?} for all of them",
            started.elapsed()
        );
        stop.cancel();
    }
}
