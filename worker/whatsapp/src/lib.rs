//! whatsapp
pub mod signal;
pub mod jid;
pub mod message_id;
