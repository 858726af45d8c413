//! Starting the simulator, and the handle to it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use compact_str::CompactString;
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use thiserror::Error;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use whatsapp::pairing::code::PairingCode;
use whatsapp::server::Resumption;
use whatsapp::server::cert::{self, Validity};
use whatsapp::server::code::Primary;
use whatsapp::time::Timestamp;

use crate::audit::Report;
use crate::clock::unix_seconds;
use crate::connection::{self, Context, PATH};
use crate::control::{self, Refusal};
use crate::crowd::{Crowd, Received, Sent};
use crate::fault::{Active, Fault};
use crate::number::{DeviceAddr, Number};
use crate::persona::{ACCOUNTS_SINCE, Persona};
use crate::population::{Manners, Run};
use crate::seed::Seed;
use crate::world::{COMMAND_QUEUE, Command, INPUT_QUEUE, LinkOutcome, Linked, SessionInfo, Speaker, World};

/// How long certificates are valid from now on.
const CERTIFICATES_LAST_SECONDS: u64 = 10 * 365 * 86_400;
/// How long a phone into which a code was typed waits for a companion that has asked for one.
const LINK_HELLO_TIMEOUT: Duration = Duration::from_secs(2);
/// How long a phone waits for the companion's answer to a code.
const LINK_CODE_TIMEOUT: Duration = Duration::from_secs(10);
/// Most connections at once.
const MAX_CONNECTIONS: usize = 50_000;

/// How to start.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where clients connect; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Where the control API listens; port 0 takes a free one.
    pub control: SocketAddr,
    /// What everything is made from.
    pub seed: u64,
    /// Whether clients that resume (Noise IK) have to fall back to a full handshake.
    pub refuse_resumption: bool,
    /// Tasks that simulated devices are spread over; 0 for one per processor.
    pub shards: usize,
}

impl Default for Options {
    fn default() -> Self {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        Self {
            listen: any,
            control: any,
            seed: 1,
            refuse_resumption: false,
            shards: 0,
        }
    }
}

/// The simulator can't start.
#[derive(Debug, Error)]
pub enum StartError {
    /// Another process has the address, or it is not this machine's.
    #[error("can't listen on {address} (choose another address, or port 0 for any port that is free)")]
    Listen {
        /// Which address.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
}

/// The simulator.
pub struct Simulator;

impl Simulator {
    /// Starts a simulator in this process. It ends when the handle and all its clones are dropped or
    /// [`Handle::shutdown`] is called.
    ///
    /// # Errors
    /// If an address is taken.
    pub async fn start(options: Options) -> Result<Handle, StartError> {
        let clients = listen(options.listen).await?;
        let controls = listen(options.control).await?;
        let seed = Seed::new(options.seed);
        let (root, intermediate) = (seed.server_key("root"), seed.server_key("intermediate"));
        let static_keys = seed.server_key("static");
        let validity = Validity {
            not_before: Timestamp::from_secs(ACCOUNTS_SINCE),
            not_after: Timestamp::from_secs(unix_seconds() + CERTIFICATES_LAST_SECONDS),
        };
        let mut rng = StdRng::seed_from_u64(seed.number_of("certificates", 0));
        let chain = cert::issue(&root, &intermediate, static_keys.public(), validity, &mut rng);

        let tasks = TaskTracker::new();
        let stop = CancellationToken::new();
        let shards = match options.shards {
            0 => std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            given => given,
        };
        let (crowd, outputs) = Crowd::start(&seed, shards, &tasks);
        let (inputs, world_inputs) = mpsc::channel(INPUT_QUEUE);
        let (commands, world_commands) = mpsc::channel(COMMAND_QUEUE);
        let world = World::new(seed.clone(), options.seed, crowd);
        let until = stop.clone();
        tasks.spawn(async move {
            until
                .run_until_cancelled(world.run(world_inputs, outputs, world_commands))
                .await;
        });

        let resumption = if options.refuse_resumption {
            Resumption::Refuse
        } else {
            Resumption::Accept
        };
        let context = Arc::new(Context {
            seed: seed.clone(),
            static_keys,
            chain,
            resumption,
            inputs,
        });
        let (listen_at, control_at) = (address(&clients), address(&controls));
        tasks.spawn(accept(clients, context, tasks.clone(), stop.clone()));

        let root_hex = hex::encode(root.public().as_bytes());
        let handle = Handle {
            ws_url: format!("ws://{listen_at}{PATH}"),
            control_url: format!("http://{control_at}"),
            root_public_key: *root.public().as_bytes(),
            root_public_key_hex: root_hex,
            seed,
            commands,
            guard: Arc::new(Guard {
                stop: stop.clone(),
                tasks: tasks.clone(),
            }),
        };
        let served = control::serve(controls, handle.without_guard(), stop);
        tasks.spawn(served);
        Ok(handle)
    }
}

async fn listen(address: SocketAddr) -> Result<TcpListener, StartError> {
    TcpListener::bind(address)
        .await
        .map_err(|source| StartError::Listen { address, source })
}

fn address(listener: &TcpListener) -> SocketAddr {
    listener
        .local_addr()
        .unwrap_or_else(|_| SocketAddr::from(([127, 0, 0, 1], 0)))
}

/// Takes connections until stopped. Each runs on its own; a bad one ends alone.
async fn accept(listener: TcpListener, context: Arc<Context>, tasks: TaskTracker, stop: CancellationToken) {
    let mut last = 0u64;
    let slots = Arc::new(tokio::sync::Semaphore::new(MAX_CONNECTIONS));
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        let (Ok((socket, _)), Ok(slot)) = (accepted, Arc::clone(&slots).try_acquire_owned()) else {
            // Out of file descriptors or over the limit: others may go on.
            tokio::task::yield_now().await;
            continue;
        };
        last += 1;
        let (conn, context, stop) = (last, Arc::clone(&context), stop.clone());
        tasks.spawn(async move {
            let ended = stop.run_until_cancelled(connection::serve(socket, conn, context)).await;
            tracing::debug!(conn.id = conn, reason = ?ended.map(|ended| ended.to_string()), "connection ended");
            drop(slot);
        });
    }
}

/// The way to a running simulator. What the control API can do, it can do.
#[derive(Clone)]
pub struct Handle {
    /// Where clients connect.
    pub ws_url: String,
    /// Where the control API is.
    pub control_url: String,
    /// The key that the certificates lead to.
    pub root_public_key: [u8; 32],
    /// The same as text.
    pub root_public_key_hex: String,
    seed: Seed,
    commands: mpsc::Sender<Command>,
    guard: Arc<Guard>,
}

/// Stops everything when the last handle is gone.
struct Guard {
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Handle {
    /// A handle that does not keep the simulator alive.
    fn without_guard(&self) -> Self {
        let guard = Guard {
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
        };
        Self {
            guard: Arc::new(guard),
            ..self.clone()
        }
    }

    /// Stops and waits until all tasks have ended.
    pub async fn shutdown(self) {
        self.guard.stop.cancel();
        self.guard.tasks.close();
        self.guard.tasks.wait().await;
    }

    /// Makes a phone with an account, or renames it.
    ///
    /// # Errors
    /// If the number is a contact's.
    pub async fn create_phone(&self, number: Number, name: impl Into<String>) -> Result<(), Refusal> {
        self.make_phone(number, Some(name.into())).await.map(drop)
    }

    /// Makes a phone with an account, or renames it. Without a name a new one gets one and another keeps its own.
    /// Returns its name.
    ///
    /// # Errors
    /// If the number is a contact's.
    pub async fn make_phone(&self, number: Number, name: Option<String>) -> Result<String, Refusal> {
        self.ask(|answer| Command::Phone(number, name, answer)).await?
    }

    /// The phone scans a QR code.
    ///
    /// # Errors
    /// If the code is not valid or its connection is gone.
    pub async fn scan(&self, number: Number, qr: impl Into<String>) -> Result<Linked, Refusal> {
        self.ask(|answer| Command::Scan(number, qr.into(), answer))
            .await?
    }

    /// A code is typed into the phone. Returns when the companion has answered.
    ///
    /// # Errors
    /// If nobody asks for a code within two seconds, the code is wrong, or the companion does not answer within ten.
    pub async fn link_code(&self, number: Number, code: &str) -> Result<Linked, Refusal> {
        let code: PairingCode = code
            .trim()
            .parse()
            .map_err(|_| Refusal::bad("code", "is no pairing code"))?;
        let asked = self.ask(|answer| Command::LinkHello(number, answer));
        let hello = tokio::time::timeout(LINK_HELLO_TIMEOUT, asked)
            .await
            .map_err(|_| Refusal::conflict("code", "no companion has asked for one"))???;
        let random = self.seed.number_of("link code", hello.conn);
        let wrapped = hello.wrapped;
        // Stretching the code takes a while; the world goes on meanwhile.
        let started = tokio::task::spawn_blocking(move || {
            Primary::start(&code, &wrapped, &mut StdRng::seed_from_u64(random))
        });
        let (primary, half) = started
            .await
            .map_err(|_| Refusal::conflict("code", "the simulator is stopping"))?
            .map_err(|_| Refusal::conflict("code", "the companion's hello is malformed"))?;
        let (tell, told) = oneshot::channel();
        self.tell(Command::PrimaryHello(hello.conn, half.to_vec(), tell))
            .await?;
        let outcome = tokio::time::timeout(LINK_CODE_TIMEOUT, told).await;
        let Ok(Ok(LinkOutcome::Finished { bundle, companion })) = outcome else {
            return Err(Refusal::conflict("code", "the companion did not answer"));
        };
        let identity = Persona::new(&self.seed, DeviceAddr::phone(number)).identity();
        let secret = primary
            .open(&bundle, &identity, &companion)
            .map_err(|_| Refusal::bad("code", "is not the companion's"))?;
        self.ask(|answer| Command::LinkWith(hello.conn, *secret.as_bytes(), answer))
            .await?
    }

    /// Unlinks a device of the phone, or all. Returns how many.
    ///
    /// # Errors
    /// If there is no such device.
    pub async fn unlink(&self, number: Number, device: Option<u16>) -> Result<usize, Refusal> {
        self.ask(|answer| Command::Unlink(number, device, answer)).await?
    }

    /// Makes contacts with the numbers `prefix` + index, padded with zeros to the digits of `count - 1`.
    ///
    /// # Errors
    /// If a number would not be valid or is taken.
    pub async fn create_contacts(&self, prefix: &str, count: u64, manners: Manners) -> Result<Run, Refusal> {
        self.ask(|answer| Command::Contacts(prefix.into(), count, manners, answer))
            .await?
    }

    /// Adds a companion to a contact. Returns its device number.
    ///
    /// # Errors
    /// If there is no such contact, or it has too many.
    pub async fn add_contact_device(&self, number: Number) -> Result<u16, Refusal> {
        self.ask(|answer| Command::ContactDevice(number, answer)).await?
    }

    /// A phone or a contact sends a text. Returns the message's id.
    ///
    /// # Errors
    /// If nobody has one of the numbers.
    pub async fn say(
        &self,
        speaker: Speaker,
        to: Number,
        text: impl Into<String>,
    ) -> Result<CompactString, Refusal> {
        self.ask(|answer| Command::Say(speaker, to, text.into(), answer))
            .await?
    }

    /// What a device of a phone or a contact got; device 0 is the phone itself.
    ///
    /// # Errors
    /// If there is no such phone or contact.
    pub async fn messages(&self, of: Speaker, device: u16) -> Result<Vec<Received>, Refusal> {
        let told = self.ask(|answer| Command::Inbox(of, device, answer)).await??;
        told.await.map_err(|_| stopping())
    }

    /// What a phone or a contact sent, with the receipts that came.
    ///
    /// # Errors
    /// If there is no such phone or contact.
    pub async fn sent(&self, by: Speaker) -> Result<Vec<Sent>, Refusal> {
        let told = self.ask(|answer| Command::Outbox(by, answer)).await??;
        told.await.map_err(|_| stopping())
    }

    /// Adds a fault. Returns its number (none if it struck at once and is over) and how many sessions it struck at once.
    ///
    /// # Errors
    /// Names the field that is wrong.
    pub async fn add_fault(&self, fault: Fault) -> Result<(Option<u64>, usize), Refusal> {
        self.ask(|answer| Command::AddFault(Box::new(fault), answer))
            .await?
    }

    /// Ends a fault, or all.
    ///
    /// # Errors
    /// If there is no such fault.
    pub async fn end_faults(&self, id: Option<u64>) -> Result<(), Refusal> {
        self.ask(|answer| Command::EndFaults(id, answer)).await?
    }

    /// The active faults.
    ///
    /// # Errors
    /// If the simulator is stopping.
    pub async fn faults(&self) -> Result<Vec<Active>, Refusal> {
        self.ask(Command::Faults).await
    }

    /// The linked devices of all phones.
    ///
    /// # Errors
    /// If the simulator is stopping.
    pub async fn sessions(&self) -> Result<Vec<SessionInfo>, Refusal> {
        self.ask(Command::Sessions).await
    }

    /// What the server and the contacts saw up to now.
    ///
    /// # Errors
    /// If the simulator is stopping.
    pub async fn audit(&self) -> Result<Report, Refusal> {
        Ok(self.ask(Command::Audit).await?.complete().await)
    }

    /// Counts no gap across this moment.
    ///
    /// # Errors
    /// If the simulator is stopping.
    pub async fn mark_audit(&self) -> Result<(), Refusal> {
        self.ask(Command::MarkAudit).await?
    }

    async fn ask<T>(&self, command: impl FnOnce(oneshot::Sender<T>) -> Command) -> Result<T, Refusal> {
        let (answer, answered) = oneshot::channel();
        self.tell(command(answer)).await?;
        answered.await.map_err(|_| stopping())
    }

    async fn tell(&self, command: Command) -> Result<(), Refusal> {
        self.commands.send(command).await.map_err(|_| stopping())
    }
}

fn stopping() -> Refusal {
    Refusal::unavailable("the simulator is stopping")
}
