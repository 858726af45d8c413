//! A session from the first connection to its end: one [`Connection`] after the other, and the waits between them.

use std::{sync::Arc, time::Duration};

use rand::{RngExt as _, rngs::StdRng};
use tokio::{sync::mpsc, time::sleep};

use super::{
    backoff::Backoff,
    clock::Clock,
    drive::{Drive, Driver, Wishes},
    pipeline::Pipeline,
    settings::Settings,
    socket::Socket,
};
use crate::{
    command::Command,
    connection::{CloseReason, Connection, Next, Timing},
    device::Device,
    event::Event,
    store::{KeyStore, StoreError},
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
/// `settings` is a [`Config`](crate::connection::Config) for all connections, or a channel of them: the newest counts from
/// the next connection on, and a session whose version was refused waits for a newer one there.
///
/// Events reach the owner through [`KeyStore::commit`] alone, in order. Dropping the future is safe at any time: what
/// was not committed has not been sent.
///
/// # Errors
/// The store's, as they come: the session's state in memory is dropped, and what is stored holds.
pub fn run<S: KeyStore, C: Clock>(
    settings: impl Into<Settings>,
    device: Device,
    store: S,
    commands: mpsc::Receiver<Command>,
    clock: C,
    rng: StdRng,
) -> impl Future<Output = Result<Ended, StoreError>> {
    let settings = settings.into();
    let mut driver = Driver {
        config: settings.current(),
        settings,
        pipeline: Pipeline::new(store),
        commands,
        clock,
        rng,
        backoff: Backoff::default(),
        wishes: Wishes::default(),
    };
    // A block, because the future of an `async fn` has room for its arguments twice. It is most of an idle session.
    let mut device = Box::new(device);
    async move {
        loop {
            let reason;
            (device, reason) = driver.connection(device).await?;
            tracing::info!(reason = %reason, "connection closed");
            if let Some(ended) = driver.after(reason, &device).await? {
                return Ok(ended);
            }
        }
    }
}

impl<S: KeyStore, C: Clock> Driver<S, C> {
    /// One connection from the opening of the socket to its end.
    async fn connection(&mut self, device: Box<Device>) -> Result<(Box<Device>, CloseReason), StoreError> {
        self.config = self.settings.current();
        self.pipeline.tell(Event::Connecting).await?;
        let socket = match self.connect(&device).await? {
            Ok(socket) => socket,
            Err(reason) => {
                self.tell_closed(reason.clone()).await?;
                return Ok((device, reason));
            }
        };
        self.clock = self.clock.set_anew();
        let rng = rand::SeedableRng::from_rng(&mut self.rng);
        let mut connection = Connection::new(Arc::clone(&self.config), *device, rng, self.clock.now());
        self.wishes.hand_to(&mut connection, self.clock.now());
        let reason = Drive::new(self, &mut connection, socket).run().await?;
        let (device, _) = connection.into_parts();
        Ok((Box::new(device), reason))
    }

    /// What follows the end of a connection: the wait for the next one, unless the session has ended.
    async fn after(&mut self, reason: CloseReason, device: &Device) -> Result<Option<Ended>, StoreError> {
        match reason.action() {
            Next::LoggedOut => Ok(Some(Ended::LoggedOut(reason))),
            Next::Stop => Ok(Some(Ended::Stopped(reason))),
            Next::ReconnectNewer => {
                let newer = self.newer_version();
                self.wait(newer, device).await
            }
            next => {
                let pause = self.pause(next);
                self.wait(sleep(pause), device).await
            }
        }
    }

    /// Opens the socket while commands are answered.
    async fn connect(&mut self, device: &Device) -> Result<Result<Socket, CloseReason>, StoreError> {
        let config = Arc::clone(&self.config);
        let connecting = Socket::connect(&config);
        tokio::pin!(connecting);
        loop {
            let command = tokio::select! {
                result = &mut connecting => {
                    return Ok(result.map_err(CloseReason::from));
                }
                command = self.commands.recv() => command,
            };
            if let Some(reason) = self.offline(command, device).await? {
                return Ok(Err(reason));
            }
        }
    }

    /// How long to wait before a connection that is not asked to be a newer one.
    fn pause(&mut self, next: Next) -> Duration {
        let (timing, rng) = (&self.config.timing, &mut self.rng);
        match next {
            Next::ReconnectNow => self.backoff.restart(timing, rng),
            Next::ReconnectSlowly => self.backoff.next_slowly(timing, rng),
            _ => self.backoff.next(timing, rng),
        }
    }

    /// Waits for settings with a newer version than the one that was refused, but not for ever: the server may have been
    /// wrong, and its owner sees that the session still tries.
    fn newer_version(&mut self) -> impl Future<Output = ()> + use<S, C> {
        let (settings, refused) = (self.settings.clone(), self.config.version);
        let Timing {
            outdated,
            update_spread,
            ..
        } = self.config.timing;
        let spread = self.rng.random_range(Duration::ZERO..=update_spread);
        let patience = self.rng.random_range(outdated * 3 / 4..=outdated * 5 / 4);
        async move {
            tokio::select! {
                () = settings.newer_than(refused) => sleep(spread).await,
                () = sleep(patience) => {}
            }
        }
    }

    /// Waits for the next connection's time while commands are answered.
    async fn wait(
        &mut self,
        waiting: impl Future<Output = ()>,
        device: &Device,
    ) -> Result<Option<Ended>, StoreError> {
        tokio::pin!(waiting);
        loop {
            let command = tokio::select! {
                () = &mut waiting => return Ok(None),
                command = self.commands.recv() => command,
            };
            let is_logout = matches!(command, Some(Command::Logout));
            if let Some(reason) = self.offline(command, device).await? {
                self.tell_closed(reason.clone()).await?;
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

    /// Answers a command without a connection; a reason means that it ends the driver.
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
            Some(command) => {
                if let Some(event) = command.not_connected() {
                    self.pipeline.tell(event).await?;
                }
            }
        }
        Ok(None)
    }

    /// Tells the owner why the connection ended, or did not come about.
    async fn tell_closed(&mut self, reason: CloseReason) -> Result<(), StoreError> {
        self.pipeline.tell(Event::Closed { reason }).await
    }
}
