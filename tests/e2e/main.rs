//! Everything together: real processes, RabbitMQ, PostgreSQL, the simulator, and clients that are not ours.

mod broadcast;
mod faults;
mod identity;
mod interop;
mod legacy;
mod library;
mod limits;
mod logs;
mod outages;
mod pairing;
mod pause;
mod publishers;
mod schemas;
mod setup;
mod webhook;
