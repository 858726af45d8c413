//! Drives [`Connection`](crate::connection::Connection)s over real sockets, one after the other, for as long as their
//! reasons to close allow.
//!
//! * [`Session`] is a handle whose calls are awaited, beside a stream of events.
//! * [`run()`] is below it: commands in, events with the commit that makes them durable.
//!
//! Owns the WebSocket, TLS, the commit pipeline and the waits between connections. The pipeline is what makes the
//! library's promise true: **the frames of a step are written only after its changes and events are durable.** At most
//! one commit is in flight; meanwhile inputs are handled and gather in the next step.

mod answers;
mod backoff;
mod clock;
mod download;
mod drive;
mod http;
mod large;
mod pipeline;
mod route;
mod run;
mod session;
mod settings;
mod socket;
#[cfg(test)]
mod tests;
mod tls;
mod transfer;

pub use self::{
    answers::{PairingRefused, Sent},
    clock::{Clock, SystemClock},
    run::{Ended, run},
    session::{ANSWER_TIMEOUT, EVENTS, Events, Session},
    settings::Settings,
    transfer::{MediaRoute, PIECE_BYTES, Upload, UploadError, Uploaded},
};
