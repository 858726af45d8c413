//! What lasts from one connection to the next, apart from the credentials.

use std::sync::Arc;

use rand::rngs::StdRng;
use tokio::sync::mpsc;

use super::{backoff::Backoff, pipeline::Pipeline};
use crate::{
    command::{Command, Presence},
    connection::{Config, Connection, Input},
    time::Timestamp,
};

/// The driver of one session.
pub(super) struct Driver<S, C> {
    pub(super) config: Arc<Config>,
    pub(super) pipeline: Pipeline<S>,
    pub(super) commands: mpsc::Receiver<Command>,
    pub(super) clock: C,
    pub(super) rng: StdRng,
    pub(super) backoff: Backoff,
    pub(super) wishes: Wishes,
}

/// What the owner asked for while there was no connection to ask it of.
#[derive(Default)]
pub(super) struct Wishes {
    pub(super) presence: Option<Presence>,
    pub(super) pairing_code: Option<Command>,
    pub(super) logout: bool,
}

impl Wishes {
    /// Remembers what a lost connection must not lose.
    pub(super) fn note(&mut self, command: &Command) {
        match command {
            Command::SetPresence(presence) => self.presence = Some(*presence),
            Command::Logout => self.logout = true,
            _ => {}
        }
    }

    /// Asks the new connection. A presence is wished for until another one is; the others once.
    pub(super) fn hand_to(&mut self, connection: &mut Connection, now: Timestamp) {
        if let Some(presence) = self.presence {
            connection.handle(Input::Command(Command::SetPresence(presence)), now);
        }
        if let Some(command) = self.pairing_code.take() {
            connection.handle(Input::Command(command), now);
        }
        if self.logout {
            connection.handle(Input::Command(Command::Logout), now);
        }
    }
}
