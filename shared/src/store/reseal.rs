//! Seals what is stored under the current key, where an older one did: after that the older one may go.
//!
//! Only the seal changes, and only of a value that is still the one that was read: so no lease is needed, and sessions work
//! meanwhile. Begun again it goes through all of it again, and changes what is left.

use uuid::Uuid;

use super::{Store, StoreError, proxies, webhooks};
use crate::id::SessionId;
use crate::seal::{Place, SealError};

/// Values that are read, and written, at a time.
const PAGE: usize = 500;

/// What [`all`] did.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Resealed {
    /// Values that were looked at.
    pub seen: u64,
    /// Values that are sealed under the current key since.
    pub changed: u64,
    /// Values that changed, or were held, while we were at them: to be looked at again.
    pub busy: u64,
    /// Values that open under no key that this process has. They stay as they are.
    pub unopened: u64,
}

impl Resealed {
    /// Whether everything is sealed under the current key.
    #[must_use]
    pub const fn is_complete(self) -> bool {
        self.busy == 0 && self.unopened == 0
    }

    fn add(&mut self, other: Self) {
        self.seen += other.seen;
        self.changed += other.changed;
        self.busy += other.busy;
        self.unopened += other.unopened;
    }
}

/// Goes through all sealed values once: credentials and ratchets, proxies of sessions, secrets and headers of webhooks.
///
/// Answers to an `Idempotency-Key` are left out: they are gone after 24 hours.
///
/// # Errors
/// [`StoreError::Seal`] if this process has no key, [`StoreError::Unavailable`].
pub async fn all(store: &Store) -> Result<Resealed, StoreError> {
    let mut done = keys(store).await?;
    for column in COLUMNS {
        done.add(column.reseal(store).await?);
    }
    Ok(done)
}

async fn keys(store: &Store) -> Result<Resealed, StoreError> {
    let page = "-- reseal::keys (read)
        SELECT session_id, kind, name, value FROM device_key
        WHERE (session_id, kind, name) > ($1, $2, $3)
        ORDER BY session_id, kind, name LIMIT $4";
    // Rows that a session holds are skipped: it seals them under the current key by itself, and nobody ever waits for the
    // other in a circle.
    let write = "-- reseal::keys (write)
        WITH mine AS (
            SELECT k.session_id, k.kind, k.name, w.fresh
            FROM unnest($1::bigint[], $2::smallint[], $3::bytea[], $4::bytea[], $5::bytea[])
                AS w (session_id, kind, name, old, fresh)
            JOIN device_key k USING (session_id, kind, name)
            WHERE k.value = w.old FOR NO KEY UPDATE OF k SKIP LOCKED)
        UPDATE device_key k SET value = mine.fresh FROM mine
        WHERE k.session_id = mine.session_id AND k.kind = mine.kind AND k.name = mine.name";
    let (mut done, mut last) = (Resealed::default(), (i64::MIN, 0_i16, Vec::new()));
    loop {
        let limit = PAGE as i64;
        let rows = store.query(page, &[&last.0, &last.1, &last.2, &limit]).await?;
        let mut fresh = Fresh::default();
        for row in &rows {
            last = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
            let place = Place {
                session: SessionId::new(last.0),
                kind: u8::try_from(last.1).map_err(|_| StoreError::Corrupt("kind of a key"))?,
                name: &last.2,
            };
            if fresh.add(store, place, row.try_get(3)?)? {
                fresh.keys.push((last.0, last.1, last.2.clone()));
            }
        }
        if !fresh.keys.is_empty() {
            let sessions: Vec<i64> = fresh.keys.iter().map(|key| key.0).collect();
            let kinds: Vec<i16> = fresh.keys.iter().map(|key| key.1).collect();
            let names: Vec<&[u8]> = fresh.keys.iter().map(|key| key.2.as_slice()).collect();
            let wrote = store
                .execute(write, &[&sessions, &kinds, &names, &fresh.old, &fresh.new])
                .await?;
            fresh.wrote(wrote);
        }
        done.add(fresh.done);
        if rows.len() < PAGE {
            return Ok(done);
        }
    }
}

/// The values of a page that are to be written anew.
#[derive(Default)]
struct Fresh {
    keys: Vec<(i64, i16, Vec<u8>)>,
    old: Vec<Vec<u8>>,
    new: Vec<Vec<u8>>,
    done: Resealed,
}

impl Fresh {
    /// Seals a value anew if need be; says whether it was.
    fn add(&mut self, store: &Store, place: Place<'_>, sealed: &[u8]) -> Result<bool, StoreError> {
        self.done.seen += 1;
        match store.sealer()?.renewed(place, sealed) {
            Ok(None) => Ok(false),
            Ok(Some(new)) => {
                self.old.push(sealed.to_vec());
                self.new.push(new);
                Ok(true)
            }
            Err(SealError::Unopened) => {
                self.done.unopened += 1;
                Ok(false)
            }
            Err(error) => Err(error.into()),
        }
    }

    fn wrote(&mut self, rows: u64) {
        self.done.changed += rows;
        self.done.busy += (self.new.len() as u64).saturating_sub(rows);
    }
}

/// A column of sealed values beside those of `device_key`: some for each session or webhook.
struct Column {
    read: &'static str,
    write: &'static str,
    place: fn(Uuid, i64) -> (SessionId, u8, Vec<u8>),
}

fn webhook(kind: u8, id: Uuid) -> (SessionId, u8, Vec<u8>) {
    (SessionId::new(0), kind, id.as_bytes().to_vec())
}

const NOBODY: Uuid = Uuid::nil();

/// A change of a webhook has a revision of its own, so that workers read it again; its contents stay.
const COLUMNS: [Column; 4] = [
    Column {
        read: "-- reseal::proxies (read)
            SELECT $1::uuid, id, proxy FROM session WHERE id > $2 AND proxy IS NOT NULL ORDER BY id LIMIT $3",
        write: "-- reseal::proxies (write)
            UPDATE session SET proxy = $4 WHERE $1::uuid IS NOT NULL AND id = $2 AND proxy = $3",
        place: |_, id| (SessionId::new(id), proxies::PROXY_KIND, Vec::new()),
    },
    Column {
        read: "-- reseal::secrets (read)
            SELECT id, $2::bigint, secret FROM webhook WHERE id > $1 ORDER BY id LIMIT $3",
        write: "-- reseal::secrets (write)
            UPDATE webhook SET secret = $4, revision = nextval('webhook_revision')
            WHERE id = $1 AND $2::bigint IS NOT NULL AND secret = $3",
        place: |id, _| webhook(webhooks::SECRET_KIND, id),
    },
    Column {
        read: "-- reseal::old_secrets (read)
            SELECT id, $2::bigint, old_secret FROM webhook WHERE id > $1 AND old_secret IS NOT NULL ORDER BY id LIMIT $3",
        write: "-- reseal::old_secrets (write)
            UPDATE webhook SET old_secret = $4, revision = nextval('webhook_revision')
            WHERE id = $1 AND $2::bigint IS NOT NULL AND old_secret = $3",
        place: |id, _| webhook(webhooks::SECRET_KIND, id),
    },
    Column {
        read: "-- reseal::headers (read)
            SELECT id, $2::bigint, headers FROM webhook WHERE id > $1 AND headers IS NOT NULL ORDER BY id LIMIT $3",
        write: "-- reseal::headers (write)
            UPDATE webhook SET headers = $4, revision = nextval('webhook_revision')
            WHERE id = $1 AND $2::bigint IS NOT NULL AND headers = $3",
        place: |id, _| webhook(webhooks::HEADERS_KIND, id),
    },
];

impl Column {
    async fn reseal(&self, store: &Store) -> Result<Resealed, StoreError> {
        let (mut done, mut last) = (Resealed::default(), (NOBODY, 0_i64));
        loop {
            let rows = store
                .query(self.read, &[&last.0, &last.1, &(PAGE as i64)])
                .await?;
            for row in &rows {
                last = (row.try_get(0)?, row.try_get(1)?);
                done.add(self.one(store, last, row.try_get(2)?).await?);
            }
            if rows.len() < PAGE {
                return Ok(done);
            }
        }
    }

    async fn one(
        &self,
        store: &Store,
        (id, number): (Uuid, i64),
        sealed: &[u8],
    ) -> Result<Resealed, StoreError> {
        let mut fresh = Fresh::default();
        let (session, kind, name) = (self.place)(id, number);
        let place = Place {
            session,
            kind,
            name: &name,
        };
        if fresh.add(store, place, sealed)? {
            let new = fresh.new[0].as_slice();
            let wrote = store.execute(self.write, &[&id, &number, &sealed, &new]).await?;
            fresh.wrote(wrote);
        }
        Ok(fresh.done)
    }
}
