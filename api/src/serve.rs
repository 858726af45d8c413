//! The life of the API process: everything it needs is there before it takes its first request, and requests in hand
//! are answered before it ends.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::{Context, Result};
use axum::Router;
use shared::broker::Broker;
use shared::clock::Clock;
use shared::lifecycle::Lifecycle;
use shared::random::Randomness;
use shared::store::Store;
use shared::telemetry::{self, Health, Metrics};
use tokio::net::TcpListener;

use crate::app::App;
use crate::listener::{self, Limits};
use crate::router::router;
use crate::settings::Settings;

/// Serves until a signal ends it.
///
/// # Errors
/// When it can't start; each says what to do.
pub async fn serve(settings: Settings) -> Result<()> {
    telemetry::init_logs(&settings.common.log).map_err(anyhow::Error::msg)?;
    let metrics = Metrics::install().map_err(anyhow::Error::msg)?;
    let lifecycle = Lifecycle::with_signals().context("signals can't be listened to")?;
    // The port first: it is the cheapest mistake to find.
    let socket = listen(settings.listen).await?;
    let apart = telemetry::listen(settings.common.metrics_addr)
        .await
        .map_err(anyhow::Error::msg)?;
    let clock = Clock::system();
    let store = Store::connect(&settings.common.database, Some(settings.sealer), clock).await?;
    let broker = Broker::connect(&settings.common.amqp, clock, &Randomness::system())
        .await
        .map_err(|error| anyhow::anyhow!("{error}; {}", error.advice()))?;
    let health = health(&store, &broker, clock);
    let mut app = App::new(
        store.clone(),
        broker.clone(),
        settings.key,
        settings.common.amqp.shards,
        settings.reach,
    );
    app.tasks = lifecycle.tasks().clone();
    let admin: Router = telemetry::routes(Some(metrics.clone()), health.clone());
    let router = router(Arc::new(app), &settings.origins, admin);
    watch(&lifecycle, apart, metrics, health);
    tracing::info!(address = %settings.listen, "the API is ready");
    listener::serve(socket, router, Limits::default(), &lifecycle).await;
    lifecycle.ended().await;
    broker.close().await;
    store.close();
    Ok(())
}

async fn listen(address: SocketAddr) -> Result<TcpListener> {
    TcpListener::bind(address).await.map_err(|error| {
        let advice = match error.kind() {
            std::io::ErrorKind::AddrInUse => "another process listens there: stop it, or choose another PORT",
            std::io::ErrorKind::AddrNotAvailable => "this machine has no such address: correct HOST",
            std::io::ErrorKind::PermissionDenied => "this user may not: choose a PORT above 1023",
            _ => "correct HOST and PORT",
        };
        anyhow::anyhow!("can't listen on {address} ({error}); {advice}")
    })
}

fn health(store: &Store, broker: &Broker, clock: Clock) -> Health {
    let health = Health::new(clock);
    let (store, broker) = (store.clone(), broker.clone());
    health.check("database", move || {
        let store = store.clone();
        async move { store.ping().await.map_err(|error| error.to_string()) }
    });
    health.check("broker", move || {
        let ready = broker.is_ready();
        async move {
            if ready {
                Ok(())
            } else {
                Err("not connected, or takes no messages".to_owned())
            }
        }
    });
    health
}

/// Serves health and metrics on their own address too, where one is set.
fn watch(lifecycle: &Lifecycle, apart: Option<TcpListener>, metrics: Metrics, health: Health) {
    let soft = lifecycle.soft().clone();
    lifecycle.spawn(async move {
        if let Err(error) = telemetry::serve(apart, metrics, health, soft).await {
            tracing::error!(%error, "health and metrics are not served on their own address any more");
        }
    });
}
