//! Many rows: one endpoint's backlog beside the others, and the sweep of what is old.

use shared::store::deliveries::upkeep;

use super::*;

/// Disables a webhook longer ago than what waits for it is kept.
async fn disable_long_ago(stage: &Stage, id: WebhookId) {
    webhooks::disable(stage.database.store(), id, "it answered 410 Gone")
        .await
        .unwrap();
    let sql = format!("UPDATE webhook SET disabled_at = now() - interval '31 days' WHERE id = '{id}'");
    stage.database.query(&sql).await;
}

async fn sweep_all(stage: &Stage, queues: Option<Duration>) -> sweep::Swept {
    let keep = Keep {
        queues,
        messages: None,
        delivered: Duration::from_secs(3_600),
    };
    sweep::sweep(stage.database.store(), keep, Clock::system()).await
}

/// Rows as they would be after a long failure, made by SQL.
async fn put_rows(database: &TestDatabase, webhook: WebhookId, count: u32, columns: &str, values: &str) {
    let sql = format!(
        "INSERT INTO delivery (id, webhook_id, event_id, token, event, body, {columns})
         SELECT gen_random_uuid(), '{webhook}', gen_random_uuid(), 't', 'paused.queue', '{{}}', {values}
         FROM generate_series(1, {count})"
    );
    database.query(&sql).await;
}

async fn count(database: &TestDatabase, condition: &str) -> u32 {
    let sql = format!("SELECT count(*) FROM delivery WHERE {condition}");
    let texts = database.query(&sql).await;
    texts[0].as_ref().unwrap().parse().unwrap()
}

#[tokio::test]
async fn the_backlog_of_one_endpoint_hides_no_row_of_another() {
    let mut stage = Stage::new().await;
    let (dead, well) = (
        Receiver::start(Mood::Failing).await,
        Receiver::start(Mood::Well).await,
    );
    let (of_dead, of_well) = (
        stage.register(&dead, None, &[]).await,
        stage.register(&well, None, &[]).await,
    );
    let hour_ago = "now() - interval '1 hour'";
    put_rows(&stage.database, of_dead, 3_000, "next_attempt_at", hour_ago).await;
    put_rows(&stage.database, of_well, 100, "next_attempt_at", "now()").await;
    stage.start(settings());
    until("the other's rows are taken", async || {
        well.taken_ids().len() == 100
    })
    .await;
    let untouched = format!(
        "webhook_id = '{of_dead}' AND leased_until IS NULL AND next_attempt_at < now() - interval '59 minutes'"
    );
    let untouched = count(&stage.database, &untouched).await;
    assert!(
        untouched > 2_000,
        "only {untouched} rows of the dead one were left alone"
    );
    stage.stop().await;
}

#[tokio::test]
async fn a_sweep_forgets_all_that_is_old_and_gives_up_what_nobody_wants() {
    let stage = Stage::new().await;
    let receiver = Receiver::start(Mood::Well).await;
    let (webhook, gone, just_gone) = (
        stage.register(&receiver, None, &[]).await,
        stage.register(&receiver, None, &[]).await,
        stage.register(&receiver, None, &[]).await,
    );
    webhooks::disable(stage.database.store(), just_gone, "it answered 410 Gone")
        .await
        .unwrap();
    put_rows(&stage.database, just_gone, 1, "next_attempt_at", "now()").await;
    let finished = |days: u32| format!("1, now() - interval '{days} days'");
    let old = upkeep::PURGE_MAX * 2 + 1;
    put_rows(&stage.database, webhook, old, "state, finished_at", &finished(31)).await;
    put_rows(&stage.database, webhook, 3, "state, finished_at", &finished(29)).await;
    disable_long_ago(&stage, gone).await;
    put_rows(&stage.database, gone, 2, "next_attempt_at", "now()").await;
    let swept = sweep_all(&stage, None).await;
    assert_eq!((swept.rows, swept.is_cut_short), (u64::from(old) + 2, false));
    assert_eq!(count(&stage.database, "true").await, 6);
    assert_eq!(
        stage.rows(just_gone, DeliveryState::Pending).await.len(),
        1,
        "it may be enabled"
    );
    let given_up = stage.rows(gone, DeliveryState::Dead).await;
    assert_eq!(given_up.len(), 2);
    assert_eq!(given_up[0].last_error.as_deref(), Some("it answered 410 Gone"));
}

#[tokio::test]
async fn a_part_of_the_sweep_that_fails_keeps_no_other() {
    let stage = Stage::new().await;
    let receiver = Receiver::start(Mood::Well).await;
    let gone = stage.register(&receiver, None, &[]).await;
    disable_long_ago(&stage, gone).await;
    put_rows(&stage.database, gone, 2, "next_attempt_at", "now()").await;
    let session = "WITH s AS (INSERT INTO session (token, shard) VALUES ('t', 0) RETURNING id)";
    stage
        .database
        .query(&format!(
            "{session} INSERT INTO queue (id, session_id, job_id, fingerprint, content, state, total, finished_at)
             SELECT gen_random_uuid(), id, 'j', sha256('x'), '{{}}', 4, 1, now() - interval '2 days' FROM s"
        ))
        .await;
    stage
        .database
        .query("ALTER TABLE idempotency RENAME TO away")
        .await;
    let day = Duration::from_secs(86_400);
    let swept = sweep_all(&stage, Some(day)).await;
    assert_eq!((swept.rows, swept.is_cut_short), (3, false));
}

#[tokio::test]
async fn an_endpoint_for_which_too_many_deliveries_wait_is_disabled() {
    let mut stage = Stage::new().await;
    let receiver = Receiver::start(Mood::Failing).await;
    let (over, within) = (
        stage.register(&receiver, None, &[]).await,
        stage.register(&receiver, None, &[]).await,
    );
    let later = "now() + interval '1 hour'";
    put_rows(&stage.database, over, 51, "next_attempt_at", later).await;
    put_rows(&stage.database, within, 50, "next_attempt_at", later).await;
    stage.start(Settings {
        pending_max: 50,
        ..settings()
    });
    let disabled = async |id| {
        let record = webhooks::find(stage.database.store(), id).await.unwrap().unwrap();
        record.disabled.map(|(_, why)| why)
    };
    let why = "more than 50 deliveries waited for it";
    until("it is disabled", async || {
        disabled(over).await.as_deref() == Some(why)
    })
    .await;
    assert_eq!(
        stage.rows(over, DeliveryState::Pending).await.len(),
        51,
        "they wait"
    );
    assert_eq!(disabled(within).await, None);
    stage.stop().await;
}

#[tokio::test]
async fn giving_up_and_deleting_go_through_many_rows_in_pieces() {
    let stage = Stage::new().await;
    let receiver = Receiver::start(Mood::Well).await;
    let (webhook, other) = (
        stage.register(&receiver, None, &[]).await,
        stage.register(&receiver, None, &[]).await,
    );
    let many = upkeep::PIECE_MAX * 2 + 1;
    put_rows(&stage.database, webhook, many, "next_attempt_at", "now()").await;
    put_rows(&stage.database, other, 1, "next_attempt_at", "now()").await;
    disable_long_ago(&stage, webhook).await;
    let swept = sweep_all(&stage, None).await;
    assert_eq!((swept.rows, swept.is_cut_short), (u64::from(many), false));
    assert_eq!(count(&stage.database, "state = 0").await, 1);
    assert!(webhooks::delete(stage.database.store(), webhook).await.unwrap());
    assert_eq!(count(&stage.database, "true").await, 1);
    assert!(!webhooks::delete(stage.database.store(), webhook).await.unwrap());
}

#[tokio::test]
async fn a_secret_that_does_not_open_stops_its_own_webhook_only() {
    let mut stage = Stage::new().await;
    let (sealed, well) = (
        Receiver::start(Mood::Well).await,
        Receiver::start(Mood::Well).await,
    );
    let of_sealed = stage.register(&sealed, None, &[]).await;
    stage.register(&well, None, &[]).await;
    let damage = format!("UPDATE webhook SET secret = '\\x00' WHERE id = '{of_sealed}'");
    stage.database.query(&damage).await;
    stage.start(settings());
    stage.publish(&testing::token(), 1).await;
    until("the other has it", async || well.taken().len() == 1).await;
    stage.stop().await;
    assert_eq!(sealed.attempts().len(), 0);
    let enabled = webhooks::enabled(stage.database.store()).await.unwrap();
    assert_eq!((enabled.records.len(), enabled.unusable), (1, 1));
    // Where none opens, the key is wrong: nothing is taken from the broker and lost.
    stage.database.query("UPDATE webhook SET secret = '\\x00'").await;
    let refused = webhooks::enabled(stage.database.store()).await;
    assert!(matches!(refused, Err(StoreError::Seal(_))), "{refused:?}");
}

#[tokio::test]
async fn a_disable_that_commits_behind_a_later_one_is_seen() {
    let stage = Stage::new().await;
    let receiver = Receiver::start(Mood::Well).await;
    let (early, late) = (
        stage.register(&receiver, None, &[]).await,
        stage.register(&receiver, None, &[]).await,
    );
    let store = stage.database.store();
    webhooks::disable(store, late, "x").await.unwrap();
    let before = webhooks::version(store).await.unwrap();
    let sql = format!(
        "UPDATE webhook SET disabled_at = now() - interval '1 minute', disabled_why = 'x' WHERE id = '{early}'"
    );
    stage.database.query(&sql).await;
    assert_ne!(webhooks::version(store).await.unwrap(), before);
}

#[tokio::test]
async fn an_event_whose_name_the_database_would_refuse_is_a_dead_letter() {
    let mut stage = Stage::new().await;
    let receiver = Receiver::start(Mood::Failing).await;
    stage.register(&receiver, None, &[]).await;
    stage.start(settings());
    let (token, id) = (testing::token(), shared::testing::event_id());
    let body = json!({ "event": "a\0b", "id": id, "instance": { "name": token }, "data": {} });
    let topology = stage.broker.broker().topology().clone();
    let event = Outgoing::event(&topology, &token, "x", id, body.to_string().into());
    stage.broker.broker().publisher().publish(event).await.unwrap();
    until("it is put away", async || {
        stage.depth(&QueueName::DeadWebhooks).await == 1
    })
    .await;
    stage.stop().await;
    assert_eq!(receiver.attempts().len(), 0);
}

#[test]
fn settings_have_defaults_and_limits() {
    let read = |pairs: &[(&str, &str)]| {
        let pairs = pairs
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let mut env = Env::new(pairs);
        let settings = Settings::read(&mut env);
        (settings, env.finish())
    };
    let days = |days: u64| Some(Duration::from_secs(days * 86_400));
    assert_eq!(read(&[]).0.keep_queues, days(30));
    assert_eq!(read(&[("KEEP_QUEUES_DAYS", "0")]).0.keep_queues, None);
    assert_eq!(read(&[("KEEP_QUEUES_DAYS", "7")]).0.keep_queues, days(7));
    assert_eq!(read(&[("WEBHOOK_KEEP_DELIVERED", "0")]).0.keep_delivered, 0);
    for (name, wrong) in [
        ("KEEP_QUEUES_DAYS", "4000"),
        ("KEEP_QUEUES_DAYS", "-1"),
        ("WEBHOOK_TIMEOUT", "0"),
        ("WEBHOOK_TIMEOUT", "301"),
        ("WEBHOOK_TIMEOUT", "NaN"),
        ("WEBHOOK_CIRCUIT_SECONDS", "1e9"),
        ("WEBHOOK_KEEP_DELIVERED", "1000001"),
        ("WEBHOOK_KEEP_DELIVERED_HOURS", "0"),
        ("WEBHOOK_KEEP_DELIVERED_HOURS", "721"),
        ("WEBHOOK_PENDING_MAX", "0"),
        ("WEBHOOK_PENDING_MAX", "100000001"),
        ("WEBHOOK_RETRY_SCHEDULE", "1,x"),
    ] {
        let error = read(&[(name, wrong)]).1.unwrap_err();
        assert!(
            error.0.iter().any(|problem| problem.starts_with(name)),
            "{name}={wrong}"
        );
    }
}
