//! One socket's life without the socket: bytes, commands and the time in; steps out.

mod config;
mod reason;

pub use config::{ClientVersion, Config, Limits, Timing, WHATSAPP_ORIGIN, WHATSAPP_ROOT_KEY, WHATSAPP_URL};
pub use reason::{CloseReason, Next};
