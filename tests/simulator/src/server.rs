//! Starting the simulator: its keys, its tasks and its listeners.

use std::net::SocketAddr;
use std::sync::Arc;

use rand::SeedableRng as _;
use rand::rngs::StdRng;
use thiserror::Error;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use whatsapp::server::Resumption;
use whatsapp::server::cert::{self, Validity};
use whatsapp::signal::curve::{KeyPair, PublicKey};
use whatsapp::time::Timestamp;

use crate::clock::Clock;
use crate::connection::{self, Context, PATH};
use crate::control;
use crate::crowd::Crowd;
use crate::handle::{Guard, Handle};
use crate::persona::ACCOUNTS_SINCE;
use crate::seed::Seed;
use crate::world::{COMMAND_QUEUE, INPUT_QUEUE, World};

/// How long certificates are valid from now on.
const CERTIFICATES_LAST_SECONDS: u64 = 10 * 365 * 86_400;
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
        let clock = Clock::system();

        let tasks = TaskTracker::new();
        let stop = CancellationToken::new();
        let (crowd, outputs) = Crowd::start(&seed, shards(options.shards), &tasks, clock);
        let (inputs, world_inputs) = mpsc::channel(INPUT_QUEUE);
        let (commands, world_commands) = mpsc::channel(COMMAND_QUEUE);
        let (listen_at, control_at) = (address(&clients), address(&controls));
        let world = World::new(seed.clone(), options.seed, crowd, clock, control_at.to_string());
        let until = stop.clone();
        tasks.spawn(async move {
            until
                .run_until_cancelled(world.run(world_inputs, outputs, world_commands))
                .await;
        });

        let root = seed.server_key("root");
        let static_keys = seed.server_key("static");
        let context = Arc::new(Context {
            clock,
            seed: seed.clone(),
            chain: certificates(&seed, &root, static_keys.public(), clock),
            static_keys,
            resumption: match options.refuse_resumption {
                true => Resumption::Refuse,
                false => Resumption::Accept,
            },
            inputs,
        });
        tasks.spawn(accept(clients, context, tasks.clone(), stop.clone()));

        let handle = Handle {
            ws_url: format!("ws://{listen_at}{PATH}"),
            control_url: format!("http://{control_at}"),
            root_public_key: *root.public().as_bytes(),
            root_public_key_hex: hex::encode(root.public().as_bytes()),
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

/// The chain that leads from the root to the server's static key.
fn certificates(seed: &Seed, root: &KeyPair, static_key: &PublicKey, clock: Clock) -> Vec<u8> {
    let validity = Validity {
        not_before: Timestamp::from_secs(ACCOUNTS_SINCE),
        not_after: Timestamp::from_secs(clock.unix_seconds() + CERTIFICATES_LAST_SECONDS),
    };
    let mut rng = StdRng::seed_from_u64(seed.number_of("certificates", 0));
    let intermediate = seed.server_key("intermediate");
    cert::issue(root, &intermediate, static_key, validity, &mut rng)
}

fn shards(wanted: usize) -> usize {
    match wanted {
        0 => std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
        given => given,
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
