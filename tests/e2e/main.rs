//! Everything together: real processes, RabbitMQ, PostgreSQL, the simulator, and clients that are not ours.

mod answers;
mod app_state;
mod broadcast;
mod document;
mod faults;
mod identity;
mod interop;
mod kinds;
mod legacy;
mod library;
mod limits;
mod logs;
mod outages;
mod page;
mod pages;
mod pairing;
mod passkey;
mod pause;
mod publishers;
mod restricted;
mod setup;
mod tokens;
mod version;
mod webhook;
mod webhook_page;
