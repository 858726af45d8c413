//! What a connection is told from outside: where, as whom, and every limit, with its default.

use std::sync::Arc;
use std::time::Duration;

use crate::{
    command::Presence,
    payload::{History, HistoryWish, Profile},
    proxy::Proxy,
    signal::curve::PublicKey,
    version::ClientVersion,
};

/// Where WhatsApp Web listens.
pub const WHATSAPP_URL: &str = "wss://web.whatsapp.com/ws/chat";
/// The `Origin` that WhatsApp Web sends.
pub const WHATSAPP_ORIGIN: &str = "https://web.whatsapp.com";
/// Where WhatsApp's files are.
pub const WHATSAPP_MEDIA_URL: &str = "https://mmg.whatsapp.net";
/// WhatsApp's root key of server certificates (docs/PROTOCOL.md, "Certificates").
pub const WHATSAPP_ROOT_KEY: PublicKey = PublicKey::new([
    0x14, 0x23, 0x75, 0x57, 0x4d, 0x0a, 0x58, 0x71, 0x66, 0xaa, 0xe7, 0x1e, 0xbe, 0x51, 0x64, 0x37, 0xc4,
    0xa2, 0x8b, 0x73, 0xe3, 0x69, 0x5c, 0x6c, 0xe1, 0xf7, 0xf9, 0x54, 0x5d, 0xa8, 0xee, 0x6b,
]);

/// The settings of a session. One value is shared by all sessions of a process; another one that takes its place counts
/// from a session's next connection on.
#[derive(Clone, Debug)]
pub struct Config {
    /// `ws://` or `wss://` address of the server.
    pub url: String,
    /// The `Origin` header of the WebSocket request.
    pub origin: String,
    /// `https://` (or, of a simulator, `http://`) address of the media host, without a path.
    pub media_url: String,
    /// The proxy that connections to both leave by, if any.
    pub proxy: Option<Arc<Proxy>>,
    /// The key that the server's certificate chain must lead to.
    pub root_key: PublicKey,
    /// The version we say we are.
    pub version: ClientVersion,
    /// The browser that the phone lists the device as.
    pub browser: String,
    /// The operating system that the phone lists the device as.
    pub os: String,
    /// The presence to announce after login, if any.
    pub presence: Option<Presence>,
    /// Whether a send to somebody whose account goes by another number than the one given, or by a number where a hidden id
    /// was given, comes back with that number
    /// ([`SendError::Renumbered`](crate::event::SendError::Renumbered)); else it goes there by itself.
    pub tells_renumbered: bool,
    /// How much of the past our phone is asked for when we are linked, and the owner is told of.
    pub history: HistoryWish,
    /// Bounds on sizes and counts.
    pub limits: Limits,
    /// How long each thing may take.
    pub timing: Timing,
}

/// Bounds on what one connection holds.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Largest frame taken from the server, in bytes.
    pub frame_bytes: usize,
    /// Most questions to the server open at a time; more are answered with `QueryError::Busy`.
    pub open_iqs: usize,
    /// When the step that gathers holds this many events, frames or changes, no more bytes are read until it is taken.
    pub step_items: usize,
    /// Most ratchets kept in memory when nothing waits with them, some 600 bytes each: those of a large group, so that they are
    /// not read again at each message to it. One that nobody used for a minute is forgotten in any case.
    pub ratchets: usize,
    /// Most references (QR codes) taken from one `pair-device`.
    pub qr_refs: usize,
    /// Most `primary_hello`s answered for one pairing code.
    pub pairing_code_tries: u32,
    /// How many waiting stanzas to ask for at a time after login.
    pub offline_batch: u32,
    /// How many one-time prekeys are published at a time, in one stanza.
    pub prekeys_per_upload: u32,
}

/// Time limits of one connection and of the driver around it.
#[derive(Clone, Debug)]
pub struct Timing {
    /// A file of the media host, from its turn on.
    pub download: Duration,
    /// From opening the socket to its being usable (TCP, TLS, WebSocket).
    pub connect: Duration,
    /// From ClientHello to ServerHello.
    pub handshake: Duration,
    /// From the end of the handshake to `success`, `failure` or the first `pair-device`.
    pub login: Duration,
    /// An ordinary IQ.
    pub iq: Duration,
    /// From a message to the server's answer; after that nobody knows what became of it.
    pub ack: Duration,
    /// The answer to a logout.
    pub logout: Duration,
    /// Least time between two questions for the account's restrictions.
    pub restrictions: Duration,
    /// Least time between pings.
    pub ping_min: Duration,
    /// Most time between pings.
    pub ping_max: Duration,
    /// From a ping to its answer, or to anything else from the server.
    pub pong: Duration,
    /// How long the first QR code is shown.
    pub first_qr: Duration,
    /// How long each later QR code is shown.
    pub next_qr: Duration,
    /// How long a pairing code stays good.
    pub pairing_code: Duration,
    /// From the phone's answer to a pairing code to its end.
    pub pairing_finish: Duration,
    /// How long a person, or the phone, has for each step of linking with a passkey; the server may give less for the
    /// first.
    pub passkey: Duration,
    /// Longest wait for the server to close the socket after it was told goodbye.
    pub close: Duration,
    /// The first step of the reconnection backoff.
    pub backoff_base: Duration,
    /// The longest step of the reconnection backoff.
    pub backoff_cap: Duration,
    /// About how long a session whose version is refused waits before it tries again, where no newer one turns up.
    pub outdated: Duration,
    /// Sessions that waited for a newer version connect within this time, so that not all come at once.
    pub update_spread: Duration,
    /// A connection that was open this long resets the backoff.
    pub stable: Duration,
}

impl Config {
    /// WhatsApp itself, with this version.
    pub fn whatsapp(version: ClientVersion) -> Self {
        Self {
            url: WHATSAPP_URL.to_owned(),
            origin: WHATSAPP_ORIGIN.to_owned(),
            media_url: WHATSAPP_MEDIA_URL.to_owned(),
            proxy: None,
            root_key: WHATSAPP_ROOT_KEY,
            version,
            browser: "Chrome".to_owned(),
            os: "Mac OS".to_owned(),
            presence: Some(Presence::Unavailable),
            tells_renumbered: false,
            history: HistoryWish::from(History::Recent),
            limits: Limits::default(),
            timing: Timing::default(),
        }
    }

    /// How a device of these settings presents itself.
    pub(crate) fn profile(&self) -> Profile {
        Profile {
            version: self.version,
            browser: self.browser.clone(),
            os: self.os.clone(),
            history: self.history,
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            frame_bytes: 0xff_ffff,
            open_iqs: 1_024,
            step_items: 2_048,
            ratchets: 512,
            qr_refs: 16,
            pairing_code_tries: 3,
            offline_batch: 100,
            // As WhatsApp Web does it, the first time and later: about 40 KiB.
            prekeys_per_upload: 812,
        }
    }
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            download: Duration::from_secs(60),
            connect: Duration::from_secs(20),
            handshake: Duration::from_secs(20),
            login: Duration::from_secs(60),
            iq: Duration::from_secs(75),
            ack: Duration::from_secs(30),
            logout: Duration::from_secs(3),
            restrictions: Duration::from_secs(180),
            ping_min: Duration::from_secs(20),
            ping_max: Duration::from_secs(30),
            pong: Duration::from_secs(20),
            first_qr: Duration::from_secs(60),
            next_qr: Duration::from_secs(20),
            pairing_code: Duration::from_secs(180),
            pairing_finish: Duration::from_secs(60),
            passkey: Duration::from_secs(600),
            close: Duration::from_secs(2),
            backoff_base: Duration::from_secs(1),
            backoff_cap: Duration::from_secs(300),
            outdated: Duration::from_secs(3_600),
            update_spread: Duration::from_secs(5),
            stable: Duration::from_secs(30),
        }
    }
}
