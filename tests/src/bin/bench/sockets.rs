//! Events to socket.io clients: published to the broker's exchange, read there by the API, and given to every client, by
//! WebSocket.
//!
//! Beside it the same events from the broker straight to as many queues, each with a consumer that takes them without a word:
//! what it costs to have everybody listen there instead. Broker, API and clients share the machine's processors.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use futures_util::future::try_join_all;
use futures_util::{SinkExt as _, StreamExt as _};
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use lapin::types::ShortString;
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties};
use serde_json::{Value, json};
use tests::cluster::{AUTH, Cluster};
use tests::events::Listener;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};
use uuid::Uuid;

use crate::report::Row;
use crate::work::measure::Figure;

const CLIENTS: usize = 100;
const ROUNDS: usize = 5;
/// Events of a round.
const EVENTS: usize = 2_000;
/// Events that are published before the clients have those before them: nobody falls behind, and none is dropped.
const AT_A_TIME: usize = 250;
const TOKEN: &str = "bench-sockets";
/// How long a round may take.
const PATIENCE: Duration = Duration::from_secs(120);

/// Measures and prints the row.
pub(crate) async fn measure() -> Result<()> {
    let cluster = Cluster::start_with(0, &[("LOG", "warn")]).await?;
    let (url, prefix) = cluster.broker();
    let mut events = Events::connect(url, prefix).await?;
    let mut clients = try_join_all((0..CLIENTS).map(|_| Client::connect(cluster.api_address()))).await?;
    let mut shared = Vec::new();
    // One round to warm up.
    for round in 0..=ROUNDS {
        let rate = rate(async {
            for _ in 0..EVENTS / AT_A_TIME {
                let heard = try_join_all(clients.iter_mut().map(Client::hear));
                tokio::try_join!(events.publish(), heard)?;
            }
            Ok(())
        });
        let rate = rate.await?;
        eprintln!("bench: {rate:.0} events/s to {CLIENTS} clients together");
        if round > 0 {
            shared.push(rate);
        }
    }
    drop(clients);
    let row = Row {
        name: "socket_fan_out_100_clients",
        unit: "events/s",
        ours: Figure::of(shared),
        baileys: None,
        floor: Some(of_broker(&mut events, url, prefix).await?),
        target: None,
    };
    row.print();
    Ok(())
}

/// The same by a queue of its own for each.
async fn of_broker(events: &mut Events, url: &str, prefix: &str) -> Result<Figure> {
    let pattern = format!("{TOKEN}.#");
    let listeners = (0..CLIENTS).map(|_| Listener::start(url, prefix, &pattern));
    let mut listeners = try_join_all(listeners).await?;
    let mut rates = Vec::new();
    for round in 0..=ROUNDS {
        let rate = rate(async {
            for _ in 0..EVENTS / AT_A_TIME {
                let heard = try_join_all(listeners.iter_mut().map(async |listener| {
                    for _ in 0..AT_A_TIME {
                        listener.next().await?;
                    }
                    Ok(())
                }));
                tokio::try_join!(events.publish(), heard)?;
            }
            Ok(())
        });
        let rate = rate.await?;
        eprintln!("bench: {rate:.0} events/s from the broker to {CLIENTS} queues together");
        if round > 0 {
            rates.push(rate);
        }
    }
    Ok(Figure::of(rates))
}

/// Deliveries per second of one round.
async fn rate(round: impl Future<Output = Result<()>>) -> Result<f64> {
    let start = Instant::now();
    let ended = tokio::time::timeout(PATIENCE, round).await;
    ended.context("the round takes too long")??;
    Ok((EVENTS * CLIENTS) as f64 / start.elapsed().as_secs_f64())
}

/// Events as a session worker publishes them.
struct Events {
    channel: Channel,
    exchange: ShortString,
    sequence: u64,
    _connection: Connection,
}

impl Events {
    async fn connect(url: &str, prefix: &str) -> Result<Self> {
        let connection = Connection::connect(url, ConnectionProperties::default()).await?;
        let channel = connection.create_channel().await?;
        channel.confirm_select(ConfirmSelectOptions::default()).await?;
        Ok(Self {
            channel,
            exchange: format!("{prefix}.events").into(),
            sequence: 0,
            _connection: connection,
        })
    }

    /// Publishes as many as the clients wait for.
    async fn publish(&mut self) -> Result<()> {
        let mut confirms = Vec::with_capacity(AT_A_TIME);
        for _ in 0..AT_A_TIME {
            self.sequence += 1;
            let body = self.event().to_string();
            let published = self.channel.basic_publish(
                self.exchange.clone(),
                format!("{TOKEN}.send.message.PROCESSING").into(),
                BasicPublishOptions::default(),
                body.as_bytes(),
                BasicProperties::default().with_content_type("application/json".into()),
            );
            confirms.push(published.await?);
        }
        for confirm in confirms {
            ensure!(confirm.await?.is_ack(), "not confirmed");
        }
        Ok(())
    }

    fn event(&self) -> Value {
        json!({
            "event": "send.message:PROCESSING", "instance": { "owner": "5511900000000@s.whatsapp.net", "name": TOKEN },
            "data": { "queue": { "queueId": Uuid::nil(), "progress": 50, "status": "PROCESSING" },
                "number": "5531900000001", "message": "We open at nine tomorrow." },
            "id": Uuid::now_v7(), "timestamp": 1_735_689_600_000_u64, "sequence": self.sequence,
        })
    }
}

/// A socket.io client: protocol 5 over engine.io 4, by WebSocket alone.
struct Client(WebSocketStream<MaybeTlsStream<TcpStream>>);

impl Client {
    /// Connects, and is told that it gets all events from now on.
    async fn connect(api: SocketAddr) -> Result<Self> {
        let url = format!("ws://{api}/socket.io/?EIO=4&transport=websocket");
        let (socket, _) = tokio_tungstenite::connect_async(url).await?;
        let mut client = Self(socket);
        let opened = client.next().await?;
        ensure!(opened.starts_with('0'), "{opened}");
        let auth = json!({ "key": AUTH, "tokens": [TOKEN] });
        client.0.send(Message::text(format!("40{auth}"))).await?;
        loop {
            let told = client.next().await?;
            ensure!(!told.starts_with("44"), "not let in: {told}");
            if told.starts_with(r#"42["joined""#) {
                return Ok(client);
            }
        }
    }

    /// Takes as many events as are published at a time.
    async fn hear(&mut self) -> Result<()> {
        let mut heard = 0;
        while heard < AT_A_TIME {
            let told = self.next().await?;
            ensure!(!told.starts_with(r#"42["dropped""#), "fell behind: {told}");
            heard += usize::from(told.starts_with("42"));
        }
        Ok(())
    }

    /// The next packet that is no ping.
    async fn next(&mut self) -> Result<String> {
        loop {
            let message = self.0.next().await.context("the connection ended")??;
            let Message::Text(text) = message else { continue };
            if text.as_str() != "2" {
                return Ok(text.as_str().to_owned());
            }
            self.0.send(Message::text("3")).await?;
        }
    }
}
