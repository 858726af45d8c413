//! Keeps the version current: looks at the deployment's row, writes into it what sessions were told, takes turns at
//! fetching, and says how things stand.

use std::sync::Arc;
use std::time::Duration;

use rand::RngExt;
use rand::rngs::StdRng;
use shared::clock::Clock;
use shared::metrics::labels::PageReading;
use shared::metrics::list;
use shared::store::client_version::{self, Known, Release, Source, WebVersion};
use shared::store::{Store, StoreError};
use shared::telemetry::Health;
use time::OffsetDateTime;
use tokio::sync::watch;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use whatsapp::connection::{ClientVersion, Config};
use whatsapp::time::Timestamp;
use whatsapp::version::Published;

use super::current::Versions;
use super::page::{self, FetchError};
use super::reports::{Reports, Told};
use super::settings::{Fetching, Settings};

/// Keeps the version of one worker.
pub(crate) struct Keeper {
    store: Store,
    clock: Clock,
    rng: StdRng,
    health: Health,
    settings: Settings,
    current: watch::Sender<Arc<Config>>,
    reports: Arc<Reports>,
    /// The version built in is in the row.
    is_offered: bool,
    /// The last fetch of ours that failed, so that it is logged once.
    failure: Option<FetchError>,
    /// The end of a version that was logged.
    told_end: Option<(ClientVersion, OffsetDateTime)>,
    is_refused: bool,
}

impl Keeper {
    /// With the version that a worker begins with: the one that its settings name, or the one built in.
    pub(crate) fn new(
        store: Store,
        clock: Clock,
        rng: StdRng,
        health: Health,
        start: Start,
    ) -> (Box<Self>, Versions) {
        let Start { settings, whatsapp } = start;
        let version = settings.fixed.unwrap_or(ClientVersion::KNOWN);
        let (current, followed) = watch::channel(Arc::new(Config { version, ..whatsapp }));
        let reports = Arc::<Reports>::default();
        let versions = Versions::new(followed, Arc::clone(&reports));
        let keeper = Self {
            store,
            clock,
            rng,
            health,
            settings,
            current,
            reports,
            is_offered: false,
            failure: None,
            told_end: None,
            is_refused: false,
        };
        (Box::new(keeper), versions)
    }

    /// Takes what the deployment knows already, before the first session connects; without a database the sessions find
    /// nothing to connect with anyway.
    pub(crate) async fn begin(&mut self) {
        if let Err(error) = self.follow().await {
            tracing::warn!(%error, "the current version of WhatsApp Web could not be read; sessions begin with the one that is built in");
        }
    }

    /// Runs until stopped. Cancel safe.
    pub(crate) async fn run(mut self: Box<Self>, stop: CancellationToken) {
        loop {
            if let Err(error) = self.turn().await {
                tracing::debug!(%error, "the version of WhatsApp Web waits for the database");
            }
            let paces = &self.settings.paces;
            let look = if self.is_refused {
                paces.look_refused
            } else {
                paces.look
            };
            tokio::select! {
                () = sleep(look) => {}
                // What many sessions are told, they are told at about the same time.
                () = self.reports.news() => sleep(GATHER).await,
                () = stop.cancelled() => return,
            }
        }
    }

    async fn turn(&mut self) -> Result<(), StoreError> {
        self.write_reports().await?;
        let held = self.follow().await?;
        if let Fetching::From(page) = self.settings.fetching.clone()
            && self.settings.fixed.is_none()
            && client_version::take_turn(&self.store, &self.settings.paces.turn).await?
        {
            let proxy = self.current.borrow().proxy.clone();
            let read = page::fetch(&page, proxy.as_deref(), self.settings.paces.timeout).await;
            self.on_page(read, held).await?;
            self.follow().await?;
        }
        Ok(())
    }

    async fn write_reports(&mut self) -> Result<(), StoreError> {
        let told = self.reports.take();
        let written = write(&self.store, told).await;
        if written.is_err() {
            self.reports.give_back(told);
        }
        written
    }

    /// Looks at the row and takes what is newer there; answers the version that the deployment holds.
    async fn follow(&mut self) -> Result<ClientVersion, StoreError> {
        if !self.is_offered {
            client_version::raise(&self.store, &built_in()).await?;
            self.is_offered = true;
        }
        let known = client_version::read(&self.store).await?;
        let release = known.release.unwrap_or_else(built_in);
        let held = version(release.version).max(ClientVersion::KNOWN);
        let current = self.settings.fixed.unwrap_or(held);
        self.current.send_if_modified(|config| {
            let is_newer = current > config.version;
            if is_newer {
                tracing::info!(version = %current, "sessions connect with a newer version of WhatsApp Web");
                *config = Arc::new(Config {
                    version: current,
                    ..Config::clone(config)
                });
            }
            is_newer
        });
        self.say(current, &release, &known);
        Ok(held)
    }

    /// What the page said, or why it said nothing.
    async fn on_page(
        &mut self,
        read: Result<Published, FetchError>,
        held: ClientVersion,
    ) -> Result<(), StoreError> {
        let now = timestamp(self.clock.wall());
        let believed = read.and_then(|published| Ok(published.check(held, now).map(|()| published)?));
        let outcome = match &believed {
            Ok(published) if published.version > held => "newer",
            Ok(_) => "same",
            Err(error) => error.label(),
        };
        let outcome = PageReading::find(outcome).unwrap_or(PageReading::Other);
        list::CLIENT_VERSION_FETCHES.of(outcome).increment(1);
        match believed {
            Ok(published) => {
                self.failure = None;
                let release = Release {
                    version: web(published.version),
                    source: Source::Page,
                    built_at: wall(published.since(now)),
                };
                let pause = self.settings.paces.fetch;
                let pause = self.rng.random_range(pause * 5 / 6..=pause * 7 / 6);
                client_version::fetched(&self.store, &release, pause).await
            }
            Err(error) => {
                if self.failure.replace(error) != Some(error) {
                    tracing::warn!(%error, held = %held, "the current version of WhatsApp Web could not be learnt; trying again");
                }
                client_version::failed(&self.store, &error.to_string()).await
            }
        }
    }

    /// Says how things stand: in metrics, in the log, and at `/readyz`.
    fn say(&mut self, current: ClientVersion, release: &Release, known: &Known) {
        let built_at = match self.settings.fixed {
            Some(fixed) => wall(fixed.estimated_since(timestamp(known.now))),
            None => release.built_at,
        };
        let age = (known.now - built_at).as_seconds_f64().max(0.0);
        list::CLIENT_VERSION_AGE.set(age);
        let lasts = self.settings.paces.turn.refusal_lasts;
        let refused = known.is_refused(web(current), lasts).is_some();
        self.is_refused = refused;
        list::CLIENT_VERSION_REFUSED.set(f64::from(u8::from(refused)));
        let end = known.expires(web(current));
        if let Some(at) = end
            && self.told_end.replace((current, at)) != Some((current, at))
        {
            tracing::warn!(version = %current, %at, "WhatsApp has announced when it will refuse this version");
        }
        let trouble = if refused {
            Some(self.remedy(current))
        } else {
            let soon = end.filter(|at| *at < known.now + EXPIRES_SOON);
            soon.map(|at| {
                format!("WhatsApp will refuse version {current} from {at} on, and no newer one is known")
            })
        };
        self.health.degraded("version", trouble);
    }

    /// That the version is refused, and what would end it.
    fn remedy(&self, current: ClientVersion) -> String {
        let hope = if self.settings.fixed.is_some() {
            "WHATSAPP_VERSION names it: remove that, or name a newer one"
        } else if self.settings.fetching == Fetching::Off {
            "this worker may not look for a newer one: update it, or set WHATSAPP_VERSION"
        } else {
            "a newer one is being looked for, and sessions come back by themselves"
        };
        format!("WhatsApp refuses sessions for version {current}; {hope}")
    }
}

/// What a keeper begins with.
pub(crate) struct Start {
    pub(crate) settings: Settings,
    /// The settings of connections; their version is put in.
    pub(crate) whatsapp: Config,
}

async fn write(store: &Store, told: Told) -> Result<(), StoreError> {
    if let Some(refused) = told.refused {
        client_version::refuse(store, web(refused)).await?;
    }
    match told.expires {
        Some((expiring, Some(at))) => client_version::expires(store, web(expiring), wall(at)).await,
        Some((expiring, None)) => client_version::expires_no_more(store, web(expiring)).await,
        None => Ok(()),
    }
}

fn built_in() -> Release {
    Release {
        version: web(ClientVersion::KNOWN),
        source: Source::BuiltIn,
        built_at: wall(ClientVersion::KNOWN_SINCE),
    }
}

fn web(version: ClientVersion) -> WebVersion {
    WebVersion::new([version.primary, version.secondary, version.tertiary])
}

fn version(version: WebVersion) -> ClientVersion {
    let [primary, secondary, tertiary] = version.numbers();
    ClientVersion {
        primary,
        secondary,
        tertiary,
    }
}

fn timestamp(at: OffsetDateTime) -> Timestamp {
    Timestamp::from_secs(u64::try_from(at.unix_timestamp()).unwrap_or_default())
}

/// A time beyond those that rows hold is the last of them.
fn wall(at: Timestamp) -> OffsetDateTime {
    let seconds = at.as_secs().min(LAST_SECOND);
    let at = i64::try_from(seconds)
        .ok()
        .map(OffsetDateTime::from_unix_timestamp);
    at.and_then(Result::ok).unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

/// Between the first news of sessions and the look that writes them.
const GATHER: Duration = Duration::from_millis(250);
/// An end that is this near is trouble.
const EXPIRES_SOON: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// 9999-12-31.
const LAST_SECOND: u64 = 253_402_214_400;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_and_times_go_both_ways() {
        assert_eq!(version(web(ClientVersion::KNOWN)), ClientVersion::KNOWN);
        assert_eq!(
            web(ClientVersion::KNOWN).to_string(),
            ClientVersion::KNOWN.to_string()
        );
        let at = Timestamp::from_secs(1_785_000_000);
        assert_eq!(timestamp(wall(at)), at);
        assert_eq!(wall(Timestamp::from_millis(u64::MAX)).year(), 9_999);
        assert_eq!(
            timestamp(OffsetDateTime::UNIX_EPOCH - EXPIRES_SOON),
            Timestamp::EPOCH
        );
    }
}
