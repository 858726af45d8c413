//! The session role end to end, in process: real database and broker, simulated WhatsApp.

mod accounts;
mod app_state;
mod broadcast;
mod chats;
mod commands;
mod communities;
mod control;
mod exists;
mod faults;
mod groups;
mod jobs;
mod later;
mod life;
mod media;
mod personal;
mod previews;
mod profiles;
mod proxy;
mod received;
mod restriction;
mod retry;
mod silence;
mod stage;
mod version;
mod waits;
mod wire;
