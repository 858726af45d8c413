//! The webhook role: every event to every endpoint that wants it, at least once, under one id.
//!
//! An event comes from the broker and is posted at once. What an endpoint does not take becomes a row and is tried
//! again on a published schedule; the broker's message is acked when each endpoint has taken the event or has its
//! row. The common case costs no write to the database.

pub mod attempt;
pub mod circuit;
pub mod endpoint;
pub mod endpoints;
pub mod hub;
pub mod legacy;
pub mod request;
pub mod schedule;
