//! What the server has set for this account.
//!
//! Owns the questions and the last good answers. Knows nobody who acts on them.

mod buckets;
mod properties;
mod settings;

pub(crate) use self::properties::Properties;
pub(crate) use self::settings::Settings;
