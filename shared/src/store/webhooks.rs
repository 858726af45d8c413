//! Registered webhooks. Secrets are sealed here and leave only as [`Secret`].

use serde::Serialize;
use time::OffsetDateTime;
use tokio_postgres::Row;
use uuid::Uuid;

use super::{Store, StoreError, Tx, deliveries};
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

/// The kind under which webhook secrets are sealed: outside what a session's keys use.
const SECRET_KIND: u8 = 255;

/// The shape of what is posted.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
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
    /// What to sign with; `None` if it opens under no key that we have.
    pub secret: Option<Secret>,
    /// Names of the events it wants, an entry may end in `*`; all if empty.
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
            && wants(&self.events, event)
    }
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
    created: Option<OffsetDateTime>,
    disabled: Option<OffsetDateTime>,
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

/// The right to add to the set of webhooks and to say what it wants, until it is committed or dropped: one holder in
/// the deployment.
pub(crate) struct Registry<'a> {
    store: &'a Store,
    tx: Tx,
}

impl<'a> Registry<'a> {
    /// Waits for the right.
    pub(crate) async fn hold(store: &'a Store) -> Result<Self, StoreError> {
        let tx = store.begin("webhook_registry").await?;
        let sql = "-- webhooks::hold\nSELECT pg_advisory_xact_lock($1)";
        tx.execute(sql, &[&REGISTRY_LOCK]).await?;
        Ok(Self { store, tx })
    }

    /// Registers a webhook, or replaces the one of the same id.
    pub(crate) async fn put(&self, webhook: &NewWebhook) -> Result<WebhookRecord, StoreError> {
        put(self.store, &self.tx, webhook).await
    }

    /// The lists of wanted events of all webhooks that are not disabled, each once.
    pub(crate) async fn wanted(&self) -> Result<Vec<Vec<String>>, StoreError> {
        let sql = "-- webhooks::wanted\nSELECT DISTINCT events FROM webhook WHERE disabled_at IS NULL";
        let rows = self.tx.query(sql, &[]).await?;
        rows.iter().map(|row| Ok(row.try_get(0)?)).collect()
    }

    pub(crate) async fn commit(self) -> Result<(), StoreError> {
        self.tx.commit().await
    }
}

/// The advisory lock behind [`Registry`].
const REGISTRY_LOCK: i64 = 0x66_61_6e_66_77_68;

async fn put(store: &Store, tx: &Tx, webhook: &NewWebhook) -> Result<WebhookRecord, StoreError> {
    let sql = format!(
        "-- webhooks::put
        INSERT INTO webhook (id, token, url, secret, events, dialect)
        VALUES ($1 /* id */, $2 /* token */, $3 /* url */, $4 /* secret */, $5 /* events */, $6 /* dialect */)
        ON CONFLICT (id) DO UPDATE SET token = excluded.token, url = excluded.url, secret = excluded.secret,
            events = excluded.events, dialect = excluded.dialect, disabled_at = NULL, disabled_why = NULL,
            created_at = clock_timestamp()
        RETURNING {COLUMNS}"
    );
    let secret = store.sealer()?.seal(
        place(webhook.id.as_uuid().as_bytes()),
        webhook.secret.expose().as_bytes(),
    );
    let dialect: i16 = match webhook.dialect {
        Dialect::Standard => 0,
        Dialect::Seed => 1,
    };
    let token = webhook.token.as_ref().map(Token::as_str);
    let statement = tx.prepare_cached(&sql).await?;
    let row = tx
        .query_one(
            &statement,
            &[
                &webhook.id.as_uuid(),
                &token,
                &webhook.url,
                &secret,
                &webhook.events,
                &dialect,
            ],
        )
        .await?;
    record(store, &row)
}

/// Webhooks in the order of their ids, behind `after`; those of one session (and those for all) if asked.
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
    let rows = store
        .query(&sql, &[&token, &after, &i64::from(limit.min(PAGE_MAX))])
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
            "webhooks get nothing: there are more than {ENABLED_MAX}"
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
    mark_disabled(store, id, "it is being deleted").await?;
    while deliveries::delete_piece(store, id).await? > 0 {}
    let sql = "-- webhooks::delete\nDELETE FROM webhook WHERE id = $1";
    Ok(store.execute(sql, &[&id.as_uuid()]).await? > 0)
}

/// Stops sending to a webhook, for a reason that is shown. What is pending for it is given up, and can be replayed;
/// says how many deliveries that are. What is under way, or left by a call that was cut off, is for
/// [`deliveries::give_up_disabled`].
pub async fn disable(store: &Store, id: WebhookId, why: &str) -> Result<u64, StoreError> {
    mark_disabled(store, id, why).await?;
    let mut given_up = 0;
    loop {
        match deliveries::give_up_disabled(store).await? {
            0 => return Ok(given_up),
            more => given_up += more,
        }
    }
}

async fn mark_disabled(store: &Store, id: WebhookId, why: &str) -> Result<(), StoreError> {
    let sql = "-- webhooks::mark_disabled
        UPDATE webhook SET disabled_at = clock_timestamp(), disabled_why = $2 /* why */
        WHERE id = $1 /* id */ AND disabled_at IS NULL";
    store.execute(sql, &[&id.as_uuid(), &why]).await?;
    Ok(())
}

/// The version of the set of webhooks: cheap, to be asked before each batch of events.
pub async fn version(store: &Store) -> Result<Version, StoreError> {
    // The newest times alone would miss what commits behind a newer one.
    let sql = "-- webhooks::version
        SELECT count(*), count(*) FILTER (WHERE disabled_at IS NULL), max(created_at), max(disabled_at) FROM webhook";
    let row = store.query_one(sql, &[]).await?;
    Ok(Version {
        count: row.try_get(0)?,
        enabled: row.try_get(1)?,
        created: row.try_get(2)?,
        disabled: row.try_get(3)?,
    })
}

fn place(id: &[u8]) -> Place<'_> {
    Place {
        session: SessionId::new(0),
        kind: SECRET_KIND,
        name: id,
    }
}

fn record(store: &Store, row: &Row) -> Result<WebhookRecord, StoreError> {
    let id: uuid::Uuid = row.try_get("id")?;
    let secret = match store.sealer()?.open(place(id.as_bytes()), row.try_get("secret")?) {
        Ok(secret) => {
            let text = String::from_utf8(secret).map_err(|_| StoreError::Corrupt("webhook secret"))?;
            Some(Secret::new(text))
        }
        Err(_) => None,
    };
    let token: Option<&str> = row.try_get("token")?;
    let (at, why): (Option<OffsetDateTime>, Option<String>) =
        (row.try_get("disabled_at")?, row.try_get("disabled_why")?);
    Ok(WebhookRecord {
        id: WebhookId::new(id),
        token: token
            .map(Token::new)
            .transpose()
            .map_err(|_| StoreError::Corrupt("token"))?,
        url: row.try_get("url")?,
        secret,
        events: row.try_get("events")?,
        dialect: match row.try_get::<_, i16>("dialect")? {
            0 => Dialect::Standard,
            _ => Dialect::Seed,
        },
        disabled: at.zip(why),
        created_at: row.try_get("created_at")?,
    })
}
