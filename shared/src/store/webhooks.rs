//! Registered webhooks. Secrets are sealed here and leave only as [`Secret`].

use tokio_postgres::Row;
use time::OffsetDateTime;

use super::{Store, StoreError};
use crate::config::Secret;
use crate::id::{SessionId, Token, WebhookId};
use crate::seal::Place;

/// Most webhooks that one page of a listing holds, and that are loaded for a fan-out.
pub const PAGE_MAX: u32 = 1_000;

/// The kind under which webhook secrets are sealed: outside what a session's keys use.
const SECRET_KIND: u8 = 255;

/// The shape of what is posted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Dialect {
    /// The event's envelope, signed as Standard Webhooks says.
    Standard,
    /// The seed's global webhook: `{token, key, message}` for each message.
    Seed,
}

/// A webhook as stored.
#[derive(Clone, Debug)]
pub struct WebhookRecord {
    /// Its id.
    pub id: WebhookId,
    /// The session whose events it wants; all if absent.
    pub token: Option<Token>,
    /// Where to POST.
    pub url: String,
    /// What to sign with.
    pub secret: Secret,
    /// Names of the events it wants; all if empty.
    pub events: Vec<String>,
    /// The shape of what is posted.
    pub dialect: Dialect,
    /// Since when, and why, nothing is sent to it.
    pub disabled: Option<(OffsetDateTime, String)>,
    /// When it was registered.
    pub created_at: OffsetDateTime,
}

impl WebhookRecord {
    /// Whether it wants an event of a session.
    pub fn wants(&self, token: &str, event: &str) -> bool {
        self.disabled.is_none()
            && self.token.as_ref().is_none_or(|own| own.as_str() == token)
            && (self.events.is_empty() || self.events.iter().any(|name| name == event))
    }
}

/// A webhook to register.
#[derive(Clone, Debug)]
pub struct NewWebhook {
    /// Its id: random, or a fixed one for the seed's global webhook.
    pub id: WebhookId,
    /// The session whose events it wants; all if absent.
    pub token: Option<Token>,
    /// Where to POST.
    pub url: String,
    /// What to sign with.
    pub secret: Secret,
    /// Names of the events it wants; all if empty.
    pub events: Vec<String>,
    /// The shape of what is posted.
    pub dialect: Dialect,
}

const COLUMNS: &str = "id, token, url, secret, events, dialect, disabled_at, disabled_why, created_at";

/// Registers a webhook, or replaces the one of the same id.
///
/// # Errors
/// [`StoreError::Refused`], [`StoreError::Unavailable`].
pub async fn put(store: &Store, webhook: &NewWebhook) -> Result<WebhookRecord, StoreError> {
    let sql = format!(
        "-- webhooks::put
        INSERT INTO webhook (id, token, url, secret, events, dialect)
        VALUES ($1 /* id */, $2 /* token */, $3 /* url */, $4 /* secret */, $5 /* events */, $6 /* dialect */)
        ON CONFLICT (id) DO UPDATE SET token = excluded.token, url = excluded.url, secret = excluded.secret,
            events = excluded.events, dialect = excluded.dialect, disabled_at = NULL, disabled_why = NULL
        RETURNING {COLUMNS}"
    );
    let secret = store.sealer()?.seal(place(webhook.id.as_uuid().as_bytes()), webhook.secret.expose().as_bytes());
    let dialect: i16 = match webhook.dialect {
        Dialect::Standard => 0,
        Dialect::Seed => 1,
    };
    let token = webhook.token.as_ref().map(Token::as_str);
    let client = store.client().await?;
    let statement = client.prepare_cached(&sql).await?;
    let row = client
        .query_one(&statement, &[&webhook.id.as_uuid(), &token, &webhook.url, &secret, &webhook.events, &dialect])
        .await?;
    record(store, &row)
}

/// Webhooks in the order of their ids, behind `after`; those of one session (and those for all) if asked.
///
/// # Errors
/// [`StoreError::Seal`], [`StoreError::Unavailable`].
pub async fn list(
    store: &Store,
    token: Option<&Token>,
    after: Option<WebhookId>,
    limit: u32,
) -> Result<Vec<WebhookRecord>, StoreError> {
    let sql = format!(
        "-- webhooks::list
        SELECT {COLUMNS} FROM webhook
        WHERE ($1::text IS NULL OR token IS NULL OR token = $1 /* token */)
          AND ($2::uuid IS NULL OR id > $2 /* after */)
        ORDER BY id LIMIT $3"
    );
    let (token, after) = (token.map(Token::as_str), after.map(WebhookId::as_uuid));
    let client = store.client().await?;
    let statement = client.prepare_cached(&sql).await?;
    let rows = client.query(&statement, &[&token, &after, &i64::from(limit.min(PAGE_MAX))]).await?;
    rows.iter().map(|row| record(store, row)).collect()
}

/// All webhooks that are not disabled: what a fan-out keeps in memory.
///
/// # Errors
/// [`StoreError::Seal`], [`StoreError::Unavailable`].
pub async fn enabled(store: &Store) -> Result<Vec<WebhookRecord>, StoreError> {
    let sql = format!(
        "-- webhooks::enabled\nSELECT {COLUMNS} FROM webhook WHERE disabled_at IS NULL ORDER BY id LIMIT $1"
    );
    let client = store.client().await?;
    let statement = client.prepare_cached(&sql).await?;
    let rows = client.query(&statement, &[&i64::from(PAGE_MAX)]).await?;
    rows.iter().map(|row| record(store, row)).collect()
}

/// A webhook by id.
///
/// # Errors
/// [`StoreError::Seal`], [`StoreError::Unavailable`].
pub async fn find(store: &Store, id: WebhookId) -> Result<Option<WebhookRecord>, StoreError> {
    let sql = format!("-- webhooks::find\nSELECT {COLUMNS} FROM webhook WHERE id = $1");
    let client = store.client().await?;
    let statement = client.prepare_cached(&sql).await?;
    let row = client.query_opt(&statement, &[&id.as_uuid()]).await?;
    row.as_ref().map(|row| record(store, row)).transpose()
}

/// Deletes a webhook with its deliveries; says whether it was there.
///
/// # Errors
/// [`StoreError::Unavailable`].
pub async fn delete(store: &Store, id: WebhookId) -> Result<bool, StoreError> {
    let sql = "-- webhooks::delete\nDELETE FROM webhook WHERE id = $1";
    Ok(store.client().await?.execute(sql, &[&id.as_uuid()]).await? > 0)
}

/// Stops sending to a webhook, for a reason that is shown.
///
/// # Errors
/// [`StoreError::Unavailable`].
pub async fn disable(store: &Store, id: WebhookId, why: &str) -> Result<(), StoreError> {
    let sql = "-- webhooks::disable
        UPDATE webhook SET disabled_at = clock_timestamp(), disabled_why = $2
        WHERE id = $1 AND disabled_at IS NULL";
    store.client().await?.execute(sql, &[&id.as_uuid(), &why]).await?;
    Ok(())
}

fn place(id: &[u8]) -> Place<'_> {
    Place { session: SessionId::new(0), kind: SECRET_KIND, name: id }
}

fn record(store: &Store, row: &Row) -> Result<WebhookRecord, StoreError> {
    let id: uuid::Uuid = row.try_get("id")?;
    let secret = store.sealer()?.open(place(id.as_bytes()), row.try_get("secret")?)?;
    let token: Option<&str> = row.try_get("token")?;
    let (at, why): (Option<OffsetDateTime>, Option<String>) =
        (row.try_get("disabled_at")?, row.try_get("disabled_why")?);
    Ok(WebhookRecord {
        id: WebhookId::new(id),
        token: token.map(Token::new).transpose().map_err(|_| StoreError::Corrupt("token"))?,
        url: row.try_get("url")?,
        secret: Secret::new(String::from_utf8(secret).map_err(|_| StoreError::Corrupt("webhook secret"))?),
        events: row.try_get("events")?,
        dialect: match row.try_get::<_, i16>("dialect")? {
            0 => Dialect::Standard,
            _ => Dialect::Seed,
        },
        disabled: at.zip(why),
        created_at: row.try_get("created_at")?,
    })
}
