use std::collections::HashMap;

use bytes::Bytes;
use time::OffsetDateTime;
use tokio::sync::Mutex;
use uuid::Uuid;

mod chats;
mod final_answers;
mod labels;
mod queues_and_recipients;
mod restrictions;
mod states;

use super::*;
use crate::content::Text;
use crate::event::{Event, Instance};
use crate::id::{Epoch, JobId, QueueId, SessionId, StanzaId};
use crate::job::SendJob;
use crate::recipient::Number;
use crate::store::keys::{self, KeyKind};
use crate::store::outbox::{self, OutboxEvent};
use crate::store::queues::accepting::Acceptance;
use crate::store::queues::{self, QueueRecord, QueueState};
use crate::store::recipients::{self, Pending, RecipientState};
use crate::store::sessions::{self, Expiring, Owner, SessionState};
use crate::store::{Fence, leases};
use crate::testing::{TestDatabase, job_id, token};
use crate::waiting::{Reason, Standstill};

/// Kinds as the protocol library numbers them.
const SESSION: KeyKind = KeyKind(1);
const PREKEY: KeyKind = KeyKind(3);

/// What is due under this restriction.
fn due(held: Option<u32>) -> queues::Due<'static> {
    queues::Due {
        held,
        account: None,
        now: OffsetDateTime::UNIX_EPOCH,
        most: 10,
    }
}

struct Bench {
    db: TestDatabase,
    commits: Mutex<GroupCommit>,
    sealer: WriteSealer,
    fence: Fence,
    session: SessionId,
}

impl Bench {
    async fn new() -> Self {
        let db = TestDatabase::new().await;
        let fence = db.lease(0, "w").await;
        let session = sessions::create(db.store(), &token(), 1)
            .await
            .unwrap()
            .into_record()
            .id;
        let commits = Mutex::new(GroupCommit::new(db.store()));
        let sealer = WriteSealer::new(db.store()).unwrap();
        Self {
            db,
            commits,
            sealer,
            fence,
            session,
        }
    }

    fn write(&self) -> Write {
        Write::new(self.fence, self.session)
    }

    /// A queue as those that an earlier release accepted: its messages have no ids before they are sent.
    async fn queue(&self, recipients: u32) -> QueueRecord {
        let queue = self.accept(recipients).await;
        let earlier = format!(
            "UPDATE recipient SET stanza_id = NULL WHERE queue_id = '{}'",
            queue.id
        );
        self.db.query(&earlier).await;
        queue
    }

    async fn accept(&self, recipients: u32) -> QueueRecord {
        let numbers = (0..recipients).map(|n| Number::new(&format!("55319{n:08}")).unwrap());
        let send = SendJob {
            queue_id: Some(crate::testing::queue_id()),
            ..SendJob::new(numbers, Text::new("hi"))
        };
        let id: JobId = job_id();
        let queue = send.queue_id.unwrap();
        let offer = queues::accepting::Offer {
            session: self.session,
            queue,
            other: None,
            id: &id,
            ids: crate::testing::stanza_ids(),
            job: &send,
            trace: None,
        };
        let accepted = queues::accepting::accept_all(self.db.store(), self.fence, &[offer]).await;
        match accepted.unwrap().pop().unwrap() {
            Ok(Acceptance::Accepted(queue)) => *queue,
            other => panic!("{other:?}"),
        }
    }

    async fn reload(&self, queue: &QueueRecord) -> QueueRecord {
        queues::find(self.db.store(), self.session, queue.id)
            .await
            .unwrap()
            .unwrap()
    }

    async fn commit(&self, change: impl FnOnce(&mut Write)) -> Result<(), CommitError> {
        let mut write = self.write();
        change(&mut write);
        self.commit_all([write]).await.remove(0)
    }

    /// Commits writes together.
    async fn commit_all(&self, writes: impl IntoIterator<Item = Write>) -> Vec<Result<(), CommitError>> {
        let sealed: Vec<_> = writes.into_iter().map(|write| self.sealer.seal(write)).collect();
        self.commits.lock().await.commit(&sealed).await
    }
}

fn now() -> OffsetDateTime {
    // What the database keeps: microseconds.
    OffsetDateTime::now_utc().replace_nanosecond(0).unwrap()
}

fn stanza(n: u32) -> StanzaId {
    StanzaId::new(&format!("3EB0{n:08X}")).unwrap()
}

fn key(name: &[u8], value: Option<&'static [u8]>) -> KeyChange {
    KeyChange {
        kind: SESSION,
        name: name.to_vec(),
        value: value.map(Bytes::from_static),
    }
}

fn event(sequence: i64) -> OutboxEvent {
    let instance = Instance {
        owner: None,
        name: crate::id::Token::new("t").unwrap(),
    };
    let event = Event::send_start(crate::testing::queue_id());
    OutboxEvent::from(&event.envelope(instance, crate::testing::event_id(), 0, sequence))
}

#[tokio::test]
async fn keys_are_set_replaced_deleted_and_never_stored_in_the_clear() {
    let bench = Bench::new().await;
    bench
        .commit(|w| w.keys = vec![key(b"a", Some(b"secret one")), key(b"b", Some(b"two"))])
        .await
        .unwrap();
    bench
        .commit(|w| w.keys = vec![key(b"a", Some(b"x")), key(b"a", Some(b"three")), key(b"b", None)])
        .await
        .unwrap();
    let wanted = [b"b", b"a"].map(|name| (SESSION, name.to_vec()));
    let loaded = keys::load(bench.db.store(), bench.session, &wanted)
        .await
        .unwrap();
    assert_eq!(loaded, [None, Some(Bytes::from_static(b"three"))]);
    let listed = keys::list(bench.db.store(), bench.session, SESSION, None, 10)
        .await
        .unwrap();
    assert_eq!(listed, [(b"a".to_vec(), Bytes::from_static(b"three"))]);
    let stored = bench
        .db
        .query("SELECT encode(value, 'escape') FROM device_key")
        .await;
    assert!(!stored[0].as_ref().unwrap().contains("three"));
}

#[tokio::test]
async fn forgetting_keys_takes_all_that_came_before() {
    let bench = Bench::new().await;
    bench
        .commit(|w| w.keys = vec![key(b"a", Some(b"1"))])
        .await
        .unwrap();
    bench
        .commit(|w| {
            w.session_row().forget_keys = true;
            w.keys = vec![key(b"b", Some(b"2"))];
        })
        .await
        .unwrap();
    let names = keys::names(bench.db.store(), bench.session, SESSION, None, 10_000)
        .await
        .unwrap();
    assert_eq!(names, [b"b".to_vec()]);
}

#[tokio::test]
async fn a_stale_write_fails_alone_among_good_ones() {
    let bench = Bench::new().await;
    let stale = Fence {
        epoch: Epoch::new(bench.fence.epoch.get() - 1),
        ..bench.fence
    };
    let writes = (0..50_u32).map(|n| {
        let mut write = bench.write();
        if n % 5 == 0 {
            write.fence = stale;
        }
        write.keys = vec![KeyChange {
            kind: PREKEY,
            name: n.to_be_bytes().to_vec(),
            value: Some(Bytes::from_static(b"v")),
        }];
        write.events = vec![event(i64::from(n))];
        write
    });
    let results = bench.commit_all(writes).await;
    for (n, result) in results.iter().enumerate() {
        let expected = if n % 5 == 0 {
            Err(CommitError::Fenced)
        } else {
            Ok(())
        };
        assert_eq!(*result, expected, "write {n}");
    }
    let names = keys::names(bench.db.store(), bench.session, PREKEY, None, 10_000)
        .await
        .unwrap();
    assert_eq!(names.len(), 40, "nothing of a stale write is stored");
    assert_eq!(
        outbox::oldest(bench.db.store(), bench.fence.shard, 500)
            .await
            .unwrap()
            .len(),
        40
    );
}

#[tokio::test]
async fn a_shard_taken_by_another_worker_fences_the_old_owner() {
    let bench = Bench::new().await;
    bench.commit(|w| w.last_sequence = Some(1)).await.unwrap();
    bench
        .db
        .query("UPDATE shard_lease SET expires_at = now() - interval '1 second'")
        .await;
    let other = crate::id::WorkerId::new("other").unwrap();
    let ttl = Duration::from_secs(60);
    let new = leases::take(bench.db.store(), &other, &[bench.fence.shard], ttl)
        .await
        .unwrap()[0];
    assert_eq!(
        bench.commit(|w| w.last_sequence = Some(2)).await,
        Err(CommitError::Fenced)
    );
    let mut write = bench.write();
    write.fence = new;
    write.last_sequence = Some(3);
    assert_eq!(bench.commit_all([write]).await, [Ok(())]);
}

#[tokio::test]
async fn a_write_that_the_database_refuses_fails_alone() {
    let bench = Bench::new().await;
    let queue = bench.queue(2).await;
    let [mut good, mut bad, mut also_good] = [(); 3].map(|()| bench.write());
    good.keys = vec![key(b"good", Some(b"1"))];
    // Completing a queue that is not settled breaks a rule of the schema.
    bad.queues = vec![QueueChange::Start(queue.id), QueueChange::Complete(queue.id)];
    bad.keys = vec![key(b"bad", Some(b"2"))];
    also_good.keys = vec![key(b"also good", Some(b"3"))];
    let results = bench.commit_all([good, bad, also_good]).await;
    assert!(
        matches!(results.as_slice(), [Ok(()), Err(CommitError::Refused(_)), Ok(())]),
        "{results:?}"
    );
    let names = keys::names(bench.db.store(), bench.session, SESSION, None, 10_000)
        .await
        .unwrap();
    assert_eq!(names, [b"also good".to_vec(), b"good".to_vec()]);
    assert_eq!(bench.reload(&queue).await.state, QueueState::Queued);
}

fn ana() -> Owner {
    Owner {
        jid: "5531900000001@s.whatsapp.net".into(),
        lid: Some("98765@lid".into()),
        push_name: None,
        platform: Some("android".into()),
    }
}

#[tokio::test]
async fn a_sessions_row_follows_its_life() {
    let bench = Bench::new().await;
    let at = now();
    let load = async || {
        let page = sessions::of_shard(bench.db.store(), bench.fence.shard, None, 10);
        page.await.unwrap().remove(0)
    };
    let qr = Expiring {
        text: "2@abc".into(),
        expires_at: at,
    };
    bench
        .commit(|w| {
            let row = w.session_row();
            row.state = Some(SessionState::Pairing);
            row.qr = Some(qr.clone());
        })
        .await
        .unwrap();
    assert_eq!(
        (load().await.state, load().await.qr),
        (SessionState::Pairing, Some(qr))
    );
    let (owner, paced_by) = (ana(), QueueId::new(Uuid::from_u128(7)));
    bench
        .commit(|w| {
            let row = w.session_row();
            row.state = Some(SessionState::Open);
            row.owner = Some(Some(owner.clone()));
            row.paired = true;
            w.next_send_at = Some(at);
            w.paced_by = Some(paced_by);
            w.last_sequence = Some(5);
        })
        .await
        .unwrap();
    let open = load().await;
    assert_eq!(open.paced_by, Some(paced_by));
    assert_eq!(
        (open.state, open.owner, open.qr),
        (SessionState::Open, Some(owner.clone()), None)
    );
    assert!(open.paired_at.is_some());
    assert_eq!((open.next_send_at, open.last_sequence), (Some(at), 5));
    bench.commit(|w| w.last_sequence = Some(4)).await.unwrap();
    assert_eq!(
        (load().await.last_sequence, load().await.updated_at),
        (5, open.updated_at)
    );
    bench
        .commit(|w| {
            let row = w.session_row();
            row.state = Some(SessionState::LoggedOut);
            row.owner = Some(None);
            row.close_reason = Some(401);
            row.wanted = Some(false);
        })
        .await
        .unwrap();
    let out = load().await;
    assert_eq!(
        (out.state, out.owner, out.paired_at),
        (SessionState::LoggedOut, None, None)
    );
    assert_eq!((out.close_reason, out.wanted), (Some(401), false));
    let opens = |w: &mut Write| {
        let row = w.session_row();
        (row.state, row.owner, row.paired) = (Some(SessionState::Open), Some(Some(owner)), true);
    };
    bench.commit(opens).await.unwrap();
    assert_eq!(load().await.close_reason, None, "what closed it before is over");
}

#[tokio::test]
async fn a_refusal_holds_until_the_next_state_and_a_deletion_for_good() {
    let bench = Bench::new().await;
    let load = async || {
        let page = sessions::of_shard(bench.db.store(), bench.fence.shard, None, 10);
        page.await.unwrap().remove(0)
    };
    let closed = |row: &mut SessionChange| {
        (row.state, row.refused) = (Some(SessionState::Closed), true);
    };
    bench.commit(|w| closed(w.session_row())).await.unwrap();
    bench.commit(|w| w.session_row().deleting = true).await.unwrap();
    let (refused, since) = (load().await.refused, load().await.deleting_at);
    assert!(refused && since.is_some());
    // In one write with the state behind it, nothing of it is left.
    bench
        .commit(|w| {
            let row = w.session_row();
            closed(row);
            row.state = Some(SessionState::Connecting);
            row.deleting = true;
        })
        .await
        .unwrap();
    assert_eq!((load().await.refused, load().await.deleting_at), (false, since));
}

#[tokio::test]
async fn commits_go_on_after_their_connection_is_cut() {
    let bench = Bench::new().await;
    bench.commit(|w| w.last_sequence = Some(1)).await.unwrap();
    bench
        .db
        .query(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
             WHERE datname = current_database() AND pid <> pg_backend_pid()",
        )
        .await;
    let mut last = Ok(());
    for _ in 0..3 {
        last = bench.commit(|w| w.last_sequence = Some(2)).await;
        if last.is_ok() {
            break;
        }
        assert!(matches!(last, Err(CommitError::Unavailable(_))), "{last:?}");
    }
    assert_eq!(last, Ok(()));
}
