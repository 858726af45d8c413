//! What the server has set for this account, and how it restricts it.
//!
//! Owns the questions and the last good answers. Knows nobody who acts on them.

mod block_list;
mod buckets;
mod profiles;
mod properties;
mod restriction;
mod settings;

pub(crate) use self::block_list::BlockList;
pub(crate) use self::profiles::Profiles;
pub(crate) use self::properties::Properties;
pub(crate) use self::restriction::Restrictions;
pub(crate) use self::settings::Settings;
