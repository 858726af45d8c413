//! The version of WhatsApp Web that this worker's sessions say they are: the deployment's, kept current.
//!
//! WhatsApp refuses a version some months after its day, so a worker reads the current one from WhatsApp's own page. One
//! row is the deployment's ([`shared::store::client_version`]): whoever has its turn fetches, all follow the row. What
//! sessions are told of their version (that it is refused, that its end is near) goes into the row too, and makes the
//! next turn come sooner. Must not know what a session does.

mod current;
mod keeper;
mod page;
mod reports;
mod settings;

pub(crate) use self::current::Versions;
pub(crate) use self::keeper::{Keeper, Start};
pub use self::settings::{Fetching, Paces, Settings};
