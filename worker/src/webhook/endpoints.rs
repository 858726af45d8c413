//! Which endpoints there are, and which of them want an event.
//!
//! The set is kept in memory and its version asked for before each batch of events, so that an endpoint which was
//! registered before an event was published gets it. Must not know how events are sent.

use std::collections::HashMap;
use std::sync::Arc;

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use shared::id::{Token, WebhookId};
use shared::metrics::list;
use shared::store::webhooks::{self, CustomHeader, Enabled, Version, WebhookRecord};
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

    /// Endpoints that are not as they were in `before`, or were not there.
    pub(super) fn changed_since(&self, before: &Self) -> impl Iterator<Item = WebhookId> {
        let is_as_before = |one: &Subscription| {
            let known = before.find(one.target.id);
            known.is_some_and(|known| known.revision == one.target.revision)
        };
        self.all
            .values()
            .filter(move |one| !is_as_before(one))
            .map(|one| one.target.id)
    }

    fn build(rows: Enabled) -> Self {
        let (mut snapshot, mut unusable) = (Self::default(), rows.unusable);
        for row in rows.records {
            let tokens = row.tokens.clone();
            let Some(subscription) = Subscription::new(row).map(Arc::new) else {
                unusable += 1;
                continue;
            };
            snapshot.all.insert(subscription.target.id, subscription.clone());
            if tokens.is_empty() {
                snapshot.of_every_session.push(subscription.clone());
            }
            for token in tokens {
                let of_session = snapshot.of_session.entry(token).or_default();
                of_session.push(subscription.clone());
            }
        }
        list::WEBHOOKS_UNUSABLE.set(unusable as f64);
        snapshot
    }
}

impl Subscription {
    /// `None` for a row that can't be used, which holds up nobody else.
    fn new(row: WebhookRecord) -> Option<Self> {
        let (Ok(url), Some(secret), Some(headers)) = (row.url.parse(), row.secret, header_map(&row.headers))
        else {
            tracing::error!(webhook.id = %row.id, "a webhook's URL, secret or headers can't be read; register it again");
            return None;
        };
        let target = Target {
            id: row.id,
            revision: row.revision,
            url,
            secret,
            old_secret: row.old_secret,
            headers,
            dialect: row.dialect,
            limits: row.limits,
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

/// As the HTTP client takes them; `None` if one is no header.
fn header_map(headers: &[CustomHeader]) -> Option<HeaderMap> {
    let pair = |header: &CustomHeader| {
        let mut value = HeaderValue::from_str(header.value.expose()).ok()?;
        value.set_sensitive(true);
        Some((HeaderName::try_from(header.name.as_str()).ok()?, value))
    };
    headers.iter().map(pair).collect()
}
