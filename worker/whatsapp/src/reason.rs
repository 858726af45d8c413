//! Why a connection ended and what should follow (docs/PROTOCOL.md, "Ends of a stream").

use std::time::Duration;

use crate::version::ClientVersion;

/// What the driver does after a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Connect again at once.
    ReconnectNow,
    /// Connect again after the backoff.
    Reconnect,
    /// Connect again after a backoff some steps longer than usual: the server asked for patience.
    ReconnectSlowly,
    /// Connect again with a newer version as soon as there is one, else after a long wait ([`Timing::outdated`]); the
    /// credentials stay good.
    ///
    /// [`Timing::outdated`]: crate::connection::Timing::outdated
    ReconnectNewer,
    /// Do not connect again by oneself; the credentials stay good.
    Stop,
    /// The account no longer knows this device: the credentials are worthless.
    LoggedOut,
}

/// Why a connection ended.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CloseReason {
    /// Stream error 515, sent after pairing.
    #[error("the server asks for a new connection")]
    RestartRequired,
    /// The device was unlinked: stream error 401 or 516, a conflict other than `replaced`, failure 401, 403 or 406.
    #[error("logged out by the server ({code})")]
    LoggedOut {
        /// The server's number.
        code: u16,
    },
    /// Our own logout went through, or was sent and not answered in time.
    #[error("logged out on request")]
    LogoutRequested,
    /// Another connection of this device took over.
    #[error("replaced by another connection of this device")]
    Replaced,
    /// Failure 402.
    #[error("temporarily banned ({code})")]
    TemporaryBan {
        /// 101 too many strangers, 102 blocked by users, 103 too many groups, 104 same message, 106 broadcast list.
        code: u16,
        /// How long it lasts, where the server says so.
        expires: Option<Duration>,
    },
    /// Failure 405, at a login or a registration: our version is too old.
    #[error("the server no longer accepts version {version}")]
    ClientOutdated {
        /// The version that was refused.
        version: ClientVersion,
    },
    /// Failure 409: our user agent is not accepted.
    #[error("the server does not accept this user agent")]
    BadUserAgent,
    /// Another failure at login that trying again does not help.
    #[error("login refused ({reason})")]
    LoginRefused {
        /// The server's number.
        reason: u16,
    },
    /// The phone is not on multi-device.
    #[error("the account is not set up for linked devices")]
    MultideviceMismatch,
    /// Failure or stream error 500 or 503.
    #[error("server error {code}")]
    ServerError {
        /// The server's number.
        code: u16,
    },
    /// Stream error 429.
    #[error("the server asks to slow down")]
    Throttled,
    /// The server waited for an ack that it did not get; it delivers the stanza again next time.
    #[error("the server missed an ack")]
    AckMissing,
    /// Another stream error.
    #[error("stream error {code:?}")]
    StreamError {
        /// The server's number, if it gave one.
        code: Option<u16>,
    },
    /// The server ended the stream in good order.
    #[error("the server ended the stream")]
    StreamEnd,
    /// The socket closed or broke.
    #[error("the socket closed")]
    SocketClosed,
    /// The socket could not be opened.
    #[error("could not connect: {0}")]
    ConnectFailed(String),
    /// The proxy that connections leave by can't be reached, does not take us, or does not reach the server.
    #[error("no way out: {0}")]
    ProxyFailed(String),
    /// Nothing came back although we asked.
    #[error("the connection went silent")]
    KeepAliveTimeout,
    /// No ServerHello in time.
    #[error("no answer to the handshake in time")]
    HandshakeTimeout,
    /// Neither success nor failure in time after the handshake.
    #[error("no answer to the login in time")]
    LoginTimeout,
    /// The certificate chain does not lead to the configured root, is out of date, or names another key.
    #[error("the server's certificate was refused: {0}")]
    BadCertificate(String),
    /// The handshake broke down otherwise.
    #[error("the handshake failed: {0}")]
    BadHandshake(String),
    /// A frame that is too large, does not authenticate, or does not decode.
    #[error("unreadable frame: {0}")]
    BadFrame(String),
    /// The phone's answer to a pairing does not verify.
    #[error("pairing refused: {0}")]
    PairingRefused(String),
    /// All QR codes, or the pairing code, expired unused.
    #[error("nobody paired in time")]
    PairingTimedOut,
    /// The account must prove itself with a passkey, and nobody did in time.
    #[error("the account must be proved with a passkey, and nobody did in time")]
    PasskeyRequired,
    /// Linking with a passkey came to nothing; says where.
    #[error("linking with a passkey failed: {0}")]
    PasskeyFailed(String),
    /// The owner asked for it.
    #[error("stopped on request")]
    Stopped,
}

impl CloseReason {
    /// What should follow.
    pub fn action(&self) -> Next {
        match self {
            Self::RestartRequired => Next::ReconnectNow,
            Self::ClientOutdated { .. } => Next::ReconnectNewer,
            Self::LoggedOut { .. } | Self::LogoutRequested => Next::LoggedOut,
            Self::Replaced
            | Self::TemporaryBan { .. }
            | Self::BadUserAgent
            | Self::LoginRefused { .. }
            | Self::MultideviceMismatch
            | Self::PairingTimedOut
            | Self::PasskeyRequired
            | Self::Stopped => Next::Stop,
            Self::Throttled => Next::ReconnectSlowly,
            Self::ServerError { .. }
            | Self::AckMissing
            | Self::StreamError { .. }
            | Self::StreamEnd
            | Self::SocketClosed
            | Self::ConnectFailed(_)
            | Self::ProxyFailed(_)
            | Self::KeepAliveTimeout
            | Self::HandshakeTimeout
            | Self::LoginTimeout
            | Self::BadCertificate(_)
            | Self::BadHandshake(_)
            | Self::BadFrame(_)
            | Self::PairingRefused(_)
            | Self::PasskeyFailed(_) => Next::Reconnect,
        }
    }

    /// A stable number for the owner's status reports, in the terms that the field is used to (428 connection closed,
    /// 407 the proxy, 408 timed out, 440 replaced, 511 a passkey is asked for, 515 restart, else the server's own number).
    pub fn status_code(&self) -> u16 {
        match self {
            Self::RestartRequired => 515,
            Self::LoggedOut { code } | Self::ServerError { code } => *code,
            Self::LogoutRequested => 401,
            Self::ProxyFailed(_) => 407,
            Self::Replaced => 440,
            Self::TemporaryBan { .. } => 402,
            Self::ClientOutdated { .. } => 405,
            Self::BadUserAgent => 409,
            Self::LoginRefused { reason } => *reason,
            Self::MultideviceMismatch => 411,
            Self::Throttled => 429,
            Self::StreamError { code } => code.unwrap_or(500),
            Self::AckMissing | Self::BadCertificate(_) | Self::BadHandshake(_) | Self::BadFrame(_) => 500,
            Self::PairingRefused(_) => 500,
            Self::PasskeyRequired | Self::PasskeyFailed(_) => 511,
            Self::StreamEnd | Self::SocketClosed | Self::Stopped => 428,
            Self::ConnectFailed(_)
            | Self::KeepAliveTimeout
            | Self::HandshakeTimeout
            | Self::LoginTimeout
            | Self::PairingTimedOut => 408,
        }
    }
}
