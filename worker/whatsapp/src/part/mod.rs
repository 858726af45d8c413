//! What every part of a connection is lent, and how its questions find their way back. Knows no part.
//!
//! A part is a struct with handlers. For the length of one input it gets a [`Context`]: the time, randomness, credentials
//! and settings to read; frames, events, changes and questions to write. What it asks the server or the store comes back
//! to it by an opaque [`Ticket`]; what the question was for, the part alone knows ([`Tickets`]).
//!
//! Handlers have the same names everywhere. `on_answer`: a question to the server is answered, or will not be. `on_loaded`:
//! the store has answered; `on_listed`: it has named records. `on_step_taken`: a step that carries changes was taken and is being committed. `on_committed`:
//! the step taken last is durable. `tick`: time passed; `deadline`: when that is to be called.

mod cache;
mod config;
mod context;
mod download;
mod iq;
mod listing;
mod step;
#[cfg(test)]
pub(crate) mod testing;
mod tickets;
mod unpackings;

pub(crate) use self::cache::Cache;
pub use self::config::{
    Config, Limits, Timing, WHATSAPP_MEDIA_URL, WHATSAPP_ORIGIN, WHATSAPP_ROOT_KEY, WHATSAPP_URL,
};
pub(crate) use self::context::{AckBy, Context, Effects};
pub(crate) use self::download::Downloaded;
pub use self::download::{Download, DownloadError, Fetch};
pub(crate) use self::iq::outcome;
pub use self::listing::Listing;
pub use self::step::Step;
pub(crate) use self::tickets::{Answer, PartId, Ticket, Tickets};
