//! Where the product's words and the WhatsApp library's meet, and nowhere else: each shape is converted once.

pub(crate) mod app_state;
pub(crate) mod chat_actions;
pub(crate) mod clock;
pub(crate) mod events;
pub(crate) mod groups;
pub(crate) mod keys;
pub(crate) mod names;
pub(crate) mod passkey;
pub(crate) mod people;
pub(crate) mod presence;
pub(crate) mod profiles;
pub(crate) mod proxy;
pub(crate) mod received;
mod votes;
