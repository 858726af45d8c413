//! What is read after an answer is not older than what the answer was about.

use super::*;

/// How many backends other than ours are in the middle of something.
async fn at_work(bench: &Bench, only: &str) -> usize {
    let sql = format!(
        "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()
         AND state <> 'idle' {only}"
    );
    bench.db.query(&sql).await.len()
}

async fn until_it_waits(bench: &Bench) {
    while at_work(bench, "AND wait_event_type = 'Lock'").await == 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

async fn sequence(bench: &Bench) -> Vec<Option<String>> {
    bench.db.query("SELECT last_sequence FROM session").await
}

#[tokio::test]
async fn a_write_that_was_answered_as_failed_never_lands() {
    let bench = Bench::new().await;
    let queue = bench.queue(1).await;
    bench.commit(|w| w.last_sequence = Some(1)).await.unwrap();
    // The transaction and its COMMIT are on the wire. It waits twice: each time for less than the server lets a
    // statement wait, together for longer than the committer does.
    let (first, second) = (bench.db.hold("recipient").await, bench.db.hold("session").await);
    let write = bench.commit(|w| {
        w.recipients = vec![RecipientChange::sending(queue.id, 0, stanza(0), now())];
        w.last_sequence = Some(2);
    });
    let let_on = async {
        until_it_waits(&bench).await;
        tokio::time::sleep(COMMIT_TIMEOUT / 2).await;
        first.release().await;
    };
    let (answer, ()) = tokio::join!(write, let_on);
    assert!(matches!(answer, Err(CommitError::Unavailable(_))), "{answer:?}");
    let read = sequence(&bench).await;
    second.release().await;
    while at_work(&bench, "").await > 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(sequence(&bench).await, read, "it landed behind its answer");
    bench.commit(|w| w.last_sequence = Some(3)).await.unwrap();
}
