//! Events from the exchange to the clients who asked for them, each once.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use lru::LruCache;
use serde::Deserialize;
use serde_json::value::RawValue;
use shared::broker::{Broker, BrokerError};
use shared::id::EventId;
use shared::metrics::list;
use socketioxide::SocketIo;

use super::client::{Client, Packet};
use super::dialect;
use super::door;
use super::watching::Watching;

/// How long the feed stays open when nobody watches any more: a page is loaded again.
const LINGER: Duration = Duration::from_secs(10);
/// Pause before the feed is opened again.
const RETRY_PAUSE: Duration = Duration::from_millis(500);
/// Events that are remembered, to drop repetitions.
const REMEMBERED_EVENTS: NonZeroUsize = NonZeroUsize::MIN.saturating_add(8_191);
/// Sessions whose last sequence is remembered, to notice what is missing.
const REMEMBERED_SESSIONS: NonZeroUsize = NonZeroUsize::MIN.saturating_add(4_095);

/// Reads events while anybody watches, for ever.
pub(super) async fn serve(io: &SocketIo, broker: &Broker, watching: &Watching, room: u32) {
    loop {
        watching.someone().await;
        let reader = Reader {
            io,
            broker,
            watching,
            room,
            // Nothing was missed while nobody watched.
            seen: Seen::default(),
        };
        tokio::select! {
            () = watching.nobody_for(LINGER) => {}
            () = reader.run() => {}
        }
        watching.shut();
    }
}

struct Reader<'a> {
    io: &'a SocketIo,
    broker: &'a Broker,
    watching: &'a Watching,
    /// Most events that may wait in the broker.
    room: u32,
    seen: Seen,
}

impl Reader<'_> {
    /// Reads over lost connections.
    async fn run(mut self) {
        loop {
            if let Err(error) = self.read().await {
                tracing::warn!(%error, "the events for socket.io can't be read; trying again");
            }
            self.watching.shut();
            tokio::time::sleep(RETRY_PAUSE).await;
        }
    }

    async fn read(&mut self) -> Result<(), BrokerError> {
        let mut feed = self.broker.feed(self.room).await?;
        self.watching.open();
        while let Some(body) = feed.next().await {
            if let Ok(envelope) = serde_json::from_slice::<Box<RawValue>>(&body) {
                tell(self.io, envelope, &mut self.seen);
            }
            // A long row of events holds up nothing else.
            tokio::task::consume_budget().await;
        }
        Ok(())
    }
}

/// What is needed of an envelope to pass it on.
#[derive(Deserialize)]
struct Head {
    event: String,
    instance: Instance,
    id: EventId,
    #[serde(default)]
    sequence: i64,
}

#[derive(Deserialize)]
struct Instance {
    name: String,
}

/// Puts an event up for those who asked for its session.
fn tell(io: &SocketIo, envelope: Box<RawValue>, seen: &mut Seen) {
    let Ok(head) = serde_json::from_str::<Head>(envelope.get()) else {
        // Somebody else's message: the exchange is public.
        return;
    };
    if !seen.is_new(&head) {
        return;
    }
    let rooms = vec![door::room(&head.instance.name), door::ALL.to_owned()];
    let sockets = io.within(rooms).sockets();
    if sockets.is_empty() {
        return;
    }
    let mut packets = dialect::packets(&head.event, envelope.get());
    packets.push(Packet {
        name: head.event.into(),
        data: envelope,
    });
    let packets: Vec<_> = packets.into_iter().map(Arc::new).collect();
    for socket in sockets {
        let Some(client) = socket.extensions.get::<Client>() else {
            continue;
        };
        for packet in &packets {
            client.offer(packet);
        }
    }
}

/// What was passed on.
struct Seen {
    events: LruCache<EventId, ()>,
    sequences: LruCache<String, i64>,
}

impl Default for Seen {
    fn default() -> Self {
        Self {
            events: LruCache::new(REMEMBERED_EVENTS),
            sequences: LruCache::new(REMEMBERED_SESSIONS),
        }
    }
}

impl Seen {
    /// Whether an event comes for the first time. Counts those that are missing before it.
    fn is_new(&mut self, head: &Head) -> bool {
        if self.events.put(head.id, ()).is_some() {
            return false;
        }
        if head.sequence > 0 {
            let last = self.sequences.get(&head.instance.name).copied();
            let missed = last.map_or(0, |last| head.sequence - last - 1);
            if let Ok(missed @ 1..) = u64::try_from(missed) {
                list::SOCKET_MISSED.add(missed);
            }
            if last.is_none_or(|last| last < head.sequence) {
                self.sequences.put(head.instance.name.clone(), head.sequence);
            }
        }
        true
    }
}
