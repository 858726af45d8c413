//! Drives [`Connection`]s over real sockets, one after the other, for as long as their reasons to close allow.
//!
//! Owns the WebSocket, TLS, the commit pipeline and the waits between connections. The pipeline is what makes the
//! library's promise true: **the frames of a step are written only after its changes and events are durable.** At most
//! one commit is in flight; meanwhile inputs are handled and gather in the next step.

mod backoff;
mod clock;
mod drive;
mod pipeline;
mod socket;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use rand::rngs::StdRng;
use tokio::{
    sync::mpsc,
    time::{Instant, sleep_until},
};

pub use self::clock::{Clock, SystemClock};
use self::{backoff::Backoff, drive::Drive, pipeline::Pipeline, socket::Socket};
use crate::{
    command::{Command, Presence},
    connection::{CloseReason, Config, Connection, Input, Next},
    device::Device,
    event::{Event, QueryError, SendError},
    store::{KeyStore, StoreError},
    time::Timestamp,
};

/// How a session came to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The credentials are worthless now; the owner deletes them.
    LoggedOut(CloseReason),
    /// The credentials are good; it is for the owner to begin again.
    Stopped(CloseReason),
}

/// Runs a session: pairs `device` or logs it in, and keeps it connected until a reason to close says otherwise, the
/// owner says [`Command::Stop`], or `commands` closes.
///
/// Events reach the owner through [`KeyStore::commit`] alone, in order. Dropping the future is safe at any time: what
/// was not committed has not been sent.
///
/// # Errors
/// The store's, as they come: the session's state in memory is dropped, and what is stored holds.
pub async fn run<S: KeyStore, C: Clock>(
    config: Arc<Config>,
    device: Device,
    store: S,
    commands: mpsc::Receiver<Command>,
    clock: C,
    rng: StdRng,
) -> Result<Ended, StoreError> {
    let mut session = Session {
        config,
        pipeline: Pipeline::new(store),
        commands,
        clock,
        rng,
        backoff: Backoff::default(),
        wishes: Wishes::default(),
    };
    let mut device = device;
    loop {
        let (back, reason) = session.connection(device).await?;
        device = back;
        tracing::info!(reason = %reason, "connection closed");
        let Session {
            config, backoff, rng, ..
        } = &mut session;
        let wait = match reason.action() {
            Next::LoggedOut => return Ok(Ended::LoggedOut(reason)),
            Next::Stop => return Ok(Ended::Stopped(reason)),
            Next::ReconnectNow => backoff.restart(&config.timing, rng),
            Next::Reconnect => backoff.next(&config.timing, rng),
            Next::ReconnectSlowly => backoff.next_slowly(&config.timing, rng),
        };
        if let Some(ended) = session.wait_until(Instant::now() + wait, &device).await? {
            return Ok(ended);
        }
    }
}

/// What lasts from one connection to the next, apart from the credentials.
struct Session<S, C> {
    config: Arc<Config>,
    pipeline: Pipeline<S>,
    commands: mpsc::Receiver<Command>,
    clock: C,
    rng: StdRng,
    backoff: Backoff,
    wishes: Wishes,
}

/// What the owner asked for while there was no connection to ask it of.
#[derive(Default)]
struct Wishes {
    presence: Option<Presence>,
    pairing_code: Option<Command>,
    logout: bool,
}

impl<S: KeyStore, C: Clock> Session<S, C> {
    /// One connection from the opening of the socket to its end.
    async fn connection(&mut self, device: Device) -> Result<(Device, CloseReason), StoreError> {
        self.tell(Event::Connecting).await?;
        let socket = match self.connect(&device).await? {
            Ok(socket) => socket,
            Err(reason) => {
                self.tell(Event::Closed {
                    reason: reason.clone(),
                })
                .await?;
                return Ok((device, reason));
            }
        };
        self.clock = self.clock.set_anew();
        let rng = rand::SeedableRng::from_rng(&mut self.rng);
        let mut connection = Connection::new(Arc::clone(&self.config), device, rng, self.clock.now());
        self.wishes.hand_to(&mut connection, self.clock.now());
        let reason = Drive::new(self, &mut connection, socket).run().await?;
        let (device, _) = connection.into_parts();
        Ok((device, reason))
    }

    /// Opens the socket while commands are answered.
    async fn connect(&mut self, device: &Device) -> Result<Result<Socket, CloseReason>, StoreError> {
        let config = Arc::clone(&self.config);
        let connecting = Socket::connect(&config);
        tokio::pin!(connecting);
        loop {
            let command = tokio::select! {
                result = &mut connecting => {
                    return Ok(result.map_err(|error| CloseReason::ConnectFailed(error.to_string())));
                }
                command = self.commands.recv() => command,
            };
            if let Some(reason) = self.offline(command, device).await? {
                return Ok(Err(reason));
            }
        }
    }

    /// Waits for the next connection's time while commands are answered.
    async fn wait_until(&mut self, time: Instant, device: &Device) -> Result<Option<Ended>, StoreError> {
        loop {
            let command = tokio::select! {
                () = sleep_until(time) => return Ok(None),
                command = self.commands.recv() => command,
            };
            let is_logout = matches!(command, Some(Command::Logout));
            if let Some(reason) = self.offline(command, device).await? {
                self.tell(Event::Closed {
                    reason: reason.clone(),
                })
                .await?;
                return Ok(Some(match reason.action() {
                    Next::LoggedOut => Ended::LoggedOut(reason),
                    _ => Ended::Stopped(reason),
                }));
            }
            if is_logout {
                // Only a connection can take it, and its owner does not wait for long.
                return Ok(None);
            }
        }
    }

    /// Answers a command without a connection; a reason means that it ends the session.
    async fn offline(
        &mut self,
        command: Option<Command>,
        device: &Device,
    ) -> Result<Option<CloseReason>, StoreError> {
        match command {
            None | Some(Command::Stop) => return Ok(Some(CloseReason::Stopped)),
            Some(Command::Logout) if !device.is_paired() => return Ok(Some(CloseReason::LogoutRequested)),
            Some(command @ (Command::Logout | Command::SetPresence(_))) => self.wishes.note(&command),
            Some(command @ Command::RequestPairingCode { .. }) => self.wishes.pairing_code = Some(command),
            Some(Command::Send(outgoing)) => {
                self.tell(Event::MessageFailed {
                    id: outgoing.id,
                    reason: SendError::NotConnected,
                })
                .await?;
            }
            Some(Command::IsOnWhatsApp { ticket, .. }) => {
                self.tell(Event::IsOnWhatsApp {
                    ticket,
                    result: Err(QueryError::NotConnected),
                })
                .await?;
            }
            Some(Command::Cancel(_) | Command::MarkRead { .. }) => {}
        }
        Ok(None)
    }

    async fn tell(&mut self, event: Event) -> Result<(), StoreError> {
        self.pipeline.tell(event).await
    }
}

impl Wishes {
    /// Remembers what a lost connection must not lose.
    fn note(&mut self, command: &Command) {
        match command {
            Command::SetPresence(presence) => self.presence = Some(*presence),
            Command::Logout => self.logout = true,
            _ => {}
        }
    }

    /// Asks the new connection. A presence is wished for until another one is; the others once.
    fn hand_to(&mut self, connection: &mut Connection, now: Timestamp) {
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
