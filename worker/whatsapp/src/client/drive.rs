//! One connection over one socket: the loop that feeds inputs and walks steps through the commit pipeline.

use std::{
    future::{Future, pending, poll_fn},
    pin::Pin,
    sync::{Arc, LazyLock},
    time::Duration,
};

use bytes::Bytes;
use rand::rngs::StdRng;
use tokio::sync::{Semaphore, SemaphorePermit, mpsc};
use tokio::{task::spawn_blocking, time::sleep};

use super::{
    backoff::Backoff,
    clock::Clock,
    download,
    pipeline::{Done, Pipeline},
    settings::Settings,
    socket::{Reading, Socket, SocketError},
};
use crate::{
    command::{Command, Presence},
    connection::{CloseReason, Config, Connection, DownloadError, Input, Unpacked},
    store::{KeyStore, StoreError},
    time::Timestamp,
};

/// What lasts from one connection of a session to the next, apart from the credentials.
pub(super) struct Driver<S, C> {
    /// Of the connection that there is, or was last.
    pub(super) config: Arc<Config>,
    /// Of those to come.
    pub(super) settings: Settings,
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

/// A connection with its socket.
pub(super) struct Drive<'a, S, C> {
    driver: &'a mut Driver<S, C>,
    connection: &'a mut Connection,
    /// Gone when it broke.
    socket: Option<Socket>,
    /// The file that is being fetched.
    download: Option<Fetching>,
    /// The piece of the history that is being read.
    unpacking: Option<Portion>,
    /// The right to have a piece of the history in memory.
    turn: Turns,
    /// How often in a row the store was asked something while a step waited.
    loads_in_a_row: u8,
    online_since: Option<Timestamp>,
    /// How long the protocol has worked on the next step.
    worked: Duration,
    /// The last step is durable.
    end: Option<CloseReason>,
}

/// A file on its way, with the turn that one of the history takes.
type Fetching = Pin<Box<dyn Future<Output = (Result<Bytes, DownloadError>, Turns)> + Send>>;
/// A portion that is being read; `None` if that ended without one.
type Portion = Pin<Box<dyn Future<Output = (Option<Unpacked>, Turns)> + Send>>;
type Turns = Option<SemaphorePermit<'static>>;

/// What one turn of the loop waited for.
enum Turn {
    Store(Done),
    Socket(Result<Bytes, SocketError>),
    Command(Option<Command>),
    File((Result<Bytes, DownloadError>, Turns)),
    Unpacked((Option<Unpacked>, Turns)),
    Tick,
}

impl<'a, S: KeyStore, C: Clock> Drive<'a, S, C> {
    pub(super) fn new(driver: &'a mut Driver<S, C>, connection: &'a mut Connection, socket: Socket) -> Self {
        Self {
            driver,
            connection,
            socket: Some(socket),
            download: None,
            unpacking: None,
            turn: None,
            loads_in_a_row: 0,
            online_since: None,
            worked: Duration::ZERO,
            end: None,
        }
    }

    /// Runs until the connection has closed, its last step is durable, and the socket has taken its last frames.
    pub(super) async fn run(&mut self) -> Result<CloseReason, StoreError> {
        loop {
            self.start_work();
            self.start_download();
            self.start_unpacking();
            if let Some(reason) = self.end.take() {
                // Boxed, as it is larger than the wait, which is all that an idle session does.
                Box::pin(self.say_goodbye()).await;
                return Ok(reason);
            }
            let turn = self.wait().await?;
            self.take(turn);
        }
    }

    /// Gives the store something to do if it is idle, and releases steps that need no store. What is asked goes first, a
    /// few times in a row: the answer to one question is often the next, a question costs the store far less than a step,
    /// and what waits for answers is then in one step rather than in one each.
    fn start_work(&mut self) {
        while self.driver.pipeline.is_idle() && self.end.is_none() {
            if self.loads_in_a_row < MAX_LOADS_IN_A_ROW && self.start_load() {
                self.loads_in_a_row += 1;
                return;
            }
            self.loads_in_a_row = 0;
            let started = self.driver.clock.elapsed();
            let step = if self.may_take_step() {
                self.connection.take_step()
            } else {
                None
            };
            self.work_since(started);
            match step {
                Some(step) if step.needs_commit() => {
                    let took = std::mem::take(&mut self.worked);
                    self.driver.pipeline.commit(step, took);
                }
                Some(step) => self.release(step.frames, step.close),
                None => {
                    if !self.start_load() {
                        self.start_listing();
                    }
                    return;
                }
            }
        }
    }

    fn start_load(&mut self) -> bool {
        let keys = self.connection.take_load();
        let is_asked = !keys.is_empty();
        if is_asked {
            self.driver.pipeline.load(keys);
        }
        is_asked
    }

    fn start_listing(&mut self) {
        if let Some(listing) = self.connection.take_listing() {
            self.driver.pipeline.list(listing);
        }
    }

    /// Fetches a file if one is wanted and none is under way.
    fn start_download(&mut self) {
        if let Some(wanted) = self.connection.take_download() {
            let (way, limit) = download::settings(&self.driver.config);
            let turn = self.turn.take();
            self.download = Some(Box::pin(async move {
                let turn = match wanted.is_of_history() {
                    true => take_turn(turn).await,
                    false => turn,
                };
                (download::fetch(way, limit, wanted).await, turn)
            }));
        }
    }

    /// Reads a piece of the history on, on a thread that no session waits for.
    fn start_unpacking(&mut self) {
        if let Some(unpacking) = self.connection.take_unpacking() {
            let turn = self.turn.take();
            self.unpacking = Some(Box::pin(async move {
                let turn = take_turn(turn).await;
                let portion = spawn_blocking(move || unpacking.read_on()).await;
                (portion.ok(), turn)
            }));
        } else if self.turn.is_some() && !self.connection.is_taking_history() {
            self.turn = None;
        }
    }

    /// Waits for the next thing to happen. Dropping the wait loses nothing.
    async fn wait(&mut self) -> Result<Turn, StoreError> {
        let reading = self.reading();
        let listening = reading == Reading::Yes && !self.connection.is_closed();
        let wake = self
            .connection
            .deadline()
            .map(|at| at.since(self.driver.clock.now()));
        let Driver {
            pipeline, commands, ..
        } = &mut *self.driver;
        let (socket, download) = (&mut self.socket, &mut self.download);
        let unpacking = &mut self.unpacking;
        tokio::select! {
            done = pipeline.done() => done.map(Turn::Store),
            read = poll_fn(|cx| match socket {
                Some(socket) => socket.poll(cx, reading),
                None => std::task::Poll::Pending,
            }) => Ok(Turn::Socket(read)),
            file = async {
                match download {
                    Some(fetching) => fetching.await,
                    None => pending().await,
                }
            } => Ok(Turn::File(file)),
            portion = async {
                match unpacking {
                    Some(portion) => portion.await,
                    None => pending().await,
                }
            } => Ok(Turn::Unpacked(portion)),
            command = commands.recv(), if listening => Ok(Turn::Command(command)),
            () = sleep(wake.unwrap_or_default()), if wake.is_some() => Ok(Turn::Tick),
        }
    }

    fn take(&mut self, turn: Turn) {
        let started = self.driver.clock.elapsed();
        self.feed(turn);
        self.work_since(started);
    }

    fn work_since(&mut self, started: Duration) {
        self.worked += self.driver.clock.elapsed().saturating_sub(started);
    }

    fn feed(&mut self, turn: Turn) {
        let now = self.driver.clock.now();
        match turn {
            Turn::Store(Done::Committed { frames, close }) => {
                self.release(frames, close);
                self.connection.handle(Input::Committed, now);
            }
            Turn::Store(Done::Listed(names)) => self.connection.handle(Input::Listed(names), now),
            Turn::Store(Done::Loaded(values)) => self.connection.handle(Input::Loaded(values), now),
            Turn::Socket(Ok(bytes)) => self.connection.handle(Input::Bytes(bytes), now),
            Turn::Socket(Err(error)) => {
                tracing::debug!(error = %error, "socket closed");
                self.socket = None;
                self.connection.handle(Input::SocketClosed, now);
            }
            Turn::Command(command) => {
                self.obey(command.unwrap_or(Command::Stop), now);
                // Those that wait go along: what they ask of the store is then asked together.
                for _ in 1..MAX_COMMANDS {
                    if self.connection.is_closed() {
                        break;
                    }
                    let Ok(command) = self.driver.commands.try_recv() else {
                        break;
                    };
                    self.obey(command, now);
                }
            }
            Turn::File((file, turn)) => {
                self.download = None;
                self.turn = turn;
                self.connection.handle(Input::Downloaded(file), now);
            }
            Turn::Unpacked((portion, turn)) => {
                self.unpacking = None;
                self.turn = turn;
                match portion {
                    Some(unpacked) => self.connection.handle(Input::Unpacked(unpacked), now),
                    // The process ends, or there is a mistake of ours: the piece is read on by the next connection.
                    None => tracing::warn!(
                        "a piece of the history is not read to its end; the next connection goes on with it"
                    ),
                }
            }
            Turn::Tick => self.connection.handle(Input::Tick, now),
        }
        if self.online_since.is_none() && self.connection.is_online() {
            self.online_since = Some(now);
        }
    }

    fn obey(&mut self, command: Command, now: Timestamp) {
        self.driver.wishes.note(&command);
        self.connection.handle(Input::Command(command), now);
    }

    /// The only door through which frames leave: their step is durable, or needed no commit.
    fn release(&mut self, frames: Vec<Bytes>, close: Option<CloseReason>) {
        if let Some(socket) = &mut self.socket {
            socket.write(frames);
        }
        self.end = close;
    }

    async fn say_goodbye(&mut self) {
        let now = self.driver.clock.now();
        let timing = &self.driver.config.timing;
        if let Some(since) = self.online_since {
            self.driver.backoff.logged_in();
            if now.since(since) >= timing.stable {
                self.driver.backoff.reset();
            }
        }
        if let Some(socket) = self.socket.take() {
            socket.finish(timing.close).await;
        }
    }

    /// A peer that does not read must not make us hold everything we have to say; its end is then all that counts.
    fn may_take_step(&self) -> bool {
        self.connection.is_closed() || self.unwritten() < MAX_UNWRITTEN_FRAMES
    }

    fn reading(&self) -> Reading {
        if self.connection.is_backlogged() || self.unwritten() >= MAX_UNWRITTEN_FRAMES {
            Reading::No
        } else {
            Reading::Yes
        }
    }

    fn unwritten(&self) -> usize {
        self.socket.as_ref().map_or(0, Socket::unwritten)
    }
}

/// The right to have a piece of the history in memory: what there was of it, or a new one.
async fn take_turn(turn: Turns) -> Turns {
    match turn {
        Some(turn) => Some(turn),
        // Never closed.
        None => HISTORY_TURNS.acquire().await.ok(),
    }
}

static HISTORY_TURNS: LazyLock<Semaphore> = LazyLock::new(|| Semaphore::new(MAX_HISTORIES));
/// Pieces of the history that all sessions of a process have in memory at a time, packed.
const MAX_HISTORIES: usize = 4;
/// Commands that are taken at a time, before the store gets work.
const MAX_COMMANDS: usize = 64;
/// Questions to the store in a row while a step waits: names, the way back, and ratchets make three.
const MAX_LOADS_IN_A_ROW: u8 = 3;
/// Frames that wait for the socket before no more steps are taken.
const MAX_UNWRITTEN_FRAMES: usize = 1_024;
