//! The WhatsApp Web multi-device protocol: a core without IO, and a driver on tokio.
//!
//! * [`connection`] is the core: one socket's life as a state machine that takes bytes, commands and the time, and
//!   gives out [`connection::Step`]s: state changes to make durable, events for the owner, bytes to send.
//! * [`client`] drives it: WebSocket, TLS, the commit pipeline, reconnection.
//! * Below lie the wire ([`jid`], [`proto`]…) and Signal ([`signal`]); beside them [`store`], what must survive.
//!
//! Knows nothing of the product around it: no broker, no database, no HTTP.
//!
//! # Pairing and sending
//!
//! The owner of a session gives [`client::run`] a [`store::KeyStore`] and a channel of [`command::Command`]s. What happens
//! comes back through the store, as [`event::Event`]s of the very commit that makes it durable. A send that stayed without
//! an answer is repeated under the same id: recipients show an id once.
//!
//! ```no_run
//! use std::sync::Arc;
//!
//! use bytes::Bytes;
//! use rand::rngs::StdRng;
//! use tokio::sync::mpsc;
//! use whatsapp::{
//!     client::{self, SystemClock},
//!     command::{Command, Outgoing, Recipient},
//!     connection::{ClientVersion, Config},
//!     device::Device,
//!     event::Event,
//!     message_id::MessageId,
//!     proto::Message,
//!     store::{Changes, KeyStore, MemoryStore, RecordKey, StoreError},
//! };
//!
//! /// Keeps the keys in memory, shows the QR code, and says hello once logged in.
//! struct Owner {
//!     keys: MemoryStore,
//!     commands: mpsc::Sender<Command>,
//!     hello: Option<Box<Outgoing>>,
//! }
//!
//! impl KeyStore for Owner {
//!     async fn load(&mut self, keys: Vec<RecordKey>) -> Result<Vec<Option<Bytes>>, StoreError> {
//!         self.keys.load(keys).await
//!     }
//!
//!     async fn commit(&mut self, changes: Changes, events: Vec<Event>) -> Result<(), StoreError> {
//!         self.keys.commit(changes, Vec::new()).await?;
//!         for event in events {
//!             match event {
//!                 Event::QrCode { text, .. } => println!("scan: {text}"),
//!                 Event::Open { .. } => {
//!                     if let Some(hello) = self.hello.take() {
//!                         // Never wait here: whoever takes commands waits for this commit.
//!                         self.commands.try_send(Command::Send(hello)).ok();
//!                     }
//!                 }
//!                 Event::MessageAcked { id, .. } => println!("the server has {id}"),
//!                 Event::MessageFailed { id, reason } => println!("{id} failed: {reason}"),
//!                 Event::Message(incoming) => println!("{:?}", incoming.message.conversation),
//!                 _ => {}
//!             }
//!         }
//!         Ok(())
//!     }
//! }
//!
//! # async fn example() -> Result<(), StoreError> {
//! let mut rng: StdRng = rand::make_rng();
//! let hello = Outgoing {
//!     id: MessageId::generate(1_750_000_000, "15550001", &mut rng),
//!     to: Recipient::Phone("15550002".to_owned()),
//!     message: Message {
//!         conversation: Some("hello".to_owned()),
//!         ..Message::default()
//!     },
//! };
//! let (commands, received) = mpsc::channel(64);
//! let owner = Owner {
//!     keys: MemoryStore::new(),
//!     commands,
//!     hello: Some(Box::new(hello)),
//! };
//! // A device that is not paired shows QR codes; one that is logs in. The store has it after `Event::Paired`.
//! let device = Device::generate(&mut rng);
//! let config = Arc::new(Config::whatsapp(ClientVersion::KNOWN));
//! let ended = client::run(config, device, owner, received, SystemClock::new(), rng).await?;
//! println!("{ended:?}");
//! # Ok(())
//! # }
//! ```

#[cfg(feature = "client")]
pub mod client;
pub mod command;
pub mod connection;
pub mod crypto;
pub mod device;
mod e2e;
pub mod event;
pub mod frame;
mod messages;
pub mod pairing;
mod part;
pub mod payload;
pub mod phash;
pub mod proto;
pub mod reason;
#[cfg(any(feature = "server", test))]
pub mod server;
pub mod signal;
pub mod stanza;
pub mod store;
mod wire;

pub use e2e::{MAX_HANDED_PREKEYS, MAX_PREKEY_SPAN};
pub use messages::{
    ACK_TIMEOUT, MAX_ATTEMPTS, MAX_MESSAGE_BYTES, MAX_RESENDS, MAX_SENDS, MAX_WAITING_MESSAGES,
};
pub use wire::{binary, jid, message_id, time};

#[cfg(test)]
mod test_vectors;
