//! Everything together: real processes, RabbitMQ, PostgreSQL, the simulator, and clients that are not ours.

mod broadcast;
mod identity;
mod interop;
mod pause;
mod publishers;
mod schemas;
mod tidy;
mod webhook;
