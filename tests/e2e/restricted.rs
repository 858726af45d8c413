//! A broadcast on an account that is restricted in the middle of it.

use std::time::Duration;

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use tests::cluster::Cluster;
use tests::events::Record;
use tests::simulated::Contacts;
use tests::wait::eventually;

/// The lock, a take-over and two broadcasts of a hundred, on a slow machine.
const PATIENCE: Duration = Duration::from_secs(180);
/// How many of each kind.
const EACH: u32 = 50;
/// The account.
const OWNER: &str = "5511900000090";

fn contacts(prefix: &str) -> Contacts<'_> {
    Contacts {
        prefix,
        count: EACH,
        deliver_ms: 5,
        read_ms: None,
        reply: None,
    }
}

/// New contacts and such as have written to the account, in turns.
async fn mixed(cluster: &Cluster, record: &Record) -> Result<Vec<String>> {
    for prefix in ["1555810", "1555820"] {
        cluster.control.contacts(&contacts(prefix)).await?;
    }
    let (new, known) = (contacts("1555810").numbers(), contacts("1555820").numbers());
    for number in &known {
        cluster.control.contact_writes(number, OWNER, "hello").await?;
    }
    eventually(PATIENCE, "all that was written has come", async || {
        let mut events = record.events();
        events.retain(|event| event["event"] == "new.message");
        Ok(events.len() >= known.len())
    })
    .await?;
    Ok(new
        .into_iter()
        .zip(known)
        .flat_map(|(new, known)| [new, known])
        .collect())
}

fn named(record: &Record, name: &str) -> Vec<Value> {
    let mut events = record.events();
    events.retain(|event| event["event"] == name);
    events
}

#[tokio::test(flavor = "multi_thread")]
async fn new_contacts_wait_out_a_restriction_over_a_killed_worker_and_known_ones_do_not() -> Result<()> {
    let mut cluster = Cluster::start(1).await?;
    cluster.control.phone(OWNER, "shop").await?;
    cluster.operator.pair(&cluster.control, "shop", OWNER).await?;
    let record = Record::start(cluster.events("shop").await?);
    let numbers = mixed(&cluster, &record).await?;
    let queue = cluster
        .operator
        .broadcast("shop", &numbers, "we open at nine", 0.02..=0.04)
        .await?;
    eventually(PATIENCE, "the broadcast runs", async || {
        Ok(cluster.control.audit().await?.messages_accepted >= 20)
    })
    .await?;
    let path = format!("/phones/{OWNER}/restrict");
    cluster.control.post(&path, json!({ "seconds": 40 })).await?;
    eventually(PATIENCE, "the session knows", async || {
        Ok(!named(&record, "session.restricted").is_empty())
    })
    .await?;
    cluster.kill_worker(0)?;
    cluster.restart_worker(0).await?;
    eventually(
        PATIENCE,
        "only new contacts are left, and it says so",
        async || {
            let queue = cluster.operator.queue("shop", &queue).await?;
            Ok(queue["waiting"]["reason"] == "restricted" && queue["waiting"]["until"].is_string())
        },
    )
    .await?;
    let (_, session) = cluster.operator.get("/v1/sessions/shop").await?;
    ensure!(session["restriction"]["kind"] == "time-lock", "{session}");
    let waiting = cluster.operator.queue("shop", &queue).await?;
    let held = waiting["held"].as_u64().unwrap_or_default();
    // Numbers that need no look-up go first.
    ensure!(held > 0 && held <= u64::from(EACH), "{waiting}");
    let shown = cluster.control.audit().await?.shown_once;
    ensure!(shown + held == u64::from(2 * EACH), "{shown} shown, {held} wait");
    ensure!(
        named(&record, "session.unrestricted").is_empty(),
        "it was not over yet"
    );

    record.until(PATIENCE, "send.message:COMPLETED", &queue).await?;
    ensure!(
        !named(&record, "session.unrestricted").is_empty(),
        "its end is told"
    );
    ensure!(named(&record, "send.message:ERROR").is_empty(), "nobody fails");
    eventually(PATIENCE, "every contact was shown its message", async || {
        Ok(cluster.control.audit().await?.shown_once >= u64::from(2 * EACH))
    })
    .await?;
    let audit = cluster.control.audit().await?;
    ensure!(audit.rest["refused_again"] == 0, "{audit:?}");
    audit.clean(u64::from(2 * EACH))?;
    crate::broadcast::in_order(&record.events(), &queue, u64::from(2 * EACH))
}
