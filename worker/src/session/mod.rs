//! The session role: sessions, their queues and their connections.
//!
//! The one place where the product's words (tokens, queues, recipients) and WhatsApp's (jids, receipts) meet.

pub mod content;
pub mod meter;
pub mod pacer;
pub mod qr;
pub mod queues;
