//! What is kept of people goes when it is asked for, or is old.

use super::*;

#[tokio::test]
async fn a_person_is_forgotten_whatever_became_of_their_messages() {
    let bench = Bench::new().await;
    let (store, session) = (bench.db.store(), bench.session);
    let at = now();
    // Sent; failed without a message; the account of another recipient; asked for by another number; never tried.
    let sent = bench.sends(2, "SENT", 1_790_000_000).await;
    let other = Number::new("5531900000000").unwrap();
    let changes: [fn(RecipientKey, OffsetDateTime) -> RecipientChange; 3] = [
        |key, at| RecipientChange::failed(key, 404, "no such account", at),
        |key, at| RecipientChange::state(key, RecipientState::Duplicate, at),
        |key, at| RecipientChange::failed(key, 500, "by another number", at),
    ];
    let mut queues = vec![(sent, 0)];
    for (change, seq) in changes.into_iter().zip([0, 0, 1]) {
        let queue = bench.queue(2).await;
        let mut change = change(RecipientKey::Seq(queue.id, seq), at);
        if change.error.as_ref().is_none_or(|(status, _)| *status == 500) {
            change = change.to(Some(other.clone()));
        }
        bench.commit(|write| write.recipients.push(change)).await.unwrap();
        queues.push((queue, seq));
    }
    queues.push((bench.queue(2).await, 0));
    for (queue, _) in &queues {
        bench
            .commit(|write| write.queues.push(QueueChange::Delete(queue.id)))
            .await
            .unwrap();
    }
    // What was tried is found by its names alone, not by its queue.
    bench
        .db
        .query("UPDATE queue SET state = 3, settled = total, started_at = now() WHERE settled > 0")
        .await;
    let person = Person {
        jids: vec![ANA.to_owned()],
        records: Vec::new(),
    };
    deletion::forget_person(store, bench.fence, session, &person)
        .await
        .unwrap();
    for (queue, seq) in queues {
        let left = recipients::page(store, queue.id, None, None, 10).await.unwrap();
        let gone: Vec<u32> = left
            .iter()
            .filter(|row| row.number.as_text() == deletion::NOBODY)
            .map(|row| row.seq)
            .collect();
        assert_eq!(gone, [seq]);
    }
    let rows = bench.db.query("SELECT count(*)::text FROM chat_cleared").await;
    assert_eq!(rows[0].as_deref(), Some("0"));
    assert!(
        bench
            .listed(Listing::default())
            .await
            .iter()
            .all(|chat| chat.jid != ANA)
    );
}

#[tokio::test]
async fn a_person_is_forgotten_once_no_queue_waits_for_them() {
    let bench = Bench::new().await;
    bench.keep([said("A1", 1, "hello")]).await;
    let mut in_group = said("G1", 2, "all");
    (in_group.header.wuid, in_group.context.from_group) = ("120363@g.us".to_owned(), true);
    bench.keep([in_group]).await;
    let queue = bench.queue(2).await;
    let (store, session) = (bench.db.store(), bench.session);
    let (theirs, others) = (b"98765:3@lid".to_vec(), b"98766:3@lid".to_vec());
    let person = Person {
        jids: vec![ANA.to_owned(), ANA_LID.to_owned()],
        records: vec![(SESSION, theirs.clone())],
    };
    let keys = [theirs, others].map(|name| KeyChange {
        kind: SESSION,
        name,
        value: Some(Bytes::from_static(b"ratchet")),
    });
    bench.commit(|write| write.keys.extend(keys)).await.unwrap();
    let waits = deletion::unfinished_queue(store, session, &person).await.unwrap();
    assert_eq!(waits, Some(queue.id));
    bench
        .commit(|write| write.queues.push(QueueChange::Delete(queue.id)))
        .await
        .unwrap();
    assert_eq!(
        deletion::unfinished_queue(store, session, &person).await.unwrap(),
        None
    );
    let forgotten = deletion::forget_person(store, bench.fence, session, &person)
        .await
        .unwrap();
    assert_eq!(
        (forgotten.messages, forgotten.recipients, forgotten.records),
        (2, 1, 1)
    );
    assert_eq!(bench.messages().await, []);
    assert_eq!(chats::contacts(store, session, None, 10).await.unwrap(), []);
    let left = recipients::page(store, queue.id, None, None, 10).await.unwrap();
    assert_eq!(left.len(), 2, "the queue counts as before");
    assert_eq!(left[0].number.as_text(), deletion::NOBODY);
    assert_eq!(left[1].number.as_text(), "5531900000001");
    let stale = Fence {
        epoch: Epoch::new(99),
        ..bench.fence
    };
    let refused = deletion::forget_chat(store, stale, session, &person.jids).await;
    assert!(matches!(refused, Err(StoreError::Fenced)), "{refused:?}");
}

#[tokio::test]
async fn old_messages_go_and_those_of_a_deleted_session_too() {
    let bench = Bench::new().await;
    bench
        .keep([
            said("A1", 1, "old"),
            said("A2", 2, "older"),
            said("A3", 900, "new"),
        ])
        .await;
    let before = OffsetDateTime::from_unix_timestamp(1_790_000_500).unwrap();
    let store = bench.db.store();
    assert_eq!(retention::forget_old(store, before, 1).await.unwrap(), Some(1));
    assert_eq!(retention::forget_old(store, before, 10).await.unwrap(), Some(1));
    assert_eq!(retention::forget_old(store, before, 10).await.unwrap(), None);
    assert_eq!(bench.ids().await, ["A3"]);
    sessions::delete(store, bench.fence, bench.session).await.unwrap();
    for table in ["message", "chat", "contact"] {
        let left = bench
            .db
            .query(&format!("SELECT count(*)::text FROM {table}"))
            .await;
        assert_eq!(left[0].as_deref(), Some("0"), "{table}");
    }
}
