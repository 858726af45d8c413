//! Sessions: created and marked for deletion by the API, changed by the owner of their shard (through
//! `store::commit`).

use std::time::Duration;

use time::OffsetDateTime;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use super::leases::{self, Fence, shard_id, smallint};
use super::proxies::{self, SealedProxy};
use super::{Store, StoreError};
use crate::event::{Passkey, RestrictionKind};
use crate::id::{QueueId, SessionId, ShardId, Token};
use crate::job::{Calls, Presence};
use crate::named::stored;
use crate::proxy::ProxyUrl;

/// Most sessions that one page of a listing holds.
pub const PAGE_MAX: u32 = 1_000;
/// How often a session that is deleted meanwhile is tried to be created.
const CREATE_TRIES: u32 = 3;
/// How long after a session was marked for deletion its worker may be asked again: longer than it waits for WhatsApp.
const ASK_AGAIN: Duration = Duration::from_secs(30);
/// Most recipients that one transaction deletes with their session.
const DELETE_PIECE: u32 = 20_000;

stored! {
    /// How a session stands.
    SessionState {
        /// Created; its worker has not seen it yet.
        New = 0 "new",
        /// Connecting to WhatsApp.
        Connecting = 1 "connecting",
        /// Waiting for a phone to scan its QR code or take its pairing code.
        Pairing = 2 "pairing",
        /// Connected and logged in.
        Open = 3 "open",
        /// Not connected; will connect again if wanted.
        Closed = 4 "closed",
        /// WhatsApp logged it out: it has no credentials any more.
        LoggedOut = 5 "logged-out",
    }
}

/// Whether a session is kept from writing to new contacts.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Restriction {
    /// Why.
    pub kind: RestrictionKind,
    /// Since when.
    pub since: OffsetDateTime,
    /// When WhatsApp is asked again; they go on unless it prolongs the restriction.
    pub until: OffsetDateTime,
    /// WhatsApp's word for the reason.
    pub why: Option<String>,
    /// Its place among all restrictions of the session, from 1.
    pub number: u32,
}

/// How many unknown numbers a session asked WhatsApp for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct LookUps {
    /// When the first of them was asked for.
    pub since: OffsetDateTime,
    /// How many since.
    pub count: u32,
}

/// The account a session is paired with.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Owner {
    /// Its jid, without device.
    pub jid: String,
    /// Its hidden id.
    pub lid: Option<String>,
    /// The name it goes by.
    pub push_name: Option<String>,
    /// The kind of phone.
    pub platform: Option<String>,
}

impl Owner {
    /// Its phone number.
    pub fn number(&self) -> &str {
        self.jid.split('@').next().unwrap_or_default()
    }
}

/// A text that is valid until a time: a QR code or a pairing code.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Expiring {
    /// The text.
    pub text: String,
    /// Until when.
    pub expires_at: OffsetDateTime,
}

/// A session as stored.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SessionRecord {
    /// Internal number.
    pub id: SessionId,
    /// Public name.
    pub token: Token,
    /// Its shard.
    pub shard: ShardId,
    /// How it stands.
    pub state: SessionState,
    /// Whether it is to be connected.
    pub wanted: bool,
    /// The account, once paired.
    pub owner: Option<Owner>,
    /// The QR code to scan now. Look at its end before showing it.
    pub qr: Option<Expiring>,
    /// The pairing code to type now.
    pub pairing_code: Option<Expiring>,
    /// How far linking with a passkey is, if one was asked for.
    pub passkey: Option<Box<Passkey>>,
    /// Why it last closed.
    pub close_reason: Option<u16>,
    /// Whether WhatsApp refused it for that reason: it is not connected again until it is started.
    pub refused: bool,
    /// Since when it is to be deleted.
    pub deleting_at: Option<OffsetDateTime>,
    /// Before this nothing is sent.
    pub next_send_at: Option<OffsetDateTime>,
    /// The queue of the last send with a gap behind it: while it holds, it was drawn for this one.
    pub paced_by: Option<QueueId>,
    /// What it says of itself; none for what the deployment says.
    pub presence: Option<Presence>,
    /// The proxy that it leaves by; none for the deployment's.
    pub proxy: Option<Box<SealedProxy>>,
    /// What it does with calls that come in.
    pub calls: Calls,
    /// What keeps it from writing to new contacts.
    pub restriction: Option<Restriction>,
    /// How many restrictions it has had.
    pub restrictions: u32,
    /// Before this nothing is sent, because WhatsApp said that it goes too fast.
    pub rate_limited_until: Option<OffsetDateTime>,
    /// The look-ups of the last 24 hours or so.
    pub look_ups: Option<LookUps>,
    /// All that is left to send goes to unknown numbers, and the next may be looked up then.
    pub look_up_at: Option<OffsetDateTime>,
    /// Sequence of its newest event.
    pub last_sequence: i64,
    /// When it was created.
    pub created_at: OffsetDateTime,
    /// When its state last changed.
    pub updated_at: OffsetDateTime,
    /// When it was paired; absent without credentials.
    pub paired_at: Option<OffsetDateTime>,
}

const COLUMNS: &str = "id, token, shard, state, wanted, jid, lid, push_name, platform, qr, qr_expires_at, \
     pairing_code, code_expires_at, passkey, close_reason, refused, deleting_at, next_send_at, paced_by, last_sequence, created_at, \
     updated_at, paired_at, restriction, restricted_since, restricted_until, restricted_why, restrictions, \
     rate_limited_until, look_ups, look_ups_since, look_up_at, presence, \
     proxy, proxy_address, calls";

/// Whether a session was made now or was there.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Created {
    /// Made now.
    New(SessionRecord),
    /// There already.
    Existing(SessionRecord),
}

impl Created {
    /// The session in either case.
    pub fn into_record(self) -> SessionRecord {
        match self {
            Self::New(record) | Self::Existing(record) => record,
        }
    }
}

/// What a new session is set to.
#[derive(Clone, Copy, Debug, Default)]
pub struct NewSettings<'a> {
    /// What it says of itself; none for what the deployment says.
    pub presence: Option<Presence>,
    /// The proxy that it leaves by; none for the deployment's.
    pub proxy: Option<&'a ProxyUrl>,
    /// What it does with calls that come in; none to let them ring.
    pub calls: Option<Calls>,
}

/// Creates a session on the emptiest of the deployment's shards, unless its token is taken.
pub async fn create(store: &Store, token: &Token, shards: u16) -> Result<Created, StoreError> {
    create_with(store, token, shards, NewSettings::default()).await
}

/// Like [`create`], with settings of its own. One that is there already keeps those that it has.
pub async fn create_with(
    store: &Store,
    token: &Token,
    shards: u16,
    settings: NewSettings<'_>,
) -> Result<Created, StoreError> {
    let sql = format!(
        "-- sessions::create
        INSERT INTO session (token, shard, presence, calls)
        SELECT $1 /* token */, n, $3 /* presence */, $4 /* calls */
        FROM generate_series(0, $2 /* shards */ - 1) AS n
        LEFT JOIN (SELECT shard, count(*) AS sessions FROM session GROUP BY shard) AS load ON load.shard = n
        ORDER BY coalesce(load.sessions, 0), n LIMIT 1
        ON CONFLICT (token) DO NOTHING
        RETURNING {COLUMNS}"
    );
    let presence = settings.presence.map(Presence::code);
    let calls = settings.calls.unwrap_or(Calls::Ring).code();
    for _ in 0..CREATE_TRIES {
        let parameters: [&(dyn ToSql + Sync); 4] = [&token.as_str(), &i32::from(shards), &presence, &calls];
        let row = match settings.proxy {
            Some(proxy) => insert_with_proxy(store, &sql, &parameters, proxy).await?,
            None => store.query_opt(&sql, &parameters).await?,
        };
        if let Some(row) = row {
            return Ok(Created::New(record(&row)?));
        }
        // Deleted between the two statements, it can be made anew.
        if let Some(existing) = find(store, token).await? {
            return Ok(Created::Existing(existing));
        }
    }
    Err(StoreError::Unavailable("session just deleted".into()))
}

/// What is sealed belongs to a session, so the number of the session comes first.
async fn insert_with_proxy(
    store: &Store,
    insert: &str,
    parameters: &[&(dyn ToSql + Sync)],
    proxy: &ProxyUrl,
) -> Result<Option<Row>, StoreError> {
    let tx = store.begin("create_session").await?;
    let Some(row) = tx.query_opt(insert, parameters).await? else {
        tx.rollback().await?;
        return Ok(None);
    };
    let id: i64 = row.try_get("id")?;
    let proxy = proxies::seal(store, SessionId::new(id), proxy)?;
    let sql = format!(
        "-- sessions::create (proxy)
        UPDATE session SET proxy = $2 /* sealed */, proxy_address = $3 /* address */ WHERE id = $1 RETURNING {COLUMNS}"
    );
    let row = tx
        .query_one(&sql, &[&id, &proxy.sealed_bytes(), &proxy.address])
        .await?;
    tx.commit().await?;
    Ok(Some(row))
}

/// The session of a token.
pub async fn find(store: &Store, token: &Token) -> Result<Option<SessionRecord>, StoreError> {
    let sql = format!("-- sessions::find\nSELECT {COLUMNS} FROM session WHERE token = $1 /* token */");
    let row = store.query_opt(&sql, &[&token.as_str()]).await?;
    row.as_ref().map(record).transpose()
}

/// Sessions in the order of their tokens, behind `after`.
pub async fn list(
    store: &Store,
    after: Option<&Token>,
    limit: u32,
) -> Result<Vec<SessionRecord>, StoreError> {
    let sql = format!(
        "-- sessions::list
        SELECT {COLUMNS} FROM session WHERE token > $1 /* after */ ORDER BY token LIMIT $2 /* limit */"
    );
    let after = after.map_or("", Token::as_str);
    let limit = i64::from(limit.min(PAGE_MAX));
    let rows = store.query(&sql, &[&after, &limit]).await?;
    rows.iter().map(record).collect()
}

/// Sessions of a shard by number, behind `after`.
pub async fn of_shard(
    store: &Store,
    shard: ShardId,
    after: Option<SessionId>,
    limit: u32,
) -> Result<Vec<SessionRecord>, StoreError> {
    let sql = format!(
        "-- sessions::of_shard
        SELECT {COLUMNS} FROM session WHERE shard = $1 /* shard */ AND id > $2 /* after */ ORDER BY id LIMIT $3"
    );
    let after = after.map_or(i64::MIN, SessionId::get);
    let limit = i64::from(limit.min(PAGE_MAX));
    let rows = store.query(&sql, &[&smallint(shard), &after, &limit]).await?;
    rows.iter().map(record).collect()
}

/// Marks a session for deletion, so that from now on everybody knows that it goes. Says whether its worker is to be
/// asked: not if it was a moment ago, since a second request that comes late would hit the next session of the token.
pub async fn mark_deleting(store: &Store, session: SessionId) -> Result<bool, StoreError> {
    let sql = "-- sessions::mark_deleting
        UPDATE session SET deleting_at = clock_timestamp()
        WHERE id = $1 /* session */
          AND (deleting_at IS NULL OR deleting_at < clock_timestamp() - $2 /* again */ * interval '1 second')";
    let again = ASK_AGAIN.as_secs_f64();
    let marked = store.execute(sql, &[&session.get(), &again]).await?;
    Ok(marked > 0)
}

/// Takes the mark of [`mark_deleting`] back: its worker was not asked.
pub async fn unmark_deleting(store: &Store, session: SessionId) -> Result<(), StoreError> {
    let sql = "-- sessions::unmark_deleting
        UPDATE session SET deleting_at = NULL WHERE id = $1 /* session */";
    store.execute(sql, &[&session.get()]).await?;
    Ok(())
}

/// Deletes a session with its credentials, queues, recipients, chats and messages. Its events in the outbox stay.
///
/// Many recipients and messages go piece by piece, each in a transaction of its own; the first one ends all queues. Cut short, it
/// can be done again.
///
/// # Errors
/// [`StoreError::Fenced`], [`StoreError::Unavailable`].
pub async fn delete(store: &Store, fence: Fence, session: SessionId) -> Result<(), StoreError> {
    while delete_piece(store, fence, session, DELETE_PIECE).await? {}
    Ok(())
}

/// Deletes at most so many recipients and so many messages of a session's, whose queues are over with the first piece; the session itself
/// with the last piece. Says whether there is more.
pub(super) async fn delete_piece(
    store: &Store,
    fence: Fence,
    session: SessionId,
    most: u32,
) -> Result<bool, StoreError> {
    let tx = store.begin("delete_session").await?;
    leases::hold(&tx, fence).await?;
    let end_queues = "-- sessions::delete (queues)
        UPDATE queue q SET state = 4, paused_at = NULL, finished_at = clock_timestamp()
        FROM session s
        WHERE s.id = $1 AND s.shard = $2 AND q.session_id = s.id AND q.finished_at IS NULL";
    // Keys, queues and chats go with the session by themselves; recipients and messages are no declared reference.
    let recipients = "-- sessions::delete (recipients)
        DELETE FROM recipient WHERE ctid = ANY (ARRAY(
            SELECT r.ctid FROM session s JOIN queue q ON q.session_id = s.id, LATERAL (
                SELECT o.ctid FROM recipient o WHERE o.queue_id = q.id ORDER BY o.seq LIMIT $3 /* most */) r
            WHERE s.id = $1 AND s.shard = $2 LIMIT $3 /* most */))";
    let messages = "-- sessions::delete (messages)
        DELETE FROM message WHERE ctid = ANY (ARRAY(
            SELECT m.ctid FROM session s JOIN message m ON m.session_id = s.id
            WHERE s.id = $1 AND s.shard = $2 LIMIT $3 /* most */))";
    // From here on no job is accepted any more: one that waits finds no session.
    let lock = "-- sessions::delete (lock)\nSELECT 1 FROM session WHERE id = $1 AND shard = $2 FOR UPDATE";
    let sql = "-- sessions::delete\nDELETE FROM session WHERE id = $1 AND shard = $2";
    let (id, shard) = (session.get(), smallint(fence.shard));
    tx.execute(end_queues, &[&id, &shard]).await?;
    let mut deleted = tx.execute(recipients, &[&id, &shard, &i64::from(most)]).await?;
    deleted = deleted.max(tx.execute(messages, &[&id, &shard, &i64::from(most)]).await?);
    if deleted < u64::from(most) {
        // The session's row comes last, as in every write of its owner, so that neither waits for the other; and what
        // a job brought since goes too.
        tx.execute(lock, &[&id, &shard]).await?;
        deleted = tx.execute(recipients, &[&id, &shard, &i64::from(most)]).await?;
    }
    let more = deleted >= u64::from(most);
    if !more {
        tx.execute(sql, &[&id, &shard]).await?;
    }
    tx.commit().await?;
    Ok(more)
}

fn record(row: &Row) -> Result<SessionRecord, StoreError> {
    let token: &str = row.try_get("token")?;
    let owner = row.try_get::<_, Option<String>>("jid")?.map(|jid| {
        Ok::<_, StoreError>(Owner {
            jid,
            lid: row.try_get("lid")?,
            push_name: row.try_get("push_name")?,
            platform: row.try_get("platform")?,
        })
    });
    let close_reason: Option<i16> = row.try_get("close_reason")?;
    let passkey: Option<serde_json::Value> = row.try_get("passkey")?;
    Ok(SessionRecord {
        id: SessionId::new(row.try_get("id")?),
        token: Token::new(token).map_err(|_| StoreError::Corrupt("token"))?,
        shard: shard_id(row.try_get("shard")?)?,
        state: SessionState::from_code(row.try_get("state")?)
            .ok_or(StoreError::Corrupt("session state out of range"))?,
        wanted: row.try_get("wanted")?,
        owner: owner.transpose()?,
        qr: expiring(row, "qr", "qr_expires_at")?,
        pairing_code: expiring(row, "pairing_code", "code_expires_at")?,
        // What another version wrote and this one can't read is for nobody to act on.
        passkey: passkey.and_then(|stored| serde_json::from_value(stored).ok()),
        close_reason: close_reason.and_then(|code| u16::try_from(code).ok()),
        refused: row.try_get("refused")?,
        deleting_at: row.try_get("deleting_at")?,
        next_send_at: row.try_get("next_send_at")?,
        paced_by: row.try_get::<_, Option<Uuid>>("paced_by")?.map(QueueId::new),
        presence: presence(row)?,
        proxy: proxy(row)?,
        calls: Calls::from_code(row.try_get("calls")?).ok_or(StoreError::Corrupt("calls out of range"))?,
        restriction: restriction(row)?,
        restrictions: number(row)?,
        rate_limited_until: row.try_get("rate_limited_until")?,
        look_ups: look_ups(row)?,
        look_up_at: row.try_get("look_up_at")?,
        last_sequence: row.try_get("last_sequence")?,
        created_at: row.try_get("created_at")?,
        updated_at: row.try_get("updated_at")?,
        paired_at: row.try_get("paired_at")?,
    })
}

fn presence(row: &Row) -> Result<Option<Presence>, StoreError> {
    let code: Option<i16> = row.try_get("presence")?;
    let known =
        code.map(|code| Presence::from_code(code).ok_or(StoreError::Corrupt("presence out of range")));
    known.transpose()
}

fn proxy(row: &Row) -> Result<Option<Box<SealedProxy>>, StoreError> {
    let (sealed, address): (Option<Vec<u8>>, Option<String>) =
        (row.try_get("proxy")?, row.try_get("proxy_address")?);
    let stored = sealed.zip(address).map(|(sealed, address)| SealedProxy {
        address,
        sealed: sealed.into(),
    });
    Ok(stored.map(Box::new))
}

fn restriction(row: &Row) -> Result<Option<Restriction>, StoreError> {
    let Some(code) = row.try_get::<_, Option<i16>>("restriction")? else {
        return Ok(None);
    };
    let out_of_range = StoreError::Corrupt("restriction out of range");
    Ok(Some(Restriction {
        kind: RestrictionKind::from_code(code).ok_or(out_of_range)?,
        since: row.try_get("restricted_since")?,
        until: row.try_get("restricted_until")?,
        why: row.try_get("restricted_why")?,
        number: number(row)?,
    }))
}

fn look_ups(row: &Row) -> Result<Option<LookUps>, StoreError> {
    let count: i32 = row.try_get("look_ups")?;
    let count = u32::try_from(count).map_err(|_| StoreError::Corrupt("look-ups"))?;
    let since: Option<OffsetDateTime> = row.try_get("look_ups_since")?;
    Ok(since.map(|since| LookUps { since, count }))
}

fn number(row: &Row) -> Result<u32, StoreError> {
    u32::try_from(row.try_get::<_, i32>("restrictions")?).map_err(|_| StoreError::Corrupt("restrictions"))
}

fn expiring(row: &Row, text: &str, end: &str) -> Result<Option<Expiring>, StoreError> {
    let (text, end): (Option<String>, Option<OffsetDateTime>) = (row.try_get(text)?, row.try_get(end)?);
    Ok(text
        .zip(end)
        .map(|(text, expires_at)| Expiring { text, expires_at }))
}
