//! The HTTP process of Fanfare: the older API under `/api/whatsapp`, the product's own under `/v1`.
//!
//! It knows the workers only through the broker and the database: what it asks of them is a job.

pub mod app;
pub mod asyncapi;
pub mod auth;
pub mod doctor;
pub mod downloads;
pub mod extract;
pub mod idempotency;
pub mod ids;
pub mod jobs;
pub mod legacy;
pub mod listener;
pub mod observe;
pub mod openapi;
pub mod page;
pub mod paging;
pub mod probe;
pub mod problem;
pub mod qr;
pub mod realtime;
pub mod rekey;
pub mod router;
pub mod schema;
pub mod serve;
pub mod settings;
pub mod tokens;
pub mod uploads;
pub mod v1;
pub mod workers;

#[cfg(test)]
mod tests;
