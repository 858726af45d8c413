//! Where the product's words and the WhatsApp library's meet, and nowhere else: each shape is converted once.

pub(crate) mod about;
pub(crate) mod app_state;
pub(crate) mod chat_actions;
pub(crate) mod clock;
pub(crate) mod contacts;
pub(crate) mod events;
pub(crate) mod groups;
pub(crate) mod history;
pub(crate) mod keys;
pub(crate) mod messages;
pub(crate) mod misbehaviour;
pub(crate) mod names;
pub(crate) mod passkey;
pub(crate) mod people;
pub(crate) mod polls;
pub(crate) mod presence;
pub(crate) mod profiles;
pub(crate) mod proxy;
pub(crate) mod received;
pub(crate) mod votes;
