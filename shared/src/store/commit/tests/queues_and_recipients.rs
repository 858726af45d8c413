use super::*;

#[tokio::test]
async fn a_queue_runs_through_its_states_with_its_counters() {
    let bench = Bench::new().await;
    let queue = bench.queue(3).await;
    let at = now();
    let of = |seq| RecipientKey::Seq(queue.id, seq);
    bench
        .commit(|w| {
            w.queues = vec![QueueChange::Start(queue.id)];
            w.recipients = vec![RecipientChange::sending(queue.id, 0, stanza(0), at)];
        })
        .await
        .unwrap();
    let seen = bench.reload(&queue).await;
    assert_eq!(
        (seen.state, seen.settled, seen.started_at.is_some()),
        (QueueState::Running, 0, true)
    );
    let sent = RecipientChange::state(of(0), RecipientState::Sent, at);
    let failed = RecipientChange::failed(of(1), 404, "not on WhatsApp", at);
    bench
        .commit(|w| w.recipients = vec![sent.clone(), failed])
        .await
        .unwrap();
    let seen = bench.reload(&queue).await;
    assert_eq!((seen.settled, seen.failed, seen.progress()), (2, 1, 67));
    // The same again, and a step back, change nothing.
    let back = RecipientChange::sending(queue.id, 0, stanza(9), at);
    bench.commit(|w| w.recipients = vec![sent, back]).await.unwrap();
    assert_eq!(bench.reload(&queue).await.settled, 2);

    pause_and_resume(&bench, &queue).await;

    bench
        .commit(|w| {
            w.recipients = vec![
                RecipientChange::sending(queue.id, 2, stanza(2), at),
                RecipientChange::state(of(2), RecipientState::Sent, at),
            ];
            w.queues = vec![QueueChange::Complete(queue.id)];
        })
        .await
        .unwrap();
    let seen = bench.reload(&queue).await;
    assert_eq!(
        (seen.state, seen.settled, seen.progress()),
        (QueueState::Completed, 3, 100)
    );
    bench
        .commit(|w| w.queues = vec![QueueChange::Delete(queue.id)])
        .await
        .unwrap();
    assert_eq!(
        bench.reload(&queue).await.state,
        QueueState::Completed,
        "final is final"
    );
    assert!(
        queues::active(bench.db.store(), bench.session, due(None))
            .await
            .unwrap()
            .is_empty()
    );
    shows_what_happened(&bench, &queue, at).await;
}

#[tokio::test]
async fn a_queue_paused_before_it_started_goes_back_to_queued() {
    let bench = Bench::new().await;
    let queue = bench.queue(1).await;
    bench
        .commit(|w| w.queues = vec![QueueChange::Pause(queue.id)])
        .await
        .unwrap();
    assert_eq!(bench.reload(&queue).await.state, QueueState::Paused);
    bench
        .commit(|w| w.queues = vec![QueueChange::Start(queue.id)])
        .await
        .unwrap();
    let seen = bench.reload(&queue).await;
    assert_eq!(
        (seen.state, seen.started_at.is_some()),
        (QueueState::Paused, true)
    );
    let other = bench.queue(1).await;
    bench
        .commit(|w| w.queues = vec![QueueChange::Pause(other.id), QueueChange::Resume(other.id)])
        .await
        .unwrap();
    assert_eq!(bench.reload(&other).await.state, QueueState::Queued);
}

#[tokio::test]
async fn what_a_deleted_queue_did_not_send_reads_as_skipped() {
    let bench = Bench::new().await;
    let queue = bench.queue(2).await;
    bench
        .commit(|w| {
            w.recipients = vec![RecipientChange::sending(queue.id, 0, stanza(0), now())];
            w.queues = vec![QueueChange::Delete(queue.id)];
        })
        .await
        .unwrap();
    let counts = recipients::counts(bench.db.store(), queue.id).await.unwrap();
    assert_eq!(
        counts,
        [(RecipientState::Sending, 1), (RecipientState::Skipped, 1)]
    );
    let skipped = Some(RecipientState::Skipped);
    let page = recipients::page(bench.db.store(), queue.id, skipped, None, 10)
        .await
        .unwrap();
    assert_eq!((page.len(), page[0].seq), (1, 1));
}

#[tokio::test]
async fn receipts_find_their_recipient_by_stanza_id() {
    let bench = Bench::new().await;
    let queue = bench.queue(2).await;
    let at = now();
    bench
        .commit(|w| w.recipients = vec![RecipientChange::sending(queue.id, 0, stanza(0), at)])
        .await
        .unwrap();
    let receipt = |n, state| RecipientChange::state(RecipientKey::Stanza(stanza(n)), state, at);
    // A receipt that overtakes the ack does not settle.
    bench
        .commit(|w| w.recipients = vec![receipt(0, RecipientState::Delivered)])
        .await
        .unwrap();
    assert_eq!(bench.reload(&queue).await.settled, 0);
    let acked = RecipientChange::state(RecipientKey::Seq(queue.id, 0), RecipientState::Sent, at);
    bench.commit(|w| w.recipients = vec![acked]).await.unwrap();
    // An unknown id does nothing.
    bench
        .commit(|w| {
            w.recipients = vec![
                receipt(0, RecipientState::Delivered),
                receipt(0, RecipientState::Read),
                receipt(7, RecipientState::Read),
            ];
        })
        .await
        .unwrap();
    bench
        .commit(|w| w.recipients = vec![receipt(0, RecipientState::Sent)])
        .await
        .unwrap();
    let found = recipients::find_by_stanza(bench.db.store(), bench.session, &[stanza(0), stanza(7)])
        .await
        .unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!(
        (found[0].queue, found[0].seq, found[0].state),
        (queue.id, 0, RecipientState::Read)
    );
    assert_eq!(found[0].content, queue.content);
    assert_eq!(bench.reload(&queue).await.settled, 1);
}

#[tokio::test]
async fn states_move_by_one_rule_in_rust_and_in_sql() {
    let bench = Bench::new().await;
    let states = [
        RecipientState::Queued,
        RecipientState::Sending,
        RecipientState::Sent,
        RecipientState::Delivered,
        RecipientState::Read,
        RecipientState::Failed,
        RecipientState::Skipped,
        RecipientState::Unknown,
    ];
    let queue = bench.queue(64).await;
    let at = now();
    let mut pairs = HashMap::new();
    let change = |seq, state| RecipientChange {
        key: RecipientKey::Seq(queue.id, seq),
        state,
        stanza: (state != RecipientState::Queued).then(|| stanza(seq)),
        attempts: 0,
        addressee: None,
        held_for: None,
        error: (state == RecipientState::Failed).then(|| (500, "x".to_owned())),
        at,
    };
    for (seq, (from, to)) in (0..).zip(states.iter().flat_map(|from| states.map(|to| (*from, to)))) {
        pairs.insert(seq, (from, to));
    }
    bench
        .commit(|w| w.recipients = pairs.iter().map(|(seq, (from, _))| change(*seq, *from)).collect())
        .await
        .unwrap();
    bench
        .commit(|w| w.recipients = pairs.iter().map(|(seq, (_, to))| change(*seq, *to)).collect())
        .await
        .unwrap();
    for record in recipients::page(bench.db.store(), queue.id, None, None, 64)
        .await
        .unwrap()
    {
        let (from, to) = pairs[&record.seq];
        let expected = if from.may_become(to) { to } else { from };
        assert_eq!(record.state, expected, "{from:?} to {to:?}");
    }
    let seen = bench.reload(&queue).await;
    let page = recipients::page(bench.db.store(), queue.id, None, None, 64)
        .await
        .unwrap();
    let settled = page.iter().filter(|r| r.state.is_settled()).count();
    let failed = page.iter().filter(|r| r.state == RecipientState::Failed).count();
    assert_eq!((seen.settled as usize, seen.failed as usize), (settled, failed));
}

async fn pause_and_resume(bench: &Bench, queue: &QueueRecord) {
    bench
        .commit(|w| w.queues = vec![QueueChange::Pause(queue.id)])
        .await
        .unwrap();
    let seen = bench.reload(queue).await;
    assert_eq!((seen.state, seen.paused_at.is_some()), (QueueState::Paused, true));
    bench
        .commit(|w| w.queues = vec![QueueChange::Resume(queue.id)])
        .await
        .unwrap();
    let seen = bench.reload(queue).await;
    assert_eq!((seen.state, seen.paused_at), (QueueState::Running, None));
}

async fn shows_what_happened(bench: &Bench, queue: &QueueRecord, at: OffsetDateTime) {
    let page = recipients::page(bench.db.store(), queue.id, None, None, 10)
        .await
        .unwrap();
    let states: Vec<_> = page.iter().map(|r| r.state).collect();
    assert_eq!(
        states,
        [RecipientState::Sent, RecipientState::Failed, RecipientState::Sent]
    );
    assert_eq!(
        (page[1].error_status, page[1].error.as_deref()),
        (Some(404), Some("not on WhatsApp"))
    );
    assert_eq!(
        (page[0].stanza.clone(), page[0].sent_at),
        (Some(stanza(0)), Some(at))
    );
}

#[tokio::test]
async fn attempts_are_counted_and_an_unknown_end_has_its_reason_until_the_truth_comes() {
    let bench = Bench::new().await;
    let queue = bench.queue(2).await;
    let at = now();
    for attempt in [1, 2, 3] {
        let again = RecipientChange::sending(queue.id, 0, stanza(0), at).attempt(attempt);
        bench.commit(|w| w.recipients = vec![again]).await.unwrap();
    }
    let waiting = recipients::next(bench.db.store(), queue.id, None, None, 1)
        .await
        .unwrap();
    assert_eq!(
        (waiting[0].attempts, waiting[0].state),
        (3, RecipientState::Sending)
    );
    let end = RecipientChange::unknown(RecipientKey::Seq(queue.id, 0), 504, "not acknowledged", at);
    bench.commit(|w| w.recipients = vec![end]).await.unwrap();
    let first = async || {
        let page = recipients::page(bench.db.store(), queue.id, None, None, 1);
        page.await.unwrap().remove(0)
    };
    let unknown = first().await;
    assert_eq!(
        (unknown.state, unknown.error_status, unknown.attempts),
        (RecipientState::Unknown, Some(504), 3)
    );
    let counted = bench.reload(&queue).await;
    assert_eq!((counted.settled, counted.failed), (1, 0));
    // By its id, as a late answer or a receipt comes.
    for (state, expected) in [
        (RecipientState::Sent, RecipientState::Sent),
        (RecipientState::Delivered, RecipientState::Delivered),
    ] {
        let late = RecipientChange::state(RecipientKey::Stanza(stanza(0)), state, at);
        bench.commit(|w| w.recipients = vec![late]).await.unwrap();
        let told = first().await;
        assert_eq!(
            (told.state, told.error_status, told.error),
            (expected, None, None)
        );
    }
    assert_eq!(bench.reload(&queue).await.settled, 1, "it is counted once");
}

#[tokio::test]
async fn a_queue_belongs_to_the_account_of_its_day_until_another_adopts_it() {
    let bench = Bench::new().await;
    let owner = |number: &str| Owner {
        jid: format!("{number}@s.whatsapp.net"),
        ..ana()
    };
    let early = bench.queue(1).await;
    assert_eq!(early.account, None, "there is no account yet");
    let paired = |account: Owner| move |w: &mut Write| w.session_row().owner = Some(Some(account));
    bench.commit(paired(owner("5531900000001"))).await.unwrap();
    let queue = bench.queue(3).await;
    assert_eq!(queue.account.as_deref(), Some("5531900000001"));
    bench
        .commit(|w| {
            w.queues = vec![QueueChange::Start(early.id), QueueChange::Start(queue.id)];
            w.recipients = vec![RecipientChange::sending(queue.id, 1, stanza(1), now())];
        })
        .await
        .unwrap();
    let first = bench.reload(&early).await.account;
    assert_eq!(
        first.as_deref(),
        Some("5531900000001"),
        "the first that sends for it"
    );

    bench.commit(paired(owner("5531900000002"))).await.unwrap();
    let active = async |account| {
        let active = queues::active(
            bench.db.store(),
            bench.session,
            queues::Due { account, ..due(None) },
        )
        .await;
        active.unwrap().len()
    };
    assert_eq!(
        (
            active(Some("5531900000001")).await,
            active(Some("5531900000002")).await
        ),
        (2, 0)
    );
    queues::adopt(bench.db.store(), bench.fence, bench.session, queue.id)
        .await
        .unwrap();
    assert_eq!(
        bench.reload(&queue).await.account.as_deref(),
        Some("5531900000002")
    );
    assert_eq!(active(Some("5531900000002")).await, 1);
    let waiting = recipients::next(bench.db.store(), queue.id, None, None, 10)
        .await
        .unwrap();
    let attempts: Vec<u16> = waiting.iter().map(|one| one.attempts).collect();
    assert_eq!(
        attempts,
        [0, recipients::OF_ANOTHER_ACCOUNT, 0],
        "who was being sent to is not sent to again"
    );
    let stale = Fence {
        epoch: Epoch::new(bench.fence.epoch.get() + 1),
        ..bench.fence
    };
    let refused = queues::adopt(bench.db.store(), stale, bench.session, early.id).await;
    assert!(
        matches!(refused, Err(crate::store::StoreError::Fenced)),
        "{refused:?}"
    );
}

#[tokio::test]
async fn a_standstill_is_stored_until_it_is_over_and_a_queue_that_moves_says_when() {
    let bench = Bench::new().await;
    let queue = bench.queue(2).await;
    let still = Standstill {
        reason: Reason::Cap,
        until: Some(now()),
        attempt: None,
    };
    let stands = |why| move |w: &mut Write| w.queues = vec![QueueChange::StandStill(queue.id, why)];
    bench.commit(stands(Some(still))).await.unwrap();
    let read = bench.reload(&queue).await;
    assert_eq!(
        (read.waiting, read.state, read.moved_at),
        (Some(still), QueueState::Queued, None)
    );
    // A start in the same batch changes nothing of it; what comes later counts.
    let started = |w: &mut Write| w.queues = vec![QueueChange::Start(queue.id)];
    bench.commit(started).await.unwrap();
    assert_eq!(bench.reload(&queue).await.waiting, Some(still));
    bench
        .commit(|w| {
            w.queues = vec![
                QueueChange::StandStill(queue.id, Some(still)),
                QueueChange::StandStill(queue.id, None),
            ];
            let sent = RecipientChange::failed(RecipientKey::Seq(queue.id, 0), 404, "nobody", now());
            w.recipients = vec![sent];
        })
        .await
        .unwrap();
    let moved = bench.reload(&queue).await;
    assert!(moved.waiting.is_none() && moved.moved_at.is_some(), "{moved:?}");
}

#[tokio::test]
async fn what_becomes_of_a_message_has_the_id_of_its_start_and_touches_no_index() {
    let bench = Bench::new().await;
    let queue = bench.accept(4).await;
    let pending = async || {
        recipients::next(bench.db.store(), queue.id, None, None, 4)
            .await
            .unwrap()
    };
    let ids = |page: Vec<Pending>| {
        page.into_iter()
            .map(|one| one.stanza.unwrap())
            .collect::<Vec<_>>()
    };
    let given = ids(pending().await);
    let sending = (0..4).map(|seq| RecipientChange::sending(queue.id, seq, stanza(seq), now()));
    bench.commit(|w| w.recipients = sending.collect()).await.unwrap();
    assert_eq!(ids(pending().await), given, "the id is that of its acceptance");
    let sent = (0..4)
        .map(|seq| RecipientChange::state(RecipientKey::Seq(queue.id, seq), RecipientState::Sent, now()));
    bench.commit(|w| w.recipients = sent.collect()).await.unwrap();
    let read = given
        .iter()
        .map(|id| RecipientChange::state(RecipientKey::Stanza(id.clone()), RecipientState::Read, now()));
    bench.commit(|w| w.recipients = read.collect()).await.unwrap();
    // The server counts when the connection ends, soon.
    *bench.commits.lock().await = GroupCommit::new(bench.db.store());
    let counted =
        "SELECT n_tup_upd || ' ' || n_tup_hot_upd FROM pg_stat_user_tables WHERE relname = 'recipient'";
    let all = [Some("12 12".to_owned())];
    let counted = async || while bench.db.query(counted).await != all {};
    tokio::time::timeout(Duration::from_secs(10), counted())
        .await
        .expect("an update of an index");
}
