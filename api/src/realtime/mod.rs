//! socket.io on the API's port: every event of the sessions that a client asks for, live.
//!
//! A looker-on of the event exchange, by a queue of this process's own: any replica serves any client. What is missed while
//! a client is away is missed. Must not know what an event means, beyond the older dialect's names (`dialect`).

mod client;
mod dialect;
mod door;
mod feed;
mod watching;

use std::sync::Arc;

use axum::Router;
use axum::routing::any_service;
use shared::broker::Broker;
use socketioxide::extract::{AckSender, SocketRef, TryData};
use socketioxide::handler::ConnectHandler;
use socketioxide::{ParserConfig, SocketIo};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::client::Client;
use self::door::{Door, Entrances};
use self::watching::Watching;
use crate::app::App;
use crate::settings::SocketLimits;

/// Where clients connect.
pub const PATH: &str = "/socket.io";
/// Most bytes of one message of a client: it asks for tokens.
const MESSAGE_MAX_BYTES: usize = 64 << 10;
/// Most packets of a client that the transport holds beside its backlog.
const TRANSPORT_PACKETS: usize = 64;

/// The socket.io server of this process.
#[derive(Debug)]
pub struct Realtime {
    io: SocketIo,
    routes: Router,
    watching: Arc<Watching>,
    limits: SocketLimits,
    broker: Broker,
}

impl Realtime {
    /// A server that lets in who has the key of `app`; where none is set, no pages but the API's own and those of `origins`.
    pub fn new(app: &Arc<App>, origins: &[axum::http::HeaderValue], limits: SocketLimits) -> Self {
        let watching = Arc::new(Watching::new(limits.clients));
        let (service, io) = SocketIo::builder()
            .req_path(PATH)
            .connect_timeout(door::CONNECT_TIMEOUT)
            .max_buffer_size(TRANSPORT_PACKETS)
            .max_payload(MESSAGE_MAX_BYTES as u64)
            .ws_max_message_size(MESSAGE_MAX_BYTES)
            .ws_max_frame_size(MESSAGE_MAX_BYTES)
            .with_parser(ParserConfig::common().max_incoming_binaries(0))
            .build_svc();
        let door = Arc::new(Door::new(app.clone(), origins, watching.clone(), limits));
        let tasks = app.tasks.clone();
        let check = move |socket: SocketRef, TryData(auth): TryData<serde_json::Value>| {
            let door = door.clone();
            async move { door.admit(&socket, auth.ok()).await }
        };
        io.ns("/", (move |socket| welcome(socket, tasks.clone())).with(check));
        let routes = Router::new()
            .route(PATH, any_service(service.clone()))
            .route(&format!("{PATH}/"), any_service(service))
            .layer(axum::middleware::from_fn_with_state(
                Arc::new(Entrances::new(app.clock)),
                door::enter,
            ));
        Self {
            io,
            routes,
            watching,
            limits,
            broker: app.broker.clone(),
        }
    }

    /// Its routes. They need no key: a client brings it when it connects.
    pub fn routes(&self) -> Router {
        self.routes.clone()
    }

    /// Serves events until `stop`, then closes all connections, so that their clients come back elsewhere.
    pub async fn run(self, stop: CancellationToken) {
        tokio::select! {
            () = stop.cancelled() => {}
            () = feed::serve(&self.io, &self.broker, &self.watching, self.limits.queue) => {}
        }
        self.io.close().await;
    }
}

/// Begins to give a client its events.
async fn welcome(socket: SocketRef, tasks: TaskTracker) {
    let Some(client) = socket.extensions.get::<Client>() else {
        return;
    };
    socket.on(
        "join",
        async |socket: SocketRef, TryData(wanted): TryData<serde_json::Value>, ack: AckSender| {
            // Who left meanwhile needs no answer.
            let _ = ack.send(&door::answer(door::join(&socket, wanted.ok().as_ref())));
        },
    );
    socket.on(
        "leave",
        async |socket: SocketRef, TryData(left): TryData<serde_json::Value>, ack: AckSender| {
            let _ = ack.send(&door::answer(door::leave(&socket, left.ok().as_ref())));
        },
    );
    let ended = client.clone();
    socket.on_disconnect(async move || ended.close());
    door::enter_rooms(&socket, &client);
    tasks.spawn(client.serve(socket));
}
