//! Credentials and ratchets, sealed. Written through `store::commit` only.

use bytes::Bytes;

use super::{Store, StoreError};
use crate::id::SessionId;

/// The kind of a stored key. The protocol library chooses, and names the ones in use; so does the schema.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct KeyKind(pub u8);

impl KeyKind {
    /// The device: its credentials. One per session, named "".
    pub const DEVICE: Self = Self(0);
}

/// Most values that one call loads.
#[cfg(test)]
const LOAD_MAX: usize = 10_000;

/// A look at the index for each name, whatever the planner believes of the table: as a join it becomes a scan of all that
/// the session has, at each load, and a session has some rows for everybody it ever wrote to.
pub(super) const LOAD: &str = "-- keys::load
SELECT (SELECT k.value FROM device_key k
    WHERE k.session_id = $1 /* session */ AND k.kind = w.kind AND k.name = w.name)
FROM unnest($2::smallint[] /* kinds */, $3::bytea[] /* names */) WITH ORDINALITY AS w (kind, name, n)
ORDER BY w.n";

/// Loads values by kind and name, in the order asked for; absent ones are `None`.
///
/// # Errors
/// [`StoreError::Seal`] if a value does not open, [`StoreError::Unavailable`].
pub async fn load(
    store: &Store,
    session: SessionId,
    wanted: &[(KeyKind, Vec<u8>)],
) -> Result<Vec<Option<Bytes>>, StoreError> {
    let kinds: Vec<i16> = wanted.iter().map(|(kind, _)| i16::from(kind.0)).collect();
    let names: Vec<&[u8]> = wanted.iter().map(|(_, name)| name.as_slice()).collect();
    let rows = store.query(LOAD, &[&session.get(), &kinds, &names]).await?;
    let sealer = store.sealer()?.of(session);
    let mut values = Vec::with_capacity(wanted.len());
    for (row, (kind, name)) in rows.iter().zip(wanted) {
        let sealed: Option<&[u8]> = row.try_get(0)?;
        let value = sealed
            .map(|sealed| sealer.open(kind.0, name, sealed))
            .transpose()?;
        values.push(value.map(Bytes::from));
    }
    Ok(values)
}

/// Lists the values of a kind, in the order of their names, behind `after`.
///
/// # Errors
/// [`StoreError::Seal`] if a value does not open, [`StoreError::Unavailable`].
#[cfg(test)]
pub(super) async fn list(
    store: &Store,
    session: SessionId,
    kind: KeyKind,
    after: Option<&[u8]>,
    limit: usize,
) -> Result<Vec<(Vec<u8>, Bytes)>, StoreError> {
    let sql = "-- keys::list
        SELECT name, value FROM device_key
        WHERE session_id = $1 AND kind = $2 AND ($3::bytea IS NULL OR name > $3 /* after */)
        ORDER BY name LIMIT $4";
    let limit = i64::try_from(limit.min(LOAD_MAX)).unwrap_or(i64::MAX);
    let rows = store
        .query(sql, &[&session.get(), &i16::from(kind.0), &after, &limit])
        .await?;
    let sealer = store.sealer()?.of(session);
    let mut values = Vec::with_capacity(rows.len());
    for row in &rows {
        let (name, sealed): (Vec<u8>, &[u8]) = (row.try_get(0)?, row.try_get(1)?);
        let value = sealer.open(kind.0, &name, sealed)?;
        values.push((name, Bytes::from(value)));
    }
    Ok(values)
}

/// The names of a kind without their values, in the order of their bytes: those behind `after`, at most `most`.
///
/// # Errors
/// [`StoreError::Unavailable`].
pub async fn names(
    store: &Store,
    session: SessionId,
    kind: KeyKind,
    after: Option<&[u8]>,
    most: usize,
) -> Result<Vec<Vec<u8>>, StoreError> {
    let sql = "-- keys::names
        SELECT name FROM device_key
        WHERE session_id = $1 AND kind = $2 AND ($3::bytea IS NULL OR name > $3 /* after */)
        ORDER BY name LIMIT $4";
    let most = i64::try_from(most).unwrap_or(i64::MAX);
    let rows = store
        .query(sql, &[&session.get(), &i16::from(kind.0), &after, &most])
        .await?;
    rows.iter().map(|row| Ok(row.try_get(0)?)).collect()
}
