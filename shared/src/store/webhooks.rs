//! Registered webhooks. Secrets are sealed here and leave only as [`Secret`].

pub mod registry;

use std::collections::BTreeMap;

use serde::Serialize;
use time::OffsetDateTime;
use tokio_postgres::Row;
use uuid::Uuid;

use super::deliveries::upkeep;
use super::{Store, StoreError};
use crate::config::Secret;
use crate::id::{SessionId, Token, WebhookId};
use crate::seal::{Place, SealError};

/// Most webhooks that one page of a listing holds.
pub const PAGE_MAX: u32 = 1_000;
/// Most webhooks that are loaded for a fan-out.
pub const ENABLED_MAX: usize = 100_000;
/// Most event names that one webhook lists.
pub const EVENTS_MAX: usize = 64;

/// The id of the operator's global `WEBHOOK`, which is a row like every other.
pub const GLOBAL: WebhookId = WebhookId::new(Uuid::from_u128(0x5a0c_9d6e_2f7b_4d8a_9c31_fa4f_a9e0_0002));

/// Most sessions that one webhook lists.
pub const TOKENS_MAX: usize = 1_000;

/// The kind under which webhook secrets are sealed: outside what a session's keys use.
pub(super) const SECRET_KIND: u8 = 255;

/// The kind under which headers of a webhook are sealed, which may be secrets too.
pub(super) const HEADERS_KIND: u8 = 253;

/// The shape of what is posted.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Dialect {
    /// The event's envelope, signed as Standard Webhooks says.
    Standard,
    /// The seed's global webhook: `{token, key, message}` for each message.
    Seed,
}

/// A header that a webhook's posts carry beside ours. Its value may be a secret.
#[derive(Clone, Debug)]
pub struct CustomHeader {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: Secret,
}

/// How much one worker asks of an endpoint.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Limits {
    /// Most attempts that begin in a second; no limit if absent.
    pub max_per_second: Option<f64>,
    /// Most attempts that are under way; the worker's own limit if absent.
    pub max_concurrent: Option<u16>,
}

/// The secret before the current one, for as long as it signs beside it.
#[derive(Clone, Debug)]
pub struct OldSecret {
    /// The secret.
    pub secret: Secret,
    /// Until when it signs.
    pub until: OffsetDateTime,
}

/// A webhook as stored.
#[derive(Clone, Debug)]
pub struct WebhookRecord {
    /// Its id.
    pub id: WebhookId,
    /// The sessions whose events it wants; all if empty.
    pub tokens: Vec<Token>,
    /// Where to POST.
    pub url: String,
    /// What to sign with; `None` if it, or the headers, open under no key that we have.
    pub secret: Option<Secret>,
    /// What signs beside it, where it was changed a short while ago.
    pub old_secret: Option<OldSecret>,
    /// Headers of its own.
    pub headers: Vec<CustomHeader>,
    /// Names of the events it wants, an entry may end in `*`; all if empty.
    pub events: Vec<String>,
    /// The shape of what is posted.
    pub dialect: Dialect,
    /// How much it may be asked.
    pub limits: Limits,
    /// Another number after each change.
    pub revision: i64,
    /// Since when, and why, nothing is sent to it.
    pub disabled: Option<(OffsetDateTime, String)>,
    /// When it was registered.
    pub created_at: OffsetDateTime,
}

/// Whether a list of wanted events holds `event`: an empty list holds all, and an entry may end in `*`.
pub fn wants(events: &[String], event: &str) -> bool {
    events.is_empty() || events.iter().any(|wanted| matches(wanted, event))
}

/// Whether one entry of a list of wanted events means `event`.
pub fn matches(wanted: &str, event: &str) -> bool {
    match wanted.strip_suffix('*') {
        Some(start) => event.starts_with(start),
        None => wanted == event,
    }
}

/// What changes whenever the set of webhooks does.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Version {
    count: i64,
    enabled: i64,
    revisions: i64,
}

const COLUMNS: &str = "id, token, tokens, url, secret, old_secret, old_secret_until, headers, events, dialect, \
     max_per_second, max_concurrent, revision, disabled_at, disabled_why, created_at";

/// Webhooks in the order of their ids, behind `after`.
pub async fn list(
    store: &Store,
    after: Option<WebhookId>,
    limit: u32,
) -> Result<Vec<WebhookRecord>, StoreError> {
    let sql = format!(
        "-- webhooks::list
        SELECT {COLUMNS} FROM webhook
        WHERE $1::uuid IS NULL OR id > $1 /* after */
        ORDER BY id LIMIT $2"
    );
    let after = after.map(WebhookId::as_uuid);
    let rows = store
        .query(&sql, &[&after, &i64::from(limit.min(PAGE_MAX))])
        .await?;
    rows.iter().map(|row| record(store, row)).collect()
}

/// The webhooks that are not disabled: what a fan-out keeps in memory.
#[derive(Clone, Debug, Default)]
pub struct Enabled {
    /// Those that can be used, at most [`ENABLED_MAX`].
    pub records: Vec<WebhookRecord>,
    /// How many can't: their secret does not open, or they are beyond the limit.
    pub unusable: i64,
}

/// All webhooks that are not disabled. One whose secret does not open is left out, so that it stops no other.
///
/// # Errors
/// [`StoreError::Unavailable`]; [`StoreError::Seal`] where there are secrets and none opens: then it is the key that
/// is wrong, and to go on would lose every event.
pub async fn enabled(store: &Store) -> Result<Enabled, StoreError> {
    let sql = format!(
        "-- webhooks::enabled\nSELECT {COLUMNS} FROM webhook WHERE disabled_at IS NULL ORDER BY id LIMIT $1"
    );
    let rows = store.query(&sql, &[&(ENABLED_MAX as i64)]).await?;
    let records = rows.iter().map(|row| record(store, row));
    let (records, sealed): (Vec<_>, Vec<_>) = records
        .collect::<Result<Vec<_>, _>>()?
        .into_iter()
        .partition(|record| record.secret.is_some());
    if let Some(first) = sealed.first() {
        tracing::error!(
            webhook.id = %first.id, webhooks = sealed.len(),
            "webhooks get nothing, since their secrets were sealed under another KEY_ENCRYPTION_KEY: configure that key \
             too, or delete them and register them again"
        );
    }
    if records.is_empty() && !sealed.is_empty() {
        return Err(SealError::Unopened.into());
    }
    let beyond = match rows.len() < ENABLED_MAX {
        true => 0,
        false => count_enabled(store).await? - ENABLED_MAX as i64,
    };
    if beyond > 0 {
        tracing::error!(
            webhooks = beyond,
            "webhooks get nothing: there are more than {ENABLED_MAX}; disable or delete some"
        );
    }
    Ok(Enabled {
        records,
        unusable: sealed.len() as i64 + beyond,
    })
}

async fn count_enabled(store: &Store) -> Result<i64, StoreError> {
    let sql = "-- webhooks::count_enabled\nSELECT count(*) FROM webhook WHERE disabled_at IS NULL";
    Ok(store.query_one(sql, &[]).await?.try_get(0)?)
}

/// A webhook by id.
pub async fn find(store: &Store, id: WebhookId) -> Result<Option<WebhookRecord>, StoreError> {
    let sql = format!("-- webhooks::find\nSELECT {COLUMNS} FROM webhook WHERE id = $1");
    let row = store.query_opt(&sql, &[&id.as_uuid()]).await?;
    row.as_ref().map(|row| record(store, row)).transpose()
}

/// Deletes a webhook with its deliveries, however many there are; says whether it was there. Cut off in the middle it
/// is disabled, and to be deleted again.
pub async fn delete(store: &Store, id: WebhookId) -> Result<bool, StoreError> {
    // Piece by piece below, so that no statement takes long; and nothing comes in between.
    disable(store, id, "it is being deleted").await?;
    while upkeep::delete_piece(store, id).await? > 0 {}
    let sql = "-- webhooks::delete\nDELETE FROM webhook WHERE id = $1";
    Ok(store.execute(sql, &[&id.as_uuid()]).await? > 0)
}

/// Stops sending to a webhook, for a reason that is shown. What is pending for it waits until it is enabled again.
pub async fn disable(store: &Store, id: WebhookId, why: &str) -> Result<(), StoreError> {
    let sql = "-- webhooks::disable
        UPDATE webhook SET disabled_at = clock_timestamp(), disabled_why = $2 /* why */,
            revision = nextval('webhook_revision')
        WHERE id = $1 /* id */ AND disabled_at IS NULL";
    store.execute(sql, &[&id.as_uuid(), &why]).await?;
    Ok(())
}

/// The version of the set of webhooks: cheap, to be asked before each batch of events.
pub async fn version(store: &Store) -> Result<Version, StoreError> {
    // The sum, since the newest alone would miss what commits behind a newer one.
    let sql = "-- webhooks::version
        SELECT count(*), count(*) FILTER (WHERE disabled_at IS NULL), coalesce(sum(revision), 0)::bigint FROM webhook";
    let row = store.query_one(sql, &[]).await?;
    Ok(Version {
        count: row.try_get(0)?,
        enabled: row.try_get(1)?,
        revisions: row.try_get(2)?,
    })
}

fn place(kind: u8, id: &[u8]) -> Place<'_> {
    Place {
        session: SessionId::new(0),
        kind,
        name: id,
    }
}

/// What is sealed of a webhook; `None` where something opens under no key that we have.
fn opened(store: &Store, id: Uuid, row: &Row) -> Result<Option<Opened>, StoreError> {
    let sealer = store.sealer()?;
    let open = |kind, column: &'static str| -> Result<Option<Option<String>>, StoreError> {
        let Some(sealed) = row.try_get::<_, Option<&[u8]>>(column)? else {
            return Ok(Some(None));
        };
        match sealer.open(place(kind, id.as_bytes()), sealed) {
            Ok(bytes) => {
                let text = String::from_utf8(bytes).map_err(|_| StoreError::Corrupt("webhook secret"))?;
                Ok(Some(Some(text)))
            }
            Err(_) => Ok(None),
        }
    };
    let (Some(secret), Some(headers)) = (open(SECRET_KIND, "secret")?, open(HEADERS_KIND, "headers")?) else {
        return Ok(None);
    };
    let headers: BTreeMap<String, String> = headers
        .map(|text| serde_json::from_str(&text))
        .transpose()
        .map_err(|_| StoreError::Corrupt("webhook headers"))?
        .unwrap_or_default();
    let until: Option<OffsetDateTime> = row.try_get("old_secret_until")?;
    // One that does not open is one that signs no more: the current one is enough.
    let old = open(SECRET_KIND, "old_secret")?.flatten().map(Secret::new);
    Ok(Some(Opened {
        secret: Secret::new(secret.unwrap_or_default()),
        old_secret: old.zip(until).map(|(secret, until)| OldSecret { secret, until }),
        headers: headers
            .into_iter()
            .map(|(name, value)| CustomHeader {
                name,
                value: Secret::new(value),
            })
            .collect(),
    }))
}

struct Opened {
    secret: Secret,
    old_secret: Option<OldSecret>,
    headers: Vec<CustomHeader>,
}

fn tokens(row: &Row) -> Result<Vec<Token>, StoreError> {
    let (one, many): (Option<&str>, Vec<&str>) = (row.try_get("token")?, row.try_get("tokens")?);
    // A release that knew one session only wrote no others.
    let many = if many.is_empty() {
        one.into_iter().collect()
    } else {
        many
    };
    let tokens = many.into_iter().map(Token::new).collect::<Result<_, _>>();
    tokens.map_err(|_| StoreError::Corrupt("token"))
}

fn limits(row: &Row) -> Result<Limits, StoreError> {
    let concurrent: Option<i16> = row.try_get("max_concurrent")?;
    Ok(Limits {
        max_per_second: row.try_get("max_per_second")?,
        max_concurrent: concurrent.and_then(|most| u16::try_from(most).ok()),
    })
}

fn record(store: &Store, row: &Row) -> Result<WebhookRecord, StoreError> {
    let id: Uuid = row.try_get("id")?;
    let (secret, old_secret, headers) = match opened(store, id, row)? {
        Some(opened) => (Some(opened.secret), opened.old_secret, opened.headers),
        None => (None, None, Vec::new()),
    };
    let (at, why): (Option<OffsetDateTime>, Option<String>) =
        (row.try_get("disabled_at")?, row.try_get("disabled_why")?);
    Ok(WebhookRecord {
        id: WebhookId::new(id),
        tokens: tokens(row)?,
        url: row.try_get("url")?,
        secret,
        old_secret,
        headers,
        events: row.try_get("events")?,
        dialect: match row.try_get::<_, i16>("dialect")? {
            0 => Dialect::Standard,
            _ => Dialect::Seed,
        },
        limits: limits(row)?,
        revision: row.try_get("revision")?,
        disabled: at.zip(why),
        created_at: row.try_get("created_at")?,
    })
}
