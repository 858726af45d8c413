//! Everything together: real processes, RabbitMQ, PostgreSQL, the simulator, and clients that are not ours.

mod app_state;
mod broadcast;
mod faults;
mod identity;
mod interop;
mod kinds;
mod legacy;
mod library;
mod limits;
mod logs;
mod outages;
mod pairing;
mod pause;
mod publishers;
mod setup;
mod tokens;
mod webhook;
