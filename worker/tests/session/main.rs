//! The session role end to end, in process: real database and broker, simulated WhatsApp.

mod accounts;
mod broadcast;
mod commands;
mod exists;
mod faults;
mod jobs;
mod life;
mod restriction;
mod silence;
mod stage;
mod version;
mod waits;
mod wire;
