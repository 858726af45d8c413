//! Which endpoints there are, and which of them want an event.
//!
//! The set is kept in memory and its version asked for before each batch of events, so that an endpoint which was
//! registered before an event was published gets it. Must not know how events are sent.

use std::collections::HashMap;
use std::sync::Arc;

use shared::id::{Token, WebhookId};
use shared::store::webhooks::{self, Enabled, Version, WebhookRecord};
use shared::store::{Store, StoreError};

use super::attempt::Target;

/// The endpoints as of one version.
#[derive(Debug, Default)]
pub(super) struct Snapshot {
    all: HashMap<WebhookId, Arc<Subscription>>,
    of_every_session: Vec<Arc<Subscription>>,
    of_session: HashMap<Token, Vec<Arc<Subscription>>>,
}

/// What one endpoint wants.
#[derive(Debug)]
struct Subscription {
    target: Arc<Target>,
    /// Empty for all.
    events: Vec<String>,
}

/// Keeps the newest snapshot.
#[derive(Debug)]
pub(super) struct Endpoints {
    store: Store,
    version: Option<Version>,
    snapshot: Arc<Snapshot>,
}

impl Snapshot {
    /// The endpoints that want `event` of the session `token`.
    pub(super) fn wanting<'a>(
        &'a self,
        token: &Token,
        event: &'a str,
    ) -> impl Iterator<Item = &'a Arc<Target>> {
        let own = self.of_session.get(token).map_or(&[][..], Vec::as_slice);
        own.iter()
            .chain(&self.of_every_session)
            .filter(|one| webhooks::wants(&one.events, event))
            .map(|one| &one.target)
    }

    /// An endpoint by its id, if it is enabled.
    pub(super) fn find(&self, id: WebhookId) -> Option<&Arc<Target>> {
        self.all.get(&id).map(|one| &one.target)
    }

    fn build(rows: Enabled) -> Self {
        let (mut snapshot, mut unusable) = (Self::default(), rows.unusable);
        for row in rows.records {
            let token = row.token.clone();
            let Some(subscription) = Subscription::new(row).map(Arc::new) else {
                unusable += 1;
                continue;
            };
            snapshot.all.insert(subscription.target.id, subscription.clone());
            match token {
                Some(token) => snapshot.of_session.entry(token).or_default().push(subscription),
                None => snapshot.of_every_session.push(subscription),
            }
        }
        metrics::gauge!("fanfare_webhooks_unusable").set(unusable as f64);
        snapshot
    }
}

impl Subscription {
    /// `None` for a row that can't be used, which holds up nobody else.
    fn new(row: WebhookRecord) -> Option<Self> {
        let (Ok(url), Some(secret)) = (row.url.parse(), row.secret) else {
            tracing::error!(webhook.id = %row.id, "a webhook's URL or secret can't be read; register it again");
            return None;
        };
        let target = Target {
            id: row.id,
            url,
            secret,
            dialect: row.dialect,
        };
        Some(Self {
            target: Arc::new(target),
            events: row.events,
        })
    }
}

impl Endpoints {
    /// Knows nothing yet.
    pub(super) fn new(store: Store) -> Self {
        Self {
            store,
            version: None,
            snapshot: Arc::default(),
        }
    }

    /// The endpoints as they are now, or as they came to be while this was asked.
    ///
    /// # Errors
    /// When the database is away.
    pub(super) async fn now(&mut self) -> Result<Arc<Snapshot>, StoreError> {
        let version = webhooks::version(&self.store).await?;
        if self.version != Some(version) {
            let rows = webhooks::enabled(&self.store).await?;
            self.snapshot = Arc::new(Snapshot::build(rows));
            // A change between the two queries shows as another version the next time.
            self.version = Some(version);
        }
        Ok(self.snapshot.clone())
    }
}
