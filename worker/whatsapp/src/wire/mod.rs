//! The words of the wire: stanzas as trees and in binary form, and the values that stand in them.

pub mod binary;
pub mod jid;
pub mod message_id;
pub mod proxy;
pub mod time;
