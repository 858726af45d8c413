//! Who adds to the set of webhooks and changes it: one at a time, so that the broker is told in the same order.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio_postgres::types::ToSql;

use super::{
    COLUMNS, CustomHeader, Dialect, HEADERS_KIND, Limits, SECRET_KIND, WebhookRecord, place, record,
};
use crate::config::Secret;
use crate::id::{Token, WebhookId};
use crate::store::{Store, StoreError, Tx};

/// A webhook to register.
#[derive(Clone, Debug)]
pub struct NewWebhook {
    /// Its id: random, or a fixed one for the seed's global webhook.
    pub id: WebhookId,
    /// The sessions whose events it wants; all if empty.
    pub tokens: Vec<Token>,
    /// Where to POST.
    pub url: String,
    /// What to sign with.
    pub secret: Secret,
    /// Headers of its own.
    pub headers: Vec<CustomHeader>,
    /// Names of the events it wants; all if empty.
    pub events: Vec<String>,
    /// The shape of what is posted.
    pub dialect: Dialect,
    /// How much it may be asked.
    pub limits: Limits,
}

/// What is to be another way; what is absent stays.
#[derive(Clone, Debug, Default)]
pub struct Change {
    /// Where to POST.
    pub url: Option<String>,
    /// The sessions whose events it wants; all if empty.
    pub tokens: Option<Vec<Token>>,
    /// Names of the events it wants.
    pub events: Option<Vec<String>>,
    /// Headers of its own, all of them.
    pub headers: Option<Vec<CustomHeader>>,
    /// Most attempts that begin in a second; 0 for no limit.
    pub max_per_second: Option<f64>,
    /// Most attempts under way; 0 for the worker's own limit.
    pub max_concurrent: Option<u16>,
    /// Another secret.
    pub rotation: Option<Rotation>,
    /// Whether anything is sent to it.
    pub enabled: Option<bool>,
}

/// Another secret, and how long the one before signs beside it.
#[derive(Clone, Debug)]
pub struct Rotation {
    /// The secret from now on.
    pub secret: Secret,
    /// How long the one before signs too; not at all if zero.
    pub keep_old: Duration,
}

/// What is shown of a webhook that somebody disabled.
pub const DISABLED_BY_HAND: &str = "somebody disabled it";

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
        let sql = "-- webhooks::registry::hold\nSELECT pg_advisory_xact_lock($1)";
        tx.execute(sql, &[&REGISTRY_LOCK]).await?;
        Ok(Self { store, tx })
    }

    /// Registers a webhook, or replaces the one of the same id.
    pub(crate) async fn put(&self, webhook: &NewWebhook) -> Result<WebhookRecord, StoreError> {
        let sql = format!(
            "-- webhooks::registry::put
            INSERT INTO webhook (id, token, tokens, url, secret, events, dialect, headers, max_per_second,
                max_concurrent)
            VALUES ($1 /* id */, ($2::text[])[1], $2 /* tokens */, $3 /* url */, $4 /* secret */,
                $5 /* events */, $6 /* dialect */, $7 /* headers */, $8 /* a second */, $9 /* at once */)
            ON CONFLICT (id) DO UPDATE SET token = excluded.token, tokens = excluded.tokens, url = excluded.url,
                secret = excluded.secret, old_secret = NULL, old_secret_until = NULL, events = excluded.events,
                dialect = excluded.dialect, headers = excluded.headers, max_per_second = excluded.max_per_second,
                max_concurrent = excluded.max_concurrent, disabled_at = NULL, disabled_why = NULL,
                created_at = clock_timestamp(), revision = nextval('webhook_revision')
            RETURNING {COLUMNS}"
        );
        let dialect: i16 = match webhook.dialect {
            Dialect::Standard => 0,
            Dialect::Seed => 1,
        };
        let parameters: [&(dyn ToSql + Sync); 9] = [
            &webhook.id.as_uuid(),
            &texts(&webhook.tokens),
            &webhook.url,
            &self.sealed_secret(webhook.id, &webhook.secret)?,
            &webhook.events,
            &dialect,
            &self.sealed_headers(webhook.id, &webhook.headers)?,
            &webhook.limits.max_per_second,
            &webhook.limits.max_concurrent.and_then(small),
        ];
        let statement = self.tx.prepare_cached(&sql).await?;
        let row = self.tx.query_one(&statement, &parameters).await?;
        record(self.store, &row)
    }

    /// Changes a webhook; `None` when there is none of this id.
    pub(crate) async fn change(
        &self,
        id: WebhookId,
        change: &Change,
    ) -> Result<Option<WebhookRecord>, StoreError> {
        let rotation = change.rotation.as_ref();
        let secret = rotation
            .map(|rotation| self.sealed_secret(id, &rotation.secret))
            .transpose()?;
        let headers = match &change.headers {
            Some(headers) => self.sealed_headers(id, headers)?,
            None => None,
        };
        let parameters: [&(dyn ToSql + Sync); 12] = [
            &id.as_uuid(),
            &change.url,
            &change.tokens.as_deref().map(texts),
            &change.events,
            &change.headers.is_some(),
            &headers,
            &change.max_per_second,
            &change.max_concurrent.and_then(small),
            &secret,
            &rotation.map_or(0.0, |rotation| rotation.keep_old.as_secs_f64()),
            &change.enabled,
            &DISABLED_BY_HAND,
        ];
        let statement = self.tx.prepare_cached(&change_sql()).await?;
        let row = self.tx.query_opt(&statement, &parameters).await?;
        row.as_ref().map(|row| record(self.store, row)).transpose()
    }

    /// The lists of wanted events of all webhooks that are not disabled, each once.
    pub(crate) async fn wanted(&self) -> Result<Vec<Vec<String>>, StoreError> {
        let sql =
            "-- webhooks::registry::wanted\nSELECT DISTINCT events FROM webhook WHERE disabled_at IS NULL";
        let rows = self.tx.query(sql, &[]).await?;
        rows.iter().map(|row| Ok(row.try_get(0)?)).collect()
    }

    pub(crate) async fn commit(self) -> Result<(), StoreError> {
        self.tx.commit().await
    }

    fn sealed_secret(&self, id: WebhookId, secret: &Secret) -> Result<Vec<u8>, StoreError> {
        let name = id.as_uuid();
        let place = place(SECRET_KIND, name.as_bytes());
        Ok(self.store.sealer()?.seal(place, secret.expose().as_bytes()))
    }

    fn sealed_headers(&self, id: WebhookId, headers: &[CustomHeader]) -> Result<Option<Vec<u8>>, StoreError> {
        if headers.is_empty() {
            return Ok(None);
        }
        let headers: BTreeMap<&str, &str> = headers
            .iter()
            .map(|header| (header.name.as_str(), header.value.expose()))
            .collect();
        let text = serde_json::to_vec(&headers).map_err(|_| StoreError::Corrupt("webhook headers"))?;
        let name = id.as_uuid();
        let place = place(HEADERS_KIND, name.as_bytes());
        Ok(Some(self.store.sealer()?.seal(place, &text)))
    }
}

/// The advisory lock behind [`Registry`].
const REGISTRY_LOCK: i64 = 0x66_61_6e_66_77_68;

fn change_sql() -> String {
    format!(
        "-- webhooks::registry::change
        UPDATE webhook SET url = coalesce($2 /* url */, url),
            token = CASE WHEN $3::text[] /* tokens */ IS NULL THEN token ELSE ($3::text[])[1] END,
            tokens = coalesce($3, tokens),
            events = coalesce($4::text[] /* events */, events),
            headers = CASE WHEN $5::boolean /* has headers */ THEN $6::bytea /* headers */ ELSE headers END,
            max_per_second = CASE WHEN $7::float8 /* a second */ IS NULL THEN max_per_second
                ELSE nullif($7, 0) END,
            max_concurrent = CASE WHEN $8::smallint /* at once */ IS NULL THEN max_concurrent
                ELSE nullif($8, 0) END,
            secret = coalesce($9::bytea /* secret */, secret),
            old_secret = CASE WHEN $9 IS NULL THEN old_secret WHEN $10::float8 /* keep */ > 0 THEN secret END,
            old_secret_until = CASE WHEN $9 IS NULL THEN old_secret_until
                WHEN $10 > 0 THEN clock_timestamp() + $10 * interval '1 second' END,
            enabled_at = CASE WHEN $11::boolean /* enabled */ AND disabled_at IS NOT NULL THEN clock_timestamp()
                ELSE enabled_at END,
            disabled_at = CASE WHEN $11 IS NULL THEN disabled_at
                WHEN NOT $11 THEN coalesce(disabled_at, clock_timestamp()) END,
            disabled_why = CASE WHEN $11 IS NULL THEN disabled_why
                WHEN NOT $11 THEN coalesce(disabled_why, $12 /* why */) END,
            revision = nextval('webhook_revision')
        WHERE id = $1 /* id */
        RETURNING {COLUMNS}"
    )
}

fn texts(tokens: &[Token]) -> Vec<&str> {
    tokens.iter().map(Token::as_str).collect()
}

/// As the database's smallint.
fn small(number: u16) -> Option<i16> {
    i16::try_from(number).ok()
}
