//! whatsapp
pub mod signal;
