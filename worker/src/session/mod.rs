//! The session role: sessions, their queues and their connections.
//!
//! The product's words (tokens, queues, recipients) and WhatsApp's (jids, receipts) meet in its adapter alone.

mod accounts;
pub(crate) mod actor;
mod adapter;
mod attachment;
pub mod attempts;
mod ballots;
mod calls;
pub(crate) mod cap;
mod chat_actions;
mod chats;
mod commands;
mod contacts;
pub mod content;
pub(crate) mod context;
mod deletion;
mod dispatch;
mod dry_run;
mod exists;
mod groups;
mod history;
mod link;
mod logout;
pub mod look_up;
mod media_retries;
mod meter;
mod numbers;
pub mod pacer;
mod pages;
mod profiles;
mod qr;
mod questions;
mod queues;
pub mod rate;
mod reader;
mod receipts;
mod recipient;
mod recorder;
mod restriction;
mod retry;
mod schedules;
mod sends;
pub mod settings;
mod several;
mod standstill;
mod status;
pub(crate) mod surroundings;
mod target;
mod turn;
mod uploads;
mod way;
mod written;

pub use settings::Settings;
