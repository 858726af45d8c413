//! Who wants which events, as the broker is told: only what some webhook wants goes through the webhooks' queue.
//!
//! A webhook is registered and the broker told of it under one lock, before anybody hears that it is registered; what
//! nobody wants any more is taken back later, by the webhook workers, under the same lock. So an event that is published
//! after the answer to a registration finds its binding.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::broker::{Broker, BrokerError, Wanted};
use crate::config::Secret;
use crate::event::EventName;
use crate::id::WebhookId;
use crate::store::deliveries::replays;
use crate::store::webhooks::registry::{Change, NewWebhook, Registry};
use crate::store::webhooks::{self, Dialect, GLOBAL, Limits, WebhookRecord};
use crate::store::{Store, StoreError};

/// How often the broker is told again what is wanted: restores a binding that somebody removed, and removes what nobody
/// wants any more.
pub const REVIEW_INTERVAL: Duration = Duration::from_secs(10);
/// How long the broker may take while the lock is held. Shorter than the server lets a transaction be idle: after that
/// the lock would be another's.
const BROKER_TIMEOUT: Duration = Duration::from_secs(2);

/// Why a subscription is not known to be made.
#[derive(Debug, thiserror::Error)]
pub enum SubscriptionError {
    /// The database did not take it.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The broker did not take it.
    #[error(transparent)]
    Broker(#[from] BrokerError),
}

/// Registers a webhook, or replaces the one of the same id. Events that are published from now on reach it.
///
/// # Errors
/// [`SubscriptionError`]; nothing is registered then, unless the connection broke at the very end.
pub async fn register(
    store: &Store,
    broker: &Broker,
    webhook: &NewWebhook,
) -> Result<WebhookRecord, SubscriptionError> {
    let registry = Registry::hold(store).await?;
    let record = registry.put(webhook).await?;
    in_time(broker.want_events(&wanted([&webhook.events]))).await?;
    registry.commit().await?;
    Ok(record)
}

/// Changes a webhook; `None` when there is none of this id. Events that are published from now on reach it as it says, and
/// where it is enabled again, all that waited for it is due, in the order of events.
///
/// # Errors
/// [`SubscriptionError`]; nothing is changed then, unless the connection broke at the very end.
pub async fn change(
    store: &Store,
    broker: &Broker,
    id: WebhookId,
    change: &Change,
) -> Result<Option<WebhookRecord>, SubscriptionError> {
    let Some(before) = webhooks::find(store, id).await? else {
        return Ok(None);
    };
    if change.enabled == Some(true) && before.disabled.is_some() {
        // While nothing is taken from it yet.
        replays::line_up(store, id).await?;
    }
    let registry = Registry::hold(store).await?;
    let Some(record) = registry.change(id, change).await? else {
        return Ok(None);
    };
    if record.disabled.is_none() {
        in_time(broker.want_events(&wanted([&record.events]))).await?;
    }
    registry.commit().await?;
    Ok(Some(record))
}

/// Makes the row of the operator's global webhook say `url`, or removes it, and its deliveries, when there is none.
pub async fn set_global(
    store: &Store,
    broker: &Broker,
    url: Option<&str>,
    event: EventName,
) -> Result<(), SubscriptionError> {
    let Some(url) = url else {
        webhooks::delete(store, GLOBAL).await?;
        return Ok(());
    };
    let known = webhooks::find(store, GLOBAL).await?;
    // One that was sealed under a key we don't have is made anew: its secret is not used.
    if known.is_some_and(|known| known.url == url && known.disabled.is_none() && known.secret.is_some()) {
        return Ok(());
    }
    let webhook = NewWebhook {
        id: GLOBAL,
        tokens: Vec::new(),
        url: url.to_owned(),
        secret: Secret::new(""),
        headers: Vec::new(),
        events: vec![event.as_str().to_owned()],
        dialect: Dialect::Seed,
        limits: Limits::default(),
    };
    register(store, broker, &webhook).await.map(|_| ())
}

/// Tells the broker what is wanted, now and every [`REVIEW_INTERVAL`], until `stop`.
pub async fn keep_reviewing(store: &Store, broker: &Broker, stop: &CancellationToken) {
    while !stop.is_cancelled() {
        if let Err(error) = review(store, broker).await {
            tracing::warn!(%error, "the broker could not be told which events webhooks want; trying again");
        }
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(REVIEW_INTERVAL) => {}
        }
    }
}

/// Has the broker put those events through the webhooks' queue that some webhook wants, and no others.
///
/// # Errors
/// [`SubscriptionError`]; more may go through the queue then than is wanted.
pub async fn review(store: &Store, broker: &Broker) -> Result<(), SubscriptionError> {
    let registry = Registry::hold(store).await?;
    let wanted = wanted(&registry.wanted().await?);
    let told = in_time(broker.want_only(&wanted)).await;
    let held = registry.commit().await;
    if told.is_err() || held.is_err() {
        // The lock may have been another's when the last binding went: better too many events than too few.
        in_time(broker.want_events(&Wanted::All)).await?;
    }
    told?;
    Ok(held?)
}

async fn in_time(told: impl Future<Output = Result<(), BrokerError>>) -> Result<(), BrokerError> {
    tokio::time::timeout(BROKER_TIMEOUT, told)
        .await
        .unwrap_or_else(|_| Err(BrokerError::Unavailable("it did not bind in time".into())))
}

/// What webhooks with these lists of events want together. Every event, as soon as one list says so or holds an entry
/// that may mean a name we don't know.
fn wanted<'a>(lists: impl IntoIterator<Item = &'a Vec<String>>) -> Wanted {
    let mut names = BTreeSet::new();
    for list in lists {
        if list.is_empty() {
            return Wanted::All;
        }
        for entry in list {
            match EventName::find(entry) {
                Some(name) => names.insert(name),
                None => return Wanted::All,
            };
        }
    }
    Wanted::Only(names)
}

#[cfg(test)]
mod tests;
