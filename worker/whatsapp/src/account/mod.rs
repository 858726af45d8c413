//! What the server has set for this account, and how it restricts it.
//!
//! Owns the questions and the last good answers. Knows nobody who acts on them.

mod restriction;

pub(crate) use self::restriction::Restrictions;
