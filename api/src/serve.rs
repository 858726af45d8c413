//! The life of the API process: everything it needs is there before it takes its first request, and requests in hand
//! are answered before it ends.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Result;
use axum::Router;
use shared::metrics::Role;
use shared::process::Process;
use shared::telemetry;
use tokio::net::TcpListener;

use crate::app::App;
use crate::downloads::Downloads;
use crate::listener::{self, Limits};
use crate::realtime::Realtime;
use crate::router::router;
use crate::settings::Settings;
use crate::uploads::Uploads;
use crate::workers;

/// Serves until a signal ends it.
///
/// # Errors
/// When it can't start; each says what to do.
pub async fn serve(settings: Settings) -> Result<()> {
    let weakness = settings.key.weakness();
    // The port first: it is the cheapest mistake to find.
    let socket = listen(settings.listen).await?;
    let (process, metrics) =
        Process::start(Role::Api, &settings.common, Some(settings.sealer), settings.drain).await?;
    let lifecycle = &process.life;
    let mut app = App::new(
        process.store.clone(),
        process.broker.clone(),
        settings.key,
        settings.common.amqp.shards,
        settings.reach,
    );
    app.tracer = process.tracer.clone();
    app.limits = settings.limits;
    app.delay = settings.delay;
    app.downloads = Downloads::new(settings.downloads);
    app.uploads = Uploads::new(&settings.uploads)?;
    app.tasks = lifecycle.tasks().clone();
    workers::watch(
        &process.health,
        &process.store,
        settings.common.amqp.shard_ids().collect(),
    );
    let sweep = app
        .uploads
        .clone()
        .sweep(app.store.clone(), lifecycle.soft().clone());
    lifecycle.spawn(sweep);
    let app = Arc::new(app);
    let realtime = Realtime::new(&app, &settings.origins, settings.sockets);
    let admin: Router = telemetry::routes(Some(metrics), process.health.clone());
    let router = router(app, &settings.origins, admin.merge(realtime.routes()));
    lifecycle.spawn(realtime.run(lifecycle.soft().clone()));
    if let Some(weak) = weakness {
        tracing::warn!("AUTH {weak}; it serves this machine alone");
    }
    tracing::info!(address = %settings.listen, "the API is ready");
    process.started();
    listener::serve(socket, router, Limits::default(), lifecycle).await;
    lifecycle.ended().await;
    process.close().await;
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
