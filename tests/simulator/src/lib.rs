//! A WhatsApp server for one machine, that any real client can be pointed at.
//!
//! It has phones (accounts that a test scans and types codes with), contacts by the hundred thousand that decrypt what
//! they get and answer with receipts, a switchboard of faults, and an audit that says what really happened. README.md
//! describes the control API.
//!
//! * [`server`]: [`Simulator::start`] and the listeners. [`handle`]: the [`Handle`] to what was started.
//! * [`world`]: one task that owns accounts, connections, queues, faults and the audit.
//! * [`crowd`]: simulated devices, with real cryptography, on tasks of their own.
//! * `page`: the page that clients read the current version from.
//! * [`connection`]: one socket. [`control`]: the HTTP API over the [`Handle`].
//!
//! Uses the codec and the cryptography of the `whatsapp` crate, never its client.

pub mod audit;
mod clock;
pub mod connection;
pub mod control;
pub mod crowd;
pub mod fault;
pub mod handle;
mod media;
pub mod number;
mod page;
pub mod passkey;
pub mod persona;
pub mod population;
pub mod refusal;
mod request;
pub mod seed;
pub mod server;
pub mod sharing;
mod timers;
pub mod world;

pub use handle::Handle;
pub use server::{Options, Simulator, StartError};
