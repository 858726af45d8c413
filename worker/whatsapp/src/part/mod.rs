//! What every part of a connection is lent, and how its questions find their way back. Knows no part.
//!
//! A part is a struct with handlers. For the length of one input it gets a [`Context`]: the time, randomness, credentials
//! and settings to read; frames, events, changes and questions to write. What it asks the server or the store comes back
//! to it by an opaque [`Ticket`]; what the question was for, the part alone knows ([`Tickets`]).

mod config;
mod context;
mod iq;
mod loads;
mod step;
#[cfg(test)]
pub(crate) mod testing;
mod tickets;

pub use self::config::{Config, Limits, Timing, WHATSAPP_ORIGIN, WHATSAPP_ROOT_KEY, WHATSAPP_URL};
pub(crate) use self::context::{AckBy, Context, Effects};
pub(crate) use self::iq::outcome;
pub use self::step::Step;
pub(crate) use self::tickets::{PartId, Ticket, Tickets};
