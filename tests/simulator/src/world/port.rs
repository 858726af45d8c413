//! What connections and the world tell each other.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio::time::Instant;
use whatsapp::binary::{self, Node};
use whatsapp::proto::ClientPayload;
use whatsapp::signal::curve::PublicKey;

use super::bundle::BundleReply;

/// Inputs of connections that wait for the world.
pub const INPUT_QUEUE: usize = 4096;
/// What waits to be written to one connection.
pub const OUTBOUND_QUEUE: usize = 8192;
/// Part of [`OUTBOUND_QUEUE`] that is kept for answers; stanzas that can wait are not put there.
pub(super) const OUTBOUND_RESERVE: usize = 4096;

/// A connection, for as long as it lasts.
pub type ConnId = u64;

/// What connections tell the world.
pub enum Input {
    /// A client has finished the handshake.
    Open(Box<Opening>),
    /// A stanza came.
    Stanza {
        /// Where.
        conn: ConnId,
        /// What.
        node: Node,
        /// When its frame was read.
        at: Instant,
    },
    /// A stanza came that can't be read; the connection is closing.
    Malformed(ConnId),
    /// All that was queued is written.
    Writable(ConnId),
    /// The connection is gone.
    Closed(ConnId),
}

/// A client that has finished the handshake.
pub struct Opening {
    /// Its connection.
    pub conn: ConnId,
    /// Its proven static key.
    pub noise_key: PublicKey,
    /// Who it says it is.
    pub payload: ClientPayload,
    /// The way to it.
    pub outbound: OutboundQueue,
}

/// The world's end of a connection. The connection ends when it is dropped.
pub struct OutboundQueue {
    /// What is to be written.
    pub sender: mpsc::Sender<Outbound>,
    /// Set when the world waits for [`Input::Writable`].
    pub awaits_room: Arc<AtomicBool>,
}

/// What a connection is to write.
pub enum Outbound {
    /// An encoded stanza.
    Stanza(Bytes),
    /// Bundles whose keys the connection derives, off the world's task.
    Bundles(Box<BundleReply>),
    /// A frame that nobody can open.
    Rubbish,
    /// Close after what came before, without a word.
    Close,
    /// The same some moments later, as after a stream error.
    CloseSoon,
}

impl Outbound {
    /// A stanza, encoded.
    pub(super) fn stanza(node: &Node) -> Self {
        let mut plaintext = Vec::with_capacity(256);
        binary::encode(node, &mut plaintext);
        Self::Stanza(plaintext.into())
    }
}
